//! Shared Subscriptions (4.8.2).
//!
//! A group lives on one shard, its home, found by hashing its full filter: there one member is
//! chosen for each message, connected ones first, in turn. A message for a member on another
//! shard goes there and comes back if the member is gone. When a member's connection ends, its
//! unacknowledged and unsent QoS 1 messages, and its unsent QoS 2 ones, go to another connected
//! member; QoS 2 messages that were sent wait for their own Session [MQTT-4.8.2-4].

use std::sync::Arc;

use super::deliver::Delivery;
use super::remote::{AckRef, Forward, Member};
use super::route::{Outgoing, Part, Receiver};
use super::{Effects, GroupKey, Server};
use crate::message::{Message, Time};
use crate::session::{InflightPhase, SessionKey, Subscription};
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
    pub(crate) fn join(
        &mut self,
        key: SessionKey,
        name: &Arc<str>,
        subscription: &Subscription,
        ack: Option<AckRef>,
        fx: &mut Effects,
    ) -> bool {
        let Some(session) = self.sessions.get(key) else { return false };
        let member = Member {
            shard: self.shard,
            session: key,
            is_online: session.connection.is_some(),
            is_stored: session.stored,
            options: subscription.options,
            id: subscription.id,
            per_delivery: subscription.per_delivery,
        };
        let home = self.home_of(name);
        if home == self.shard {
            self.admit_member(name, member);
            return false;
        }
        fx.forwards.push((home, Forward::Join { group: Arc::clone(name), member, ack }));
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

    /// A Session leaves a group.
    pub(crate) fn leave(&mut self, key: SessionKey, name: &Arc<str>, fx: &mut Effects) {
        let home = self.home_of(name);
        if home == self.shard {
            self.dismiss_member(name, self.shard, key);
        } else {
            fx.forwards.push((home, Forward::Leave { group: Arc::clone(name), shard: self.shard, session: key }));
        }
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
        let shared: Vec<(Arc<str>, Subscription)> = session
            .subscriptions
            .iter()
            .filter(|(_, subscription)| subscription.share.is_some())
            .map(|(name, subscription)| (Arc::clone(name), subscription.clone()))
            .collect();
        for (name, subscription) in shared {
            self.join(key, &name, &subscription, None, fx);
        }
    }

    /// Gives a message to one member of a group. Returns how many other shards will confirm;
    /// `None` when there is nobody to give it to.
    pub(crate) fn deliver_to_group(
        &mut self,
        key: GroupKey,
        out: &mut Outgoing<'_>,
        ack: Option<AckRef>,
        except: Option<(usize, SessionKey)>,
        now: Time,
        fx: &mut Effects,
    ) -> Option<u32> {
        let group = self.groups.get_mut(key)?;
        let member = group.choose(except, except.is_some())?;
        let name = Arc::clone(&group.name);
        if member.shard == self.shard {
            self.deliver_to_member(member.session, &name, &member, out, now, fx);
            return Some(0);
        }
        let forward = Forward::ToMember {
            session: member.session,
            group: name,
            options: member.options,
            id: member.id,
            per_delivery: member.per_delivery,
            message: out.message(),
            ack,
        };
        fx.forwards.push((member.shard, forward));
        Some(u32::from(ack.is_some()))
    }

    fn deliver_to_member(
        &mut self,
        session: SessionKey,
        group: &Arc<str>,
        member: &Member,
        out: &mut Outgoing<'_>,
        now: Time,
        fx: &mut Effects,
    ) {
        if member.per_delivery && !self.may_receive(session, out, now, fx) {
            return;
        }
        let delivery = Delivery {
            qos: member.options.qos.min(out.qos),
            retain: out.retain && member.options.retain_as_published,
            ids: member.id.into_iter().collect(),
            group: Some(Arc::clone(group)),
        };
        self.deliver_one(session, delivery, out, now, fx);
    }

    /// A message for a member here, chosen by its group's home.
    pub(crate) fn on_member_message(
        &mut self,
        member: &Member,
        group: Arc<str>,
        message: Arc<Message>,
        ack: Option<AckRef>,
        now: Time,
        fx: &mut Effects,
    ) {
        if !self.sessions.contains_key(member.session) {
            let home = self.home_of(&group);
            let qos = member.options.qos;
            let except = (self.shard, member.session);
            fx.forwards.push((home, Forward::ToGroup { group, message, qos, ack, except }));
            return;
        }
        let before = fx.mutations.len();
        self.frame.clear();
        let mut out = Outgoing::held(&message);
        self.deliver_to_member(member.session, &group, member, &mut out, now, fx);
        self.confirm(ack, fx.mutations.len() > before, fx);
    }

    /// A message that a member could not keep, at its group's home.
    pub(crate) fn on_group_message(
        &mut self,
        group: &Arc<str>,
        message: &Arc<Message>,
        ack: Option<AckRef>,
        except: (usize, SessionKey),
        now: Time,
        fx: &mut Effects,
    ) {
        let before = fx.mutations.len();
        let mut waits = 0;
        let mut taken = false;
        if let Some(key) = self.by_group.get(group).copied() {
            self.frame.clear();
            let mut out = Outgoing::held(message);
            let given = self.deliver_to_group(key, &mut out, ack, Some(except), now, fx);
            taken = given.is_some();
            waits = given.unwrap_or(0);
        }
        // A member on another shard confirms for itself; one here, with this round's batch.
        // Where nobody takes a handed message, its holder keeps it.
        let handed = matches!(ack, Some(AckRef::Handed { .. }));
        if waits == 0 && (taken || !handed) {
            self.confirm(ack, fx.mutations.len() > before, fx);
        }
    }

    /// A member's connection has ended: what it has not acknowledged goes to another one.
    pub(crate) fn hand_over(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let waiting = session
            .queue
            .iter()
            .filter_map(|queued| Some((queued.seq, Arc::clone(queued.group.as_ref()?), Arc::clone(&queued.message))));
        let mut due: Vec<(u64, Arc<str>, Arc<Message>)> = waiting.collect();
        due.extend(session.inflight.iter_mut().filter_map(|(_, slot)| {
            let unacknowledged = slot.qos == QoS::AtLeastOnce && slot.phase == InflightPhase::Publish;
            let message = slot.message.as_ref().filter(|_| unacknowledged)?;
            Some((slot.seq, Arc::clone(slot.group.as_ref()?), Arc::clone(message)))
        }));
        due.sort_by_key(|(seq, ..)| *seq);
        for (seq, group, message) in due {
            let ack = AckRef::Handed { shard: self.shard, session: key, seq };
            let except = (self.shard, key);
            let home = self.home_of(&group);
            if home == self.shard {
                self.on_group_message(&group, &message, Some(ack), except, now, fx);
            } else {
                let qos = message.qos;
                fx.forwards.push((home, Forward::ToGroup { group, message, qos, ack: Some(ack), except }));
            }
        }
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
        let id = session.inflight.iter_mut().find(|(_, slot)| slot.seq == seq && !slot.on_wire).map(|(id, _)| id);
        if let Some(id) = id {
            session.inflight.finish(id);
            self.forget_queued(key, seq, fx);
            self.proceed(key, now, fx);
        }
    }

    /// What another shard says.
    pub fn on_forward(&mut self, forward: Forward, now: Time, fx: &mut Effects) {
        match forward {
            Forward::Publish(message, ack) => self.on_forwarded(&message, ack, now, fx),
            Forward::ToMember { session, group, options, id, per_delivery, message, ack } => {
                let (shard, is_online, is_stored) = (self.shard, true, false);
                let member = Member { shard, session, is_online, is_stored, options, id, per_delivery };
                self.on_member_message(&member, group, message, ack, now, fx);
            }
            Forward::ToGroup { group, message, ack, except, .. } => {
                self.on_group_message(&group, &message, ack, except, now, fx);
            }
            Forward::Join { group, member, ack } => {
                self.admit_member(&group, member);
                self.confirm(ack, false, fx);
            }
            Forward::Leave { group, shard, session } => self.dismiss_member(&group, shard, session),
            Forward::Confirm(ack) => self.on_confirm(ack, now, fx),
            Forward::Adopt(adoption) => {
                self.adopt(*adoption, now, fx);
            }
        }
    }
}

/// A group's entry in the index says nothing itself: its members do.
const fn no_part() -> Part {
    Part { qos: QoS::ExactlyOnce, no_local: false, retain_as_published: true, id: None, per_delivery: false }
}
