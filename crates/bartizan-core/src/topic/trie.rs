//! Filters with wildcards as a trie of levels.
//!
//! Level texts are interned once under a seeded SipHash, since peers choose them; from there on a
//! walk compares 32-bit ids. Nodes stand in one vector, literal edges in one table keyed by
//! (node, level), so nothing recurses, neither at insertion nor matching nor drop, however deep a
//! filter is. `+` is a field of its node; `#` is a list at the node above it, because it matches
//! the level above as well (4.7.1.2).

use std::collections::HashMap;
use std::hash::Hash;

use super::filter::{Level, TopicFilter};
use super::hash::IdState;
use super::name::TopicName;
use super::slab::{NONE, Slab};
use super::subscribers::Subscribers;

const ROOT: u32 = 0;

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: u32,
    /// The interned level on the edge from `parent`; `NONE` for `+` and for the root.
    level: u32,
    literal_children: u32,
    plus: u32,
    /// Subscribers of the filter that ends here.
    here: u32,
    /// Subscribers of the filter that goes on with `#`.
    below: u32,
}

impl Default for Node {
    fn default() -> Self {
        Node { parent: NONE, level: NONE, literal_children: 0, plus: NONE, here: NONE, below: NONE }
    }
}

impl Node {
    fn is_bare(&self) -> bool {
        self.literal_children == 0 && self.plus == NONE && self.here == NONE && self.below == NONE
    }
}

/// An interned level text: its id and how many edges bear it.
#[derive(Clone, Copy, Debug)]
struct LevelUse {
    id: u32,
    edges: u32,
}

/// The subscribers of all filters with wildcards.
#[derive(Debug)]
pub(super) struct WildcardTrie<K, V> {
    nodes: Slab<Node>,
    lists: Slab<Subscribers<K, V>>,
    edges: HashMap<(u32, u32), u32, IdState>,
    levels: HashMap<Box<str>, LevelUse>,
    level_ids: Slab<()>,
}

impl<K: Copy + Eq + Hash, V> Default for WildcardTrie<K, V> {
    fn default() -> Self {
        let mut nodes = Slab::default();
        nodes.insert(Node::default());
        WildcardTrie {
            nodes,
            lists: Slab::default(),
            edges: HashMap::default(),
            levels: HashMap::new(),
            level_ids: Slab::default(),
        }
    }
}

impl<K: Copy + Eq + Hash, V> WildcardTrie<K, V> {
    /// Adds a subscriber to a filter; gives back what it had said before.
    pub(super) fn insert(&mut self, filter: &TopicFilter<'_>, key: K, value: V) -> Option<V> {
        let mut at = ROOT;
        let mut ends_below = false;
        for level in filter.levels() {
            match level {
                Level::Plus => at = self.plus_child(at),
                Level::Literal(text) => at = self.literal_child(at, text),
                Level::Hash => ends_below = true,
            }
        }
        let node = self.nodes.get_mut(at)?;
        let list = if ends_below { &mut node.below } else { &mut node.here };
        if *list == NONE {
            *list = self.lists.insert(Subscribers::Empty);
        }
        self.lists.get_mut(*list)?.insert(key, value)
    }

    /// Removes a subscriber from a filter, and with the last one what only that filter needed.
    pub(super) fn remove(&mut self, filter: &TopicFilter<'_>, key: K) -> Option<V> {
        let (at, list) = self.find(filter)?;
        let subscribers = self.lists.get_mut(list)?;
        let removed = subscribers.remove(key)?;
        if subscribers.is_empty() {
            self.lists.remove(list);
            let node = self.nodes.get_mut(at)?;
            if node.below == list {
                node.below = NONE;
            } else {
                node.here = NONE;
            }
            self.prune(at, filter);
        }
        Some(removed)
    }

    /// What a subscriber said of a filter.
    pub(super) fn get(&self, filter: &TopicFilter<'_>, key: K) -> Option<&V> {
        let (_, list) = self.find(filter)?;
        self.lists.get(list)?.get(key)
    }

    /// Visits the subscribers of every filter that matches.
    ///
    /// All nodes reached at one depth are taken together: a level is looked up at most once, and a
    /// name deeper than the filters costs nothing beyond their depth.
    pub(super) fn for_each_match(&self, name: &TopicName<'_>, visit: &mut impl FnMut(K, &V)) {
        let (mut now, mut next) = (Reached::default(), Reached::default());
        now.push(ROOT);
        // [MQTT-4.7.2-1]: no wildcard of the root reaches a `$` topic.
        let mut wildcards = !name.is_dollar();
        for text in name.levels() {
            let mut level = None;
            for node in now.iter().filter_map(|id| self.nodes.get(id).map(|node| (id, node))) {
                self.step(node, text, wildcards, &mut level, &mut next, visit);
            }
            wildcards = true;
            if next.is_empty() {
                return;
            }
            std::mem::swap(&mut now, &mut next);
            next.clear();
        }
        for node in now.iter().filter_map(|id| self.nodes.get(id)) {
            self.visit_list(node.here, visit);
            self.visit_list(node.below, visit);
        }
    }

    /// Takes the edges from one node that a level of a name allows.
    #[inline]
    fn step(
        &self,
        (id, node): (u32, &Node),
        text: &str,
        wildcards: bool,
        level: &mut Option<Option<u32>>,
        next: &mut Reached,
        visit: &mut impl FnMut(K, &V),
    ) {
        if wildcards {
            self.visit_list(node.below, visit);
            if node.plus != NONE {
                next.push(node.plus);
            }
        }
        if node.literal_children > 0 {
            let interned = *level.get_or_insert_with(|| self.levels.get(text).map(|level| level.id));
            if let Some(child) = interned.and_then(|level| self.edges.get(&(id, level))) {
                next.push(*child);
            }
        }
    }

    #[inline]
    fn visit_list(&self, list: u32, visit: &mut impl FnMut(K, &V)) {
        if let Some(subscribers) = self.lists.get(list) {
            subscribers.for_each(visit);
        }
    }

    /// The node a filter hangs on, and its list of subscribers.
    fn find(&self, filter: &TopicFilter<'_>) -> Option<(u32, u32)> {
        let mut at = ROOT;
        for level in filter.levels() {
            at = match level {
                Level::Plus => self.nodes.get(at)?.plus,
                Level::Literal(text) => *self.edges.get(&(at, self.levels.get(text)?.id))?,
                Level::Hash => return Some((at, self.nodes.get(at)?.below)),
            };
        }
        Some((at, self.nodes.get(at)?.here))
    }

    fn plus_child(&mut self, parent: u32) -> u32 {
        let present = self.nodes.get(parent).map_or(NONE, |node| node.plus);
        if present != NONE {
            return present;
        }
        let child = self.nodes.insert(Node { parent, ..Node::default() });
        if let Some(node) = self.nodes.get_mut(parent) {
            node.plus = child;
        }
        child
    }

    fn literal_child(&mut self, parent: u32, text: &str) -> u32 {
        let known = self.levels.get(text).map(|level| level.id);
        if let Some(child) = known.and_then(|level| self.edges.get(&(parent, level))) {
            return *child;
        }
        let level = self.intern(text);
        let child = self.nodes.insert(Node { parent, level, ..Node::default() });
        self.edges.insert((parent, level), child);
        if let Some(node) = self.nodes.get_mut(parent) {
            node.literal_children += 1;
        }
        child
    }

    /// The id of a level text, for one more edge.
    fn intern(&mut self, text: &str) -> u32 {
        if let Some(level) = self.levels.get_mut(text) {
            level.edges += 1;
            return level.id;
        }
        let id = self.level_ids.insert(());
        self.levels.insert(Box::from(text), LevelUse { id, edges: 1 });
        id
    }

    /// Gives back one edge's use of a level text.
    fn release(&mut self, text: &str) {
        if let Some(level) = self.levels.get_mut(text) {
            level.edges -= 1;
            if level.edges == 0 {
                self.level_ids.remove(level.id);
                self.levels.remove(text);
            }
        }
    }

    /// Removes bare nodes from the end of a filter upwards, so that churn leaves nothing behind.
    fn prune(&mut self, mut at: u32, filter: &TopicFilter<'_>) {
        for text in filter.as_str().rsplit('/').skip_while(|text| *text == "#") {
            let Some(node) = self.nodes.get(at).copied() else { return };
            if at == ROOT || !node.is_bare() {
                return;
            }
            self.nodes.remove(at);
            if let Some(parent) = self.nodes.get_mut(node.parent) {
                if node.level == NONE {
                    parent.plus = NONE;
                } else {
                    parent.literal_children -= 1;
                }
            }
            if node.level != NONE {
                self.edges.remove(&(node.parent, node.level));
                self.release(text);
            }
            at = node.parent;
        }
        self.shrink();
    }

    /// Tables that emptied to an eighth give their memory back.
    fn shrink(&mut self) {
        if self.edges.len() < self.edges.capacity() / 8 {
            self.edges.shrink_to(self.edges.len() * 2);
        }
        if self.levels.len() < self.levels.capacity() / 8 {
            self.levels.shrink_to(self.levels.len() * 2);
        }
    }

    /// Nodes, lists, edges and levels held: all but the root are gone with the last filter.
    #[cfg(test)]
    pub(super) fn held(&self) -> [usize; 5] {
        [self.nodes.in_use() - 1, self.lists.in_use(), self.edges.len(), self.levels.len(), self.level_ids.in_use()]
    }
}

/// Node ids reached at one depth: a few, so without an allocation; many only where `+` and
/// literals fork at every level.
#[derive(Debug, Default)]
struct Reached {
    few: [u32; 16],
    few_len: usize,
    more: Vec<u32>,
}

impl Reached {
    #[inline]
    fn push(&mut self, id: u32) {
        if let Some(slot) = self.few.get_mut(self.few_len) {
            *slot = id;
            self.few_len += 1;
        } else {
            self.more.push(id);
        }
    }

    #[inline]
    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.few.iter().take(self.few_len).chain(&self.more).copied()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.few_len == 0
    }

    #[inline]
    fn clear(&mut self) {
        self.few_len = 0;
        self.more.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::parse(text).unwrap()
    }

    fn matched(trie: &WildcardTrie<u32, ()>, name: &str) -> Vec<u32> {
        let mut keys = Vec::new();
        trie.for_each_match(&TopicName::parse(name).unwrap(), &mut |key, ()| keys.push(key));
        keys.sort_unstable();
        keys
    }

    #[test]
    fn wildcards_at_every_place_are_found() {
        let mut trie = WildcardTrie::default();
        for (key, text) in ["#", "+/b", "a/#", "a/+", "a/+/c", "+/+/#", "$s/#"].iter().enumerate() {
            trie.insert(&filter(text), u32::try_from(key).unwrap(), ());
        }
        assert_eq!(matched(&trie, "a"), [0, 2]);
        assert_eq!(matched(&trie, "a/b"), [0, 1, 2, 3, 5]);
        assert_eq!(matched(&trie, "a/b/c"), [0, 2, 4, 5]);
        assert_eq!(matched(&trie, "x/y/z"), [0, 5]);
        assert_eq!(matched(&trie, "$s"), [6]);
        assert_eq!(matched(&trie, "$s/b"), [6]);
    }

    #[test]
    fn more_than_sixteen_paths_at_one_depth_are_all_followed() {
        let mut trie = WildcardTrie::default();
        for paths in 0..64_u32 {
            let levels: Vec<&str> = (0..6).map(|bit| if paths >> bit & 1 == 1 { "+" } else { "x" }).collect();
            trie.insert(&filter(&format!("{}/#", levels.join("/"))), paths, ());
        }
        assert_eq!(matched(&trie, "x/x/x/x/x/x"), (0..64).collect::<Vec<_>>());
    }

    #[test]
    fn removing_the_last_subscriber_leaves_nothing_behind() {
        let mut trie = WildcardTrie::default();
        let filters = ["#", "a/b/c/#", "a/b/+", "+/b/c", "a/+/c/d", "x/#", "//+", "$s/+"];
        for round in 0..3_u32 {
            for text in filters {
                trie.insert(&filter(text), round, ());
                trie.insert(&filter(text), round + 10, ());
            }
            for text in filters.iter().rev() {
                assert_eq!(trie.remove(&filter(text), round), Some(()));
                assert_eq!(trie.remove(&filter(text), round + 10), Some(()));
                assert_eq!(trie.remove(&filter(text), round), None);
            }
            assert_eq!(trie.held(), [0; 5]);
        }
    }

    #[test]
    fn a_filter_of_65535_octets_neither_overflows_the_stack_nor_stays() {
        let mut trie = WildcardTrie::default();
        let deep = format!("{}#", "/".repeat(65_534));
        trie.insert(&filter(&deep), 1, ());
        assert_eq!(matched(&trie, &"/".repeat(65_534)), [1]);
        assert_eq!(matched(&trie, &"/".repeat(65_532)), [0; 0]);
        assert_eq!(trie.remove(&filter(&deep), 1), Some(()));
        assert_eq!(trie.held(), [0; 5]);
        trie.insert(&filter(&deep), 1, ());
        drop(trie);
    }
}
