//! Octets looked at eight at a time. Topics are short, so this takes less than to call a search
//! that is made for long texts.

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW: u64 = ONES * 0x7F;
const HIGH: u64 = ONES * 0x80;

/// The upper bit of every octet that is 0; above the lowest one of them, wrongly of others too. So
/// it says whether there is one, and which is the first.
#[inline]
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// A word of octets of this value.
#[inline]
pub(crate) const fn all(value: u8) -> u64 {
    ONES * value as u64
}

/// The last octets behind the last whole eight, or octets before them too; `None` where there are
/// fewer than four. What is there or not is there or not, however often it is looked at.
#[inline]
fn last_word(octets: &[u8]) -> Option<u64> {
    if let Some(last) = octets.last_chunk::<8>() {
        return Some(u64::from_le_bytes(*last));
    }
    let (first, last) = (octets.first_chunk::<4>()?, octets.last_chunk::<4>()?);
    Some(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)))
}

/// True if one of `pick`'s words of the octets has an octet 0. `pick` treats each octet alike.
#[inline]
fn any_zero(octets: &[u8], pick: impl Fn(u64) -> u64) -> bool {
    let (words, _) = octets.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| found | zeros(pick(u64::from_le_bytes(*word))));
    match last_word(octets) {
        Some(last) => (found | zeros(pick(last))) != 0,
        // An octet at a time stands in the lowest place; those above are copies of it.
        None => octets.iter().any(|octet| zeros(pick(all(*octet))) != 0),
    }
}

/// True if NUL is among the octets.
#[inline]
pub(crate) fn contains_nul(octets: &[u8]) -> bool {
    any_zero(octets, |word| word)
}

/// True if `+` or `#` is among the octets: they differ in one bit.
#[inline]
pub(crate) fn contains_wildcard(octets: &[u8]) -> bool {
    const BETWEEN: u8 = b'+' ^ b'#';
    any_zero(octets, |word| (word & !all(BETWEEN)) ^ all(b'#' & !BETWEEN))
}

/// How many of the octets have this value.
#[inline]
pub(crate) fn count(octets: &[u8], wanted: u8) -> usize {
    let (words, rest) = octets.as_chunks::<8>();
    let whole: u64 = words.iter().map(|word| equal(u64::from_le_bytes(*word), wanted)).sum();
    let behind = match octets.last_chunk::<8>() {
        Some(_) if rest.is_empty() => 0,
        // Those that a whole word had already are pushed out; what comes in is not what is wanted.
        Some(last) => {
            let kept = 8 * rest.len();
            equal(u64::from_le_bytes(*last) >> (64 - kept) | all(!wanted) << kept, wanted)
        }
        None => rest.iter().map(|octet| u64::from(*octet == wanted)).sum(),
    };
    (whole + behind) as usize
}

/// How many octets of a word have this value.
#[inline]
const fn equal(word: u64, wanted: u8) -> u64 {
    let differs = word ^ all(wanted);
    // Exact for each octet: nothing is carried from one to the next.
    let found = !(((differs & LOW) + LOW) | differs | LOW);
    // Their sum ends up in the highest octet: not every processor that this runs on counts bits.
    (found >> 7).wrapping_mul(ONES) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length up to three words and a bit, with one octet of this value at every place.
    fn each_place(value: u8, fill: u8, check: impl Fn(&[u8], bool)) {
        for length in 0..29 {
            let mut octets = vec![fill; length];
            check(&octets, false);
            for at in 0..length {
                octets[at] = value;
                check(&octets, true);
                octets[at] = fill;
            }
        }
    }

    #[test]
    fn wildcards_and_nul_are_found_wherever_they_stand_and_nothing_else_is() {
        for fill in 0..=u8::MAX {
            let is_wildcard = fill == b'+' || fill == b'#';
            for wildcard in [b'+', b'#'] {
                each_place(wildcard, fill, |octets, has_one| {
                    let expected = has_one || (is_wildcard && !octets.is_empty());
                    assert_eq!(contains_wildcard(octets), expected, "{octets:x?}");
                });
            }
            each_place(0, fill, |octets, has_one| {
                assert_eq!(contains_nul(octets), has_one || (fill == 0 && !octets.is_empty()), "{octets:x?}");
            });
        }
    }

    #[test]
    fn as_many_are_counted_as_there_are() {
        for wanted in [0, b'/', 0x7F, 0x80, 0xFF] {
            for fill in 0..=u8::MAX {
                each_place(wanted, fill, |octets, _| {
                    let expected = octets.iter().filter(|octet| **octet == wanted).count();
                    assert_eq!(count(octets, wanted), expected, "{octets:x?}");
                });
            }
        }
    }
}
