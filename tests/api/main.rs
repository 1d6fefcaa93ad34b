//! The admin REST, in this process, on a real replica set: `TASKWIRE_TEST_MONGODB_URI` names it.
#![allow(missing_docs, unreachable_pub, reason = "one test binary, with nothing outside it")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a harness that fails is a test that fails")]

mod audit;
mod bad_input;
mod deliveries;
mod groups;
mod harness;
mod idempotency;
mod limits;
mod matrix;
mod openapi;
mod outage;
mod receiver_check;
mod rekey;
mod replays;
mod rotation;
mod settings;
mod stats;
mod task_events;
mod webhooks;
