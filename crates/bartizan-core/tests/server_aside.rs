//! Messages that wait on the disk: in order, each once, whatever happens while they come back.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use std::sync::Arc;

use bartizan_core::policy::Image;
use bartizan_core::server::apply::Change;
use bartizan_core::wire::{QoS, Version};
use server_world::client::{Client, rest};
use server_world::{Dice, World, wide};

const IDENTITIES: &[(&str, &[&str])] = &[("x", &["all"]), ("y", &["all"])];

/// Everybody may subscribe to `u` and to nothing else.
const NARROW: &str = r#"{"format":3,"roles":[{"name":"all","limits":{},"rules":[
    {"name":"p","effect":"permit","actions":["publish"],"pattern":["many"],"qos_max":2,"retain":true},
    {"name":"s","effect":"permit","actions":["subscribe"],"pattern":[{"lit":"u"}],"qos_max":2,"retain":true}]}]}"#;

fn joined(world: &mut World, name: &str, identity: &str) -> Client {
    let mut client = Client::new(name, identity, Version::V5);
    client.connect(world, 0);
    rest(world, &mut [&mut client]);
    assert!(client.is_connected);
    client
}

fn subscribed(world: &mut World, name: &str, filter: &str) -> Client {
    let mut client = joined(world, name, "x");
    client.subscribe(world, filter, QoS::ExactlyOnce);
    rest(world, &mut [&mut client]);
    client
}

/// A payload of 20,000 octets that begins with its number.
fn large(n: usize) -> String {
    format!("{n:<20000}")
}

fn numbers(client: &Client) -> Vec<usize> {
    client.got.iter().map(|got| got.payload.trim_end().parse().unwrap()).collect()
}

/// Each QoS in the order of its sending [MQTT-4.6.0-6], everything once.
fn are_in_order(numbers: &[usize], count: usize) -> bool {
    let of = |rest: usize| numbers.iter().copied().filter(move |n| n % 2 == rest);
    of(0).eq((0..count).step_by(2)) && of(1).eq((1..count).step_by(2))
}

fn publish(world: &mut World, writer: &mut Client, from: usize, to: usize) {
    for n in from..to {
        let qos = if n % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        writer.publish(world, "t", &large(n), qos, false);
        rest_of(world, writer);
    }
}

/// The publisher's part alone: subscribers read nothing meanwhile.
fn rest_of(world: &mut World, writer: &mut Client) {
    for _ in 0..4 {
        world.settle();
        writer.read(world);
        writer.answer(world, usize::MAX);
    }
}

#[test]
fn a_client_that_is_away_finds_everything_in_order_and_once() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let (mut reader, mut writer) = (subscribed(&mut world, "r", "t"), joined(&mut world, "w", "x"));
    reader.drop_connection(&mut world);
    publish(&mut world, &mut writer, 0, 100);
    assert_eq!(world.total("queued_messages"), 100);
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    assert!(are_in_order(&numbers(&reader), 100), "{:?}", numbers(&reader));
    assert_eq!((world.total("queued_messages"), world.total("queued_bytes")), (0, 0));
    assert_eq!(world.disk.counts()[2], 0);
}

#[test]
fn a_client_that_reads_slowly_and_comes_and_goes_finds_everything_in_order_and_once() {
    for seed in 0..8 {
        let mut world = World::new(1, wide(), IDENTITIES);
        let mut dice = Dice(seed);
        let mut writer = joined(&mut world, "w", "x");
        let mut reader = Client::new("r", "x", Version::V5);
        reader.receive_maximum = 2;
        reader.connect(&mut world, 0);
        rest(&mut world, &mut [&mut reader]);
        reader.subscribe(&mut world, "t", QoS::ExactlyOnce);
        rest(&mut world, &mut [&mut reader]);
        let mut next = 0;
        while next < 120 {
            match dice.below(6) {
                // Some of it is more than a connected Session keeps in memory.
                0 | 1 => {
                    publish(&mut world, &mut writer, next, next + 8);
                    next += 8;
                }
                2 | 3 => {
                    reader.read(&mut world);
                    reader.answer(&mut world, 1);
                    world.stir(&mut dice);
                }
                4 => reader.drop_connection(&mut world),
                _ if reader.socket.is_none() => reader.connect(&mut world, 0),
                _ => world.settle(),
            }
        }
        if reader.socket.is_none() {
            reader.connect(&mut world, 0);
        }
        rest(&mut world, &mut [&mut reader, &mut writer]);
        let mut seen = std::collections::HashSet::new();
        let first: Vec<usize> = numbers(&reader).into_iter().filter(|n| seen.insert(*n)).collect();
        assert!(are_in_order(&first, next), "seed {seed}: {first:?}");
        let exact = numbers(&reader).into_iter().filter(|n| n % 2 == 1).count();
        assert_eq!(exact, next / 2, "seed {seed}: QoS 2 comes once");
        assert_eq!((world.total("queued_messages"), world.total("queued_bytes")), (0, 0), "seed {seed}");
    }
}

#[test]
fn what_the_policy_has_since_forbidden_is_not_delivered_from_the_disk() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let (mut reader, mut writer) = (subscribed(&mut world, "r", "t"), joined(&mut world, "w", "y"));
    reader.drop_connection(&mut world);
    publish(&mut world, &mut writer, 0, 10);
    world.set_roles(&[("x", &["none"]), ("y", &["all"])]);
    world.set_roles(IDENTITIES);
    publish(&mut world, &mut writer, 10, 12);
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    // Its Subscription ended with its right, and did not come back with it.
    assert_eq!(numbers(&reader), [0_usize; 0]);
    assert_eq!((world.total("queued_messages"), world.disk.counts()[2]), (0, 0));
}

#[test]
fn what_lost_its_subscription_is_dropped_on_the_disk_at_once_and_the_rest_stays() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let (mut reader, mut writer) = (subscribed(&mut world, "r", "t"), joined(&mut world, "w", "y"));
    reader.subscribe(&mut world, "u", QoS::ExactlyOnce);
    rest(&mut world, &mut [&mut reader]);
    reader.drop_connection(&mut world);
    for n in 0..40 {
        let topic = if n % 4 == 0 { "u" } else { "t" };
        writer.publish(&mut world, topic, &large(n), QoS::AtLeastOnce, false);
        rest_of(&mut world, &mut writer);
    }
    let image = Arc::new(Image::load(NARROW.as_bytes()).unwrap());
    world.apply(Change { image, epoch: 2, ..world.change.clone() });
    rest_of(&mut world, &mut writer);
    assert_eq!((world.total("queued_messages"), world.disk.counts()[2]), (10, 10));
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    assert_eq!(numbers(&reader), (0..40).step_by(4).collect::<Vec<_>>());
    assert_eq!((world.total("queued_messages"), world.total("queued_bytes")), (0, 0));
}

#[test]
fn a_session_that_ends_while_a_page_is_on_its_way_leaves_nothing() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let (mut reader, mut writer) = (subscribed(&mut world, "r", "t"), joined(&mut world, "w", "x"));
    reader.drop_connection(&mut world);
    publish(&mut world, &mut writer, 0, 30);
    reader.connect(&mut world, 0);
    while world.reads.is_empty() {
        assert!(world.commit_one(0));
    }
    reader.drop_connection(&mut world);
    reader.clean_start = true;
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    assert_eq!(numbers(&reader), [0_usize; 0]);
    assert_eq!((world.total("queued_messages"), world.total("queued_bytes"), world.disk.counts()[2]), (0, 0, 0));
}

#[test]
fn a_session_that_no_longer_outlives_its_connection_still_gets_what_waits() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let (mut reader, mut writer) = (subscribed(&mut world, "r", "t"), joined(&mut world, "w", "x"));
    reader.drop_connection(&mut world);
    publish(&mut world, &mut writer, 0, 40);
    reader.expiry_s = 0;
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    assert!(are_in_order(&numbers(&reader), 40), "{:?}", numbers(&reader));
    reader.disconnect(&mut world);
    writer.expiry_s = 0;
    rest(&mut world, &mut [&mut writer]);
    assert_eq!(world.disk.counts()[..3], [1, 0, 0], "only the publisher's Session is left");
}

/// Ten messages for a reader that takes none: five are in flight, its Receive Maximum, and five wait.
fn unread(world: &mut World, reader: &mut Client, writer: &mut Client) {
    publish(world, writer, 0, 10);
    assert_eq!(world.total("queued_messages"), 5);
    reader.drop_connection(world);
    rest_of(world, writer);
}

#[test]
fn what_is_in_flight_to_a_client_that_is_away_is_on_the_disk_alone() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let (mut reader, mut writer) = (subscribed(&mut world, "r", "t"), joined(&mut world, "w", "x"));
    publish(&mut world, &mut writer, 0, 10);
    assert_eq!(world.disk.held_in_memory(), 10, "it is there to take them");
    reader.drop_connection(&mut world);
    rest_of(&mut world, &mut writer);
    assert_eq!((world.disk.held_in_memory(), world.disk.counts()[2]), (0, 10));
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    assert!(are_in_order(&numbers(&reader), 10), "{:?}", numbers(&reader));
    assert_eq!((world.total("queued_messages"), world.disk.counts()[2]), (0, 0));
}

#[test]
fn what_was_in_flight_before_a_crash_is_on_the_disk_alone_until_its_client_is_back() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let (mut reader, mut writer) = (subscribed(&mut world, "r", "t"), joined(&mut world, "w", "x"));
    unread(&mut world, &mut reader, &mut writer);
    world.crash();
    writer.drop_connection(&mut world);
    assert_eq!((world.disk.held_in_memory(), world.disk.counts()[2]), (0, 10));
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    assert!(are_in_order(&numbers(&reader), 10), "{:?}", numbers(&reader));
}

#[test]
fn connack_waits_for_the_window_and_new_messages_go_behind_it() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let (mut reader, mut writer) = (subscribed(&mut world, "r", "t"), joined(&mut world, "w", "x"));
    publish(&mut world, &mut writer, 0, 3);
    reader.drop_connection(&mut world);
    rest_of(&mut world, &mut writer);
    reader.connect(&mut world, 0);
    while world.commit_one(0) {}
    reader.read(&mut world);
    assert!(!reader.is_connected && world.reads.len() == 1, "the page of the window is on its way");
    writer.publish(&mut world, "t", &large(3), QoS::ExactlyOnce, false);
    while world.commit_one(0) {}
    assert!(world.read_one());
    rest(&mut world, &mut [&mut reader, &mut writer]);
    assert!(are_in_order(&numbers(&reader), 4), "{:?}", numbers(&reader));
}

#[test]
fn a_client_that_comes_and_goes_while_its_window_is_read_finds_it_whole() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let (mut reader, mut writer) = (subscribed(&mut world, "r", "t"), joined(&mut world, "w", "x"));
    unread(&mut world, &mut reader, &mut writer);
    for _ in 0..3 {
        reader.connect(&mut world, 0);
        while world.commit_one(0) {}
        reader.drop_connection(&mut world);
    }
    rest_of(&mut world, &mut writer);
    assert_eq!(world.disk.held_in_memory(), 0);
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    assert!(are_in_order(&numbers(&reader), 10), "{:?}", numbers(&reader));
    assert_eq!((world.total("queued_messages"), world.disk.counts()[2]), (0, 0));
}

#[test]
fn what_was_in_flight_by_a_subscription_that_the_policy_ended_is_not_sent_again() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let (mut reader, mut writer) = (subscribed(&mut world, "r", "t"), joined(&mut world, "w", "y"));
    unread(&mut world, &mut reader, &mut writer);
    world.set_roles(&[("x", &["none"]), ("y", &["all"])]);
    world.set_roles(IDENTITIES);
    rest_of(&mut world, &mut writer);
    assert_eq!(world.disk.counts()[2], 0, "no Subscription is left for any of it");
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    assert_eq!(numbers(&reader), [0_usize; 0]);
}

#[test]
fn of_what_was_in_flight_only_what_still_has_a_subscription_is_sent_again() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let (mut reader, mut writer) = (subscribed(&mut world, "r", "t"), joined(&mut world, "w", "y"));
    reader.subscribe(&mut world, "u", QoS::ExactlyOnce);
    rest(&mut world, &mut [&mut reader]);
    for n in 0..4 {
        let topic = if n % 2 == 0 { "u" } else { "t" };
        writer.publish(&mut world, topic, &large(n), QoS::AtLeastOnce, false);
        rest_of(&mut world, &mut writer);
    }
    reader.drop_connection(&mut world);
    rest_of(&mut world, &mut writer);
    let image = Arc::new(Image::load(NARROW.as_bytes()).unwrap());
    let before = world.change.clone();
    world.apply(Change { image, epoch: 2, ..before.clone() });
    world.apply(Change { epoch: 3, ..before });
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    assert_eq!(numbers(&reader), [0, 2]);
    assert_eq!(world.disk.counts()[2], 0);
}

/// A member of the group `g` that is away, with so many messages on the disk.
fn away_with(world: &mut World, writer: &mut Client, count: usize) -> Client {
    let mut member = subscribed(world, "m", "$share/g/t");
    member.drop_connection(world);
    publish(world, writer, 0, count);
    member
}

#[test]
fn what_waits_for_members_of_a_shared_subscription_is_on_the_disk_alone() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let mut writer = joined(&mut world, "w", "x");
    let mut member = away_with(&mut world, &mut writer, 60);
    assert_eq!((world.disk.held_in_memory(), world.disk.counts()[2]), (0, 60));
    world.crash();
    writer.drop_connection(&mut world);
    rest_of(&mut world, &mut writer);
    assert_eq!(world.disk.held_in_memory(), 0, "nor does a start bring it back");
    member.connect(&mut world, 0);
    rest(&mut world, &mut [&mut member]);
    assert!(are_in_order(&numbers(&member), 60), "{:?}", numbers(&member));
    assert_eq!((world.total("queued_messages"), world.total("queued_bytes"), world.disk.counts()[2]), (0, 0, 0));
}

#[test]
fn what_a_member_leaves_on_the_disk_goes_to_the_others_when_its_session_ends() {
    for (shards, is_there) in [(1, true), (1, false), (2, true), (2, false)] {
        let mut world = World::new(shards, wide(), IDENTITIES);
        let mut writer = joined(&mut world, "w", "x");
        let mut member = away_with(&mut world, &mut writer, 30);
        let mut other = subscribed(&mut world, "other", "$share/g/t");
        if !is_there {
            other.drop_connection(&mut world);
        }
        member.clean_start = true;
        member.connect(&mut world, 0);
        rest(&mut world, &mut [&mut member, &mut other]);
        assert!(member.is_connected && !member.session_present);
        if !is_there {
            assert_eq!(world.disk.held_in_memory(), 0, "{shards}: from one queue on the disk to another");
            other.connect(&mut world, 0);
        }
        rest(&mut world, &mut [&mut member, &mut other]);
        assert_eq!(numbers(&member), [0_usize; 0], "{shards} {is_there}");
        assert!(are_in_order(&numbers(&other), 30), "{shards} {is_there}: {:?}", numbers(&other));
        assert_eq!((world.total("queued_messages"), world.total("queued_bytes"), world.disk.counts()[2]), (0, 0, 0));
    }
}

#[test]
fn a_new_session_waits_for_what_the_one_before_leaves_and_gets_none_of_it() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let mut writer = joined(&mut world, "w", "x");
    let mut member = away_with(&mut world, &mut writer, 20);
    member.clean_start = true;
    member.connect(&mut world, 0);
    while world.commit_one(0) {}
    member.read(&mut world);
    assert!(!member.is_connected && world.reads.len() == 1, "what was left is on its way to others");
    // A connection that ends meanwhile changes nothing; nor does a crash.
    member.drop_connection(&mut world);
    member.clean_start = false;
    member.connect(&mut world, 0);
    rest(&mut world, &mut [&mut member]);
    assert!(member.is_connected);
    member.subscribe(&mut world, "t", QoS::ExactlyOnce);
    rest(&mut world, &mut [&mut member]);
    writer.publish(&mut world, "t", &large(20), QoS::AtLeastOnce, false);
    rest(&mut world, &mut [&mut member, &mut writer]);
    assert_eq!(numbers(&member), [20]);
    assert_eq!((world.total("queued_messages"), world.total("queued_bytes"), world.disk.counts()[2]), (0, 0, 0));
}

#[test]
fn a_session_that_expires_leaves_what_is_on_the_disk_to_the_others_and_is_gone() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let mut writer = joined(&mut world, "w", "x");
    let mut member = Client::new("m", "x", Version::V5);
    member.expiry_s = 10;
    member.connect(&mut world, 0);
    rest(&mut world, &mut [&mut member]);
    member.subscribe(&mut world, "$share/g/t", QoS::ExactlyOnce);
    rest(&mut world, &mut [&mut member]);
    member.drop_connection(&mut world);
    publish(&mut world, &mut writer, 0, 300);
    let mut other = subscribed(&mut world, "other", "$share/g/t");
    world.advance(11_000);
    rest(&mut world, &mut [&mut writer, &mut other]);
    assert!(are_in_order(&numbers(&other), 300), "{:?}", numbers(&other));
    assert_eq!(world.disk.counts()[..3], [2, 1, 0], "the publisher's and the other's");
    assert_eq!((world.total("sessions"), world.total("queued_messages"), world.total("queued_bytes")), (2, 0, 0));
}
