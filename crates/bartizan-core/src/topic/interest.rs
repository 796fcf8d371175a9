//! Might a shard have a Subscription for a topic? Answered by its neighbours without a lock.
//!
//! Each shard keeps one table of counters and changes it as its Subscriptions come and go; the
//! others only read. The answer "no" is certain, "maybe" is checked by the shard itself.

use std::sync::atomic::{AtomicU32, Ordering};

use super::filter::{Level, TopicFilter};
use super::hash::topic_hash;
use super::name::TopicName;

/// Sizes of an [`Interest`] table, each rounded up to a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterestLimits {
    /// Counters for filters without wildcards, four octets each.
    pub exact_buckets: usize,
    /// Counters for filters whose first level is literal and a later one a wildcard.
    pub first_level_buckets: usize,
}

impl Default for InterestLimits {
    fn default() -> Self {
        InterestLimits { exact_buckets: 65_536, first_level_buckets: 4096 }
    }
}

/// Counters of one shard's Subscriptions, shared with all shards.
#[derive(Debug)]
pub struct Interest {
    exact: Box<[AtomicU32]>,
    first_level: Box<[AtomicU32]>,
    /// All that `first_level` counts: while it is 0 no level need be hashed.
    first_level_all: AtomicU32,
    leading_wildcard: AtomicU32,
}

impl Default for Interest {
    fn default() -> Self {
        Interest::new(InterestLimits::default())
    }
}

impl Interest {
    /// A table without interest.
    #[must_use]
    pub fn new(limits: InterestLimits) -> Self {
        let counters = |count: usize| std::iter::repeat_with(AtomicU32::default).take(count.next_power_of_two());
        Interest {
            exact: counters(limits.exact_buckets).collect(),
            first_level: counters(limits.first_level_buckets).collect(),
            first_level_all: AtomicU32::new(0),
            leading_wildcard: AtomicU32::new(0),
        }
    }

    /// Counts a Subscription that is new to the shard's index (not one that replaced another), before it is acknowledged.
    pub fn add(&self, filter: &TopicFilter<'_>) {
        self.counters_of(filter, |counter| {
            counter.fetch_add(1, Ordering::AcqRel);
        });
    }

    /// Takes back one [`Interest::add`] of the same filter.
    pub fn remove(&self, filter: &TopicFilter<'_>) {
        self.counters_of(filter, |counter| {
            counter.fetch_sub(1, Ordering::AcqRel);
        });
    }

    /// False if the shard certainly has no Subscription that matches; `hash` is the name's [`topic_hash`].
    #[must_use]
    #[inline]
    pub fn may_match(&self, name: &TopicName<'_>, hash: u64) -> bool {
        at(&self.exact, hash).is_some_and(is_set)
            || (is_set(&self.leading_wildcard) && !name.is_dollar())
            || (is_set(&self.first_level_all)
                && at(&self.first_level, topic_hash(name.first_level())).is_some_and(is_set))
    }

    fn counters_of(&self, filter: &TopicFilter<'_>, change: impl Fn(&AtomicU32)) {
        if !filter.has_wildcard() {
            at(&self.exact, topic_hash(filter.as_str())).into_iter().for_each(change);
        } else if let Level::Literal(first) = filter.first_level() {
            // `first_level_all` alone decides whether the bucket is looked at; a reader between
            // the two changes is one that reads before the SUBACK, and may miss.
            change(&self.first_level_all);
            at(&self.first_level, topic_hash(first)).into_iter().for_each(change);
        } else {
            change(&self.leading_wildcard);
        }
    }
}

/// The counter of a hash; tables have a power of two of them.
#[inline]
fn at(counters: &[AtomicU32], hash: u64) -> Option<&AtomicU32> {
    counters.get((hash as usize) & (counters.len() - 1))
}

#[inline]
fn is_set(counter: &AtomicU32) -> bool {
    counter.load(Ordering::Acquire) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(interest: &Interest, name: &str) -> bool {
        interest.may_match(&TopicName::parse(name).unwrap(), topic_hash(name))
    }

    #[test]
    fn interest_lasts_as_long_as_its_last_subscription() {
        for (filter, name) in
            [("a/b", "a/b"), ("a/+", "a/x"), ("+/b", "q/b"), ("#", "any"), ("a/#", "a"), ("$s/#", "$s")]
        {
            let (interest, filter) = (Interest::default(), TopicFilter::parse(filter).unwrap());
            assert!(!may(&interest, name));
            interest.add(&filter);
            interest.add(&filter);
            assert!(may(&interest, name), "{filter} {name}");
            interest.remove(&filter);
            assert!(may(&interest, name), "{filter} {name}");
            interest.remove(&filter);
            assert!(!may(&interest, name), "{filter} {name}");
        }
    }

    #[test]
    fn most_topics_without_subscription_are_known_to_be() {
        let interest = Interest::default();
        for device in 0..1000 {
            let exact = format!("exact/{device}");
            interest.add(&TopicFilter::parse(&exact).unwrap());
            interest.add(&TopicFilter::parse(&format!("site-{}/+", device % 50)).unwrap());
        }
        let wrong = (0..10_000).filter(|device| may(&interest, &format!("other-{device}/{device}"))).count();
        assert!(wrong < 500, "{wrong} of 10,000 asked in vain");
        assert!(!may(&interest, "$SYS/x"));
    }
}
