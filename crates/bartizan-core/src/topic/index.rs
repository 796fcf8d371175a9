//! The subscription index of one shard: who gets a message published to a name.
//!
//! Every filter is kept once, with its subscribers. Exact filters are found by the hash of their
//! text and cost one probe; filters with wildcards by a trie that is walked only as far as some
//! filter goes. Both lead to filters that match by their hashes, and here their texts are compared.
//! Every change is told to the routes it may concern and to few others (`generation`).

use std::hash::Hash;
use std::sync::Arc;

use super::filter::TopicFilter;
use super::generation::{Generations, Stamp};
use super::hash::PathSeed;
use super::name::TopicName;
use super::path_table::{NONE, PathTable};
use super::slab::Slab;
use super::subscribers::Subscribers;
use super::trie::{AHEAD, WildcardTrie};

/// Most names of one [`SubscriptionIndex::read_ahead`].
pub const READ_AHEAD: usize = AHEAD;

/// A filter and who subscribed to it.
#[derive(Debug)]
struct Entry<K, V> {
    text: Arc<str>,
    /// The next filter at the same place, whose hash is the same by chance; else [`NONE`].
    next: u32,
    subscribers: Subscribers<K, V>,
}

/// Subscriptions by filter: `K` names a subscriber, `V` is what its Subscription says.
#[derive(Debug)]
pub struct SubscriptionIndex<K, V> {
    entries: Slab<Option<Entry<K, V>>>,
    seed: PathSeed,
    exact: PathTable,
    wild: WildcardTrie,
    len: usize,
    generations: Generations,
}

impl<K: Copy + Eq + Hash, V> Default for SubscriptionIndex<K, V> {
    fn default() -> Self {
        SubscriptionIndex {
            entries: Slab::default(),
            seed: PathSeed::default(),
            exact: PathTable::default(),
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

    /// Makes room for so many more Subscriptions, so that the table of them need not move while it grows.
    pub fn reserve(&mut self, more: usize) {
        self.entries.reserve(more);
    }

    /// Adds a Subscription, or replaces it: then gives back the one replaced ([MQTT-3.8.4-3]).
    pub fn insert(&mut self, filter: &TopicFilter<'_>, key: K, value: V) -> Option<V> {
        self.insert_text(filter, || Arc::from(filter.as_str()), key, value)
    }

    /// The same with the filter's text as an `Arc` of the caller's, to be kept if it is new here.
    pub fn insert_text(
        &mut self,
        filter: &TopicFilter<'_>,
        text: impl FnOnce() -> Arc<str>,
        key: K,
        value: V,
    ) -> Option<V> {
        self.generations.touch(self.seed, filter);
        let replaced = match self.find(filter).and_then(|id| self.entry_mut(id)) {
            Some(entry) => entry.subscribers.insert(key, value),
            None => {
                self.place(filter, Entry { text: text(), next: NONE, subscribers: Subscribers::One(key, value) });
                None
            }
        };
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Removes a Subscription and gives it back.
    pub fn remove(&mut self, filter: &TopicFilter<'_>, key: K) -> Option<V> {
        let id = self.find(filter)?;
        let entry = self.entry_mut(id)?;
        let removed = entry.subscribers.remove(key)?;
        if entry.subscribers.is_empty() {
            self.displace(filter, id);
        }
        self.generations.touch(self.seed, filter);
        self.len -= 1;
        Some(removed)
    }

    /// What a subscriber said of exactly this filter.
    #[must_use]
    pub fn get(&self, filter: &TopicFilter<'_>, key: K) -> Option<&V> {
        self.entry(self.find(filter)?)?.subscribers.get(key)
    }

    /// The text of a filter that somebody has subscribed to, to be shared.
    #[must_use]
    pub fn text_of(&self, filter: &TopicFilter<'_>) -> Option<Arc<str>> {
        self.entry(self.find(filter)?).map(|entry| Arc::clone(&entry.text))
    }

    /// Visits every Subscription whose filter matches; a subscriber with overlapping filters is
    /// visited once for each (3.3.4).
    #[inline]
    pub fn for_each_match(&self, name: &TopicName<'_>, visit: &mut impl FnMut(K, &V)) {
        let path = self.seed.text(name.as_str());
        self.exact.touch(path);
        self.wild.for_each_candidate(name, &mut |head| {
            for (_, entry) in self.chain(head) {
                if TopicFilter::assume_wildcard(&entry.text).matches(name) {
                    entry.subscribers.for_each(visit);
                }
            }
        });
        if let Some(row) = self.exact.get(path) {
            self.chain(row.leaf).filter(|(_, entry)| *entry.text == *name.as_str()).for_each(|(_, entry)| {
                entry.subscribers.for_each(visit);
            });
        }
    }

    /// Reads what matching these names will read, so that it is in the processor's caches then. In an
    /// index that is larger than those, a match waits for one piece of memory after the other; the
    /// pieces of several names are waited for together. Names beyond the first
    /// [`READ_AHEAD`] are left alone.
    pub fn read_ahead(&self, names: &[&str]) {
        let mut ids = [NONE; 4 * READ_AHEAD];
        let mut free = ids.iter_mut();
        let mut note = |id| free.next().map(|slot| *slot = id).unwrap_or_default();
        let mut paths = [0; READ_AHEAD];
        for (path, name) in paths.iter_mut().zip(names) {
            *path = self.seed.text(name);
            self.exact.touch(*path);
        }
        self.wild.read_ahead(names, &mut note);
        paths.iter().filter_map(|path| self.exact.get(*path)).for_each(|row| note(row.leaf));
        let found = ids.iter().take_while(|id| **id != NONE);
        for entry in found.clone().filter_map(|id| self.entry(*id)) {
            std::hint::black_box(entry.next);
        }
        for text in found.filter_map(|id| self.entry(*id)).map(|entry| entry.text.as_bytes()) {
            std::hint::black_box((text.first(), text.last()));
        }
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

    /// How things stand for a name: to be kept with what is derived from the index.
    #[must_use]
    pub fn stamp(&self, name: &TopicName<'_>) -> Stamp {
        self.generations.stamp(self.seed, name)
    }

    /// True if nothing that concerns the name has changed since the stamp, which then is as of now.
    #[inline]
    pub fn holds(&self, name: &TopicName<'_>, stamp: &mut Stamp) -> bool {
        self.generations.holds(self.seed, name, stamp)
    }

    /// The number of a filter that somebody has subscribed to.
    fn find(&self, filter: &TopicFilter<'_>) -> Option<u32> {
        let head = if filter.has_wildcard() {
            self.wild.find(filter)?
        } else {
            self.exact.get(self.seed.text(filter.as_str()))?.leaf
        };
        self.chain(head).find(|(_, entry)| *entry.text == *filter.as_str()).map(|(id, _)| id)
    }

    /// Puts a filter that is new where it is found.
    fn place(&mut self, filter: &TopicFilter<'_>, entry: Entry<K, V>) {
        let id = self.entries.insert(Some(entry));
        let entries = &self.entries;
        let next = if filter.has_wildcard() {
            self.wild.insert(filter, id, |id| {
                let present = entries.get(id)?.as_ref().filter(|entry| entry.next == NONE)?;
                Some(TopicFilter::assume_wildcard(&present.text))
            })
        } else {
            let path = self.seed.text(filter.as_str());
            let present = self.exact.get_mut(path).map(|row| std::mem::replace(&mut row.leaf, id));
            if present.is_none() {
                self.exact.insert(path, id, 0);
            }
            present
        };
        if let (Some(next), Some(entry)) = (next, self.entry_mut(id)) {
            entry.next = next;
        }
    }

    /// Takes a filter without subscribers away from where it is found.
    fn displace(&mut self, filter: &TopicFilter<'_>, id: u32) {
        let path = self.seed.text(filter.as_str());
        let head =
            if filter.has_wildcard() { self.wild.find(filter) } else { self.exact.get(path).map(|row| row.leaf) };
        let next = self.entry(id).map_or(NONE, |entry| entry.next);
        self.entries.remove(id);
        if head != Some(id) {
            // Behind another of the same hash: who pointed at it points at the next.
            let before = head.and_then(|head| self.chain(head).find(|(_, entry)| entry.next == id).map(|(at, _)| at));
            if let Some(entry) = before.and_then(|before| self.entry_mut(before)) {
                entry.next = next;
            }
        } else if filter.has_wildcard() {
            self.wild.remove(filter, next);
        } else if next == NONE {
            self.exact.remove(path);
        } else if let Some(row) = self.exact.get_mut(path) {
            row.leaf = next;
        }
    }

    /// The filters at one place: one, save by the rarest chance.
    #[inline]
    fn chain(&self, head: u32) -> impl Iterator<Item = (u32, &Entry<K, V>)> {
        std::iter::successors(self.entry(head).map(|entry| (head, entry)), |(_, entry)| {
            self.entry(entry.next).map(|next| (entry.next, next))
        })
    }

    #[inline]
    fn entry(&self, id: u32) -> Option<&Entry<K, V>> {
        self.entries.get(id)?.as_ref()
    }

    fn entry_mut(&mut self, id: u32) -> Option<&mut Entry<K, V>> {
        self.entries.get_mut(id)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).unwrap()
    }

    fn stamp(index: &SubscriptionIndex<u32, u8>, name: &str) -> Stamp {
        index.stamp(&TopicName::parse(name).unwrap())
    }

    fn holds(index: &SubscriptionIndex<u32, u8>, name: &str, mut stamp: Stamp) -> bool {
        index.holds(&TopicName::parse(name).unwrap(), &mut stamp)
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
    fn a_change_concerns_the_names_it_may_and_only_few_others() {
        let mut index = SubscriptionIndex::new();
        let names: Vec<String> = (0..500).map(|device| format!("v1/devices/{device}/temperature")).collect();
        for (text, concerned, others_max) in [
            ("v1/devices/7/temperature", "v1/devices/7/temperature", 5),
            ("v1/devices/7/+", "v1/devices/7/temperature", 5),
            ("v1/devices/7/#", "v1/devices/7", 5),
            ("v1/+/x", "v1/q/x", 500),
            ("+/x", "q/x", 500),
        ] {
            let before: Vec<Stamp> = names.iter().map(|name| stamp(&index, name)).collect();
            let concerned_before = stamp(&index, concerned);
            index.insert(&filter(text), 1, 0);
            assert!(!holds(&index, concerned, concerned_before), "{text}");
            let moved = names.iter().zip(&before).filter(|(name, old)| !holds(&index, name, **old)).count();
            assert!(moved <= others_max, "{text} moved {moved}");
            let inserted = stamp(&index, concerned);
            index.remove(&filter(text), 1);
            assert!(!holds(&index, concerned, inserted), "removing {text}");
        }
    }

    #[test]
    fn devices_that_subscribe_leave_most_routes_of_others_alone() {
        let mut index = SubscriptionIndex::new();
        let names: Vec<String> = (0..200).map(|device| format!("v1/devices/{device}/state")).collect();
        let mut stamps: Vec<Stamp> = names.iter().map(|name| stamp(&index, name)).collect();
        let mut lost = 0;
        for device in 1000..2000 {
            index.insert(&filter(&format!("v1/devices/{device}/cmd/+")), device, 0);
            for (name, held) in names.iter().zip(&mut stamps) {
                if !index.holds(&TopicName::parse(name).unwrap(), held) {
                    lost += 1;
                    *held = stamp(&index, name);
                }
            }
        }
        // Of 200,000 routes that each could have been ended by one of the changes: where a beginning that all have
        // in common shares its counter, 200 at once.
        assert!(lost <= 2400, "{lost}");
    }

    #[test]
    fn a_filter_with_one_subscriber_takes_an_entry_of_48_octets() {
        // What a Server puts in: 12 octets name a Session or a group, 8 say what it subscribed for.
        assert_eq!(size_of::<Option<Entry<[u32; 3], [u32; 2]>>>(), 48);
    }

    #[test]
    fn one_text_serves_all_subscribers_of_a_filter() {
        let mut index = SubscriptionIndex::new();
        for text in ["a/b", "a/+"] {
            assert_eq!(index.text_of(&filter(text)), None);
            let shared: Arc<str> = Arc::from(text);
            index.insert_text(&filter(text), || Arc::clone(&shared), 1_u32, 0_u8);
            index.insert(&filter(text), 2, 0);
            assert!(index.text_of(&filter(text)).is_some_and(|text| Arc::ptr_eq(&text, &shared)));
            index.remove(&filter(text), 1);
            index.remove(&filter(text), 2);
            assert_eq!((index.text_of(&filter(text)), Arc::strong_count(&shared)), (None, 1));
            assert_eq!((index.entries.in_use(), index.exact.len(), index.wild.held()), (0, 0, (0, 0)));
        }
    }

    #[test]
    fn filters_of_one_hash_are_told_apart() {
        let mut index = SubscriptionIndex::new();
        let texts = ["a", "b", "c"];
        for (text, key) in texts.iter().zip(0_u32..) {
            index.insert(&filter(text), key, 0_u8);
        }
        // As if the three had one hash: the row of "a" leads to all of them.
        let ids: Vec<u32> = texts.iter().filter_map(|text| index.find(&filter(text))).collect();
        index.entry_mut(ids[0]).unwrap().next = ids[1];
        index.entry_mut(ids[1]).unwrap().next = ids[2];
        let matched = |index: &SubscriptionIndex<u32, u8>| {
            let mut keys = Vec::new();
            index.for_each_match(&TopicName::parse("a").unwrap(), &mut |key, _| keys.push(key));
            keys
        };
        assert_eq!(matched(&index), [0]);
        index.displace(&filter("a"), ids[1]);
        assert_eq!(index.chain(ids[0]).map(|(id, _)| id).collect::<Vec<_>>(), [ids[0], ids[2]]);
        assert_eq!(matched(&index), [0]);
        index.displace(&filter("a"), ids[0]);
        assert_eq!(index.exact.get(index.seed.text("a")).map(|row| row.leaf), Some(ids[2]));
        assert_eq!(matched(&index), [0; 0]);
    }

    #[test]
    fn removing_what_is_not_there_changes_nothing() {
        let mut index = SubscriptionIndex::new();
        index.insert(&filter("a/+"), 1, 0);
        let before = stamp(&index, "a/b");
        for text in ["a/+", "a/b", "b/+", "a/#", "a/+/c"] {
            assert_eq!(index.remove(&filter(text), 2), None);
        }
        assert_eq!(stamp(&index, "a/b"), before);
        assert_eq!(index.len(), 1);
    }
}
