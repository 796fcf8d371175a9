//! Some identities change while others work: a revoked one keeps nothing, whichever way it tries (I12).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use bartizan_core::wire::{QoS, ReasonCode, Version};
use server_world::client::{Client, Will, rest};
use server_world::{World, wide};

const IDENTITIES: &[(&str, &[&str])] = &[("thief", &["all"]), ("press", &["all"])];

fn connected(world: &mut World, mut client: Client) -> Client {
    client.connect(world, 0);
    world.settle();
    client.read(world);
    client
}

fn subscribed(world: &mut World, name: &str, identity: &str, version: Version, filter: &str) -> Client {
    let mut client = connected(world, Client::new(name, identity, version));
    client.subscribe(world, filter, QoS::AtLeastOnce);
    rest(world, &mut [&mut client]);
    client
}

fn payloads(client: &Client) -> Vec<&str> {
    client.got.iter().map(|got| got.payload.as_str()).collect()
}

fn each(test: impl Fn(usize, Version)) {
    for shards in [1, 3] {
        for version in [Version::V311, Version::V5] {
            test(shards, version);
        }
    }
}

#[test]
fn a_live_client_is_cut_and_what_waits_for_it_is_never_sent() {
    each(|shards, version| {
        let mut world = World::new(shards, wide(), IDENTITIES);
        let mut thief = subscribed(&mut world, "t", "thief", version, "plant/#");
        let mut press = connected(&mut world, Client::new("p", "press", version));
        // Nothing of this is read by it yet: some is sent, some waits in its queue.
        let socket = thief.socket.unwrap();
        world.sockets[socket].is_read = false;
        for at in 0..20 {
            press.publish(&mut world, "plant/a", &at.to_string(), QoS::AtLeastOnce, false);
        }
        rest(&mut world, &mut [&mut press]);
        let ended = world.update(&[("thief", None)], &["thief"]);
        assert_eq!(ended.len(), 1, "{shards} {version:?}");
        let told = &ended[0];
        assert_eq!(
            (&*told.identity, &*told.client_id, told.was_connected, told.subscriptions),
            ("thief", "t", true, 1)
        );
        assert_eq!(told.queued + told.inflight, 20, "{told:?}");
        world.sockets[socket].is_read = true;
        rest(&mut world, &mut [&mut thief, &mut press]);
        assert_eq!(payloads(&thief), Vec::<&str>::new());
        assert!(!world.sockets[socket].is_open);
        let reason = version.is_v5().then_some(ReasonCode::AdministrativeAction);
        assert_eq!(thief.disconnected_by, reason);
        assert_eq!((world.total("sessions"), world.total("queued_messages")), (1, 0));
    });
}

#[test]
fn a_session_is_not_resumed_even_by_who_is_let_in_again() {
    each(|shards, version| {
        let mut world = World::new(shards, wide(), IDENTITIES);
        let thief = subscribed(&mut world, "t", "thief", version, "plant/#");
        world.hang_up(thief.socket.unwrap());
        let mut press = connected(&mut world, Client::new("p", "press", version));
        press.publish(&mut world, "plant/a", "secret", QoS::AtLeastOnce, false);
        rest(&mut world, &mut [&mut press]);
        let ended = world.update(&[("thief", None)], &["thief"]);
        assert_eq!((ended.len(), ended[0].was_connected, ended[0].queued), (1, false, 1));
        let mut thief = connected(&mut world, thief);
        assert!(!thief.is_connected, "it is gone");
        world.update(&[("thief", Some(&["all"]))], &[]);
        thief = connected(&mut world, thief);
        rest(&mut world, &mut [&mut thief, &mut press]);
        assert!(thief.is_connected && !thief.session_present);
        assert_eq!(payloads(&thief), Vec::<&str>::new());
        // Nor after a restart: the store forgot it as well.
        world.hang_up(thief.socket.unwrap());
        world.update(&[("thief", None)], &["thief"]);
        world.settle();
        world.crash();
        assert_eq!(world.total("sessions"), 1, "the other's");
    });
}

#[test]
fn neither_a_live_nor_a_delayed_will_is_published() {
    for delay_s in [0, 30] {
        for is_connected in [true, false] {
            let mut world = World::new(1, wide(), IDENTITIES);
            let mut reader = subscribed(&mut world, "r", "press", Version::V5, "#");
            let mut thief = Client::new("t", "thief", Version::V5);
            thief.will = Some(Will { topic: "alarm".into(), payload: "fire".into(), delay_s });
            let thief = connected(&mut world, thief);
            if !is_connected {
                world.hang_up(thief.socket.unwrap());
            }
            let ended = world.update(&[("thief", None)], &["thief"]);
            let is_pending = is_connected || delay_s > 0;
            assert_eq!(ended.iter().map(|one| one.had_will).collect::<Vec<_>>(), vec![is_pending]);
            world.advance(100_000);
            rest(&mut world, &mut [&mut reader]);
            let expected: &[&str] = if is_pending { &[] } else { &["fire"] };
            assert_eq!(payloads(&reader), expected, "{delay_s} {is_connected}");
        }
    }
}

#[test]
fn what_it_retained_is_cleared_where_asked_for_and_nobody_elses() {
    each(|shards, version| {
        let mut world = World::new(shards, wide(), IDENTITIES);
        let mut thief = connected(&mut world, Client::new("t", "thief", version));
        let mut press = connected(&mut world, Client::new("p", "press", version));
        thief.publish(&mut world, "state/t", "stolen", QoS::AtLeastOnce, true);
        press.publish(&mut world, "state/p", "own", QoS::AtLeastOnce, true);
        rest(&mut world, &mut [&mut thief, &mut press]);
        world.update(&[("thief", None)], &["thief"]);
        assert_eq!(world.clear_retained_of(&["thief"]), 1);
        world.update(&[("thief", Some(&["all"]))], &[]);
        let mut reader = subscribed(&mut world, "r", "press", version, "state/#");
        rest(&mut world, &mut [&mut reader]);
        assert_eq!(payloads(&reader), ["own"]);
        world.settle();
        world.crash();
        let mut reader = subscribed(&mut world, "r2", "press", version, "state/#");
        rest(&mut world, &mut [&mut reader]);
        assert_eq!(payloads(&reader), ["own"], "after a restart");
    });
}

#[test]
fn others_keep_what_they_have_and_a_changed_one_what_it_still_may_have() {
    each(|shards, version| {
        let mut world = World::new(shards, wide(), IDENTITIES);
        let mut press = subscribed(&mut world, "p", "press", version, "plant/#");
        let mut thief = subscribed(&mut world, "t", "thief", version, "plant/#");
        let ended = world.update(&[("thief", Some(&["none"]))], &[]);
        assert_eq!(ended, [], "its Session goes on");
        let mut writer = connected(&mut world, Client::new("w", "press", version));
        writer.publish(&mut world, "plant/a", "1", QoS::AtLeastOnce, false);
        rest(&mut world, &mut [&mut press, &mut thief, &mut writer]);
        assert_eq!((payloads(&press), payloads(&thief)), (vec!["1"], vec![]));
        assert!(world.sockets[thief.socket.unwrap()].is_open && world.sockets[press.socket.unwrap()].is_open);
    });
}

#[test]
fn who_is_connected_is_counted_by_listener_and_role_whatever_becomes_of_its_roles() {
    each(|shards, version| {
        let mut world = World::new(shards, wide(), &[("thief", &["all"]), ("press", &["all", "loud"])]);
        let mut thief = connected(&mut world, Client::new("t", "thief", version));
        world.listener = 1;
        let mut press = connected(&mut world, Client::new("p", "press", version));
        let roles = |told: &[(&str, u64)]| -> Vec<(String, u64)> {
            told.iter().map(|(role, count)| ((*role).to_owned(), *count)).collect()
        };
        assert_eq!(world.population(), (vec![1, 1], roles(&[("all", 2), ("loud", 1)])));
        // Another connection of the same client takes over: it is one client.
        press.connect(&mut world, 0);
        world.settle();
        press.read(&mut world);
        assert_eq!(world.population(), (vec![1, 1], roles(&[("all", 2), ("loud", 1)])));
        world.set_roles(&[("thief", &["quarantine"]), ("press", &["all"])]);
        world.settle();
        assert_eq!(world.population(), (vec![1, 1], roles(&[("all", 1), ("quarantine", 1)])));
        world.update(&[("thief", None)], &["thief"]);
        world.settle();
        assert_eq!(world.population(), (vec![0, 1], roles(&[("all", 1)])));
        press.drop_connection(&mut world);
        world.settle();
        thief.read(&mut world);
        assert_eq!(world.population(), (vec![0, 0], roles(&[])));
        assert_eq!(world.total("clients_connected"), 0);
    });
}
