//! Arbitrary bytes as an HTTP upgrade and as WebSocket frames, over an in-memory stream that cuts
//! and blocks: the outcome does not depend on the cut, and is what tungstenite makes of them.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/bartizan-engine/tests/websocket_checks/mod.rs"]
mod websocket_checks;

fuzz_target!(|input: &[u8]| {
    websocket_checks::check_frames(input);
    websocket_checks::check_upgrade(input);
});
