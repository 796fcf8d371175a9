//! Table 2-4 and the value rules, property by property.

use super::*;
use crate::wire::ReasonCode as R;

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

/// A valid value of every property.
const EACH: [Property<'static>; 27] = [
    Property::PayloadFormatIndicator(1),
    Property::MessageExpiryInterval(1),
    Property::ContentType("t"),
    Property::ResponseTopic("r"),
    Property::CorrelationData(b"c"),
    Property::SubscriptionIdentifier(1),
    Property::SessionExpiryInterval(1),
    Property::AssignedClientIdentifier("i"),
    Property::ServerKeepAlive(1),
    Property::AuthenticationMethod("m"),
    Property::AuthenticationData(b"d"),
    Property::RequestProblemInformation(1),
    Property::WillDelayInterval(1),
    Property::RequestResponseInformation(1),
    Property::ResponseInformation("r"),
    Property::ServerReference("s"),
    Property::ReasonString("s"),
    Property::ReceiveMaximum(1),
    Property::TopicAliasMaximum(1),
    Property::TopicAlias(1),
    Property::MaximumQoS(1),
    Property::RetainAvailable(1),
    Property::UserProperty(("k", "v")),
    Property::MaximumPacketSize(1),
    Property::WildcardSubscriptionAvailable(1),
    Property::SubscriptionIdentifierAvailable(1),
    Property::SharedSubscriptionAvailable(1),
];

fn result(properties: &[Property<'_>], place: Place, role: Role) -> Result<(), R> {
    let mut raw = Vec::new();
    for property in properties {
        property.write(&mut raw);
    }
    Properties::parse(&raw, place, role).map(drop).map_err(|error| error.reason)
}

/// With the method that AUTH always needs, and Authentication Data anywhere.
fn with_method(property: Property<'static>, place: Place) -> Vec<Property<'static>> {
    let needs = place == Place::Auth || property.id() == P::AuthenticationData;
    let method = Property::AuthenticationMethod("m");
    if needs && property != method && place.allows().has(P::AuthenticationMethod) {
        vec![method, property]
    } else {
        vec![property]
    }
}

#[test]
fn a_property_in_the_wrong_packet_is_malformed() {
    for place in PLACES {
        for property in EACH {
            let expected = if place.allows().has(property.id()) { Ok(()) } else { Err(R::MalformedPacket) };
            let role = if place == Place::Publish { Role::Client } else { Role::Server };
            assert_eq!(result(&with_method(property, place), place, role), expected, "{property:?} in {place:?}");
        }
    }
}

#[test]
fn only_user_property_may_repeat_and_subscription_identifier_in_a_servers_publish() {
    for place in PLACES {
        for property in EACH.into_iter().filter(|property| place.allows().has(property.id())) {
            let repeats = property.id() == P::UserProperty
                || (property.id() == P::SubscriptionIdentifier && place == Place::Publish);
            let mut twice = with_method(property, place);
            twice.push(property);
            let expected = if repeats { Ok(()) } else { Err(R::ProtocolError) };
            let role = if place == Place::Publish { Role::Client } else { Role::Server };
            assert_eq!(result(&twice, place, role), expected, "{property:?} in {place:?}");
        }
    }
}

#[test]
fn how_many_packets_carry_each_property_is_as_in_table_2_4() {
    let carriers = |id: PropertyId| PLACES.iter().filter(|place| place.allows().has(id)).count();
    assert_eq!(EACH.len(), PropertyId::ALL.len());
    assert_eq!(carriers(P::UserProperty), PLACES.len());
    assert_eq!(carriers(P::ReasonString), 6);
    assert_eq!(carriers(P::SessionExpiryInterval), 3);
    assert_eq!(carriers(P::WillDelayInterval), 1);
    assert_eq!(carriers(P::TopicAlias), 1);
}

#[test]
fn forbidden_values_have_the_reason_of_their_clause() {
    let cases = [
        (Property::PayloadFormatIndicator(2), Place::Publish, R::ProtocolError),
        (Property::RequestProblemInformation(2), Place::Connect, R::ProtocolError),
        (Property::RequestResponseInformation(255), Place::Connect, R::ProtocolError),
        (Property::ReceiveMaximum(0), Place::Connect, R::ProtocolError),
        (Property::MaximumPacketSize(0), Place::Connect, R::ProtocolError),
        (Property::SubscriptionIdentifier(0), Place::Subscribe, R::ProtocolError),
        (Property::TopicAlias(0), Place::Publish, R::TopicAliasInvalid),
        (Property::ResponseTopic(""), Place::Publish, R::ProtocolError),
        (Property::ResponseTopic("a/+"), Place::Publish, R::ProtocolError),
        (Property::ResponseTopic("#"), Place::Will, R::ProtocolError),
        (Property::MaximumQoS(2), Place::Connack, R::ProtocolError),
        (Property::RetainAvailable(2), Place::Connack, R::ProtocolError),
        (Property::WildcardSubscriptionAvailable(2), Place::Connack, R::ProtocolError),
        (Property::SubscriptionIdentifierAvailable(2), Place::Connack, R::ProtocolError),
        (Property::SharedSubscriptionAvailable(2), Place::Connack, R::ProtocolError),
        (Property::AuthenticationData(b"d"), Place::Connect, R::ProtocolError),
        (Property::AuthenticationData(b"d"), Place::Auth, R::ProtocolError),
        (Property::ReasonString("no method"), Place::Auth, R::ProtocolError),
    ];
    for (property, place, reason) in cases {
        assert_eq!(result(&[property], place, Role::Server), Err(reason), "{property:?} in {place:?}");
    }
}

#[test]
fn mqtt_3_3_4_6_a_clients_publish_carries_no_subscription_identifier() {
    let property = [Property::SubscriptionIdentifier(7)];
    assert_eq!(result(&property, Place::Publish, Role::Server), Err(R::ProtocolError));
    assert_eq!(result(&property, Place::Publish, Role::Client), Ok(()));
}

#[test]
fn mqtt_3_14_2_2_a_servers_disconnect_carries_no_session_expiry() {
    let property = [Property::SessionExpiryInterval(7)];
    assert_eq!(result(&property, Place::Disconnect, Role::Client), Err(R::ProtocolError));
    assert_eq!(result(&property, Place::Disconnect, Role::Server), Ok(()));
}

#[test]
fn a_value_cut_short_is_malformed() {
    for property in EACH {
        let mut raw = Vec::new();
        property.write(&mut raw);
        for cut in 1..raw.len() {
            let place = PLACES.into_iter().find(|place| place.allows().has(property.id())).unwrap();
            let error = Properties::parse(&raw[..cut], place, Role::Client).unwrap_err();
            assert_eq!(error.reason, R::MalformedPacket, "{property:?} cut to {cut}");
        }
    }
}
