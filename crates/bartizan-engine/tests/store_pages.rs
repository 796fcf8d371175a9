//! Queued messages read back while checkpoints are taken, and from an index that is damaged.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests

mod store_scene;

use std::fs;
use std::sync::Arc;

use bartizan_engine::store::{Fetch, Fetched, Loaded, Store};
use store_scene::*;

fn page(store: &Arc<dyn Store>, seqs: Vec<u64>) -> Fetched {
    store.fetch(0, Fetch { session: 1, client_id: "c".into(), seqs });
    until("a page", || store.has_fetched(0) || store.failure().is_some());
    store.take_fetched(0).pop().unwrap_or_else(|| panic!("{}", store.failure().unwrap()))
}

fn payload(seq: u64) -> Vec<u8> {
    let mut octets = vec![seq as u8; 2_000];
    octets[..8].copy_from_slice(&seq.to_le_bytes());
    octets
}

#[test]
fn every_message_is_found_wherever_a_checkpoint_has_it() {
    let dir = tempfile::tempdir().unwrap();
    // Checkpoints every thirty messages or so: pages meet all of before, meanwhile and after.
    let store = opened(small(dir.path()));
    let mut oldest = 1;
    for seq in 1..=1_500 {
        store.submit(0, vec![enqueue("c", seq, &message("a", &payload(seq)))]);
        if seq % 5 == 0 {
            store.submit(0, vec![dequeue("c", oldest)]);
            oldest += 1;
        }
        if seq % 10 == 0 {
            let seqs: Vec<u64> = (oldest..=seq).step_by(1 + seq as usize / 40).collect();
            let found = page(&store, seqs.clone());
            assert_eq!(found.missing, [0_u64; 0], "at {seq}");
            assert_eq!(found.messages.iter().map(|found| found.seq).collect::<Vec<_>>(), seqs);
            assert!(found.messages.iter().all(|found| found.message.payload() == payload(found.seq)));
        }
    }
    wait_for_space(&store);
}

#[test]
fn places_are_loaded_without_their_messages_and_weigh_what_these_do() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(small(dir.path()));
    let messages: Vec<_> = (1..=100).map(|seq| (seq, message("a", &payload(seq)))).collect();
    for (seq, message) in &messages {
        commit(&store, vec![enqueue("c", *seq, message)]);
    }
    drop(store);
    let store = opened(log_only(dir.path()));
    let mut places = Vec::new();
    store.load_places(&mut |loaded| places.push(loaded)).unwrap();
    let expected: Vec<_> = messages
        .iter()
        .map(|(seq, message)| Loaded::Waiting {
            client_id: "c".into(),
            seq: *seq,
            weight_bytes: message.weight_bytes() as u32,
        })
        .collect();
    assert_eq!(places, expected);
}

#[test]
fn a_damaged_message_stops_the_store_and_is_named_not_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(log_only(dir.path()));
    commit(&store, vec![enqueue("c", 1, &message("a", b"as it was written"))]);
    drop(store);
    // The checkpoint at a start takes it over.
    drop(opened(log_only(dir.path())));
    let index = dir.path().join("index.redb");
    let mut octets = fs::read(&index).unwrap();
    let places: Vec<_> = (0..octets.len()).filter(|at| octets[*at..].starts_with(b"as it was written")).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| octets[*at] ^= 1);
    fs::write(&index, octets).unwrap();
    let store = opened(log_only(dir.path()));
    store.fetch(0, Fetch { session: 1, client_id: "c".into(), seqs: vec![1] });
    until("a failure", || store.failure().is_some());
    let told = store.failure().unwrap().to_string();
    assert!(told.contains("of bodies is not what was written"), "{told}");
    assert!(store.committed(0).failed && store.take_fetched(0).is_empty());
}
