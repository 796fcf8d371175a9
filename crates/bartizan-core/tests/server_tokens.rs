//! What a token allows narrows a live Session, one that is resumed, and one that waits for its client.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use std::sync::Arc;

use bartizan_core::policy::{TokenAction, TokenGrants};
use bartizan_core::wire::{QoS, Version};
use server_world::client::{Client, Will, rest};
use server_world::{World, wide};

const IDENTITIES: &[(&str, &[&str])] = &[("x", &["all"]), ("y", &["all"])];
const REFUSED: u8 = 0x87;

fn allow(world: &mut World, name: &str, grants: &[(TokenAction, &str)]) {
    let token = grants.iter().map(|(action, text)| (*action, (*text).to_owned())).collect();
    world.tokens.insert(name.to_owned(), Arc::new(TokenGrants::of(vec![token]).unwrap().unwrap()));
}

fn connected(world: &mut World, name: &str, identity: &str) -> Client {
    let mut client = Client::new(name, identity, Version::V5);
    client.connect(world, 0);
    world.settle();
    client.read(world);
    assert!(client.is_connected, "{:?}", client.last_reason);
    client
}

fn codes(client: &Client) -> Vec<u8> {
    client.subacks.iter().flat_map(|(_, codes)| codes.clone()).collect()
}

fn topics(client: &Client) -> Vec<&str> {
    client.got.iter().map(|got| got.topic.as_str()).collect()
}

fn publish_all(world: &mut World, writer: &mut Client, topics: &[&str]) {
    for topic in topics {
        writer.publish(world, topic, "p", QoS::AtLeastOnce, false);
    }
}

#[test]
fn a_token_narrows_publishing_and_subscribing() {
    let mut world = World::new(2, wide(), IDENTITIES);
    allow(&mut world, "x", &[(TokenAction::Publish, "p/+"), (TokenAction::Subscribe, "s/#")]);
    let (mut narrow, mut free) = (connected(&mut world, "n", "x"), connected(&mut world, "f", "y"));
    free.subscribe(&mut world, "#", QoS::AtLeastOnce);
    for filter in ["s/a/#", "$share/g/s/a", "#", "+/a", "p/a", "$share/g/p/a"] {
        narrow.subscribe(&mut world, filter, QoS::AtLeastOnce);
    }
    rest(&mut world, &mut [&mut narrow, &mut free]);
    assert_eq!(codes(&narrow), [1, 1, REFUSED, REFUSED, REFUSED, REFUSED]);
    publish_all(&mut world, &mut narrow, &["p/a", "s/a", "p/a/b", "x"]);
    publish_all(&mut world, &mut free, &["s/a/b", "p/a"]);
    rest(&mut world, &mut [&mut narrow, &mut free]);
    assert_eq!(topics(&narrow), ["s/a/b"]);
    let mut heard = topics(&free);
    heard.sort_unstable();
    assert_eq!(heard, ["p/a", "p/a", "s/a/b"]);
}

#[test]
fn an_empty_token_allows_nothing() {
    let mut world = World::new(1, wide(), IDENTITIES);
    allow(&mut world, "x", &[]);
    let mut client = connected(&mut world, "n", "x");
    client.subscribe(&mut world, "a", QoS::AtLeastOnce);
    rest(&mut world, &mut [&mut client]);
    assert_eq!(codes(&client), [REFUSED]);
}

#[test]
fn a_session_resumed_with_a_narrower_token_loses_what_that_does_not_allow() {
    let mut world = World::new(2, wide(), IDENTITIES);
    let (mut reader, mut writer) = (connected(&mut world, "r", "x"), connected(&mut world, "w", "y"));
    for filter in ["a/#", "b/#"] {
        reader.subscribe(&mut world, filter, QoS::AtLeastOnce);
    }
    rest(&mut world, &mut [&mut reader, &mut writer]);
    reader.drop_connection(&mut world);
    publish_all(&mut world, &mut writer, &["a/1", "b/1"]);
    rest(&mut world, &mut [&mut writer]);
    allow(&mut world, "x", &[(TokenAction::All, "a/#")]);
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    publish_all(&mut world, &mut writer, &["a/2", "b/2"]);
    rest(&mut world, &mut [&mut reader, &mut writer]);
    assert!(reader.session_present);
    assert_eq!(topics(&reader), ["a/1", "a/2"]);
}

#[test]
fn what_waits_for_a_client_stays_narrowed_over_a_restart_and_a_change_of_policy() {
    let mut world = World::new(1, wide(), IDENTITIES);
    allow(&mut world, "x", &[(TokenAction::Subscribe, "a/#")]);
    let (mut reader, mut writer) = (connected(&mut world, "r", "x"), connected(&mut world, "w", "y"));
    reader.subscribe(&mut world, "a/#", QoS::AtLeastOnce);
    reader.will = Some(Will { topic: "a/will".into(), payload: "w".into(), delay_s: 0 });
    rest(&mut world, &mut [&mut reader, &mut writer]);
    reader.drop_connection(&mut world);
    // A Will that the token does not allow is refused at CONNECT.
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    assert!(!reader.is_connected);
    reader.will = None;
    world.set_roles(IDENTITIES);
    world.crash();
    let mut writer = connected(&mut world, "w", "y");
    publish_all(&mut world, &mut writer, &["a/1"]);
    rest(&mut world, &mut [&mut writer]);
    world.set_roles(IDENTITIES);
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader, &mut writer]);
    reader.subscribe(&mut world, "b", QoS::AtLeastOnce);
    rest(&mut world, &mut [&mut reader, &mut writer]);
    assert_eq!(topics(&reader), ["a/1"]);
    assert_eq!(codes(&reader).last(), Some(&REFUSED));
    // Narrower still while it is away, by the store alone: its roles are gone.
    world.set_roles(&[("x", &["none"]), ("y", &["all"])]);
    publish_all(&mut world, &mut writer, &["a/2"]);
    rest(&mut world, &mut [&mut reader, &mut writer]);
    assert_eq!(topics(&reader), ["a/1"]);
}
