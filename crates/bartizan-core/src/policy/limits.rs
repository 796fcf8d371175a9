//! The limits a role may set. A limit that no role of an identity sets is `None`: the
//! listener's own default holds. Of several roles the largest wins, as a role only ever adds.

use serde::Deserialize;

/// Limits of one role, or of all the roles of one principal together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoleLimits {
    /// PUBLISH packets per second.
    pub publish_rate_per_s: Option<u64>,
    /// Octets of PUBLISH packets per second.
    pub publish_bytes_per_s: Option<u64>,
    /// Subscriptions of one Session.
    pub subscriptions_max: Option<u64>,
    /// Messages waiting in one Session.
    pub queued_messages_max: Option<u64>,
    /// Octets waiting in one Session.
    pub queued_bytes_max: Option<u64>,
    /// Unacknowledged QoS 1 and 2 messages, each direction; at most 65,535 (Receive Maximum).
    pub inflight_max: Option<u64>,
    /// Octets of one Control Packet.
    pub packet_bytes_max: Option<u64>,
    /// Retained Messages of one identity.
    pub retained_messages_max: Option<u64>,
    /// Octets of Retained Messages of one identity.
    pub retained_bytes_max: Option<u64>,
    /// Network Connections of one identity at a time.
    pub connections_max: Option<u64>,
}

impl RoleLimits {
    /// Both together: for each limit the larger of those that are set.
    #[must_use]
    pub fn widen(self, other: &RoleLimits) -> RoleLimits {
        // `Option` orders `None` below every `Some`, so `max` is "the larger one that is set".
        RoleLimits {
            publish_rate_per_s: self.publish_rate_per_s.max(other.publish_rate_per_s),
            publish_bytes_per_s: self.publish_bytes_per_s.max(other.publish_bytes_per_s),
            subscriptions_max: self.subscriptions_max.max(other.subscriptions_max),
            queued_messages_max: self.queued_messages_max.max(other.queued_messages_max),
            queued_bytes_max: self.queued_bytes_max.max(other.queued_bytes_max),
            inflight_max: self.inflight_max.max(other.inflight_max),
            packet_bytes_max: self.packet_bytes_max.max(other.packet_bytes_max),
            retained_messages_max: self.retained_messages_max.max(other.retained_messages_max),
            retained_bytes_max: self.retained_bytes_max.max(other.retained_bytes_max),
            connections_max: self.connections_max.max(other.connections_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_limit_wins_and_an_unset_one_does_not_count() {
        let small = RoleLimits { inflight_max: Some(4), queued_bytes_max: Some(9), ..RoleLimits::default() };
        let large = RoleLimits { inflight_max: Some(8), connections_max: Some(0), ..RoleLimits::default() };
        let both = small.widen(&large);
        assert_eq!(both, large.widen(&small));
        assert_eq!(both.inflight_max, Some(8));
        assert_eq!(both.queued_bytes_max, Some(9));
        assert_eq!(both.connections_max, Some(0));
        assert_eq!(both.publish_rate_per_s, None);
    }
}
