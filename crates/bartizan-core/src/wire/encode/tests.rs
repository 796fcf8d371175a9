//! Exact octets out.

use super::*;
use crate::wire::{PacketId, Properties, QoS, ReasonCode as R, SubscriptionOptions, Version};

const ID: PacketId = PacketId::new(10).unwrap();

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    out.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn publish_writes_its_properties_before_what_is_forwarded() {
    let head = PublishHead {
        dup: true,
        qos: QoS::AtLeastOnce,
        retain: true,
        packet_id: Some(ID),
        topic: "a/b",
        topic_alias: Some(2),
        expiry_s: Some(9),
        subscription_ids: &[1, 300],
        forwarded: &[0x01, 0x01],
    };
    let v5 = written(|out| publish(out, Version::V5, &head, b"hi"));
    assert_eq!(v5, "3b 19 00 03 61 2f 62 00 0a 0f 23 00 02 02 00 00 00 09 0b 01 0b ac 02 01 01 68 69");
    let v3 = written(|out| publish(out, Version::V311, &head, b"hi"));
    assert_eq!(v3, "3b 09 00 03 61 2f 62 00 0a 68 69");
}

#[test]
fn publish_len_is_the_length_that_publish_writes() {
    for payload_len in [0, 1, 117, 118, 119, 120, 16_370, 16_380, 16_390, 2_097_150] {
        for subscription_ids in [&[][..], &[127, 128, 16_384]] {
            for version in [Version::V31, Version::V311, Version::V5] {
                let head = PublishHead {
                    qos: QoS::ExactlyOnce,
                    packet_id: Some(ID),
                    topic: "t",
                    expiry_s: Some(1),
                    subscription_ids,
                    ..PublishHead::default()
                };
                let mut out = Vec::new();
                publish(&mut out, version, &head, &vec![0; payload_len]);
                assert_eq!(publish_len(version, &head, payload_len), out.len());
            }
        }
    }
}

#[test]
fn acknowledgements_take_their_shortest_form() {
    assert_eq!(written(|out| puback(out, Version::V311, ID, R::NotAuthorized, Some("x"))), "40 02 00 0a");
    assert_eq!(written(|out| puback(out, Version::V5, ID, R::Success, None)), "40 02 00 0a");
    assert_eq!(written(|out| pubrec(out, Version::V5, ID, R::NotAuthorized, None)), "50 03 00 0a 87");
    assert_eq!(written(|out| pubrel(out, Version::V5, ID, R::PacketIdentifierNotFound, None)), "62 03 00 0a 92");
    assert_eq!(written(|out| pubcomp(out, Version::V5, ID, R::Success, Some("x"))), "70 08 00 0a 00 04 1f 00 01 78");
}

#[test]
fn mqtt_3_9_3_2_a_3_1_1_client_hears_every_refusal_as_0x80() {
    let codes = [R::GrantedQoS1, R::NotAuthorized, R::Success];
    assert_eq!(written(|out| suback(out, Version::V311, ID, &codes, Some("x"))), "90 05 00 0a 01 80 00");
    assert_eq!(written(|out| suback(out, Version::V5, ID, &codes, None)), "90 06 00 0a 00 01 87 00");
    assert_eq!(written(|out| unsuback(out, Version::V311, ID, &codes, None)), "b0 02 00 0a");
    assert_eq!(written(|out| unsuback(out, Version::V5, ID, &[R::NoSubscriptionExisted], None)), "b0 04 00 0a 00 11");
}

#[test]
fn connack_is_told_in_the_form_of_its_version() {
    let none = ConnackProperties::default();
    assert_eq!(written(|out| connack(out, Version::V311, true, R::Success, &none)), "20 02 01 00");
    assert_eq!(written(|out| connack(out, Version::V31, true, R::Success, &none)), "20 02 00 00");
    assert_eq!(written(|out| connack(out, Version::V311, true, R::NotAuthorized, &none)), "20 02 00 05");
    assert_eq!(written(|out| connack(out, Version::V5, true, R::NotAuthorized, &none)), "20 03 00 87 00");
    let some = ConnackProperties { receive_maximum: Some(10), retain_available: Some(false), ..none };
    assert_eq!(written(|out| connack(out, Version::V5, false, R::Success, &some)), "20 08 00 00 05 21 00 0a 25 00");
    assert_eq!(written(|out| connack(out, Version::V311, false, R::Success, &some)), "20 02 00 00");
}

#[test]
fn a_server_sends_disconnect_in_5_0_alone() {
    let (v3, v5) = (Version::V311, Version::V5);
    assert_eq!(written(|out| disconnect(out, v3, R::ServerShuttingDown, None, None)), "");
    assert_eq!(written(|out| disconnect(out, v5, R::Success, None, None)), "e0 00");
    assert_eq!(written(|out| disconnect(out, v5, R::ServerShuttingDown, None, None)), "e0 02 8b 00");
    let moved = written(|out| disconnect(out, v5, R::ServerMoved, None, Some("b")));
    assert_eq!(moved, "e0 06 9d 04 1c 00 01 62");
    assert_eq!(written(|out| client_disconnect(out, v3, R::Success, Properties::default())), "e0 00");
}

#[test]
fn auth_carries_its_method_and_hides_its_secret() {
    let tail = AuthTail { method: "m", payload: Some(b"s"), reason_string: None };
    let octets = written(|out| auth(out, R::ContinueAuthentication, &tail));
    assert_eq!(octets, "f0 0a 18 08 15 00 01 6d 16 00 01 73");
    assert!(!format!("{tail:?}").contains("115"));
}

#[test]
fn pings_and_subscriptions() {
    assert_eq!(written(pingreq), "c0 00");
    assert_eq!(written(pingresp), "d0 00");
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, no_local: true, ..SubscriptionOptions::default() };
    let filters = [("a", options)];
    let none = Properties::default();
    assert_eq!(written(|out| subscribe(out, Version::V5, ID, none, &filters)), "82 07 00 0a 00 00 01 61 05");
    assert_eq!(written(|out| subscribe(out, Version::V311, ID, none, &filters)), "82 06 00 0a 00 01 61 01");
    assert_eq!(written(|out| unsubscribe(out, Version::V311, ID, none, &["a"])), "a2 05 00 0a 00 01 61");
}

#[test]
fn text_too_long_for_the_wire_is_cut_at_a_character() {
    let long = format!("x{}", "\u{e9}".repeat(40_000));
    let mut out = Vec::new();
    put::text(&mut out, &long);
    assert_eq!(out.len(), 2 + 65_535);
    assert!(std::str::from_utf8(&out[2..]).is_ok());
    assert_eq!(put::fitting(&long[1..]).len(), 65_534);
}

#[test]
fn what_the_protocol_has_no_length_for_is_not_written() {
    let mut out = Vec::new();
    assert!(!put::header(&mut out, 0x30, 268_435_456));
    assert!(out.is_empty());
    assert!(put::header(&mut Vec::new(), 0x30, 5));
}
