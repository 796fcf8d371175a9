//! Shared Subscriptions (4.8.2).
//!
//! A group lives on one shard, its home, found by hashing its full filter: there one member is
//! chosen for each message, connected ones first, in turn. A message for a member on another
//! shard goes there and comes back if the member is gone. When a member's connection ends, its
//! unacknowledged QoS 1 messages go to another connected member, while its QoS 2 messages wait
//! for their own Session [MQTT-4.8.2-4]. When its Session ends, so do those it was not sent.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::deliver::Delivery;
use super::remote::{AckRef, Forward, Member};
use super::route::{Outgoing, Part, Receiver};
use super::{Effects, GroupKey, Server};
use crate::message::{Message, Time};
use crate::session::{InflightPhase, SessionKey};
use crate::topic::{TopicFilterBuf, parse_subscription};
use crate::wire::QoS;

/// A Shared Subscription at home here.
#[derive(Debug)]
pub struct Group {
    /// Its full filter, `$share/...` included.
    pub name: Arc<str>,
    /// The inner filter, which is matched.
    pub filter: TopicFilterBuf,
    /// Its members.
    pub members: Vec<Member>,
    /// Whose turn it is.
    pub next: usize,
}

impl Group {
    /// The member whose turn it is: a connected one, else one whose Session is stored.
    fn choose(&mut self, except: Option<(usize, SessionKey)>, online_only: bool) -> Option<Member> {
        let count = self.members.len();
        for wants_online in [true, false] {
            if online_only && !wants_online {
                return None;
            }
            for step in 0..count {
                let at = (self.next + step) % count;
                let Some(member) = self.members.get(at) else { continue };
                let fits = if wants_online { member.is_online } else { member.is_stored };
                if fits && except != Some((member.shard, member.session)) {
                    self.next = (at + 1) % count;
                    return Some(member.clone());
                }
            }
        }
        None
    }
}

impl Server {
    /// A Session joins a group, or changes its options there. True when another shard confirms.
    pub(crate) fn join(&mut self, key: SessionKey, name: &Arc<str>, ack: Option<AckRef>, fx: &mut Effects) -> bool {
        let Some(session) = self.sessions.get(key) else { return false };
        let member = Member {
            shard: self.shard,
            session: key,
            is_online: session.connection.is_some(),
            is_stored: session.stored,
        };
        let home = self.home_of(name);
        if home == self.shard {
            self.admit_member(name, member);
            return false;
        }
        fx.forwards.push(home, Forward::Join { group: Arc::clone(name), member, ack });
        ack.is_some()
    }

    /// A member joins a group at home here.
    pub(crate) fn admit_member(&mut self, name: &Arc<str>, member: Member) {
        let key = match self.by_group.get(name) {
            Some(key) => *key,
            None => {
                let Ok((Some(_), filter)) = parse_subscription(name) else { return };
                let group = Group { name: Arc::clone(name), filter: filter.to_buf(), members: Vec::new(), next: 0 };
                let key = self.groups.insert(group);
                self.by_group.insert(Arc::clone(name), key);
                self.index.insert(&filter, Receiver::Group(key), no_part());
                if let Some(interest) = self.common.interest_of(self.shard) {
                    interest.add(&filter);
                }
                key
            }
        };
        let Some(group) = self.groups.get_mut(key) else { return };
        let same = group.members.iter_mut().find(|m| (m.shard, m.session) == (member.shard, member.session));
        match same {
            Some(present) => *present = member,
            None => {
                group.members.push(member);
                self.counters().shared_subscriptions.add(1);
            }
        }
    }

    /// A Session leaves a group. True when another shard confirms.
    pub(crate) fn leave(&mut self, key: SessionKey, name: &Arc<str>, ack: Option<AckRef>, fx: &mut Effects) -> bool {
        let home = self.home_of(name);
        if home == self.shard {
            self.dismiss_member(name, self.shard, key);
            return false;
        }
        fx.forwards.push(home, Forward::Leave { group: Arc::clone(name), shard: self.shard, session: key, ack });
        ack.is_some()
    }

    /// A member leaves a group at home here; the last one takes the group with it.
    pub(crate) fn dismiss_member(&mut self, name: &str, shard: usize, session: SessionKey) {
        let Some(key) = self.by_group.get(name).copied() else { return };
        let Some(group) = self.groups.get_mut(key) else { return };
        let before = group.members.len();
        group.members.retain(|member| (member.shard, member.session) != (shard, session));
        let left = before - group.members.len();
        let is_empty = group.members.is_empty();
        self.counters().shared_subscriptions.sub(left as u64);
        if is_empty && let Some(group) = self.groups.remove(key) {
            self.by_group.remove(name);
            let filter = group.filter.as_filter();
            self.index.remove(&filter, Receiver::Group(key));
            if let Some(interest) = self.common.interest_of(self.shard) {
                interest.remove(&filter);
            }
        }
    }

    /// Tells a Session's groups whether it is connected, and whether its Session is stored.
    pub(crate) fn tell_groups(&mut self, key: SessionKey, fx: &mut Effects) {
        let Some(session) = self.sessions.get(key) else { return };
        let shared: Vec<Arc<str>> = session
            .subscriptions
            .iter()
            .filter(|(_, subscription)| subscription.is_shared)
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in shared {
            self.join(key, &name, None, fx);
        }
    }

    /// Gives a message to one member of a group. Returns how many other shards will confirm.
    pub(crate) fn deliver_to_group(
        &mut self,
        key: GroupKey,
        out: &mut Outgoing<'_>,
        ack: Option<AckRef>,
        now: Time,
        fx: &mut Effects,
    ) -> u32 {
        let Some(group) = self.groups.get_mut(key) else { return 0 };
        let Some(member) = group.choose(None, false) else { return 0 };
        let name = Arc::clone(&group.name);
        if member.shard == self.shard {
            self.deliver_to_member(member.session, &name, out, now, fx);
            return 0;
        }
        fx.forwards.push(member.shard, to_member(&member, name, out.message(), ack));
        u32::from(ack.is_some())
    }

    /// Delivers by the Subscription as it is now. False when there is none: it has ended, or the
    /// policy has removed it, while the message was on its way.
    fn deliver_to_member(
        &mut self,
        session: SessionKey,
        group: &Arc<str>,
        out: &mut Outgoing<'_>,
        now: Time,
        fx: &mut Effects,
    ) -> bool {
        let subscription = self.sessions.get(session).and_then(|session| session.subscriptions.get(group));
        let Some(subscription) = subscription else { return false };
        let delivery = Delivery {
            qos: subscription.options.qos.min(out.qos),
            retain: out.retain && subscription.options.retain_as_published,
            ids: subscription.id.into_iter().map(NonZeroU32::get).collect(),
            group: Some(Arc::clone(group)),
        };
        if !subscription.per_delivery || self.may_receive(session, out, now, fx) {
            self.deliver_one(session, delivery, out, now, fx);
        }
        true
    }

    /// A message for a member here, chosen by its group's home.
    fn on_member_message(
        &mut self,
        (key, was_online): (SessionKey, bool),
        group: Arc<str>,
        message: Arc<Message>,
        ack: Option<AckRef>,
        now: Time,
        fx: &mut Effects,
    ) {
        let before = fx.mutations.len();
        let next = self.sessions.get(key).map_or(0, |session| session.next_seq);
        self.frame.begin(true);
        let mut out = Outgoing::held(&message);
        if !self.deliver_to_member(key, &group, &mut out, now, fx) {
            self.give_back(key, group, message, ack, now, fx);
            return;
        }
        self.confirm(ack, fx.mutations.len() > before, fx);
        // Its connection ended while the message was on its way: it goes after the others.
        let Some(session) = self.sessions.get(key).filter(|s| was_online && s.connection.is_none()) else { return };
        let qos_max = session.subscriptions.get(&group).map(|subscription| subscription.options.qos);
        if session.next_seq > next && qos_max.map(|most| most.min(message.qos)) == Some(QoS::AtLeastOnce) {
            let ack = AckRef::Handed { shard: self.shard, session: key, seq: next };
            self.give_back(key, group, message, Some(ack), now, fx);
        }
    }

    /// A member does not have, or need not have, a message: its group's home gives it to another.
    pub(crate) fn give_back(
        &mut self,
        key: SessionKey,
        group: Arc<str>,
        message: Arc<Message>,
        ack: Option<AckRef>,
        now: Time,
        fx: &mut Effects,
    ) {
        let except = (self.shard, key);
        let home = self.home_of(&group);
        if home == self.shard {
            self.on_group_message(&group, message, ack, except, now, fx);
        } else {
            fx.forwards.push(home, Forward::ToGroup { group, message, ack, except });
        }
    }

    /// A message that a member could not keep, at its group's home. Whoever takes it confirms.
    fn on_group_message(
        &mut self,
        group: &Arc<str>,
        message: Arc<Message>,
        ack: Option<AckRef>,
        except: (usize, SessionKey),
        now: Time,
        fx: &mut Effects,
    ) {
        // As long as a member holds it, only one that is connected is better off with it.
        let is_handed = matches!(ack, Some(AckRef::Handed { .. }));
        let group = self.by_group.get(group).and_then(|key| self.groups.get_mut(*key));
        let chosen = group.and_then(|group| Some((Arc::clone(&group.name), group.choose(Some(except), is_handed)?)));
        match chosen {
            Some((name, member)) if member.shard == self.shard => {
                let before = fx.mutations.len();
                self.frame.begin(true);
                self.deliver_to_member(member.session, &name, &mut Outgoing::held(&message), now, fx);
                self.confirm(ack, fx.mutations.len() > before, fx);
            }
            Some((name, member)) => fx.forwards.push(member.shard, to_member(&member, name, message, ack)),
            None if is_handed => {}
            None => self.confirm(ack, false, fx),
        }
    }

    /// A member's connection has ended, and its Session goes on: what is QoS 1 and not
    /// acknowledged goes to another one, which confirms. QoS 2 waits for this Session.
    pub(crate) fn hand_over(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        for (seq, group, message) in self.shared_due(key, false) {
            let ack = AckRef::Handed { shard: self.shard, session: key, seq };
            self.give_back(key, group, message, Some(ack), now, fx);
        }
    }

    /// A member's Session ends: what it leaves behind goes to another one, but for QoS 2 that it
    /// was sent [MQTT-4.8.2-5].
    pub(crate) fn hand_down(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        for (_, group, message) in self.shared_due(key, true) {
            self.give_back(key, group, message, None, now, fx);
        }
    }

    /// Messages of Shared Subscriptions that another member may have, in their order.
    fn shared_due(&mut self, key: SessionKey, with_unsent_qos2: bool) -> Vec<(u64, Arc<str>, Arc<Message>)> {
        let Some(session) = self.sessions.get_mut(key) else { return Vec::new() };
        let waiting = session.queue.iter().filter(|queued| with_unsent_qos2 || queued.qos == QoS::AtLeastOnce);
        let mut due: Vec<(u64, Arc<str>, Arc<Message>)> = waiting
            .filter_map(|queued| Some((queued.seq, Arc::clone(queued.group.as_ref()?), Arc::clone(&queued.message))))
            .collect();
        due.extend(session.inflight.iter_mut().filter_map(|(_, slot)| {
            let is_due = match slot.phase {
                InflightPhase::Publish => slot.qos == QoS::AtLeastOnce,
                InflightPhase::Assigned => with_unsent_qos2,
                _ => false,
            };
            let message = slot.message.as_ref().filter(|_| is_due)?;
            Some((slot.seq, Arc::clone(slot.group.as_ref()?), Arc::clone(message)))
        }));
        due.sort_by_key(|(seq, ..)| *seq);
        due
    }

    /// Another member has a message safe: this one need not keep it.
    pub(crate) fn handed_over(&mut self, key: SessionKey, seq: u64, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let in_queue = session.queue.iter().position(|queued| queued.seq == seq);
        if let Some(queued) = in_queue.and_then(|at| session.queue.remove(at)) {
            let weight = queued.message.weight_bytes();
            session.queued_bytes = session.queued_bytes.saturating_sub(weight);
            self.counters().queued_messages.sub(1);
            self.counters().queued_bytes.sub(weight as u64);
            self.forget_queued(key, seq, fx);
            return;
        }
        if let Some((weight, _)) = session.aside.held().and_then(|aside| aside.remove(seq)) {
            self.drop_aside(key, seq, weight, false, fx);
            return;
        }
        let id = session.inflight.iter_mut().find(|(_, slot)| slot.seq == seq && !slot.on_wire).map(|(id, _)| id);
        if let Some(id) = id {
            session.inflight.finish(id);
            self.forget_queued(key, seq, fx);
            self.proceed(key, now, fx);
        }
    }

    /// What another shard says. What is left of it is given back where something must be written
    /// before it is handled.
    #[must_use]
    pub fn on_forward(&mut self, forward: Forward, now: Time, fx: &mut Effects) -> Option<Forward> {
        match forward {
            Forward::Messages(shipment) => return self.on_shipment(shipment, now, fx).map(Forward::Messages),
            Forward::Publish(message, ack) => self.on_forwarded(&mut Outgoing::held(&message), ack, now, fx),
            Forward::ToMember { session, was_online, group, message, ack } => {
                self.on_member_message((session, was_online), group, message, ack, now, fx);
            }
            Forward::ToGroup { group, message, ack, except } => {
                self.on_group_message(&group, message, ack, except, now, fx);
            }
            Forward::Join { group, member, ack } => {
                self.admit_member(&group, member);
                self.confirm(ack, false, fx);
            }
            Forward::Leave { group, shard, session, ack } => {
                self.dismiss_member(&group, shard, session);
                self.confirm(ack, false, fx);
            }
            Forward::Confirm(acks) => self.on_confirm(acks, now, fx),
            Forward::Hold(client_id) => self.on_hold(&client_id, now),
            Forward::Adopt(adoption) => {
                self.adopt(*adoption, now, fx);
            }
        }
        None
    }
}

fn to_member(member: &Member, group: Arc<str>, message: Arc<Message>, ack: Option<AckRef>) -> Forward {
    Forward::ToMember { session: member.session, was_online: member.is_online, group, message, ack }
}

/// A group's entry in the index says nothing itself: its members do.
const fn no_part() -> Part {
    Part { qos: QoS::ExactlyOnce, no_local: false, retain_as_published: true, id: None, per_delivery: false }
}
