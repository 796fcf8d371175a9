//! One server, one situation each: what random schedules found, or would find once in a while.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use bartizan_core::wire::{QoS, Version};
use server_world::client::Client;
use server_world::{World, wide};

const IDENTITIES: &[(&str, &[&str])] = &[("x", &["all"]), ("y", &["all"])];

fn world(shards: usize) -> World {
    World::new(shards, wide(), IDENTITIES)
}

/// Connects a client and lets everything happen that follows.
fn connected(world: &mut World, mut client: Client) -> Client {
    client.connect(world, 0);
    world.settle();
    client.read(world);
    assert!(client.is_connected, "{}: {:?}", client.name, client.last_reason);
    client
}

fn joined(world: &mut World, name: &str) -> Client {
    connected(world, Client::new(name, "x", Version::V5))
}

/// Everything happens that can: the server's part, and the clients' answers.
fn rest(world: &mut World, clients: &mut [&mut Client]) {
    for _ in 0..20 {
        world.settle();
        for client in clients.iter_mut() {
            client.read(world);
            client.answer(world, usize::MAX);
        }
    }
}

#[test]
fn mqtt_4_8_2_who_leaves_a_group_gets_nothing_and_the_others_everything() {
    for run in 0..40 {
        let mut world = world(3);
        let names = [format!("a{run}"), format!("b{run}"), format!("p{run}")];
        let [mut a, mut b, mut p] = names.each_ref().map(|name| joined(&mut world, name));
        let share = format!("$share/g{run}/t");
        a.subscribe(&mut world, &share, QoS::ExactlyOnce);
        b.subscribe(&mut world, &share, QoS::ExactlyOnce);
        rest(&mut world, &mut [&mut a, &mut b]);
        a.unsubscribe(&mut world, &share);
        rest(&mut world, &mut [&mut a, &mut b]);
        for n in 0..4 {
            for (payload, qos) in [(format!("{n}.0"), QoS::AtMostOnce), (format!("{n}.1"), QoS::AtLeastOnce)] {
                p.publish(&mut world, "t", &payload, qos, false);
                rest(&mut world, &mut [&mut p, &mut a, &mut b]);
            }
        }
        assert_eq!((a.got.len(), b.got.len()), (0, 8), "run {run}");
        b.unsubscribe(&mut world, &share);
        rest(&mut world, &mut [&mut a, &mut b]);
        assert!(!world.is_interested("t"), "run {run}");
    }
}
