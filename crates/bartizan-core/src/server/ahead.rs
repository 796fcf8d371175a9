//! Topics of packets that are still to be handled, read ahead.
//!
//! Where topics do not recur and the subscription index is larger than the processor's caches, each
//! message waits for memory several times, one after the other. The messages that are behind it in
//! the same buffer are known already: what they will read is asked for together.

use super::Server;
use crate::topic::READ_AHEAD;
use crate::wire;

/// Messages in a row that found no route kept, before topics are read ahead.
const AFTER: u32 = 32;
/// Subscriptions of an index that the processor's caches hold anyway.
const CACHED: usize = 16_384;

/// The packet type (2.1.2).
const PUBLISH: u8 = 3;

impl Server {
    /// Reads ahead for the packets at the front of `buf`, if that is worth it. Returns how many
    /// octets they are.
    #[inline]
    pub(crate) fn read_ahead(&self, buf: &[u8]) -> usize {
        if self.last_route.unkept() < AFTER || self.index.len() < CACHED { 0 } else { self.read_topics_ahead(buf) }
    }

    fn read_topics_ahead(&self, buf: &[u8]) -> usize {
        let mut topics = [""; READ_AHEAD];
        let (mut found, mut done) = (0, 0);
        while let Some(slot) = topics.get_mut(found) {
            let rest = buf.get(done..).unwrap_or_default();
            // Whatever is wrong with a packet is told when it is handled.
            let Ok(Some(frame)) = wire::frame(rest, u32::MAX) else { break };
            if let Some(topic) = topic_of(&frame) {
                *slot = topic;
                found += 1;
            }
            done += frame.len;
        }
        self.index.read_ahead(topics.get(..found).unwrap_or_default());
        done
    }
}

/// The Topic Name of a PUBLISH (3.3.2.1).
fn topic_of<'a>(frame: &wire::Frame<'a>) -> Option<&'a str> {
    if frame.first >> 4 != PUBLISH {
        return None;
    }
    let (length, rest) = frame.body.split_first_chunk::<2>()?;
    let topic = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    std::str::from_utf8(topic).ok().filter(|topic| !topic.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Version;
    use crate::wire::encode::{self, PublishHead};

    #[test]
    fn topics_are_read_from_publish_packets_and_nothing_else() {
        let mut octets = Vec::new();
        encode::publish(
            &mut octets,
            Version::V311,
            &PublishHead { topic: "a/b", ..PublishHead::default() },
            b"payload",
        );
        let topic = |octets: &[u8]| topic_of(&wire::frame(octets, u32::MAX).unwrap().unwrap()).map(str::to_owned);
        assert_eq!(topic(&octets).as_deref(), Some("a/b"));
        // PINGREQ; a PUBLISH whose topic is not all there, is no UTF-8, or is an alias's.
        for other in [&[0xc0, 0][..], &[0x30, 3, 0, 2, b'a'], &[0x30, 3, 0, 1, 0xff], &[0x30, 1, 0], &[0x30, 2, 0, 0]] {
            assert_eq!(topic(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_read_ahead_ends_where_the_packets_do() {
        let server = Server::new(0, std::sync::Arc::new(crate::server::Common::new(1)), Vec::new(), 1);
        let mut octets = Vec::new();
        for topic in 0..READ_AHEAD + 1 {
            let topic = format!("t/{topic}");
            encode::publish(&mut octets, Version::V311, &PublishHead { topic: &topic, ..PublishHead::default() }, b"");
        }
        let all = octets.len();
        assert_eq!(server.read_topics_ahead(&octets), all - 8, "all but the last");
        assert_eq!(server.read_topics_ahead(&octets[all - 8..]), 8);
        assert_eq!(server.read_topics_ahead(&octets[all - 8..all - 1]), 0, "not all there");
        assert_eq!(server.read_ahead(&octets), 0, "not worth it");
    }
}
