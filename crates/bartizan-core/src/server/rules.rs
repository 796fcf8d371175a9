//! What the server is told at start: limits and rules of each listener. Python owns the
//! defaults a user sees; those here are for tests and equal them.

use std::sync::Arc;

use serde::Deserialize;

use crate::durable::Durability;
use crate::limits::TokenBucket;
use crate::message::Time;
use crate::policy::RoleLimits;
use crate::session::connection::Rates;
use crate::wire::Version;

/// Every limit of a listener. Units are in the names; what meeting one does is told in the
/// settings reference.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Limits {
    pub connections_max: u64,
    pub connections_per_identity_max: u64,
    pub connections_per_prefix_max: u64,
    pub connection_rate_per_prefix_per_s: u64,
    pub connection_burst_per_prefix: u64,
    pub handshake_timeout_s: f64,
    pub connect_timeout_s: f64,
    pub connect_bytes_max: u32,
    pub packet_bytes_max: u32,
    pub property_bytes_max: u32,
    pub topic_levels_max: u32,
    pub topic_bytes_max: u32,
    pub subscriptions_per_session_max: u32,
    pub inflight_max: u16,
    pub receive_max: u16,
    pub topic_alias_max: u16,
    pub queued_messages_max: u32,
    pub queued_bytes_max: u64,
    pub out_buffer_bytes_max: u32,
    pub retained_messages_max: u64,
    pub retained_bytes_max: u64,
    pub retained_messages_per_identity_max: u64,
    pub retained_bytes_per_identity_max: u64,
    pub publish_rate_per_s: u64,
    pub publish_burst: u64,
    pub publish_bytes_per_s: u64,
    pub publish_excess_max_s: f64,
    pub keep_alive_min_s: u16,
    pub keep_alive_max_s: u16,
    pub session_expiry_max_s: u32,
    pub will_delay_max_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 100_000,
            connections_per_identity_max: 16,
            connections_per_prefix_max: 1_000,
            connection_rate_per_prefix_per_s: 100,
            connection_burst_per_prefix: 500,
            handshake_timeout_s: 10.0,
            connect_timeout_s: 10.0,
            connect_bytes_max: 65_536,
            packet_bytes_max: 1_048_576,
            property_bytes_max: 16_384,
            topic_levels_max: 32,
            topic_bytes_max: 1_024,
            subscriptions_per_session_max: 256,
            inflight_max: 64,
            receive_max: 64,
            topic_alias_max: 32,
            queued_messages_max: 1_000,
            queued_bytes_max: 16_777_216,
            out_buffer_bytes_max: 4_194_304,
            retained_messages_max: 1_000_000,
            retained_bytes_max: 1_073_741_824,
            retained_messages_per_identity_max: 10_000,
            retained_bytes_per_identity_max: 67_108_864,
            publish_rate_per_s: 1_000,
            publish_burst: 5_000,
            publish_bytes_per_s: 10_485_760,
            publish_excess_max_s: 60.0,
            keep_alive_min_s: 0,
            keep_alive_max_s: 3_600,
            session_expiry_max_s: 604_800,
            will_delay_max_s: 86_400,
        }
    }
}

impl Limits {
    /// What a client's publishing is measured with: full buckets; a limit of 0 is none.
    #[must_use]
    pub fn rates(&self, now: Time) -> Rates {
        let bucket = |rate: u64, burst: u64| {
            let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            (rate > 0).then(|| TokenBucket::new(narrow(rate), narrow(burst.max(rate)), now))
        };
        Rates {
            messages: bucket(self.publish_rate_per_s, self.publish_burst),
            octets: bucket(self.publish_bytes_per_s, self.publish_bytes_per_s),
            excess: None,
            topics: Vec::new(),
        }
    }

    /// These limits as an identity's roles change them.
    #[must_use]
    pub fn for_roles(&self, roles: &RoleLimits) -> Limits {
        let mut limits = self.clone();
        let wide = |role: Option<u64>, listener: u64| role.unwrap_or(listener);
        let narrow32 =
            |role: Option<u64>, listener: u32| role.map_or(listener, |n| u32::try_from(n).unwrap_or(u32::MAX));
        let narrow16 =
            |role: Option<u64>, listener: u16| role.map_or(listener, |n| u16::try_from(n).unwrap_or(u16::MAX));
        limits.connections_per_identity_max = wide(roles.connections_max, self.connections_per_identity_max);
        limits.publish_rate_per_s = wide(roles.publish_rate_per_s, self.publish_rate_per_s);
        limits.publish_bytes_per_s = wide(roles.publish_bytes_per_s, self.publish_bytes_per_s);
        limits.queued_bytes_max = wide(roles.queued_bytes_max, self.queued_bytes_max);
        limits.retained_messages_per_identity_max =
            wide(roles.retained_messages_max, self.retained_messages_per_identity_max);
        limits.retained_bytes_per_identity_max = wide(roles.retained_bytes_max, self.retained_bytes_per_identity_max);
        limits.subscriptions_per_session_max = narrow32(roles.subscriptions_max, self.subscriptions_per_session_max);
        limits.queued_messages_max = narrow32(roles.queued_messages_max, self.queued_messages_max);
        limits.packet_bytes_max = narrow32(roles.packet_bytes_max, self.packet_bytes_max);
        limits.inflight_max = narrow16(roles.inflight_max, self.inflight_max).max(1);
        limits
    }
}

/// What a client that publishes without permission over 3.1.1 gets: the protocol has no code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeniedPublish {
    /// Its connection is closed.
    #[default]
    Close,
    /// The message is dropped and acknowledged.
    Ignore,
}

/// The rules of one listener.
#[derive(Clone, Debug)]
pub struct ListenerRules {
    /// Its name.
    pub name: Arc<str>,
    /// "mqtt", "mqtts", "ws", "wss" or "unix".
    pub transport: &'static str,
    /// The protocols it speaks.
    pub versions: Vec<Version>,
    /// True when `danger_anonymous` admits clients without a credential.
    pub anonymous: bool,
    /// True when `danger_ignore_credentials` admits clients whatever User Name they present.
    pub ignores_credentials: bool,
    /// What a denied 3.1.1 PUBLISH gets.
    pub denied_publish_v3: DeniedPublish,
    /// Response Information, `{client_id}` in it replaced; none is sent without.
    pub response_information: Option<Arc<str>>,
    /// What an acknowledgement on it means.
    pub durability: Durability,
    /// Its limits.
    pub limits: Arc<Limits>,
}

impl Default for ListenerRules {
    fn default() -> Self {
        ListenerRules {
            name: Arc::from("test"),
            transport: "mqtt",
            versions: vec![Version::V311, Version::V5],
            anonymous: false,
            ignores_credentials: false,
            denied_publish_v3: DeniedPublish::Close,
            response_information: None,
            durability: Durability::default(),
            limits: Arc::new(Limits::default()),
        }
    }
}
