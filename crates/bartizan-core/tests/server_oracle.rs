//! What becomes of messages that rules permit is what the oracle says: whole servers are sent what
//! `python -m tests.oracle_cases` wrote, and whoever is subscribed to everything gets what the oracle lets pass, with
//! the Message Expiry Interval and the words about its publisher that its topic declares.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use std::sync::Arc;

use bartizan_core::event::What;
use bartizan_core::policy::{Image, Misfit, PayloadCheck, PayloadCompiler, PayloadSpec};
use bartizan_core::server::apply::Change;
use bartizan_core::session::Principal;
use bartizan_core::wire::encode::{self, PublishHead};
use bartizan_core::wire::{Property, QoS, Version};
use serde::Deserialize;
use server_world::client::{Client, Got};
use server_world::{World, identity, wide};

const CASES: &str = include_str!("policy_oracle/messages.jsonl");

#[derive(Deserialize)]
struct Case {
    image: serde_json::Value,
    tenant: Option<String>,
    sent: Vec<Row>,
}

/// When, topic, octets of the payload, Message Expiry Interval, User Properties; then what becomes of it: whether it
/// is refused, how it is not as declared and to what effect, its Message Expiry Interval and User Properties, and
/// whether the server tells whose it is.
type Row = (u64, String, usize, Option<u32>, Pairs, bool, Pairs, Option<u32>, Pairs, bool);
type Pairs = Vec<(String, String)>;

/// The names of what the server tells, in its order.
const STAMP: [&str; 4] = ["bartizan-identity", "bartizan-method", "bartizan-listener", "bartizan-time"];

/// Payloads of so many octets at most.
#[derive(Debug)]
struct AtMost(u64);

impl PayloadCheck for AtMost {
    fn check(&self, payload: &[u8]) -> Result<(), Misfit> {
        if payload.len() as u64 <= self.0 { Ok(()) } else { Err(Misfit("too long".into())) }
    }
}

struct Compiler;

impl PayloadCompiler for Compiler {
    fn compile(&self, spec: &PayloadSpec) -> Result<Box<dyn PayloadCheck>, String> {
        spec.bytes_max.map(|most| Box::new(AtMost(most)) as Box<dyn PayloadCheck>).ok_or_else(|| "no bound".into())
    }
}

/// A server under this case's policy, and its publisher and its reader: both are clients of its tenant, if it has one.
fn world(case: &Case, shards: usize) -> (World, Client, Client) {
    let mut world = World::new(shards, wide(), &[]);
    let image = Arc::new(Image::load_with(case.image.to_string().as_bytes(), &Compiler).unwrap());
    let attributes: Vec<_> = case.tenant.iter().map(|tenant| ("tenant".into(), tenant.as_str().into())).collect();
    let of = |name: &str| {
        let (name, plain) = identity(name, &["all"]);
        (name, Arc::new(Principal { attributes: attributes.clone(), ..(*plain).clone() }))
    };
    let identities = Arc::new([of("writer"), of("reader")].into_iter().collect());
    world.apply(Change { image, identities, epoch: 2, ..world.change.clone() });
    let mut join = |name: &str, at: usize| {
        let mut client = Client::new(name, name, Version::V5);
        client.connect(&mut world, at);
        world.settle();
        client.read(&mut world);
        assert!(client.is_connected, "{:?}", client.last_reason);
        client
    };
    let writer = join("writer", 0);
    let mut reader = join("reader", shards - 1);
    reader.subscribe(&mut world, "#", QoS::AtMostOnce);
    world.settle();
    reader.read(&mut world);
    (world, writer, reader)
}

fn publish(world: &mut World, writer: &Client, row: &Row) {
    let (_, topic, octets, expiry_s, said, ..) = row;
    let mut forwarded = Vec::new();
    said.iter().for_each(|(name, value)| Property::UserProperty((name, value)).write(&mut forwarded));
    let head = PublishHead { topic, expiry_s: *expiry_s, forwarded: &forwarded, ..PublishHead::default() };
    let mut packet = Vec::new();
    encode::publish(&mut packet, Version::V5, &head, &vec![0; *octets]);
    world.send(writer.socket.unwrap(), &packet);
    world.settle();
    world.flush_all();
}

/// How messages were not as declared, and what was made of each, since the last time; of those that are only counted
/// nobody is told how.
fn broken(world: &mut World, counted: &mut u64) -> Pairs {
    let told = std::mem::take(&mut world.events).into_iter().filter_map(|what| match what {
        What::ContractBroken { broken, effect: "warned", .. } => Some((broken.to_owned(), "warn".to_owned())),
        What::ContractBroken { broken, .. } => Some((broken.to_owned(), "reject".to_owned())),
        _ => None,
    });
    let before = std::mem::replace(counted, world.total("contract_counted"));
    told.chain((before..*counted).map(|_| (String::new(), "off".to_owned()))).collect()
}

/// What the oracle says, as far as it is told.
fn told(pairs: &Pairs) -> Pairs {
    let of = |(how, word): &(String, String)| (if word == "off" { String::new() } else { how.clone() }, word.clone());
    pairs.iter().map(of).collect()
}

fn check(got: Option<&Got>, row: &Row) {
    let (.., is_refused, _, expiry_s, said, is_stamped) = row;
    let Some(got) = got else {
        assert!(is_refused, "it did not pass: {row:?}");
        return;
    };
    assert!(!is_refused, "it passed: {row:?}");
    assert_eq!((&got.topic, got.payload.len(), got.expiry_s), (&row.1, row.2, *expiry_s), "{row:?}");
    let own = got.said.len().saturating_sub(if *is_stamped { STAMP.len() } else { 0 });
    assert_eq!(&got.said[..own], said, "{row:?}");
    let stamp: Vec<&str> = got.said[own..].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(stamp, if *is_stamped { &STAMP[..] } else { &[] }, "{row:?}");
}

#[test]
fn every_message_ends_as_the_oracle_says() {
    let mut count = 0;
    for (number, line) in CASES.lines().enumerate() {
        let case: Case = serde_json::from_str(line).unwrap();
        let (mut world, writer, mut reader) = world(&case, number % 3 + 1);
        let (begun, mut counted) = (world.now, 0);
        for row in &case.sent {
            let due = begun.plus_ms(row.0);
            let ahead = due.since(world.now);
            world.advance(ahead);
            reader.got.clear();
            publish(&mut world, &writer, row);
            reader.read(&mut world);
            assert!(reader.got.len() <= 1 && reader.is_connected, "{row:?}");
            check(reader.got.first(), row);
            assert_eq!(broken(&mut world, &mut counted), told(&row.6), "{row:?} of {line}");
            count += 1;
        }
    }
    assert!(count > 1_000, "the file is there: {count}");
}
