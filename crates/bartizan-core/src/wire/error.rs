//! Why octets are not a packet: a Reason Code and the clause, in words.

use super::reason::ReasonCode;
use super::version::Version;

/// A packet that cannot be taken. The connection ends; `reason` is what a v5 peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct DecodeError {
    /// The Reason Code that the specification names for it.
    pub reason: ReasonCode,
    /// What is wrong, naming the clause.
    pub what: &'static str,
    /// The version the peer speaks, as far as it is known: in which form, if any, to answer.
    /// `None`: the peer may not speak MQTT at all, so answer nothing.
    pub version: Option<Version>,
}

impl DecodeError {
    /// With this Reason Code, the version not yet known.
    #[must_use]
    pub fn new(reason: ReasonCode, what: &'static str) -> DecodeError {
        DecodeError { reason, what, version: None }
    }

    /// With the version, if the error does not know one already.
    #[must_use]
    pub fn spoken(mut self, version: Option<Version>) -> DecodeError {
        self.version = self.version.or(version);
        self
    }
}

/// 0x81: it cannot be parsed as the specification says (4.13).
#[cold]
pub(crate) fn malformed(what: &'static str) -> DecodeError {
    DecodeError::new(ReasonCode::MalformedPacket, what)
}

/// 0x82: it can be parsed, but the protocol does not allow it (4.13).
#[cold]
pub(crate) fn protocol_error(what: &'static str) -> DecodeError {
    DecodeError::new(ReasonCode::ProtocolError, what)
}
