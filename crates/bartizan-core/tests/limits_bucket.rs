//! The token bucket against its promise: over any stretch of time, burst plus rate, and no more.

use bartizan_core::limits::TokenBucket;
use bartizan_core::message::Time;
use proptest::prelude::*;

proptest! {
    #[test]
    fn nobody_gets_more_than_the_burst_and_the_rate_and_waiting_always_helps(
        rate in 1..5000_u32,
        burst in 1..5000_u32,
        takes in prop::collection::vec((0..500_u64, 0..10_000_u64), 1..100),
    ) {
        let mut now = 1_000_000;
        let mut bucket = TokenBucket::new(rate, burst, Time(now));
        let (mut taken, start) = (0_u64, now);
        for (pause_ms, n) in takes {
            now += pause_ms;
            // Counted in thousandths of a token, before this take: a take may run into debt once,
            // but only from what the burst and the rate had left.
            let allowed = u64::from(burst) * 1000 + (now - start) * u64::from(rate);
            match bucket.take(n, Time(now)) {
                Ok(()) => {
                    prop_assert!(taken + n.min(u64::from(burst)) * 1000 <= allowed);
                    taken += n * 1000;
                }
                Err(wait_ms) => {
                    prop_assert!(wait_ms > 0);
                    let mut patient = bucket.clone();
                    prop_assert_eq!(patient.take(n, Time(now + wait_ms)), Ok(()), "waiting as told is enough");
                    let mut hasty = bucket.clone();
                    prop_assert!(hasty.take(n, Time(now + wait_ms - 1)).is_err(), "and needed");
                }
            }
        }
    }
}
