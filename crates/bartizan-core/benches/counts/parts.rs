//! The parts: codec, topics, subscription index, policy decision.

use std::hint::black_box;
use std::sync::Arc;

use bartizan_core::policy::{Asked, Identity, Image, OpenWindows};
use bartizan_core::topic::{SubscriptionIndex, TopicFilter, TopicName, topic_hash};
use bartizan_core::wire::encode::{self, PublishHead};
use bartizan_core::wire::{self, PacketId, QoS, Role, Version};

use crate::shard::{POLICY, publishes};
use crate::{Case, collect_instructions};

const TOPIC: &str = "plant/press-01/temperature";
const PAYLOAD: &[u8] = b"sixteen octets!!";
/// How often each is done: enough that entering and leaving are nothing.
const TIMES: u16 = 256;

/// All of them.
pub const CASES: &[Case] = &[
    ("decode PUBLISH QoS 0", || decode(Version::V311, QoS::AtMostOnce)),
    ("decode PUBLISH QoS 1", || decode(Version::V311, QoS::AtLeastOnce)),
    ("decode PUBLISH QoS 0, MQTT 5", || decode(Version::V5, QoS::AtMostOnce)),
    ("encode PUBLISH QoS 0", || encode(Version::V311, QoS::AtMostOnce)),
    ("encode PUBLISH QoS 1", || encode(Version::V311, QoS::AtLeastOnce)),
    ("encode PUBLISH QoS 0, MQTT 5", || encode(Version::V5, QoS::AtMostOnce)),
    ("Topic Name: validate", name),
    ("Topic Filter: validate", filter),
    ("topic: hash", hash),
    ("filter match: exact", || filter_match("plant/press-01/temperature")),
    ("filter match: wildcard", || filter_match("plant/+/temperature")),
    ("filter match: miss", || filter_match("plant/+/pressure")),
    ("index of 1,000: exact", || index(|n| format!("plant/press-{n:03}/temperature"), 1)),
    ("index of 1,000: wildcard", || index(|n| format!("hall/{n:03}/temperature"), 1)),
    ("index of 1,000: miss", || index(|n| format!("plant/nobody-{n:03}/temperature"), 0)),
    ("policy decision: permitted", || decide("plant/press-01/temperature", true)),
    ("policy decision: forbidden", || decide("plant/press-01/secret/key", false)),
    ("policy decision: no permit", || decide("plant/press-02/temperature", false)),
];

fn times(mut work: impl FnMut()) -> usize {
    work();
    collect_instructions(&mut || (0..TIMES).for_each(|_| work()));
    usize::from(TIMES)
}

fn decode(version: Version, qos: QoS) -> usize {
    let octets = publishes(version, TOPIC, qos, PAYLOAD, 1);
    times(|| {
        let frame = wire::frame(black_box(&octets), 1 << 20).unwrap().unwrap();
        black_box(wire::decode(frame, Role::Server, Some(version)).unwrap());
    })
}

fn encode(version: Version, qos: QoS) -> usize {
    let packet_id = if qos == QoS::AtMostOnce { None } else { PacketId::new(7) };
    let head = PublishHead { qos, topic: TOPIC, packet_id, ..PublishHead::default() };
    let mut out = Vec::with_capacity(1 << 10);
    times(|| {
        out.clear();
        encode::publish(black_box(&mut out), version, black_box(&head), black_box(PAYLOAD));
    })
}

fn name() -> usize {
    times(|| {
        black_box(TopicName::parse(black_box(TOPIC)).unwrap());
    })
}

fn filter() -> usize {
    times(|| {
        black_box(TopicFilter::parse(black_box("plant/+/temperature/#")).unwrap());
    })
}

fn hash() -> usize {
    times(|| {
        black_box(topic_hash(black_box(TOPIC)));
    })
}

fn filter_match(filter: &str) -> usize {
    let filter = TopicFilter::parse(filter).unwrap();
    let name = TopicName::parse(TOPIC).unwrap();
    times(|| {
        black_box(black_box(&filter).matches(black_box(&name)));
    })
}

/// Look-ups in the index itself, as a topic costs it that no route is cached for. Of many topics,
/// because what one costs depends on the seed of the hash tables.
/// Over several, for each has a seed of its own, and how long a walk through its tables is hangs on that.
fn index(topic: fn(u16) -> String, expected: usize) -> usize {
    const SEEDS: usize = 64;
    let topics: Vec<String> = (0..TIMES).map(topic).collect();
    let names: Vec<TopicName<'_>> = topics.iter().map(|topic| TopicName::parse(topic).unwrap()).collect();
    for _ in 0..SEEDS {
        let mut index: SubscriptionIndex<u16, u16> = SubscriptionIndex::new();
        for n in 0..500 {
            index.insert(&TopicFilter::parse(&format!("plant/press-{n:03}/temperature")).unwrap(), n, n);
            index.insert(&TopicFilter::parse(&format!("hall/{n:03}/+")).unwrap(), n, n);
        }
        let mut found = 0;
        names.iter().for_each(|name| index.for_each_match(name, &mut |_, _| found += 1));
        assert_eq!(found, expected * names.len());
        collect_instructions(&mut || {
            for name in &names {
                index.for_each_match(black_box(name), &mut |key, value| {
                    black_box((key, value));
                });
            }
        });
    }
    SEEDS * names.len()
}

fn decide(topic: &str, allow: bool) -> usize {
    let image = Arc::new(Image::load(POLICY.as_bytes()).unwrap());
    let roles = [Arc::from("press"), Arc::from("dash")];
    let grants = {
        let who = Identity { id: "press", client_id: "press-01", roles: &roles, ..Identity::default() };
        image.bind(&who, &OpenWindows::default())
    };
    let name = TopicName::parse(topic).unwrap();
    let asked = Asked::plain(QoS::AtMostOnce, false, 16);
    assert_eq!(grants.publish(&name, &asked).allow, allow);
    times(|| {
        black_box(grants.publish(black_box(&name), black_box(&asked)));
    })
}
