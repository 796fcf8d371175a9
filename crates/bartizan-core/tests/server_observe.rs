//! Decisions watched: every one that is really taken is noted once, and nothing is decided otherwise for it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use bartizan_core::server::observations::{Action, DENIALS_MAX, Observations, Row};
use bartizan_core::wire::{QoS, Version};
use server_world::client::{Client, Will, rest};
use server_world::{World, wide};

/// `plain` has `t/#`, `reads` has it but for `t/secret`; `writes` has one level below `t`.
const LIVE: &str = r#"{"format":3,"roles":[
  {"name":"plain","limits":{},"rules":[
    {"name":"plain.all","effect":"permit","actions":["subscribe"],"pattern":[{"lit":"t"},"many"],"qos_max":2,"retain":true}]},
  {"name":"reads","limits":{},"rules":[
    {"name":"reads.all","effect":"permit","actions":["subscribe"],"pattern":[{"lit":"t"},"many"],"qos_max":2,"retain":true},
    {"name":"reads.not","effect":"forbid","actions":["subscribe"],"pattern":[{"lit":"t"},{"lit":"secret"}],"qos_max":2,"retain":true}]},
  {"name":"writes","limits":{},"rules":[
    {"name":"writes.all","effect":"permit","actions":["publish"],"pattern":[{"lit":"t"},"one"],"qos_max":1,"retain":true}]}]}"#;

/// The same, but those who read have not `t/b`, and `writes` has `t/a` and `u` alone.
const STAGED: &str = r#"{"format":3,"roles":[
  {"name":"plain","limits":{},"rules":[
    {"name":"s.plain","effect":"permit","actions":["subscribe"],"pattern":[{"lit":"t"},"many"],"qos_max":2,"retain":true},
    {"name":"s.no","effect":"forbid","actions":["subscribe"],"pattern":[{"lit":"t"},{"lit":"b"}],"qos_max":2,"retain":true}]},
  {"name":"reads","limits":{},"rules":[
    {"name":"s.reads","effect":"permit","actions":["subscribe"],"pattern":[{"lit":"t"},"many"],"qos_max":2,"retain":true},
    {"name":"s.not","effect":"forbid","actions":["subscribe"],"pattern":[{"lit":"t"},{"lit":"b"}],"qos_max":2,"retain":true}]},
  {"name":"writes","limits":{},"rules":[
    {"name":"s.a","effect":"permit","actions":["publish"],"pattern":[{"lit":"t"},{"lit":"a"}],"qos_max":2,"retain":true},
    {"name":"s.u","effect":"permit","actions":["publish"],"pattern":[{"lit":"u"}],"qos_max":2,"retain":true}]}]}"#;

const IDENTITIES: &[(&str, &[&str])] = &[("p", &["plain"]), ("r", &["reads"]), ("w", &["writes"])];

fn world(shards: usize) -> World {
    World::under(LIVE, shards, wide(), IDENTITIES)
}

fn joined(world: &mut World, name: &str, identity: &str) -> Client {
    let mut client = Client::new(name, identity, Version::V5);
    client.connect(world, 0);
    rest(world, &mut [&mut client]);
    assert!(client.is_connected);
    client
}

fn publish(world: &mut World, client: &mut Client, topics: &[&str]) {
    for topic in topics {
        client.publish(world, topic, "payload", QoS::AtMostOnce, false);
        rest(world, &mut [&mut *client]);
    }
}

fn subscribe(world: &mut World, client: &mut Client, filter: &str) {
    client.subscribe(world, filter, QoS::AtMostOnce);
    rest(world, &mut [client]);
}

fn told(rows: &[Row]) -> Vec<(Action, &str, &str, u64)> {
    rows.iter().map(|row| (row.action, &*row.topic, row.why, row.count)).collect()
}

fn uses(observed: &Observations) -> Vec<(&str, &str)> {
    observed.uses.iter().map(|one| (&*one.identity, &*one.rule)).collect()
}

#[test]
fn nothing_is_noted_where_nobody_looks() {
    let mut world = world(1);
    let mut writer = joined(&mut world, "w", "w");
    publish(&mut world, &mut writer, &["t/a", "v"]);
    assert_eq!(world.observed(), Observations::default());
}

#[test]
fn rules_that_are_used_and_what_is_denied_are_noted() {
    for shards in [1, 2] {
        let mut world = world(shards);
        world.watch(None, false);
        let (mut writer, mut reader) = (joined(&mut world, "w", "w"), joined(&mut world, "r", "r"));
        subscribe(&mut world, &mut reader, "t/#");
        subscribe(&mut world, &mut reader, "t/secret");
        publish(&mut world, &mut writer, &["t/a", "t/a", "t/b", "v", "v", "t/secret"]);
        let observed = world.observed();
        assert_eq!(uses(&observed), [("r", "reads.all"), ("r", "reads.not"), ("w", "writes.all")]);
        let expected = [
            (Action::Subscribe, "t/secret", "forbidden", 1),
            (Action::Receive, "t/secret", "forbidden", 1),
            (Action::Publish, "v", "no_permit", 2),
        ];
        assert_eq!(told(&observed.denials), expected);
        assert_eq!((observed.denials[2].bytes, &*observed.denials[2].client_id), (7, "w"));
        assert!(observed.differences.is_empty() && observed.learned.is_empty());
        // Whoever goes on is noted again; so is a Subscription, once a day.
        publish(&mut world, &mut writer, &["t/a", "t/a"]);
        assert_eq!(uses(&world.observed()), [("r", "reads.all"), ("w", "writes.all")]);
        world.now = world.now.plus_ms(86_400_000);
        let again = world.observed();
        assert!(writer.is_connected && uses(&again).contains(&("r", "reads.all")), "{again:?}");
    }
}

#[test]
fn a_will_that_is_refused_is_noted() {
    let mut world = world(1);
    world.watch(None, false);
    let mut client = Client::new("w", "w", Version::V5);
    client.will = Some(Will { topic: "gone".into(), payload: "x".into(), delay_s: 0 });
    client.connect(&mut world, 0);
    rest(&mut world, &mut [&mut client]);
    assert!(!client.is_connected);
    assert_eq!(told(&world.observed().denials), [(Action::Will, "gone", "no_permit", 1)]);
}

#[test]
fn a_staged_policy_decides_nothing_and_tells_what_it_would() {
    for shards in [1, 3] {
        let mut world = world(shards);
        let (mut writer, mut reader) = (joined(&mut world, "w", "w"), joined(&mut world, "p", "p"));
        subscribe(&mut world, &mut reader, "t/#");
        publish(&mut world, &mut writer, &["t/b"]);
        world.watch(Some(STAGED), false);
        publish(&mut world, &mut writer, &["t/a", "t/b", "t/b", "u"]);
        world.flush_all();
        reader.read(&mut world);
        let got: Vec<&str> = reader.got.iter().map(|got| got.topic.as_str()).collect();
        assert_eq!(got, ["t/b", "t/a", "t/b", "t/b"], "{shards} shards");
        let observed = world.observed();
        let rows: Vec<_> =
            observed.differences.iter().map(|row| (row.action, &*row.topic, row.why, row.staged_why)).collect();
        let expected = [
            (Action::Receive, "t/b", "permitted", "forbidden"),
            (Action::Publish, "t/b", "permitted", "no_permit"),
            (Action::Publish, "u", "no_permit", "permitted"),
        ];
        assert_eq!(rows, expected, "{shards} shards");
        assert_eq!(observed.differences[0].staged_rule.as_deref(), Some("s.no"));
        assert_eq!(observed.differences[1].rule.as_deref(), Some("writes.all"));
        // Once nobody looks any more, deliveries are as they were.
        world.look_away();
        publish(&mut world, &mut writer, &["t/b"]);
        assert_eq!(world.observed(), Observations::default());
        world.flush_all();
        reader.read(&mut world);
        assert_eq!(reader.got.len(), 5);
    }
}

#[test]
fn subscriptions_that_were_there_before_are_looked_at_when_a_policy_is_staged() {
    let mut world = world(1);
    let mut reader = joined(&mut world, "r", "r");
    subscribe(&mut world, &mut reader, "t/b");
    world.watch(Some(STAGED), false);
    let observed = world.observed();
    assert_eq!(told(&observed.differences), [(Action::Subscribe, "t/b", "permitted", 1)]);
}

#[test]
fn a_staged_policy_follows_a_change_of_roles() {
    let mut world = world(1);
    world.watch(Some(STAGED), false);
    let mut writer = joined(&mut world, "w", "w");
    publish(&mut world, &mut writer, &["t/b"]);
    assert_eq!(world.observed().differences.len(), 1);
    world.set_roles(&[("r", &["reads"]), ("w", &["reads"])]);
    publish(&mut world, &mut writer, &["t/b"]);
    // Denied by both.
    assert_eq!(world.observed().differences, []);
}

#[test]
fn what_clients_do_is_learned_and_what_was_denied_is_not() {
    let mut world = world(1);
    world.watch(None, true);
    let (mut writer, mut reader) = (joined(&mut world, "w-1", "w"), joined(&mut world, "r-1", "r"));
    subscribe(&mut world, &mut reader, "t/#");
    publish(&mut world, &mut writer, &["t/a", "t/b", "v"]);
    writer.publish(&mut world, "t/a", "longer payload", QoS::AtLeastOnce, true);
    rest(&mut world, &mut [&mut writer]);
    let observed = world.observed();
    let rows: Vec<_> = observed
        .learned
        .iter()
        .map(|row| (&*row.client_id, row.action, &*row.topic, row.qos, row.retain, row.bytes))
        .collect();
    let expected = [
        ("r-1", Action::Subscribe, "t/#", 0, false, 0),
        ("w-1", Action::Publish, "t/a", 1, true, 14),
        ("w-1", Action::Publish, "t/b", 0, false, 7),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn a_flood_of_denials_takes_bounded_memory_and_says_what_did_not_fit() {
    let mut world = world(1);
    world.watch(None, false);
    let mut writer = joined(&mut world, "w", "w");
    for n in 0..DENIALS_MAX + 100 {
        writer.publish(&mut world, &format!("made/up/{n}"), "x", QoS::AtMostOnce, false);
    }
    rest(&mut world, &mut [&mut writer]);
    let observed = world.observed();
    assert_eq!((observed.denials.len(), observed.lost.denials), (DENIALS_MAX, 100));
    assert_eq!(world.observed(), Observations::default());
}
