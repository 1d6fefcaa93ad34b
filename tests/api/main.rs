//! The admin REST, in this process, on a real replica set: `TASKWIRE_TEST_MONGODB_URI` names it.
#![allow(missing_docs, unreachable_pub, reason = "one test binary, with nothing outside it")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a harness that fails is a test that fails")]

mod bad_input;
mod deliveries;
mod groups;
mod harness;
mod matrix;
mod openapi;
mod outage;
mod replays;
mod rotation;
mod stats;
mod task_events;
mod webhooks;
