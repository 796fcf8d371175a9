//! The decision: a total function of policy, identity and request (I5).
//!
//! Forbid beats permit, and where nothing matches the answer is no (I6). A subscription is
//! permitted where one permit *covers* its filter; a forbid that covers it refuses it, and one
//! that only overlaps it leaves the forbidden part to a decision per delivery.

use super::bind::Grants;
use super::condition::Asked;
use super::image::RuleId;
use super::pattern::{BoundPattern, CONTROL_TOPIC, Unbound};
use super::token_grants::TokenGrants;
use super::tree::Entry;
use crate::topic::{TopicFilter, TopicName};

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
    /// A permit matches, but its condition does not hold.
    ConditionNotMet,
    /// A permit holds, but the client's token does not allow it.
    NotInToken,
    /// A client asked to publish to a topic that begins with `$`, and is the server's [MQTT-4.7.2-1].
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
            Why::ConditionNotMet => "condition_not_met",
            Why::NotInToken => "not_in_token",
            Why::ServerTopic => "server_topic",
        }
    }
}

impl Decision {
    /// Nobody asks: no.
    pub(super) const NOBODY: Decision = Decision::denied(None, Why::NoPermit);

    const fn denied(rule: Option<RuleId>, why: Why) -> Decision {
        Decision { allow: false, per_delivery: false, rule, why }
    }

    const fn allowed(rule: RuleId) -> Decision {
        Decision { allow: true, per_delivery: false, rule: Some(rule), why: Why::Permitted }
    }
}

/// The rules that a decision found; of each kind the first in the order of the text.
#[derive(Default)]
struct Found {
    forbid: Option<RuleId>,
    permit: Option<RuleId>,
    /// The first permit that nearly held is the one to tell.
    near: Option<(RuleId, Why)>,
}

impl Found {
    fn decide(self) -> Decision {
        match (self.forbid, self.permit, self.near) {
            (Some(rule), _, _) => Decision::denied(Some(rule), Why::Forbidden),
            (None, Some(rule), _) => Decision::allowed(rule),
            (None, None, Some((rule, why))) => Decision::denied(Some(rule), why),
            (None, None, None) => Decision::denied(None, Why::NoPermit),
        }
    }

    fn forbidden(&mut self, rule: RuleId) {
        self.forbid = Some(self.forbid.map_or(rule, |first| first.min(rule)));
    }

    fn permitted(&mut self, rule: RuleId) {
        self.permit = Some(self.permit.map_or(rule, |first| first.min(rule)));
    }

    fn nearly(&mut self, rule: RuleId, why: Why) {
        if self.near.is_none_or(|(first, _)| rule < first) {
            self.near = Some((rule, why));
        }
    }
}

impl Grants {
    /// May this principal publish this message to this topic?
    #[must_use]
    pub fn publish(&self, topic: &TopicName<'_>, asked: &Asked<'_>) -> Decision {
        let Some(name) = self.seen(topic.as_str()) else { return Decision::NOBODY };
        // Commands are about all identities: no tenant's client sends any.
        if name.starts_with('$') && (name != CONTROL_TOPIC || self.tenant().is_some()) {
            return Decision::denied(None, Why::ServerTopic);
        }
        let mut found = Found::default();
        self.set.publish.for_each_match(name, &self.values, &mut |entry| {
            let counts = self.counts(entry.condition, entry.is_forbid);
            let Some(why) = self.why_not(entry.rule, counts, asked) else {
                return if entry.is_forbid { found.forbidden(entry.rule) } else { found.permitted(entry.rule) };
            };
            if !entry.is_forbid {
                found.nearly(entry.rule, why);
            }
        });
        self.narrowed(found.decide(), |token| token.publish(&TopicName::assume_parsed(name)))
    }

    /// May this principal leave this message as its Will? A command is nothing that is left behind.
    #[must_use]
    pub fn will(&self, topic: &TopicName<'_>, asked: &Asked<'_>) -> Decision {
        match topic.is_dollar() {
            true => Decision::denied(None, Why::ServerTopic),
            false => self.publish(topic, asked),
        }
    }

    /// Why a rule whose pattern matches does not hold for a message.
    fn why_not(&self, rule: RuleId, counts: bool, asked: &Asked<'_>) -> Option<Why> {
        let Some(rule) = self.image().rule(rule) else { return Some(Why::NoPermit) };
        let condition = rule.condition.and_then(|at| self.image().conditions.get(usize::from(at)));
        if !counts || condition.is_some_and(|condition| !condition.message.holds(asked)) {
            Some(Why::ConditionNotMet)
        } else if asked.qos > rule.qos_max {
            Some(Why::QosAboveMax)
        } else if asked.retain && !rule.retain {
            Some(Why::RetainNotAllowed)
        } else {
            None
        }
    }

    /// May this principal subscribe to this filter? Of a Shared Subscription: the inner filter (4.8.2).
    #[must_use]
    pub fn subscribe(&self, filter: &TopicFilter<'_>) -> Decision {
        let Some(seen) = self.received(filter.as_str()) else { return Decision::NOBODY };
        let by_roles = self.subscribe_by_roles(seen);
        // What begins with a wildcard matches what its client sees nothing of: the root itself, and what somebody
        // else puts below `$` inside it.
        let leads = self.tenant().is_some() && seen.starts_with(['+', '#']);
        let by_roles = Decision { per_delivery: by_roles.allow && (by_roles.per_delivery || leads), ..by_roles };
        self.narrowed(by_roles, |token| token.subscribe(&TopicFilter::assume_parsed(seen)))
    }

    /// What the client sees of something that it would be sent: no `$` topic but the server's own, and of these no
    /// answers to commands where it is a tenant's.
    fn received<'a>(&self, name: &'a str) -> Option<&'a str> {
        let seen = self.seen(name).filter(|seen| seen.starts_with('$') == name.starts_with('$'))?;
        let is_answer = self.tenant().is_some() && seen.split('/').next() == CONTROL_TOPIC.split('/').next();
        (!is_answer).then_some(seen)
    }

    /// Lets a permit count only where the client's token, if one says what it may, allows the same.
    fn narrowed(&self, by_roles: Decision, allows: impl FnOnce(&TokenGrants) -> bool) -> Decision {
        match &self.narrowed_to {
            Some(token) if by_roles.allow && !allows(token) => Decision::denied(by_roles.rule, Why::NotInToken),
            _ => by_roles,
        }
    }

    fn subscribe_by_roles(&self, filter: &str) -> Decision {
        let mut found = Found::default();
        self.set.receive.for_each_near_cover(filter, &self.values, &mut |entry| {
            if self.pattern(entry).covers(filter) {
                self.weigh(entry, &mut found);
            }
        });
        let decision = found.decide();
        let mut per_delivery = false;
        if decision.allow {
            self.set.receive.for_each_near_overlap(filter, &self.values, &mut |entry| {
                per_delivery |= self.pattern(entry).overlaps(filter) && self.counts(entry.condition, true);
            });
        }
        Decision { per_delivery, ..decision }
    }

    /// May this principal be sent a message of this topic, whatever filter it subscribed?
    #[must_use]
    pub fn receive(&self, topic: &TopicName<'_>) -> Decision {
        let Some(name) = self.received(topic.as_str()) else { return Decision::NOBODY };
        let mut found = Found::default();
        self.set.receive.for_each_match(name, &self.values, &mut |entry| self.weigh(entry, &mut found));
        self.narrowed(found.decide(), |token| token.receive(&TopicName::assume_parsed(name)))
    }

    /// What a rule says whose pattern is about what is asked, where only its circumstances may keep it from counting.
    fn weigh(&self, entry: &Entry, found: &mut Found) {
        match (self.counts(entry.condition, entry.is_forbid), entry.is_forbid) {
            (true, true) => found.forbidden(entry.rule),
            (true, false) => found.permitted(entry.rule),
            (false, true) => {}
            (false, false) => found.nearly(entry.rule, Why::ConditionNotMet),
        }
    }

    fn pattern(&self, entry: &Entry) -> BoundPattern<'_> {
        let levels = self.image().rule(entry.rule).map_or(&[][..], |rule| &rule.pattern);
        let unbound = if entry.is_forbid { Unbound::Everything } else { Unbound::Nothing };
        BoundPattern { levels, values: &self.values, unbound }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::bind::Identity;
    use super::super::condition::OpenWindows;
    use super::super::image::Image;
    use super::*;
    use crate::wire::QoS;

    /// `press` publishes below its own site and id, `dash` reads its site but not `secret`,
    /// `root` reads all but `data/+/secret`, `sys` reads `$SYS`, `control` commands.
    const IMAGE: &str = r##"{"format":3,"roles":[
      {"name":"control","limits":{},"rules":[
        {"name":"control.0","effect":"permit","actions":["publish"],"pattern":[{"lit":"$CONTROL"},{"lit":"dynamic-security"},{"lit":"v1"}],"qos_max":1,"retain":false}]},
      {"name":"dash","limits":{"inflight_max":5},"rules":[
        {"name":"dash.0","effect":"permit","actions":["subscribe"],"pattern":[{"lit":"data"},{"var":"attr.site"},"many"],"qos_max":2,"retain":true},
        {"name":"dash.1","effect":"forbid","actions":["subscribe"],"pattern":[{"lit":"data"},"one",{"lit":"secret"},"many"],"qos_max":2,"retain":true}]},
      {"name":"press","limits":{"inflight_max":9,"connections_max":1},"rules":[
        {"name":"press.0","effect":"permit","actions":["publish"],"pattern":[{"lit":"data"},{"var":"attr.site"},{"var":"client_id"},"one"],"qos_max":1,"retain":false},
        {"name":"press.1","effect":"forbid","actions":["publish"],"pattern":[{"lit":"data"},"one","one",{"lit":"stop"}],"qos_max":2,"retain":true}]},
      {"name":"root","limits":{},"rules":[
        {"name":"root.0","effect":"permit","actions":["publish","subscribe"],"pattern":["many"],"qos_max":2,"retain":true}]},
      {"name":"sys","limits":{},"rules":[
        {"name":"sys.0","effect":"permit","actions":["subscribe"],"pattern":[{"lit":"$SYS"},"many"],"qos_max":2,"retain":true}]}]}"##;

    #[test]
    fn each_reason_has_the_name_by_which_logs_and_tools_know_it() {
        let named = [
            (Why::Permitted, "permitted"),
            (Why::Forbidden, "forbidden"),
            (Why::NoPermit, "no_permit"),
            (Why::QosAboveMax, "qos_above_max"),
            (Why::RetainNotAllowed, "retain_not_allowed"),
            (Why::ConditionNotMet, "condition_not_met"),
            (Why::NotInToken, "not_in_token"),
            (Why::ServerTopic, "server_topic"),
        ];
        assert!(named.into_iter().all(|(why, name)| why.as_str() == name));
    }

    fn grants(client_id: &str, roles: &[&str], site: &str) -> Grants {
        let image = Arc::new(Image::load(IMAGE.as_bytes()).unwrap());
        let roles: Vec<Arc<str>> = roles.iter().map(|role| Arc::from(*role)).collect();
        let attributes = [(Arc::from("site"), Arc::from(site))];
        let who = Identity { id: client_id, client_id, roles: &roles, attributes: &attributes, ..Identity::default() };
        image.bind(&who, &OpenWindows::default())
    }

    fn publish(grants: &Grants, topic: &str, qos: QoS, retain: bool) -> (Why, String) {
        let decision = grants.publish(&TopicName::parse(topic).unwrap(), &Asked::plain(qos, retain, 0));
        assert_eq!(decision.allow, decision.why == Why::Permitted);
        (decision.why, decision.rule.map_or(String::new(), |rule| grants.image().rule_name(rule).to_owned()))
    }

    fn subscribe(grants: &Grants, filter: &str) -> (bool, bool, Why) {
        let decision = grants.subscribe(&TopicFilter::parse(filter).unwrap());
        (decision.allow, decision.per_delivery, decision.why)
    }

    #[test]
    fn a_press_publishes_its_own_topic_and_no_other() {
        let press = grants("p1", &["press"], "x");
        let allowed = (Why::Permitted, "press.0".to_owned());
        assert_eq!(publish(&press, "data/x/p1/t", QoS::AtLeastOnce, false), allowed);
        for other in ["data/x/p2/t", "data/y/p1/t", "data/x/p1", "data/x/p1/t/u", "t"] {
            assert_eq!(publish(&press, other, QoS::AtMostOnce, false), (Why::NoPermit, String::new()), "{other}");
        }
    }

    #[test]
    fn qos_and_retain_beyond_the_permit_are_denied_by_name() {
        let press = grants("p1", &["press"], "x");
        let rule = "press.0".to_owned();
        assert_eq!(publish(&press, "data/x/p1/t", QoS::ExactlyOnce, false), (Why::QosAboveMax, rule.clone()));
        assert_eq!(publish(&press, "data/x/p1/t", QoS::AtMostOnce, true), (Why::RetainNotAllowed, rule));
        // Another role of the same identity has room for both.
        let both = grants("p1", &["press", "root"], "x");
        assert_eq!(publish(&both, "data/x/p1/t", QoS::ExactlyOnce, true), (Why::Permitted, "root.0".to_owned()));
    }

    #[test]
    fn forbid_beats_permit_across_roles_in_whatever_order() {
        for roles in [["press", "root"], ["root", "press"]] {
            let both = grants("p1", &roles, "x");
            assert_eq!(
                publish(&both, "data/x/p1/stop", QoS::AtMostOnce, false),
                (Why::Forbidden, "press.1".to_owned())
            );
        }
    }

    #[test]
    fn nasty_values_gain_nothing() {
        for nasty in ["", "+", "#", "x/p1", "$SYS"] {
            let press = grants(nasty, &["press"], "x");
            assert_eq!(publish(&press, "data/x/p1/t", QoS::AtMostOnce, false).0, Why::NoPermit, "{nasty}");
        }
        for nasty in ["", "+", "#", "x/#"] {
            assert_eq!(subscribe(&grants("d", &["dash"], nasty), "data/+/t"), (false, false, Why::NoPermit), "{nasty}");
        }
    }

    #[test]
    fn a_subscription_must_be_covered_and_a_forbid_inside_it_is_left_to_deliveries() {
        let dash = grants("d", &["dash"], "x");
        assert_eq!(subscribe(&dash, "data/x/t"), (true, false, Why::Permitted));
        assert_eq!(subscribe(&dash, "data/x/#"), (true, true, Why::Permitted));
        assert_eq!(subscribe(&dash, "data/+/t"), (false, false, Why::NoPermit));
        assert_eq!(subscribe(&dash, "#"), (false, false, Why::NoPermit));
        assert_eq!(subscribe(&dash, "data/x/secret/#"), (false, false, Why::Forbidden));
        assert!(dash.receive(&TopicName::parse("data/x/t").unwrap()).allow);
        assert_eq!(dash.receive(&TopicName::parse("data/x/secret").unwrap()).why, Why::Forbidden);
    }

    #[test]
    fn dollar_topics_are_published_by_nobody_and_read_where_spelt() {
        let root = grants("r", &["root"], "x");
        assert_eq!(publish(&root, "$SYS/x", QoS::AtMostOnce, false).0, Why::ServerTopic);
        assert_eq!(subscribe(&root, "$SYS/#"), (false, false, Why::NoPermit));
        assert_eq!(subscribe(&grants("s", &["sys"], "x"), "$SYS/#"), (true, false, Why::Permitted));
    }

    #[test]
    fn commands_are_published_where_their_topic_is_spelt_and_never_as_a_will() {
        let control = grants("c", &["control"], "x");
        let permitted = (Why::Permitted, "control.0".to_owned());
        assert_eq!(publish(&control, CONTROL_TOPIC, QoS::AtLeastOnce, false), permitted);
        assert_eq!(publish(&control, CONTROL_TOPIC, QoS::ExactlyOnce, false).0, Why::QosAboveMax);
        for other in ["$CONTROL", "$CONTROL/dynamic-security/v2", "$CONTROL/dynamic-security/v1/response"] {
            assert_eq!(publish(&control, other, QoS::AtMostOnce, false).0, Why::ServerTopic, "{other}");
        }
        assert_eq!(publish(&grants("r", &["root"], "x"), CONTROL_TOPIC, QoS::AtMostOnce, false).0, Why::NoPermit);
        let topic = TopicName::parse(CONTROL_TOPIC).unwrap();
        assert_eq!(control.will(&topic, &Asked::plain(QoS::AtMostOnce, false, 0)).why, Why::ServerTopic);
    }

    #[test]
    fn of_what_nearly_held_the_first_in_the_text_is_told() {
        let mut found = Found::default();
        for (rule, why) in [(5, Why::NoPermit), (3, Why::QosAboveMax), (4, Why::NoPermit), (3, Why::NoPermit)] {
            found.nearly(RuleId(rule), why);
        }
        let told = found.decide();
        assert_eq!((told.allow, told.rule, told.why), (false, Some(RuleId(3)), Why::QosAboveMax));
    }

    #[test]
    fn absence_is_denial() {
        let nobody = Arc::new(Image::deny_all()).no_grants();
        assert_eq!(subscribe(&nobody, "a"), (false, false, Why::NoPermit));
        let stranger = grants("s", &["unknown"], "x");
        assert_eq!(publish(&stranger, "a", QoS::AtMostOnce, false).0, Why::NoPermit);
        assert_eq!(stranger.limits(), &super::super::RoleLimits::default());
    }

    #[test]
    fn of_two_roles_the_larger_limit_holds() {
        let limits = *grants("p", &["press", "dash"], "x").limits();
        assert_eq!((limits.inflight_max, limits.connections_max), (Some(9), Some(1)));
    }
}
