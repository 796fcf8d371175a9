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
        let nodes = drafts.into_iter().map(|draft| freeze(draft, &mut entries)).collect();
        RuleTree { nodes, entries: entries.into() }
    }

    /// Calls `visit` with every rule whose pattern means this Topic Name. A rule with a variable for which
    /// there is no value is met only where it is a forbid: nobody gains from what he lacks.
    pub(super) fn for_each_match(&self, name: &str, values: &[Option<Arc<str>>], visit: &mut impl FnMut(&Entry)) {
        Walk { tree: self, values, visit }.level(0, Some(name), true, false);
    }

    fn entries(&self, range: &Range<u32>) -> &[Entry] {
        self.entries.get(range.start as usize..range.end as usize).unwrap_or_default()
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
        let (level, tail) = match rest.split_once('/') {
            Some((level, tail)) => (level, Some(tail)),
            None => (rest, None),
        };
        // Only a rule that spells it reaches a topic of the server's own [MQTT-4.7.2-1].
        let is_free = !is_first || !level.starts_with('$');
        if let Ok(at) = node.literals.binary_search_by(|(text, _)| (**text).cmp(level))
            && let Some((_, child)) = node.literals.get(at)
        {
            self.level(*child, tail, false, forbids_only);
        }
        if !is_free {
            return;
        }
        self.meet(&node.below, forbids_only);
        if let Some(child) = node.one {
            self.level(child, tail, false, forbids_only);
        }
        for (slot, child) in &node.values {
            match self.values.get(usize::from(*slot)).and_then(Option::as_deref) {
                Some(value) if value == level => self.level(*child, tail, false, forbids_only),
                Some(_) => {}
                None => self.level(*child, tail, false, true),
            }
        }
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
    Node {
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

    #[test]
    fn an_empty_tree_finds_nothing() {
        let image = Arc::new(Image::deny_all());
        let mut met = 0;
        image.role_set(&[]).publish.for_each_match("a", &[], &mut |_| met += 1);
        RuleTree::default().for_each_match("a", &[], &mut |_| met += 1);
        assert_eq!(met, 0);
    }
}
