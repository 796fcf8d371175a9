//! Decisions watched on every shard: what is used, what is denied, what a staged policy would decide otherwise. And
//! what identities do, for detectors, which look more often: in portions of JSON, for thousands of rows may have come
//! in one second, and whoever reads them all at once takes ten times the memory.

use bartizan_core::server::activity::{RoleRow, Unfit};
use bartizan_core::server::observations::Observations;
use bartizan_core::server::observe::Watch;
use serde::Serialize;

use crate::engine::{ANSWER_MAX, Engine, EngineError, ask_all, ask_every};
use crate::mailbox::Mail;

/// Rows of one portion.
const PORTION_ROWS: usize = 512;

/// What identities did, in JSON.
#[derive(Debug)]
pub struct Taken {
    /// A list of the figures of each shard.
    pub figures: Vec<u8>,
    /// Lists of rows of what is fresh, in the order of time.
    pub fresh: Vec<Vec<u8>>,
    /// Lists of windows.
    pub windows: Vec<Vec<u8>>,
}

#[derive(Serialize)]
struct Figures {
    roles: Vec<RoleRow>,
    lost: Unfit,
}

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

    /// What identities did since the last time. It is counted from the first time on.
    #[must_use]
    pub fn take_activity(&self) -> Taken {
        let shards = self.shared().map_or_else(Vec::new, |shared| ask_all(&shared, ANSWER_MAX, Mail::Active));
        let (mut figures, mut fresh, mut windows) = (Vec::new(), Vec::new(), Vec::new());
        for shard in shards {
            figures.push(Figures { roles: shard.roles, lost: shard.lost });
            fresh.extend(shard.fresh);
            windows.extend(shard.windows);
        }
        fresh.sort_by_key(|row| row.at_ms);
        Taken { figures: json(&figures), fresh: portions(&fresh), windows: portions(&windows) }
    }
}

fn portions(rows: &[impl Serialize]) -> Vec<Vec<u8>> {
    rows.chunks(PORTION_ROWS).map(|rows| json(&rows)).collect()
}

/// Text and numbers: nothing of it can't be written.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|_| b"[]".to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_portion_is_larger_than_one_and_no_row_is_left_out() {
        let rows: Vec<usize> = (0..2 * PORTION_ROWS + 1).collect();
        let read: Vec<Vec<usize>> =
            portions(&rows).iter().map(|portion| serde_json::from_slice(portion).unwrap()).collect();
        assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [PORTION_ROWS, PORTION_ROWS, 1]);
        assert_eq!(read.concat(), rows);
        assert!(portions(&[0; 0]).is_empty());
    }
}
