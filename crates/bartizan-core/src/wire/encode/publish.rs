//! PUBLISH (3.3).

use super::put;
use crate::wire::packet::{PacketId, QoS};
use crate::wire::property::PropertyId;
use crate::wire::{Version, varint};

/// Everything of a PUBLISH but its payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishHead<'a> {
    /// DUP flag.
    pub dup: bool,
    /// QoS.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Present exactly when QoS is above 0.
    pub packet_id: Option<PacketId>,
    /// Topic Name; empty when `topic_alias` stands for it.
    pub topic: &'a str,
    /// Topic Alias. Not sent before 5.0.
    pub topic_alias: Option<u16>,
    /// What is left of the Message Expiry Interval, in seconds. Not sent before 5.0.
    pub expiry_s: Option<u32>,
    /// The Subscription Identifiers of the Subscriptions that matched. Not sent before 5.0.
    pub subscription_ids: &'a [u32],
    /// A raw property block of what is forwarded unaltered. Not sent before 5.0.
    pub forwarded: &'a [u8],
}

impl PublishHead<'_> {
    fn properties_len(&self) -> usize {
        let alias = if self.topic_alias.is_some() { 3 } else { 0 };
        let expiry = if self.expiry_s.is_some() { 5 } else { 0 };
        let ids: usize = self.subscription_ids.iter().map(|id| 1 + varint::len(*id)).sum();
        alias + expiry + ids + self.forwarded.len()
    }

    fn remaining_len(&self, version: Version, payload_len: usize) -> usize {
        let id = if self.packet_id.is_some() { 2 } else { 0 };
        let properties = if version.is_v5() { put::block_len(version, self.properties_len()) } else { 0 };
        2 + put::fitting(self.topic).len() + id + properties + payload_len
    }

    fn first_octet(&self) -> u8 {
        0x30 | (u8::from(self.dup) << 3) | ((self.qos as u8) << 1) | u8::from(self.retain)
    }
}

/// Octets of the whole packet that `publish` would write, to hold against the receiver's
/// Maximum Packet Size [MQTT-3.1.2-24].
#[inline]
#[must_use]
pub fn publish_len(version: Version, head: &PublishHead<'_>, payload_len: usize) -> usize {
    let remaining = head.remaining_len(version, payload_len);
    1 + varint::len(put::saturated(remaining)) + remaining
}

/// Appends a PUBLISH.
#[inline]
pub fn publish(out: &mut Vec<u8>, version: Version, head: &PublishHead<'_>, payload: &[u8]) {
    let remaining = head.remaining_len(version, payload.len());
    if !put::header(out, head.first_octet(), remaining) {
        return;
    }
    put::text(out, head.topic);
    if let Some(id) = head.packet_id {
        put::two(out, id.get());
    }
    if version.is_v5() {
        properties(out, head);
    }
    out.extend_from_slice(payload);
}

fn properties(out: &mut Vec<u8>, head: &PublishHead<'_>) {
    put::varint(out, put::saturated(head.properties_len()));
    if let Some(alias) = head.topic_alias {
        out.push(PropertyId::TopicAlias as u8);
        put::two(out, alias);
    }
    if let Some(seconds) = head.expiry_s {
        out.push(PropertyId::MessageExpiryInterval as u8);
        put::four(out, seconds);
    }
    for id in head.subscription_ids {
        out.push(PropertyId::SubscriptionIdentifier as u8);
        put::varint(out, *id);
    }
    out.extend_from_slice(head.forwarded);
}
