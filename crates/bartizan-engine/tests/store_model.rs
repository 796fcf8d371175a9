//! Random changes, reopened at random points: the embedded store holds what the memory one holds.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)] // tests

mod store_scene;

use std::collections::BTreeSet;
use std::sync::Arc;

use bartizan_core::message::{Message, Time};
use bartizan_core::wire::{PacketId, QoS, SubscriptionOptions};
use bartizan_engine::store::{Mutation, Store, memory};
use proptest::collection::vec;
use proptest::prelude::*;
use store_scene::*;

/// One client's name begins with another's.
const CLIENTS: [&str; 4] = ["a", "ab", "b/+", ""];
const FILTERS: [&str; 4] = ["#", "a/+", "$share/g/a", "a"];
const TOPICS: [&str; 4] = ["a", "a/b", "$SYS/x", "ä"];

#[derive(Clone, Debug)]
enum Step {
    /// Which of the drawn changes; clients, places and messages by number.
    Batch(Vec<(u8, u8, u8, u8)>),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (0..16u8, 0..4u8, 0..6u8, 0..24u8);
    vec(prop_oneof![9 => vec(change, 0..12).prop_map(Step::Batch), 2 => Just(Step::Reopen)], 1..60)
}

/// Messages of all sizes; the same one may be queued again and again.
fn pool() -> Vec<Arc<Message>> {
    (0..24).map(|n| message(TOPICS[n % 4], &vec![n as u8; n * n * 9])).collect()
}

/// A mutation of those numbers, unless it breaks the rule that a place is taken once.
fn mutation(
    (kind, client, place, body): (u8, u8, u8, u8),
    pool: &[Arc<Message>],
    taken: &mut BTreeSet<(u8, u8)>,
) -> Option<Mutation> {
    let client_id: Arc<str> = CLIENTS[usize::from(client)].into();
    let (seq, filter) = (u64::from(place), FILTERS[usize::from(place % 4)].into());
    let message = pool[usize::from(body)].clone();
    let packet_id = PacketId::new(u16::from(place) + 1)?;
    Some(match kind {
        0 => session(&client_id),
        1 => {
            taken.retain(|(whose, _)| *whose != client);
            Mutation::SessionDelete { client_id }
        }
        2 => {
            let options = SubscriptionOptions { retain_handling: place % 3, ..SubscriptionOptions::default() };
            Mutation::SubscriptionPut { client_id, filter, options, subscription_id: Some(body.into()) }
        }
        3 => Mutation::SubscriptionDelete { client_id, filter },
        4..=7 => {
            if !taken.insert((client, place)) {
                return None;
            }
            let (qos, subscription_ids) = (QoS::ExactlyOnce, [u32::from(body)].into());
            Mutation::Enqueue { client_id, seq, message, qos, retain: true, subscription_ids, packet_id: None }
        }
        8 => Mutation::Assign { client_id, seq, packet_id },
        9 => Mutation::Released { client_id, seq },
        10 | 11 => {
            taken.remove(&(client, place));
            Mutation::Dequeue { client_id, seq }
        }
        12 if body < 12 => Mutation::ReceivedPut { client_id, packet_id },
        12 => Mutation::ReceivedDelete { client_id, packet_id },
        13 => Mutation::RetainedPut { message },
        14 if body < 12 => Mutation::RetainedDelete { topic: TOPICS[usize::from(place % 4)].into() },
        14 => Mutation::WillDelete { client_id },
        _ => {
            let due = (place > 2).then_some(Time(u64::from(place)));
            Mutation::WillPut { client_id, due, will: message, delay_s: u32::from(place) }
        }
    })
}

fn play(steps: &[Step]) {
    let dir = tempfile::tempdir().unwrap();
    // Os: as durable against this test as fsync, and much faster.
    let config = with(bartizan_engine::store::Durability::Os, small(dir.path()));
    let model: Arc<dyn Store> = memory::open(1, Arc::new(|_| {}));
    let mut store = opened(config.clone());
    let (pool, mut taken) = (pool(), BTreeSet::new());
    for (n, step) in steps.iter().enumerate() {
        match step {
            Step::Batch(drawn) => {
                let batch: Vec<_> = drawn.iter().filter_map(|drawn| mutation(*drawn, &pool, &mut taken)).collect();
                model.submit(0, batch.clone());
                store.submit(n % 2, batch);
            }
            Step::Reopen => {
                drop(store);
                store = opened(config.clone());
                assert!(contents(&store) == contents(&model), "after step {n}");
            }
        }
    }
    drop(store);
    let (found, expected) = (contents(&opened(config)), contents(&model));
    assert!(found == expected, "at the end: {found:#?}, not {expected:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_store_holds_what_the_memory_one_holds(steps in steps()) {
        play(&steps);
    }
}
