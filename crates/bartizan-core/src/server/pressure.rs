//! A path that fills up: who publishes into it is read more slowly before anything is dropped.
//!
//! A path is full when more than half of what may wait for a client waits: in its connection's
//! `out`, or in its Session's queue. First what waits is written, before more is read. If the
//! client does not take it, publishers that feed it are read a little at a time.
//!
//! That must not let one client stop others. So a client holds its publishers back only while it
//! takes something now and then, and only for a while; after that, what finds no room for it is
//! dropped and counted, and its publishers go at their own pace. And those held back are slowed,
//! never stopped: a publisher of less than `HELD_BYTES` every `HELD_MS` gives nobody more delay
//! than that.

use std::sync::Arc;

use super::{Effects, Forward, Server, Timer};
use crate::message::{Publisher, Time};
use crate::session::{ConnectionKey, SessionKey};

/// Octets that are handled of a publisher that is held back, before it waits.
pub(super) const HELD_BYTES: usize = 4096;
/// How long it waits then.
const HELD_MS: u64 = 5;
/// How long a word from another shard is heeded. Another one comes before, if it still holds.
const HEEDED_MS: u64 = 20;
/// A client that has taken nothing for so long has stopped: it holds nobody back. The kernel says
/// that there is room again a megabyte at a time, so one that takes 2 MB/s is heard of this often.
const STOPPED_MS: u64 = 500;
/// How long a client that takes too little holds its publishers back, until it has caught up.
const HOLDING_MS: u64 = 5_000;

/// What a message met on its way to a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pressure {
    /// Room.
    #[default]
    None,
    /// Octets that nobody has tried to write yet.
    Unwritten,
    /// A client that takes less than it is sent.
    Full,
}

/// A client that takes less than it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind {
    /// When it last took something.
    took_at: Time,
    /// Since when it holds publishers back.
    holds_since: Option<Time>,
}

impl Server {
    /// More than half of what may wait for a connection waits in its `out`.
    #[cold]
    pub(crate) fn press(&mut self, key: ConnectionKey, now: Time) {
        let met = match self.behind.get_mut(key).map(|behind| behind.holds(now)) {
            None => Pressure::Unwritten,
            Some(false) => Pressure::None,
            Some(true) => Pressure::Full,
        };
        self.pressure = self.pressure.max(met);
    }

    /// More than half of what may wait for a Session waits in its queue.
    #[cold]
    pub(crate) fn press_queue(&mut self, key: SessionKey, now: Time) {
        let Some(connection) = self.sessions.get(key).and_then(|session| session.connection) else { return };
        if !self.behind.contains_key(connection) {
            self.behind.insert(connection, Behind { took_at: now, holds_since: None });
        }
        self.press(connection, now);
    }

    /// The engine has written octets of a connection, and some may be left.
    pub(crate) fn note_written(&mut self, key: ConnectionKey, octets: usize, now: Time) {
        let Some(connection) = self.connections.get(key) else { return };
        let is_left = !connection.out.is_empty();
        if !is_left && self.behind.is_empty() {
            return;
        }
        let (waiting, room) = (connection.out.len(), self.out_buffer_bytes_max(connection.peer.listener));
        let session = connection.open().and_then(|open| self.sessions.get(open.session));
        let is_queued = session.is_some_and(|session| session.queues_over(1));
        let Some(behind) = self.behind.get_mut(key) else {
            if is_left {
                self.behind.insert(key, Behind { took_at: now, holds_since: None });
            }
            return;
        };
        if octets > 0 {
            behind.took_at = now;
        }
        if waiting <= room / 4 && !is_queued {
            behind.holds_since = None;
            if !is_left {
                self.behind.remove(key);
            }
        }
    }

    /// Reads no more of a publisher for a moment.
    pub(crate) fn hold(&mut self, key: ConnectionKey, now: Time) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.paused_until.is_some() {
            return;
        }
        let until = now.plus_ms(HELD_MS);
        connection.paused_until = Some(until);
        self.timers.set(until, Timer::Resume(key));
        self.counters().publishers_held_back.add(1);
    }

    /// A message came from another shard: what it met here is told where its publisher is read.
    pub(crate) fn press_sender(&mut self, publisher: &Arc<Publisher>, now: Time, fx: &mut Effects) {
        match std::mem::take(&mut self.pressure) {
            Pressure::None => {}
            Pressure::Unwritten => fx.is_urgent = true,
            Pressure::Full => {
                // One word a millisecond is enough.
                let told = (now, Arc::clone(&publisher.client_id));
                if self.last_held.as_ref() != Some(&told) {
                    let home = self.home_of(&publisher.client_id);
                    fx.forwards.push(home, Forward::Hold(Arc::clone(&publisher.client_id)));
                    self.last_held = Some(told);
                    // It goes out before more of what comes in is handled.
                    fx.is_urgent = true;
                }
            }
        }
    }

    /// What a client of this shard publishes meets a full path on another.
    pub(crate) fn on_hold(&mut self, client_id: &str, now: Time) {
        let session = self.by_client_id.get(client_id).and_then(|key| self.sessions.get(*key));
        let Some(connection) = session.and_then(|session| session.connection) else { return };
        self.held.insert(connection, now.plus_ms(HEEDED_MS));
        self.hold(connection, now);
    }

    /// Octets of a connection's input that may be handled now.
    pub(crate) fn may_take(&mut self, key: ConnectionKey, now: Time) -> usize {
        if self.held.is_empty() {
            return usize::MAX;
        }
        match self.held.get(key) {
            Some(until) if *until >= now => HELD_BYTES,
            Some(_) => {
                self.held.remove(key);
                usize::MAX
            }
            None => usize::MAX,
        }
    }
}

impl Behind {
    /// True while waiting for it can help.
    fn holds(&mut self, now: Time) -> bool {
        let since = *self.holds_since.get_or_insert(now);
        now.since(self.took_at) <= STOPPED_MS && now.since(since) <= HOLDING_MS
    }
}
