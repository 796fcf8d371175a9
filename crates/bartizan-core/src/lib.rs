//! The pure heart of Bartizan: bytes in, bytes and effects out.
//!
//! | module    | what it holds                                                             |
//! |-----------|---------------------------------------------------------------------------|
//! | `wire`    | Control Packets <-> bytes, MQTT 3.1, 3.1.1 and 5.0                        |
//! | `topic`   | Topic Names, Topic Filters, the subscription index, Retained Messages     |
//! | `limits`  | token buckets and quotas                                                  |
//! | `policy`  | the compiled policy image, its evaluator, the proof `Authorized<T>`       |
//! | `session` | Connection and Session state: queue, in-flight window, aliases, Will      |
//! | `server`  | the MQTT Server of one shard: who may connect, who gets what              |
//! | `message` | one Application Message, encoded once and shared                          |
//! | `parcel`  | messages on their way to another shard, in one block                      |
//! | `durable` | what a Session must not forget                                            |
//! | `event`   | what happened, for logs and detectors                                     |
//! | `octets`  | octets looked at eight at a time                                          |
//!
//! Invariants: no I/O, no clock, no entropy (I1); only `policy` makes an `Authorized<T>` (I2);
//! no positive acknowledgement before what it claims is true (I3); no panic on any input.
#![forbid(unsafe_code)]

pub mod durable;
pub mod event;
pub mod limits;
pub mod message;
mod octets;
pub mod parcel;
pub mod policy;
pub mod server;
pub mod session;
pub mod topic;
pub mod wire;
