//! One Application Message, encoded once and shared by everyone who will receive it.
//!
//! A `Message` exists only where somebody must hold it: a queue, an in-flight window, the
//! Retained Messages, a Will, another shard, the store. A QoS 0 message that goes straight
//! from one socket to others never becomes one.

use std::sync::Arc;

use crate::topic::{TopicName, topic_hash};
use crate::wire::QoS;

/// Milliseconds since the Unix epoch on a clock that never steps back while the process runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// This time and so many milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Time {
        Time(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; 0 if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Who published a message: kept with it for No Local, audit and Retained Message rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Publisher {
    /// The principal's identity; empty for the server itself.
    pub identity: Arc<str>,
    /// The Client Identifier; empty for the server itself.
    pub client_id: Arc<str>,
}

/// An Application Message that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    octets: Box<[u8]>,
    topic_len: u16,
    properties_len: u32,
    /// Hash of the Topic Name (`topic::topic_hash`).
    pub hash: u64,
    /// QoS it was published with.
    pub qos: QoS,
    /// RETAIN flag it was published with.
    pub retain: bool,
    /// When it ends, from the Message Expiry Interval (3.3.2.3.3).
    pub expires_at: Option<Time>,
    /// Who published it.
    pub publisher: Arc<Publisher>,
}

impl Message {
    /// Builds one from its parts.
    ///
    /// `properties` is a raw MQTT 5 property block holding only what is forwarded unaltered:
    /// Payload Format Indicator, Content Type, Response Topic, Correlation Data, User Properties.
    #[must_use]
    pub fn new(
        topic: &TopicName<'_>,
        properties: &[u8],
        payload: &[u8],
        qos: QoS,
        retain: bool,
        expires_at: Option<Time>,
        publisher: Arc<Publisher>,
    ) -> Message {
        let name = topic.as_str().as_bytes();
        let mut octets = Vec::with_capacity(name.len() + properties.len() + payload.len());
        octets.extend_from_slice(name);
        octets.extend_from_slice(properties);
        octets.extend_from_slice(payload);
        Message {
            octets: octets.into_boxed_slice(),
            // A Topic Name is at most 65,535 octets and a property block at most 268,435,455.
            topic_len: u16::try_from(name.len()).unwrap_or(u16::MAX),
            properties_len: u32::try_from(properties.len()).unwrap_or(u32::MAX),
            hash: topic_hash(topic.as_str()),
            qos,
            retain,
            expires_at,
            publisher,
        }
    }

    /// The same message from this publisher.
    #[must_use]
    pub fn published_by(&self, publisher: Arc<Publisher>) -> Message {
        Message { publisher, ..self.clone() }
    }

    /// The same message with these forwarded properties.
    #[must_use]
    pub fn with_properties(&self, properties: &[u8]) -> Message {
        let publisher = Arc::clone(&self.publisher);
        Message::new(&self.topic(), properties, self.payload(), self.qos, self.retain, self.expires_at, publisher)
    }

    /// The same message with this end.
    #[must_use]
    pub fn expiring_at(&self, expires_at: Option<Time>) -> Message {
        Message { expires_at, ..self.clone() }
    }

    /// The Topic Name.
    #[must_use]
    pub fn topic(&self) -> TopicName<'_> {
        let name = self.octets.get(..usize::from(self.topic_len)).unwrap_or_default();
        TopicName::assume_parsed(std::str::from_utf8(name).unwrap_or_default())
    }

    /// The forwarded properties, raw.
    #[must_use]
    pub fn properties(&self) -> &[u8] {
        let start = usize::from(self.topic_len);
        self.octets.get(start..start + self.properties_len as usize).unwrap_or_default()
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let start = usize::from(self.topic_len) + self.properties_len as usize;
        self.octets.get(start..).unwrap_or_default()
    }

    /// Octets of memory it holds.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.octets.len() + std::mem::size_of::<Message>()
    }

    /// True once its Message Expiry Interval has passed.
    #[must_use]
    pub fn is_expired(&self, now: Time) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}
