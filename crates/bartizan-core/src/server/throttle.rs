//! Identities that publish more slowly than their roles would let them, for as long as somebody says so.
//!
//! What a throttle lowers are the rates of each connection, nothing else: what they do to who is faster is as ever.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Limits, Server};

/// The rates of an identity; 0 leaves one as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// PUBLISH packets per second.
    pub publish_rate_per_s: u64,
    /// Octets of them per second.
    pub publish_bytes_per_s: u64,
}

/// Throttles by identity.
pub type Throttles = HashMap<Arc<str>, Throttle>;

impl Server {
    /// Puts throttles into force on this shard, in place of those that were.
    pub fn throttle(&mut self, throttles: Arc<Throttles>) {
        let before = std::mem::replace(&mut self.throttles, throttles);
        for open in self.connections.values_mut().filter_map(|connection| connection.open_mut()) {
            let identity = &open.principal.id;
            if before.get(identity) != self.throttles.get(identity) {
                // Made anew with the next PUBLISH, by what holds then.
                open.rates = None;
            }
        }
    }

    /// The limits of a connection of this identity, as a throttle lowers them.
    pub(super) fn throttled(&self, mut limits: Limits, identity: &str) -> Limits {
        let Some(throttle) = self.throttles.get(identity) else { return limits };
        let lower = |limit: u64, throttle: u64| match (limit, throttle) {
            (limit, 0) => limit,
            (0, throttle) => throttle,
            (limit, throttle) => limit.min(throttle),
        };
        limits.publish_rate_per_s = lower(limits.publish_rate_per_s, throttle.publish_rate_per_s);
        limits.publish_bytes_per_s = lower(limits.publish_bytes_per_s, throttle.publish_bytes_per_s);
        limits.publish_burst = limits.publish_burst.min(limits.publish_rate_per_s.max(1));
        limits
    }
}
