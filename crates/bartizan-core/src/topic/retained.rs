//! Retained Messages by Topic Name (3.3.1.3), and the walk over those that a filter matches.
//!
//! An ordered map of names rather than a trie: all names below one level stand side by side, a
//! filter's literal levels become a place to jump to, nothing nests however deep a topic is, and a
//! walk can stop anywhere and go on later from a name. So a `#` over a million of them is handed
//! out page by page between other work.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::filter::{Level, TopicFilter};
use super::name::{TopicName, first_level};

/// Keys the walk steps over before it jumps by a new search of the map.
const STEPS_BEFORE_JUMP: usize = 4;

#[derive(Debug)]
struct Kept<M> {
    message: M,
    bytes: u32,
}

/// Retained Messages: at most one per Topic Name.
#[derive(Debug)]
pub struct RetainedStore<M> {
    kept: BTreeMap<Box<str>, Kept<M>>,
    bytes: u64,
}

/// How much one call of [`RetainedStore::collect_page`] may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetainedPage<'a> {
    /// Go on behind this name; from the start if `None`.
    pub after: Option<&'a str>,
    /// Messages handed out at most.
    pub messages_max: usize,
    /// Names looked at at most: a filter may match few of many.
    pub visits_max: usize,
}

/// Whether a page was the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageEnd {
    /// Nothing behind it matches.
    Complete,
    /// Ask again with this name as `after`.
    More(Box<str>),
}

impl<M> Default for RetainedStore<M> {
    fn default() -> Self {
        RetainedStore { kept: BTreeMap::new(), bytes: 0 }
    }
}

impl<M: Clone> RetainedStore<M> {
    /// A store without messages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a message of so many octets; gives back the one it replaces ([MQTT-3.3.1-5]).
    pub fn set(&mut self, name: &TopicName<'_>, message: M, bytes: u32) -> Option<M> {
        let kept = Kept { message, bytes };
        let old = match self.kept.get_mut(name.as_str()) {
            Some(present) => Some(std::mem::replace(present, kept)),
            None => self.kept.insert(Box::from(name.as_str()), kept),
        };
        self.bytes += u64::from(bytes);
        old.map(|old| self.forget(old))
    }

    /// Removes the message of a name and gives it back ([MQTT-3.3.1-6]).
    pub fn remove(&mut self, name: &TopicName<'_>) -> Option<M> {
        self.kept.remove(name.as_str()).map(|old| self.forget(old))
    }

    /// The message of a name.
    #[must_use]
    pub fn get(&self, name: &TopicName<'_>) -> Option<&M> {
        self.kept.get(name.as_str()).map(|kept| &kept.message)
    }

    /// How many messages are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// True if none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The octets of all messages, as told when they were set.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All messages in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (TopicName<'_>, &M)> + '_ {
        self.kept.iter().map(|(name, kept)| (TopicName::assume_parsed(name), &kept.message))
    }

    /// Appends the messages a filter matches, at most `messages_max`.
    pub fn collect_matching(&self, filter: &TopicFilter<'_>, messages_max: usize, out: &mut Vec<M>) {
        self.collect_page(filter, RetainedPage { after: None, messages_max, visits_max: usize::MAX }, out);
    }

    /// Appends one page of the messages a filter matches, in the order of their names, save that
    /// for `a/#` the message of `a` comes first.
    ///
    /// A page of no messages or no visits is taken as one of one, so that pages come to an end.
    pub fn collect_page(&self, filter: &TopicFilter<'_>, page: RetainedPage<'_>, out: &mut Vec<M>) -> PageEnd {
        let not_yet = |name: &str| page.after.is_none_or(|after| after < name);
        let Some(prefix) = wildcard_prefix(filter) else {
            if not_yet(filter.as_str()) {
                out.extend(self.get_text(filter.as_str()));
            }
            return PageEnd::Complete;
        };
        let mut room = page.messages_max.max(1);
        // `a/#` is for `a` too, which need not stand beside `a/...` in the order: `a-b` is between.
        if let Some(above) = level_above(filter).filter(|above| not_yet(above))
            && let Some(message) = self.get_text(above)
        {
            out.push(message);
            room -= 1;
            if room == 0 {
                return PageEnd::More(Box::from(above));
            }
        }
        self.collect_below(filter, prefix, RetainedPage { messages_max: room, ..page }, out)
    }

    /// The part of a walk that begins at a place in the order.
    fn collect_below(
        &self,
        filter: &TopicFilter<'_>,
        prefix: &str,
        page: RetainedPage<'_>,
        out: &mut Vec<M>,
    ) -> PageEnd {
        let (mut room, mut visits) = (page.messages_max, page.visits_max.max(1));
        let mut jump: Option<String> = None;
        let mut last = page.after.unwrap_or_default();
        loop {
            let start = match &jump {
                Some(to) => Bound::Included(to.as_str()),
                None if last < prefix => Bound::Included(prefix),
                None => Bound::Excluded(last),
            };
            let mut target: Option<String> = None;
            let mut steps = 0;
            for (name, kept) in self.kept.range::<str, _>((start, Bound::Unbounded)) {
                if !name.starts_with(prefix) {
                    return PageEnd::Complete;
                }
                if room == 0 || visits == 0 {
                    return PageEnd::More(Box::from(last));
                }
                visits -= 1;
                last = name;
                if target.as_deref().is_some_and(|to| &**name < to) {
                    steps += 1;
                    if steps == STEPS_BEFORE_JUMP {
                        break;
                    }
                    continue;
                }
                (target, steps) = (None, 0);
                match judge(filter, name) {
                    Verdict::Matches => {
                        out.push(kept.message.clone());
                        room -= 1;
                    }
                    Verdict::Next => {}
                    Verdict::Jump(to) => target = Some(to),
                }
            }
            if steps < STEPS_BEFORE_JUMP {
                return PageEnd::Complete;
            }
            jump = target;
        }
    }

    fn get_text(&self, name: &str) -> Option<M> {
        self.kept.get(name).map(|kept| kept.message.clone())
    }

    fn forget(&mut self, old: Kept<M>) -> M {
        self.bytes = self.bytes.saturating_sub(u64::from(old.bytes));
        old.message
    }
}

/// The levels before the first wildcard with their separators; `None` without wildcard.
fn wildcard_prefix<'a>(filter: &TopicFilter<'a>) -> Option<&'a str> {
    // A wildcard is a whole level, so the first such octet begins one.
    let text = filter.as_str();
    text.find(['+', '#']).and_then(|at| text.get(..at))
}

/// `a/b` of `a/b/#`, if it has no other wildcard.
fn level_above<'a>(filter: &TopicFilter<'a>) -> Option<&'a str> {
    filter.as_str().strip_suffix("/#").filter(|above| !above.contains('+'))
}

/// What the walk does after looking at one name.
enum Verdict {
    Matches,
    /// This one does not, the next may.
    Next,
    /// No name before this text does; it lies behind the one looked at.
    Jump(String),
}

/// Compares a name with a filter, and says how far the names that fail alike reach.
///
/// All names with the same first levels stand together, from `x/y/` up to `x/y0`, since `0`
/// follows `/`.
fn judge(filter: &TopicFilter<'_>, name: &str) -> Verdict {
    if filter.has_leading_wildcard() && name.starts_with('$') {
        return Verdict::Jump("%".to_owned());
    }
    let mut rest = Some(name);
    let mut levels = filter.levels();
    while let Some(level) = levels.next() {
        let text = match (level, rest) {
            (Level::Hash, _) => return Verdict::Matches,
            (_, None) => return Verdict::Next,
            (_, Some(text)) => text,
        };
        let found = first_level(text);
        if let Level::Literal(wanted) = level
            && wanted != found
        {
            let group = name.get(..name.len() - text.len()).unwrap_or_default();
            return Verdict::Jump(next_with(group, wanted, levels.next().is_some(), name));
        }
        rest = text.get(found.len() + 1..);
    }
    match rest {
        None => Verdict::Matches,
        Some(text) => Verdict::Jump(behind(name.get(..name.len() - text.len()).unwrap_or_default())),
    }
}

/// Where behind `name` the first name of a group with this level may stand.
fn next_with(group: &str, level: &str, goes_on: bool, name: &str) -> String {
    let mut text = format!("{group}{level}");
    if name < text.as_str() {
        return text;
    }
    text.push('/');
    if goes_on && name < text.as_str() { text } else { behind(group) }
}

/// The first text behind a group of names with the same first levels, which ends in `/`.
fn behind(group: &str) -> String {
    let mut text = group.strip_suffix('/').unwrap_or(group).to_owned();
    text.push('0');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(names: &[&str]) -> RetainedStore<String> {
        let mut store = RetainedStore::new();
        for name in names {
            store.set(&TopicName::parse(name).unwrap(), (*name).to_owned(), 1);
        }
        store
    }

    fn matching(store: &RetainedStore<String>, filter: &str) -> Vec<String> {
        let mut out = Vec::new();
        store.collect_matching(&TopicFilter::parse(filter).unwrap(), usize::MAX, &mut out);
        out
    }

    #[test]
    fn mqtt_3_3_1_5_a_retained_message_replaces_the_one_before() {
        let mut store = RetainedStore::new();
        let name = TopicName::parse("a/b").unwrap();
        assert_eq!(store.set(&name, 1, 10), None);
        assert_eq!(store.set(&name, 2, 30), Some(1));
        assert_eq!((store.get(&name), store.len(), store.bytes()), (Some(&2), 1, 30));
        assert_eq!(store.remove(&name), Some(2));
        assert_eq!(store.remove(&name), None);
        assert_eq!((store.len(), store.bytes(), store.is_empty()), (0, 0, true));
    }

    #[test]
    fn wildcards_find_what_they_match_and_nothing_else() {
        let store = store(&["a", "a-b", "a/b", "a/b/c", "a/c", "a0", "b/c", "$SYS/b", "$SYS", "/", "/b"]);
        assert_eq!(matching(&store, "a/#"), ["a", "a/b", "a/b/c", "a/c"]);
        assert_eq!(matching(&store, "+"), ["a", "a-b", "a0"]);
        assert_eq!(matching(&store, "+/b"), ["/b", "a/b"]);
        assert_eq!(matching(&store, "+/c"), ["a/c", "b/c"]);
        assert_eq!(matching(&store, "+/+/c"), ["a/b/c"]);
        assert_eq!(matching(&store, "$SYS/#"), ["$SYS", "$SYS/b"]);
        assert_eq!(matching(&store, "/+"), ["/", "/b"]);
        assert_eq!(matching(&store, "#").len(), 9);
        assert_eq!(matching(&store, "a/b"), ["a/b"]);
    }

    #[test]
    fn a_limit_ends_the_collection() {
        let store = store(&["a", "b", "c"]);
        let mut out = Vec::new();
        store.collect_matching(&TopicFilter::parse("#").unwrap(), 2, &mut out);
        assert_eq!(out, ["a", "b"]);
    }

    #[test]
    fn topics_of_the_deepest_nesting_are_kept_and_found() {
        let names: Vec<String> = (65_500..65_535).map(|depth| "/".repeat(depth)).collect();
        let store = store(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(matching(&store, &format!("{}#", "/".repeat(65_520))).len(), 16);
        assert_eq!(matching(&store, &format!("{}+", "/".repeat(65_510))).len(), 1);
        assert_eq!(matching(&store, &format!("{}b", "+/".repeat(32_767))).len(), 0);
    }

    #[test]
    fn a_walk_jumps_over_names_that_cannot_match() {
        let mut store = RetainedStore::new();
        for device in 0..100 {
            for value in 0..1000 {
                store.set(&TopicName::parse(&format!("d{device}/v{value}")).unwrap(), value, 1);
            }
        }
        let page = RetainedPage { after: None, messages_max: usize::MAX, visits_max: 1500 };
        let mut out = Vec::new();
        let end = store.collect_page(&TopicFilter::parse("+/v999").unwrap(), page, &mut out);
        assert_eq!((end, out), (PageEnd::Complete, vec![999; 100]));
    }
}
