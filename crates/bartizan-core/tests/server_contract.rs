//! Messages held to what the policy declares of their topic: counted, told, or refused with the code that says why;
//! Wills too. And what a staged policy would make of them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod server_world;

use std::sync::Arc;

use bartizan_core::event::What;
use bartizan_core::policy::{
    Broken, Duty, Enforce, Image, ImageError, Misfit, PayloadCheck, PayloadCompiler, PayloadSpec,
};
use bartizan_core::server::apply::Change;
use bartizan_core::server::observations::{Action, Row};
use bartizan_core::topic::TopicName;
use bartizan_core::wire::{QoS, ReasonCode, Version};
use server_world::client::{self, Client, Will};
use server_world::{World, wide};

/// Payloads that begin with this.
#[derive(Debug)]
struct Begins(String);

impl PayloadCheck for Begins {
    fn check(&self, payload: &[u8]) -> Result<(), Misfit> {
        if payload.starts_with(self.0.as_bytes()) { Ok(()) } else { Err(Misfit("it does not begin so".into())) }
    }
}

struct Compiler;

impl PayloadCompiler for Compiler {
    fn compile(&self, spec: &PayloadSpec) -> Result<Box<dyn PayloadCheck>, String> {
        let begins = spec.schema.clone().unwrap_or_else(|| "ok".into());
        if spec.pattern.is_some() { Err("no patterns".into()) } else { Ok(Box::new(Begins(begins))) }
    }
}

const ROLES: &str = r#""roles":[{"name":"all","limits":{},"rules":[{"name":"r","effect":"permit",
    "actions":["publish","subscribe"],"pattern":["many"],"qos_max":2,"retain":true}]}]"#;

const TOPICS: &str = r#"
  {"name":"any/#","pattern":[{"lit":"any"},"many"]},
  {"name":"brief","pattern":[{"lit":"brief"}],"retention_s":60},
  {"name":"c","pattern":[{"lit":"c"}],"payload":0,"rate_per_s":1000},
  {"name":"rare","pattern":[{"lit":"rare"}],"enforce":"reject","rate_per_s":1},
  {"name":"t/{x}","pattern":[{"lit":"t"},"one"],"enforce":"reject","payload":0},
  {"name":"t/free","pattern":[{"lit":"t"},{"lit":"free"}]},
  {"name":"w","pattern":[{"lit":"w"}],"enforce":"warn","payload":0}"#;

/// Of undeclared topics it says this; nothing, where that is "unsaid".
fn text(undeclared: &str, topics: &str) -> String {
    let said = if undeclared == "unsaid" { String::new() } else { format!(r#""undeclared":"{undeclared}","#) };
    format!(r#"{{"format":3,{ROLES},{said}"topics":[{topics}],"payloads":[{{"format":"text"}}]}}"#)
}

fn load(text: &str) -> Result<Image, ImageError> {
    Image::load_with(text.as_bytes(), &Compiler)
}

fn world(undeclared: &str, shards: usize) -> World {
    let mut world = World::new(shards, wide(), &[("i", &["all"])]);
    let image = Arc::new(load(&text(undeclared, TOPICS)).unwrap());
    world.apply(Change { image, epoch: 2, ..world.change.clone() });
    world
}

fn joined(world: &mut World, name: &str, version: Version) -> Client {
    let mut client = Client::new(name, "i", version);
    client.expiry_s = 0;
    client.clean_start = true;
    client.connect(world, 0);
    rest(world, &mut [&mut client]);
    client
}

fn reader(world: &mut World) -> Client {
    let mut reader = joined(world, "reader", Version::V5);
    reader.subscribe(world, "#", QoS::AtLeastOnce);
    rest(world, &mut [&mut reader]);
    reader
}

fn counted(world: &World, name: &str) -> u64 {
    world.common.totals().into_iter().find(|(known, _)| *known == name).map(|(_, count)| count).unwrap()
}

/// Everything happens that can, to what waits in sockets too.
fn rest(world: &mut World, clients: &mut [&mut Client]) {
    client::rest(world, clients);
    world.flush_all();
    client::rest(world, clients);
}

/// What the reader was sent of these, by topic.
fn passed(world: &mut World, writer: &mut Client, reader: &mut Client, sent: &[(&str, &str)], qos: QoS) -> Vec<String> {
    reader.got.clear();
    for (topic, payload) in sent {
        writer.publish(world, topic, payload, qos, false);
        rest(world, &mut [writer, reader]);
    }
    reader.got.iter().map(|got| got.topic.clone()).collect()
}

const SENT: [(&str, &str); 7] =
    [("t/1", "ok"), ("t/1", "no"), ("t/free", "no"), ("w", "no"), ("c", "no"), ("any/x", "no"), ("other", "no")];

const EFFECTS: [&str; 3] = ["contract_counted", "contract_warned", "contract_refused"];

/// What was told of messages that are not as declared.
fn told(world: &World) -> Vec<(&str, &'static str)> {
    let told = world.events.iter().filter_map(|what| match what {
        What::ContractBroken { topic, effect, .. } => Some((topic.as_str(), *effect)),
        _ => None,
    });
    told.collect()
}

#[test]
fn what_is_not_as_declared_is_refused_told_or_counted() {
    for shards in [1, 2] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut world = world("reject", shards);
            let mut reader = reader(&mut world);
            let mut writer = joined(&mut world, "writer", Version::V5);
            let got = passed(&mut world, &mut writer, &mut reader, &SENT, qos);
            assert_eq!(got, ["t/1", "t/free", "w", "c", "any/x"], "{qos:?}");
            assert!(writer.is_connected);
            assert_eq!(writer.under_way(), 0, "what is refused is answered");
            let acknowledged: Vec<&str> = writer.acknowledged.iter().map(|(topic, _, _)| &**topic).collect();
            let wanted: &[&str] = if qos == QoS::AtMostOnce { &[] } else { &["t/1", "t/free", "w", "c", "any/x"] };
            assert_eq!(acknowledged, wanted);
            let counts = ["topics_undeclared", "payload_misfits", "denied"];
            assert_eq!(counts.map(|name| counted(&world, name)), [1, 3, 0]);
            assert_eq!(EFFECTS.map(|name| counted(&world, name)), [1, 1, 2]);
            assert_eq!(told(&world), [("t/1", "refused"), ("w", "warned"), ("other", "refused")]);
        }
    }
}

#[test]
fn an_undeclared_topic_goes_on_where_it_is_told_or_counted_or_the_policy_says_nothing_of_it() {
    for (undeclared, effects) in [("unsaid", [0, 0, 0]), ("off", [1, 0, 0]), ("warn", [0, 1, 0])] {
        let mut world = world(undeclared, 1);
        let mut reader = reader(&mut world);
        let mut writer = joined(&mut world, "writer", Version::V5);
        let got = passed(&mut world, &mut writer, &mut reader, &[("other", "x")], QoS::AtLeastOnce);
        assert_eq!((got.len(), counted(&world, "topics_undeclared")), (1, effects.iter().sum()), "{undeclared}");
        assert_eq!(EFFECTS.map(|name| counted(&world, name)), effects, "{undeclared}");
        assert_eq!(told(&world).len() as u64, effects[1], "{undeclared}");
    }
}

#[test]
fn what_is_faster_than_declared_is_counted_where_enforce_is_off() {
    let mut world = world("off", 1);
    let topics = TOPICS.replace(r#""rate_per_s":1000"#, r#""rate_per_s":1"#);
    let image = Arc::new(load(&text("unsaid", &topics)).unwrap());
    world.apply(Change { image, epoch: 3, ..world.change.clone() });
    let mut reader = reader(&mut world);
    let mut writer = joined(&mut world, "writer", Version::V5);
    for _ in 0..25 {
        writer.publish(&mut world, "c", "ok", QoS::AtMostOnce, false);
    }
    rest(&mut world, &mut [&mut writer, &mut reader]);
    assert_eq!(reader.got.len(), 25);
    assert_eq!(counted(&world, "topic_rates_exceeded"), 15);
    assert_eq!(EFFECTS.map(|name| counted(&world, name)), [15, 0, 0]);
    assert_eq!(told(&world), []);
}

#[test]
fn a_policy_that_asks_nothing_of_messages_holds_none_to_anything() {
    let image =
        load(&text("unsaid", r#"{"name":"any/#","pattern":[{"lit":"any"},"many"],"enforce":"reject"}"#)).unwrap();
    assert!(!image.asks_of_messages());
    for name in ["any/x", "other"] {
        assert_eq!(image.duty(&TopicName::parse(name).unwrap()), None);
    }
    assert!(load(&text("off", "")).unwrap().asks_of_messages());
    assert!(load(&text("unsaid", TOPICS)).unwrap().asks_of_messages());
}

/// What was refused, as it stands among the denials: action, topic, why, by which key of the contract, how often.
fn denials(world: &mut World) -> Vec<(Action, String, &'static str, String, u64)> {
    let told = |row: Row| {
        let by = row.rule.as_deref().unwrap_or_default().to_owned();
        (row.action, row.topic.to_string(), row.why, by, row.count)
    };
    world.observed().denials.into_iter().map(told).collect()
}

#[test]
fn what_the_contract_refuses_is_noted_among_the_denials() {
    for shards in [1, 2] {
        let mut world = world("reject", shards);
        world.watch(None, false);
        let mut reader = reader(&mut world);
        let mut writer = joined(&mut world, "writer", Version::V5);
        passed(&mut world, &mut writer, &mut reader, &SENT, QoS::AtLeastOnce);
        passed(&mut world, &mut writer, &mut reader, &[("t/1", "no")], QoS::AtMostOnce);
        let mut wanted = vec![
            (Action::Publish, "other".into(), "topic_undeclared", "contract.enforce".into(), 1),
            (Action::Publish, "t/1".into(), "payload_misfit", "topics.\"t/{x}\".payload".into(), 2),
        ];
        assert_eq!(denials(&mut world), wanted, "{shards} shards");
        // What is only told or counted passes, and is none.
        passed(&mut world, &mut writer, &mut reader, &SENT[2..6], QoS::AtLeastOnce);
        assert_eq!(denials(&mut world), []);
        for _ in 0..12 {
            writer.publish(&mut world, "rare", "x", QoS::AtMostOnce, false);
        }
        rest(&mut world, &mut [&mut writer, &mut reader]);
        wanted = vec![(Action::Publish, "rare".into(), "rate_exceeded", "topics.\"rare\".rate_per_s".into(), 2)];
        assert_eq!(denials(&mut world), wanted);
        assert!(writer.is_connected);
    }
}

#[test]
fn a_will_that_the_contract_refuses_is_noted_at_connect_and_when_it_fires() {
    let wanted = (Action::Will, "t/1".into(), "payload_misfit", "topics.\"t/{x}\".payload".into(), 1);
    let willing = |world: &mut World| {
        let mut client = Client::new("w", "i", Version::V5);
        client.will = Some(Will { topic: "t/1".into(), payload: "no".into(), delay_s: 0 });
        client.connect(world, 0);
        rest(world, &mut [&mut client]);
        client
    };
    let mut world = world("unsaid", 1);
    world.watch(None, false);
    assert!(!willing(&mut world).is_connected);
    assert_eq!(denials(&mut world), std::slice::from_ref(&wanted));
    // One that was left under another policy.
    let open = Arc::new(load(&text("unsaid", "")).unwrap());
    let strict = std::mem::replace(&mut world.change.image, open);
    world.apply(Change { epoch: 3, ..world.change.clone() });
    let mut client = willing(&mut world);
    assert!(client.is_connected);
    world.apply(Change { image: strict, epoch: 4, ..world.change.clone() });
    client.drop_connection(&mut world);
    rest(&mut world, &mut []);
    assert_eq!(denials(&mut world), [wanted]);
}

/// Who was refused what by which policy: action, topic, why now, why by the staged one, and by which of its keys.
fn differences(world: &mut World) -> Vec<(Action, String, &'static str, &'static str, String)> {
    let told = |row: Row| {
        let by = row.staged_rule.as_deref().unwrap_or_default().to_owned();
        (row.action, row.topic.to_string(), row.why, row.staged_why, by)
    };
    world.observed().differences.into_iter().map(told).collect()
}

fn stage(world: &mut World, undeclared: &str, topics: &str) {
    world.watch_image(Some(Arc::new(load(&text(undeclared, topics)).unwrap())), false);
}

#[test]
fn a_staged_contract_decides_nothing_and_tells_what_it_would_refuse() {
    for shards in [1, 2] {
        let mut world = world("unsaid", shards);
        let open = Arc::new(load(&text("unsaid", "")).unwrap());
        world.apply(Change { image: open, epoch: 3, ..world.change.clone() });
        let mut reader = reader(&mut world);
        let mut writer = joined(&mut world, "writer", Version::V5);
        stage(&mut world, "reject", TOPICS);
        // The first is as declared, the second is not: in one read of the socket, and of one decision.
        for payload in ["ok", "no", "no"] {
            writer.publish(&mut world, "t/1", payload, QoS::AtLeastOnce, false);
        }
        rest(&mut world, &mut [&mut writer, &mut reader]);
        let got = passed(&mut world, &mut writer, &mut reader, &SENT, QoS::AtLeastOnce);
        assert_eq!(got.len(), SENT.len());
        let wanted = [
            (Action::Publish, "other".into(), "permitted", "topic_undeclared", "contract.enforce".into()),
            (Action::Publish, "t/1".into(), "permitted", "payload_misfit", "topics.\"t/{x}\".payload".into()),
        ];
        assert_eq!(differences(&mut world), wanted, "{shards} shards");
        assert_eq!((told(&world), EFFECTS.map(|name| counted(&world, name))), (vec![], [0, 0, 0]));
        // Whoever goes on is noted again; whoever does not, is not.
        passed(&mut world, &mut writer, &mut reader, &[("t/1", "no"), ("t/2", "ok")], QoS::AtMostOnce);
        assert_eq!(differences(&mut world), wanted[1..]);
        world.look_away();
        passed(&mut world, &mut writer, &mut reader, &SENT, QoS::AtMostOnce);
        assert_eq!(differences(&mut world), []);
    }
}

#[test]
fn a_staged_contract_that_asks_less_tells_what_it_would_let_pass() {
    let mut world = world("reject", 1);
    let mut reader = reader(&mut world);
    let mut writer = joined(&mut world, "writer", Version::V5);
    let lenient = TOPICS.replace(r#""reject""#, r#""warn""#);
    for (undeclared, topics) in [("warn", &*lenient), ("unsaid", "")] {
        stage(&mut world, undeclared, topics);
        let got = passed(&mut world, &mut writer, &mut reader, &SENT, QoS::AtLeastOnce);
        assert_eq!(got, ["t/1", "t/free", "w", "c", "any/x"]);
        let wanted = [
            (Action::Publish, "other".into(), "topic_undeclared", "permitted", "r".into()),
            (Action::Publish, "t/1".into(), "payload_misfit", "permitted", "r".into()),
        ];
        assert_eq!(differences(&mut world), wanted, "{undeclared}");
    }
    // The same contract differs in nothing.
    stage(&mut world, "reject", TOPICS);
    passed(&mut world, &mut writer, &mut reader, &SENT, QoS::AtLeastOnce);
    assert_eq!(differences(&mut world), []);
}

#[test]
fn what_would_be_refused_is_told_beside_what_would_pass_of_the_same_topic() {
    let mut world = world("unsaid", 1);
    let mut reader = reader(&mut world);
    let mut writer = joined(&mut world, "writer", Version::V5);
    let other = text("unsaid", TOPICS).replace(r#"{"format":"text"}"#, r#"{"format":"text","schema":"no"}"#);
    world.watch_image(Some(Arc::new(load(&other).unwrap())), false);
    passed(&mut world, &mut writer, &mut reader, &[("t/1", "no"), ("t/1", "ok"), ("t/1", "no")], QoS::AtLeastOnce);
    let key = "topics.\"t/{x}\".payload";
    let wanted = [
        (Action::Publish, "t/1".into(), "payload_misfit", "permitted", "r".into()),
        (Action::Publish, "t/1".into(), "permitted", "payload_misfit", key.into()),
    ];
    let mut noted = differences(&mut world);
    noted.sort_by_key(|(_, _, why, ..)| *why);
    assert_eq!(noted, wanted);
}

#[test]
fn what_the_contract_refuses_and_the_staged_rules_deny_is_not_newly_refused() {
    let mut world = world("reject", 1);
    let mut reader = reader(&mut world);
    let mut writer = joined(&mut world, "writer", Version::V5);
    let nothing = Image::load(br#"{"format":3,"roles":[{"name":"all","limits":{},"rules":[]}]}"#).unwrap();
    world.watch_image(Some(Arc::new(nothing)), false);
    let got =
        passed(&mut world, &mut writer, &mut reader, &[("other", "x"), ("t/1", "no"), ("w", "ok")], QoS::AtLeastOnce);
    assert_eq!(got, ["w"]);
    let of_messages = |row: &(Action, String, &str, &str, String)| row.0 == Action::Publish;
    let noted: Vec<_> = differences(&mut world).into_iter().filter(of_messages).collect();
    assert_eq!(noted, [(Action::Publish, "w".into(), "permitted", "no_permit", String::new())]);
}

#[test]
fn what_the_staged_rules_permit_and_its_contract_refuses_is_not_newly_allowed() {
    let mut world = World::under(
        r#"{"format":3,"roles":[{"name":"all","limits":{},"rules":[{"name":"n","effect":"permit",
        "actions":["publish"],"pattern":[{"lit":"any"}],"qos_max":2,"retain":true}]}]}"#,
        1,
        wide(),
        &[("i", &["all"])],
    );
    stage(&mut world, "reject", TOPICS);
    let mut writer = joined(&mut world, "writer", Version::V5);
    for (topic, payload) in [("t/1", "no"), ("other", "x"), ("t/2", "ok")] {
        writer.publish(&mut world, topic, payload, QoS::AtLeastOnce, false);
        rest(&mut world, &mut [&mut writer]);
    }
    assert_eq!(differences(&mut world), [(Action::Publish, "t/2".into(), "no_permit", "permitted", "r".into())]);
}

#[test]
fn a_staged_rate_counts_what_is_really_sent() {
    let mut world = world("unsaid", 1);
    let mut reader = reader(&mut world);
    let mut writer = joined(&mut world, "writer", Version::V5);
    stage(
        &mut world,
        "unsaid",
        &TOPICS.replace(r#""payload":0,"rate_per_s":1000"#, r#""enforce":"reject","rate_per_s":1"#),
    );
    for sent in [9, 9] {
        for _ in 0..sent {
            writer.publish(&mut world, "c", "ok", QoS::AtMostOnce, false);
        }
        rest(&mut world, &mut [&mut writer, &mut reader]);
    }
    assert_eq!(reader.got.len(), 18);
    let wanted = (Action::Publish, "c".into(), "permitted", "rate_exceeded", "topics.\"c\".rate_per_s".into());
    assert_eq!(differences(&mut world), [wanted]);
}

#[test]
fn a_will_that_the_staged_contract_would_refuse_is_told_at_connect_and_when_it_fires() {
    let mut world = world("unsaid", 1);
    let open = Arc::new(load(&text("unsaid", "")).unwrap());
    world.apply(Change { image: open, epoch: 3, ..world.change.clone() });
    stage(&mut world, "unsaid", TOPICS);
    let mut client = Client::new("w", "i", Version::V5);
    client.will = Some(Will { topic: "t/1".into(), payload: "no".into(), delay_s: 0 });
    client.connect(&mut world, 0);
    rest(&mut world, &mut [&mut client]);
    assert!(client.is_connected);
    let wanted = (Action::Will, "t/1".into(), "permitted", "payload_misfit", "topics.\"t/{x}\".payload".into());
    assert_eq!(differences(&mut world), std::slice::from_ref(&wanted));
    client.drop_connection(&mut world);
    rest(&mut world, &mut []);
    assert_eq!(differences(&mut world), [wanted]);
}

#[test]
fn the_same_topic_is_looked_at_again_with_every_payload() {
    let mut world = world("off", 1);
    let mut reader = reader(&mut world);
    let mut writer = joined(&mut world, "writer", Version::V5);
    let sent = [("t/1", "ok 1"), ("t/1", "ok 2"), ("t/1", "no"), ("t/1", "ok 3"), ("any/x", "no"), ("t/1", "no")];
    // All in one read of the socket, which is what a verdict is remembered for.
    for (topic, payload) in sent {
        writer.publish(&mut world, topic, payload, QoS::AtMostOnce, false);
    }
    rest(&mut world, &mut [&mut writer, &mut reader]);
    let got: Vec<&str> = reader.got.iter().map(|got| &*got.payload).collect();
    assert_eq!(got, ["ok 1", "ok 2", "ok 3", "no"]);
}

#[test]
fn a_client_of_3_1_1_is_closed_as_for_any_message_that_is_denied() {
    for (topic, payload) in [("t/1", "no"), ("other", "x")] {
        let mut world = world("reject", 1);
        let mut writer = joined(&mut world, "writer", Version::V311);
        writer.publish(&mut world, topic, payload, QoS::AtLeastOnce, false);
        rest(&mut world, &mut [&mut writer]);
        assert!(!writer.is_connected, "{topic}");
    }
}

#[test]
fn a_rate_lets_a_burst_through_and_then_so_many_per_second() {
    let mut world = world("off", 1);
    let mut reader = reader(&mut world);
    let mut writer = joined(&mut world, "writer", Version::V5);
    let many = vec![("rare", "x"); 25];
    let begun = world.now;
    let got = passed(&mut world, &mut writer, &mut reader, &many, QoS::AtLeastOnce).len();
    let seconds = (world.now.0 - begun.0) as usize / 1_000;
    assert!((10..=11 + seconds).contains(&got), "{got} in {seconds} s");
    assert_eq!(counted(&world, "topic_rates_exceeded"), 25 - got as u64);
    // Other topics, and other clients, are measured by themselves.
    let mut other = joined(&mut world, "other", Version::V5);
    assert_eq!(passed(&mut world, &mut other, &mut reader, &[("rare", "x")], QoS::AtLeastOnce).len(), 1);
    assert_eq!(passed(&mut world, &mut writer, &mut reader, &[("any/x", "x")], QoS::AtLeastOnce).len(), 1);
    // A new policy begins anew.
    let image = Arc::new(load(&text("warn", TOPICS)).unwrap());
    world.apply(Change { image, epoch: 3, ..world.change.clone() });
    let got = passed(&mut world, &mut writer, &mut reader, &many[..10], QoS::AtLeastOnce).len();
    assert_eq!(got, 10);
}

#[test]
fn a_retained_message_is_of_no_use_after_its_retention() {
    let mut world = world("off", 1);
    let mut writer = joined(&mut world, "writer", Version::V5);
    writer.publish(&mut world, "brief", "x", QoS::AtLeastOnce, true);
    writer.publish(&mut world, "any/x", "x", QoS::AtLeastOnce, true);
    rest(&mut world, &mut [&mut writer]);
    let sent = |world: &mut World, name: &str| {
        let mut late = joined(world, name, Version::V5);
        late.subscribe(world, "#", QoS::AtLeastOnce);
        rest(world, &mut [&mut late]);
        late.got.iter().map(|got| got.topic.clone()).collect::<Vec<_>>()
    };
    assert_eq!(sent(&mut world, "at once").len(), 2);
    world.advance(61_000);
    assert_eq!(sent(&mut world, "late"), ["any/x"]);
}

#[test]
fn a_will_is_looked_at_at_connect_and_when_it_fires() {
    let mut world = world("reject", 1);
    for (topic, payload, reason) in
        [("t/1", "no", ReasonCode::PayloadFormatInvalid), ("other", "ok", ReasonCode::TopicNameInvalid)]
    {
        for version in [Version::V5, Version::V311] {
            let mut client = Client::new("w", "i", version);
            client.will = Some(Will { topic: topic.into(), payload: payload.into(), delay_s: 0 });
            client.connect(&mut world, 0);
            rest(&mut world, &mut [&mut client]);
            let told = if version.is_v5() { reason } else { ReasonCode::NotAuthorized };
            assert_eq!(client.last_reason, Some(told), "{topic}");
            assert!(!client.is_connected);
        }
    }
    let mut reader = reader(&mut world);
    for stays in [true, false] {
        let mut client = Client::new("w", "i", Version::V5);
        client.will = Some(Will { topic: "t/1".into(), payload: "ok".into(), delay_s: 0 });
        client.connect(&mut world, 0);
        rest(&mut world, &mut [&mut client]);
        assert!(client.is_connected);
        if !stays {
            let image = Arc::new(load(&text("reject", r#"{"name":"none","pattern":[{"lit":"none"}]}"#)).unwrap());
            world.apply(Change { image, epoch: 3, ..world.change.clone() });
        }
        reader.got.clear();
        client.drop_connection(&mut world);
        rest(&mut world, &mut [&mut reader]);
        assert_eq!(reader.got.len(), usize::from(stays));
    }
}

#[test]
fn the_most_specific_declaration_holds_alone() {
    let image = load(&text("warn", TOPICS)).unwrap();
    let topic = |text| TopicName::parse(text).unwrap();
    let duty = |text| image.duty(&topic(text));
    let breach = image.breach(duty("c").unwrap(), b"no").unwrap();
    assert_eq!((breach.broken, breach.enforce, breach.refuses()), (Broken::Payload, Enforce::Off, false));
    assert_eq!(duty("other"), Some(Duty::Undeclared(Enforce::Warn)));
    assert_eq!((duty("any"), duty("any/x/y"), duty("t/free")), (None, None, None));
    assert_eq!(image.declaration(&topic("t/free")).unwrap().name.as_ref(), "t/free");
    let breach = image.breach(duty("t/1").unwrap(), b"no").unwrap();
    assert_eq!((breach.broken, breach.enforce), (Broken::Payload, Enforce::Reject));
    assert_eq!(image.breach(duty("t/1").unwrap(), b"ok"), None);
    assert_eq!(image.breach(duty("brief").unwrap(), b"no"), None);
}
