//! Whatever a peer says, after a proper greeting or without one.
#![no_main]

#[path = "../../crates/message-port/tests/node/hostile.rs"]
mod hostile;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    hostile::feed(data);
});
