//! The stored forms: records of the log (version 1) and rows of the index (versions 1 and 2).
//!
//! postcard writes fields in order, without names. So these types are frozen: a change is a
//! new `V2` type and a new segment format, never an edit here. Values that core may reorder
//! (QoS, Version, Subscription Options) are stored as the octets MQTT gives them.

use std::sync::Arc;

use bartizan_core::message::{Message, Publisher, Time};
use bartizan_core::topic::TopicName;
use bartizan_core::wire::{PacketId, QoS, SubscriptionOptions, Version};
use serde::{Deserialize, Serialize};

use crate::store::port::{FetchedMessage, Mutation, SessionRecord};

/// The number of a message body; never used twice in the life of a store.
pub type BodyId = u64;

/// One record of the log. A group of them is one frame of a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RecordV1<'a> {
    /// A message body, ahead of the first record that refers to it.
    Body(BodyId, #[serde(borrow)] BodyV1<'a>),
    SessionPut(Arc<str>, SessionV1),
    SessionDelete(Arc<str>),
    SubscriptionPut(Arc<str>, Arc<str>, SubscriptionV1),
    SubscriptionDelete(Arc<str>, Arc<str>),
    Enqueue(Arc<str>, u64, QueuedV1),
    Assign(Arc<str>, u64, PacketId),
    Released(Arc<str>, u64),
    Dequeue(Arc<str>, u64),
    ReceivedPut(Arc<str>, PacketId),
    ReceivedDelete(Arc<str>, PacketId),
    RetainedPut(Arc<str>, BodyId),
    RetainedDelete(Arc<str>),
    WillPut(Arc<str>, WillV1),
    WillDelete(Arc<str>),
}

/// A `Message`, borrowed from memory or from a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BodyV1<'a> {
    topic: &'a str,
    #[serde(with = "serde_bytes")]
    properties: &'a [u8],
    #[serde(with = "serde_bytes")]
    payload: &'a [u8],
    qos: u8,
    retain: bool,
    expires_at_ms: Option<u64>,
    identity: &'a str,
    client_id: &'a str,
}

/// A Session, without its Client Identifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionV1 {
    identity: Arc<str>,
    version: u8,
    session_expiry_s: u32,
    disconnected_at_ms: Option<u64>,
    #[serde(with = "serde_bytes")]
    state: Vec<u8>,
}

/// A Subscription: its options as the octet of 3.8.3.1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionV1 {
    options: u8,
    pub subscription_id: Option<u32>,
}

/// A queued message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueuedV1 {
    pub body: BodyId,
    qos: u8,
    pub retain: bool,
    pub subscription_ids: Box<[u32]>,
    pub packet_id: Option<PacketId>,
    pub released: bool,
}

/// A queued message as the index keeps it: a queue is known without its messages being read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueuedV2 {
    pub queued: QueuedV1,
    /// What the message weighs against `queued_bytes_max`.
    pub weight_bytes: u32,
}

/// A Will.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WillV1 {
    pub body: BodyId,
    due_ms: Option<u64>,
    pub delay_s: u32,
}

impl<'a> BodyV1<'a> {
    pub fn of(message: &'a Message) -> BodyV1<'a> {
        BodyV1 {
            topic: message.topic().as_str(),
            properties: message.properties(),
            payload: message.payload(),
            qos: message.qos as u8,
            retain: message.retain,
            expires_at_ms: message.expires_at.map(|at| at.0),
            identity: &message.publisher.identity,
            client_id: &message.publisher.client_id,
        }
    }

    /// The message; `None` if the octets cannot have come from one.
    pub fn message(&self) -> Option<Arc<Message>> {
        let publisher = Publisher { identity: self.identity.into(), client_id: self.client_id.into() };
        Some(Arc::new(Message::new(
            &TopicName::parse(self.topic).ok()?,
            self.properties,
            self.payload,
            QoS::from_bits(self.qos)?,
            self.retain,
            self.expires_at_ms.map(Time),
            Arc::new(publisher),
        )))
    }
}

impl SessionV1 {
    pub fn of(record: SessionRecord) -> SessionV1 {
        SessionV1 {
            identity: record.identity,
            version: match record.version {
                Version::V31 => 3,
                Version::V311 => 4,
                Version::V5 => 5,
            },
            session_expiry_s: record.session_expiry_s,
            disconnected_at_ms: record.disconnected_at.map(|at| at.0),
            state: record.state,
        }
    }

    pub fn record(self, client_id: Arc<str>) -> Option<SessionRecord> {
        Some(SessionRecord {
            client_id,
            identity: self.identity,
            version: match self.version {
                3 => Version::V31,
                4 => Version::V311,
                5 => Version::V5,
                _ => return None,
            },
            session_expiry_s: self.session_expiry_s,
            disconnected_at: self.disconnected_at_ms.map(Time),
            state: self.state,
        })
    }
}

impl SubscriptionV1 {
    pub fn of(options: SubscriptionOptions, subscription_id: Option<u32>) -> SubscriptionV1 {
        let octet = options.qos as u8
            | u8::from(options.no_local) << 2
            | u8::from(options.retain_as_published) << 3
            | (options.retain_handling & 3) << 4;
        SubscriptionV1 { options: octet, subscription_id }
    }

    pub fn options(self) -> Option<SubscriptionOptions> {
        Some(SubscriptionOptions {
            qos: QoS::from_bits(self.options & 3)?,
            no_local: self.options & 4 != 0,
            retain_as_published: self.options & 8 != 0,
            retain_handling: self.options >> 4 & 3,
        })
    }
}

impl QueuedV1 {
    pub fn new(
        body: BodyId,
        qos: QoS,
        retain: bool,
        subscription_ids: Box<[u32]>,
        packet_id: Option<PacketId>,
    ) -> QueuedV1 {
        QueuedV1 { body, qos: qos as u8, retain, subscription_ids, packet_id, released: false }
    }

    /// The row after it was given an identifier, released, or both.
    pub fn moved_on(self, packet_id: Option<PacketId>, released: bool) -> QueuedV1 {
        QueuedV1 { packet_id: packet_id.or(self.packet_id), released: self.released || released, ..self }
    }

    pub fn qos(&self) -> Option<QoS> {
        QoS::from_bits(self.qos)
    }

    /// As a page has it; `None` if no program of this version wrote it.
    pub fn fetched(&self, seq: u64, message: Arc<Message>) -> Option<FetchedMessage> {
        let subscription_ids = self.subscription_ids.clone();
        Some(FetchedMessage { seq, message, qos: self.qos()?, retain: self.retain, subscription_ids })
    }
}

impl WillV1 {
    pub fn new(body: BodyId, due: Option<Time>, delay_s: u32) -> WillV1 {
        WillV1 { body, due_ms: due.map(|at| at.0), delay_s }
    }

    pub fn due(self) -> Option<Time> {
        self.due_ms.map(Time)
    }
}

/// Fixed parts of a record or body: tags, lengths, numbers, each at its longest.
const OVERHEAD_BYTES: usize = 96;

/// The records of a batch are not longer: the log makes room before it encodes.
pub fn batch_bytes_max(batch: &[Mutation]) -> usize {
    let mut last_queued: Option<&Arc<Message>> = None;
    let bytes = batch.iter().map(|mutation| match mutation {
        // The body is written once for a run of places: the first of them holds it for the rest.
        Mutation::Enqueue { client_id, message, subscription_ids, .. }
            if last_queued.is_some_and(|last| Arc::ptr_eq(last, message)) =>
        {
            client_id.len() + subscription_ids.len() * 5 + OVERHEAD_BYTES
        }
        Mutation::Enqueue { message, .. } => {
            last_queued = Some(message);
            encoded_bytes_max(mutation)
        }
        _ => {
            last_queued = None;
            encoded_bytes_max(mutation)
        }
    });
    bytes.sum()
}

/// No record of this mutation, body included, is longer.
fn encoded_bytes_max(mutation: &Mutation) -> usize {
    let body = |message: &Message| {
        let publisher = &message.publisher;
        message.topic().as_str().len()
            + message.properties().len()
            + message.payload().len()
            + publisher.identity.len()
            + publisher.client_id.len()
            + OVERHEAD_BYTES
    };
    let varying = match mutation {
        Mutation::SessionPut(record) => record.client_id.len() + record.identity.len() + record.state.len(),
        Mutation::SubscriptionPut { client_id, filter, .. } | Mutation::SubscriptionDelete { client_id, filter } => {
            client_id.len() + filter.len()
        }
        Mutation::Enqueue { client_id, message, subscription_ids, .. } => {
            client_id.len() + body(message) + subscription_ids.len() * 5
        }
        Mutation::RetainedPut { message } => message.topic().as_str().len() + body(message),
        Mutation::RetainedDelete { topic } => topic.len(),
        Mutation::WillPut { client_id, will, .. } => client_id.len() + body(will),
        Mutation::SessionDelete { client_id }
        | Mutation::Assign { client_id, .. }
        | Mutation::Released { client_id, .. }
        | Mutation::Dequeue { client_id, .. }
        | Mutation::ReceivedPut { client_id, .. }
        | Mutation::ReceivedDelete { client_id, .. }
        | Mutation::WillDelete { client_id } => client_id.len(),
    };
    varying + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of record, with values that show where each field is.
    fn one_of_each() -> Vec<RecordV1<'static>> {
        let (client, id): (Arc<str>, _) = ("cl".into(), PacketId::new(300).unwrap());
        let body = BodyV1 {
            topic: "a/b",
            properties: b"\x01\x01",
            payload: b"pay",
            qos: 1,
            retain: true,
            expires_at_ms: Some(1_000),
            identity: "id",
            client_id: "pub",
        };
        let session = SessionV1 {
            identity: "id".into(),
            version: 5,
            session_expiry_s: 60,
            disconnected_at_ms: Some(7),
            state: vec![0xAA, 0xBB],
        };
        let queued = QueuedV1::new(9, QoS::ExactlyOnce, true, [1, 128].into(), Some(id)).moved_on(None, true);
        vec![
            RecordV1::Body(9, body),
            RecordV1::SessionPut(client.clone(), session),
            RecordV1::SessionDelete(client.clone()),
            RecordV1::SubscriptionPut(
                client.clone(),
                "a/#".into(),
                SubscriptionV1 { options: 0x2D, subscription_id: Some(5) },
            ),
            RecordV1::SubscriptionDelete(client.clone(), "a/#".into()),
            RecordV1::Enqueue(client.clone(), 4, queued),
            RecordV1::Assign(client.clone(), 4, id),
            RecordV1::Released(client.clone(), 4),
            RecordV1::Dequeue(client.clone(), 4),
            RecordV1::ReceivedPut(client.clone(), id),
            RecordV1::ReceivedDelete(client.clone(), id),
            RecordV1::RetainedPut("a/b".into(), 9),
            RecordV1::RetainedDelete("a/b".into()),
            RecordV1::WillPut(client.clone(), WillV1::new(9, Some(Time(8)), 30)),
            RecordV1::WillDelete(client),
        ]
    }

    #[test]
    fn version_1_is_these_octets_for_ever() {
        let octets = one_of_each().into_iter().flat_map(|record| postcard::to_stdvec(&record).unwrap());
        let hex: String = octets.map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex, VERSION_1);
        let mut octets = Vec::new();
        for at in (0..VERSION_1.len()).step_by(2) {
            octets.push(u8::from_str_radix(&VERSION_1[at..at + 2], 16).unwrap());
        }
        let (mut rest, mut read) = (&octets[..], Vec::new());
        while !rest.is_empty() {
            let (record, after) = postcard::take_from_bytes::<RecordV1<'_>>(rest).unwrap();
            rest = after;
            read.push(record);
        }
        assert_eq!(read, one_of_each());
    }

    #[test]
    fn no_octets_make_a_record_that_panics() {
        for n in 0..20_000_u32 {
            let octets = n.wrapping_mul(0x9E37_79B9).to_le_bytes().repeat(4);
            if let Ok((RecordV1::Body(_, body), _)) = postcard::take_from_bytes::<RecordV1<'_>>(&octets) {
                drop(body.message());
            }
        }
    }

    const VERSION_1: &str = "000903612f6202010103706179010101e807026964037075620102636c026964053c010702aabb0202636c0302636c03\
        612f232d01050402636c03612f230502636c040902010201800101ac02010602636c04ac020702636c040802636c0409\
        02636cac020a02636cac020b03612f62090c03612f620d02636c0901081e0e02636c";
}
