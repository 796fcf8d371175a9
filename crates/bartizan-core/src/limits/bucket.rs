//! A token bucket: a long-run rate with room for bursts.

use crate::message::Time;

/// Thousandths of a token: one per millisecond is one token per second, so nothing is rounded.
const PARTS: i64 = 1000;

/// So many tokens per second, and so many at once.
///
/// Taking more than `burst` at once is possible from a full bucket and leaves a debt that later
/// takers wait for: a packet larger than the burst is slowed, never stuck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    rate_per_s: u32,
    burst: u32,
    /// Thousandths of a token; below 0 is debt.
    level: i64,
    filled_at: Time,
}

impl TokenBucket {
    /// A full bucket. A `burst` of 0 is taken as 1, since nothing would ever pass it; a rate of 0
    /// lets the burst pass and then nothing.
    #[must_use]
    pub fn new(rate_per_s: u32, burst: u32, now: Time) -> Self {
        let burst = burst.max(1);
        TokenBucket { rate_per_s, burst, level: i64::from(burst) * PARTS, filled_at: now }
    }

    /// Takes `n` tokens.
    ///
    /// # Errors
    /// If there are not enough: the milliseconds until there will be, if nobody else takes any;
    /// `u64::MAX` if there never will. Nothing is taken then.
    pub fn take(&mut self, n: u64, now: Time) -> Result<(), u64> {
        self.fill(now);
        let parts = i64::try_from(n).unwrap_or(i64::MAX).saturating_mul(PARTS);
        let missing = parts.min(self.full()).saturating_sub(self.level);
        if missing <= 0 {
            self.level = self.level.saturating_sub(parts);
            return Ok(());
        }
        if self.rate_per_s == 0 {
            return Err(u64::MAX);
        }
        Err(missing.unsigned_abs().div_ceil(u64::from(self.rate_per_s)))
    }

    /// Takes `n` tokens, there or not, and says how many milliseconds it takes to pay them back:
    /// for what cannot be handed back, such as a packet that has been read.
    #[must_use]
    pub fn spend(&mut self, n: u64, now: Time) -> u64 {
        self.fill(now);
        let parts = i64::try_from(n).unwrap_or(i64::MAX).saturating_mul(PARTS);
        self.level = self.level.saturating_sub(parts);
        match (self.level, self.rate_per_s) {
            (0.., _) => 0,
            (_, 0) => u64::MAX,
            (debt, rate) => debt.unsigned_abs().div_ceil(u64::from(rate)),
        }
    }

    /// Changes the rate and the burst; what was saved is kept as far as the new burst holds it.
    pub fn reshape(&mut self, rate_per_s: u32, burst: u32, now: Time) {
        self.fill(now);
        self.rate_per_s = rate_per_s;
        self.burst = burst.max(1);
        self.level = self.level.min(self.full());
    }

    /// True if it is full: then it may be forgotten and made anew without anyone noticing.
    #[must_use]
    pub fn is_full(&mut self, now: Time) -> bool {
        self.fill(now);
        self.level == self.full()
    }

    fn full(&self) -> i64 {
        i64::from(self.burst) * PARTS
    }

    fn fill(&mut self, now: Time) {
        let gained = now.since(self.filled_at).saturating_mul(u64::from(self.rate_per_s));
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        self.level = self.level.saturating_add(gained).min(self.full());
        self.filled_at = self.filled_at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_unasked_is_paid_back_before_anything_else_passes() {
        let mut bucket = TokenBucket::new(10, 2, Time(0));
        assert_eq!((bucket.spend(1, Time(0)), bucket.spend(1, Time(0))), (0, 0));
        assert_eq!(bucket.spend(1, Time(0)), 100);
        assert_eq!(bucket.spend(0, Time(100)), 0);
        assert_eq!(bucket.spend(1, Time(100)), 100);
        let waits: u64 = (0..10).map(|second| bucket.spend(10, Time(1_000 * (second + 1)))).sum();
        assert!(waits > 0, "ten a second, and no more, is what it lets through");
        assert_eq!(TokenBucket::new(0, 1, Time(0)).spend(2, Time(0)), u64::MAX);
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = TokenBucket::new(10, 3, Time(0));
        for _ in 0..3 {
            assert_eq!(bucket.take(1, Time(0)), Ok(()));
        }
        assert_eq!(bucket.take(1, Time(0)), Err(100));
        assert_eq!(bucket.take(1, Time(99)), Err(1));
        assert_eq!(bucket.take(1, Time(100)), Ok(()));
        assert_eq!(bucket.take(1, Time(100)), Err(100));
    }

    #[test]
    fn tokens_are_not_saved_beyond_the_burst() {
        let mut bucket = TokenBucket::new(1000, 2, Time(0));
        assert!(bucket.is_full(Time(0)));
        assert_eq!(bucket.take(2, Time(1_000_000)), Ok(()));
        assert_eq!(bucket.take(1, Time(1_000_000)), Err(1));
        assert!(!bucket.is_full(Time(1_000_001)));
        assert!(bucket.is_full(Time(1_000_002)));
    }

    #[test]
    fn more_than_the_burst_passes_once_and_is_paid_later() {
        let mut bucket = TokenBucket::new(10, 10, Time(0));
        assert_eq!(bucket.take(30, Time(0)), Ok(()));
        assert_eq!(bucket.take(1, Time(0)), Err(2100));
        assert_eq!(bucket.take(1, Time(2100)), Ok(()));
    }

    #[test]
    fn no_rate_is_never_and_no_burst_is_one() {
        let mut bucket = TokenBucket::new(0, 0, Time(0));
        assert_eq!(bucket.take(1, Time(0)), Ok(()));
        assert_eq!(bucket.take(1, Time(u64::MAX)), Err(u64::MAX));
        assert_eq!(bucket.take(0, Time(u64::MAX)), Ok(()));
    }

    #[test]
    fn extremes_neither_overflow_nor_give_away() {
        let mut bucket = TokenBucket::new(u32::MAX, u32::MAX, Time(u64::MAX));
        assert_eq!(bucket.take(u64::MAX, Time(0)), Ok(()));
        assert!(bucket.take(1, Time(0)).is_err());
        let mut bucket = TokenBucket::new(u32::MAX, u32::MAX, Time(0));
        assert_eq!(bucket.take(1, Time(u64::MAX)), Ok(()));
        assert_eq!(bucket.take(u64::MAX, Time(u64::MAX)), Err(1));
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing_and_costs_nothing() {
        let mut bucket = TokenBucket::new(10, 1, Time(1000));
        assert_eq!(bucket.take(1, Time(1000)), Ok(()));
        assert_eq!(bucket.take(1, Time(0)), Err(100));
        assert_eq!(bucket.take(1, Time(1000)), Err(100));
        assert_eq!(bucket.take(1, Time(1100)), Ok(()));
    }

    #[test]
    fn a_new_shape_keeps_debts_and_cuts_savings() {
        let mut bucket = TokenBucket::new(10, 10, Time(0));
        bucket.reshape(10, 2, Time(0));
        assert_eq!(bucket.take(2, Time(0)), Ok(()));
        bucket.reshape(1000, 100, Time(0));
        assert_eq!(bucket.take(1, Time(0)), Err(1));
    }
}
