//! Work whose instructions callgrind counts: what a message costs on its way through core, in
//! parts and as a whole. `make counts` runs it and compares (docs/reference/counts.md).
//!
//! | file     | what                                                      |
//! |----------|-----------------------------------------------------------|
//! | `parts`  | codec, topics, subscription index, policy decision        |
//! | `trips`  | octets into a shard until octets are out of it            |
//! | `shard`  | one shard without sockets, as the engine would drive it   |
//!
//! Callgrind collects inside `collect_instructions` alone, and writes one dump each time
//! `end_of_case` is reached; the lines printed here name the dumps, in their order, and say how
//! many operations each stands for.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what is not as expected is not counted")]
#![allow(clippy::print_stdout, reason = "the names are the output")]

mod parts;
mod shard;
mod trips;

/// Runs work that counts. Callgrind knows it by its name.
#[inline(never)]
pub fn collect_instructions(work: &mut dyn FnMut()) {
    work();
}

/// Callgrind writes what was collected since the last time.
#[inline(never)]
fn end_of_case(name: &str, operations: usize) {
    println!("{name} {operations}");
}

/// One thing that is counted: its name, and what does it and says how many operations it was.
pub type Case = (&'static str, fn() -> usize);

fn main() {
    for (name, run) in parts::CASES.iter().chain(trips::CASES) {
        let operations = run();
        end_of_case(name, operations);
    }
}
