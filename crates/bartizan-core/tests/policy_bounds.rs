//! The bounds of a policy image, from both sides: what is just within is loaded, one more is refused, and by what the
//! error says. The numbers stand here once more on purpose: who changes a bound changes a promise.

#![allow(clippy::unwrap_used, reason = "a test says what failed by failing")]

use std::fmt::Display;

use bartizan_core::policy::{Image, ImageError, Misfit, PayloadCheck, PayloadCompiler, PayloadSpec};

const RULE: &str =
    r#"{"name":"r","effect":"permit","actions":["subscribe"],"pattern":[{"lit":"a"}],"qos_max":2,"retain":true}"#;

/// Fits.
#[derive(Debug)]
struct Anything;

impl PayloadCheck for Anything {
    fn check(&self, _: &[u8]) -> Result<(), Misfit> {
        Ok(())
    }
}

struct Compiler;

impl PayloadCompiler for Compiler {
    fn compile(&self, spec: &PayloadSpec) -> Result<Box<dyn PayloadCheck>, String> {
        if spec.pattern.is_some() { Err("no patterns".into()) } else { Ok(Box::new(Anything)) }
    }
}

/// What an image of these parts comes to: "loaded", or the error's words.
fn said(parts: &str) -> String {
    let text = format!(r#"{{"format":3,{parts}}}"#);
    Image::load_with(text.as_bytes(), &Compiler).map_or_else(|error| error.to_string(), |_| "loaded".into())
}

fn listed<T: Display>(parts: impl Iterator<Item = T>) -> String {
    parts.map(|part| part.to_string()).collect::<Vec<_>>().join(",")
}

fn with_rules(rules: &str) -> String {
    said(&format!(r#""roles":[{{"name":"x","limits":{{}},"rules":[{rules}]}}]"#))
}

/// What a rule comes to that differs in this from one that is sound.
fn changed(from: &str, to: &str) -> String {
    let rule = RULE.replacen(from, to, 1);
    assert_ne!(rule, RULE, "{from} is not there");
    with_rules(&rule)
}

fn when(condition: &str) -> String {
    changed(r#""qos_max""#, &format!(r#""when":{condition},"qos_max""#))
}

fn with_windows(windows: &str) -> String {
    said(&format!(r#""roles":[],"windows":[{windows}]"#))
}

fn with_topics(topics: &str, payloads: &str) -> String {
    said(&format!(r#""roles":[],"topics":[{topics}],"payloads":[{payloads}]"#))
}

#[test]
fn so_many_octets() {
    const MAX: usize = 64 * 1024 * 1024;
    let image = r#"{"format":3,"roles":[]}"#;
    let padded = |octets: usize| image.to_owned() + &" ".repeat(octets - image.len());
    assert!(Image::load(padded(MAX).as_bytes()).is_ok());
    assert_eq!(Image::load(padded(MAX + 1).as_bytes()).unwrap_err(), ImageError::TooLarge(MAX + 1));
}

#[test]
fn so_many_roles_with_names_so_long() {
    let roles = |count: usize| {
        let role = |at| format!(r#"{{"name":"{at:06}","limits":{{}},"rules":[]}}"#);
        said(&format!(r#""roles":[{}]"#, listed((0..count).map(role))))
    };
    assert_eq!(roles(100_000), "loaded");
    assert_eq!(roles(100_001), "the image has more than 100000 roles");
    let named = |octets| said(&format!(r#""roles":[{{"name":"{}","limits":{{}},"rules":[]}}]"#, "n".repeat(octets)));
    assert_eq!((named(1), named(4_096)), ("loaded".into(), "loaded".into()));
    assert!(named(0).starts_with("roles are not sorted"));
    assert!(named(4_097).starts_with("roles are not sorted"));
}

#[test]
fn a_role_includes_what_is_there() {
    let including = |name| {
        let parts =
            [r#"{"name":"a","limits":{},"rules":[]}"#, r#"{"name":"b","includes":["NAME"],"limits":{},"rules":[]}"#];
        said(&format!(r#""roles":[{}]"#, parts.join(",")).replace("NAME", name))
    };
    assert_eq!(including("a"), "loaded");
    assert_eq!(including("c"), r#"role "b": it includes a role that is not there"#);
}

#[test]
fn a_rule_is_as_a_compiler_writes_it() {
    let (loaded, in_rule) = ("loaded".to_owned(), |why: &str| format!("rule \"r\": {why}"));
    assert_eq!(with_rules(RULE), loaded);
    assert_eq!(changed(r#""r""#, &format!("{:?}", "n".repeat(4_096))), loaded);
    assert!(changed(r#""r""#, &format!("{:?}", "n".repeat(4_097))).ends_with("its name is empty or too long"));
    assert_eq!(changed(r#""r""#, r#""""#), r#"rule "": its name is empty or too long"#);
    assert_eq!(changed(r#""qos_max":2"#, r#""qos_max":0"#), loaded);
    assert_eq!(changed(r#""qos_max":2"#, r#""qos_max":3"#), in_rule("qos_max is not 0, 1 or 2"));
    let forbid = RULE.replace("permit", "forbid");
    assert_eq!(with_rules(&forbid), loaded);
    let bare = in_rule("a forbid has neither qos_max nor retain");
    assert_eq!(with_rules(&forbid.replace(r#""qos_max":2"#, r#""qos_max":1"#)), bare);
    assert_eq!(with_rules(&forbid.replace("true", "false")), bare);
    let actions = in_rule("its actions are not one or two different ones");
    for (list, comes_to) in [
        (r#"["publish"]"#, &loaded),
        (r#"["publish","subscribe"]"#, &loaded),
        ("[]", &actions),
        (r#"["subscribe","subscribe"]"#, &actions),
        (r#"["publish","publish"]"#, &actions),
        (r#"["publish","subscribe","publish"]"#, &actions),
    ] {
        assert_eq!(&changed(r#"["subscribe"]"#, list), comes_to, "{list}");
    }
}

#[test]
fn a_pattern_has_so_many_levels_of_these_kinds() {
    let pattern = |levels: &str| changed(r#"{"lit":"a"}"#, levels);
    let refused = |levels: &str, why: &str| assert_eq!(pattern(levels), format!("rule \"r\": {why}"), "{levels}");
    let levels = |count| listed(std::iter::repeat_n(r#""one""#, count));
    assert_eq!(pattern(&levels(128)), "loaded");
    refused("", "its pattern has no level, or too many");
    refused(&levels(129), "its pattern has no level, or too many");
    assert_eq!(pattern(r#""one","many""#), "loaded");
    refused(r#""many","one""#, "# is not the last level");
    for level in ["a/b", "+", "#"] {
        refused(&format!(r#"{{"lit":"{level}"}}"#), "a level holds / + # or NUL");
    }
    refused(r#"{"lit":"$share"},"one""#, "$share is not a level of a topic");
    assert_eq!(pattern(r#"{"lit":"a"},{"lit":"$share"}"#), "loaded");
    let source = |name: &str| pattern(&format!(r#"{{"var":"{name}"}}"#));
    for name in ["client_id", "identity", "attr.a", &format!("attr.{}", "n".repeat(4_096))] {
        assert_eq!(source(name), "loaded", "{name}");
    }
    for name in ["password", "attr.", "attr", &format!("attr.{}", "n".repeat(4_097))] {
        assert_eq!(source(name), "rule \"r\": a variable has no source of that name", "{name}");
    }
}

#[test]
fn so_many_sources_of_values_and_the_same_one_counts_once() {
    let rules = |count: usize| {
        let rule = |at| RULE.replace(r#"{"lit":"a"}"#, &format!(r#"{{"var":"attr.a{at}"}}"#));
        with_rules(&listed((0..count).chain(0..count).map(rule)))
    };
    assert_eq!(rules(256), "loaded");
    assert_eq!(rules(257), "rule \"r\": too many different sources of values");
}

#[test]
fn so_many_conditions_and_the_same_one_counts_once() {
    let rules = |count: usize| {
        let rule = |at| RULE.replace(r#""qos_max""#, &format!(r#""when":{{"method":["{at}"]}},"qos_max""#));
        with_rules(&listed((0..count).chain([0]).map(rule)))
    };
    assert_eq!(rules(65_535), "loaded");
    assert_eq!(rules(65_536), "rule \"r\": too many different conditions");
}

#[test]
fn a_condition_has_lists_so_long_and_bounds_that_leave_room() {
    let refused = |text: &str, why: &str| assert_eq!(when(text), format!("rule \"r\": {why}"));
    for key in ["listener", "method"] {
        let list = |count| format!(r#"{{"{key}":[{}]}}"#, listed((0..count).map(|at| format!("\"{at}\""))));
        assert_eq!(when(&list(4_096)), "loaded");
        refused(&list(0), "a list of a condition is empty or too long");
        refused(&list(4_097), "a list of a condition is empty or too long");
    }
    refused(r#"{"attr":{"site":[]}}"#, "a list of a condition is empty or too long");
    assert_eq!(when(r#"{"address":["10.0.0.0/8","local"],"strength":["certificate","mfa"]}"#), "loaded");
    refused(r#"{"address":["10.0.0.1/8"]}"#, "an address is no network");
    refused(r#"{"window":["day"]}"#, "a window of that name is not there");
    // What a message has is asked of publishing alone; a condition of nothing is none.
    assert_eq!(when("{}"), "loaded");
    refused(r#"{"retain":true}"#, "only a rule about publishing alone can ask for properties of the message");
    let publish = |condition: &str| {
        let rule = RULE.replace("subscribe", "publish");
        with_rules(&rule.replace(r#""qos_max""#, &format!(r#""when":{condition},"qos_max""#)))
    };
    assert_eq!(publish(r#"{"payload_bytes_min":5,"payload_bytes_max":5,"qos":[0,1,2]}"#), "loaded");
    let above = "rule \"r\": payload_bytes_min is above payload_bytes_max";
    assert_eq!(publish(r#"{"payload_bytes_min":6,"payload_bytes_max":5}"#), above);
    assert_eq!(publish(r#"{"qos":[1,1]}"#), "loaded");
    assert_eq!(publish(r#"{"qos":[]}"#), "rule \"r\": qos is not 0, 1 or 2");
    assert_eq!(publish(r#"{"qos":[3]}"#), "rule \"r\": qos is not 0, 1 or 2");
    let both = RULE.replace(r#"["subscribe"]"#, r#"["publish","subscribe"]"#);
    let both = both.replace(r#""qos_max""#, r#""when":{"retain":true},"qos_max""#);
    assert!(with_rules(&both).contains("publishing alone"));
}

#[test]
fn so_many_windows_each_with_hours() {
    const WINDOW: &str = r#"{"name":"w","days":[0,6],"from":0,"to":1440,"zone":"UTC"}"#;
    let windows = |count: usize| with_windows(&listed((0..count).map(|at| WINDOW.replace('w', &format!("{at:04}")))));
    assert_eq!(windows(1_024), "loaded");
    assert_eq!(windows(1_025), "the image has more than 1024 windows");
    let wrong = "the image is not readable: the windows are not sorted, or one is none";
    for (from, to, comes_to) in [
        (r#""w""#, "\"\"".to_owned(), wrong),
        (r#""w""#, format!("{:?}", "n".repeat(4_096)), "loaded"),
        (r#""w""#, format!("{:?}", "n".repeat(4_097)), wrong),
        ("UTC", String::new(), wrong),
        ("UTC", "z".repeat(4_097), wrong),
        ("[0,6]", "[]".into(), wrong),
        ("[0,6]", "[0,7]".into(), wrong),
        (r#""from":0"#, r#""from":1439"#.into(), "loaded"),
        (r#""from":0"#, r#""from":1440"#.into(), wrong),
        (r#""from":0,"to":1440"#, r#""from":1440,"to":60"#.into(), wrong),
        ("1440", "1441".into(), wrong),
        ("1440", "0".into(), wrong),
    ] {
        let window = WINDOW.replacen(from, &to, 1);
        assert_ne!(window, WINDOW);
        assert_eq!(with_windows(&window), comes_to, "{from}: {}", &to[..to.len().min(20)]);
    }
    assert_eq!(with_windows(&[WINDOW, WINDOW].join(",")), wrong);
    assert_eq!(with_windows(&[WINDOW, &WINDOW.replace('w', "v")].join(",")), wrong);
}

#[test]
fn so_many_topics_and_payloads_with_names_and_schemas_so_long() {
    let loaded = "loaded";
    let topics = |count: usize| {
        let topic = |at| format!(r#"{{"name":"t{at}","pattern":[{{"lit":"t{at}"}}]}}"#);
        with_topics(&listed((0..count).map(topic)), "")
    };
    assert_eq!(topics(100_000), loaded);
    assert_eq!(topics(100_001), "the image has more than 100000 topics");
    let named = |octets| with_topics(&format!(r#"{{"name":"{}","pattern":["one"]}}"#, "n".repeat(octets)), "");
    assert_eq!((named(1), named(4_096)), (loaded.into(), loaded.into()));
    assert!(named(4_097).ends_with("its name is empty or too long"));
    let deep = |levels| {
        let levels = listed(std::iter::repeat_n(r#""one""#, levels));
        with_topics(&format!(r#"{{"name":"t","pattern":[{levels}]}}"#), "")
    };
    assert_eq!((deep(1), deep(128)), (loaded.into(), loaded.into()));
    let levels = |levels: &str| with_topics(&format!(r#"{{"name":"t","pattern":[{levels}]}}"#), "");
    assert_eq!(levels(r#"{"lit":"a"},{"lit":"$share"}"#), loaded);
    assert_eq!(levels(r#"{"lit":"$share"},{"lit":"a"}"#), r#"topic "t": $share is not a level of a topic"#);
    assert_eq!(levels(r#""many","one""#), r#"topic "t": # is not the last level"#);
    assert_eq!(levels(r#"{"var":"identity"}"#), r#"topic "t": a declared topic has no variables"#);
    assert_eq!(deep(0), r#"topic "t": its pattern has no level, or too many"#);
    assert_eq!(deep(129), r#"topic "t": its pattern has no level, or too many"#);
    let payloads = |count| with_topics("", &listed(std::iter::repeat_n(r#"{"format":"text"}"#, count)));
    assert_eq!(payloads(10_000), loaded);
    assert_eq!(payloads(10_001), "the image has more than 10000 payloads");
    let schema = |octets| with_topics("", &format!(r#"{{"format":"json","schema":"{}"}}"#, " ".repeat(octets)));
    assert_eq!(schema(1024 * 1024), loaded);
    assert_eq!(schema(1024 * 1024 + 1), "payload 0: its schema has more than 1048576 octets");
    let pays = |at| with_topics(&format!(r#"{{"name":"t","pattern":["one"],"payload":{at}}}"#), r#"{"format":"text"}"#);
    assert_eq!(pays(0), loaded);
    assert_eq!(pays(1), r#"topic "t": it has a payload that is not there"#);
}

#[test]
fn what_no_compiler_declares_of_a_topic_is_refused() {
    let told = |topics: &str| with_topics(topics, r#"{"format":"text"}"#);
    for (topics, why) in [
        (r#"{"name":"","pattern":[{"lit":"a"}]}"#, "its name is empty or too long"),
        (r#"{"name":"a","pattern":[{"lit":"a"}],"rate_per_s":0}"#, "a rate or a retention of nothing"),
        (r#"{"name":"a","pattern":[{"lit":"a"}],"retention_s":0}"#, "a rate or a retention of nothing"),
        (r#"{"name":"a","pattern":[{"lit":"a"}]},{"name":"b","pattern":[{"lit":"a"}]}"#, "it is there twice"),
    ] {
        let said = told(topics);
        assert!(said.starts_with("topic ") && said.ends_with(why), "{topics}: {said}");
    }
    let enforced = |word: &str| told(&format!(r#"{{"name":"a","pattern":[{{"lit":"a"}}],"enforce":"{word}"}}"#));
    assert_eq!(enforced("reject"), "loaded");
    assert!(enforced("maybe").starts_with("the image is not readable: unknown variant `maybe`"));
    assert_eq!(with_topics("", r#"{"format":"text","pattern":"a"}"#), "payload 0: no patterns");
    let text = r#"{"format":3,"roles":[],"payloads":[{"format":"text"}]}"#;
    assert!(matches!(Image::load(text.as_bytes()), Err(ImageError::Payload { .. })), "nobody is there to check");
}
