//! What a server reads from each packet's properties: one pass, nothing allocated.
//!
//! Every view starts from the value that the specification gives an absent property.

use super::packet::Properties;
use super::property::{Property, read_id, skip_value};
use super::property_rules::FORWARDED;
use super::reader::Reader;

/// Properties of CONNECT (3.1.2.11).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Session Expiry Interval in seconds; `u32::MAX` never ends. Absent: 0.
    pub session_expiry_s: u32,
    /// Receive Maximum. Absent: 65,535.
    pub receive_maximum: u16,
    /// Maximum Packet Size in octets. Absent: no limit but the protocol's.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum. Absent: 0, no aliases.
    pub topic_alias_maximum: u16,
    /// Request Response Information. Absent: false.
    pub request_response_information: bool,
    /// Request Problem Information. Absent: true.
    pub request_problem_information: bool,
    /// Authentication Method.
    pub authentication_method: Option<&'a str>,
    /// Authentication Data. Secret.
    pub authentication_data: Option<&'a [u8]>,
}

impl Default for ConnectProperties<'_> {
    fn default() -> Self {
        ConnectProperties {
            session_expiry_s: 0,
            receive_maximum: u16::MAX,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            authentication_method: None,
            authentication_data: None,
        }
    }
}

impl std::fmt::Debug for ConnectProperties<'_> {
    /// Without Authentication Data, which is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectProperties")
            .field("session_expiry_s", &self.session_expiry_s)
            .field("receive_maximum", &self.receive_maximum)
            .field("maximum_packet_size", &self.maximum_packet_size)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("authentication_method", &self.authentication_method)
            .finish_non_exhaustive()
    }
}

impl<'a> ConnectProperties<'a> {
    /// Reads them.
    #[must_use]
    pub fn read(properties: Properties<'a>) -> ConnectProperties<'a> {
        let mut view = ConnectProperties::default();
        for property in properties {
            match property {
                Property::SessionExpiryInterval(seconds) => view.session_expiry_s = seconds,
                Property::ReceiveMaximum(messages) => view.receive_maximum = messages,
                Property::MaximumPacketSize(octets) => view.maximum_packet_size = Some(octets),
                Property::TopicAliasMaximum(alias) => view.topic_alias_maximum = alias,
                Property::RequestResponseInformation(flag) => view.request_response_information = flag == 1,
                Property::RequestProblemInformation(flag) => view.request_problem_information = flag == 1,
                Property::AuthenticationMethod(method) => view.authentication_method = Some(method),
                Property::AuthenticationData(octets) => view.authentication_data = Some(octets),
                _ => {}
            }
        }
        view
    }
}

/// Will Properties (3.1.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WillProperties<'a> {
    /// Will Delay Interval in seconds. Absent: 0.
    pub delay_s: u32,
    /// The payload is said to be UTF-8.
    pub payload_format_utf8: bool,
    /// Message Expiry Interval in seconds. Absent: the message does not expire.
    pub message_expiry_s: Option<u32>,
    /// Response Topic.
    pub response_topic: Option<&'a str>,
}

impl<'a> WillProperties<'a> {
    /// Reads them.
    #[must_use]
    pub fn read(properties: Properties<'a>) -> WillProperties<'a> {
        let mut view = WillProperties::default();
        for property in properties {
            match property {
                Property::WillDelayInterval(seconds) => view.delay_s = seconds,
                Property::PayloadFormatIndicator(flag) => view.payload_format_utf8 = flag == 1,
                Property::MessageExpiryInterval(seconds) => view.message_expiry_s = Some(seconds),
                Property::ResponseTopic(topic) => view.response_topic = Some(topic),
                _ => {}
            }
        }
        view
    }
}

/// Properties of PUBLISH (3.3.2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishProperties<'a> {
    /// The payload is said to be UTF-8.
    pub payload_format_utf8: bool,
    /// Message Expiry Interval in seconds. Absent: the message does not expire.
    pub message_expiry_s: Option<u32>,
    /// Topic Alias, never 0.
    pub topic_alias: Option<u16>,
    /// Response Topic.
    pub response_topic: Option<&'a str>,
    /// It carries Subscription Identifiers, as only a server's PUBLISH may.
    pub has_subscription_identifier: bool,
}

impl<'a> PublishProperties<'a> {
    /// Reads them.
    #[inline]
    #[must_use]
    pub fn read(properties: Properties<'a>) -> PublishProperties<'a> {
        let mut view = PublishProperties::default();
        for property in properties {
            match property {
                Property::PayloadFormatIndicator(flag) => view.payload_format_utf8 = flag == 1,
                Property::MessageExpiryInterval(seconds) => view.message_expiry_s = Some(seconds),
                Property::TopicAlias(alias) => view.topic_alias = Some(alias),
                Property::ResponseTopic(topic) => view.response_topic = Some(topic),
                Property::SubscriptionIdentifier(_) => view.has_subscription_identifier = true,
                _ => {}
            }
        }
        view
    }
}

/// Properties of SUBSCRIBE (3.8.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeProperties {
    /// Subscription Identifier, never 0.
    pub subscription_identifier: Option<u32>,
}

impl SubscribeProperties {
    /// Reads them.
    #[must_use]
    pub fn read(properties: Properties<'_>) -> SubscribeProperties {
        let subscription_identifier = properties.iter().find_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(id),
            _ => None,
        });
        SubscribeProperties { subscription_identifier }
    }
}

/// Properties of DISCONNECT (3.14.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisconnectProperties<'a> {
    /// Session Expiry Interval in seconds. Absent: that of the CONNECT stands.
    pub session_expiry_s: Option<u32>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// Server Reference.
    pub server_reference: Option<&'a str>,
}

impl<'a> DisconnectProperties<'a> {
    /// Reads them.
    #[must_use]
    pub fn read(properties: Properties<'a>) -> DisconnectProperties<'a> {
        let mut view = DisconnectProperties::default();
        for property in properties {
            match property {
                Property::SessionExpiryInterval(seconds) => view.session_expiry_s = Some(seconds),
                Property::ReasonString(text) => view.reason_string = Some(text),
                Property::ServerReference(text) => view.server_reference = Some(text),
                _ => {}
            }
        }
        view
    }
}

/// Properties of AUTH (3.15.2.2).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct AuthProperties<'a> {
    /// Authentication Method.
    pub authentication_method: Option<&'a str>,
    /// Authentication Data. Secret.
    pub authentication_data: Option<&'a [u8]>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
}

impl std::fmt::Debug for AuthProperties<'_> {
    /// Without Authentication Data, which is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthProperties")
            .field("authentication_method", &self.authentication_method)
            .finish_non_exhaustive()
    }
}

impl<'a> AuthProperties<'a> {
    /// Reads them.
    #[must_use]
    pub fn read(properties: Properties<'a>) -> AuthProperties<'a> {
        let mut view = AuthProperties::default();
        for property in properties {
            match property {
                Property::AuthenticationMethod(method) => view.authentication_method = Some(method),
                Property::AuthenticationData(octets) => view.authentication_data = Some(octets),
                Property::ReasonString(text) => view.reason_string = Some(text),
                _ => {}
            }
        }
        view
    }
}

/// The part of a PUBLISH's or a Will's properties that receivers get unaltered and in order:
/// Payload Format Indicator, Content Type, Response Topic, Correlation Data, User Properties.
///
/// Where that part is one piece, which is nearly always, it is lent as it stands; otherwise
/// the pieces are put together in `scratch`.
#[must_use]
pub fn forwardable<'a>(properties: Properties<'a>, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let mut pieces = Pieces { from: Reader::new(properties.raw) };
    let Some(first) = pieces.next() else {
        return &[];
    };
    let Some(second) = pieces.next() else {
        return first;
    };
    scratch.clear();
    scratch.extend_from_slice(first);
    scratch.extend_from_slice(second);
    for piece in pieces {
        scratch.extend_from_slice(piece);
    }
    scratch
}

/// The longest stretches of a block that hold forwarded properties only.
struct Pieces<'a> {
    from: Reader<'a>,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut start = self.from.rest();
        let mut octets = 0;
        while !self.from.is_empty() {
            let before = self.from.rest();
            let id = read_id(&mut self.from).ok()?;
            skip_value(id, &mut self.from).ok()?;
            if FORWARDED.has(id) {
                if octets == 0 {
                    start = before;
                }
                octets += before.len() - self.from.rest().len();
            } else if octets > 0 {
                break;
            }
        }
        if octets == 0 { None } else { start.get(..octets) }
    }
}

#[cfg(test)]
#[path = "property_views_tests.rs"]
mod tests;
