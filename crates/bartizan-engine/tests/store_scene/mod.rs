//! What the tests of the store are played with: a small store, messages, and waiting for commits.
#![allow(dead_code)] // each test file uses its part

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bartizan_core::message::{Message, Publisher};
use bartizan_core::topic::TopicName;
use bartizan_core::wire::{QoS, Version};
use bartizan_engine::store::{
    Durability, Loaded, Mutation, SessionRecord, Space, Store, StoreConfig, StoreError, Ticket, open,
};

pub const WAIT: Duration = Duration::from_secs(60);

/// A store whose segments are as small as they may be.
pub fn small(dir: &Path) -> StoreConfig {
    StoreConfig {
        segment_bytes: 64 * 1024,
        checkpoint_bytes: 64 * 1024,
        free_bytes_min: 64 * 1024,
        ..StoreConfig::at(dir, 2)
    }
}

/// A small store that takes no checkpoint by itself after the one at its start.
pub fn log_only(dir: &Path) -> StoreConfig {
    StoreConfig { checkpoint_bytes: 1 << 40, checkpoint_interval_s: 3_600, ..small(dir) }
}

pub fn with(durability: Durability, config: StoreConfig) -> StoreConfig {
    StoreConfig { durability, ..config }
}

pub fn opened(config: StoreConfig) -> Arc<dyn Store> {
    open(config, Arc::new(|_| {})).unwrap()
}

pub fn refused(config: StoreConfig) -> StoreError {
    match open(config, Arc::new(|_| {})) {
        Ok(_) => panic!("the store opened"),
        Err(error) => error,
    }
}

pub fn message(topic: &str, payload: &[u8]) -> Arc<Message> {
    let topic = TopicName::parse(topic).unwrap();
    let publisher = Arc::new(Publisher { identity: "i".into(), client_id: "p".into() });
    Arc::new(Message::new(&topic, b"", payload, QoS::AtLeastOnce, false, None, publisher))
}

pub fn enqueue(client_id: &str, seq: u64, message: &Arc<Message>) -> Mutation {
    Mutation::Enqueue {
        client_id: client_id.into(),
        seq,
        message: message.clone(),
        qos: QoS::AtLeastOnce,
        retain: false,
        subscription_ids: [].into(),
        packet_id: None,
    }
}

pub fn dequeue(client_id: &str, seq: u64) -> Mutation {
    Mutation::Dequeue { client_id: client_id.into(), seq }
}

pub fn session(client_id: &str) -> Mutation {
    Mutation::SessionPut(SessionRecord {
        client_id: client_id.into(),
        identity: "i".into(),
        version: Version::V311,
        session_expiry_s: 60,
        disconnected_at: None,
        state: vec![1, 2, 3],
    })
}

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < WAIT, "not within {WAIT:?}: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

pub fn wait_for(store: &Arc<dyn Store>, lane: usize, ticket: Ticket) {
    until("a commit", || {
        let committed = store.committed(lane);
        assert!(!committed.failed, "{}", store.failure().unwrap());
        committed.covers(ticket)
    });
}

pub fn commit(store: &Arc<dyn Store>, batch: Vec<Mutation>) {
    let ticket = store.submit(0, batch);
    wait_for(store, 0, ticket);
}

pub fn contents(store: &Arc<dyn Store>) -> Vec<Loaded> {
    let mut found = Vec::new();
    store.load(&mut |loaded| found.push(loaded)).unwrap();
    found
}

/// The places queued, by client and `seq`.
pub fn queued(found: &[Loaded]) -> Vec<(String, u64)> {
    let places = found.iter().filter_map(|found| match found {
        Loaded::Queued { client_id, seq, .. } => Some((client_id.to_string(), *seq)),
        _ => None,
    });
    places.collect()
}

/// Waits until the disk is no longer full.
pub fn wait_for_space(store: &Arc<dyn Store>) {
    until("space", || store.space() == Space::Ok);
}
