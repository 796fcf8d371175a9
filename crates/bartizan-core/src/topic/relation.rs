//! How two Topic Filters stand to each other as sets of Topic Names: covering and overlapping.
//!
//! Both walk the two filters side by side, level by level, and keep nothing but their place.
//! Two facts about names make the corner cases: no leading wildcard reaches a `$` topic
//! ([MQTT-4.7.2-1]), and the empty text is no Topic Name ([MQTT-4.7.3-1]), so that `/#` has no
//! "level above", and `#` is the same set as `+/#`.

use super::filter::{Level, TopicFilter};

impl TopicFilter<'_> {
    /// True if this filter matches every Topic Name that `other` matches.
    ///
    /// SUBSCRIBE is granted by this, not by matching: `data/+/x` must not let `#` through.
    #[must_use]
    pub fn covers(&self, other: &TopicFilter<'_>) -> bool {
        if other.is_dollar() && self.has_leading_wildcard() {
            return false;
        }
        let (mut mine, mut theirs) = (self.levels(), other.levels());
        // True while the levels passed so far are no Topic Name: none, or one that is empty.
        let mut above_is_no_name = true;
        for depth in 0_usize.. {
            match (mine.next(), theirs.next()) {
                (Some(Level::Hash), _) | (None, None) => return true,
                // `X/#` also holds X and all depths below it, which only a `#` at the same place
                // matches; where X is no name, one more level may stand before that `#`.
                (Some(Level::Plus), Some(Level::Hash)) => {
                    return above_is_no_name && mine.next() == Some(Level::Hash);
                }
                (Some(Level::Plus), Some(level)) => {
                    above_is_no_name = depth == 0 && level == Level::Literal("");
                }
                (Some(mine), Some(theirs)) if mine == theirs => {
                    above_is_no_name = depth == 0 && mine == Level::Literal("");
                }
                _ => return false,
            }
        }
        false
    }

    /// True if some Topic Name matches both filters.
    #[must_use]
    pub fn overlaps(&self, other: &TopicFilter<'_>) -> bool {
        if (other.is_dollar() && self.has_leading_wildcard()) || (self.is_dollar() && other.has_leading_wildcard()) {
            return false;
        }
        let (mut mine, mut theirs) = (self.levels(), other.levels());
        let mut above_is_no_name = true;
        for depth in 0_usize.. {
            let level = match (mine.next(), theirs.next()) {
                (Some(Level::Hash), Some(_)) | (Some(_), Some(Level::Hash)) | (None, None) => return true,
                // One ends where the other says `#`: the name they share is the level above.
                (Some(Level::Hash), None) | (None, Some(Level::Hash)) => return !above_is_no_name,
                (Some(Level::Plus), Some(level)) | (Some(level), Some(Level::Plus)) => level,
                (Some(mine), Some(theirs)) if mine == theirs => mine,
                _ => return false,
            };
            above_is_no_name = depth == 0 && level == Level::Literal("");
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(wide: &str, narrow: &str) -> bool {
        TopicFilter::parse(wide).unwrap().covers(&TopicFilter::parse(narrow).unwrap())
    }

    fn overlaps(left: &str, right: &str) -> bool {
        let (left, right) = (TopicFilter::parse(left).unwrap(), TopicFilter::parse(right).unwrap());
        assert_eq!(left.overlaps(&right), right.overlaps(&left), "overlapping has no direction: {left} {right}");
        left.overlaps(&right)
    }

    #[test]
    fn a_filter_covers_itself_and_what_is_narrower() {
        for (wide, narrow) in [
            ("#", "#"),
            ("#", "a/+/c"),
            ("a/#", "a"),
            ("a/#", "a/b/#"),
            ("a/+", "a/b"),
            ("a/+/#", "a/b/c"),
            ("+/#", "+"),
            ("$SYS/#", "$SYS/broker/+"),
        ] {
            assert!(covers(wide, narrow), "{wide} covers {narrow}");
        }
    }

    #[test]
    fn a_filter_does_not_cover_what_is_wider_or_beside() {
        for (narrow, wide) in
            [("data/+/x", "#"), ("a/+", "a/#"), ("a/+/#", "a/#"), ("a", "a/#"), ("a", "+"), ("a/b", "a/c")]
        {
            assert!(!covers(narrow, wide), "{narrow} does not cover {wide}");
        }
    }

    #[test]
    fn mqtt_4_7_2_1_a_leading_wildcard_neither_covers_nor_overlaps_a_dollar_filter() {
        for wildcard in ["#", "+/#", "+/x"] {
            for dollar in ["$SYS/#", "$SYS/x", "$SYS/+"] {
                assert!(!covers(wildcard, dollar), "{wildcard} {dollar}");
                assert!(!overlaps(wildcard, dollar), "{wildcard} {dollar}");
            }
        }
        assert!(overlaps("$SYS/#", "$SYS/+/x"));
    }

    #[test]
    fn hash_and_plus_hash_are_the_same_set() {
        assert!(covers("#", "+/#") && covers("+/#", "#"));
        assert!(covers("/#", "/+/#") && covers("/+/#", "/#"));
        assert!(!covers("a/+/#", "a/#"));
    }

    #[test]
    fn overlapping_needs_a_name_in_both() {
        assert!(overlaps("a/+", "+/b"));
        assert!(overlaps("a/#", "a"));
        assert!(!overlaps("a/+", "a"));
        assert!(!overlaps("a/b", "a/+/c"));
        // Only the empty text would match both, and that is no Topic Name.
        assert!(!overlaps("/#", "+"));
    }

    #[test]
    fn filters_of_the_deepest_nesting_are_compared_without_recursion() {
        let deep = "/".repeat(65_535);
        let wide = format!("{}#", "/".repeat(32_000));
        assert!(covers(&wide, &deep) && overlaps(&wide, &deep) && covers(&deep, &deep));
    }
}
