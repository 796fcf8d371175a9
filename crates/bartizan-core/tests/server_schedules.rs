//! Random schedules of a whole server: clients that come and go, batches that are late, mail
//! that waits, processes that die. Whatever the order of things, what was acknowledged arrives,
//! once where it must be once, in its order, and at the end nothing is left over.
//!
//! `BARTIZAN_SCHEDULES=1000 cargo test --test server_schedules` runs more of them than the
//! usual few; a failure names its seed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]
#![allow(clippy::print_stdout, reason = "what runs is shown when it fails")]

mod server_world;

use std::collections::HashMap;

use bartizan_core::server::Limits;
use bartizan_core::wire::{QoS, Version};
use server_world::client::Client;
use server_world::{Dice, World, wide};

const TOPICS: [&str; 3] = ["t/a", "t/b", "t/c"];
const IDENTITIES: &[(&str, &[&str])] = &[("x", &["all"]), ("thief", &["all"])];

struct Scene {
    world: World,
    dice: Dice,
    publishers: Vec<Client>,
    steady: Vec<Client>,
    members: Vec<Client>,
    /// What was published: payload to QoS.
    sent: HashMap<String, QoS>,
    next: usize,
    crashes: usize,
}

#[derive(Clone, Copy)]
struct Plan {
    shards: usize,
    steps: usize,
    may_crash: bool,
    members_may_leave: bool,
    /// True where clients stop reading now and then, and little is buffered for them.
    is_narrow: bool,
}

impl Scene {
    fn new(seed: u64, plan: Plan) -> Scene {
        let client = |name: &str, version| Client::new(name, "x", version);
        let mut scene = Scene {
            world: World::new(plan.shards, limits(plan), IDENTITIES),
            dice: Dice(seed),
            publishers: vec![client("p0", Version::V5), client("p1", Version::V311)],
            steady: vec![client("s0", Version::V5), client("s1", Version::V5), client("s2", Version::V311)],
            members: vec![client("m0", Version::V5), client("m1", Version::V311), client("m2", Version::V5)],
            sent: HashMap::new(),
            next: 0,
            crashes: 0,
        };
        scene.steady[1].receive_maximum = 1;
        scene.come_together();
        for client in &mut scene.steady {
            client.subscribe(&mut scene.world, "t/#", QoS::ExactlyOnce);
            client.subscribe(&mut scene.world, "t/+", QoS::AtLeastOnce);
        }
        for client in &mut scene.members {
            client.subscribe(&mut scene.world, "$share/g/t/#", QoS::ExactlyOnce);
        }
        scene.come_together();
        let subacks = |client: &Client| client.subacks.iter().filter(|(_, codes)| codes[0] < 0x80).count();
        assert!(scene.steady.iter().all(|client| subacks(client) == 2));
        assert!(scene.members.iter().all(|client| subacks(client) == 1));
        scene
    }

    fn everyone(&mut self) -> (&mut World, Vec<&mut Client>) {
        let clients = self.publishers.iter_mut().chain(&mut self.steady).chain(&mut self.members);
        (&mut self.world, clients.collect())
    }

    /// Everyone connects, reads and answers until nothing happens any more.
    fn come_together(&mut self) {
        self.world.wake_authenticators();
        self.world.sockets.iter_mut().for_each(|socket| socket.is_read = true);
        self.world.flush_all();
        let shards = self.world.shards();
        for round in 0..5_000 {
            let (world, mut clients) = self.everyone();
            for client in &mut clients {
                if client.socket.is_none() {
                    client.connect(world, round % shards);
                }
            }
            world.settle();
            let mut is_quiet = true;
            for client in &mut clients {
                client.read(world);
                is_quiet &= client.is_connected && client.answers_due() == 0 && client.under_way() == 0;
                is_quiet &= client.unreleased() == 0;
                client.answer(world, usize::MAX);
            }
            if is_quiet {
                let [_, _, queued, received, _] = self.world.disk.counts();
                assert_eq!((queued, received), (0, 0), "messages and identifiers that nobody is done with");
                return;
            }
        }
        let (_, clients) = self.everyone();
        for client in clients {
            let open = [client.answers_due(), client.under_way(), client.unreleased()];
            println!("{}: {} {open:?}", client.name, client.is_connected);
        }
        panic!("it does not come to rest");
    }

    fn step(&mut self, plan: Plan) {
        match self.dice.below(100) {
            0..25 => self.publish(),
            25..55 => (0..4 * plan.shards * plan.shards).for_each(|_| self.world.stir(&mut self.dice)),
            55..85 => self.attend(),
            85..88 => self.leave(plan),
            88..92 => self.come(plan),
            92..94 => {
                let ms = self.dice.below(2000) as u64;
                self.world.advance(ms);
            }
            94 => self.world.authenticators_sleep = true,
            95 => self.world.wake_authenticators(),
            96 => self.steal(),
            97 if plan.may_crash && self.dice.once_in(4) => self.crash(),
            98 if plan.is_narrow => self.look_away(),
            _ => {}
        }
    }

    fn publish(&mut self) {
        let at = self.dice.below(self.publishers.len());
        let qos = QoS::from_bits(u8::try_from(self.dice.below(3)).unwrap()).unwrap();
        let topic = TOPICS[self.dice.below(TOPICS.len())];
        let publisher = &mut self.publishers[at];
        if !publisher.is_connected || publisher.under_way() >= 8 {
            return;
        }
        self.next += 1;
        let payload = format!("{at}.{topic}.{}.{:06}", qos as u8, self.next);
        publisher.publish(&mut self.world, topic, &payload, qos, false);
        self.sent.insert(payload, qos);
    }

    /// Somebody reads, and answers some of it.
    fn attend(&mut self) {
        let (who, some) = (self.dice.below(8), self.dice.below(4));
        let (world, mut clients) = self.everyone();
        let client = &mut clients[who];
        client.read(world);
        client.answer(world, some);
    }

    fn leave(&mut self, plan: Plan) {
        let (who, shard) = (self.dice.below(8), self.dice.below(plan.shards));
        let (as_told, takes_over) = (self.dice.once_in(3), self.dice.once_in(3));
        let (world, mut clients) = self.everyone();
        let client = &mut clients[who];
        if client.socket.is_none() || (client.name.starts_with('m') && !plan.members_may_leave) {
            return;
        }
        if takes_over {
            // What came on the first connection and is not read yet, never is.
            client.connect(world, shard);
        } else if as_told && client.is_connected {
            client.disconnect(world);
        } else {
            client.drop_connection(world);
        }
    }

    fn come(&mut self, plan: Plan) {
        let shard = self.dice.below(plan.shards);
        let (world, clients) = self.everyone();
        if let Some(client) = clients.into_iter().find(|client| client.socket.is_none()) {
            client.connect(world, shard);
        }
    }

    /// Somebody stops reading from the network, or begins again.
    fn look_away(&mut self) {
        let who = self.dice.below(8);
        let (world, clients) = self.everyone();
        if let Some(socket) = clients[who].socket {
            world.sockets[socket].is_read = !world.sockets[socket].is_read;
            world.flush(socket);
        }
    }

    /// Another identity tries for a Session, and gets nothing.
    fn steal(&mut self) {
        let (who, shard, clean) = (self.dice.below(8), self.dice.below(self.world.shards()), self.dice.once_in(2));
        let (world, clients) = self.everyone();
        let mut thief = Client::new(&clients[who].name, "thief", Version::V5);
        thief.clean_start = clean;
        let is_asleep = std::mem::replace(&mut world.authenticators_sleep, false);
        thief.connect(world, shard);
        world.authenticators_sleep = is_asleep;
        thief.read(world);
        assert!(!thief.is_connected, "a Session belongs to the identity that made it (I11)");
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.world.crash();
        let (world, clients) = self.everyone();
        for client in clients {
            client.drop_connection(world);
        }
    }

    fn judge(&self, plan: Plan) {
        // Across shards a crash may have a message sent again to whom has it already.
        let is_exact = self.crashes == 0 || plan.shards == 1;
        for client in &self.steady {
            self.judge_order(client);
            let times = count(&[client]);
            for (payload, qos) in &self.sent {
                let times = times.get(payload.as_str()).copied().unwrap_or(0);
                match qos {
                    QoS::ExactlyOnce if is_exact => assert!(times <= 1, "{}: {payload} {times} times", client.name),
                    QoS::AtMostOnce => assert!(times <= 1, "{}: {payload} {times} times", client.name),
                    _ => {}
                }
            }
            for (_, payload, _) in self.publishers.iter().flat_map(|publisher| &publisher.acknowledged) {
                assert!(times.contains_key(payload.as_str()), "{}: {payload} is lost", client.name);
            }
        }
        let shared = count(&self.members.iter().collect::<Vec<_>>());
        for (_, payload, qos) in self.publishers.iter().flat_map(|publisher| &publisher.acknowledged) {
            let times = shared.get(payload.as_str()).copied().unwrap_or(0);
            assert!(times > 0, "members: {payload} is lost");
            // QoS 1 goes to another member when one is gone, and may have reached both.
            if is_exact && (*qos == QoS::ExactlyOnce || !plan.members_may_leave && self.crashes == 0) {
                let again = *qos == QoS::AtLeastOnce && self.was_sent_again(payload);
                assert!(times == 1 || again, "members: {payload} {times} times");
            }
        }
    }

    /// A publisher that comes back sends QoS 1 again: then a subscriber may see it again too.
    fn was_sent_again(&self, payload: &str) -> bool {
        self.steady.iter().any(|client| client.got.iter().filter(|got| got.payload == payload).count() > 1)
    }

    /// Of one publisher, topic and QoS, what is new comes in the order of its sending [MQTT-4.6.0-6].
    fn judge_order(&self, client: &Client) {
        let mut last: HashMap<&str, &str> = HashMap::new();
        let mut seen = std::collections::HashSet::new();
        for got in &client.got {
            let (stream, number) = got.payload.rsplit_once('.').unwrap();
            if seen.insert(&got.payload) {
                let before = last.insert(stream, number);
                assert!(
                    before.is_none_or(|before| before < number),
                    "{}: {before:?} then {}",
                    client.name,
                    got.payload
                );
            }
        }
    }

    /// Every Session ends; nothing is left of any.
    fn clear(mut self) {
        let (world, clients) = self.everyone();
        for client in clients {
            client.drop_connection(world);
            (client.clean_start, client.expiry_s) = (true, 0);
            client.connect(world, 0);
            world.settle();
            client.read(world);
            assert!(client.is_connected && !client.session_present);
            client.disconnect(world);
            world.settle();
        }
        for name in [
            "sessions",
            "subscriptions",
            "shared_subscriptions",
            "queued_messages",
            "queued_bytes",
            "clients_connected",
        ] {
            assert_eq!(world.total(name), 0, "{name}");
        }
        assert!(TOPICS.iter().all(|topic| !world.is_interested(topic)));
        assert!(world.disk.is_clean(), "left on disk: {:?}", world.disk.counts());
    }
}

fn count<'a>(clients: &[&'a Client]) -> HashMap<&'a str, usize> {
    let mut times = HashMap::new();
    for got in clients.iter().flat_map(|client| &client.got) {
        *times.entry(got.payload.as_str()).or_default() += 1;
    }
    times
}

fn run(plan: Plan) {
    let schedules = std::env::var("BARTIZAN_SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let first = std::env::var("BARTIZAN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for seed in first..first + schedules {
        println!("seed {seed}");
        let mut scene = Scene::new(seed, plan);
        for _ in 0..plan.steps {
            scene.step(plan);
        }
        scene.come_together();
        scene.judge(plan);
        assert!(scene.sent.len() > plan.steps / 20, "only {} were sent", scene.sent.len());
        scene.clear();
    }
}

fn limits(plan: Plan) -> Limits {
    let out_buffer_bytes_max = if plan.is_narrow { 64 } else { wide().out_buffer_bytes_max };
    Limits { out_buffer_bytes_max, ..wide() }
}

const CALM: Plan = Plan { shards: 1, steps: 3000, may_crash: false, members_may_leave: false, is_narrow: false };

#[test]
fn one_shard_whose_clients_come_and_go() {
    run(Plan { members_may_leave: true, ..CALM });
}

#[test]
fn one_shard_that_crashes() {
    run(Plan { members_may_leave: true, may_crash: true, ..CALM });
}

#[test]
fn three_shards_with_members_that_stay() {
    run(Plan { shards: 3, ..CALM });
}

#[test]
fn three_shards_whose_clients_come_and_go() {
    run(Plan { shards: 3, members_may_leave: true, ..CALM });
}

#[test]
fn two_shards_with_clients_that_are_slow_to_read() {
    run(Plan { shards: 2, members_may_leave: true, is_narrow: true, ..CALM });
}

#[test]
fn two_shards_that_crash() {
    run(Plan { shards: 2, members_may_leave: true, may_crash: true, ..CALM });
}
