//! Decisions watched on every shard: what is used, what is denied, what a staged policy would decide otherwise. And
//! what identities do, for detectors, which look more often.

use bartizan_core::server::activity::Activity;
use bartizan_core::server::observations::Observations;
use bartizan_core::server::observe::Watch;

use crate::engine::{ANSWER_MAX, Engine, EngineError, ask_all, ask_every};
use crate::mailbox::Mail;

impl Engine {
    /// Watches decisions from now on, or with `None` no more. Nothing is decided otherwise for it.
    ///
    /// # Errors
    /// `State` where nothing runs, or a shard does not answer in time.
    pub fn watch(&self, watch: Option<&Watch>) -> Result<(), EngineError> {
        let shared = self.shared().ok_or(EngineError::State("the engine is not running"))?;
        ask_every(&shared, |done| Mail::Watch(watch.cloned(), done))?;
        Ok(())
    }

    /// What each shard observed since the last time, with the rules that were used or without.
    #[must_use]
    pub fn take_observations(&self, with_uses: bool) -> Vec<Observations> {
        let shared = self.shared();
        shared.map_or_else(Vec::new, |shared| ask_all(&shared, ANSWER_MAX, |done| Mail::Observed(with_uses, done)))
    }

    /// What identities did since the last time, by shard. It is counted from the first time on.
    #[must_use]
    pub fn take_activity(&self) -> Vec<Activity> {
        self.shared().map_or_else(Vec::new, |shared| ask_all(&shared, ANSWER_MAX, Mail::Active))
    }
}
