//! Work on a store while no broker runs on it: look, copy out, copy in, make smaller.
//!
//! | file     | what                                                                          |
//! |----------|-------------------------------------------------------------------------------|
//! | `line`   | the lines of an export, version 1, and what each must hold                     |
//! | `export` | a store -> lines                                                              |
//! | `import` | lines -> a new store, which takes its place whole or not at all               |
//!
//! Each call waits until it is done. `Progress` may be read from another thread meanwhile.

mod export;
mod import;
mod line;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::embedded::check::{Report, check};
use super::embedded::still::Still;
use super::port::StoreError;

/// How far a piece of work has come.
#[derive(Debug, Default)]
pub struct Progress {
    what: Mutex<&'static str>,
    done: AtomicU64,
    of: AtomicU64,
}

impl Progress {
    /// What is gone over, how many of them are done, and of how many; 0 if that is not known.
    #[must_use]
    pub fn get(&self) -> (&'static str, u64, u64) {
        let what = *self.what.lock().unwrap_or_else(PoisonError::into_inner);
        (what, self.done.load(Ordering::Relaxed), self.of.load(Ordering::Relaxed))
    }

    fn tell(&self, what: &'static str, done: u64, of: u64) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
        self.done.store(done, Ordering::Relaxed);
        self.of.store(of, Ordering::Relaxed);
    }
}

/// How many of each kind went out or came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the names are those of the field
pub struct Counts {
    pub sessions: u64,
    pub subscriptions: u64,
    pub messages: u64,
    pub queued: u64,
    pub received: u64,
    pub retained: u64,
    pub wills: u64,
}

/// What compacting gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Compacted {
    pub bytes_before: u64,
    pub bytes_after: u64,
}

/// The store in a directory.
#[derive(Debug)]
pub struct StoreTool {
    dir: PathBuf,
    progress: Progress,
}

impl StoreTool {
    /// Names the directory; nothing is opened yet.
    #[must_use]
    pub fn at(dir: &Path) -> StoreTool {
        StoreTool { dir: dir.to_owned(), progress: Progress::default() }
    }

    /// How far the call that another thread makes has come.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Reads everything; damage is in the report.
    ///
    /// # Errors
    /// There is no store, a broker uses it, or the system refuses.
    pub fn check(&self) -> Result<Report, StoreError> {
        check(&self.dir, |what, done, of| self.progress.tell(what, done, of))
    }

    /// Writes everything as lines.
    ///
    /// # Errors
    /// As `check`, and damage.
    pub fn export(&self, file: &Path) -> Result<Counts, StoreError> {
        let still = Still::open(&self.dir)?;
        export::export(&still, file, &self.progress)
    }

    /// Makes a store of an export, in place of none or an empty one.
    ///
    /// # Errors
    /// `NotEmpty`, `InUse`, an export that is not whole; then everything is as it was.
    pub fn import(&self, file: &Path) -> Result<Counts, StoreError> {
        import::import(&self.dir, file, &self.progress)
    }

    /// Gives room that holds nothing back to the disk.
    ///
    /// # Errors
    /// As `check`, and damage.
    pub fn compact(&self) -> Result<Compacted, StoreError> {
        self.progress.tell("index", 0, 0);
        let (bytes_before, bytes_after) = Still::open(&self.dir)?.compact()?;
        Ok(Compacted { bytes_before, bytes_after })
    }
}
