//! MQTT 5 properties (2.2.2): their identifiers, types and octets.
//!
//! Which packet may carry which, and which values are allowed, is in `property_rules`;
//! what the server reads from each packet is in `property_views`.

use super::encode::put;
use super::error::{DecodeError, malformed};
use super::packet::Properties;
use super::reader::Reader;

/// Makes identifiers, values, reading and writing from table 2-4.
macro_rules! properties {
    ($($name:ident($lt:ty) = $octet:literal as $kind:ident, $doc:literal;)*) => {
        /// A Property Identifier (table 2-4). All are below 128, so one octet holds them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum PropertyId {
            $(#[doc = $doc] $name = $octet,)*
        }

        impl PropertyId {
            /// Every identifier, in the order of its octet.
            pub const ALL: &[PropertyId] = &[$(PropertyId::$name),*];

            /// The identifier of this octet, if the specification defines one.
            #[inline]
            #[must_use]
            pub fn from_u8(octet: u8) -> Option<PropertyId> {
                match octet {
                    $($octet => Some(PropertyId::$name),)*
                    _ => None,
                }
            }
        }

        /// One property, its text and binary values borrowed.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub enum Property<'a> {
            $(#[doc = $doc] $name($lt),)*
        }

        impl<'a> Property<'a> {
            /// Its identifier.
            #[inline]
            #[must_use]
            pub fn id(&self) -> PropertyId {
                match self {
                    $(Property::$name(_) => PropertyId::$name,)*
                }
            }

            /// Reads the value that follows an identifier.
            #[inline]
            fn value(id: PropertyId, from: &mut Reader<'a>) -> Result<Property<'a>, DecodeError> {
                Ok(match id {
                    $(PropertyId::$name => Property::$name(from.$kind()?),)*
                })
            }

            /// Appends identifier and value. Text above 65,535 octets is cut at a character.
            pub fn write(&self, out: &mut Vec<u8>) {
                out.push(self.id() as u8);
                match *self {
                    $(Property::$name(value) => put::$kind(out, value),)*
                }
            }
        }
    };
}

properties! {
    PayloadFormatIndicator(u8) = 0x01 as byte, "0 is octets, 1 is UTF-8 text.";
    MessageExpiryInterval(u32) = 0x02 as four, "Seconds the message lives.";
    ContentType(&'a str) = 0x03 as text, "What the payload is, in the application's words.";
    ResponseTopic(&'a str) = 0x08 as text, "Topic Name for a response.";
    CorrelationData(&'a [u8]) = 0x09 as binary, "Tells the requester which request a response is for.";
    SubscriptionIdentifier(u32) = 0x0B as varint, "Which Subscriptions matched: 1 to 268,435,455.";
    SessionExpiryInterval(u32) = 0x11 as four, "Seconds the Session outlives the Network Connection.";
    AssignedClientIdentifier(&'a str) = 0x12 as text, "The Client Identifier the server chose.";
    ServerKeepAlive(u16) = 0x13 as two, "Keep Alive in seconds that the server asks for.";
    AuthenticationMethod(&'a str) = 0x15 as text, "Name of the enhanced authentication method.";
    AuthenticationData(&'a [u8]) = 0x16 as binary, "Octets of the authentication method. Secret.";
    RequestProblemInformation(u8) = 0x17 as byte, "May Reason Strings and User Properties be sent?";
    WillDelayInterval(u32) = 0x18 as four, "Seconds between the end of the connection and the Will.";
    RequestResponseInformation(u8) = 0x19 as byte, "Does the client want Response Information?";
    ResponseInformation(&'a str) = 0x1A as text, "Basis for a Response Topic.";
    ServerReference(&'a str) = 0x1C as text, "Another server to use.";
    ReasonString(&'a str) = 0x1F as text, "The reason, for people.";
    ReceiveMaximum(u16) = 0x21 as two, "QoS 1 and 2 messages in flight at once, at most.";
    TopicAliasMaximum(u16) = 0x22 as two, "The highest Topic Alias accepted.";
    TopicAlias(u16) = 0x23 as two, "Stands for a Topic Name on this Network Connection.";
    MaximumQoS(u8) = 0x24 as byte, "The highest QoS accepted: 0 or 1.";
    RetainAvailable(u8) = 0x25 as byte, "Are Retained Messages supported?";
    UserProperty((&'a str, &'a str)) = 0x26 as pair, "Name and value, in the application's words.";
    MaximumPacketSize(u32) = 0x27 as four, "Octets of the largest packet accepted.";
    WildcardSubscriptionAvailable(u8) = 0x28 as byte, "Are Wildcard Subscriptions supported?";
    SubscriptionIdentifierAvailable(u8) = 0x29 as byte, "Are Subscription Identifiers supported?";
    SharedSubscriptionAvailable(u8) = 0x2A as byte, "Are Shared Subscriptions supported?";
}

impl std::fmt::Debug for Property<'_> {
    /// Only the identifier: values may be secret, and may be long.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}(..)", self.id())
    }
}

impl<'a> Property<'a> {
    /// Reads one property.
    #[inline]
    pub(crate) fn read(from: &mut Reader<'a>) -> Result<Property<'a>, DecodeError> {
        let id = read_id(from)?;
        Property::value(id, from)
    }
}

/// Reads an identifier. It is a Variable Byte Integer, but none above 127 is defined and a
/// padded one is malformed, so every octet from 0x80 on is unknown.
#[inline]
pub(crate) fn read_id(from: &mut Reader<'_>) -> Result<PropertyId, DecodeError> {
    PropertyId::from_u8(from.byte()?).ok_or_else(|| malformed("a Property Identifier is unknown (2.2.2.2)"))
}

/// Steps over the value of `id` by its length alone.
#[inline]
pub(crate) fn skip_value(id: PropertyId, from: &mut Reader<'_>) -> Result<(), DecodeError> {
    use PropertyId as P;
    let octets = match id {
        P::PayloadFormatIndicator
        | P::RequestProblemInformation
        | P::RequestResponseInformation
        | P::MaximumQoS
        | P::RetainAvailable
        | P::WildcardSubscriptionAvailable
        | P::SubscriptionIdentifierAvailable
        | P::SharedSubscriptionAvailable => 1,
        P::ServerKeepAlive | P::ReceiveMaximum | P::TopicAliasMaximum | P::TopicAlias => 2,
        P::MessageExpiryInterval | P::SessionExpiryInterval | P::WillDelayInterval | P::MaximumPacketSize => 4,
        P::SubscriptionIdentifier => return from.varint().map(drop),
        P::UserProperty => {
            from.binary()?;
            return from.binary().map(drop);
        }
        P::ContentType
        | P::ResponseTopic
        | P::CorrelationData
        | P::AssignedClientIdentifier
        | P::AuthenticationMethod
        | P::AuthenticationData
        | P::ResponseInformation
        | P::ServerReference
        | P::ReasonString => return from.binary().map(drop),
    };
    from.take(octets).map(drop)
}

/// The properties of a validated block, in the order they were sent.
#[derive(Clone, Debug)]
pub struct PropertyIter<'a> {
    from: Reader<'a>,
}

impl<'a> Iterator for PropertyIter<'a> {
    type Item = Property<'a>;

    #[inline]
    fn next(&mut self) -> Option<Property<'a>> {
        // `decode` has read this block once already, so an error cannot come; it would end here.
        if self.from.is_empty() { None } else { Property::read(&mut self.from).ok() }
    }
}

impl<'a> Properties<'a> {
    /// The properties, in the order they were sent.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> PropertyIter<'a> {
        PropertyIter { from: Reader::new(self.raw) }
    }

    /// The User Properties, in the order they were sent.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(pair) => Some(pair),
            _ => None,
        })
    }

    /// True when there are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }
}

impl<'a> IntoIterator for Properties<'a> {
    type Item = Property<'a>;
    type IntoIter = PropertyIter<'a>;

    fn into_iter(self) -> PropertyIter<'a> {
        self.iter()
    }
}

impl std::fmt::Debug for Properties<'_> {
    /// Only identifiers: Authentication Data is among the values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Appends properties to a buffer, giving a block that `Properties { raw }` can hold.
#[derive(Debug)]
pub struct PropertyWriter<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> PropertyWriter<'o> {
    /// Writes at the end of `out`.
    #[must_use]
    pub fn new(out: &'o mut Vec<u8>) -> PropertyWriter<'o> {
        PropertyWriter { out }
    }

    /// Appends one property.
    pub fn put(&mut self, property: Property<'_>) -> &mut PropertyWriter<'o> {
        property.write(self.out);
        self
    }

    /// Appends one property if there is one.
    pub fn put_some(&mut self, property: Option<Property<'_>>) -> &mut PropertyWriter<'o> {
        if let Some(property) = property {
            property.write(self.out);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: [Property<'static>; 8] = [
        Property::PayloadFormatIndicator(1),
        Property::MessageExpiryInterval(70_000),
        Property::ContentType("text/plain"),
        Property::CorrelationData(&[0, 255]),
        Property::SubscriptionIdentifier(300),
        Property::TopicAlias(9),
        Property::UserProperty(("k", "v")),
        Property::UserProperty(("k", "w")),
    ];

    #[test]
    fn what_is_written_is_read_in_order() {
        let mut raw = Vec::new();
        let mut writer = PropertyWriter::new(&mut raw);
        for property in SAMPLE {
            writer.put(property);
        }
        let properties = Properties { raw: &raw };
        assert_eq!(properties.iter().collect::<Vec<_>>(), SAMPLE);
        assert_eq!(properties.user_properties().collect::<Vec<_>>(), [("k", "v"), ("k", "w")]);
    }

    #[test]
    fn skipping_a_value_and_reading_it_step_equally_far() {
        let octets: Vec<u8> = [0, 3].into_iter().chain(*b"abc").chain([0, 1, b'd', 9, 9, 9]).collect();
        for &id in PropertyId::ALL {
            let (mut read, mut skipped) = (Reader::new(&octets), Reader::new(&octets));
            Property::value(id, &mut read).unwrap();
            skip_value(id, &mut skipped).unwrap();
            assert_eq!(read.rest(), skipped.rest(), "{id:?}");
        }
    }

    #[test]
    fn mqtt_2_2_2_an_unknown_or_padded_identifier_is_malformed() {
        for octets in [&[0x00, 0][..], &[0x04, 0], &[0x2B, 0], &[0x81, 0x00, 1], &[0xFF, 0]] {
            assert!(Property::read(&mut Reader::new(octets)).is_err(), "{octets:02x?}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let mut raw = Vec::new();
        PropertyWriter::new(&mut raw).put(Property::AuthenticationData(b"hunter2"));
        let shown = format!("{:?} {:?}", Properties { raw: &raw }, Property::AuthenticationMethod("hunter2"));
        assert!(shown.contains("AuthenticationData") && !shown.contains("hunter2"), "{shown}");
    }
}
