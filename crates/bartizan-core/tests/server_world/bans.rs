//! Who is banned, who is throttled, and Sessions that are discarded.

use std::sync::Arc;

use bartizan_core::server::bans::{Bans, Cut};
use bartizan_core::server::throttle::{Throttle, Throttles};
use bartizan_core::server::update::Ended;

use super::World;

impl World {
    /// Puts bans into force on all shards.
    pub fn ban(&mut self, fill: impl Fn(&mut Bans)) -> Vec<Cut> {
        let mut bans = Bans::default();
        fill(&mut bans);
        let bans = Arc::new(bans);
        let mut cut = Vec::new();
        for at in 0..self.shards.len() {
            let shard = &mut self.shards[at];
            cut.extend(shard.server.ban(Arc::clone(&bans), self.now, &mut shard.fx));
            self.perform(at);
        }
        cut
    }

    /// Throttles these identities, to so many messages a second.
    pub fn throttle(&mut self, throttles: &[(&str, u64)]) {
        let rates = |rate| Throttle { publish_rate_per_s: rate, publish_bytes_per_s: 0 };
        let throttles: Arc<Throttles> =
            Arc::new(throttles.iter().map(|(name, rate)| (Arc::from(*name), rates(*rate))).collect());
        for shard in &mut self.shards {
            shard.server.throttle(Arc::clone(&throttles));
        }
    }

    /// Discards a Session, wherever it is.
    pub fn discard(&mut self, client_id: &str) -> Vec<Ended> {
        let mut ended = Vec::new();
        for at in 0..self.shards.len() {
            let shard = &mut self.shards[at];
            ended.extend(shard.server.discard(client_id, self.now, &mut shard.fx));
            self.perform(at);
        }
        ended
    }
}
