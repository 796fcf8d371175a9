//! A vector with holes that are used again: small ids for trie nodes and subscriber lists.
//!
//! Ids never leave this module's users, which drop an id together with what it names; so there is
//! no generation in it.

/// The id of nothing.
pub(super) const NONE: u32 = u32::MAX;

/// Values by id; a free slot holds `T::default()`.
#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Slab<T> {
    /// Keeps a value and names it. Memory ends long before the 2^32 - 1 ids do.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(id) = self.free.pop() {
            if let Some(slot) = self.get_mut(id) {
                *slot = value;
            }
            return id;
        }
        let id = u32::try_from(self.slots.len()).unwrap_or(NONE);
        self.slots.push(value);
        id
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.slots.reserve(more);
    }

    /// Drops a value; its id may come again.
    pub(super) fn remove(&mut self, id: u32) {
        if let Some(slot) = self.get_mut(id) {
            *slot = T::default();
            self.free.push(id);
        }
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        self.slots.get(id as usize)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.slots.get_mut(id as usize)
    }

    /// How many ids are in use.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
