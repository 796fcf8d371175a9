//! Pages that have been read, until the shard that asked takes them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::port::Fetched;

/// One place per lane.
pub struct Answers(Box<[Lane]>);

#[derive(Default)]
struct Lane {
    pages: Mutex<Vec<Fetched>>,
    has_some: AtomicBool,
}

impl Answers {
    /// For so many lanes.
    pub fn new(lanes: usize) -> Answers {
        Answers((0..lanes).map(|_| Lane::default()).collect())
    }

    /// Puts one in; the lane is to be woken then.
    pub fn put(&self, lane: usize, page: Fetched) {
        if let Some(lane) = self.0.get(lane) {
            let mut pages = lane.pages.lock().unwrap_or_else(PoisonError::into_inner);
            pages.push(page);
            lane.has_some.store(true, Ordering::SeqCst);
        }
    }

    /// True if there is one.
    pub fn has(&self, lane: usize) -> bool {
        self.0.get(lane).is_some_and(|lane| lane.has_some.load(Ordering::SeqCst))
    }

    /// Takes all out.
    pub fn take(&self, lane: usize) -> Vec<Fetched> {
        let Some(lane) = self.0.get(lane).filter(|lane| lane.has_some.load(Ordering::SeqCst)) else {
            return Vec::new();
        };
        let mut pages = lane.pages.lock().unwrap_or_else(PoisonError::into_inner);
        lane.has_some.store(false, Ordering::SeqCst);
        std::mem::take(&mut *pages)
    }
}
