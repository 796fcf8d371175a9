//! PUBACK, PUBREC, PUBREL, PUBCOMP (3.4 to 3.7), SUBACK (3.9), UNSUBACK (3.11).

use super::put;
use crate::wire::packet::{PacketId, Properties};
use crate::wire::property::PropertyId;
use crate::wire::{ReasonCode, Version};

/// Which of the four acknowledgements of a PUBLISH; the value is the first octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AckKind {
    /// PUBACK, of QoS 1.
    Puback = 0x40,
    /// PUBREC, QoS 2, first answer.
    Pubrec = 0x50,
    /// PUBREL, QoS 2, release; its flags are 0b0010 [MQTT-3.6.1-1].
    Pubrel = 0x62,
    /// PUBCOMP, QoS 2, complete.
    Pubcomp = 0x70,
}

/// Appends an acknowledgement in its shortest form (3.4.2.1): Success without properties is
/// the Packet Identifier alone, which is also all that 3.1.1 has.
#[inline]
pub fn ack(
    out: &mut Vec<u8>,
    version: Version,
    kind: AckKind,
    packet_id: PacketId,
    reason: ReasonCode,
    properties: Properties<'_>,
) {
    let bare = properties.is_empty();
    let [high, low] = packet_id.get().to_be_bytes();
    if !version.is_v5() || (bare && reason == ReasonCode::Success) {
        out.extend_from_slice(&[kind as u8, 2, high, low]);
        return;
    }
    let remaining = if bare { 3 } else { 3 + put::block_len(version, properties.raw.len()) };
    if !put::header(out, kind as u8, remaining) {
        return;
    }
    out.extend_from_slice(&[high, low, reason.as_u8()]);
    if !bare {
        put::block(out, version, properties);
    }
}

/// Calls `write` with a property block that holds this Reason String, if there is one.
pub(super) fn with_reason_string(reason_string: Option<&str>, write: impl FnOnce(Properties<'_>)) {
    let Some(text) = reason_string else {
        return write(Properties::default());
    };
    let mut raw = Vec::with_capacity(3 + text.len());
    raw.push(PropertyId::ReasonString as u8);
    put::text(&mut raw, text);
    write(Properties { raw: &raw });
}

macro_rules! acks {
    ($($name:ident $kind:ident $doc:literal;)*) => {
        $(
            #[doc = $doc]
            #[inline]
            pub fn $name(
                out: &mut Vec<u8>,
                version: Version,
                packet_id: PacketId,
                reason: ReasonCode,
                reason_string: Option<&str>,
            ) {
                with_reason_string(reason_string, |properties| {
                    ack(out, version, AckKind::$kind, packet_id, reason, properties);
                });
            }
        )*
    };
}

acks! {
    puback Puback "Appends a PUBACK.";
    pubrec Pubrec "Appends a PUBREC.";
    pubrel Pubrel "Appends a PUBREL.";
    pubcomp Pubcomp "Appends a PUBCOMP.";
}

/// Appends a SUBACK: one code per Topic Filter, in order [MQTT-3.8.4-6]. A 3.1.1 client
/// hears every failure as 0x80 [MQTT-3.9.3-2].
pub fn suback(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: PacketId,
    codes: &[ReasonCode],
    reason_string: Option<&str>,
) {
    with_reason_string(reason_string, |properties| {
        let remaining = 2 + put::block_len(version, properties.raw.len()) + codes.len();
        if put::header(out, 0x90, remaining) {
            put::two(out, packet_id.get());
            put::block(out, version, properties);
            out.extend(codes.iter().map(|code| match code {
                failure if failure.is_error() && !version.is_v5() => 0x80,
                code => code.as_u8(),
            }));
        }
    });
}

/// Appends an UNSUBACK: one code per Topic Filter in 5.0 [MQTT-3.11.3-1], none in 3.1.1.
pub fn unsuback(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: PacketId,
    codes: &[ReasonCode],
    reason_string: Option<&str>,
) {
    let codes = if version.is_v5() { codes } else { &[] };
    with_reason_string(reason_string, |properties| {
        let remaining = 2 + put::block_len(version, properties.raw.len()) + codes.len();
        if put::header(out, 0xB0, remaining) {
            put::two(out, packet_id.get());
            put::block(out, version, properties);
            out.extend(codes.iter().map(|code| code.as_u8()));
        }
    });
}
