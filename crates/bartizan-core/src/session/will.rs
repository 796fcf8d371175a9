//! The Will Message (3.1.2.5) and when it is due.

use std::sync::Arc;

use crate::message::{Message, Time};

/// A Will that the connection holds while it is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// The message; its expiry counts from the moment it is published, so it is kept apart.
    pub message: Arc<Message>,
    /// Message Expiry Interval, counted from publication (3.1.3.2.4).
    pub expiry_s: Option<u32>,
    /// Will Delay Interval (3.1.3.2.2).
    pub delay_s: u32,
}

/// A Will whose connection has ended, waiting for its delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingWill {
    /// What to publish.
    pub will: Will,
    /// When.
    pub due: Time,
}
