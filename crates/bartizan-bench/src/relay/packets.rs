//! What the relay does with each packet.

use bartizan_core::topic::{TopicFilter, TopicFilterBuf};
use bartizan_core::wire::encode::{self, AckKind, ConnackProperties};
use bartizan_core::wire::{Frame, Packet, QoS, ReasonCode, Role, Subscribe, decode, frame};

use crate::fault::FaultKind;
use crate::relay::Relay;
use crate::relay::peer::Peer;
use crate::relay::publication::Publication;

const PUBACK: u8 = AckKind::Puback as u8;
const PUBREC: u8 = AckKind::Pubrec as u8;
const PUBREL: u8 = AckKind::Pubrel as u8;
const PUBCOMP: u8 = AckKind::Pubcomp as u8;
const PACKET_BYTES_MAX: u32 = 16 << 20;

impl Relay {
    /// The whole packets at the front of `bytes`; how many octets they are, `None` if the peer is to be closed.
    pub(super) fn packets(&mut self, index: usize, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..)?;
            if let Some(&[kind @ (PUBACK | PUBREC | PUBREL | PUBCOMP), 2, high, low]) = rest.first_chunk() {
                self.acknowledgement(index, kind, [high, low])?;
                at += 4;
                continue;
            }
            let Some(found) = frame(rest, PACKET_BYTES_MAX).ok()? else { return Some(at) };
            if found.first >> 4 == 3 {
                self.publish(index, found, rest)?;
            } else {
                self.packet(index, found)?;
            }
            at += found.len;
        }
    }

    /// In its shortest form, which has no Reason Code.
    #[inline]
    fn acknowledgement(&mut self, index: usize, kind: u8, octets: [u8; 2]) -> Option<()> {
        let peer = self.peers.get_mut(index)?.as_mut()?;
        peer.version?;
        let id = u16::from_be_bytes(octets);
        let (is_known, answer) = match kind {
            PUBACK | PUBCOMP => (peer.in_flight.remove(id), None),
            PUBREC => (peer.in_flight.contains(id), Some(PUBREL)),
            _ => (peer.unreleased.remove(id), Some(PUBCOMP)),
        };
        if let Some(answer) = answer {
            if peer.out.is_empty() {
                self.unsent.push(index);
            }
            let [high, low] = octets;
            peer.out.extend_from_slice(&[answer, 2, high, low]);
        }
        is_known.then_some(())
    }

    #[inline]
    fn publish(&mut self, index: usize, found: Frame<'_>, octets: &[u8]) -> Option<()> {
        let publisher = self.peers.get_mut(index)?.as_mut()?;
        let publication = Publication::read(found, octets, publisher.version?)?;
        let kind = match publication.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(AckKind::Puback),
            QoS::ExactlyOnce => Some(AckKind::Pubrec),
        };
        if let Some(kind) = kind {
            if publisher.out.is_empty() {
                self.unsent.push(index);
            }
            let [high, low] = publication.id.to_be_bytes();
            publisher.out.extend_from_slice(&[kind as u8, 2, high, low]);
            if kind == AckKind::Pubrec && !publisher.unreleased.insert(publication.id) {
                // Sent again: delivered once already [MQTT-4.3.3-10].
                return Some(());
            }
        }
        for (to, granted) in self.routes.of(publication.topic, &self.peers) {
            let fault = self.fault.as_mut().and_then(|fault| fault.strike());
            let Some(peer) = self.peers.get_mut(*to).and_then(Option::as_mut) else { continue };
            if peer.out.is_empty() {
                self.unsent.push(*to);
            }
            let qos = publication.qos.min(*granted);
            match fault {
                None => deliver(peer, &publication, qos),
                Some(fault) => misdeliver(peer, &publication, qos, fault),
            }
        }
        Some(())
    }

    fn packet(&mut self, index: usize, found: Frame<'_>) -> Option<()> {
        let peer = self.peers.get_mut(index)?.as_mut()?;
        if peer.out.is_empty() {
            self.unsent.push(index);
        }
        match decode(found, Role::Server, peer.version).ok()? {
            Packet::Connect(connect) => {
                peer.version = Some(connect.version);
                let properties = ConnackProperties::default();
                encode::connack(&mut peer.out, connect.version, false, ReasonCode::Success, &properties);
            }
            Packet::Subscribe(subscribe) => return self.subscribe(index, &subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                let mut codes = Vec::new();
                for filter in unsubscribe.filters() {
                    peer.subscriptions.retain(|(known, _)| known.as_str() != filter);
                    codes.push(ReasonCode::Success);
                }
                encode::unsuback(&mut peer.out, peer.version?, unsubscribe.packet_id, &codes, None);
                self.routes.forget();
            }
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
                return self.acknowledgement(index, found.first, ack.packet_id.get().to_be_bytes());
            }
            Packet::Pingreq => encode::pingresp(&mut peer.out),
            _ => return None,
        }
        Some(())
    }

    fn subscribe(&mut self, index: usize, subscribe: &Subscribe<'_>) -> Option<()> {
        let peer = self.peers.get_mut(index)?.as_mut()?;
        let mut codes = Vec::new();
        for (filter, options) in subscribe.filters() {
            TopicFilter::parse(filter).ok()?;
            peer.subscriptions.retain(|(known, _)| known.as_str() != filter);
            peer.subscriptions.push((TopicFilterBuf::parse(filter).ok()?, options.qos));
            codes.push(match options.qos {
                QoS::AtMostOnce => ReasonCode::Success,
                QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
                QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
            });
        }
        encode::suback(&mut peer.out, subscribe.version, subscribe.packet_id, &codes, None);
        self.routes.forget();
        Some(())
    }
}

#[inline]
fn deliver(peer: &mut Peer, publication: &Publication<'_>, qos: QoS) {
    let Some(version) = peer.version else { return };
    let id = if qos == QoS::AtMostOnce { None } else { peer.next_id() };
    publication.write(&mut peer.out, version, qos, id);
    if let Some(held) = peer.held.take() {
        peer.out.extend_from_slice(&held);
    }
}

/// The faults that the generator must find.
#[cold]
fn misdeliver(peer: &mut Peer, publication: &Publication<'_>, qos: QoS, fault: FaultKind) {
    let begins = peer.out.len();
    match fault {
        FaultKind::Lose => {}
        FaultKind::Duplicate => {
            deliver(peer, publication, qos);
            deliver(peer, publication, qos);
        }
        FaultKind::Reorder => {
            deliver(peer, publication, qos);
            peer.held = Some(peer.out.split_off(begins));
        }
        FaultKind::Corrupt => {
            deliver(peer, publication, qos);
            if let Some(last) = peer.out.last_mut() {
                *last ^= 0x10;
            }
        }
        FaultKind::WrongQos => {
            let other = if qos == QoS::AtMostOnce { QoS::AtLeastOnce } else { QoS::AtMostOnce };
            deliver(peer, publication, other);
        }
    }
}
