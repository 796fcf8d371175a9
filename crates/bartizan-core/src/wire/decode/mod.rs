//! Octets -> packet, in place: one pass, nothing allocated.
//!
//! | file        | what                                                              |
//! |-------------|-------------------------------------------------------------------|
//! | `connect`   | CONNECT, where the version becomes known                          |
//! | `publish`   | PUBLISH; the hot one                                              |
//! | `subscribe` | SUBSCRIBE, UNSUBSCRIBE, and iterating their filters               |
//! | `reasoned`  | everything that is mostly a Reason Code: CONNACK, the acknowledgements, DISCONNECT, AUTH |
//!
//! `frame` finds where a packet ends, `decode` says what it is. Both refuse with the Reason
//! Code that the specification names.

mod connect;
mod publish;
mod reasoned;
mod subscribe;

pub use super::error::DecodeError;
pub use subscribe::{FilterIter, SubscriptionIter};

use super::encode::AckKind;
use super::error::{malformed, protocol_error};
use super::packet::{Packet, PacketId};
use super::reader::Reader;
use super::reason::ReasonCode;
use super::varint;
use super::version::Version;

/// Who is reading, which says who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads what clients send.
    Server,
    /// Reads what servers send.
    Client,
}

/// One packet's octets, split at the fixed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Packet type and flags.
    pub first: u8,
    /// Variable header and payload.
    pub body: &'a [u8],
    /// Octets of the whole packet, fixed header included.
    pub len: usize,
}

impl Frame<'_> {
    /// The Remaining Length takes more octets than it needs. Only 5.0 forbids that.
    #[inline]
    fn is_padded(&self) -> bool {
        let minimal = 1 + varint::len(u32::try_from(self.body.len()).unwrap_or(u32::MAX));
        self.len != minimal + self.body.len()
    }
}

/// Finds the packet at the front of `buf`; `None` if it has not all arrived.
///
/// A packet larger than `max_packet_bytes`, counted whole as 2.1.4 says, is refused as soon as
/// its length is read, so nobody can make the reader wait for, or keep, more than that.
#[inline]
pub fn frame(buf: &[u8], max_packet_bytes: u32) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some((&first, after)) = buf.split_first() else {
        return Ok(None);
    };
    let Some(remaining) = varint::read(after)? else {
        return Ok(None);
    };
    let header = 1 + remaining.octets;
    let len = header + remaining.value as usize;
    if len > max_packet_bytes as usize {
        return Err(DecodeError::new(
            ReasonCode::PacketTooLarge,
            "the packet is larger than the Maximum Packet Size [MQTT-3.2.2-15]",
        ));
    }
    Ok(buf.get(header..len).map(|body| Frame { first, body, len }))
}

/// Octets of an acknowledgement in its shortest form.
pub const SHORT_ACK_LEN: usize = 4;

/// Reads an acknowledgement in its shortest form, as nearly all are: Success, no properties
/// (3.4.2.1). `None` for everything else, which `frame` and `decode` read.
#[inline]
#[must_use]
pub fn short_ack(buf: &[u8]) -> Option<(AckKind, PacketId)> {
    let [first, 2, high, low, ..] = *buf else { return None };
    let kind = match first {
        0x40 => AckKind::Puback,
        0x50 => AckKind::Pubrec,
        0x62 => AckKind::Pubrel,
        0x70 => AckKind::Pubcomp,
        _ => return None,
    };
    Some((kind, PacketId::new(u16::from_be_bytes([high, low]))?))
}

/// Reads a whole packet. `version` is what CONNECT established; `None` before it.
///
/// Refused here: whatever one packet alone can show to be wrong. Left to the server: whether
/// Topic Names and Topic Filters are ones (4.7), and whatever depends on earlier packets.
#[inline]
pub fn decode(frame: Frame<'_>, role: Role, version: Option<Version>) -> Result<Packet<'_>, DecodeError> {
    let Some(known) = version else {
        return before_connect(frame, role);
    };
    if known.is_v5() && frame.is_padded() {
        return Err(malformed("the Remaining Length is padded [MQTT-1.5.5-1]").spoken(version));
    }
    dispatch(frame, role, known).map_err(|error| error.spoken(version))
}

/// [MQTT-3.1.0-1]: the first packet of a client is CONNECT.
fn before_connect(frame: Frame<'_>, role: Role) -> Result<Packet<'_>, DecodeError> {
    match (role, frame.first) {
        (Role::Server, 0x10) => {
            let packet = connect::decode(frame.body)?;
            if packet.version.is_v5() && frame.is_padded() {
                return Err(malformed("the Remaining Length is padded [MQTT-1.5.5-1]").spoken(Some(Version::V5)));
            }
            Ok(Packet::Connect(packet))
        }
        (Role::Server, 0x11..=0x1F) => Err(malformed("the fixed header flags of CONNECT are reserved [MQTT-2.1.3-1]")),
        _ => Err(protocol_error("the first packet is not CONNECT [MQTT-3.1.0-1]")),
    }
}

#[inline]
fn dispatch(frame: Frame<'_>, role: Role, version: Version) -> Result<Packet<'_>, DecodeError> {
    let flags = frame.first & 0x0F;
    let kind = frame.first >> 4;
    if kind == 3 {
        return publish::decode(flags, frame.body, role, version).map(Packet::Publish);
    }
    check_flags(kind, flags, version)?;
    let from = Reader::new(frame.body);
    match (kind, role) {
        (4, _) => reasoned::ack(from, &reasoned::PUBACK, version, role).map(Packet::Puback),
        (5, _) => reasoned::ack(from, &reasoned::PUBREC, version, role).map(Packet::Pubrec),
        (6, _) => reasoned::ack(from, &reasoned::PUBREL, version, role).map(Packet::Pubrel),
        (7, _) => reasoned::ack(from, &reasoned::PUBCOMP, version, role).map(Packet::Pubcomp),
        (8, Role::Server) => subscribe::subscribe(from, version).map(Packet::Subscribe),
        (10, Role::Server) => subscribe::unsubscribe(from, version).map(Packet::Unsubscribe),
        (12, Role::Server) => empty(from, Packet::Pingreq),
        (13, Role::Client) => empty(from, Packet::Pingresp),
        (14, Role::Client) if !version.is_v5() => {
            Err(protocol_error("a server sends DISCONNECT in MQTT 5.0 only (3.1.1, 3.14)"))
        }
        (14, _) => reasoned::disconnect(from, version, role).map(Packet::Disconnect),
        (15, _) if version.is_v5() => reasoned::auth(from, role).map(Packet::Auth),
        (2, Role::Client) => reasoned::connack(from, version).map(Packet::Connack),
        (9, Role::Client) => reasoned::suback(from, version).map(Packet::Suback),
        (11, Role::Client) => reasoned::unsuback(from, version).map(Packet::Unsuback),
        (1, Role::Server) => Err(protocol_error("a second CONNECT on one Network Connection [MQTT-3.1.0-2]")),
        (0 | 15, _) => Err(malformed("the packet type is reserved (2.1.2)")),
        _ => Err(protocol_error("the packet type does not flow in this direction (2.1.2)")),
    }
}

/// [MQTT-2.1.3-1] (3.1.1: [MQTT-2.2.2-1] and [MQTT-2.2.2-2]).
#[inline]
fn check_flags(kind: u8, flags: u8, version: Version) -> Result<(), DecodeError> {
    let expected = match kind {
        // 3.1 marks these QoS 1, and marks one sent again with DUP.
        6 | 8 | 10 if version == Version::V31 => 0b0010 | (flags & 0b1000),
        6 | 8 | 10 => 0b0010,
        _ => 0,
    };
    if flags == expected { Ok(()) } else { Err(malformed("the fixed header flags are reserved [MQTT-2.1.3-1]")) }
}

fn empty<'a>(from: Reader<'a>, packet: Packet<'a>) -> Result<Packet<'a>, DecodeError> {
    from.end("PINGREQ and PINGRESP have no body (3.12, 3.13)")?;
    Ok(packet)
}

#[cfg(test)]
mod tests;
