//! The adapter that keeps everything in one directory.
//!
//! | file         | what                                                                     |
//! |--------------|--------------------------------------------------------------------------|
//! | `inbox`      | what shards and threads share: batches, watermarks, space, failure       |
//! | `log`        | the thread that writes and syncs groups of batches                       |
//! | `segment`    | the log's files: frames, checksums, what counts as damage                |
//! | `pool`       | segments that are written again                                          |
//! | `record`     | the stored forms, version 1                                              |
//! | `overlay`    | the log's net effect since the last checkpoint                           |
//! | `places`     | of it, what happened to places in queues                                 |
//! | `numbers`    | tables by numbers of the store's own                                     |
//! | `checkpoint` | the thread that brings the index up to date and frees the log            |
//! | `index`      | the redb file: keyed state, bodies once per message                      |
//! | `replay`     | start: the log since the last checkpoint, checked and read back          |
//! | `load`       | start: index and log merged, in the order that a shard needs             |
//! | `reader`     | the thread that reads queued messages back for a shard                   |
//! | `effect`     | an overlay's net effect on the index's tables                            |
//! | `row`        | the index's rows: each with a checksum of its own                        |
//! | `migrate`    | an index of an older format becomes one of this                          |
//! | `still`      | a store that nobody writes: for `check`, `export`, `import`, `compact`   |
//! | `check`      | reads everything, and names every place that is damaged                  |
//!
//! In the directory: `NNN.wal` segments, `index.redb`, `spare` (the next segment), `free-NNN` (the
//! next but one), `reserve` (room for a checkpoint on a full disk), `lock`.

pub mod check;
mod checkpoint;
mod effect;
mod inbox;
mod index;
mod load;
mod log;
mod migrate;
mod numbers;
mod overlay;
mod places;
mod pool;
mod reader;
mod record;
mod replay;
mod row;
mod segment;
pub mod still;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;

use self::checkpoint::{Checkpointer, Job};
use self::inbox::Inbox;
use self::index::{Index, IndexError, Position, is_out_of_space};
use self::load::Startup;
use self::log::{Log, Start};
use self::reader::{Reader, SharedIndex};
use self::replay::Tail;
use self::segment::{Segment, allocate};
pub use self::segment::{failed, sync_dir};
use super::config::{Durability, SEGMENT_BYTES_MIN, StoreConfig};
use super::port::{
    Committed, Fetch, Fetched, Loaded, Mutation, Promise, Space, Store, StoreError, StoreInfo, Ticket, Wake,
};
use crate::latency::Latency;

const INDEX: &str = "index.redb";
const LOCK: &str = "lock";
const SPARE: &str = "spare";
const RESERVE: &str = "reserve";
const LARGE: &str = "large";
/// A seventh of a core that two others want as well.
const INDEX_NICENESS: i32 = 5;

/// A store in a directory.
pub struct EmbeddedStore {
    inbox: Arc<Inbox>,
    path: PathBuf,
    durability: Durability,
    startup: Mutex<Option<Startup>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held while the store is open.
    lock: File,
}

/// Opens the store in a directory, making it if it is missing.
///
/// # Errors
/// When another process has it open, when it is damaged, when the system refuses.
pub fn open(config: StoreConfig, wake: Wake) -> Result<Arc<EmbeddedStore>, StoreError> {
    config.validate()?;
    let dir = config.path.clone();
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|error| failed("make", &dir, error))?;
    let lock = lock(&dir)?;
    remove_unfinished(&dir)?;
    let index = Index::open(&dir.join(INDEX), config.cache_bytes).map_err(at_start(&dir))?;
    let (position, view) = index.view().map_err(at_start(&dir))?;
    let replayed = replay::replay(&dir, position, Tail::Cut)?;
    let (next_group, next_body) = (replayed.next_group, replayed.next_body);
    let salt = salt();
    let segment = first_segment(&config, next_group, salt)?;

    let inbox = Arc::new(Inbox::new(config.lanes, config.backlog_bytes_max, wake));
    let (checkpoints, jobs) = mpsc::channel();
    let overlay = Arc::new(replayed.overlay);
    let position = Position { group: next_group - 1, next_body };
    // The first checkpoint takes over what was replayed, and frees its segments.
    checkpoints
        .send(Job { overlay: overlay.clone(), position, keep_from: next_group })
        .map_err(|_| StoreError::Stopped)?;
    let index: SharedIndex = Arc::new(RwLock::new(Some(index)));
    let reader = Reader { inbox: inbox.clone(), index: index.clone(), path: dir.join(INDEX) };
    let (reads, to_read) = mpsc::channel();
    let checkpointer = Checkpointer {
        inbox: inbox.clone(),
        dir: dir.clone(),
        index,
        cache_bytes: config.cache_bytes,
        segment_bytes: config.segment_bytes,
        free_bytes_min: config.free_bytes_min,
    };
    let durability = config.durability;
    let start = Start { overlay: overlay.clone(), reads, segment, salt, next_group, next_body };
    let log = Log::new(inbox.clone(), config, checkpoints, start);
    let threads = vec![
        spawn("store-index", &dir, move || {
            step_behind();
            checkpointer.run(jobs);
        })?,
        spawn("store-read", &dir, move || reader.run(to_read))?,
        spawn("store-log", &dir, move || log.run())?,
    ];
    let startup = Startup { view, overlay, path: dir.join(INDEX) };
    Ok(Arc::new(EmbeddedStore {
        inbox,
        path: dir,
        durability,
        startup: Mutex::new(Some(startup)),
        threads: Mutex::new(threads),
        lock,
    }))
}

/// Makes this process the only one that uses the directory, and says so in the file that is locked.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| failed("open", &path, error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Whoever holds it may be about to write: then it is known a moment later.
            let _ = file.read_to_string(&mut pid);
            return Err(StoreError::InUse { path: dir.to_owned(), pid: pid.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(failed("lock", &path, error)),
    }
    let pid = std::process::id().to_string();
    // On a full disk the number is missing from an error, and that is all.
    let _ = file.set_len(0).and_then(|()| file.write_all(pid.as_bytes()));
    Ok(file)
}

fn at_start(dir: &Path) -> impl Fn(IndexError) -> StoreError {
    move |error| match error {
        IndexError::Failed(error) => error,
        IndexError::NoSpace => failed("open the index in", dir, std::io::ErrorKind::StorageFull.into()),
    }
}

/// Removes what a process that was killed was about to make.
fn remove_unfinished(dir: &Path) -> Result<(), StoreError> {
    let unfinished = [SPARE, RESERVE, LARGE].map(|name| format!("{name}.new"));
    for name in unfinished.iter().map(String::as_str).chain([LARGE]) {
        let path = dir.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed("remove", &path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The segment to go on with: the spare if there is one; on a full disk whatever can be had, so
/// that a store which fills a disk can still be opened and emptied.
fn first_segment(config: &StoreConfig, group: u64, salt: u32) -> Result<Segment, StoreError> {
    let dir = &config.path;
    // A spare of another size was made under other settings.
    let is_usable = dir.join(SPARE).metadata().is_ok_and(|found| found.len() == config.segment_bytes);
    let allocated = if is_usable { Ok(()) } else { allocate_what_fits(dir, config.segment_bytes) };
    allocated
        .and_then(|()| Segment::begin(dir, SPARE, group, salt))
        .map_err(|error| failed("begin a segment in", dir, error))
}

fn allocate_what_fits(dir: &Path, segment_bytes: u64) -> std::io::Result<()> {
    let mut size = segment_bytes;
    loop {
        match allocate(dir, SPARE, size) {
            Err(error) if is_out_of_space(&error) => match std::fs::remove_file(dir.join(RESERVE)) {
                Ok(()) => continue,
                Err(_) if size / 2 < SEGMENT_BYTES_MIN => return Err(error),
                Err(_) => size /= 2,
            },
            done => return done,
        }
    }
}

/// Not a secret: it only has to be unknown to those who choose payloads.
fn salt() -> u32 {
    let hash = RandomState::new().build_hasher().finish();
    u32::try_from(hash >> 32).unwrap_or_default()
}

fn spawn(name: &str, dir: &Path, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| failed("start a thread for", dir, error))
}

/// Lets the threads that clients wait for go first, where they want the same core. While a checkpoint is taken an
/// acknowledgement waited half as long again; if it falls too far behind, `space` says so.
fn step_behind() {
    // Of the calling thread alone: `setpriority(2)`, "C library/kernel differences". Where it is not to be had, nothing
    // but time is lost.
    let _ = rustix::process::nice(INDEX_NICENESS);
}

impl EmbeddedStore {
    /// Its directory.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    fn startup(&self) -> Result<Startup, StoreError> {
        let startup = self.startup.lock().unwrap_or_else(PoisonError::into_inner).take();
        startup.ok_or(StoreError::LoadedBefore)
    }
}

impl Store for EmbeddedStore {
    fn info(&self) -> StoreInfo {
        StoreInfo { name: "embedded", durability: Some(self.durability), lanes: self.inbox.lanes() }
    }

    fn submit_for(&self, lane: usize, batch: Vec<Mutation>, promise: Option<Promise>) -> Ticket {
        self.inbox.submit(lane, batch, promise)
    }

    fn committed(&self, lane: usize) -> Committed {
        self.inbox.committed(lane)
    }

    fn space(&self) -> Space {
        self.inbox.space()
    }

    fn failure(&self) -> Option<StoreError> {
        self.inbox.failure()
    }

    fn load(&self, visit: &mut dyn FnMut(Loaded)) -> Result<(), StoreError> {
        self.startup()?.visit(visit)
    }

    fn load_places(&self, visit: &mut dyn FnMut(Loaded)) -> Result<(), StoreError> {
        self.startup()?.visit_places(visit)
    }

    fn fetch(&self, lane: usize, fetch: Fetch) {
        self.inbox.fetch(lane, fetch);
    }

    fn has_fetched(&self, lane: usize) -> bool {
        self.inbox.answers().has(lane)
    }

    fn take_fetched(&self, lane: usize) -> Vec<Fetched> {
        self.inbox.answers().take(lane)
    }

    fn syncs(&self) -> Option<&Latency> {
        Some(&self.inbox.syncs)
    }

    fn close(&self) {
        self.inbox.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic of a thread was told when it happened; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.close();
        // By name, as a process that was just forked may hold the same file until it executes.
        let _ = self.lock.unlock();
    }
}
