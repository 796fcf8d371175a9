//! Lines -> a new store beside the place where it is to be; it moves there once it is whole.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::message::{Message, Time};

use super::line::{FORMAT, Line, QueuedLine, qos};
use super::{Counts, Progress};
use crate::store::config::{Durability, StoreConfig};
use crate::store::embedded::still::{Still, is_there};
use crate::store::embedded::{EmbeddedStore, failed, open, sync_dir};
use crate::store::port::{Mutation, Space, Store, StoreError, Ticket};

/// Changes that go to the store at once.
const BATCH: usize = 512;
/// How long to wait before looking again at a store that cannot follow.
const PAUSE: Duration = Duration::from_millis(1);

/// Makes a store of the lines in `file`, in place of none or an empty one.
pub fn import(dir: &Path, file: &Path, progress: &Progress) -> Result<Counts, StoreError> {
    // Held until the end: no broker starts on the one while the other is being made.
    let old = is_there(dir)?.then(|| Still::open(dir)).transpose()?;
    if old.as_ref().is_some_and(|old| !matches!(old.is_empty(), Ok(true))) {
        return Err(StoreError::NotEmpty { path: dir.to_owned() });
    }
    let unfinished = beside(dir, "importing");
    // What another import is making is not what one that was killed has left.
    if is_there(&unfinished)? {
        drop(Still::without_log(&unfinished)?);
    }
    remove(&unfinished)?;
    let made = fill(&unfinished, file, progress).and_then(|counts| {
        put_in_place(&unfinished, dir)?;
        Ok(counts)
    });
    if made.is_err() {
        remove(&unfinished)?;
    }
    made
}

fn beside(dir: &Path, what: &str) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(format!("{name}.{what}"))
}

fn remove(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", dir, error)),
        _ => Ok(()),
    }
}

/// The last step: what was there is empty, so that a crash in the middle of it loses nothing.
fn put_in_place(made: &Path, dir: &Path) -> Result<(), StoreError> {
    let empty = beside(dir, "empty");
    remove(&empty)?;
    if dir.exists() {
        fs::rename(dir, &empty).map_err(|error| failed("move", dir, error))?;
    }
    fs::rename(made, dir).map_err(|error| failed("move", made, error))?;
    dir.parent().map_or(Ok(()), sync_dir).map_err(|error| failed("sync", dir, error))?;
    remove(&empty)
}

fn fill(dir: &Path, file: &Path, progress: &Progress) -> Result<Counts, StoreError> {
    let cannot = |error| failed("read", file, error);
    let source = File::open(file).map_err(cannot)?;
    let size = source.metadata().map_err(cannot)?.len();
    // One sync at the end stands for all: before it, nothing is claimed.
    let store = open(StoreConfig { durability: Durability::Os, ..StoreConfig::at(dir, 1) }, Arc::new(|_| {}))?;
    let mut reader = Reader { file, into: Filling::new(&store), line: 0, crc32c: 0 };
    let (mut source, mut text, mut octets) = (BufReader::with_capacity(1 << 20, source), Vec::new(), 0);
    loop {
        text.clear();
        if source.read_until(b'\n', &mut text).map_err(cannot)? == 0 {
            return Err(reader.refuse("the file ends without its last line, `end`: it is not whole"));
        }
        octets += text.len() as u64;
        progress.tell("bytes", octets, size);
        if reader.take(&text)? {
            break;
        }
    }
    if source.read_until(b'\n', &mut text).map_err(cannot)? != 0 {
        return Err(reader.refuse("there is something behind `end`"));
    }
    let counts = reader.into.finish()?;
    store.close();
    match store.failure() {
        Some(error) => Err(error),
        None => Ok(counts),
    }
}

/// Reads lines, and knows what must be said of one that cannot be.
struct Reader<'a> {
    file: &'a Path,
    into: Filling<'a>,
    line: u64,
    crc32c: u32,
}

impl Reader<'_> {
    fn refuse(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Export { path: self.file.to_owned(), line: self.line, reason: reason.into() }
    }

    /// One line; true for the last one.
    fn take(&mut self, text: &[u8]) -> Result<bool, StoreError> {
        self.line += 1;
        let line: Line = serde_json::from_slice(text).map_err(|error| self.refuse(error.to_string()))?;
        match (self.line, line) {
            (1, Line::Store { format }) if format <= FORMAT => {}
            (1, Line::Store { format: found }) => {
                return Err(StoreError::Format { path: self.file.to_owned(), found, supported: FORMAT });
            }
            (1, _) | (_, Line::Store { .. }) => return Err(self.refuse("`store` is the first line, and only there")),
            (_, Line::End { lines, crc32c }) if (lines, crc32c) == (self.line - 1, self.crc32c) => return Ok(true),
            (_, Line::End { .. }) => return Err(self.refuse("the lines before are not those that were written")),
            (_, line) => self.into.take(line).map_err(|error| match error {
                Stop::Line(reason) => self.refuse(reason),
                Stop::Store(error) => error,
            })?,
        }
        self.crc32c = crc32c::crc32c_append(self.crc32c, text);
        Ok(false)
    }
}

/// Why a line is not taken.
enum Stop {
    /// Something is wrong with it.
    Line(String),
    /// The new store failed.
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Store(error)
    }
}

/// The new store, and what the lines so far have named.
struct Filling<'a> {
    store: &'a EmbeddedStore,
    batch: Vec<Mutation>,
    last: Option<Ticket>,
    clients: HashSet<Arc<str>>,
    /// Messages, and how many lines will still refer to each.
    messages: HashMap<u64, (Arc<Message>, u32)>,
    counts: Counts,
}

impl<'a> Filling<'a> {
    fn new(store: &'a EmbeddedStore) -> Filling<'a> {
        let (clients, messages) = (HashSet::new(), HashMap::new());
        Filling { store, batch: Vec::new(), last: None, clients, messages, counts: Counts::default() }
    }

    fn take(&mut self, line: Line) -> Result<(), Stop> {
        match line {
            Line::Session(line) => {
                let record = line.record().map_err(Stop::Line)?;
                if !self.clients.insert(record.client_id.clone()) {
                    return Err(Stop::Line(format!("a second Session of {:?}", record.client_id)));
                }
                self.counts.sessions += 1;
                self.put(Mutation::SessionPut(record))
            }
            Line::Subscription(line) => {
                let options = line.options().map_err(Stop::Line)?;
                self.known(&line.client_id)?;
                self.counts.subscriptions += 1;
                let (client_id, filter, subscription_id) = (line.client_id, line.filter, line.subscription_id);
                self.put(Mutation::SubscriptionPut { client_id, filter, options, subscription_id })
            }
            Line::Message(line) => {
                let (id, uses) = (line.id, line.uses);
                let message = line.message().map_err(Stop::Line)?;
                self.counts.messages += 1;
                match self.messages.insert(id, (message, uses)) {
                    Some(_) => Err(Stop::Line(format!("a second message {id}"))),
                    None => Ok(()),
                }
            }
            Line::Queued(line) => self.queued(line),
            Line::Received { client_id, packet_id } => {
                self.known(&client_id)?;
                self.counts.received += 1;
                self.put(Mutation::ReceivedPut { client_id, packet_id })
            }
            Line::Retained { message } => {
                let message = self.message(message)?;
                self.counts.retained += 1;
                self.put(Mutation::RetainedPut { message })
            }
            Line::Will { client_id, message, due_ms, delay_s } => {
                let will = self.message(message)?;
                self.counts.wills += 1;
                self.put(Mutation::WillPut { client_id, due: due_ms.map(Time), will, delay_s })
            }
            // The reader takes these itself.
            Line::Store { .. } | Line::End { .. } => Ok(()),
        }
    }

    fn queued(&mut self, line: QueuedLine) -> Result<(), Stop> {
        self.known(&line.client_id)?;
        let message = self.message(line.message)?;
        let QueuedLine { client_id, seq, retain, subscription_ids, packet_id, released, .. } = line;
        let qos = qos(line.qos).map_err(Stop::Line)?;
        self.counts.queued += 1;
        let released = released.then(|| Mutation::Released { client_id: client_id.clone(), seq });
        self.put(Mutation::Enqueue { client_id, seq, message, qos, retain, subscription_ids, packet_id })?;
        released.map_or(Ok(()), |released| self.put(released))
    }

    fn known(&self, client_id: &Arc<str>) -> Result<(), Stop> {
        match self.clients.contains(client_id) {
            true => Ok(()),
            false => Err(Stop::Line(format!("{client_id:?} has no Session above"))),
        }
    }

    fn message(&mut self, id: u64) -> Result<Arc<Message>, Stop> {
        let Some((message, uses)) = self.messages.get_mut(&id) else {
            return Err(Stop::Line(format!("there is no message {id} above, or more lines than it says refer to it")));
        };
        *uses = uses.saturating_sub(1);
        let message = message.clone();
        if *uses == 0 {
            self.messages.remove(&id);
        }
        Ok(message)
    }

    fn put(&mut self, mutation: Mutation) -> Result<(), Stop> {
        self.batch.push(mutation);
        if self.batch.len() >= BATCH {
            self.submit()?;
        }
        Ok(())
    }

    fn submit(&mut self) -> Result<(), StoreError> {
        while self.store.space() != Space::Ok {
            self.still_works()?;
            if self.store.space() == Space::Full {
                return Err(failed("fill", &self.store.path(), std::io::ErrorKind::StorageFull.into()));
            }
            std::thread::sleep(PAUSE);
        }
        self.last = Some(self.store.submit(0, std::mem::take(&mut self.batch)));
        self.still_works()
    }

    fn still_works(&self) -> Result<(), StoreError> {
        self.store.failure().map_or(Ok(()), Err)
    }

    /// Waits until everything is written.
    fn finish(mut self) -> Result<Counts, StoreError> {
        self.submit()?;
        while self.last.is_some_and(|ticket| !self.store.committed(0).covers(ticket)) {
            self.still_works()?;
            std::thread::sleep(PAUSE);
        }
        Ok(self.counts)
    }
}
