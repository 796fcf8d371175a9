//! Where Sessions, queues, Retained Messages and Wills outlive the process.
//!
//! | file        | what                                                                       |
//! |-------------|----------------------------------------------------------------------------|
//! | `port`      | the port: batches of mutations in, a watermark out                         |
//! | `config`    | where, how durable, how large                                              |
//! | `answers`   | pages of queues that were read back, on their way to a shard               |
//! | `memory`    | adapter: nothing outlives the process                                      |
//! | `embedded`  | adapter: a write-ahead log, and a redb index brought up to date behind it  |
//! | `tools`     | a store while no broker runs: check, export, import, compact               |
//! | `contract`  | one suite of behaviours; every adapter runs it                             |
//!
//! The callers are reactors: threads that may not block and cannot await. So `submit` only
//! hands a batch over, and `committed` is a number they look at after `wake` was called.
//! A PUBACK, PUBREC or SUBACK leaves when the ticket of its batch is covered (I3).

mod answers;
pub mod config;
pub mod embedded;
pub mod memory;
pub mod port;
pub mod tools;

#[cfg(test)]
mod contract;

use std::sync::Arc;

pub use config::{Durability, StoreConfig};
pub use port::{
    Committed, Fetch, Fetched, FetchedMessage, Loaded, Mutation, Promise, SessionRecord, Space, Store, StoreError,
    StoreInfo, Ticket, Wake,
};

/// Opens the durable store of a node.
///
/// # Errors
/// See `embedded::open`.
pub fn open(config: StoreConfig, wake: Wake) -> Result<Arc<dyn Store>, StoreError> {
    let store: Arc<dyn Store> = embedded::open(config, wake)?;
    Ok(store)
}
