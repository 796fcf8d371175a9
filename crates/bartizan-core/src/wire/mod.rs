//! Control Packets <-> bytes.
//!
//! | file             | what                                                               |
//! |------------------|--------------------------------------------------------------------|
//! | `version`        | which protocol a Network Connection speaks                         |
//! | `reason`         | Reason Codes, and how they are told to a 3.1.1 client              |
//! | `error`          | why octets are not a packet                                        |
//! | `varint`         | Variable Byte Integer (1.5.5)                                      |
//! | `utf8`           | UTF-8 Encoded String rules (1.5.4)                                 |
//! | `reader`         | the cursor under all reading                                       |
//! | `property`       | MQTT 5 properties: identifiers, types, octets                      |
//! | `property_rules` | which packet may carry which, how often, with which values         |
//! | `property_views` | what a server reads from each packet's properties, and passes on   |
//! | `packet`         | the packets as borrowed values                                     |
//! | `decode`         | bytes -> packet, in place                                          |
//! | `encode`         | packet -> bytes, appended to the caller's buffer                   |

pub mod decode;
pub mod encode;
mod error;
pub mod packet;
pub mod property;
pub mod property_rules;
pub mod property_views;
mod reader;
pub mod reason;
mod utf8;
pub mod varint;
pub mod version;

pub use decode::{DecodeError, Frame, Role, SHORT_ACK_LEN, decode, frame, short_ack};
pub use packet::*;
pub use property::{Property, PropertyId, PropertyWriter};
pub use property_rules::Place;
pub use property_views::{
    AuthProperties, ConnectProperties, DisconnectProperties, PublishProperties, SubscribeProperties, WillProperties,
    forwardable,
};
pub use reason::ReasonCode;
pub use version::Version;
