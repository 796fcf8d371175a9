//! Decisions watched where they are really taken: a PUBLISH that is not the same as the one before, a SUBSCRIBE,
//! a delivery that is decided by itself, a Will. Where nothing is watched it costs one branch; what is watched is
//! in tables of `observations`, which are taken away every few seconds.
//!
//! A staged policy is asked beside the one in force, and decides nothing: what it would decide otherwise is noted.
//! What both ask of a message that their rules permit is compared in `observe_contract`, message by message.

use std::sync::Arc;

use slotmap::{Key, SparseSecondaryMap};

use super::activity::{Tally, more};
use super::carried::Count;
use super::contract::TopicRates;
use super::observations::{Action, DENIALS_MAX, Instance, Kind, LEARNED_MAX, Lost, Observations, Recent, Table, Uses};
use super::route::Outgoing;
use super::shared::{Shared, circumstances};
use super::{Effects, Server};
use crate::message::{Message, Time};
use crate::policy::{Asked, Decision, Grants, Image, OpenWindows, Schedule, Why, scope};
use crate::session::{ConnectionKey, Principal, SessionKey, Subscription};
use crate::topic::{TopicFilter, TopicName, topic_hash};
use crate::wire::{Publish, QoS};

const DAY_MS: u64 = 86_400_000;

/// What is watched.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Names of the listeners whose clients are learned from.
    pub learn: Vec<Arc<str>>,
    /// A policy that is asked beside the one in force.
    pub staged: Option<Staged>,
}

/// A policy that decides nothing yet.
#[derive(Clone, Debug)]
pub struct Staged {
    /// It.
    pub image: Arc<Image>,
    /// When its time windows are open.
    pub schedule: Arc<Schedule>,
}

/// One shard's view of its decisions.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    /// By listener: whether its clients are learned from.
    learns: Box<[bool]>,
    pub(super) staged: Option<Beside>,
    pub(super) recent: Recent,
    /// What identities do; none before somebody asks.
    pub(super) tally: Option<Box<Tally>>,
    /// How much topics carry; none while nobody asks.
    pub(super) carried: Option<Box<Count>>,
    uses: Uses,
    denials: Table,
    pub(super) differences: Table,
    learned: Table,
    /// The last day of which long-lived Subscriptions were noted.
    day: u64,
}

/// The staged policy, and what it would grant.
#[derive(Debug)]
pub(super) struct Beside {
    pub policy: Staged,
    windows: OpenWindows,
    shared: Shared,
    /// To those who were asked about; resolved when they are.
    pub grants: SparseSecondaryMap<SessionKey, Arc<Grants>>,
    /// What is left of the rates that its declarations have.
    pub rates: SparseSecondaryMap<SessionKey, TopicRates>,
}

/// Who asks.
pub(super) struct Asker {
    session: Option<SessionKey>,
    connection: Option<ConnectionKey>,
    pub principal: Arc<Principal>,
    pub client_id: Arc<str>,
    pub grants: Arc<Grants>,
}

impl Asker {
    /// One that has no Session yet.
    pub fn connecting(
        connection: ConnectionKey,
        principal: &Arc<Principal>,
        grants: &Arc<Grants>,
        client_id: &str,
    ) -> Asker {
        Asker {
            session: None,
            connection: Some(connection),
            principal: Arc::clone(principal),
            client_id: Arc::from(client_id),
            grants: Arc::clone(grants),
        }
    }
}

/// A decision and what it is about.
pub(super) struct Taken<'a> {
    pub action: Action,
    pub topic: &'a str,
    pub asked: Asked<'a>,
    /// Of a message: what a policy may ask something of.
    pub payload: Option<&'a [u8]>,
    pub decision: Decision,
}

impl<'a> Taken<'a> {
    fn will(will: &'a Message, topic: &'a str, decision: Decision) -> Taken<'a> {
        let (asked, payload) = (Asked::from(will), Some(will.payload()));
        Taken { action: Action::Will, topic, asked, payload, decision }
    }
}

impl Observer {
    fn learns_anywhere(&self) -> bool {
        self.learns.contains(&true)
    }

    /// Of what is allowed, nothing is noted but the rule.
    fn notes_uses_alone(&self) -> bool {
        self.staged.is_none() && !self.learns_anywhere()
    }
}

impl Beside {
    fn new(policy: Staged, now: Time) -> Beside {
        let windows = policy.schedule.at(now);
        let (grants, rates) = (SparseSecondaryMap::new(), SparseSecondaryMap::new());
        Beside { policy, windows, shared: Shared::default(), grants, rates }
    }

    /// Its time windows may have changed: then everything is resolved anew.
    fn look_at_windows(&mut self, now: Time) {
        let windows = self.policy.schedule.at(now);
        if windows != self.windows {
            self.windows = windows;
            self.grants.clear();
        }
    }
}

impl Server {
    /// Watches decisions from now on, or with `None` no more. Existing Subscriptions are looked at once.
    pub fn watch(&mut self, watch: Option<Watch>, now: Time, fx: &mut Effects) {
        let was_staged = self.observer.as_ref().is_some_and(|observer| observer.staged.is_some());
        let Some(watch) = watch else {
            self.observer = None;
            self.watch_deliveries(was_staged, now, fx);
            return;
        };
        let learns = self.listeners.iter().map(|rules| watch.learn.contains(&rules.name)).collect();
        let mut observer = self.observer.take().unwrap_or_default();
        observer.learns = learns;
        let is_staged = watch.staged.is_some();
        observer.staged = watch.staged.map(|staged| Beside::new(staged, now));
        // What was noted for one purpose is news for another.
        observer.recent.forget();
        observer.day = now.0 / DAY_MS;
        self.observer = Some(observer);
        self.watch_deliveries(was_staged || is_staged, now, fx);
        self.observe_subscriptions(now);
    }

    /// Whether deliveries are decided one by one hangs on the staged policy as well.
    fn watch_deliveries(&mut self, has_changed: bool, now: Time, fx: &mut Effects) {
        if has_changed {
            let sessions: Vec<SessionKey> = self.sessions.keys().collect();
            sessions.into_iter().for_each(|key| self.sweep_session(key, now, fx));
        }
    }

    /// What was observed since the last time; which rules were used only if that is asked for: it is the most.
    pub fn take_observations(&mut self, with_uses: bool, now: Time) -> Observations {
        let today = now.0 / DAY_MS;
        match &mut self.observer {
            Some(observer) if observer.day < today => {
                observer.day = today;
                self.observe_subscriptions(now);
            }
            Some(_) => {}
            None => return Observations::default(),
        }
        let Some(observer) = &mut self.observer else { return Observations::default() };
        observer.recent.forget();
        if let Some(beside) = &mut observer.staged {
            beside.look_at_windows(now);
            let sessions = &self.sessions;
            beside.grants.retain(|key, _| sessions.contains_key(key));
            beside.rates.retain(|key, _| sessions.contains_key(key));
        }
        let (uses, lost_uses) = if with_uses { observer.uses.take() } else { (Vec::new(), 0) };
        let (denials, lost_denials) = observer.denials.take();
        let (differences, lost_differences) = observer.differences.take();
        let (learned, lost_learned) = observer.learned.take();
        let lost =
            Lost { uses: lost_uses, denials: lost_denials, differences: lost_differences, learned: lost_learned };
        Observations { uses, denials, differences, learned, lost }
    }

    /// Notes what Subscriptions of connected clients rest on: they are decided once and last for months.
    fn observe_subscriptions(&mut self, now: Time) {
        let sessions: Vec<SessionKey> =
            self.sessions.iter().filter(|(_, session)| session.connection.is_some()).map(|(key, _)| key).collect();
        for key in sessions {
            let Some(session) = self.sessions.get(key) else { continue };
            let all: Vec<(Arc<str>, Subscription)> =
                session.subscriptions.iter().map(|(text, one)| (Arc::clone(text), one.clone())).collect();
            let grants = Arc::clone(&session.grants);
            for (text, subscription) in all {
                let filter = subscription.filter(&text);
                self.observe_subscribe(key, &filter, grants.subscribe(&filter), now);
            }
        }
    }

    /// The policy or the identities have changed: what was noted under the old ones is news again.
    pub(super) fn observe_anew(&mut self, now: Time) {
        let Some(observer) = &mut self.observer else { return };
        observer.recent.forget();
        if let Some(beside) = &mut observer.staged {
            beside.look_at_windows(now);
            beside.grants.clear();
        }
    }

    /// A Session acts as somebody else, or from elsewhere.
    pub(super) fn forget_staged(&mut self, key: SessionKey) {
        if let Some(beside) = self.observer.as_mut().and_then(|observer| observer.staged.as_mut()) {
            beside.grants.remove(key);
            beside.rates.remove(key);
        }
    }

    /// What the staged policy would grant to a Session; none where no policy is staged.
    pub(super) fn staged_grants(&mut self, key: SessionKey) -> Option<Arc<Grants>> {
        if let Some(known) = self.observer.as_ref()?.staged.as_ref()?.grants.get(key) {
            return Some(Arc::clone(known));
        }
        let asker = self.asker(key)?;
        self.staged_for(&asker)
    }

    #[inline]
    pub(super) fn observe_publish(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'_>,
        topic: &str,
        decision: Decision,
        now: Time,
    ) {
        if self.observer.is_some() {
            self.observe_watched(key, publish, topic, decision, now);
        }
    }

    /// By itself, so that it costs who is not watched nothing.
    #[inline(never)]
    fn observe_watched(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'_>,
        topic: &str,
        decision: Decision,
        now: Time,
    ) {
        let Some(observer) = &mut self.observer else { return };
        let (who, hash) = (key.data().as_ffi(), topic_hash(topic));
        if let Some(tally) = &mut observer.tally {
            tally.windows.decided(key, hash, decision.allow);
        }
        if decision.allow && observer.carried.is_some() {
            observer.count_carried(topic, publish.payload.len(), now);
        }
        let asked = Asked::plain(publish.qos, publish.retain, publish.payload.len());
        let bytes_count = observer.learns_anywhere();
        if decision.allow && !observer.recent.is_news(who, (Action::Publish, hash), &asked, bytes_count) {
            return;
        }
        let Some(open) = self.connections.get(key).and_then(|c| c.open()) else { return };
        if decision.allow
            && let Some(tally) = &mut observer.tally
        {
            let what = (Action::Publish, hash, open.grants.shown(topic));
            let by = (&**open.grants.image(), decision.rule);
            tally.news.note(&open.principal.id, &open.publisher.client_id, what, by, now);
        }
        if decision.allow && observer.notes_uses_alone() {
            if let Some(rule) = decision.rule {
                let who = (&open.principal.id, &open.publisher.client_id);
                observer.uses.note(who, open.grants.image(), rule, open.grants.shown(topic));
            }
            return;
        }
        let (session, asked) = (open.session, asked.with(publish.properties));
        let payload = Some(publish.payload);
        self.observe_session(session, &Taken { action: Action::Publish, topic, asked, payload, decision }, now);
    }

    /// True where the staged policy would decide each delivery by itself.
    pub(super) fn observe_subscribe(
        &mut self,
        key: SessionKey,
        filter: &TopicFilter<'_>,
        decision: Decision,
        now: Time,
    ) -> bool {
        if self.observer.is_none() {
            return false;
        }
        let asked = Asked::plain(QoS::AtMostOnce, false, 0);
        let taken = Taken { action: Action::Subscribe, topic: filter.as_str(), asked, payload: None, decision };
        self.observe_session(key, &taken, now).is_some_and(|staged| staged.per_delivery)
    }

    pub(super) fn observe_receive(&mut self, key: SessionKey, out: &Outgoing<'_>, decision: Decision, now: Time) {
        let Some(observer) = &mut self.observer else { return };
        let (topic, asked) = (out.topic.as_str(), Asked::plain(QoS::AtMostOnce, false, 0));
        let who = !key.data().as_ffi();
        if decision.allow && !observer.recent.is_news(who, (Action::Receive, topic_hash(topic)), &asked, false) {
            return;
        }
        self.observe_session(key, &Taken { action: Action::Receive, topic, asked, payload: None, decision }, now);
    }

    /// A Will that is left with CONNECT, before there is a Session.
    pub(super) fn observe_will(
        &mut self,
        (connection, principal, grants): (ConnectionKey, &Arc<Principal>, &Arc<Grants>),
        client_id: &str,
        will: &Message,
        decision: Decision,
        now: Time,
    ) {
        if self.observer.is_none() {
            return;
        }
        self.count_activity_of(&principal.id, |counts| counts.will(decision.allow));
        let asker = Asker::connecting(connection, principal, grants, client_id);
        self.observe_as(&asker, &Taken::will(will, will.topic().as_str(), decision), now);
    }

    /// A Will that is about to be published, and decided again.
    pub(super) fn observe_will_due(&mut self, key: SessionKey, will: &Message, grants: &Grants, now: Time) {
        let topic = will.topic();
        let decision = grants.will(&topic, &Asked::from(will));
        if let Some(identity) = self.sessions.get(key).map(|session| Arc::clone(&session.principal.id)) {
            self.count_activity_of(&identity, |counts| {
                counts.will(decision.allow);
                more(&mut counts.retained, usize::from(decision.allow && will.retain));
            });
        }
        self.observe_session(key, &Taken::will(will, topic.as_str(), decision), now);
    }

    pub(super) fn asker(&self, key: SessionKey) -> Option<Asker> {
        let session = self.sessions.get(key)?;
        Some(Asker {
            session: Some(key),
            connection: session.connection,
            principal: Arc::clone(&session.principal),
            client_id: Arc::clone(&session.client_id),
            grants: Arc::clone(&session.grants),
        })
    }

    #[cold]
    fn observe_session(&mut self, key: SessionKey, taken: &Taken<'_>, now: Time) -> Option<Decision> {
        let asker = self.asker(key)?;
        self.observe_as(&asker, taken, now)
    }

    /// Notes a decision. Gives back that of the staged policy.
    fn observe_as(&mut self, asker: &Asker, taken: &Taken<'_>, now: Time) -> Option<Decision> {
        let staged_grants = self.staged_for(asker);
        let asked = &taken.asked;
        let staged = staged_grants.as_ref().and_then(|grants| decide(grants, taken.action, taken.topic, asked));
        if let (Some(grants), Some(staged)) = (&staged_grants, staged) {
            self.compare(asker, taken, grants, staged, now);
        }
        let (at, listener) = self.listener_of(asker);
        let observer = self.observer.as_mut()?;
        let Decision { allow, rule, why, .. } = taken.decision;
        // As its client knows them: without its tenant's root and name.
        let (topic, client_id) = (asker.grants.shown(taken.topic), scope::known(&asker.client_id));
        if let Some(rule) = rule.filter(|_| allow || why == Why::Forbidden) {
            let who = (&asker.principal.id, &asker.client_id);
            observer.uses.note(who, asker.grants.image(), rule, topic);
        }
        if allow
            && matches!(taken.action, Action::Subscribe | Action::Will)
            && let Some(tally) = &mut observer.tally
        {
            let what = (taken.action, topic_hash(taken.topic), topic);
            tally.news.note(&asker.principal.id, &client_id, what, (asker.grants.image(), rule), now);
        }
        let learns = at.and_then(|at| observer.learns.get(at)).copied().unwrap_or_default();
        if allow && !learns {
            return staged;
        }
        if !allow {
            let by = rule.map(|rule| Arc::from(asker.grants.image().rule_name(rule)));
            self.note_denial(asker, (taken.action, taken.topic), asked, (by, why.as_str()), now);
        } else if taken.action != Action::Receive {
            let kind = Kind {
                identity: Arc::clone(&asker.principal.id),
                // Of clients that share an identity, each is its own teacher.
                client_id: Arc::clone(&client_id),
                action: taken.action,
                topic: Arc::from(topic),
                rule: None,
                staged_rule: None,
            };
            let (client_id, listener, why) = (&client_id, &listener, why.as_str());
            let seen = Instance { client_id, listener, why, staged_why: "", asked, now };
            observer.learned.note(LEARNED_MAX, kind, &seen);
        }
        staged
    }

    /// Notes what the policy in force refused, and by which of its rules, or which key of its contract.
    pub(super) fn note_denial(
        &mut self,
        asker: &Asker,
        (action, topic): (Action, &str),
        asked: &Asked<'_>,
        (rule, why): (Option<Arc<str>>, &'static str),
        now: Time,
    ) {
        let (_, listener) = self.listener_of(asker);
        let Some(observer) = &mut self.observer else { return };
        let (identity, topic) = (Arc::clone(&asker.principal.id), Arc::from(asker.grants.shown(topic)));
        let kind = Kind { identity, client_id: Arc::from(""), action, topic, rule, staged_rule: None };
        let (client_id, listener) = (&scope::known(&asker.client_id), &listener);
        observer.denials.note(DENIALS_MAX, kind, &Instance { client_id, listener, why, staged_why: "", asked, now });
    }

    /// Where its client came in, and the name of that; no name where nobody is connected.
    pub(super) fn listener_of(&self, asker: &Asker) -> (Option<usize>, Arc<str>) {
        let at = asker.connection.and_then(|key| self.connections.get(key)).map(|connection| connection.peer.listener);
        let rules = at.and_then(|at| self.listeners.get(at));
        (at, rules.map_or_else(|| Arc::from(""), |rules| Arc::clone(&rules.name)))
    }

    /// What the staged policy would grant.
    pub(super) fn staged_for(&mut self, asker: &Asker) -> Option<Arc<Grants>> {
        let beside = self.observer.as_mut()?.staged.as_mut()?;
        if let Some(known) = asker.session.and_then(|key| beside.grants.get(key)) {
            return Some(Arc::clone(known));
        }
        let peer = asker.connection.and_then(|key| self.connections.get(key)).map(|connection| &connection.peer);
        let circumstances = peer.map(|peer| circumstances(peer, &asker.principal, &self.listeners));
        let Beside { policy, windows, shared, grants, .. } = beside;
        let bound = shared.bind(&policy.image, windows, &asker.principal, &asker.client_id, circumstances);
        if let Some(key) = asker.session {
            grants.insert(key, Arc::clone(&bound));
        }
        Some(bound)
    }
}

/// The same asked of other grants. `None` where the topic is none, which the one in force has told already.
#[cold]
#[inline(never)]
pub(super) fn decide(grants: &Grants, action: Action, topic: &str, asked: &Asked<'_>) -> Option<Decision> {
    Some(match action {
        Action::Publish => grants.publish(&TopicName::parse(topic).ok()?, asked),
        Action::Will => grants.will(&TopicName::parse(topic).ok()?, asked),
        Action::Subscribe => grants.subscribe(&TopicFilter::parse(topic).ok()?),
        Action::Receive => grants.receive(&TopicName::parse(topic).ok()?),
    })
}
