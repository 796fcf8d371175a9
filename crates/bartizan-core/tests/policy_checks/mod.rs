//! What holds of any bytes taken for a policy image; shared by a test and the fuzz target `policy_image`.

#![allow(clippy::expect_used, reason = "a test says what failed by failing")]

use std::sync::Arc;

use bartizan_core::policy::{
    Asked, Breach, Broken, Duty, Grants, Identity, Image, Misfit, OpenWindows, PayloadCheck, PayloadCompiler,
    PayloadSpec, Why,
};
use bartizan_core::topic::{TopicFilter, TopicName};
use bartizan_core::wire::QoS;

/// Takes any schema, and no payload.
#[derive(Debug)]
struct Nothing;

impl PayloadCheck for Nothing {
    fn check(&self, _: &[u8]) -> Result<(), Misfit> {
        Err(Misfit("nothing fits".into()))
    }
}

impl PayloadCompiler for Nothing {
    fn compile(&self, _: &PayloadSpec) -> Result<Box<dyn PayloadCheck>, String> {
        Ok(Box::new(Nothing))
    }
}

/// Lines: an image, a Client ID, an attribute's value, a Topic Filter, a Topic Name.
/// Loads the first and checks that its decisions agree with each other. True if it was an image.
pub fn check_policy_image(input: &[u8]) -> bool {
    let mut lines = input.split(|octet| *octet == b'\n');
    let Ok(image) = Image::load_with(lines.next().unwrap_or_default(), &Nothing) else { return false };
    let image = Arc::new(image);
    assert_eq!(image.digest().len(), 64);
    let mut text = || std::str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default().to_owned();
    let (client_id, value, filter, name) = (text(), text(), text(), text());
    let mut roles: Vec<Arc<str>> = ["a", "b", "press", "dash", "stranger"].map(Arc::from).to_vec();
    let attributes: Vec<(Arc<str>, Arc<str>)> =
        ["site", "area"].map(|key| (Arc::from(key), Arc::from(value.as_str()))).to_vec();
    let bind = |roles: &[Arc<str>]| {
        let who = Identity { id: &value, client_id: &client_id, roles, attributes: &attributes, ..Identity::default() };
        image.bind(&who, &OpenWindows::default())
    };
    let grants = bind(&roles);
    roles.reverse();
    check_decisions(&grants, &bind(&roles), &filter, &name);
    if let Ok(name) = TopicName::parse(&name) {
        check_duty(&image, &name);
    }
    true
}

/// What is declared of a topic and what is left to look at agree with each other.
fn check_duty(image: &Image, name: &TopicName<'_>) {
    let Some(duty) = image.duty(name) else { return };
    assert!(!name.is_dollar(), "topics of the server's own are held to nothing");
    let breach = image.breach(duty, b"");
    match duty {
        Duty::Undeclared(enforce) => {
            assert!(image.declaration(name).is_none());
            assert!(
                matches!(breach, Some(Breach { broken: Broken::Topic, declared: None, enforce: is, .. }) if is == enforce)
            );
        }
        Duty::Declared(id) => {
            let declared = image.declared(id).expect("a duty is of a declaration that is there");
            let held = image.declaration(name).expect("and that one holds");
            assert!(std::ptr::eq(declared, held) && !declared.name.is_empty());
            assert!(breach.is_none_or(|breach| breach.enforce == declared.enforce && breach.declared == Some(id)));
        }
    }
}

fn check_decisions(grants: &Grants, reversed: &Grants, filter: &str, name: &str) {
    if let Ok(name) = TopicName::parse(name) {
        for (qos, retain) in [(QoS::AtMostOnce, false), (QoS::ExactlyOnce, true)] {
            let asked = Asked::plain(qos, retain, 1);
            let decision = grants.publish(&name, &asked);
            assert_eq!(decision, reversed.publish(&name, &asked), "the order of roles changes nothing");
            assert_eq!(decision.allow, decision.why == Why::Permitted);
            assert!(!(decision.allow && name.is_dollar()), "no client publishes to a $ topic");
            assert!(!decision.allow || decision.rule.is_some_and(|rule| !grants.image().rule_name(rule).is_empty()));
        }
        if grants.publish(&name, &Asked::plain(QoS::ExactlyOnce, true, 1)).allow {
            let less = grants.publish(&name, &Asked::plain(QoS::AtMostOnce, false, 1));
            // Unless a condition asks for just this QoS or RETAIN.
            let is_conditional = matches!(less.why, Why::ConditionNotMet | Why::Forbidden);
            assert!(less.allow || is_conditional, "less is allowed where more is");
        }
        // A Topic Name is a filter that matches itself alone.
        if let Ok(itself) = TopicFilter::parse(name.as_str()) {
            assert_eq!(grants.subscribe(&itself).allow, grants.receive(&name).allow, "{name:?}");
        }
    }
    let Ok(filter) = TopicFilter::parse(filter) else { return };
    let decision = grants.subscribe(&filter);
    assert_eq!(decision, reversed.subscribe(&filter), "the order of roles changes nothing");
    if let Ok(name) = TopicName::parse(name)
        && filter.matches(&name)
        && decision.allow
    {
        let received = grants.receive(&name);
        assert!(decision.per_delivery || received.allow, "a granted filter brings only what may be received");
        assert!(received.allow || received.why == Why::Forbidden, "only a forbid withholds a part of it");
    }
}
