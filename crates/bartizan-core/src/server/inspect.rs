//! What a Session holds, what is retained, and what is subscribed to: looked up for whoever asks, a page at a time,
//! between messages.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Effects, Server};
use crate::durable::Mutation;
use crate::message::{Message, Time};
use crate::policy::scope;
use crate::session::{Session, Subscription, Will};
use crate::topic::{PageEnd, RetainedPage, TopicFilter, TopicName};
use crate::wire::Version;

/// Subscriptions of one Session that are told one by one.
pub const SUBSCRIPTIONS_MAX: usize = 10_000;

/// A Session, connected or away.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionDetail {
    /// The Client Identifier.
    pub client_id: Arc<str>,
    /// The tenant, where it is one's client.
    pub tenant: Option<Arc<str>>,
    /// The identity that it belongs to.
    pub identity: Arc<str>,
    /// Roles of the identity.
    pub roles: Vec<Arc<str>>,
    /// True while a connection is open.
    pub is_connected: bool,
    /// The protocol of its latest connection.
    pub version: Version,
    /// Session Expiry Interval, seconds.
    pub session_expiry_s: u32,
    /// When it ends, milliseconds since the Unix epoch, while nobody is connected.
    pub ends_at_ms: Option<u64>,
    /// Messages in its queue.
    pub queued: usize,
    /// Octets in its queue.
    pub queued_bytes: usize,
    /// Most messages its queue holds.
    pub queued_messages_max: usize,
    /// Most octets its queue holds.
    pub queued_bytes_max: usize,
    /// Messages sent and not yet acknowledged.
    pub inflight: usize,
    /// QoS 2 messages received and not yet released.
    pub received: usize,
    /// The Will: of the connection, or waiting for its delay.
    pub will: Option<WillDetail>,
    /// How many Subscriptions it has.
    pub subscription_count: usize,
    /// Its Subscriptions by filter, at most `SUBSCRIPTIONS_MAX`.
    pub subscriptions: Vec<SubscriptionDetail>,
}

/// One Subscription.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubscriptionDetail {
    /// The Topic Filter, of a Shared Subscription with its `$share/NAME/`.
    pub filter: Arc<str>,
    /// Maximum QoS.
    pub qos: u8,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling.
    pub retain_handling: u8,
    /// Its Subscription Identifier.
    pub id: Option<u32>,
    /// True where a rule that forbids overlaps it: each delivery is decided by itself.
    pub per_delivery: bool,
}

/// One Subscription, and whose it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldSubscription {
    /// The Client Identifier.
    pub client_id: Arc<str>,
    /// The tenant, where it is one's client.
    pub tenant: Option<Arc<str>>,
    /// The identity that its Session belongs to.
    pub identity: Arc<str>,
    /// True while a connection of it is open.
    pub is_connected: bool,
    /// What it is.
    #[serde(flatten)]
    pub subscription: SubscriptionDetail,
}

/// Which Subscriptions are looked for: all that fit everything that is set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sought {
    /// Those of this identity.
    pub identity: Option<String>,
    /// Those of this Client Identifier, whichever tenant has it.
    pub client_id: Option<String>,
    /// Those that a message with this Topic Name would match; of a tenant's clients with its root before it.
    pub topic: Option<String>,
}

/// A Will.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WillDetail {
    /// Will Topic.
    pub topic: String,
    /// Will QoS.
    pub qos: u8,
    /// Will Retain.
    pub retain: bool,
    /// Octets of its payload.
    pub payload_bytes: usize,
    /// Will Delay Interval, seconds.
    pub delay_s: u32,
    /// When it is published, milliseconds since the Unix epoch, once the connection has ended.
    pub due_ms: Option<u64>,
}

impl Server {
    /// The Session that is kept under this name, if it is at home here.
    #[must_use]
    pub fn session_of(&self, client_id: &str) -> Option<SessionDetail> {
        let session = self.sessions.get(*self.by_client_id.get(client_id)?)?;
        // One that has ended and still holds messages for others is no Session any more.
        if session.aside.has_ended {
            return None;
        }
        let (tenant, _) = scope::parts(&session.client_id);
        Some(SessionDetail {
            client_id: scope::known(&session.client_id),
            tenant: tenant.map(Arc::from),
            identity: Arc::clone(&session.principal.id),
            roles: session.principal.roles.clone(),
            is_connected: session.connection.is_some(),
            version: session.version,
            session_expiry_s: session.expiry_s,
            ends_at_ms: session.ends_at.map(|at| at.0),
            queued: session.queued(),
            queued_bytes: session.queued_bytes,
            queued_messages_max: session.queued_messages_max,
            queued_bytes_max: session.queued_bytes_max,
            inflight: session.inflight.len(),
            received: session.received.len(),
            will: self.will_of(session),
            subscription_count: session.subscriptions.len(),
            subscriptions: subscriptions_of(session),
        })
    }

    fn will_of(&self, session: &Session) -> Option<WillDetail> {
        let told = |will: &Will, due: Option<Time>| WillDetail {
            topic: will.message.topic().as_str().to_owned(),
            qos: will.message.qos as u8,
            retain: will.message.retain,
            payload_bytes: will.message.payload().len(),
            delay_s: will.delay_s,
            due_ms: due.map(|at| at.0),
        };
        let open =
            session.connection.and_then(|key| self.connections.get(key)).and_then(|connection| connection.open());
        let of_connection = open.and_then(|open| open.will.as_deref()).map(|will| told(will, None));
        of_connection.or_else(|| session.pending_will.as_ref().map(|pending| told(&pending.will, Some(pending.due))))
    }

    /// Retained Messages that a filter matches, in the order of their names.
    #[must_use]
    pub fn retained_page(
        &self,
        filter: &TopicFilter<'_>,
        page: RetainedPage<'_>,
        now: Time,
    ) -> (Vec<Arc<Message>>, PageEnd) {
        let mut found = Vec::new();
        let end = self.common.retained().store.collect_page(filter, page, &mut found);
        found.retain(|message| !message.is_expired(now));
        (found, end)
    }

    /// Removes those of one page; how many there were. Nobody is told: who subscribes from now on is not sent them.
    pub fn clear_retained_page(
        &self,
        filter: &TopicFilter<'_>,
        page: RetainedPage<'_>,
        fx: &mut Effects,
    ) -> (usize, PageEnd) {
        let mut found = Vec::new();
        let mut retained = self.common.retained_mut();
        let end = retained.store.collect_page(filter, page, &mut found);
        for message in &found {
            if let Some(old) = retained.store.remove(&message.topic()) {
                retained.release(&old);
            }
            fx.mutations.push(Mutation::RetainedDelete { topic: Arc::from(message.topic().as_str()) });
        }
        (found.len(), end)
    }

    /// Subscriptions of so many Sessions from a place in their order on; the next place, if there are more. Sessions that
    /// come and go meanwhile may be passed over, or met twice.
    #[must_use]
    pub fn subscriptions_page(
        &self,
        sought: &Sought,
        from: usize,
        sessions_max: usize,
    ) -> (Vec<HeldSubscription>, Option<usize>) {
        let topic = sought.topic.as_deref().map(TopicName::assume_parsed);
        let mut found = Vec::new();
        let mut seen = 0;
        for session in self.sessions.values().skip(from).take(sessions_max) {
            seen += 1;
            let (tenant, client_id) = scope::parts(&session.client_id);
            let is_sought = !session.aside.has_ended
                && sought.identity.as_ref().is_none_or(|identity| **identity == *session.principal.id)
                && sought.client_id.as_ref().is_none_or(|wanted| wanted == client_id);
            if !is_sought {
                continue;
            }
            let matching = session.subscriptions.iter().filter(|(full, subscription)| {
                topic.as_ref().is_none_or(|topic| subscription.filter(full).matches(topic))
            });
            found.extend(matching.map(|(full, subscription)| HeldSubscription {
                client_id: scope::known(&session.client_id),
                tenant: tenant.map(Arc::from),
                identity: Arc::clone(&session.principal.id),
                is_connected: session.connection.is_some(),
                subscription: detail_of(full, subscription),
            }));
        }
        (found, (seen == sessions_max).then_some(from + seen))
    }

    /// Topic Filters of Subscriptions below a prefix, of so many Sessions from a place in their order on; the next
    /// place, if there are more. Sessions that come and go meanwhile may be passed over, or met twice.
    #[must_use]
    pub fn filters_page(&self, prefix: &str, from: usize, sessions_max: usize) -> (Vec<Arc<str>>, Option<usize>) {
        let mut found = Vec::new();
        let mut seen = 0;
        for session in self.sessions.values().skip(from).take(sessions_max) {
            seen += 1;
            let below = session.subscriptions.iter().filter(|(full, subscription)| {
                subscription.filter(full).as_str().starts_with(prefix) && !session.aside.has_ended
            });
            found.extend(below.map(|(full, subscription)| match subscription.is_shared {
                true => Arc::from(subscription.filter(full).as_str()),
                false => Arc::clone(full),
            }));
        }
        (found, (seen == sessions_max).then_some(from + seen))
    }
}

fn subscriptions_of(session: &Session) -> Vec<SubscriptionDetail> {
    let mut all: Vec<_> = session.subscriptions.iter().collect();
    all.sort_by_key(|(one, _)| *one);
    all.into_iter().take(SUBSCRIPTIONS_MAX).map(|(filter, subscription)| detail_of(filter, subscription)).collect()
}

fn detail_of(filter: &Arc<str>, subscription: &Subscription) -> SubscriptionDetail {
    SubscriptionDetail {
        filter: Arc::clone(filter),
        qos: subscription.options.qos as u8,
        no_local: subscription.options.no_local,
        retain_as_published: subscription.options.retain_as_published,
        retain_handling: subscription.options.retain_handling,
        id: subscription.id.map(std::num::NonZeroU32::get),
        per_delivery: subscription.per_delivery,
    }
}
