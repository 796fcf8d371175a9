//! PUBACK, PUBREC, PUBREL, PUBCOMP, and what is owed.
//!
//! An acknowledgement is owed from the moment its packet is accepted and sent once everything
//! it claims is durable (I3), in the order of the packets it answers [MQTT-4.6.0-2].

use std::sync::Arc;

use super::connect::append_within;
use super::effects::Deferred;
use super::{AckRef, Acks, Effects, Server};
use crate::durable::Mutation;
use crate::message::Time;
use crate::session::owing::OwedPacket;
use crate::session::{ConnectionKey, InflightPhase, SessionKey, Slot};
use crate::wire::encode::{self, AckKind};
use crate::wire::{Ack, PacketId, QoS, ReasonCode, Version};

impl Server {
    /// Owes a packet that waits for this round's batch, if the batch holds anything, and for
    /// so many other shards.
    pub(crate) fn owe(
        &mut self,
        key: ConnectionKey,
        packet: OwedPacket,
        waits: u32,
        after_commit: bool,
        now: Time,
        fx: &mut Effects,
    ) {
        let Some(open) = self.connections.get_mut(key).and_then(|c| c.open_mut()) else { return };
        let waits = waits + u32::from(after_commit);
        if waits == 0 && open.owed.is_empty() {
            self.send_owed(key, packet, now, fx);
            self.unstall(key, fx);
            return;
        }
        let id = open.owe(waits, packet);
        if after_commit {
            fx.deferred.push(Deferred::Owed(key, id));
        }
    }

    /// One wait of an owed packet is over.
    pub(crate) fn owed_done(&mut self, key: ConnectionKey, id: u64, now: Time, fx: &mut Effects) {
        self.all_owed_done(key, id, 1, now, fx);
    }

    /// One wait of each of so many owed packets in a row is over.
    fn all_owed_done(&mut self, key: ConnectionKey, first: u64, count: u32, now: Time, fx: &mut Effects) {
        let Some(open) = self.connections.get_mut(key).and_then(|c| c.open_mut()) else { return };
        for at in 0..u64::from(count) {
            if let Some(owed) = open.owed_mut(first.wrapping_add(at)) {
                owed.waits = owed.waits.saturating_sub(1);
            }
        }
        self.settle(key, now, fx);
    }

    /// Sends what is owed, from the front, as far as nothing waits.
    pub(crate) fn settle(&mut self, key: ConnectionKey, now: Time, fx: &mut Effects) {
        while let Some(owed) =
            self.connections.get_mut(key).and_then(|c| c.open_mut()).and_then(crate::session::Open::take_owed)
        {
            self.send_owed(key, owed.packet, now, fx);
        }
        self.unstall(key, fx);
    }

    fn send_owed(&mut self, key: ConnectionKey, packet: OwedPacket, now: Time, fx: &mut Effects) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let crate::session::Phase::Open(open) = &mut connection.phase else { return };
        let (version, session, most) = (open.version, open.session, open.maximum_packet_size);
        let say = |text: Option<&'static str>| text.filter(|_| open.problem_information);
        let out = &mut connection.out;
        let mut then = Then::Nothing;
        let fits = match packet {
            OwedPacket::Connack(octets) => {
                open.is_live = true;
                then = Then::Resume;
                let fits = append_within(out, most, None, |out, _| out.extend_from_slice(&octets));
                fx.connacks.extend(fits.then_some((key, true)));
                fits
            }
            OwedPacket::Puback(id, reason, text) => {
                open.inbound_open = open.inbound_open.saturating_sub(1);
                append_within(out, most, say(text), |out, text| encode::puback(out, version, id, reason, text))
            }
            OwedPacket::Pubrec(id, reason, text) => {
                if reason.is_error() {
                    open.inbound_open = open.inbound_open.saturating_sub(1);
                }
                append_within(out, most, say(text), |out, text| encode::pubrec(out, version, id, reason, text))
            }
            OwedPacket::Pubcomp(id, reason) => {
                open.inbound_open = open.inbound_open.saturating_sub(1);
                append_within(out, most, None, |out, _| encode::pubcomp(out, version, id, reason, None))
            }
            OwedPacket::Suback(id, codes, text, retained) => {
                then = Then::Retained(retained);
                append_within(out, most, say(text), |out, text| encode::suback(out, version, id, &codes, text))
            }
            OwedPacket::Unsuback(id, codes) => {
                append_within(out, most, None, |out, _| encode::unsuback(out, version, id, &codes, None))
            }
            OwedPacket::Unknown => true,
        };
        if !fits {
            let why = "an answer larger than the client's Maximum Packet Size";
            self.close(key, ReasonCode::PacketTooLarge, why, now, fx);
            return;
        }
        connection.mark_dirty(key, &mut fx.dirty);
        self.counters().messages_sent.add(1);
        match then {
            Then::Nothing => {}
            Then::Resume => {
                fx.resumed.push(key);
                self.proceed(session, now, fx);
            }
            Then::Retained(filters) => self.send_retained_for(session, filters, now, fx),
        }
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP from a client.
    pub(crate) fn acknowledged(
        &mut self,
        key: ConnectionKey,
        kind: AckKind,
        ack: &Ack<'_>,
        now: Time,
        fx: &mut Effects,
    ) {
        let id = ack.packet_id;
        match kind {
            AckKind::Puback => self.on_final_ack(key, id, QoS::AtLeastOnce, InflightPhase::Publish, now, fx),
            AckKind::Pubrec => self.on_pubrec(key, ack, now, fx),
            AckKind::Pubrel => self.on_pubrel(key, id, now, fx),
            AckKind::Pubcomp => self.on_final_ack(key, id, QoS::ExactlyOnce, InflightPhase::Release, now, fx),
        }
    }

    /// PUBACK or PUBCOMP: the delivery is complete.
    fn on_final_ack(
        &mut self,
        key: ConnectionKey,
        id: PacketId,
        qos: QoS,
        phase: InflightPhase,
        now: Time,
        fx: &mut Effects,
    ) {
        let Some((session_key, _)) = self.speaker(key) else { return };
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        // An acknowledgement of what was not sent is ignored: it can change nothing.
        let expected = |slot: &Slot| slot.qos == qos && slot.phase == phase && (slot.on_wire || slot.sent_before);
        let Some(slot) = session.inflight.finish_if(id, expected) else { return };
        if session.stored {
            self.forget_queued(session_key, slot.seq, fx);
        }
        self.proceed(session_key, now, fx);
    }

    /// PUBREC: the client owns the message; release it once that is durable [MQTT-4.3.3-4].
    fn on_pubrec(&mut self, key: ConnectionKey, ack: &Ack<'_>, now: Time, fx: &mut Effects) {
        let Some((session_key, version)) = self.speaker(key) else { return };
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        let stored = session.stored;
        // What went out on an earlier connection may be acknowledged before it goes out again.
        let slot = session
            .inflight
            .get_mut(ack.packet_id)
            .filter(|slot| slot.qos == QoS::ExactlyOnce && (slot.on_wire || slot.sent_before));
        let Some(slot) = slot else {
            self.write_pubrel(key, version, ack.packet_id, ReasonCode::PacketIdentifierNotFound, fx);
            return;
        };
        if ack.reason.is_error() && slot.phase == InflightPhase::Publish {
            if let Some(slot) = session.inflight.finish(ack.packet_id) {
                self.forget_queued(session_key, slot.seq, fx);
            }
            self.proceed(session_key, now, fx);
            return;
        }
        match slot.phase {
            InflightPhase::Publish if stored => {
                slot.phase = InflightPhase::Releasing;
                slot.message = None;
                let seq = slot.seq;
                fx.mutations.push(Mutation::Released { client_id: Arc::clone(&session.client_id), seq });
                fx.deferred.push(Deferred::Release(session_key, ack.packet_id));
            }
            // It occupies its place on this connection from here on, if it did not before.
            InflightPhase::Publish | InflightPhase::Release => {
                slot.phase = InflightPhase::Release;
                slot.message = None;
                if !slot.on_wire {
                    session.inflight.mark_on_wire(ack.packet_id);
                }
                self.write_pubrel(key, version, ack.packet_id, ReasonCode::Success, fx);
            }
            InflightPhase::Assigned | InflightPhase::Releasing | InflightPhase::Done => {}
        }
    }

    /// Writes PUBREL for a window slot.
    pub(crate) fn send_pubrel(&mut self, session_key: SessionKey, id: PacketId, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        let Some(key) = session.connection else { return };
        session.inflight.mark_on_wire(id);
        let version = session.version;
        self.write_pubrel(key, version, id, ReasonCode::Success, fx);
    }

    fn write_pubrel(
        &mut self,
        key: ConnectionKey,
        version: Version,
        id: PacketId,
        reason: ReasonCode,
        fx: &mut Effects,
    ) {
        if let Some(connection) = self.connections.get_mut(key) {
            encode::pubrel(&mut connection.out, version, id, reason, None);
            connection.mark_dirty(key, &mut fx.dirty);
            self.counters().messages_sent.add(1);
        }
    }

    /// The Session and protocol of an open connection.
    pub(crate) fn speaker(&self, key: ConnectionKey) -> Option<(SessionKey, Version)> {
        let open = self.connections.get(key)?.open()?;
        Some((open.session, open.version))
    }

    /// A batch is durable: what waited for it may happen.
    pub fn committed(&mut self, deferred: Deferred, now: Time, fx: &mut Effects) {
        match deferred {
            Deferred::Owed(key, id) => self.owed_done(key, id, now, fx),
            Deferred::Confirm(acks) if acks.shard() == self.shard => self.on_confirm(acks, now, fx),
            Deferred::Confirm(acks) => fx.forwards.confirm(acks),
            Deferred::Publish(session, id) => {
                let is_live = self.is_live(session);
                let Some(slot) = self.sessions.get_mut(session).and_then(|s| s.inflight.get_mut(id)) else { return };
                if slot.phase == InflightPhase::Assigned {
                    slot.phase = InflightPhase::Publish;
                    // One that has no place in the window of a new connection waits for it.
                    if is_live && slot.on_wire {
                        self.send_slot(session, id, now, fx);
                    }
                }
            }
            Deferred::Release(session, id) => {
                let is_live = self.is_live(session);
                let Some(slot) = self.sessions.get_mut(session).and_then(|s| s.inflight.get_mut(id)) else { return };
                if slot.phase == InflightPhase::Releasing {
                    slot.phase = InflightPhase::Release;
                    if is_live && slot.on_wire {
                        self.send_pubrel(session, id, fx);
                    }
                }
            }
        }
    }

    /// True when a Session's connection may be written to.
    pub(crate) fn is_live(&self, session: SessionKey) -> bool {
        self.sessions
            .get(session)
            .and_then(|session| self.connections.get(session.connection?)?.open())
            .is_some_and(|open| open.is_live)
    }

    /// Another shard says that messages are safe there.
    pub(crate) fn on_confirm(&mut self, acks: Acks, now: Time, fx: &mut Effects) {
        if let AckRef::Owed { connection, owed, .. } = acks.first() {
            self.all_owed_done(connection, owed, acks.count(), now, fx);
            return;
        }
        for ack in acks.iter() {
            match ack {
                AckRef::Owed { connection, owed, .. } => self.owed_done(connection, owed, now, fx),
                AckRef::Receipt { session, packet_id, nonce, .. } => {
                    self.receipt_confirmed(session, packet_id, nonce, now, fx);
                }
                AckRef::Handed { session, seq, .. } => self.handed_over(session, seq, now, fx),
                AckRef::Relayed { relay, .. } => self.relayed(relay, fx),
            }
        }
    }
}

enum Then {
    Nothing,
    Resume,
    Retained(Vec<Arc<str>>),
}
