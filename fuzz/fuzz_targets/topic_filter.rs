//! Three lines of arbitrary text as filter, filter and name: whatever answers whether a filter
//! matches a name gives one answer, and covering and overlapping agree with it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/bartizan-core/tests/topic_checks/mod.rs"]
mod topic_checks;

fuzz_target!(|input: &[u8]| topic_checks::check_topic_filter(input));
