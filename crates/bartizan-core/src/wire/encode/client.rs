//! What a client sends: for tests, the bridge and the load generator.

use super::put;
use super::server::reason_and_properties;
use crate::wire::packet::{Connect, PacketId, Properties, SubscriptionOptions};
use crate::wire::{ReasonCode, Version};

/// Appends a CONNECT (3.1).
pub fn connect(out: &mut Vec<u8>, connect: &Connect<'_>) {
    let version = connect.version;
    let (name, level) = match version {
        Version::V31 => ("MQIsdp", 3),
        Version::V311 => ("MQTT", 4),
        Version::V5 => ("MQTT", 5),
    };
    let mut body = Vec::with_capacity(64);
    put::text(&mut body, name);
    body.push(level);
    body.push(connect_flags(connect));
    put::two(&mut body, connect.keep_alive_s);
    put::block(&mut body, version, connect.properties);
    put::text(&mut body, connect.client_id);
    if let Some(will) = &connect.will {
        put::block(&mut body, version, will.properties);
        put::text(&mut body, will.topic);
        put::binary(&mut body, will.payload);
    }
    if let Some(user_name) = connect.user_name {
        put::text(&mut body, user_name);
    }
    if let Some(password) = connect.password {
        put::binary(&mut body, password);
    }
    if put::header(out, 0x10, body.len()) {
        out.extend_from_slice(&body);
    }
}

fn connect_flags(connect: &Connect<'_>) -> u8 {
    let will =
        connect.will.as_ref().map_or(0, |will| 0b0000_0100 | ((will.qos as u8) << 3) | (u8::from(will.retain) << 5));
    (u8::from(connect.clean_start) << 1)
        | will
        | (u8::from(connect.password.is_some()) << 6)
        | (u8::from(connect.user_name.is_some()) << 7)
}

/// Appends a SUBSCRIBE (3.8).
pub fn subscribe(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: PacketId,
    properties: Properties<'_>,
    filters: &[(&str, SubscriptionOptions)],
) {
    let mut raw = Vec::new();
    for (filter, options) in filters {
        put::text(&mut raw, filter);
        raw.push(options.octet(version));
    }
    filters_packet(out, 0x82, version, packet_id, properties, &raw);
}

/// Appends an UNSUBSCRIBE (3.10).
pub fn unsubscribe(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: PacketId,
    properties: Properties<'_>,
    filters: &[&str],
) {
    let mut raw = Vec::new();
    for filter in filters {
        put::text(&mut raw, filter);
    }
    filters_packet(out, 0xA2, version, packet_id, properties, &raw);
}

pub(super) fn filters_packet(
    out: &mut Vec<u8>,
    first: u8,
    version: Version,
    packet_id: PacketId,
    properties: Properties<'_>,
    raw_filters: &[u8],
) {
    if put::header(out, first, 2 + put::block_len(version, properties.raw.len()) + raw_filters.len()) {
        put::two(out, packet_id.get());
        put::block(out, version, properties);
        out.extend_from_slice(raw_filters);
    }
}

/// Appends a PINGREQ (3.12).
pub fn pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xC0, 0x00]);
}

/// Appends a client's DISCONNECT (3.14); before 5.0 it is the two octets alone.
pub fn client_disconnect(out: &mut Vec<u8>, version: Version, reason: ReasonCode, properties: Properties<'_>) {
    if version.is_v5() {
        reason_and_properties(out, 0xE0, reason, properties);
    } else {
        out.extend_from_slice(&[0xE0, 0x00]);
    }
}
