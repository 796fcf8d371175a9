//! A trace's buffer: no secret is in it, it is bounded, and what is missing is told where it is missing.

use bartizan_core::wire::encode::{self, AuthTail, PublishHead};
use bartizan_core::wire::packet::{Connect, QoS, Will};
use bartizan_core::wire::property::PropertyWriter;
use bartizan_core::wire::{PacketId, Properties, Property, ReasonCode, Version};
use serde_json::{Value, json};

use super::captured::{Direction, OCTETS_MAX, first};
use super::*;

const PASSWORD: &[u8] = b"hunter2-password";
const PROOF: &[u8] = b"hunter2-proof";
const LAST_WORDS: &[u8] = b"hunter2-last-words";

fn traced(with_payloads: bool) -> Arc<Trace> {
    let traces = Traces::default();
    traces.add("press-01".into(), Time(1_000), with_payloads, Time(0)).unwrap()
}

fn pass(trace: &Trace, octets: &[u8], direction: Direction, version: Option<Version>) {
    let (what, len) = first(octets, direction, version, trace.with_payloads()).unwrap();
    assert_eq!(len, octets.len());
    trace.push(Captured { at: Time(7), peer: Arc::from("192.0.2.7:5000"), what });
}

fn lines(trace: &Trace, with_octets: bool) -> Vec<Value> {
    let octets = trace.take(usize::MAX, with_octets);
    octets.split(|octet| *octet == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

fn connect() -> Vec<u8> {
    let (mut raw, mut of_will, mut out) = (Vec::new(), Vec::new(), Vec::new());
    PropertyWriter::new(&mut raw)
        .put(Property::AuthenticationMethod("SCRAM-SHA-256"))
        .put(Property::AuthenticationData(PROOF))
        .put(Property::UserProperty(("line", "4")));
    PropertyWriter::new(&mut of_will).put(Property::WillDelayInterval(5));
    let will = Will {
        topic: "press/gone",
        payload: LAST_WORDS,
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: Properties { raw: &of_will },
    };
    encode::connect(
        &mut out,
        &Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive_s: 60,
            properties: Properties { raw: &raw },
            client_id: "press-01",
            will: Some(will),
            user_name: Some("press"),
            password: Some(PASSWORD),
        },
    );
    out
}

fn publish(topic: &str, alias: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut raw = Vec::new();
    PropertyWriter::new(&mut raw).put_some(alias.map(Property::TopicAlias));
    let head = PublishHead {
        qos: QoS::AtLeastOnce,
        packet_id: PacketId::new(7),
        topic,
        forwarded: &raw,
        ..PublishHead::default()
    };
    encode::publish(&mut out, Version::V5, &head, payload);
    out
}

fn has(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}

#[test]
fn no_secret_is_ever_in_the_buffer() {
    let mut auth = Vec::new();
    let tail = AuthTail { method: "SCRAM-SHA-256", payload: Some(PROOF), reason_string: None };
    encode::auth(&mut auth, ReasonCode::ContinueAuthentication, &tail);
    for with_payloads in [false, true] {
        let trace = traced(with_payloads);
        pass(&trace, &connect(), Direction::In, None);
        pass(&trace, &auth, Direction::Out, Some(Version::V5));
        for captured in &trace.waiting().packets {
            let Passed::Packet { octets, len, .. } = &captured.what else { panic!("{captured:?}") };
            assert_eq!(octets.len(), *len, "what is hidden is zeros, not gone");
            assert!(!has(octets, PASSWORD) && !has(octets, PROOF), "{octets:?}");
            assert!(with_payloads || !has(octets, LAST_WORDS));
        }
        let [connected, exchanged] = lines(&trace, true).try_into().unwrap();
        assert_eq!(connected["password"], "hidden");
        assert_eq!(connected["user_name"], "press");
        assert_eq!(connected["will"]["payload_bytes"], LAST_WORDS.len());
        assert_eq!(connected["will"].get("payload").is_some(), with_payloads);
        assert_eq!(connected["will"]["properties"], json!({"will_delay_interval": 5}));
        assert_eq!(
            connected["properties"],
            json!({"authentication_method": "SCRAM-SHA-256", "authentication_data": "hidden",
                "user_properties": [["line", "4"]]})
        );
        assert_eq!(exchanged["properties"]["authentication_data"], "hidden");
        assert_eq!(exchanged["reason"], json!({"code": 0x18, "name": "Continue authentication"}));
    }
}

#[test]
fn a_connect_that_cannot_be_read_is_kept_without_its_octets() {
    let mut octets = connect();
    octets.push(0);
    octets[1] += 1;
    let trace = traced(true);
    pass(&trace, &octets, Direction::In, None);
    let [line] = lines(&trace, true).try_into().unwrap();
    assert_eq!((&line["type"], &line["bytes"]), (&json!("CONNECT"), &json!(octets.len())));
    assert!(line["error"].as_str().unwrap().contains("3.1.3"), "{line}");
    assert!(line.get("octets").is_none() && !line.to_string().contains("hunter2"));
}

#[test]
fn a_payload_is_there_only_where_it_is_wanted() {
    for (with_payloads, payload) in [(false, None), (true, Some("21.5"))] {
        let trace = traced(with_payloads);
        let octets = publish("press/temp", None, b"21.5");
        pass(&trace, &octets, Direction::In, Some(Version::V5));
        let [line] = lines(&trace, false).try_into().unwrap();
        assert_eq!(line.get("payload").and_then(Value::as_str), payload);
        assert_eq!((&line["payload_bytes"], &line["bytes"]), (&json!(4), &json!(octets.len())));
        assert_eq!((&line["topic"], &line["qos"], &line["packet_id"]), (&json!("press/temp"), &json!(1), &json!(7)));
        assert_eq!((&line["direction"], &line["connection"]), (&json!("in"), &json!("192.0.2.7:5000")));
        assert!(line.get("octets").is_none());
    }
}

#[test]
fn a_payload_that_is_no_text_is_shown_as_octets_and_a_long_one_is_cut() {
    let trace = traced(true);
    pass(&trace, &publish("t", None, &[0xff, 0x00]), Direction::Out, Some(Version::V5));
    let long = vec![b'x'; OCTETS_MAX + 10];
    pass(&trace, &publish("t", None, &long), Direction::Out, Some(Version::V5));
    let [octets, cut] = lines(&trace, false).try_into().unwrap();
    assert_eq!((&octets["payload_base64"], octets.get("cut")), (&json!("/wA="), None));
    assert_eq!((&cut["payload_bytes"], &cut["cut"]), (&json!(long.len()), &json!(true)));
    assert!(cut["payload"].as_str().unwrap().len() < long.len());
}

#[test]
fn an_alias_is_shown_as_what_it_stands_for_on_its_own_connection() {
    let trace = traced(false);
    pass(&trace, &publish("press/temp", Some(3), b""), Direction::In, Some(Version::V5));
    pass(&trace, &publish("", Some(3), b""), Direction::In, Some(Version::V5));
    pass(&trace, &publish("", Some(3), b""), Direction::Out, Some(Version::V5));
    let [_, aliased, other] = lines(&trace, false).try_into().unwrap();
    assert_eq!((&aliased["topic"], &aliased["properties"]["topic_alias"]), (&json!("press/temp"), &json!(3)));
    assert_eq!(other["topic"], "");
}

#[test]
fn what_finds_no_room_is_counted_where_it_is_missing() {
    let trace = traced(true);
    let octets = publish("t", None, &vec![b'x'; 60_000]);
    for _ in 0..80 {
        pass(&trace, &octets, Direction::In, Some(Version::V5));
    }
    let kept = trace.waiting().packets.len() - 1;
    assert!(trace.waiting().bytes <= WAITING_BYTES_MAX && kept > 60, "{kept}");
    let first = trace.take(1, false);
    assert!(!first.is_empty());
    pass(&trace, &octets, Direction::Out, Some(Version::V5));
    let rest = lines(&trace, false);
    assert_eq!(rest[kept - 1]["lost"], 80 - kept);
    assert_eq!(rest[kept]["direction"], "out");
    assert_eq!(trace.waiting().bytes, 0);
}

#[test]
fn nothing_is_taken_down_behind_the_end_and_traces_are_few() {
    let traces = Traces::default();
    let trace = traces.add("a".into(), Time(100), false, Time(0)).unwrap();
    trace.push(Captured { at: Time(101), peer: Arc::from(""), what: Passed::Closed });
    assert!(trace.take(10, false).is_empty());
    for _ in 1..TRACES_MAX {
        assert!(traces.add("a".into(), Time(100), false, Time(0)).is_some());
    }
    assert!(traces.add("a".into(), Time(100), false, Time(0)).is_none());
    assert!(traces.remove(trace.number()) && !traces.remove(trace.number()));
    assert!(traces.add("a".into(), Time(100), false, Time(0)).is_some());
    // Those that nobody ended make room some time after their end.
    assert!(traces.add("a".into(), Time(200_000), false, Time(100 + FORGOTTEN_AFTER_MS)).is_some());
}
