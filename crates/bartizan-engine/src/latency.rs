//! How long things take: counted in buckets that one thread writes and anyone reads.
//!
//! The buckets' ends are 1, 2 and 5 of each power of ten, from 100 ns to 10 s: as fine for what takes
//! a microsecond as for what takes a second, and never more than a factor of 2.5 off.

use std::time::Duration;

use bartizan_core::server::common::Counter;

/// Upper ends of the buckets, in nanoseconds; behind the last one lies what took longer.
pub const ENDS_NS: [u64; 25] = [
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// A histogram.
#[derive(Debug, Default)]
pub struct Latency {
    counts: [Counter; ENDS_NS.len() + 1],
    sum_ns: Counter,
}

impl Latency {
    /// Counts one. By one thread only.
    pub fn add(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get(ENDS_NS.partition_point(|end| *end < ns)) {
            count.add(1);
        }
        self.sum_ns.add(ns);
    }

    /// Adds to `totals` what was counted: `NAME_ns/END` for each bucket by itself, `NAME_ns/inf`
    /// for the last, and `NAME_ns/sum`.
    pub fn add_to(&self, name: &str, totals: &mut Totals) {
        self.add_to_each(name, "", totals);
    }

    /// The same where there are several: `of`, which begins with `/`, says behind each number which one it is.
    pub fn add_to_each(&self, name: &str, of: &str, totals: &mut Totals) {
        for (at, count) in self.counts.iter().enumerate() {
            let end = ENDS_NS.get(at).map_or_else(|| "inf".to_owned(), u64::to_string);
            totals.add(format!("{name}_ns/{end}{of}"), count.get());
        }
        totals.add(format!("{name}_ns/sum{of}"), self.sum_ns.get());
    }
}

/// Numbers by name, those of the same name added up.
#[derive(Debug, Default)]
pub struct Totals(std::collections::BTreeMap<String, u64>);

impl Totals {
    /// Adds.
    pub fn add(&mut self, name: impl Into<String>, value: u64) {
        let total = self.0.entry(name.into()).or_default();
        *total = total.saturating_add(value);
    }

    /// All of them, in order of name.
    #[must_use]
    pub fn into_inner(self) -> std::collections::BTreeMap<String, u64> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_as_long_as_a_bucket_ends_is_in_it_and_what_takes_longer_behind_it() {
        let latency = Latency::default();
        for ns in [0, 100, 101, 5_000_000_000, 10_000_000_001] {
            latency.add(Duration::from_nanos(ns));
        }
        let mut totals = Totals::default();
        latency.add_to("trip", &mut totals);
        let found: Vec<(String, u64)> = totals.into_inner().into_iter().filter(|(_, count)| *count > 0).collect();
        let expected = [
            ("trip_ns/100", 2),
            ("trip_ns/200", 1),
            ("trip_ns/5000000000", 1),
            ("trip_ns/inf", 1),
            ("trip_ns/sum", 15_000_000_202),
        ];
        assert_eq!(found, expected.map(|(name, count)| (name.to_owned(), count)));
    }

    #[test]
    fn histograms_of_several_threads_are_one() {
        let (first, second) = (Latency::default(), Latency::default());
        first.add(Duration::from_nanos(7));
        second.add(Duration::from_nanos(8));
        let mut totals = Totals::default();
        first.add_to("trip", &mut totals);
        second.add_to("trip", &mut totals);
        let totals = totals.into_inner();
        assert_eq!((totals.get("trip_ns/100"), totals.get("trip_ns/sum")), (Some(&2), Some(&15)));
    }
}
