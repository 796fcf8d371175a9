//! A connection ends, a Session ends, a Will fires.

use std::sync::Arc;

use super::connect::append_within;
use super::effects::Closed;
use super::{Effects, Server, Timer};
use crate::durable::Mutation;
use crate::event::{Subject, What};
use crate::message::Time;
use crate::policy::Denied;
use crate::session::{ConnectionKey, Open, PendingWill, Phase, SessionKey, Will};
use crate::wire::encode;
use crate::wire::{Disconnect, DisconnectProperties, ReasonCode};

/// What becomes of the Will when its connection ends (3.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WillFate {
    /// Published, after its delay.
    Publish,
    /// Deleted: the client said goodbye [MQTT-3.14.4-3], or an administrator suppresses it.
    Discard,
    /// Another connection takes the Session over; true when it discards it (Clean Start).
    TakenOver(bool),
}

impl Server {
    /// Ends a connection for a reason that a 5.0 client is told.
    pub(crate) fn close(&mut self, key: ConnectionKey, reason: ReasonCode, why: &str, now: Time, fx: &mut Effects) {
        self.close_with(key, reason, why, WillFate::Publish, now, fx);
    }

    pub(crate) fn close_with(
        &mut self,
        key: ConnectionKey,
        reason: ReasonCode,
        why: &str,
        fate: WillFate,
        now: Time,
        fx: &mut Effects,
    ) {
        match self.connections.get(key).map(|connection| &connection.phase) {
            Some(Phase::Open(_)) => {
                self.say_goodbye(key, reason, why, fx);
                self.end_open(key, (reason.name(), "server", why), fate, now, fx);
            }
            Some(Phase::AwaitConnect | Phase::Authenticating(_)) => self.refuse(key, Some(reason), why, now, fx),
            Some(Phase::Moving | Phase::Closed) | None => {}
        }
    }

    /// Ends an open connection whose client is told less than the log.
    pub(crate) fn close_told(
        &mut self,
        key: ConnectionKey,
        (reason, told): (ReasonCode, &str),
        why: &str,
        now: Time,
        fx: &mut Effects,
    ) {
        self.say_goodbye(key, reason, told, fx);
        self.end_open(key, (reason.name(), "server", why), WillFate::Publish, now, fx);
    }

    /// Closes a connection with all that is still to be written to it; a Will is published no more.
    pub(super) fn cut_off(&mut self, key: ConnectionKey, reason: ReasonCode, why: &str, now: Time, fx: &mut Effects) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.out.clear();
        }
        self.close_with(key, reason, why, WillFate::Discard, now, fx);
        if let Some(closed) = fx.closed.last_mut().filter(|closed| closed.connection == key) {
            closed.is_cut = true;
        }
    }

    /// DISCONNECT, to whom it can be sent.
    fn say_goodbye(&mut self, key: ConnectionKey, reason: ReasonCode, why: &str, fx: &mut Effects) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Phase::Open(open) = &connection.phase else { return };
        // Before CONNACK there is nothing a DISCONNECT could end.
        if open.is_live {
            let (version, most) = (open.version, open.maximum_packet_size);
            append_within(&mut connection.out, most, Some(why), |out, why| {
                encode::disconnect(out, version, reason, why, None);
            });
            self.counters().messages_sent.add(1);
            self.mark_dirty(key, fx);
        }
    }

    /// The transport has ended, or broken.
    pub fn lost(&mut self, key: ConnectionKey, why: &str, now: Time, fx: &mut Effects) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match connection.phase {
            Phase::Open(_) => {
                self.end_open(key, ("Connection lost", "transport", why), WillFate::Publish, now, fx);
            }
            Phase::AwaitConnect | Phase::Authenticating(_) => {
                let why = if why.is_empty() { "it ended before CONNECT was accepted" } else { why };
                self.refuse(key, None, why, now, fx);
            }
            Phase::Moving | Phase::Closed => {}
        }
    }

    /// DISCONNECT from the client (3.14).
    pub(crate) fn on_disconnect(
        &mut self,
        key: ConnectionKey,
        disconnect: &Disconnect<'_>,
        now: Time,
        fx: &mut Effects,
    ) {
        let properties = DisconnectProperties::read(disconnect.properties);
        if let Some(expiry_s) = properties.session_expiry_s {
            let limits = self.limits_for(key);
            let session = self.speaker(key).and_then(|(session, _)| self.sessions.get_mut(session));
            if let Some(session) = session {
                // From 0 it may not be raised [3.14.2.2.2].
                if session.expiry_s == 0 && expiry_s != 0 {
                    let why = "DISCONNECT raises a Session Expiry Interval of 0";
                    self.close(key, ReasonCode::ProtocolError, why, now, fx);
                    return;
                }
                session.expiry_s = expiry_s.min(limits.session_expiry_max_s);
            }
        }
        let fate = match disconnect.reason {
            ReasonCode::Success => WillFate::Discard,
            _ => WillFate::Publish,
        };
        let why = properties.reason_string.unwrap_or_default();
        self.end_open(key, (disconnect.reason.name(), "client", why), fate, now, fx);
    }

    /// Takes an open connection apart: its Will, its Session, its counts.
    fn end_open(
        &mut self,
        key: ConnectionKey,
        (reason, by, why): (&'static str, &'static str, &str),
        fate: WillFate,
        now: Time,
        fx: &mut Effects,
    ) {
        let subject = self.subject_of(key);
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Phase::Open(open) = std::mem::replace(&mut connection.phase, Phase::Closed) else { return };
        let listener = connection.peer.listener;
        fx.closed.push(Closed { connection: key, by_client: by == "client", is_cut: false });
        let what = What::Disconnected { reason, by, why: why.to_owned() };
        fx.events.push(crate::event::Event::new(now, subject, what));
        self.common.release_connection(&open.principal.id);
        self.common.release_tenants_connection(&open.publisher.client_id);
        self.common.population().leave(listener, &open.principal.roles);
        self.counters().clients_connected.sub(1);
        self.counters().disconnects.add(1);
        let session = open.session;
        self.detach(*open, fate, now, fx);
        let Some(state) = self.sessions.get(session) else { return };
        if state.is_transient() {
            self.end_session(session, now, fx);
            return;
        }
        if let Some(at) = state.ends_at {
            self.timers.set(at, Timer::SessionEnd(session));
        }
        self.store_session(session, now, fx);
        self.store_will(session, fx);
    }

    /// The Session goes on without the connection.
    fn detach(&mut self, open: Open, fate: WillFate, now: Time, fx: &mut Effects) {
        let key = open.session;
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.connection = None;
        session.connection_ended();
        session.ends_at = session.end_after(now);
        let ends_with_connection = session.is_transient();
        self.tell_groups(key, fx);
        if !ends_with_connection {
            self.hand_over(key, now, fx);
            if let Some(session) = self.sessions.get_mut(key) {
                session.set_all_aside();
                session.set_window_aside();
            }
        }
        let Some(will) = open.will else { return };
        match fate {
            WillFate::Discard => self.forget_will(key, fx),
            // A Session that goes on cancels a Will that has a delay; one without is due now.
            WillFate::TakenOver(discarded) if !discarded && will.delay_s > 0 && !ends_with_connection => {
                self.forget_will(key, fx);
            }
            WillFate::Publish if will.delay_s > 0 && !ends_with_connection => {
                // The delay or the Session's end, whichever comes first [MQTT-3.1.2-8].
                let due = now.plus_ms(u64::from(will.delay_s) * 1000);
                if let Some(session) = self.sessions.get_mut(key) {
                    let due = session.ends_at.map_or(due, |end| due.min(end));
                    session.pending_will = Some(Box::new(PendingWill { will: *will, due }));
                    self.timers.set(due, Timer::Will(key));
                }
            }
            _ => {
                self.forget_will(key, fx);
                self.fire_will(key, &will, now, fx);
            }
        }
    }

    /// The store need not keep the Will any more.
    pub(super) fn forget_will(&self, key: SessionKey, fx: &mut Effects) {
        if let Some(session) = self.sessions.get(key)
            && session.stored
        {
            fx.mutations.push(Mutation::WillDelete { client_id: Arc::clone(&session.client_id) });
        }
    }

    fn store_will(&self, key: SessionKey, fx: &mut Effects) {
        let Some(session) = self.sessions.get(key) else { return };
        let Some(pending) = &session.pending_will else { return };
        fx.mutations.push(Mutation::WillPut {
            client_id: Arc::clone(&session.client_id),
            due: Some(pending.due),
            will: Arc::clone(&pending.will.message),
            delay_s: pending.will.delay_s,
        });
    }

    /// A delayed Will's time has come.
    pub(crate) fn fire_pending_will(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(pending) = session.pending_will.take() else { return };
        self.forget_will(key, fx);
        self.fire_will(key, &pending.will, now, fx);
    }

    /// Publishes a Will, decided again under the policy of now.
    fn fire_will(&mut self, key: SessionKey, will: &Will, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get(key) else { return };
        if self.is_banned_session(&session.principal.id, &session.client_id) {
            return;
        }
        let grants = Arc::clone(&session.grants);
        if self.observer.is_some() {
            self.observe_will_due(key, &will.message, &grants, now);
        }
        let expiry_s = super::contract::expiry_of_will(&grants, will);
        let message = will.message.expiring_at(expiry_s.map(|s| now.plus_ms(u64::from(s) * 1000)));
        let message = self.with_provenance(key, &grants, message, now);
        match grants.authorize_message(message) {
            Ok(admitted) => {
                let breach = self.breach_by_will(&grants, &admitted, || self.session_subject(key), now, fx);
                if let Some(breach) = breach {
                    if let Some(asker) = self.asker(key) {
                        self.note_breach_by_will(&asker, &admitted, &breach, now);
                    }
                    return;
                }
                let admitted = admitted.shared();
                if admitted.retain {
                    let limits = self.limits_of(0).for_roles(grants.limits());
                    let mut out = super::route::Outgoing::held(&admitted);
                    if let Err(limit) = self.retain_within(&mut out, &limits, fx) {
                        self.limit_met_offline(key, limit, now, fx);
                    }
                }
                self.route_message(&admitted, now, fx);
            }
            Err(Denied(decision)) => {
                self.counters().denied.add(1);
                let subject = self.session_subject(key);
                let what = What::Denied {
                    action: "will",
                    topic: grants.shown(will.message.topic().as_str()).to_owned(),
                    rule: decision.rule.map(|rule| grants.image().rule_name(rule).to_owned()),
                    why: decision.why.as_str(),
                };
                fx.events.push(crate::event::Event::new(now, subject, what));
            }
        }
    }

    /// Whose Session it is, whether or not anybody is connected.
    fn session_subject(&self, key: SessionKey) -> Subject {
        let Some(session) = self.sessions.get(key) else { return Subject::default() };
        Subject::of_client(&session.principal.id, &session.client_id)
    }

    /// Ends a Session: its Subscriptions, its queue, its Will if one waits [MQTT-3.1.2-8].
    pub(crate) fn end_session(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        self.fire_pending_will(key, now, fx);
        let filters: Vec<Arc<str>> =
            self.sessions.get(key).map_or_else(Vec::new, |session| session.subscriptions.keys().cloned().collect());
        for filter in filters {
            self.remove_subscription(key, &filter, None, fx);
        }
        self.hand_down(key, now, fx);
        if !self.leaves_estate(key, now, fx) {
            self.forget_session(key, fx);
        }
    }

    /// True where messages of Shared Subscriptions are on the disk alone: others get them, and then it is over.
    fn leaves_estate(&mut self, key: SessionKey, now: Time, fx: &mut Effects) -> bool {
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.aside.is_shared()) else {
            return false;
        };
        session.ends_at = None;
        let queued = session.queue.take_all();
        let octets: usize = queued.iter().map(|queued| queued.message.weight_bytes()).sum();
        let below = session.next_seq;
        let (mut gone, left) = session.aside.leave_to_others(below);
        gone.extend(queued.iter().map(|queued| queued.seq));
        session.queued_bytes = session.aside.bytes();
        let window: Vec<_> = session.inflight.iter_mut().map(|(id, slot)| (id, slot.seq)).collect();
        window.iter().for_each(|(id, _)| drop(session.inflight.finish(*id)));
        for packet_id in session.received.take_all().into_keys().filter_map(crate::wire::PacketId::new) {
            fx.mutations.push(Mutation::ReceivedDelete { client_id: Arc::clone(&session.client_id), packet_id });
        }
        (session.backlog, session.retained_due) = Default::default();
        let counters = self.counters();
        counters.queued_messages.sub(gone.len() as u64);
        counters.queued_bytes.sub((octets + left) as u64);
        for seq in gone.into_iter().chain(window.into_iter().map(|(_, seq)| seq)) {
            self.forget_queued(key, seq, fx);
        }
        self.fetch_ahead(key, now, fx);
        true
    }

    /// Nothing of a Session is left.
    pub(crate) fn forget_session(&mut self, key: SessionKey, fx: &mut Effects) {
        let Some(session) = self.sessions.remove(key) else { return };
        self.by_client_id.remove(&session.client_id);
        let (queued, octets) = (session.queued() as u64, session.queued_bytes as u64);
        if session.stored {
            fx.mutations.push(Mutation::SessionDelete { client_id: session.client_id });
        }
        let counters = self.counters();
        counters.sessions.sub(1);
        counters.queued_messages.sub(queued);
        counters.queued_bytes.sub(octets);
    }

    /// Disconnects a client by its Client Identifier, with that of its tenant before it (`scope`). False when it
    /// is not connected here.
    pub fn disconnect(&mut self, client_id: &str, reason: ReasonCode, now: Time, fx: &mut Effects) -> bool {
        let Some(key) = self.by_client_id.get(client_id).copied() else { return false };
        let Some(connection) = self.sessions.get(key).and_then(|session| session.connection) else { return false };
        self.close(connection, reason, "disconnected by an administrator", now, fx);
        true
    }

    /// Ends every connection with 0x8B: the server goes down. New ones are refused from now on.
    pub fn drain(&mut self, now: Time, fx: &mut Effects) {
        self.is_draining = true;
        let open: Vec<ConnectionKey> = self.connections.keys().collect();
        for key in open {
            self.close(key, ReasonCode::ServerShuttingDown, "the server is shutting down", now, fx);
        }
    }
}
