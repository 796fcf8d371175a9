//! The one clock of the process: wall time at start, counted on by the monotonic clock, so that
//! it never steps. Core is handed its readings (I1).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bartizan_core::message::Time;

/// The clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    at_start_ms: u64,
}

impl Clock {
    /// A clock set to the time of day.
    #[must_use]
    pub fn start() -> Clock {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Clock { started: Instant::now(), at_start_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Time {
        self.at(Instant::now())
    }

    /// Nanoseconds since it was set: for what is timed, in half the room of an instant.
    #[must_use]
    pub fn ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// What it said, or will say, at an instant.
    #[must_use]
    pub fn at(&self, instant: Instant) -> Time {
        let elapsed = u64::try_from(instant.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX);
        Time(self.at_start_ms.saturating_add(elapsed))
    }
}
