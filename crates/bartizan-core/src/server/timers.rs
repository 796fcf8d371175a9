//! Deadlines of a shard, in one heap. A timer is never cancelled: when it rings, its handler
//! looks whether it still means anything, and sets a later one if need be. So a packet costs
//! no timer operation (keep alive looks at `last_seen`).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use super::{Effects, Server};
use crate::message::Time;
use crate::session::{ConnectionKey, Phase, SessionKey};
use crate::wire::ReasonCode;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// CONNECT must have been accepted.
    ConnectDeadline(ConnectionKey),
    /// A packet must have come (3.1.2.10).
    KeepAlive(ConnectionKey),
    /// The credential ends, or its renewal must be over.
    Credential(ConnectionKey),
    /// It may have something to give back.
    Rest(ConnectionKey),
    /// Reading may go on.
    Resume(ConnectionKey),
    /// The Session ends.
    SessionEnd(SessionKey),
    /// The Will is due.
    Will(SessionKey),
    /// A time window of the policy may open or close.
    Windows,
}

/// The heap.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Time, Timer)>>,
    /// How many there may be before those that mean nothing any more are looked for.
    sweep_at: usize,
}

/// As many timers are never worth a sweep.
const SWEEP_MIN: usize = 4_096;

impl Timers {
    /// Rings at that time or soon after.
    pub fn set(&mut self, at: Time, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.heap.reserve(more);
    }

    /// When the next one rings.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Drops timers of what is gone, and all but the first of those alike. Clients that come and
    /// go would else leave behind a timer each time, for as long as a Session may last.
    fn sweep(&mut self, is_alive: impl Fn(Timer) -> bool) {
        if self.heap.len() <= self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        let mut timers = std::mem::take(&mut self.heap).into_vec();
        timers.sort_unstable_by_key(|Reverse(entry)| *entry);
        let mut seen = HashSet::new();
        timers.retain(|Reverse((_, timer))| is_alive(*timer) && seen.insert(*timer));
        self.sweep_at = timers.len() * 2;
        self.heap = BinaryHeap::from(timers);
    }

    fn pop_due(&mut self, now: Time) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }
}

impl Server {
    /// When `tick` wants to be called.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Does what is due. At most 1,024 timers a call, so that a storm of them stops no traffic.
    pub fn tick(&mut self, now: Time, fx: &mut Effects) {
        let (connections, sessions) = (&self.connections, &self.sessions);
        self.timers.sweep(|timer| match timer {
            Timer::ConnectDeadline(key) => connections.get(key).is_some_and(|c| c.open().is_none()),
            Timer::KeepAlive(key) | Timer::Credential(key) | Timer::Rest(key) | Timer::Resume(key) => {
                connections.contains_key(key)
            }
            Timer::SessionEnd(key) | Timer::Will(key) => sessions.contains_key(key),
            Timer::Windows => true,
        });
        for _ in 0..1024 {
            let Some(timer) = self.timers.pop_due(now) else { return };
            match timer {
                Timer::ConnectDeadline(key) => self.connect_deadline(key, now, fx),
                Timer::KeepAlive(key) => self.keep_alive_due(key, now, fx),
                Timer::Credential(key) => self.credential_due(key, now, fx),
                Timer::Rest(key) => self.rest_due(key, now),
                Timer::Resume(key) => self.resume_reading(key, now, fx),
                Timer::SessionEnd(key) => self.session_end_due(key, now, fx),
                Timer::Will(key) => self.will_due(key, now, fx),
                Timer::Windows => self.windows_due(now, fx),
            }
        }
    }

    fn connect_deadline(&mut self, key: ConnectionKey, now: Time, fx: &mut Effects) {
        let Some(connection) = self.connections.get(key) else { return };
        match connection.phase {
            Phase::AwaitConnect => {
                self.limit_met(key, "connect_timeout_s", "closed", now, fx);
                self.refuse(key, None, "no CONNECT within connect_timeout_s", now, fx);
            }
            // Nobody answered: fail closed (I6).
            Phase::Authenticating(_) => {
                self.refuse(key, Some(ReasonCode::ServerUnavailable), "authentication took too long", now, fx);
            }
            Phase::Open(_) | Phase::Moving | Phase::Closed => {}
        }
    }

    /// One and a half times the Keep Alive without a packet closes [MQTT-3.1.2-22].
    fn keep_alive_due(&mut self, key: ConnectionKey, now: Time, fx: &mut Effects) {
        let Some(connection) = self.connections.get(key) else { return };
        let Some(open) = connection.open() else { return };
        if open.keep_alive_s == 0 {
            return;
        }
        let due = connection.last_seen.plus_ms(u64::from(open.keep_alive_s) * 1500);
        // A connection whose reading we paused may have sent what we did not read.
        let due = connection.paused_until.map_or(due, |paused| due.max(paused.plus_ms(1000)));
        if due <= now {
            self.close(key, ReasonCode::KeepAliveTimeout, "no packet within one and a half Keep Alive", now, fx);
        } else {
            self.timers.set(due, Timer::KeepAlive(key));
        }
    }

    fn resume_reading(&mut self, key: ConnectionKey, now: Time, fx: &mut Effects) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match connection.paused_until {
            Some(until) if until > now => self.timers.set(until, Timer::Resume(key)),
            Some(_) => {
                connection.paused_until = None;
                fx.resumed.push(key);
            }
            None => {}
        }
    }

    fn session_end_due(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get(key) else { return };
        match session.ends_at {
            Some(at) if at <= now && session.connection.is_none() => {
                self.counters().clients_expired.add(1);
                self.end_session(key, now, fx);
            }
            Some(at) if at > now => self.timers.set(at, Timer::SessionEnd(key)),
            _ => {}
        }
    }

    fn will_due(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        let due = self.sessions.get(key).and_then(|session| session.pending_will.as_ref()).map(|will| will.due);
        match due {
            Some(due) if due <= now => self.fire_pending_will(key, now, fx),
            Some(due) => self.timers.set(due, Timer::Will(key)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    #[test]
    fn timers_of_what_is_gone_do_not_pile_up() {
        let mut sessions: SlotMap<SessionKey, ()> = SlotMap::with_key();
        let mut timers = Timers::default();
        let kept = sessions.insert(());
        timers.set(Time(7), Timer::SessionEnd(kept));
        for n in 0..100_000 {
            let gone = sessions.insert(());
            timers.set(Time(1_000_000 + n), Timer::SessionEnd(gone));
            timers.set(Time(1_000_000 + n), Timer::Will(kept));
            sessions.remove(gone);
            timers.sweep(|timer| match timer {
                Timer::SessionEnd(key) | Timer::Will(key) => sessions.contains_key(key),
                _ => false,
            });
            assert!(timers.heap.len() <= SWEEP_MIN + 2);
        }
        // The first of those alike is the one that stays: its handler sets a later one.
        assert_eq!(timers.pop_due(Time(7)), Some(Timer::SessionEnd(kept)));
        assert_eq!(timers.next(), Some(Time(1_000_000)));
    }
}
