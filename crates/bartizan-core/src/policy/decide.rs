//! The decision: a total function of policy, identity and request (I5).
//!
//! Forbid beats permit, and where nothing matches the answer is no (I6). A subscription is
//! permitted where one permit *covers* its filter; a forbid that covers it refuses it, and one
//! that only overlaps it leaves the forbidden part to a decision per delivery.

use super::bind::Grants;
use super::image::{Effects, Role, RuleId};
use super::pattern::{BoundPattern, Unbound};
use crate::topic::{TopicFilter, TopicName};
use crate::wire::QoS;

/// Allowed or not, by which rule, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// True if the request is granted.
    pub allow: bool,
    /// For a subscription: a forbid overlaps its filter, so ask `Grants::receive` at each delivery.
    pub per_delivery: bool,
    /// The rule that decided; `None` where no rule matched. `Image::rule_name` says its name.
    pub rule: Option<RuleId>,
    /// Why it was decided so.
    pub why: Why,
}

/// Why a decision was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// A permit holds, and no forbid.
    Permitted,
    /// A forbid holds.
    Forbidden,
    /// No permit matches.
    NoPermit,
    /// A permit matches, but only up to a lower QoS.
    QosAboveMax,
    /// A permit matches, but not with RETAIN.
    RetainNotAllowed,
    /// A client asked to publish to a topic that begins with `$`, which are the server's [MQTT-4.7.2-1].
    ServerTopic,
}

impl Why {
    /// Its name, as logs and events spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Why::Permitted => "permitted",
            Why::Forbidden => "forbidden",
            Why::NoPermit => "no_permit",
            Why::QosAboveMax => "qos_above_max",
            Why::RetainNotAllowed => "retain_not_allowed",
            Why::ServerTopic => "server_topic",
        }
    }
}

impl Decision {
    const fn denied(rule: Option<RuleId>, why: Why) -> Decision {
        Decision { allow: false, per_delivery: false, rule, why }
    }

    const fn allowed(rule: RuleId) -> Decision {
        Decision { allow: true, per_delivery: false, rule: Some(rule), why: Why::Permitted }
    }
}

impl Grants {
    /// May this principal publish to this topic, with this QoS and RETAIN flag?
    #[must_use]
    pub fn publish(&self, topic: &TopicName<'_>, qos: QoS, retain: bool) -> Decision {
        let name = topic.as_str();
        if name.starts_with('$') {
            return Decision::denied(None, Why::ServerTopic);
        }
        if let Some(rule) = self.forbids(|role| &role.publish, |pattern| pattern.matches(name)) {
            return Decision::denied(Some(rule), Why::Forbidden);
        }
        let mut refusal = Decision::denied(None, Why::NoPermit);
        for rule in self.permits(|role| &role.publish) {
            if !self.permit_pattern(rule).matches(name) {
                continue;
            }
            let Some(limits) = self.image.rule(rule) else { continue };
            let why = if qos > limits.qos_max {
                Why::QosAboveMax
            } else if retain && !limits.retain {
                Why::RetainNotAllowed
            } else {
                return Decision::allowed(rule);
            };
            // The first permit that nearly held is the one to tell.
            if refusal.rule.is_none() {
                refusal = Decision::denied(Some(rule), why);
            }
        }
        refusal
    }

    /// May this principal subscribe to this filter? Of a Shared Subscription: the inner filter (4.8.2).
    #[must_use]
    pub fn subscribe(&self, filter: &TopicFilter<'_>) -> Decision {
        let filter = filter.as_str();
        if let Some(rule) = self.forbids(|role| &role.subscribe, |pattern| pattern.covers(filter)) {
            return Decision::denied(Some(rule), Why::Forbidden);
        }
        let permit = self.permits(|role| &role.subscribe).find(|rule| self.permit_pattern(*rule).covers(filter));
        let Some(rule) = permit else { return Decision::denied(None, Why::NoPermit) };
        let overlap = self.forbids(|role| &role.subscribe, |pattern| pattern.overlaps(filter));
        Decision { per_delivery: overlap.is_some(), ..Decision::allowed(rule) }
    }

    /// May this principal be sent a message of this topic, whatever filter it subscribed?
    #[must_use]
    pub fn receive(&self, topic: &TopicName<'_>) -> Decision {
        let name = topic.as_str();
        if let Some(rule) = self.forbids(|role| &role.subscribe, |pattern| pattern.matches(name)) {
            return Decision::denied(Some(rule), Why::Forbidden);
        }
        let permit = self.permits(|role| &role.subscribe).find(|rule| self.permit_pattern(*rule).matches(name));
        permit.map_or(Decision::denied(None, Why::NoPermit), Decision::allowed)
    }

    fn permits(&self, effects: fn(&Role) -> &Effects) -> impl Iterator<Item = RuleId> {
        self.roles().flat_map(move |role| effects(role).permit.iter().copied())
    }

    /// The first forbid of which this is true.
    fn forbids(&self, effects: fn(&Role) -> &Effects, holds: impl Fn(BoundPattern<'_>) -> bool) -> Option<RuleId> {
        let mut rules = self.roles().flat_map(move |role| effects(role).forbid.iter().copied());
        rules.find(|rule| holds(self.pattern(*rule, Unbound::Everything)))
    }

    fn permit_pattern(&self, rule: RuleId) -> BoundPattern<'_> {
        self.pattern(rule, Unbound::Nothing)
    }

    fn pattern(&self, rule: RuleId, unbound: Unbound) -> BoundPattern<'_> {
        let levels = self.image.rule(rule).map_or(&[][..], |rule| &rule.pattern);
        BoundPattern { levels, values: &self.values, unbound }
    }
}
