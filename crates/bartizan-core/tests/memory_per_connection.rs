//! What core keeps for a connection that says nothing, in octets asked of the allocator: at 10,000
//! connections and at 100,000, without sockets (docs/performance.md, "Memory").

#![allow(clippy::unwrap_used, reason = "what is not as expected is not measured")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_core::message::Time;
use bartizan_core::policy::Image;
use bartizan_core::server::apply::Change;
use bartizan_core::server::{Common, Effects, Limits, ListenerRules, Server};
use bartizan_core::session::{Address, ConnectionKey, Peer};
use bartizan_core::wire::encode;
use bartizan_core::wire::{Connect, PacketId, Properties, SubscriptionOptions, Version};

/// Octets asked for and not given back.
static HELD: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator as it came; only a number is kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const POLICY: &str = r#"{"format":3,"roles":[{"name":"anonymous","limits":{},"rules":[
    {"name":"all","effect":"permit","actions":["publish","subscribe"],"pattern":["many"],"qos_max":2,"retain":true}]}]}"#;

struct Shard {
    server: Server,
    fx: Effects,
}

impl Shard {
    fn new() -> Shard {
        let limits = Limits { connections_per_identity_max: 1_000_000, ..Limits::default() };
        let rules = ListenerRules { anonymous: true, limits: Arc::new(limits), ..ListenerRules::default() };
        let server = Server::new(0, Arc::new(Common::new(1)), vec![rules], 1);
        let mut shard = Shard { server, fx: Effects::default() };
        let image = Arc::new(Image::load(POLICY.as_bytes()).unwrap());
        let change =
            Change { image, identities: Arc::default(), revoked: Arc::default(), schedule: Arc::default(), epoch: 1 };
        shard.server.apply(change, Time(0), &mut shard.fx);
        shard
    }

    fn send(&mut self, key: ConnectionKey, octets: &[u8], now: Time) {
        assert_eq!(self.server.input(key, octets, now, &mut self.fx), octets.len());
        let out = self.server.out(key).unwrap();
        let answered = out.len();
        assert!(answered > 0);
        out.clear();
        self.server.written(key, answered, now, &mut self.fx);
        assert!(self.fx.closed.is_empty());
        self.fx = Effects::default();
    }

    fn connect(&mut self, number: usize, subscribes: bool, now: Time) {
        let peer = Peer { listener: 0, address: Address::Local, port: 0, certificate: None };
        let key = self.server.accepted(peer, now);
        let client_id = format!("bench-{number}");
        let connect = Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive_s: 60,
            properties: Properties::default(),
            client_id: &client_id,
            will: None,
            user_name: None,
            password: None,
        };
        let mut octets = Vec::new();
        encode::connect(&mut octets, &connect);
        self.send(key, &octets, now);
        if subscribes {
            let filter = format!("bench/i/{number:06}");
            octets.clear();
            let filters = [(filter.as_str(), SubscriptionOptions::default())];
            encode::subscribe(&mut octets, Version::V311, PacketId::MIN, Properties::default(), &filters);
            self.send(key, &octets, now);
        }
    }
}

/// Octets for each of so many connections once they are at rest.
fn each(connections: usize, subscribes: bool) -> usize {
    let mut shard = Shard::new();
    (0..100).for_each(|number| shard.connect(number, subscribes, Time(0)));
    let before = HELD.load(Ordering::Relaxed);
    (100..100 + connections).for_each(|number| shard.connect(number, subscribes, Time(0)));
    for second in 1..60 {
        for _ in 0..connections / 500 {
            shard.server.tick(Time(second * 1_000), &mut shard.fx);
        }
    }
    let after = HELD.load(Ordering::Relaxed);
    assert!(shard.fx.closed.is_empty());
    (after - before) / connections
}

#[test]
fn a_connection_that_says_nothing_takes_little_and_no_more_the_more_there_are() {
    // The room of tables that double is in it: the smallest that holds them, or nearly twice that.
    for (connections, subscribes, most) in
        [(10_000, false, 1_000), (100_000, false, 1_000), (10_000, true, 1_500), (100_000, true, 1_500)]
    {
        let each = each(connections, subscribes);
        println!("{connections} connections, Subscriptions: {subscribes}: {each} octets each");
        assert!(each <= most, "{connections} connections, Subscriptions: {subscribes}: {each} octets each");
    }
}
