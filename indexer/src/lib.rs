//! x

pub mod backoff;
pub mod client;
pub mod outcome;
