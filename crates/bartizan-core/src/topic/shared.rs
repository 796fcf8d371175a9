//! Shared Subscriptions (4.8.2): `$share/{ShareName}/{filter}` taken apart.

use super::filter::TopicFilter;
use super::name::TopicError;

/// The name of a group of Sessions that share one Subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareName<'a>(&'a str);

impl<'a> ShareName<'a> {
    /// Parses a ShareName ([MQTT-4.8.2-1], [MQTT-4.8.2-2]).
    ///
    /// # Errors
    /// If it is empty or holds `/`, `+`, `#` or U+0000.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        if text.is_empty() || text.contains(['/', '+', '#', '\0']) {
            return Err(TopicError::ShareName);
        }
        Ok(ShareName(text))
    }

    /// The name as text.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

/// Takes apart what a SUBSCRIBE or UNSUBSCRIBE names: the group, if any, and the filter that is
/// authorised and matched.
///
/// # Errors
/// If the filter, or for a Shared Subscription its ShareName, breaks a rule.
pub fn parse_subscription(text: &str) -> Result<(Option<ShareName<'_>>, TopicFilter<'_>), TopicError> {
    let whole = TopicFilter::parse(text);
    let Some(shared) = text.strip_prefix("$share/") else {
        return whole.map(|filter| (None, filter));
    };
    // The 65,535 octets bound the whole string of the packet, prefix included ([MQTT-4.7.3-3]).
    if let Err(error @ (TopicError::TooLong | TopicError::Nul)) = whole {
        return Err(error);
    }
    let (name, filter) = shared.split_once('/').unwrap_or((shared, ""));
    let name = ShareName::parse(name)?;
    match TopicFilter::parse(filter) {
        Ok(filter) => Ok((Some(name), filter)),
        Err(TopicError::Empty) => Err(TopicError::ShareFilter),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Result<(Option<&str>, &str), TopicError> {
        parse_subscription(text).map(|(share, filter)| (share.map(|name| name.as_str()), filter.as_str()))
    }

    #[test]
    fn mqtt_4_8_2_1_a_share_name_has_at_least_one_character() {
        assert_eq!(parts("$share/g/a/+"), Ok((Some("g"), "a/+")));
        assert_eq!(parts("$share//a"), Err(TopicError::ShareName));
        assert_eq!(parts("$share/"), Err(TopicError::ShareName));
    }

    #[test]
    fn mqtt_4_8_2_2_a_share_name_holds_no_wildcard_and_a_filter_follows_it() {
        assert_eq!(parts("$share/+/a"), Err(TopicError::ShareName));
        assert_eq!(parts("$share/#"), Err(TopicError::ShareName));
        assert_eq!(parts("$share/g#/a"), Err(TopicError::ShareName));
        assert_eq!(parts("$share/g"), Err(TopicError::ShareFilter));
        assert_eq!(parts("$share/g/"), Err(TopicError::ShareFilter));
        assert_eq!(parts("$share/g//"), Ok((Some("g"), "/")));
    }

    #[test]
    fn the_inner_filter_keeps_the_rules_of_filters() {
        assert_eq!(parts("$share/g/a#"), Err(TopicError::WildcardNotAlone));
        assert_eq!(parts("$share/g/#/a"), Err(TopicError::HashNotLast));
        assert_eq!(parts("$share/g/a\0"), Err(TopicError::Nul));
        assert_eq!(parts(&format!("$share/g/{}", "x".repeat(65_535))), Err(TopicError::TooLong));
    }

    #[test]
    fn what_only_looks_like_a_share_is_an_ordinary_filter() {
        assert_eq!(parts("$share"), Ok((None, "$share")));
        assert_eq!(parts("$shared/g/a"), Ok((None, "$shared/g/a")));
        assert_eq!(parts("a/$share/g"), Ok((None, "a/$share/g")));
    }
}
