//! PUBLISH (3.3).

use crate::wire::Version;
use crate::wire::decode::Role;
use crate::wire::error::{DecodeError, malformed, protocol_error};
use crate::wire::packet::{Properties, Publish, QoS};
use crate::wire::property::PropertyId;
use crate::wire::property_rules::{Place, read_block};
use crate::wire::reader::Reader;

/// Reads a PUBLISH, its four flags and its body.
#[inline]
pub(super) fn decode(flags: u8, body: &[u8], role: Role, version: Version) -> Result<Publish<'_>, DecodeError> {
    let qos = QoS::from_bits((flags >> 1) & 0x03).ok_or_else(|| malformed("QoS is 3 [MQTT-3.3.1-4]"))?;
    let dup = flags & 0x08 != 0;
    if dup && qos == QoS::AtMostOnce {
        return Err(malformed("DUP is set on a QoS 0 message [MQTT-3.3.1-2]"));
    }
    let mut from = Reader::new(body);
    let topic = from.text()?;
    let packet_id = if qos == QoS::AtMostOnce { None } else { Some(from.packet_id()?) };
    let properties = if version.is_v5() { read_block(&mut from, Place::Publish, role)? } else { Properties::default() };
    if topic.is_empty() {
        topic_may_be_empty(version, properties)?;
    }
    Ok(Publish { dup, qos, retain: flags & 0x01 != 0, topic, packet_id, properties, payload: from.rest() })
}

/// Only where a Topic Alias stands for it (3.3.2.1).
fn topic_may_be_empty(version: Version, properties: Properties<'_>) -> Result<(), DecodeError> {
    if !version.is_v5() {
        return Err(malformed("the Topic Name is empty (3.1.1) [MQTT-4.7.3-1]"));
    }
    if properties.iter().any(|property| property.id() == PropertyId::TopicAlias) {
        return Ok(());
    }
    Err(protocol_error("the Topic Name is empty and there is no Topic Alias (3.3.2.1)"))
}
