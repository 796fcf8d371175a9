//! Questions for the authenticators, and where their answers go.
//!
//! Bounded: a question that finds the desk full is refused at once (0x89), and one that is not
//! answered in time is refused by its connection's deadline (0x88). Never allowed (I6). One whose
//! answer is remembered (`successes`) is answered at once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bartizan_core::message::Time;
use bartizan_core::server::AuthRequest;
use bartizan_core::server::connect::Verdict;
use bartizan_core::session::ConnectionKey;

use crate::successes::{Mark, Marker, Successes};

/// Questions that wait at most.
const WAITING_MAX: usize = 16_384;

/// Names a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

/// What became of a question.
pub enum Put {
    /// It waits for the authenticators.
    Waits,
    /// They answered it before, and that still counts.
    Known(Verdict),
    /// The desk is full: it must be refused.
    Full,
}

/// An answer of the authenticators.
pub struct Answer {
    /// To which question.
    pub token: Token,
    /// What it is.
    pub verdict: Verdict,
    /// Seconds for which it counts for the same credential again.
    pub remembered_s: u32,
}

/// The desk.
#[derive(Default)]
pub struct Desk {
    inner: Mutex<Inner>,
    marker: Marker,
}

#[derive(Default)]
struct Inner {
    next: u64,
    waiting: VecDeque<(Token, AuthRequest)>,
    asked: HashMap<u64, Asked>,
    successes: Successes,
}

/// Whose question it was.
struct Asked {
    shard: usize,
    connection: ConnectionKey,
    mark: Option<Mark>,
    era: u64,
}

impl Desk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a question of a shard.
    pub fn put(&self, shard: usize, request: AuthRequest, now: Time) -> Put {
        let mark = self.marker.mark(&request);
        let mut inner = self.inner();
        if let Some(known) = mark.and_then(|mark| inner.successes.recall(&mark, now)) {
            return Put::Known(known);
        }
        if inner.asked.len() >= WAITING_MAX {
            return Put::Full;
        }
        inner.next += 1;
        let (token, era) = (inner.next, inner.successes.era());
        inner.asked.insert(token, Asked { shard, connection: request.connection, mark, era });
        inner.waiting.push_back((Token(token), request));
        Put::Waits
    }

    /// Takes at most so many questions, oldest first.
    #[must_use]
    pub fn take(&self, limit: usize) -> Vec<(Token, AuthRequest)> {
        let mut inner = self.inner();
        let count = limit.min(inner.waiting.len());
        inner.waiting.drain(..count).collect()
    }

    /// Whose question this answers; each is answered once.
    #[must_use]
    pub fn answered(&self, answer: &Answer, now: Time) -> Option<(usize, ConnectionKey)> {
        let mut inner = self.inner();
        let asked = inner.asked.remove(&answer.token.0)?;
        if let Some(mark) = asked.mark {
            inner.successes.keep(mark, asked.era, &answer.verdict, answer.remembered_s, now);
        }
        Some((asked.shard, asked.connection))
    }

    /// Policy, identities or certificates change: every credential is asked about anew.
    pub fn forget(&self) {
        self.inner().successes.forget();
    }

    /// Questions answered from memory.
    #[must_use]
    pub fn recalled(&self) -> u64 {
        self.inner().successes.recalled
    }

    /// Questions without an answer.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.inner().asked.len()
    }
}
