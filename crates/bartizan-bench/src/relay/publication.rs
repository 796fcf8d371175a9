//! A PUBLISH read in place, and written for a receiver: copied whole where both speak alike.

use bartizan_core::wire::{Frame, PacketId, Properties, QoS, Version, encode, varint};

/// A PUBLISH as it came.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    pub version: Version,
    pub qos: QoS,
    pub id: u16,
    pub topic: &'a str,
    /// The whole packet.
    packet: &'a [u8],
    /// Where its identifier stands.
    id_at: usize,
    properties: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Publication<'a> {
    /// Of this frame, whose octets `packet` starts with; `None` if it is none that the relay understands.
    #[inline]
    pub fn read(frame: Frame<'a>, packet: &'a [u8], version: Version) -> Option<Publication<'a>> {
        let qos = QoS::from_bits((frame.first >> 1) & 3)?;
        let (length, rest) = frame.body.split_first_chunk::<2>()?;
        let (topic, mut rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let mut id = 0;
        if qos != QoS::AtMostOnce {
            let (octets, after) = rest.split_first_chunk::<2>()?;
            id = u16::from_be_bytes(*octets);
            rest = after;
        }
        let mut properties = &[][..];
        if version.is_v5() {
            let length = varint::read(rest).ok()??;
            (properties, rest) = rest.get(length.octets..)?.split_at_checked(length.value as usize)?;
        }
        let topic = std::str::from_utf8(topic).ok().filter(|topic| is_name(topic))?;
        let packet = packet.get(..frame.len)?;
        let id_at = frame.len - frame.body.len() + 2 + topic.len();
        Some(Publication { version, qos, id, topic, packet, id_at, properties, payload: rest })
    }

    /// Appends it for a receiver.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, version: Version, qos: QoS, id: Option<PacketId>) {
        if version == self.version && qos == self.qos {
            let at = out.len();
            out.extend_from_slice(self.packet);
            if let Some(first) = out.get_mut(at) {
                // Neither DUP nor RETAIN is passed on [MQTT-3.3.1-3] [MQTT-3.3.1-9].
                *first &= 0xF6;
            }
            if let Some((id, place)) = id.zip(out.get_mut(at + self.id_at..).and_then(|rest| rest.first_chunk_mut())) {
                *place = id.get().to_be_bytes();
            }
            return;
        }
        let forwarded = Properties { raw: if self.version == version { self.properties } else { &[] } };
        let head = encode::PublishHead {
            qos,
            packet_id: id,
            topic: self.topic,
            forwarded: forwarded.raw,
            ..Default::default()
        };
        encode::publish(out, version, &head, self.payload);
    }
}

/// A Topic Name has no wildcard and no U+0000, and is not empty [MQTT-3.3.2-2] [MQTT-4.7.3-2].
#[inline]
fn is_name(topic: &str) -> bool {
    !topic.is_empty() && !topic.bytes().any(|octet| matches!(octet, b'+' | b'#' | 0))
}
