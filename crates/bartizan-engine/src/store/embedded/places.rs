//! What happened to places in queues since a checkpoint. Two levels: a client is found by its hash and has a number
//! here, places are found by numbers. A search through one tree of names would compare names at every step of it.

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry, Range};
use std::sync::Arc;

use bartizan_core::wire::PacketId;

use super::record::QueuedV1;

/// What happened to one place in a queue.
#[derive(Clone, Debug, PartialEq)]
pub enum QueueSlot {
    /// Queued since the checkpoint: the index does not know this place.
    Fresh(QueuedV1),
    /// Queued since the checkpoint at a place that the index may know too.
    Over(QueuedV1),
    /// Known to the index, and moved on since.
    Changed { packet_id: Option<PacketId>, released: bool },
    /// Perhaps known to the index, and done with.
    Gone,
}

/// A client's number here, and a place in its queue.
type Place = (usize, u64);

/// Places that something happened to.
#[derive(Debug, Default)]
pub struct Places {
    /// Numbers of clients, in the order in which they came.
    clients: HashMap<Arc<str>, usize>,
    slots: BTreeMap<Place, QueueSlot>,
}

impl Places {
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn get(&self, client_id: &str, seq: u64) -> Option<&QueueSlot> {
        self.slots.get(&(*self.clients.get(client_id)?, seq))
    }

    /// One place, to be looked at and changed.
    pub fn entry(&mut self, client_id: Arc<str>, seq: u64) -> Entry<'_, Place, QueueSlot> {
        let next = self.clients.len();
        let client = match self.clients.get(&client_id) {
            Some(known) => *known,
            None => *self.clients.entry(client_id).or_insert(next),
        };
        self.slots.entry((client, seq))
    }

    /// Takes all places of a client away.
    pub fn take(&mut self, client_id: &str) -> Vec<QueueSlot> {
        let Some(client) = self.clients.get(client_id) else { return Vec::new() };
        let places: Vec<Place> = self.of(*client).map(|(place, _)| *place).collect();
        places.iter().filter_map(|place| self.slots.remove(place)).collect()
    }

    /// All of them, in the order of the index: by client, and by place.
    pub fn in_order(&self) -> impl Iterator<Item = ((&Arc<str>, u64), &QueueSlot)> {
        let mut clients: Vec<(&Arc<str>, usize)> = self.clients.iter().map(|(name, client)| (name, *client)).collect();
        clients.sort_unstable();
        let places = |(name, client)| self.of(client).map(move |((_, seq), slot)| ((name, *seq), slot));
        clients.into_iter().flat_map(places)
    }

    fn of(&self, client: usize) -> Range<'_, Place, QueueSlot> {
        self.slots.range((client, 0)..=(client, u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(places: &Places) -> Vec<(String, u64)> {
        places.in_order().map(|((client, seq), _)| (client.to_string(), seq)).collect()
    }

    #[test]
    fn they_come_in_the_order_of_the_index_whatever_came_first() {
        let mut places = Places::default();
        for (client, seq) in [("b", 2), ("a", 9), ("b", 1), ("", 3), ("ab", 0), ("a", u64::MAX)] {
            places.entry(client.into(), seq).or_insert(QueueSlot::Gone);
        }
        let expected = [("", 3), ("a", 9), ("a", u64::MAX), ("ab", 0), ("b", 1), ("b", 2)];
        assert_eq!(keys(&places), expected.map(|(client, seq)| (client.to_owned(), seq)));
    }

    #[test]
    fn a_client_is_taken_with_its_first_and_last_place_and_nobody_elses() {
        let mut places = Places::default();
        for client in ["a", "b", "c"] {
            for seq in [0, 7, u64::MAX] {
                places.entry(client.into(), seq).or_insert(QueueSlot::Gone);
            }
        }
        assert_eq!(places.take("b").len(), 3);
        assert_eq!((places.take("b").len(), places.take("nobody").len(), places.len()), (0, 0, 6));
        assert_eq!(places.get("b", 7), None);
        assert_eq!(places.get("a", u64::MAX), Some(&QueueSlot::Gone));
        places.entry("b".into(), 1).or_insert(QueueSlot::Gone);
        assert_eq!(keys(&places).iter().filter(|(client, _)| client == "b").count(), 1);
    }
}
