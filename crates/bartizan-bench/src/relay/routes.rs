//! Who gets a topic: its hash, a full comparison, and a list made when it was first seen.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use bartizan_core::topic::{TopicName, topic_hash};
use bartizan_core::wire::QoS;

use crate::relay::peer::Peer;

/// One receiver of a topic.
pub type Receiver = (usize, QoS);

/// Topics seen and who gets them, until anybody's Subscriptions change.
#[derive(Debug, Default)]
pub struct Routes {
    known: HashMap<u64, Route, BuildHasherDefault<AsItIs>>,
}

#[derive(Debug)]
struct Route {
    topic: Box<str>,
    receivers: Vec<Receiver>,
}

/// A topic's hash needs no further hashing.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _octets: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Routes {
    /// Subscriptions changed.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// Who gets this topic.
    #[inline]
    pub fn of(&mut self, topic: &str, peers: &[Option<Peer>]) -> &[Receiver] {
        let hash = topic_hash(topic);
        let route = self.known.entry(hash).or_insert_with(|| Route::find(topic, peers));
        if *route.topic != *topic {
            *route = Route::find(topic, peers);
        }
        &route.receivers
    }
}

impl Route {
    fn find(topic: &str, peers: &[Option<Peer>]) -> Route {
        let mut receivers = Vec::new();
        if let Ok(name) = TopicName::parse(topic) {
            for (index, peer) in peers.iter().enumerate() {
                let matching = peer.iter().flat_map(|peer| &peer.subscriptions);
                let matching = matching.filter(|(filter, _)| filter.as_filter().matches(&name));
                receivers.extend(matching.map(|(_, qos)| *qos).max().map(|qos| (index, qos)));
            }
        }
        Route { topic: topic.into(), receivers }
    }
}
