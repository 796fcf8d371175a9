//! Which packet may carry which property, how often, with which values (2.2.2.2).
//!
//! An identifier in the wrong packet, or a value of the wrong type, makes the packet Malformed;
//! one sent too often, or with a value that its clause forbids, is a Protocol Error.

use super::decode::Role;
use super::error::{DecodeError, malformed, protocol_error};
use super::packet::Properties;
use super::property::{Property, PropertyId};
use super::reader::Reader;
use super::reason::ReasonCode;

/// Where a property block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Place {
    Connect,
    Will,
    Connack,
    Publish,
    Ack,
    Subscribe,
    Suback,
    Unsubscribe,
    Unsuback,
    Disconnect,
    Auth,
}

/// A set of properties, one bit per identifier: the highest is 0x2A.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PropertySet(u64);

impl PropertySet {
    const fn of(ids: &[PropertyId]) -> PropertySet {
        let mut bits = 0;
        let mut rest = ids;
        while let [id, tail @ ..] = rest {
            bits |= 1 << (*id as u8);
            rest = tail;
        }
        PropertySet(bits)
    }

    /// True if it holds `id`.
    #[inline]
    #[must_use]
    pub fn has(self, id: PropertyId) -> bool {
        self.0 & (1 << (id as u8)) != 0
    }

    #[inline]
    fn add(&mut self, id: PropertyId) {
        self.0 |= 1 << (id as u8);
    }
}

use PropertyId as P;

/// What a server passes on unaltered from a PUBLISH or a Will to the receivers
/// ([MQTT-3.3.2-4], [MQTT-3.3.2-15] to [MQTT-3.3.2-20]).
pub(crate) const FORWARDED: PropertySet = PropertySet::of(&[
    P::PayloadFormatIndicator,
    P::ContentType,
    P::ResponseTopic,
    P::CorrelationData,
    P::UserProperty,
]);

impl Place {
    /// Table 2-4.
    #[inline]
    #[must_use]
    pub fn allows(self) -> PropertySet {
        const CONNECT: PropertySet = PropertySet::of(&[
            P::SessionExpiryInterval,
            P::AuthenticationMethod,
            P::AuthenticationData,
            P::RequestProblemInformation,
            P::RequestResponseInformation,
            P::ReceiveMaximum,
            P::TopicAliasMaximum,
            P::UserProperty,
            P::MaximumPacketSize,
        ]);
        const WILL: PropertySet =
            PropertySet(FORWARDED.0 | PropertySet::of(&[P::MessageExpiryInterval, P::WillDelayInterval]).0);
        const PUBLISH: PropertySet = PropertySet(
            FORWARDED.0 | PropertySet::of(&[P::MessageExpiryInterval, P::SubscriptionIdentifier, P::TopicAlias]).0,
        );
        const CONNACK: PropertySet = PropertySet::of(&[
            P::SessionExpiryInterval,
            P::AssignedClientIdentifier,
            P::ServerKeepAlive,
            P::AuthenticationMethod,
            P::AuthenticationData,
            P::ResponseInformation,
            P::ServerReference,
            P::ReasonString,
            P::ReceiveMaximum,
            P::TopicAliasMaximum,
            P::MaximumQoS,
            P::RetainAvailable,
            P::UserProperty,
            P::MaximumPacketSize,
            P::WildcardSubscriptionAvailable,
            P::SubscriptionIdentifierAvailable,
            P::SharedSubscriptionAvailable,
        ]);
        const ACK: PropertySet = PropertySet::of(&[P::ReasonString, P::UserProperty]);
        const SUBSCRIBE: PropertySet = PropertySet::of(&[P::SubscriptionIdentifier, P::UserProperty]);
        const UNSUBSCRIBE: PropertySet = PropertySet::of(&[P::UserProperty]);
        const DISCONNECT: PropertySet =
            PropertySet::of(&[P::SessionExpiryInterval, P::ServerReference, P::ReasonString, P::UserProperty]);
        const AUTH: PropertySet =
            PropertySet::of(&[P::AuthenticationMethod, P::AuthenticationData, P::ReasonString, P::UserProperty]);
        match self {
            Place::Connect => CONNECT,
            Place::Will => WILL,
            Place::Connack => CONNACK,
            Place::Publish => PUBLISH,
            Place::Ack | Place::Suback | Place::Unsuback => ACK,
            Place::Subscribe => SUBSCRIBE,
            Place::Unsubscribe => UNSUBSCRIBE,
            Place::Disconnect => DISCONNECT,
            Place::Auth => AUTH,
        }
    }
}

/// Reads a block with its length, checks it, and hands it back as proven.
#[inline]
pub(crate) fn read_block<'a>(from: &mut Reader<'a>, place: Place, role: Role) -> Result<Properties<'a>, DecodeError> {
    let len = from.varint()?;
    let raw = from.take(len as usize)?;
    if !raw.is_empty() || place == Place::Auth {
        check(raw, place, role)?;
    }
    Ok(Properties { raw })
}

impl<'a> Properties<'a> {
    /// A raw block, without its length, checked as one of a packet that `role` reads.
    pub fn parse(raw: &'a [u8], place: Place, role: Role) -> Result<Properties<'a>, DecodeError> {
        check(raw, place, role)?;
        Ok(Properties { raw })
    }
}

fn check(raw: &[u8], place: Place, role: Role) -> Result<(), DecodeError> {
    let allowed = place.allows();
    let mut seen = PropertySet::default();
    let mut from = Reader::new(raw);
    while !from.is_empty() {
        let property = Property::read(&mut from)?;
        let id = property.id();
        if !allowed.has(id) {
            return Err(malformed("a property stands in a packet that may not carry it (2.2.2.2)"));
        }
        if seen.has(id) && !may_repeat(id, place) {
            return Err(protocol_error("a property is included more than once (2.2.2.2)"));
        }
        seen.add(id);
        check_value(property)?;
    }
    check_together(seen, place, role)
}

fn may_repeat(id: PropertyId, place: Place) -> bool {
    match id {
        P::UserProperty => true,
        // One per Subscription that matched [MQTT-3.3.4-4].
        P::SubscriptionIdentifier => place == Place::Publish,
        _ => false,
    }
}

fn check_value(property: Property<'_>) -> Result<(), DecodeError> {
    match property {
        Property::PayloadFormatIndicator(2..)
        | Property::RequestProblemInformation(2..)
        | Property::RequestResponseInformation(2..)
        | Property::MaximumQoS(2..)
        | Property::RetainAvailable(2..)
        | Property::WildcardSubscriptionAvailable(2..)
        | Property::SubscriptionIdentifierAvailable(2..)
        | Property::SharedSubscriptionAvailable(2..) => {
            Err(protocol_error("a property that may be 0 or 1 is neither (3.1.2.11, 3.2.2.3, 3.3.2.3)"))
        }
        Property::ReceiveMaximum(0) => Err(protocol_error("Receive Maximum is 0 (3.1.2.11.3, 3.2.2.3.3)")),
        Property::MaximumPacketSize(0) => Err(protocol_error("Maximum Packet Size is 0 (3.1.2.11.4, 3.2.2.3.6)")),
        Property::SubscriptionIdentifier(0) => Err(protocol_error("Subscription Identifier is 0 (3.8.2.1.2)")),
        Property::TopicAlias(0) => {
            Err(DecodeError::new(ReasonCode::TopicAliasInvalid, "Topic Alias is 0 [MQTT-3.3.2-8]"))
        }
        Property::ResponseTopic("") => Err(protocol_error("Response Topic is empty [MQTT-4.7.3-1]")),
        Property::ResponseTopic(topic) if topic.contains(['+', '#']) => {
            Err(protocol_error("Response Topic contains a wildcard [MQTT-3.3.2-14]"))
        }
        _ => Ok(()),
    }
}

fn check_together(seen: PropertySet, place: Place, role: Role) -> Result<(), DecodeError> {
    let has_method = seen.has(P::AuthenticationMethod);
    if seen.has(P::AuthenticationData) && !has_method {
        return Err(protocol_error("Authentication Data without Authentication Method (3.1.2.11.10)"));
    }
    match (place, role) {
        (Place::Auth, _) if !has_method => Err(protocol_error("AUTH omits the Authentication Method (3.15.2.2.2)")),
        (Place::Publish, Role::Server) if seen.has(P::SubscriptionIdentifier) => {
            Err(protocol_error("PUBLISH from a client carries a Subscription Identifier [MQTT-3.3.4-6]"))
        }
        (Place::Disconnect, Role::Client) if seen.has(P::SessionExpiryInterval) => {
            Err(protocol_error("DISCONNECT from a server carries a Session Expiry Interval [MQTT-3.14.2-2]"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "property_rules_tests.rs"]
mod tests;
