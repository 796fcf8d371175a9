//! The rules of some roles for one action, by the levels of their patterns: what a topic costs hangs on
//! its levels and on the rules that nearly match it, not on how many rules there are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::image::RuleId;
use super::pattern::PatternLevel;

/// A rule where its pattern ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub rule: RuleId,
    pub is_forbid: bool,
    /// The number of its condition among those of the role set; `None` where it has none.
    pub condition: Option<u16>,
}

#[derive(Debug, Default)]
struct Node {
    /// Children by their level's text, ascending.
    literals: Box<[(Box<str>, u32)]>,
    /// Children by the slot of the principal's value.
    values: Box<[(u16, u32)]>,
    one: Option<u32>,
    /// Rules that end at this level,
    here: Range<u32>,
    /// and those that mean this level and everything below (`#`).
    below: Range<u32>,
    /// Some forbid ends here or further down.
    has_forbid: bool,
}

/// The rules.
#[derive(Debug, Default)]
pub(super) struct RuleTree {
    nodes: Box<[Node]>,
    entries: Box<[Entry]>,
}

#[derive(Default)]
struct Draft {
    literals: BTreeMap<Box<str>, usize>,
    values: BTreeMap<u16, usize>,
    one: Option<usize>,
    here: Vec<Entry>,
    below: Vec<Entry>,
}

impl RuleTree {
    /// The tree of these rules.
    pub(super) fn new<'a>(rules: impl Iterator<Item = (Entry, &'a [PatternLevel])>) -> RuleTree {
        let mut drafts = vec![Draft::default()];
        for (entry, pattern) in rules {
            insert(&mut drafts, entry, pattern);
        }
        let mut entries: Vec<Entry> = Vec::new();
        let mut nodes: Vec<Node> = drafts.into_iter().map(|draft| freeze(draft, &mut entries)).collect();
        // Children come behind their parents.
        for at in (0..nodes.len()).rev() {
            let below =
                |node: &Node| node.children().any(|child| nodes.get(child as usize).is_some_and(|n| n.has_forbid));
            let has_forbid = nodes.get(at).is_some_and(|node| node.has_forbid || below(node));
            if let Some(node) = nodes.get_mut(at) {
                node.has_forbid = has_forbid;
            }
        }
        RuleTree { nodes: nodes.into(), entries: entries.into() }
    }

    /// Calls `visit` with every rule whose pattern means this Topic Name. A rule with a variable for which
    /// there is no value is met only where it is a forbid: nobody gains from what he lacks.
    pub(super) fn for_each_match(&self, name: &str, values: &[Option<Arc<str>>], visit: &mut impl FnMut(&Entry)) {
        Walk { tree: self, values, visit }.level(0, Some(name), true, false);
    }

    /// Calls `visit` with every rule whose pattern covers this Topic Filter, and maybe with a few that do not.
    pub(super) fn for_each_near_cover(
        &self,
        filter: &str,
        values: &[Option<Arc<str>>],
        visit: &mut impl FnMut(&Entry),
    ) {
        Walk { tree: self, values, visit }.cover(0, Some(filter), false);
    }

    /// Calls `visit` with every forbid whose pattern overlaps this Topic Filter, and maybe with some that do not.
    pub(super) fn for_each_near_overlap(
        &self,
        filter: &str,
        values: &[Option<Arc<str>>],
        visit: &mut impl FnMut(&Entry),
    ) {
        Walk { tree: self, values, visit }.overlap(0, Some(filter));
    }

    /// Of the patterns that mean this Topic Name the one that says most about it: level by level from the
    /// left, a level's text says more than any level, and that more than `#`. Only for patterns without variables.
    pub(super) fn most_specific(&self, name: &str) -> Option<RuleId> {
        self.specific(0, Some(name), true)
    }

    /// As `Walk::level`, in the order of what says most.
    fn specific(&self, node: u32, rest: Option<&str>, is_first: bool) -> Option<RuleId> {
        let node = self.nodes.get(node as usize)?;
        let first = |range: &Range<u32>| self.entries(range).first().map(|entry| entry.rule);
        let Some(rest) = rest else { return first(&node.here).or_else(|| first(&node.below)) };
        let (level, tail) = first_level(rest);
        if let Some(found) = node.literal(level).and_then(|child| self.specific(child, tail, false)) {
            return Some(found);
        }
        if is_first && level.starts_with('$') {
            return None;
        }
        let one = node.one.and_then(|child| self.specific(child, tail, false));
        one.or_else(|| first(&node.below))
    }

    fn entries(&self, range: &Range<u32>) -> &[Entry] {
        self.entries.get(range.start as usize..range.end as usize).unwrap_or_default()
    }
}

impl Node {
    /// The child of this level's text.
    fn literal(&self, level: &str) -> Option<u32> {
        let at = self.literals.binary_search_by(|(text, _)| (**text).cmp(level)).ok()?;
        self.literals.get(at).map(|(_, child)| *child)
    }

    fn children(&self) -> impl Iterator<Item = u32> {
        let literals = self.literals.iter().map(|(_, child)| *child);
        literals.chain(self.values.iter().map(|(_, child)| *child)).chain(self.one)
    }
}

/// A text's first level, and those behind it.
fn first_level(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((level, tail)) => (level, Some(tail)),
        None => (text, None),
    }
}

struct Walk<'a, F> {
    tree: &'a RuleTree,
    values: &'a [Option<Arc<str>>],
    visit: &'a mut F,
}

impl<F: FnMut(&Entry)> Walk<'_, F> {
    /// Goes on below a node with the levels that are left; `None` behind the last. As deep as a pattern has
    /// levels, which an image bounds.
    fn level(&mut self, node: u32, rest: Option<&str>, is_first: bool, forbids_only: bool) {
        let tree = self.tree;
        let Some(node) = tree.nodes.get(node as usize) else { return };
        let Some(rest) = rest else {
            self.meet(&node.here, forbids_only);
            // `a/#` means `a` as well (4.7.1.2).
            self.meet(&node.below, forbids_only);
            return;
        };
        let (level, tail) = first_level(rest);
        // Only a rule that spells it reaches a topic of the server's own [MQTT-4.7.2-1].
        let is_free = !is_first || !level.starts_with('$');
        if let Some(child) = node.literal(level) {
            self.level(child, tail, false, forbids_only);
        }
        if !is_free {
            return;
        }
        self.meet(&node.below, forbids_only);
        if let Some(child) = node.one {
            self.level(child, tail, false, forbids_only);
        }
        for (slot, child) in &node.values {
            match self.value(*slot) {
                Some(value) if value == level => self.level(*child, tail, false, forbids_only),
                Some(_) => {}
                None => self.level(*child, tail, false, true),
            }
        }
    }

    /// As `level`, for a Topic Filter that has to be covered. What `$` and `#` mean at the first level is left to
    /// a closer look.
    fn cover(&mut self, node: u32, rest: Option<&str>, forbids_only: bool) {
        let tree = self.tree;
        let Some(node) = tree.nodes.get(node as usize) else { return };
        self.meet(&node.below, forbids_only);
        let Some(rest) = rest else {
            self.meet(&node.here, forbids_only);
            return;
        };
        let (level, tail) = first_level(rest);
        if level == "#" {
            // Nothing but `#` covers it, or `+/#` where it has no parent level.
            if let Some(child) = node.one.and_then(|child| tree.nodes.get(child as usize)) {
                self.meet(&child.below, forbids_only);
            }
            for (slot, child) in &node.values {
                if let (None, Some(child)) = (self.value(*slot), tree.nodes.get(*child as usize)) {
                    self.meet(&child.below, true);
                }
            }
            return;
        }
        if let Some(child) = node.literal(level) {
            self.cover(child, tail, forbids_only);
        }
        if let Some(child) = node.one {
            self.cover(child, tail, forbids_only);
        }
        for (slot, child) in &node.values {
            match self.value(*slot) {
                Some(value) if value == level => self.cover(*child, tail, forbids_only),
                Some(_) => {}
                None => self.cover(*child, tail, true),
            }
        }
    }

    /// As `level`, for a Topic Filter of which a forbid may mean a part.
    fn overlap(&mut self, node: u32, rest: Option<&str>) {
        let tree = self.tree;
        let Some(node) = tree.nodes.get(node as usize).filter(|node| node.has_forbid) else { return };
        self.meet(&node.below, true);
        let Some(rest) = rest else {
            self.meet(&node.here, true);
            return;
        };
        let (level, tail) = first_level(rest);
        match level {
            "#" => {
                self.meet(&node.here, true);
                node.children().for_each(|child| self.overlap(child, Some("#")));
            }
            "+" => node.children().for_each(|child| self.overlap(child, tail)),
            _ => {
                let values =
                    node.values.iter().filter(|(slot, _)| self.value(*slot).is_none_or(|value| value == level));
                let found: Vec<u32> =
                    values.map(|(_, child)| *child).chain(node.literal(level)).chain(node.one).collect();
                found.into_iter().for_each(|child| self.overlap(child, tail));
            }
        }
    }

    /// The principal's value in a slot.
    fn value(&self, slot: u16) -> Option<&str> {
        self.values.get(usize::from(slot)).and_then(Option::as_deref)
    }

    fn meet(&mut self, range: &Range<u32>, forbids_only: bool) {
        for entry in self.tree.entries(range) {
            if entry.is_forbid || !forbids_only {
                (self.visit)(entry);
            }
        }
    }
}

fn insert(drafts: &mut Vec<Draft>, entry: Entry, pattern: &[PatternLevel]) {
    let mut at = 0;
    for level in pattern {
        let fresh = drafts.len();
        let Some(draft) = drafts.get_mut(at) else { return };
        at = match level {
            PatternLevel::Literal(text) => *draft.literals.entry(text.clone()).or_insert(fresh),
            PatternLevel::Value(slot) => *draft.values.entry(*slot).or_insert(fresh),
            PatternLevel::One => *draft.one.get_or_insert(fresh),
            PatternLevel::Many => {
                draft.below.push(entry);
                return;
            }
        };
        if at == fresh {
            drafts.push(Draft::default());
        }
    }
    if let Some(draft) = drafts.get_mut(at) {
        draft.here.push(entry);
    }
}

fn freeze(draft: Draft, entries: &mut Vec<Entry>) -> Node {
    let mut keep = |rules: Vec<Entry>| {
        let begin = number(entries.len());
        entries.extend(rules);
        begin..number(entries.len())
    };
    let has_forbid = draft.here.iter().chain(&draft.below).any(|entry| entry.is_forbid);
    Node {
        has_forbid,
        here: keep(draft.here),
        below: keep(draft.below),
        literals: draft.literals.into_iter().map(|(text, at)| (text, number(at))).collect(),
        values: draft.values.into_iter().map(|(slot, at)| (slot, number(at))).collect(),
        one: draft.one.map(number),
    }
}

/// An image has at most so many rules of so many levels that this always fits.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::image::Image;
    use super::super::pattern::{BoundPattern, Unbound};
    use super::*;

    fn patterns() -> Vec<Vec<PatternLevel>> {
        let levels = || {
            let literal = |text: &str| PatternLevel::Literal(text.into());
            vec![
                literal(""),
                literal("a"),
                literal("b"),
                literal("$s"),
                PatternLevel::One,
                PatternLevel::Many,
                PatternLevel::Value(0),
                PatternLevel::Value(1),
            ]
        };
        let mut found: Vec<Vec<PatternLevel>> = levels().into_iter().map(|level| vec![level]).collect();
        for _ in 0..2 {
            let longer: Vec<_> = found
                .iter()
                .filter(|head| head.last() != Some(&PatternLevel::Many))
                .flat_map(|head| levels().into_iter().map(move |level| [&head[..], &[level]].concat()))
                .collect();
            found.extend(longer);
        }
        found.sort_by_key(|pattern| format!("{pattern:?}"));
        found.dedup();
        found
    }

    /// Every topic of up to four levels over a small alphabet.
    fn topics() -> Vec<String> {
        let alphabet = ["", "a", "b", "v", "$s", "$v"];
        let mut found: Vec<String> = alphabet.iter().map(ToString::to_string).collect();
        for _ in 0..3 {
            let longer: Vec<String> =
                found.iter().flat_map(|head| alphabet.iter().map(move |tail| format!("{head}/{tail}"))).collect();
            found.extend(longer);
        }
        found.sort();
        found.dedup();
        found.retain(|topic| !topic.is_empty());
        found
    }

    #[test]
    fn the_tree_finds_what_each_pattern_means_by_itself() {
        let (patterns, topics) = (patterns(), topics());
        assert!(patterns.len() > 300 && topics.len() > 1_000, "{} {}", patterns.len(), topics.len());
        for is_forbid in [false, true] {
            let entry = |at: usize| Entry { rule: RuleId(number(at)), is_forbid, condition: None };
            let tree = RuleTree::new(patterns.iter().enumerate().map(|(at, pattern)| (entry(at), &pattern[..])));
            for values in [[Some("v"), Some("$v")], [None, Some("a")], [Some("$s"), None]] {
                let values = values.map(|value| value.map(Arc::from));
                let unbound = if is_forbid { Unbound::Everything } else { Unbound::Nothing };
                for topic in &topics {
                    let mut found = Vec::new();
                    tree.for_each_match(topic, &values, &mut |entry| found.push(entry.rule.0 as usize));
                    found.sort_unstable();
                    let means = |levels| BoundPattern { levels, values: &values, unbound }.matches(topic);
                    let wanted: Vec<usize> = (0..patterns.len()).filter(|at| means(&patterns[*at])).collect();
                    assert_eq!(found, wanted, "{topic} {values:?}");
                }
            }
        }
    }

    /// Every filter that is a pattern without variables, and some that are longer.
    fn filters() -> Vec<String> {
        let text = |level: &PatternLevel| match level {
            PatternLevel::Literal(text) => Some(text.to_string()),
            PatternLevel::One => Some("+".to_owned()),
            PatternLevel::Many => Some("#".to_owned()),
            PatternLevel::Value(_) => None,
        };
        let spelt = |pattern: &Vec<PatternLevel>| pattern.iter().map(text).collect::<Option<Vec<String>>>();
        let mut found: Vec<String> = patterns().iter().filter_map(spelt).map(|levels| levels.join("/")).collect();
        let longer: Vec<String> =
            found.iter().filter(|filter| !filter.ends_with('#')).map(|filter| format!("{filter}/v")).collect();
        found.extend(longer);
        found.retain(|filter| !filter.is_empty());
        found
    }

    #[test]
    fn no_rule_that_covers_or_overlaps_a_filter_is_overlooked() {
        let (patterns, filters) = (patterns(), filters());
        assert!(filters.len() > 300, "{}", filters.len());
        for is_forbid in [false, true] {
            let entry = |at: usize| Entry { rule: RuleId(number(at)), is_forbid, condition: None };
            let tree = RuleTree::new(patterns.iter().enumerate().map(|(at, pattern)| (entry(at), &pattern[..])));
            for values in [[Some("v"), Some("$v")], [None, Some("a")], [Some("$s"), None]] {
                let values = values.map(|value| value.map(Arc::from));
                let unbound = if is_forbid { Unbound::Everything } else { Unbound::Nothing };
                let bound = |at: usize| BoundPattern { levels: &patterns[at], values: &values, unbound };
                for filter in &filters {
                    let (mut covering, mut overlapping) = (Vec::new(), Vec::new());
                    tree.for_each_near_cover(filter, &values, &mut |entry| covering.push(entry.rule.0 as usize));
                    tree.for_each_near_overlap(filter, &values, &mut |entry| overlapping.push(entry.rule.0 as usize));
                    covering.retain(|at| bound(*at).covers(filter));
                    overlapping.retain(|at| bound(*at).overlaps(filter));
                    let all = |holds: &dyn Fn(usize) -> bool| (0..patterns.len()).filter(|at| holds(*at)).collect();
                    let covers: Vec<usize> = all(&|at| bound(at).covers(filter));
                    let overlaps: Vec<usize> = all(&|at| is_forbid && bound(at).overlaps(filter));
                    covering.sort_unstable();
                    overlapping.sort_unstable();
                    assert_eq!((covering, overlapping), (covers, overlaps), "{filter} {values:?}");
                }
            }
        }
    }

    #[test]
    fn of_many_rules_few_are_looked_at_closely() {
        let literal = |text: String| PatternLevel::Literal(text.into());
        let patterns: Vec<[PatternLevel; 2]> =
            (0..1_000).map(|at| [literal(format!("t{at}")), PatternLevel::One]).collect();
        let entry = |at: usize| Entry { rule: RuleId(number(at)), is_forbid: at.is_multiple_of(2), condition: None };
        let tree = RuleTree::new(patterns.iter().enumerate().map(|(at, pattern)| (entry(at), &pattern[..])));
        let mut met = 0;
        tree.for_each_near_cover("t500/a", &[], &mut |_| met += 1);
        tree.for_each_near_overlap("t500/a", &[], &mut |_| met += 1);
        tree.for_each_near_overlap("t501/#", &[], &mut |_| met += 1);
        assert_eq!(met, 2);
    }

    #[test]
    fn the_most_specific_pattern_is_the_first_by_the_kinds_of_its_levels() {
        let patterns: Vec<_> = patterns()
            .into_iter()
            .filter(|pattern| !pattern.iter().any(|level| matches!(level, PatternLevel::Value(_))))
            .collect();
        let entry = |at: usize| Entry { rule: RuleId(number(at)), is_forbid: false, condition: None };
        let tree = RuleTree::new(patterns.iter().enumerate().map(|(at, pattern)| (entry(at), &pattern[..])));
        let kinds = |at: usize| -> Vec<u8> {
            let kind = |level: &PatternLevel| match level {
                PatternLevel::Literal(_) => 0,
                PatternLevel::One => 1,
                _ => 2,
            };
            patterns[at].iter().map(kind).collect()
        };
        for topic in topics() {
            let means = |at: &usize| {
                let levels = &patterns[*at][..];
                BoundPattern { levels, values: &[], unbound: Unbound::Nothing }.matches(&topic)
            };
            let wanted = (0..patterns.len()).filter(means).min_by_key(|at| kinds(*at));
            assert_eq!(tree.most_specific(&topic).map(|rule| rule.0 as usize), wanted, "{topic}");
        }
    }

    #[test]
    fn an_empty_tree_finds_nothing() {
        let image = Arc::new(Image::deny_all());
        let mut met = 0;
        image.role_set(&[]).publish.for_each_match("a", &[], &mut |_| met += 1);
        RuleTree::default().for_each_match("a", &[], &mut |_| met += 1);
        assert_eq!(met, 0);
    }
}
