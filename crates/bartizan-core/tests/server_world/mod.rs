//! A whole server of one to three shards, without sockets, threads or a clock: bytes go in and
//! come out, batches are committed and mail is delivered when the test says so. What it does
//! with `Effects`, and in which order, is what a shard of the engine does.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod bans;
pub mod client;
mod command;
pub mod disk;
mod inspect;
mod update;
mod watch;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bartizan_core::durable::{Durability, Fetch};
use bartizan_core::event::What;
use bartizan_core::message::Time;
use bartizan_core::policy::{Image, Strength, TokenGrants};
use bartizan_core::server::apply::Change;
use bartizan_core::server::connect::Verdict;
use bartizan_core::server::{
    Adoption, AuthRequest, Common, Deferred, Effects, Forward, Limits, ListenerRules, Server, restore,
};
use bartizan_core::session::{Address, ConnectionKey, Peer, Principal};
use bartizan_core::topic::{TopicName, topic_hash};
use bartizan_core::wire::ReasonCode;

use disk::Disk;

/// A policy under which the role `all` may do everything, and `none` nothing.
pub const OPEN: &str = r#"{"format":3,"roles":[{"name":"all","limits":{},"rules":[{"name":"r","effect":"permit",
    "actions":["publish","subscribe"],"pattern":["many"],"qos_max":2,"retain":true}]},
    {"name":"none","limits":{},"rules":[]}]}"#;

/// Numbers that a seed determines.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// From 0 to `n - 1`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % n.max(1) as u64).unwrap()
    }

    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

enum Mail {
    Forward(Forward),
    Adopt(Box<Adoption>, usize),
}

struct Shard {
    server: Server,
    fx: Effects,
    /// What waits for the so-manieth batch.
    deferred: VecDeque<(u64, Deferred)>,
    submitted: u64,
    committed: u64,
}

/// One Network Connection.
pub struct Socket {
    at: Option<(usize, ConnectionKey)>,
    unread: Vec<u8>,
    /// What the server has sent and the client has not looked at.
    pub inbox: Vec<u8>,
    /// False once either side has ended it.
    pub is_open: bool,
    /// False for a client that does not read.
    pub is_read: bool,
}

/// A running server, and the world around it.
pub struct World {
    pub now: Time,
    pub common: Arc<Common>,
    pub disk: Disk,
    pub sockets: Vec<Socket>,
    pub change: Change,
    /// Connections whose authentication nobody answers yet.
    pub unanswered: Vec<(usize, ConnectionKey, AuthRequest)>,
    /// True while nobody answers the authenticators' questions.
    pub authenticators_sleep: bool,
    /// What tokens allow, by User Name.
    pub tokens: HashMap<String, Arc<TokenGrants>>,
    /// The listener that clients dial: 0, which promises the disk, or 1, which does not.
    pub listener: usize,
    /// What was promised to those that wait for each batch, and on which shard.
    pub promises: Vec<(usize, Option<Durability>)>,
    /// Pages that shards want back from the disk, which nobody has read yet.
    pub reads: VecDeque<(usize, Fetch)>,
    /// What happened, oldest first.
    pub events: Vec<What>,
    shards: Vec<Shard>,
    mail: Vec<VecDeque<Mail>>,
    by_key: HashMap<(usize, ConnectionKey), usize>,
    rules: ListenerRules,
}

/// An identity with these roles.
pub fn identity(name: &str, roles: &[&str]) -> (Arc<str>, Arc<Principal>) {
    let principal = Principal {
        id: name.into(),
        roles: roles.iter().map(|role| Arc::from(*role)).collect(),
        attributes: Vec::new(),
        method: "password".into(),
        managed: true,
        strength: Strength::default(),
        narrowed_to: None,
    };
    (name.into(), Arc::new(principal))
}

/// Limits that do not get in the way.
pub fn wide() -> Limits {
    Limits {
        publish_rate_per_s: 0,
        publish_bytes_per_s: 0,
        queued_messages_max: 1_000_000,
        queued_bytes_max: u64::MAX,
        connections_per_identity_max: 1_000,
        session_expiry_max_s: u32::MAX,
        ..Limits::default()
    }
}

impl World {
    /// A server under the policy `OPEN`.
    pub fn new(shards: usize, limits: Limits, identities: &[(&str, &[&str])]) -> World {
        World::under(OPEN, shards, limits, identities)
    }

    pub fn under(policy: &str, shards: usize, limits: Limits, identities: &[(&str, &[&str])]) -> World {
        let change = Change {
            image: Arc::new(Image::load(policy.as_bytes()).unwrap()),
            identities: Arc::new(identities.iter().map(|(name, roles)| identity(name, roles)).collect()),
            schedule: Arc::default(),
            epoch: 1,
            revoked: Default::default(),
        };
        let rules = ListenerRules { limits: Arc::new(limits), ..ListenerRules::default() };
        let mut world = World {
            now: Time(1_000_000),
            common: Arc::new(Common::new(shards)),
            disk: Disk::new(shards),
            sockets: Vec::new(),
            change,
            unanswered: Vec::new(),
            authenticators_sleep: false,
            tokens: HashMap::new(),
            listener: 0,
            promises: Vec::new(),
            reads: VecDeque::new(),
            events: Vec::new(),
            shards: Vec::new(),
            mail: Vec::new(),
            by_key: HashMap::new(),
            rules,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let count = self.disk_lanes();
        self.common = Arc::new(Common::new(count));
        self.mail = (0..count * count).map(|_| VecDeque::new()).collect();
        self.by_key.clear();
        self.unanswered.clear();
        self.reads.clear();
        self.shards = (0..count)
            .map(|at| Shard {
                server: Server::new(at, Arc::clone(&self.common), self.listeners(), at as u64),
                fx: Effects::default(),
                deferred: VecDeque::new(),
                submitted: 0,
                committed: 0,
            })
            .collect();
        self.apply(self.change.clone());
        for loaded in self.disk.load() {
            let shard = &mut self.shards[restore::home_of(&loaded, count)];
            shard.server.restore(loaded, self.now, &mut shard.fx);
        }
        (0..count).for_each(|at| self.perform(at));
        self.deliver_all_mail();
    }

    fn listeners(&self) -> Vec<ListenerRules> {
        vec![self.rules.clone(), ListenerRules { durability: Durability::Os, ..self.rules.clone() }]
    }

    fn disk_lanes(&self) -> usize {
        self.common.shards()
    }

    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Kills the process and starts it again with what was committed.
    pub fn crash(&mut self) {
        self.disk.crash();
        for socket in &mut self.sockets {
            socket.is_open = false;
            socket.at = None;
        }
        self.start();
    }

    /// Puts a change into force on all shards, what was sent before being read first.
    pub fn apply(&mut self, change: Change) {
        self.flush_all();
        self.change = change.clone();
        for at in 0..self.shards.len() {
            let shard = &mut self.shards[at];
            shard.server.apply(change.clone(), self.now, &mut shard.fx);
            self.perform(at);
        }
    }

    /// A change of identities alone.
    pub fn set_roles(&mut self, identities: &[(&str, &[&str])]) {
        let identities = Arc::new(identities.iter().map(|(name, roles)| identity(name, roles)).collect());
        let epoch = self.change.epoch + 1;
        self.apply(Change { identities, epoch, ..self.change.clone() });
    }

    /// A client connects to a shard.
    pub fn dial(&mut self, at: usize) -> usize {
        self.dial_as(at, Peer { listener: self.listener, address: Address::Local, port: 0, certificate: None })
    }

    /// The same, from somewhere, with a certificate perhaps.
    pub fn dial_as(&mut self, at: usize, peer: Peer) -> usize {
        let key = self.shards[at].server.accepted(peer, self.now);
        let socket = self.sockets.len();
        self.by_key.insert((at, key), socket);
        self.sockets.push(Socket {
            at: Some((at, key)),
            unread: Vec::new(),
            inbox: Vec::new(),
            is_open: true,
            is_read: true,
        });
        socket
    }

    /// Sends octets over a connection.
    pub fn send(&mut self, socket: usize, octets: &[u8]) {
        self.sockets[socket].unread.extend_from_slice(octets);
        self.read(socket);
    }

    fn read(&mut self, socket: usize) {
        let Some((at, key)) = self.sockets[socket].at else { return };
        let unread = std::mem::take(&mut self.sockets[socket].unread);
        let shard = &mut self.shards[at];
        let done = shard.server.input(key, &unread, self.now, &mut shard.fx);
        assert!(done <= unread.len());
        self.sockets[socket].unread = unread[done..].to_vec();
        self.perform(at);
        self.flush(socket);
    }

    /// The client, or the network, ends a connection without a word.
    pub fn hang_up(&mut self, socket: usize) {
        self.flush(socket);
        self.sockets[socket].is_open = false;
        if let Some((at, key)) = self.sockets[socket].at {
            let shard = &mut self.shards[at];
            shard.server.lost(key, "", self.now, &mut shard.fx);
            self.perform(at);
        }
    }

    /// Takes what the server has to say to a client that reads.
    pub fn flush(&mut self, socket: usize) {
        while self.sockets[socket].is_read
            && let Some((at, key)) = self.sockets[socket].at
        {
            let shard = &mut self.shards[at];
            let octets = shard.server.out(key).map(std::mem::take).unwrap_or_default();
            if octets.is_empty() {
                return;
            }
            shard.server.written(key, octets.len(), self.now, &mut shard.fx);
            self.sockets[socket].inbox.extend_from_slice(&octets);
            self.perform(at);
        }
    }

    /// A socket takes so many octets, of more that wait for it.
    pub fn take(&mut self, socket: usize, octets: usize) {
        let Some((at, key)) = self.sockets[socket].at else { return };
        let shard = &mut self.shards[at];
        let out = shard.server.out(key).unwrap();
        let taken: Vec<u8> = out.drain(..octets.min(out.len())).collect();
        shard.server.written(key, taken.len(), self.now, &mut shard.fx);
        self.sockets[socket].inbox.extend_from_slice(&taken);
        self.perform(at);
    }

    pub fn flush_all(&mut self) {
        (0..self.sockets.len()).for_each(|socket| self.flush(socket));
    }

    /// Octets that wait in a connection's buffer.
    pub fn buffered(&mut self, socket: usize) -> usize {
        let Some((at, key)) = self.sockets[socket].at else { return 0 };
        self.shards[at].server.out(key).map_or(0, |out| out.len())
    }

    /// Octets a client has sent that the server has not taken.
    pub fn untaken(&self, socket: usize) -> usize {
        self.sockets[socket].unread.len()
    }

    pub fn advance(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        for at in 0..self.shards.len() {
            while self.shards[at].server.next_deadline().is_some_and(|due| due <= self.now) {
                let shard = &mut self.shards[at];
                shard.server.tick(self.now, &mut shard.fx);
                self.perform(at);
            }
        }
        self.flush_all();
    }

    /// Commits the oldest batch of a shard. False when there is none.
    pub fn commit_one(&mut self, at: usize) -> bool {
        if !self.disk.commit_one(at) {
            return false;
        }
        self.shards[at].committed += 1;
        while let Some((_, deferred)) = {
            let committed = self.shards[at].committed;
            self.shards[at].deferred.pop_front_if(|(ticket, _)| *ticket <= committed)
        } {
            let shard = &mut self.shards[at];
            shard.server.committed(deferred, self.now, &mut shard.fx);
        }
        self.perform(at);
        self.flush_all();
        true
    }

    /// Delivers the oldest mail from one shard to another. False when there is none.
    pub fn deliver_one(&mut self, from: usize, to: usize) -> bool {
        let route = from * self.shards.len() + to;
        let Some(mail) = self.mail[route].pop_front() else { return false };
        let shard = &mut self.shards[to];
        match mail {
            Mail::Forward(forward) => {
                if let Some(rest) = shard.server.on_forward(forward, self.now, &mut shard.fx) {
                    // The rest comes before all that was sent after it.
                    self.mail[route].push_front(Mail::Forward(rest));
                }
            }
            Mail::Adopt(adoption, socket) => {
                let key = shard.server.adopt(*adoption, self.now, &mut shard.fx);
                self.by_key.insert((to, key), socket);
                self.sockets[socket].at = Some((to, key));
                if !self.sockets[socket].is_open {
                    self.hang_up(socket);
                }
            }
        }
        self.perform(to);
        self.flush_all();
        true
    }

    /// Reads the oldest page that a shard wants back. False when none is wanted.
    pub fn read_one(&mut self) -> bool {
        let Some((at, fetch)) = self.reads.pop_front() else { return false };
        let page = self.disk.fetch(at, &fetch);
        let shard = &mut self.shards[at];
        shard.server.fetched(page, self.now, &mut shard.fx);
        self.perform(at);
        self.flush_all();
        true
    }

    fn deliver_all_mail(&mut self) {
        let count = self.shards.len();
        while (0..count * count).any(|route| self.deliver_one(route / count, route % count)) {}
    }

    /// Everything that can happen without a client or the clock, happens.
    pub fn settle(&mut self) {
        loop {
            self.deliver_all_mail();
            let committed = (0..self.shards.len()).any(|at| self.commit_one(at)) || self.read_one();
            if !committed && self.mail.iter().all(VecDeque::is_empty) {
                return;
            }
        }
    }

    /// One chosen thing of those that `settle` does.
    pub fn stir(&mut self, dice: &mut Dice) {
        let count = self.shards.len();
        if dice.once_in(4) && self.read_one() {
        } else if dice.once_in(2) {
            self.commit_one(dice.below(count));
        } else {
            self.deliver_one(dice.below(count), dice.below(count));
        }
    }

    /// The authenticators answer what they were asked while they slept.
    pub fn wake_authenticators(&mut self) {
        self.authenticators_sleep = false;
        for (at, key, request) in std::mem::take(&mut self.unanswered) {
            self.answer(at, key, &request);
            self.perform(at);
        }
    }

    fn answer(&mut self, at: usize, key: ConnectionKey, request: &AuthRequest) {
        let known = request.user_name.as_deref().and_then(|name| self.change.identities.get(name));
        let verdict = match known {
            Some(principal) => {
                let narrowed_to = request.user_name.as_ref().and_then(|name| self.tokens.get(name)).cloned();
                let principal = Principal { narrowed_to, ..(**principal).clone() };
                Verdict::Allow { principal, client_id: None, ends_at: None, auth_data: None }
            }
            None => Verdict::Deny { reason: ReasonCode::NotAuthorized, why: "unknown".into() },
        };
        let shard = &mut self.shards[at];
        shard.server.verdict(key, verdict, self.now, &mut shard.fx);
    }

    /// What a shard of the engine does with effects, in its order.
    fn perform(&mut self, at: usize) {
        while !self.shards[at].fx.is_empty() {
            let fx = std::mem::take(&mut self.shards[at].fx);
            if !fx.mutations.is_empty() || !fx.deferred.is_empty() {
                self.promises.push((at, self.shards[at].server.demand(&fx.deferred)));
                self.disk.submit(at, fx.mutations);
                let shard = &mut self.shards[at];
                shard.submitted += 1;
                let ticket = shard.submitted;
                shard.deferred.extend(fx.deferred.into_iter().map(|deferred| (ticket, deferred)));
            }
            self.events.extend(fx.events.into_iter().map(|event| event.what));
            self.reads.extend(fx.fetches.into_iter().map(|fetch| (at, fetch)));
            let mut forwards = fx.forwards;
            for (to, waiting) in forwards.take() {
                let route = at * self.shards.len() + to;
                for forward in waiting {
                    if to == at {
                        let shard = &mut self.shards[at];
                        assert!(shard.server.on_forward(forward, self.now, &mut shard.fx).is_none());
                    } else {
                        self.mail[route].push_back(Mail::Forward(forward));
                    }
                }
            }
            for request in fx.authenticate {
                if self.authenticators_sleep {
                    self.unanswered.push((at, request.connection, request));
                } else {
                    self.answer(at, request.connection, &request);
                }
            }
            for (key, home, adoption) in fx.moves {
                self.shards[at].server.forget(key);
                let socket = self.by_key.remove(&(at, key)).unwrap();
                self.sockets[socket].at = None;
                let route = at * self.shards.len() + home;
                self.mail[route].push_back(Mail::Adopt(adoption, socket));
            }
            for closed in fx.closed {
                self.close(at, closed.connection);
            }
            if fx.is_urgent {
                self.flush_all();
            }
            for key in fx.resumed {
                if let Some(socket) = self.by_key.get(&(at, key)).copied()
                    && !self.sockets[socket].unread.is_empty()
                {
                    self.read(socket);
                }
            }
        }
    }

    fn close(&mut self, at: usize, key: ConnectionKey) {
        let last_words = self.shards[at].server.out(key).map(std::mem::take).unwrap_or_default();
        self.shards[at].server.forget(key);
        if let Some(socket) = self.by_key.remove(&(at, key)) {
            let socket = &mut self.sockets[socket];
            socket.inbox.extend_from_slice(&last_words);
            socket.is_open = false;
            socket.at = None;
        }
    }

    /// A counter, added up over all shards.
    pub fn total(&self, name: &str) -> u64 {
        self.common.totals().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value).unwrap()
    }

    /// Clients by listener, and by role in order of name.
    pub fn population(&self) -> (Vec<u64>, Vec<(String, u64)>) {
        let population = self.common.population();
        let mut roles: Vec<_> = population.by_role().map(|(role, count)| (role.to_string(), count)).collect();
        roles.sort();
        (population.by_listener().iter().map(|visitors| visitors.connected).collect(), roles)
    }

    /// True when some shard says that it may have a Subscription for this topic.
    pub fn is_interested(&self, topic: &str) -> bool {
        let name = TopicName::parse(topic).unwrap();
        (0..self.shards.len()).any(|at| self.common.interest_of(at).unwrap().may_match(&name, topic_hash(topic)))
    }
}
