//! Filters with wildcards, found by the levels of a name.
//!
//! A trie without nodes of its own: every place is a row of one table, under the hash of the levels
//! that lead there. A filter stands at the first place that no other shares, and goes on level by
//! level only where others begin alike; so most take one row, whatever their depth, and a look at a
//! place is one line of memory. What stands at a place need only match by its hashes: whoever asks
//! compares the text. Two paths of one hash would be one place, and lose nothing by it.
//!
//! Nothing recurses, neither at insertion nor matching nor removal, however deep a filter is.

use super::filter::{Level, TopicFilter};
use super::hash::PathSeed;
use super::name::{Texts, TopicName};
use super::path_table::{NONE, PathTable, Row};

/// What a step is hashed as, where it is no literal level.
const PLUS: u64 = 0x2b2b_2b2b_2b2b_2b2b;
const BELOW: u64 = 0x2323_2323_2323_2323;
const HERE: u64 = 0x2f2f_2f2f_2f2f_2f2f;

/// Names that are read ahead at once.
pub(super) const AHEAD: usize = 32;

/// One step of a filter's path: a level, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    level: u64,
    way: Way,
}

/// How a step leaves a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Literal,
    Plus,
    /// `#`, which matches the level above as well (4.7.1.2).
    Below,
    /// The filter ends.
    Here,
}

/// The ways that leave a place: how many literal ones, and whether the others are there.
#[derive(Clone, Copy, Debug, Default)]
struct Edges(u32);

impl Edges {
    const PLUS: u32 = 1 << 31;
    const BELOW: u32 = 1 << 30;
    const HERE: u32 = 1 << 29;

    const fn bit(way: Way) -> u32 {
        match way {
            // Memory ends long before 2^29 rows.
            Way::Literal => 1,
            Way::Plus => Self::PLUS,
            Way::Below => Self::BELOW,
            Way::Here => Self::HERE,
        }
    }

    const fn has(self, way: Way) -> bool {
        match way {
            Way::Literal => self.0 & (Self::HERE - 1) != 0,
            other => self.0 & Self::bit(other) != 0,
        }
    }
}

/// The places of all filters with wildcards. At a place stands the number of a filter.
#[derive(Debug, Default)]
pub(super) struct WildcardTrie {
    seed: PathSeed,
    rows: PathTable,
    root: u32,
}

impl WildcardTrie {
    /// The filter that stands where this one would.
    pub(super) fn find(&self, filter: &TopicFilter<'_>) -> Option<u32> {
        let mut path = self.seed.root();
        for step in Steps::of(self.seed, filter) {
            path = self.seed.below(path, step.level);
            let row = self.rows.get(path)?;
            if row.leaf != NONE {
                return Some(row.leaf);
            }
        }
        None
    }

    /// Puts a filter at its place. `alone` gives the filter of a number, unless it already shares
    /// its place. Returns whom the new one now shares its place with: their paths have one hash.
    pub(super) fn insert<'a>(
        &mut self,
        filter: &TopicFilter<'_>,
        id: u32,
        alone: impl Fn(u32) -> Option<TopicFilter<'a>>,
    ) -> Option<u32> {
        let mut path = self.seed.root();
        let mut steps = Steps::of(self.seed, filter);
        let mut depth = 0;
        while let Some(step) = steps.next() {
            let above = path;
            path = self.seed.below(above, step.level);
            depth += 1;
            let Some(row) = self.rows.get(path) else {
                self.rows.insert(path, id, 0);
                self.add_edge(above, step.way);
                return None;
            };
            if row.leaf != NONE {
                let present = row.leaf;
                return match alone(present) {
                    Some(other) => self.part(path, (steps, id), (Steps::of(self.seed, &other).skip(depth), present)),
                    None => self.share(path, id),
                };
            }
        }
        None
    }

    /// Removes a filter from its place, and with it the places that only led there. `rest` is who
    /// shared its place, if anyone.
    pub(super) fn remove(&mut self, filter: &TopicFilter<'_>, rest: u32) {
        let mut trail = Vec::new();
        let mut path = self.seed.root();
        for step in Steps::of(self.seed, filter) {
            trail.push((path, step.way));
            path = self.seed.below(path, step.level);
            match self.rows.get_mut(path) {
                None => return,
                Some(row) if row.leaf != NONE && rest != NONE => {
                    row.leaf = rest;
                    return;
                }
                Some(row) if row.leaf != NONE => break,
                Some(_) => {}
            }
        }
        self.rows.remove(path);
        while let Some((above, way)) = trail.pop() {
            let Some(edges) = self.edges_mut(above) else { return };
            *edges -= Edges::bit(way);
            if *edges != 0 || above == self.seed.root() {
                return;
            }
            self.rows.remove(above);
        }
    }

    /// Visits filters among which are all that match a name.
    ///
    /// All places reached at one depth are taken together: a level is hashed at most once, and a
    /// name deeper than the filters costs nothing beyond their depth.
    #[inline]
    pub(super) fn for_each_candidate(&self, name: &TopicName<'_>, visit: &mut impl FnMut(u32)) {
        if self.root == 0 {
            return;
        }
        let (mut now, mut next) = (Reached::default(), Reached::default());
        now.push((self.seed.root(), Edges(self.root)));
        // [MQTT-4.7.2-1]: no wildcard of the root reaches a `$` topic.
        let mut wildcards = !name.is_dollar();
        for text in name.levels() {
            let level = self.seed.text(text);
            let mut ahead = Ahead::default();
            for (path, edges) in now.iter() {
                if edges.has(Way::Literal) {
                    ahead.add(self, path, level);
                }
                if wildcards && edges.has(Way::Plus) {
                    ahead.add(self, path, PLUS);
                }
                if wildcards && edges.has(Way::Below) {
                    ahead.add(self, path, BELOW);
                }
                ahead.go(self, 2, &mut next, visit);
            }
            ahead.go(self, 0, &mut next, visit);
            wildcards = true;
            if next.is_empty() {
                return;
            }
            std::mem::swap(&mut now, &mut next);
            next.clear();
        }
        for (path, edges) in now.iter() {
            for (_, level) in [(Way::Here, HERE), (Way::Below, BELOW)].iter().filter(|(way, _)| edges.has(*way)) {
                self.follow(self.seed.below(path, *level), &mut next, visit);
            }
        }
    }

    /// Takes one step: to a filter, or to a place from where it goes on.
    #[inline]
    fn follow(&self, path: u64, next: &mut Reached, visit: &mut impl FnMut(u32)) {
        match self.rows.get(path) {
            None => {}
            Some(Row { leaf: NONE, edges, .. }) => next.push((path, Edges(*edges))),
            Some(row) => visit(row.leaf),
        }
    }

    /// Reads the rows that matching these names will read, all of one depth at once, and says which
    /// filters it will come to. What does not fit is left to matching.
    pub(super) fn read_ahead(&self, names: &[&str], visit: &mut impl FnMut(u32)) {
        let mut levels: [Option<Texts<'_>>; AHEAD] = [const { None }; AHEAD];
        levels.iter_mut().zip(names).for_each(|(levels, name)| *levels = Some(Texts::of(name)));
        let mut places: Few<(usize, u64, Edges), { 3 * AHEAD }> = Few::default();
        (0..names.len().min(AHEAD)).for_each(|name| places.push((name, self.seed.root(), Edges(self.root))));
        while !places.is_empty() {
            let mut hashes: [Option<u64>; AHEAD] = [None; AHEAD];
            for (hash, levels) in hashes.iter_mut().zip(&mut levels) {
                *hash = levels.as_mut().and_then(Iterator::next).map(|text| self.seed.text(text));
            }
            let mut steps: Few<(usize, u64), { 6 * AHEAD }> = Few::default();
            for (name, path, edges) in places.iter() {
                let literal = hashes.get(name).copied().flatten();
                let ways = [
                    (Way::Literal, literal),
                    (Way::Plus, literal.map(|_| PLUS)),
                    (Way::Below, Some(BELOW)),
                    (Way::Here, literal.is_none().then_some(HERE)),
                ];
                for step in ways.iter().filter(|(way, _)| edges.has(*way)).filter_map(|(_, step)| *step) {
                    let path = self.seed.below(path, step);
                    self.rows.touch(path);
                    steps.push((name, path));
                }
            }
            places = Few::default();
            for (name, path) in steps.iter() {
                match self.rows.get(path) {
                    None => {}
                    Some(Row { leaf: NONE, edges, .. }) => places.push((name, path, Edges(*edges))),
                    Some(row) => visit(row.leaf),
                }
            }
        }
    }

    /// Leads two filters that met at a place on to where they part.
    fn part<'a>(
        &mut self,
        mut path: u64,
        (mut mine, id): (Steps<'a>, u32),
        (mut theirs, present): (impl Iterator<Item = Step>, u32),
    ) -> Option<u32> {
        loop {
            // Both end here: only by a hash that two paths have in common.
            let (Some(one), Some(other)) = (mine.next(), theirs.next()) else { return self.share(path, id) };
            if let Some(row) = self.rows.get_mut(path) {
                row.leaf = NONE;
            }
            let place = self.seed.below(path, other.level);
            self.rows.insert(place, present, 0);
            self.add_edge(path, other.way);
            if one != other {
                self.rows.insert(self.seed.below(path, one.level), id, 0);
                self.add_edge(path, one.way);
                return None;
            }
            path = place;
        }
    }

    /// Puts a filter at a place in front of who stands there.
    fn share(&mut self, path: u64, id: u32) -> Option<u32> {
        self.rows.get_mut(path).map(|row| std::mem::replace(&mut row.leaf, id))
    }

    fn add_edge(&mut self, path: u64, way: Way) {
        if let Some(edges) = self.edges_mut(path) {
            *edges += Edges::bit(way);
        }
    }

    fn edges_mut(&mut self, path: u64) -> Option<&mut u32> {
        if path == self.seed.root() {
            return Some(&mut self.root);
        }
        self.rows.get_mut(path).map(|row| &mut row.edges)
    }

    /// Places held: none is left with the last filter.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, u32) {
        (self.rows.len(), self.root)
    }
}

/// The steps of a filter from the left, its end included.
struct Steps<'a> {
    seed: PathSeed,
    levels: Option<super::filter::Levels<'a>>,
}

impl<'a> Steps<'a> {
    fn of(seed: PathSeed, filter: &TopicFilter<'a>) -> Self {
        Steps { seed, levels: Some(filter.levels()) }
    }
}

impl Iterator for Steps<'_> {
    type Item = Step;

    #[inline]
    fn next(&mut self) -> Option<Step> {
        let step = match self.levels.as_mut()?.next() {
            Some(Level::Literal(text)) => return Some(Step { level: self.seed.text(text), way: Way::Literal }),
            Some(Level::Plus) => return Some(Step { level: PLUS, way: Way::Plus }),
            Some(Level::Hash) => Step { level: BELOW, way: Way::Below },
            None => Step { level: HERE, way: Way::Here },
        };
        self.levels = None;
        Some(step)
    }
}

/// Places reached at one depth: a few, so without an allocation; many only where `+` and
/// literals fork at every level.
#[derive(Debug)]
struct Reached {
    few: [(u64, Edges); 4],
    few_len: usize,
    more: Vec<(u64, Edges)>,
}

impl Default for Reached {
    fn default() -> Self {
        Reached { few: [(0, Edges(0)); 4], few_len: 0, more: Vec::new() }
    }
}

impl Reached {
    #[inline]
    fn push(&mut self, place: (u64, Edges)) {
        if let Some(slot) = self.few.get_mut(self.few_len) {
            *slot = place;
            self.few_len += 1;
        } else {
            self.more.push(place);
        }
    }

    #[inline]
    fn iter(&self) -> impl Iterator<Item = (u64, Edges)> + '_ {
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

/// A list that is cut off where it is full.
struct Few<T, const MOST: usize> {
    slots: [T; MOST],
    len: usize,
}

impl<T: Copy + Default, const MOST: usize> Default for Few<T, MOST> {
    fn default() -> Self {
        Few { slots: [T::default(); MOST], len: 0 }
    }
}

impl<T: Copy, const MOST: usize> Few<T, MOST> {
    #[inline]
    fn push(&mut self, value: T) {
        if let Some(slot) = self.slots.get_mut(self.len) {
            *slot = value;
            self.len += 1;
        }
    }

    #[inline]
    fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.slots.iter().take(self.len).copied()
    }

    const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Steps to take, whose rows are on their way from memory meanwhile.
#[derive(Debug, Default)]
struct Ahead {
    paths: [u64; 6],
    len: usize,
}

impl Ahead {
    #[inline]
    fn add(&mut self, trie: &WildcardTrie, above: u64, level: u64) {
        let path = trie.seed.below(above, level);
        trie.rows.touch(path);
        if let Some(slot) = self.paths.get_mut(self.len) {
            *slot = path;
            self.len += 1;
        }
    }

    /// Takes the steps, if they are more than `few`: one place adds three at most.
    #[inline]
    fn go(&mut self, trie: &WildcardTrie, few: usize, next: &mut Reached, visit: &mut impl FnMut(u32)) {
        if self.len > few {
            let taken = std::mem::take(&mut self.len);
            self.paths.iter().take(taken).for_each(|path| trie.follow(*path, next, visit));
        }
    }
}

#[cfg(test)]
#[path = "trie_tests.rs"]
mod tests;
