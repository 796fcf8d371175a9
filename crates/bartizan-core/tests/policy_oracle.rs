//! The evaluator decides as the oracle does: requests of every kind with the answers that the oracle gave
//! (`python -m tests.oracle_cases` writes them; the Python suite compares the two on many more, drawn anew). And of
//! several roles, a listener and a tenant those limits hold that the oracle names.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test says what failed by failing")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_core::policy::{
    Asked, Circumstances, Decision, Grants, Identity, Image, OpenWindows, Strength, TenantLimits, TokenAction,
    TokenGrants,
};
use bartizan_core::server::Limits;
use bartizan_core::topic::{TopicFilter, TopicName};
use bartizan_core::wire::QoS;
use serde::Deserialize;

const CASES: &str = include_str!("policy_oracle/cases.jsonl");
const LIMITS: &str = include_str!("policy_oracle/limits.jsonl");

#[derive(Deserialize)]
struct Case {
    image: serde_json::Value,
    who: Who,
    asked: Vec<Row>,
}

#[derive(Deserialize)]
struct Who {
    id: String,
    client_id: String,
    roles: Vec<Arc<str>>,
    attributes: BTreeMap<Arc<str>, Arc<str>>,
    there: Option<There>,
    windows: Vec<String>,
    tokens: Vec<Vec<(String, String)>>,
}

#[derive(Deserialize)]
struct There {
    listener: String,
    address: Option<String>,
    method: String,
    strengths: Vec<String>,
}

/// Action, topic, QoS, RETAIN, octets of the payload, Content Type, whether it is UTF-8; the answer.
type Row = (String, String, u8, bool, usize, Option<String>, bool, String);

fn narrowed(tokens: &[Vec<(String, String)>]) -> Option<Arc<TokenGrants>> {
    let action = |word: &str| match word {
        "publish" => TokenAction::Publish,
        "subscribe" => TokenAction::Subscribe,
        _ => TokenAction::All,
    };
    let each =
        |token: &Vec<(String, String)>| token.iter().map(|(word, filter)| (action(word), filter.clone())).collect();
    TokenGrants::of(tokens.iter().map(each).collect()).expect("filters").map(Arc::new)
}

fn bound(image: &Arc<Image>, who: &Who) -> Grants {
    let has = |there: &There, word: &str| there.strengths.iter().any(|strength| strength == word);
    let circumstances = who.there.as_ref().map(|there| Circumstances {
        listener: &there.listener,
        address: there.address.as_ref().map(|address| address.parse().expect("an address")),
        method: &there.method,
        strength: Strength { certificate: has(there, "certificate"), mfa: has(there, "mfa") },
    });
    let attributes: Vec<_> = who.attributes.clone().into_iter().collect();
    let open = OpenWindows(image.windows().map(|name| who.windows.iter().any(|open| open == name)).collect());
    let narrowed_to = narrowed(&who.tokens);
    let identity = Identity {
        id: &who.id,
        client_id: &who.client_id,
        roles: &who.roles,
        attributes: &attributes,
        circumstances,
        narrowed_to: narrowed_to.as_ref(),
    };
    image.bind(&identity, &open)
}

fn decided(grants: &Grants, row: &Row) -> Decision {
    let (action, topic, qos, retain, payload_bytes, content_type, is_utf8, _) = row;
    match action.as_str() {
        "publish" => {
            let asked = Asked {
                qos: QoS::from_bits(*qos).expect("a QoS"),
                retain: *retain,
                payload_bytes: *payload_bytes,
                content_type: content_type.as_deref(),
                is_utf8: *is_utf8,
            };
            grants.publish(&TopicName::parse(topic).expect("a Topic Name"), &asked)
        }
        "receive" => grants.receive(&TopicName::parse(topic).expect("a Topic Name")),
        _ => grants.subscribe(&TopicFilter::parse(topic).expect("a Topic Filter")),
    }
}

#[test]
fn every_request_is_decided_as_the_oracle_decided_it() {
    let mut count = 0;
    for line in CASES.lines() {
        let case: Case = serde_json::from_str(line).expect("a case");
        let image = Arc::new(Image::load(case.image.to_string().as_bytes()).expect("an image of this format"));
        let grants = bound(&image, &case.who);
        for row in &case.asked {
            let decision = decided(&grants, row);
            let answer = if decision.per_delivery {
                "per_delivery"
            } else if decision.allow {
                "allow"
            } else {
                "deny"
            };
            assert_eq!(answer, row.7, "{row:?} of {line}");
            count += 1;
        }
    }
    assert!(count > 1_000, "the file is there: {count}");
}

#[derive(Deserialize)]
struct Bounded {
    image: serde_json::Value,
    roles: Vec<Arc<str>>,
    listener: BTreeMap<String, u64>,
    limits: BTreeMap<String, u64>,
    /// Root and limits, by name.
    tenants: BTreeMap<String, (String, TenantLimits)>,
}

/// Limits of a listener, by the names that roles have for them.
fn listener(said: &BTreeMap<String, u64>) -> Limits {
    let narrow = |name: &str| u32::try_from(said[name]).expect("32 bits");
    Limits {
        publish_rate_per_s: said["publish_rate_per_s"],
        publish_bytes_per_s: said["publish_bytes_per_s"],
        subscriptions_per_session_max: narrow("subscriptions_max"),
        queued_messages_max: narrow("queued_messages_max"),
        queued_bytes_max: said["queued_bytes_max"],
        inflight_max: u16::try_from(said["inflight_max"]).expect("16 bits"),
        packet_bytes_max: narrow("packet_bytes_max"),
        retained_messages_per_identity_max: said["retained_messages_max"],
        retained_bytes_per_identity_max: said["retained_bytes_max"],
        connections_per_identity_max: said["connections_max"],
        ..Limits::default()
    }
}

#[test]
fn every_limit_is_the_one_that_the_oracle_says() {
    let mut count = 0;
    for line in LIMITS.lines() {
        let case: Bounded = serde_json::from_str(line).expect("a case");
        let image = Arc::new(Image::load(case.image.to_string().as_bytes()).expect("an image of this format"));
        let who = Identity { roles: &case.roles, ..Identity::default() };
        let grants = image.bind(&who, &OpenWindows::default());
        assert_eq!(case.limits.len(), 10, "{line}");
        assert_eq!(listener(&case.listener).for_roles(grants.limits()), listener(&case.limits), "{line}");
        for (name, (root, limits)) in &case.tenants {
            let tenant = image.tenant(name).expect("a tenant");
            assert_eq!((tenant.root(), tenant.limits), (&*format!("{root}/"), *limits), "{line}");
        }
        count += case.tenants.len() + 1;
    }
    assert!(count > 200, "the file is there: {count}");
}
