//! Messages on their way to another shard, in one block of memory instead of one each.
//!
//! A message is copied in by the shard that admitted it and read where it lies by the one that
//! delivers it. Whoever must hold it longer, a queue or a window, copies it out: no message keeps
//! its neighbours in memory. Messages in a row that differ in their payload alone share a `Run`,
//! so that what crosses for most of them is the payload and its length.

use std::sync::Arc;

use crate::message::{Message, Publisher, Time};
use crate::topic::TopicName;
use crate::wire::QoS;

/// Octets of a block, about: a full one is sent on, and another begun.
const BLOCK_BYTES: usize = 64 * 1024;
/// Larger messages are not copied in: they cross as a `Message`, shared by all who hold it.
const CARRIED_BYTES_MAX: usize = 4 * 1024;
/// Octets before each payload: its length.
const LENGTH_BYTES: usize = size_of::<u32>();

/// What messages in a row have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    publisher: Arc<Publisher>,
    hash: u64,
    expires_at: Option<Time>,
    topic_len: u16,
    properties_len: u32,
    qos: QoS,
    retain: bool,
    /// How many messages.
    count: u32,
}

/// Messages of one or more publishers, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parcel {
    /// The Topic Name of each run.
    topics: String,
    /// Of each run its properties, then of each message the length of its payload, and the payload.
    octets: Vec<u8>,
    runs: Vec<Run>,
    count: u32,
    weight_bytes: usize,
}

/// A message in a `Parcel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried<'a> {
    /// The Topic Name.
    pub topic: TopicName<'a>,
    /// Its hash.
    pub hash: u64,
    /// Forwarded properties, raw.
    pub properties: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// QoS it was published with.
    pub qos: QoS,
    /// RETAIN it was published with.
    pub retain: bool,
    /// When it ends.
    pub expires_at: Option<Time>,
    /// Who published it.
    pub publisher: &'a Arc<Publisher>,
}

impl<'a> Carried<'a> {
    /// A message that is held, as something to be copied.
    #[must_use]
    pub fn of(message: &'a Message) -> Carried<'a> {
        Carried {
            topic: message.topic(),
            hash: message.hash,
            properties: message.properties(),
            payload: message.payload(),
            qos: message.qos,
            retain: message.retain,
            expires_at: message.expires_at,
            publisher: &message.publisher,
        }
    }

    /// True when a message of this size is cheaper copied than shared.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.properties.len() + self.payload.len() <= CARRIED_BYTES_MAX
    }
}

impl Run {
    fn of(message: &Carried<'_>) -> Run {
        Run {
            publisher: Arc::clone(message.publisher),
            hash: message.hash,
            expires_at: message.expires_at,
            // A Topic Name is at most 65,535 octets, and properties are bounded by `fits`.
            topic_len: u16::try_from(message.topic.as_str().len()).unwrap_or(u16::MAX),
            properties_len: u32::try_from(message.properties.len()).unwrap_or(u32::MAX),
            qos: message.qos,
            retain: message.retain,
            count: 0,
        }
    }

    /// True when a message may differ from the others in its payload alone. One with properties
    /// stands for itself.
    fn takes(&self, message: &Carried<'_>, topic: &str) -> bool {
        self.hash == message.hash
            && self.qos == message.qos
            && self.retain == message.retain
            && self.expires_at == message.expires_at
            && self.properties_len == 0
            && message.properties.is_empty()
            && Arc::ptr_eq(&self.publisher, message.publisher)
            && topic == message.topic.as_str()
    }
}

impl Parcel {
    /// Messages in it.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// What its messages weigh held one by one, as a queue counts them.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    /// True when the next message should go into another one.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.octets.len() >= BLOCK_BYTES || self.topics.len() >= BLOCK_BYTES
    }

    /// Copies a message in, behind the others. Only what was admitted may come here: it is
    /// `Authorized<Parcel>` that calls.
    pub(crate) fn push(&mut self, message: &Carried<'_>) {
        let last = self.runs.last_mut();
        let run = match last.filter(|run| {
            let begin = self.topics.len().saturating_sub(usize::from(run.topic_len));
            run.takes(message, self.topics.get(begin..).unwrap_or_default())
        }) {
            Some(run) => run,
            None => {
                self.topics.push_str(message.topic.as_str());
                self.octets.extend_from_slice(message.properties);
                self.runs.push_mut(Run::of(message))
            }
        };
        run.count += 1;
        let length = u32::try_from(message.payload.len()).unwrap_or(u32::MAX);
        self.octets.reserve(LENGTH_BYTES + message.payload.len());
        self.octets.extend_from_slice(&length.to_le_bytes());
        self.octets.extend_from_slice(message.payload);
        self.count += 1;
        self.weight_bytes += message.topic.as_str().len() + message.properties.len() + message.payload.len();
        self.weight_bytes += size_of::<Message>();
    }

    /// The message at `place`, which then is that of the next one.
    pub fn next(&self, place: &mut Place) -> Option<Carried<'_>> {
        let mut run = self.runs.get(place.run)?;
        if place.taken == run.count {
            place.topic += usize::from(run.topic_len);
            place.run += 1;
            place.taken = 0;
            run = self.runs.get(place.run)?;
        }
        if place.taken == 0 {
            place.properties = place.octet;
            place.octet += run.properties_len as usize;
        }
        let (length, rest) = self.octets.get(place.octet..)?.split_first_chunk::<LENGTH_BYTES>()?;
        let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
        place.octet += LENGTH_BYTES + payload.len();
        place.taken += 1;
        place.index += 1;
        Some(Carried {
            topic: TopicName::assume_parsed(self.topics.get(place.topic..)?.get(..usize::from(run.topic_len))?),
            hash: run.hash,
            properties: self.octets.get(place.properties..)?.get(..run.properties_len as usize)?,
            payload,
            qos: run.qos,
            retain: run.retain,
            expires_at: run.expires_at,
            publisher: &run.publisher,
        })
    }
}

/// How far a `Parcel` has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Messages read.
    pub index: u32,
    run: usize,
    taken: u32,
    topic: usize,
    properties: usize,
    octet: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publisher(id: &str) -> Arc<Publisher> {
        Arc::new(Publisher { identity: Arc::from(id), client_id: Arc::from(id) })
    }

    fn message<'a>(
        topic: &'a str,
        properties: &'a [u8],
        payload: &'a [u8],
        publisher: &'a Arc<Publisher>,
    ) -> Carried<'a> {
        let topic = TopicName::parse(topic).unwrap();
        let hash = crate::topic::topic_hash(topic.as_str());
        let (qos, retain, expires_at) = (QoS::AtMostOnce, false, None);
        Carried { topic, hash, properties, payload, qos, retain, expires_at, publisher }
    }

    #[test]
    fn what_comes_out_is_what_went_in_in_its_order() {
        let (one, other) = (publisher("one"), publisher("other"));
        let first = message("a/b", b"", b"1", &one);
        let messages = [
            first,
            Carried { payload: b"", ..first },
            Carried { payload: b"333", ..first },
            Carried { qos: QoS::AtLeastOnce, ..first },
            Carried { retain: true, ..first },
            Carried { expires_at: Some(Time(7)), ..first },
            message("a/ä", b"", b"4", &one),
            message("a/ä", b"\x01\x01", b"5", &one),
            message("a/ä", b"\x01\x01", b"6", &one),
            message("a/ä", b"\x01\x00", b"6", &one),
            message("a/ä", b"", b"7", &other),
            message("a/b", b"", b"8", &other),
        ];
        let mut parcel = Parcel::default();
        messages.iter().for_each(|message| parcel.push(message));
        let mut place = Place::default();
        for (at, message) in messages.iter().enumerate() {
            assert_eq!(place.index as usize, at);
            assert_eq!(parcel.next(&mut place).as_ref(), Some(message));
        }
        assert_eq!(parcel.next(&mut place), None);
        assert_eq!(parcel.next(&mut place), None);
        assert_eq!(parcel.count() as usize, messages.len());
    }

    #[test]
    fn a_row_that_differs_in_payload_alone_takes_its_payload_and_four_octets_each() {
        let publisher = publisher("one");
        let mut parcel = Parcel::default();
        (0..500)
            .for_each(|_| parcel.push(&message("plant/press-01/temperature", b"", b"0123456789abcdef", &publisher)));
        assert_eq!((parcel.runs.len(), parcel.topics.len(), parcel.octets.len()), (1, 26, 500 * 20));
        assert_eq!(Arc::strong_count(&publisher), 2);
    }

    #[test]
    fn it_weighs_what_its_messages_would_weigh_held() {
        let publisher = publisher("one");
        let carried = message("a/b", b"\x01\x01", b"payload", &publisher);
        let held =
            Message::new(&carried.topic, b"\x01\x01", b"payload", QoS::AtMostOnce, false, None, publisher.clone());
        assert_eq!(Carried::of(&held), carried);
        let mut parcel = Parcel::default();
        (0..3).for_each(|_| parcel.push(&carried));
        assert_eq!(parcel.weight_bytes(), 3 * held.weight_bytes());
    }

    #[test]
    fn it_is_full_before_it_is_much_more_than_a_block() {
        let publisher = publisher("one");
        let mut parcel = Parcel::default();
        let large = message("a", b"", &[0; CARRIED_BYTES_MAX], &publisher);
        assert!(large.fits());
        assert!(!Carried { properties: b"\x01\x01", ..large }.fits());
        while !parcel.is_full() {
            parcel.push(&large);
        }
        assert!(parcel.octets.len() < BLOCK_BYTES + CARRIED_BYTES_MAX + 2 * LENGTH_BYTES);
    }
}
