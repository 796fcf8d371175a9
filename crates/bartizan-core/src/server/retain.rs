//! Retained Messages (3.3.1.3): set, and sent to new Subscriptions.
//!
//! A retained PUBLISH is set before it is routed, and read after the Subscription is in the
//! index: a new subscriber may see the newest value twice, never an old one after a new one.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::deliver::Delivery;
use super::route::Outgoing;
use super::{Effects, Server};
use crate::durable::Mutation;
use crate::event::{Event, Subject, What};
use crate::message::{Message, Publisher, Time};
use crate::policy::{Asked, Grants, Tenant, scope};
use crate::session::session::{Backlogged, RetainedDue};
use crate::session::{ConnectionKey, Principal, SessionKey};
use crate::topic::{PageEnd, RetainedPage, TopicName};
use crate::wire::QoS;

/// Most Retained Messages copied under one lock.
const PAGE: usize = 1024;
/// Publishers whose grants are remembered.
const PUBLISHERS_MAX: usize = 16_384;

impl Server {
    /// Sets, replaces or removes the Retained Message of a topic [MQTT-3.3.1-5] [MQTT-3.3.1-6].
    pub(crate) fn retain(
        &mut self,
        key: ConnectionKey,
        out: &mut Outgoing<'_>,
        now: Time,
        fx: &mut Effects,
    ) -> Result<(), &'static str> {
        if !self.is_store_writable {
            return Err("the store is full");
        }
        let limits = self.limits_for(key);
        self.retain_within(out, &limits, fx).map_err(|limit| {
            self.limit_met(key, limit, "message refused", now, fx);
            "a limit on Retained Messages is met"
        })
    }

    /// Sets the Retained Message of a topic, or says which limit forbids it.
    pub(crate) fn retain_within(
        &self,
        out: &mut Outgoing<'_>,
        limits: &super::Limits,
        fx: &mut Effects,
    ) -> Result<(), &'static str> {
        let mut retained = self.common.retained_mut();
        if out.payload.is_empty() {
            if let Some(old) = retained.store.remove(&out.topic) {
                retained.release(&old);
                fx.mutations.push(Mutation::RetainedDelete { topic: Arc::from(out.topic.as_str()) });
            }
            return Ok(());
        }
        let message = out.message();
        let of_tenant = scope::tenant(&message.publisher.client_id).and_then(|name| self.image.tenant(name));
        if let Some(limit) = retained.over_limit(&message, limits, of_tenant) {
            return Err(limit);
        }
        retained.charge(&message);
        let weight = u32::try_from(message.weight_bytes()).unwrap_or(u32::MAX);
        if let Some(old) = retained.store.set(&out.topic, Arc::clone(&message), weight) {
            retained.release(&old);
        }
        fx.mutations.push(Mutation::RetainedPut { message });
        Ok(())
    }

    /// Submits a batch so that what it says of Retained Messages is what is retained now. Another
    /// shard may have set the same topic since: whichever batch is later in the log then says the
    /// same, and a restart finds what was last seen.
    pub fn submit<T>(&self, mut batch: Vec<Mutation>, submit: impl FnOnce(Vec<Mutation>) -> T) -> T {
        let is_retained =
            |change: &Mutation| matches!(change, Mutation::RetainedPut { .. } | Mutation::RetainedDelete { .. });
        if self.common.shards() == 1 || !batch.iter().any(is_retained) {
            return submit(batch);
        }
        // Held until the batch is in the log's order: nobody sets anything meanwhile.
        let retained = self.common.retained();
        for change in &mut batch {
            let topic: Arc<str> = match change {
                Mutation::RetainedPut { message } => Arc::from(message.topic().as_str()),
                Mutation::RetainedDelete { topic } => Arc::clone(topic),
                _ => continue,
            };
            let current = TopicName::parse(&topic).ok().and_then(|name| retained.store.get(&name).cloned());
            *change = match current {
                Some(message) => Mutation::RetainedPut { message },
                None => Mutation::RetainedDelete { topic },
            };
        }
        submit(batch)
    }

    /// True while its publisher may publish a Retained Message: who lost that right, or is no
    /// identity any more, does not go on speaking through what was kept (I12).
    fn is_still_published(&mut self, message: &Message, now: Time, fx: &mut Effects) -> bool {
        let publisher = &message.publisher;
        if publisher.identity.is_empty() {
            return true; // the server's own, as those of $SYS
        }
        let grants = match self.publishers.get(publisher) {
            Some(grants) => Arc::clone(grants),
            None => self.grants_of(publisher),
        };
        let decision = grants.publish(&message.topic(), &Asked { retain: true, ..Asked::from(message) });
        if !decision.allow {
            self.counters().denied.add(1);
            let subject = Subject::of_client(&publisher.identity, &publisher.client_id);
            let what = What::Denied {
                action: "publish",
                topic: grants.shown(message.topic().as_str()).to_owned(),
                rule: decision.rule.map(|rule| grants.image().rule_name(rule).to_owned()),
                why: decision.why.as_str(),
            };
            fx.events.push(Event::new(now, subject, what));
        }
        decision.allow
    }

    /// What a publisher may do now, remembered until policy or identities change.
    pub(super) fn grants_of(&mut self, publisher: &Arc<Publisher>) -> Arc<Grants> {
        let anonymous = Principal::anonymous();
        let grants = match self.identities.get(&publisher.identity).cloned() {
            Some(principal) => self.bind(&principal, &publisher.client_id, None),
            None if publisher.identity == anonymous.id => self.bind(&anonymous, &publisher.client_id, None),
            None => Arc::new(self.image.no_grants()),
        };
        if self.publishers.len() >= PUBLISHERS_MAX {
            self.publishers.clear();
        }
        self.publishers.insert(Arc::clone(publisher), Arc::clone(&grants));
        grants
    }

    /// The Session's new Subscriptions get the Retained Messages that match.
    pub(crate) fn send_retained_for(&mut self, key: SessionKey, filters: Vec<Arc<str>>, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        for filter in filters {
            // Asked for again, they are sent again: from the beginning, and no longer from before.
            session.retained_due.retain(|due| due.filter != filter);
            session.retained_due.push_back(RetainedDue { filter, after: None });
        }
        self.pump(key, now, fx);
        // Mostly that was all.
        if let Some(session) = self.sessions.get_mut(key) {
            session.retained_due.rest();
            session.backlog.rest();
        }
    }

    /// Sends Retained Messages that wait for a new Subscription.
    pub(crate) fn pump_backlog(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        loop {
            let Some(session) = self.sessions.get(key) else { return };
            let (next, held_back) = (session.backlog.front().map(|next| next.qos), session.queued() > 0);
            if next.is_none() && session.retained_due.is_empty() {
                return;
            }
            let Some(connection) = session.connection.and_then(|key| self.connections.get(key)) else { return };
            let has_room = connection.open().is_some_and(|open| open.is_live)
                && connection.out.len() < self.out_buffer_bytes_max(connection.peer.listener) / 2;
            if !has_room || next.is_some_and(|qos| qos > QoS::AtMostOnce && (held_back || !self.window_is_open(key))) {
                return;
            }
            match self.sessions.get_mut(key).and_then(|session| session.backlog.held()?.pop_front()) {
                Some(next) => self.send_retained(key, &next, now, fx),
                None if self.turn_retained_page(key, now) => {}
                None => return,
            }
        }
    }

    fn send_retained(&mut self, key: SessionKey, next: &Backlogged, now: Time, fx: &mut Effects) {
        if next.message.is_expired(now) || !self.is_still_retained(&next.message) {
            return;
        }
        if !self.is_still_published(&next.message, now, fx) {
            return;
        }
        let message: Arc<Message> = Arc::clone(&next.message);
        let mut out = Outgoing::held(&message);
        if next.per_delivery && !self.may_receive(key, &out, now, fx) {
            return;
        }
        let ids: Box<[u32]> = next.subscription_id.into_iter().collect();
        // RETAIN is 1 on what a new Subscription brings [MQTT-3.3.1-8].
        let delivery = Delivery { qos: next.qos, retain: true, ids, group: None };
        self.frame.begin(true);
        self.deliver_one(key, delivery, &mut out, now, fx);
    }

    /// Copies the next page of Retained Messages that are due. False when none are.
    pub(crate) fn turn_retained_page(&mut self, key: SessionKey, now: Time) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let Some(due) = session.retained_due.held().and_then(std::collections::VecDeque::pop_front) else {
            return false;
        };
        // An ended Subscription gets no more [MQTT-3.10.4-2].
        let Some(subscription) = session.subscriptions.get(&due.filter) else { return true };
        let (options, subscription_id, per_delivery) =
            (subscription.options, subscription.id.map(NonZeroU32::get), subscription.per_delivery);
        let mut found: Vec<Arc<Message>> = Vec::new();
        let page = RetainedPage { after: due.after.as_deref(), messages_max: PAGE, visits_max: 16 * PAGE };
        let end = self.common.retained().store.collect_page(&subscription.filter(&due.filter), page, &mut found);
        let client_id = &session.client_id;
        let wanted = found
            .into_iter()
            .filter(|message| !(options.no_local && message.publisher.client_id == *client_id))
            .filter(|message| !message.is_expired(now))
            .map(|message| Backlogged { qos: options.qos.min(message.qos), message, subscription_id, per_delivery });
        session.backlog.extend(wanted);
        if let PageEnd::More(name) = end {
            session.retained_due.push_front(RetainedDue { after: Some(name), ..due });
        }
        true
    }

    /// False when another message has taken its place since its page was copied: that one went
    /// to the Session when it came, and an old value never follows a new one.
    pub(crate) fn is_still_retained(&self, message: &Arc<Message>) -> bool {
        self.common.retained().store.get(&message.topic()).is_some_and(|kept| Arc::ptr_eq(kept, message))
    }
}

impl super::common::Retained {
    /// The limit that one more message of this publisher would break.
    fn over_limit(
        &self,
        message: &Message,
        limits: &super::Limits,
        tenant: Option<&Arc<Tenant>>,
    ) -> Option<&'static str> {
        let weight = message.weight_bytes() as u64;
        let replaced = self.store.get(&message.topic());
        let (old_all, old_own) = replaced.map_or((0, (0, 0)), |old| {
            let octets = old.weight_bytes() as u64;
            let own = old.publisher.identity == message.publisher.identity;
            (octets, if own { (1, octets) } else { (0, 0) })
        });
        let (count, octets) = self.by_identity.get(&message.publisher.identity).copied().unwrap_or_default();
        let all = self.store.len() as u64 + u64::from(replaced.is_none());
        let checks = [
            (all > limits.retained_messages_max, "retained_messages_max"),
            (
                self.store.bytes() - old_all.min(self.store.bytes()) + weight > limits.retained_bytes_max,
                "retained_bytes_max",
            ),
            (count - old_own.0 + 1 > limits.retained_messages_per_identity_max, "retained_messages_per_identity_max"),
            (octets - old_own.1 + weight > limits.retained_bytes_per_identity_max, "retained_bytes_per_identity_max"),
        ];
        let own = || checks.into_iter().find_map(|(over, limit)| over.then_some(limit));
        own().or_else(|| self.over_limit_of_tenant(message, replaced.map(|old| &**old), tenant?))
    }

    /// The limit of its publisher's tenant that one more message would break.
    fn over_limit_of_tenant(&self, message: &Message, old: Option<&Message>, tenant: &Tenant) -> Option<&'static str> {
        let name = tenant_key(message)?;
        let (count, octets) = self.by_identity.get(&*name).copied().unwrap_or_default();
        let old = old.filter(|old| tenant_key(old).as_ref() == Some(&name));
        let (old_count, old_octets) = old.map_or((0, 0), |old| (1, old.weight_bytes() as u64));
        let limits = &tenant.limits;
        let over = |sum: u64, most: Option<u64>| most.is_some_and(|most| sum > most);
        if over(count - old_count.min(count) + 1, limits.retained_messages_max) {
            return Some("tenant_retained_messages_max");
        }
        let sum = octets - old_octets.min(octets) + message.weight_bytes() as u64;
        over(sum, limits.retained_bytes_max).then_some("tenant_retained_bytes_max")
    }

    /// Counts a message against its publisher, and the tenant of that.
    pub(crate) fn charge(&mut self, message: &Message) {
        for whom in [Some(Arc::clone(&message.publisher.identity)), tenant_key(message)].into_iter().flatten() {
            let entry = self.by_identity.entry(whom).or_default();
            entry.0 += 1;
            entry.1 += message.weight_bytes() as u64;
        }
    }

    /// Counts a message no longer.
    pub(crate) fn release(&mut self, message: &Message) {
        for whom in [Some(Arc::clone(&message.publisher.identity)), tenant_key(message)].into_iter().flatten() {
            if let Some(entry) = self.by_identity.get_mut(&whom) {
                entry.0 = entry.0.saturating_sub(1);
                entry.1 = entry.1.saturating_sub(message.weight_bytes() as u64);
                if entry.0 == 0 {
                    self.by_identity.remove(&whom);
                }
            }
        }
    }
}

/// Under which name a message counts for its publisher's tenant: that of no identity.
fn tenant_key(message: &Message) -> Option<Arc<str>> {
    scope::tenant(&message.publisher.client_id).map(|tenant| Arc::from(scope::scoped(tenant, "")))
}
