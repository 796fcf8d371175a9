//! What the shards and the store's threads share: batches in, watermarks and states out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::batch_bytes_max;
use crate::latency::Latency;
use crate::store::answers::Answers;
use crate::store::port::{Committed, Fetch, Fetched, Mutation, Promise, Space, StoreError, Ticket, Wake};

/// A submitted batch.
pub struct Batch {
    pub lane: usize,
    pub ticket: Ticket,
    pub mutations: Vec<Mutation>,
    /// Its records are not longer.
    pub bytes_max: usize,
    /// What those that wait for it were promised; nobody waits without.
    pub promise: Option<Promise>,
}

/// What the log writer finds when it looks.
pub struct Arrived {
    pub batches: VecDeque<Batch>,
    /// Pages to read once those batches are written, and for which lane.
    pub fetches: Vec<(usize, Fetch)>,
    /// A checkpoint has ended since it last looked.
    pub checkpoint_ended: bool,
    /// Nothing more will arrive.
    pub closed: bool,
}

#[derive(Default)]
struct Pending {
    batches: VecDeque<Batch>,
    fetches: Vec<(usize, Fetch)>,
    /// Per lane, the last ticket given.
    tickets: Vec<u64>,
    checkpoint_ended: bool,
    closed: bool,
}

/// The meeting point. No lock in it is held while anything waits for a disk.
pub struct Inbox {
    pending: Mutex<Pending>,
    arrived: Condvar,
    watermarks: Box<[AtomicU64]>,
    answers: Answers,
    backlog_bytes: AtomicUsize,
    backlog_bytes_max: usize,
    is_full: AtomicBool,
    is_behind: AtomicBool,
    index_free_bytes: AtomicU64,
    has_failed: AtomicBool,
    failure: Mutex<Option<StoreError>>,
    wake: Wake,
    /// How long syncs of the log took: written by its thread.
    pub syncs: Latency,
}

impl Inbox {
    pub fn new(lanes: usize, backlog_bytes_max: usize, wake: Wake) -> Inbox {
        Inbox {
            pending: Mutex::new(Pending { tickets: vec![0; lanes], ..Pending::default() }),
            arrived: Condvar::new(),
            watermarks: (0..lanes).map(|_| AtomicU64::new(0)).collect(),
            answers: Answers::new(lanes),
            backlog_bytes: AtomicUsize::new(0),
            backlog_bytes_max,
            is_full: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            index_free_bytes: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            wake,
            syncs: Latency::default(),
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a batch in; its ticket is given under the lock that orders it.
    pub fn submit(&self, lane: usize, mutations: Vec<Mutation>, promise: Option<Promise>) -> Ticket {
        let bytes_max = batch_bytes_max(&mutations);
        let mut pending = self.pending();
        if pending.closed {
            return Ticket::NEVER;
        }
        let Some(last) = pending.tickets.get_mut(lane) else {
            return Ticket::NEVER;
        };
        *last += 1;
        let ticket = Ticket(*last);
        // After a failure nothing is committed any more, and nothing is worth keeping.
        if !self.has_failed.load(Ordering::Acquire) {
            self.backlog_bytes.fetch_add(bytes_max, Ordering::AcqRel);
            pending.batches.push_back(Batch { lane, ticket, mutations, bytes_max, promise });
        }
        drop(pending);
        self.arrived.notify_one();
        ticket
    }

    /// Takes a question in, behind the batches that were submitted before it.
    pub fn fetch(&self, lane: usize, fetch: Fetch) {
        self.pending().fetches.push((lane, fetch));
        self.arrived.notify_one();
    }

    /// An answer for a lane.
    pub fn answer(&self, lane: usize, page: Fetched) {
        self.answers.put(lane, page);
        (self.wake)(lane);
    }

    /// Answers that have come.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// All that has arrived; waits for something until `deadline`.
    pub fn take(&self, deadline: Option<Instant>) -> Arrived {
        let mut pending = self.pending();
        while pending.batches.is_empty() && pending.fetches.is_empty() && !pending.closed && !pending.checkpoint_ended {
            pending = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => break,
                Some(left) => self.arrived.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.arrived.wait(pending).unwrap_or_else(PoisonError::into_inner),
            };
        }
        Arrived {
            batches: std::mem::take(&mut pending.batches),
            fetches: std::mem::take(&mut pending.fetches),
            checkpoint_ended: std::mem::take(&mut pending.checkpoint_ended),
            closed: pending.closed,
        }
    }

    /// Waits so long, or until a checkpoint has ended or the store is closed.
    /// Returns whether it is closed, and whether a checkpoint has ended.
    pub fn pause(&self, time: Duration) -> (bool, bool) {
        let pending = self.pending();
        let still = |pending: &mut Pending| !pending.closed && !pending.checkpoint_ended;
        let waited = self.arrived.wait_timeout_while(pending, time, still);
        let (mut pending, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (pending.closed, std::mem::take(&mut pending.checkpoint_ended))
    }

    /// Moves watermarks over these batches.
    pub fn commit<'a>(&self, batches: impl IntoIterator<Item = &'a Batch>) {
        let was_busy = self.space() == Space::Busy;
        let mut lanes: Vec<usize> = Vec::new();
        for batch in batches {
            if let Some(watermark) = self.watermarks.get(batch.lane) {
                watermark.store(batch.ticket.0, Ordering::Release);
            }
            self.backlog_bytes.fetch_sub(batch.bytes_max, Ordering::AcqRel);
            if !lanes.contains(&batch.lane) {
                lanes.push(batch.lane);
            }
        }
        if was_busy && self.space() == Space::Ok {
            self.wake_all();
        } else {
            lanes.into_iter().for_each(|lane| (self.wake)(lane));
        }
    }

    pub fn committed(&self, lane: usize) -> Committed {
        let ticket = self.watermarks.get(lane).map_or(0, |watermark| watermark.load(Ordering::Acquire));
        Committed { ticket: Ticket(ticket), failed: self.has_failed.load(Ordering::Acquire) }
    }

    pub fn lanes(&self) -> usize {
        self.watermarks.len()
    }

    pub fn space(&self) -> Space {
        if self.is_full.load(Ordering::Acquire) {
            Space::Full
        } else if self.is_behind.load(Ordering::Acquire)
            || self.backlog_bytes.load(Ordering::Acquire) > self.backlog_bytes_max
        {
            Space::Busy
        } else {
            Space::Ok
        }
    }

    pub fn set_full(&self, is_full: bool) {
        if self.is_full.swap(is_full, Ordering::AcqRel) != is_full {
            self.wake_all();
        }
    }

    pub fn set_behind(&self, is_behind: bool) {
        if self.is_behind.swap(is_behind, Ordering::AcqRel) != is_behind {
            self.wake_all();
        }
    }

    /// Room within the index's file; 0 while the disk has plenty.
    pub fn index_free_bytes(&self) -> u64 {
        self.index_free_bytes.load(Ordering::Acquire)
    }

    pub fn set_index_free_bytes(&self, bytes: u64) {
        self.index_free_bytes.store(bytes, Ordering::Release);
    }

    pub fn checkpoint_ended(&self) {
        self.pending().checkpoint_ended = true;
        self.arrived.notify_all();
    }

    /// Stops the watermarks for good; the first failure is the one that is told.
    pub fn fail(&self, error: StoreError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.has_failed.store(true, Ordering::Release);
        self.pending().batches.clear();
        self.arrived.notify_all();
        self.wake_all();
    }

    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    pub fn failure(&self) -> Option<StoreError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn close(&self) {
        self.pending().closed = true;
        self.arrived.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.pending().closed
    }

    fn wake_all(&self) {
        (0..self.watermarks.len()).for_each(|lane| (self.wake)(lane));
    }
}

/// A thread that panics must not look like one that is slow: held by it, this makes the store fail.
pub struct TellPanic(pub Arc<Inbox>);

impl Drop for TellPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(StoreError::Stopped);
        }
    }
}
