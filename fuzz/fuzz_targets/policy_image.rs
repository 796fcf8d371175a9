//! Arbitrary bytes as a policy image, with an identity and a request: loading refuses or succeeds,
//! never panics, and the decisions of what was loaded agree with each other.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/bartizan-core/tests/policy_checks/mod.rs"]
mod policy_checks;

fuzz_target!(|input: &[u8]| {
    policy_checks::check_policy_image(input);
});
