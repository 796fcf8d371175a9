//! Decisions watched, and a policy staged.

use std::sync::Arc;

use bartizan_core::policy::Image;
use bartizan_core::server::activity::Activity;
use bartizan_core::server::observations::{Observations, Row};
use bartizan_core::server::observe::{Staged, Watch};

use super::World;

impl World {
    /// Watches decisions on all shards, beside a staged policy if there is one, and learns from listeners if told so.
    pub fn watch(&mut self, staged: Option<&str>, learns: bool) {
        self.watch_image(staged.map(|text| Arc::new(Image::load(text.as_bytes()).unwrap())), learns);
    }

    /// The same, beside a policy that is loaded.
    pub fn watch_image(&mut self, staged: Option<Arc<Image>>, learns: bool) {
        self.flush_all();
        let staged = staged.map(|image| Staged { image, schedule: Arc::default() });
        let learn = if learns { vec![Arc::clone(&self.rules.name)] } else { Vec::new() };
        self.put_watch(Some(Watch { learn, staged }));
    }

    /// Watches no more.
    pub fn look_away(&mut self) {
        self.put_watch(None);
    }

    fn put_watch(&mut self, watch: Option<Watch>) {
        for at in 0..self.shards.len() {
            let shard = &mut self.shards[at];
            shard.server.watch(watch.clone(), self.now, &mut shard.fx);
            self.perform(at);
        }
    }

    /// What identities did on all shards since the last time, by name.
    pub fn activity(&mut self) -> Activity {
        let mut sum = Activity::default();
        for shard in &mut self.shards {
            let one = shard.server.take_activity(self.now);
            sum.windows.extend(one.windows);
            sum.roles.extend(one.roles);
            sum.fresh.extend(one.fresh);
            sum.lost.windows += one.lost.windows;
            sum.lost.fresh += one.lost.fresh;
        }
        sum.windows.sort_by_key(|window| window.identity.to_string());
        sum.roles.sort_by_key(|row| row.0.to_string());
        sum.fresh.sort_by_key(|fresh| (fresh.identity.to_string(), fresh.action as u8, fresh.topic.to_string()));
        sum
    }

    /// What was observed on all shards since the last time.
    pub fn observed(&mut self) -> Observations {
        let mut sum = Observations::default();
        for shard in &mut self.shards {
            let one = shard.server.take_observations(true, self.now);
            sum.uses.extend(one.uses);
            sum.denials.extend(one.denials);
            sum.differences.extend(one.differences);
            sum.learned.extend(one.learned);
            sum.lost.denials += one.lost.denials;
            sum.lost.learned += one.lost.learned;
        }
        let order = |row: &Row| (row.identity.to_string(), row.action as u8, row.topic.to_string());
        for rows in [&mut sum.denials, &mut sum.differences, &mut sum.learned] {
            rows.sort_by_key(order);
        }
        sum.uses.sort_by_key(|one| (one.identity.to_string(), one.rule.to_string()));
        sum
    }
}
