//! PUBLISH from a client (3.3).

use std::sync::Arc;

use super::activity::more;
use super::route::Outgoing;
use super::{AckRef, DeniedPublish, Effects, Server, provenance};
use crate::event::What;
use crate::message::{Publisher, Time};
use crate::policy::{Admissions, Authorized, Denied};
use crate::session::ConnectionKey;
use crate::session::connection::Excess;
use crate::session::owing::OwedPacket;
use crate::session::session::Received;
use crate::topic::{TopicName, topic_hash};
use crate::wire::{PacketId, Publish, PublishProperties, QoS, ReasonCode, forwardable};

/// Why a PUBLISH is not taken.
pub(super) struct Rejection {
    reason: ReasonCode,
    why: &'static str,
    /// True when the connection ends, whatever the QoS.
    fatal: bool,
    /// The limit that was met, if one was.
    limit: Option<&'static str>,
}

const fn fatal(reason: ReasonCode, why: &'static str) -> Rejection {
    Rejection { reason, why, fatal: true, limit: None }
}

pub(super) const fn refusal(reason: ReasonCode, why: &'static str) -> Rejection {
    Rejection { reason, why, fatal: false, limit: None }
}

impl Rejection {
    pub(super) const fn by(self, limit: &'static str) -> Rejection {
        Rejection { limit: Some(limit), ..self }
    }
}

/// What is known of a PUBLISH before its Topic Name is.
struct Inbound {
    /// Most octets and levels of a Topic Name.
    topic_max: (usize, usize),
    /// What became of it when it came before: at QoS 2 only.
    came_before: Option<Received>,
}

/// Who publishes the packets that are handled in a row, and what it may. It lasts as long as one
/// `input`, within which neither identity nor policy changes.
#[derive(Debug, Default)]
pub(crate) struct Speech {
    publisher: Option<Arc<Publisher>>,
    pub(super) admissions: Admissions,
}

impl Speech {
    /// Forgets who spoke.
    pub(crate) fn begin(&mut self) {
        if self.publisher.take().is_some() {
            self.admissions.end();
        }
    }
}

impl Server {
    /// A PUBLISH packet from a client.
    pub(crate) fn on_publish(&mut self, key: ConnectionKey, publish: &Publish<'_>, now: Time, fx: &mut Effects) {
        let counters = self.counters();
        counters.publish_received.add(1);
        counters.publish_bytes_received.add(publish.payload.len() as u64);
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.traffic.messages_in += 1;
        let topic_max = self
            .listeners
            .get(connection.peer.listener)
            .map_or((0, 0), |rules| (rules.limits.topic_bytes_max as usize, rules.limits.topic_levels_max as usize));
        let Some(open) = connection.open_mut() else { return };
        if let Some(observer) = &mut self.observer {
            observer.count_publish(key, open, publish.payload.len(), now);
        }
        let is_tenants = open.root_len > 0;
        let is_metered = open.rates.as_ref().is_none_or(|rates| rates.are_limited());
        if is_metered && !self.meter(key, publish, now, fx) {
            return;
        }
        if is_tenants {
            self.meter_tenant(key, publish, now, fx);
        }
        let inbound = match self.count_inbound(key, publish) {
            Ok(came_before) => Inbound { topic_max, came_before },
            Err(rejection) => {
                self.reject(key, publish, &rejection, now, fx);
                return;
            }
        };
        let properties = PublishProperties::read(publish.properties);
        if properties.topic_alias.is_none() && !is_tenants {
            self.on_named(key, publish, publish.topic, &properties, &inbound, now, fx);
            return;
        }
        // The topic of an alias is copied out: the alias table may change before the message
        // has gone its way. So is one that gets a tenant's root put before it.
        let mut resolved = std::mem::take(&mut self.scratch);
        resolved.clear();
        match self.resolve_topic(key, publish, properties.topic_alias, &mut resolved) {
            Ok(()) => self.on_named(key, publish, &resolved, &properties, &inbound, now, fx),
            Err(rejection) => self.reject(key, publish, &rejection, now, fx),
        }
        self.scratch = resolved;
    }

    /// A PUBLISH whose Topic Name is known. Also one that came before sets the alias it names.
    #[allow(clippy::too_many_arguments)]
    fn on_named(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'_>,
        topic: &str,
        properties: &PublishProperties<'_>,
        inbound: &Inbound,
        now: Time,
        fx: &mut Effects,
    ) {
        if let (Some(id), Some(received)) = (publish.packet_id, &inbound.came_before) {
            self.acknowledge_again(key, id, received, now, fx);
            return;
        }
        match check_topic(topic, publish, properties, inbound.topic_max) {
            Ok(topic) => self.admit(key, publish, topic, properties, now, fx),
            Err(rejection) => self.reject(key, publish, &rejection, now, fx),
        }
    }

    /// Takes tokens for a message; without them, reading pauses until there are some again. False
    /// when the client has been too fast for too long: its connection has ended.
    fn meter(&mut self, key: ConnectionKey, publish: &Publish<'_>, now: Time, fx: &mut Effects) -> bool {
        let octets = publish.payload.len() as u64 + publish.topic.len() as u64;
        let Some(connection) = self.connections.get_mut(key) else { return false };
        let listener = connection.peer.listener;
        let Some(open) = connection.open_mut() else { return false };
        let Some(rates) = &mut open.rates else {
            let limits = self.limits_for(key);
            if let Some(open) = self.connections.get_mut(key).and_then(|connection| connection.open_mut()) {
                open.rates = Some(Box::new(limits.rates(now)));
            }
            return self.meter(key, publish, now, fx);
        };
        let by_number = rates.messages.as_mut().map_or(0, |bucket| bucket.spend(1, now));
        let by_octets = rates.octets.as_mut().map_or(0, |bucket| bucket.spend(octets, now));
        let (wait_ms, limit) = match by_octets > by_number {
            true => (by_octets, "publish_bytes_per_s"),
            false => (by_number, "publish_rate_per_s"),
        };
        if wait_ms == 0 {
            return true;
        }
        let excess_max_s = self.listeners.get(listener).map_or(0.0, |rules| rules.limits.publish_excess_max_s);
        let excess = rates.excess.get_or_insert(Excess { since: now, paused_ms: 0 });
        let elapsed_ms = now.since(excess.since);
        // At most a day, as Python checks.
        if elapsed_ms >= (excess_max_s.clamp(0.0, 86_400.0) * 1000.0) as u64 {
            // Half of the time: a client at its rate is paused now and then, one above it always.
            if excess.paused_ms >= elapsed_ms / 2 && elapsed_ms > 0 {
                self.limit_met(key, "publish_excess_max_s", "disconnected", now, fx);
                self.close(key, ReasonCode::MessageRateTooHigh, "faster than its rates for too long", now, fx);
                return false;
            }
            *excess = Excess { since: now, paused_ms: 0 };
        }
        excess.paused_ms = excess.paused_ms.saturating_add(wait_ms);
        self.pause(key, (wait_ms, limit), now, fx);
        true
    }

    /// Others of its tenant may be those who are too fast: a client waits with them, and is not put out.
    #[cold]
    fn meter_tenant(&mut self, key: ConnectionKey, publish: &Publish<'_>, now: Time, fx: &mut Effects) {
        let octets = publish.payload.len() as u64 + publish.topic.len() as u64;
        let of_tenant = self.tenant_wait(key, octets, now);
        if of_tenant.0 > 0 {
            self.pause(key, of_tenant, now, fx);
        }
    }

    /// Reads nothing more of a client for as long as a limit has it wait.
    fn pause(&mut self, key: ConnectionKey, (wait_ms, limit): (u64, &'static str), now: Time, fx: &mut Effects) {
        let until = now.plus_ms(wait_ms);
        if let Some(connection) = self.connections.get_mut(key) {
            connection.paused_until = connection.paused_until.max(Some(until));
        }
        self.timers.set(until, super::Timer::Resume(key));
        self.limit_met(key, limit, "reading paused", now, fx);
    }

    /// The client may have at most our Receive Maximum under way [MQTT-3.3.4-7].
    /// A message of QoS 2 that came before takes no second place: it is returned as what it is.
    fn count_inbound(&mut self, key: ConnectionKey, publish: &Publish<'_>) -> Result<Option<Received>, Rejection> {
        let Some(id) = publish.packet_id else { return Ok(None) };
        let Some(open) = self.connections.get_mut(key).and_then(|c| c.open_mut()) else { return Ok(None) };
        let came_before = match publish.qos {
            QoS::ExactlyOnce => self.sessions.get(open.session).and_then(|session| session.received.get(&id.get())),
            _ => None,
        };
        if came_before.is_none() {
            if open.version.is_v5() && open.inbound_open >= open.inbound_maximum {
                return Err(fatal(ReasonCode::ReceiveMaximumExceeded, "more messages under way than Receive Maximum")
                    .by("receive_max"));
            }
            open.inbound_open = open.inbound_open.saturating_add(1);
        }
        Ok(came_before.cloned())
    }

    /// A QoS 2 message that was received before is acknowledged again, not delivered again
    /// [MQTT-4.3.3-10].
    fn acknowledge_again(&mut self, key: ConnectionKey, id: PacketId, before: &Received, now: Time, fx: &mut Effects) {
        match before {
            Received::Held => self.owe(key, OwedPacket::Pubrec(id, ReasonCode::Success, None), 0, false, now, fx),
            // The PUBREC that is owed on this connection answers both.
            Received::Pending(receipt) if receipt.owed.0 == key => {}
            // The first one came on a connection that is gone; what it waits for, this one does.
            Received::Pending(_) => {
                if let Some((session, _)) = self.speaker(key) {
                    self.owe_receipt(key, session, id, ReasonCode::Success);
                }
            }
        }
    }

    /// The whole Topic Name, from the packet or from its alias (3.3.2.3.4): below the root of the client's
    /// tenant, if it has one.
    fn resolve_topic(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'_>,
        alias: Option<u16>,
        resolved: &mut String,
    ) -> Result<(), Rejection> {
        let Some(open) = self.connections.get_mut(key).and_then(|c| c.open_mut()) else { return Ok(()) };
        if let Some(tenant) = open.grants.tenant() {
            resolved.push_str(tenant.root());
        }
        let Some(alias) = alias else {
            // The name itself has to be one: what stands behind a root need not be.
            TopicName::parse(publish.topic)
                .map_err(|_| fatal(ReasonCode::TopicNameInvalid, "not a Topic Name [MQTT-3.3.2-2]"))?;
            resolved.push_str(publish.topic);
            return Ok(());
        };
        if !open.aliases_in.admits(alias) {
            return Err(fatal(ReasonCode::TopicAliasInvalid, "Topic Alias above our maximum [MQTT-3.3.2-9]")
                .by("topic_alias_max"));
        }
        if publish.topic.is_empty() {
            let topic = open
                .aliases_in
                .get(alias)
                .ok_or(fatal(ReasonCode::ProtocolError, "Topic Alias without a mapping [MQTT-3.3.2-12]"))?;
            resolved.push_str(topic);
        } else {
            TopicName::parse(publish.topic).map_err(|_| fatal(ReasonCode::TopicNameInvalid, "not a Topic Name"))?;
            open.aliases_in.set(alias, publish.topic);
            resolved.push_str(publish.topic);
        }
        Ok(())
    }

    fn admit(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'_>,
        topic: TopicName<'_>,
        properties: &PublishProperties<'_>,
        now: Time,
        fx: &mut Effects,
    ) {
        let mut speech = std::mem::take(&mut self.speech);
        if speech.publisher.is_none()
            && let Some(open) = self.connections.get(key).and_then(|c| c.open())
        {
            speech.publisher = Some(Arc::clone(&open.publisher));
            speech.admissions.begin(Arc::clone(&open.grants));
        }
        match speech.admissions.authorize(*publish, topic) {
            Ok(admitted) => {
                if let Some(decision) = speech.admissions.take_decision() {
                    self.observe_publish(key, publish, topic.as_str(), decision, now);
                    self.hold_to_staged(key, &admitted, &mut speech.admissions);
                }
                let (changed, stamp);
                let (properties, stamp) = match speech.admissions.held() {
                    Some(held) => {
                        changed = self.held_to(held, key, &admitted, &speech, properties, now, fx);
                        stamp = self.stamp(held, key, &speech, now);
                        (changed.as_ref(), &stamp[..])
                    }
                    None => (Some(properties), &[][..]),
                };
                if let (Some(publisher), Some(properties)) = (&speech.publisher, properties) {
                    self.admitted(key, &admitted, stamp, publisher, properties, now, fx);
                }
            }
            Err(Denied(decision)) => {
                self.counters().denied.add(1);
                self.observe_publish(key, publish, topic.as_str(), decision, now);
                let image = speech.admissions.grants().map(|grants| grants.image());
                let name = |rule| image.map(|image| image.rule_name(rule).to_owned());
                let shown = speech.admissions.grants().map_or(topic.as_str(), |grants| grants.shown(topic.as_str()));
                let what = What::Denied {
                    action: "publish",
                    topic: shown.to_owned(),
                    rule: decision.rule.and_then(name),
                    why: decision.why.as_str(),
                };
                self.tell(key, now, what, fx);
                const WHY: &str = "the policy does not permit publishing to this topic";
                self.deny(key, publish, ReasonCode::NotAuthorized, WHY, now, fx);
            }
        }
        self.speech = speech;
    }

    #[allow(clippy::too_many_arguments)]
    fn admitted(
        &mut self,
        key: ConnectionKey,
        publish: &Authorized<Publish<'_>>,
        stamp: &[u8],
        publisher: &Arc<Publisher>,
        properties: &PublishProperties<'_>,
        now: Time,
        fx: &mut Effects,
    ) {
        if publish.qos != QoS::AtMostOnce && !self.is_store_writable {
            self.reject(key, publish, &refusal(ReasonCode::QuotaExceeded, "the store is full"), now, fx);
            return;
        }
        let topic = TopicName::assume_parsed(publish.topic);
        // Of these topics the policy lets clients publish to none but that of commands.
        if topic.is_dollar() {
            self.on_command(key, publish, publisher, now, fx);
            return;
        }
        let mut scratch = Vec::new();
        let mut forwarded = forwardable(publish.properties, &mut scratch);
        if let Some(topic) = properties.response_topic {
            match self.rooted_properties(key, topic, forwarded) {
                Ok(None) => {}
                Ok(Some(rooted)) => {
                    scratch = rooted;
                    forwarded = &scratch;
                }
                Err(why) => {
                    self.reject(key, publish, &refusal(ReasonCode::TopicNameInvalid, why), now, fx);
                    return;
                }
            }
        }
        let stamped;
        if self.image.has_provenance() {
            stamped = provenance::stamped(forwarded, stamp);
            forwarded = &stamped;
        }
        let expires_at = properties.message_expiry_s.map(|s| now.plus_ms(u64::from(s) * 1000));
        let hash = topic_hash(topic.as_str());
        let mut out = Outgoing::borrowed(topic, hash, forwarded, publish, expires_at, publisher);
        self.distribute(key, publish, &mut out, now, fx);
    }

    /// Retained, routed, acknowledged: in that order.
    fn distribute(
        &mut self,
        key: ConnectionKey,
        admitted: &Authorized<Publish<'_>>,
        out: &mut Outgoing<'_>,
        now: Time,
        fx: &mut Effects,
    ) {
        let before = fx.mutations.len();
        if admitted.retain {
            if let Err(why) = self.retain(key, out, now, fx) {
                self.reject(key, admitted, &refusal(ReasonCode::QuotaExceeded, why), now, fx);
                return;
            }
            self.count_activity(key, |counts| more(&mut counts.retained, 1));
        }
        let Some(id) = admitted.packet_id else {
            self.route_publish(admitted, out, key, None, now, fx);
            return;
        };
        let Some(open) = self.connections.get_mut(key).and_then(|c| c.open_mut()) else { return };
        if admitted.qos == QoS::ExactlyOnce {
            let session_key = open.session;
            self.distribute_once((key, session_key), id, admitted, out, before, now, fx);
            return;
        }
        let version = open.version;
        // What it will be named if anybody confirms, which is never before this round is over.
        let owed = open.next_owed;
        let ack = AckRef::Owed { shard: self.shard, connection: key, owed, durability: self.durability_of(key) };
        let routed = self.route_publish(admitted, out, key, Some(ack), now, fx);
        let packet = OwedPacket::Puback(id, routed.reason(version), None);
        self.owe(key, packet, routed.waits, fx.mutations.len() > before, now, fx);
    }

    /// The policy says no. 3.1.1 has no code for it: close, or drop and acknowledge (3.3.5.2).
    pub(super) fn deny(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'_>,
        reason: ReasonCode,
        why: &'static str,
        now: Time,
        fx: &mut Effects,
    ) {
        let Some(connection) = self.connections.get(key) else { return };
        let is_v5 = connection.open().is_some_and(|open| open.version.is_v5());
        let rules = self.listeners.get(connection.peer.listener);
        let close = rules.is_none_or(|rules| rules.denied_publish_v3 == DeniedPublish::Close);
        if is_v5 {
            // At QoS 0 nothing can be answered but a DISCONNECT; the message is dropped.
            self.answer(key, publish, reason, why, now, fx);
        } else if close {
            self.close(key, reason, why, now, fx);
        } else {
            self.answer(key, publish, ReasonCode::Success, why, now, fx);
        }
    }

    pub(super) fn reject(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'_>,
        why: &Rejection,
        now: Time,
        fx: &mut Effects,
    ) {
        let is_v5 = self.connections.get(key).and_then(|c| c.open()).is_some_and(|open| open.version.is_v5());
        if let Some(limit) = why.limit {
            let effect = if why.fatal || !is_v5 { "disconnected" } else { "message refused" };
            self.limit_met(key, limit, effect, now, fx);
        }
        // 3.1.1 cannot say no to a message: only closing tells the client that it was not taken.
        if why.fatal || !is_v5 {
            self.close(key, why.reason, why.why, now, fx);
        } else {
            self.counters().publish_dropped.add(1);
            self.answer(key, publish, why.reason, why.why, now, fx);
        }
    }

    /// PUBACK or PUBREC with this Reason Code; at QoS 0 there is none.
    fn answer(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'_>,
        reason: ReasonCode,
        why: &'static str,
        now: Time,
        fx: &mut Effects,
    ) {
        let Some(id) = publish.packet_id else { return };
        let text = reason.is_error().then_some(why);
        let packet = match publish.qos {
            QoS::ExactlyOnce => OwedPacket::Pubrec(id, reason, text),
            _ => OwedPacket::Puback(id, reason, text),
        };
        self.owe(key, packet, 0, false, now, fx);
    }
}

/// The Topic Name and payload as far as limits and 3.3.2 go.
fn check_topic<'a>(
    text: &'a str,
    publish: &Publish<'_>,
    properties: &PublishProperties<'_>,
    (bytes_max, levels_max): (usize, usize),
) -> Result<TopicName<'a>, Rejection> {
    let topic =
        TopicName::parse(text).map_err(|_| fatal(ReasonCode::TopicNameInvalid, "not a Topic Name [MQTT-3.3.2-2]"))?;
    if text.len() > bytes_max {
        return Err(refusal(ReasonCode::TopicNameInvalid, "the Topic Name is longer than topic_bytes_max")
            .by("topic_bytes_max"));
    }
    if topic.level_count() > levels_max {
        return Err(refusal(ReasonCode::TopicNameInvalid, "the Topic Name has more levels than topic_levels_max")
            .by("topic_levels_max"));
    }
    if properties.payload_format_utf8 && std::str::from_utf8(publish.payload).is_err() {
        return Err(refusal(ReasonCode::PayloadFormatInvalid, "the payload is not the UTF-8 it says it is"));
    }
    Ok(topic)
}
