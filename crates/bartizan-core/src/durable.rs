//! What a Session must not forget: the changes a store keeps, and what it gives back at start.
//!
//! Core writes `Mutation`s while it handles input; the engine hands them to the store port in
//! one batch per round and tells core when the batch is durable.

use std::fmt;
use std::sync::Arc;

use crate::message::{Message, Time};
use crate::wire::{PacketId, QoS, SubscriptionOptions, Version};

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

/// What has happened to a change by the time that it may be acknowledged; a later one is stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// It is with the operating system, which writes it when it likes.
    Os,
    /// It is with the operating system, and on the disk within an interval.
    Interval,
    /// It is on the disk.
    #[default]
    Fsync,
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
    SubscriptionDelete { client_id: Arc<str>, filter: Arc<str> },
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
    Assign { client_id: Arc<str>, seq: u64, packet_id: PacketId },
    /// PUBREC was seen: from now on only PUBREL may be sent for it [MQTT-4.3.3-4].
    Released { client_id: Arc<str>, seq: u64 },
    /// The queued message is done with: acknowledged, expired or dropped.
    Dequeue { client_id: Arc<str>, seq: u64 },
    /// An inbound QoS 2 Packet Identifier is in use until its PUBREL [MQTT-4.3.3-10].
    ReceivedPut { client_id: Arc<str>, packet_id: PacketId },
    /// PUBREL was seen: the Packet Identifier is free.
    ReceivedDelete { client_id: Arc<str>, packet_id: PacketId },
    /// Sets the Retained Message of the message's topic.
    RetainedPut { message: Arc<Message> },
    /// Removes the Retained Message of a topic.
    RetainedDelete { topic: Arc<str> },
    /// Sets a client's Will; `due` once it has been triggered and waits for its delay.
    WillPut { client_id: Arc<str>, due: Option<Time>, will: Arc<Message>, delay_s: u32 },
    /// The Will was published or cancelled.
    WillDelete { client_id: Arc<str> },
}

/// Queued messages that core wants to have in memory again, by their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Core's own name of the Session; it comes back with the answer.
    pub session: u64,
    /// Whose they are.
    pub client_id: Arc<str>,
    /// Their places, rising.
    pub seqs: Vec<u64>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// As in the question.
    pub session: u64,
    /// Those of them that are queued, in order.
    pub messages: Vec<FetchedMessage>,
    /// The others. None, unless the Session has ended since, or the store has lost something.
    pub missing: Vec<u64>,
}

/// One message of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchedMessage {
    /// Its place.
    pub seq: u64,
    /// The message.
    pub message: Arc<Message>,
    /// The QoS to deliver it with.
    pub qos: QoS,
    /// The RETAIN flag to deliver it with.
    pub retain: bool,
    /// The Subscription Identifiers to deliver it with.
    pub subscription_ids: Box<[u32]>,
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
    /// A message queued and not in flight, by its place: `Fetch` brings the rest.
    Waiting {
        /// For whom.
        client_id: Arc<str>,
        /// Its place in the Session's queue.
        seq: u64,
        /// What it will weigh in memory.
        weight_bytes: u32,
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
