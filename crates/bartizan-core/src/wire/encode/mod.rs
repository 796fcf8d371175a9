//! Packet -> octets, appended to the caller's buffer.
//!
//! | file      | what                                                                  |
//! |-----------|-----------------------------------------------------------------------|
//! | `put`     | the field types of 1.5, and the fixed header                          |
//! | `publish` | PUBLISH, by either side; the hot one                                  |
//! | `ack`     | PUBACK to PUBCOMP, SUBACK, UNSUBACK                                   |
//! | `server`  | CONNACK, PINGRESP, DISCONNECT, AUTH                                   |
//! | `client`  | CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT, for tests and load |
//! | `packet`  | any decoded packet back to its octets                                 |
//!
//! A packet that would be larger than the protocol can say (268,435,455 octets after the
//! fixed header) is not written at all; who can build one asks for its length first.

mod ack;
mod client;
mod packet;
mod publish;
pub(crate) mod put;
mod server;

pub use ack::{AckKind, ack, puback, pubcomp, pubrec, pubrel, suback, unsuback};
pub use client::{client_disconnect, connect, pingreq, subscribe, unsubscribe};
pub use packet::packet;
pub use publish::{PublishHead, publish, publish_len};
pub use server::{AuthTail, ConnackProperties, auth, connack, disconnect, pingresp};

#[cfg(test)]
mod tests;
