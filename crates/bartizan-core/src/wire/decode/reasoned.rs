//! Packets that are mostly a Reason Code: CONNACK (3.2), PUBACK to PUBCOMP (3.4 to 3.7),
//! SUBACK (3.9), UNSUBACK (3.11), DISCONNECT (3.14), AUTH (3.15).
//!
//! Each has a table of the codes it may carry; another code is a Protocol Error.

use crate::wire::decode::Role;
use crate::wire::error::{DecodeError, malformed, protocol_error};
use crate::wire::packet::{Ack, Auth, Connack, Disconnect, Properties, Suback};
use crate::wire::property_rules::{Place, read_block};
use crate::wire::reader::Reader;
use crate::wire::{ReasonCode, Version};

/// A set of Reason Code octets.
pub(super) struct Codes([u64; 4]);

impl Codes {
    const fn of(octets: &[u8]) -> Codes {
        let mut words = [0u64; 4];
        let mut rest = octets;
        while let [octet, tail @ ..] = rest {
            let bit = 1u64 << (*octet & 63);
            match *octet >> 6 {
                0 => words[0] |= bit,
                1 => words[1] |= bit,
                2 => words[2] |= bit,
                _ => words[3] |= bit,
            }
            rest = tail;
        }
        Codes(words)
    }

    #[inline]
    fn has(&self, octet: u8) -> bool {
        self.0.get(usize::from(octet >> 6)).is_some_and(|word| word & (1 << (octet & 63)) != 0)
    }

    #[inline]
    fn parse(&self, octet: u8) -> Result<ReasonCode, DecodeError> {
        ReasonCode::from_u8(octet)
            .filter(|_| self.has(octet))
            .ok_or_else(|| protocol_error("the packet may not carry this Reason Code (2.4)"))
    }
}

/// Table 3-4.
pub(super) static PUBACK: Codes = Codes::of(&[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
/// Table 3-5, which is the same.
pub(super) static PUBREC: Codes = Codes::of(&[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]);
/// Table 3-6.
pub(super) static PUBREL: Codes = Codes::of(&[0x00, 0x92]);
/// Table 3-7.
pub(super) static PUBCOMP: Codes = Codes::of(&[0x00, 0x92]);
/// Table 3-1.
static CONNACK: Codes = Codes::of(&[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B,
    0x9C, 0x9D, 0x9F,
]);
/// Table 3-8.
static SUBACK: Codes = Codes::of(&[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]);
/// 3.1.1, 3.9.3.
static SUBACK_V3: Codes = Codes::of(&[0x00, 0x01, 0x02, 0x80]);
/// Table 3-9.
static UNSUBACK: Codes = Codes::of(&[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]);
/// Table 3-10, the column of the client.
static DISCONNECT_OF_CLIENT: Codes =
    Codes::of(&[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]);
/// Table 3-10, the column of the server, and 0x8C, which only table 2-6 gives to DISCONNECT.
static DISCONNECT_OF_SERVER: Codes = Codes::of(&[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
    0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
]);
/// Table 3-11: Continue and Re-authenticate from the client, Success and Continue from the server.
static AUTH_OF_CLIENT: Codes = Codes::of(&[0x18, 0x19]);
static AUTH_OF_SERVER: Codes = Codes::of(&[0x00, 0x18]);

#[inline]
pub(super) fn ack<'a>(
    mut from: Reader<'a>,
    codes: &Codes,
    version: Version,
    role: Role,
) -> Result<Ack<'a>, DecodeError> {
    let packet_id = from.packet_id()?;
    let (reason, properties) = reason_and_properties(&mut from, codes, version, Place::Ack, role)?;
    from.end("octets follow an acknowledgement (3.4 to 3.7)")?;
    Ok(Ack { packet_id, reason, properties })
}

/// A Reason Code and properties, each of which may be left out from the end on: no code is
/// Success, no Property Length is no properties. Before 5.0 there is neither.
#[inline]
fn reason_and_properties<'a>(
    from: &mut Reader<'a>,
    codes: &Codes,
    version: Version,
    place: Place,
    role: Role,
) -> Result<(ReasonCode, Properties<'a>), DecodeError> {
    if from.is_empty() || !version.is_v5() {
        return Ok((ReasonCode::Success, Properties::default()));
    }
    let reason = codes.parse(from.byte()?)?;
    let properties = if from.is_empty() { Properties::default() } else { read_block(from, place, role)? };
    Ok((reason, properties))
}

pub(super) fn disconnect(mut from: Reader<'_>, version: Version, role: Role) -> Result<Disconnect<'_>, DecodeError> {
    let codes = match role {
        Role::Server => &DISCONNECT_OF_CLIENT,
        Role::Client => &DISCONNECT_OF_SERVER,
    };
    let (reason, properties) = reason_and_properties(&mut from, codes, version, Place::Disconnect, role)?;
    from.end("octets follow DISCONNECT (3.14)")?;
    Ok(Disconnect { reason, properties })
}

/// AUTH. Its empty form says Success (3.15.2.1), which only a server may say.
pub(super) fn auth(mut from: Reader<'_>, role: Role) -> Result<Auth<'_>, DecodeError> {
    let codes = match role {
        Role::Server => &AUTH_OF_CLIENT,
        Role::Client => &AUTH_OF_SERVER,
    };
    if from.is_empty() {
        let reason = codes.parse(ReasonCode::Success.as_u8())?;
        return Ok(Auth { reason, properties: Properties::default() });
    }
    let reason = codes.parse(from.byte()?)?;
    let properties = read_block(&mut from, Place::Auth, role)?;
    from.end("octets follow AUTH (3.15)")?;
    Ok(Auth { reason, properties })
}

pub(super) fn connack(mut from: Reader<'_>, version: Version) -> Result<Connack<'_>, DecodeError> {
    let flags = from.byte()?;
    // 3.1 reserves the whole octet without a value for it.
    if flags > 1 && version != Version::V31 {
        return Err(malformed("a reserved bit of the Connect Acknowledge Flags is set [MQTT-3.2.2-1]"));
    }
    let octet = from.byte()?;
    let (reason, properties) = if version.is_v5() {
        (CONNACK.parse(octet)?, read_block(&mut from, Place::Connack, Role::Client)?)
    } else {
        let reason = ReasonCode::from_connack_v3(octet)
            .ok_or_else(|| protocol_error("the Connect Return code is reserved (3.1.1, 3.2.2.3)"))?;
        (reason, Properties::default())
    };
    from.end("octets follow CONNACK (3.2)")?;
    let session_present = flags & 1 != 0 && version != Version::V31;
    if session_present && reason.is_error() {
        return Err(protocol_error("Session Present with a refusal [MQTT-3.2.2-6]"));
    }
    Ok(Connack { session_present, reason, properties })
}

pub(super) fn suback(mut from: Reader<'_>, version: Version) -> Result<Suback<'_>, DecodeError> {
    let packet_id = from.packet_id()?;
    let (properties, allowed) = if version.is_v5() {
        (read_block(&mut from, Place::Suback, Role::Client)?, &SUBACK)
    } else {
        (Properties::default(), &SUBACK_V3)
    };
    let codes = codes(from, allowed)?;
    Ok(Suback { packet_id, properties, codes })
}

pub(super) fn unsuback(mut from: Reader<'_>, version: Version) -> Result<Suback<'_>, DecodeError> {
    let packet_id = from.packet_id()?;
    if !version.is_v5() {
        from.end("UNSUBACK has no payload (3.1.1, 3.11.3)")?;
        return Ok(Suback { packet_id, properties: Properties::default(), codes: &[] });
    }
    let properties = read_block(&mut from, Place::Unsuback, Role::Client)?;
    let codes = codes(from, &UNSUBACK)?;
    Ok(Suback { packet_id, properties, codes })
}

/// One code per Topic Filter, and there is no request without one.
fn codes<'a>(from: Reader<'a>, allowed: &Codes) -> Result<&'a [u8], DecodeError> {
    let octets = from.rest();
    if octets.is_empty() {
        return Err(protocol_error("the acknowledgement has no Reason Code [MQTT-3.8.4-6] [MQTT-3.11.3-1]"));
    }
    for octet in octets {
        allowed.parse(*octet)?;
    }
    Ok(octets)
}
