//! From a write of the task service to the event log and the partner: the real programs on a real MongoDB.

mod commits;
mod common;
mod configurations;
mod events;
mod histories;
mod kills;
mod restarts;
mod swaps;
mod trouble;
