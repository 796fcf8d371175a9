//! QoS 2 messages received: exactly once, over connections, shards and restarts (4.3.3).
//!
//! What PUBREC waits for belongs to the Session, not to the connection: a client that comes back
//! and sends the message again waits for the same thing. The Packet Identifier is recorded
//! together with what is kept here, and only after other shards have confirmed what they keep:
//! recorded before, a restart would take the message for received that nobody has. A restart
//! in between has the client send it again, to shards that may have it already: across shards,
//! and across a restart only, once may be twice.

use std::collections::hash_map::Entry;

use super::route::Outgoing;
use super::{AckRef, Deferred, Effects, Server};
use crate::durable::Mutation;
use crate::message::Time;
use crate::policy::Authorized;
use crate::session::owing::OwedPacket;
use crate::session::session::{Receipt, Received};
use crate::session::{ConnectionKey, SessionKey};
use crate::wire::{PacketId, Publish, ReasonCode};

impl Server {
    /// Routes a QoS 2 message that has not come before.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn distribute_once(
        &mut self,
        (key, session_key): (ConnectionKey, SessionKey),
        id: PacketId,
        admitted: &Authorized<Publish<'_>>,
        out: &mut Outgoing<'_>,
        before: usize,
        now: Time,
        fx: &mut Effects,
    ) {
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        let (nonce, is_stored) = (session.take_seq(), session.stored);
        let Some(version) = self.speaker(key).map(|(_, version)| version) else { return };
        let durability = self.durability_of(key);
        let ack = AckRef::Receipt { shard: self.shard, session: session_key, packet_id: id, nonce, durability };
        // Who confirms does so later, never before this round is over.
        let routed = self.route_publish(admitted, out, key, Some(ack), now, fx);
        let reason = routed.reason(version);
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        if routed.waits == 0 && !is_stored && fx.mutations.len() == before {
            session.received.insert(id.get(), Received::Held);
            self.owe(key, OwedPacket::Pubrec(id, reason, None), 0, false, now, fx);
            return;
        }
        // One is held until all are known.
        let waits = 1 + routed.waits;
        let receipt = Receipt { nonce, waits, is_recorded: false, owed: (key, 0), released: None };
        session.received.insert(id.get(), Received::Pending(Box::new(receipt)));
        self.owe_receipt(key, session_key, id, reason);
        if routed.waits == 0 {
            self.record(session_key, id, fx);
        }
        if fx.mutations.len() > before {
            fx.deferred.push(Deferred::Confirm(ack.into()));
        } else {
            self.receipt_confirmed(session_key, id, nonce, now, fx);
        }
    }

    /// The same for a command, which nobody but its receiver keeps.
    pub(super) fn receive_command(&mut self, key: ConnectionKey, id: PacketId, now: Time, fx: &mut Effects) {
        let Some((session_key, _)) = self.speaker(key) else { return };
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        if !session.stored {
            session.received.insert(id.get(), Received::Held);
            self.owe(key, OwedPacket::Pubrec(id, ReasonCode::Success, None), 0, false, now, fx);
            return;
        }
        let nonce = session.take_seq();
        let receipt = Receipt { nonce, waits: 1, is_recorded: false, owed: (key, 0), released: None };
        session.received.insert(id.get(), Received::Pending(Box::new(receipt)));
        self.owe_receipt(key, session_key, id, ReasonCode::Success);
        self.record(session_key, id, fx);
        let durability = self.durability_of(key);
        let ack = AckRef::Receipt { shard: self.shard, session: session_key, packet_id: id, nonce, durability };
        fx.deferred.push(Deferred::Confirm(ack.into()));
    }

    /// Owes a PUBREC until the receipt of this identifier is complete.
    pub(crate) fn owe_receipt(&mut self, key: ConnectionKey, session: SessionKey, id: PacketId, reason: ReasonCode) {
        let Some(open) = self.connections.get_mut(key).and_then(|c| c.open_mut()) else { return };
        let owed = open.owe(1, OwedPacket::Pubrec(id, reason, None));
        if let Some(receipt) = self.receipt_mut(session, id) {
            receipt.owed = (key, owed);
        }
    }

    fn receipt_mut(&mut self, session: SessionKey, id: PacketId) -> Option<&mut Receipt> {
        match self.sessions.get_mut(session)?.received.get_mut(&id.get())? {
            Received::Pending(receipt) => Some(receipt),
            Received::Held => None,
        }
    }

    /// Puts the identifier into this round's batch, where the Session is stored.
    fn record(&mut self, key: SessionKey, id: PacketId, fx: &mut Effects) {
        let Some(receipt) = self.receipt_mut(key, id) else { return };
        receipt.is_recorded = true;
        if let Some(session) = self.sessions.get(key).filter(|session| session.stored) {
            fx.mutations.push(Mutation::ReceivedPut { client_id: session.client_id.clone(), packet_id: id });
        }
    }

    /// One of those that keep the message has it safe. The last one completes the receipt.
    pub(crate) fn receipt_confirmed(&mut self, key: SessionKey, id: PacketId, nonce: u64, now: Time, fx: &mut Effects) {
        let is_stored = self.sessions.get(key).is_some_and(|session| session.stored);
        let Some(receipt) = self.receipt_mut(key, id).filter(|receipt| receipt.nonce == nonce) else { return };
        receipt.waits = receipt.waits.saturating_sub(1);
        if receipt.waits > 0 {
            return;
        }
        if is_stored && !receipt.is_recorded {
            receipt.waits = 1;
            let owed_on = receipt.owed.0;
            self.record(key, id, fx);
            let durability = self.durability_of(owed_on);
            let ack = AckRef::Receipt { shard: self.shard, session: key, packet_id: id, nonce, durability };
            fx.deferred.push(Deferred::Confirm(ack.into()));
            return;
        }
        let ((connection, owed), released) = (receipt.owed, receipt.released);
        if let Some(session) = self.sessions.get_mut(key) {
            session.received.insert(id.get(), Received::Held);
        }
        self.owed_done(connection, owed, now, fx);
        if let Some((connection, owed)) = released {
            self.end_receipt(key, id, fx);
            self.release_owed(connection, owed, is_stored, now, fx);
        }
    }

    /// PUBREL: the identifier is free once that is durable; PUBCOMP says so [MQTT-4.3.3-11].
    pub(crate) fn on_pubrel(&mut self, key: ConnectionKey, id: PacketId, now: Time, fx: &mut Effects) {
        let Some((session_key, _)) = self.speaker(key) else { return };
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        if !session.stored
            && let Entry::Occupied(received) = session.received.entry(id.get())
            && *received.get() == Received::Held
        {
            received.remove();
            self.owe(key, OwedPacket::Pubcomp(id, ReasonCode::Success), 0, false, now, fx);
            return;
        }
        let early = self.receipt_mut(session_key, id).map(|receipt| receipt.released);
        if early.flatten().is_some_and(|(connection, _)| connection == key) {
            return;
        }
        let is_early = early.is_some();
        let is_stored = self.sessions.get(session_key).is_some_and(|session| session.stored);
        let known = is_early || self.end_receipt(session_key, id, fx);
        let Some(open) = self.connections.get_mut(key).and_then(|c| c.open_mut()) else { return };
        if !known {
            // PUBCOMP gives a place back; an unknown identifier took none.
            open.inbound_open = open.inbound_open.saturating_add(1);
        }
        // In a resumed Session the client repeats a PUBREL whose PUBCOMP was lost: what it asks for is done.
        // 0x92 would be allowed, but clients take it for a failure (3.7.2.1: "not an error during recovery").
        let done = known || open.is_resumed;
        let reason = if done { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        let owed = open.owe(1, OwedPacket::Pubcomp(id, reason));
        match self.receipt_mut(session_key, id) {
            // The client did not wait for PUBREC: it is over as soon as it could have.
            Some(receipt) => receipt.released = Some((key, owed)),
            None => self.release_owed(key, owed, known && is_stored, now, fx),
        }
    }

    /// A PUBCOMP may go: at once, or once this round's batch is durable.
    fn release_owed(&mut self, key: ConnectionKey, owed: u64, after_commit: bool, now: Time, fx: &mut Effects) {
        if after_commit {
            fx.deferred.push(Deferred::Owed(key, owed));
        } else {
            self.owed_done(key, owed, now, fx);
        }
    }

    /// The identifier is free. True when it was taken.
    fn end_receipt(&mut self, key: SessionKey, id: PacketId, fx: &mut Effects) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let known = session.received.remove(&id.get()).is_some();
        if known && session.stored {
            fx.mutations.push(Mutation::ReceivedDelete { client_id: session.client_id.clone(), packet_id: id });
        }
        known
    }
}
