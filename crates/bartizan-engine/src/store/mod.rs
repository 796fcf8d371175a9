//! Where Sessions, queues, Retained Messages and Wills outlive the process.
//!
//! | file        | what                                                                       |
//! |-------------|----------------------------------------------------------------------------|
//! | `port`      | the port: batches of mutations in, a watermark out                         |
//! | `config`    | where, how durable, how large                                              |
//! | `memory`    | adapter: nothing outlives the process                                      |
//!
//! The callers are reactors: threads that may not block and cannot await. So `submit` only
//! hands a batch over, and `committed` is a number they look at after `wake` was called.
//! A PUBACK, PUBREC or SUBACK leaves when the ticket of its batch is covered (I3).

pub mod config;
pub mod memory;
pub mod port;

pub use config::{Durability, StoreConfig};
pub use port::{
    Committed, Loaded, Mutation, SessionRecord, Space, Store, StoreError, StoreInfo, Ticket, Wake,
};
