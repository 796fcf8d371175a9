//! A property block of any packet: no panic, one that is taken writes back the same octets, and
//! what a server forwards of it is neither more nor less nor in another order.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/bartizan-core/tests/wire_checks/mod.rs"]
mod wire_checks;

fuzz_target!(|input: &[u8]| wire_checks::check_properties(input));
