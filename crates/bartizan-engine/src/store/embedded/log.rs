//! The log thread: group commit.
//!
//! While one group is being synced the next gathers, so a slow disk makes groups larger and
//! not shards slower. For a checkpoint the log hands its net effect over and starts a new one;
//! segments that hold nothing newer can go when the index has it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::checkpoint::Job;
use super::inbox::{Batch, Inbox, TellPanic};
use super::index::{Position, is_out_of_space};
use super::overlay::Overlay;
use super::pool;
use super::reader::Read;
use super::record::BodyId;
use super::segment::{HEADER_BYTES, Segment, allocate, failed, free_bytes};
use super::{LARGE, RESERVE, SPARE};
use crate::store::config::{Durability, StoreConfig};
use crate::store::port::{Fetch, Promise, Space, StoreError};

/// A group closes at so many batches,
const GROUP_BATCHES_MAX: usize = 1_000;
/// or at so many octets; one batch may exceed it.
const GROUP_BYTES_MAX: usize = 1024 * 1024;
/// Log that the index has not taken over, in checkpoints: from here on `space` is `Busy`.
const CHECKPOINTS_BEHIND_MAX: u64 = 4;
/// How long to wait for somebody to make room on a full disk.
const RETRY: Duration = Duration::from_millis(250);

/// The thread's own.
pub struct Log {
    inbox: Arc<Inbox>,
    config: StoreConfig,
    checkpoints: Sender<Job>,
    segment: Segment,
    salt: u32,
    next_group: u64,
    next_body: BodyId,
    /// The last group that is on the disk for certain.
    synced_group: u64,
    /// Something written is not.
    is_unsynced: bool,
    /// And must be at this time.
    sync_by: Option<Instant>,
    overlay: Overlay,
    /// What the checkpoint being taken takes over.
    handed_over: Arc<Overlay>,
    reads: Sender<Read>,
    /// Log since the last checkpoint began.
    log_bytes: u64,
    /// Log that the checkpoint being taken takes over.
    handed_over_bytes: u64,
    last_checkpoint: Instant,
    /// A checkpoint is being taken.
    is_in_checkpoint: bool,
    /// Spare, reserve and room were there when last looked at.
    has_reserves: bool,
    frame: Vec<u8>,
}

/// Where a log goes on.
pub struct Start {
    pub overlay: Arc<Overlay>,
    pub reads: Sender<Read>,
    pub segment: Segment,
    pub salt: u32,
    pub next_group: u64,
    pub next_body: BodyId,
}

impl Log {
    /// A log that goes on at `start`, while the checkpoint of what was before is being taken.
    pub fn new(inbox: Arc<Inbox>, config: StoreConfig, checkpoints: Sender<Job>, start: Start) -> Log {
        let Start { overlay: handed_over, reads, segment, salt, next_group, next_body } = start;
        Log {
            inbox,
            config,
            checkpoints,
            segment,
            salt,
            next_group,
            next_body,
            synced_group: next_group - 1,
            is_unsynced: false,
            sync_by: None,
            overlay: Overlay::default(),
            handed_over,
            reads,
            log_bytes: 0,
            handed_over_bytes: 0,
            last_checkpoint: Instant::now(),
            is_in_checkpoint: true,
            has_reserves: true,
            frame: Vec::new(),
        }
    }

    /// Writes until the store is closed or fails.
    pub fn run(mut self) {
        let _guard = TellPanic(self.inbox.clone());
        if let Err(error) = self.work() {
            self.inbox.fail(error);
        }
    }

    fn work(&mut self) -> Result<(), StoreError> {
        self.keep_reserves()?;
        loop {
            let arrived = self.inbox.take(self.deadline());
            if self.inbox.has_failed() {
                return Ok(());
            }
            if arrived.checkpoint_ended {
                self.end_checkpoint();
            }
            let is_last = arrived.closed && arrived.batches.is_empty();
            self.write(arrived.batches)?;
            for (lane, fetch) in arrived.fetches {
                self.read(lane, fetch);
            }
            if is_last {
                return self.sync();
            }
            // A checkpoint may have used up the reserve, and may have left a spare.
            if arrived.checkpoint_ended || !self.has_reserves {
                self.keep_reserves()?;
            }
            self.keep_house()?;
        }
    }

    /// When there is something to do even if nothing arrives.
    fn deadline(&self) -> Option<Instant> {
        let next = if !self.has_reserves {
            Some(Instant::now() + RETRY)
        } else if !self.is_in_checkpoint && !self.overlay.is_empty() {
            Some(self.last_checkpoint + self.checkpoint_interval())
        } else {
            None
        };
        [self.sync_by, next].into_iter().flatten().min()
    }

    fn checkpoint_interval(&self) -> Duration {
        Duration::from_secs(self.config.checkpoint_interval_s.into())
    }

    fn keep_house(&mut self) -> Result<(), StoreError> {
        if self.sync_by.is_some_and(|at| at <= Instant::now()) {
            self.sync()?;
        }
        self.checkpoint_if_due(self.segment.first_group)
    }

    /// Hands the overlay over if it is time to. Segments that begin before `keep_from` can go then.
    fn checkpoint_if_due(&mut self, keep_from: u64) -> Result<(), StoreError> {
        let since = self.last_checkpoint.elapsed();
        let is_due = if self.overlay.is_empty() {
            // On a full disk: the index can use what it let go only after the next commit.
            !self.has_reserves && since >= RETRY
        } else {
            !self.has_reserves || self.log_bytes >= self.config.checkpoint_bytes || since >= self.checkpoint_interval()
        };
        if self.is_in_checkpoint || !is_due {
            return Ok(());
        }
        // The index must not know what the log could still lose.
        self.sync()?;
        let position = Position { group: self.next_group - 1, next_body: self.next_body };
        let overlay = Arc::new(std::mem::take(&mut self.overlay));
        self.handed_over_bytes = std::mem::take(&mut self.log_bytes);
        self.last_checkpoint = Instant::now();
        // If the other thread has ended, it has said why.
        self.handed_over = Arc::clone(&overlay);
        self.is_in_checkpoint = self.checkpoints.send(Job { overlay, position, keep_from }).is_ok();
        Ok(())
    }

    fn write(&mut self, mut batches: VecDeque<Batch>) -> Result<(), StoreError> {
        while !batches.is_empty() {
            let (mut group, bytes_max) = next_group(&mut batches);
            if !self.segment.has_room(bytes_max) {
                self.rotate(bytes_max)?;
            }
            self.encode(&mut group)?;
            self.append()?;
            self.keep_promises(&group)?;
            self.checkpoint_if_due(self.segment.first_group)?;
            self.inbox.set_behind(self.is_behind());
        }
        Ok(())
    }

    /// Moves the watermarks over a group that is written: at once as far as no more was promised,
    /// and over the rest once it is on the disk.
    fn keep_promises(&mut self, group: &[Batch]) -> Result<(), StoreError> {
        let mut strict: Vec<usize> = Vec::new();
        // No watermark passes a batch of its lane that waits for the disk.
        let mut waits = |batch: &Batch| {
            let waits = strict.contains(&batch.lane) || batch.promise == Some(Promise::Fsync);
            if waits && !strict.contains(&batch.lane) {
                strict.push(batch.lane);
            }
            waits
        };
        let (late, early): (Vec<&Batch>, Vec<&Batch>) = group.iter().partition(|batch| waits(batch));
        let is_timed = |batch: &Batch| match batch.promise {
            Some(promise) => promise != Promise::Os,
            // Nobody waits for it, and all the same it shall not wait for ever.
            None => self.config.durability != Durability::Os,
        };
        if self.is_unsynced && group.iter().any(is_timed) {
            self.sync_by.get_or_insert_with(|| Instant::now() + self.config.interval());
        }
        self.inbox.commit(early);
        if !late.is_empty() {
            self.sync()?;
            self.inbox.commit(late);
        }
        Ok(())
    }

    /// Applies a group to the overlay, and leaves its frame in `frame`.
    fn encode(&mut self, group: &mut [Batch]) -> Result<(), StoreError> {
        self.frame.clear();
        self.frame.resize(HEADER_BYTES, 0);
        let frame = &mut self.frame;
        let mutations = group.iter_mut().flat_map(|batch| std::mem::take(&mut batch.mutations));
        for mutation in mutations {
            let encoded = self.overlay.resolve(mutation, &mut self.next_body, &mut |record| {
                *frame = postcard::to_extend(record, std::mem::take(frame))?;
                Ok::<(), postcard::Error>(())
            });
            encoded.map_err(|error| failed("encode a record for", &self.segment.path, std::io::Error::other(error)))?;
        }
        Ok(())
    }

    /// Writes the frame.
    fn append(&mut self) -> Result<(), StoreError> {
        if self.frame.len() == HEADER_BYTES {
            return Ok(());
        }
        let group = self.next_group;
        loop {
            match self.segment.append(&mut self.frame, group, self.synced_group) {
                Ok(()) => break,
                // Only where preallocated room is not kept, as on file systems that copy on write.
                Err(error) if is_out_of_space(&error) => self.wait_for_room(error)?,
                Err(error) => return Err(failed("write", &self.segment.path, error)),
            }
        }
        self.next_group += 1;
        self.log_bytes += self.frame.len() as u64;
        self.is_unsynced = true;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.sync_by = None;
        if std::mem::take(&mut self.is_unsynced) {
            // Never tried again: after a failed sync the kernel may have dropped the pages.
            let began = Instant::now();
            self.segment.sync().map_err(|error| failed("sync", &self.segment.path, error))?;
            self.inbox.syncs.add(began.elapsed());
            self.synced_group = self.next_group - 1;
        }
        Ok(())
    }

    /// Goes on in a new segment with room for `bytes`, waiting on a full disk until there is one.
    fn rotate(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.sync()?;
        let needed = (bytes + 3 * HEADER_BYTES) as u64;
        let name = if needed > self.config.segment_bytes { LARGE } else { SPARE };
        loop {
            // Between two segments: all there are can go.
            self.checkpoint_if_due(self.next_group)?;
            match self.begin_segment(name, needed) {
                Ok(segment) => self.segment = segment,
                Err(error) if is_out_of_space(&error) => {
                    self.wait_for_room(error)?;
                    continue;
                }
                Err(error) => return Err(failed("begin", &self.config.path, error)),
            }
            return self.keep_reserves();
        }
    }

    fn begin_segment(&self, name: &str, needed: u64) -> std::io::Result<Segment> {
        let dir = &self.config.path;
        // A spare may have been made under other settings.
        let is_usable = dir.join(name).metadata().is_ok_and(|found| found.len() >= needed);
        if name == LARGE || !is_usable {
            allocate(dir, name, needed.max(self.config.segment_bytes))?;
        }
        Segment::begin(dir, name, self.next_group, self.salt)
    }

    /// Nothing is committed meanwhile: what cannot be written is not acknowledged.
    fn wait_for_room(&mut self, error: std::io::Error) -> Result<(), StoreError> {
        pool::clear(&self.config.path).map_err(|error| failed("free segments in", &self.config.path, error))?;
        self.has_reserves = false;
        self.inbox.set_full(true);
        let (is_closed, checkpoint_ended) = self.inbox.pause(RETRY);
        if checkpoint_ended {
            self.end_checkpoint();
        }
        if is_closed || self.inbox.has_failed() {
            return Err(failed("write", &self.config.path, error));
        }
        Ok(())
    }

    /// Finds what the index cannot know yet, and has the rest read there.
    fn read(&self, lane: usize, fetch: Fetch) {
        let mut found = BTreeMap::new();
        self.handed_over.find(&fetch, &mut found);
        // Later, so that it says how it is now.
        self.overlay.find(&fetch, &mut found);
        // If the other thread has ended, it has said why.
        let _ = self.reads.send(Read { lane, fetch, found });
    }

    fn end_checkpoint(&mut self) {
        // From here on the index is asked for what was in it.
        self.handed_over = Arc::default();
        self.is_in_checkpoint = false;
        self.handed_over_bytes = 0;
        self.inbox.set_behind(self.is_behind());
    }

    /// The index cannot follow: memory and disk hold what it has not taken over.
    fn is_behind(&self) -> bool {
        self.log_bytes + self.handed_over_bytes >= self.config.checkpoint_bytes.saturating_mul(CHECKPOINTS_BEHIND_MAX)
    }

    /// Keeps a spare segment, a reserve for the index, and room; without all three the store is full.
    fn keep_reserves(&mut self) -> Result<(), StoreError> {
        let dir = self.config.path.clone();
        let mut has_all = true;
        for name in [SPARE, RESERVE] {
            if dir.join(name).exists() {
                continue;
            }
            // While a checkpoint is being taken, the room of the reserve is the index's.
            if name == RESERVE && self.is_in_checkpoint && self.inbox.space() == Space::Full {
                has_all = false;
                continue;
            }
            if name == SPARE
                && pool::take(&dir, self.config.segment_bytes).map_err(|error| failed("list", &dir, error))?
            {
                continue;
            }
            match allocate(&dir, name, self.config.segment_bytes) {
                Ok(()) => {}
                Err(error) if is_out_of_space(&error) => has_all = false,
                Err(error) => return Err(failed("allocate", &dir.join(name), error)),
            }
        }
        let free = free_bytes(&dir).map_err(|error| failed("look at", &dir, error))?;
        // What the index must still take over needs its octets once more, and pages around them.
        let owed = (self.log_bytes + self.handed_over_bytes).saturating_mul(2);
        has_all &=
            free.saturating_add(self.inbox.index_free_bytes()) >= self.config.free_bytes_min.saturating_add(owed);
        self.has_reserves = has_all;
        self.inbox.set_full(!has_all);
        Ok(())
    }
}

/// As many batches as make one group, and how long it may be.
fn next_group(batches: &mut VecDeque<Batch>) -> (Vec<Batch>, usize) {
    let (mut group, mut bytes) = (Vec::new(), 0);
    while let Some(batch) = batches.front() {
        let is_over = bytes + batch.bytes_max > GROUP_BYTES_MAX || group.len() == GROUP_BATCHES_MAX;
        if is_over && !group.is_empty() {
            break;
        }
        bytes += batch.bytes_max;
        group.extend(batches.pop_front());
    }
    (group, bytes)
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
