//! A stream of packets of any version, read as server or as client: no panic, and every packet
//! that is taken survives being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/bartizan-core/tests/wire_checks/mod.rs"]
mod wire_checks;

fuzz_target!(|input: &[u8]| wire_checks::check_decode(input));
