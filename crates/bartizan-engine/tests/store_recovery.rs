//! How long a store takes to come back, and what it holds in memory then.
//!
//! The figures of docs/reliability.md: `cargo test --release -p bartizan-engine --test
//! store_recovery -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)] // tests

mod store_scene;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bartizan_core::policy::Image;
use bartizan_engine::engine::Engine;
use bartizan_engine::store::{Durability, Mutation, Space, StoreConfig};
use store_scene::*;

const POLICY: &str = r#"{"format":1,"roles":[{"name":"all","limits":{},"rules":[{"name":"r","effect":"permit",
    "actions":["publish","subscribe"],"pattern":["many"],"qos_max":2,"retain":true}]}]}"#;

/// So many Sessions, each with a Subscription and so many messages, each of them its own.
fn fill(dir: &Path, sessions: u64, queued: u64, payload: usize) {
    let store = opened(with(Durability::Os, StoreConfig::at(dir, 1)));
    for n in 0..sessions {
        let client: Arc<str> = format!("device-{n:06}").into();
        let mut batch = vec![session(&client)];
        if let Mutation::SessionPut(record) = &mut batch[0] {
            record.session_expiry_s = u32::MAX;
            record.state = br#"{"V1":{"principal":{"id":"i","roles":["all"],"attributes":[],"method":"password","managed":false},"will_expiry_s":null}}"#.to_vec();
        }
        batch.push(Mutation::SubscriptionPut {
            client_id: client.clone(),
            filter: format!("commands/{client}").into(),
            options: Default::default(),
            subscription_id: None,
        });
        for seq in 1..=queued {
            let mut octets = vec![7; payload];
            octets[..8].copy_from_slice(&(n * queued + seq).to_le_bytes());
            batch.push(enqueue(&client, seq, &message(&format!("commands/{client}"), &octets)));
        }
        while store.space() != Space::Ok {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        store.submit(0, batch);
    }
    drop(store);
}

fn memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn config(dir: &Path) -> Vec<u8> {
    let store = serde_json::json!({"kind": "embedded", "durability": "fsync", "interval_ms": 100, "path": dir});
    serde_json::json!({"broker": {"cores": 1}, "listeners": [], "store": store}).to_string().into_bytes()
}

/// The broker's engine on this directory: seconds until it serves, octets of memory it took.
fn started(dir: &Path) -> (f64, u64) {
    let before = memory_bytes();
    let engine = Engine::new(&config(dir)).unwrap();
    let image = Arc::new(Image::load(POLICY.as_bytes()).unwrap());
    let start = Instant::now();
    engine.start(image, b"[]").unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let metrics = engine.metrics();
    let of = |name: &str| metrics.iter().find(|(known, _)| *known == name).unwrap().1;
    println!("{} Sessions, {} queued", of("sessions"), of("queued_messages"));
    let taken = memory_bytes().saturating_sub(before);
    engine.stop(std::time::Duration::ZERO);
    (seconds, taken)
}

#[test]
#[ignore = "a measurement: half a minute, and a gigabyte of disk"]
fn a_million_messages_and_a_hundred_thousand_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    fill(dir.path(), 100_000, 10, 200);
    println!("filled in {:.1} s", start.elapsed().as_secs_f64());
    let (log, taken) = started(dir.path());
    println!("from log and index: {log:.2} s, {} MiB", taken >> 20);
    let (index, taken) = started(dir.path());
    println!("from the index: {index:.2} s, {} MiB, {} bytes a message", taken >> 20, taken / 1_000_000);
    assert!(log < 5.0 && index < 5.0, "{log} s, {index} s");
}
