//! The I/O half of Bartizan: reactors, listeners, stores. The only crate that waits for anything.
//!
//! | module      | what                                                                        |
//! |-------------|-----------------------------------------------------------------------------|
//! | `engine`    | start, stop, apply: what the seam calls                                      |
//! | `identities`| all of them with a policy, or those that changed                             |
//! | `bans`      | who may not connect, who publishes more slowly; a Session that is discarded |
//! | `inspecting`| Sessions, Retained Messages and topics, looked up                            |
//! | `config`    | what Python hands over at start, as values                                   |
//! | `shard`     | one reactor: a thread that owns its connections and Sessions                 |
//! | `driver`    | one connection: bytes <-> core                                               |
//! | `mailbox`   | what reaches a shard from outside its thread                                 |
//! | `admission` | who may connect at all, before TLS costs anything                            |
//! | `desk`      | questions for the authenticators, their answers                              |
//! | `successes` | credentials found good a short while ago                                     |
//! | `metrics`   | every figure by name                                                         |
//! | `payload`   | checks of payloads: JSON Schema, text, protobuf, Sparkplug                   |
//! | `events`    | what happened, on its way up to Python; floods told once                     |
//! | `latency`   | how long things take, in buckets                                             |
//! | `listener`  | TCP, TLS, WebSocket, PROXY, Unix as stacked byte streams                     |
//! | `tls`       | certificates, keys, CRLs; swapped in place                                   |
//! | `recovery`  | a start: what the store holds goes back to its shards                        |
//! | `trace`     | packets of one client as they pass                                           |
//! | `watching`  | decisions watched on every shard                                             |
//! | `control`   | commands that clients publish for the broker, and their answers              |
//! | `store`     | where Sessions outlive the process                                           |

pub mod admission;
pub mod bans;
pub mod clock;
pub mod config;
pub mod control;
pub mod desk;
pub mod driver;
pub mod engine;
pub mod events;
pub mod identities;
pub mod inspecting;
pub mod latency;
pub mod listener;
pub mod mailbox;
pub mod metrics;
pub mod payload;
pub mod recovery;
pub mod shard;
pub mod store;
pub mod successes;
pub mod tls;
pub mod trace;
pub mod watching;
