//! What the store gives back at start: Sessions, Subscriptions, queues, Retained Messages, Wills.
//!
//! Each shard is handed what is at home on it. Everything is decided again under the policy of
//! now when its client comes back, and at the first `apply` after the start.

use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Effects, Server, Timer};
use crate::durable::{Loaded, SessionRecord};
use crate::message::{Message, Time};
use crate::policy::{Grants, Strength};
use crate::session::session::{Queued, Received};
use crate::session::{InflightPhase, PendingWill, Principal, Session, Slot, Subscription, Will};
use crate::topic::parse_subscription;
use crate::wire::{PacketId, SubscriptionOptions};

/// What core keeps in a `SessionRecord` beside its columns.
#[derive(Serialize, Deserialize)]
enum State {
    V1 { principal: Principal, will_expiry_s: Option<u32> },
}

/// The opaque part of a Session's record.
#[must_use]
pub fn state_of(principal: &Principal, will_expiry_s: Option<u32>) -> Vec<u8> {
    // Strings and numbers only: it cannot fail.
    serde_json::to_vec(&State::V1 { principal: principal.clone(), will_expiry_s }).unwrap_or_default()
}

/// Which shard a stored thing belongs to.
#[must_use]
pub fn home_of(loaded: &Loaded, shards: usize) -> usize {
    let client_id = match loaded {
        Loaded::Session(record) => &record.client_id,
        Loaded::Subscription { client_id, .. }
        | Loaded::Queued { client_id, .. }
        | Loaded::Waiting { client_id, .. }
        | Loaded::Received { client_id, .. }
        | Loaded::Will { client_id, .. } => client_id,
        // Retained Messages are shared: any shard may put them there.
        Loaded::Retained { .. } => return 0,
    };
    (crate::topic::topic_hash(client_id) % (shards.max(1) as u64)) as usize
}

impl Server {
    /// Takes back one stored thing. The policy must be in force already.
    pub fn restore(&mut self, loaded: Loaded, now: Time, fx: &mut Effects) {
        match loaded {
            Loaded::Session(record) => self.restore_session(record, now),
            Loaded::Subscription { client_id, filter, options, subscription_id } => {
                self.restore_subscription(&client_id, &filter, options, subscription_id, fx);
            }
            Loaded::Queued { client_id, seq, message, qos, retain, subscription_ids, packet_id, released } => {
                let queued = Queued { seq, message, qos, retain, subscription_ids, group: None };
                self.restore_queued(&client_id, queued, (packet_id, released), now, fx);
            }
            Loaded::Waiting { client_id, seq, weight_bytes } => {
                self.restore_waiting(&client_id, seq, weight_bytes as usize, now, fx);
            }
            Loaded::Received { client_id, packet_id } => {
                if let Some(session) = self.stored_session(&client_id) {
                    session.received.insert(packet_id.get(), Received::Held);
                }
            }
            Loaded::Retained { message } => {
                let weight = u32::try_from(message.weight_bytes()).unwrap_or(u32::MAX);
                let mut retained = self.common.retained_mut();
                retained.charge(&message);
                retained.store.set(&message.topic(), Arc::clone(&message), weight);
            }
            Loaded::Will { client_id, due, will, delay_s } => {
                self.restore_will(&client_id, due, will, delay_s, now);
            }
        }
    }

    fn stored_session(&mut self, client_id: &str) -> Option<&mut Session> {
        let key = *self.by_client_id.get(client_id)?;
        self.sessions.get_mut(key)
    }

    /// Who a stored Session acts for, what the policy of now grants to that one, and the Message
    /// Expiry Interval of its Will.
    fn restore_owner(&mut self, record: &SessionRecord) -> (Arc<Principal>, Arc<Grants>, Option<u32>) {
        let (principal, will_expiry_s) = match serde_json::from_slice::<State>(&record.state) {
            Ok(State::V1 { principal, will_expiry_s }) => (principal, will_expiry_s),
            // Without its state the Session still has its owner; it may do nothing until that
            // one comes back.
            Err(_) => {
                let unknown = Principal {
                    id: Arc::clone(&record.identity),
                    roles: Vec::new(),
                    attributes: Vec::new(),
                    method: Arc::from("unknown"),
                    managed: true,
                    strength: Strength::default(),
                    narrowed_to: None,
                };
                (unknown, None)
            }
        };
        let (principal, grants) = match self.identities.get(&principal.id).cloned() {
            Some(known) if principal.managed => {
                // A token narrows what its Session may still be sent, too.
                let known = match &principal.narrowed_to {
                    None => known,
                    Some(_) => Arc::new(principal.proved_as_before((*known).clone())),
                };
                let grants = self.bind(&known, &record.client_id, None);
                (known, grants)
            }
            // Nobody may act for an identity that is gone or disabled.
            None if principal.managed => (Arc::new(principal), Arc::new(self.image.no_grants())),
            _ => {
                let grants = self.bind(&principal, &record.client_id, None);
                (Arc::new(principal), grants)
            }
        };
        (principal, grants, will_expiry_s)
    }

    fn restore_session(&mut self, record: SessionRecord, now: Time) {
        let (principal, grants, will_expiry_s) = self.restore_owner(&record);
        let limits = self.limits_of(0).for_roles(grants.limits());
        // A connection that was open when the process died ends now.
        let ended = record.disconnected_at.unwrap_or(now);
        let ends_at = (record.session_expiry_s != crate::session::session::NEVER_EXPIRES)
            .then(|| ended.plus_ms(u64::from(record.session_expiry_s) * 1000));
        let key = self.sessions.insert(Session {
            version: record.version,
            expiry_s: record.session_expiry_s,
            stored: true,
            ends_at,
            will_expiry_s,
            queued_messages_max: limits.queued_messages_max as usize,
            queued_bytes_max: usize::try_from(limits.queued_bytes_max).unwrap_or(usize::MAX),
            ..Session::new(Arc::clone(&record.client_id), principal, grants)
        });
        self.by_client_id.insert(record.client_id, key);
        self.counters().sessions.add(1);
        if let Some(at) = ends_at {
            self.timers.set(at, Timer::SessionEnd(key));
        }
    }

    fn restore_subscription(
        &mut self,
        client_id: &str,
        text: &Arc<str>,
        options: SubscriptionOptions,
        id: Option<u32>,
        fx: &mut Effects,
    ) {
        let Some(key) = self.by_client_id.get(client_id).copied() else { return };
        let Ok((share, filter)) = parse_subscription(text) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        let decision = session.grants.subscribe(&filter);
        let subscription = Subscription {
            is_shared: share.is_some(),
            options,
            id: id.and_then(NonZeroU32::new),
            // Until it is decided, nothing goes through unexamined.
            per_delivery: decision.per_delivery || !decision.allow,
        };
        // Sessions with the same filter share its text.
        let known = if subscription.is_shared { None } else { self.index.text_of(&filter) };
        let text = &known.unwrap_or_else(|| Arc::clone(text));
        session.subscriptions.insert(Arc::clone(text), subscription.clone());
        self.count_restored_subscription(client_id);
        self.counters().subscriptions.add(1);
        self.index_subscription(key, text, &subscription, true, None, fx);
    }

    fn restore_queued(
        &mut self,
        client_id: &str,
        queued: Queued,
        (packet_id, released): (Option<PacketId>, bool),
        now: Time,
        fx: &mut Effects,
    ) {
        let Some(session) = self.stored_session(client_id) else { return };
        session.next_seq = session.next_seq.max(queued.seq + 1);
        match packet_id {
            None => self.restore_waiting(client_id, queued.seq, queued.message.weight_bytes(), now, fx),
            Some(id) => {
                let phase = if released { InflightPhase::Release } else { InflightPhase::Publish };
                let slot = Slot {
                    seq: queued.seq,
                    qos: queued.qos,
                    retain: queued.retain,
                    phase,
                    on_wire: false,
                    // It may have gone out: DUP says so, and is never wrong to say.
                    sent_before: true,
                    // The store has it until its client is back.
                    message: None,
                    subscription_ids: queued.subscription_ids,
                    group: None,
                };
                session.inflight.restore(id, slot);
            }
        }
    }

    /// A message that waits on the disk until its client is there.
    fn restore_waiting(&mut self, client_id: &str, seq: u64, weight_bytes: usize, now: Time, fx: &mut Effects) {
        let Some(key) = self.by_client_id.get(client_id).copied() else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.next_seq = session.next_seq.max(seq + 1);
        session.queued_bytes += weight_bytes;
        session.aside.push_back(seq, weight_bytes, None);
        self.counters().queued_messages.add(1);
        self.counters().queued_bytes.add(weight_bytes as u64);
        self.fetch_ahead(key, now, fx);
    }

    fn restore_will(&mut self, client_id: &str, due: Option<Time>, message: Arc<Message>, delay_s: u32, now: Time) {
        let Some(key) = self.by_client_id.get(client_id).copied() else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        // A client that was connected when the process died has lost its connection now.
        let due = due.unwrap_or_else(|| now.plus_ms(u64::from(delay_s) * 1000));
        let due = session.ends_at.map_or(due, |end| due.min(end));
        session.pending_will =
            Some(Box::new(PendingWill { will: Will { message, expiry_s: session.will_expiry_s, delay_s }, due }));
        self.timers.set(due, Timer::Will(key));
    }
}
