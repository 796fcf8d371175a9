//! Quotas: how many of something may be held at once.

use std::sync::atomic::{AtomicU64, Ordering};

/// A bounded count with one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    max: u64,
    held: u64,
}

impl Quota {
    /// Nothing held of `max`.
    #[must_use]
    pub const fn new(max: u64) -> Self {
        Quota { max, held: 0 }
    }

    /// Takes `n` and says true, or takes nothing and says false.
    #[must_use]
    pub fn try_take(&mut self, n: u64) -> bool {
        match self.held.checked_add(n) {
            Some(held) if held <= self.max => {
                self.held = held;
                true
            }
            _ => false,
        }
    }

    /// Gives back `n` of what was taken.
    pub fn give(&mut self, n: u64) {
        self.held = self.held.saturating_sub(n);
    }

    /// Changes the bound; what is held above it stays, and nothing is taken until it is below.
    pub fn set_max(&mut self, max: u64) {
        self.max = max;
    }

    /// How many are held.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.held
    }

    /// How many can be taken.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.max.saturating_sub(self.held)
    }
}

/// A bounded count that shards share without a lock: connections, Retained Messages in all.
#[derive(Debug)]
pub struct SharedQuota {
    max: AtomicU64,
    held: AtomicU64,
}

impl SharedQuota {
    /// Nothing held of `max`.
    #[must_use]
    pub const fn new(max: u64) -> Self {
        SharedQuota { max: AtomicU64::new(max), held: AtomicU64::new(0) }
    }

    /// Takes `n` and says true, or takes nothing and says false; never exceeds the bound between shards.
    #[must_use]
    pub fn try_take(&self, n: u64) -> bool {
        let max = self.max.load(Ordering::Relaxed);
        let taken = |held: u64| held.checked_add(n).filter(|held| *held <= max);
        self.held.fetch_update(Ordering::AcqRel, Ordering::Relaxed, taken).is_ok()
    }

    /// Gives back `n` of what was taken.
    pub fn give(&self, n: u64) {
        let given = |held: u64| Some(held.saturating_sub(n));
        // The closure always answers, so this cannot fail.
        let _ = self.held.fetch_update(Ordering::AcqRel, Ordering::Relaxed, given);
    }

    /// Changes the bound; what is held above it stays, and nothing is taken until it is below.
    pub fn set_max(&self, max: u64) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// How many are held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

/// An unbounded count and its highest value since it was last asked: what metrics show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    value: u64,
    peak: u64,
}

impl Gauge {
    /// Counts `n` more.
    pub fn add(&mut self, n: u64) {
        self.value = self.value.saturating_add(n);
        self.peak = self.peak.max(self.value);
    }

    /// Counts `n` fewer.
    pub fn sub(&mut self, n: u64) {
        self.value = self.value.saturating_sub(n);
    }

    /// The count now.
    #[must_use]
    pub const fn value(&self) -> u64 {
        self.value
    }

    /// The highest count since the last call of this.
    pub fn take_peak(&mut self) -> u64 {
        std::mem::replace(&mut self.peak, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_gives_all_or_nothing() {
        let mut quota = Quota::new(10);
        assert!(quota.try_take(7));
        assert!(!quota.try_take(4));
        assert!(quota.try_take(3));
        assert!(!quota.try_take(1));
        assert!(quota.try_take(0));
        assert!(!quota.try_take(u64::MAX));
        quota.give(4);
        assert_eq!((quota.held(), quota.free()), (6, 4));
        quota.give(100);
        assert_eq!(quota.held(), 0);
    }

    #[test]
    fn a_lowered_bound_takes_nothing_away_and_lets_nothing_in() {
        let mut quota = Quota::new(10);
        assert!(quota.try_take(8));
        quota.set_max(5);
        assert_eq!((quota.held(), quota.free()), (8, 0));
        assert!(!quota.try_take(1));
        quota.give(4);
        assert!(quota.try_take(1));
    }

    #[test]
    fn shards_together_never_exceed_a_shared_quota() {
        let quota = SharedQuota::new(100);
        let taken = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        if quota.try_take(3) {
                            assert!(quota.held() <= 100);
                            taken.fetch_add(1, Ordering::Relaxed);
                            quota.give(1);
                        }
                    }
                });
            }
        });
        assert_eq!(quota.held(), taken.load(Ordering::Relaxed) * 2);
        assert!(quota.held() > 94, "takers went on while there was room");
        quota.give(u64::MAX);
        assert_eq!(quota.held(), 0);
    }

    #[test]
    fn a_gauge_remembers_its_peak_until_asked() {
        let mut gauge = Gauge::default();
        gauge.add(5);
        gauge.sub(3);
        assert_eq!((gauge.value(), gauge.take_peak(), gauge.take_peak()), (2, 5, 2));
        gauge.sub(10);
        assert_eq!(gauge.value(), 0);
    }
}
