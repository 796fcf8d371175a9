//! One shard of a server, or two beside each other, without sockets, threads or a clock.

use std::sync::Arc;

use bartizan_core::message::Time;
use bartizan_core::policy::{Image, Strength};
use bartizan_core::server::apply::Change;
use bartizan_core::server::connect::Verdict;
use bartizan_core::server::observe::Watch;
use bartizan_core::server::{Common, Effects, Limits, ListenerRules, Server};
use bartizan_core::session::{Address, ConnectionKey, Peer, Principal};
use bartizan_core::topic::topic_hash;
use bartizan_core::wire::encode::{self, PublishHead};
use bartizan_core::wire::{
    self, Connect, Packet, PacketId, Properties, QoS, ReasonCode, Role, SubscriptionOptions, Version,
};

use crate::collect_instructions;

/// A policy as a plant has it: who publishes below its own Client Identifier, and who reads.
pub const POLICY: &str = r#"{"format":3,"roles":[
    {"name":"dash","limits":{},"rules":[{"name":"read","effect":"permit","actions":["subscribe"],
        "pattern":["many"],"qos_max":2,"retain":true}]},
    {"name":"press","limits":{},"rules":[
        {"name":"secret","effect":"forbid","actions":["publish"],
            "pattern":[{"lit":"plant"},"one",{"lit":"secret"},"many"],"qos_max":2,"retain":true},
        {"name":"status","effect":"permit","actions":["publish"],
            "pattern":[{"lit":"status"},{"var":"client_id"}],"qos_max":1,"retain":true},
        {"name":"own","effect":"permit","actions":["publish"],
            "pattern":[{"lit":"plant"},{"var":"client_id"},"many"],"qos_max":2,"retain":false}]}]}"#;

/// A time that never passes.
const NOW: Time = Time(1_000_000);

/// The shard.
pub struct Shard {
    server: Server,
    fx: Effects,
}

/// Two shards. What one sends the other is there at once.
pub struct Pair {
    shards: [Shard; 2],
}

/// A principal with one role.
pub fn principal(role: &str) -> Principal {
    Principal {
        id: role.into(),
        roles: [Arc::from(role)].into(),
        attributes: Vec::new(),
        method: "password".into(),
        managed: false,
        strength: Strength::default(),
        narrowed_to: None,
    }
}

impl Shard {
    /// A shard under `POLICY`, whose limits get in nobody's way.
    pub fn new() -> Shard {
        Shard::beside(0, &Arc::new(Common::new(1)))
    }

    fn beside(at: usize, common: &Arc<Common>) -> Shard {
        let limits = Limits {
            publish_rate_per_s: 0,
            publish_bytes_per_s: 0,
            connections_per_identity_max: 10_000,
            inflight_max: 1_000,
            ..Limits::default()
        };
        let rules = ListenerRules { limits: Arc::new(limits), ..ListenerRules::default() };
        let mut shard = Shard { server: Server::new(at, Arc::clone(common), vec![rules], 1), fx: Effects::default() };
        let change = Change {
            image: Arc::new(Image::load(POLICY.as_bytes()).unwrap()),
            identities: Arc::default(),
            schedule: Arc::default(),
            epoch: 1,
            revoked: Default::default(),
        };
        shard.server.apply(change, NOW, &mut shard.fx);
        shard.perform();
        shard
    }

    /// Decisions are observed from now on; what identities do is counted as well, or not.
    pub fn watch(&mut self, is_counted: bool) {
        self.server.watch(Some(Watch::default()), NOW, &mut self.fx);
        if is_counted {
            self.server.take_activity(NOW);
        }
    }

    /// Accepts a connection.
    pub fn accept(&mut self) -> ConnectionKey {
        let peer = Peer { listener: 0, address: Address::Local, port: 0, certificate: None };
        self.server.accepted(peer, NOW)
    }

    /// CONNECT, the authenticators' verdict, CONNACK.
    pub fn open(&mut self, key: ConnectionKey, octets: &[u8], principal: Principal) {
        assert_eq!(self.server.input(key, octets, NOW, &mut self.fx), octets.len());
        let asked = std::mem::take(&mut self.fx.authenticate);
        assert_eq!(asked.len(), 1);
        let verdict = Verdict::Allow { principal, client_id: None, ends_at: None, auth_data: None };
        self.server.verdict(key, verdict, NOW, &mut self.fx);
        self.perform();
    }

    /// A client with a Session that ends with its connection.
    pub fn client(&mut self, client_id: &str, role: &str, version: Version) -> ConnectionKey {
        let key = self.accept();
        self.open(key, &connect(client_id, version), principal(role));
        let connack = self.take(key);
        let frame = wire::frame(&connack, u32::MAX).unwrap().unwrap();
        let Packet::Connack(connack) = wire::decode(frame, Role::Client, Some(version)).unwrap() else {
            unreachable!("the first packet of a server")
        };
        assert_eq!(connack.reason, ReasonCode::Success);
        key
    }

    /// A client that has subscribed.
    pub fn subscriber(&mut self, client_id: &str, version: Version, filter: &str, qos: QoS) -> ConnectionKey {
        let key = self.client(client_id, "dash", version);
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let mut octets = Vec::new();
        let id = PacketId::new(1).unwrap();
        encode::subscribe(&mut octets, version, id, Properties::default(), &[(filter, options)]);
        self.send(key, &octets);
        self.take(key);
        key
    }

    /// Handles what a client sends, and whatever follows from it.
    pub fn send(&mut self, key: ConnectionKey, octets: &[u8]) {
        assert_eq!(self.server.input(key, octets, NOW, &mut self.fx), octets.len());
        self.perform();
    }

    /// The same, counted.
    pub fn send_counted(&mut self, key: ConnectionKey, octets: &[u8]) {
        collect_instructions(&mut || self.send(key, octets));
    }

    /// Takes what waits for a client, as a socket that has room for all of it.
    pub fn take(&mut self, key: ConnectionKey) -> Vec<u8> {
        let octets = self.server.out(key).unwrap().split_off(0);
        self.server.written(key, octets.len(), NOW, &mut self.fx);
        self.perform();
        octets
    }

    /// The same where only its size is of interest. The buffer stays, as the engine keeps it.
    pub fn drain(&mut self, key: ConnectionKey) -> usize {
        let out = self.server.out(key).unwrap();
        let octets = out.len();
        out.clear();
        self.server.written(key, octets, NOW, &mut self.fx);
        self.perform();
        octets
    }

    /// What a store without delay, and an engine without sockets, do with effects.
    fn perform(&mut self) {
        self.fx.mutations.clear();
        while !self.fx.deferred.is_empty() {
            for deferred in std::mem::take(&mut self.fx.deferred) {
                self.server.committed(deferred, NOW, &mut self.fx);
            }
            self.fx.mutations.clear();
        }
        self.fx.dirty.clear();
        self.fx.events.clear();
        assert!(self.fx.closed.is_empty(), "every client keeps to the protocol");
        assert!(self.fx.moves.is_empty(), "every client is where its Session is");
    }
}

impl Pair {
    /// Two shards of a server under `POLICY`.
    pub fn new() -> Pair {
        let common = Arc::new(Common::new(2));
        Pair { shards: [0, 1].map(|at| Shard::beside(at, &common)) }
    }

    /// The shard that a Client Identifier is at home on.
    pub fn home(&mut self, client_id: &str) -> &mut Shard {
        &mut self.shards[(topic_hash(client_id) % 2) as usize]
    }

    /// The first of some Client Identifiers whose home is another one.
    pub fn away_from(client_id: &str) -> String {
        let is_away = |name: &String| topic_hash(name) % 2 != topic_hash(client_id) % 2;
        (0..).map(|n| format!("dash-{n:02}")).find(is_away).unwrap()
    }

    /// What each sends the other, until nobody has anything to say.
    pub fn exchange(&mut self) {
        while self.shards.iter().any(|shard| !shard.fx.forwards.is_empty()) {
            for at in [0, 1] {
                let [one, two] = &mut self.shards;
                let (from, other) = if at == 0 { (one, two) } else { (two, one) };
                for forward in from.fx.forwards.take().flat_map(|(_, forwards)| forwards) {
                    let mut rest = Some(forward);
                    while let Some(forward) = rest {
                        rest = other.server.on_forward(forward, NOW, &mut other.fx);
                    }
                }
                other.perform();
            }
        }
    }
}

/// CONNECT with a password, for a Session that ends with its connection.
pub fn connect(client_id: &str, version: Version) -> Vec<u8> {
    let connect = Connect {
        version,
        clean_start: true,
        keep_alive_s: 0,
        properties: Properties::default(),
        client_id,
        will: None,
        user_name: Some("somebody"),
        password: Some(b"a password"),
    };
    let mut octets = Vec::new();
    encode::connect(&mut octets, &connect);
    octets
}

/// So many PUBLISH in a row, to one topic.
pub fn publishes(version: Version, topic: &str, qos: QoS, payload: &[u8], count: u16) -> Vec<u8> {
    let mut octets = Vec::new();
    for n in 1..=count {
        let packet_id = if qos == QoS::AtMostOnce { None } else { PacketId::new(n) };
        let head = PublishHead { qos, topic, packet_id, ..PublishHead::default() };
        encode::publish(&mut octets, version, &head, payload);
    }
    octets
}
