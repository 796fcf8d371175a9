//! Routes of Topic Names that recur, so that a busy topic is matched once and not per message.
//!
//! Eight-way sets chosen by the topic's hash, CLOCK within a set. A name is kept when it is asked for
//! a second time: of one asked for the first time only a part of its hash is noted. So where every
//! look-up misses (a million topics, each rarely) nothing is built to be thrown away, and nothing
//! that is asked for often has to leave. The hash has no seed, so a peer may make two topics meet in
//! one set; that costs misses, never a wrong route, for the text is compared.

use std::hash::Hash;

use super::generation::Stamp;
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
    stamp: Stamp,
    /// Asked for since the CLOCK hand last passed.
    referenced: bool,
    route: Option<R>,
}

/// The entries of a set, by their hashes, and what has been asked for once.
#[derive(Clone, Debug, Default)]
struct Set {
    tags: [u64; WAYS],
    /// Upper halves of hashes, the oldest at `newcomer`.
    seen: [u32; WAYS],
    hand: u8,
    newcomer: u8,
}

/// What the cache knows of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<R> {
    /// Its route.
    Route(R),
    /// No route that holds, but it was asked for before: what is built now is worth keeping.
    Recurring,
    /// It was not asked for before, or so long ago that it is forgotten.
    New,
}

/// Routes by Topic Name, each as of when the index last changed for it.
#[derive(Debug)]
pub struct RouteCache<R> {
    sets: Box<[Set]>,
    entries: Box<[Entry<R>]>,
    topic_bytes_max: usize,
}

impl<R: Clone> Default for RouteCache<R> {
    fn default() -> Self {
        RouteCache::new(RouteCacheLimits::default())
    }
}

impl<R: Clone> RouteCache<R> {
    /// An empty cache.
    #[must_use]
    pub fn new(limits: RouteCacheLimits) -> Self {
        let sets = limits.entries_max.div_ceil(WAYS).next_power_of_two();
        let vacant = || Entry { topic: String::new(), stamp: Stamp::default(), referenced: false, route: None };
        RouteCache {
            sets: vec![Set::default(); sets].into_boxed_slice(),
            entries: std::iter::repeat_with(vacant).take(sets * WAYS).collect(),
            topic_bytes_max: limits.topic_bytes_max,
        }
    }

    /// The route of a name, if it is kept and the index has not changed for it.
    ///
    /// `hash` is the name's [`topic_hash`](super::topic_hash).
    #[inline]
    pub fn find<K: Copy + Eq + Hash, V>(
        &mut self,
        name: &TopicName<'_>,
        hash: u64,
        index: &SubscriptionIndex<K, V>,
    ) -> Lookup<R> {
        if name.as_str().len() > self.topic_bytes_max {
            return Lookup::New;
        }
        let Some(entry) = self.place(name, hash).and_then(|at| self.entries.get_mut(at)) else {
            return if self.is_second(hash) { Lookup::Recurring } else { Lookup::New };
        };
        let Some(route) = entry.route.as_ref().filter(|_| index.holds(name, &mut entry.stamp)) else {
            return Lookup::Recurring;
        };
        entry.referenced = true;
        Lookup::Route(route.clone())
    }

    /// Keeps the route of a name that recurs.
    pub fn keep(&mut self, name: &TopicName<'_>, hash: u64, stamp: Stamp, route: R) {
        let Some(at) = self.place(name, hash).or_else(|| self.make_room(hash)) else { return };
        if let Some(entry) = self.entries.get_mut(at) {
            if entry.topic != name.as_str() {
                entry.topic.clear();
                entry.topic.push_str(name.as_str());
                entry.referenced = false;
            }
            (entry.stamp, entry.route) = (stamp, Some(route));
        }
    }

    fn set_of(&self, hash: u64) -> usize {
        // Other bits than a shard is chosen by.
        ((hash >> 24) as usize) & (self.sets.len() - 1)
    }

    /// Where the entry of a name is.
    #[inline]
    fn place(&self, name: &TopicName<'_>, hash: u64) -> Option<usize> {
        let set = self.set_of(hash);
        let tags = &self.sets.get(set)?.tags;
        let mut ways = tags.iter().enumerate().filter(|(_, tag)| **tag == hash).map(|(way, _)| set * WAYS + way);
        ways.find(|at| self.entries.get(*at).is_some_and(|entry| entry.topic == name.as_str()))
    }

    /// True if a name of this hash was asked for shortly before; else it is noted.
    fn is_second(&mut self, hash: u64) -> bool {
        let (at, mark) = (self.set_of(hash), (hash >> 32) as u32);
        let Some(set) = self.sets.get_mut(at) else { return false };
        if set.seen.contains(&mark) {
            return true;
        }
        if let Some(oldest) = set.seen.get_mut(usize::from(set.newcomer) % WAYS) {
            *oldest = mark;
        }
        set.newcomer = set.newcomer.wrapping_add(1);
        false
    }

    /// Makes room in a set: the hand passes over entries asked for since its last round.
    fn make_room(&mut self, hash: u64) -> Option<usize> {
        let at = self.set_of(hash);
        let set = self.sets.get_mut(at)?;
        let mut way = usize::from(set.hand) % WAYS;
        // After one full round every entry has been passed once, so a second always ends.
        for _ in 0..=WAYS {
            let entry = self.entries.get_mut(at * WAYS + way)?;
            if !entry.referenced || entry.route.is_none() {
                break;
            }
            entry.referenced = false;
            way = (way + 1) % WAYS;
        }
        *set.tags.get_mut(way)? = hash;
        set.hand = ((way + 1) % WAYS) as u8;
        Some(at * WAYS + way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{TopicFilter, topic_hash};

    /// Asks for a name and keeps its route where it is worth it. True if the route was there.
    fn ask(cache: &mut RouteCache<String>, index: &SubscriptionIndex<u32, ()>, text: &str, hash: u64) -> bool {
        let name = TopicName::parse(text).unwrap();
        match cache.find(&name, hash, index) {
            Lookup::Route(route) => {
                assert_eq!(route, text, "a route is never another topic's");
                return true;
            }
            Lookup::Recurring => cache.keep(&name, hash, index.stamp(&name), text.to_owned()),
            Lookup::New => {}
        }
        false
    }

    #[test]
    fn a_route_is_kept_from_the_second_question_on_until_it_may_have_changed() {
        let (mut cache, mut index) = (RouteCache::default(), SubscriptionIndex::new());
        let answers = |cache: &mut RouteCache<String>, index: &SubscriptionIndex<u32, ()>| {
            [(); 3].map(|()| ask(cache, index, "a/b", topic_hash("a/b")))
        };
        assert_eq!(answers(&mut cache, &index), [false, false, true]);
        index.insert(&TopicFilter::parse("a/+").unwrap(), 1, ());
        assert_eq!(answers(&mut cache, &index), [false, true, true]);
        // Nothing that concerns it.
        index.insert(&TopicFilter::parse("b/+").unwrap(), 1, ());
        assert_eq!(answers(&mut cache, &index), [true, true, true]);
    }

    #[test]
    fn topics_of_one_hash_do_not_get_each_others_route() {
        let (mut cache, index) = (RouteCache::default(), SubscriptionIndex::new());
        for _ in 0..3 {
            for topic in 0..20 {
                ask(&mut cache, &index, &format!("t/{topic}"), 42);
            }
        }
    }

    #[test]
    fn topics_asked_for_once_make_no_other_leave() {
        let index = SubscriptionIndex::new();
        let mut cache = RouteCache::new(RouteCacheLimits { entries_max: 8, topic_bytes_max: 64 });
        let busy: Vec<String> = (0..8).map(|topic| format!("busy/{topic}")).collect();
        for _ in 0..2 {
            for topic in &busy {
                ask(&mut cache, &index, topic, topic_hash(topic));
            }
        }
        for topic in 0..10_000_u64 {
            let rare = format!("rare/{topic}");
            assert!(!ask(&mut cache, &index, &rare, topic_hash(&rare)));
        }
        for topic in &busy {
            assert!(ask(&mut cache, &index, topic, topic_hash(topic)), "{topic}");
        }
    }

    #[test]
    fn a_topic_asked_for_again_outlives_those_asked_for_twice() {
        let index = SubscriptionIndex::new();
        let mut cache = RouteCache::new(RouteCacheLimits { entries_max: 8, topic_bytes_max: 64 });
        ask(&mut cache, &index, "busy", 7);
        ask(&mut cache, &index, "busy", 7);
        for topic in 0..1000_u64 {
            assert!(ask(&mut cache, &index, "busy", 7), "evicted after {topic}");
            let rare = format!("rare/{topic}");
            for _ in 0..2 {
                ask(&mut cache, &index, &rare, topic_hash(&rare));
            }
        }
    }

    #[test]
    fn a_topic_too_long_is_not_kept() {
        let index = SubscriptionIndex::new();
        let mut cache = RouteCache::new(RouteCacheLimits { entries_max: 8, topic_bytes_max: 4 });
        assert_eq!([(); 3].map(|()| ask(&mut cache, &index, "12345", 1 << 40)), [false; 3]);
        assert_eq!([(); 3].map(|()| ask(&mut cache, &index, "1234", 1 << 40)), [false, false, true]);
    }
}
