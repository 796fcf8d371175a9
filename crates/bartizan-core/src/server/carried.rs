//! How much topics carry: counted while somebody asks, and no longer. Nobody else pays for it.

use std::collections::HashMap;

use serde::Serialize;

use super::Server;
use super::observe::Observer;
use crate::message::Time;

/// Topics that are told apart; what the others carry is one sum.
pub const TOPICS_MAX: usize = 16_384;
/// So long after it was asked for last, nothing is counted any more.
const COUNTED_MS: u64 = 60_000;

/// What clients published to a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// Messages.
    pub messages: u64,
    /// Octets of their payloads.
    pub bytes: u64,
}

impl Carried {
    /// So much more.
    pub fn add(&mut self, more: Carried) {
        self.messages = self.messages.saturating_add(more.messages);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

/// What topics have carried since it is counted.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// By Topic Name; of a tenant with its root.
    pub topics: HashMap<Box<str>, Carried>,
    /// That of all for which there was no room.
    pub others: Carried,
}

/// The same, and until when it is counted.
#[derive(Debug)]
pub(super) struct Count {
    traffic: Traffic,
    until: Time,
}

impl Count {
    /// A message that the policy permits.
    pub(super) fn note(&mut self, topic: &str, payload: usize) {
        let more = Carried { messages: 1, bytes: payload as u64 };
        let Traffic { topics, others } = &mut self.traffic;
        if let Some(carried) = topics.get_mut(topic) {
            carried.add(more);
        } else if topics.len() < TOPICS_MAX {
            topics.insert(topic.into(), more);
        } else {
            others.add(more);
        }
    }

    pub(super) fn is_over(&self, now: Time) -> bool {
        now >= self.until
    }
}

impl Observer {
    /// A message that the policy permits. Out of the way of who is not asked about.
    #[cold]
    #[inline(never)]
    pub(super) fn count_carried(&mut self, topic: &str, payload: usize, now: Time) {
        match &mut self.carried {
            Some(count) if !count.is_over(now) => count.note(topic, payload),
            _ => self.carried = None,
        }
    }
}

impl Server {
    /// What topics have carried on this shard. It is counted from the first question on, for as long as it is asked
    /// again within a minute; nothing is, where decisions are not watched.
    pub fn traffic(&mut self, now: Time) -> Traffic {
        let Some(observer) = &mut self.observer else { return Traffic::default() };
        let until = now.plus_ms(COUNTED_MS);
        let count = observer.carried.take().filter(|count| !count.is_over(now));
        let mut count = count.unwrap_or_else(|| Box::new(Count { traffic: Traffic::default(), until }));
        count.until = until;
        observer.carried.insert(count).traffic.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_bounded_and_what_the_others_carry_is_one_sum() {
        let mut count = Count { traffic: Traffic::default(), until: Time(5) };
        for number in 0..TOPICS_MAX + 3 {
            count.note(&number.to_string(), 2);
        }
        count.note("7", 5);
        assert_eq!(count.traffic.topics.len(), TOPICS_MAX);
        assert_eq!(count.traffic.topics["7"], Carried { messages: 2, bytes: 7 });
        assert_eq!(count.traffic.others, Carried { messages: 3, bytes: 6 });
        assert!(!count.is_over(Time(4)) && count.is_over(Time(5)));
    }
}
