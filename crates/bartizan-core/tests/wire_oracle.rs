//! Differential test against the crate `mqtt-protocol-core`: the same octets, the same answer.
//!
//! Valid packets, whole and with octets changed, go to both. Where both take them, what the
//! other one writes back must read as the same packet here. Where only one takes them, the
//! difference must be one of those listed below, each with the clause that decides it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what failed by failing")]

mod wire_samples;

use bartizan_core::wire::{DecodeError, Packet, ReasonCode, Role, Version, decode, encode, frame};
use mqtt_protocol_core::mqtt::packet::{v3_1_1, v5_0};
use proptest::prelude::*;
use wire_samples::sample;

/// What the other implementation says: the packet it writes back, or that it refuses.
type Answer = Result<Vec<u8>, String>;

macro_rules! answer {
    ($parse:expr, $len:expr) => {
        match $parse {
            Ok((packet, consumed)) if consumed == $len => Ok(packet.to_continuous_buffer()),
            Ok((_, consumed)) => Err(format!("{consumed} of {} octets are the packet", $len)),
            Err(error) => Err(format!("{error:?}")),
        }
    };
}

/// `None` where it has no parser of its own: 3.1, and a packet type that does not exist.
fn other(version: Version, first: u8, body: &[u8]) -> Option<Answer> {
    let (flags, n) = (first & 0x0F, body.len());
    Some(match (version, first >> 4) {
        (Version::V311, 1) => answer!(v3_1_1::Connect::parse(body), n),
        (Version::V311, 2) => answer!(v3_1_1::Connack::parse(body), n),
        (Version::V311, 3) => answer!(v3_1_1::Publish::parse(flags, body.into()), n),
        (Version::V311, 4) => answer!(v3_1_1::Puback::parse(body), n),
        (Version::V311, 5) => answer!(v3_1_1::Pubrec::parse(body), n),
        (Version::V311, 6) => answer!(v3_1_1::Pubrel::parse(body), n),
        (Version::V311, 7) => answer!(v3_1_1::Pubcomp::parse(body), n),
        (Version::V311, 8) => answer!(v3_1_1::Subscribe::parse(body), n),
        (Version::V311, 9) => answer!(v3_1_1::Suback::parse(body), n),
        (Version::V311, 10) => answer!(v3_1_1::Unsubscribe::parse(body), n),
        (Version::V311, 11) => answer!(v3_1_1::Unsuback::parse(body), n),
        (Version::V5, 1) => answer!(v5_0::Connect::parse(body), n),
        (Version::V5, 2) => answer!(v5_0::Connack::parse(body), n),
        (Version::V5, 3) => answer!(v5_0::Publish::parse(flags, body.into()), n),
        (Version::V5, 4) => answer!(v5_0::Puback::parse(body), n),
        (Version::V5, 5) => answer!(v5_0::Pubrec::parse(body), n),
        (Version::V5, 6) => answer!(v5_0::Pubrel::parse(body), n),
        (Version::V5, 7) => answer!(v5_0::Pubcomp::parse(body), n),
        (Version::V5, 8) => answer!(v5_0::Subscribe::parse(body), n),
        (Version::V5, 9) => answer!(v5_0::Suback::parse(body), n),
        (Version::V5, 10) => answer!(v5_0::Unsubscribe::parse(body), n),
        (Version::V5, 11) => answer!(v5_0::Unsuback::parse(body), n),
        (Version::V5, 14) => answer!(v5_0::Disconnect::parse(body), n),
        (Version::V5, 15) => answer!(v5_0::Auth::parse(body), n),
        _ => return None,
    })
}

/// Refused here, taken there: the error, the packet types it is known for, and why we are right.
const STRICTER: &[(&str, &[u8], &str)] = &[
    ("a string contains U+0000 [MQTT-1.5.4-2]", &[], "U+0000 is a MUST NOT; the other one takes it"),
    (
        "a reserved bit of the Connect Acknowledge Flags is set [MQTT-3.2.2-1]",
        &[2],
        "bits 7 to 1 MUST be 0; the other one masks them",
    ),
    ("Session Present with a refusal [MQTT-3.2.2-6]", &[2], "a refusal MUST say 0 (3.1.1: [MQTT-3.2.2-4])"),
    (
        "the packet ends inside a field (4.13)",
        &[3, 15],
        "PUBLISH always has a Property Length (3.3.2.3.1); AUTH may leave it out only together with its code (3.15.2.1)",
    ),
    (
        "the packet may not carry this Reason Code (2.4)",
        &[14, 15],
        "tables 3-10 and 3-11 say who may send which; the other one does not know who sent it",
    ),
    (
        "a reserved bit of the Subscription Options is set [MQTT-3.8.3-5]",
        &[8],
        "3.1.1 reserves the upper six bits [MQTT-3-8.3-4]; the other one reads them as 5.0 does",
    ),
    (
        "Will QoS or Will Retain is set without the Will Flag [MQTT-3.1.2-11]",
        &[1],
        "both MUST be 0 then ([MQTT-3.1.2-13], [MQTT-3.1.2-15])",
    ),
    ("the reserved bit of the Connect Flags is set [MQTT-3.1.2-3]", &[1], "the server MUST validate that it is 0"),
    ("Will QoS is 3 [MQTT-3.1.2-12]", &[1], "Will QoS MUST NOT be 3 (3.1.1: [MQTT-3.1.2-14])"),
    ("DUP is set on a QoS 0 message [MQTT-3.3.1-2]", &[3], "DUP MUST be 0 at QoS 0"),
    ("the Topic Name is empty (3.1.1) [MQTT-4.7.3-1]", &[3], "a Topic Name has at least one character"),
    (
        "the Topic Name is empty and there is no Topic Alias (3.3.2.1)",
        &[3],
        "a Protocol Error that a receiver sees in this one packet",
    ),
    ("Response Topic is empty [MQTT-4.7.3-1]", &[1, 3], "a Topic Name has at least one character"),
    ("Response Topic contains a wildcard [MQTT-3.3.2-14]", &[1, 3], "it MUST NOT"),
    (
        "the Packet Identifier is zero [MQTT-2.2.1-3]",
        &[],
        "it MUST be non-zero; some of the other's parsers do not look",
    ),
    ("a Variable Byte Integer is padded [MQTT-1.5.5-1]", &[], "it MUST be minimal; the other one reads any"),
    (
        "Authentication Data without Authentication Method (3.1.2.11.10)",
        &[1, 2, 15],
        "a Protocol Error wherever it stands; the other one looks in CONNECT alone",
    ),
    ("AUTH omits the Authentication Method (3.15.2.2.2)", &[15], "a Protocol Error, whatever the code"),
    (
        "PUBLISH from a client carries a Subscription Identifier [MQTT-3.3.4-6]",
        &[3],
        "the other one does not know who sent it",
    ),
    (
        "DISCONNECT from a server carries a Session Expiry Interval [MQTT-3.14.2-2]",
        &[14],
        "the other one does not know who sent it",
    ),
    ("No Local is set on a Shared Subscription [MQTT-3.8.3-4]", &[8], "a Protocol Error seen in this one packet"),
];

fn is_stricter(kind: u8, error: &DecodeError) -> bool {
    STRICTER.iter().any(|(what, kinds, _)| *what == error.what && (kinds.is_empty() || kinds.contains(&kind)))
}

/// Taken here, refused there: 5.0 lets a password come without a user name (3.1.2.9), as 3.1.1 did not; and a
/// DISCONNECT may say Bad authentication method by table 2-6, though it is not in table 3-10.
fn is_laxer(packet: &Packet<'_>) -> bool {
    match packet {
        Packet::Connect(connect) => {
            connect.version.is_v5() && connect.user_name.is_none() && connect.password.is_some()
        }
        Packet::Disconnect(disconnect) => disconnect.reason == ReasonCode::BadAuthenticationMethod,
        _ => false,
    }
}

fn ours<'a>(octets: &'a [u8], role: Role, version: Version) -> Result<Packet<'a>, DecodeError> {
    let framed = frame(octets, u32::MAX)?.unwrap();
    let known = if octets[0] >> 4 == 1 { None } else { Some(version) };
    decode(framed, role, known)
}

fn compare(octets: &[u8], role: Role, version: Version) -> Result<(), TestCaseError> {
    let Ok(Some(framed)) = frame(octets, u32::MAX) else { return Ok(()) };
    if framed.len != octets.len() {
        return Ok(());
    }
    let Some(theirs) = other(version, framed.first, framed.body) else { return Ok(()) };
    match (ours(octets, role, version), theirs) {
        (Ok(packet), Ok(written)) => {
            let read = ours(&written, role, version);
            prop_assert_eq!(read.as_ref(), Ok(&packet), "{:02x?} was written back as {:02x?}", octets, written);
        }
        (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => {
            let listed = is_stricter(framed.first >> 4, &error);
            prop_assert!(listed, "only we refuse {:02x?} in {:?}: {}", octets, version, error.what);
        }
        (Ok(packet), Err(why)) => {
            prop_assert!(is_laxer(&packet), "only we take {:02x?} in {:?}: {} {:?}", octets, version, why, packet);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Set(u8),
    Flip(u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<u8>().prop_map(Change::Set),
        (0..4u8).prop_map(Change::Set),
        prop::sample::select(b"+#\0".to_vec()).prop_map(Change::Set),
        (0..8u8).prop_map(Change::Flip),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn both_take_valid_packets_alike(sample in sample()) {
        let mut octets = Vec::new();
        encode::packet(&mut octets, sample.version, &sample.packet());
        compare(&octets, sample.role, sample.version)?;
    }

    #[test]
    fn both_refuse_changed_packets_alike(
        sample in sample(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 1..3),
        flags in prop_oneof![4 => Just(0), 1 => any::<u8>()],
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut octets = Vec::new();
        encode::packet(&mut octets, sample.version, &sample.packet());
        let header = octets.len() - frame(&octets, u32::MAX).unwrap().unwrap().body.len();
        let mut body = octets[header..].to_vec();
        for (at, change) in changes {
            if !body.is_empty() {
                let octet = at.get_mut(&mut body);
                *octet = match change {
                    Change::Set(value) => value,
                    Change::Flip(bit) => *octet ^ (1 << bit),
                };
            }
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len() + 1));
        }
        let mut changed = vec![octets[0] ^ (flags & if octets[0] >> 4 == 3 { 0x0F } else { 0 })];
        bartizan_core::wire::varint::write(&mut changed, u32::try_from(body.len()).unwrap());
        changed.extend_from_slice(&body);
        compare(&changed, sample.role, sample.version)?;
    }
}
