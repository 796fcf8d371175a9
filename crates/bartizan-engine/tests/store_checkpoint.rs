//! Checkpoints: what reaches the index, what is freed behind it, and what wakes whom meanwhile.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)] // tests

mod store_scene;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bartizan_engine::store::{Durability, Mutation, Space, StoreConfig, StoreError};
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use store_scene::*;

const BODIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bodies.v2");
const QUEUE: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("queue.v2");

/// Rows of the index of a closed store: bodies, and places in queues.
fn rows(dir: &Path) -> (u64, u64) {
    let view = Database::open(dir.join("index.redb")).unwrap().begin_read().unwrap();
    let bodies = view.open_table(BODIES).unwrap().len().unwrap();
    (bodies, view.open_table(QUEUE).unwrap().len().unwrap())
}

fn log_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let logs = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "wal"));
    // A segment may be freed between being listed and being looked at.
    logs.map(|file| file.metadata().map_or(0, |found| found.len())).sum()
}

/// Opens and closes it: the first thing an open store does is a checkpoint of what it found.
fn checkpointed(dir: &Path) {
    let before = newest_segment(dir);
    let store = opened(log_only(dir));
    until("the checkpoint at the start", || !dir.join(&before).exists());
    drop(store);
}

fn newest_segment(dir: &Path) -> String {
    let files = std::fs::read_dir(dir).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".wal")).max().unwrap()
}

#[test]
fn a_message_for_many_is_stored_once_and_removed_with_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(log_only(dir.path()));
    let shared = message("a", &[1; 20_000]);
    commit(&store, (0..50).map(|n| enqueue(&format!("c{n}"), 1, &shared)).collect());
    // Also where the batches are many, and of several lanes.
    let ticket = store.submit(1, vec![enqueue("d", 1, &shared), Mutation::RetainedPut { message: shared.clone() }]);
    wait_for(&store, 1, ticket);
    drop(store);
    assert!(log_bytes(dir.path()) <= 64 * 1024);
    checkpointed(dir.path());
    assert_eq!(rows(dir.path()), (1, 51));

    let store = opened(log_only(dir.path()));
    commit(&store, (0..50).map(|n| dequeue(&format!("c{n}"), 1)).collect());
    drop(store);
    checkpointed(dir.path());
    assert_eq!(rows(dir.path()), (1, 1));

    let store = opened(log_only(dir.path()));
    commit(&store, vec![Mutation::SessionDelete { client_id: "d".into() }]);
    commit(&store, vec![Mutation::RetainedPut { message: message("a", b"other") }]);
    drop(store);
    checkpointed(dir.path());
    assert_eq!(rows(dir.path()), (1, 0));

    let store = opened(log_only(dir.path()));
    commit(&store, vec![Mutation::RetainedDelete { topic: "a".into() }]);
    drop(store);
    checkpointed(dir.path());
    assert_eq!(rows(dir.path()), (0, 0));
}

#[test]
fn what_was_queued_and_acknowledged_between_checkpoints_never_reaches_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(with(Durability::Os, log_only(dir.path())));
    for seq in 0..500 {
        commit(&store, vec![enqueue("c", seq, &message("a", &[2; 1_000]))]);
        commit(&store, vec![dequeue("c", seq)]);
    }
    commit(&store, vec![enqueue("c", 500, &message("a", b"left"))]);
    drop(store);
    checkpointed(dir.path());
    assert_eq!(rows(dir.path()), (1, 1));
    assert!(std::fs::metadata(dir.path().join("index.redb")).unwrap().len() < 2_000_000);
}

#[test]
fn the_log_does_not_grow_beyond_what_checkpoints_leave() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(with(Durability::Os, small(dir.path())));
    let mut most = 0;
    for seq in 0..2_000 {
        commit(&store, vec![enqueue("c", seq, &message("a", &[3; 2_000]))]);
        commit(&store, vec![dequeue("c", seq)]);
        most = most.max(log_bytes(dir.path()));
    }
    // 4 MB were logged. What is being taken over, what gathered meanwhile, and what is in use.
    assert!(most < 3_000_000, "{most}");
    until("the log is freed", || log_bytes(dir.path()) <= 3 * 64 * 1024);
    drop(store);
    assert_eq!(queued(&contents(&opened(small(dir.path())))), []);
}

#[test]
fn a_checkpoint_is_taken_after_a_time_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(StoreConfig { checkpoint_interval_s: 1, ..log_only(dir.path()) });
    commit(&store, vec![enqueue("c", 1, &message("a", b"x"))]);
    std::thread::sleep(Duration::from_millis(2_500));
    drop(store);
    assert_eq!(rows(dir.path()), (1, 1));
}

#[test]
fn a_batch_larger_than_a_segment_is_one_batch_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(small(dir.path()));
    commit(&store, (0..100).map(|n| enqueue("c", n, &message("a", &[4; 10_000]))).collect());
    commit(&store, vec![dequeue("c", 0)]);
    drop(store);
    assert_eq!(queued(&contents(&opened(small(dir.path())))).len(), 99);
}

#[test]
fn a_backlog_asks_for_a_pause_and_says_when_it_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let woken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = woken.clone();
    let wake = Arc::new(move |lane| {
        if lane == 1 {
            seen.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let config = StoreConfig { backlog_bytes_max: 1_000, ..small(dir.path()) };
    let store = bartizan_engine::store::open(config, wake).unwrap();
    let (mut was_busy, mut seq) = (false, 0);
    while !was_busy {
        assert!(seq < 10_000, "never busy");
        woken.store(false, std::sync::atomic::Ordering::SeqCst);
        store.submit(0, vec![enqueue("c", seq, &message("a", &[5; 5_000]))]);
        was_busy = store.space() == Space::Busy;
        seq += 1;
    }
    wait_for_space(&store);
    until("the other lane is woken", || woken.load(std::sync::atomic::Ordering::SeqCst));
}

#[test]
fn each_durability_is_what_the_store_says_it_is() {
    for durability in [Durability::Fsync, Durability::Interval(5), Durability::Os] {
        let dir = tempfile::tempdir().unwrap();
        let store = opened(with(durability, small(dir.path())));
        assert_eq!(store.info().durability, Some(durability));
        (0..50).for_each(|seq| commit(&store, vec![enqueue("c", seq, &message("a", &[6; 3_000]))]));
        drop(store);
        assert_eq!(queued(&contents(&opened(small(dir.path())))).len(), 50);
    }
}

#[test]
fn a_store_is_loaded_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(small(dir.path()));
    store.load(&mut |_| {}).unwrap();
    assert!(matches!(store.load(&mut |_| {}), Err(StoreError::LoadedBefore)));
}
