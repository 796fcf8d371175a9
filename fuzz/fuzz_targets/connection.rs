//! Arbitrary bytes as what a client does, on connections of its own beside a well-behaved one,
//! while commits and messages between shards come when they come: no panic, only packets for an
//! answer, bounded memory, and the neighbour is served as if nothing were.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/bartizan-core/tests/connection_checks/mod.rs"]
mod connection_checks;
#[path = "../../crates/bartizan-core/tests/server_world/mod.rs"]
mod server_world;

fuzz_target!(|input: &[u8]| connection_checks::check_connection(input));
