//! Which protocol a Network Connection speaks.

use serde::{Deserialize, Serialize};

/// A protocol version, as named by the CONNECT packet (3.1.2.1, 3.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// MQTT 3.1 ("MQIsdp", level 3): accepted only when a listener names it.
    V31,
    /// MQTT 3.1.1 ("MQTT", level 4).
    V311,
    /// MQTT 5.0 ("MQTT", level 5).
    V5,
}

impl Version {
    /// True for MQTT 5.0: the version with properties and Reason Codes.
    #[must_use]
    pub fn is_v5(self) -> bool {
        self == Version::V5
    }
}
