//! The subscription index of one shard: who gets a message published to a name.
//!
//! Exact filters stand in one table and cost one probe; filters with wildcards in a trie that is
//! walked only as far as some filter goes. Every change moves the generation of the names it may
//! concern and of few others, so that a thousand devices connecting each second do not empty the
//! route cache of everybody else.

use std::collections::HashMap;
use std::hash::Hash;

use super::filter::{Level, TopicFilter};
use super::hash::topic_hash;
use super::name::TopicName;
use super::subscribers::Subscribers;
use super::trie::WildcardTrie;

const EXACT_BUCKETS: usize = 4096;
const FIRST_LEVEL_BUCKETS: usize = 256;

/// Subscriptions by filter: `K` names a subscriber, `V` is what its Subscription says.
#[derive(Debug)]
pub struct SubscriptionIndex<K, V> {
    exact: HashMap<Box<str>, Subscribers<K, V>>,
    wild: WildcardTrie<K, V>,
    len: usize,
    generations: Generations,
}

impl<K: Copy + Eq + Hash, V> Default for SubscriptionIndex<K, V> {
    fn default() -> Self {
        SubscriptionIndex {
            exact: HashMap::new(),
            wild: WildcardTrie::default(),
            len: 0,
            generations: Generations::default(),
        }
    }
}

impl<K: Copy + Eq + Hash, V> SubscriptionIndex<K, V> {
    /// An index without Subscriptions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a Subscription, or replaces it: then gives back the one replaced ([MQTT-3.8.4-3]).
    pub fn insert(&mut self, filter: &TopicFilter<'_>, key: K, value: V) -> Option<V> {
        self.generations.touch(filter);
        let replaced = if filter.has_wildcard() {
            self.wild.insert(filter, key, value)
        } else if let Some(subscribers) = self.exact.get_mut(filter.as_str()) {
            subscribers.insert(key, value)
        } else {
            self.exact.insert(Box::from(filter.as_str()), Subscribers::One(key, value));
            None
        };
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Removes a Subscription and gives it back.
    pub fn remove(&mut self, filter: &TopicFilter<'_>, key: K) -> Option<V> {
        let removed = if filter.has_wildcard() {
            self.wild.remove(filter, key)
        } else {
            self.remove_exact(filter.as_str(), key)
        }?;
        self.generations.touch(filter);
        self.len -= 1;
        Some(removed)
    }

    /// What a subscriber said of exactly this filter.
    #[must_use]
    pub fn get(&self, filter: &TopicFilter<'_>, key: K) -> Option<&V> {
        if filter.has_wildcard() {
            return self.wild.get(filter, key);
        }
        self.exact.get(filter.as_str())?.get(key)
    }

    /// Visits every Subscription whose filter matches; a subscriber with overlapping filters is
    /// visited once for each (3.3.4).
    #[inline]
    pub fn for_each_match(&self, name: &TopicName<'_>, visit: &mut impl FnMut(K, &V)) {
        if let Some(subscribers) = self.exact.get(name.as_str()) {
            subscribers.for_each(visit);
        }
        self.wild.for_each_match(name, visit);
    }

    /// How many Subscriptions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is no Subscription.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A number that differs from any earlier one for this name once a change may concern it.
    ///
    /// `hash` is the name's [`topic_hash`].
    #[must_use]
    #[inline]
    pub fn generation(&self, name: &TopicName<'_>, hash: u64) -> u64 {
        self.generations.of(name, hash)
    }

    fn remove_exact(&mut self, text: &str, key: K) -> Option<V> {
        let subscribers = self.exact.get_mut(text)?;
        let removed = subscribers.remove(key)?;
        if subscribers.is_empty() {
            self.exact.remove(text);
            if self.exact.len() < self.exact.capacity() / 8 {
                self.exact.shrink_to(self.exact.len() * 2);
            }
        }
        Some(removed)
    }
}

/// Counters of changes, by the names a change may concern.
///
/// They only grow, so the sum of those that concern one name stands still exactly as long as each
/// of them does, and one number is enough to keep beside a cached route.
#[derive(Debug)]
struct Generations {
    exact: Box<[u64]>,
    first_level: Box<[u64]>,
    leading_wildcard: u64,
}

impl Default for Generations {
    fn default() -> Self {
        Generations {
            exact: vec![0; EXACT_BUCKETS].into_boxed_slice(),
            first_level: vec![0; FIRST_LEVEL_BUCKETS].into_boxed_slice(),
            leading_wildcard: 0,
        }
    }
}

impl Generations {
    fn touch(&mut self, filter: &TopicFilter<'_>) {
        let counter = if !filter.has_wildcard() {
            self.exact.get_mut(bucket(topic_hash(filter.as_str()), EXACT_BUCKETS))
        } else if let Level::Literal(first) = filter.first_level() {
            self.first_level.get_mut(bucket(topic_hash(first), FIRST_LEVEL_BUCKETS))
        } else {
            Some(&mut self.leading_wildcard)
        };
        if let Some(counter) = counter {
            *counter += 1;
        }
    }

    #[inline]
    fn of(&self, name: &TopicName<'_>, hash: u64) -> u64 {
        let exact = self.exact.get(bucket(hash, EXACT_BUCKETS)).copied().unwrap_or(0);
        let first = bucket(topic_hash(name.first_level()), FIRST_LEVEL_BUCKETS);
        let first_level = self.first_level.get(first).copied().unwrap_or(0);
        let leading = if name.is_dollar() { 0 } else { self.leading_wildcard };
        exact + first_level + leading
    }
}

/// A bucket of `count`, which is a power of two.
#[inline]
const fn bucket(hash: u64, count: usize) -> usize {
    (hash as usize) & (count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).unwrap()
    }

    fn generation(index: &SubscriptionIndex<u32, u8>, name: &str) -> u64 {
        index.generation(&TopicName::parse(name).unwrap(), topic_hash(name))
    }

    #[test]
    fn mqtt_3_8_4_3_subscribing_again_replaces() {
        let mut index = SubscriptionIndex::new();
        for text in ["a/b", "a/+"] {
            assert_eq!(index.insert(&filter(text), 1_u32, 0_u8), None);
            assert_eq!(index.insert(&filter(text), 1, 2), Some(0));
            assert_eq!(index.get(&filter(text), 1), Some(&2));
            assert_eq!(index.get(&filter(text), 2), None);
        }
        assert_eq!(index.len(), 2);
    }

    #[test]
    fn overlapping_filters_of_one_subscriber_are_each_visited() {
        let mut index = SubscriptionIndex::new();
        for (value, text) in ["a/b", "a/+", "#"].iter().enumerate() {
            index.insert(&filter(text), 1, value);
        }
        let mut seen = Vec::new();
        index.for_each_match(&TopicName::parse("a/b").unwrap(), &mut |_, value| seen.push(*value));
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn a_change_moves_the_generation_of_names_it_may_concern_and_only_few_others() {
        let mut index = SubscriptionIndex::new();
        let names: Vec<String> = (0..500).map(|device| format!("site-{device}/temperature")).collect();
        for (text, concerned, others_max) in [
            ("site-7/temperature", "site-7/temperature", 5),
            ("site-7/+", "site-7/temperature", 20),
            ("+/x", "q/x", 500),
        ] {
            let before: Vec<u64> = names.iter().map(|name| generation(&index, name)).collect();
            let concerned_before = generation(&index, concerned);
            index.insert(&filter(text), 1, 0);
            assert_ne!(generation(&index, concerned), concerned_before, "{text}");
            let moved = names.iter().zip(&before).filter(|(name, old)| generation(&index, name) != **old).count();
            assert!(moved <= others_max, "{text} moved {moved}");
            let inserted = generation(&index, concerned);
            index.remove(&filter(text), 1);
            assert_ne!(generation(&index, concerned), inserted, "removing {text}");
        }
    }

    #[test]
    fn removing_what_is_not_there_changes_nothing() {
        let mut index = SubscriptionIndex::new();
        index.insert(&filter("a/+"), 1, 0);
        let before = generation(&index, "a/b");
        for text in ["a/+", "a/b", "b/+", "a/#", "a/+/c"] {
            assert_eq!(index.remove(&filter(text), 2), None);
        }
        assert_eq!(generation(&index, "a/b"), before);
        assert_eq!(index.len(), 1);
    }
}
