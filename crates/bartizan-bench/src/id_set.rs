//! A set of Packet Identifiers that costs nothing while it is unused.

/// Identifiers, one bit each.
#[derive(Clone, Debug, Default)]
pub struct IdSet {
    words: Vec<u64>,
}

const WORDS: usize = 65_536 / 64;

impl IdSet {
    /// False if it was there.
    #[inline]
    pub fn insert(&mut self, id: u16) -> bool {
        if self.words.is_empty() {
            self.words = vec![0; WORDS];
        }
        self.change(id, |word, bit| (*word | bit, *word & bit == 0))
    }

    /// True if it was there.
    #[inline]
    pub fn remove(&mut self, id: u16) -> bool {
        self.change(id, |word, bit| (*word & !bit, *word & bit != 0))
    }

    /// Is it there?
    #[inline]
    pub fn contains(&self, id: u16) -> bool {
        self.words.get(usize::from(id / 64)).is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    #[inline]
    fn change(&mut self, id: u16, how: impl FnOnce(&u64, u64) -> (u64, bool)) -> bool {
        let Some(word) = self.words.get_mut(usize::from(id / 64)) else { return false };
        let (next, told) = how(word, 1 << (id % 64));
        *word = next;
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_there_from_insert_to_remove() {
        let mut set = IdSet::default();
        assert!(!set.remove(1));
        for id in [0, 1, 63, 64, u16::MAX] {
            assert!(!set.contains(id) && set.insert(id) && !set.insert(id) && set.contains(id));
            assert!(set.remove(id) && !set.remove(id));
        }
    }
}
