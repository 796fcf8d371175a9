//! What the world's shards tell whoever looks.

use bartizan_core::server::carried::{Carried, Traffic};
use bartizan_core::server::inspect::{HeldSubscription, Sought};
use bartizan_core::server::listing::Listed;

use super::World;

impl World {
    /// Client Identifiers of connected clients, as each shard lists them.
    pub fn listed(&self, listed: &Listed) -> Vec<String> {
        let found = self.shards.iter().flat_map(|shard| shard.server.list(listed));
        found.map(|client| client.client_id.to_string()).collect()
    }

    /// Subscriptions of all shards, so many Sessions a page.
    pub fn held(&self, sought: &Sought, sessions_max: usize) -> Vec<HeldSubscription> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut next = Some(0);
            while let Some(from) = next {
                let (found, more) = shard.server.subscriptions_page(sought, from, sessions_max);
                all.extend(found);
                next = more;
            }
        }
        all.sort_by_key(|one| (one.client_id.to_string(), one.subscription.filter.to_string()));
        all
    }

    /// What topics have carried on all shards.
    pub fn traffic(&mut self) -> Vec<(String, Carried)> {
        let mut all = Vec::new();
        for shard in &mut self.shards {
            let Traffic { topics, .. } = shard.server.traffic(self.now);
            all.extend(topics.into_iter().map(|(topic, carried)| (topic.into(), carried)));
        }
        all.sort_by(|(one, _), (other, _): &(String, Carried)| one.cmp(other));
        all
    }
}
