//! Who subscribed to one filter: mostly one, sometimes a hundred thousand.

use std::collections::HashMap;
use std::hash::Hash;

/// Above this many, keys are found by a table instead of one look at each.
const LINEAR_MAX: usize = 16;

/// The subscribers of one filter and what each said in its Subscription.
#[derive(Debug, Default)]
pub(super) enum Subscribers<K, V> {
    #[default]
    Empty,
    One(K, V),
    Group(Box<Group<K, V>>),
}

/// Two subscribers or more, side by side for the walk over them.
#[derive(Debug)]
pub(super) struct Group<K, V> {
    entries: Vec<(K, V)>,
    /// Where each key stands in `entries`; made when the group outgrows a linear look.
    places: Option<HashMap<K, usize>>,
}

impl<K: Copy + Eq + Hash, V> Subscribers<K, V> {
    /// Adds a subscriber; gives back what it had said before.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Subscribers::One(present, old) if *present == key => Some(std::mem::replace(old, value)),
            Subscribers::Group(group) => group.insert(key, value),
            Subscribers::Empty => {
                *self = Subscribers::One(key, value);
                None
            }
            Subscribers::One(..) => {
                let mut entries = Vec::with_capacity(4);
                if let Subscribers::One(first, old) = std::mem::take(self) {
                    entries.push((first, old));
                }
                entries.push((key, value));
                *self = Subscribers::Group(Box::new(Group { entries, places: None }));
                None
            }
        }
    }

    /// Removes a subscriber; gives back what it had said.
    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        match self {
            Subscribers::Group(group) => {
                let removed = group.remove(key)?;
                if group.entries.len() == 1
                    && let Some((last, value)) = group.entries.pop()
                {
                    *self = Subscribers::One(last, value);
                }
                Some(removed)
            }
            Subscribers::One(present, _) if *present == key => match std::mem::take(self) {
                Subscribers::One(_, value) => Some(value),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn get(&self, key: K) -> Option<&V> {
        match self {
            Subscribers::One(present, value) if *present == key => Some(value),
            Subscribers::Group(group) => {
                let (_, value) = group.entries.get(group.place(key)?)?;
                Some(value)
            }
            _ => None,
        }
    }

    #[inline]
    pub(super) fn for_each(&self, visit: &mut impl FnMut(K, &V)) {
        match self {
            Subscribers::Empty => {}
            Subscribers::One(key, value) => visit(*key, value),
            Subscribers::Group(group) => group.entries.iter().for_each(|(key, value)| visit(*key, value)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Subscribers::Empty)
    }
}

impl<K: Copy + Eq + Hash, V> Group<K, V> {
    fn place(&self, key: K) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(&key).copied(),
            None => self.entries.iter().position(|(present, _)| *present == key),
        }
    }

    fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some((_, old)) = self.place(key).and_then(|at| self.entries.get_mut(at)) {
            return Some(std::mem::replace(old, value));
        }
        let at = self.entries.len();
        self.entries.push((key, value));
        match &mut self.places {
            Some(places) => {
                places.insert(key, at);
            }
            None if at >= LINEAR_MAX => {
                self.places = Some(self.entries.iter().enumerate().map(|(at, (key, _))| (*key, at)).collect());
            }
            None => {}
        }
        None
    }

    fn remove(&mut self, key: K) -> Option<V> {
        let at = self.place(key)?;
        let (_, value) = self.entries.swap_remove(at);
        if let Some(places) = &mut self.places {
            places.remove(&key);
            if let Some((moved, _)) = self.entries.get(at) {
                places.insert(*moved, at);
            }
        }
        // A group that was large for a day must not stay large: half full is where it shrinks.
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
            if let Some(places) = &mut self.places {
                places.shrink_to(self.entries.len() * 2);
            }
        }
        if self.entries.len() <= LINEAR_MAX / 2 {
            self.places = None;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_grows_from_none_to_a_thousand_and_back() {
        let mut list = Subscribers::default();
        for key in 0..1000_u32 {
            assert_eq!(list.insert(key, key * 2), None);
        }
        assert_eq!(list.insert(7, 700), Some(14));
        assert_eq!(list.get(7), Some(&700));
        assert_eq!(list.get(1000), None);
        for key in (0..1000).rev().step_by(2).chain((0..1000).step_by(2)) {
            let expected = if key == 7 { 700 } else { key * 2 };
            assert_eq!(list.remove(key), Some(expected), "{key}");
            assert_eq!(list.remove(key), None, "{key} twice");
        }
        assert!(list.is_empty());
    }

    #[test]
    fn one_subscriber_takes_no_allocation_of_its_own() {
        let mut list = Subscribers::default();
        list.insert(1_u64, 1_u64);
        list.insert(2, 2);
        list.remove(1);
        assert!(matches!(list, Subscribers::One(2, 2)));
    }

    #[test]
    fn every_subscriber_is_visited_once() {
        for size in [0, 1, 2, 16, 17, 40] {
            let mut list = Subscribers::default();
            (0..size).for_each(|key| assert_eq!(list.insert(key, ()), None));
            let mut seen = Vec::new();
            list.for_each(&mut |key, ()| seen.push(key));
            seen.sort_unstable();
            assert_eq!(seen, (0..size).collect::<Vec<_>>());
        }
    }
}
