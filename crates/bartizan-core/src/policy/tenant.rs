//! Tenants: whose clients see the topics below one root as if there were no others.
//!
//! Where messages are routed and kept, their names have the root in front. Rules, and clients, know the names
//! behind it: `Grants` of a tenant take a whole name and decide by what its client sees of it.

use std::sync::Arc;

use serde::Deserialize;

use super::format::{ImageError, NAME_BYTES_MAX, TENANTS_MAX, TenantText};
use crate::topic::{TopicName, parse_subscription};

/// The attribute of an identity that says whose client it is.
pub const TENANT_ATTRIBUTE: &str = "tenant";

/// Octets of a root.
const ROOT_BYTES_MAX: usize = 512;

/// What all clients of a tenant together may have. A limit that is not set is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantLimits {
    /// Network Connections at a time.
    pub connections_max: Option<u64>,
    /// Subscriptions.
    pub subscriptions_max: Option<u64>,
    /// Retained Messages.
    pub retained_messages_max: Option<u64>,
    /// Octets of Retained Messages.
    pub retained_bytes_max: Option<u64>,
    /// PUBLISH packets per second.
    pub publish_rate_per_s: Option<u64>,
    /// Octets of PUBLISH packets per second.
    pub publish_bytes_per_s: Option<u64>,
}

impl TenantLimits {
    /// True where publishing has a limit.
    #[must_use]
    pub fn has_rate(&self) -> bool {
        self.publish_rate_per_s.is_some() || self.publish_bytes_per_s.is_some()
    }
}

/// A tenant that the policy declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name, as identities have it.
    pub name: Arc<str>,
    /// What all its clients together may have.
    pub limits: TenantLimits,
    /// Its root, with the `/` behind it.
    root: Box<str>,
}

impl Tenant {
    /// The root, with the `/` behind it.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// What its clients see of a name or filter; `None` for what is outside its root. Topics that begin with `$`
    /// are the server's: they are below no root.
    #[must_use]
    pub fn seen<'a>(&self, name: &'a str) -> Option<&'a str> {
        if name.starts_with('$') {
            return Some(name);
        }
        name.strip_prefix(&*self.root).filter(|seen| !seen.is_empty())
    }

    /// The whole text of a Subscription that one of its clients asks for: the root goes into a Shared
    /// Subscription (4.8.2), and not before a `$` topic.
    #[must_use]
    pub fn rooted_subscription(&self, text: &str) -> String {
        match parse_subscription(text) {
            Ok((_, filter)) if filter.is_dollar() => text.to_owned(),
            Ok((Some(share), filter)) => format!("$share/{}/{}{}", share.as_str(), self.root, filter.as_str()),
            _ => format!("{}{text}", self.root),
        }
    }

    /// The same the other way round, for whoever reads it.
    #[must_use]
    pub fn seen_subscription(&self, text: &str) -> String {
        match parse_subscription(text) {
            Ok((Some(share), filter)) => {
                let filter = filter.as_str();
                format!("$share/{}/{}", share.as_str(), self.seen(filter).unwrap_or(filter))
            }
            _ => self.seen(text).unwrap_or(text).to_owned(),
        }
    }
}

/// The tenants of an image, in ascending order of name; no root is part of another one.
pub(super) fn load(texts: Vec<TenantText>) -> Result<Box<[Arc<Tenant>]>, ImageError> {
    if texts.len() > TENANTS_MAX {
        return Err(ImageError::TooMany { what: "tenants", max: TENANTS_MAX });
    }
    let wrong = |why: &str| ImageError::Syntax(format!("tenants: {why}"));
    if texts.iter().zip(texts.iter().skip(1)).any(|(one, next)| one.name >= next.name) {
        return Err(wrong("not sorted, or one is there twice"));
    }
    if texts.iter().any(|text| text.name.is_empty() || text.name.len() > NAME_BYTES_MAX || text.name.contains('\0')) {
        return Err(wrong("a name is empty or too long"));
    }
    if !texts.iter().all(|text| is_sound(&text.root)) {
        return Err(wrong("a root is no Topic Name of levels that are not empty, or begins with $"));
    }
    let tenant = |text: TenantText| {
        let root = format!("{}/", text.root).into();
        Arc::new(Tenant { name: text.name.into(), limits: text.limits, root })
    };
    let tenants: Box<[Arc<Tenant>]> = texts.into_iter().map(tenant).collect();
    let mut roots: Vec<&str> = tenants.iter().map(|tenant| tenant.root()).collect();
    roots.sort_unstable();
    if roots.iter().zip(roots.iter().skip(1)).any(|(one, next)| next.starts_with(one)) {
        return Err(wrong("a root is part of another one"));
    }
    Ok(tenants)
}

fn is_sound(root: &str) -> bool {
    root.len() <= ROOT_BYTES_MAX
        && !root.starts_with('$')
        && TopicName::parse(root).is_ok()
        && root.split('/').all(|level| !level.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, Grants, Identity, Image, OpenWindows, Why};
    use super::*;
    use crate::topic::TopicFilter;
    use crate::wire::QoS;

    const IMAGE: &str = r#"{"format":3,
      "tenants":[{"name":"acme","root":"plants/acme","limits":{"connections_max":2}},{"name":"bolt","root":"bolt"}],
      "roles":[
        {"name":"all","limits":{},"rules":[
          {"name":"all.0","effect":"permit","actions":["publish","subscribe"],"pattern":["many"],"qos_max":2,"retain":true}]},
        {"name":"press","limits":{},"rules":[
          {"name":"p.0","effect":"permit","actions":["publish","subscribe"],"pattern":[{"lit":"data"},{"var":"client_id"},"many"],"qos_max":2,"retain":true},
          {"name":"p.1","effect":"forbid","actions":["subscribe"],"pattern":["one",{"lit":"x"},{"lit":"s"}],"qos_max":2,"retain":true}]},
        {"name":"sys","limits":{},"rules":[
          {"name":"s.0","effect":"permit","actions":["subscribe"],"pattern":[{"lit":"$SYS"},"many"],"qos_max":2,"retain":true}]}]}"#;

    fn grants(tenant: Option<&str>, roles: &[&str]) -> Grants {
        let image = Arc::new(Image::load(IMAGE.as_bytes()).unwrap());
        let roles: Vec<Arc<str>> = roles.iter().map(|role| Arc::from(*role)).collect();
        let who = Identity { id: "x", client_id: "x", roles: &roles, ..Identity::default() };
        let tenant = tenant.map(|name| Arc::clone(image.tenant(name).unwrap()));
        Arc::new(image.role_set(&roles).of_tenant(tenant)).bind(&who, &OpenWindows::default())
    }

    fn asked() -> Asked<'static> {
        Asked::plain(QoS::AtMostOnce, false, 0)
    }

    fn publish(grants: &Grants, topic: &str) -> Why {
        grants.publish(&TopicName::parse(topic).unwrap(), &asked()).why
    }

    fn receive(grants: &Grants, topic: &str) -> bool {
        grants.receive(&TopicName::parse(topic).unwrap()).allow
    }

    fn subscribe(grants: &Grants, filter: &str) -> (bool, bool) {
        let decision = grants.subscribe(&TopicFilter::parse(filter).unwrap());
        (decision.allow, decision.per_delivery)
    }

    /// What is decided of a rooted name is what is decided of the name without tenants.
    #[test]
    fn a_tenants_clients_are_decided_by_what_they_see() {
        let levels = ["data", "x", "s", "+", "", "q"];
        let mut texts: Vec<String> = vec!["#".into()];
        for one in levels {
            for two in levels {
                texts.extend([format!("{one}/{two}"), format!("{one}/{two}/s"), format!("{one}/{two}/#")]);
            }
        }
        for roles in [&["all"][..], &["press"], &["press", "sys"], &[]] {
            let (inside, plain) = (grants(Some("acme"), roles), grants(None, roles));
            for text in &texts {
                let rooted = format!("plants/acme/{text}");
                let filter = subscribe(&plain, text);
                let leads = text.starts_with(['+', '#']);
                assert_eq!(subscribe(&inside, &rooted), (filter.0, filter.1 || (filter.0 && leads)), "{text}");
                let (Ok(name), Ok(whole)) = (TopicName::parse(text), TopicName::parse(&rooted)) else { continue };
                assert_eq!(inside.publish(&whole, &asked()), plain.publish(&name, &asked()), "{text}");
                assert_eq!(inside.receive(&whole), plain.receive(&name), "{text}");
            }
        }
    }

    #[test]
    fn what_is_outside_the_root_is_denied_whatever_the_roles_say() {
        let all = grants(Some("acme"), &["all", "sys"]);
        for outside in
            ["a", "plants/acme", "plants/acme/", "plants/bolt/a", "bolt/a", "plants/acmes/a", "/plants/acme/a"]
        {
            assert_eq!(publish(&all, outside), Why::NoPermit, "{outside}");
            assert!(!receive(&all, outside) && !subscribe(&all, outside).0, "{outside}");
        }
        for outside in ["#", "+/acme/a", "plants/#", "plants/+/a", "plants/acme"] {
            assert!(!subscribe(&all, outside).0, "{outside}");
        }
        assert!(subscribe(&all, "plants/acme/#").0);
    }

    #[test]
    fn dollar_topics_are_the_servers_and_nobodys_inside_a_root() {
        let (all, sys) = (grants(Some("acme"), &["all"]), grants(Some("acme"), &["all", "sys"]));
        assert_eq!(publish(&all, "plants/acme/$SYS/x"), Why::ServerTopic);
        assert_eq!(publish(&all, "$SYS/x"), Why::ServerTopic);
        assert!(!subscribe(&all, "$SYS/#").0 && subscribe(&sys, "$SYS/#").0);
        // What somebody else puts below the root is not taken for the server's.
        assert!(!receive(&sys, "plants/acme/$SYS/x") && !subscribe(&sys, "plants/acme/$SYS/#").0);
        assert!(receive(&sys, "$SYS/x"));
    }

    #[test]
    fn a_subscription_is_rooted_inside_its_group_and_seen_without() {
        let image = Image::load(IMAGE.as_bytes()).unwrap();
        let acme = image.tenant("acme").unwrap();
        for (text, rooted) in [
            ("a/#", "plants/acme/a/#"),
            ("#", "plants/acme/#"),
            ("/", "plants/acme//"),
            ("../bolt", "plants/acme/../bolt"),
            ("$share/g/a", "$share/g/plants/acme/a"),
            ("$share/g//a", "$share/g/plants/acme//a"),
            ("$SYS/#", "$SYS/#"),
            ("$share/g/$SYS/#", "$share/g/$SYS/#"),
        ] {
            assert_eq!(acme.rooted_subscription(text), rooted);
            assert_eq!(acme.seen_subscription(rooted), text);
        }
    }

    #[test]
    fn roots_that_reach_into_each_other_or_are_none_make_no_image() {
        let load = |one: &str, other: &str| {
            let text = format!(
                r#"{{"format":3,"roles":[],"tenants":[{{"name":"a","root":"{one}"}},{{"name":"b","root":"{other}"}}]}}"#
            );
            Image::load(text.as_bytes()).is_ok()
        };
        assert!(load("a", "b") && load("a", "ab") && load("x/a", "x/b") && load("a.", "a"));
        for (one, other) in [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")] {
            assert!(!load(one, other), "{one} {other}");
        }
        for none in ["", "/", "a/", "/a", "a//b", "$a", "a/+", "#", "a\\u0000"] {
            assert!(!load("z", none), "{none}");
        }
    }

    #[test]
    fn tenants_are_as_many_and_their_names_as_long_as_is_said_and_no_more() {
        let load = |names: Vec<String>| {
            let one = |name: &String| format!(r#"{{"name":"{name}","root":"of-{}"}}"#, name.len());
            let texts: Vec<String> = names.iter().map(one).collect();
            Image::load(format!(r#"{{"format":3,"roles":[],"tenants":[{}]}}"#, texts.join(",")).as_bytes()).is_ok()
        };
        assert!(load(vec!["a".repeat(NAME_BYTES_MAX)]) && !load(vec!["a".repeat(NAME_BYTES_MAX + 1)]));
        assert!(!load(vec![String::new()]) && !load(vec!["a\\u0000".into()]));
        let many = |count: usize| {
            let texts: Vec<String> = (0..count).map(|at| format!(r#"{{"name":"t{at:06}","root":"r{at}"}}"#)).collect();
            Image::load(format!(r#"{{"format":3,"roles":[],"tenants":[{}]}}"#, texts.join(",")).as_bytes()).is_ok()
        };
        assert!(many(TENANTS_MAX) && !many(TENANTS_MAX + 1));
    }

    #[test]
    fn a_limit_of_messages_or_of_octets_is_a_rate() {
        let none = TenantLimits::default();
        assert!(!none.has_rate());
        assert!(TenantLimits { publish_rate_per_s: Some(1), ..none }.has_rate());
        assert!(TenantLimits { publish_bytes_per_s: Some(1), ..none }.has_rate());
    }
}
