//! Time windows of a policy: what hangs on one that closes ends at that moment, for clients that are there and
//! for those that are away.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use std::sync::Arc;

use bartizan_core::event::What;
use bartizan_core::policy::{OpenWindows, Schedule};
use bartizan_core::server::apply::Change;
use bartizan_core::wire::{QoS, Version};
use server_world::client::{Client, rest};
use server_world::{World, wide};

/// `day` reads `t` while the window is open, and `w` writes all.
const POLICY: &str = r#"{"format":3,"windows":[{"name":"day","days":[0],"from":0,"to":60,"zone":"UTC"}],"roles":[
  {"name":"day","limits":{},"rules":[
    {"name":"d","effect":"permit","actions":["subscribe"],"pattern":[{"lit":"t"}],"qos_max":2,"retain":true,
      "when":{"window":["day"]}}]},
  {"name":"w","limits":{},"rules":[
    {"name":"w","effect":"permit","actions":["publish","subscribe"],"pattern":["many"],"qos_max":2,"retain":true}]}]}"#;

const SECOND: u64 = 1_000;

/// Open from ten to twenty seconds from now on; the schedule ends after a minute.
fn world(shards: usize) -> World {
    let mut world = World::under(POLICY, shards, wide(), &[("r", &["day"]), ("w", &["w"])]);
    let at = |seconds: u64, open: bool| (world.now.plus_ms(seconds * SECOND), OpenWindows([open].into()));
    let changes = vec![at(10, true), at(20, false), at(30, true)];
    let schedule = Arc::new(Schedule::new(changes, world.now.plus_ms(60 * SECOND)));
    world.apply(Change { schedule, ..world.change.clone() });
    world
}

fn joined(world: &mut World, name: &str, at: usize) -> Client {
    let mut client = Client::new(name, name, Version::V5);
    client.expiry_s = 3_600;
    client.connect(world, at);
    rest(world, &mut [&mut client]);
    client
}

fn granted(world: &mut World, reader: &mut Client) -> bool {
    reader.subacks.clear();
    reader.subscribe(world, "t", QoS::AtLeastOnce);
    rest(world, &mut [reader]);
    reader.subacks.iter().all(|(_, reasons)| reasons.iter().all(|reason| *reason < 0x80))
}

fn told(world: &mut World, writer: &mut Client, reader: &mut Client) -> usize {
    reader.got.clear();
    writer.publish(world, "t", "x", QoS::AtLeastOnce, false);
    rest(world, &mut [writer, reader]);
    reader.got.len()
}

#[test]
fn a_subscription_lasts_as_long_as_its_window_is_open() {
    for shards in [1, 2] {
        let mut world = world(shards);
        let (mut reader, mut writer) = (joined(&mut world, "r", 0), joined(&mut world, "w", shards - 1));
        assert!(!granted(&mut world, &mut reader), "before it opens");
        world.advance(10 * SECOND);
        assert!(granted(&mut world, &mut reader));
        assert_eq!(told(&mut world, &mut writer, &mut reader), 1);
        world.advance(10 * SECOND - 1);
        assert_eq!(told(&mut world, &mut writer, &mut reader), 1, "to its last moment");
        world.advance(1);
        assert_eq!(told(&mut world, &mut writer, &mut reader), 0);
        assert!(!granted(&mut world, &mut reader));
        world.advance(10 * SECOND);
        assert_eq!(told(&mut world, &mut writer, &mut reader), 0, "what is gone does not come back by itself");
        assert!(granted(&mut world, &mut reader));
        world.advance(30 * SECOND);
        assert_eq!(told(&mut world, &mut writer, &mut reader), 0, "behind the end of the schedule all is closed");
    }
}

#[test]
fn what_is_queued_for_a_client_that_is_away_goes_with_the_window() {
    let mut world = world(1);
    let (mut reader, mut writer) = (joined(&mut world, "r", 0), joined(&mut world, "w", 0));
    world.advance(10 * SECOND);
    assert!(granted(&mut world, &mut reader));
    reader.drop_connection(&mut world);
    writer.publish(&mut world, "t", "queued", QoS::AtLeastOnce, false);
    rest(&mut world, &mut [&mut writer]);
    world.advance(10 * SECOND);
    reader.clean_start = false;
    reader.connect(&mut world, 0);
    rest(&mut world, &mut [&mut reader]);
    assert!(reader.session_present && reader.got.is_empty());
    assert_eq!(told(&mut world, &mut writer, &mut reader), 0);
}

#[test]
fn it_is_told_which_windows_opened_and_closed_once_for_all_shards() {
    let mut world = world(2);
    for seconds in [10, 10, 10, 30] {
        world.advance(seconds * SECOND);
    }
    let of_windows = |what: &What| match what {
        What::WindowsChanged { opened, closed } => Some((opened.concat(), closed.concat())),
        _ => None,
    };
    let told: Vec<(String, String)> = world.events.iter().filter_map(of_windows).collect();
    let (opens, closes) = (("day".to_owned(), String::new()), (String::new(), "day".to_owned()));
    assert_eq!(told, [opens.clone(), closes.clone(), opens, closes]);
}
