//! A start: what the store holds goes back to the shards that it belongs to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_core::durable::Loaded;
use bartizan_core::server::apply::Change;
use bartizan_core::server::{Common, Effects, ListenerRules, Server, restore};

use crate::engine::EngineError;
use crate::shard::Shared;
use crate::store::Mutation;

/// How far a start has come.
#[derive(Debug, Default)]
pub struct Recovery {
    sessions: AtomicU64,
    messages: AtomicU64,
}

impl Recovery {
    /// Sessions and messages taken back so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.sessions.load(Ordering::Relaxed), self.messages.load(Ordering::Relaxed))
    }

    fn count(&self, loaded: &Loaded) {
        match loaded {
            Loaded::Session(_) => self.sessions.fetch_add(1, Ordering::Relaxed),
            Loaded::Queued { .. } | Loaded::Waiting { .. } | Loaded::Retained { .. } => {
                self.messages.fetch_add(1, Ordering::Relaxed)
            }
            Loaded::Subscription { .. } | Loaded::Received { .. } | Loaded::Will { .. } => 0,
        };
    }

    /// Makes every shard's server and hands it what the store holds for it.
    pub(crate) fn run(
        &self,
        shared: &Arc<Shared>,
        common: &Arc<Common>,
        rules: &[ListenerRules],
        change: &Change,
        shards: usize,
    ) -> Result<Vec<Server>, EngineError> {
        let now = shared.clock.now();
        let mut fx = Effects::default();
        let mut servers = Vec::new();
        for shard in 0..shards {
            let mut seed = [0_u8; 8];
            aws_lc_rs::rand::fill(&mut seed).map_err(|_| EngineError::State("the system gives no random numbers"))?;
            let mut server = Server::new(shard, Arc::clone(common), rules.to_vec(), u64::from_ne_bytes(seed));
            server.make_room();
            server.apply(change.clone(), now, &mut fx);
            servers.push(server);
        }
        let mut fetches = Vec::new();
        let mut changes: Vec<Vec<Mutation>> = vec![Vec::new(); shards];
        shared.store.load_places(&mut |loaded| {
            self.count(&loaded);
            let home = restore::home_of(&loaded, shards);
            if let Some(server) = servers.get_mut(home) {
                server.restore(loaded, now, &mut fx);
            }
            if let Some(changes) = changes.get_mut(home) {
                changes.append(&mut fx.mutations);
            }
            fetches.extend(fx.fetches.drain(..).map(|fetch| (home, fetch)));
        })?;
        for (shard, changes) in changes.into_iter().enumerate() {
            if !changes.is_empty() {
                shared.store.submit(shard, changes);
            }
        }
        for (shard, fetch) in fetches {
            shared.store.fetch(shard, fetch);
        }
        for (shard, forwards) in fx.forwards.take() {
            if let Some(mailbox) = shared.mailboxes.get(shard) {
                mailbox.forward(forwards, None);
            }
        }
        if shared.events.push(fx.events.drain(..)) {
            shared.bell.ring();
        }
        Ok(servers)
    }
}
