//! Valid packets of every kind and version, for proptest.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what failed by failing"
)]

use bartizan_core::wire::property_rules::Place;
use bartizan_core::wire::{
    Ack, Auth, Connack, Connect, Disconnect, Packet, PacketId, Properties, Property, PropertyId, Publish, QoS,
    ReasonCode, Role, Suback, Subscribe, SubscriptionOptions, Unsubscribe, Version, Will,
};
use proptest::prelude::*;

/// Everything a packet of any kind can need, owned.
#[derive(Clone, Debug)]
pub struct Sample {
    pub version: Version,
    pub role: Role,
    kind: u8,
    flags: u16,
    number: u16,
    packet_id: u16,
    code: u8,
    names: [String; 3],
    payload: Vec<u8>,
    filters: Vec<(String, u8)>,
    properties: Vec<u8>,
    will_properties: Vec<u8>,
    raw_filters: Vec<u8>,
    codes: Vec<u8>,
}

/// What a property is made from; `block` picks the part that its type needs.
type Seed = (usize, u32, String, Vec<u8>);

pub fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z/$]{1,12}", 1 => "[a-zäé🦀\u{1}\u{feff}/]{1,6}", 1 => "[a-z]{120,140}"]
}

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    let seed = (0..PropertyId::ALL.len(), any::<u32>(), name(), prop::collection::vec(any::<u8>(), 0..6));
    prop::collection::vec(seed, 0..8)
}

/// A valid sample of any kind.
pub fn sample() -> impl Strategy<Value = Sample> {
    let who = (
        prop::sample::select(vec![Version::V31, Version::V311, Version::V5]),
        prop::sample::select(vec![Role::Server, Role::Client]),
    );
    let numbers = (0..15u8, any::<u16>(), any::<u16>(), 1..=u16::MAX, any::<u8>());
    let names = [name(), name(), name()];
    let filters = prop::collection::vec((name(), any::<u8>()), 1..4);
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    (who, numbers, names, payload, filters, seeds(), seeds()).prop_map(
        |((version, role), (kind, flags, number, packet_id, code), names, payload, filters, seeds, will_seeds)| {
            let kind = kind_for(kind, version, role);
            let mut sample = Sample {
                version,
                role,
                kind,
                flags,
                number,
                packet_id,
                code,
                names,
                payload,
                filters,
                properties: Vec::new(),
                will_properties: Vec::new(),
                raw_filters: Vec::new(),
                codes: Vec::new(),
            };
            if version.is_v5() {
                sample.properties = block(&seeds, sample.place(), role);
                sample.will_properties = block(&will_seeds, Place::Will, role);
            }
            sample.raw_filters = sample.filter_octets();
            sample.codes = sample.code_octets();
            sample
        },
    )
}

/// A packet type, 1 to 15, that this role may read in this version.
fn kind_for(kind: u8, version: Version, role: Role) -> u8 {
    let both: &[u8] = &[3, 4, 5, 6, 7];
    let own: &[u8] = match (role, version.is_v5()) {
        (Role::Server, true) => &[1, 8, 10, 12, 14, 15],
        (Role::Server, false) => &[1, 8, 10, 12, 14],
        (Role::Client, true) => &[2, 9, 11, 13, 14, 15],
        (Role::Client, false) => &[2, 9, 11, 13],
    };
    let all = [both, own].concat();
    all[usize::from(kind) % all.len()]
}

fn block(seeds: &[Seed], place: Place, role: Role) -> Vec<u8> {
    let mut raw = Vec::new();
    let mut seen = Vec::new();
    let needs_method =
        place == Place::Auth || seeds.iter().any(|(i, ..)| PropertyId::ALL[*i] == PropertyId::AuthenticationData);
    if needs_method && place.allows().has(PropertyId::AuthenticationMethod) {
        Property::AuthenticationMethod("SCRAM").write(&mut raw);
        seen.push(PropertyId::AuthenticationMethod);
    }
    for (index, number, text, octets) in seeds {
        let id = PropertyId::ALL[*index];
        let repeats =
            id == PropertyId::UserProperty || (id == PropertyId::SubscriptionIdentifier && place == Place::Publish);
        let forbidden = matches!(
            (place, role, id),
            (Place::Publish, Role::Server, PropertyId::SubscriptionIdentifier)
                | (Place::Disconnect, Role::Client, PropertyId::SessionExpiryInterval)
        );
        if !place.allows().has(id) || forbidden || (seen.contains(&id) && !repeats) {
            continue;
        }
        seen.push(id);
        property(id, *number, text, octets).write(&mut raw);
    }
    raw
}

fn property<'a>(id: PropertyId, number: u32, text: &'a str, octets: &'a [u8]) -> Property<'a> {
    use PropertyId as P;
    let flag = u8::from(number.is_multiple_of(2));
    let two = u16::try_from(number % 65_535).unwrap() + 1;
    match id {
        P::PayloadFormatIndicator => Property::PayloadFormatIndicator(flag),
        P::MessageExpiryInterval => Property::MessageExpiryInterval(number),
        P::ContentType => Property::ContentType(text),
        P::ResponseTopic => Property::ResponseTopic(text),
        P::CorrelationData => Property::CorrelationData(octets),
        P::SubscriptionIdentifier => Property::SubscriptionIdentifier(number % 268_435_455 + 1),
        P::SessionExpiryInterval => Property::SessionExpiryInterval(number),
        P::AssignedClientIdentifier => Property::AssignedClientIdentifier(text),
        P::ServerKeepAlive => Property::ServerKeepAlive(two),
        P::AuthenticationMethod => Property::AuthenticationMethod(text),
        P::AuthenticationData => Property::AuthenticationData(octets),
        P::RequestProblemInformation => Property::RequestProblemInformation(flag),
        P::WillDelayInterval => Property::WillDelayInterval(number),
        P::RequestResponseInformation => Property::RequestResponseInformation(flag),
        P::ResponseInformation => Property::ResponseInformation(text),
        P::ServerReference => Property::ServerReference(text),
        P::ReasonString => Property::ReasonString(text),
        P::ReceiveMaximum => Property::ReceiveMaximum(two),
        P::TopicAliasMaximum => Property::TopicAliasMaximum(two),
        P::TopicAlias => Property::TopicAlias(two),
        P::MaximumQoS => Property::MaximumQoS(flag),
        P::RetainAvailable => Property::RetainAvailable(flag),
        P::UserProperty => Property::UserProperty((text, "v")),
        P::MaximumPacketSize => Property::MaximumPacketSize(number.max(1)),
        P::WildcardSubscriptionAvailable => Property::WildcardSubscriptionAvailable(flag),
        P::SubscriptionIdentifierAvailable => Property::SubscriptionIdentifierAvailable(flag),
        P::SharedSubscriptionAvailable => Property::SharedSubscriptionAvailable(flag),
    }
}

impl Sample {
    fn place(&self) -> Place {
        match self.kind {
            1 => Place::Connect,
            2 => Place::Connack,
            3 => Place::Publish,
            8 => Place::Subscribe,
            9 => Place::Suback,
            10 => Place::Unsubscribe,
            11 => Place::Unsuback,
            14 => Place::Disconnect,
            15 => Place::Auth,
            _ => Place::Ack,
        }
    }

    fn filter_octets(&self) -> Vec<u8> {
        let mut raw = Vec::new();
        for (filter, octet) in &self.filters {
            raw.extend_from_slice(&u16::try_from(filter.len()).unwrap().to_be_bytes());
            raw.extend_from_slice(filter.as_bytes());
            if self.kind == 8 {
                let options = SubscriptionOptions {
                    qos: QoS::from_bits(octet % 3).unwrap(),
                    no_local: octet & 0x40 != 0 && !filter.starts_with("$share/"),
                    retain_as_published: octet & 0x80 != 0,
                    retain_handling: (octet >> 2) % 3,
                };
                raw.push(options.octet(self.version));
            }
        }
        raw
    }

    fn code_octets(&self) -> Vec<u8> {
        let allowed: &[u8] = match (self.kind, self.version.is_v5()) {
            (9, true) => &[0x00, 0x01, 0x02, 0x80, 0x87, 0x8F, 0xA2],
            (9, false) => &[0x00, 0x01, 0x02, 0x80],
            (11, true) => &[0x00, 0x11, 0x87],
            _ => return Vec::new(),
        };
        self.filters.iter().map(|(_, octet)| allowed[usize::from(*octet) % allowed.len()]).collect()
    }

    fn reason(&self) -> ReasonCode {
        let allowed: &[u8] = match (self.kind, self.role, self.version.is_v5()) {
            (2, _, true) => &[0x00, 0x84, 0x87, 0x9F],
            (2, _, false) => return ReasonCode::from_connack_v3(self.code % 6).unwrap(),
            (4 | 5, _, true) => &[0x00, 0x10, 0x87, 0x97],
            (6 | 7, _, true) => &[0x00, 0x92],
            (14, Role::Server, true) => &[0x00, 0x04, 0x93],
            (14, Role::Client, true) => &[0x00, 0x8B, 0x9D],
            (15, Role::Server, _) => &[0x18, 0x19],
            (15, Role::Client, _) => &[0x00, 0x18],
            _ => &[0x00],
        };
        ReasonCode::from_u8(allowed[usize::from(self.code) % allowed.len()]).unwrap()
    }

    fn qos(&self) -> QoS {
        QoS::from_bits(u8::try_from(self.flags % 3).unwrap()).unwrap()
    }

    fn has(&self, bit: u16) -> bool {
        self.flags & (1 << bit) != 0
    }

    /// The packet these fields make.
    pub fn packet(&self) -> Packet<'_> {
        let packet_id = PacketId::new(self.packet_id).unwrap();
        let properties = Properties { raw: &self.properties };
        let ack = Ack { packet_id, reason: self.reason(), properties };
        let suback = Suback { packet_id, properties, codes: &self.codes };
        let reason = self.reason();
        match self.kind {
            1 => Packet::Connect(self.connect()),
            2 => Packet::Connack(Connack {
                session_present: self.has(2) && !reason.is_error() && self.version != Version::V31,
                reason,
                properties,
            }),
            3 => Packet::Publish(Publish {
                dup: self.has(3) && self.qos() != QoS::AtMostOnce,
                qos: self.qos(),
                retain: self.has(4),
                topic: &self.names[0],
                packet_id: (self.qos() != QoS::AtMostOnce).then_some(packet_id),
                properties,
                payload: &self.payload,
            }),
            4 => Packet::Puback(ack),
            5 => Packet::Pubrec(ack),
            6 => Packet::Pubrel(ack),
            7 => Packet::Pubcomp(ack),
            8 => Packet::Subscribe(Subscribe {
                packet_id,
                properties,
                raw_filters: &self.raw_filters,
                version: self.version,
            }),
            9 => Packet::Suback(suback),
            10 => Packet::Unsubscribe(Unsubscribe { packet_id, properties, raw_filters: &self.raw_filters }),
            11 => Packet::Unsuback(suback),
            12 => Packet::Pingreq,
            13 => Packet::Pingresp,
            14 => Packet::Disconnect(Disconnect { reason, properties }),
            _ => Packet::Auth(Auth { reason, properties }),
        }
    }

    fn connect(&self) -> Connect<'_> {
        let will = Will {
            topic: &self.names[1],
            payload: &self.payload,
            qos: self.qos(),
            retain: self.has(5),
            properties: Properties { raw: &self.will_properties },
        };
        Connect {
            version: self.version,
            clean_start: self.has(6),
            keep_alive_s: self.number,
            properties: Properties { raw: &self.properties },
            client_id: &self.names[0],
            will: self.has(7).then_some(will),
            user_name: self.has(8).then_some(self.names[2].as_str()),
            password: (self.has(9) && (self.has(8) || self.version.is_v5())).then_some(self.payload.as_slice()),
        }
    }
}
