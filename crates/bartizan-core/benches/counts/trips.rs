//! The whole of core: octets into a shard until octets are out of it.

use std::hint::black_box;

use bartizan_core::session::ConnectionKey;
use bartizan_core::wire::encode;
use bartizan_core::wire::{self, Packet, QoS, ReasonCode, Role, Version};

use crate::shard::{Pair, Shard, connect, principal, publishes};
use crate::{Case, collect_instructions};

const TOPIC: &str = "plant/press-01/temperature";
/// Packets of one read. What a dense publisher has under way.
const ROW: u16 = 50;
/// Reads.
const ROUNDS: usize = 8;

/// All of them.
pub const CASES: &[Case] = &[
    ("PUBLISH QoS 0 to one, 50 in a row", || dense(Version::V311, 16)),
    ("PUBLISH QoS 0 to one, 50 in a row, MQTT 5", || dense(Version::V5, 16)),
    ("PUBLISH QoS 0 to one, 50 in a row, 1 KiB", || dense(Version::V311, 1024)),
    ("PUBLISH QoS 0 to one, 50 in a row, watched", || watched(false)),
    ("PUBLISH QoS 0 to one, 50 in a row, watched and counted", || watched(true)),
    ("PUBLISH QoS 0 to one, one at a time", sparse),
    ("PUBLISH QoS 0 to one, 50 topics in turn", mixed),
    ("PUBLISH QoS 1 to one, acknowledged", || acknowledged(QoS::AtLeastOnce)),
    ("PUBLISH QoS 2 to one, acknowledged", || acknowledged(QoS::ExactlyOnce)),
    ("PUBLISH QoS 0 to one on another shard, 50 in a row", crossing),
    ("PUBLISH QoS 0 to one on another shard, one at a time", || crossing_in_rows(1)),
    ("PUBLISH QoS 1 to one on another shard, acknowledged", crossing_acknowledged),
    ("PUBLISH QoS 0 to 100, per receiver", fan_out),
    ("PUBLISH QoS 0 to nobody", nobody),
    ("CONNECT to CONNACK", || session(Version::V311)),
    ("CONNECT to CONNACK, MQTT 5", || session(Version::V5)),
];

fn dense(version: Version, payload: usize) -> usize {
    in_rows(Shard::new(), version, payload)
}

/// Where decisions are observed, and what identities do is counted for detectors: as a broker does by default.
fn watched(is_counted: bool) -> usize {
    let mut shard = Shard::new();
    shard.watch(is_counted);
    in_rows(shard, Version::V311, 16)
}

fn in_rows(mut shard: Shard, version: Version, payload: usize) -> usize {
    let from = shard.client("press-01", "press", version);
    let to = shard.subscriber("dash-01", version, TOPIC, QoS::AtMostOnce);
    let octets = publishes(version, TOPIC, QoS::AtMostOnce, &vec![b'x'; payload], ROW);
    shard.send(from, &octets);
    assert!(shard.drain(to) >= octets.len());
    collect_instructions(&mut || {
        for _ in 0..ROUNDS {
            shard.send(from, black_box(&octets));
            black_box(shard.drain(to));
        }
    });
    ROUNDS * usize::from(ROW)
}

fn sparse() -> usize {
    let mut shard = Shard::new();
    let from = shard.client("press-01", "press", Version::V311);
    let to = shard.subscriber("dash-01", Version::V311, TOPIC, QoS::AtMostOnce);
    let octets = publishes(Version::V311, TOPIC, QoS::AtMostOnce, &[b'x'; 16], 1);
    shard.send(from, &octets);
    assert_eq!(shard.drain(to), octets.len());
    collect_instructions(&mut || {
        for _ in 0..100 {
            shard.send(from, black_box(&octets));
            black_box(shard.drain(to));
        }
    });
    100
}

/// Where the topic of the last packet helps nobody: the cached route and the cached decision.
fn mixed() -> usize {
    let mut shard = Shard::new();
    let from = shard.client("press-01", "press", Version::V311);
    let to = shard.subscriber("dash-01", Version::V311, "plant/+/+", QoS::AtMostOnce);
    let octets: Vec<u8> = (0..ROW)
        .flat_map(|n| {
            publishes(Version::V311, &format!("plant/press-01/sensor-{n:02}"), QoS::AtMostOnce, &[b'x'; 16], 1)
        })
        .collect();
    shard.send(from, &octets);
    assert_eq!(shard.drain(to), octets.len());
    collect_instructions(&mut || {
        for _ in 0..ROUNDS {
            shard.send(from, black_box(&octets));
            black_box(shard.drain(to));
        }
    });
    ROUNDS * usize::from(ROW)
}

/// Every packet of both sides until nothing is open any more.
fn acknowledged(qos: QoS) -> usize {
    let mut shard = Shard::new();
    let from = shard.client("press-01", "press", Version::V311);
    let to = shard.subscriber("dash-01", Version::V311, TOPIC, qos);
    let octets = publishes(Version::V311, TOPIC, qos, &[b'x'; 16], ROW);
    let mut exchange = |counted: bool| {
        let send = if counted { Shard::send_counted } else { Shard::send };
        send(&mut shard, from, &octets);
        for _ in 0..2 {
            for key in [from, to] {
                let answers = answers(&take(&mut shard, key, counted));
                send(&mut shard, key, &answers);
            }
        }
        assert_eq!((shard.drain(from), shard.drain(to)), (0, 0), "nothing is left to say");
    };
    exchange(false);
    (0..ROUNDS).for_each(|_| exchange(true));
    ROUNDS * usize::from(ROW)
}

fn take(shard: &mut Shard, key: ConnectionKey, counted: bool) -> Vec<u8> {
    let mut octets = Vec::new();
    if counted {
        collect_instructions(&mut || octets = shard.take(key));
    } else {
        octets = shard.take(key);
    }
    octets
}

/// What a client answers to what it reads.
fn answers(inbox: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(frame) = wire::frame(&inbox[at..], u32::MAX).unwrap() {
        at += frame.len;
        let (version, reason) = (Version::V311, ReasonCode::Success);
        match wire::decode(frame, Role::Client, Some(version)).unwrap() {
            Packet::Publish(publish) => match publish.qos {
                QoS::AtLeastOnce => encode::puback(&mut out, version, publish.packet_id.unwrap(), reason, None),
                QoS::ExactlyOnce => encode::pubrec(&mut out, version, publish.packet_id.unwrap(), reason, None),
                QoS::AtMostOnce => {}
            },
            Packet::Pubrec(ack) => encode::pubrel(&mut out, version, ack.packet_id, reason, None),
            Packet::Pubrel(ack) => encode::pubcomp(&mut out, version, ack.packet_id, reason, None),
            _ => {}
        }
    }
    out
}

fn crossing() -> usize {
    crossing_in_rows(ROW)
}

/// Publisher and subscriber at home on two shards.
fn crossing_in_rows(row: u16) -> usize {
    let mut pair = Pair::new();
    let from = pair.home("press-01").client("press-01", "press", Version::V311);
    let dash = Pair::away_from("press-01");
    let to = pair.home(&dash).subscriber(&dash, Version::V311, TOPIC, QoS::AtMostOnce);
    let octets = publishes(Version::V311, TOPIC, QoS::AtMostOnce, &[b'x'; 16], row);
    let mut round = || {
        pair.home("press-01").send(from, black_box(&octets));
        pair.exchange();
        assert_eq!(pair.home(&dash).drain(to), octets.len());
    };
    round();
    let rounds = if row == 1 { 100 } else { ROUNDS };
    collect_instructions(&mut || (0..rounds).for_each(|_| round()));
    rounds * usize::from(row)
}

/// The same, until both have acknowledged.
fn crossing_acknowledged() -> usize {
    let mut pair = Pair::new();
    let from = pair.home("press-01").client("press-01", "press", Version::V311);
    let dash = Pair::away_from("press-01");
    let to = pair.home(&dash).subscriber(&dash, Version::V311, TOPIC, QoS::AtLeastOnce);
    let octets = publishes(Version::V311, TOPIC, QoS::AtLeastOnce, &[b'x'; 16], ROW);
    let mut exchange = |counted: bool| {
        let mut step = |work: &mut dyn FnMut(&mut Pair)| match counted {
            true => collect_instructions(&mut || work(&mut pair)),
            false => work(&mut pair),
        };
        let mut inbox = Vec::new();
        step(&mut |pair| {
            pair.home("press-01").send(from, &octets);
            pair.exchange();
            inbox = pair.home(&dash).take(to);
        });
        let answers = answers(&inbox);
        let mut acknowledged = 0;
        step(&mut |pair| {
            pair.home(&dash).send(to, &answers);
            acknowledged = pair.home("press-01").drain(from);
        });
        assert_eq!((acknowledged, answers.len()), (4 * usize::from(ROW), 4 * usize::from(ROW)));
    };
    exchange(false);
    (0..ROUNDS).for_each(|_| exchange(true));
    ROUNDS * usize::from(ROW)
}

fn fan_out() -> usize {
    let mut shard = Shard::new();
    let from = shard.client("press-01", "press", Version::V311);
    let to: Vec<ConnectionKey> =
        (0..100).map(|n| shard.subscriber(&format!("dash-{n:03}"), Version::V311, TOPIC, QoS::AtMostOnce)).collect();
    let octets = publishes(Version::V311, TOPIC, QoS::AtMostOnce, &[b'x'; 16], 5);
    let round = |shard: &mut Shard| {
        shard.send(from, black_box(&octets));
        for key in &to {
            assert_eq!(shard.drain(*key), octets.len());
        }
    };
    round(&mut shard);
    collect_instructions(&mut || (0..ROUNDS).for_each(|_| round(&mut shard)));
    ROUNDS * 5 * to.len()
}

fn nobody() -> usize {
    let mut shard = Shard::new();
    let from = shard.client("press-01", "press", Version::V311);
    let octets = publishes(Version::V311, TOPIC, QoS::AtMostOnce, &[b'x'; 16], ROW);
    shard.send(from, &octets);
    collect_instructions(&mut || (0..ROUNDS).for_each(|_| shard.send(from, black_box(&octets))));
    ROUNDS * usize::from(ROW)
}

fn session(version: Version) -> usize {
    const COUNT: usize = 100;
    let mut shard = Shard::new();
    // What grows with the number of clients has grown.
    (0..2 * COUNT).for_each(|n| {
        shard.client(&format!("early-{n:03}"), "dash", version);
    });
    let connects: Vec<Vec<u8>> = (0..COUNT).map(|n| connect(&format!("press-{n:03}"), version)).collect();
    collect_instructions(&mut || {
        for octets in &connects {
            let key = shard.accept();
            shard.open(key, octets, principal("press"));
            assert!(shard.drain(key) > 0);
        }
    });
    COUNT
}
