//! What was taken down, as JSON: one object a line, in the specification's words. It is made where it is read,
//! not where packets pass.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_core::wire::{Ack, Connect, Packet, Properties, Property, Publish, ReasonCode, Suback, Version, Will};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::captured::{Captured, Direction, Passed, kept};

/// What Topic Aliases stand for: by connection, direction and alias.
pub type Aliases = HashMap<(Arc<str>, Direction, u16), String>;

/// A JSON object.
pub type Object = Map<String, Value>;

/// Aliases remembered at most: of more, the topic is shown empty, as it was sent.
const ALIASES_MAX: usize = 4_096;
const TYPES: [&str; 16] = [
    "RESERVED",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];
/// What stands in the place of a secret.
const HIDDEN: &str = "hidden";

/// Appends one line.
pub fn line(captured: &Captured, aliases: &mut Aliases, with_octets: bool, out: &mut Vec<u8>) {
    let mut to = Object::new();
    put(&mut to, "at_ms", captured.at.0);
    if !captured.peer.is_empty() {
        put(&mut to, "connection", &*captured.peer);
    }
    match &captured.what {
        Passed::Lost(count) => put(&mut to, "lost", *count),
        Passed::Closed => {
            aliases.retain(|(peer, ..), _| *peer != captured.peer);
            put(&mut to, "type", "closed");
        }
        Passed::Unread { direction, first, len, why } => {
            head(&mut to, *direction, *first, *len);
            put(&mut to, "error", *why);
        }
        Passed::Packet { direction, version, len, octets } => {
            head(&mut to, *direction, octets.first().copied().unwrap_or_default(), *len);
            match kept(octets, *direction, *version) {
                Some(packet) => {
                    fields(&mut to, &packet, *len - octets.len(), version.is_none_or(Version::is_v5));
                    if let Packet::Publish(publish) = &packet {
                        resolve(&mut to, publish, (&captured.peer, *direction), aliases);
                    }
                }
                None => put(&mut to, "cut", true),
            }
            if with_octets {
                put(&mut to, "octets", BASE64.encode(octets));
            }
        }
    }
    // A map of texts and numbers can always be written, and into memory.
    if serde_json::to_writer(&mut *out, &to).is_ok() {
        out.push(b'\n');
    }
}

/// Puts a field.
pub fn put(to: &mut Object, name: &str, value: impl Into<Value>) {
    to.insert(name.to_owned(), value.into());
}

fn put_some<T: Into<Value>>(to: &mut Object, name: &str, value: Option<T>) {
    if let Some(value) = value {
        put(to, name, value);
    }
}

fn head(to: &mut Object, direction: Direction, first: u8, len: usize) {
    put(to, "direction", if direction == Direction::In { "in" } else { "out" });
    put(to, "type", TYPES.get(usize::from(first >> 4)).copied().unwrap_or_default());
    put(to, "bytes", len);
}

/// The Topic Name that an alias stands for, beside the packet as it was sent.
fn resolve(to: &mut Object, publish: &Publish<'_>, (peer, way): (&Arc<str>, Direction), aliases: &mut Aliases) {
    let alias = publish.properties.iter().find_map(|property| match property {
        Property::TopicAlias(alias) => Some((Arc::clone(peer), way, alias)),
        _ => None,
    });
    let Some(alias) = alias else { return };
    if publish.topic.is_empty() {
        put_some(to, "topic", aliases.get(&alias).map(String::as_str));
    } else if aliases.len() < ALIASES_MAX || aliases.contains_key(&alias) {
        aliases.insert(alias, publish.topic.to_owned());
    }
}

fn fields(to: &mut Object, packet: &Packet<'_>, left_out: usize, is_v5: bool) {
    match packet {
        Packet::Connect(packet) => connect(to, packet),
        Packet::Connack(packet) => {
            put(to, "session_present", packet.session_present);
            reason(to, packet.reason);
            properties(to, packet.properties);
        }
        Packet::Publish(packet) => publish(to, packet, left_out),
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            acknowledgement(to, ack);
        }
        Packet::Subscribe(packet) => {
            put(to, "packet_id", packet.packet_id.get());
            let filters = packet.filters().map(|(filter, options)| {
                json!({"filter": filter, "qos": options.qos as u8, "no_local": options.no_local,
                    "retain_as_published": options.retain_as_published, "retain_handling": options.retain_handling})
            });
            put(to, "filters", filters.collect::<Vec<Value>>());
            properties(to, packet.properties);
        }
        Packet::Unsubscribe(packet) => {
            put(to, "packet_id", packet.packet_id.get());
            put(to, "filters", packet.filters().map(|filter| json!({"filter": filter})).collect::<Vec<Value>>());
            properties(to, packet.properties);
        }
        Packet::Suback(packet) | Packet::Unsuback(packet) => granted(to, packet, is_v5),
        Packet::Disconnect(packet) => {
            reason(to, packet.reason);
            properties(to, packet.properties);
        }
        Packet::Auth(packet) => {
            reason(to, packet.reason);
            properties(to, packet.properties);
        }
        Packet::Pingreq | Packet::Pingresp => {}
    }
}

fn connect(to: &mut Object, packet: &Connect<'_>) {
    let version = match packet.version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    };
    put(to, "version", version);
    put(to, "client_id", packet.client_id);
    put(to, "clean_start", packet.clean_start);
    put(to, "keep_alive_s", packet.keep_alive_s);
    put_some(to, "user_name", packet.user_name);
    put_some(to, "password", packet.password.map(|_| HIDDEN));
    put_some(to, "will", packet.will.as_ref().map(will));
    properties(to, packet.properties);
}

fn will(will: &Will<'_>) -> Value {
    let mut to = Object::new();
    put(&mut to, "topic", will.topic);
    put(&mut to, "qos", will.qos as u8);
    put(&mut to, "retain", will.retain);
    put(&mut to, "payload_bytes", will.payload.len());
    // Zeros alone are what stands there where payloads are not wanted.
    if will.payload.iter().any(|octet| *octet != 0) {
        payload(&mut to, will.payload);
    }
    properties(&mut to, will.properties);
    Value::Object(to)
}

fn publish(to: &mut Object, packet: &Publish<'_>, left_out: usize) {
    put(to, "topic", packet.topic);
    put(to, "qos", packet.qos as u8);
    put(to, "retain", packet.retain);
    put(to, "dup", packet.dup);
    put_some(to, "packet_id", packet.packet_id.map(std::num::NonZeroU16::get));
    put(to, "payload_bytes", packet.payload.len() + left_out);
    if !packet.payload.is_empty() {
        payload(to, packet.payload);
        if left_out > 0 {
            put(to, "cut", true);
        }
    }
    properties(to, packet.properties);
}

/// As text where it is text.
pub fn payload(to: &mut Object, octets: &[u8]) {
    match std::str::from_utf8(octets) {
        Ok(text) => put(to, "payload", text),
        Err(_) => put(to, "payload_base64", BASE64.encode(octets)),
    }
}

fn acknowledgement(to: &mut Object, ack: &Ack<'_>) {
    put(to, "packet_id", ack.packet_id.get());
    reason(to, ack.reason);
    properties(to, ack.properties);
}

fn granted(to: &mut Object, packet: &Suback<'_>, is_v5: bool) {
    put(to, "packet_id", packet.packet_id.get());
    let code = |octet: &u8| match ReasonCode::from_u8(*octet) {
        // What 3.1.1 has for every failure (3.1.1, 3.9.3).
        Some(ReasonCode::UnspecifiedError) if !is_v5 => json!({"code": octet, "name": "Failure"}),
        Some(ReasonCode::Success) => json!({"code": octet, "name": "Success"}),
        Some(reason) => json!({"code": octet, "name": reason.name()}),
        None => json!({"code": octet}),
    };
    put(to, "reasons", packet.codes.iter().map(code).collect::<Vec<Value>>());
    properties(to, packet.properties);
}

fn reason(to: &mut Object, reason: ReasonCode) {
    put(to, "reason", json!({"code": reason.as_u8(), "name": reason.name()}));
}

/// Those that there are, by the specification's names.
pub fn properties(to: &mut Object, of: Properties<'_>) {
    let (mut plain, mut user, mut ids) = (Object::new(), Vec::new(), Vec::new());
    for property in of {
        match property {
            Property::UserProperty((name, value)) => user.push(json!([name, value])),
            // Of all others there is one at most, but a message may match several Subscriptions (3.3.2.3.8).
            Property::SubscriptionIdentifier(id) => ids.push(Value::from(id)),
            other => put(&mut plain, &words(&format!("{:?}", other.id())), value(other)),
        }
    }
    if !ids.is_empty() {
        put(&mut plain, "subscription_identifier", ids);
    }
    if !user.is_empty() {
        put(&mut plain, "user_properties", user);
    }
    if !plain.is_empty() {
        put(to, "properties", plain);
    }
}

fn value(property: Property<'_>) -> Value {
    use Property as P;
    match property {
        P::PayloadFormatIndicator(octet)
        | P::RequestProblemInformation(octet)
        | P::RequestResponseInformation(octet)
        | P::MaximumQoS(octet)
        | P::RetainAvailable(octet)
        | P::WildcardSubscriptionAvailable(octet)
        | P::SubscriptionIdentifierAvailable(octet)
        | P::SharedSubscriptionAvailable(octet) => octet.into(),
        P::ServerKeepAlive(two) | P::ReceiveMaximum(two) | P::TopicAliasMaximum(two) | P::TopicAlias(two) => two.into(),
        P::MessageExpiryInterval(four)
        | P::SessionExpiryInterval(four)
        | P::WillDelayInterval(four)
        | P::MaximumPacketSize(four)
        | P::SubscriptionIdentifier(four) => four.into(),
        P::ContentType(text)
        | P::ResponseTopic(text)
        | P::AssignedClientIdentifier(text)
        | P::AuthenticationMethod(text)
        | P::ResponseInformation(text)
        | P::ServerReference(text)
        | P::ReasonString(text) => text.into(),
        P::CorrelationData(octets) => BASE64.encode(octets).into(),
        P::AuthenticationData(_) => HIDDEN.into(),
        P::UserProperty((name, value)) => json!([name, value]),
    }
}

/// `ContentType` -> `content_type`; `MaximumQoS` -> `maximum_qos`.
fn words(name: &str) -> String {
    let mut text = String::new();
    let mut was_small = false;
    for letter in name.chars() {
        if letter.is_uppercase() && was_small && !text.ends_with("_qo") {
            text.push('_');
        }
        was_small = letter.is_lowercase();
        text.extend(letter.to_lowercase());
    }
    text
}
