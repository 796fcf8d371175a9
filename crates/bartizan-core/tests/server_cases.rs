//! One server, one situation each: what random schedules found, or would find once in a while.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use bartizan_core::server::Limits;
use bartizan_core::topic::topic_hash;
use bartizan_core::wire::{QoS, ReasonCode, Version};
use server_world::client::{Client, Will, rest};
use server_world::{World, wide};

const IDENTITIES: &[(&str, &[&str])] = &[("x", &["all"]), ("y", &["all"])];

fn world(shards: usize) -> World {
    World::new(shards, wide(), IDENTITIES)
}

/// A name that is at home on this shard.
fn name_at(world: &World, shard: usize, prefix: &str) -> String {
    let shards = world.shards() as u64;
    let names = (0..1000).map(|n| format!("{prefix}{n}"));
    names.into_iter().find(|name| topic_hash(name) % shards == shard as u64).unwrap()
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

/// The same, with a Subscription.
fn subscribed(world: &mut World, name: &str, filter: &str) -> Client {
    let mut client = joined(world, name);
    client.subscribe(world, filter, QoS::ExactlyOnce);
    rest(world, &mut [&mut client]);
    assert_eq!(client.subacks.len(), 1);
    client
}

fn payloads(client: &Client) -> Vec<&str> {
    client.got.iter().map(|got| got.payload.as_str()).collect()
}

#[test]
fn nothing_is_acknowledged_before_the_store_has_it() {
    let mut world = world(1);
    let mut reader = Client::new("r", "x", Version::V5);
    reader.connect(&mut world, 0);
    reader.read(&mut world);
    assert!(!reader.is_connected, "CONNACK of a Session that is not stored yet");
    rest(&mut world, &mut [&mut reader]);
    assert!(reader.is_connected);
    reader.subscribe(&mut world, "t", QoS::ExactlyOnce);
    reader.read(&mut world);
    assert!(reader.subacks.is_empty());
    rest(&mut world, &mut [&mut reader]);
    assert_eq!(reader.subacks.len(), 1);
    let mut writer = joined(&mut world, "w");
    writer.publish(&mut world, "t", "1", QoS::AtLeastOnce, false);
    writer.publish(&mut world, "t", "2", QoS::ExactlyOnce, false);
    writer.publish(&mut world, "unheard", "3", QoS::ExactlyOnce, false);
    writer.read(&mut world);
    assert!(writer.acknowledged.is_empty());
    world.flush_all();
    reader.read(&mut world);
    assert_eq!(payloads(&reader), ["1"], "QoS 2 waits for its identifier");
    rest(&mut world, &mut [&mut writer, &mut reader]);
    assert_eq!((writer.acknowledged.len(), payloads(&reader)), (3, vec!["1", "2"]));
}

#[test]
fn a_message_relayed_to_a_third_shard_is_acknowledged_once_that_one_has_it() {
    let mut world = world(3);
    let share = (0..).map(|n| format!("$share/g{n}/t")).find(|share| topic_hash(share) % 3 == 1).unwrap();
    let (writer, member) = (name_at(&world, 0, "w"), name_at(&world, 2, "m"));
    let mut member = subscribed(&mut world, &member, &share);
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut writer = joined(&mut world, &writer);
        writer.publish(&mut world, "t", "1", qos, false);
        let stir = |world: &mut World, writer: &mut Client, lanes: [usize; 2]| {
            for _ in 0..20 {
                for at in lanes {
                    world.commit_one(at);
                }
                for route in 0..9 {
                    world.deliver_one(route / 3, route % 3);
                }
            }
            writer.read(world);
        };
        stir(&mut world, &mut writer, [0, 1]);
        assert!(writer.acknowledged.is_empty(), "the member's shard has not stored it");
        stir(&mut world, &mut writer, [0, 2]);
        assert_eq!(writer.acknowledged.len(), 1);
        rest(&mut world, &mut [&mut writer, &mut member]);
    }
    assert_eq!(member.got.len(), 2);
}

#[test]
fn mqtt_4_3_3_a_qos_2_message_sent_again_waits_for_what_the_first_waits_for() {
    for crashes in [false, true] {
        let mut world = world(2);
        let (writer, reader) = (name_at(&world, 0, "w"), name_at(&world, 1, "r"));
        let mut reader = subscribed(&mut world, &reader, "t");
        let mut writer = joined(&mut world, &writer);
        writer.publish(&mut world, "t", "1", QoS::ExactlyOnce, false);
        while world.commit_one(0) {}
        writer.drop_connection(&mut world);
        writer.connect(&mut world, 0);
        while world.commit_one(0) {}
        writer.read(&mut world);
        while world.commit_one(0) {}
        writer.read(&mut world);
        assert!(writer.is_connected && writer.session_present && writer.acknowledged.is_empty());
        if crashes {
            world.crash();
            writer.drop_connection(&mut world);
            reader.drop_connection(&mut world);
            writer.connect(&mut world, 0);
            reader.connect(&mut world, 0);
        }
        rest(&mut world, &mut [&mut writer, &mut reader]);
        assert_eq!((writer.acknowledged.len(), writer.under_way(), payloads(&reader)), (1, 0, vec!["1"]));
    }
}

#[test]
fn a_window_of_thousands_is_filled_with_retained_messages() {
    let limits = Limits { inflight_max: u16::MAX, out_buffer_bytes_max: 1 << 30, ..wide() };
    let mut world = World::new(1, limits, IDENTITIES);
    let mut writer = joined(&mut world, "w");
    for n in 0..5_000 {
        writer.publish(&mut world, &format!("t/{n}"), "x", QoS::AtLeastOnce, true);
        world.settle();
        writer.read(&mut world);
    }
    let mut reader = Client::new("r", "x", Version::V5);
    reader.receive_maximum = u16::MAX;
    let mut reader = connected(&mut world, reader);
    reader.subscribe(&mut world, "t/#", QoS::AtLeastOnce);
    world.settle();
    reader.read(&mut world);
    assert_eq!(reader.got.len(), 5_000);
}

#[test]
fn no_retained_message_follows_a_newer_one() {
    let mut world = world(1);
    let mut writer = joined(&mut world, "w");
    for topic in ["t/a", "t/b", "t/c"] {
        writer.publish(&mut world, topic, "old", QoS::AtLeastOnce, true);
    }
    let mut reader = Client::new("r", "x", Version::V5);
    reader.receive_maximum = 1;
    let mut reader = connected(&mut world, reader);
    reader.subscribe(&mut world, "t/#", QoS::AtLeastOnce);
    world.settle();
    writer.publish(&mut world, "t/b", "new", QoS::AtLeastOnce, true);
    writer.publish(&mut world, "t/c", "", QoS::AtLeastOnce, true);
    rest(&mut world, &mut [&mut writer, &mut reader]);
    let of = |topic: &str| -> Vec<&str> {
        reader.got.iter().filter(|got| got.topic == topic).map(|got| got.payload.as_str()).collect()
    };
    assert_eq!((of("t/a"), of("t/b"), of("t/c")), (vec!["old"], vec!["new"], vec![""]));
}

#[test]
fn mqtt_3_1_2_5_a_will_is_published_once_or_not_at_all() {
    #[derive(Clone, Copy, PartialEq)]
    enum End {
        Goodbye,
        Lost,
        Removed,
        TakenOver,
        StartedAnew,
        ResumedInTime,
        Crash,
    }
    use End::*;
    let cases = [
        (Goodbye, 0, 0),
        (Lost, 0, 1),
        (Lost, 60, 1),
        (Removed, 0, 0),
        (Removed, 60, 0),
        (TakenOver, 0, 1),
        (TakenOver, 60, 0),
        (StartedAnew, 60, 1),
        (ResumedInTime, 60, 0),
        (Crash, 0, 1),
        (Crash, 60, 1),
    ];
    for (end, delay_s, times) in cases {
        for shards in [1, 3] {
            let mut world = World::new(shards, wide(), IDENTITIES);
            let mut reader = subscribed(&mut world, "r", "will");
            let mut dying = Client::new("dying", "y", Version::V5);
            dying.will = Some(Will { topic: "will".into(), payload: "w".into(), delay_s });
            let mut dying = connected(&mut world, dying);
            match end {
                Goodbye => dying.disconnect(&mut world),
                Removed => world.set_roles(&[("x", &["all"])]),
                TakenOver | StartedAnew => {
                    (dying.will, dying.clean_start) = (None, end == StartedAnew);
                    dying.connect(&mut world, 0);
                }
                Crash => {
                    world.crash();
                    reader.drop_connection(&mut world);
                    reader.connect(&mut world, 0);
                }
                Lost | ResumedInTime => dying.drop_connection(&mut world),
            }
            rest(&mut world, &mut [&mut reader]);
            if end == ResumedInTime {
                world.advance(30_000);
                dying.will = None;
                dying.connect(&mut world, 0);
            }
            rest(&mut world, &mut [&mut reader]);
            world.advance(61_000);
            rest(&mut world, &mut [&mut reader]);
            world.advance(4_000_000);
            rest(&mut world, &mut [&mut reader]);
            assert_eq!(reader.got.len(), times, "case {} with delay {delay_s}, {shards} shards", end as usize);
        }
    }
}

#[test]
fn a_connect_refused_for_the_limit_of_its_identity_ends_nothing() {
    let mut world = World::new(1, Limits { connections_per_identity_max: 1, ..wide() }, IDENTITIES);
    let mut kept = subscribed(&mut world, "kept", "t");
    kept.drop_connection(&mut world);
    let mut other = joined(&mut world, "other");
    kept.clean_start = true;
    kept.connect(&mut world, 0);
    rest(&mut world, &mut [&mut kept, &mut other]);
    assert_eq!((kept.last_reason, other.is_connected), (Some(ReasonCode::QuotaExceeded), true));
    // Whoever takes over its own Session needs no second place.
    let mut again = joined(&mut world, "other");
    again.disconnect(&mut world);
    kept.clean_start = false;
    kept.connect(&mut world, 0);
    rest(&mut world, &mut [&mut kept]);
    assert!(kept.session_present, "the Session is still there");
}

#[test]
fn what_waits_for_its_commit_is_not_sent_after_the_policy_forbids_it() {
    let mut world = world(1);
    let mut reader = Client::new("r", "y", Version::V5);
    reader = connected(&mut world, reader);
    reader.subscribe(&mut world, "t", QoS::ExactlyOnce);
    rest(&mut world, &mut [&mut reader]);
    let mut writer = joined(&mut world, "w");
    writer.publish(&mut world, "t", "1", QoS::ExactlyOnce, false);
    world.set_roles(&[("x", &["all"]), ("y", &["none"])]);
    rest(&mut world, &mut [&mut writer, &mut reader]);
    assert!(reader.is_connected && reader.got.is_empty());
}

#[test]
fn an_identity_removed_while_its_connection_is_on_its_way_gets_no_session() {
    let mut world = world(2);
    let mut late = Client::new(&name_at(&world, 1, "late"), "y", Version::V5);
    late.connect(&mut world, 0);
    world.set_roles(&[("x", &["all"])]);
    rest(&mut world, &mut [&mut late]);
    assert_eq!(late.last_reason, Some(ReasonCode::NotAuthorized));
    assert_eq!(world.total("sessions"), 0);
}

#[test]
fn mqtt_4_8_2_a_message_on_its_way_to_who_left_the_group_goes_to_another() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut world = world(2);
        let share = (0..).map(|n| format!("$share/g{n}/t")).find(|g| topic_hash(g).is_multiple_of(2)).unwrap();
        let (writer, far, near) = (name_at(&world, 0, "w"), name_at(&world, 1, "f"), name_at(&world, 0, "n"));
        let mut far = subscribed(&mut world, &far, &share);
        let mut writer = joined(&mut world, &writer);
        writer.publish(&mut world, "t", "1", qos, false);
        far.unsubscribe(&mut world, &share);
        let mut near = joined(&mut world, &near);
        near.subscribe(&mut world, &share, QoS::ExactlyOnce);
        rest(&mut world, &mut [&mut writer, &mut far, &mut near]);
        // `joined` lets everything happen, so the message may have found nobody left; with QoS 1
        // and 2 it was safe with somebody before.
        assert!(far.got.is_empty(), "{qos:?}: who has left gets nothing");
    }
}

#[test]
fn mqtt_4_8_2_qos_1_goes_to_another_member_and_qos_2_waits_for_its_own() {
    for shards in [1, 3] {
        let mut world = World::new(shards, wide(), IDENTITIES);
        let mut a = subscribed(&mut world, "a", "$share/g/t");
        let mut writer = joined(&mut world, "w");
        for (payload, qos) in [("1", QoS::AtLeastOnce), ("2", QoS::ExactlyOnce), ("3", QoS::AtLeastOnce)] {
            writer.publish(&mut world, "t", payload, qos, false);
        }
        world.settle();
        let mut b = subscribed(&mut world, "b", "$share/g/t");
        a.drop_connection(&mut world);
        rest(&mut world, &mut [&mut writer, &mut b]);
        assert_eq!(payloads(&b), ["1", "3"]);
        a.connect(&mut world, 0);
        rest(&mut world, &mut [&mut a, &mut b]);
        assert_eq!(payloads(&a), ["2"]);
        // Its Session ends with a message that it was not sent: the other one gets that too.
        a.receive_maximum = 1;
        a.connect(&mut world, 0);
        rest(&mut world, &mut [&mut a]);
        b.disconnect(&mut world);
        for payload in ["4", "5"] {
            writer.publish(&mut world, "t", payload, QoS::ExactlyOnce, false);
        }
        world.settle();
        a.read(&mut world);
        b.connect(&mut world, 0);
        rest(&mut world, &mut [&mut b, &mut writer]);
        a.drop_connection(&mut world);
        (a.clean_start, a.will) = (true, None);
        a.connect(&mut world, 0);
        rest(&mut world, &mut [&mut b]);
        assert_eq!(payloads(&b), ["1", "3", "5"], "{shards} shards");
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
