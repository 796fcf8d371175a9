//! How often each limit was met: one counter per limit, so that metrics can name it.

use super::common::Counter;

macro_rules! limits_met {
    ($($limit:ident),* $(,)?) => {
        /// One shard's count of every limit met. A limit's name is its setting's.
        #[derive(Debug, Default)]
        pub struct LimitsMet { $($limit: Counter),* }

        impl LimitsMet {
            /// Counts one more. A name that is no limit is a slip of ours: tests find it.
            pub fn add(&self, limit: &str) {
                match limit {
                    $(stringify!($limit) => self.$limit.add(1),)*
                    _ => debug_assert!(false, "{limit} is no limit that is counted"),
                }
            }

            /// Every count, by `limits_met/NAME`.
            pub fn values(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((concat!("limits_met/", stringify!($limit)), self.$limit.get())),*].into_iter()
            }
        }
    };
}

limits_met! {
    connections_max,
    connections_per_identity_max,
    connections_per_prefix_max,
    connection_rate_per_prefix_per_s,
    handshake_timeout_s,
    connect_timeout_s,
    connect_bytes_max,
    packet_bytes_max,
    property_bytes_max,
    topic_levels_max,
    topic_bytes_max,
    topic_alias_max,
    receive_max,
    subscriptions_per_session_max,
    queued_messages_max,
    queued_bytes_max,
    out_buffer_bytes_max,
    retained_messages_max,
    retained_bytes_max,
    retained_messages_per_identity_max,
    retained_bytes_per_identity_max,
    publish_rate_per_s,
    publish_bytes_per_s,
    publish_excess_max_s,
    tenant_connections_max,
    tenant_subscriptions_max,
    tenant_retained_messages_max,
    tenant_retained_bytes_max,
    tenant_publish_rate_per_s,
    tenant_publish_bytes_per_s,
    // Those of the lane of commands.
    control_requests_max,
    control_bytes_max,
    // The client's own, from its CONNECT.
    maximum_packet_size,
}
