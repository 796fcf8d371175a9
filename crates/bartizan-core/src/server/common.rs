//! What all shards of a process share. Nothing here is locked on the QoS 0 path: interest and
//! counters are atomics; Retained Messages and identities' connections are behind locks that
//! only retained publishes, SUBSCRIBE and CONNECT take.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::command::CommandLane;
use super::met::LimitsMet;
use super::population::Population;
use super::tenants::TenantUses;
use crate::message::Message;
use crate::topic::{Interest, RetainedStore};

/// Shared by all shards.
pub struct Common {
    interest: Vec<Interest>,
    counters: Vec<Counters>,
    limits_met: Vec<LimitsMet>,
    retained: RwLock<Retained>,
    connections: Mutex<HashMap<Arc<str>, u64>>,
    population: Mutex<Population>,
    tenants: Mutex<TenantUses>,
    commands: CommandLane,
}

/// The Retained Messages and who they belong to.
#[derive(Default)]
pub struct Retained {
    /// By topic.
    pub store: RetainedStore<Arc<Message>>,
    /// Number and octets by identity.
    pub by_identity: HashMap<Arc<str>, (u64, u64)>,
}

impl Common {
    /// For so many shards.
    #[must_use]
    pub fn new(shards: usize) -> Common {
        Common {
            interest: (0..shards).map(|_| Interest::default()).collect(),
            counters: (0..shards).map(|_| Counters::default()).collect(),
            limits_met: (0..shards).map(|_| LimitsMet::default()).collect(),
            retained: RwLock::default(),
            connections: Mutex::default(),
            population: Mutex::default(),
            tenants: Mutex::default(),
            commands: CommandLane::default(),
        }
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.interest.len()
    }

    /// Commands of clients that wait to be carried out.
    #[must_use]
    pub fn commands(&self) -> &CommandLane {
        &self.commands
    }

    /// What a shard subscribes to, roughly.
    #[must_use]
    pub fn interest_of(&self, shard: usize) -> Option<&Interest> {
        self.interest.get(shard)
    }

    /// A shard's counters.
    #[must_use]
    pub fn counters_of(&self, shard: usize) -> &Counters {
        static NOWHERE: std::sync::OnceLock<Counters> = std::sync::OnceLock::new();
        self.counters.get(shard).unwrap_or_else(|| NOWHERE.get_or_init(Counters::default))
    }

    /// A shard's counts of limits met.
    #[must_use]
    pub fn limits_met_of(&self, shard: usize) -> &LimitsMet {
        static NOWHERE: std::sync::OnceLock<LimitsMet> = std::sync::OnceLock::new();
        self.limits_met.get(shard).unwrap_or_else(|| NOWHERE.get_or_init(LimitsMet::default))
    }

    /// All counters added up, by name.
    #[must_use]
    pub fn totals(&self) -> Vec<(&'static str, u64)> {
        let mut totals: Vec<(&'static str, u64)> = Vec::new();
        let counted = self.counters.iter().flat_map(Counters::values);
        for (name, value) in counted.chain(self.limits_met.iter().flat_map(LimitsMet::values)) {
            match totals.iter_mut().find(|(known, _)| *known == name) {
                Some((_, total)) => *total = total.saturating_add(value),
                None => totals.push((name, value)),
            }
        }
        totals
    }

    /// The Retained Messages, to be read. A panic elsewhere does not take them away.
    pub fn retained(&self) -> RwLockReadGuard<'_, Retained> {
        self.retained.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Retained Messages, to be changed.
    pub fn retained_mut(&self) -> RwLockWriteGuard<'_, Retained> {
        self.retained.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<Arc<str>, u64>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is connected, counted.
    pub fn population(&self) -> MutexGuard<'_, Population> {
        self.population.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tenant_uses(&self) -> MutexGuard<'_, TenantUses> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more connection of an identity, unless it has that many already.
    #[must_use]
    pub fn admit_connection(&self, identity: &Arc<str>, most: u64) -> bool {
        let mut connections = self.connections();
        let count = connections.entry(Arc::clone(identity)).or_default();
        if *count >= most {
            return false;
        }
        *count += 1;
        true
    }

    /// Counts one connection of an identity less.
    pub fn release_connection(&self, identity: &Arc<str>) {
        let mut connections = self.connections();
        if let Some(count) = connections.get_mut(identity) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                connections.remove(identity);
            }
        }
    }
}

/// A number that one shard writes and anyone reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds. Only the owning shard writes, so no locked instruction is needed.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Subtracts, not below zero.
    #[inline]
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(n), Ordering::Relaxed);
    }

    /// Sets.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// One shard's counters. Names end in what they count; metrics take them as they are.
        #[derive(Debug, Default)]
        #[repr(align(64))]
        pub struct Counters { $($(#[$doc])* pub $name: Counter),* }

        impl Counters {
            /// Every counter with its name.
            pub fn values(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.get())),*].into_iter()
            }
        }
    };
}

counters! {
    /// Connections with a CONNACK 0x00 that are open now.
    clients_connected,
    /// Sessions, connected or not.
    sessions,
    /// Sessions without a connection.
    clients_disconnected,
    /// Sessions that expired.
    clients_expired,
    /// Subscriptions.
    subscriptions,
    /// Shared Subscriptions' members.
    shared_subscriptions,
    /// Connections accepted by TCP.
    sockets_accepted,
    /// CONNACK 0x00 sent.
    connects_accepted,
    /// CONNECT refused.
    connects_refused,
    /// Connections with a CONNACK 0x00 that have ended.
    disconnects,
    /// Octets received.
    bytes_received,
    /// Octets sent.
    bytes_sent,
    /// Control Packets received.
    messages_received,
    /// Control Packets sent.
    messages_sent,
    /// PUBLISH packets received.
    publish_received,
    /// PUBLISH packets sent.
    publish_sent,
    /// Octets of payload received.
    publish_bytes_received,
    /// Octets of payload sent.
    publish_bytes_sent,
    /// Messages dropped: no room, expired, too large.
    publish_dropped,
    /// Times that a publisher was read more slowly, because it feeds a full path.
    publishers_held_back,
    /// Actions the policy refused.
    denied,
    /// Messages to topics that the policy does not declare, where it looks.
    topics_undeclared,
    /// Messages whose payload is not what their topic declares.
    payload_misfits,
    /// Messages beyond the rate that their topic declares.
    topic_rates_exceeded,
    /// Times that one of these three was counted, and nobody told.
    contract_counted,
    /// Times that one of them was told, and the message went on.
    contract_warned,
    /// Messages refused for one of them.
    contract_refused,
    /// Messages waiting in queues.
    queued_messages,
    /// Octets waiting in queues.
    queued_bytes,
    /// Malformed packets and protocol errors.
    protocol_errors,
}
