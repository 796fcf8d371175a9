//! The messages of one publisher as one receiver gets them: each once, in order, or what is wrong with them.

/// What became of messages, over a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sent by publishers.
    pub published: u64,
    /// Arrived for the first time, each counted once per receiver.
    pub delivered: u64,
    /// Acknowledged to publishers to the end (PUBACK, PUBCOMP).
    pub acknowledged: u64,
    /// Arrived again.
    pub duplicated: u64,
    /// Arrived after a later one of the same publisher.
    pub reordered: u64,
    /// Payload or topic is not what was sent.
    pub corrupt: u64,
    /// QoS is not the lower of publication and subscription.
    pub wrong_qos: u64,
    /// Acknowledgements out of order or of nothing, packets that do not belong.
    pub protocol_errors: u64,
}

impl Tally {
    /// Nothing is wrong but what may be lost.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.duplicated + self.reordered + self.corrupt + self.wrong_qos + self.protocol_errors == 0
    }
}

/// Which messages of one publisher one receiver has.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    next: u64,
    /// Ranges before `next` that were passed over; empty in a sound run.
    #[allow(clippy::box_collection)] // a flow is 16 octets: a mesh has a hundred thousand of them
    missing: Option<Box<Vec<(u64, u64)>>>,
}

impl Flow {
    /// One past the highest sequence number seen.
    #[inline]
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Takes a message; true if it is new.
    #[inline]
    pub fn take(&mut self, sequence: u64, tally: &mut Tally) -> bool {
        if sequence == self.next {
            self.next += 1;
            tally.delivered += 1;
            return true;
        }
        self.irregular(sequence, tally)
    }

    #[cold]
    fn irregular(&mut self, sequence: u64, tally: &mut Tally) -> bool {
        if sequence > self.next {
            self.missing.get_or_insert_default().push((self.next, sequence));
            self.next = sequence + 1;
            tally.delivered += 1;
            return true;
        }
        if self.fill(sequence) {
            tally.reordered += 1;
            tally.delivered += 1;
            return true;
        }
        tally.duplicated += 1;
        false
    }

    /// Takes one out of what is missing.
    fn fill(&mut self, sequence: u64) -> bool {
        let Some(missing) = self.missing.as_mut() else {
            return false;
        };
        let Some(at) = missing.iter().position(|(from, to)| (*from..*to).contains(&sequence)) else {
            return false;
        };
        let (from, to) = missing.swap_remove(at);
        for part in [(from, sequence), (sequence + 1, to)] {
            if part.0 < part.1 {
                missing.push(part);
            }
        }
        true
    }

    /// Of `sent` messages, how many never came.
    #[must_use]
    pub fn lost(&self, sent: u64) -> u64 {
        let passed: u64 = self.missing.iter().flat_map(|missing| missing.iter()).map(|(from, to)| to - from).sum();
        passed + sent.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost of ten, and the tally.
    fn after(sequences: &[u64]) -> (u64, Tally) {
        let (mut flow, mut tally) = (Flow::default(), Tally::default());
        for sequence in sequences {
            flow.take(*sequence, &mut tally);
        }
        (flow.lost(10), tally)
    }

    #[test]
    fn each_once_in_order_is_sound() {
        let (lost, tally) = after(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!((lost, tally.delivered, tally.is_sound()), (0, 10, true));
    }

    #[test]
    fn what_never_comes_is_lost_at_the_front_in_the_middle_and_at_the_end() {
        let (lost, tally) = after(&[1, 2, 3, 6, 7, 8]);
        assert_eq!((lost, tally.delivered, tally.is_sound()), (4, 6, true));
    }

    #[test]
    fn what_comes_late_is_reordered_and_not_lost() {
        let (lost, tally) = after(&[0, 1, 5, 3, 2, 4, 6, 7, 8, 9]);
        assert_eq!((lost, tally.delivered, tally.reordered, tally.duplicated), (0, 10, 3, 0));
    }

    #[test]
    fn what_comes_again_is_a_duplicate_late_or_not() {
        let (lost, tally) = after(&[0, 0, 1, 4, 2, 2, 3, 5, 6, 7, 8, 9, 0]);
        assert_eq!((lost, tally.delivered, tally.reordered, tally.duplicated), (0, 10, 2, 3));
    }
}
