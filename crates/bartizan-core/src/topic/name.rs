//! Topic Names (4.7.3): what a message is published to. Parsed once, borrowed everywhere.

use std::fmt;

use crate::octets::{contains_nul, contains_wildcard, count};

/// The longest Topic Name or Topic Filter, in octets of UTF-8 ([MQTT-4.7.3-3]).
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// Why a text is no Topic Name or no Topic Filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TopicError {
    /// [MQTT-4.7.3-1].
    #[error("is empty: at least one character is required [MQTT-4.7.3-1]")]
    Empty,
    /// [MQTT-4.7.3-2].
    #[error("contains the null character U+0000 [MQTT-4.7.3-2]")]
    Nul,
    /// [MQTT-4.7.3-3].
    #[error("is longer than 65,535 octets [MQTT-4.7.3-3]")]
    TooLong,
    /// [MQTT-3.3.2-2].
    #[error("contains a wildcard, '+' or '#', which only a Topic Filter may [MQTT-3.3.2-2]")]
    WildcardInName,
    /// [MQTT-4.7.1-1], [MQTT-4.7.1-2].
    #[error("has '+' or '#' beside other characters: a wildcard is a whole level [MQTT-4.7.1-1] [MQTT-4.7.1-2]")]
    WildcardNotAlone,
    /// [MQTT-4.7.1-1].
    #[error("has '#' before its last level [MQTT-4.7.1-1]")]
    HashNotLast,
    /// [MQTT-4.8.2-1], [MQTT-4.8.2-2].
    #[error("has no ShareName of one or more characters without '+' and '#' after '$share/' [MQTT-4.8.2-1]")]
    ShareName,
    /// [MQTT-4.8.2-2].
    #[error("has no Topic Filter after its ShareName [MQTT-4.8.2-2]")]
    ShareFilter,
}

/// A Topic Name that keeps the rules of 4.7.3 and holds no wildcard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Parses a Topic Name.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    #[inline]
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        check_size(text)?;
        if contains_special(text.as_bytes()) {
            return Err(first_special(text));
        }
        Ok(TopicName(text))
    }

    /// A name that was parsed before it was stored.
    pub(crate) const fn assume_parsed(text: &'a str) -> Self {
        TopicName(text)
    }

    /// The name as text.
    #[must_use]
    #[inline]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }

    /// Its levels from the left; an empty level is a level (4.7.1.1).
    #[inline]
    pub fn levels(&self) -> Texts<'a> {
        Texts::of(self.0)
    }

    /// How many levels it has: one more than it has separators.
    #[must_use]
    pub fn level_count(&self) -> usize {
        count(self.0.as_bytes(), b'/') + 1
    }

    /// The first level.
    #[must_use]
    #[inline]
    pub fn first_level(&self) -> &'a str {
        first_level(self.0)
    }

    /// True if it begins with `$`: no leading wildcard reaches it ([MQTT-4.7.2-1]).
    #[must_use]
    #[inline]
    pub fn is_dollar(&self) -> bool {
        self.0.as_bytes().first() == Some(&b'$')
    }
}

impl fmt::Debug for TopicName<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, out)
    }
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

/// The texts of a topic's levels from the left.
#[derive(Clone, Debug)]
pub struct Texts<'a>(Option<&'a str>);

impl<'a> Texts<'a> {
    #[inline]
    pub(super) const fn of(topic: &'a str) -> Self {
        Texts(Some(topic))
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let topic = self.0?;
        let first = first_level(topic);
        self.0 = topic.get(first.len() + 1..);
        Some(first)
    }
}

/// The part of a topic before its first separator.
#[inline]
pub(super) fn first_level(text: &str) -> &str {
    let end = octets_before(text.as_bytes(), b'/');
    text.get(..end).unwrap_or(text)
}

/// How many octets stand before the first one of this value: levels are short, so they are looked
/// at eight at a time, which takes less than to call a search that is made for long texts.
#[inline]
pub(super) fn octets_before(octets: &[u8], wanted: u8) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = octets.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let differs = u64::from_le_bytes(*word) ^ (ONES * wanted as u64);
        // The lowest octet that is 0 gets its upper bit set; only octets above it may wrongly, too.
        let found = differs.wrapping_sub(ONES) & !differs & (ONES << 7);
        if found != 0 {
            return at * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    words.len() * 8 + rest.iter().position(|octet| *octet == wanted).unwrap_or(rest.len())
}

/// How many octets at the beginning of two texts are the same.
#[inline]
pub(super) fn octets_in_common(one: &[u8], other: &[u8]) -> usize {
    let ((words, _), (others, _)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    for (at, (word, other)) in words.iter().zip(others).enumerate() {
        let differs = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if differs != 0 {
            return at * 8 + (differs.trailing_zeros() / 8) as usize;
        }
    }
    let same = words.len().min(others.len()) * 8;
    let rests = one.get(same..).unwrap_or_default().iter().zip(other.get(same..).unwrap_or_default());
    same + rests.take_while(|(one, other)| one == other).count()
}

#[inline]
pub(super) fn check_size(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong);
    }
    Ok(())
}

/// True if `+`, `#` or NUL is among the octets.
#[inline]
pub(super) fn contains_special(octets: &[u8]) -> bool {
    contains_wildcard(octets) || contains_nul(octets)
}

#[cold]
fn first_special(text: &str) -> TopicError {
    if text.as_bytes().contains(&0) { TopicError::Nul } else { TopicError::WildcardInName }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_found_wherever_they_stand() {
        let text = b"0123456789abcdefghijklm";
        for length in 0..text.len() {
            for at in 0..length {
                let mut octets = text[..length].to_vec();
                assert_eq!(octets_before(&octets, b'/'), length);
                octets[at] = b'/';
                assert_eq!(octets_before(&octets, b'/'), at, "of {length}");
                assert_eq!(octets_in_common(&octets, text), at, "of {length}");
                assert_eq!(octets_in_common(text, &octets), at, "of {length}");
                // One above and one below what is looked for, in front of it.
                octets[..at].fill(b'0');
                assert_eq!(octets_before(&octets, b'/'), at, "of {length}");
                octets[..at].fill(b'.');
                assert_eq!(octets_before(&octets, b'/'), at, "of {length}");
            }
            assert_eq!(octets_in_common(&text[..length], text), length);
        }
    }

    #[test]
    fn levels_are_what_separators_stand_between() {
        for text in ["", "/", "//", "a", "a/", "/a", "a//b", "ä/é", "0123456789/0123456789/x"] {
            assert_eq!(Texts::of(text).collect::<Vec<_>>(), text.split('/').collect::<Vec<_>>(), "{text:?}");
        }
    }

    #[test]
    fn mqtt_4_7_3_1_a_topic_name_has_at_least_one_character() {
        assert_eq!(TopicName::parse(""), Err(TopicError::Empty));
        assert!(TopicName::parse("/").is_ok());
        assert!(TopicName::parse(" ").is_ok());
    }

    #[test]
    fn mqtt_4_7_3_2_a_topic_name_holds_no_null_character_wherever_it_stands() {
        for at in 0..40 {
            let mut text = "x".repeat(40);
            text.replace_range(at..=at, "\0");
            assert_eq!(TopicName::parse(&text), Err(TopicError::Nul), "at octet {at}");
        }
    }

    #[test]
    fn mqtt_4_7_3_3_a_topic_name_ends_at_65535_octets() {
        assert!(TopicName::parse(&"x".repeat(TOPIC_BYTES_MAX)).is_ok());
        assert_eq!(TopicName::parse(&"x".repeat(TOPIC_BYTES_MAX + 1)), Err(TopicError::TooLong));
    }

    #[test]
    fn mqtt_3_3_2_2_a_topic_name_holds_no_wildcard_wherever_it_stands() {
        for wildcard in ["+", "#"] {
            for at in 0..40 {
                let mut text = "x".repeat(40);
                text.replace_range(at..=at, wildcard);
                assert_eq!(TopicName::parse(&text), Err(TopicError::WildcardInName), "{wildcard} at octet {at}");
            }
        }
    }

    #[test]
    fn empty_levels_count() {
        let name = TopicName::parse("/a//").unwrap();
        assert_eq!(name.levels().collect::<Vec<_>>(), ["", "a", "", ""]);
        assert_eq!(name.level_count(), 4);
        assert_eq!(name.first_level(), "");
        assert!(TopicName::parse("$SYS/x").unwrap().is_dollar());
        assert!(!TopicName::parse("a/$SYS").unwrap().is_dollar());
    }
}
