//! A path that fills up: its publishers are read more slowly before anything is dropped, and a
//! client that has stopped holds nobody back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use bartizan_core::server::Limits;
use bartizan_core::topic::topic_hash;
use bartizan_core::wire::{QoS, Version};
use server_world::client::Client;
use server_world::{World, wide};

const ROOM: u32 = 300_000;
const PAYLOAD: usize = 1_000;

struct Scene {
    world: World,
    publisher: Client,
    slow: Client,
    published: usize,
}

impl Scene {
    /// A subscriber whose socket has taken a little, and no more; its publisher on the same shard
    /// or on another.
    fn new(shards: usize, qos: QoS, limits: Limits) -> Scene {
        let limits = Limits { out_buffer_bytes_max: ROOM, ..limits };
        let mut world = World::new(shards, limits, &[("a", &["all"])]);
        let mut publisher = Client::new("publisher", "a", Version::V5);
        let away = |name: &String| shards == 1 || topic_hash(name) % 2 != topic_hash("publisher") % 2;
        let name = (0..).map(|n| format!("slow-{n}")).find(away).unwrap();
        let mut slow = Client::new(&name, "a", Version::V5);
        slow.receive_maximum = 10;
        for client in [&mut publisher, &mut slow] {
            client.connect(&mut world, 0);
            world.settle();
            client.read(&mut world);
        }
        slow.subscribe(&mut world, "t", qos);
        world.settle();
        slow.read(&mut world);
        world.sockets[slow.socket.unwrap()].is_read = false;
        Scene { world, publisher, slow, published: 0 }
    }

    fn publish(&mut self, count: usize, qos: QoS) {
        let payload = "x".repeat(PAYLOAD);
        for _ in 0..count {
            self.publisher.publish(&mut self.world, "t", &payload, qos, false);
            self.published += 1;
        }
        self.world.settle();
    }

    /// As many as the server reads, whose buffers hold 64 KiB of a publisher; so many in all.
    fn publish_what_is_read(&mut self, most: usize, qos: QoS) {
        while self.unread() < 65_536 && self.published < most {
            self.publish(1, qos);
        }
    }

    /// The slow client's socket takes so many octets, of more.
    fn take(&mut self, octets: usize) {
        self.world.take(self.slow.socket.unwrap(), octets);
        self.world.settle();
    }

    fn unread(&self) -> usize {
        self.world.untaken(self.publisher.socket.unwrap())
    }

    fn waiting(&mut self) -> usize {
        self.world.buffered(self.slow.socket.unwrap())
    }
}

#[test]
fn what_feeds_a_full_path_is_read_more_slowly_before_anything_is_dropped() {
    for shards in [1, 2] {
        let mut scene = Scene::new(shards, QoS::AtMostOnce, wide());
        scene.publish(10, QoS::AtMostOnce);
        scene.take(1_000);
        // Much more than there is room for, as fast as it is read; it takes 1 MB/s of it.
        let mut steps = 0;
        while scene.world.total("publish_sent") < 1_000 {
            scene.publish_what_is_read(1_000, QoS::AtMostOnce);
            scene.take(5_500);
            scene.world.advance(5);
            steps += 1;
            assert!(steps < 2_000, "{shards}: it goes on");
        }
        assert!(scene.world.total("publishers_held_back") > 50);
        assert_eq!(scene.world.total("publish_dropped"), 0, "{shards}");
    }
}

#[test]
fn a_client_that_has_stopped_holds_nobody_back() {
    for shards in [1, 2] {
        let mut scene = Scene::new(shards, QoS::AtMostOnce, wide());
        scene.publish(10, QoS::AtMostOnce);
        scene.take(1_000);
        scene.world.advance(501);
        for _ in 0..600 {
            scene.publish(1, QoS::AtMostOnce);
        }
        assert_eq!(scene.unread(), 0);
        assert_eq!(scene.world.total("publishers_held_back"), 0);
        assert!(scene.waiting() <= ROOM as usize + 2 * PAYLOAD);
        let dropped = scene.world.total("publish_dropped");
        assert!(dropped > 150, "{dropped}");
        assert_eq!(scene.world.total("publish_sent") + dropped, 610, "what is dropped is counted");
    }
}

#[test]
fn a_client_that_stays_behind_holds_others_back_for_a_while_only() {
    let mut scene = Scene::new(1, QoS::AtMostOnce, wide());
    scene.publish(10, QoS::AtMostOnce);
    scene.take(1_000);
    scene.publish(200, QoS::AtMostOnce);
    for _ in 0..200 {
        scene.take(10);
        scene.world.advance(50);
    }
    let held = scene.world.total("publishers_held_back");
    assert!(held > 0);
    for _ in 0..50 {
        scene.publish(1, QoS::AtMostOnce);
        scene.take(10);
        scene.world.advance(1);
    }
    assert_eq!(scene.world.total("publishers_held_back"), held);
    assert_eq!(scene.unread(), 0);
}

#[test]
fn a_queue_that_fills_up_slows_its_publishers_before_it_drops() {
    for shards in [1, 2] {
        let limits = Limits { queued_messages_max: 300, receive_max: 1_000, ..wide() };
        let mut scene = Scene::new(shards, QoS::AtLeastOnce, limits);
        scene.world.sockets[scene.slow.socket.unwrap()].is_read = true;
        let mut steps = 0;
        while scene.slow.got.len() < 1_000 {
            scene.publish_what_is_read(1_000, QoS::AtLeastOnce);
            scene.slow.read(&mut scene.world);
            scene.slow.answer(&mut scene.world, 6);
            scene.world.settle();
            scene.world.advance(5);
            steps += 1;
            assert!(steps < 2_000, "{shards}: it goes on");
        }
        assert!(scene.world.total("publishers_held_back") > 50);
        assert_eq!(scene.world.total("publish_dropped"), 0, "{shards}");
    }
}

#[test]
fn what_nobody_has_tried_to_write_yet_is_written_and_nobody_waits() {
    let mut scene = Scene::new(1, QoS::AtMostOnce, wide());
    scene.world.sockets[scene.slow.socket.unwrap()].is_read = true;
    for _ in 0..500 {
        scene.publish(1, QoS::AtMostOnce);
    }
    assert_eq!(scene.world.total("publishers_held_back"), 0);
    assert_eq!((scene.unread(), scene.world.total("publish_dropped")), (0, 0));
}
