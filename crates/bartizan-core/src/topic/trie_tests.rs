//! What the trie finds, and what it gives back.

use super::*;

/// A trie with the filters it holds, by their numbers.
struct Held<'a>(WildcardTrie, Vec<TopicFilter<'a>>);

impl<'a> Held<'a> {
    fn of(texts: &[&'a str]) -> Self {
        let mut held = Held(WildcardTrie::default(), Vec::new());
        texts.iter().for_each(|text| held.insert(text));
        held
    }

    fn insert(&mut self, text: &'a str) {
        let filter = TopicFilter::parse(text).unwrap();
        let id = u32::try_from(self.1.len()).unwrap();
        self.1.push(filter);
        assert_eq!(self.0.insert(&filter, id, |id| Some(self.1[id as usize])), None, "{text}");
    }

    fn matched(&self, name: &str) -> Vec<u32> {
        let (mut ids, name) = (Vec::new(), TopicName::parse(name).unwrap());
        self.0.for_each_candidate(&name, &mut |id| {
            if self.1[id as usize].matches(&name) {
                ids.push(id);
            }
        });
        ids.sort_unstable();
        ids
    }
}

#[test]
fn wildcards_at_every_place_are_found() {
    let held = Held::of(&["#", "+/b", "a/#", "a/+", "a/+/c", "+/+/#", "$s/#"]);
    assert_eq!(held.matched("a"), [0, 2]);
    assert_eq!(held.matched("a/b"), [0, 1, 2, 3, 5]);
    assert_eq!(held.matched("a/b/c"), [0, 2, 4, 5]);
    assert_eq!(held.matched("x/y/z"), [0, 5]);
    assert_eq!(held.matched("$s"), [6]);
    assert_eq!(held.matched("$s/b"), [6]);
}

#[test]
fn more_than_four_paths_at_one_depth_are_all_followed() {
    let texts: Vec<String> = (0..64)
        .map(|paths| (0..6).map(|bit| if paths >> bit & 1 == 1 { "+/" } else { "x/" }).collect::<String>() + "#")
        .collect();
    let held = Held::of(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(held.matched("x/x/x/x/x/x"), (0..64).collect::<Vec<_>>());
}

#[test]
fn a_filter_that_begins_like_no_other_takes_one_row() {
    let mut held = Held::of(&["a/b/c/d/e/f/#"]);
    assert_eq!(held.0.held().0, 1);
    held.insert("b/+/c");
    assert_eq!(held.0.held().0, 2);
    // `a` goes on, to `a/b` and `a/c`.
    held.insert("a/c/#");
    assert_eq!(held.0.held().0, 4);
}

#[test]
fn removing_the_last_filter_leaves_nothing_behind() {
    let filters = ["#", "a/b/c/#", "a/b/+", "+/b/c", "a/+/c/d", "x/#", "//+", "$s/+", "+"];
    let mut held = Held::of(&filters);
    for text in filters.iter().rev() {
        let filter = TopicFilter::parse(text).unwrap();
        assert!(held.0.find(&filter).is_some());
        held.0.remove(&filter, NONE);
        assert_eq!(held.0.find(&filter).filter(|id| held.1[*id as usize] == filter), None);
    }
    assert_eq!(held.0.held(), (0, 0));
}

#[test]
fn filters_that_share_a_place_follow_each_other() {
    let mut held = Held::of(&["a/+", "b/#"]);
    let filter = TopicFilter::parse("a/+").unwrap();
    // As if the path of "a/+" had the hash of another filter's, which stands there already.
    assert_eq!(held.0.insert(&filter, 7, |_| None), Some(0));
    assert_eq!(held.0.find(&filter), Some(7));
    held.0.remove(&filter, 0);
    assert_eq!(held.0.find(&filter), Some(0));
    // And as if both had it to their ends.
    assert_eq!(held.0.insert(&filter, 8, |_| Some(filter)), Some(0));
    assert_eq!(held.0.find(&filter), Some(8));
}

#[test]
fn a_filter_of_65535_octets_neither_overflows_the_stack_nor_stays() {
    let deep = ["+", "#"].map(|end| format!("{}{end}", "/".repeat(65_534)));
    let mut held = Held::of(&[&deep[0], &deep[1]]);
    assert_eq!(held.matched(&"/".repeat(65_534)), [0, 1]);
    assert_eq!(held.matched(&"/".repeat(65_532)), [0; 0]);
    for text in &deep {
        held.0.remove(&TopicFilter::parse(text).unwrap(), NONE);
    }
    assert_eq!(held.0.held(), (0, 0));
}
