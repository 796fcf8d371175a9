//! A policy or identity change, swept over live Sessions (I12): grants are resolved anew, what
//! is no longer covered is removed together with what is queued for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::roster::Roster;
use super::{Effects, Server, Timer};
use crate::event::{Event, Subject, What};
use crate::message::{Message, Time};
use crate::policy::{Image, OpenWindows, Schedule};
use crate::session::{Connection, ConnectionKey, InflightPhase, Principal, SessionKey};
use crate::wire::{QoS, ReasonCode};

const REVOKED: &str = "the certificate is revoked";

/// A policy and the identities it is about, to take effect together.
#[derive(Clone)]
pub struct Change {
    /// The compiled policy.
    pub image: Arc<Image>,
    /// Every identity that may connect.
    pub identities: Arc<Roster>,
    /// Fingerprints of revoked certificates: a connection that one of them opened ends.
    pub revoked: Arc<HashSet<String>>,
    /// When the policy's time windows are open.
    pub schedule: Arc<Schedule>,
    /// The epoch it opens.
    pub epoch: u64,
}

/// Revoked certificates: serial numbers by issuer, both as `PeerIdentity` has them.
pub type Revocations = HashMap<String, HashSet<String>>;

impl Server {
    /// Ends the connections of one listener whose certificates were revoked.
    pub fn end_revoked(&mut self, listener: usize, revoked: &Revocations, now: Time, fx: &mut Effects) {
        let is_revoked = |connection: &Connection| {
            let certificate = connection.peer.certificate.as_ref().filter(|_| connection.peer.listener == listener);
            certificate.is_some_and(|certificate| {
                revoked.get(&*certificate.issuer).is_some_and(|serials| serials.contains(&certificate.serial))
            })
        };
        let met: Vec<ConnectionKey> =
            self.connections.iter().filter(|(_, connection)| is_revoked(connection)).map(|(key, _)| key).collect();
        for key in met {
            self.cut_off(key, ReasonCode::NotAuthorized, REVOKED, now, fx);
        }
    }

    /// Puts a change into force on this shard.
    pub fn apply(&mut self, change: Change, now: Time, fx: &mut Effects) {
        self.image = change.image;
        self.identities = change.identities;
        self.epoch = change.epoch;
        self.schedule = change.schedule;
        self.windows = self.schedule.at(now);
        self.await_windows(now);
        self.publishers.clear();
        self.shared.forget_grants();
        self.observe_anew(now);
        let sessions: Vec<SessionKey> = self.sessions.keys().collect();
        for key in sessions {
            self.refresh(key, &change.revoked, now, fx);
        }
        self.decide_commands_again(now, fx);
        self.tell_applied(now, fx);
    }

    /// Policy and identities are in force: told once for all shards.
    pub(super) fn tell_applied(&self, now: Time, fx: &mut Effects) {
        if self.shard > 0 {
            return;
        }
        let what = What::PolicyApplied { epoch: self.epoch, digest: self.image.digest().to_owned() };
        fx.events.push(Event::new(now, Subject::default(), what));
    }

    /// A time window may have opened or closed: what hangs on it is decided again.
    pub(super) fn windows_due(&mut self, now: Time, fx: &mut Effects) {
        let windows = self.schedule.at(now);
        self.await_windows(now);
        if windows == self.windows {
            return;
        }
        self.tell_windows(&windows, now, fx);
        self.windows = windows;
        self.publishers.clear();
        self.shared.forget_grants();
        let sessions: Vec<(SessionKey, Arc<Principal>)> =
            self.sessions.iter().map(|(key, session)| (key, Arc::clone(&session.principal))).collect();
        for (key, principal) in sessions {
            // Whoever may not connect any more has no grants to resolve.
            if !principal.managed || self.identities.contains(&principal.id) {
                self.act_as(key, principal, now, fx);
            }
        }
        self.decide_commands_again(now, fx);
    }

    /// Which windows are open now that were not, and the other way round.
    fn tell_windows(&self, windows: &OpenWindows, now: Time, fx: &mut Effects) {
        // Once for all shards.
        if self.shard > 0 {
            return;
        }
        let is_open = |of: &OpenWindows, at: usize| of.0.get(at).copied().unwrap_or_default();
        let changed = |before: &OpenWindows, after: &OpenWindows| {
            let named = self.image.windows().enumerate();
            named
                .filter(|(at, _)| is_open(after, *at) && !is_open(before, *at))
                .map(|(_, name)| name.to_owned())
                .collect()
        };
        let (opened, closed) = (changed(&self.windows, windows), changed(windows, &self.windows));
        fx.events.push(Event::new(now, Subject::default(), What::WindowsChanged { opened, closed }));
    }

    fn await_windows(&mut self, now: Time) {
        if let Some(at) = self.schedule.next_after(now) {
            self.timers.set(at, Timer::Windows);
        }
    }

    /// The epoch in force.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A Session acts as its identity is known now, or not at all.
    pub(super) fn refresh(&mut self, key: SessionKey, revoked: &HashSet<String>, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get(key) else { return };
        let old = Arc::clone(&session.principal);
        let connection = session.connection;
        let known = self.identities.get(&old.id).cloned();
        let principal = match known {
            // How it was proved is the connection's; what it may do is the store's.
            Some(known) if old.managed => Arc::new(old.proved_as_before((*known).clone())),
            None if old.managed => {
                // First, so that its Will is decided by what it may do now: nothing.
                self.strip(key, now, fx);
                if let Some(connection) = connection {
                    self.close(connection, ReasonCode::NotAuthorized, "the identity is no longer enabled", now, fx);
                }
                return;
            }
            _ => old,
        };
        if let Some(connection) = connection.filter(|connection| self.is_revoked(*connection, revoked)) {
            self.cut_off(connection, ReasonCode::NotAuthorized, REVOKED, now, fx);
            if !self.sessions.contains_key(key) {
                return;
            }
        }
        let is_of_its_tenant =
            self.sessions.get(key).is_none_or(|session| self.is_of_its_tenant(&principal, &session.client_id));
        if !is_of_its_tenant {
            // Nothing of what it has is there where it belongs now.
            self.strip(key, now, fx);
            if let Some(connection) = connection {
                self.close(connection, ReasonCode::NotAuthorized, "the tenant of the identity has changed", now, fx);
            }
            self.end_session(key, now, fx);
            return;
        }
        self.act_as(key, principal, now, fx);
    }

    /// From now on a Session acts as this principal: what it may not have any more is removed.
    pub(crate) fn act_as(&mut self, key: SessionKey, principal: Arc<Principal>, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get(key) else { return };
        let (connection, client_id) = (session.connection, Arc::clone(&session.client_id));
        let grants = self.bind(&principal, &client_id, connection);
        self.forget_staged(key);
        if let Some(session) = self.sessions.get_mut(key) {
            session.principal = Arc::clone(&principal);
            session.grants = Arc::clone(&grants);
        }
        if let Some(open) = connection.and_then(|key| self.connections.get_mut(key)).and_then(|c| c.open_mut()) {
            if open.principal.roles != principal.roles {
                self.common.population().change(&open.principal.roles, &principal.roles);
            }
            open.principal = principal;
            open.root_len = grants.root_len();
            open.grants = grants;
            if let Some(rates) = &mut open.rates {
                // They are named by the policy's own numbers.
                rates.topics = Vec::new();
            }
        }
        self.sweep_session(key, now, fx);
    }

    fn is_revoked(&self, key: ConnectionKey, revoked: &HashSet<String>) -> bool {
        let certificate = self.connections.get(key).and_then(|connection| connection.peer.certificate.as_ref());
        certificate.is_some_and(|certificate| revoked.contains(&certificate.fingerprint_sha256))
    }

    /// An identity that may not connect: its Session keeps nothing that could be delivered.
    fn strip(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        let nobody = Arc::new(self.image.no_grants());
        if let Some(session) = self.sessions.get_mut(key) {
            session.grants = nobody;
        }
        self.sweep_session(key, now, fx);
    }

    /// Decides every Subscription of a Session again, and every message that waits for it.
    pub(crate) fn sweep_session(&mut self, key: SessionKey, now: Time, fx: &mut Effects) {
        let staged = self.staged_grants(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let mut lost: Vec<Arc<str>> = Vec::new();
        let mut changed: Vec<Arc<str>> = Vec::new();
        for (text, subscription) in session.subscriptions.iter_mut() {
            let filter = subscription.filter(text);
            let decision = session.grants.subscribe(&filter);
            // What a staged policy would decide per delivery is, so that it is seen.
            let per_delivery =
                decision.per_delivery || staged.as_ref().is_some_and(|staged| staged.subscribe(&filter).per_delivery);
            if !decision.allow {
                lost.push(Arc::clone(text));
            } else if per_delivery != subscription.per_delivery {
                subscription.per_delivery = per_delivery;
                changed.push(Arc::clone(text));
            }
        }
        for text in changed {
            let subscription = self.sessions.get(key).and_then(|session| session.subscriptions.get(&text)).cloned();
            if let Some(subscription) = subscription {
                self.index_subscription(key, &text, &subscription, false, None, fx);
            }
        }
        for text in &lost {
            self.remove_subscription(key, text, None, fx);
        }
        let dropped = self.purge(key, !lost.is_empty(), now, fx);
        match self.sessions.get_mut(key).filter(|session| !session.aside.is_empty() && !lost.is_empty()) {
            Some(session) => {
                session.aside.begin_sweep(session.next_seq, lost, dropped);
                self.fetch_ahead(key, now, fx);
            }
            None => self.report_lost(key, lost, dropped, now, fx),
        }
        if dropped > 0 {
            // What was dropped may have been all that held the window.
            self.proceed(key, now, fx);
        }
    }

    /// Drops queued messages that may not be received, or that no Subscription is left for. What
    /// came by a Shared Subscription goes to another member.
    fn purge(&mut self, key: SessionKey, check_subscriptions: bool, now: Time, fx: &mut Effects) -> u64 {
        let Some(session) = self.sessions.get_mut(key) else { return 0 };
        let (mut dropped, mut octets) = session.give_up_aside(check_subscriptions);
        let (grants, subscriptions) = (&session.grants, &session.subscriptions);
        let keeps = |message: &Message| {
            let topic = message.topic();
            grants.receive(&topic).allow
                && (!check_subscriptions || subscriptions.iter().any(|(full, s)| s.filter(full).matches(&topic)))
        };
        let mut shared: Vec<(Arc<str>, Arc<Message>)> = Vec::new();
        session.queue.retain(|queued| {
            let keep = keeps(&queued.message);
            if !keep {
                dropped.push(queued.seq);
                shared.extend(queued.group.clone().map(|group| (group, Arc::clone(&queued.message))));
                octets += queued.message.weight_bytes();
            }
            keep
        });
        session.backlog.retain(|next| keeps(&next.message));
        // What was sent already is out; what would be sent again, or waits for its commit, is not.
        let is_nothing_left = check_subscriptions && session.stored && subscriptions.is_empty();
        if check_subscriptions && session.stored && !is_nothing_left && session.inflight.has_bare() {
            session.aside.window_lost = true;
        }
        let resend: Vec<_> = session
            .inflight
            .iter_mut()
            .filter(|(_, slot)| !slot.on_wire || slot.phase == InflightPhase::Assigned)
            .filter(|(_, slot)| match &slot.message {
                Some(message) => !keeps(message),
                // What the disk alone has is decided when it comes back, if there is anything left for it.
                None => is_nothing_left && slot.is_bare(),
            })
            .map(|(id, _)| id)
            .collect();
        session.queued_bytes = session.queued_bytes.saturating_sub(octets);
        let queued = dropped.len() as u64;
        for slot in resend.into_iter().filter_map(|id| session.inflight.finish(id)) {
            let may_go_on = slot.qos == QoS::AtLeastOnce || slot.phase == InflightPhase::Assigned;
            dropped.push(slot.seq);
            shared.extend(slot.group.filter(|_| may_go_on).zip(slot.message));
        }
        session.rest();
        self.counters().queued_messages.sub(queued);
        self.counters().queued_bytes.sub(octets as u64);
        for seq in &dropped {
            self.forget_queued(key, *seq, fx);
        }
        for (group, message) in shared {
            self.give_back(key, group, message, None, now, fx);
        }
        dropped.len() as u64
    }

    pub(crate) fn report_lost(&self, key: SessionKey, lost: Vec<Arc<str>>, dropped: u64, now: Time, fx: &mut Effects) {
        let Some(session) = self.sessions.get(key) else { return };
        let subject = Subject::of_client(&session.principal.id, &session.client_id);
        let tenant = session.grants.tenant();
        for (at, filter) in lost.into_iter().enumerate() {
            let filter = tenant.map_or(filter.clone(), |tenant| Arc::from(tenant.seen_subscription(&filter)));
            let dropped_messages = if at == 0 { dropped } else { 0 };
            let what = What::SubscriptionRemoved { filter, dropped_messages };
            fx.events.push(Event::new(now, subject.clone(), what));
        }
    }
}
