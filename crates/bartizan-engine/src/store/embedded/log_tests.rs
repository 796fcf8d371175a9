//! The log on files that refuse: what the watermarks say then.

use std::fs::{File, OpenOptions};
use std::sync::mpsc;

use super::*;
use crate::store::port::{Committed, Mutation, Ticket};

fn batch() -> Vec<Mutation> {
    vec![Mutation::SessionDelete { client_id: "c".into() }]
}

/// What the shards see after one batch under the store's own promise.
fn after_one_batch(durability: Durability, file: impl FnOnce(&Segment) -> File) -> Arc<Inbox> {
    after(durability, &[(0, Some(Promise::from(durability)))], file)
}

/// What the shards see after these batches went to a log on this file and the store was closed.
fn after(
    durability: Durability,
    promises: &[(usize, Option<Promise>)],
    file: impl FnOnce(&Segment) -> File,
) -> Arc<Inbox> {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig { durability, ..StoreConfig::at(dir.path(), 2) };
    allocate(dir.path(), SPARE, config.segment_bytes).unwrap();
    let mut segment = Segment::begin(dir.path(), SPARE, 1, 7).unwrap();
    let file = file(&segment);
    segment.put_on(file);
    let inbox = Arc::new(Inbox::new(2, usize::MAX, Arc::new(|_| {})));
    let (checkpoints, _jobs) = mpsc::channel();
    let (reads, _reads) = mpsc::channel();
    let start = Start { overlay: Arc::default(), reads, segment, salt: 7, next_group: 1, next_body: 0 };
    let log = Log::new(inbox.clone(), config, checkpoints, start);
    for (lane, promise) in promises {
        inbox.submit(*lane, batch(), *promise);
    }
    inbox.close();
    log.run();
    inbox
}

fn read_only(segment: &Segment) -> File {
    File::open(&segment.path).unwrap()
}

/// It takes every write, and refuses to sync.
fn unsyncable(_: &Segment) -> File {
    OpenOptions::new().write(true).open("/dev/null").unwrap()
}

#[test]
fn a_write_that_fails_stops_the_watermark_and_is_told() {
    let inbox = after_one_batch(Durability::Os, read_only);
    assert_eq!(inbox.committed(0), Committed { ticket: Ticket(0), failed: true });
    let told = inbox.failure().unwrap().to_string();
    assert!(told.contains("could not write") && told.contains(".wal"), "{told}");
}

#[test]
fn a_sync_that_fails_stops_the_watermark_before_it_moved() {
    let inbox = after_one_batch(Durability::Fsync, unsyncable);
    assert_eq!(inbox.committed(0), Committed { ticket: Ticket(0), failed: true });
    assert!(inbox.failure().unwrap().to_string().contains("could not sync"));
}

#[test]
fn without_fsync_a_batch_counts_once_it_is_written() {
    for durability in [Durability::Os, Durability::Interval(60_000)] {
        let inbox = after_one_batch(durability, unsyncable);
        // The sync at the end fails; the promise was only that it is written.
        assert_eq!(inbox.committed(0), Committed { ticket: Ticket(1), failed: true });
    }
}

#[test]
fn after_a_failure_nothing_is_kept_for_later() {
    let inbox = Inbox::new(1, usize::MAX, Arc::new(|_| {}));
    inbox.submit(0, batch(), None);
    inbox.fail(StoreError::Stopped);
    inbox.submit(0, batch(), None);
    assert!(inbox.take(Some(Instant::now())).batches.is_empty());
    assert_eq!(inbox.committed(0), Committed { ticket: Ticket(0), failed: true });
}

#[test]
fn a_group_closes_at_its_bounds_and_one_batch_may_exceed_them() {
    let of = |bytes_max| Batch { lane: 0, ticket: Ticket(1), mutations: Vec::new(), bytes_max, promise: None };
    let group = |sizes: &[usize]| next_group(&mut sizes.iter().map(|size| of(*size)).collect()).0.len();
    assert_eq!(group(&[GROUP_BYTES_MAX / 2, GROUP_BYTES_MAX / 2, 1]), 2);
    assert_eq!(group(&[GROUP_BYTES_MAX * 3, 1]), 1);
    assert_eq!(group(&[1; GROUP_BATCHES_MAX + 1]), GROUP_BATCHES_MAX);
}

#[test]
fn a_strict_batch_waits_for_the_disk_whatever_the_store_promises_by_itself() {
    for durability in [Durability::Os, Durability::Interval(60_000), Durability::Fsync] {
        let inbox = after(durability, &[(0, Some(Promise::Fsync))], unsyncable);
        assert_eq!(inbox.committed(0), Committed { ticket: Ticket(0), failed: true });
    }
}

#[test]
fn a_lax_batch_counts_once_it_is_written_whatever_the_store_promises_by_itself() {
    for promise in [None, Some(Promise::Os), Some(Promise::Interval)] {
        let inbox = after(Durability::Fsync, &[(0, promise)], unsyncable);
        assert_eq!(inbox.committed(0), Committed { ticket: Ticket(1), failed: true }, "{promise:?}");
    }
}

#[test]
fn a_lax_batch_waits_for_a_strict_one_of_its_own_lane_and_of_no_other() {
    let (strict, lax) = (Some(Promise::Fsync), Some(Promise::Os));
    let inbox = after(Durability::Fsync, &[(0, lax), (1, strict), (1, lax), (0, lax)], unsyncable);
    assert_eq!(inbox.committed(0).ticket, Ticket(2));
    assert_eq!(inbox.committed(1).ticket, Ticket(0));
}

#[test]
fn what_was_written_under_an_interval_is_on_the_disk_after_it() {
    // The sync fails, which shows that it was tried though nothing more came.
    for promise in [Some(Promise::Interval), None] {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig { interval_ms: 20, ..StoreConfig::at(dir.path(), 1) };
        let inbox = running(&dir, config, unsyncable);
        inbox.submit(0, batch(), promise);
        let start = Instant::now();
        while !inbox.has_failed() {
            assert!(start.elapsed() < Duration::from_secs(20), "{promise:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert_eq!(inbox.committed(0).ticket, Ticket(1));
    }
}

/// A log that goes on in a thread of its own.
fn running(dir: &tempfile::TempDir, config: StoreConfig, file: impl FnOnce(&Segment) -> File) -> Arc<Inbox> {
    allocate(dir.path(), SPARE, config.segment_bytes).unwrap();
    let mut segment = Segment::begin(dir.path(), SPARE, 1, 7).unwrap();
    let file = file(&segment);
    segment.put_on(file);
    let inbox = Arc::new(Inbox::new(1, usize::MAX, Arc::new(|_| {})));
    let (checkpoints, _jobs) = mpsc::channel();
    let (reads, _reads) = mpsc::channel();
    let start = Start { overlay: Arc::default(), reads, segment, salt: 7, next_group: 1, next_body: 0 };
    let log = Log::new(inbox.clone(), config, checkpoints, start);
    std::thread::spawn(move || log.run());
    inbox
}
