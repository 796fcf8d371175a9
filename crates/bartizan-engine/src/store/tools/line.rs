//! The lines of an export, version 1. docs/reference/store-export.md tells them to people.
//!
//! One JSON object a line: `store` first, `end` last, with the number of lines before it and
//! their CRC-32C. Octets are Base64. A later version adds kinds or raises `format`; what is
//! unknown is refused, never skipped.

use std::sync::Arc;

use bartizan_core::durable::SessionRecord;
use bartizan_core::message::{Message, Publisher, Time};
use bartizan_core::topic::TopicName;
use bartizan_core::wire::{PacketId, QoS, SubscriptionOptions, Version};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

/// The version written.
pub const FORMAT: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    Store { format: u32 },
    Session(SessionLine),
    Subscription(SubscriptionLine),
    Message(MessageLine),
    Queued(QueuedLine),
    Received { client_id: Arc<str>, packet_id: PacketId },
    Retained { message: u64 },
    Will { client_id: Arc<str>, message: u64, due_ms: Option<u64>, delay_s: u32 },
    End { lines: u64, crc32c: u32 },
}

/// A Session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionLine {
    client_id: Arc<str>,
    identity: Arc<str>,
    version: String,
    session_expiry_s: u32,
    disconnected_at_ms: Option<u64>,
    state: Octets,
}

/// A Subscription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionLine {
    pub client_id: Arc<str>,
    pub filter: Arc<str>,
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
    retain_handling: u8,
    pub subscription_id: Option<u32>,
}

/// A message, ahead of the first line that refers to it. `uses` lines do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageLine {
    pub id: u64,
    pub uses: u32,
    topic: String,
    properties: Octets,
    payload: Octets,
    qos: u8,
    retain: bool,
    expires_at_ms: Option<u64>,
    publisher_identity: Arc<str>,
    publisher_client_id: Arc<str>,
}

/// A message in a queue, or in flight if it has a Packet Identifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueuedLine {
    pub client_id: Arc<str>,
    pub seq: u64,
    pub message: u64,
    pub qos: u8,
    pub retain: bool,
    pub subscription_ids: Box<[u32]>,
    pub packet_id: Option<PacketId>,
    pub released: bool,
}

/// Octets, as Base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Octets(pub Vec<u8>);

impl Serialize for Octets {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&BASE64.encode_display(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Octets, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(Octets).map_err(serde::de::Error::custom)
    }
}

/// A QoS of a line.
pub fn qos(number: u8) -> Result<QoS, String> {
    QoS::from_bits(number).ok_or_else(|| format!("{number} is no QoS"))
}

impl SessionLine {
    pub fn of(record: SessionRecord) -> SessionLine {
        let version = match record.version {
            Version::V31 => "3.1",
            Version::V311 => "3.1.1",
            Version::V5 => "5.0",
        };
        SessionLine {
            client_id: record.client_id,
            identity: record.identity,
            version: version.to_owned(),
            session_expiry_s: record.session_expiry_s,
            disconnected_at_ms: record.disconnected_at.map(|at| at.0),
            state: Octets(record.state),
        }
    }

    pub fn record(self) -> Result<SessionRecord, String> {
        let version = match self.version.as_str() {
            "3.1" => Version::V31,
            "3.1.1" => Version::V311,
            "5.0" => Version::V5,
            other => return Err(format!("{other:?} is no version of MQTT known here")),
        };
        Ok(SessionRecord {
            client_id: self.client_id,
            identity: self.identity,
            version,
            session_expiry_s: self.session_expiry_s,
            disconnected_at: self.disconnected_at_ms.map(Time),
            state: self.state.0,
        })
    }
}

impl SubscriptionLine {
    pub fn of(
        client_id: Arc<str>,
        filter: Arc<str>,
        options: SubscriptionOptions,
        id: Option<u32>,
    ) -> SubscriptionLine {
        SubscriptionLine {
            client_id,
            filter,
            qos: options.qos as u8,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            retain_handling: options.retain_handling,
            subscription_id: id,
        }
    }

    pub fn options(&self) -> Result<SubscriptionOptions, String> {
        bartizan_core::topic::parse_subscription(&self.filter)
            .map_err(|_| format!("{:?} is no Topic Filter", self.filter))?;
        if self.retain_handling > 2 {
            return Err(format!("{} is no Retain Handling", self.retain_handling));
        }
        Ok(SubscriptionOptions {
            qos: qos(self.qos)?,
            no_local: self.no_local,
            retain_as_published: self.retain_as_published,
            retain_handling: self.retain_handling,
        })
    }
}

impl MessageLine {
    pub fn of(id: u64, uses: u32, message: &Message) -> MessageLine {
        MessageLine {
            id,
            uses,
            topic: message.topic().as_str().to_owned(),
            properties: Octets(message.properties().to_vec()),
            payload: Octets(message.payload().to_vec()),
            qos: message.qos as u8,
            retain: message.retain,
            expires_at_ms: message.expires_at.map(|at| at.0),
            publisher_identity: message.publisher.identity.clone(),
            publisher_client_id: message.publisher.client_id.clone(),
        }
    }

    pub fn message(self) -> Result<Arc<Message>, String> {
        let topic = TopicName::parse(&self.topic).map_err(|_| format!("{:?} is no Topic Name", self.topic))?;
        let publisher = Publisher { identity: self.publisher_identity, client_id: self.publisher_client_id };
        Ok(Arc::new(Message::new(
            &topic,
            &self.properties.0,
            &self.payload.0,
            qos(self.qos)?,
            self.retain,
            self.expires_at_ms.map(Time),
            Arc::new(publisher),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind, as a program of version 1 writes it.
    const VERSION_1: &[&str] = &[
        r#"{"store":{"format":1}}"#,
        r#"{"session":{"client_id":"c","identity":"i","version":"5.0","session_expiry_s":60,"disconnected_at_ms":7,"state":"qrs="}}"#,
        r#"{"subscription":{"client_id":"c","filter":"a/#","qos":1,"no_local":true,"retain_as_published":false,"retain_handling":2,"subscription_id":5}}"#,
        r#"{"message":{"id":9,"uses":2,"topic":"a/b","properties":"AQE=","payload":"cGF5","qos":1,"retain":true,"expires_at_ms":1000,"publisher_identity":"i","publisher_client_id":"p"}}"#,
        r#"{"queued":{"client_id":"c","seq":4,"message":9,"qos":2,"retain":true,"subscription_ids":[1,128],"packet_id":300,"released":true}}"#,
        r#"{"received":{"client_id":"c","packet_id":300}}"#,
        r#"{"retained":{"message":9}}"#,
        r#"{"will":{"client_id":"c","message":9,"due_ms":null,"delay_s":30}}"#,
        r#"{"end":{"lines":8,"crc32c":1}}"#,
    ];

    #[test]
    fn version_1_is_these_lines_for_ever() {
        for text in VERSION_1 {
            let line: Line = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&line).unwrap(), *text);
        }
    }

    #[test]
    fn what_no_version_of_mqtt_allows_is_refused() {
        let subscription = |text: &str| match serde_json::from_str(text).unwrap() {
            Line::Subscription(line) => SubscriptionLine::options(&line),
            _ => panic!(),
        };
        assert!(subscription(VERSION_1[2]).is_ok());
        assert!(subscription(&VERSION_1[2].replace("a/#", "a/#/b")).unwrap_err().contains("no Topic Filter"));
        assert!(subscription(&VERSION_1[2].replace(r#""qos":1"#, r#""qos":3"#)).unwrap_err().contains("no QoS"));
        let message = |text: &str| match serde_json::from_str(text).unwrap() {
            Line::Message(line) => MessageLine::message(line),
            _ => panic!(),
        };
        assert_eq!(message(VERSION_1[3]).unwrap().payload(), b"pay");
        assert!(message(&VERSION_1[3].replace("a/b", "a/+")).unwrap_err().contains("no Topic Name"));
    }

    #[test]
    fn a_key_that_is_unknown_is_refused() {
        assert!(serde_json::from_str::<Line>(r#"{"retained":{"message":9,"more":1}}"#).is_err());
        assert!(serde_json::from_str::<Line>(r#"{"other":{}}"#).is_err());
        assert!(serde_json::from_str::<Line>(&VERSION_1[1].replace("qrs=", "q")).is_err());
    }
}
