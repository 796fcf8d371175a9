//! What has changed in the subscription index, told narrowly: which cached routes still hold.
//!
//! A change concerns the names that begin with the literal levels of its filter, up to the first
//! wildcard: those of `devices/7/#` begin with `devices/7`. It is counted under the hash of these
//! levels, and a name asks for the counters of all its own beginnings. So ten thousand devices that
//! subscribe each second concern their own routes, and of others hardly any.

use super::filter::{Level, TopicFilter};
use super::hash::PathSeed;
use super::name::TopicName;

/// Counters, a power of two. Names whose beginnings share one by chance are routed once more.
const BUCKETS: usize = 8192;

/// How things stood for one name: kept beside what was derived from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// All changes until then. While there is none, nothing has to be looked up.
    changes: u64,
    /// Those that may concern the name.
    concerning: u64,
}

/// Counters of changes, by the names a change may concern.
#[derive(Debug)]
pub(super) struct Generations {
    buckets: Box<[u64]>,
    changes: u64,
}

impl Default for Generations {
    fn default() -> Self {
        Generations { buckets: vec![0; BUCKETS].into_boxed_slice(), changes: 0 }
    }
}

impl Generations {
    /// Counts a change of this filter's subscribers.
    pub(super) fn touch(&mut self, seed: PathSeed, filter: &TopicFilter<'_>) {
        self.changes += 1;
        let literal = |level| if let Level::Literal(text) = level { Some(text) } else { None };
        let beginning =
            filter.levels().map_while(literal).fold(seed.root(), |path, text| seed.below(path, seed.text(text)));
        if let Some(counter) = self.buckets.get_mut(bucket(beginning)) {
            *counter += 1;
        }
    }

    /// How things stand for a name now.
    pub(super) fn stamp(&self, seed: PathSeed, name: &TopicName<'_>) -> Stamp {
        Stamp { changes: self.changes, concerning: self.concerning(seed, name) }
    }

    /// True if nothing has changed for the name since the stamp, which then is as of now.
    #[inline]
    pub(super) fn holds(&self, seed: PathSeed, name: &TopicName<'_>, stamp: &mut Stamp) -> bool {
        if stamp.changes == self.changes {
            return true;
        }
        if stamp.concerning != self.concerning(seed, name) {
            return false;
        }
        stamp.changes = self.changes;
        true
    }

    /// The changes that may concern a name. Counters only grow, so their sum stands still exactly
    /// as long as each of them does.
    fn concerning(&self, seed: PathSeed, name: &TopicName<'_>) -> u64 {
        let at = |path| self.buckets.get(bucket(path)).copied().unwrap_or(0);
        let mut path = seed.root();
        // [MQTT-4.7.2-1]: a filter without literal beginning concerns no `$` topic.
        let mut changes = if name.is_dollar() { 0 } else { at(path) };
        for text in name.levels() {
            path = seed.below(path, seed.text(text));
            changes += at(path);
        }
        changes
    }
}

#[inline]
const fn bucket(path: u64) -> usize {
    (path as usize) & (BUCKETS - 1)
}
