//! How long a PUBLISH takes through the broker, and a decision about one: sampled, so that nobody waits for it. And
//! handshakes.
//!
//! One PUBLISH in `PUBLISH_EVERY` is followed, by the clock that the round has read anyway: from the
//! beginning of the round in which it was read, to when what it led to was written to sockets. To
//! another shard the beginning goes along. A slow receiver's queue is not in it: that is the
//! receiver's time.

use std::time::{Duration, Instant};

use bartizan_core::message::Time;
use bartizan_core::session::ConnectionKey;

use super::Shard;
use crate::driver::{DriverKey, Stage};
use crate::latency::Latency;

/// One PUBLISH received in so many is followed.
const PUBLISH_EVERY: u64 = 64;
/// Between two decisions that are timed.
const DECISION_EVERY_MS: u64 = 1_000;

/// What one shard has timed.
#[derive(Debug, Default)]
pub struct Timed {
    /// From a PUBLISH read to its deliveries written.
    pub delivery: Latency,
    /// A decision about a PUBLISH.
    pub decision: Latency,
    /// From a connection accepted to its handshake done, by listener.
    pub handshakes: Vec<Latency>,
}

impl Timed {
    /// Nothing yet, of so many listeners.
    #[must_use]
    pub fn new(listeners: usize) -> Timed {
        let handshakes = (0..listeners).map(|_| Latency::default()).collect();
        Timed { handshakes, ..Timed::default() }
    }
}

/// What a shard follows now.
#[derive(Debug)]
pub(super) struct Timing {
    /// When the round began.
    began: Instant,
    /// PUBLISH packets sent by then.
    sent: u64,
    /// With how many received the next one is followed.
    next: u64,
    /// When the one that is followed was read; here, or where it came from.
    followed: Option<Instant>,
    decision_at: Time,
}

impl Timing {
    pub(super) fn new() -> Timing {
        Timing { began: Instant::now(), sent: 0, next: 1, followed: None, decision_at: Time(0) }
    }

    /// When the round began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Since when what goes to another shard is under way, if it is followed.
    pub(super) fn followed(&self) -> Option<Instant> {
        self.followed
    }

    /// Something from another shard that is followed has come.
    pub(super) fn follow(&mut self, since: Option<Instant>) {
        if let Some(since) = since {
            self.followed.get_or_insert(since);
        }
    }
}

impl Shard {
    /// A round begins.
    pub(super) fn begin_timing(&mut self, began: Instant) {
        self.timing.began = began;
        self.timing.sent = self.server.publishes().1;
    }

    /// Octets of a client have been handled; perhaps a PUBLISH that is to be followed was in them.
    #[inline]
    pub(super) fn time_publishes(&mut self, connection: ConnectionKey, now: Time) {
        let received = self.server.publishes().0;
        if received >= self.timing.next {
            self.follow_publish(received, connection, now);
        }
    }

    #[cold]
    fn follow_publish(&mut self, received: u64, connection: ConnectionKey, now: Time) {
        self.timing.next = received + PUBLISH_EVERY;
        self.timing.followed.get_or_insert(self.timing.began);
        if now < self.timing.decision_at {
            return;
        }
        let began = Instant::now();
        // The decision that was just taken, once more: core reads no clock (I1).
        if self.server.decide_again(connection)
            && let Some(timed) = self.shared.timed.get(self.lane)
        {
            timed.decision.add(began.elapsed());
            self.timing.decision_at = now.plus_ms(DECISION_EVERY_MS);
        }
    }

    /// A handshake is done.
    pub(super) fn time_handshake(&self, key: DriverKey) {
        let Some(driver) = self.drivers.get(key) else { return };
        let Stage::Handshaking(since_ns) = driver.stage else { return };
        let timed = self.shared.timed.get(self.lane).and_then(|timed| timed.handshakes.get(driver.listener));
        if let Some(timed) = timed {
            timed.add(Duration::from_nanos(self.shared.clock.ns().saturating_sub(since_ns)));
        }
    }

    /// What there was to be written has been.
    pub(super) fn end_timing(&mut self) {
        let Some(since) = self.timing.followed.take() else { return };
        let sent = self.server.publishes().1;
        if sent != self.timing.sent
            && let Some(timed) = self.shared.timed.get(self.lane)
        {
            timed.delivery.add(since.elapsed());
        }
        self.timing.sent = sent;
    }
}
