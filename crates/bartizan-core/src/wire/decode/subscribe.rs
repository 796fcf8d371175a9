//! SUBSCRIBE (3.8) and UNSUBSCRIBE (3.10), and iterating their Topic Filters.

use crate::wire::Version;
use crate::wire::decode::Role;
use crate::wire::error::{DecodeError, malformed, protocol_error};
use crate::wire::packet::{PacketId, Properties, QoS, Subscribe, SubscriptionOptions, Unsubscribe};
use crate::wire::property_rules::{Place, read_block};
use crate::wire::reader::Reader;

pub(super) fn subscribe(mut from: Reader<'_>, version: Version) -> Result<Subscribe<'_>, DecodeError> {
    let (packet_id, properties) = head(&mut from, version, Place::Subscribe)?;
    let raw_filters = from.rest();
    if from.is_empty() {
        return Err(protocol_error("SUBSCRIBE has no Topic Filter [MQTT-3.8.3-2]"));
    }
    while !from.is_empty() {
        let filter = from.text()?;
        let options = SubscriptionOptions::parse(from.byte()?, version)?;
        if options.no_local && filter.starts_with("$share/") {
            return Err(protocol_error("No Local is set on a Shared Subscription [MQTT-3.8.3-4]"));
        }
    }
    Ok(Subscribe { packet_id, properties, raw_filters, version })
}

pub(super) fn unsubscribe(mut from: Reader<'_>, version: Version) -> Result<Unsubscribe<'_>, DecodeError> {
    let (packet_id, properties) = head(&mut from, version, Place::Unsubscribe)?;
    let raw_filters = from.rest();
    if from.is_empty() {
        return Err(protocol_error("UNSUBSCRIBE has no Topic Filter [MQTT-3.10.3-2]"));
    }
    while !from.is_empty() {
        from.text()?;
    }
    Ok(Unsubscribe { packet_id, properties, raw_filters })
}

fn head<'a>(from: &mut Reader<'a>, version: Version, place: Place) -> Result<(PacketId, Properties<'a>), DecodeError> {
    let packet_id = from.packet_id()?;
    let properties = if version.is_v5() { read_block(from, place, Role::Server)? } else { Properties::default() };
    Ok((packet_id, properties))
}

impl SubscriptionOptions {
    /// The octet behind a Topic Filter (3.8.3.1). Before 5.0 it is the QoS alone, and 3.1.1
    /// calls anything else malformed [MQTT-3.8.3-4].
    pub fn parse(octet: u8, version: Version) -> Result<SubscriptionOptions, DecodeError> {
        let reserved = if version.is_v5() { 0xC0 } else { 0xFC };
        if octet & reserved != 0 {
            return Err(malformed("a reserved bit of the Subscription Options is set [MQTT-3.8.3-5]"));
        }
        let Some(qos) = QoS::from_bits(octet & 0x03) else {
            return Err(if version.is_v5() {
                protocol_error("Maximum QoS of a Subscription is 3 (3.8.3.1)")
            } else {
                malformed("Requested QoS is 3 (3.1.1) [MQTT-3.8.3-4]")
            });
        };
        let retain_handling = (octet >> 4) & 0x03;
        if retain_handling == 3 {
            return Err(protocol_error("Retain Handling is 3 (3.8.3.1)"));
        }
        Ok(SubscriptionOptions {
            qos,
            no_local: octet & 0x04 != 0,
            retain_as_published: octet & 0x08 != 0,
            retain_handling,
        })
    }

    /// The octet of these options in this version.
    #[must_use]
    pub fn octet(&self, version: Version) -> u8 {
        let qos = self.qos as u8;
        if !version.is_v5() {
            return qos;
        }
        qos | (u8::from(self.no_local) << 2)
            | (u8::from(self.retain_as_published) << 3)
            | ((self.retain_handling & 0x03) << 4)
    }
}

/// The Topic Filters of a SUBSCRIBE with their options, in order.
#[derive(Clone, Debug)]
pub struct SubscriptionIter<'a> {
    from: Reader<'a>,
    version: Version,
}

impl<'a> Iterator for SubscriptionIter<'a> {
    type Item = (&'a str, SubscriptionOptions);

    fn next(&mut self) -> Option<Self::Item> {
        // `decode` has read this list once already, so an error cannot come; it would end here.
        if self.from.is_empty() {
            return None;
        }
        let filter = self.from.text().ok()?;
        let options = SubscriptionOptions::parse(self.from.byte().ok()?, self.version).ok()?;
        Some((filter, options))
    }
}

/// The Topic Filters of an UNSUBSCRIBE, in order.
#[derive(Clone, Debug)]
pub struct FilterIter<'a> {
    from: Reader<'a>,
}

impl<'a> Iterator for FilterIter<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.from.is_empty() { None } else { self.from.text().ok() }
    }
}

impl<'a> Subscribe<'a> {
    /// Its Topic Filters and options, in order.
    #[must_use]
    pub fn filters(&self) -> SubscriptionIter<'a> {
        SubscriptionIter { from: Reader::new(self.raw_filters), version: self.version }
    }
}

impl<'a> Unsubscribe<'a> {
    /// Its Topic Filters, in order.
    #[must_use]
    pub fn filters(&self) -> FilterIter<'a> {
        FilterIter { from: Reader::new(self.raw_filters) }
    }
}
