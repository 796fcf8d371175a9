//! A staged policy's contract beside that of the one in force: a message that the rules of both permit, and that one
//! of them would refuse for its topic, its payload or its rate. Payloads differ, so each message is looked at; only
//! while a policy is staged that asks something, or the one in force does. And what the contract in force refuses, which
//! is noted beside what its rules deny.

use std::sync::Arc;

use slotmap::Key;

use super::Server;
use super::contract::rate_breach;
use super::observations::{Action, DIFFERENCES_MAX, Instance, Kind};
use super::observe::{Asker, Taken, decide};
use crate::message::{Message, Time};
use crate::policy::{Admissions, Asked, Breach, Decision, Duty, Grants, Image, StagedDuty, scope};
use crate::session::{ConnectionKey, SessionKey};
use crate::topic::{TopicName, topic_hash};
use crate::wire::Publish;

/// What comes of a request under one policy.
pub(super) struct Verdict {
    /// By its rules.
    decision: Decision,
    /// Where they permit it: what its contract refuses it for.
    refusal: Option<Breach>,
}

impl Verdict {
    /// A message with this payload is held to what its topic declares, but for the rate.
    pub(super) fn of(grants: &Grants, decision: Decision, topic: &str, payload: Option<&[u8]>) -> Verdict {
        let look = |payload| {
            let duty = grants.duty(&TopicName::parse(topic).ok()?)?;
            grants.image().breach(duty, payload).filter(Breach::refuses)
        };
        Verdict { decision, refusal: payload.filter(|_| decision.allow).and_then(look) }
    }

    pub(super) fn passes(&self) -> bool {
        self.decision.allow && self.refusal.is_none()
    }

    pub(super) fn why(&self) -> &'static str {
        self.refusal.as_ref().map_or(self.decision.why.as_str(), |breach| breach.broken.as_why())
    }

    /// The rule, or the key of the contract, by which it is so.
    pub(super) fn by(&self, image: &Image) -> Option<Arc<str>> {
        match &self.refusal {
            Some(breach) => Some(Arc::from(image.breached_key(breach))),
            None => self.decision.rule.map(|rule| Arc::from(image.rule_name(rule))),
        }
    }
}

impl Server {
    /// Compares what comes of a request under both policies.
    pub(super) fn compare(&mut self, asker: &Asker, taken: &Taken<'_>, grants: &Grants, staged: Decision, now: Time) {
        // Where the rules of both permit a PUBLISH each message is compared by itself, whatever was decided before.
        let is_compared = taken.action == Action::Publish && taken.decision.allow && staged.allow;
        let payload = taken.payload.filter(|_| !is_compared);
        let live = Verdict::of(&asker.grants, taken.decision, taken.topic, payload);
        let staged = Verdict::of(grants, staged, taken.topic, payload);
        if live.passes() != staged.passes() {
            self.note_difference(asker, taken, (&live, &asker.grants), (&staged, grants), now);
        }
    }

    /// Notes that one policy lets pass what the other does not.
    fn note_difference(
        &mut self,
        asker: &Asker,
        taken: &Taken<'_>,
        (live, grants): (&Verdict, &Grants),
        (staged, staged_grants): (&Verdict, &Grants),
        now: Time,
    ) {
        let (_, listener) = self.listener_of(asker);
        let Some(observer) = &mut self.observer else { return };
        let client_id = scope::known(&asker.client_id);
        let kind = Kind {
            identity: Arc::clone(&asker.principal.id),
            client_id: Arc::from(""),
            action: taken.action,
            topic: Arc::from(grants.shown(taken.topic)),
            rule: live.by(grants.image()),
            staged_rule: staged.by(staged_grants.image()),
        };
        let (client_id, listener, asked) = (&client_id, &listener, &taken.asked);
        let seen = Instance { client_id, listener, why: live.why(), staged_why: staged.why(), asked, now };
        observer.differences.note(DIFFERENCES_MAX, kind, &seen);
    }

    /// Has messages to a topic that was just decided looked at by the staged policy as well, if one is staged.
    #[inline]
    pub(super) fn hold_to_staged(&mut self, key: ConnectionKey, admitted: &Publish<'_>, admissions: &mut Admissions) {
        if self.observer.as_ref().is_some_and(|observer| observer.staged.is_some())
            && let Some(duty) = self.staged_duty(key, admitted, admissions)
        {
            admissions.hold_to_staged(duty);
        }
    }

    /// What the staged policy would refuse messages for, where its rules permit them; `None` where neither policy can.
    #[cold]
    fn staged_duty(
        &mut self,
        key: ConnectionKey,
        admitted: &Publish<'_>,
        admissions: &Admissions,
    ) -> Option<StagedDuty> {
        let staged = &self.observer.as_ref()?.staged.as_ref()?.policy;
        if !staged.image.asks_of_messages() && admissions.held().is_none() {
            return None;
        }
        let (session, _) = self.speaker(key)?;
        let grants = self.staged_grants(session)?;
        if !decide(&grants, Action::Publish, admitted.topic, &Asked::from(admitted))?.allow {
            return None;
        }
        let duty =
            grants.duty(&TopicName::assume_parsed(admitted.topic)).filter(|duty| grants.image().may_refuse(*duty));
        (duty.is_some() || admissions.held().is_some()).then_some(StagedDuty(duty))
    }

    /// Notes a PUBLISH that the contract in force refuses among what its rules deny.
    #[cold]
    pub(super) fn note_breach(&mut self, key: ConnectionKey, admitted: &Publish<'_>, breach: &Breach, now: Time) {
        if self.observer.is_some()
            && let Some(asker) = self.speaker(key).and_then(|(session, _)| self.asker(session))
        {
            self.note_breach_by(&asker, (Action::Publish, admitted.topic), &Asked::from(admitted), breach, now);
        }
    }

    /// The same of a Will.
    pub(super) fn note_breach_by_will(&mut self, asker: &Asker, will: &Message, breach: &Breach, now: Time) {
        self.note_breach_by(asker, (Action::Will, will.topic().as_str()), &Asked::from(will), breach, now);
    }

    /// In the place of a rule stands the key of the contract that asks for more.
    fn note_breach_by(&mut self, asker: &Asker, what: (Action, &str), asked: &Asked<'_>, breach: &Breach, now: Time) {
        let key = asker.grants.image().breached_key(breach);
        self.note_denial(asker, what, asked, (Some(Arc::from(key)), breach.broken.as_why()), now);
    }

    /// Notes where one of both policies refuses a message for its contract and the other does not.
    pub(super) fn compare_contracts(
        &mut self,
        StagedDuty(duty): StagedDuty,
        key: ConnectionKey,
        admitted: &Publish<'_>,
        refused: Option<&Breach>,
        now: Time,
    ) {
        let Some((session, _)) = self.speaker(key) else { return };
        let staged = duty.and_then(|duty| self.staged_refusal(duty, session, admitted.payload, now));
        let ((None, Some(one)) | (Some(one), None)) = (refused, staged.as_ref()) else { return };
        let asked = Asked::from(admitted);
        let what = (Action::Publish, admitted.topic);
        // Told apart from what rules decide of the same client and topic, and each of the two directions.
        let who = key.data().as_ffi() ^ ((1 + one.broken as u64) << 62) ^ (u64::from(refused.is_some()) << 61);
        let Some(observer) = &mut self.observer else { return };
        if !observer.recent.is_news(who, (what.0, topic_hash(what.1)), &asked, false) {
            return;
        }
        let Some(asker) = self.asker(session) else { return };
        let Some(grants) = self.staged_for(&asker) else { return };
        let Some(decision) = decide(&asker.grants, what.0, what.1, &asked) else { return };
        let live = Verdict { decision, refusal: refused.cloned() };
        let Some(decision) = decide(&grants, what.0, what.1, &asked) else { return };
        let staged = Verdict { decision, refusal: staged };
        // The staged rules may be about content: what they permitted was another message to this topic.
        if live.passes() == staged.passes() {
            return;
        }
        let taken = Taken { action: what.0, topic: what.1, asked, payload: None, decision: live.decision };
        self.note_difference(&asker, &taken, (&live, &asker.grants), (&staged, &grants), now);
    }

    /// What the staged policy would refuse a message for. It counts messages against its own rates.
    fn staged_refusal(&mut self, duty: Duty, session: SessionKey, payload: &[u8], now: Time) -> Option<Breach> {
        let beside = self.observer.as_mut()?.staged.as_mut()?;
        let image = &beside.policy.image;
        if let Duty::Declared(id) = duty
            && image.declared(id)?.rate_per_s.is_some()
        {
            let counted = beside.rates.entry(session)?.or_default();
            if let Some(breach) = rate_breach(image, id, Some(counted), now).filter(Breach::refuses) {
                return Some(breach);
            }
        }
        image.breach(duty, payload).filter(Breach::refuses)
    }
}
