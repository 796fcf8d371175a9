//! One publisher: how far it may go, and what its subscribers already have.

use crate::flow::Flow;
use crate::outgoing::Outgoing;

/// A publisher of a run.
#[derive(Debug)]
pub struct Publisher {
    /// Sequence number of its next message.
    pub next: u64,
    /// Every subscriber has all before this one.
    floor: u64,
    /// Subscribers that have not more than that.
    at_floor: usize,
    /// Its Packet Identifiers.
    pub outgoing: Outgoing,
    /// It is in the list of those who may have room.
    pub listed: bool,
}

impl Publisher {
    /// Before its first message.
    pub fn new(receivers: usize, window: usize, timed: bool) -> Publisher {
        Publisher { next: 0, floor: 0, at_floor: receivers, outgoing: Outgoing::new(window, timed), listed: false }
    }

    /// Messages on their way to at least one subscriber.
    #[inline]
    pub fn ahead(&self) -> u64 {
        self.next - self.floor
    }

    /// Nothing is on its way, nothing is unacknowledged.
    pub fn is_settled(&self) -> bool {
        self.next == self.floor && self.outgoing.in_flight() == 0
    }

    /// A subscriber went from `before` to somewhere; true if with it the slowest went on.
    #[inline]
    pub fn passed(&mut self, before: u64, flows: &[Flow]) -> bool {
        if before != self.floor {
            return false;
        }
        self.at_floor -= 1;
        self.at_floor == 0 && self.settle(flows)
    }

    fn settle(&mut self, flows: &[Flow]) -> bool {
        self.floor = flows.iter().map(Flow::next).min().unwrap_or(self.next);
        self.at_floor = flows.iter().filter(|flow| flow.next() == self.floor).count();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Tally;

    #[test]
    fn it_goes_as_far_as_the_slowest_subscriber() {
        let (mut publisher, mut flows) = (Publisher::new(3, 10, false), vec![Flow::default(); 3]);
        publisher.next = 5;
        let mut tally = Tally::default();
        let mut arrives = |publisher: &mut Publisher, at: usize, sequence| {
            let before = flows[at].next();
            flows[at].take(sequence, &mut tally);
            publisher.passed(before, &flows)
        };
        assert!(!arrives(&mut publisher, 0, 0));
        assert!(!arrives(&mut publisher, 0, 1));
        assert!(!arrives(&mut publisher, 1, 0));
        assert_eq!(publisher.ahead(), 5);
        assert!(arrives(&mut publisher, 2, 3), "a gap is passed over too");
        assert_eq!(publisher.ahead(), 4);
        assert!(arrives(&mut publisher, 1, 1));
        assert_eq!(publisher.ahead(), 3);
    }
}
