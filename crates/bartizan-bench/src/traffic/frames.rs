//! PUBLISH packets as they are sent, and as they must arrive: octets laid out once, a few of them changed for each.

use bartizan_core::wire::encode::{self, PublishHead};
use bartizan_core::wire::{PacketId, QoS, Version};

use crate::outgoing::Outgoing;
use crate::stamp::{STAMP_BYTES, Stamp, Stamper};

/// One publisher's PUBLISH packets: all have one length, and differ in identifier and stamp only.
#[derive(Clone, Debug)]
pub struct Frame {
    octets: Vec<u8>,
}

/// The layout that the packets of all publishers of a run share.
#[derive(Clone, Debug)]
pub struct Layout {
    stamper: Stamper,
    frames: Vec<Frame>,
    len: usize,
    /// Where the Packet Identifier stands; where it would, for QoS 0.
    id_at: usize,
    id_end: usize,
    stamp_at: usize,
    qos: QoS,
}

/// A packet that is what it must be.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub stamp: Stamp,
    /// Its Packet Identifier, for QoS 1 and 2.
    pub id: u16,
}

impl Layout {
    /// One topic per publisher; all of one length.
    pub fn new(version: Version, qos: QoS, stamper: Stamper, topics: &[String]) -> Layout {
        let packet_id = (qos != QoS::AtMostOnce).then_some(PacketId::MAX);
        let frames: Vec<Frame> = topics
            .iter()
            .zip(0..)
            .map(|(topic, publisher)| {
                let mut octets = Vec::new();
                let head = PublishHead { qos, packet_id, topic, ..PublishHead::default() };
                encode::publish(&mut octets, version, &head, &stamper.payload(Stamp { publisher, sequence: 0 }));
                Frame { octets }
            })
            .collect();
        let len = frames.first().map_or(0, |frame| frame.octets.len());
        let stamp_at = len - stamper.size();
        let id_end = stamp_at - usize::from(version.is_v5());
        let id_at = id_end - if packet_id.is_some() { 2 } else { 0 };
        Layout { stamper, frames, len, id_at, id_end, stamp_at, qos }
    }

    /// Octets of every packet.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// What reads stamps.
    pub fn stamper(&self) -> &Stamper {
        &self.stamper
    }

    /// Appends up to `count` packets of a publisher; how many it was.
    #[inline]
    pub fn append(
        &self,
        out: &mut Vec<u8>,
        publisher: u32,
        first: u64,
        count: u64,
        outgoing: &mut Outgoing,
        now_ns: u64,
    ) -> u64 {
        let Some(frame) = self.frames.get(publisher as usize) else { return 0 };
        out.reserve(self.len * count as usize);
        for sequence in first..first + count {
            let at = out.len();
            if self.qos != QoS::AtMostOnce {
                let Some(id) = outgoing.take(now_ns) else { return sequence - first };
                out.extend_from_slice(&frame.octets);
                put(out, at + self.id_at, id.get().to_be_bytes());
            } else {
                out.extend_from_slice(&frame.octets);
            }
            put(out, at + self.stamp_at, self.stamper.octets(Stamp { publisher, sequence }));
        }
        count
    }

    /// Is the front of `bytes` a packet exactly as it was sent? Anything else is looked at slowly.
    #[inline]
    pub fn arrival(&self, bytes: &[u8]) -> Option<Arrival> {
        let packet = bytes.get(..self.len)?;
        let payload = packet.get(self.stamp_at..)?;
        let stamp = self.stamper.read(payload)?;
        let sent = self.frames.get(stamp.publisher as usize)?.octets.as_slice();
        let same = packet.get(..self.id_at)? == sent.get(..self.id_at)?
            && packet.get(self.id_end..self.stamp_at)? == sent.get(self.id_end..self.stamp_at)?
            && packet.get(self.stamp_at + STAMP_BYTES..)? == sent.get(self.stamp_at + STAMP_BYTES..)?;
        let id =
            if self.qos == QoS::AtMostOnce { 0 } else { u16::from_be_bytes(*packet.get(self.id_at..)?.first_chunk()?) };
        same.then_some(Arrival { stamp, id })
    }
}

#[inline]
fn put<const N: usize>(out: &mut [u8], at: usize, octets: [u8; N]) {
    if let Some(place) = out.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
        *place = octets;
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::wire::{Packet, Role, decode, frame};

    use super::*;

    #[test]
    fn what_is_appended_is_mqtt_and_arrives_as_it_was_sent() {
        let topics = ["bench/00".to_owned(), "bench/01".to_owned()];
        for version in [Version::V311, Version::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                for size in [16, 64, 1024] {
                    let layout = Layout::new(version, qos, Stamper::new(9, size), &topics);
                    let (mut out, mut outgoing) = (Vec::new(), Outgoing::new(4, false));
                    assert_eq!(layout.append(&mut out, 1, 5, 3, &mut outgoing, 0), 3);
                    for (at, sequence) in [(0, 5), (1, 6), (2, 7)] {
                        let bytes = &out[at * layout.len()..];
                        let found = frame(bytes, 100_000).unwrap().unwrap();
                        let Packet::Publish(publish) = decode(found, Role::Client, Some(version)).unwrap() else {
                            panic!("not a PUBLISH")
                        };
                        assert_eq!((publish.topic, publish.qos, publish.dup), ("bench/01", qos, false));
                        let arrival = layout.arrival(bytes).unwrap();
                        assert_eq!(arrival.stamp, Stamp { publisher: 1, sequence });
                        assert_eq!(arrival.id, publish.packet_id.map_or(0, PacketId::get));
                    }
                }
            }
        }
    }

    #[test]
    fn every_changed_bit_but_those_of_the_identifier_is_seen() {
        let topics = ["bench/00".to_owned(), "bench/01".to_owned()];
        let layout = Layout::new(Version::V5, QoS::AtLeastOnce, Stamper::new(9, 20), &topics);
        let (mut out, mut outgoing) = (Vec::new(), Outgoing::new(4, false));
        layout.append(&mut out, 0, 0, 1, &mut outgoing, 0);
        let identifier = layout.id_at * 8..layout.id_end * 8;
        for bit in (0..out.len() * 8).filter(|bit| !identifier.contains(bit)) {
            let mut changed = out.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(layout.arrival(&changed).is_none(), "bit {bit}");
        }
    }
}
