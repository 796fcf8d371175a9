//! Who is connected, what is subscribed to and how much topics carry: looked up by what is asked for.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use bartizan_core::server::carried::Carried;
use bartizan_core::server::inspect::Sought;
use bartizan_core::server::listing::Listed;
use bartizan_core::wire::{QoS, Version};
use server_world::client::{Client, rest};
use server_world::{World, wide};

/// `device` has everything below `t`.
const POLICY: &str = r#"{"format":3,"roles":[{"name":"device","limits":{},"rules":[{"name":"r","effect":"permit",
    "actions":["publish","subscribe"],"pattern":[{"lit":"t"},"many"],"qos_max":2,"retain":true}]}]}"#;

fn world() -> World {
    World::under(POLICY, 2, wide(), &[("d", &["device"]), ("e", &["device"])])
}

fn joined(world: &mut World, name: &str, identity: &str) -> Client {
    let mut client = Client::new(name, identity, Version::V5);
    client.connect(world, 0);
    rest(world, &mut [&mut client]);
    assert!(client.is_connected);
    client
}

#[test]
fn clients_are_listed_by_identity_by_name_and_in_pages() {
    let mut world = world();
    let _clients: Vec<Client> =
        [("a", "d"), ("b", "e"), ("c", "d")].map(|(name, identity)| joined(&mut world, name, identity)).into();
    let all = Listed { limit: 10, ..Listed::default() };
    let listed = |listed: Listed| {
        let mut names = world.listed(&listed);
        names.sort();
        names.concat()
    };
    assert_eq!(listed(all.clone()), "abc");
    assert_eq!(listed(Listed { identity: Some("d".into()), ..all.clone() }), "ac");
    assert_eq!(listed(Listed { client_id: Some("b".into()), ..all.clone() }), "b");
    assert_eq!(listed(Listed { client_id: Some("b".into()), identity: Some("d".into()), ..all.clone() }), "");
    assert_eq!(listed(Listed { after: "a".into(), ..all.clone() }), "bc");
    assert_eq!(listed(Listed { limit: 0, ..all }), "");
}

#[test]
fn subscriptions_are_found_by_whose_they_are_and_by_what_they_match_also_of_who_is_away() {
    let mut world = world();
    let mut clients: Vec<Client> =
        [("a", "d"), ("b", "e"), ("c", "d")].map(|(name, identity)| joined(&mut world, name, identity)).into();
    for client in &mut clients {
        client.subscribe(&mut world, "t/+", QoS::AtLeastOnce);
        client.subscribe(&mut world, "$share/g/t/x/#", QoS::AtMostOnce);
        rest(&mut world, &mut [client]);
    }
    clients[0].drop_connection(&mut world);
    let held = |sought: Sought| {
        let pages = [1, 2, 100].map(|sessions_max| world.held(&sought, sessions_max));
        assert_eq!(pages[0], pages[2]);
        assert_eq!(pages[1], pages[2]);
        let [.., all] = pages;
        let told = |one: &bartizan_core::server::inspect::HeldSubscription| {
            format!("{}{} {}", one.client_id, if one.is_connected { "" } else { "!" }, one.subscription.filter)
        };
        all.iter().map(told).collect::<Vec<String>>()
    };
    assert_eq!(held(Sought::default()).len(), 6);
    let of_d = Sought { identity: Some("d".into()), ..Sought::default() };
    assert_eq!(held(of_d), ["a! $share/g/t/x/#", "a! t/+", "c $share/g/t/x/#", "c t/+"]);
    let of_b = Sought { client_id: Some("b".into()), topic: Some("t/x".into()), ..Sought::default() };
    assert_eq!(held(of_b), ["b $share/g/t/x/#", "b t/+"]);
    let matching = Sought { topic: Some("t/x/y".into()), ..Sought::default() };
    assert_eq!(held(matching).len(), 3);
    assert!(held(Sought { topic: Some("u".into()), ..Sought::default() }).is_empty());
}

#[test]
fn what_topics_carry_is_counted_from_the_first_question_on_until_nobody_asks() {
    let mut world = world();
    let mut device = joined(&mut world, "a", "d");
    let mut publish = |world: &mut World, topic: &str, payload: &str| {
        device.publish(world, topic, payload, QoS::AtMostOnce, false);
        rest(world, &mut [&mut device]);
    };
    publish(&mut world, "t/x", "1");
    assert!(world.traffic().is_empty(), "nobody watches");
    world.watch(None, false);
    publish(&mut world, "t/x", "1");
    assert!(world.traffic().is_empty(), "nobody had asked");
    for topic in ["t/x", "t/y", "t/x", "denied"] {
        publish(&mut world, topic, "22");
    }
    let carried = |messages, bytes| Carried { messages, bytes };
    assert_eq!(world.traffic(), [("t/x".into(), carried(2, 4)), ("t/y".into(), carried(1, 2))]);
    world.advance(59_000);
    publish(&mut world, "t/y", "333");
    assert_eq!(world.traffic(), [("t/x".into(), carried(2, 4)), ("t/y".into(), carried(2, 5))]);
    world.advance(60_000);
    publish(&mut world, "t/y", "333");
    assert!(world.traffic().is_empty(), "it has ended, and begins anew");
}
