//! From a write of the task service to the event log and the partner: the real programs on a real MongoDB.

mod commits;
mod common;
mod configurations;
mod events;
mod faults;
mod faults_gone;
mod faults_large;
mod faults_token;
mod kills;
mod restarts;
mod trouble;
