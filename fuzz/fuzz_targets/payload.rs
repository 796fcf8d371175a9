//! Arbitrary bytes as payloads of every format that a topic can declare: they fit or not, and never panic.
#![no_main]

use std::sync::LazyLock;

use bartizan_core::policy::PayloadCheck;
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/bartizan-engine/tests/payload_checks/mod.rs"]
mod payload_checks;

static CHECKS: LazyLock<Vec<Box<dyn PayloadCheck>>> = LazyLock::new(payload_checks::checks);

fuzz_target!(|input: &[u8]| {
    payload_checks::check_payload(&CHECKS, input);
});
