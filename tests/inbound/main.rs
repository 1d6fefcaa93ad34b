//! The inbound endpoint, in this process, on a real replica set, beside the stand-in of the task service.
#![allow(missing_docs, unreachable_pub, reason = "one test binary, with nothing outside it")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a harness that fails is a test that fails")]

mod bad_input;
mod categories;
mod door;
mod echoes;
mod repeats;
mod samples;
mod scene;
mod settings;
mod tasks;
mod together;
