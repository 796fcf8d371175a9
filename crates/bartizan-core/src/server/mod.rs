//! The MQTT Server of one shard: who may connect, what a packet does, who gets a message.
//!
//! | file           | what                                                                   |
//! |----------------|------------------------------------------------------------------------|
//! | `rules`        | limits and rules of each listener                                      |
//! | `common`       | what all shards share: interest, Retained Messages, counters           |
//! | `effects`      | the sink: what the engine is to do                                     |
//! | `input`        | bytes -> packets -> the right handler                                  |
//! | `ahead`        | topics of packets still to be handled, read ahead                      |
//! | `connect`      | CONNECT, AUTH, the authenticators' verdict                             |
//! | `open`         | a Session opened, resumed or taken over; CONNACK                       |
//! | `publish`      | PUBLISH from a client                                                  |
//! | `command`      | commands to the broker itself: a bounded lane                          |
//! | `own`          | messages of the server's own: `$SYS`, answers to commands              |
//! | `contract`     | a message held to what the policy declares of its topic                |
//! | `provenance`   | whose a message is, in the server's words                              |
//! | `receipt`      | QoS 2 received: exactly once                                           |
//! | `route`        | who gets a message, here and on other shards                           |
//! | `deliver`      | one message to one Session: window, queue, wire                        |
//! | `pressure`     | who publishes into a full path is read more slowly                     |
//! | `acks`         | PUBACK, PUBREC, PUBREL, PUBCOMP; what is owed and in which order       |
//! | `subscribe`    | SUBSCRIBE, UNSUBSCRIBE                                                 |
//! | `group`        | Shared Subscriptions (4.8.2)                                           |
//! | `retain`       | Retained Messages: set, and sent to new Subscriptions                  |
//! | `close`        | a connection ends, a Session ends, a Will fires                        |
//! | `rest`         | what a connection gives back while it is idle                          |
//! | `room`         | room in tables, made before anybody connects                           |
//! | `timers`       | keep alive, expiry, delays, deadlines                                  |
//! | `apply`        | a policy change swept over live Sessions                               |
//! | `update`       | some identities changed; what a revoked one has ends                   |
//! | `throttle`     | identities that publish more slowly for a while                        |
//! | `bans`         | who may not connect, whatever proves it                                |
//! | `roster`       | every identity that may connect                                        |
//! | `restore`      | what the store gives back at start                                     |
//! | `remote`       | what shards tell each other                                            |
//! | `forwards`     | what waits to be told to other shards                                  |
//! | `shared`       | what clients have in common, kept once                                 |
//! | `listing`      | who is connected                                                       |
//! | `population`   | how many by each listener, and in each role                            |
//! | `timed`        | what the engine needs in order to time a shard                         |
//! | `inspect`      | what a Session holds, what is retained, what is subscribed to          |
//! | `observe`      | decisions watched: uses, denials, a staged policy, what is learned     |
//! | `observations` | what was observed, in bounded tables                                   |
//! | `activity`     | what identities do: how much they send, counted by connection          |
//! | `fresh`        | what identities were not seen doing lately                             |
//! | `carried`      | how much topics carry, while somebody asks                             |
//! | `aside`        | what waits on the disk alone, and comes back a page at a time          |
//! | `window`       | the window of a client that is away, on the disk alone                 |
//!
//! A Session lives on the shard that its Client Identifier hashes to. A connection is accepted
//! anywhere, authenticated there, and moves once, before CONNACK, to its Session's shard. So
//! take-over, resume and expiry never leave a shard.

pub mod acks;
pub mod activity;
mod ahead;
pub mod apply;
pub mod aside;
pub mod bans;
pub mod carried;
pub mod close;
pub mod command;
pub mod common;
pub mod connect;
mod contract;
pub mod deliver;
pub mod demand;
pub mod effects;
pub mod forwards;
pub mod fresh;
pub mod group;
pub mod input;
pub mod inspect;
pub mod listing;
pub mod met;
pub mod observations;
pub mod observe;
mod observe_contract;
pub mod open;
mod own;
pub mod population;
pub mod pressure;
mod provenance;
pub mod publish;
pub mod reauth;
pub mod receipt;
pub mod remote;
pub mod rest;
pub mod restore;
pub mod retain;
mod room;
pub mod roster;
pub mod route;
pub mod rules;
mod shared;
pub mod subscribe;
mod tenants;
pub mod throttle;
pub mod timed;
pub mod timers;
pub mod update;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use slotmap::{SlotMap, SparseSecondaryMap};

use crate::event::{Event, Subject, What};
use crate::message::{Publisher, Time};
use crate::policy::{Grants, Image, OpenWindows, Schedule, scope};
use crate::session::{Connection, ConnectionKey, Peer, Phase, Session, SessionKey};
use crate::topic::{RouteCache, SubscriptionIndex};

pub use common::{Common, Counters};
pub use effects::{AuthRequest, Deferred, Effects, Means};
pub use forwards::Forwards;
pub use group::Group;
pub use remote::{AckRef, Acks, Adoption, Forward, Member, Shipment};
pub use roster::Roster;
pub use route::{Part, Receiver, Route};
pub use rules::{DeniedPublish, Limits, ListenerRules};
pub use timers::{Timer, Timers};

slotmap::new_key_type! {
    /// Names a Shared Subscription of this shard.
    pub struct GroupKey;
}

/// The MQTT Server of one shard.
pub struct Server {
    pub(crate) shard: usize,
    pub(crate) common: Arc<Common>,
    pub(crate) listeners: Vec<ListenerRules>,
    pub(crate) connections: SlotMap<ConnectionKey, Connection>,
    pub(crate) sessions: SlotMap<SessionKey, Session>,
    pub(crate) by_client_id: HashMap<Arc<str>, SessionKey>,
    pub(crate) index: SubscriptionIndex<Receiver, Part>,
    pub(crate) routes: RouteCache<Arc<Route>>,
    pub(crate) last_route: route::LastRoute,
    pub(crate) speech: publish::Speech,
    pub(crate) groups: SlotMap<GroupKey, Group>,
    pub(crate) by_group: HashMap<Arc<str>, GroupKey>,
    pub(crate) relays: SlotMap<remote::RelayKey, remote::Relay>,
    pub(crate) timers: Timers,
    pub(crate) image: Arc<Image>,
    pub(crate) schedule: Arc<Schedule>,
    pub(crate) windows: OpenWindows,
    pub(crate) epoch: u64,
    pub(crate) identities: Arc<Roster>,
    pub(crate) bans: Arc<bans::Bans>,
    pub(crate) throttles: Arc<throttle::Throttles>,
    pub(crate) publishers: HashMap<Arc<Publisher>, Arc<Grants>>,
    pub(crate) nobody: Arc<Publisher>,
    pub(crate) shared: shared::Shared,
    pub(crate) is_store_writable: bool,
    pub(crate) is_draining: bool,
    pub(crate) has_rested: bool,
    pub(crate) entropy: u64,
    pub(crate) scratch: String,
    pub(crate) frame: route::SharedFrame,
    /// What messages met on their way since it was looked at.
    pub(crate) pressure: pressure::Pressure,
    pub(crate) behind: SparseSecondaryMap<ConnectionKey, pressure::Behind>,
    pub(crate) held: SparseSecondaryMap<ConnectionKey, Time>,
    pub(crate) last_held: Option<(Time, Arc<str>)>,
    pub(crate) observer: Option<Box<observe::Observer>>,
}

impl Server {
    /// A server of one shard. `entropy` seeds the Client Identifiers it assigns: it comes from
    /// outside because core draws none (I1).
    #[must_use]
    pub fn new(shard: usize, common: Arc<Common>, listeners: Vec<ListenerRules>, entropy: u64) -> Server {
        Server {
            shard,
            common,
            listeners,
            connections: SlotMap::with_key(),
            sessions: SlotMap::with_key(),
            by_client_id: HashMap::new(),
            index: SubscriptionIndex::new(),
            routes: RouteCache::default(),
            last_route: route::LastRoute::default(),
            speech: publish::Speech::default(),
            groups: SlotMap::with_key(),
            by_group: HashMap::new(),
            relays: SlotMap::with_key(),
            timers: Timers::default(),
            image: Arc::new(Image::deny_all()),
            schedule: Arc::default(),
            windows: OpenWindows::default(),
            epoch: 0,
            identities: Arc::default(),
            bans: Arc::default(),
            throttles: Arc::default(),
            publishers: HashMap::new(),
            nobody: Arc::new(Publisher { identity: Arc::from(""), client_id: Arc::from("") }),
            shared: shared::Shared::default(),
            is_store_writable: true,
            is_draining: false,
            has_rested: false,
            entropy,
            scratch: String::new(),
            frame: route::SharedFrame::default(),
            pressure: pressure::Pressure::default(),
            behind: SparseSecondaryMap::new(),
            held: SparseSecondaryMap::new(),
            last_held: None,
            observer: None,
        }
    }

    /// The number of this shard.
    #[must_use]
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// A connection was accepted: CONNECT is awaited, until its deadline.
    pub fn accepted(&mut self, peer: Peer, now: Time) -> ConnectionKey {
        let deadline = self.auth_deadline(peer.listener, now);
        let key = self.connections.insert(Connection::new(peer, now));
        self.counters().sockets_accepted.add(1);
        self.timers.set(deadline, Timer::ConnectDeadline(key));
        key
    }

    /// The octets that wait to be written; the driver takes them from the front.
    pub fn out(&mut self, key: ConnectionKey) -> Option<&mut Vec<u8>> {
        let connection = self.connections.get_mut(key)?;
        connection.is_dirty = false;
        Some(&mut connection.out)
    }

    /// So many octets of `out` were written, none where the socket takes none: messages that waited
    /// for room may follow.
    pub fn written(&mut self, key: ConnectionKey, octets: usize, now: Time, fx: &mut Effects) {
        self.note_written(key, octets, now);
        let Some(connection) = self.connections.get_mut(key).filter(|_| octets > 0) else { return };
        connection.traffic.bytes_out += octets as u64;
        rest::warm(connection, key, &mut self.timers, now);
        if connection.is_stalled {
            // A client that takes what it is sent is alive, though its packets are not read.
            connection.last_seen = now;
        }
        self.counters().bytes_sent.add(octets as u64);
        let session = self.connections.get(key).and_then(|c| c.open()).map(|open| open.session);
        if let Some(session) = session
            && self.sessions.get(session).is_some_and(Session::awaits_room)
        {
            // What is to be sent again goes before what waits in the queue [MQTT-4.6.0-1].
            self.proceed(session, now, fx);
        }
        self.unstall(key, fx);
    }

    /// The engine has closed the socket: nothing of the connection is left.
    pub fn forget(&mut self, key: ConnectionKey) {
        self.connections.remove(key);
        self.behind.remove(key);
        self.held.remove(key);
    }

    /// True when more octets of a connection could be handled now: it is not paused, and nobody
    /// is being asked about it.
    #[must_use]
    pub fn awaits_rest(&self, key: ConnectionKey) -> bool {
        self.connections.get(key).is_some_and(|connection| {
            connection.paused_until.is_none()
                && !connection.is_stalled
                && match &connection.phase {
                    Phase::AwaitConnect => true,
                    Phase::Authenticating(exchange) => !exchange.rounds.is_asked(),
                    Phase::Open(open) => open.is_live,
                    Phase::Moving | Phase::Closed => false,
                }
        })
    }

    /// The store has room for messages, or not (0x97).
    pub fn set_store_writable(&mut self, writable: bool) {
        self.is_store_writable = writable;
    }

    pub(crate) fn limits_of(&self, listener: usize) -> Arc<Limits> {
        self.listeners.get(listener).map_or_else(Arc::default, |rules| Arc::clone(&rules.limits))
    }

    pub(crate) fn counters(&self) -> &Counters {
        self.common.counters_of(self.shard)
    }

    /// The shard a Client Identifier, or a group, is at home on.
    pub(crate) fn home_of(&self, name: &str) -> usize {
        let shards = self.common.shards().max(1) as u64;
        // The remainder is below the number of shards, a usize.
        (crate::topic::topic_hash(name) % shards) as usize
    }

    pub(crate) fn subject_of(&self, key: ConnectionKey) -> Subject {
        let Some(connection) = self.connections.get(key) else { return Subject::default() };
        Subject {
            identity: connection.who.as_ref().map(|who| Arc::clone(&who.identity)).filter(|id| !id.is_empty()),
            client_id: connection.who.as_ref().map(|who| scope::known(&who.client_id)).filter(|id| !id.is_empty()),
            tenant: connection.who.as_ref().and_then(|who| scope::tenant(&who.client_id)).map(Arc::from),
            address: Some(connection.peer.address.text()),
            listener: self.listeners.get(connection.peer.listener).map(|rules| Arc::clone(&rules.name)),
        }
    }

    pub(crate) fn tell(&self, key: ConnectionKey, now: Time, what: What, fx: &mut Effects) {
        fx.events.push(Event::new(now, self.subject_of(key), what));
    }

    /// Counts a limit that was met here, or by the engine before it handed anything over.
    pub fn count_limit(&self, limit: &str) {
        self.common.limits_met_of(self.shard).add(limit);
    }

    /// Counts a CONNECT that was refused, or a connection that the engine refused before it handed anything over.
    pub fn count_refused(&self, listener: usize) {
        self.counters().connects_refused.add(1);
        self.common.population().refuse(listener);
    }

    pub(crate) fn limit_met(
        &self,
        key: ConnectionKey,
        limit: &'static str,
        effect: &'static str,
        now: Time,
        fx: &mut Effects,
    ) {
        self.count_limit(limit);
        self.tell(key, now, What::LimitMet { limit, effect }, fx);
    }

    /// Octets were appended to the connection's `out`.
    pub(crate) fn mark_dirty(&mut self, key: ConnectionKey, fx: &mut Effects) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.mark_dirty(key, &mut fx.dirty);
        }
    }
}
