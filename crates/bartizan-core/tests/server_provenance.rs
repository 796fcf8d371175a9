//! Whose a message is: told by the server where its topic asks for it, and forged by nobody.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use std::sync::Arc;

use bartizan_core::policy::Image;
use bartizan_core::server::apply::Change;
use bartizan_core::wire::{QoS, Version};
use server_world::client::{self, Client, Got, Will};
use server_world::{World, wide};

const ROLES: &str = r#""roles":[{"name":"all","limits":{},"rules":[{"name":"r","effect":"permit",
    "actions":["publish","subscribe"],"pattern":["many"],"qos_max":2,"retain":true}]}]"#;

const ASKS: &str = r#""topics":[
  {"name":"plain","pattern":[{"lit":"plain"}]},
  {"name":"told/{x}","pattern":[{"lit":"told"},"one"],"provenance":true}]"#;

/// The names that are the server's, as clients write them.
const FORGED: [(&str, &str); 4] = [
    ("bartizan-identity", "root"),
    ("unit", "Cel"),
    ("Bartizan-Time", "2000-01-01T00:00:00.000Z"),
    ("bartizan-anything", "x"),
];

fn image(text: &str) -> Arc<Image> {
    Arc::new(Image::load(format!(r#"{{"format":3,{text}}}"#).as_bytes()).unwrap())
}

fn asking(world: &mut World, image: Arc<Image>) {
    let epoch = world.change.epoch + 1;
    world.apply(Change { image, epoch, ..world.change.clone() });
}

fn world(shards: usize) -> World {
    let mut world = World::new(shards, wide(), &[("i", &["all"]), ("o", &["all"])]);
    asking(&mut world, image(&format!("{ROLES},{ASKS}")));
    world
}

/// Everything happens that can, to what waits in sockets too.
fn rest(world: &mut World, clients: &mut [&mut Client]) {
    client::rest(world, clients);
    world.flush_all();
    client::rest(world, clients);
}

fn joined(world: &mut World, mut client: Client) -> Client {
    client.connect(world, 0);
    rest(world, &mut [&mut client]);
    assert!(client.is_connected, "{:?}", client.last_reason);
    client
}

fn reader(world: &mut World, version: Version) -> Client {
    let mut reader = joined(world, Client::new("reader", "o", version));
    reader.subscribe(world, "#", QoS::ExactlyOnce);
    rest(world, &mut [&mut reader]);
    reader
}

fn forger(version: Version) -> Client {
    let mut client = Client::new("writer", "i", version);
    client.says = FORGED.to_vec();
    client
}

fn pairs(got: &Got) -> Vec<(&str, &str)> {
    got.said.iter().map(|(name, value)| (&**name, &**value)).collect()
}

/// What the server tells, behind what the client may say; `World` begins at 1,000 seconds.
const TOLD: [(&str, &str); 4] = [
    ("bartizan-identity", "i"),
    ("bartizan-method", "password"),
    ("bartizan-listener", "test"),
    ("bartizan-time", "1970-01-01T00:16:40.000Z"),
];

#[test]
fn where_a_topic_asks_whose_a_message_is_the_server_tells_it_and_no_client_can() {
    for shards in [1, 3] {
        for version in [Version::V311, Version::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let mut world = world(shards);
                let mut reader = reader(&mut world, Version::V5);
                let mut writer = joined(&mut world, forger(version));
                for topic in ["told/1", "plain", "told/1", "told/2/3", "told/2"] {
                    writer.publish(&mut world, topic, "x", qos, false);
                    rest(&mut world, &mut [&mut writer, &mut reader]);
                }
                let own: &[(&str, &str)] = if version.is_v5() { &[("unit", "Cel")] } else { &[] };
                let told = [own, &TOLD].concat();
                let said: Vec<_> = reader.got.iter().map(|got| (&*got.topic, pairs(got))).collect();
                let others = [("plain", own.to_vec()), ("told/2/3", own.to_vec())];
                let [plain, deeper] = others;
                assert_eq!(said, [("told/1", told.clone()), plain, ("told/1", told.clone()), deeper, ("told/2", told)]);
            }
        }
    }
}

#[test]
fn a_retained_message_goes_on_telling_whose_it_was_and_when() {
    let mut world = world(2);
    let mut writer = joined(&mut world, forger(Version::V5));
    writer.publish(&mut world, "told/1", "x", QoS::AtLeastOnce, true);
    rest(&mut world, &mut [&mut writer]);
    world.advance(60_000);
    let late = reader(&mut world, Version::V5);
    assert_eq!(pairs(&late.got[0]), [&[("unit", "Cel")], &TOLD[..]].concat());
}

#[test]
fn readers_of_3_1_1_are_told_nothing() {
    let mut world = world(1);
    let mut reader = reader(&mut world, Version::V311);
    let mut writer = joined(&mut world, forger(Version::V5));
    writer.publish(&mut world, "told/1", "x", QoS::AtLeastOnce, false);
    rest(&mut world, &mut [&mut writer, &mut reader]);
    assert_eq!((reader.got.len(), pairs(&reader.got[0]).len()), (1, 0));
}

#[test]
fn a_will_tells_whose_it_is_when_it_is_sent() {
    for (topic, delay_s) in [("told/1", 0), ("told/1", 30), ("plain", 0)] {
        let mut world = world(2);
        let mut reader = reader(&mut world, Version::V5);
        let will = Will { topic: topic.into(), payload: "gone".into(), delay_s };
        let mut writer = forger(Version::V5);
        writer.will = Some(will);
        let mut writer = joined(&mut world, writer);
        writer.drop_connection(&mut world);
        world.advance(u64::from(delay_s) * 1000);
        rest(&mut world, &mut [&mut reader]);
        let time = if delay_s == 0 { TOLD[3].1 } else { "1970-01-01T00:17:10.000Z" };
        let told = [("unit", "Cel"), TOLD[0], TOLD[1], ("bartizan-time", time)];
        let wanted = if topic == "plain" { &told[..1] } else { &told[..] };
        assert_eq!(pairs(&reader.got[0]), wanted, "{topic} {delay_s}");
    }
}

#[test]
fn where_no_topic_asks_every_property_goes_on_as_it_came() {
    let mut world = world(1);
    let mut reader = reader(&mut world, Version::V5);
    let mut writer = joined(&mut world, forger(Version::V5));
    let mut publish = |world: &mut World, topic: &str| {
        writer.publish(world, topic, "x", QoS::AtLeastOnce, false);
        rest(world, &mut [&mut writer, &mut reader]);
        pairs(reader.got.last().unwrap()).len()
    };
    assert_eq!(publish(&mut world, "told/1"), 5);
    asking(
        &mut world,
        image(&format!(r#"{ROLES},"topics":[{{"name":"plain","pattern":[{{"lit":"plain"}}],"rate_per_s":9}}]"#)),
    );
    assert_eq!((publish(&mut world, "told/1"), publish(&mut world, "plain")), (4, 4));
    asking(&mut world, image(&format!("{ROLES},{ASKS}")));
    assert_eq!((publish(&mut world, "told/1"), publish(&mut world, "plain")), (5, 1));
}
