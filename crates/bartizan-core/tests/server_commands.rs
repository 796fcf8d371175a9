//! Commands that clients publish to the broker itself: taken up or refused, and never anybody else's to see.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use std::sync::Arc;

use bartizan_core::event::What;
use bartizan_core::policy::{CONTROL_TOPIC, Image};
use bartizan_core::server::apply::Change;
use bartizan_core::server::command::CONTROL_REQUESTS_MAX;
use bartizan_core::wire::{QoS, ReasonCode, Version};
use server_world::client::{Client, Will, rest};
use server_world::{OPEN, World, wide};

/// `admin` sends commands and reads all that is below their topic; `all` may do everything that `#` reaches.
const POLICY: &str = r#"{"format":3,"roles":[
  {"name":"admin","limits":{},"rules":[
    {"name":"c","effect":"permit","actions":["publish"],"qos_max":2,"retain":true,
     "pattern":[{"lit":"$CONTROL"},{"lit":"dynamic-security"},{"lit":"v1"}]},
    {"name":"r","effect":"permit","actions":["subscribe"],"qos_max":2,"retain":true,
     "pattern":[{"lit":"$CONTROL"},{"lit":"dynamic-security"},"many"]}]},
  {"name":"all","limits":{},"rules":[
    {"name":"a","effect":"permit","actions":["publish","subscribe"],"pattern":["many"],"qos_max":2,"retain":true}]}]}"#;

const IDENTITIES: [(&str, &[&str]); 3] = [("a", &["admin", "all"]), ("b", &["admin", "all"]), ("o", &["all"])];
const EVERYTHING: [&str; 2] = ["#", "$CONTROL/dynamic-security/#"];

fn world(shards: usize) -> World {
    let world = World::under(POLICY, shards, wide(), &IDENTITIES);
    world.take_commands();
    world
}

fn joined(world: &mut World, name: &str, identity: &str, version: Version) -> Client {
    let mut client = Client::new(name, identity, version);
    client.connect(world, 0);
    world.settle();
    client.read(world);
    assert!(client.is_connected, "{name}: {:?}", client.last_reason);
    client
}

fn subscribed(world: &mut World, name: &str, identity: &str, filters: &[&str]) -> Client {
    let mut client = joined(world, name, identity, Version::V5);
    for filter in filters {
        client.subscribe(world, filter, QoS::ExactlyOnce);
    }
    rest(world, &mut [&mut client]);
    client
}

fn payloads(client: &Client) -> Vec<&str> {
    client.got.iter().map(|got| got.payload.as_str()).collect()
}

fn limits_met(world: &World) -> Vec<(&'static str, &'static str)> {
    world
        .events
        .iter()
        .filter_map(|what| match what {
            What::LimitMet { limit, effect } => Some((*limit, *effect)),
            _ => None,
        })
        .collect()
}

fn denials(world: &World) -> Vec<(&'static str, &'static str)> {
    world
        .events
        .iter()
        .filter_map(|what| match what {
            What::Denied { action, why, .. } => Some((*action, *why)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_command_is_acknowledged_goes_up_and_nowhere_else() {
    for shards in [1, 3] {
        for version in [Version::V311, Version::V5] {
            let mut world = world(shards);
            let mut reader = subscribed(&mut world, "r", "b", &EVERYTHING);
            let mut admin = joined(&mut world, "w", "a", version);
            for (qos, says) in [(QoS::AtMostOnce, "0"), (QoS::AtLeastOnce, "1"), (QoS::ExactlyOnce, "2")] {
                admin.publish(&mut world, CONTROL_TOPIC, says, qos, true);
            }
            rest(&mut world, &mut [&mut reader, &mut admin]);
            assert_eq!((admin.acknowledged.len(), admin.under_way()), (2, 0), "{shards} {version:?}");
            let from = |says: &str| ("w".to_owned(), says.to_owned());
            assert_eq!(world.commands(), [from("0"), from("1"), from("2")]);
            assert_eq!(payloads(&reader), [""; 0]);
            assert_eq!(world.common.retained().store.len(), 0);
            let mut late = subscribed(&mut world, "late", "b", &EVERYTHING);
            rest(&mut world, &mut [&mut late]);
            assert_eq!(payloads(&late), [""; 0]);
        }
    }
}

#[test]
fn a_command_of_qos_2_that_comes_again_is_one() {
    for version in [Version::V311, Version::V5] {
        let mut world = world(1);
        let mut admin = joined(&mut world, "w", "a", version);
        admin.publish(&mut world, CONTROL_TOPIC, "once", QoS::ExactlyOnce, false);
        world.settle();
        // Its PUBREC is never read.
        admin.drop_connection(&mut world);
        admin.connect(&mut world, 0);
        rest(&mut world, &mut [&mut admin]);
        assert!(admin.session_present);
        assert_eq!((admin.under_way(), world.commands().len()), (0, 1), "{version:?}");
    }
}

#[test]
fn beyond_the_bound_commands_are_refused_or_dropped_and_counted() {
    let mut world = world(1);
    let mut admin = joined(&mut world, "w", "a", Version::V5);
    let mut old = joined(&mut world, "v", "b", Version::V311);
    for _ in 0..CONTROL_REQUESTS_MAX {
        admin.publish(&mut world, CONTROL_TOPIC, "x", QoS::AtMostOnce, false);
    }
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        admin.publish(&mut world, CONTROL_TOPIC, "more", qos, false);
    }
    rest(&mut world, &mut [&mut admin]);
    assert_eq!((admin.acknowledged.len(), admin.under_way()), (0, 0), "both were refused");
    let limit = "control_requests_max";
    let refused = (limit, "message refused");
    assert_eq!(limits_met(&world), [(limit, "message dropped"), refused, refused]);
    assert_eq!((world.total("limits_met/control_requests_max"), world.total("publish_dropped")), (3, 3));
    // 3.1.1 has no word for it.
    old.publish(&mut world, CONTROL_TOPIC, "more", QoS::AtLeastOnce, false);
    rest(&mut world, &mut [&mut old]);
    assert!(!old.is_connected);
    assert_eq!(world.commands().len(), CONTROL_REQUESTS_MAX);
    admin.publish(&mut world, CONTROL_TOPIC, "now", QoS::AtLeastOnce, false);
    rest(&mut world, &mut [&mut admin]);
    assert_eq!((admin.acknowledged.len(), world.commands().len()), (1, 1));
}

#[test]
fn where_nobody_takes_commands_they_are_denied() {
    let mut world = World::under(POLICY, 1, wide(), &IDENTITIES);
    let mut admin = joined(&mut world, "w", "a", Version::V5);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        admin.publish(&mut world, CONTROL_TOPIC, "x", qos, false);
    }
    rest(&mut world, &mut [&mut admin]);
    assert_eq!((admin.acknowledged.len(), admin.under_way()), (0, 0));
    assert_eq!(denials(&world), [("publish", "server_topic"); 3]);
    assert!(admin.is_connected);
    assert!(world.commands().is_empty());
}

#[test]
fn who_is_not_permitted_by_that_very_name_sends_none() {
    let mut world = world(1);
    let mut other = joined(&mut world, "w", "o", Version::V5);
    other.publish(&mut world, CONTROL_TOPIC, "x", QoS::AtLeastOnce, false);
    rest(&mut world, &mut [&mut other]);
    assert_eq!((other.acknowledged.len(), other.under_way()), (0, 0));
    assert_eq!(denials(&world), [("publish", "no_permit")]);
    assert!(world.commands().is_empty());
}

#[test]
fn a_will_is_no_command() {
    let mut world = world(1);
    let mut admin = Client::new("w", "a", Version::V5);
    admin.will = Some(Will { topic: CONTROL_TOPIC.into(), payload: "x".into(), delay_s: 0 });
    admin.connect(&mut world, 0);
    world.settle();
    admin.read(&mut world);
    assert_eq!(admin.last_reason, Some(ReasonCode::NotAuthorized));
    assert_eq!(denials(&world), [("will", "server_topic")]);
    assert!(world.commands().is_empty());
}

#[test]
fn an_answer_goes_to_who_asked_and_is_subscribed_or_to_all_who_are() {
    for shards in [1, 3] {
        let mut world = world(shards);
        let response = format!("{CONTROL_TOPIC}/response");
        let mut asker = subscribed(&mut world, "asker", "a", &[&response, "$CONTROL/dynamic-security/#"]);
        let mut other = subscribed(&mut world, "other", "b", &[&response]);
        let mut wide = subscribed(&mut world, "wide", "o", &["#", "$CONTROL/#"]);
        let mut silent = subscribed(&mut world, "silent", "a", &[]);
        for client in [Some("asker"), Some("silent"), Some("nobody"), Some("wide")] {
            world.reply(client, "one");
        }
        rest(&mut world, &mut [&mut asker, &mut other, &mut wide, &mut silent]);
        assert_eq!(payloads(&asker), ["one"], "once, though two Subscriptions match");
        let got = &asker.got[0];
        assert_eq!((got.topic.as_str(), got.qos, got.retain), (&*response, QoS::AtMostOnce, false));
        for unasked in [&other, &wide, &silent] {
            assert_eq!(payloads(unasked), [""; 0], "{}", unasked.name);
        }
        world.reply(None, "all");
        rest(&mut world, &mut [&mut asker, &mut other, &mut wide, &mut silent]);
        assert_eq!((payloads(&asker), payloads(&other)), (vec!["one", "all"], vec!["all"]));
        assert_eq!((payloads(&wide).len(), payloads(&silent).len()), (0, 0));
        // Nobody finds it there later.
        assert_eq!(world.common.retained().store.len(), 0);
    }
}

#[test]
fn what_waits_is_a_command_no_more_once_its_sender_may_send_none() {
    for shards in [1, 3] {
        let mut world = world(shards);
        let mut one = joined(&mut world, "one", "a", Version::V5);
        let mut two = joined(&mut world, "two", "b", Version::V5);
        let mut send = |world: &mut World| {
            one.publish(world, CONTROL_TOPIC, "x", QoS::AtLeastOnce, false);
            two.publish(world, CONTROL_TOPIC, "x", QoS::AtLeastOnce, false);
            rest(world, &mut [&mut one, &mut two]);
        };
        send(&mut world);
        world.set_roles(&IDENTITIES);
        assert_eq!(world.commands().len(), 2, "nothing was taken from them");
        send(&mut world);
        world.set_roles(&[IDENTITIES[0], ("b", &["all"]), IDENTITIES[2]]);
        assert_eq!(world.commands(), [("one".to_owned(), "x".to_owned())]);
        assert_eq!(denials(&world), [("publish", "no_permit")]);
        world.set_roles(&IDENTITIES);
        send(&mut world);
        world.update(&[("b", None)], &["b"]);
        assert_eq!(world.commands(), [("one".to_owned(), "x".to_owned())]);
    }
}

#[test]
fn another_policy_takes_commands_away_too() {
    let mut world = world(2);
    let mut admin = joined(&mut world, "w", "a", Version::V5);
    admin.publish(&mut world, CONTROL_TOPIC, "x", QoS::AtLeastOnce, false);
    rest(&mut world, &mut [&mut admin]);
    let epoch = world.change.epoch + 1;
    let image = Arc::new(Image::load(OPEN.as_bytes()).unwrap());
    world.apply(Change { image, epoch, ..world.change.clone() });
    assert!(world.commands().is_empty());
    assert_eq!(denials(&world), [("publish", "no_permit")]);
}
