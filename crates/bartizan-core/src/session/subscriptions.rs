//! The Subscriptions of one Session, by their full filter: one, mostly.

use std::collections::HashMap;
use std::sync::Arc;

use super::session::Subscription;

type Entry = (Arc<str>, Subscription);

/// Subscriptions by their full filter, `$share/...` included. One takes no table.
#[derive(Debug, Default)]
pub struct Subscriptions(Held);

#[allow(clippy::box_collection, reason = "a table is six words, and most Sessions have none")]
#[derive(Debug, Default)]
enum Held {
    #[default]
    None,
    One(Box<Entry>),
    Many(Box<HashMap<Arc<str>, Subscription>>),
}

impl Subscriptions {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Held::None => 0,
            Held::One(_) => 1,
            Held::Many(table) => table.len(),
        }
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one to this filter.
    #[must_use]
    pub fn get(&self, filter: &str) -> Option<&Subscription> {
        match &self.0 {
            Held::None => None,
            Held::One(one) => (*one.0 == *filter).then_some(&one.1),
            Held::Many(table) => table.get(filter),
        }
    }

    /// True when there is one to this filter.
    #[must_use]
    pub fn contains_key(&self, filter: &str) -> bool {
        self.get(filter).is_some()
    }

    /// Adds one, or replaces the one to this filter and gives it back [MQTT-3.8.4-3].
    pub fn insert(&mut self, filter: Arc<str>, subscription: Subscription) -> Option<Subscription> {
        match &mut self.0 {
            Held::One(one) if one.0 == filter => Some(std::mem::replace(&mut one.1, subscription)),
            Held::Many(table) => table.insert(filter, subscription),
            few => {
                *few = match std::mem::take(few) {
                    Held::One(one) => Held::Many(Box::new(HashMap::from([*one, (filter, subscription)]))),
                    _ => Held::One(Box::new((filter, subscription))),
                };
                None
            }
        }
    }

    /// Takes the one to this filter out.
    pub fn remove_entry(&mut self, filter: &str) -> Option<(Arc<str>, Subscription)> {
        if !self.contains_key(filter) {
            return None;
        }
        match std::mem::take(&mut self.0) {
            Held::None => None,
            Held::One(one) => Some(*one),
            Held::Many(mut table) => {
                let removed = table.remove_entry(filter);
                self.0 = match table.len() {
                    0 => Held::None,
                    1 => table.drain().next().map_or(Held::None, |last| Held::One(Box::new(last))),
                    left => {
                        if left < table.capacity() / 8 {
                            table.shrink_to(left * 2);
                        }
                        Held::Many(table)
                    }
                };
                removed
            }
        }
    }

    /// All of them with their filters, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Subscription)> {
        let (one, many) = match &self.0 {
            Held::None => (None, None),
            Held::One(one) => (Some((&one.0, &one.1)), None),
            Held::Many(table) => (None, Some(table.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// All of them with their filters, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Arc<str>, &mut Subscription)> {
        let (one, many) = match &mut self.0 {
            Held::None => (None, None),
            Held::One(one) => {
                let (filter, subscription) = &mut **one;
                (Some((&*filter, subscription)), None)
            }
            Held::Many(table) => (None, Some(table.iter_mut())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Their filters.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.iter().map(|(filter, _)| filter)
    }

    /// What each says.
    pub fn values(&self) -> impl Iterator<Item = &Subscription> {
        self.iter().map(|(_, subscription)| subscription)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SubscriptionOptions;
    use std::num::NonZeroU32;

    fn subscription(id: u32) -> Subscription {
        Subscription {
            is_shared: false,
            options: SubscriptionOptions::default(),
            id: NonZeroU32::new(id),
            per_delivery: false,
        }
    }

    fn filters(subscriptions: &Subscriptions) -> Vec<String> {
        let mut filters: Vec<String> = subscriptions.keys().map(|filter| filter.to_string()).collect();
        filters.sort_unstable();
        filters
    }

    #[test]
    fn mqtt_3_8_4_3_the_same_filter_replaces_whether_it_is_alone_or_not() {
        let mut held = Subscriptions::default();
        assert!(held.insert("a".into(), subscription(1)).is_none());
        assert_eq!(held.insert("a".into(), subscription(2)).and_then(|old| old.id).map(NonZeroU32::get), Some(1));
        assert!(held.insert("b".into(), subscription(3)).is_none());
        assert_eq!(held.insert("a".into(), subscription(4)).and_then(|old| old.id).map(NonZeroU32::get), Some(2));
        assert_eq!((held.len(), held.get("a").and_then(|one| one.id).map(NonZeroU32::get)), (2, Some(4)));
        assert_eq!(filters(&held), ["a", "b"]);
    }

    #[test]
    fn from_none_to_a_hundred_and_back_each_is_found_once() {
        let mut held = Subscriptions::default();
        for count in 0..100_u32 {
            assert_eq!(held.len(), count as usize);
            held.insert(count.to_string().into(), subscription(count));
            held.iter_mut().for_each(|(_, one)| one.per_delivery = true);
            assert!(held.values().all(|one| one.per_delivery));
        }
        for count in 0..100_u32 {
            assert!(held.remove_entry("none").is_none());
            let removed = held.remove_entry(&count.to_string()).map(|(_, one)| one.id);
            assert_eq!(removed, Some(NonZeroU32::new(count)));
            assert_eq!((held.len(), held.iter().count()), (99 - count as usize, 99 - count as usize));
        }
        assert!(held.is_empty());
        assert_eq!(std::mem::size_of::<Subscriptions>(), 16);
    }
}
