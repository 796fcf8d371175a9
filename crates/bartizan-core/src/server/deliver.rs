//! One message to one Session: straight to the wire, into the window, or into the queue.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::route::{Outgoing, Part, SharedFrame, expiry_s};
use super::tenants::send_seen;
use super::{Effects, ListenerRules, Server, effects::Deferred};
use crate::durable::Mutation;
use crate::event::What;
use crate::message::Time;
use crate::session::alias::Outbound;
use crate::session::session::Queued;
use crate::session::{Connection, InflightPhase, Session, SessionKey, Slot};
use crate::wire::encode::{self, PublishHead};
use crate::wire::{PacketId, QoS};

/// What one delivery is, once the Subscriptions have been weighed.
pub(crate) struct Delivery {
    pub qos: QoS,
    pub retain: bool,
    pub ids: Box<[u32]>,
    pub group: Option<Arc<str>>,
}

/// How a PUBLISH fared on its way to a connection's `out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    /// Over the client's Maximum Packet Size: it will never fit.
    TooLarge,
    /// `out` is full.
    NoRoom,
}

impl Server {
    /// Delivers to a Session what its matching Subscriptions ask for. Once for each receiver of a message.
    #[inline(always)]
    pub(crate) fn deliver(
        &mut self,
        key: SessionKey,
        parts: &[Part],
        out: &mut Outgoing<'_>,
        is_own: bool,
        now: Time,
        fx: &mut Effects,
    ) {
        let mut wanted: Option<(QoS, bool, bool)> = None;
        let mut ids = Vec::new();
        for part in parts.iter().filter(|part| !(is_own && part.no_local)) {
            let (qos, as_published, decide) = wanted.unwrap_or((part.qos, part.retain_as_published, true));
            wanted = Some((qos.max(part.qos), as_published || part.retain_as_published, decide && part.per_delivery));
            ids.extend(part.id.map(NonZeroU32::get));
        }
        let Some((qos, as_published, decide)) = wanted else { return };
        if decide && !self.may_receive(key, out, now, fx) {
            return;
        }
        let delivery = Delivery {
            qos: qos.min(out.qos),
            // A message that was not retained at subscription goes out with RETAIN 0 unless the
            // Subscription wants it as published [MQTT-3.3.1-12] [MQTT-3.3.1-13].
            retain: out.retain && as_published,
            ids: ids.into_boxed_slice(),
            group: None,
        };
        self.deliver_one(key, delivery, out, now, fx);
    }

    /// Decides a single delivery where a forbid overlaps the Subscription.
    pub(crate) fn may_receive(&mut self, key: SessionKey, out: &Outgoing<'_>, now: Time, fx: &mut Effects) -> bool {
        let Some(session) = self.sessions.get(key) else { return false };
        let decision = session.grants.receive(&out.topic);
        if self.observer.is_some() {
            self.observe_receive(key, out, decision, now);
        }
        if decision.allow {
            return true;
        }
        self.counters().denied.add(1);
        let Some(session) = self.sessions.get(key) else { return false };
        if let Some(connection) = session.connection {
            let what = What::Denied {
                action: "receive",
                topic: session.grants.shown(out.topic.as_str()).to_owned(),
                rule: decision.rule.map(|rule| session.grants.image().rule_name(rule).to_owned()),
                why: decision.why.as_str(),
            };
            self.tell(connection, now, what, fx);
        }
        false
    }

    pub(crate) fn deliver_one(
        &mut self,
        key: SessionKey,
        delivery: Delivery,
        out: &mut Outgoing<'_>,
        now: Time,
        fx: &mut Effects,
    ) {
        if delivery.qos == QoS::AtMostOnce {
            self.deliver_qos0(key, &delivery, out, now, fx);
        } else {
            self.deliver_held(key, delivery, out, now, fx);
        }
    }

    fn deliver_qos0(&mut self, key: SessionKey, delivery: &Delivery, out: &Outgoing<'_>, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get(key) else { return };
        let Some(connection_key) = session.connection else { return };
        let Some(connection) = self.connections.get_mut(connection_key) else { return };
        let rules = self.listeners.get(connection.peer.listener);
        let room = rules.map_or(0, |rules| rules.limits.out_buffer_bytes_max as usize);
        let head = PublishHead {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: delivery.retain,
            packet_id: None,
            topic: out.topic.as_str(),
            topic_alias: None,
            expiry_s: out.expiry_s(now),
            subscription_ids: &delivery.ids,
            forwarded: out.properties,
        };
        let sent = send(connection, &mut self.frame, head, out.payload, room);
        let is_filling = connection.out.len() > room / 2;
        match sent {
            Sent::Yes => {
                connection.mark_dirty(connection_key, &mut fx.dirty);
                self.count_sent(out.payload.len());
            }
            Sent::TooLarge => self.dropped(connection_key, "maximum_packet_size", now, fx),
            Sent::NoRoom => self.dropped(connection_key, "out_buffer_bytes_max", now, fx),
        }
        if is_filling {
            self.press(connection_key, now);
        }
    }

    pub(crate) fn out_buffer_bytes_max(&self, listener: usize) -> usize {
        self.listeners.get(listener).map_or(0, |rules| rules.limits.out_buffer_bytes_max as usize)
    }

    fn count_sent(&self, payload: usize) {
        let counters = self.counters();
        counters.publish_sent.add(1);
        counters.messages_sent.add(1);
        counters.publish_bytes_sent.add(payload as u64);
    }

    fn dropped(&mut self, key: crate::session::ConnectionKey, limit: &'static str, now: Time, fx: &mut Effects) {
        self.counters().publish_dropped.add(1);
        if let Some(connection) = self.connections.get_mut(key) {
            connection.traffic.dropped += 1;
        }
        self.limit_met(key, limit, "message dropped", now, fx);
    }

    /// QoS 1 and 2: straight into the window when nothing waits, else into the queue.
    fn deliver_held(
        &mut self,
        key: SessionKey,
        delivery: Delivery,
        out: &mut Outgoing<'_>,
        now: Time,
        fx: &mut Effects,
    ) {
        if delivery.group.is_none() && self.send_unheld(key, &delivery, out, now, fx) {
            return;
        }
        let can_send = self.window_is_open(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.is_transient() && session.connection.is_none() {
            return;
        }
        let straight = can_send && session.queued() == 0;
        let message = out.message();
        let is_filling = session.queues_over(2);
        if !straight && let Some(limit) = session.full_for(message.weight_bytes()) {
            let connection = session.connection;
            self.counters().publish_dropped.add(1);
            match connection {
                Some(connection) => self.limit_met(connection, limit, "message dropped", now, fx),
                None => self.limit_met_offline(key, limit, now, fx),
            }
            self.press_queue(key, now);
            return;
        }
        let queued = Queued {
            seq: session.take_seq(),
            message,
            qos: delivery.qos,
            retain: delivery.retain,
            subscription_ids: delivery.ids,
            group: delivery.group,
        };
        self.enqueue(key, queued, fx);
        if is_filling {
            self.press_queue(key, now);
        }
        if straight {
            // The queue alone: this may be on behalf of the backlog, as deep as the window is wide.
            self.pump_queue(key, now, fx);
        }
    }

    /// The same of a Session that may have no connection.
    pub(crate) fn limit_met_offline(&self, key: SessionKey, limit: &'static str, now: Time, fx: &mut Effects) {
        self.count_limit(limit);
        let Some(session) = self.sessions.get(key) else { return };
        let subject = crate::event::Subject::of_client(&session.principal.id, &session.client_id);
        let what = What::LimitMet { limit, effect: "message dropped" };
        fx.events.push(crate::event::Event::new(now, subject, what));
    }

    /// Puts a message into a Session's queue, and into the store where the Session is stored.
    pub(crate) fn enqueue(&mut self, key: SessionKey, queued: Queued, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.stored {
            fx.mutations.push(Mutation::Enqueue {
                client_id: Arc::clone(&session.client_id),
                seq: queued.seq,
                message: Arc::clone(&queued.message),
                qos: queued.qos,
                retain: queued.retain,
                subscription_ids: queued.subscription_ids.clone(),
                packet_id: None,
            });
        }
        let weight = queued.message.weight_bytes();
        if session.sets_aside() {
            session.queued_bytes += weight;
            session.aside.push_back(queued.seq, weight, queued.group);
        } else {
            session.enqueue(queued);
        }
        self.counters().queued_messages.add(1);
        self.counters().queued_bytes.add(weight as u64);
    }

    /// A Session that ends with its connection keeps no copy: nothing can ever be sent again.
    /// False, and nothing is done, where one has to be kept or the message has to wait.
    fn send_unheld(
        &mut self,
        key: SessionKey,
        delivery: &Delivery,
        out: &Outgoing<'_>,
        now: Time,
        fx: &mut Effects,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let Some(connection_key) = session.connection else { return false };
        let Some(connection) = self.connections.get_mut(connection_key) else { return false };
        let rules = self.listeners.get(connection.peer.listener);
        if session.stored || session.queued() > 0 || !admits(session, connection, rules) {
            return false;
        }
        let seq = session.take_seq();
        let slot = Slot {
            seq,
            qos: delivery.qos,
            retain: delivery.retain,
            phase: InflightPhase::Publish,
            on_wire: true,
            sent_before: true,
            message: None,
            subscription_ids: Box::default(),
            group: None,
        };
        let Some(id) = session.inflight.push(slot) else { return false };
        let head = PublishHead {
            dup: false,
            qos: delivery.qos,
            retain: delivery.retain,
            packet_id: Some(id),
            topic: out.topic.as_str(),
            topic_alias: None,
            expiry_s: out.expiry_s(now),
            subscription_ids: &delivery.ids,
            forwarded: out.properties,
        };
        // The window bounds what is on the wire, so `out` has room for it by construction.
        match send(connection, &mut self.frame, head, out.payload, usize::MAX) {
            Sent::Yes => {
                connection.mark_dirty(connection_key, &mut fx.dirty);
                self.count_sent(out.payload.len());
            }
            Sent::TooLarge | Sent::NoRoom => {
                session.inflight.finish(id);
                self.dropped(connection_key, "maximum_packet_size", now, fx);
            }
        }
        true
    }

    /// True when the Session has a connection whose window admits one more message.
    pub(crate) fn window_is_open(&self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get(key) else { return false };
        let Some(connection) = session.connection.and_then(|key| self.connections.get(key)) else { return false };
        admits(session, connection, self.listeners.get(connection.peer.listener))
    }

    /// Moves messages from queue and backlog to the wire while the window admits them.
    pub(crate) fn pump(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        self.pump_queue(key, now, fx);
        self.pump_backlog(key, now, fx);
    }

    fn pump_queue(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        while self.window_is_open(key) {
            let Some(session) = self.sessions.get_mut(key) else { return };
            let Some(queued) = session.dequeue() else { break };
            self.counters().queued_messages.sub(1);
            self.counters().queued_bytes.sub(queued.message.weight_bytes() as u64);
            if queued.message.is_expired(now) {
                // Not begun within its Message Expiry Interval: the copy is deleted [MQTT-3.3.2-5].
                self.counters().publish_dropped.add(1);
                self.forget_queued(key, queued.seq, fx);
                continue;
            }
            self.assign(key, queued, now, fx);
        }
        self.fetch_ahead(key, now, fx);
    }

    /// A stored message is done with.
    pub(crate) fn forget_queued(&self, key: SessionKey, seq: u64, fx: &mut Effects) {
        if let Some(session) = self.sessions.get(key)
            && session.stored
        {
            fx.mutations.push(Mutation::Dequeue { client_id: Arc::clone(&session.client_id), seq });
        }
    }

    /// Gives a message its Packet Identifier and sends it: QoS 2 of a stored Session only once
    /// the identifier is durable, or a crash could send it twice under two identifiers.
    fn assign(&mut self, key: SessionKey, queued: Queued, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let waits = session.stored && queued.qos == QoS::ExactlyOnce;
        let slot = Slot {
            seq: queued.seq,
            qos: queued.qos,
            retain: queued.retain,
            phase: if waits { InflightPhase::Assigned } else { InflightPhase::Publish },
            on_wire: waits,
            sent_before: false,
            message: Some(queued.message),
            subscription_ids: queued.subscription_ids,
            group: queued.group,
        };
        let Some(id) = session.inflight.push(slot) else { return };
        if session.stored {
            let client_id = Arc::clone(&session.client_id);
            fx.mutations.push(Mutation::Assign { client_id, seq: queued.seq, packet_id: id });
        }
        if waits {
            fx.deferred.push(Deferred::Publish(key, id));
        } else {
            self.send_slot(key, id, now, fx);
        }
    }

    /// Writes the PUBLISH of a window slot to the Session's connection.
    pub(crate) fn send_slot(&mut self, key: SessionKey, id: PacketId, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(connection_key) = session.connection else { return };
        let Some(connection) = self.connections.get_mut(connection_key) else { return };
        session.inflight.mark_on_wire(id);
        let Some(slot) = session.inflight.get_mut(id) else { return };
        let Some(message) = slot.message.clone() else { return };
        let head = PublishHead {
            dup: slot.sent_before,
            qos: slot.qos,
            retain: slot.retain,
            packet_id: Some(id),
            topic: message.topic().as_str(),
            topic_alias: None,
            expiry_s: expiry_s(message.expires_at, now),
            subscription_ids: &slot.subscription_ids,
            forwarded: message.properties(),
        };
        self.frame.begin(true);
        let sent = send(connection, &mut self.frame, head, message.payload(), usize::MAX);
        slot.sent_before = true;
        let seq = slot.seq;
        if sent == Sent::Yes {
            connection.mark_dirty(connection_key, &mut fx.dirty);
            self.count_sent(message.payload().len());
        } else {
            // Too large for this client: for it, the delivery is complete [MQTT-3.1.2-25].
            session.inflight.finish(id);
            self.forget_queued(key, seq, fx);
            self.dropped(connection_key, "maximum_packet_size", now, fx);
        }
    }

    /// Sends again what was under way when the last connection ended, in its order
    /// [MQTT-4.4.0-1] [MQTT-4.6.0-1], as far as the window admits.
    pub(crate) fn resend(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let due: Vec<(PacketId, InflightPhase)> =
            session.inflight.iter_mut().filter(|(_, slot)| !slot.on_wire).map(|(id, slot)| (id, slot.phase)).collect();
        for (id, phase) in due {
            if !self.window_is_open(key) {
                return;
            }
            match phase {
                InflightPhase::Publish => self.send_slot(key, id, now, fx),
                InflightPhase::Release => self.send_pubrel(key, id, fx),
                InflightPhase::Assigned | InflightPhase::Releasing => {
                    if let Some(session) = self.sessions.get_mut(key) {
                        session.inflight.mark_on_wire(id);
                    }
                }
                InflightPhase::Done => {}
            }
        }
    }

    /// What waits after an acknowledgement: first what must be sent again, then the queue.
    pub(crate) fn proceed(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get(key).filter(|session| session.awaits_room()) else { return };
        if session.inflight.on_wire() < session.inflight.len() {
            self.resend(key, now, fx);
        }
        self.pump(key, now, fx);
    }
}

/// True when the window of a Session on this connection admits one more message.
fn admits(session: &Session, connection: &Connection, rules: Option<&ListenerRules>) -> bool {
    let Some(open) = connection.open() else { return false };
    open.is_live
        && session.inflight.on_wire() < usize::from(open.receive_maximum)
        && session.inflight.has_identifier()
        && connection.out.len() < rules.map_or(0, |rules| rules.limits.out_buffer_bytes_max as usize)
}

/// Appends a PUBLISH to a connection's `out`, as its client sees it.
#[inline(always)]
fn send(
    connection: &mut Connection,
    frame: &mut SharedFrame,
    mut head: PublishHead<'_>,
    payload: &[u8],
    room: usize,
) -> Sent {
    match connection.open() {
        Some(open) if open.root_len > 0 => send_seen(connection, frame, &head, payload, room),
        _ => send_named(connection, frame, &mut head, payload, (0, room)),
    }
}

/// Appends it by this name, or by alias where the client allows it. `lost`: how much of the name its receiver
/// does not see.
#[inline(never)]
pub(super) fn send_named(
    connection: &mut Connection,
    frame: &mut SharedFrame,
    head: &mut PublishHead<'_>,
    payload: &[u8],
    (lost, room): (u16, usize),
) -> Sent {
    let Connection { out, phase: crate::session::Phase::Open(open), traffic, .. } = connection else {
        return Sent::NoRoom;
    };
    if !open.is_live || out.len() >= room {
        return Sent::NoRoom;
    }
    let topic = head.topic;
    let most = open.maximum_packet_size as usize;
    let mut alias = open.aliases_out.outbound(topic);
    match alias {
        Outbound::Name => {}
        Outbound::Introduce(alias) => head.topic_alias = Some(alias),
        Outbound::Alias(alias) => {
            head.topic = "";
            head.topic_alias = Some(alias);
        }
    }
    if matches!(alias, Outbound::Introduce(_)) && encode::publish_len(open.version, head, payload.len()) > most {
        // An introduction is three octets more than the name alone, which may fit.
        alias = Outbound::Name;
        head.topic_alias = None;
    }
    if encode::publish_len(open.version, head, payload.len()) > most {
        return Sent::TooLarge;
    }
    if head.qos == QoS::AtMostOnce && head.topic_alias.is_none() && head.subscription_ids.is_empty() {
        frame.append(out, (open.version, lost), head, payload);
    } else {
        encode::publish(out, open.version, head, payload);
    }
    if let Outbound::Introduce(alias) = alias {
        open.aliases_out.introduced(topic, alias);
    }
    traffic.messages_out += 1;
    Sent::Yes
}
