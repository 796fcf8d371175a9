//! Memory goes back to the system that connections gave back when they came to rest or left, and detectors when they
//! took what was counted.
//!
//! The allocator keeps what is free, for the next one to need it: giving each block back at once cost a sixth of
//! the throughput. It looks at what has been free for a second only when somebody asks it to; after a crowd has
//! left nobody allocates, so the reactor asks.

use super::Shard;
use bartizan_core::message::Time;

/// Between two times of asking.
const TIDY_MS: u64 = 700;
/// How often the allocator is asked: at first it finds pages in which nothing is left, and these go to the system
/// when they have been free for a second.
const TIDIES: u8 = 3;

/// When to ask next, and how often still.
#[derive(Default)]
pub(super) struct Tidying {
    left: u8,
    at: Time,
}

impl Tidying {
    /// Something was given back.
    pub(super) fn begin(&mut self) {
        self.left = TIDIES;
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        (self.left > 0).then_some(self.at)
    }
}

impl Shard {
    pub(super) fn tidy(&mut self, now: Time) {
        if self.server.take_rested() {
            self.tidying.begin();
        }
        if self.tidying.deadline().is_some_and(|at| at <= now) {
            self.tidying = Tidying { left: self.tidying.left - 1, at: now.plus_ms(TIDY_MS) };
            (self.shared.tidy)();
        }
    }
}
