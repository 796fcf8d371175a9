//! What a message carries so that its receiver can tell whose it is, which one, and whether it is whole.
//!
//! | octets | what                                                                                |
//! |--------|-------------------------------------------------------------------------------------|
//! | 0..4   | publisher                                                                           |
//! | 4..12  | sequence number, from 0, per publisher                                              |
//! | 12..16 | checksum over the twelve before it and the run's nonce: an earlier run's is foreign |
//! | 16..   | filler, the same in every message of a run, compared octet for octet                |

/// Octets of a stamp; no payload is smaller.
pub const STAMP_BYTES: usize = 16;

/// Makes and checks payloads of one size in one run.
#[derive(Clone, Debug)]
pub struct Stamper {
    nonce: u64,
    filler: Vec<u8>,
}

/// Who sent a message, and which of theirs it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Index of the publisher.
    pub publisher: u32,
    /// Sequence number, from 0.
    pub sequence: u64,
}

impl Stamper {
    /// For payloads of `size` octets; at least a stamp's.
    #[must_use]
    pub fn new(nonce: u64, size: usize) -> Stamper {
        let mut state = nonce | 1;
        let filler = (STAMP_BYTES..size).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        });
        Stamper { nonce, filler: filler.collect() }
    }

    /// Octets of a payload.
    #[must_use]
    pub fn size(&self) -> usize {
        STAMP_BYTES + self.filler.len()
    }

    /// A whole payload.
    #[must_use]
    pub fn payload(&self, stamp: Stamp) -> Vec<u8> {
        let mut payload = self.octets(stamp).to_vec();
        payload.extend_from_slice(&self.filler);
        payload
    }

    /// The first octets of a payload; the rest never changes.
    #[inline]
    #[must_use]
    pub fn octets(&self, stamp: Stamp) -> [u8; STAMP_BYTES] {
        let word = (u128::from(stamp.publisher) << 96)
            | (u128::from(stamp.sequence) << 32)
            | u128::from(self.check(stamp.publisher, stamp.sequence));
        word.to_be_bytes()
    }

    /// The stamp at the front of a payload, if its checksum holds.
    #[inline]
    #[must_use]
    pub fn read(&self, payload: &[u8]) -> Option<Stamp> {
        let word = u128::from_be_bytes(*payload.first_chunk::<STAMP_BYTES>()?);
        let stamp = Stamp { publisher: (word >> 96) as u32, sequence: (word >> 32) as u64 };
        (word as u32 == self.check(stamp.publisher, stamp.sequence)).then_some(stamp)
    }

    /// Is what follows the stamp what was sent?
    #[inline]
    #[must_use]
    pub fn is_whole(&self, payload: &[u8]) -> bool {
        payload.get(STAMP_BYTES..) == Some(self.filler.as_slice())
    }

    /// Two rounds of multiply and fold: any changed bit changes about half of the result.
    #[inline]
    fn check(&self, publisher: u32, sequence: u64) -> u32 {
        let mixed = (sequence ^ self.nonce).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let folded = (mixed ^ (mixed >> 32) ^ u64::from(publisher)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (folded >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { publisher: 7, sequence: 0x0102_0304_0506 };

    #[test]
    fn what_is_stamped_is_read() {
        for size in [16, 17, 64, 1024] {
            let stamper = Stamper::new(42, size);
            let payload = stamper.payload(STAMP);
            assert_eq!((payload.len(), stamper.size()), (size, size));
            assert_eq!(stamper.read(&payload), Some(STAMP));
            assert!(stamper.is_whole(&payload));
        }
    }

    #[test]
    fn every_changed_bit_is_seen() {
        let stamper = Stamper::new(42, 40);
        let payload = stamper.payload(STAMP);
        for bit in 0..payload.len() * 8 {
            let mut changed = payload.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let found = stamper.read(&changed).is_some() && stamper.is_whole(&changed);
            assert!(!found, "bit {bit}");
        }
    }

    #[test]
    fn a_shorter_or_longer_payload_and_one_of_another_run_are_seen() {
        let stamper = Stamper::new(42, 40);
        let payload = stamper.payload(STAMP);
        assert!(!stamper.is_whole(&payload[..39]));
        assert!(!stamper.is_whole(&[payload.clone(), vec![0]].concat()));
        assert_eq!(stamper.read(&payload[..15]), None);
        assert_eq!(Stamper::new(43, 40).read(&payload), None);
    }
}
