//! The Control Packets as borrowed values: every string and payload points into the frame
//! it was decoded from, so that decoding allocates nothing.
//!
//! A `Properties` value is the raw, already validated property block of an MQTT 5 packet;
//! `property` iterates it. Packets of 3.1.1 carry the empty block.

use super::reason::ReasonCode;
use super::version::Version;

/// Quality of Service (4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum QoS {
    /// At most once.
    #[default]
    AtMostOnce = 0,
    /// At least once.
    AtLeastOnce = 1,
    /// Exactly once.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS of these two bits; `None` for 3, which no packet may carry [MQTT-3.3.1-4].
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<QoS> {
        match bits {
            0 => Some(QoS::AtMostOnce),
            1 => Some(QoS::AtLeastOnce),
            2 => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }
}

/// A Packet Identifier: never zero [MQTT-2.2.1-3].
pub type PacketId = std::num::NonZeroU16;

/// The raw property block of an MQTT 5 packet, without its length; validated by `decode`.
/// Its `Debug` shows identifiers only.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    /// The octets after the Property Length.
    pub raw: &'a [u8],
}

/// Any Control Packet, either direction.
#[derive(Clone, Debug, PartialEq)]
pub enum Packet<'a> {
    /// 3.1
    Connect(Connect<'a>),
    /// 3.2
    Connack(Connack<'a>),
    /// 3.3
    Publish(Publish<'a>),
    /// 3.4
    Puback(Ack<'a>),
    /// 3.5
    Pubrec(Ack<'a>),
    /// 3.6
    Pubrel(Ack<'a>),
    /// 3.7
    Pubcomp(Ack<'a>),
    /// 3.8
    Subscribe(Subscribe<'a>),
    /// 3.9
    Suback(Suback<'a>),
    /// 3.10
    Unsubscribe(Unsubscribe<'a>),
    /// 3.11
    Unsuback(Suback<'a>),
    /// 3.12
    Pingreq,
    /// 3.13
    Pingresp,
    /// 3.14
    Disconnect(Disconnect<'a>),
    /// 3.15
    Auth(Auth<'a>),
}

impl Packet<'_> {
    /// Octets of its properties; of those of the Will too, if they are longer.
    #[must_use]
    pub fn property_bytes(&self) -> usize {
        match self {
            Packet::Connect(connect) => {
                let will = connect.will.as_ref().map_or(0, |will| will.properties.raw.len());
                connect.properties.raw.len().max(will)
            }
            Packet::Connack(packet) => packet.properties.raw.len(),
            Packet::Publish(packet) => packet.properties.raw.len(),
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
                ack.properties.raw.len()
            }
            Packet::Subscribe(packet) => packet.properties.raw.len(),
            Packet::Unsubscribe(packet) => packet.properties.raw.len(),
            Packet::Suback(packet) | Packet::Unsuback(packet) => packet.properties.raw.len(),
            Packet::Disconnect(packet) => packet.properties.raw.len(),
            Packet::Auth(packet) => packet.properties.raw.len(),
            Packet::Pingreq | Packet::Pingresp => 0,
        }
    }
}

/// CONNECT (3.1).
#[derive(Clone, PartialEq)]
pub struct Connect<'a> {
    /// The protocol the client speaks.
    pub version: Version,
    /// Clean Start (v5) or Clean Session (v3).
    pub clean_start: bool,
    /// Keep Alive in seconds; 0 is off.
    pub keep_alive_s: u16,
    /// Properties of the CONNECT packet.
    pub properties: Properties<'a>,
    /// The Client Identifier; may be empty.
    pub client_id: &'a str,
    /// The Will Message, if the Will Flag is set.
    pub will: Option<Will<'a>>,
    /// The User Name.
    pub user_name: Option<&'a str>,
    /// The Password. Binary data.
    pub password: Option<&'a [u8]>,
}

impl std::fmt::Debug for Connect<'_> {
    /// Without the Password, which is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_s", &self.keep_alive_s)
            .field("properties", &self.properties)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("user_name", &self.user_name)
            .field("has_password", &self.password.is_some())
            .finish()
    }
}

/// The Will of a CONNECT packet (3.1.2.5, 3.1.3.2 to 3.1.3.4).
#[derive(Clone, Debug, PartialEq)]
pub struct Will<'a> {
    /// Will Topic: valid UTF-8; the server parses it as a Topic Name.
    pub topic: &'a str,
    /// Will Payload.
    pub payload: &'a [u8],
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
    /// Will Properties, Will Delay Interval among them.
    pub properties: Properties<'a>,
}

/// CONNACK (3.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Connack<'a> {
    /// Session Present.
    pub session_present: bool,
    /// The Connect Reason Code.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties<'a>,
}

/// PUBLISH (3.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Publish<'a> {
    /// DUP flag.
    pub dup: bool,
    /// QoS.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Topic Name: valid UTF-8, unchecked as a Topic Name; empty when a Topic Alias stands for it.
    pub topic: &'a str,
    /// Present exactly when QoS is above 0.
    pub packet_id: Option<PacketId>,
    /// Properties.
    pub properties: Properties<'a>,
    /// The Application Message's payload.
    pub payload: &'a [u8],
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP (3.4 to 3.7).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ack<'a> {
    /// The Packet Identifier acknowledged.
    pub packet_id: PacketId,
    /// The Reason Code; `Success` in 3.1.1.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties<'a>,
}

impl Ack<'_> {
    /// Success, without properties.
    #[must_use]
    pub fn success(packet_id: PacketId) -> Ack<'static> {
        Ack { packet_id, reason: ReasonCode::Success, properties: Properties::default() }
    }
}

/// SUBSCRIBE (3.8).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subscribe<'a> {
    /// The Packet Identifier.
    pub packet_id: PacketId,
    /// Properties.
    pub properties: Properties<'a>,
    /// The raw, validated list of filters; `filters()` iterates it.
    pub raw_filters: &'a [u8],
    /// The version, as 3.1.1 has no options beyond QoS.
    pub version: Version,
}

/// Subscription Options (3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct SubscriptionOptions {
    /// Maximum QoS.
    pub qos: QoS,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling: 0, 1 or 2.
    pub retain_handling: u8,
}

/// SUBACK and UNSUBACK (3.9, 3.11). In 3.1.1 an UNSUBACK has no codes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suback<'a> {
    /// The Packet Identifier.
    pub packet_id: PacketId,
    /// Properties.
    pub properties: Properties<'a>,
    /// One octet per Topic Filter, as on the wire.
    pub codes: &'a [u8],
}

/// UNSUBSCRIBE (3.10).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unsubscribe<'a> {
    /// The Packet Identifier.
    pub packet_id: PacketId,
    /// Properties.
    pub properties: Properties<'a>,
    /// The raw, validated list of filters; `filters()` iterates it.
    pub raw_filters: &'a [u8],
}

/// DISCONNECT (3.14).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disconnect<'a> {
    /// The Disconnect Reason Code; `Success` (Normal disconnection) in 3.1.1.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties<'a>,
}

/// AUTH (3.15).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Auth<'a> {
    /// The Authenticate Reason Code.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties<'a>,
}
