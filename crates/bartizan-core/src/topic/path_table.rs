//! A table keyed by 64-bit hashes, in order: what the subscription index and its trie stand in.
//!
//! A row stands at the place its hash says, or right behind rows of smaller hashes, so the whole
//! table is sorted. One look is one line of memory, found or not: a search ends at the first larger
//! hash. And growing is one pass over old and new rows side by side, without reading what the
//! rows stand for. The hashes come from a seeded hash ([`super::hash::PathSeed`]): peers cannot
//! choose texts that crowd one place.

/// The id of nothing.
pub(super) const NONE: u32 = u32::MAX;

/// Rows of the smallest table.
const BUCKETS_MIN: usize = 8;

/// What stands under a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The hash; 0 in a free row.
    path: u64,
    /// A filter, or [`NONE`].
    pub(super) leaf: u32,
    /// What goes on from here, where no filter stands.
    pub(super) edges: u32,
}

const FREE: Row = Row { path: 0, leaf: NONE, edges: 0 };

/// Rows by hash.
#[derive(Debug, Default)]
pub(super) struct PathTable {
    /// In the order of their hashes, free rows between. Longer than `buckets` by what overflows
    /// at the end.
    rows: Vec<Row>,
    buckets: usize,
    len: usize,
}

/// 0 marks a free row.
#[inline]
const fn named(path: u64) -> u64 {
    if path == 0 { 1 } else { path }
}

/// The place of a hash among `buckets`: by its upper bits, so that places are in the order of hashes.
#[inline]
const fn home(path: u64, buckets: usize) -> usize {
    // The product is below 2^64 * buckets.
    ((path as u128 * buckets as u128) >> 64) as usize
}

impl PathTable {
    /// The row of a hash.
    #[inline]
    pub(super) fn get(&self, path: u64) -> Option<&Row> {
        let path = named(path);
        let rows = self.rows.get(home(path, self.buckets)..)?;
        rows.iter().find(|row| row.path >= path || row.path == 0).filter(|row| row.path == path)
    }

    /// Reads what [`PathTable::get`] will read, so that the memory of several rows is on its way at
    /// once: a large table is in no cache, and what is found in one row decides about the next.
    #[inline]
    pub(super) fn touch(&self, path: u64) {
        std::hint::black_box(self.rows.get(home(named(path), self.buckets)).map(|row| row.path));
    }

    /// The row of a hash, to change it.
    pub(super) fn get_mut(&mut self, path: u64) -> Option<&mut Row> {
        let path = named(path);
        let at = self.place(path);
        self.rows.get_mut(at).filter(|row| row.path == path)
    }

    /// Puts a row where none is.
    pub(super) fn insert(&mut self, path: u64, leaf: u32, edges: u32) {
        if self.len >= self.buckets / 8 * 7 {
            self.rebuild((self.buckets / 2 * 3).max(BUCKETS_MIN));
        }
        let path = named(path);
        let at = self.place(path);
        let later = self.rows.get(at..).unwrap_or_default();
        let free = at + later.iter().position(|row| row.path == 0).unwrap_or(later.len());
        if free == self.rows.len() {
            self.rows.push(FREE);
        }
        if let Some(moved) = self.rows.get_mut(at..=free) {
            moved.rotate_right(1);
        }
        if let Some(row) = self.rows.get_mut(at) {
            *row = Row { path, leaf, edges };
            self.len += 1;
        }
    }

    /// Takes the row of a hash away.
    pub(super) fn remove(&mut self, path: u64) {
        let path = named(path);
        let at = self.place(path);
        if self.rows.get(at).is_none_or(|row| row.path != path) {
            return;
        }
        // Rows that stand behind their place for this one's sake move up.
        let later = self.rows.get(at + 1..).unwrap_or_default();
        let behind = later
            .iter()
            .zip(at + 1..)
            .position(|(row, stands)| row.path == 0 || home(row.path, self.buckets) == stands)
            .unwrap_or(later.len());
        if let Some(moved) = self.rows.get_mut(at..=at + behind) {
            moved.rotate_left(1);
        }
        if let Some(last) = self.rows.get_mut(at + behind) {
            *last = FREE;
            self.len -= 1;
        }
        if self.buckets > BUCKETS_MIN && self.len < self.buckets / 4 {
            self.rebuild((self.buckets / 2).max(BUCKETS_MIN));
        }
    }

    /// How many rows there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where a hash stands, or would.
    #[inline]
    fn place(&self, path: u64) -> usize {
        let home = home(path, self.buckets);
        let rows = self.rows.get(home..).unwrap_or_default();
        home + rows.iter().position(|row| row.path >= path || row.path == 0).unwrap_or(rows.len())
    }

    /// Moves all rows into a table of this size: both are in order, so each is read once.
    fn rebuild(&mut self, buckets: usize) {
        let mut rows = Vec::with_capacity(buckets + BUCKETS_MIN);
        for row in self.rows.iter().filter(|row| row.path != 0) {
            let home = home(row.path, buckets);
            if rows.len() < home {
                rows.resize(home, FREE);
            }
            rows.push(*row);
        }
        if rows.len() < buckets {
            rows.resize(buckets, FREE);
        }
        (self.rows, self.buckets) = (rows, buckets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Hashes that crowd at places: few upper bits, so that rows push each other along, and
    /// beyond the last place.
    fn hash() -> impl Strategy<Value = u64> {
        prop_oneof![
            (0..40_u64).prop_map(|n| u64::MAX - n),
            (0..40_u64),
            (0..16_u64, 0..12_u64).prop_map(|(place, n)| (place << 60) + n),
        ]
    }

    proptest! {
        #[test]
        fn a_table_holds_what_was_put_and_not_taken(changes in prop::collection::vec((hash(), any::<bool>()), 1..400)) {
            let (mut table, mut model) = (PathTable::default(), BTreeMap::new());
            for (at, (path, puts)) in (0_u32..).zip(changes) {
                // Two hashes share a row: 0 is no hash.
                let path = path.max(1);
                if puts && !model.contains_key(&path) {
                    table.insert(path, at, at + 1);
                    model.insert(path, at);
                } else if !puts {
                    table.remove(path);
                    model.remove(&path);
                }
                prop_assert_eq!(table.len(), model.len());
                let held: Vec<(u64, u32)> =
                    table.rows.iter().filter(|row| row.path != 0).map(|row| (row.path, row.leaf)).collect();
                prop_assert_eq!(&held, &model.iter().map(|(path, leaf)| (*path, *leaf)).collect::<Vec<_>>());
                for (path, leaf) in &model {
                    prop_assert_eq!(table.get(*path).map(|row| (row.leaf, row.edges)), Some((*leaf, leaf + 1)));
                    prop_assert_eq!(table.get_mut(*path).map(|row| row.leaf), Some(*leaf));
                }
                prop_assert!(table.get(path ^ 1 << 50).is_none_or(|row| row.path == path ^ 1 << 50));
            }
        }
    }

    #[test]
    fn a_table_that_emptied_gives_its_memory_back() {
        let mut table = PathTable::default();
        let hashes: Vec<u64> = (0..10_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        for hash in &hashes {
            table.insert(*hash, 1, 0);
        }
        assert!(table.rows.len() < 18_000, "{}", table.rows.len());
        hashes.iter().for_each(|hash| table.remove(*hash));
        assert_eq!((table.len(), table.buckets), (0, BUCKETS_MIN));
        assert!(table.rows.capacity() <= 4 * BUCKETS_MIN);
    }

    #[test]
    fn nothing_is_found_in_an_empty_table() {
        let mut table = PathTable::default();
        assert_eq!(table.get(1), None);
        assert_eq!(table.get_mut(1), None);
        table.remove(1);
        assert_eq!(table.len(), 0);
    }
}
