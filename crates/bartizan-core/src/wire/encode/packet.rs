//! Any decoded packet back to its octets, in the shortest form: for tests, traces and tools.

use super::put;
use super::{AckKind, ack, client, client_disconnect, connect, pingreq, pingresp, server};
use crate::wire::Version;
use crate::wire::packet::{Packet, Publish, Suback};

/// Appends `packet` as a peer of this version would send it; AUTH exists in 5.0 only.
pub fn packet(out: &mut Vec<u8>, version: Version, packet: &Packet<'_>) {
    match packet {
        Packet::Connect(p) => connect(out, p),
        Packet::Connack(p) => server::connack_raw(out, version, p.session_present, p.reason, p.properties),
        Packet::Publish(p) => publish(out, version, p),
        Packet::Puback(p) => ack(out, version, AckKind::Puback, p.packet_id, p.reason, p.properties),
        Packet::Pubrec(p) => ack(out, version, AckKind::Pubrec, p.packet_id, p.reason, p.properties),
        Packet::Pubrel(p) => ack(out, version, AckKind::Pubrel, p.packet_id, p.reason, p.properties),
        Packet::Pubcomp(p) => ack(out, version, AckKind::Pubcomp, p.packet_id, p.reason, p.properties),
        Packet::Subscribe(p) => {
            client::filters_packet(out, 0x82, version, p.packet_id, p.properties, p.raw_filters);
        }
        Packet::Suback(p) => codes(out, 0x90, version, p),
        Packet::Unsubscribe(p) => {
            client::filters_packet(out, 0xA2, version, p.packet_id, p.properties, p.raw_filters);
        }
        Packet::Unsuback(p) => codes(out, 0xB0, version, p),
        Packet::Pingreq => pingreq(out),
        Packet::Pingresp => pingresp(out),
        Packet::Disconnect(p) => client_disconnect(out, version, p.reason, p.properties),
        Packet::Auth(p) => server::reason_and_properties(out, 0xF0, p.reason, p.properties),
    }
}

/// With the properties as they stand, Topic Alias and all.
fn publish(out: &mut Vec<u8>, version: Version, p: &Publish<'_>) {
    let head = super::PublishHead {
        dup: p.dup,
        qos: p.qos,
        retain: p.retain,
        packet_id: p.packet_id,
        topic: p.topic,
        forwarded: p.properties.raw,
        ..super::PublishHead::default()
    };
    super::publish(out, version, &head, p.payload);
}

fn codes(out: &mut Vec<u8>, first: u8, version: Version, p: &Suback<'_>) {
    if put::header(out, first, 2 + put::block_len(version, p.properties.raw.len()) + p.codes.len()) {
        put::two(out, p.packet_id.get());
        put::block(out, version, p.properties);
        out.extend_from_slice(p.codes);
    }
}
