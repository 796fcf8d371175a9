//! The port: what a shard asks of a store, and what it may rely on.
//!
//! Promises that every adapter keeps, and `contract` checks:
//! - a batch is applied whole or not at all, whatever crashes when;
//! - batches are applied in the order in which `submit` was called, over all lanes;
//! - `committed(lane)` never steps back and never covers what would be lost against its promise;
//! - after a failure the watermark stands still: nothing more is acknowledged.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use bartizan_core::durable::{
    Durability as Promise, Fetch, Fetched, FetchedMessage, Loaded, Mutation, SessionRecord,
};

use super::config::Durability;
use crate::latency::Latency;

/// Called with a lane whenever its `committed` or the store's `space` may have changed.
/// It runs on a thread of the store and must not block: write an eventfd, wake a poll.
pub type Wake = Arc<dyn Fn(usize) + Send + Sync>;

/// The number of a batch within its lane; the first is 1, each next one higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

impl Ticket {
    /// The ticket of a batch that will never be committed: its lane does not exist.
    pub const NEVER: Ticket = Ticket(u64::MAX);
}

/// How far a lane has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Every batch of the lane up to and with this one is as durable as the store promises.
    pub ticket: Ticket,
    /// The store has failed: the watermark will not move again in this process.
    pub failed: bool,
}

impl Committed {
    /// True when what this ticket stands for may be acknowledged.
    #[must_use]
    pub fn covers(self, ticket: Ticket) -> bool {
        ticket <= self.ticket
    }
}

/// Whether more messages may be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Yes.
    Ok,
    /// The disk cannot follow: stop reading from publishers until woken.
    Busy,
    /// The disk is full: refuse QoS 1 and 2 with 0x97. Acknowledgements and deletions still fit.
    Full,
}

/// What a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// The adapter's name.
    pub name: &'static str,
    /// What `committed` means; `None` when nothing outlives the process.
    pub durability: Option<Durability>,
    /// Number of lanes: one per shard.
    pub lanes: usize,
}

/// Why a store cannot be opened, or has stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("the store in {path} is in use by {}; stop that one first", holder(*pid))]
    InUse {
        /// Its directory.
        path: PathBuf,
        /// The process, if it has said so.
        pid: Option<u32>,
    },
    /// There is none.
    #[error("there is no store in {path}: a broker makes one at its first start")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Something is there, and must not be written over.
    #[error("the store in {path} is not empty: import goes into an empty one, so move it away first")]
    NotEmpty {
        /// Its directory.
        path: PathBuf,
    },
    /// An export cannot be read.
    #[error("{path}, line {line}: {reason}; nothing was imported")]
    Export {
        /// The file.
        path: PathBuf,
        /// Where in it.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The operating system refused.
    #[error("the store could not {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer.
        source: Arc<io::Error>,
    },
    /// A stored octet is not what was written. Nothing is skipped: restore a copy.
    #[error("the store is damaged: {what} in {path} at offset {offset}; restore it from a copy")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The index refused; its own words.
    #[error("the store's index {path} failed: {reason}")]
    Index {
        /// The file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// Written by a later version of this program.
    #[error("{path} has store format {found}; this version reads up to {supported}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The last one known here.
        supported: u32,
    },
    /// A setting makes no sense.
    #[error("store setting {setting}: {reason}")]
    Config {
        /// Its name.
        setting: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// `load` was called twice, or after the first `submit`.
    #[error("the store was loaded before; it can be loaded once, before the first batch")]
    LoadedBefore,
    /// A thread of the store ended without saying why.
    #[error("the store stopped")]
    Stopped,
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// Where a shard's durable state lives.
pub trait Store: Send + Sync {
    /// Name, lanes, and the durability actually provided.
    fn info(&self) -> StoreInfo;

    /// Hands a batch over and returns at once. Atomic: after a crash all of it is there or none.
    /// It counts as committed once it is as durable as whoever waits for it was promised; one
    /// that nobody waits for (`None`), once it is written.
    fn submit_for(&self, lane: usize, batch: Vec<Mutation>, promise: Option<Promise>) -> Ticket;

    /// The same under the store's own durability.
    fn submit(&self, lane: usize, batch: Vec<Mutation>) -> Ticket {
        self.submit_for(lane, batch, self.info().durability.map(Promise::from))
    }

    /// The lane's watermark. Cheap: look as often as you like.
    fn committed(&self, lane: usize) -> Committed;

    /// Ask before accepting a QoS 1 or 2 PUBLISH. Cheap.
    fn space(&self) -> Space;

    /// Why `committed` says failed.
    fn failure(&self) -> Option<StoreError>;

    /// Everything held when the store was opened, in the order of `Loaded`. Once, and before
    /// the first `submit`.
    ///
    /// # Errors
    /// When something stored cannot be read: then the broker must not start.
    fn load(&self, visit: &mut dyn FnMut(Loaded)) -> Result<(), StoreError>;

    /// The same without the messages that wait: `Loaded::Waiting` in place of `Loaded::Queued`
    /// where there is no Packet Identifier.
    ///
    /// # Errors
    /// As `load`.
    fn load_places(&self, visit: &mut dyn FnMut(Loaded)) -> Result<(), StoreError>;

    /// Asks for queued messages, as they are after every batch submitted before. `wake` is called
    /// when the answer is there; one that cannot be read makes the store fail.
    fn fetch(&self, lane: usize, fetch: Fetch);

    /// True if answers have come for a lane. Cheap.
    fn has_fetched(&self, lane: usize) -> bool;

    /// Answers that have come for a lane.
    fn take_fetched(&self, lane: usize) -> Vec<Fetched>;

    /// How long the disk took for each sync that acknowledgements wait for; none where there is no disk.
    fn syncs(&self) -> Option<&Latency> {
        None
    }

    /// Commits what was submitted and stops. Later batches are never committed.
    fn close(&self);
}
