//! Exact octets in, the packet or the Reason Code out, clause by clause.

use super::*;
use crate::wire::{Ack, PacketId, QoS, ReasonCode as R};

const V3: Option<Version> = Some(Version::V311);
const V5: Option<Version> = Some(Version::V5);

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// What reading these octets says: the packet's Debug form, or the error.
fn read(role: Role, version: Option<Version>, octets: &[u8]) -> Result<String, DecodeError> {
    let framed = frame(octets, 1 << 20)?.expect("the whole packet is there");
    assert_eq!(framed.len, octets.len(), "the case is one packet");
    decode(framed, role, version).map(|packet| format!("{packet:?}"))
}

fn refused(version: Option<Version>, text: &str) -> R {
    refused_by(Role::Server, version, text)
}

fn refused_by(role: Role, version: Option<Version>, text: &str) -> R {
    match read(role, version, &hex(text)) {
        Ok(packet) => panic!("{text} was taken: {packet}"),
        Err(error) => {
            assert!(error.version == version || version.is_none(), "{text}: {error:?}");
            error.reason
        }
    }
}

fn taken(version: Option<Version>, text: &str) {
    if let Err(error) = read(Role::Server, version, &hex(text)) {
        panic!("{text} was refused: {error:?}");
    }
}

fn taken_by_client(version: Option<Version>, text: &str) {
    if let Err(error) = read(Role::Client, version, &hex(text)) {
        panic!("{text} was refused: {error:?}");
    }
}

#[test]
fn a_frame_waits_for_its_last_octet() {
    let octets = hex("30 05 00 01 61 62 63 c0 00");
    for cut in 0..7 {
        assert_eq!(frame(&octets[..cut], 1 << 20).unwrap(), None);
    }
    let framed = frame(&octets, 1 << 20).unwrap().unwrap();
    assert_eq!((framed.first, framed.body, framed.len), (0x30, &octets[2..7], 7));
}

#[test]
fn mqtt_3_2_2_15_too_large_a_packet_is_refused_at_its_header() {
    let error = frame(&hex("30 ff ff ff 7f"), 1000).unwrap_err();
    assert_eq!(error.reason, R::PacketTooLarge);
    assert!(frame(&hex("30 05 00 01 61 62 63"), 7).unwrap().is_some(), "the limit counts the whole packet");
    assert_eq!(frame(&hex("30 05"), 6).unwrap_err().reason, R::PacketTooLarge);
}

#[test]
fn a_remaining_length_of_five_octets_is_malformed() {
    assert_eq!(frame(&hex("30 ff ff ff ff"), u32::MAX).unwrap_err().reason, R::MalformedPacket);
}

#[test]
fn mqtt_1_5_5_1_a_padded_remaining_length_is_malformed_in_5_0_alone() {
    assert_eq!(refused(V5, "c0 80 00"), R::MalformedPacket);
    taken(V3, "c0 80 00");
    assert_eq!(refused(None, "10 8d 00  00 04 4d 51 54 54 05 02 00 3c 00 00 00"), R::MalformedPacket);
    taken(None, "10 8c 00  00 04 4d 51 54 54 04 02 00 3c 00 00");
}

#[test]
fn mqtt_3_1_0_1_the_first_packet_is_connect() {
    for text in ["c0 00", "e0 00", "30 05 00 01 61 62 63", "00 00", "20 02 00 00"] {
        assert_eq!(refused(None, text), R::ProtocolError);
    }
}

#[test]
fn mqtt_3_1_0_2_a_second_connect_is_a_protocol_error() {
    assert_eq!(refused(V5, "10 0d 00 04 4d 51 54 54 05 02 00 3c 00 00 00"), R::ProtocolError);
    assert_eq!(refused(V3, "10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00"), R::ProtocolError);
}

#[test]
fn mqtt_2_1_3_1_reserved_flags_are_malformed() {
    for version in [V3, V5] {
        for text in [
            "c1 00",
            "e1 00",
            "41 02 00 01",
            "60 02 00 01",
            "63 02 00 01",
            "80 06 00 01 00 01 61 00",
            "a0 05 00 01 00 01 61",
        ] {
            assert_eq!(refused(version, text), R::MalformedPacket, "{text}");
        }
    }
    assert_eq!(refused(None, "11 0d 00 04 4d 51 54 54 05 02 00 3c 00 00 00"), R::MalformedPacket);
}

#[test]
fn packets_of_the_other_direction_and_reserved_types_are_refused() {
    for text in ["20 02 00 00", "90 03 00 01 00", "b0 02 00 01", "d0 00"] {
        assert_eq!(refused(V3, text), R::ProtocolError);
        assert_eq!(refused(V5, text), R::ProtocolError);
    }
    assert_eq!(refused(V5, "00 00"), R::MalformedPacket);
    assert_eq!(refused(V3, "f0 00"), R::MalformedPacket);
    for text in ["82 06 00 01 00 01 61 00", "c0 00", "10 00"] {
        assert_eq!(refused_by(Role::Client, V3, text), R::ProtocolError);
    }
    assert_eq!(refused_by(Role::Client, V3, "e0 00"), R::ProtocolError);
}

#[test]
fn connect_of_each_version_is_read() {
    for (text, version) in [
        ("10 0e 00 06 4d 51 49 73 64 70 03 02 00 3c 00 00", Version::V31),
        ("10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00", Version::V311),
        ("10 0d 00 04 4d 51 54 54 05 02 00 3c 00 00 00", Version::V5),
    ] {
        let octets = hex(text);
        let framed = frame(&octets, 100).unwrap().unwrap();
        let Packet::Connect(connect) = decode(framed, Role::Server, None).unwrap() else { panic!("{text}") };
        assert_eq!((connect.version, connect.keep_alive_s, connect.clean_start), (version, 60, true));
    }
}

#[test]
fn a_full_connect_is_read_and_its_password_is_not_shown() {
    let text = "10 29 00 04 4d 51 54 54 05 ee 00 0a 03 21 00 0a  00 01 63  05 18 00 00 00 09  00 01 74  00 02 68 69
                00 01 75  00 06 68 75 6e 74 65 72";
    let octets = hex(text);
    let framed = frame(&octets, 100).unwrap().unwrap();
    let Packet::Connect(connect) = decode(framed, Role::Server, None).unwrap() else { panic!() };
    let will = connect.will.clone().unwrap();
    assert_eq!((will.topic, will.payload, will.qos, will.retain), ("t", &b"hi"[..], QoS::AtLeastOnce, true));
    assert_eq!((connect.client_id, connect.user_name, connect.password), ("c", Some("u"), Some(&b"hunter"[..])));
    assert!(!format!("{connect:?}").contains("104, 117, 110"), "the password shows in Debug");
}

#[test]
fn mqtt_3_1_2_1_another_protocol_name_is_answered_with_nothing() {
    let error = read(Role::Server, None, &hex("10 0c 00 04 4d 51 54 58 04 02 00 3c 00 00")).unwrap_err();
    assert_eq!((error.reason, error.version), (R::UnsupportedProtocolVersion, None));
}

#[test]
fn mqtt_3_1_2_2_another_protocol_version_is_answered_in_the_form_of_3_1_1() {
    for text in [
        "10 0c 00 04 4d 51 54 54 06 02 00 3c 00 00",
        "10 0c 00 04 4d 51 54 54 03 02 00 3c 00 00",
        "10 0c 00 04 4d 51 54 54 84 02 00 3c 00 00",
        "10 0e 00 06 4d 51 49 73 64 70 04 02 00 3c 00 00",
    ] {
        let error = read(Role::Server, None, &hex(text)).unwrap_err();
        assert_eq!((error.reason, error.version), (R::UnsupportedProtocolVersion, V3), "{text}");
        assert_eq!(error.reason.connack_v3(), 1);
    }
}

#[test]
fn connect_flags_that_contradict_are_malformed_and_the_version_is_known() {
    let bodies = [
        ("04", "03", "", "[MQTT-3.1.2-3] reserved bit"),
        ("04", "0a", "", "[MQTT-3.1.2-13] Will QoS without Will"),
        ("04", "22", "", "[MQTT-3.1.2-15] Will Retain without Will"),
        ("04", "1e", "00 01 74 00 00", "[MQTT-3.1.2-14] Will QoS 3"),
        ("04", "42", "00 00", "[MQTT-3.1.2-22] password without user name"),
        ("04", "82", "", "the user name is missing"),
        ("04", "02", "00", "octets follow the payload"),
        ("05", "03", "", "[MQTT-3.1.2-3] reserved bit"),
    ];
    for (level, flags, rest, what) in bodies {
        let properties = if level == "05" { "00" } else { "" };
        let body = hex(&format!("00 04 4d 51 54 54 {level} {flags} 00 3c {properties} 00 00 {rest}"));
        let octets = [&[0x10, u8::try_from(body.len()).unwrap()][..], &body].concat();
        let error = read(Role::Server, None, &octets).unwrap_err();
        let version = if level == "05" { Version::V5 } else { Version::V311 };
        assert_eq!((error.reason, error.version), (R::MalformedPacket, Some(version)), "{what}");
    }
    taken(None, "10 0f 00 04 4d 51 54 54 05 42 00 3c 00 00 00 00 00");
}

#[test]
fn publish_flags_and_identifiers_are_checked() {
    for version in [V3, V5] {
        assert_eq!(refused(version, "36 06 00 01 61 00 01 00"), R::MalformedPacket, "[MQTT-3.3.1-4] QoS 3");
        assert_eq!(refused(version, "38 04 00 01 61 00"), R::MalformedPacket, "[MQTT-3.3.1-2] DUP at QoS 0");
        assert_eq!(refused(version, "32 06 00 01 61 00 00 00"), R::ProtocolError, "[MQTT-2.2.1-3] identifier 0");
        assert_eq!(refused(version, "30 04 00 01 80 00"), R::MalformedPacket, "[MQTT-1.5.4-1] UTF-8");
        assert_eq!(refused(version, "30 03 00 09 61"), R::MalformedPacket, "cut short");
    }
    assert_eq!(refused(V3, "30 02 00 00"), R::MalformedPacket, "3.1.1 has no alias for an empty name");
    assert_eq!(refused(V5, "30 03 00 00 00"), R::ProtocolError, "3.3.2.1 empty without an alias");
    assert_eq!(refused(V5, "30 03 00 01 61"), R::MalformedPacket, "no Property Length");
    taken(V5, "30 06 00 00 03 23 00 01");
}

#[test]
fn publish_is_read() {
    let octets = hex("3d 09 00 03 61 2f 62 00 0a 00 68");
    let framed = frame(&octets, 100).unwrap().unwrap();
    let Packet::Publish(publish) = decode(framed, Role::Server, V5).unwrap() else { panic!() };
    assert_eq!((publish.dup, publish.qos, publish.retain), (true, QoS::ExactlyOnce, true));
    assert_eq!((publish.topic, publish.packet_id), ("a/b", PacketId::new(10)));
    assert_eq!(publish.payload, b"h");
}

#[test]
fn acknowledgements_have_a_short_form_and_a_table_of_codes() {
    for first in ["40", "50", "62", "70"] {
        taken(V3, &format!("{first} 02 00 01"));
        taken(V5, &format!("{first} 02 00 01"));
        taken(V5, &format!("{first} 03 00 01 00"));
        taken(V5, &format!("{first} 04 00 01 00 00"));
        taken(V5, &format!("{first} 08 00 01 00 04 1f 00 01 61"));
        assert_eq!(refused(V5, &format!("{first} 05 00 01 00 00 00")), R::MalformedPacket);
        assert_eq!(refused(V3, &format!("{first} 03 00 01 00")), R::MalformedPacket);
        assert_eq!(refused(V5, &format!("{first} 01 00")), R::MalformedPacket);
        assert_eq!(refused(V5, &format!("{first} 02 00 00")), R::ProtocolError);
        assert_eq!(refused(V5, &format!("{first} 03 00 01 01")), R::ProtocolError);
        assert_eq!(refused(V5, &format!("{first} 03 00 01 8e")), R::ProtocolError);
    }
    taken(V5, "40 03 00 01 10");
    taken(V5, "62 03 00 01 92");
    assert_eq!(refused(V5, "62 03 00 01 10"), R::ProtocolError);
}

#[test]
fn subscribe_options_are_checked() {
    taken(V5, "82 07 00 01 00 00 01 61 2e");
    assert_eq!(refused(V5, "82 03 00 01 00"), R::ProtocolError, "[MQTT-3.8.3-2] no Topic Filter");
    assert_eq!(refused(V3, "82 02 00 01"), R::ProtocolError, "[MQTT-3.8.3-3] no Topic Filter");
    assert_eq!(refused(V5, "82 07 00 01 00 00 01 61 40"), R::MalformedPacket, "[MQTT-3.8.3-5] reserved bit");
    assert_eq!(refused(V3, "82 06 00 01 00 01 61 04"), R::MalformedPacket, "3.1.1 [MQTT-3-8.3-4] reserved bit");
    assert_eq!(refused(V5, "82 07 00 01 00 00 01 61 03"), R::ProtocolError, "QoS 3");
    assert_eq!(refused(V3, "82 06 00 01 00 01 61 03"), R::MalformedPacket, "3.1.1 QoS 3");
    assert_eq!(refused(V5, "82 07 00 01 00 00 01 61 30"), R::ProtocolError, "Retain Handling 3");
    assert_eq!(refused(V5, "82 06 00 01 00 00 01 61"), R::MalformedPacket, "options missing");
    assert_eq!(refused(V5, "82 07 00 00 00 00 01 61 00"), R::ProtocolError, "identifier 0");
    assert_eq!(refused(V5, "82 07 00 01 00 00 01 ff 00"), R::MalformedPacket, "[MQTT-3.8.3-1] UTF-8");
}

#[test]
fn mqtt_3_8_3_4_no_local_on_a_shared_subscription_is_a_protocol_error() {
    let body = [&hex("00 01 00 00 0a")[..], b"$share/g/a", &[0x04]].concat();
    let octets = [&[0x82, u8::try_from(body.len()).unwrap()][..], &body].concat();
    assert_eq!(read(Role::Server, V5, &octets).unwrap_err().reason, R::ProtocolError);
}

#[test]
fn filters_are_iterated_in_order() {
    let octets = hex("82 0b 00 01 00  00 01 61 2d  00 01 62 00");
    let framed = frame(&octets, 100).unwrap().unwrap();
    let Packet::Subscribe(subscribe) = decode(framed, Role::Server, V5).unwrap() else { panic!() };
    let filters: Vec<_> = subscribe.filters().collect();
    assert_eq!(filters.iter().map(|(filter, _)| *filter).collect::<Vec<_>>(), ["a", "b"]);
    let (_, options) = filters[0];
    assert_eq!((options.qos, options.no_local), (QoS::AtLeastOnce, true));
    assert_eq!((options.retain_as_published, options.retain_handling), (true, 2));
    assert_eq!(options.octet(Version::V5), 0x2d);
    assert_eq!(options.octet(Version::V311), 0x01);

    let octets = hex("a2 08 00 01 00 01 61 00 01 62");
    let framed = frame(&octets, 100).unwrap().unwrap();
    let Packet::Unsubscribe(unsubscribe) = decode(framed, Role::Server, V3).unwrap() else { panic!() };
    assert_eq!(unsubscribe.filters().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn mqtt_3_10_3_2_unsubscribe_has_a_filter() {
    assert_eq!(refused(V3, "a2 02 00 01"), R::ProtocolError);
    assert_eq!(refused(V5, "a2 03 00 01 00"), R::ProtocolError);
}

#[test]
fn disconnect_and_auth_have_short_forms() {
    taken(V3, "e0 00");
    assert_eq!(refused(V3, "e0 01 00"), R::MalformedPacket);
    for text in ["e0 00", "e0 01 04", "e0 02 00 00", "e0 07 00 05 11 00 00 00 09"] {
        taken(V5, text);
    }
    assert_eq!(refused(V5, "e0 01 8e"), R::ProtocolError, "Session taken over is the server's to say");
    taken_by_client(V5, "e0 01 8e");
    assert_eq!(refused_by(Role::Client, V5, "e0 01 04"), R::ProtocolError);
    assert_eq!(refused(V5, "e0 03 00 00 00"), R::MalformedPacket);

    taken(V5, "f0 06 18 04 15 00 01 6d");
    taken_by_client(V5, "f0 00");
    assert_eq!(refused(V5, "f0 00"), R::ProtocolError, "Success is the server's to say");
    assert_eq!(refused(V5, "f0 02 18 00"), R::ProtocolError, "no Authentication Method");
    assert_eq!(refused(V5, "f0 01 18"), R::MalformedPacket, "3.15.2.1 allows no such short form");
    assert_eq!(refused_by(Role::Client, V5, "f0 06 19 04 15 00 01 6d"), R::ProtocolError);
}

#[test]
fn pings_have_no_body() {
    taken(V5, "c0 00");
    taken_by_client(V5, "d0 00");
    assert_eq!(refused(V5, "c0 01 00"), R::MalformedPacket);
}

#[test]
fn what_servers_send_is_read_by_clients() {
    taken_by_client(V3, "20 02 01 00");
    taken_by_client(V5, "20 03 00 87 00");
    assert_eq!(refused_by(Role::Client, V3, "20 02 02 00"), R::MalformedPacket, "[MQTT-3.2.2-1]");
    assert_eq!(refused_by(Role::Client, V3, "20 02 01 05"), R::ProtocolError, "[MQTT-3.2.2-4]");
    assert_eq!(refused_by(Role::Client, V3, "20 02 00 06"), R::ProtocolError);
    assert_eq!(refused_by(Role::Client, V5, "20 03 00 8e 00"), R::ProtocolError);
    taken_by_client(V3, "90 04 00 01 00 80");
    assert_eq!(refused_by(Role::Client, V3, "90 03 00 01 87"), R::ProtocolError);
    taken_by_client(V5, "90 04 00 01 00 87");
    assert_eq!(refused_by(Role::Client, V5, "90 03 00 01 00"), R::ProtocolError);
    taken_by_client(V3, "b0 02 00 01");
    taken_by_client(V5, "b0 04 00 01 00 11");
    assert_eq!(refused_by(Role::Client, V3, "b0 03 00 01 00"), R::MalformedPacket);
}

#[test]
fn the_short_way_says_of_an_acknowledgement_what_the_long_one_says() {
    for (first, length, id) in
        (0..=u8::MAX).flat_map(|first| [(first, 2, 7_u16), (first, 2, 0), (first, 2, 65_535), (first, 3, 7)])
    {
        let [high, low] = id.to_be_bytes();
        let octets = [first, length, high, low, 0x00];
        let Some((kind, packet_id)) = short_ack(&octets) else { continue };
        let ack = Ack::success(packet_id);
        let packet = match kind {
            AckKind::Puback => Packet::Puback(ack),
            AckKind::Pubrec => Packet::Pubrec(ack),
            AckKind::Pubrel => Packet::Pubrel(ack),
            AckKind::Pubcomp => Packet::Pubcomp(ack),
        };
        for version in [Version::V31, Version::V311, Version::V5] {
            let framed = frame(&octets, 1 << 20).unwrap().unwrap();
            assert_eq!(framed.len, SHORT_ACK_LEN, "{first:#x}");
            assert_eq!(decode(framed, Role::Server, Some(version)), Ok(packet.clone()), "{first:#x}");
        }
    }
    let short: Vec<u8> = (0..=u8::MAX).filter(|first| short_ack(&[*first, 2, 0, 7]).is_some()).collect();
    assert_eq!(short, [0x40, 0x50, 0x62, 0x70]);
    assert_eq!(short_ack(&[0x40, 2, 0]), None, "not all of it is there");
}
