//! What core wants done, in an order that keeps its promises: what must be kept goes to the
//! store first, what says so goes out last.

use std::sync::Arc;

use bartizan_core::message::Time;
use bartizan_core::server::Adoption;
use bartizan_core::server::connect::Verdict;
use bartizan_core::session::ConnectionKey;
use bartizan_core::session::auth_exchange::Secret;
use bartizan_core::wire::ReasonCode;

use super::Shard;
use super::connecting::Connecting;
use crate::desk::Put;
use crate::driver::Stage;
use crate::mailbox::Mail;

/// Messages for other shards that do not wait for the end of the round.
const FORWARDS_AT_ONCE: usize = 512;

impl Shard {
    pub(super) fn perform(&mut self, now: Time) {
        self.fx.is_urgent = false;
        self.commit();
        for fetch in self.fx.fetches.drain(..) {
            self.shared.store.fetch(self.lane, fetch);
        }
        self.forward(now);
        self.ask(now);
        self.follow_connects();
        if std::mem::take(&mut self.fx.has_commands) {
            self.shared.bell.ring();
        }
        for (connection, home, adoption) in std::mem::take(&mut self.fx.moves) {
            self.move_away(connection, home, adoption);
        }
        let mut resumed = std::mem::take(&mut self.fx.resumed);
        for connection in resumed.drain(..) {
            if let Some(key) = self.by_connection.get(connection) {
                self.queue(*key);
            }
        }
        put_back(&mut self.fx.resumed, resumed);
        let mut dirty = std::mem::take(&mut self.fx.dirty);
        for connection in dirty.drain(..) {
            if let Some(key) = self.by_connection.get(connection).copied() {
                self.write(key, connection, now);
            }
        }
        put_back(&mut self.fx.dirty, dirty);
        self.time_connacks();
        let mut closed = std::mem::take(&mut self.fx.closed);
        for closed in closed.drain(..) {
            self.close(closed, now);
        }
        put_back(&mut self.fx.closed, closed);
        self.floods.filter(&mut self.fx.events, now, &mut self.told);
    }

    /// One batch for the store; what waits for it waits for its ticket.
    fn commit(&mut self) {
        if self.fx.mutations.is_empty() && self.fx.deferred.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.fx.mutations);
        let (store, lane) = (&self.shared.store, self.lane);
        let promise = self.server.demand(&self.fx.deferred);
        let ticket = self.server.submit(batch, |batch| store.submit_for(lane, batch, promise));
        self.deferred.extend(self.fx.deferred.drain(..).map(|deferred| (ticket, deferred)));
    }

    /// Messages for other shards go out before the round ends, where there are many: they can work
    /// on them meanwhile. True when they did.
    pub(super) fn forward_early(&mut self, now: Time) -> bool {
        let are_many = self.fx.forwards.len() >= FORWARDS_AT_ONCE;
        if are_many {
            self.commit();
            self.forward(now);
        }
        are_many
    }

    /// One batch for each shard that gets something.
    fn forward(&mut self, now: Time) {
        if self.fx.forwards.is_empty() {
            return;
        }
        let mut own = Vec::new();
        for (shard, batch) in self.fx.forwards.take() {
            if shard == self.lane {
                own = batch;
            } else if let Some(mailbox) = self.shared.mailboxes.get(shard) {
                mailbox.forward(batch, self.timing.followed());
            }
        }
        for forward in own {
            let mut rest = Some(forward);
            while let Some(forward) = rest {
                rest = self.server.on_forward(forward, now, &mut self.fx);
            }
        }
    }

    fn ask(&mut self, now: Time) {
        if self.fx.authenticate.is_empty() {
            return;
        }
        let mut rings = false;
        for mut request in std::mem::take(&mut self.fx.authenticate) {
            let connection = request.connection;
            if request.auth_method.is_some() {
                let driver = self.by_connection.get(connection).and_then(|key| self.drivers.get(*key));
                let octets = driver.and_then(|driver| driver.transport.channel_binding());
                request.channel_binding = octets.map(|octets| Secret::new(&octets));
            }
            let verdict = match self.shared.desk.put(self.lane, request, now) {
                Put::Waits => {
                    rings = true;
                    continue;
                }
                Put::Known(verdict) => verdict,
                Put::Full => {
                    let why = "too many connections wait for their authentication".to_owned();
                    Verdict::Deny { reason: ReasonCode::ServerBusy, why }
                }
            };
            self.server.verdict(connection, verdict, now, &mut self.fx);
        }
        if rings {
            self.shared.bell.ring();
        }
    }

    /// A connection goes to the shard of its Session, with what was read from it.
    fn move_away(&mut self, connection: ConnectionKey, home: usize, adoption: Box<Adoption>) {
        let key = self.by_connection.remove(connection);
        let connecting = self.connecting.remove(&connection);
        self.server.forget(connection);
        if self.taps.are_set() {
            self.tap_moved(connection, &adoption.connect.client_id);
        }
        let Some(mut driver) = key.and_then(|key| self.drivers.remove(key)) else { return };
        let _ = self.poll.registry().deregister(&mut driver.transport);
        let Some(mailbox) = self.shared.mailboxes.get(home) else { return };
        let mail = Mail::Adopt(adoption, Box::new(driver.transport), driver.place, driver.pending, connecting);
        mailbox.send(mail);
    }

    /// Takes over a connection whose Session lives here.
    pub(super) fn adopt(
        &mut self,
        adoption: Adoption,
        transport: crate::listener::Transport,
        place: Option<crate::admission::Place>,
        pending: Vec<u8>,
        connecting: Option<Connecting>,
        now: Time,
    ) {
        let listener = adoption.peer.listener;
        let traced = self.taps.are_set().then(|| (adoption.connect.client_id.clone(), adoption.connect.version));
        let connection = self.server.adopt(adoption, now, &mut self.fx);
        if let Some(connecting) = connecting {
            self.connecting.insert(connection, connecting);
        }
        if let Some((client_id, version)) = traced {
            self.tap_adopted(connection, &client_id, version, transport.peer_addr());
        }
        let mut driver = crate::driver::Driver::new(transport, Stage::Open(connection), listener, None);
        driver.place = place;
        driver.pending = pending;
        let key = self.drivers.insert(driver);
        self.by_connection.insert(connection, key);
        let Some(driver) = self.drivers.get_mut(key) else { return };
        let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut driver.transport, key.token(), interest) {
            self.broken(key, connection, &error.to_string(), now);
            return;
        }
        self.queue(key);
    }

    /// Everyone's mailbox.
    pub(super) fn mailbox(&self) -> &Arc<crate::mailbox::Mailbox> {
        &self.mailbox
    }
}

/// Gives a drained vector back for the next round, unless core has filled a new one meanwhile.
fn put_back<T>(place: &mut Vec<T>, drained: Vec<T>) {
    if place.is_empty() {
        *place = drained;
    }
}
