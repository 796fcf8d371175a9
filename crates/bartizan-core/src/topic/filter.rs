//! Topic Filters (4.7.1): what a Subscription asks for, borrowed and owned.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::name::{
    Texts, TopicError, TopicName, check_size, contains_special, first_level, octets_before, octets_in_common,
};

/// One level of a Topic Filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level<'a> {
    /// The level itself; it may be empty.
    Literal(&'a str),
    /// `+`: any one level (4.7.1.3).
    Plus,
    /// `#`: the level above and everything below it (4.7.1.2).
    Hash,
}

impl Level<'_> {
    fn is_wildcard(self) -> bool {
        !matches!(self, Level::Literal(_))
    }
}

/// The levels of a Topic Filter from the left.
#[derive(Clone, Debug)]
pub struct Levels<'a>(Texts<'a>);

impl<'a> Iterator for Levels<'a> {
    type Item = Level<'a>;

    #[inline]
    fn next(&mut self) -> Option<Level<'a>> {
        self.0.next().map(|text| match text {
            "+" => Level::Plus,
            "#" => Level::Hash,
            literal => Level::Literal(literal),
        })
    }
}

/// A Topic Filter that keeps the rules of 4.7.1 and 4.7.3.
#[derive(Clone, Copy)]
pub struct TopicFilter<'a> {
    text: &'a str,
    has_wildcard: bool,
}

impl<'a> TopicFilter<'a> {
    /// Parses a Topic Filter. A `$share/` prefix means nothing here: see [`super::parse_subscription`].
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        check_size(text)?;
        if !contains_special(text.as_bytes()) {
            return Ok(TopicFilter { text, has_wildcard: false });
        }
        if text.as_bytes().contains(&0) {
            return Err(TopicError::Nul);
        }
        let mut levels = text.split('/');
        while let Some(level) = levels.next() {
            match level {
                "+" => {}
                "#" if levels.next().is_some() => return Err(TopicError::HashNotLast),
                "#" => break,
                mixed if mixed.contains(['+', '#']) => return Err(TopicError::WildcardNotAlone),
                _ => {}
            }
        }
        Ok(TopicFilter { text, has_wildcard: true })
    }

    /// The filter that matches just this name.
    #[must_use]
    pub const fn exactly(name: &TopicName<'a>) -> Self {
        TopicFilter { text: name.as_str(), has_wildcard: false }
    }

    /// A filter that was parsed before it was stored.
    pub(crate) fn assume_parsed(text: &'a str) -> Self {
        TopicFilter { text, has_wildcard: contains_special(text.as_bytes()) }
    }

    /// The filter in `$share/{ShareName}/{filter}`, which was parsed before it was stored.
    pub(crate) fn of_shared(text: &'a str) -> Self {
        Self::assume_parsed(text.splitn(3, '/').nth(2).unwrap_or(text))
    }

    /// A filter with wildcards that was parsed before it was stored.
    #[inline]
    pub(super) const fn assume_wildcard(text: &'a str) -> Self {
        TopicFilter { text, has_wildcard: true }
    }

    /// The filter as text.
    #[must_use]
    #[inline]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// An owned copy.
    #[must_use]
    pub fn to_buf(&self) -> TopicFilterBuf {
        TopicFilterBuf { text: Arc::from(self.text), has_wildcard: self.has_wildcard }
    }

    /// Its levels from the left.
    #[inline]
    pub fn levels(&self) -> Levels<'a> {
        Levels(Texts::of(self.text))
    }

    /// How many levels it has, wildcards included.
    #[must_use]
    pub fn level_count(&self) -> usize {
        crate::octets::count(self.text.as_bytes(), b'/') + 1
    }

    /// The first level.
    #[must_use]
    #[inline]
    pub fn first_level(&self) -> Level<'a> {
        match first_level(self.text) {
            "+" => Level::Plus,
            "#" => Level::Hash,
            literal => Level::Literal(literal),
        }
    }

    /// True if a level is `+` or `#`.
    #[must_use]
    #[inline]
    pub const fn has_wildcard(&self) -> bool {
        self.has_wildcard
    }

    /// True if the first level is `+` or `#`: such a filter reaches no `$` topic ([MQTT-4.7.2-1]).
    #[must_use]
    #[inline]
    pub fn has_leading_wildcard(&self) -> bool {
        self.has_wildcard && self.first_level().is_wildcard()
    }

    /// True if it begins with `$`.
    #[must_use]
    #[inline]
    pub fn is_dollar(&self) -> bool {
        self.text.as_bytes().first() == Some(&b'$')
    }

    /// The name it matches, if it has no wildcard.
    #[must_use]
    pub fn as_name(&self) -> Option<TopicName<'a>> {
        (!self.has_wildcard).then(|| TopicName::assume_parsed(self.text))
    }

    /// True if a message published to `name` is for a Subscription to this filter (4.7).
    #[must_use]
    pub fn matches(&self, name: &TopicName<'_>) -> bool {
        if !self.has_wildcard {
            return self.text == name.as_str();
        }
        if name.is_dollar() && self.first_level().is_wildcard() {
            return false;
        }
        let (mut filter, mut name) = (self.text.as_bytes(), name.as_str().as_bytes());
        // A wildcard is a whole level, and no name holds one: so both are alike up to it, or differ.
        loop {
            let same = octets_in_common(filter, name);
            let (rest_of_filter, rest_of_name) =
                (filter.get(same..).unwrap_or_default(), name.get(same..).unwrap_or_default());
            match rest_of_filter {
                [] => return rest_of_name.is_empty(),
                [b'#', ..] => return true,
                [b'+', rest @ ..] => {
                    filter = rest;
                    name = rest_of_name.get(octets_before(rest_of_name, b'/')..).unwrap_or_default();
                }
                // `#` includes the level above it.
                literal => return rest_of_name.is_empty() && literal == b"/#",
            }
        }
    }
}

impl PartialEq for TopicFilter<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TopicFilter<'_> {}

impl std::hash::Hash for TopicFilter<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for TopicFilter<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.text, out)
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.text)
    }
}

/// An owned Topic Filter; cloning it shares the text.
#[derive(Clone)]
pub struct TopicFilterBuf {
    text: Arc<str>,
    has_wildcard: bool,
}

impl TopicFilterBuf {
    /// Parses a Topic Filter and keeps a copy.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        TopicFilter::parse(text).map(|filter| filter.to_buf())
    }

    /// The filter, borrowed.
    #[must_use]
    #[inline]
    pub fn as_filter(&self) -> TopicFilter<'_> {
        TopicFilter { text: &self.text, has_wildcard: self.has_wildcard }
    }

    /// The filter as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for TopicFilterBuf {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TopicFilterBuf {}

impl PartialOrd for TopicFilterBuf {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TopicFilterBuf {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl std::hash::Hash for TopicFilterBuf {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// Lets a table keyed by owned filters be asked with text from a packet.
impl Borrow<str> for TopicFilterBuf {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for TopicFilterBuf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, out)
    }
}

impl fmt::Display for TopicFilterBuf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(filter: &str, name: &str) -> bool {
        TopicFilter::parse(filter).unwrap().matches(&TopicName::parse(name).unwrap())
    }

    #[test]
    fn mqtt_4_7_1_1_hash_is_a_whole_level_and_the_last() {
        for good in ["#", "a/#", "/#", "sport/tennis/#", "+/#"] {
            assert!(TopicFilter::parse(good).is_ok(), "{good}");
        }
        for bad in ["a#", "a/b#", "#a", "a/#b"] {
            assert_eq!(TopicFilter::parse(bad), Err(TopicError::WildcardNotAlone), "{bad}");
        }
        for bad in ["#/", "#/a", "sport/tennis/#/ranking", "#/#"] {
            assert_eq!(TopicFilter::parse(bad), Err(TopicError::HashNotLast), "{bad}");
        }
    }

    #[test]
    fn mqtt_4_7_1_2_plus_is_a_whole_level() {
        for good in ["+", "+/+", "/+", "a/+/b", "+/tennis/#"] {
            assert!(TopicFilter::parse(good).is_ok(), "{good}");
        }
        for bad in ["sport+", "a/+b", "++", "a/b+/c", "+#"] {
            assert_eq!(TopicFilter::parse(bad), Err(TopicError::WildcardNotAlone), "{bad}");
        }
    }

    #[test]
    fn mqtt_4_7_3_rules_hold_for_filters_too() {
        assert_eq!(TopicFilter::parse(""), Err(TopicError::Empty));
        assert_eq!(TopicFilter::parse("a\0"), Err(TopicError::Nul));
        assert_eq!(TopicFilter::parse("+/\0/#"), Err(TopicError::Nul));
        assert_eq!(TopicFilter::parse(&"x".repeat(65_536)), Err(TopicError::TooLong));
    }

    #[test]
    fn the_specifications_own_examples_of_hash_hold() {
        assert!(matches("sport/tennis/player1/#", "sport/tennis/player1"));
        assert!(matches("sport/tennis/player1/#", "sport/tennis/player1/ranking"));
        assert!(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
        assert!(matches("sport/#", "sport"));
        assert!(!matches("sport/#", "sports"));
    }

    #[test]
    fn the_specifications_own_examples_of_plus_hold() {
        assert!(matches("sport/tennis/+", "sport/tennis/player1"));
        assert!(!matches("sport/tennis/+", "sport/tennis/player1/ranking"));
        assert!(!matches("sport/+", "sport"));
        assert!(matches("sport/+", "sport/"));
        assert!(matches("+/+", "/finance"));
        assert!(matches("/+", "/finance"));
        assert!(!matches("+", "/finance"));
    }

    #[test]
    fn mqtt_4_7_2_1_a_leading_wildcard_does_not_match_a_dollar_topic() {
        assert!(!matches("#", "$SYS/x"));
        assert!(!matches("+/monitor/Clients", "$SYS/monitor/Clients"));
        assert!(matches("$SYS/#", "$SYS/x"));
        assert!(matches("$SYS/monitor/+", "$SYS/monitor/Clients"));
        assert!(matches("+/$x", "a/$x"));
    }

    #[test]
    fn mqtt_4_7_3_4_names_are_compared_octet_by_octet() {
        assert!(!matches("ACCOUNTS", "Accounts"));
        assert!(!matches("a/b", "a/b/"));
        assert!(!matches("/a", "a"));
        assert!(matches("Accounts payable", "Accounts payable"));
    }

    #[test]
    fn a_leading_wildcard_is_told_from_a_later_one() {
        let leading = |text| TopicFilter::parse(text).unwrap().has_leading_wildcard();
        assert!(leading("#") && leading("+/a") && !leading("a/+") && !leading("a"));
    }

    #[test]
    fn only_a_filter_without_wildcard_is_a_name() {
        assert_eq!(TopicFilter::parse("a/b").unwrap().as_name(), TopicName::parse("a/b").ok());
        assert_eq!(TopicFilter::parse("a/+").unwrap().as_name(), None);
    }
}
