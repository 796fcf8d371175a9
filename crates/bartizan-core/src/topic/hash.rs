//! One 64-bit hash per message, computed once and carried with it.
//!
//! It has no seed: every shard of a process must get the same, and core draws no entropy (I1). It
//! is therefore good only where a collision costs time and never correctness: the route cache
//! (bounded, every hit compared in full) and the interest table (a false "maybe"). Tables that grow
//! with what peers choose are keyed by std's seeded SipHash instead.

use std::hash::{BuildHasher, Hasher};

const MULTIPLIERS: [u64; 3] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3];

/// The 128-bit product folded to 64 bits: every bit of both factors reaches every bit of it.
#[inline]
const fn fold(left: u64, right: u64) -> u64 {
    let product = (left as u128).wrapping_mul(right as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Hashes the text of a topic.
#[must_use]
#[inline]
pub fn topic_hash(text: &str) -> u64 {
    let [first, second, third] = MULTIPLIERS;
    let octets = text.as_bytes();
    let (words, _) = octets.as_chunks::<8>();
    let mut hash = first ^ (octets.len() as u64);
    for word in words {
        hash = fold(hash ^ u64::from_le_bytes(*word), second);
    }
    fold(hash ^ tail(octets) ^ third, second ^ (hash << 1))
}

/// The octets behind the last whole eight, or octets before them too: with the length, which is
/// hashed as well, they say the same, and take one read or two in place of a loop.
#[inline]
fn tail(octets: &[u8]) -> u64 {
    if let Some(last) = octets.last_chunk::<8>() {
        return u64::from_le_bytes(*last);
    }
    if let (Some(first), Some(last)) = (octets.first_chunk::<4>(), octets.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    octets.iter().fold(0, |tail, octet| (tail << 8) | u64::from(*octet))
}

/// Hashes levels, texts and paths of levels under a seed of its table.
///
/// Tables keyed by what peers choose are placed by it: who does not know the seed cannot choose
/// texts whose hashes meet. Where two meet by chance, the texts are compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathSeed {
    state: u64,
    factor: u64,
}

impl Default for PathSeed {
    fn default() -> Self {
        // std's own per-process randomness: core still draws none.
        let random = std::collections::hash_map::RandomState::new();
        PathSeed { state: random.hash_one(0_u8), factor: random.hash_one(1_u8) | 1 }
    }
}

impl PathSeed {
    /// The path before the first level.
    #[inline]
    pub(super) const fn root(self) -> u64 {
        self.state
    }

    /// Hashes a text: a level, or a whole filter.
    #[inline]
    pub(super) fn text(self, text: &str) -> u64 {
        let octets = text.as_bytes();
        let (words, _) = octets.as_chunks::<8>();
        let mut hash = self.state ^ (octets.len() as u64);
        for word in words {
            hash = fold(hash ^ u64::from_le_bytes(*word), self.factor);
        }
        fold(hash ^ tail(octets), self.factor)
    }

    /// The path one level further.
    #[inline]
    pub(super) const fn below(self, path: u64, level: u64) -> u64 {
        fold(path.rotate_left(23) ^ level, self.factor)
    }
}

/// Hashes ids, or pairs of them, under a seed of this table.
///
/// Peers can guess which ids their filters get, or choose them, so the seed keeps them from choosing
/// ones that collide; it is std's own per-process randomness, and core still draws none.
#[derive(Clone, Debug)]
pub struct IdState(u64);

impl Default for IdState {
    fn default() -> Self {
        IdState(std::collections::hash_map::RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for IdState {
    type Hasher = IdHasher;

    #[inline]
    fn build_hasher(&self) -> IdHasher {
        IdHasher(self.0)
    }
}

/// The hasher of [`IdState`].
#[derive(Debug)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    #[inline]
    fn finish(&self) -> u64 {
        let [_, second, _] = MULTIPLIERS;
        fold(self.0, second)
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.write_u32(u32::from(*octet));
        }
    }

    #[inline]
    fn write_u16(&mut self, id: u16) {
        self.write_u32(u32::from(id));
    }

    #[inline]
    fn write_u32(&mut self, id: u32) {
        let [first, ..] = MULTIPLIERS;
        self.0 = fold(self.0 ^ u64::from(id), first).rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn topics_that_differ_little_get_different_hashes() {
        let mut seen = HashSet::new();
        for site in 0..100 {
            for device in 0..1000 {
                assert!(seen.insert(topic_hash(&format!("site-{site}/device-{device}/temperature"))));
            }
        }
        for text in ["", "\u{1}", "/", "//", "///", "a", "a/", "/a"] {
            assert!(seen.insert(topic_hash(text)), "{text:?}");
        }
    }

    #[test]
    fn pairs_of_ids_get_different_hashes_and_another_table_gets_others() {
        let (one, other) = (IdState::default(), IdState::default());
        let mut seen = HashSet::new();
        for parent in 0..300_u32 {
            for level in 0..300_u32 {
                assert!(seen.insert(one.hash_one((parent, level))));
            }
        }
        assert_ne!(one.hash_one((1_u32, 2_u32)), other.hash_one((1_u32, 2_u32)));
    }

    #[test]
    fn low_and_high_bits_are_both_even() {
        let (mut low, mut high) = ([0_u32; 256], [0_u32; 256]);
        for device in 0..100_000 {
            let hash = topic_hash(&format!("v1/devices/{device}/telemetry"));
            low[(hash & 255) as usize] += 1;
            high[(hash >> 56) as usize] += 1;
        }
        // 390 are expected in each; seven standard deviations leave no room for chance.
        for count in low.iter().chain(&high) {
            assert!((250..530).contains(count), "{count}");
        }
    }
}
