//! Reason Codes (2.4), and how a 3.1.1 client hears of them.

/// Makes the enum, its octets and its names from one table.
macro_rules! reason_codes {
    ($($name:ident = $octet:literal, $text:literal;)*) => {
        /// A Reason Code of MQTT 5. One octet on the wire; the names are the specification's.
        /// Success, Normal disconnection and Granted QoS 0 share the value 0x00.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum ReasonCode {
            $($name = $octet,)*
        }

        impl ReasonCode {
            /// Every Reason Code, in the order of its octet.
            pub const ALL: &[ReasonCode] = &[$(ReasonCode::$name),*];

            /// The Reason Code of this octet, if the specification defines one.
            #[must_use]
            pub fn from_u8(octet: u8) -> Option<ReasonCode> {
                match octet {
                    $($octet => Some(ReasonCode::$name),)*
                    _ => None,
                }
            }

            /// The specification's name for it (table 2-6).
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(ReasonCode::$name => $text,)*
                }
            }
        }
    };
}

reason_codes! {
    Success = 0x00, "Success";
    GrantedQoS1 = 0x01, "Granted QoS 1";
    GrantedQoS2 = 0x02, "Granted QoS 2";
    DisconnectWithWillMessage = 0x04, "Disconnect with Will Message";
    NoMatchingSubscribers = 0x10, "No matching subscribers";
    NoSubscriptionExisted = 0x11, "No subscription existed";
    ContinueAuthentication = 0x18, "Continue authentication";
    ReAuthenticate = 0x19, "Re-authenticate";
    UnspecifiedError = 0x80, "Unspecified error";
    MalformedPacket = 0x81, "Malformed Packet";
    ProtocolError = 0x82, "Protocol Error";
    ImplementationSpecificError = 0x83, "Implementation specific error";
    UnsupportedProtocolVersion = 0x84, "Unsupported Protocol Version";
    ClientIdentifierNotValid = 0x85, "Client Identifier not valid";
    BadUserNameOrPassword = 0x86, "Bad User Name or Password";
    NotAuthorized = 0x87, "Not authorized";
    ServerUnavailable = 0x88, "Server unavailable";
    ServerBusy = 0x89, "Server busy";
    Banned = 0x8A, "Banned";
    ServerShuttingDown = 0x8B, "Server shutting down";
    BadAuthenticationMethod = 0x8C, "Bad authentication method";
    KeepAliveTimeout = 0x8D, "Keep Alive timeout";
    SessionTakenOver = 0x8E, "Session taken over";
    TopicFilterInvalid = 0x8F, "Topic Filter invalid";
    TopicNameInvalid = 0x90, "Topic Name invalid";
    PacketIdentifierInUse = 0x91, "Packet Identifier in use";
    PacketIdentifierNotFound = 0x92, "Packet Identifier not found";
    ReceiveMaximumExceeded = 0x93, "Receive Maximum exceeded";
    TopicAliasInvalid = 0x94, "Topic Alias invalid";
    PacketTooLarge = 0x95, "Packet too large";
    MessageRateTooHigh = 0x96, "Message rate too high";
    QuotaExceeded = 0x97, "Quota exceeded";
    AdministrativeAction = 0x98, "Administrative action";
    PayloadFormatInvalid = 0x99, "Payload format invalid";
    RetainNotSupported = 0x9A, "Retain not supported";
    QoSNotSupported = 0x9B, "QoS not supported";
    UseAnotherServer = 0x9C, "Use another server";
    ServerMoved = 0x9D, "Server moved";
    SharedSubscriptionsNotSupported = 0x9E, "Shared Subscriptions not supported";
    ConnectionRateExceeded = 0x9F, "Connection rate exceeded";
    MaximumConnectTime = 0xA0, "Maximum connect time";
    SubscriptionIdentifiersNotSupported = 0xA1, "Subscription Identifiers not supported";
    WildcardSubscriptionsNotSupported = 0xA2, "Wildcard Subscriptions not supported";
}

impl ReasonCode {
    /// The octet on the wire.
    #[inline]
    #[must_use]
    pub fn as_u8(self) -> u8 {
        self as u8
    }

    /// True from 0x80 on: the operation failed (2.4).
    #[inline]
    #[must_use]
    pub fn is_error(self) -> bool {
        self.as_u8() >= 0x80
    }

    /// The Connect Return code that tells a 3.1.1 client the same (3.1.1, table 3.1).
    ///
    /// 3.1.1 has five refusals. What is the server's trouble of the moment is 3 (try later),
    /// what the client may not have is 5.
    #[must_use]
    pub fn connack_v3(self) -> u8 {
        use ReasonCode as R;
        match self {
            refusal if !refusal.is_error() => 0,
            R::UnsupportedProtocolVersion => 1,
            R::ClientIdentifierNotValid => 2,
            R::BadUserNameOrPassword => 4,
            R::NotAuthorized
            | R::Banned
            | R::BadAuthenticationMethod
            | R::TopicNameInvalid
            | R::PacketTooLarge
            | R::PayloadFormatInvalid
            | R::RetainNotSupported
            | R::QoSNotSupported => 5,
            _ => 3,
        }
    }

    /// What a Connect Return code of 3.1.1 says in MQTT 5; `None` for a reserved one.
    #[must_use]
    pub fn from_connack_v3(code: u8) -> Option<ReasonCode> {
        match code {
            0 => Some(ReasonCode::Success),
            1 => Some(ReasonCode::UnsupportedProtocolVersion),
            2 => Some(ReasonCode::ClientIdentifierNotValid),
            3 => Some(ReasonCode::ServerUnavailable),
            4 => Some(ReasonCode::BadUserNameOrPassword),
            5 => Some(ReasonCode::NotAuthorized),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_and_codes_are_one_to_one() {
        for octet in 0..=255u8 {
            if let Some(code) = ReasonCode::from_u8(octet) {
                assert_eq!(code.as_u8(), octet);
            }
        }
        assert_eq!(ReasonCode::ALL.len(), 43);
        assert!(ReasonCode::ALL.iter().all(|code| ReasonCode::from_u8(code.as_u8()) == Some(*code)));
        assert_eq!(ReasonCode::from_u8(0x7F), None);
    }

    #[test]
    fn a_3_1_1_client_hears_one_of_its_five_refusals() {
        assert_eq!(ReasonCode::Success.connack_v3(), 0);
        for code in ReasonCode::ALL.iter().filter(|code| code.is_error()) {
            assert!((1..=5).contains(&code.connack_v3()), "{code:?}");
        }
        for code in 0..=5 {
            assert_eq!(ReasonCode::from_connack_v3(code).unwrap().connack_v3(), code);
        }
        assert_eq!(ReasonCode::from_connack_v3(6), None);
    }
}
