//! The dispatcher alone against a real MongoDB and a receiver that misbehaves: rows are written as the recorder writes
//! them, and what becomes of them is read from the receiver and from the rows.

mod connections;
mod drain;
mod faults;
mod handover;
mod health;
mod notices;
mod order;
mod parcels;
mod rates;
mod scene;
mod stops;
mod targets;
