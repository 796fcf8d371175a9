//! What identities do is counted once somebody looks: by second, by identity, and what they were not seen doing lately.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use bartizan_core::server::activity::{Activity, Counts, RoleRow};
use bartizan_core::server::fresh::FRESH_MAX;
use bartizan_core::server::observations::Action;
use bartizan_core::topic::topic_hash;
use bartizan_core::wire::{QoS, Version};
use server_world::client::{Client, Will, rest};
use server_world::{World, wide};

/// `device` has everything below `t`.
const POLICY: &str = r#"{"format":3,"roles":[{"name":"device","limits":{},"rules":[{"name":"r","effect":"permit",
    "actions":["publish","subscribe"],"pattern":[{"lit":"t"},"many"],"qos_max":2,"retain":true}]}]}"#;

const SECOND_MS: u64 = 1_000;

/// A world at the beginning of a second, at which somebody has looked once.
fn world(shards: usize) -> World {
    let mut world = World::under(POLICY, shards, wide(), &[("d", &["device"]), ("e", &["device"])]);
    world.watch(None, false);
    assert_eq!(world.activity(), Activity::default());
    world
}

fn joined(world: &mut World, name: &str, identity: &str) -> Client {
    let mut client = Client::new(name, identity, Version::V5);
    client.connect(world, 0);
    rest(world, &mut [&mut client]);
    assert!(client.is_connected);
    client
}

fn publish(world: &mut World, client: &mut Client, topic: &str, payload: &str, retain: bool) {
    client.publish(world, topic, payload, QoS::AtMostOnce, retain);
    rest(world, &mut [client]);
}

/// What the only identity that did anything did.
fn only(activity: &Activity) -> Counts {
    let [window] = &activity.windows[..] else { panic!("{activity:?}") };
    window.counts
}

fn bit(topic: &str) -> u64 {
    1 << (topic_hash(topic) % 64)
}

fn fresh(activity: &Activity) -> Vec<(&str, Action, &str)> {
    activity.fresh.iter().map(|one| (&*one.identity, one.action, &*one.topic)).collect()
}

#[test]
fn nothing_is_counted_before_somebody_looks_or_where_nothing_is_watched() {
    let mut world = World::under(POLICY, 1, wide(), &[("d", &["device"])]);
    let mut device = joined(&mut world, "d", "d");
    assert_eq!(world.activity(), Activity::default());
    publish(&mut world, &mut device, "t/a", "x", false);
    assert_eq!(world.activity(), Activity::default());
    world.watch(None, false);
    publish(&mut world, &mut device, "t/a", "x", false);
    assert_eq!(world.activity(), Activity::default());
    publish(&mut world, &mut device, "t/a", "x", false);
    assert_eq!(only(&world.activity()).publishes, 1);
    world.look_away();
    publish(&mut world, &mut device, "t/a", "x", false);
    assert_eq!(world.activity(), Activity::default());
}

#[test]
fn everything_that_a_client_does_is_counted_and_the_greatest_second_is_told() {
    let mut world = world(1);
    let mut device = joined(&mut world, "d", "d");
    for payload in ["1", "22", "333"] {
        publish(&mut world, &mut device, "t/a", payload, false);
    }
    world.advance(SECOND_MS);
    publish(&mut world, &mut device, "t/b", "4444", true);
    publish(&mut world, &mut device, "no", "55555", false);
    device.subscribe(&mut world, "t/#", QoS::AtMostOnce);
    device.subscribe(&mut world, "no/#", QoS::AtMostOnce);
    device.ping(&mut world);
    rest(&mut world, &mut [&mut device]);
    let expected = Counts {
        publishes: 5,
        octets: 15,
        size_max: 5,
        peak_publishes_per_s: 3,
        peak_octets_per_s: 9,
        active_s: 2,
        denied: 2,
        subscribes: 2,
        retained: 1,
        wills: 0,
        pings: 1,
        topics: bit("t/a") | bit("t/b"),
    };
    assert_eq!(only(&world.activity()), expected);
    world.advance(SECOND_MS);
    assert_eq!(world.activity(), Activity::default());
}

#[test]
fn a_second_that_two_looks_share_is_one_second() {
    let mut world = world(1);
    let mut device = joined(&mut world, "d", "d");
    let mut send = |world: &mut World, count: usize| {
        for _ in 0..count {
            publish(world, &mut device, "t/a", "x", false);
        }
        let told = world.activity();
        let counts = only(&told);
        (counts.publishes, counts.peak_publishes_per_s, counts.active_s)
    };
    assert_eq!(send(&mut world, 3), (3, 3, 1));
    assert_eq!(send(&mut world, 2), (2, 5, 0));
    world.advance(SECOND_MS);
    assert_eq!(send(&mut world, 1), (1, 1, 1));
}

#[test]
fn clients_of_one_identity_are_one_and_others_are_others() {
    let mut world = world(1);
    let mut clients: Vec<Client> =
        [("d-1", "d"), ("d-2", "d"), ("e", "e")].into_iter().map(|(name, who)| joined(&mut world, name, who)).collect();
    for (client, count) in clients.iter_mut().zip([2, 3, 1]) {
        for _ in 0..count {
            publish(&mut world, client, "t/a", "x", false);
        }
    }
    let told = world.activity();
    let rows: Vec<_> = told
        .windows
        .iter()
        .map(|window| (&*window.identity, window.counts.publishes, window.counts.peak_publishes_per_s))
        .collect();
    assert_eq!(rows, [("d", 5, 3), ("e", 1, 1)]);
}

#[test]
fn what_clients_do_is_added_up_by_role_and_of_who_has_several_each_counts() {
    let who = [("d", &["device"][..]), ("e", &["device", "logger"])];
    let mut world = World::under(POLICY, 1, wide(), &who);
    world.watch(None, false);
    assert_eq!(world.activity(), Activity::default());
    let (mut first, mut second) = (joined(&mut world, "d", "d"), joined(&mut world, "e", "e"));
    publish(&mut world, &mut first, "t/a", "22", false);
    publish(&mut world, &mut second, "t/a", "333", false);
    publish(&mut world, &mut second, "no", "1", false);
    let rows = [RoleRow("device".into(), 3, 6, 1), RoleRow("logger".into(), 2, 4, 1)];
    assert_eq!(world.activity().roles, rows);
    world.advance(SECOND_MS);
    second.ping(&mut world);
    rest(&mut world, &mut [&mut second]);
    assert_eq!(world.activity().roles, []);
}

#[test]
fn what_a_connection_did_before_it_ended_is_told_and_a_new_one_counts_anew() {
    for shards in [1, 3] {
        let mut world = world(shards);
        let mut device = joined(&mut world, "d", "d");
        publish(&mut world, &mut device, "t/a", "x", false);
        device.disconnect(&mut world);
        let mut device = joined(&mut world, "d", "d");
        publish(&mut world, &mut device, "t/a", "x", false);
        let told = world.activity();
        assert_eq!(told.windows.iter().map(|window| window.counts.publishes).sum::<u32>(), 2, "{shards} shards");
        publish(&mut world, &mut device, "t/a", "x", false);
        assert_eq!(only(&world.activity()).publishes, 1, "{shards} shards");
    }
}

#[test]
fn a_will_counts_when_it_is_left_and_when_it_comes_due_also_where_it_is_refused() {
    let mut world = world(1);
    let mut device = Client::new("d", "d", Version::V5);
    device.will = Some(Will { topic: "t/gone".into(), payload: "x".into(), delay_s: 0 });
    device.connect(&mut world, 0);
    rest(&mut world, &mut [&mut device]);
    let told = world.activity();
    assert_eq!((only(&told).wills, only(&told).denied), (1, 0));
    assert_eq!(fresh(&told), [("d", Action::Will, "t/gone")]);
    device.drop_connection(&mut world);
    world.settle();
    let told = world.activity();
    assert_eq!((only(&told).wills, fresh(&told)), (1, vec![]));
    device.will = Some(Will { topic: "no".into(), payload: "x".into(), delay_s: 0 });
    device.connect(&mut world, 0);
    rest(&mut world, &mut [&mut device]);
    assert!(!device.is_connected);
    let told = world.activity();
    assert_eq!((only(&told).wills, only(&told).denied), (1, 1));
    assert!(fresh(&told).is_empty());
}

#[test]
fn what_was_not_seen_lately_is_told_once_over_many_looks_and_what_is_denied_is_not() {
    for shards in [1, 2] {
        let mut world = world(shards);
        let mut device = joined(&mut world, "d-1", "d");
        for _ in 0..2 {
            publish(&mut world, &mut device, "t/a", "x", false);
            publish(&mut world, &mut device, "t/b", "x", false);
            publish(&mut world, &mut device, "no", "x", false);
        }
        device.subscribe(&mut world, "t/+", QoS::AtMostOnce);
        device.subscribe(&mut world, "$share/g/t/#", QoS::AtMostOnce);
        device.subscribe(&mut world, "#", QoS::AtMostOnce);
        rest(&mut world, &mut [&mut device]);
        let told = world.activity();
        let expected = [
            ("d", Action::Publish, "t/a"),
            ("d", Action::Publish, "t/b"),
            ("d", Action::Subscribe, "t/#"),
            ("d", Action::Subscribe, "t/+"),
        ];
        assert_eq!(fresh(&told), expected, "{shards} shards");
        let first = &told.fresh[0];
        assert_eq!((&*first.client_id, &*first.rule, first.at_ms), ("d-1", "r", world.now.0));
        assert_eq!(told.lost.fresh, 0);
        // Decisions are noted anew after each look at them; what is fresh is not.
        world.observed();
        publish(&mut world, &mut device, "t/a", "x", false);
        publish(&mut world, &mut device, "t/c", "x", false);
        assert_eq!(fresh(&world.activity()), [("d", Action::Publish, "t/c")], "{shards} shards");
    }
}

#[test]
fn a_flood_of_topics_is_bounded_and_what_is_not_told_comes_again() {
    let mut world = world(1);
    let mut device = joined(&mut world, "d", "d");
    let flood = |world: &mut World, device: &mut Client, from: usize| {
        for n in from..FRESH_MAX + 50 {
            device.publish(world, &format!("t/{n}"), "x", QoS::AtMostOnce, false);
        }
        rest(world, &mut [device]);
        world.activity()
    };
    let told = flood(&mut world, &mut device, 0);
    assert_eq!((told.fresh.len(), told.lost.fresh), (FRESH_MAX, 50));
    assert_eq!(only(&told).topics, u64::MAX);
    world.observed();
    let again = flood(&mut world, &mut device, FRESH_MAX);
    assert_eq!((again.fresh.len(), again.lost.fresh), (50, 0));
}
