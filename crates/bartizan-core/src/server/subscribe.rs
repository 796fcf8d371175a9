//! SUBSCRIBE and UNSUBSCRIBE (3.8, 3.10).

use std::num::NonZeroU32;
use std::sync::Arc;

use super::activity::more;
use super::route::{Part, Receiver};
use super::{Effects, Limits, Server};
use crate::durable::Mutation;
use crate::event::What;
use crate::message::Time;
use crate::session::owing::OwedPacket;
use crate::session::{ConnectionKey, SessionKey, Subscription};
use crate::topic::{TopicFilter, parse_subscription};
use crate::wire::{QoS, ReasonCode, Subscribe, SubscribeProperties, SubscriptionOptions, Unsubscribe};

/// What one filter of a SUBSCRIBE led to.
struct Granted {
    code: ReasonCode,
    /// True when Retained Messages are wanted (3.3.1.3).
    retained: bool,
    /// True when another shard, home of the group, must confirm.
    waits: bool,
}

impl Granted {
    const fn refused(code: ReasonCode) -> Granted {
        Granted { code, retained: false, waits: false }
    }
}

impl Server {
    pub(crate) fn on_subscribe(&mut self, key: ConnectionKey, subscribe: &Subscribe<'_>, now: Time, fx: &mut Effects) {
        let Some((session_key, _)) = self.speaker(key) else { return };
        let limits = self.limits_for(key);
        if let Err((reason, why)) = check_filters(subscribe) {
            self.counters().protocol_errors.add(1);
            self.close(key, reason, why, now, fx);
            return;
        }
        self.count_activity(key, |counts| more(&mut counts.subscribes, subscribe.filters().count()));
        let id = SubscribeProperties::read(subscribe.properties).subscription_identifier.and_then(NonZeroU32::new);
        // Owed before anything is done, so that a shard that confirms a group finds it.
        let Some(owed) = self.reserve_owed(key) else { return };
        let before = fx.mutations.len();
        let mut codes = Vec::new();
        let mut retained = Vec::new();
        let mut waits = 0;
        for (text, options) in subscribe.filters() {
            let whole = self.rooted_subscription(key, text);
            let text = whole.as_deref().unwrap_or(text);
            let granted = self.subscribe_one(key, session_key, text, options, id, owed, &limits, now, fx);
            codes.push(granted.code);
            waits += u32::from(granted.waits);
            if granted.retained && !retained.iter().any(|filter: &Arc<str>| **filter == *text) {
                retained.push(Arc::from(text));
            }
        }
        let denied = codes.contains(&ReasonCode::NotAuthorized);
        let why = denied.then_some("the policy does not permit a subscription that wide");
        let packet = OwedPacket::Suback(subscribe.packet_id, codes, why, retained);
        self.fill_owed(key, owed, packet, waits, fx.mutations.len() > before, now, fx);
    }

    /// Owes a packet that is not known yet; it waits until it is.
    fn reserve_owed(&mut self, key: ConnectionKey) -> Option<u64> {
        let open = self.connections.get_mut(key)?.open_mut()?;
        Some(open.owe(1, OwedPacket::Unknown))
    }

    #[allow(clippy::too_many_arguments)]
    fn fill_owed(
        &mut self,
        key: ConnectionKey,
        id: u64,
        packet: OwedPacket,
        waits: u32,
        after_commit: bool,
        now: Time,
        fx: &mut Effects,
    ) {
        let Some(open) = self.connections.get_mut(key).and_then(|c| c.open_mut()) else { return };
        open.fill_owed(id, waits + u32::from(after_commit), packet);
        if after_commit {
            fx.deferred.push(super::Deferred::Owed(key, id));
        }
        self.settle(key, now, fx);
    }

    #[allow(clippy::too_many_arguments)]
    fn subscribe_one(
        &mut self,
        key: ConnectionKey,
        session_key: SessionKey,
        text: &str,
        options: SubscriptionOptions,
        id: Option<NonZeroU32>,
        owed: u64,
        limits: &Limits,
        now: Time,
        fx: &mut Effects,
    ) -> Granted {
        let Ok((share, filter)) = parse_subscription(text) else {
            return Granted::refused(ReasonCode::TopicFilterInvalid);
        };
        if let Some(limit) = over_limit(&filter, limits) {
            self.limit_met(key, limit, "subscription refused", now, fx);
            return Granted::refused(ReasonCode::TopicFilterInvalid);
        }
        let Some(session) = self.sessions.get(session_key) else {
            return Granted::refused(ReasonCode::UnspecifiedError);
        };
        let is_new = !session.subscriptions.contains_key(text);
        if is_new && session.subscriptions.len() >= limits.subscriptions_per_session_max as usize {
            self.limit_met(key, "subscriptions_per_session_max", "subscription refused", now, fx);
            return Granted::refused(ReasonCode::QuotaExceeded);
        }
        let Some(per_delivery) = self.may_subscribe(key, session_key, &filter, now, fx) else {
            return Granted::refused(ReasonCode::NotAuthorized);
        };
        if session_is_stored(self, session_key) && !self.is_store_writable {
            return Granted::refused(ReasonCode::QuotaExceeded);
        }
        if is_new && !self.admit_subscription_to_tenant(session_key) {
            self.limit_met(key, "tenant_subscriptions_max", "subscription refused", now, fx);
            return Granted::refused(ReasonCode::QuotaExceeded);
        }
        let subscription = Subscription { is_shared: share.is_some(), per_delivery, options, id };
        let is_shared = subscription.is_shared;
        // Sessions with the same filter share its text.
        let known = if is_shared { None } else { self.index.text_of(&filter) };
        let text = known.unwrap_or_else(|| Arc::from(text));
        let waits = self.put_subscription(key, session_key, &text, subscription, owed, fx);
        Granted {
            code: match options.qos {
                QoS::AtMostOnce => ReasonCode::Success,
                QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
                QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
            },
            // Not for Shared Subscriptions (4.8.2); 1 asks for them only when it is new.
            retained: !is_shared && (options.retain_handling == 0 || (options.retain_handling == 1 && is_new)),
            waits,
        }
    }

    /// `None` when the policy refuses; else whether each delivery is decided by itself.
    fn may_subscribe(
        &mut self,
        key: ConnectionKey,
        session_key: SessionKey,
        filter: &TopicFilter<'_>,
        now: Time,
        fx: &mut Effects,
    ) -> Option<bool> {
        let decision = self.sessions.get(session_key)?.grants.subscribe(filter);
        let watched = self.observe_subscribe(session_key, filter, decision, now);
        if decision.allow {
            return Some(decision.per_delivery || watched);
        }
        self.count_activity(key, |counts| more(&mut counts.denied, 1));
        let grants = &self.sessions.get(session_key)?.grants;
        self.counters().denied.add(1);
        let what = What::Denied {
            action: "subscribe",
            topic: grants.shown(filter.as_str()).to_owned(),
            rule: decision.rule.map(|rule| grants.image().rule_name(rule).to_owned()),
            why: decision.why.as_str(),
        };
        self.tell(key, now, what, fx);
        None
    }

    /// Makes or replaces a Subscription. True when another shard will confirm it.
    fn put_subscription(
        &mut self,
        connection: ConnectionKey,
        key: SessionKey,
        text: &Arc<str>,
        subscription: Subscription,
        owed: u64,
        fx: &mut Effects,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        if session.stored {
            fx.mutations.push(Mutation::SubscriptionPut {
                client_id: Arc::clone(&session.client_id),
                filter: Arc::clone(text),
                options: subscription.options,
                subscription_id: subscription.id.map(NonZeroU32::get),
            });
        }
        let is_new = session.subscriptions.insert(Arc::clone(text), subscription.clone()).is_none();
        if is_new {
            self.counters().subscriptions.add(1);
        }
        let ack =
            super::AckRef::Owed { shard: self.shard, connection, owed, durability: self.durability_of(connection) };
        self.index_subscription(key, text, &subscription, is_new, Some(ack), fx)
    }

    /// Puts a Subscription where messages find it. True when another shard will confirm.
    pub(crate) fn index_subscription(
        &mut self,
        key: SessionKey,
        text: &Arc<str>,
        subscription: &Subscription,
        is_new: bool,
        ack: Option<super::AckRef>,
        fx: &mut Effects,
    ) -> bool {
        if subscription.is_shared {
            return self.join(key, text, ack, fx);
        }
        let filter = subscription.filter(text);
        let shared = || Arc::clone(text);
        self.index.insert_text(&filter, shared, Receiver::Session(key), part_of(subscription));
        if is_new && let Some(interest) = self.common.interest_of(self.shard) {
            interest.add(&filter);
        }
        false
    }

    pub(crate) fn on_unsubscribe(
        &mut self,
        key: ConnectionKey,
        unsubscribe: &Unsubscribe<'_>,
        now: Time,
        fx: &mut Effects,
    ) {
        let Some((session_key, _)) = self.speaker(key) else { return };
        if unsubscribe.filters().any(|text| parse_subscription(text).is_err()) {
            self.counters().protocol_errors.add(1);
            self.close(key, ReasonCode::TopicFilterInvalid, "not a Topic Filter [MQTT-4.7.1-1]", now, fx);
            return;
        }
        let Some(owed) = self.reserve_owed(key) else { return };
        let ack = super::AckRef::Owed { shard: self.shard, connection: key, owed, durability: self.durability_of(key) };
        let before = fx.mutations.len();
        let mut codes = Vec::new();
        let mut waits = 0;
        for text in unsubscribe.filters() {
            let whole = self.rooted_subscription(key, text);
            let text = whole.as_deref().unwrap_or(text);
            let removed = self.remove_subscription(session_key, text, Some(ack), fx);
            waits += u32::from(removed == Some(true));
            codes.push(removed.map_or(ReasonCode::NoSubscriptionExisted, |_| ReasonCode::Success));
        }
        let packet = OwedPacket::Unsuback(unsubscribe.packet_id, codes);
        self.fill_owed(key, owed, packet, waits, fx.mutations.len() > before, now, fx);
    }

    /// Ends a Subscription. `None` when there was none, else whether another shard will confirm.
    pub(crate) fn remove_subscription(
        &mut self,
        key: SessionKey,
        text: &str,
        ack: Option<super::AckRef>,
        fx: &mut Effects,
    ) -> Option<bool> {
        let session = self.sessions.get_mut(key)?;
        let (text, subscription) = session.subscriptions.remove_entry(text)?;
        if session.stored {
            fx.mutations.push(Mutation::SubscriptionDelete {
                client_id: Arc::clone(&session.client_id),
                filter: Arc::clone(&text),
            });
        }
        self.common.release_tenants_subscription(&session.client_id);
        self.counters().subscriptions.sub(1);
        if subscription.is_shared {
            return Some(self.leave(key, &text, ack, fx));
        }
        let filter = subscription.filter(&text);
        self.index.remove(&filter, Receiver::Session(key));
        if let Some(interest) = self.common.interest_of(self.shard) {
            interest.remove(&filter);
        }
        Some(false)
    }

    /// The limits of a connection: its listener's, as its roles change them.
    pub(crate) fn limits_for(&self, key: ConnectionKey) -> Limits {
        let Some(connection) = self.connections.get(key) else { return Limits::default() };
        let limits = self.limits_of(connection.peer.listener);
        let Some(open) = connection.open() else { return (*limits).clone() };
        self.throttled(limits.for_roles(open.grants.limits()), &open.principal.id)
    }
}

fn session_is_stored(server: &Server, key: SessionKey) -> bool {
    server.sessions.get(key).is_some_and(|session| session.stored)
}

pub(crate) fn part_of(subscription: &Subscription) -> Part {
    Part {
        qos: subscription.options.qos,
        no_local: subscription.options.no_local,
        retain_as_published: subscription.options.retain_as_published,
        id: subscription.id,
        per_delivery: subscription.per_delivery,
    }
}

/// The limit that a filter does not keep.
fn over_limit(filter: &TopicFilter<'_>, limits: &Limits) -> Option<&'static str> {
    if filter.as_str().len() > limits.topic_bytes_max as usize {
        return Some("topic_bytes_max");
    }
    (filter.level_count() > limits.topic_levels_max as usize).then_some("topic_levels_max")
}

/// What ends the connection before any filter is acted on.
fn check_filters(subscribe: &Subscribe<'_>) -> Result<(), (ReasonCode, &'static str)> {
    for (text, options) in subscribe.filters() {
        let Ok((share, _)) = parse_subscription(text) else {
            return Err((ReasonCode::TopicFilterInvalid, "not a Topic Filter [MQTT-4.7.1-1] [MQTT-4.8.2-1]"));
        };
        if share.is_some() && options.no_local {
            return Err((ReasonCode::ProtocolError, "No Local on a Shared Subscription [MQTT-3.8.3-4]"));
        }
    }
    Ok(())
}
