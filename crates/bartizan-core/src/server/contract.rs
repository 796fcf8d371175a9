//! A message held to what the policy declares of its topic, once a rule has permitted it: declared at all, not
//! too soon after others, a payload that fits, an end in sight.

use super::publish::Speech;
use super::{Effects, Server};
use crate::event::{Event, Subject, What};
use crate::limits::TokenBucket;
use crate::message::{Message, Time};
use crate::policy::{Authorized, Breach, Broken, Duty, Enforce, Grants, Held, Image, TopicId};
use crate::session::{ConnectionKey, Will};
use crate::topic::TopicName;
use crate::wire::{Publish, PublishProperties, ReasonCode};

/// A burst may be as long as this of its rate: a client that was away sends what it has gathered.
const BURST_S: u32 = 10;
/// Declarations with a rate that one connection is measured by at a time. Beyond that, what is not measured is
/// too much.
const RATES_MAX: usize = 256;

/// What is left of the rates that declarations have, in ascending order of these.
pub(super) type TopicRates = Vec<(TopicId, TokenBucket)>;

/// What a client is told of a message that is not as declared.
pub(super) const fn answer(broken: Broken) -> (ReasonCode, &'static str) {
    match broken {
        Broken::Topic => (ReasonCode::TopicNameInvalid, "the policy declares no such topic"),
        Broken::Payload => (ReasonCode::PayloadFormatInvalid, "the payload is not what its topic declares"),
        Broken::Rate => (ReasonCode::QuotaExceeded, "faster than the topic declares"),
    }
}

/// The Message Expiry Interval of a Will: at most what its topic declares.
pub(super) fn expiry_of_will(grants: &Grants, will: &Will) -> Option<u32> {
    let duty = grants.duty(&will.message.topic());
    shorter(will.expiry_s, duty.and_then(|duty| retention(grants.image(), duty)))
}

fn retention(image: &Image, duty: Duty) -> Option<u32> {
    match duty {
        Duty::Declared(id) => image.declared(id)?.retention_s,
        Duty::Undeclared(_) => None,
    }
}

fn shorter(asked_s: Option<u32>, declared_s: Option<u32>) -> Option<u32> {
    asked_s.into_iter().chain(declared_s).min()
}

impl Server {
    /// A PUBLISH that a rule permits, to a topic that asks for more, of the policy in force or of a staged one: the
    /// properties that it goes on with, `None` if it was refused, and answered. Out of line: the way of most messages
    /// stays as short as it is.
    #[allow(clippy::too_many_arguments)]
    #[cold]
    #[inline(never)]
    pub(super) fn held_to<'a>(
        &mut self,
        held: Held,
        key: ConnectionKey,
        admitted: &Authorized<Publish<'_>>,
        speech: &Speech,
        properties: &PublishProperties<'a>,
        now: Time,
        fx: &mut Effects,
    ) -> Option<PublishProperties<'a>> {
        let grants = speech.admissions.grants()?;
        let refused = held.duty.and_then(|duty| self.refused_by_contract(duty, key, admitted, grants, now, fx));
        if let Some(staged) = held.staged {
            self.compare_contracts(staged, key, admitted, refused.as_ref(), now);
        }
        if let Some(breach) = refused {
            self.note_breach(key, admitted, &breach, now);
            let (reason, why) = answer(breach.broken);
            self.deny(key, admitted, reason, why, now, fx);
            return None;
        }
        let declared_s = held.duty.and_then(|duty| retention(grants.image(), duty));
        let message_expiry_s = shorter(properties.message_expiry_s, declared_s);
        Some(PublishProperties { message_expiry_s, ..*properties })
    }

    /// Reports how a message is not as its topic declares. Gives back what it is refused for.
    fn refused_by_contract(
        &mut self,
        duty: Duty,
        key: ConnectionKey,
        admitted: &Publish<'_>,
        grants: &Grants,
        now: Time,
        fx: &mut Effects,
    ) -> Option<Breach> {
        let topic = TopicName::assume_parsed(admitted.topic);
        let too_soon = self.too_soon(key, grants.image(), duty, now);
        // What is refused by its rate is not looked at any further: that costs more.
        let refused = too_soon.as_ref().is_some_and(Breach::refuses);
        let misfit = if refused { None } else { grants.image().breach(duty, admitted.payload) };
        too_soon
            .into_iter()
            .chain(misfit)
            .inspect(|breach| self.report_breach(grants, &topic, breach, || self.subject_of(key), now, fx))
            .find(Breach::refuses)
    }

    /// What a Will's topic declares and it is not, if it is refused for that.
    pub(super) fn breach_by_will(
        &self,
        grants: &Grants,
        will: &Message,
        subject: impl FnOnce() -> Subject,
        now: Time,
        fx: &mut Effects,
    ) -> Option<Breach> {
        let topic = will.topic();
        let breach = grants.image().breach(grants.duty(&topic)?, will.payload())?;
        self.report_breach(grants, &topic, &breach, subject, now, fx);
        breach.refuses().then_some(breach)
    }

    fn report_breach(
        &self,
        grants: &Grants,
        topic: &TopicName<'_>,
        breach: &Breach,
        subject: impl FnOnce() -> Subject,
        now: Time,
        fx: &mut Effects,
    ) {
        let counters = self.counters();
        match breach.broken {
            Broken::Topic => counters.topics_undeclared.add(1),
            Broken::Payload => counters.payload_misfits.add(1),
            Broken::Rate => counters.topic_rates_exceeded.add(1),
        }
        let (effect, count) = match breach.enforce {
            Enforce::Off => return counters.contract_counted.add(1),
            Enforce::Warn => ("warned", &counters.contract_warned),
            Enforce::Reject => ("refused", &counters.contract_refused),
        };
        count.add(1);
        let declared = breach.declared.and_then(|id| grants.image().declared(id));
        let what = What::ContractBroken {
            broken: breach.broken.as_str(),
            topic: grants.shown(topic.as_str()).to_owned(),
            declared: declared.map(|declared| declared.name.as_ref().to_owned()),
            why: breach.why.clone().into_owned(),
            effect,
        };
        fx.events.push(Event::new(now, subject(), what));
    }

    /// Counts a message against the rate of its topic, if that declares one.
    fn too_soon(&mut self, key: ConnectionKey, image: &Image, duty: Duty, now: Time) -> Option<Breach> {
        let Duty::Declared(id) = duty else { return None };
        let open = self.connections.get_mut(key).and_then(|connection| connection.open_mut());
        // They are there: the connection's own rates were asked before.
        let counted = open.and_then(|open| open.rates.as_mut()).map(|rates| &mut rates.topics);
        rate_breach(image, id, counted, now)
    }
}

/// Counts a message against the rate of its declaration, if that has one: how it came too soon, if it did.
pub(super) fn rate_breach(image: &Image, id: TopicId, counted: Option<&mut TopicRates>, now: Time) -> Option<Breach> {
    let declared = image.declared(id)?;
    let rate_per_s = declared.rate_per_s?;
    if counted.is_some_and(|counted| has_token(counted, id, rate_per_s, now)) {
        return None;
    }
    let why = format!("more than {rate_per_s} messages per second").into();
    Some(Breach { broken: Broken::Rate, enforce: declared.enforce, declared: Some(id), why })
}

fn has_token(buckets: &mut TopicRates, id: TopicId, rate_per_s: u32, now: Time) -> bool {
    let at = match buckets.binary_search_by_key(&id, |(known, _)| *known) {
        Ok(at) => at,
        Err(_) => {
            if buckets.len() >= RATES_MAX {
                buckets.retain_mut(|(_, bucket)| !bucket.is_full(now));
            }
            if buckets.len() >= RATES_MAX {
                return false;
            }
            let at = buckets.partition_point(|(known, _)| *known < id);
            buckets.insert(at, (id, TokenBucket::new(rate_per_s, rate_per_s.saturating_mul(BURST_S), now)));
            at
        }
    };
    buckets.get_mut(at).is_some_and(|(_, bucket)| bucket.take(1, now).is_ok())
}
