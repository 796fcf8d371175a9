//! What the engine needs in order to time this shard: core itself reads no clock (I1).

use super::Server;
use crate::policy::Asked;
use crate::session::ConnectionKey;
use crate::topic::TopicName;
use crate::wire::QoS;

impl Server {
    /// PUBLISH packets received and sent by this shard.
    #[must_use]
    pub fn publishes(&self) -> (u64, u64) {
        let counters = self.counters();
        (counters.publish_received.get(), counters.publish_sent.get())
    }

    /// Decides once more whether a client may publish to the topic that was routed last of those that recur, and forgets
    /// the answer: for whoever times it. False where there is none.
    #[must_use]
    pub fn decide_again(&self, key: ConnectionKey) -> bool {
        let topic = self.last_route.topic.as_str();
        let Some(open) = self.connections.get(key).and_then(|connection| connection.open()) else { return false };
        if topic.is_empty() {
            return false;
        }
        let asked = Asked::plain(QoS::AtMostOnce, false, 0);
        let decision = open.grants.publish(&TopicName::assume_parsed(topic), &asked);
        std::hint::black_box(decision.allow);
        true
    }
}
