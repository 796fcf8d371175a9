//! Who is banned is not let in, whatever proves it, and who is connected is cut at once.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use std::sync::Arc;

use bartizan_core::server::Limits;
use bartizan_core::server::bans::Bans;
use bartizan_core::session::{Address, Peer, PeerIdentity};
use bartizan_core::wire::{QoS, ReasonCode, Version};
use server_world::client::{Client, Will, rest};
use server_world::{World, wide};

const IDENTITIES: &[(&str, &[&str])] = &[("thief", &["all"]), ("press", &["all"])];

fn peer(address: &str, serial: &str) -> Peer {
    let certificate = PeerIdentity { serial: serial.into(), issuer: "CN=Plant CA".into(), ..PeerIdentity::default() };
    Peer {
        listener: 0,
        address: Address::Ip(address.parse().unwrap()),
        port: 1,
        certificate: Some(Arc::new(certificate)),
    }
}

fn connected(world: &mut World, mut client: Client, address: &str, serial: &str) -> Client {
    let socket = world.dial_as(0, peer(address, serial));
    client.say_connect(world, socket);
    world.settle();
    client.read(world);
    client
}

type Fill = fn(&mut Bans);

/// Each kind, and one that is nearly the same and bans nobody here.
const KINDS: &[(Fill, Fill, &str)] = &[
    (|bans| bans.identity("thief".into()), |bans| bans.identity("thie".into()), "the identity is banned"),
    (|bans| bans.client_id("t".into()), |bans| bans.client_id("T".into()), "the Client Identifier is banned"),
    (
        |bans| bans.serial("1f".into(), String::new()),
        |bans| bans.serial("1f".into(), "CN=Another CA".into()),
        "the certificate is banned",
    ),
    (
        |bans| bans.serial("1f".into(), "CN=Plant CA".into()),
        |bans| bans.serial("1f0".into(), String::new()),
        "the certificate is banned",
    ),
    (
        |bans| assert!(bans.network("192.0.2.0/24")),
        |bans| assert!(bans.network("192.0.3.0/24") && bans.network("::/0")),
        "the address is banned",
    ),
];

#[test]
fn who_is_connected_is_cut_and_comes_back_once_the_ban_is_over() {
    for shards in [1, 3] {
        for version in [Version::V311, Version::V5] {
            for (ban, nearly, why) in KINDS {
                let mut world = World::new(shards, wide(), IDENTITIES);
                let thief = Client::new("t", "thief", version);
                let mut thief = connected(&mut world, thief, "192.0.2.7", "1f");
                let mut press = connected(&mut world, Client::new("p", "press", version), "198.51.100.1", "2e");
                assert!(world.ban(nearly).is_empty());
                rest(&mut world, &mut [&mut thief, &mut press]);
                assert!(world.sockets[thief.socket.unwrap()].is_open, "{why}");
                let sockets = [thief.socket.unwrap(), press.socket.unwrap()];
                let cut = world.ban(ban);
                let told: Vec<_> =
                    cut.iter().map(|one| (&*one.identity, &*one.client_id, &*one.address, one.why)).collect();
                assert_eq!(told, [("thief", "t", "192.0.2.7", *why)], "{shards} {version:?}");
                rest(&mut world, &mut [&mut thief, &mut press]);
                let reason = version.is_v5().then_some(ReasonCode::AdministrativeAction);
                assert_eq!(thief.disconnected_by, reason);
                assert_eq!(sockets.map(|socket| world.sockets[socket].is_open), [false, true]);
                let mut thief = connected(&mut world, thief, "192.0.2.7", "1f");
                assert!(!thief.is_connected, "{why}");
                if version.is_v5() {
                    assert_eq!(thief.last_reason, Some(ReasonCode::Banned));
                }
                assert!(world.ban(|_| ()).is_empty());
                thief = connected(&mut world, thief, "192.0.2.7", "1f");
                assert!(thief.is_connected && thief.session_present, "its Session has waited for it");
            }
        }
    }
}

#[test]
fn who_is_banned_while_it_is_authenticated_is_not_let_in() {
    for (ban, _, why) in KINDS {
        let mut world = World::new(3, wide(), IDENTITIES);
        world.authenticators_sleep = true;
        let mut thief = Client::new("t", "thief", Version::V5);
        let socket = world.dial_as(0, peer("192.0.2.7", "1f"));
        thief.say_connect(&mut world, socket);
        world.settle();
        assert!(world.ban(ban).is_empty(), "nobody is connected");
        world.wake_authenticators();
        world.settle();
        thief.read(&mut world);
        assert_eq!((thief.is_connected, thief.last_reason), (false, Some(ReasonCode::Banned)), "{why}");
    }
}

#[test]
fn nobody_is_asked_about_what_is_banned_whoever_it_is() {
    for (ban, _, why) in KINDS.iter().filter(|(.., why)| !why.contains("identity")) {
        let mut world = World::new(1, wide(), IDENTITIES);
        world.ban(ban);
        world.authenticators_sleep = true;
        let mut thief = Client::new("t", "thief", Version::V5);
        let socket = world.dial_as(0, peer("192.0.2.7", "1f"));
        thief.say_connect(&mut world, socket);
        world.settle();
        assert!(world.unanswered.is_empty(), "{why}");
        thief.read(&mut world);
        assert_eq!(thief.last_reason, Some(ReasonCode::Banned));
    }
}

#[test]
fn a_will_of_who_is_banned_is_not_published() {
    for (ban, ..) in KINDS {
        for delay_s in [0, 30] {
            let mut world = World::new(1, wide(), IDENTITIES);
            let mut reader = connected(&mut world, Client::new("r", "press", Version::V5), "198.51.100.1", "2e");
            reader.subscribe(&mut world, "#", QoS::AtLeastOnce);
            let mut thief = Client::new("t", "thief", Version::V5);
            thief.will = Some(Will { topic: "alarm".into(), payload: "fire".into(), delay_s });
            connected(&mut world, thief, "192.0.2.7", "1f");
            assert_eq!(world.ban(ban).len(), 1);
            world.advance(100_000);
            rest(&mut world, &mut [&mut reader]);
            assert!(reader.got.is_empty(), "{:?}", reader.got);
        }
    }
}

#[test]
fn a_will_that_waited_when_its_identity_was_banned_is_not_published() {
    let mut world = World::new(1, wide(), IDENTITIES);
    let mut reader = connected(&mut world, Client::new("r", "press", Version::V5), "198.51.100.1", "2e");
    reader.subscribe(&mut world, "#", QoS::AtLeastOnce);
    let mut thief = Client::new("t", "thief", Version::V5);
    thief.will = Some(Will { topic: "alarm".into(), payload: "fire".into(), delay_s: 30 });
    let thief = connected(&mut world, thief, "192.0.2.7", "1f");
    world.hang_up(thief.socket.unwrap());
    world.ban(|bans| bans.identity("thief".into()));
    world.advance(100_000);
    rest(&mut world, &mut [&mut reader]);
    assert!(reader.got.is_empty(), "{:?}", reader.got);
}

#[test]
fn a_session_is_discarded_with_all_that_is_in_it() {
    for shards in [1, 3] {
        for is_connected in [true, false] {
            let mut world = World::new(shards, wide(), IDENTITIES);
            let mut thief = connected(&mut world, Client::new("t", "thief", Version::V5), "192.0.2.7", "1f");
            thief.subscribe(&mut world, "plant/#", QoS::AtLeastOnce);
            let mut press = connected(&mut world, Client::new("p", "press", Version::V5), "198.51.100.1", "2e");
            rest(&mut world, &mut [&mut thief, &mut press]);
            if !is_connected {
                world.hang_up(thief.socket.unwrap());
                press.publish(&mut world, "plant/a", "1", QoS::AtLeastOnce, false);
                rest(&mut world, &mut [&mut press]);
            }
            assert!(world.discard("nobody").is_empty());
            let ended = world.discard("t");
            let queued = usize::from(!is_connected);
            assert_eq!(
                ended
                    .iter()
                    .map(|one| (&*one.identity, one.was_connected, one.subscriptions, one.queued))
                    .collect::<Vec<_>>(),
                [("thief", is_connected, 1, queued)]
            );
            rest(&mut world, &mut [&mut thief, &mut press]);
            if is_connected {
                assert_eq!(thief.disconnected_by, Some(ReasonCode::AdministrativeAction));
            }
            let mut thief = connected(&mut world, thief, "192.0.2.7", "1f");
            rest(&mut world, &mut [&mut thief]);
            assert!(thief.is_connected && !thief.session_present && thief.got.is_empty());
            world.crash();
            assert_eq!(world.total("sessions"), 2);
        }
    }
}

/// How many of thirty messages are received within a second.
fn received_within_a_second(world: &mut World, press: &mut Client, reader: &mut Client) -> usize {
    reader.got.clear();
    for at in 0..30 {
        press.publish(world, "plant/a", &at.to_string(), QoS::AtMostOnce, false);
    }
    rest(world, &mut [press, reader]);
    world.advance(1_000);
    rest(world, &mut [press, reader]);
    reader.got.len()
}

#[test]
fn who_is_throttled_publishes_so_fast_and_no_faster_until_it_is_not() {
    let limits = Limits { publish_excess_max_s: 3_600.0, ..wide() };
    let mut world = World::new(1, limits, IDENTITIES);
    let mut reader = connected(&mut world, Client::new("r", "press", Version::V5), "198.51.100.1", "2e");
    reader.subscribe(&mut world, "#", QoS::AtMostOnce);
    let mut thief = connected(&mut world, Client::new("t", "thief", Version::V5), "192.0.2.7", "1f");
    let mut press = connected(&mut world, Client::new("p", "press", Version::V5), "198.51.100.1", "2e");
    assert_eq!(received_within_a_second(&mut world, &mut thief, &mut reader), 30);
    world.throttle(&[("thief", 5)]);
    let slow = received_within_a_second(&mut world, &mut thief, &mut reader);
    assert!((5..=12).contains(&slow), "{slow}");
    assert!(received_within_a_second(&mut world, &mut press, &mut reader) >= 30, "another one is not");
    world.throttle(&[]);
    world.advance(10_000);
    rest(&mut world, &mut [&mut thief, &mut reader]);
    assert_eq!(received_within_a_second(&mut world, &mut thief, &mut reader), 30);
}
