//! What holds whatever a client sends: nothing panics, what is answered are packets, what is held
//! for it is bounded, and a well-behaved client beside it notices nothing. Shared by a test and
//! the fuzz target `connection`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what failed by failing")]

use bartizan_core::server::Limits;
use bartizan_core::wire::{self, QoS, Role, Version};

use super::server_world::World;
use super::server_world::client::Client;

/// Everybody reads and writes what is theirs; `good/#` is the neighbour's, who reads all.
const POLICY: &str = r#"{"format":3,"roles":[
  {"name":"evil","limits":{},"rules":[
    {"name":"e","effect":"permit","actions":["publish","subscribe"],"pattern":["many"],"qos_max":2,"retain":true},
    {"name":"f","effect":"forbid","actions":["publish","subscribe"],"pattern":[{"lit":"good"},"many"],"qos_max":2,"retain":true}]},
  {"name":"good","limits":{},"rules":[
    {"name":"g","effect":"permit","actions":["publish","subscribe"],"pattern":["many"],"qos_max":2,"retain":true}]}]}"#;

const IDENTITIES: &[(&str, &[&str])] = &[("evil", &["evil"]), ("good", &["good"])];
const OUT_BYTES_MAX: u32 = 8_192;
const PACKET_BYTES_MAX: u32 = 4_096;
const QUEUED_MAX: u32 = 8;
const STEPS_MAX: usize = 256;

/// Small ones, so that they are met.
fn limits() -> Limits {
    Limits {
        connections_per_identity_max: 3,
        packet_bytes_max: PACKET_BYTES_MAX,
        property_bytes_max: 512,
        topic_levels_max: 8,
        topic_bytes_max: 128,
        subscriptions_per_session_max: 8,
        inflight_max: 4,
        receive_max: 4,
        topic_alias_max: 3,
        queued_messages_max: QUEUED_MAX,
        queued_bytes_max: 4_096,
        out_buffer_bytes_max: OUT_BYTES_MAX,
        retained_messages_max: 16,
        retained_bytes_max: 8_192,
        publish_rate_per_s: 50,
        publish_burst: 20,
        ..Limits::default()
    }
}

/// Octets taken as a script, from the front.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn octet(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }

    fn octets(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

struct Attack {
    world: World,
    neighbour: Client,
    /// Connections of the attacker, and the protocol each speaks, once it is known.
    sockets: Vec<(usize, Option<Version>)>,
    rounds: usize,
}

/// Runs a script against a server.
pub fn check_connection(input: &[u8]) {
    let mut script = Script(input);
    let mut attack = Attack::new(1 + script.octet() % 2);
    for _ in 0..STEPS_MAX {
        if script.0.is_empty() {
            break;
        }
        attack.step(&mut script);
    }
    attack.end();
}

impl Attack {
    fn new(shards: usize) -> Attack {
        let mut world = World::under(POLICY, shards, limits(), IDENTITIES);
        let mut neighbour = Client::new("neighbour", "good", Version::V5);
        neighbour.connect(&mut world, 0);
        world.settle();
        neighbour.read(&mut world);
        neighbour.subscribe(&mut world, "good/+", QoS::ExactlyOnce);
        world.settle();
        neighbour.read(&mut world);
        assert_eq!(neighbour.subacks.len(), 1);
        Attack { world, neighbour, sockets: Vec::new(), rounds: 0 }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let world = &mut self.world;
        match script.octet() % 12 {
            // Octets as they are, on the latest connection or the one before.
            0..4 => {
                let (back, count) = (script.octet() % 2, script.octet());
                let octets = script.octets(count);
                if let Some((socket, _)) = self.sockets.iter().rev().nth(back).copied() {
                    world.send(socket, octets);
                }
            }
            4 => {
                let at = script.octet() % world.shards();
                let socket = world.dial(at);
                self.sockets.push((socket, None));
            }
            5 => self.connect(script),
            6 => {
                for _ in 0..1 + script.octet() % 4 {
                    let shards = self.world.shards();
                    for at in 0..shards {
                        self.world.commit_one(at);
                    }
                    for route in 0..shards * shards {
                        self.world.deliver_one(route / shards, route % shards);
                    }
                }
            }
            7 => {
                let ms = 1 << (script.octet() % 21);
                if ms > 1_000 {
                    // Disks and neighbours are late by milliseconds, not by hours.
                    world.settle();
                }
                world.advance(ms);
                // Far within the Keep Alive that the server sets.
                self.neighbour.ping(world);
            }
            8 => {
                if let Some((socket, _)) = self.sockets.last() {
                    world.hang_up(*socket);
                }
            }
            9 => {
                if let Some((socket, _)) = self.sockets.last().copied() {
                    world.sockets[socket].is_read = !world.sockets[socket].is_read;
                    world.flush(socket);
                }
            }
            10 => self.exchange(),
            _ => match script.octet() % 16 {
                0 => self.crash(),
                1 => world.set_roles(&[("evil", &["none"]), ("good", &["good"])]),
                2 => world.set_roles(&[("good", &["good"])]),
                3 => world.authenticators_sleep = true,
                _ => {
                    world.wake_authenticators();
                    world.set_roles(IDENTITIES);
                }
            },
        }
        self.look();
    }

    /// A CONNECT that is one, with what the script says in it.
    fn connect(&mut self, script: &mut Script<'_>) {
        let version = if script.octet().is_multiple_of(2) { Version::V5 } else { Version::V311 };
        let flags = script.octet();
        let mut client = Client::new(["evil-a", "evil-b", "neighbour"][script.octet() % 3], "evil", version);
        client.clean_start = flags & 1 != 0;
        client.expiry_s = if flags & 2 != 0 { 0 } else { 100 };
        client.receive_maximum = 1 + u16::try_from(script.octet() % 4).unwrap();
        if flags & 4 != 0 {
            let (topic, delay_s) =
                (["w", "good/w", "w/x"][script.octet() % 3].into(), u32::try_from(script.octet()).unwrap());
            client.will = Some(super::server_world::client::Will { topic, payload: "w".into(), delay_s });
        }
        let at = script.octet() % self.world.shards();
        client.connect(&mut self.world, at);
        self.sockets.push((client.socket.unwrap(), Some(version)));
    }

    fn crash(&mut self) {
        self.world.crash();
        self.world.authenticators_sleep = false;
        self.neighbour.drop_connection(&mut self.world);
        self.neighbour.connect(&mut self.world, 0);
    }

    /// What the attacker is sent are packets, and no more waits for it than may.
    fn look(&mut self) {
        for (socket, version) in &self.sockets {
            let inbox = std::mem::take(&mut self.world.sockets[*socket].inbox);
            let mut rest = &inbox[..];
            while let (Some(version), false) = (version, rest.is_empty()) {
                let frame = wire::frame(rest, u32::MAX).unwrap().unwrap();
                wire::decode(frame, Role::Client, Some(*version)).unwrap();
                rest = &rest[frame.len..];
            }
            let most = OUT_BYTES_MAX + 8 * PACKET_BYTES_MAX;
            assert!(self.world.buffered(*socket) <= most as usize, "{} octets wait", self.world.buffered(*socket));
        }
        let (queued, sessions) = (self.world.total("queued_messages"), self.world.total("sessions"));
        assert!(queued <= sessions * u64::from(QUEUED_MAX), "{queued} messages wait in {sessions} Sessions");
    }

    /// The neighbour publishes to itself and is answered, whatever the attacker does.
    fn exchange(&mut self) {
        self.rounds += 1;
        let payload = format!("{}", self.rounds);
        let mut pings = 0;
        // Its own rate is limited as everyone's is.
        self.world.advance(100);
        self.world.wake_authenticators();
        for round in 0..12 {
            self.world.settle();
            self.neighbour.read(&mut self.world);
            self.neighbour.answer(&mut self.world, usize::MAX);
            if round == 1 {
                pings = self.neighbour.pings;
                self.neighbour.ping(&mut self.world);
                self.neighbour.publish(&mut self.world, "good/x", &payload, QoS::AtLeastOnce, false);
            }
        }
        let (reason, by) = (self.neighbour.last_reason, self.neighbour.disconnected_by);
        assert!(self.neighbour.is_connected, "{reason:?} {by:?}");
        assert_eq!(self.neighbour.pings, pings + 1, "the neighbour's PINGREQ is answered");
        assert_eq!(
            self.neighbour.got.last().map(|got| &got.payload),
            Some(&payload),
            "the neighbour's message arrives"
        );
        assert!(self.neighbour.got.iter().all(|got| got.topic == "good/x"), "and nobody else's");
    }

    fn end(&mut self) {
        self.exchange();
        self.look();
    }
}
