//! How long a store takes to come back, and what it holds in memory then.
//!
//! The figures of docs/reliability.md: `cargo test --release -p bartizan-engine --test
//! store_recovery -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)] // tests

mod store_scene;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use bartizan_core::policy::{Image, Schedule};
use bartizan_engine::engine::Engine;
use bartizan_engine::store::{Durability, Mutation, Space, StoreConfig};
use store_scene::*;

const DIR: &str = "BARTIZAN_TEST_RECOVERY_DIR";
const POLICY: &str = r#"{"format":3,"roles":[{"name":"all","limits":{},"rules":[{"name":"r","effect":"permit",
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

/// Not a test of its own: the process that starts, so that its memory is its own.
#[test]
fn starter() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let before = memory_bytes();
    let engine = Engine::new(&config(Path::new(&dir))).unwrap();
    let image = Arc::new(Image::load(POLICY.as_bytes()).unwrap());
    let start = Instant::now();
    engine.start(image, b"[]", Schedule::default()).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let metrics = engine.metrics();
    let of = |name: &str| metrics[name];
    let (sessions, queued) = (of("sessions"), of("queued_messages"));
    // The checkpoint at a start holds what the log said until it is done.
    std::thread::sleep(std::time::Duration::from_secs(5));
    println!("started {sessions} {queued} {seconds} {}", memory_bytes() - before);
    engine.stop(std::time::Duration::ZERO);
}

/// A start on this directory: Sessions, messages, seconds, octets of memory.
fn started(dir: &Path) -> (u64, u64, f64, u64) {
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["starter", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .output()
        .unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let (_, line) = text.split_once("started ").unwrap_or_else(|| panic!("{text}"));
    let mut words = line.split_whitespace();
    let mut next = || words.next().unwrap();
    (next().parse().unwrap(), next().parse().unwrap(), next().parse().unwrap(), next().parse().unwrap())
}

#[test]
#[ignore = "a measurement: a minute, and a gigabyte of disk"]
fn a_million_messages_and_a_hundred_thousand_sessions() {
    let (full, bare) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(full.path(), 100_000, 10, 200);
    fill(bare.path(), 100_000, 0, 200);
    for what in ["part of it in the log", "all of it in the index"] {
        let (_, _, _, without) = started(bare.path());
        let (sessions, queued, seconds, with) = started(full.path());
        assert_eq!((sessions, queued), (100_000, 1_000_000));
        let each = with.saturating_sub(without) / queued;
        println!(
            "{what}: {seconds:.2} s; {} MiB, {} of them Sessions; {each} bytes a message",
            with >> 20,
            without >> 20
        );
        assert!(seconds < 5.0);
    }
}
