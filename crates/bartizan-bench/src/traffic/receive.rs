//! What subscribers and publishers read: the expected octets fast, everything else by core's codec.

use bartizan_core::wire::{Ack, Packet, PacketId, Publish, ReasonCode, Role, decode, frame};

use crate::crowd::{Buffers, PACKET_BYTES_MAX, lost, not_mqtt};
use crate::failure::Failure;
use crate::outgoing::Disorder;
use crate::scenario::Topology;
use crate::stamp::Stamp;
use crate::traffic::exchange::Exchange;

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

impl Exchange {
    /// Reads a client until its socket is drained.
    pub(super) fn read(&mut self, index: usize, io: &mut Buffers) -> Result<(), Failure> {
        loop {
            let Some(client) = self.crowd.clients.get_mut(index) else { return Ok(()) };
            let Some(got) = client.receive(&mut io.plain, &mut io.scratch).map_err(lost(index))? else {
                return Ok(());
            };
            // Answers are appended while the clients are borrowed otherwise.
            let mut out = std::mem::take(&mut client.out);
            let answered = out.len();
            self.tick();
            let bytes = io.plain.get(..got.len).unwrap_or_default();
            let used = match index.checked_sub(self.plan.subscribers) {
                None => self.deliveries(index, bytes, &mut out),
                Some(publisher) => self.acknowledgements(publisher, bytes, &mut out),
            }?;
            if out.len() > answered {
                self.unsent.push(index);
            }
            let Some(client) = self.crowd.clients.get_mut(index) else { return Ok(()) };
            client.out = out;
            client.keep(bytes.get(used..).unwrap_or_default());
            if !got.more {
                return Ok(());
            }
        }
    }

    /// What a subscriber got; how many octets of it were whole packets.
    fn deliveries(&mut self, subscriber: usize, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Failure> {
        let (len, qos) = (self.layout.len(), self.plan.qos);
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if qos == 2
                && let Some(&[PUBREL, 2, high, low]) = rest.first_chunk()
            {
                self.released(subscriber, u16::from_be_bytes([high, low]), out);
                at += 4;
            } else if let Some(arrival) = self.layout.arrival(rest) {
                self.arrived(subscriber, arrival.stamp);
                self.answer(subscriber, qos, arrival.id, out);
                at += len;
            } else {
                match self.unexpected(subscriber, rest, out)? {
                    Some(len) => at += len,
                    None => return Ok(at),
                }
            }
        }
    }

    #[inline]
    fn arrived(&mut self, subscriber: usize, stamp: Stamp) {
        let index = stamp.publisher as usize;
        let place = match self.plan.topology {
            Topology::Pairs => (index == subscriber).then_some(index),
            _ => Some(index * self.plan.subscribers + subscriber),
        };
        let receivers = self.plan.receivers();
        let Some((publisher, place)) =
            self.publishers.get_mut(index).filter(|publisher| stamp.sequence < publisher.next).zip(place)
        else {
            // Nobody sent it, or not to this one.
            self.tally.corrupt += 1;
            return;
        };
        let Some(flow) = self.flows.get_mut(place) else { return };
        let before = flow.next();
        let is_new = flow.take(stamp.sequence, &mut self.tally);
        if flow.next() != before {
            let of_publisher = self.flows.get(index * receivers..(index + 1) * receivers).unwrap_or_default();
            if publisher.passed(before, of_publisher) && !publisher.listed {
                publisher.listed = true;
                self.listed.push(index);
            }
        }
        if is_new && self.plan.rate.is_some() {
            self.delay(index, stamp.sequence);
        }
    }

    /// How long after it was due.
    fn delay(&mut self, publisher: usize, sequence: u64) {
        let Some(due) = self.due_ns(publisher, sequence).filter(|due| *due >= self.measured_from_ns) else { return };
        self.latency.saturating_record(self.now_ns.saturating_sub(due).max(1));
    }

    #[inline]
    fn answer(&mut self, subscriber: usize, qos: u8, id: u16, out: &mut Vec<u8>) {
        let [high, low] = id.to_be_bytes();
        match qos {
            0 => {}
            1 => out.extend_from_slice(&[PUBACK, 2, high, low]),
            _ => {
                // An identifier still in use names another message [MQTT-2.2.1-4].
                let is_free = self.unreleased.get_mut(subscriber).is_some_and(|ids| ids.insert(id));
                self.tally.protocol_errors += u64::from(!is_free);
                out.extend_from_slice(&[PUBREC, 2, high, low]);
            }
        }
    }

    #[inline]
    fn released(&mut self, subscriber: usize, id: u16, out: &mut Vec<u8>) {
        let was_used = self.unreleased.get_mut(subscriber).is_some_and(|ids| ids.remove(id));
        self.tally.protocol_errors += u64::from(!was_used);
        let [high, low] = id.to_be_bytes();
        out.extend_from_slice(&[PUBCOMP, 2, high, low]);
    }

    /// A packet that is not as it was sent, or not whole yet (`None`).
    #[cold]
    fn unexpected(&mut self, subscriber: usize, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Failure> {
        let Some(found) = frame(bytes, PACKET_BYTES_MAX).map_err(|error| not_mqtt(&error))? else { return Ok(None) };
        let version = Some(self.crowd.target.version);
        match decode(found, Role::Client, version).map_err(|error| not_mqtt(&error))? {
            Packet::Publish(publish) => self.publication(subscriber, &publish, out),
            Packet::Pubrel(ack) => self.released(subscriber, ack.packet_id.get(), out),
            Packet::Pingresp => {}
            Packet::Disconnect(disconnect) => return Err(ended(subscriber, disconnect.reason)),
            _ => self.tally.protocol_errors += 1,
        }
        Ok(Some(found.len))
    }

    fn publication(&mut self, subscriber: usize, publish: &Publish<'_>, out: &mut Vec<u8>) {
        if publish.qos as u8 != self.plan.qos {
            self.tally.wrong_qos += 1;
        }
        // RETAIN is for messages from before the Subscription [MQTT-3.3.1-9].
        self.tally.protocol_errors += u64::from(publish.retain);
        let stamp = self.layout.stamper().read(publish.payload);
        let topic = stamp.and_then(|stamp| self.topics.get(stamp.publisher as usize));
        let is_whole = self.layout.stamper().is_whole(publish.payload);
        self.tally.corrupt += u64::from(!is_whole || topic.is_none_or(|topic| topic != publish.topic));
        if let Some(stamp) = stamp {
            self.arrived(subscriber, stamp);
        }
        self.answer(subscriber, publish.qos as u8, publish.packet_id.map_or(0, PacketId::get), out);
    }

    /// What a publisher got; how many octets of it were whole packets.
    fn acknowledgements(&mut self, publisher: usize, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Failure> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(&[kind @ (PUBACK | PUBREC | PUBCOMP), 2, high, low]) = rest.first_chunk() {
                self.acknowledged(publisher, kind, u16::from_be_bytes([high, low]), out);
                at += 4;
                continue;
            }
            let Some(found) = frame(rest, PACKET_BYTES_MAX).map_err(|error| not_mqtt(&error))? else { break };
            let version = Some(self.crowd.target.version);
            match decode(found, Role::Client, version).map_err(|error| not_mqtt(&error))? {
                Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubcomp(ack) => {
                    accepted(publisher, &ack)?;
                    self.acknowledged(publisher, found.first, ack.packet_id.get(), out);
                }
                Packet::Pingresp => {}
                Packet::Disconnect(disconnect) => {
                    return Err(ended(self.plan.subscribers + publisher, disconnect.reason));
                }
                _ => self.tally.protocol_errors += 1,
            }
            at += found.len;
        }
        Ok(at)
    }

    #[inline]
    fn acknowledged(&mut self, index: usize, kind: u8, id: u16, out: &mut Vec<u8>) {
        let Some(publisher) = self.publishers.get_mut(index) else { return };
        let outcome = match kind {
            PUBACK => publisher.outgoing.puback(id).map(Some),
            PUBCOMP => publisher.outgoing.pubcomp(id).map(Some),
            _ => publisher.outgoing.pubrec(id).map(|()| None),
        };
        if kind == PUBREC && outcome != Err(Disorder::OfNothing) {
            let [high, low] = id.to_be_bytes();
            out.extend_from_slice(&[PUBREL, 2, high, low]);
        }
        match outcome {
            Ok(Some(sent_at)) => {
                self.tally.acknowledged += 1;
                if sent_at >= self.measured_from_ns {
                    self.ack_latency.saturating_record(self.now_ns.saturating_sub(sent_at).max(1));
                }
            }
            Ok(None) => {}
            Err(_) => self.tally.protocol_errors += 1,
        }
        if !publisher.listed {
            publisher.listed = true;
            self.listed.push(index);
        }
    }
}

fn accepted(publisher: usize, ack: &Ack<'_>) -> Result<(), Failure> {
    if ack.reason.as_u8() < 0x80 {
        return Ok(());
    }
    Err(Failure::Broker(format!("a message of publisher {publisher} was refused: {:?}", ack.reason)))
}

fn ended(client: usize, reason: ReasonCode) -> Failure {
    Failure::Broker(format!("the broker ended connection {client}: {reason:?}"))
}
