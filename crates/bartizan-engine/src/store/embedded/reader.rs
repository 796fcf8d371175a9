//! The reading thread: queued messages that a shard wants back in memory.
//!
//! The log thread has put in what the index cannot know yet. The rest is read here, beside a
//! checkpoint that is being taken: a view of the index is of one moment and waits for nobody.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redb::ReadTransaction;

use super::effect::queued;
use super::inbox::{Inbox, TellPanic};
use super::index::{BODIES, Index, IndexError, QUEUE, guarded, index_error};
use super::load::body;
use crate::store::port::{Fetch, Fetched, FetchedMessage, StoreError};

/// The index, which two threads use; `None` while it has to be opened anew.
pub type SharedIndex = Arc<RwLock<Option<Index>>>;

/// How long to wait before asking again for an index that is being opened.
const RETRY: Duration = Duration::from_millis(50);

/// A page to read.
pub struct Read {
    pub lane: usize,
    pub fetch: Fetch,
    /// What is known already: a message, or that there is none any more.
    pub found: BTreeMap<u64, Option<FetchedMessage>>,
}

/// The thread's own.
pub struct Reader {
    pub inbox: Arc<Inbox>,
    pub index: SharedIndex,
    /// The index's file, for errors.
    pub path: PathBuf,
}

impl Reader {
    /// Answers until there are no more to come.
    pub fn run(self, reads: Receiver<Read>) {
        let _guard = TellPanic(self.inbox.clone());
        for Read { lane, fetch, mut found } in reads {
            let missing: Vec<u64> = fetch.seqs.iter().filter(|seq| !found.contains_key(*seq)).copied().collect();
            match self.fill(&fetch, &missing, &mut found) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.inbox.fail(error),
            }
            self.inbox.answer(lane, answer(&fetch, &mut found));
        }
    }

    /// Reads what is missing; false if the store was closed before.
    fn fill(
        &self,
        fetch: &Fetch,
        missing: &[u64],
        found: &mut BTreeMap<u64, Option<FetchedMessage>>,
    ) -> Result<bool, StoreError> {
        while !missing.is_empty() {
            if let Some(view) = self.view()? {
                let mut read = || page(&view, fetch, missing, found);
                let read = guarded(&self.path, || read().map_err(|error| index_error(&self.path, error)));
                return read.map(|()| true).map_err(|error| match error {
                    IndexError::Failed(error) => error,
                    IndexError::NoSpace => StoreError::Stopped,
                });
            }
            if self.inbox.is_closed() || self.inbox.has_failed() {
                return Ok(false);
            }
            std::thread::sleep(RETRY);
        }
        Ok(true)
    }

    /// The index as it is now; `None` if it must be asked again later.
    fn view(&self) -> Result<Option<ReadTransaction>, StoreError> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        match index.as_ref().map(Index::view) {
            Some(Ok((_, view))) => Ok(view),
            Some(Err(IndexError::Failed(error))) => Err(error),
            None | Some(Err(IndexError::NoSpace)) => Ok(None),
        }
    }
}

fn answer(fetch: &Fetch, found: &mut BTreeMap<u64, Option<FetchedMessage>>) -> Fetched {
    let mut answer = Fetched { session: fetch.session, messages: Vec::new(), missing: Vec::new() };
    for seq in &fetch.seqs {
        match found.remove(seq).flatten() {
            Some(message) => answer.messages.push(message),
            None => answer.missing.push(*seq),
        }
    }
    answer
}

/// Reads these places of a queue, and their messages.
fn page(
    view: &ReadTransaction,
    fetch: &Fetch,
    seqs: &[u64],
    found: &mut BTreeMap<u64, Option<FetchedMessage>>,
) -> Result<(), redb::Error> {
    let queue = view.open_table(QUEUE)?;
    let bodies = view.open_table(BODIES)?;
    for seq in seqs {
        let key = (&*fetch.client_id, *seq);
        let Some(row) = queue.get(key)? else { continue };
        let row = queued(key, row.value())?.queued;
        let message = body(Some(&bodies), row.body)?;
        found.insert(*seq, row.fetched(*seq, message));
    }
    Ok(())
}
