//! Who gets a message, here and on other shards.
//!
//! The receivers of a topic are computed once and cached until a Subscription of that topic
//! changes. Subscriptions of one Session that overlap are one receiver: the message is sent
//! once, with the highest QoS and every matching Subscription Identifier (3.3.4).

use std::num::NonZeroU32;
use std::sync::Arc;

use super::{AckRef, Acks, Deferred, Effects, Forward, Forwards, GroupKey, Server, Shipment};
use crate::durable::Durability;
use crate::message::{Message, Publisher, Time};
use crate::parcel::Carried;
use crate::policy::Authorized;
use crate::session::{ConnectionKey, SessionKey};
use crate::topic::{Lookup, Stamp, SubscriptionIndex, TopicName};
use crate::wire::encode::PublishHead;
use crate::wire::{QoS, ReasonCode, Version};

/// Who a filter leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Receiver {
    /// A Session.
    Session(SessionKey),
    /// A Shared Subscription, whose member is chosen at delivery (4.8.2).
    Group(GroupKey),
}

/// What one Subscription says about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Maximum QoS.
    pub qos: QoS,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Subscription Identifier.
    pub id: Option<NonZeroU32>,
    /// True when each delivery is decided by itself.
    pub per_delivery: bool,
}

/// The receivers of one topic on this shard.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Sessions, each with its matching Subscriptions.
    pub sessions: Vec<(SessionKey, Parts)>,
    /// Shared Subscriptions at home here.
    pub groups: Vec<GroupKey>,
}

/// The matching Subscriptions of one Session: one, nearly always.
#[derive(Clone, Debug)]
pub enum Parts {
    /// One.
    One(Part),
    /// Several.
    Many(Vec<Part>),
}

impl Parts {
    /// As a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[Part] {
        match self {
            Parts::One(part) => std::slice::from_ref(part),
            Parts::Many(parts) => parts,
        }
    }

    fn push(&mut self, part: Part) {
        match self {
            Parts::One(first) => *self = Parts::Many(vec![*first, part]),
            Parts::Many(parts) => parts.push(part),
        }
    }
}

/// A message on its way out: borrowed from a socket's buffer until somebody must hold it.
pub struct Outgoing<'a> {
    /// The Topic Name.
    pub topic: TopicName<'a>,
    /// Its hash.
    pub hash: u64,
    /// Forwarded properties, raw.
    pub properties: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// QoS it was published with.
    pub qos: QoS,
    /// RETAIN it was published with.
    pub retain: bool,
    /// When it ends.
    pub expires_at: Option<Time>,
    /// Who published it.
    pub publisher: &'a Arc<Publisher>,
    held: Option<Arc<Message>>,
}

impl<'a> Outgoing<'a> {
    /// A message that a client has just published.
    #[must_use]
    pub fn borrowed(
        topic: TopicName<'a>,
        hash: u64,
        properties: &'a [u8],
        publish: &Authorized<crate::wire::Publish<'a>>,
        expires_at: Option<Time>,
        publisher: &'a Arc<Publisher>,
    ) -> Outgoing<'a> {
        Outgoing {
            topic,
            hash,
            properties,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            expires_at,
            publisher,
            held: None,
        }
    }

    /// A message that somebody holds already.
    #[must_use]
    pub fn held(message: &'a Arc<Message>) -> Outgoing<'a> {
        Outgoing {
            topic: message.topic(),
            hash: message.hash,
            properties: message.properties(),
            payload: message.payload(),
            qos: message.qos,
            retain: message.retain,
            expires_at: message.expires_at,
            publisher: &message.publisher,
            held: Some(Arc::clone(message)),
        }
    }

    /// A message from another shard.
    #[must_use]
    pub fn carried(message: &Carried<'a>) -> Outgoing<'a> {
        let Carried { topic, hash, properties, payload, qos, retain, expires_at, publisher } = *message;
        Outgoing { topic, hash, properties, payload, qos, retain, expires_at, publisher, held: None }
    }

    /// The same message as something to be copied for another shard.
    fn to_carry(&self) -> Carried<'_> {
        let Outgoing { topic, hash, properties, payload, qos, retain, expires_at, publisher, .. } = *self;
        Carried { topic, hash, properties, payload, qos, retain, expires_at, publisher }
    }

    /// The message as something to hold: made at the first call, shared from then on.
    pub fn message(&mut self) -> Arc<Message> {
        let held = self.held.get_or_insert_with(|| {
            Arc::new(Message::new(
                &self.topic,
                self.properties,
                self.payload,
                self.qos,
                self.retain,
                self.expires_at,
                Arc::clone(self.publisher),
            ))
        });
        Arc::clone(held)
    }

    /// What is left of the Message Expiry Interval, seconds [MQTT-3.3.2-6]; `None` for no limit.
    #[must_use]
    pub fn expiry_s(&self, now: Time) -> Option<u32> {
        expiry_s(self.expires_at, now)
    }
}

/// What is left of an expiry at `now`, in whole seconds, rounded up.
#[must_use]
pub fn expiry_s(expires_at: Option<Time>, now: Time) -> Option<u32> {
    expires_at.map(|at| u32::try_from(at.since(now).div_ceil(1000)).unwrap_or(u32::MAX))
}

/// The last frame encoded, for the next receiver of the same shape. Valid for one message.
#[derive(Debug, Default)]
pub struct SharedFrame {
    octets: Vec<u8>,
    shape: Option<(Version, u16, bool)>,
    /// One receiver only: nothing is shared, so nothing is copied twice.
    is_sole: bool,
}

impl SharedFrame {
    /// Forgets the frame: another message follows, to one receiver or to several.
    pub fn begin(&mut self, is_sole: bool) {
        self.shape = None;
        self.is_sole = is_sole;
    }

    /// Appends the frame of this shape: QoS 0, no alias, no Subscription Identifier.
    /// `to`: the protocol, and how much of the Topic Name the receiver's tenant takes away.
    pub fn append(&mut self, out: &mut Vec<u8>, to: (Version, u16), head: &PublishHead<'_>, payload: &[u8]) {
        if self.is_sole {
            crate::wire::encode::publish(out, to.0, head, payload);
            return;
        }
        let shape = (to.0, to.1, head.retain);
        if self.shape != Some(shape) {
            self.octets.clear();
            crate::wire::encode::publish(&mut self.octets, to.0, head, payload);
            self.shape = Some(shape);
        }
        out.extend_from_slice(&self.octets);
    }
}

/// The way of the last message: the next one has the same, where topics come in runs.
#[derive(Debug, Default)]
pub(crate) struct LastRoute {
    pub(super) topic: String,
    stamp: Stamp,
    route: Option<Arc<Route>>,
    /// Messages in a row that found no route kept.
    unkept: u32,
    /// Where the way of a topic that does not recur is put together, again and again.
    fleeting: Fleeting,
}

/// A route for one message, and what it is made in.
#[derive(Debug, Default)]
struct Fleeting {
    matches: Vec<(Receiver, Part)>,
    route: Route,
}

impl LastRoute {
    /// How many messages in a row found no route kept.
    pub(crate) const fn unkept(&self) -> u32 {
        self.unkept
    }

    /// Takes the route out, if it is this topic's and nothing changed for it.
    fn take(&mut self, topic: &TopicName<'_>, index: &SubscriptionIndex<Receiver, Part>) -> Option<Arc<Route>> {
        if self.topic == topic.as_str() && index.holds(topic, &mut self.stamp) { self.route.take() } else { None }
    }

    /// Puts a new route in.
    fn put(&mut self, topic: &TopicName<'_>, stamp: Stamp, route: Arc<Route>) {
        if self.topic != topic.as_str() {
            self.topic.clear();
            self.topic.push_str(topic.as_str());
        }
        self.stamp = stamp;
        self.route = Some(route);
        self.unkept = 0;
    }
}

/// What routing a message led to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Routed {
    /// Shards that will confirm.
    pub waits: u32,
    /// False when certainly nobody subscribes.
    pub found: bool,
}

impl Routed {
    /// What a publisher is told: 5.0 has a word for "nobody subscribes" (3.4.2.1, 3.5.2.1).
    #[must_use]
    pub fn reason(&self, version: Version) -> ReasonCode {
        match self.found || !version.is_v5() {
            true => ReasonCode::Success,
            false => ReasonCode::NoMatchingSubscribers,
        }
    }
}

impl Server {
    /// Sends a PUBLISH that the policy admitted to whoever subscribes to it.
    pub(crate) fn route_publish(
        &mut self,
        proof: &Authorized<crate::wire::Publish<'_>>,
        out: &mut Outgoing<'_>,
        from: ConnectionKey,
        ack: Option<AckRef>,
        now: Time,
        fx: &mut Effects,
    ) -> Routed {
        let mut routed = self.route_remote(out, ack, fx, |shard, out, forwards| {
            if forwards.carry(shard, proof, &out.to_carry(), ack) {
                return true;
            }
            let message = proof.held(out.message());
            message.map(|message| forwards.push(shard, Forward::Publish(message, ack))).is_some()
        });
        let session = self.connections.get(from).and_then(|c| c.open()).map(|open| open.session);
        routed.waits += self.route_here(out, session, ack, now, fx, &mut routed.found);
        routed
    }

    /// Sends a held message that the policy admitted, or the server's own.
    pub(crate) fn route_message(&mut self, message: &Authorized<Arc<Message>>, now: Time, fx: &mut Effects) {
        let mut out = Outgoing::held(message);
        let mut routed = self.route_remote(&mut out, None, fx, |shard, _, forwards| {
            forwards.push(shard, Forward::Publish(message.clone(), None));
            true
        });
        let publisher = self.by_client_id.get(&message.publisher.client_id).copied();
        self.route_here(&mut out, publisher, None, now, fx, &mut routed.found);
    }

    /// Messages from another shard, where they were admitted. What is left of them is given back
    /// where something must be written before they go on.
    pub(crate) fn on_shipment(
        &mut self,
        mut shipment: Box<Shipment>,
        now: Time,
        fx: &mut Effects,
    ) -> Option<Box<Shipment>> {
        while let Some((message, ack)) = shipment.next() {
            self.on_forwarded(&mut Outgoing::carried(&message), ack, now, fx);
            if fx.is_urgent {
                return Some(shipment);
            }
        }
        None
    }

    /// A message from another shard.
    pub(crate) fn on_forwarded(&mut self, out: &mut Outgoing<'_>, ack: Option<AckRef>, now: Time, fx: &mut Effects) {
        let before = fx.mutations.len();
        self.pressure = super::pressure::Pressure::None;
        // Only a group has members elsewhere, who must have it safe too.
        let relayed = ack.filter(|_| !self.groups.is_empty());
        let durability = relayed.map_or_else(Durability::default, |ack| ack.durability());
        let relay = relayed.map(|ack| self.relays.insert(super::remote::Relay { ack, waits: 1 }));
        let via = relay.map(|relay| AckRef::Relayed { shard: self.shard, relay, durability }).or(ack);
        // Its publisher is at home elsewhere, so No Local cannot concern a Session here.
        let mut found = false;
        let waits = self.route_here(out, None, via, now, fx, &mut found);
        if let Some(relay) = relay.and_then(|relay| self.relays.get_mut(relay)) {
            relay.waits += waits;
        }
        self.confirm(via, fx.mutations.len() > before, fx);
        if self.pressure != super::pressure::Pressure::None {
            self.press_sender(out.publisher, now, fx);
        }
    }

    /// One of those that a relayed message went on to has it safe.
    pub(crate) fn relayed(&mut self, key: super::remote::RelayKey, fx: &mut Effects) {
        let Some(relay) = self.relays.get_mut(key) else { return };
        relay.waits = relay.waits.saturating_sub(1);
        if relay.waits == 0
            && let Some(relay) = self.relays.remove(key)
        {
            self.confirm(Some(relay.ack), false, fx);
        }
    }

    fn route_remote(
        &mut self,
        out: &mut Outgoing<'_>,
        ack: Option<AckRef>,
        fx: &mut Effects,
        send: impl Fn(usize, &mut Outgoing<'_>, &mut Forwards) -> bool,
    ) -> Routed {
        let mut routed = Routed::default();
        for shard in (0..self.common.shards()).filter(|shard| *shard != self.shard) {
            let interested =
                self.common.interest_of(shard).is_some_and(|interest| interest.may_match(&out.topic, out.hash));
            if interested && send(shard, out, &mut fx.forwards) {
                routed.waits += u32::from(ack.is_some());
                routed.found = true;
            }
        }
        routed
    }

    /// Delivers to the receivers on this shard. Returns how many other shards will confirm,
    /// which is only ever for members of Shared Subscriptions at home here.
    pub(super) fn route_here(
        &mut self,
        out: &mut Outgoing<'_>,
        from: Option<SessionKey>,
        ack: Option<AckRef>,
        now: Time,
        fx: &mut Effects,
        found: &mut bool,
    ) -> u32 {
        let topic = out.topic;
        if let Some(route) = self.last_route.take(&topic, &self.index) {
            let waits = self.send_along(&route, out, from, ack, now, fx, found);
            self.last_route.route = Some(route);
            return waits;
        }
        let route = match self.routes.find(&topic, out.hash, &self.index) {
            Lookup::Route(route) => route,
            Lookup::Recurring => {
                let route = Arc::new(self.last_route.fleeting.make(&self.index, &topic).clone());
                self.routes.keep(&topic, out.hash, self.index.stamp(&topic), Arc::clone(&route));
                route
            }
            Lookup::New => {
                self.last_route.unkept = self.last_route.unkept.saturating_add(1);
                // Not worth a copy: what it is made in serves the next one.
                let mut fleeting = std::mem::take(&mut self.last_route.fleeting);
                let waits = self.send_along(fleeting.make(&self.index, &topic), out, from, ack, now, fx, found);
                self.last_route.fleeting = fleeting;
                return waits;
            }
        };
        let waits = self.send_along(&route, out, from, ack, now, fx, found);
        self.last_route.put(&topic, self.index.stamp(&topic), route);
        waits
    }

    /// Delivers to the receivers of a route.
    #[allow(clippy::too_many_arguments)]
    fn send_along(
        &mut self,
        route: &Route,
        out: &mut Outgoing<'_>,
        from: Option<SessionKey>,
        ack: Option<AckRef>,
        now: Time,
        fx: &mut Effects,
        found: &mut bool,
    ) -> u32 {
        self.frame.begin(route.sessions.len() + route.groups.len() == 1);
        for (session, parts) in &route.sessions {
            *found = true;
            self.deliver(*session, parts.as_slice(), out, from == Some(*session), now, fx);
        }
        let mut waits = 0;
        for group in &route.groups {
            *found = true;
            waits += self.deliver_to_group(*group, out, ack, now, fx);
        }
        waits
    }

    /// Tells the shard that waits that its message is safe: at once, or once this round's
    /// batch is durable.
    pub(crate) fn confirm(&mut self, ack: Option<AckRef>, after_commit: bool, fx: &mut Effects) {
        let Some(ack) = ack else { return };
        if after_commit {
            let acks = Acks::from(ack);
            if let Some(Deferred::Confirm(last)) = fx.deferred.last_mut()
                && last.append(&acks)
            {
                return;
            }
            fx.deferred.push(Deferred::Confirm(acks));
        } else if let AckRef::Relayed { relay, shard, .. } = ack
            && shard == self.shard
        {
            self.relayed(relay, fx);
        } else {
            fx.forwards.confirm(ack.into());
        }
    }
}

impl Fleeting {
    /// The route of a topic as the index has it now.
    fn make(&mut self, index: &SubscriptionIndex<Receiver, Part>, topic: &TopicName<'_>) -> &Route {
        let Fleeting { matches, route } = self;
        matches.clear();
        route.sessions.clear();
        route.groups.clear();
        index.for_each_match(topic, &mut |receiver, part| matches.push((receiver, *part)));
        // Sessions in a fixed order, and the Subscriptions of one beside each other.
        matches.sort_by_key(|(receiver, part)| (*receiver, part.id));
        for (receiver, part) in matches.drain(..) {
            match receiver {
                Receiver::Group(group) => route.groups.push(group),
                Receiver::Session(session) => match route.sessions.last_mut() {
                    Some((last, parts)) if *last == session => parts.push(part),
                    _ => route.sessions.push((session, Parts::One(part))),
                },
            }
        }
        route
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_takes_20_octets_in_the_index_and_32_in_its_session() {
        assert_eq!((size_of::<Receiver>(), size_of::<Part>()), (12, 8));
        assert_eq!(size_of::<(Arc<str>, crate::session::Subscription)>(), 32);
    }
}
