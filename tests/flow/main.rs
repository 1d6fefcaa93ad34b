//! From a write of the task service to the event log and the partner: the real programs on a real MongoDB.

mod audit;
mod catalogue;
mod commands;
mod commits;
mod common;
mod configurations;
mod events;
mod failing_scans;
mod faults;
mod faults_gone;
mod faults_large;
mod faults_token;
mod first_start;
mod gaps;
mod healthcheck;
mod histories;
mod kills;
mod metrics;
mod replays;
mod restarts;
mod retention;
mod swaps;
mod trouble;
