//! A rule's Topic Filter with variables, asked for one principal's values.
//!
//! A variable stands for one whole level and is compared as a value: it is never put into a text
//! that is then read as a filter, so a Client ID of `+` or `a/b` cannot mean more than itself.
//!
//! A first level that is a wildcard or a variable never reaches a `$` topic [MQTT-4.7.2-1]: such
//! topics are reached only by a policy that spells them.

use std::sync::Arc;

/// Where clients publish commands for the broker: of the topics that begin with `$` the one that a policy may let
/// clients publish to.
pub const CONTROL_TOPIC: &str = "$CONTROL/dynamic-security/v1";

/// True of topics that only the server publishes to.
pub(super) fn is_of_server(pattern: &[PatternLevel]) -> bool {
    let begins_with_dollar = matches!(pattern.first(), Some(PatternLevel::Literal(first)) if first.starts_with('$'));
    begins_with_dollar && !is_control(pattern)
}

fn is_control(pattern: &[PatternLevel]) -> bool {
    let is_level =
        |(own, level): (&PatternLevel, &str)| matches!(own, PatternLevel::Literal(text) if text.as_ref() == level);
    pattern.len() == CONTROL_TOPIC.split('/').count() && pattern.iter().zip(CONTROL_TOPIC.split('/')).all(is_level)
}

/// One level of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum PatternLevel {
    Literal(Box<str>),
    /// The principal's value in this slot of `Image::sources`.
    Value(u16),
    /// Exactly one level, whatever it is.
    One,
    /// The parent level and everything below it (4.7.1.2); last.
    Many,
}

/// One level once the principal's values are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound<'a> {
    Literal(&'a str),
    One,
    Many,
}

/// What a rule becomes where the principal has no usable value for one of its variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unbound {
    /// A permit does not exist: nobody gains from what he lacks.
    Nothing,
    /// A forbid holds for every value: nobody gains from what he lacks.
    Everything,
}

/// A pattern and the values of one principal.
#[derive(Clone, Copy)]
pub(super) struct BoundPattern<'a> {
    pub levels: &'a [PatternLevel],
    pub values: &'a [Option<Arc<str>>],
    pub unbound: Unbound,
}

/// True if this text can be one level of a Topic Name.
pub(super) fn is_literal_level(text: &str) -> bool {
    !text.bytes().any(|octet| matches!(octet, b'/' | b'+' | b'#' | 0))
}

/// True if this value may stand for a level: not empty, and one level by itself.
pub(super) fn is_usable_value(value: &str) -> bool {
    !value.is_empty() && is_literal_level(value)
}

fn is_dollar(level: &str) -> bool {
    level.starts_with('$')
}

impl<'a> BoundPattern<'a> {
    /// The level at this place; `Ok(None)` after the last, `Err` where the rule does not exist.
    fn level(&self, at: usize) -> Result<Option<Bound<'a>>, DoesNotExist> {
        Ok(match self.levels.get(at) {
            None => None,
            Some(PatternLevel::One) => Some(Bound::One),
            Some(PatternLevel::Many) => Some(Bound::Many),
            Some(PatternLevel::Literal(text)) => Some(Bound::Literal(text)),
            Some(PatternLevel::Value(slot)) => {
                match (self.values.get(usize::from(*slot)).and_then(Option::as_deref), self.unbound) {
                    (Some(value), _) if at == 0 && is_dollar(value) => return Err(DoesNotExist),
                    (Some(value), _) => Some(Bound::Literal(value)),
                    (None, Unbound::Nothing) => return Err(DoesNotExist),
                    (None, Unbound::Everything) => Some(Bound::One),
                }
            }
        })
    }

    /// True if this Topic Name is one of those the pattern means: what `RuleTree` finds for many at once.
    #[cfg(test)]
    pub(super) fn matches(&self, name: &str) -> bool {
        self.try_matches(name).unwrap_or(false)
    }

    /// True if every Topic Name that the filter matches is one that the pattern means.
    pub(super) fn covers(&self, filter: &str) -> bool {
        self.try_covers(filter).unwrap_or(false)
    }

    /// True if some Topic Name is matched by both.
    pub(super) fn overlaps(&self, filter: &str) -> bool {
        self.try_overlaps(filter).unwrap_or(false)
    }

    #[cfg(test)]
    fn try_matches(&self, name: &str) -> Result<bool, DoesNotExist> {
        let mut at = 0;
        for level in name.split('/') {
            match self.level(at)? {
                Some(Bound::Literal(text)) if text == level => {}
                Some(Bound::One) if at > 0 || !is_dollar(level) => {}
                Some(Bound::Many) => return Ok(at > 0 || !is_dollar(level)),
                _ => return Ok(false),
            }
            at += 1;
        }
        Ok(matches!(self.level(at)?, None | Some(Bound::Many)))
    }

    fn try_covers(&self, filter: &str) -> Result<bool, DoesNotExist> {
        let mut at = 0;
        for level in filter.split('/') {
            match (self.level(at)?, level) {
                (Some(Bound::Many), _) => return Ok(at > 0 || !is_dollar(level)),
                (Some(Bound::One), "#") => {
                    return Ok(above_is_no_name(filter, at) && matches!(self.level(at + 1)?, Some(Bound::Many)));
                }
                (Some(Bound::One), _) if at > 0 || !is_dollar(level) => {}
                // No level's text is "+" or "#": equal texts are the same level.
                (Some(Bound::Literal(text)), _) if text == level => {}
                _ => return Ok(false),
            }
            at += 1;
        }
        Ok(matches!(self.level(at)?, None | Some(Bound::Many)))
    }

    fn try_overlaps(&self, filter: &str) -> Result<bool, DoesNotExist> {
        let mut at = 0;
        // True while the levels that both share are none, or the one empty level: no Topic Name.
        let mut no_name = true;
        for level in filter.split('/') {
            let free = at > 0 || !is_dollar(level);
            let shared = match (self.level(at)?, level) {
                (None, "#") => return Ok(!no_name),
                (Some(Bound::Many), _) => return Ok(free),
                (Some(Bound::Literal(text)), "#") => return Ok(at > 0 || !is_dollar(text)),
                (Some(Bound::One), "#") => return Ok(true),
                (Some(Bound::Literal(text)), "+") if at > 0 || !is_dollar(text) => text,
                (Some(Bound::Literal(text)), _) if text == level => text,
                (Some(Bound::One), _) if free => level,
                _ => return Ok(false),
            };
            no_name = at == 0 && shared.is_empty();
            at += 1;
        }
        Ok(match self.level(at)? {
            None => true,
            Some(Bound::Many) => !no_name,
            _ => false,
        })
    }
}

/// True if the levels of the filter before this one are no Topic Name: none, or one empty level.
///
/// There `#` has no parent level to match [MQTT-4.7.3-1], so that `#` means what `+/#` means.
fn above_is_no_name(filter: &str, at: usize) -> bool {
    at == 0 || (at == 1 && filter.starts_with('/'))
}

/// The rule has a variable for which the principal has no value, and is a permit; or the value
/// would reach a `$` topic.
struct DoesNotExist;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{TopicFilter, TopicName};

    const LEVELS: [&str; 6] = ["", "a", "b", "$s", "+", "#"];

    fn levels(filter: &str) -> Vec<PatternLevel> {
        let level = |text: &str| match text {
            "+" => PatternLevel::One,
            "#" => PatternLevel::Many,
            _ => PatternLevel::Literal(text.into()),
        };
        filter.split('/').map(level).collect()
    }

    fn pattern(levels: &[PatternLevel]) -> BoundPattern<'_> {
        BoundPattern { levels, values: &[], unbound: Unbound::Nothing }
    }

    /// Every filter of up to three levels over a small alphabet.
    fn filters() -> Vec<String> {
        let mut texts: Vec<String> = LEVELS.iter().map(ToString::to_string).collect();
        for _ in 0..2 {
            let longer: Vec<String> =
                texts.iter().flat_map(|head| LEVELS.iter().map(move |tail| format!("{head}/{tail}"))).collect();
            texts.extend(longer);
        }
        texts.sort();
        texts.dedup();
        texts.retain(|text| TopicFilter::parse(text).is_ok());
        texts
    }

    /// A pattern without variables is a Topic Filter, and what `topic` says of one holds for it.
    #[test]
    fn a_pattern_without_variables_agrees_with_the_topic_filter_it_spells() {
        let texts = filters();
        assert!(texts.len() > 100, "{}", texts.len());
        for mine in &texts {
            let (rule, filter) = (levels(mine), TopicFilter::parse(mine).unwrap());
            for theirs in &texts {
                let other = TopicFilter::parse(theirs).unwrap();
                assert_eq!(pattern(&rule).covers(theirs), filter.covers(&other), "{mine} covers {theirs}");
                assert_eq!(pattern(&rule).overlaps(theirs), filter.overlaps(&other), "{mine} overlaps {theirs}");
                if let Ok(name) = TopicName::parse(theirs) {
                    assert_eq!(pattern(&rule).matches(theirs), filter.matches(&name), "{mine} matches {theirs}");
                }
            }
        }
    }

    #[test]
    fn a_variable_without_a_value_ends_a_permit_and_widens_a_forbid() {
        let levels = [PatternLevel::Literal("a".into()), PatternLevel::Value(0)];
        let with = |unbound| BoundPattern { levels: &levels, values: &[None], unbound };
        assert!(!with(Unbound::Nothing).matches("a/x") && !with(Unbound::Nothing).covers("a/x"));
        assert!(with(Unbound::Everything).matches("a/x") && with(Unbound::Everything).covers("a/+"));
    }

    #[test]
    fn a_first_level_value_never_reaches_a_dollar_topic() {
        let levels = [PatternLevel::Value(0), PatternLevel::Many];
        let values = [Some(Arc::from("$SYS"))];
        for unbound in [Unbound::Nothing, Unbound::Everything] {
            let bound = BoundPattern { levels: &levels, values: &values, unbound };
            assert!(!bound.matches("$SYS/x") && !bound.covers("$SYS/#") && !bound.overlaps("$SYS/#"));
        }
    }

    #[test]
    fn only_one_whole_level_is_a_usable_value() {
        for nasty in ["", "+", "#", "a/b", "/", "a+", "#a", "a\0"] {
            assert!(!is_usable_value(nasty), "{nasty:?}");
        }
        for usable in ["a", "$x", "é", "{x}", " ", "\u{200b}"] {
            assert!(is_usable_value(usable), "{usable:?}");
        }
    }
}
