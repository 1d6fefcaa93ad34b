//! The admin REST, in this process, on a real replica set: `TASKWIRE_TEST_MONGODB_URI` names it.
#![allow(missing_docs)]

mod bad_input;
mod deliveries;
mod groups;
mod harness;
mod matrix;
mod outage;
mod rotation;
mod webhooks;
