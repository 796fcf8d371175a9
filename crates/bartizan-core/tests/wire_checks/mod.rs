//! What must hold of any octets, for the fuzz targets and for replaying their corpora.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what failed by failing"
)]

use bartizan_core::wire::property_rules::Place;
use bartizan_core::wire::{
    AuthProperties, ConnectProperties, DisconnectProperties, Packet, Properties, Property, PropertyId,
    PublishProperties, Role, SubscribeProperties, Version, WillProperties, decode, encode, forwardable, frame,
};

const PLACES: [Place; 11] = [
    Place::Connect,
    Place::Will,
    Place::Connack,
    Place::Publish,
    Place::Ack,
    Place::Subscribe,
    Place::Suback,
    Place::Unsubscribe,
    Place::Unsuback,
    Place::Disconnect,
    Place::Auth,
];

/// The first octet picks version and role, the rest is a stream of packets: each that is taken
/// survives being written and read again, in no more octets than it came in.
pub fn check_decode(input: &[u8]) {
    let Some((&choice, mut stream)) = input.split_first() else { return };
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let mut version = match (choice >> 1) & 3 {
        0 => None,
        1 => Some(Version::V31),
        2 => Some(Version::V311),
        _ => Some(Version::V5),
    };
    while let Ok(Some(framed)) = frame(stream, 1 << 20) {
        assert_eq!(framed.first, stream[0]);
        assert!(framed.len >= 2 && framed.body.len() + 2 <= framed.len);
        let Ok(packet) = decode(framed, role, version) else { return };
        if let Packet::Connect(connect) = &packet {
            version = Some(connect.version);
        }
        check_packet(&packet, role, version.unwrap(), framed.len);
        stream = &stream[framed.len..];
    }
}

fn check_packet(packet: &Packet<'_>, role: Role, version: Version, len: usize) {
    let mut out = Vec::new();
    encode::packet(&mut out, version, packet);
    // DISCONNECT alone may come as code without Property Length, and is never written so.
    assert!(out.len() <= len.max(4), "{packet:?} grew from {len} to {}", out.len());
    let framed = frame(&out, u32::MAX).unwrap().unwrap();
    assert_eq!(framed.len, out.len());
    let known = if matches!(packet, Packet::Connect(_)) { None } else { Some(version) };
    assert_eq!(&decode(framed, role, known).unwrap(), packet);
    check_content(packet);
}

fn check_content(packet: &Packet<'_>) {
    match packet {
        Packet::Connect(connect) => {
            check_block(connect.properties);
            assert!(ConnectProperties::read(connect.properties).receive_maximum > 0);
            if let Some(will) = &connect.will {
                check_block(will.properties);
                check_view_of_will(will.properties);
            }
        }
        Packet::Publish(publish) => {
            check_block(publish.properties);
            let view = PublishProperties::read(publish.properties);
            assert!(view.topic_alias != Some(0));
            assert!(!publish.topic.is_empty() || view.topic_alias.is_some());
        }
        Packet::Subscribe(subscribe) => {
            check_block(subscribe.properties);
            assert_ne!(SubscribeProperties::read(subscribe.properties).subscription_identifier, Some(0));
            let octets: usize = subscribe.filters().map(|(filter, _)| filter.len() + 3).sum();
            assert_eq!(octets, subscribe.raw_filters.len());
        }
        Packet::Unsubscribe(unsubscribe) => {
            let octets: usize = unsubscribe.filters().map(|filter| filter.len() + 2).sum();
            assert_eq!(octets, unsubscribe.raw_filters.len());
        }
        Packet::Disconnect(disconnect) => {
            check_block(disconnect.properties);
            let _ = DisconnectProperties::read(disconnect.properties);
        }
        Packet::Auth(auth) => {
            check_block(auth.properties);
            let has_method = AuthProperties::read(auth.properties).authentication_method.is_some();
            assert!(has_method || auth.properties.is_empty());
        }
        _ => {}
    }
}

fn check_view_of_will(properties: Properties<'_>) {
    let view = WillProperties::read(properties);
    let has_delay = properties.iter().any(|property| property.id() == PropertyId::WillDelayInterval);
    assert!(has_delay || view.delay_s == 0);
}

/// Every encoding is minimal, so what is read writes back the very same octets; and what is
/// forwarded is what one gets by writing the forwarded ones one by one.
fn check_block(properties: Properties<'_>) {
    let mut whole = Vec::new();
    let mut forwarded = Vec::new();
    for property in properties {
        property.write(&mut whole);
        if matches!(
            property,
            Property::PayloadFormatIndicator(_)
                | Property::ContentType(_)
                | Property::ResponseTopic(_)
                | Property::CorrelationData(_)
                | Property::UserProperty(_)
        ) {
            property.write(&mut forwarded);
        }
    }
    assert_eq!(whole, properties.raw);
    assert_eq!(forwardable(properties, &mut vec![7; 3]), forwarded);
}

/// The first octet picks packet and role, the rest is a property block.
pub fn check_properties(input: &[u8]) {
    let Some((&choice, raw)) = input.split_first() else { return };
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let place = PLACES[usize::from(choice >> 1) % PLACES.len()];
    let Ok(properties) = Properties::parse(raw, place, role) else { return };
    check_block(properties);
    for property in properties {
        assert!(place.allows().has(property.id()));
    }
    let users = properties.user_properties().count();
    assert_eq!(users, properties.iter().filter(|property| property.id() == PropertyId::UserProperty).count());
}

/// Runs `check` on every file of one target's corpus and says how many there were.
pub fn replay(target: &str, check: fn(&[u8])) -> usize {
    let corpus = format!("{}/../../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(corpus).unwrap();
    entries.map(|entry| check(&std::fs::read(entry.unwrap().path()).unwrap())).count()
}
