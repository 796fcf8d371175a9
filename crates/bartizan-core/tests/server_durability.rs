//! How durable a batch must be before what waits for it may happen: as the listener promises on
//! which the acknowledgement goes, on every shard that keeps a part of it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use bartizan_core::durable::Durability;
use bartizan_core::topic::topic_hash;
use bartizan_core::wire::{QoS, Version};
use server_world::client::{Client, rest};
use server_world::{World, wide};

const STRICT: usize = 0;
const LAX: usize = 1;

/// A name that is at home on this shard of two.
fn name_at(shard: u64) -> String {
    (0..100).map(|n| format!("c{n}")).find(|name| topic_hash(name) % 2 == shard).unwrap()
}

fn joined(world: &mut World, name: &str, listener: usize) -> Client {
    world.listener = listener;
    let mut client = Client::new(name, "x", Version::V5);
    client.connect(world, 0);
    rest(world, &mut [&mut client]);
    assert!(client.is_connected);
    client
}

/// The strictest promise on each shard while a message goes from a client on one listener to a
/// Session that is not connected, on the other shard.
fn promises(listener: usize, qos: QoS) -> [Option<Durability>; 2] {
    let mut world = World::new(2, wide(), &[("x", &["all"])]);
    let mut reader = joined(&mut world, &name_at(1), STRICT);
    reader.subscribe(&mut world, "t", QoS::ExactlyOnce);
    rest(&mut world, &mut [&mut reader]);
    reader.drop_connection(&mut world);
    let mut writer = joined(&mut world, &name_at(0), listener);
    rest(&mut world, &mut [&mut writer]);
    world.promises.clear();
    writer.publish(&mut world, "t", "1", qos, false);
    rest(&mut world, &mut [&mut writer]);
    assert_eq!(writer.acknowledged.len(), 1);
    [0, 1].map(|shard| world.promises.iter().filter(|(at, _)| *at == shard).filter_map(|(_, promise)| *promise).max())
}

#[test]
fn a_batch_is_as_durable_as_the_publishers_listener_promises_wherever_it_is_kept() {
    assert_eq!(promises(STRICT, QoS::AtLeastOnce), [None, Some(Durability::Fsync)]);
    assert_eq!(promises(LAX, QoS::AtLeastOnce), [None, Some(Durability::Os)]);
    assert_eq!(promises(STRICT, QoS::ExactlyOnce), [Some(Durability::Fsync), Some(Durability::Fsync)]);
    assert_eq!(promises(LAX, QoS::ExactlyOnce), [Some(Durability::Os), Some(Durability::Os)]);
}

#[test]
fn one_that_waits_for_more_makes_the_whole_batch_wait_for_more() {
    let mut world = World::new(1, wide(), &[("x", &["all"])]);
    let mut lax = joined(&mut world, "lax", LAX);
    world.promises.clear();
    lax.subscribe(&mut world, "t", QoS::AtLeastOnce);
    rest(&mut world, &mut [&mut lax]);
    assert_eq!(world.promises.iter().filter_map(|(_, promise)| *promise).max(), Some(Durability::Os));
    let mut strict = joined(&mut world, "strict", STRICT);
    world.promises.clear();
    // What goes to the strict one in exactly one copy is on the disk first, whoever sent it.
    strict.subscribe(&mut world, "t", QoS::ExactlyOnce);
    rest(&mut world, &mut [&mut strict]);
    world.promises.clear();
    lax.publish(&mut world, "t", "1", QoS::ExactlyOnce, false);
    rest(&mut world, &mut [&mut lax, &mut strict]);
    assert!(world.promises.contains(&(0, Some(Durability::Fsync))), "{:?}", world.promises);
}

#[test]
fn nobody_waits_for_an_acknowledgement_that_a_client_sends() {
    let mut world = World::new(1, wide(), &[("x", &["all"])]);
    let mut reader = joined(&mut world, "reader", STRICT);
    reader.subscribe(&mut world, "t", QoS::AtLeastOnce);
    rest(&mut world, &mut [&mut reader]);
    let mut writer = joined(&mut world, "writer", STRICT);
    writer.publish(&mut world, "t", "1", QoS::AtLeastOnce, false);
    world.settle();
    reader.read(&mut world);
    world.promises.clear();
    reader.answer(&mut world, usize::MAX);
    world.settle();
    assert_eq!(world.promises, [(0, None)]);
}
