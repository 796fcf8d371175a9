//! Identities changed a few at a time.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_core::server::apply::Change;
use bartizan_core::server::update::{Ended, Ending, Update};
use bartizan_core::wire::ReasonCode;

use super::{World, identity};

impl World {
    /// These identities have these roles from now on; without roles they are gone. Sessions of those in `endings` end.
    pub fn update(&mut self, changed: &[(&str, Option<&[&str]>)], endings: &[&str]) -> Vec<Ended> {
        let entries =
            changed.iter().map(|(name, roles)| (Arc::from(*name), roles.map(|roles| identity(name, roles).1)));
        let identities = Arc::new(self.change.identities.with(entries));
        let epoch = self.change.epoch + 1;
        // Revoked in the world, so that its authenticators know it too.
        self.change = Change { identities: Arc::clone(&identities), epoch, ..self.change.clone() };
        let ending = || Ending { reason: ReasonCode::AdministrativeAction, why: Arc::from("revoked") };
        let update = Update {
            identities,
            changed: Arc::new(changed.iter().map(|(name, _)| Arc::from(*name)).collect()),
            revoked: Arc::default(),
            endings: Arc::new(endings.iter().map(|name| (Arc::from(*name), ending())).collect::<HashMap<_, _>>()),
            epoch,
        };
        let mut ended = Vec::new();
        for at in 0..self.shards.len() {
            let shard = &mut self.shards[at];
            ended.extend(shard.server.update(&update, self.now, &mut shard.fx));
            self.perform(at);
        }
        ended
    }

    /// Removes what these identities retain.
    pub fn clear_retained_of(&mut self, identities: &[&str]) -> usize {
        let shard = &mut self.shards[0];
        let names = identities.iter().map(|name| Arc::from(*name)).collect();
        let removed = shard.server.clear_retained_of(&names, &mut shard.fx);
        self.perform(0);
        removed
    }
}
