//! A Session (4.1): what outlives a Network Connection.
//!
//! It belongs to the identity that made it (I11) and lives on the shard that its Client
//! Identifier hashes to, so taking it over never leaves the shard.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;

use slotmap::new_key_type;

use super::aside::Aside;
use super::connection::ConnectionKey;
use super::inflight::Inflight;
use super::principal::Principal;
use super::rare::Rare;
use super::subscriptions::Subscriptions;
use super::will::PendingWill;
use crate::message::{Message, Time};
use crate::policy::Grants;
use crate::topic::{IdState, TopicFilter};
use crate::wire::{QoS, SubscriptionOptions, Version};

new_key_type! {
    /// Names a Session of this shard; never reused for another one.
    pub struct SessionKey;
}

/// Session Expiry Interval that means "does not expire" (3.1.2.11.2).
pub const NEVER_EXPIRES: u32 = u32::MAX;

/// One Subscription of a Session.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// True for a Shared Subscription (4.8.2).
    pub is_shared: bool,
    /// True when a forbid overlaps it: each delivery is decided by itself.
    pub per_delivery: bool,
    /// Its options.
    pub options: SubscriptionOptions,
    /// Its Subscription Identifier.
    pub id: Option<NonZeroU32>,
}

impl Subscription {
    /// The Topic Filter that is matched, of the full filter that the Subscription is kept under: the
    /// inner one of a Shared Subscription.
    #[must_use]
    pub fn filter<'a>(&self, full: &'a str) -> TopicFilter<'a> {
        if self.is_shared { TopicFilter::of_shared(full) } else { TopicFilter::assume_parsed(full) }
    }
}

/// A message waiting for room in the window.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Its place in the Session, as the store knows it.
    pub seq: u64,
    /// The message.
    pub message: Arc<Message>,
    /// QoS of the delivery: 1 or 2.
    pub qos: QoS,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// Subscription Identifiers of the delivery.
    pub subscription_ids: Box<[u32]>,
    /// The Shared Subscription it came by, as its full filter.
    pub group: Option<Arc<str>>,
}

/// A Retained Message on its way to a new Subscription.
#[derive(Clone, Debug)]
pub struct Backlogged {
    /// The message.
    pub message: Arc<Message>,
    /// QoS of the delivery.
    pub qos: QoS,
    /// The Subscription's identifier.
    pub subscription_id: Option<u32>,
    /// True when each delivery is decided by itself.
    pub per_delivery: bool,
}

/// Retained Messages that a new Subscription is still to get, from where they are kept: they are
/// copied a page at a time, so that asking for them again and again takes no memory.
#[derive(Clone, Debug)]
pub struct RetainedDue {
    /// The Subscription, by its full filter.
    pub filter: Arc<str>,
    /// The Topic Name up to which they have been copied.
    pub after: Option<Box<str>>,
}

/// A Session.
#[derive(Debug)]
pub struct Session {
    /// The Client Identifier.
    pub client_id: Arc<str>,
    /// The identity it belongs to, with its roles and attributes as last known.
    pub principal: Arc<Principal>,
    /// What the policy grants to that identity, under the present epoch.
    pub grants: Arc<Grants>,
    /// The protocol of its latest connection.
    pub version: Version,
    /// The connection it is on.
    pub connection: Option<ConnectionKey>,
    /// Session Expiry Interval, seconds.
    pub expiry_s: u32,
    /// True when the store holds it.
    pub stored: bool,
    /// Subscriptions by their full filter, `$share/...` included.
    pub subscriptions: Subscriptions,
    /// Messages waiting for the window.
    pub queue: Rare<VecDeque<Queued>>,
    /// Messages waiting behind those, which the store alone holds.
    pub aside: Rare<Aside>,
    /// Octets in the queue, those set aside among them.
    pub queued_bytes: usize,
    /// Retained Messages on their way to new Subscriptions: at most a page.
    pub backlog: Rare<VecDeque<Backlogged>>,
    /// Where more of them are: at most one for each Subscription.
    pub retained_due: Rare<VecDeque<RetainedDue>>,
    /// Messages sent and not yet acknowledged.
    pub inflight: Rare<Inflight>,
    /// Packet Identifiers of QoS 2 messages received and not yet released (4.3.3).
    pub received: Rare<HashMap<u16, Received, IdState>>,
    /// The next place in the queue.
    pub next_seq: u64,
    /// The Will of a connection that ended, waiting for its delay.
    pub pending_will: Option<Box<PendingWill>>,
    /// When the Session ends, while no connection is open.
    pub ends_at: Option<Time>,
    /// Message Expiry Interval of the Will that the store gave back.
    pub will_expiry_s: Option<u32>,
    /// Most messages the queue holds.
    pub queued_messages_max: usize,
    /// Most octets the queue holds.
    pub queued_bytes_max: usize,
}

/// A QoS 2 message that the client has not released yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Not durable everywhere yet: no PUBREC may be sent.
    Pending(Box<Receipt>),
    /// PUBREC may be sent, again and again.
    Held,
}

/// What has to happen before a QoS 2 message may be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Tells it from an earlier one of the same Packet Identifier.
    pub nonce: u64,
    /// How many commits it waits for.
    pub waits: u32,
    /// True once the store was given the Packet Identifier.
    pub is_recorded: bool,
    /// The PUBREC, and the connection it is owed on.
    pub owed: (ConnectionKey, u64),
    /// The PUBCOMP, where PUBREL came before PUBREC went.
    pub released: Option<(ConnectionKey, u64)>,
}

impl Session {
    /// A Session without a connection that ends at once, until CONNECT or the store says more.
    #[must_use]
    pub fn new(client_id: Arc<str>, principal: Arc<Principal>, grants: Arc<Grants>) -> Session {
        Session {
            client_id,
            principal,
            grants,
            version: Version::V5,
            connection: None,
            expiry_s: 0,
            stored: false,
            subscriptions: Subscriptions::default(),
            queue: Rare::default(),
            aside: Rare::default(),
            queued_bytes: 0,
            backlog: Rare::default(),
            retained_due: Rare::default(),
            inflight: Rare::default(),
            received: Rare::default(),
            next_seq: 1,
            pending_will: None,
            ends_at: None,
            will_expiry_s: None,
            queued_messages_max: 0,
            queued_bytes_max: 0,
        }
    }

    /// Nothing of the window has been sent on the next connection.
    pub fn connection_ended(&mut self) {
        if let Some(window) = self.inflight.held() {
            window.connection_ended();
        }
    }

    /// Gives back the memory of what is empty.
    pub fn rest(&mut self) {
        self.queue.rest();
        self.aside.rest();
        self.backlog.rest();
        self.retained_due.rest();
        self.inflight.rest();
        self.received.rest();
    }

    /// True when the Session ends with its connection.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.expiry_s == 0
    }

    /// When the Session ends if its connection ends now; `None` for never.
    #[must_use]
    pub fn end_after(&self, now: Time) -> Option<Time> {
        (self.expiry_s != NEVER_EXPIRES).then(|| now.plus_ms(u64::from(self.expiry_s) * 1000))
    }

    /// True when something waits for room in the window or on the connection.
    #[must_use]
    pub fn awaits_room(&self) -> bool {
        !self.queue.is_empty()
            || !self.aside.is_empty()
            || !self.backlog.is_empty()
            || !self.retained_due.is_empty()
            || self.inflight.on_wire() < self.inflight.len()
    }

    /// Takes the next place in the queue.
    pub fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// The limit that keeps one more message of this weight out of the queue, if one does.
    #[must_use]
    pub fn full_for(&self, weight_bytes: usize) -> Option<&'static str> {
        if self.queued() >= self.queued_messages_max {
            Some("queued_messages_max")
        } else if self.queued_bytes.saturating_add(weight_bytes) > self.queued_bytes_max {
            Some("queued_bytes_max")
        } else {
            None
        }
    }

    /// True when more than so many quarters of what may wait in the queue do.
    #[must_use]
    pub fn queues_over(&self, quarters: usize) -> bool {
        self.queued() > self.queued_messages_max / 4 * quarters
            || self.queued_bytes > self.queued_bytes_max / 4 * quarters
    }

    /// Appends to the queue.
    pub fn enqueue(&mut self, queued: Queued) {
        self.queued_bytes += queued.message.weight_bytes();
        self.queue.push_back(queued);
    }

    /// Takes the oldest message of the queue.
    pub fn dequeue(&mut self) -> Option<Queued> {
        let queued = self.queue.held()?.pop_front()?;
        self.queued_bytes = self.queued_bytes.saturating_sub(queued.message.weight_bytes());
        Some(queued)
    }
}
