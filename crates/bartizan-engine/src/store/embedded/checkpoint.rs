//! The checkpoint thread: brings the index up to date, then frees the log behind it.
//!
//! It works on an overlay that nobody changes any more, so the log goes on meanwhile.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::inbox::{Inbox, TellPanic};
use super::index::{Index, IndexError, Position};
use super::overlay::Overlay;
use super::pool;
use super::reader::SharedIndex;
use super::segment::{failed, free_bytes, list, sync_dir};
use super::{INDEX, RESERVE};
use crate::store::port::StoreError;

/// How long to wait for somebody to make room before the next attempt.
const RETRY: Duration = Duration::from_millis(500);

/// A checkpoint to take.
pub struct Job {
    /// What happened since the last one.
    pub overlay: Arc<Overlay>,
    /// Where the index stands after it.
    pub position: Position,
    /// Older segments can go then; this is the first group of the one in use.
    pub keep_from: u64,
}

/// The thread's own.
pub struct Checkpointer {
    pub inbox: Arc<Inbox>,
    pub dir: PathBuf,
    pub index: SharedIndex,
    pub cache_bytes: usize,
    pub segment_bytes: u64,
    pub free_bytes_min: u64,
}

impl Checkpointer {
    /// Takes checkpoints until there are no more to come.
    pub fn run(mut self, jobs: Receiver<Job>) {
        let _guard = TellPanic(self.inbox.clone());
        for job in jobs {
            match self.take(&job) {
                Ok(true) => self.inbox.checkpoint_ended(),
                Ok(false) => return,
                Err(error) => return self.inbox.fail(error),
            }
        }
    }

    /// One checkpoint, however often it takes; false if the store was closed before.
    fn take(&mut self, job: &Job) -> Result<bool, StoreError> {
        loop {
            match self.attempt(job) {
                Ok(()) => break,
                Err(IndexError::Failed(error)) => return Err(error),
                Err(IndexError::NoSpace) => self.make_room()?,
            }
            if self.inbox.is_closed() {
                return Ok(false);
            }
            std::thread::sleep(RETRY);
        }
        self.free_segments(job.keep_from)?;
        Ok(true)
    }

    fn attempt(&mut self, job: &Job) -> Result<(), IndexError> {
        self.open_anew()?;
        let written = {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            index.as_ref().ok_or(IndexError::NoSpace)?.checkpoint(&job.overlay, job.position)
        };
        let is_scarce = free_bytes(&self.dir).is_ok_and(|free| free < self.free_bytes_min);
        if written.is_ok() && !is_scarce {
            self.inbox.set_index_free_bytes(0);
            return Ok(());
        }
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let given_back = written.and_then(|()| index.as_mut().ok_or(IndexError::NoSpace)?.give_back());
        match given_back {
            Ok(air) => self.inbox.set_index_free_bytes(air),
            // After an error the index must be opened anew.
            Err(_) => *index = None,
        }
        given_back.map(drop)
    }

    fn open_anew(&self) -> Result<(), IndexError> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        if index.is_none() {
            *index = Some(Index::open(&self.dir.join(INDEX), self.cache_bytes)?);
        }
        Ok(())
    }

    /// Gives up the reserve, which is there for this. The log writer takes it back later.
    fn make_room(&self) -> Result<(), StoreError> {
        self.inbox.set_full(true);
        pool::clear(&self.dir).map_err(|error| failed("free segments in", &self.dir, error))?;
        let reserve = self.dir.join(RESERVE);
        match std::fs::remove_file(&reserve) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", &reserve, error)),
            _ => Ok(()),
        }
    }

    /// Removes the segments whose groups are all in the index; one may become the spare.
    fn free_segments(&self, keep_from: u64) -> Result<(), StoreError> {
        let segments = list(&self.dir).map_err(|error| failed("list", &self.dir, error))?;
        let is_scarce = free_bytes(&self.dir).is_ok_and(|free| free < self.free_bytes_min);
        for (first_group, path) in segments.iter().filter(|(first, _)| *first < keep_from) {
            let freed = pool::give(&self.dir, path, *first_group, self.segment_bytes);
            freed.map_err(|error| failed("free", path, error))?;
        }
        if is_scarce {
            pool::clear(&self.dir).map_err(|error| failed("free segments in", &self.dir, error))?;
        }
        sync_dir(&self.dir).map_err(|error| failed("sync", &self.dir, error))
    }
}
