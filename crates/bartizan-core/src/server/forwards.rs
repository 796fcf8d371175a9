//! What goes to other shards, kept apart by shard. What can travel together does: messages in one
//! block, acknowledgements in a row as one number. The order toward each shard is kept.

use super::remote::{AckRef, Acks, Forward, Shipment};
use crate::parcel::Carried;
use crate::policy::Authorized;
use crate::wire::Publish;

/// What waits to go to other shards.
#[derive(Debug, Default)]
pub struct Forwards {
    by_shard: Vec<Vec<Forward>>,
    /// What has no shard: nothing.
    nowhere: Vec<Forward>,
    messages: usize,
}

impl Forwards {
    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Messages that wait, and whatever else does.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages
    }

    /// Puts something in, behind all that waits for the same shard.
    pub fn push(&mut self, shard: usize, forward: Forward) {
        self.messages += forward.messages();
        self.of(shard).push(forward);
    }

    /// Tells the shards that wait for these.
    pub(crate) fn confirm(&mut self, acks: Acks) {
        let waiting = self.of(acks.shard());
        if let Some(Forward::Confirm(last)) = waiting.last_mut()
            && last.append(&acks)
        {
            return;
        }
        waiting.push(Forward::Confirm(acks));
        self.messages += 1;
    }

    /// Copies an admitted message into the block for a shard. False, and nothing is done, when it
    /// is too large for one, or would be alone in it: then it is cheaper held.
    pub(crate) fn carry(
        &mut self,
        shard: usize,
        admitted: &Authorized<Publish<'_>>,
        message: &Carried<'_>,
        ack: Option<AckRef>,
    ) -> bool {
        if !message.fits() {
            return false;
        }
        match self.of(shard).last_mut() {
            Some(Forward::Messages(shipment)) if !shipment.is_full() => shipment.add(admitted, message, ack),
            Some(last @ Forward::Publish(..)) => {
                let Some(mut shipment) = Shipment::begun(last) else { return false };
                shipment.add(admitted, message, ack);
                *last = Forward::Messages(Box::new(shipment));
            }
            _ => return false,
        }
        self.messages += 1;
        true
    }

    /// Takes what waits for one shard after the other.
    pub fn take(&mut self) -> impl Iterator<Item = (usize, Vec<Forward>)> {
        self.messages = 0;
        let shards = self.by_shard.iter_mut().enumerate();
        shards.filter(|(_, waiting)| !waiting.is_empty()).map(|(shard, waiting)| (shard, std::mem::take(waiting)))
    }

    fn of(&mut self, shard: usize) -> &mut Vec<Forward> {
        if self.by_shard.len() <= shard {
            self.by_shard.resize_with(shard + 1, Vec::new);
        }
        self.by_shard.get_mut(shard).unwrap_or(&mut self.nowhere)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::durable::Durability;
    use crate::message::{Message, Publisher};
    use crate::policy::{Identity, Image};
    use crate::session::{ConnectionKey, SessionKey};
    use crate::topic::{TopicName, topic_hash};
    use crate::wire::{PacketId, Properties, QoS};

    const IMAGE: &str = r#"{"format":3,"roles":[{"name":"x","limits":{},"rules":[{"name":"r","effect":"permit",
        "actions":["publish"],"pattern":["many"],"qos_max":2,"retain":true}]}]}"#;

    fn owed(owed: u64) -> AckRef {
        AckRef::Owed { shard: 0, connection: ConnectionKey::default(), owed, durability: Durability::default() }
    }

    fn receipt(packet_id: u16, nonce: u64) -> AckRef {
        let (session, packet_id) = (SessionKey::default(), PacketId::new(packet_id).unwrap());
        AckRef::Receipt { shard: 0, session, packet_id, nonce, durability: Durability::default() }
    }

    /// As a shard sends a message: into a block where it can, else by itself.
    fn send(forwards: &mut Forwards, payload: &[u8], ack: Option<AckRef>, publisher: &Arc<Publisher>) {
        let image = Arc::new(Image::load(IMAGE.as_bytes()).unwrap());
        let identity = Identity { id: "i", client_id: "c", roles: &[Arc::from("x")], ..Identity::default() };
        let topic = TopicName::parse("a").unwrap();
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: "",
            packet_id: None,
            properties: Properties::default(),
            payload,
        };
        let admitted = image.bind(&identity, &crate::policy::OpenWindows::default()).authorize(publish, topic).unwrap();
        let held = Message::new(&topic, &[], payload, QoS::AtMostOnce, false, None, Arc::clone(publisher));
        assert_eq!(held.hash, topic_hash("a"));
        if !forwards.carry(1, &admitted, &Carried::of(&held), ack) {
            forwards.push(1, Forward::Publish(admitted.held(Arc::new(held)).unwrap(), ack));
        }
    }

    /// What waits for shard 1: payload and acknowledgement of each message, in the order they are in.
    fn sent(forwards: &mut Forwards) -> Vec<(Vec<u8>, Option<AckRef>)> {
        let mut all = Vec::new();
        for forward in forwards.take().flat_map(|(shard, waiting)| {
            assert_eq!(shard, 1);
            waiting
        }) {
            match forward {
                Forward::Publish(message, ack) => all.push((message.payload().to_vec(), ack)),
                Forward::Messages(mut shipment) => {
                    while let Some((message, ack)) = shipment.next() {
                        all.push((message.payload.to_vec(), ack));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        all
    }

    #[test]
    fn messages_keep_their_order_and_their_acknowledgements_whatever_their_size() {
        let publisher = Arc::new(Publisher { identity: Arc::from("i"), client_id: Arc::from("c") });
        let large = vec![b'l'; 100_000];
        let mut expected: Vec<(Vec<u8>, Option<AckRef>)> = vec![
            (b"0".to_vec(), Some(owed(4))),
            (b"1".to_vec(), Some(owed(5))),
            (b"2".to_vec(), None),
            (b"3".to_vec(), Some(owed(6))),
            (large.clone(), Some(owed(7))),
            (b"5".to_vec(), Some(owed(9))),
            (b"6".to_vec(), Some(receipt(1, 1))),
            (b"7".to_vec(), Some(receipt(2, 2))),
            (b"8".to_vec(), Some(receipt(4, 3))),
            (large, None),
            (b"10".to_vec(), None),
        ];
        // More than one block.
        expected.extend((0..200).map(|n| (vec![b'b'; 1000], Some(owed(20 + n)))));
        let mut forwards = Forwards::default();
        expected.iter().for_each(|(payload, ack)| send(&mut forwards, payload, *ack, &publisher));
        assert_eq!(forwards.len(), expected.len());
        assert_eq!(sent(&mut forwards), expected);
        assert!(forwards.is_empty());
    }

    #[test]
    fn a_message_alone_crosses_held_and_a_second_one_makes_a_block() {
        let publisher = Arc::new(Publisher { identity: Arc::from("i"), client_id: Arc::from("c") });
        let kind = |count: usize| {
            let mut forwards = Forwards::default();
            (0..count).for_each(|_| send(&mut forwards, b"x", None, &publisher));
            let waiting: Vec<Forward> = forwards.take().flat_map(|(_, waiting)| waiting).collect();
            (waiting.len(), matches!(waiting[0], Forward::Messages(_)))
        };
        assert_eq!((kind(1), kind(2), kind(500)), ((1, false), (1, true), (1, true)));
    }

    #[test]
    fn acknowledgements_in_a_row_are_one_and_others_are_not() {
        let mut forwards = Forwards::default();
        let all =
            [owed(1), owed(2), owed(3), owed(5), receipt(9, 1), receipt(10, 2), receipt(11, 4), receipt(65_535, 5)];
        all.iter().for_each(|ack| forwards.confirm((*ack).into()));
        let mut told = Vec::new();
        let mut rows = Vec::new();
        for forward in forwards.take().flat_map(|(_, waiting)| waiting) {
            let Forward::Confirm(acks) = forward else { panic!("{forward:?}") };
            rows.push(acks.count());
            told.extend(acks.iter());
        }
        assert_eq!((rows, told), (vec![3, 1, 2, 1, 1], all.to_vec()));
    }
}
