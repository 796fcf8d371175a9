//! A store that nobody writes: opened to be looked at, copied or compacted while no broker runs.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::{Index, IndexError, Position};
use super::load::{Found, Startup};
use super::record::BodyId;
use super::replay::{Tail, replay};
use super::segment::{failed, list};
use super::{INDEX, at_start, lock};
use crate::store::port::{Loaded, StoreError};

/// What the tools may use of memory for pages.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// An opened store without its threads. It holds the lock, so no broker can start meanwhile.
pub struct Still {
    dir: PathBuf,
    index: Index,
    /// The log since the last checkpoint merged in; without it where the log is damaged.
    startup: Startup,
    _lock: Lock,
}

/// The lock of a store, given back when it is dropped.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // By name, as a process that was just forked may hold the same file until it executes.
        let _ = self.0.unlock();
    }
}

/// True if a store has ever been made here.
pub fn is_there(dir: &Path) -> Result<bool, StoreError> {
    if !dir.is_dir() {
        return Ok(false);
    }
    let segments = list(dir).map_err(|error| failed("list", dir, error))?;
    Ok(!segments.is_empty() || dir.join(INDEX).exists())
}

impl Still {
    /// Opens it as a start would, but leaves the log as it is.
    ///
    /// # Errors
    /// `Missing`, `InUse`, or what keeps a broker from starting.
    pub fn open(dir: &Path) -> Result<Still, StoreError> {
        let mut still = Still::without_log(dir)?;
        let position = still.position()?;
        still.startup.overlay = Arc::new(replay(dir, position, Tail::Leave)?.overlay);
        Ok(still)
    }

    /// The same without the log.
    ///
    /// # Errors
    /// As `open`, but for a damaged log.
    pub fn without_log(dir: &Path) -> Result<Still, StoreError> {
        if !is_there(dir)? {
            return Err(StoreError::Missing { path: dir.to_owned() });
        }
        let lock = Lock(lock(dir)?);
        let index = Index::open(&dir.join(INDEX), CACHE_BYTES).map_err(at_start(dir))?;
        let (_, view) = index.view().map_err(at_start(dir))?;
        let startup = Startup { view, overlay: Arc::default(), path: dir.join(INDEX) };
        Ok(Still { dir: dir.to_owned(), index, startup, _lock: lock })
    }

    pub(super) fn position(&self) -> Result<Position, StoreError> {
        self.index.view().map(|(position, _)| position).map_err(at_start(&self.dir))
    }

    pub(super) fn startup(&self) -> &Startup {
        &self.startup
    }

    /// Everything, in the order of `Loaded`, each message with a number and how often it will come.
    ///
    /// # Errors
    /// Damage, by table and row; and what `visit` returns.
    pub fn visit<E: From<StoreError>>(
        &self,
        visit: &mut dyn FnMut(Loaded, Option<Shared>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut uses: HashMap<BodyId, u32> = HashMap::new();
        self.startup.guarded(|| {
            self.startup.walk(&mut |found| {
                if let Some(body) = body_of(&found) {
                    *uses.entry(body).or_default() += 1;
                }
                Ok(())
            })
        })?;
        let mut stopped = None;
        let visited = self.startup.guarded(|| {
            let mut bodies = self.startup.bodies()?;
            self.startup.walk(&mut |found| {
                let body = body_of(&found);
                let shared = body.map(|id| Shared { id, uses: uses.get(&id).copied().unwrap_or(1) });
                visit(bodies.loaded(found)?, shared).map_err(|error| {
                    stopped = Some(error);
                    // Whatever it is, the one above is told.
                    redb::Error::PreviousIo
                })
            })
        });
        stopped.map_or(Ok(()), Err)?;
        Ok(visited?)
    }

    /// The number of rows that `visit` goes over, more or less: for progress.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.startup.guarded(|| self.startup.rows_about()).unwrap_or_default()
    }

    /// True if it holds nothing.
    ///
    /// # Errors
    /// Damage.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        let mut any = false;
        self.startup.guarded(|| {
            self.startup.walk(&mut |_| {
                any = true;
                Ok(())
            })
        })?;
        Ok(!any)
    }

    /// Gives the index's free room back to the disk; its size before and after.
    ///
    /// # Errors
    /// When the system or the index refuses.
    pub fn compact(mut self) -> Result<(u64, u64), StoreError> {
        self.startup.view = None;
        let path = self.dir.join(INDEX);
        let size = || path.metadata().map(|found| found.len()).map_err(|error| failed("look at", &path, error));
        let before = size()?;
        self.index.compact().map_err(|error| match error {
            IndexError::Failed(error) => error,
            IndexError::NoSpace => failed("compact", &path, std::io::ErrorKind::StorageFull.into()),
        })?;
        Ok((before, size()?))
    }
}

/// A message that more than one row may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Its number in this store.
    pub id: u64,
    /// How many rows refer to it.
    pub uses: u32,
}

fn body_of(found: &Found) -> Option<BodyId> {
    match found {
        Found::Queued { row, .. } => Some(row.queued.body),
        Found::Retained { body } => Some(*body),
        Found::Will { row, .. } => Some(row.body),
        Found::Session(_) | Found::Subscription { .. } | Found::Received { .. } => None,
    }
}
