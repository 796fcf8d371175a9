//! `kill -9` at random moments: everything acknowledged is there, and batches are whole.
//!
//! The test executes its own binary as the writer. Batch `n` is a function of `n`, so what
//! must be found after a kill is what the memory adapter holds after as many batches.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)] // tests

mod store_scene;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bartizan_core::wire::PacketId;
use bartizan_engine::store::{Durability, Loaded, Mutation, Store, Ticket, memory};
use store_scene::*;

const DIR: &str = "BARTIZAN_TEST_STORE_DIR";
const FIRST: &str = "BARTIZAN_TEST_STORE_FIRST";
const DURABILITY: &str = "BARTIZAN_TEST_STORE_DURABILITY";
const IN_FLIGHT_MAX: usize = 64;
const ROUNDS: u64 = 16;

fn batch(n: u64) -> Vec<Mutation> {
    let payload = vec![n as u8; (n * 37 % 3_000) as usize];
    let shared = message(&format!("t/{}", n % 7), &payload);
    let counter = message("counter", n.to_string().as_bytes());
    let id = PacketId::new((n % 50 + 1) as u16).unwrap();
    let mut mutations =
        vec![enqueue("a", n, &shared), enqueue("b", n, &shared), Mutation::RetainedPut { message: counter }];
    if n.is_multiple_of(3) {
        mutations.push(Mutation::RetainedPut { message: shared });
    }
    mutations.push(Mutation::Assign { client_id: "a".into(), seq: n, packet_id: id });
    mutations.push(Mutation::Released { client_id: "a".into(), seq: n.saturating_sub(5) });
    mutations.push(dequeue("a", n.saturating_sub(20)));
    mutations.push(dequeue("b", n.saturating_sub(200)));
    mutations.push(match n % 2 {
        0 => Mutation::ReceivedPut { client_id: "p".into(), packet_id: id },
        _ => Mutation::ReceivedDelete { client_id: "p".into(), packet_id: id },
    });
    if n.is_multiple_of(500) {
        mutations.push(Mutation::SessionDelete { client_id: "b".into() });
        mutations.push(session("b"));
    }
    mutations
}

/// Not a test of its own: the process that is killed.
#[test]
fn writer() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let durability = serde_json::from_str(&std::env::var(DURABILITY).unwrap()).unwrap();
    let store = opened(with(durability, small(Path::new(&dir))));
    let mut out = std::io::stdout().lock();
    let mut waiting: VecDeque<(u64, usize, Ticket)> = VecDeque::new();
    for n in first.. {
        let lane = (n % 2) as usize;
        waiting.push_back((n, lane, store.submit(lane, batch(n))));
        while waiting
            .front()
            .is_some_and(|(_, lane, ticket)| waiting.len() > IN_FLIGHT_MAX || store.committed(*lane).covers(*ticket))
        {
            let (n, lane, ticket) = waiting.pop_front().unwrap();
            wait_for(&store, lane, ticket);
            writeln!(out, "acknowledged {n}").unwrap();
            out.flush().unwrap();
        }
    }
}

/// Runs the writer for so long; returns the last batch it acknowledged.
fn run_and_kill(dir: &Path, first: u64, durability: Durability, time: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["writer", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(FIRST, first.to_string())
        .env(DURABILITY, serde_json::to_string(&durability).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let last = Arc::new(AtomicU64::new(0));
    let seen = last.clone();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let number = line.rsplit_once("acknowledged ").and_then(|(_, number)| number.parse().ok());
            // The last line may be cut by the kill; no part of a number is above the number.
            seen.fetch_max(number.unwrap_or(0), Ordering::SeqCst);
        }
    });
    std::thread::sleep(time);
    assert!(child.try_wait().unwrap().is_none(), "the writer ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    last.load(Ordering::SeqCst)
}

/// The number of batches that were applied, as the contents tell.
fn applied(found: &[Loaded]) -> u64 {
    let counter = found.iter().find_map(|found| match found {
        Loaded::Retained { message } if message.topic().as_str() == "counter" => Some(message),
        _ => None,
    });
    counter.map_or(0, |message| std::str::from_utf8(message.payload()).unwrap().parse().unwrap())
}

fn survives_kills(durability: Durability) {
    let dir = tempfile::tempdir().unwrap();
    let model: Arc<dyn Store> = memory::open(1, Arc::new(|_| {}));
    let mut done = 0;
    for round in 0..ROUNDS {
        // Some kills fall into the start, some into checkpoints.
        let time = Duration::from_millis(round * round * 7 % 241 + if round % 4 == 0 { round } else { 60 });
        let acknowledged = run_and_kill(dir.path(), done + 1, durability, time);
        let store = opened(with(durability, small(dir.path())));
        let found = contents(&store);
        let now = applied(&found);
        assert!(now >= acknowledged, "round {round}: {acknowledged} acknowledged, {now} there");
        assert!(now >= done, "round {round}: {done} were there before, {now} now");
        for n in done + 1..=now {
            model.submit(0, batch(n));
        }
        assert!(found == contents(&model), "round {round}: not what {now} batches make");
        done = now;
    }
    assert!(done > 100, "too few batches to say anything: {done}");
}

#[test]
fn nothing_acknowledged_is_lost_with_fsync() {
    survives_kills(Durability::Fsync);
}

#[test]
fn nothing_acknowledged_is_lost_with_interval() {
    survives_kills(Durability::Interval(20));
}

#[test]
fn nothing_acknowledged_is_lost_with_os() {
    survives_kills(Durability::Os);
}
