//! The port: what a shard asks of a store, and what it may rely on.
//!
//! Promises that every adapter keeps, and `contract` checks:
//! - a batch is applied whole or not at all, whatever crashes when;
//! - batches are applied in the order in which `submit` was called, over all lanes;
//! - `committed(lane)` never steps back and never covers what would be lost;
//! - after a failure the watermark stands still: nothing more is acknowledged.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_core::message::{Message, Time};
use bartizan_core::wire::{PacketId, QoS, SubscriptionOptions, Version};

use super::config::Durability;

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
    /// The log is behind by `backlog_bytes_max`: stop reading sockets until a commit.
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

/// A Session as stored: what every adapter needs to know, and the rest as core wrote it.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The Client Identifier.
    pub client_id: Arc<str>,
    /// The identity that made the Session and alone may use it (I11).
    pub identity: Arc<str>,
    /// The protocol version it was last used with.
    pub version: Version,
    /// Session Expiry Interval; `u32::MAX` never ends (3.1.2.11.2).
    pub session_expiry_s: u32,
    /// When the Network Connection ended; `None` while there is one.
    pub disconnected_at: Option<Time>,
    /// What else the Session holds, in core's own versioned form.
    pub state: Vec<u8>,
}

impl fmt::Debug for SessionRecord {
    /// Leaves `state` out: only core knows what may be shown of it (I8).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecord")
            .field("client_id", &self.client_id)
            .field("identity", &self.identity)
            .field("version", &self.version)
            .field("session_expiry_s", &self.session_expiry_s)
            .field("disconnected_at", &self.disconnected_at)
            .field("state_bytes", &self.state.len())
            .finish()
    }
}

/// One change. Deleting what is not there is allowed and does nothing.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the fields are those of `Loaded`, documented there
pub enum Mutation {
    /// Makes a Session or replaces its record; what hangs on it stays.
    SessionPut(SessionRecord),
    /// Ends a Session: its Subscriptions, its queue and its received Packet Identifiers go
    /// with it. Its Will stays: it may be due later than the Session's end, and has its own delete.
    SessionDelete { client_id: Arc<str> },
    /// Makes or replaces a Subscription.
    SubscriptionPut {
        client_id: Arc<str>,
        filter: Arc<str>,
        options: SubscriptionOptions,
        subscription_id: Option<u32>,
    },
    /// Ends a Subscription; messages already queued for it stay (3.10.4).
    SubscriptionDelete {
        client_id: Arc<str>,
        filter: Arc<str>,
    },
    /// Queues a message for a Session. `seq` must not be one that is still queued for it.
    Enqueue {
        client_id: Arc<str>,
        seq: u64,
        message: Arc<Message>,
        qos: QoS,
        retain: bool,
        subscription_ids: Box<[u32]>,
        packet_id: Option<PacketId>,
    },
    /// The queued message was given a Packet Identifier: it is in flight.
    Assign {
        client_id: Arc<str>,
        seq: u64,
        packet_id: PacketId,
    },
    /// PUBREC was seen: from now on only PUBREL may be sent for it [MQTT-4.3.3-4].
    Released { client_id: Arc<str>, seq: u64 },
    /// The queued message is done with: acknowledged, expired or dropped.
    Dequeue { client_id: Arc<str>, seq: u64 },
    /// An inbound QoS 2 Packet Identifier is in use until its PUBREL [MQTT-4.3.3-10].
    ReceivedPut {
        client_id: Arc<str>,
        packet_id: PacketId,
    },
    /// PUBREL was seen: the Packet Identifier is free.
    ReceivedDelete {
        client_id: Arc<str>,
        packet_id: PacketId,
    },
    /// Sets the Retained Message of the message's topic.
    RetainedPut { message: Arc<Message> },
    /// Removes the Retained Message of a topic.
    RetainedDelete { topic: Arc<str> },
    /// Sets a client's Will; `due` once it has been triggered and waits for its delay.
    WillPut {
        client_id: Arc<str>,
        due: Option<Time>,
        will: Arc<Message>,
        delay_s: u32,
    },
    /// The Will was published or cancelled.
    WillDelete { client_id: Arc<str> },
}

/// One thing that a store held when it was opened. Within `Store::load`: every Session, then
/// every Subscription, queues by client and rising `seq`, received ids, Retained Messages, Wills.
#[derive(Clone, Debug, PartialEq)]
pub enum Loaded {
    /// A Session.
    Session(SessionRecord),
    /// A Subscription.
    Subscription {
        /// Whose it is.
        client_id: Arc<str>,
        /// The Topic Filter as subscribed, `$share/...` included.
        filter: Arc<str>,
        /// Its options.
        options: SubscriptionOptions,
        /// Its Subscription Identifier.
        subscription_id: Option<u32>,
    },
    /// A message queued or in flight. One message queued for several Sessions is one `Arc`.
    Queued {
        /// For whom.
        client_id: Arc<str>,
        /// Its place in the Session's queue.
        seq: u64,
        /// The message.
        message: Arc<Message>,
        /// The QoS to deliver it with.
        qos: QoS,
        /// The RETAIN flag to deliver it with.
        retain: bool,
        /// The Subscription Identifiers to deliver it with.
        subscription_ids: Box<[u32]>,
        /// The Packet Identifier, once in flight.
        packet_id: Option<PacketId>,
        /// PUBREC was seen: PUBREL is what is sent again.
        released: bool,
    },
    /// An inbound QoS 2 Packet Identifier that awaits PUBREL.
    Received {
        /// Whose it is.
        client_id: Arc<str>,
        /// The identifier.
        packet_id: PacketId,
    },
    /// A Retained Message.
    Retained {
        /// The message; its Topic Name is the key.
        message: Arc<Message>,
    },
    /// A Will.
    Will {
        /// Whose it is.
        client_id: Arc<str>,
        /// When it is to be published; `None` if its client was connected.
        due: Option<Time>,
        /// The Will Message.
        will: Arc<Message>,
        /// The Will Delay Interval.
        delay_s: u32,
    },
}

/// Why a store cannot be opened, or has stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("the store in {path} is in use by another process; stop that one first")]
    InUse {
        /// Its directory.
        path: PathBuf,
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

/// Where a shard's durable state lives.
pub trait Store: Send + Sync {
    /// Name, lanes, and the durability actually provided.
    fn info(&self) -> StoreInfo;

    /// Hands a batch over and returns at once. Atomic: after a crash all of it is there or none.
    fn submit(&self, lane: usize, batch: Vec<Mutation>) -> Ticket;

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

    /// Commits what was submitted and stops. Later batches are never committed.
    fn close(&self);
}
