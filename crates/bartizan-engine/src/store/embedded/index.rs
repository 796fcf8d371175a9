//! The index: a redb file with the keyed state of the last checkpoint.
//!
//! It is written in one transaction per checkpoint, with an overlay's net effect and the number
//! of the last log group that went into it. What a group says after that number is in the log.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::overlay::{Overlay, QueueSlot};
use super::record::{BodyId, BodyV1, QueuedV1, WillV1};
use super::segment::sync_dir;
use crate::store::port::StoreError;

pub const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
pub const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions.v1");
pub const SUBSCRIPTIONS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("subscriptions.v1");
pub const QUEUE: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("queue.v1");
pub const RECEIVED: TableDefinition<'_, (&str, u16), ()> = TableDefinition::new("received.v1");
pub const RETAINED: TableDefinition<'_, &str, BodyId> = TableDefinition::new("retained.v1");
pub const WILLS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("wills.v1");
pub const BODIES: TableDefinition<'_, BodyId, &[u8]> = TableDefinition::new("bodies.v1");
const BODY_ROWS: TableDefinition<'_, BodyId, u64> = TableDefinition::new("body_rows.v1");

const FORMAT: u32 = 1;

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

    /// Where it stands, and a view of it that later checkpoints do not change.
    pub fn view(&self) -> Result<(Position, Option<ReadTransaction>), IndexError> {
        self.read().map_err(|error| index_error(&self.path, error)).and_then(|(format, seen)| match format {
            None | Some(FORMAT) => Ok(seen),
            Some(found) => {
                let path = self.path.clone();
                let error = StoreError::Format { path, found, supported: FORMAT };
                Err(IndexError::Failed(error))
            }
        })
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
        self.write(overlay, position).map_err(|error| index_error(&self.path, error))
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
        let mut rows = BodyRows::default();
        end_sessions(&write, overlay, &mut rows)?;
        put_sessions(&write, overlay)?;
        put_queue(&write, overlay, &mut rows)?;
        put_retained(&write, overlay, &mut rows)?;
        put_wills(&write, overlay, &mut rows)?;
        rows.settle(&write, overlay)?;
        {
            let mut numbers = write.open_table(NUMBERS)?;
            numbers.insert("format", u64::from(FORMAT))?;
            numbers.insert("group", position.group)?;
            numbers.insert("next_body", position.next_body)?;
        }
        write.commit()?;
        Ok(())
    }
}

/// By how much the number of rows that refer to a body changes.
#[derive(Default)]
struct BodyRows(HashMap<BodyId, i64>);

impl BodyRows {
    fn add(&mut self, body: BodyId) {
        *self.0.entry(body).or_default() += 1;
    }

    fn remove(&mut self, body: BodyId) {
        *self.0.entry(body).or_default() -= 1;
    }

    /// Stores bodies that rows refer to, and removes those that none does any more.
    fn settle(self, write: &WriteTransaction, overlay: &Overlay) -> Result<(), redb::Error> {
        let mut bodies = write.open_table(BODIES)?;
        let mut counts = write.open_table(BODY_ROWS)?;
        for (id, change) in self.0 {
            let before = counts.get(id)?.map_or(0, |count| count.value());
            let after = before.saturating_add_signed(change);
            if after == 0 {
                counts.remove(id)?;
                bodies.remove(id)?;
                continue;
            }
            counts.insert(id, after)?;
            if let Some(body) = overlay.bodies.get(&id) {
                bodies.insert(id, encode(&BodyV1::of(&body.message))?.as_slice())?;
            }
        }
        Ok(())
    }
}

fn end_sessions(write: &WriteTransaction, overlay: &Overlay, rows: &mut BodyRows) -> Result<(), redb::Error> {
    let mut subscriptions = write.open_table(SUBSCRIPTIONS)?;
    let mut queue = write.open_table(QUEUE)?;
    let mut received = write.open_table(RECEIVED)?;
    for client in &overlay.ended {
        let client: &str = client;
        let mut filters = Vec::new();
        for row in subscriptions.range((client, "")..)? {
            let (key, _) = row?;
            let (whose, filter) = key.value();
            if whose != client {
                break;
            }
            filters.push(filter.to_owned());
        }
        for filter in &filters {
            subscriptions.remove((client, filter.as_str()))?;
        }
        queue.retain_in((client, 0)..=(client, u64::MAX), |_, row| {
            if let Ok(row) = postcard::from_bytes::<QueuedV1>(row) {
                rows.remove(row.body);
            }
            false
        })?;
        received.retain_in((client, 0)..=(client, u16::MAX), |_, ()| false)?;
    }
    Ok(())
}

fn put_sessions(write: &WriteTransaction, overlay: &Overlay) -> Result<(), redb::Error> {
    let mut sessions = write.open_table(SESSIONS)?;
    for (client, row) in &overlay.sessions {
        match row {
            Some(row) => drop(sessions.insert(&**client, encode(row)?.as_slice())?),
            None => drop(sessions.remove(&**client)?),
        }
    }
    let mut subscriptions = write.open_table(SUBSCRIPTIONS)?;
    for ((client, filter), row) in &overlay.subscriptions {
        let key = (&**client, &**filter);
        match row {
            Some(row) => drop(subscriptions.insert(key, encode(row)?.as_slice())?),
            None => drop(subscriptions.remove(key)?),
        }
    }
    let mut received = write.open_table(RECEIVED)?;
    for ((client, packet_id), is_in_use) in &overlay.received {
        let key = (&**client, packet_id.get());
        if *is_in_use {
            received.insert(key, ())?;
        } else {
            received.remove(key)?;
        }
    }
    Ok(())
}

fn put_queue(write: &WriteTransaction, overlay: &Overlay, rows: &mut BodyRows) -> Result<(), redb::Error> {
    let mut queue = write.open_table(QUEUE)?;
    for ((client, seq), slot) in &overlay.queue {
        let key = (&**client, *seq);
        match slot {
            QueueSlot::Fresh(row) | QueueSlot::Over(row) => {
                rows.add(row.body);
                if let Some(old) = queue.insert(key, encode(row)?.as_slice())? {
                    rows.remove(decode::<QueuedV1>(old.value())?.body);
                }
            }
            QueueSlot::Changed { packet_id, released } => {
                let old = queue.get(key)?.map(|old| decode::<QueuedV1>(old.value())).transpose()?;
                let Some(row) = old else { continue };
                let row = row.moved_on(*packet_id, *released);
                queue.insert(key, encode(&row)?.as_slice())?;
            }
            QueueSlot::Gone => {
                if let Some(old) = queue.remove(key)? {
                    rows.remove(decode::<QueuedV1>(old.value())?.body);
                }
            }
        }
    }
    Ok(())
}

fn put_retained(write: &WriteTransaction, overlay: &Overlay, rows: &mut BodyRows) -> Result<(), redb::Error> {
    let mut retained: Table<'_, &str, BodyId> = write.open_table(RETAINED)?;
    for (topic, body) in &overlay.retained {
        let old = match body {
            Some(body) => {
                rows.add(*body);
                retained.insert(&**topic, *body)?
            }
            None => retained.remove(&**topic)?,
        };
        if let Some(old) = old {
            rows.remove(old.value());
        }
    }
    Ok(())
}

fn put_wills(write: &WriteTransaction, overlay: &Overlay, rows: &mut BodyRows) -> Result<(), redb::Error> {
    let mut wills = write.open_table(WILLS)?;
    for (client, row) in &overlay.wills {
        let old = match row {
            Some(row) => {
                rows.add(row.body);
                wills.insert(&**client, encode(row)?.as_slice())?
            }
            None => wills.remove(&**client)?,
        };
        if let Some(old) = old {
            rows.remove(decode::<WillV1>(old.value())?.body);
        }
    }
    Ok(())
}

fn encode(row: &impl serde::Serialize) -> Result<Vec<u8>, redb::Error> {
    postcard::to_stdvec(row).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

/// A row of the index; octets that are none are a damaged index.
pub fn decode<'a, T: serde::Deserialize<'a>>(octets: &'a [u8]) -> Result<T, redb::Error> {
    postcard::from_bytes(octets).map_err(|_| damaged())
}

/// What is said of a row that no version of this program can have written.
pub fn damaged() -> redb::Error {
    redb::Error::Corrupted("a row is not what was written".to_owned())
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
