//! Routes of recent Topic Names, so that a busy topic is matched once and not per message.
//!
//! Eight-way sets chosen by the topic's hash, CLOCK within a set: a look-up touches one line of
//! tags, and where every look-up misses (a million topics, each rarely) a miss costs little more,
//! since an evicted entry's text buffer is used again. The hash has no seed, so a peer may make
//! two topics meet in one set; that costs misses, never a wrong route, for the text is compared.

use std::hash::Hash;

use super::index::SubscriptionIndex;
use super::name::TopicName;

const WAYS: usize = 8;

/// Bounds of a [`RouteCache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteCacheLimits {
    /// Entries at most, rounded up to a power of two and at least eight.
    pub entries_max: usize,
    /// The longest topic that is cached, in octets: with `entries_max` it bounds the texts held.
    pub topic_bytes_max: usize,
}

impl Default for RouteCacheLimits {
    fn default() -> Self {
        RouteCacheLimits { entries_max: 8192, topic_bytes_max: 256 }
    }
}

#[derive(Debug)]
struct Entry<R> {
    topic: String,
    generation: u64,
    /// Asked for since the CLOCK hand last passed.
    referenced: bool,
    route: Option<R>,
}

/// Routes by Topic Name, each as old as the index generation it was built at.
#[derive(Debug)]
pub struct RouteCache<R> {
    tags: Box<[[u64; WAYS]]>,
    entries: Box<[Entry<R>]>,
    hands: Box<[u8]>,
    topic_bytes_max: usize,
    /// The last route of a topic too long to keep.
    unkept: Option<R>,
    hits: u64,
    misses: u64,
}

impl<R> Default for RouteCache<R> {
    fn default() -> Self {
        RouteCache::new(RouteCacheLimits::default())
    }
}

impl<R> RouteCache<R> {
    /// An empty cache.
    #[must_use]
    pub fn new(limits: RouteCacheLimits) -> Self {
        let sets = limits.entries_max.div_ceil(WAYS).next_power_of_two();
        let vacant = || Entry { topic: String::new(), generation: 0, referenced: false, route: None };
        RouteCache {
            tags: vec![[0; WAYS]; sets].into_boxed_slice(),
            entries: std::iter::repeat_with(vacant).take(sets * WAYS).collect(),
            hands: vec![0; sets].into_boxed_slice(),
            topic_bytes_max: limits.topic_bytes_max,
            unkept: None,
            hits: 0,
            misses: 0,
        }
    }

    /// The route of a name: the one kept, if the index has not changed for it, or what `build` makes.
    ///
    /// `hash` is the name's [`topic_hash`](super::topic_hash).
    #[inline]
    pub fn lookup<K: Copy + Eq + Hash, V>(
        &mut self,
        name: &TopicName<'_>,
        hash: u64,
        index: &SubscriptionIndex<K, V>,
        build: impl FnOnce(&SubscriptionIndex<K, V>) -> R,
    ) -> &R {
        let generation = index.generation(name, hash);
        self.lookup_at(name, hash, generation, || build(index))
    }

    /// The same under a generation of the caller's, which may stand for more than the index.
    pub fn lookup_at(&mut self, name: &TopicName<'_>, hash: u64, generation: u64, build: impl FnOnce() -> R) -> &R {
        let place = if name.as_str().len() > self.topic_bytes_max { None } else { Some(self.place(name, hash)) };
        let Some(entry) = place.and_then(|at| self.entries.get_mut(at)) else {
            self.misses += 1;
            return self.unkept.insert(build());
        };
        if entry.generation != generation {
            entry.generation = generation;
            entry.route = None;
        }
        let hit = entry.route.is_some();
        self.hits += u64::from(hit);
        self.misses += u64::from(!hit);
        // Only a second question earns a second round: one pass over many topics evicts itself.
        entry.referenced |= hit;
        entry.route.get_or_insert_with(build)
    }

    /// Forgets every route, as when what `build` reads beside the index has changed.
    pub fn clear(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.route = None);
        self.unkept = None;
    }

    /// Look-ups answered from the cache, and those that had to build.
    #[must_use]
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    /// Where the entry of a name is, or where it now may be built.
    #[inline]
    fn place(&mut self, name: &TopicName<'_>, hash: u64) -> usize {
        // The low bits choose the index's generation bucket; other bits choose the set.
        let set = ((hash >> 24) as usize) & (self.tags.len() - 1);
        let tags = self.tags.get(set).copied().unwrap_or_default();
        for (way, _) in tags.iter().enumerate().filter(|(_, tag)| **tag == hash) {
            let at = set * WAYS + way;
            if self.entries.get(at).is_some_and(|entry| entry.topic == name.as_str()) {
                return at;
            }
        }
        self.evict(set, name, hash)
    }

    /// Makes room in a set: the hand passes over entries asked for since its last round.
    fn evict(&mut self, set: usize, name: &TopicName<'_>, hash: u64) -> usize {
        let mut way = self.hands.get(set).map_or(0, |hand| usize::from(*hand) % WAYS);
        // After one full round every entry has been passed once, so a second always ends.
        for _ in 0..=WAYS {
            let Some(entry) = self.entries.get_mut(set * WAYS + way) else { break };
            if !entry.referenced || entry.route.is_none() {
                break;
            }
            entry.referenced = false;
            way = (way + 1) % WAYS;
        }
        if let Some(entry) = self.entries.get_mut(set * WAYS + way) {
            entry.topic.clear();
            entry.topic.push_str(name.as_str());
            entry.route = None;
            entry.referenced = false;
        }
        if let Some(tag) = self.tags.get_mut(set).and_then(|tags| tags.get_mut(way)) {
            *tag = hash;
        }
        if let Some(hand) = self.hands.get_mut(set) {
            *hand = ((way + 1) % WAYS) as u8;
        }
        set * WAYS + way
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{TopicFilter, topic_hash};

    fn ask(cache: &mut RouteCache<String>, name: &str, hash: u64, generation: u64) -> bool {
        let mut built = false;
        let route = cache.lookup_at(&TopicName::parse(name).unwrap(), hash, generation, || {
            built = true;
            name.to_owned()
        });
        assert_eq!(route, name, "a route is never another topic's");
        built
    }

    #[test]
    fn a_route_is_built_once_until_its_generation_moves() {
        let mut cache = RouteCache::default();
        assert!(ask(&mut cache, "a", 1, 0));
        assert!(!ask(&mut cache, "a", 1, 0));
        assert!(ask(&mut cache, "a", 1, 1));
        assert!(!ask(&mut cache, "a", 1, 1));
        cache.clear();
        assert!(ask(&mut cache, "a", 1, 1));
        assert_eq!(cache.hits_and_misses(), (2, 3));
    }

    #[test]
    fn topics_of_one_hash_do_not_get_each_others_route() {
        let mut cache = RouteCache::default();
        for _ in 0..3 {
            for topic in 0..20 {
                ask(&mut cache, &format!("t/{topic}"), 42, 0);
            }
        }
    }

    #[test]
    fn a_topic_asked_for_again_outlives_those_asked_for_once() {
        let mut cache = RouteCache::new(RouteCacheLimits { entries_max: 8, topic_bytes_max: 64 });
        ask(&mut cache, "busy", 7, 0);
        for topic in 0..1000_u64 {
            assert!(!ask(&mut cache, "busy", 7, 0), "evicted after {topic}");
            ask(&mut cache, &format!("rare/{topic}"), topic_hash(&topic.to_string()), 0);
        }
    }

    #[test]
    fn a_topic_too_long_is_routed_but_not_kept() {
        let mut cache = RouteCache::new(RouteCacheLimits { entries_max: 8, topic_bytes_max: 4 });
        assert!(ask(&mut cache, "12345", 1, 0));
        assert!(ask(&mut cache, "12345", 1, 0));
        assert!(ask(&mut cache, "1234", 1, 0));
        assert!(!ask(&mut cache, "1234", 1, 0));
    }

    #[test]
    fn a_subscription_made_later_is_seen_by_the_next_message() {
        let (mut cache, mut index) = (RouteCache::default(), SubscriptionIndex::new());
        let name = TopicName::parse("a/b").unwrap();
        let mut count = |index: &SubscriptionIndex<u32, ()>| {
            *cache.lookup(&name, topic_hash("a/b"), index, |index| {
                let mut receivers = 0;
                index.for_each_match(&name, &mut |_, ()| receivers += 1);
                receivers
            })
        };
        assert_eq!(count(&index), 0);
        for (key, text) in ["a/b", "a/+", "+/b", "#", "a/b/#"].iter().enumerate() {
            index.insert(&TopicFilter::parse(text).unwrap(), u32::try_from(key).unwrap(), ());
            assert_eq!(count(&index), key + 1, "after {text}");
        }
    }
}
