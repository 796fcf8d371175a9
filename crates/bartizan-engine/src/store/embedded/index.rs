//! The index: a redb file with the keyed state of the last checkpoint.
//!
//! It is written in one transaction per checkpoint, with an overlay's net effect and the number
//! of the last log group that went into it. What a group says after that number is in the log.

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction};

use super::effect;
use super::migrate;
use super::overlay::Overlay;
use super::record::BodyId;
use super::segment::sync_dir;
use crate::store::port::StoreError;

pub const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
pub const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions.v2");
pub const SUBSCRIPTIONS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("subscriptions.v2");
pub const QUEUE: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("queue.v2");
pub const RECEIVED: TableDefinition<'_, (&str, u16), &[u8]> = TableDefinition::new("received.v2");
pub const RETAINED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("retained.v2");
pub const WILLS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("wills.v2");
pub const BODIES: TableDefinition<'_, BodyId, &[u8]> = TableDefinition::new("bodies.v2");
pub const BODY_ROWS: TableDefinition<'_, BodyId, &[u8]> = TableDefinition::new("body_rows.v2");

/// The format written; `migrate` brings an index of the one before up to it.
pub const FORMAT: u32 = 2;

/// Why a checkpoint did not happen.
#[derive(Debug)]
pub enum IndexError {
    /// The disk is full: try again, after opening the index anew.
    NoSpace,
    /// Anything else: the store fails.
    Failed(StoreError),
}

/// How far the index has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The last log group it includes.
    pub group: u64,
    /// The first body id it does not know.
    pub next_body: BodyId,
}

/// The open index.
pub struct Index {
    database: Database,
    path: PathBuf,
}

impl Index {
    /// Opens it, making it if it is missing. It gets its name only once it is whole, as a kill
    /// while redb makes a file leaves one that redb does not know.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Index, IndexError> {
        guarded(path, || Index::open_or_make(path, cache_bytes))
    }

    fn open_or_make(path: &Path, cache_bytes: usize) -> Result<Index, IndexError> {
        let io_error = |error| index_error(path, redb::Error::Io(error));
        if !path.try_exists().map_err(io_error)? {
            let unfinished = path.with_extension("new");
            drop(Index::open_file(&unfinished, cache_bytes, true)?);
            std::fs::rename(&unfinished, path).map_err(io_error)?;
            path.parent().map_or(Ok(()), sync_dir).map_err(io_error)?;
        }
        Index::open_file(path, cache_bytes, false)
    }

    fn open_file(path: &Path, cache_bytes: usize, is_new: bool) -> Result<Index, IndexError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(is_new)
            .truncate(is_new)
            .mode(0o600)
            .open(path)
            .map_err(|error| index_error(path, redb::Error::Io(error)))?;
        let database = Database::builder()
            .set_cache_size(cache_bytes)
            .create_file(file)
            .map_err(|error| index_error(path, error.into()))?;
        Ok(Index { database, path: path.to_owned() })
    }

    /// Where it stands, and a view of it that later checkpoints do not change. An index of an
    /// older format is brought up to this one before.
    pub fn view(&self) -> Result<(Position, Option<ReadTransaction>), IndexError> {
        guarded(&self.path, || self.view_of_this_format())
    }

    fn view_of_this_format(&self) -> Result<(Position, Option<ReadTransaction>), IndexError> {
        let of = |error| index_error(&self.path, error);
        let (format, seen) = self.read().map_err(of)?;
        match format {
            None | Some(FORMAT) => Ok(seen),
            Some(1) => {
                drop(seen);
                migrate::from_1(&self.database).map_err(of)?;
                self.read().map(|(_, seen)| seen).map_err(of)
            }
            Some(found) => {
                let path = self.path.clone();
                Err(IndexError::Failed(StoreError::Format { path, found, supported: FORMAT }))
            }
        }
    }

    #[allow(clippy::type_complexity)]
    fn read(&self) -> Result<(Option<u32>, (Position, Option<ReadTransaction>)), redb::Error> {
        let view = self.database.begin_read()?;
        let numbers = match view.open_table(NUMBERS) {
            Ok(numbers) => numbers,
            Err(redb::TableError::TableDoesNotExist(_)) => {
                return Ok((None, (Position::default(), None)));
            }
            Err(error) => return Err(error.into()),
        };
        let number = |name| numbers.get(name).map(|found| found.map_or(0, |found| found.value()));
        let format = u32::try_from(number("format")?).unwrap_or(u32::MAX);
        let position = Position { group: number("group")?, next_body: number("next_body")? };
        Ok((Some(format), (position, Some(view))))
    }

    /// Brings the index up to `position` with what happened since the last one.
    pub fn checkpoint(&self, overlay: &Overlay, position: Position) -> Result<(), IndexError> {
        guarded(&self.path, || self.write(overlay, position).map_err(|error| index_error(&self.path, error)))
    }

    /// Gives room back to the disk where a quarter of the file is air; returns the air that is
    /// left. It walks over everything stored, so it is for a disk that is nearly full.
    pub fn give_back(&mut self) -> Result<u64, IndexError> {
        let (air, given) = self.air()?;
        if air < given / 4 {
            return Ok(air);
        }
        match self.database.compact() {
            // What was stored at start is still being read.
            Err(redb::CompactionError::TransactionInProgress) => return Ok(air),
            compacted => drop(compacted.map_err(|error| index_error(&self.path, error.into()))?),
        }
        self.air().map(|(air, _)| air)
    }

    /// Gives all room back that holds nothing. Nobody may be reading.
    pub fn compact(&mut self) -> Result<(), IndexError> {
        self.database.compact().map(drop).map_err(|error| index_error(&self.path, error.into()))
    }

    /// Octets of the file that hold nothing though the disk has given them, and all it has given.
    fn air(&self) -> Result<(u64, u64), IndexError> {
        let used = || {
            let write = self.database.begin_write()?;
            let stats = write.stats()?;
            write.abort()?;
            Ok(stats.allocated_pages().saturating_mul(stats.page_size() as u64))
        };
        let used = used().map_err(|error| index_error(&self.path, error))?;
        let io_error = |error| index_error(&self.path, redb::Error::Io(error));
        let given = self.path.metadata().map_err(io_error)?.blocks().saturating_mul(512);
        Ok((given.saturating_sub(used), given))
    }

    fn write(&self, overlay: &Overlay, position: Position) -> Result<(), redb::Error> {
        let mut write = self.database.begin_write()?;
        // Opening after a kill must not take a walk over everything stored.
        write.set_quick_repair(true);
        effect::put(&write, overlay)?;
        put_position(&write, position)?;
        write.commit()?;
        Ok(())
    }
}

/// Writes down how far the index has come, and in which format.
pub fn put_position(write: &WriteTransaction, position: Position) -> Result<(), redb::Error> {
    let mut numbers = write.open_table(NUMBERS)?;
    numbers.insert("format", u64::from(FORMAT))?;
    numbers.insert("group", position.group)?;
    numbers.insert("next_body", position.next_body)?;
    Ok(())
}

/// Runs work on the index. redb may panic over a file that is not as it left it: that is damage
/// too, and told as such.
pub fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    let reason = "a page is not what was written; restore a copy".to_owned();
    let panicked = |_| Err(IndexError::Failed(StoreError::Index { path: path.to_owned(), reason }));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

/// Sorts the index's errors into those that pass and those that do not.
pub fn index_error(path: &Path, error: redb::Error) -> IndexError {
    match error {
        redb::Error::Io(error) if is_out_of_space(&error) => IndexError::NoSpace,
        // The error itself was told before; or a view of the index before last is still read.
        redb::Error::PreviousIo | redb::Error::DatabaseAlreadyOpen => IndexError::NoSpace,
        error => IndexError::Failed(StoreError::Index { path: path.to_owned(), reason: error.to_string() }),
    }
}

/// True for the errors that end by themselves when somebody makes room.
pub fn is_out_of_space(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}
