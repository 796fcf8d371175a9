//! Retained Messages against a plain map, whole and page by page.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by failing")]

mod topic_checks;

use bartizan_core::topic::{PageEnd, RetainedPage, RetainedStore, TopicFilter, TopicName};
use proptest::prelude::*;
use std::collections::BTreeMap;
use topic_checks::{naive_is_filter, naive_matches};

/// Levels that sort before, beside and behind the separator, so that names of one level above
/// stand apart in the order.
const LEVELS: [&str; 9] = ["", "a", "a!", "a-b", "a0", "b", "$s", "%", "日"];

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(LEVELS.to_vec()), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a name", |text| !text.is_empty())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => prop::sample::select(LEVELS.to_vec()), 4 => Just("+")];
    (prop::collection::vec(level, 0..5), any::<bool>())
        .prop_map(|(mut levels, hash)| {
            levels.extend(hash.then_some("#"));
            levels.join("/")
        })
        .prop_filter("a filter", |text| naive_is_filter(text))
}

fn collected(store: &RetainedStore<String>, filter: &TopicFilter<'_>) -> Vec<String> {
    let mut out = Vec::new();
    store.collect_matching(filter, usize::MAX, &mut out);
    out
}

/// The same by pages; each must stay within its bounds and bring the walk forward.
fn paged(
    store: &RetainedStore<String>,
    filter: &TopicFilter<'_>,
    messages_max: usize,
    visits_max: usize,
) -> Vec<String> {
    let mut out = Vec::new();
    let mut after: Option<Box<str>> = None;
    for _ in 0..=2 * store.len() {
        let before = out.len();
        let page = RetainedPage { after: after.as_deref(), messages_max, visits_max };
        let end = store.collect_page(filter, page, &mut out);
        assert!(out.len() - before <= messages_max.max(1), "{filter}");
        match end {
            PageEnd::Complete => return out,
            PageEnd::More(last) => after = Some(last),
        }
    }
    panic!("pages of {filter} do not come to an end");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_filter_collects_exactly_the_messages_whose_names_match(
        names in prop::collection::vec((name(), any::<bool>()), 0..150),
        filters in prop::collection::vec(filter(), 1..12),
        messages_max in 0..6_usize,
        visits_max in 0..9_usize,
    ) {
        let (mut store, mut model) = (RetainedStore::new(), BTreeMap::new());
        for (text, keep) in &names {
            let name = TopicName::parse(text).unwrap();
            if *keep || !model.contains_key(text) {
                prop_assert_eq!(store.set(&name, text.clone(), 3), model.insert(text.clone(), text.clone()));
            } else {
                prop_assert_eq!(store.remove(&name), model.remove(text));
            }
            prop_assert_eq!(store.get(&name), model.get(text));
            prop_assert_eq!((store.len(), store.bytes()), (model.len(), 3 * model.len() as u64));
        }
        prop_assert!(store.iter().map(|(name, _)| name.as_str()).eq(model.keys().map(String::as_str)));
        for text in &filters {
            let filter = TopicFilter::parse(text).unwrap();
            let expected: Vec<&String> = model.keys().filter(|name| naive_matches(text, name)).collect();
            let mut whole = collected(&store, &filter);
            let mut pages = paged(&store, &filter, messages_max, visits_max);
            prop_assert_eq!(&pages, &whole, "{} in pages", text);
            whole.sort();
            pages.sort();
            prop_assert!(whole.iter().eq(expected.iter().copied()), "{} collects {:?}, not {:?}", text, whole, expected);
        }
    }
}

#[test]
fn messages_set_and_removed_between_pages_disturb_no_other() {
    let mut store = RetainedStore::new();
    let set = |store: &mut RetainedStore<String>, text: &str| {
        store.set(&TopicName::parse(text).unwrap(), text.to_owned(), 1);
    };
    for device in 0..100 {
        set(&mut store, &format!("d/{device:02}/v"));
    }
    let filter = TopicFilter::parse("d/+/v").unwrap();
    let mut out = Vec::new();
    let page = RetainedPage { after: None, messages_max: 50, visits_max: 1000 };
    let PageEnd::More(last) = store.collect_page(&filter, page, &mut out) else { panic!("half is left") };
    store.remove(&TopicName::parse(&last).unwrap());
    set(&mut store, "d/10a/v");
    set(&mut store, "d/60a/v");
    let page = RetainedPage { after: Some(&last), messages_max: 1000, visits_max: 1000 };
    assert_eq!(store.collect_page(&filter, page, &mut out), PageEnd::Complete);
    let mut expected: Vec<String> = (0..100).map(|device| format!("d/{device:02}/v")).collect();
    expected.insert(61, "d/60a/v".to_owned());
    assert_eq!(out, expected);
}
