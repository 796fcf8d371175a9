//! MQTT over WebSocket (MQTT 5, chapter 6): a byte stream made of binary frames.
//!
//! [`upgrade`] reads and answers the HTTP request; [`stream`] turns frames into bytes and back.
//! Frame headers are parsed and written by tungstenite; payloads are unmasked in the caller's buffer
//! as they come, so that a frame's announced length never costs memory.

pub mod stream;
pub mod upgrade;

pub use stream::WebSocketStream;
pub use upgrade::Upgrade;
