//! Control Packets <-> bytes.
//!
//! | file       | what                                                                     |
//! |------------|--------------------------------------------------------------------------|
//! | `version`  | which protocol a Network Connection speaks                               |
//! | `reason`   | Reason Codes, and how they are told to a 3.1.1 client                    |
//! | `varint`   | Variable Byte Integer (1.5.5)                                            |
//! | `utf8`     | UTF-8 Encoded String rules (1.5.4)                                       |
//! | `property` | MQTT 5 properties: which packet may carry which, how often               |
//! | `packet`   | the packets as borrowed values                                           |
//! | `decode`   | bytes -> packet, in place                                                |
//! | `encode`   | packet -> bytes, appended to the caller's buffer                         |

pub mod packet;
pub mod reason;
pub mod version;

pub use packet::*;
pub use reason::ReasonCode;
pub use version::Version;
