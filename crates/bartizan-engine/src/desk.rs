//! Questions for the authenticators, and where their answers go.
//!
//! Bounded: a question that finds the desk full is refused at once (0x89), and one that is not
//! answered in time is refused by its connection's deadline (0x88). Never allowed (I6).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bartizan_core::server::AuthRequest;
use bartizan_core::session::ConnectionKey;

/// Questions that wait at most.
const WAITING_MAX: usize = 16_384;

/// Names a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

/// The desk.
#[derive(Debug, Default)]
pub struct Desk {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    waiting: VecDeque<(Token, AuthRequest)>,
    asked: HashMap<u64, (usize, ConnectionKey)>,
}

impl Desk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a question of a shard. `Err` gives it back when the desk is full.
    ///
    /// # Errors
    /// The question itself, which must then be refused.
    pub fn put(&self, shard: usize, request: AuthRequest) -> Result<(), Box<AuthRequest>> {
        let mut inner = self.inner();
        if inner.asked.len() >= WAITING_MAX {
            return Err(Box::new(request));
        }
        inner.next += 1;
        let token = inner.next;
        inner.asked.insert(token, (shard, request.connection));
        inner.waiting.push_back((Token(token), request));
        Ok(())
    }

    /// Takes at most so many questions, oldest first.
    #[must_use]
    pub fn take(&self, limit: usize) -> Vec<(Token, AuthRequest)> {
        let mut inner = self.inner();
        let count = limit.min(inner.waiting.len());
        inner.waiting.drain(..count).collect()
    }

    /// Whose question it was; each is answered once.
    #[must_use]
    pub fn answered(&self, token: Token) -> Option<(usize, ConnectionKey)> {
        self.inner().asked.remove(&token.0)
    }

    /// Questions without an answer.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.inner().asked.len()
    }
}
