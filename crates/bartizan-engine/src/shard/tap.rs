//! What passes on connections of clients that somebody traces is taken down. All others pay one branch for it.
//!
//! Whose a connection is, its CONNECT says; of a tenant's client only its identity does. So what a connection says
//! before is held back for traces of tenants' clients, until it is known whether it is one.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use bartizan_core::message::Time;
use bartizan_core::session::ConnectionKey;
use bartizan_core::wire::Version;
use slotmap::SecondaryMap;

use super::Shard;
use crate::driver::DriverKey;
use crate::listener::PeerAddr;
use crate::trace::Trace;
use crate::trace::captured::{Captured, Direction, Passed, connecting, first};

/// The first octet of a CONNECT. What is handed to core begins with a packet's first octet.
const CONNECT: u8 = 0x10;
/// Packets of one connection held back until it is known whose it is: CONNECT, and AUTH to and fro.
const HELD_MAX: usize = 16;

/// The traces that are under way, and the connections they are of.
#[derive(Default)]
pub struct Taps {
    traces: Vec<Arc<Trace>>,
    by_connection: SecondaryMap<ConnectionKey, Tap>,
}

/// One connection that is traced, or may turn out to be.
struct Tap {
    traces: Vec<Arc<Trace>>,
    /// The name of its client is known as a whole.
    is_known: bool,
    held: Vec<(Arc<Trace>, Captured)>,
    peer: Arc<str>,
    version: Option<Version>,
    /// Octets at the front of what waits to be written that were taken down.
    told: usize,
    /// Something could not be read: what follows it would be guessed.
    is_lost: bool,
}

impl Taps {
    /// True while there are traces.
    #[inline]
    pub fn are_set(&self) -> bool {
        !self.traces.is_empty()
    }

    fn of(&self, is_of: impl Fn(&Trace) -> bool) -> Vec<Arc<Trace>> {
        self.traces.iter().filter(|trace| is_of(trace)).cloned().collect()
    }

    fn put(&mut self, connection: ConnectionKey, tap: Tap) {
        if !tap.traces.is_empty() {
            self.by_connection.insert(connection, tap);
        }
    }

    /// Nothing of the connection is left here.
    fn forget(&mut self, connection: ConnectionKey, now: Time) {
        if let Some(tap) = self.by_connection.remove(connection) {
            tap.tell(Captured { at: now, peer: Arc::clone(&tap.peer), what: Passed::Closed });
        }
    }
}

impl Tap {
    fn new(traces: Vec<Arc<Trace>>, peer: PeerAddr, version: Option<Version>, is_known: bool) -> Tap {
        let peer = match peer {
            PeerAddr::Ip(address) => Arc::from(address.to_string()),
            PeerAddr::Unix => Arc::from("local"),
        };
        Tap { traces, is_known, held: Vec::new(), peer, version, told: 0, is_lost: false }
    }

    /// Whose it is, has turned out.
    fn know(&mut self, client_id: Option<&str>) {
        if self.is_known {
            return;
        }
        let Some(client_id) = client_id else { return };
        self.is_known = true;
        self.traces.retain(|trace| trace.is_of(client_id));
        for (trace, captured) in self.held.drain(..) {
            if trace.is_of(client_id) {
                trace.push(captured);
            }
        }
    }

    /// Takes down the packets in `octets`.
    fn pass(&mut self, octets: &[u8], direction: Direction, at: Time) {
        let mut rest = octets;
        while !rest.is_empty() && !self.is_lost {
            let mut taken = rest.len();
            for trace in &self.traces {
                let Some((what, len)) = first(rest, direction, self.version, trace.with_payloads()) else { return };
                taken = len;
                match &what {
                    Passed::Packet { version, .. } => self.version = *version,
                    Passed::Unread { .. } => self.is_lost = direction == Direction::In,
                    Passed::Closed | Passed::Lost(_) => {}
                }
                let captured = Captured { at, peer: Arc::clone(&self.peer), what };
                if self.is_known || !trace.has_tenant() {
                    trace.push(captured);
                } else if self.held.len() < HELD_MAX {
                    self.held.push((Arc::clone(trace), captured));
                }
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    fn tell(&self, captured: Captured) {
        for trace in self.traces.iter().filter(|trace| self.is_known || !trace.has_tenant()) {
            trace.push(captured.clone());
        }
    }
}

impl Shard {
    /// From here on, what this client sends and is sent is taken down.
    pub(super) fn begin_trace(&mut self, trace: Arc<Trace>, done: &SyncSender<()>) {
        if let Some((connection, version)) = self.server.connection_of(trace.client_id()) {
            let driver = self.by_connection.get(connection).and_then(|key| self.drivers.get(*key));
            match (self.taps.by_connection.get_mut(connection), driver) {
                (Some(tap), _) => tap.traces.push(Arc::clone(&trace)),
                (None, Some(driver)) => {
                    let peer = driver.transport.peer_addr();
                    let mut tap = Tap::new(vec![Arc::clone(&trace)], peer, Some(version), true);
                    // It has passed already, as far as core is concerned.
                    tap.told = self.server.unwritten(connection).len();
                    self.taps.put(connection, tap);
                }
                (None, None) => {}
            }
        }
        for (connection, version) in self.server.connecting(trace.connect_client_id()) {
            self.tap_connecting(connection, version, &trace);
        }
        self.taps.traces.push(trace);
        let _ = done.try_send(());
    }

    /// A connection whose CONNECT has passed, and whose answer is awaited.
    fn tap_connecting(&mut self, connection: ConnectionKey, version: Version, trace: &Arc<Trace>) {
        if let Some(tap) = self.taps.by_connection.get_mut(connection) {
            tap.traces.push(Arc::clone(trace));
            return;
        }
        let Some(driver) = self.by_connection.get(connection).and_then(|key| self.drivers.get(*key)) else { return };
        let mut tap = Tap::new(vec![Arc::clone(trace)], driver.transport.peer_addr(), Some(version), false);
        tap.told = self.server.unwritten(connection).len();
        self.taps.put(connection, tap);
    }

    pub(super) fn end_trace(&mut self, number: u64) {
        self.taps.traces.retain(|trace| trace.number() != number);
        self.taps.by_connection.retain(|_, tap| {
            tap.traces.retain(|trace| trace.number() != number);
            !tap.traces.is_empty()
        });
    }

    /// Core is done with the first octets of the shared buffer, or of what waited before.
    #[cold]
    pub(super) fn tap_in(
        &mut self,
        key: DriverKey,
        connection: ConnectionKey,
        of_buffer: bool,
        done: usize,
        now: Time,
    ) {
        let Some(driver) = self.drivers.get(key) else { return };
        let octets = if of_buffer { &self.buffer } else { &driver.pending };
        let octets = octets.get(..done).unwrap_or_default();
        if octets.first() == Some(&CONNECT)
            && !self.taps.by_connection.contains_key(connection)
            && let Some(client_id) = connecting(octets)
        {
            let traces = self.taps.of(|trace| trace.may_be_of(client_id));
            self.taps.put(connection, Tap::new(traces, driver.transport.peer_addr(), None, false));
        }
        if let Some(tap) = self.taps.by_connection.get_mut(connection) {
            tap.know(self.server.client_of(connection));
            tap.pass(octets, Direction::In, now);
        }
    }

    /// What waits to be written to a connection is about to be.
    #[cold]
    pub(super) fn tap_out(&mut self, connection: ConnectionKey, now: Time) {
        let Some(tap) = self.taps.by_connection.get_mut(connection) else { return };
        tap.know(self.server.client_of(connection));
        let octets = self.server.unwritten(connection);
        // Less than was there is what began anew: a revoked client's queue is thrown away.
        let fresh = octets.get(tap.told..).unwrap_or(octets);
        tap.pass(fresh, Direction::Out, now);
        tap.told = octets.len();
    }

    /// So many octets were written.
    #[cold]
    pub(super) fn tap_written(&mut self, connection: ConnectionKey, written: usize) {
        if let Some(tap) = self.taps.by_connection.get_mut(connection) {
            tap.told = tap.told.saturating_sub(written);
        }
    }

    /// A connection is over.
    #[cold]
    pub(super) fn tap_closed(&mut self, connection: ConnectionKey) {
        let now = self.shared.clock.now();
        self.taps.forget(connection, now);
    }

    /// A connection goes to another shard, where its client is known.
    #[cold]
    pub(super) fn tap_moved(&mut self, connection: ConnectionKey, client_id: &str) {
        if let Some(mut tap) = self.taps.by_connection.remove(connection) {
            tap.know(Some(client_id));
        }
    }

    /// A connection has come from another shard; its CONNECT was taken down there.
    #[cold]
    pub(super) fn tap_adopted(&mut self, connection: ConnectionKey, client_id: &str, version: Version, peer: PeerAddr) {
        let traces = self.taps.of(|trace| trace.is_of(client_id));
        self.taps.put(connection, Tap::new(traces, peer, Some(version), true));
    }
}
