//! The subscription index, its route cache and the interest table against a list of filters.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by failing")]

mod topic_checks;

use bartizan_core::topic::{
    Interest, InterestLimits, Lookup, RouteCache, RouteCacheLimits, SubscriptionIndex, TopicFilter, TopicName,
    topic_hash,
};
use proptest::prelude::*;
use std::collections::HashMap;
use topic_checks::{naive_is_filter, naive_matches};

#[derive(Clone, Debug)]
enum Change {
    Insert(String, u8, u16),
    Remove(String, u8),
    Publish(String),
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["", "a", "b", "c", "$s", "+"]);
    (prop::collection::vec(level, 1..5), any::<bool>())
        .prop_map(|(levels, hash)| levels.join("/") + if hash { "/#" } else { "" })
        .prop_filter("a filter", |text| naive_is_filter(text))
}

fn name() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["", "a", "b", "c", "d", "$s"]);
    prop::collection::vec(level, 1..6)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a name", |text| !text.is_empty())
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        3 => (filter(), 0..40_u8, any::<u16>()).prop_map(|(filter, key, value)| Change::Insert(filter, key, value)),
        2 => (filter(), 0..40_u8).prop_map(|(filter, key)| Change::Remove(filter, key)),
        4 => name().prop_map(Change::Publish),
    ];
    prop::collection::vec(change, 1..200)
}

/// The index and everything derived from it, beside the plain list that defines it.
struct Pair {
    index: SubscriptionIndex<u8, u16>,
    cache: RouteCache<Vec<(u8, u16)>>,
    interest: Interest,
    model: HashMap<(String, u8), u16>,
}

impl Pair {
    fn new() -> Self {
        Pair {
            index: SubscriptionIndex::new(),
            cache: RouteCache::new(RouteCacheLimits { entries_max: 16, topic_bytes_max: 8 }),
            interest: Interest::new(InterestLimits { exact_buckets: 16, first_level_buckets: 2 }),
            model: HashMap::new(),
        }
    }

    fn insert(&mut self, text: &str, key: u8, value: u16) {
        let filter = TopicFilter::parse(text).unwrap();
        let replaced = self.index.insert(&filter, key, value);
        if replaced.is_none() {
            self.interest.add(&filter);
        }
        assert_eq!(replaced, self.model.insert((text.to_owned(), key), value), "insert {text}");
        assert_eq!(self.index.get(&filter, key), Some(&value));
    }

    fn remove(&mut self, text: &str, key: u8) {
        let filter = TopicFilter::parse(text).unwrap();
        let removed = self.index.remove(&filter, key);
        if removed.is_some() {
            self.interest.remove(&filter);
        }
        assert_eq!(removed, self.model.remove(&(text.to_owned(), key)), "remove {text}");
        assert_eq!(self.index.get(&filter, key), None);
    }

    fn publish(&mut self, text: &str) {
        let (name, hash) = (TopicName::parse(text).unwrap(), topic_hash(text));
        let mut expected: Vec<(u8, u16)> = self
            .model
            .iter()
            .filter(|((filter, _), _)| naive_matches(filter, text))
            .map(|((_, key), value)| (*key, *value))
            .collect();
        expected.sort_unstable();
        // Answers nothing and changes nothing.
        self.index.read_ahead(&[text, "a/b/c", text]);
        let mut built = Vec::new();
        self.index.for_each_match(&name, &mut |key, value| built.push((key, *value)));
        built.sort_unstable();
        assert_eq!(built, expected, "index: {text}");
        // Twice: the second question is answered by what the first may have kept.
        for _ in 0..2 {
            match self.cache.find(&name, hash, &self.index) {
                Lookup::Route(route) => assert_eq!(route, expected, "route of {text}"),
                Lookup::Recurring => self.cache.keep(&name, hash, self.index.stamp(&name), built.clone()),
                Lookup::New => {}
            }
        }
        assert!(expected.is_empty() || self.interest.may_match(&name, hash), "interest in {text}");
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Insert(filter, key, value) => self.insert(filter, *key, *value),
            Change::Remove(filter, key) => self.remove(filter, *key),
            Change::Publish(name) => self.publish(name),
        }
        assert_eq!(self.index.len(), self.model.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_message_finds_exactly_the_subscriptions_that_match(changes in changes()) {
        let mut pair = Pair::new();
        for change in &changes {
            pair.apply(change);
        }
        // What was published before is asked again, now from the cache and after all changes.
        for change in &changes {
            if let Change::Publish(name) = change {
                pair.publish(name);
            }
        }
    }

    #[test]
    fn nothing_is_left_when_all_subscriptions_are_gone(changes in changes()) {
        let mut pair = Pair::new();
        for change in &changes {
            pair.apply(change);
        }
        let left: Vec<(String, u8)> = pair.model.keys().cloned().collect();
        for (filter, key) in left {
            pair.remove(&filter, key);
        }
        prop_assert!(pair.index.is_empty());
        for change in &changes {
            let (Change::Insert(text, ..) | Change::Remove(text, _) | Change::Publish(text)) = change;
            let Ok(name) = TopicName::parse(text) else { continue };
            prop_assert!(!pair.interest.may_match(&name, topic_hash(text)));
            pair.publish(text);
        }
    }
}

#[test]
fn a_filter_with_a_hundred_thousand_subscribers_comes_and_goes_quickly() {
    let mut index = SubscriptionIndex::new();
    let filters = ["broadcast", "broadcast/+"].map(|text| TopicFilter::parse(text).unwrap());
    for filter in &filters {
        for key in 0..100_000_u32 {
            assert_eq!(index.insert(filter, key, key), None);
        }
        for key in 0..100_000 {
            assert_eq!(index.remove(filter, key), Some(key));
        }
    }
    assert!(index.is_empty());
}
