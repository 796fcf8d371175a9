//! One 64-bit hash per message, computed once and carried with it.
//!
//! It has no seed: every shard of a process must get the same, and core draws no entropy (I1). It
//! is therefore good only where a collision costs time and never correctness: the route cache
//! (bounded, every hit compared in full) and the interest table (a false "maybe"). Tables that grow
//! with what peers choose are keyed by std's seeded SipHash instead.

const MULTIPLIERS: [u64; 3] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3];

/// The 128-bit product folded to 64 bits: every bit of both factors reaches every bit of it.
#[inline]
const fn fold(left: u64, right: u64) -> u64 {
    let product = (left as u128).wrapping_mul(right as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Hashes the text of a topic, or of one level.
#[must_use]
#[inline]
pub fn topic_hash(text: &str) -> u64 {
    let [first, second, third] = MULTIPLIERS;
    let octets = text.as_bytes();
    let (words, rest) = octets.as_chunks::<8>();
    let mut hash = first ^ (octets.len() as u64);
    for word in words {
        hash = fold(hash ^ u64::from_le_bytes(*word), second);
    }
    let tail = rest.iter().rev().fold(0_u64, |tail, octet| (tail << 8) | u64::from(*octet));
    fold(hash ^ tail ^ third, second ^ (hash << 1))
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
