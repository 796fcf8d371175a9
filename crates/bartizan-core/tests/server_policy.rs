//! Random schedules under a policy that changes: once a change is in force, nothing that it does
//! not permit is sent, from wherever it was on its way (I12).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]
#![allow(clippy::print_stdout, reason = "what runs is shown when it fails")]

mod server_world;

use bartizan_core::wire::{QoS, ReasonCode, SubscriptionOptions, Version};
use server_world::client::Client;
use server_world::{Dice, World, wide};

/// `some` reads `t/a` and not `t/b`; `most` reads `t/#` but for `t/b`.
const POLICY: &str = r#"{"format":3,"roles":[
  {"name":"all","limits":{},"rules":[
    {"name":"a","effect":"permit","actions":["publish","subscribe"],"pattern":["many"],"qos_max":2,"retain":true}]},
  {"name":"most","limits":{},"rules":[
    {"name":"m","effect":"permit","actions":["publish","subscribe"],"pattern":[{"lit":"t"},"many"],"qos_max":2,"retain":true},
    {"name":"n","effect":"forbid","actions":["publish","subscribe"],"pattern":[{"lit":"t"},{"lit":"b"}],"qos_max":2,"retain":true}]},
  {"name":"some","limits":{},"rules":[
    {"name":"s","effect":"permit","actions":["publish","subscribe"],"pattern":[{"lit":"t"},{"lit":"a"}],"qos_max":2,"retain":true}]}]}"#;

const TOPICS: [&str; 3] = ["t/a", "t/b", "t/c"];
const FILTERS: [&str; 5] = ["t/a", "t/#", "t/b", "$share/g/t/#", "$share/h/t/b"];
const ROLES: [Option<&str>; 4] = [Some("all"), Some("most"), Some("some"), None];

fn permits(role: Option<&str>, topic: &str) -> bool {
    match role {
        Some("all") => true,
        Some("most") => topic != "t/b",
        Some("some") => topic == "t/a",
        _ => false,
    }
}

struct Scene {
    world: World,
    dice: Dice,
    writer: Client,
    readers: Vec<Client>,
    /// The role of each reader's identity.
    roles: [Option<&'static str>; 3],
    sent: usize,
    received: usize,
}

impl Scene {
    fn new(seed: u64, shards: usize) -> Scene {
        let names: [(&str, &[&str]); 4] = [("w", &["all"]), ("i0", &["all"]), ("i1", &["all"]), ("i2", &["all"])];
        let mut world = World::under(POLICY, shards, wide(), &names);
        let mut writer = Client::new("w", "w", Version::V5);
        writer.connect(&mut world, 0);
        world.settle();
        writer.read(&mut world);
        let version = |at| if at == 2 { Version::V311 } else { Version::V5 };
        let readers = (0..3).map(|at| Client::new(&format!("r{at}"), &format!("i{at}"), version(at))).collect();
        Scene { world, dice: Dice(seed), writer, readers, roles: [Some("all"); 3], sent: 0, received: 0 }
    }

    /// Reads what came, which the policy of now has to permit.
    fn read(&mut self, at: usize) {
        self.world.flush_all();
        let reader = &mut self.readers[at];
        let before = reader.got.len();
        reader.read(&mut self.world);
        for got in &reader.got[before..] {
            assert!(permits(self.roles[at], &got.topic), "{} as {:?}: {got:?}", reader.name, self.roles[at]);
        }
        self.received += reader.got.len() - before;
    }

    fn change(&mut self) {
        // What was sent before is judged by the policy of before.
        (0..3).for_each(|at| self.read(at));
        let at = self.dice.below(3);
        self.roles[at] = ROLES[self.dice.below(4)];
        let names = ["i0", "i1", "i2"];
        let roles: Vec<[&str; 1]> = self.roles.iter().map(|role| [role.unwrap_or_default()]).collect();
        let mut identities: Vec<(&str, &[&str])> = vec![("w", &["all"])];
        identities.extend((0..3).filter(|at| self.roles[*at].is_some()).map(|at| (names[at], &roles[at][..])));
        self.world.set_roles(&identities);
        for at in 0..3 {
            // Only the last word to who may not be connected any more may still come.
            self.read(at);
            let reader = &self.readers[at];
            assert!(self.roles[at].is_some() || reader.socket.is_none() || !reader.is_connected);
        }
    }

    fn step(&mut self) {
        let at = self.dice.below(3);
        match self.dice.below(100) {
            0..25 => self.publish(),
            25..50 => (0..12).for_each(|_| self.world.stir(&mut self.dice)),
            50..70 => {
                self.read(at);
                let some = self.dice.below(4);
                self.readers[at].answer(&mut self.world, some);
                self.writer.read(&mut self.world);
            }
            70..80 => self.subscribe(at),
            80..83 => self.change(),
            83..90 if self.readers[at].socket.is_some() => {
                self.read(at);
                self.readers[at].drop_connection(&mut self.world);
            }
            83..98 if self.readers[at].socket.is_none() => {
                let shard = self.dice.below(self.world.shards());
                self.readers[at].connect(&mut self.world, shard);
            }
            _ => {}
        }
    }

    fn publish(&mut self) {
        if self.writer.under_way() >= 8 {
            return;
        }
        let topic = TOPICS[self.dice.below(3)];
        let qos = QoS::from_bits(u8::try_from(self.dice.below(3)).unwrap()).unwrap();
        self.sent += 1;
        self.writer.publish(&mut self.world, topic, &format!("{}", self.sent), qos, self.dice.once_in(4));
    }

    fn subscribe(&mut self, at: usize) {
        if !self.readers[at].is_connected {
            return;
        }
        let filter = FILTERS[self.dice.below(FILTERS.len())];
        if self.dice.once_in(4) {
            self.readers[at].unsubscribe(&mut self.world, filter);
        } else {
            let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
            self.readers[at].subscribe_with(&mut self.world, filter, options);
        }
    }

    /// Whoever is unknown cannot come back, and all counts end at zero.
    fn end(&mut self) {
        self.world.settle();
        for at in 0..3 {
            self.read(at);
            let reader = &mut self.readers[at];
            reader.drop_connection(&mut self.world);
            (reader.clean_start, reader.expiry_s) = (true, 0);
            reader.connect(&mut self.world, 0);
            self.world.settle();
            reader.read(&mut self.world);
            assert_eq!(reader.is_connected, self.roles[at].is_some());
            if self.roles[at].is_none() {
                assert_eq!(reader.last_reason, Some(ReasonCode::NotAuthorized));
            }
            reader.disconnect(&mut self.world);
        }
        // Sessions of those who may not come back end by themselves.
        self.world.advance(4_000_000_000);
        self.world.settle();
        self.world.advance(4_000_000_000);
        self.world.settle();
        for name in ["subscriptions", "shared_subscriptions", "queued_messages", "queued_bytes"] {
            assert_eq!(self.world.total(name), 0, "{name}");
        }
        assert!(TOPICS.iter().all(|topic| !self.world.is_interested(topic)));
    }
}

fn run(shards: usize) {
    let schedules = std::env::var("BARTIZAN_SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    let first: u64 = std::env::var("BARTIZAN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut received = 0;
    for seed in first..first + schedules {
        println!("seed {seed}");
        let mut scene = Scene::new(seed, shards);
        (0..3_000).for_each(|_| scene.step());
        scene.end();
        received += scene.received;
    }
    assert!(received > 50, "only {received} messages were received");
}

#[test]
fn one_shard_whose_policy_changes() {
    run(1);
}

#[test]
fn three_shards_whose_policy_changes() {
    run(3);
}
