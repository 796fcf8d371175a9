//! CONNACK (3.2), PINGRESP (3.13), DISCONNECT from the server (3.14), AUTH (3.15).

use super::put;
use crate::wire::packet::Properties;
use crate::wire::property::Property;
use crate::wire::{ReasonCode, Version};

/// Properties of CONNACK (3.2.2.3). What is `None` is not sent, and has then the value that
/// the specification gives an absent property; `Default` sends none.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnackProperties<'a> {
    /// Session Expiry Interval in seconds, where the server uses another than asked for.
    pub session_expiry_s: Option<u32>,
    /// Receive Maximum of the server.
    pub receive_maximum: Option<u16>,
    /// Maximum QoS: 0 or 1; absent is 2.
    pub maximum_qos: Option<u8>,
    /// Retain Available.
    pub retain_available: Option<bool>,
    /// Maximum Packet Size of the server, in octets.
    pub maximum_packet_size: Option<u32>,
    /// Assigned Client Identifier.
    pub assigned_client_id: Option<&'a str>,
    /// Topic Alias Maximum of the server.
    pub topic_alias_maximum: Option<u16>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
    /// Wildcard Subscription Available.
    pub wildcard_subscription_available: Option<bool>,
    /// Subscription Identifiers Available.
    pub subscription_identifier_available: Option<bool>,
    /// Shared Subscription Available.
    pub shared_subscription_available: Option<bool>,
    /// Server Keep Alive in seconds.
    pub server_keep_alive_s: Option<u16>,
    /// Response Information.
    pub response_information: Option<&'a str>,
    /// Server Reference.
    pub server_reference: Option<&'a str>,
    /// Authentication Method.
    pub authentication_method: Option<&'a str>,
    /// Authentication Data. Secret.
    pub authentication_data: Option<&'a [u8]>,
}

impl std::fmt::Debug for ConnackProperties<'_> {
    /// The identifiers it would send: Authentication Data is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.each().into_iter().flatten()).finish()
    }
}

impl<'a> ConnackProperties<'a> {
    fn each(&self) -> [Option<Property<'a>>; 16] {
        use Property as P;
        [
            self.session_expiry_s.map(P::SessionExpiryInterval),
            self.receive_maximum.map(P::ReceiveMaximum),
            self.maximum_qos.map(P::MaximumQoS),
            self.retain_available.map(|yes| P::RetainAvailable(u8::from(yes))),
            self.maximum_packet_size.map(P::MaximumPacketSize),
            self.assigned_client_id.map(P::AssignedClientIdentifier),
            self.topic_alias_maximum.map(P::TopicAliasMaximum),
            self.reason_string.map(P::ReasonString),
            self.wildcard_subscription_available.map(|yes| P::WildcardSubscriptionAvailable(u8::from(yes))),
            self.subscription_identifier_available.map(|yes| P::SubscriptionIdentifierAvailable(u8::from(yes))),
            self.shared_subscription_available.map(|yes| P::SharedSubscriptionAvailable(u8::from(yes))),
            self.server_keep_alive_s.map(P::ServerKeepAlive),
            self.response_information.map(P::ResponseInformation),
            self.server_reference.map(P::ServerReference),
            self.authentication_method.map(P::AuthenticationMethod),
            self.authentication_data.map(P::AuthenticationData),
        ]
    }
}

/// The raw block of these properties.
fn block_of(properties: &[Option<Property<'_>>]) -> Vec<u8> {
    let mut raw = Vec::new();
    for property in properties.iter().flatten() {
        property.write(&mut raw);
    }
    raw
}

/// Appends a CONNACK. Session Present goes only with success [MQTT-3.2.2-6], and not at all to
/// 3.1, whose octet is reserved; before 5.0 the reason becomes a Connect Return code.
pub fn connack(
    out: &mut Vec<u8>,
    version: Version,
    session_present: bool,
    reason: ReasonCode,
    properties: &ConnackProperties<'_>,
) {
    let raw = if version.is_v5() { block_of(&properties.each()) } else { Vec::new() };
    connack_raw(out, version, session_present, reason, Properties { raw: &raw });
}

pub(super) fn connack_raw(
    out: &mut Vec<u8>,
    version: Version,
    session_present: bool,
    reason: ReasonCode,
    properties: Properties<'_>,
) {
    if !put::header(out, 0x20, 2 + put::block_len(version, properties.raw.len())) {
        return;
    }
    let present = session_present && !reason.is_error() && version != Version::V31;
    out.push(u8::from(present));
    out.push(if version.is_v5() { reason.as_u8() } else { reason.connack_v3() });
    put::block(out, version, properties);
}

/// Appends a PINGRESP.
#[inline]
pub fn pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xD0, 0x00]);
}

/// Appends a server's DISCONNECT. Nothing before 5.0, where only a client may send one:
/// there the server just closes.
pub fn disconnect(
    out: &mut Vec<u8>,
    version: Version,
    reason: ReasonCode,
    reason_string: Option<&str>,
    server_reference: Option<&str>,
) {
    if !version.is_v5() {
        return;
    }
    let raw = block_of(&[reason_string.map(Property::ReasonString), server_reference.map(Property::ServerReference)]);
    reason_and_properties(out, 0xE0, reason, Properties { raw: &raw });
}

/// DISCONNECT or AUTH of 5.0: two octets, or code and properties. DISCONNECT could leave out an
/// empty Property Length (3.14.2.2.1), AUTH could not; every client reads the longer form.
pub(super) fn reason_and_properties(out: &mut Vec<u8>, first: u8, reason: ReasonCode, properties: Properties<'_>) {
    let bare = properties.is_empty();
    if bare && reason == ReasonCode::Success {
        out.extend_from_slice(&[first, 0x00]);
    } else if put::header(out, first, 1 + put::block_len(Version::V5, properties.raw.len())) {
        out.push(reason.as_u8());
        put::block(out, Version::V5, properties);
    }
}

/// What an AUTH says besides its Reason Code.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct AuthTail<'a> {
    /// Authentication Method.
    pub method: &'a str,
    /// Authentication Data. Secret.
    pub payload: Option<&'a [u8]>,
    /// Reason String.
    pub reason_string: Option<&'a str>,
}

impl std::fmt::Debug for AuthTail<'_> {
    /// Without Authentication Data, which is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthTail").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Appends an AUTH of 5.0, by either side.
pub fn auth(out: &mut Vec<u8>, reason: ReasonCode, tail: &AuthTail<'_>) {
    let raw = block_of(&[
        Some(Property::AuthenticationMethod(tail.method)),
        tail.payload.map(Property::AuthenticationData),
        tail.reason_string.map(Property::ReasonString),
    ]);
    reason_and_properties(out, 0xF0, reason, Properties { raw: &raw });
}
