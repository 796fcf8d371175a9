//! Reading into one shared buffer, writing once per round, lingering after the last word.

use std::cmp::Reverse;
use std::io;

use bartizan_core::message::Time;
use bartizan_core::server::effects::Closed;
use bartizan_core::session::ConnectionKey;

use super::{READ_BYTES, Shard};
use crate::driver::{DriverKey, Stage};

/// How long a closed connection is read on, so that what it still sends does not make the kernel
/// throw away our last word (a reset overtakes data in flight).
const LINGER_MS: u64 = 2_000;
/// The same for one that was cut: whatever it has not taken by then is thrown away, its last word too.
const CUT_LINGER_MS: u64 = 50;
/// Octets of one read from which on it is worth looking for more before anything is written.
const READ_AGAIN_BYTES: usize = 8192;
/// Octets thrown away while lingering.
const LINGER_BYTES: u32 = 1 << 20;

impl Shard {
    /// Looks at a connection that became ready, or has more to do.
    pub(super) fn look_at(&mut self, key: DriverKey, now: Time) {
        let Some(driver) = self.drivers.get_mut(key) else { return };
        match driver.stage {
            Stage::Handshaking(_) => {
                driver.is_ready = true;
                self.shaking.push_back(key);
            }
            Stage::Open(connection) => {
                self.write(key, connection, now);
                self.read(key, now);
            }
            Stage::Closing => self.say_last_words(key),
            Stage::Lingering => self.linger(key),
        }
    }

    /// Takes one share of what the peer has sent.
    ///
    /// While many messages were handled, more have come: taken now, they leave in the same writes.
    pub(super) fn read(&mut self, key: DriverKey, now: Time) {
        let (mut taken, mut left) = (READ_AGAIN_BYTES, READ_BYTES);
        while taken >= READ_AGAIN_BYTES && left > 0 {
            taken = self.read_once(key, now);
            left = left.saturating_sub(taken);
            match self.drivers.get_mut(key) {
                // What could not be drained, or has not all been handled, waits for its turn.
                Some(driver) if !driver.is_readable && driver.pending.is_empty() => {
                    driver.is_readable = taken >= READ_AGAIN_BYTES && left > 0;
                }
                _ => return,
            }
        }
    }

    /// Reads once and handles that. Returns how many octets were read.
    fn read_once(&mut self, key: DriverKey, now: Time) -> usize {
        let Some(driver) = self.drivers.get_mut(key) else { return 0 };
        let Stage::Open(connection) = driver.stage else { return 0 };
        if !driver.pending.is_empty() {
            self.handle_pending(key, connection, now);
        }
        let Some(driver) = self.drivers.get_mut(key) else { return 0 };
        if !matches!(driver.stage, Stage::Open(_)) || !driver.is_readable {
            self.finish_if_ended(key, connection, now);
            return 0;
        }
        // What cannot be handled yet is not read: the socket's own buffer holds the peer back.
        if !driver.pending.is_empty() && !self.server.awaits_rest(connection) {
            return 0;
        }
        let Some(driver) = self.drivers.get_mut(key) else { return 0 };
        match driver.transport.read(&mut self.buffer) {
            Ok(0) => {
                driver.is_readable = false;
                driver.is_ended = true;
                self.finish_if_ended(key, connection, now);
            }
            Ok(count) => {
                // A short read has drained the socket: no second read to be told so.
                driver.is_readable =
                    count == READ_BYTES || driver.is_half_closed || driver.transport.may_have_buffered();
                self.handle(key, connection, count, now);
                if self.drivers.get(key).is_some_and(|driver| driver.is_readable) {
                    self.queue(key);
                }
                return count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                driver.is_readable = driver.transport.may_have_buffered();
                if driver.is_readable {
                    self.queue(key);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.queue(key),
            Err(error) => self.broken(key, connection, &error.to_string(), now),
        }
        0
    }

    /// Hands fresh octets to core, behind those that wait.
    fn handle(&mut self, key: DriverKey, connection: ConnectionKey, count: usize, now: Time) {
        let Some(fresh) = self.buffer.get(..count) else { return };
        let Some(driver) = self.drivers.get_mut(key) else { return };
        if driver.pending.is_empty() {
            // The usual case: whole packets, handled where they were read, nothing copied.
            let done = self.server.input(connection, fresh, now, &mut self.fx);
            if let Some(rest) = fresh.get(done..).filter(|rest| !rest.is_empty()) {
                driver.pending.extend_from_slice(rest);
            }
            if self.taps.are_set() {
                self.tap_in(key, connection, true, done, now);
            }
        } else {
            driver.pending.extend_from_slice(fresh);
            self.handle_pending(key, connection, now);
        }
        self.time_publishes(connection, now);
    }

    fn handle_pending(&mut self, key: DriverKey, connection: ConnectionKey, now: Time) {
        let Some(driver) = self.drivers.get_mut(key) else { return };
        let done = self.server.input(connection, &driver.pending, now, &mut self.fx);
        if self.taps.are_set() {
            self.tap_in(key, connection, false, done, now);
        }
        let Some(driver) = self.drivers.get_mut(key) else { return };
        if done >= driver.pending.len() {
            driver.pending = Vec::new();
        } else {
            driver.pending.drain(..done);
        }
    }

    /// The peer has ended its half, and what it sent before is handled: the connection is over.
    fn finish_if_ended(&mut self, key: DriverKey, connection: ConnectionKey, now: Time) {
        let over = self.drivers.get(key).is_some_and(|driver| {
            driver.is_ended && (driver.pending.is_empty() || self.server.awaits_rest(connection))
        });
        if over {
            self.broken(key, connection, "", now);
        }
    }

    /// The transport has ended or failed.
    pub(super) fn broken(&mut self, key: DriverKey, connection: ConnectionKey, why: &str, now: Time) {
        self.server.lost(connection, why, now, &mut self.fx);
        if let Some(driver) = self.drivers.get_mut(key) {
            driver.is_ended = true;
        }
    }

    /// Writes what waits for a connection.
    pub(super) fn write(&mut self, key: DriverKey, connection: ConnectionKey, now: Time) {
        if self.taps.are_set() {
            self.tap_out(connection, now);
        }
        let Some(driver) = self.drivers.get_mut(key) else { return };
        if driver.is_blocked {
            // Nothing is lost: `is_dirty` is cleared so that the next octets name it again, and
            // the writable edge comes here too.
            let _ = self.server.out(connection);
            return;
        }
        let Some(out) = self.server.out(connection) else { return };
        if out.is_empty() && !driver.transport.wants_write() {
            return;
        }
        match driver.write(out) {
            Ok(written) => {
                if self.taps.are_set() {
                    self.tap_written(connection, written);
                }
                self.server.written(connection, written, now, &mut self.fx);
            }
            Err(error) => self.broken(key, connection, &error.to_string(), now),
        }
    }

    /// Core has ended a connection: its last octets go out, then the socket's sending half ends.
    pub(super) fn close(&mut self, closed: Closed, now: Time) {
        let connection = closed.connection;
        self.connecting.remove(&connection);
        let Some(key) = self.by_connection.remove(connection) else {
            self.server.forget(connection);
            return;
        };
        if self.taps.are_set() {
            self.tap_out(connection, now);
            self.tap_closed(connection);
        }
        let last_words = self.server.out(connection).map(std::mem::take).unwrap_or_default();
        self.server.forget(connection);
        let Some(driver) = self.drivers.get_mut(key) else { return };
        driver.is_cut = closed.is_cut;
        let is_over = driver.is_ended || (closed.by_client && driver.transport.has_said_all());
        if is_over && last_words.is_empty() && !driver.transport.wants_write() {
            driver.transport.farewell();
            self.drop_driver(key);
            return;
        }
        if driver.is_cut && driver.is_blocked {
            // Behind what the kernel holds for it, a last word would come too late.
            self.drop_driver(key);
            return;
        }
        driver.stage = Stage::Closing;
        driver.pending = last_words;
        driver.is_readable = true;
        let deadline = now.plus_ms(if closed.is_cut { CUT_LINGER_MS } else { LINGER_MS });
        driver.deadline = Some(deadline);
        self.deadlines.push(Reverse((deadline, key)));
        self.say_last_words(key);
    }

    /// Writes what core left to be said, then ends the sending half and reads on.
    fn say_last_words(&mut self, key: DriverKey) {
        let Some(driver) = self.drivers.get_mut(key) else { return };
        if !driver.is_blocked && (!driver.pending.is_empty() || driver.transport.wants_write()) {
            let mut words = std::mem::take(&mut driver.pending);
            let written = driver.write(&mut words);
            driver.pending = words;
            if written.is_err() {
                self.drop_driver(key);
                return;
            }
        }
        if driver.pending.is_empty() && !driver.transport.wants_write() {
            if driver.is_ended {
                driver.transport.farewell();
                self.drop_driver(key);
                return;
            }
            driver.transport.close();
            driver.stage = Stage::Lingering;
        }
        self.linger(key);
    }

    /// Reads and throws away, until the peer ends its half too.
    fn linger(&mut self, key: DriverKey) {
        let Some(driver) = self.drivers.get_mut(key) else { return };
        if driver.is_ended {
            return;
        }
        while driver.is_readable && driver.discarded < LINGER_BYTES {
            match driver.transport.read(&mut self.buffer) {
                // Not more than the buffer holds.
                Ok(count) if count > 0 => driver.discarded += u32::try_from(count).unwrap_or(LINGER_BYTES),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    driver.is_readable = false;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    self.drop_driver(key);
                    return;
                }
            }
        }
        if driver.discarded >= LINGER_BYTES {
            self.drop_driver(key);
        }
    }

    /// Ends what did not get further in time: handshakes, and connections that linger.
    pub(super) fn check_deadlines(&mut self, now: Time) {
        while self.deadlines.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((at, key))) = self.deadlines.pop() else { return };
            let Some(driver) = self.drivers.get(key) else { continue };
            if driver.deadline != Some(at) {
                continue;
            }
            match driver.stage {
                Stage::Handshaking(_) => {
                    self.server.count_limit("handshake_timeout_s");
                    self.handshake_failed(key, "not done within handshake_timeout_s", now);
                }
                Stage::Closing | Stage::Lingering => self.drop_driver(key),
                Stage::Open(_) => {}
            }
        }
    }
}
