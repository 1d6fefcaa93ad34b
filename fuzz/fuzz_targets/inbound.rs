//! Headers and body of an inbound call: `cargo +nightly fuzz run inbound -- -max_total_time=600`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| taskwire::http::fuzz_inbound(bytes));
