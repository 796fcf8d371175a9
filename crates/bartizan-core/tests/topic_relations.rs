//! Matching, covering and overlapping against their definition as sets of Topic Names.
//!
//! Not sampled but complete: all filters of up to three levels over a small alphabet, all names of
//! up to four, all pairs. The alphabet has what makes corner cases: the empty level, a `$` level,
//! and `b`, a level that no filter names, standing for all other texts.

mod topic_checks;

use bartizan_core::topic::{TopicFilter, TopicName, parse_subscription};
use proptest::prelude::*;
use topic_checks::{check_topic_filter, naive_is_filter, naive_matches};

fn texts(levels: &[&str], depth_max: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut longest: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
    for _ in 0..depth_max {
        all.extend(longest.iter().cloned());
        longest = longest.iter().flat_map(|head| levels.iter().map(move |level| format!("{head}/{level}"))).collect();
    }
    all.retain(|text| !text.is_empty());
    all
}

fn filters() -> Vec<String> {
    let levels = ["", "a", "$s", "+"];
    let mut all = texts(&levels, 3);
    all.extend(texts(&levels, 2).iter().map(|text| format!("{text}/#")));
    all.extend(["#".to_owned(), "/#".to_owned()]);
    all
}

#[test]
fn matching_covering_and_overlapping_are_what_the_sets_say() {
    let names = texts(&["", "a", "b", "$s"], 4);
    let filters = filters();
    let mut sets = Vec::new();
    for filter in &filters {
        let parsed = TopicFilter::parse(filter).unwrap();
        let matches = |name: &String| parsed.matches(&TopicName::parse(name).unwrap());
        let set: Vec<bool> = names.iter().map(matches).collect();
        let expected: Vec<bool> = names.iter().map(|name| naive_matches(filter, name)).collect();
        assert_eq!(set, expected, "{filter}");
        assert!(set.contains(&true), "{filter} matches something");
        sets.push((parsed, set));
    }
    let (mut covering, mut overlapping) = (0, 0);
    for (left, left_set) in &sets {
        for (right, right_set) in &sets {
            let pairs = || left_set.iter().zip(right_set);
            let covers = pairs().all(|(left, right)| *left || !*right);
            let overlaps = pairs().any(|(left, right)| *left && *right);
            assert_eq!(left.covers(right), covers, "{left} covers {right}");
            assert_eq!(left.overlaps(right), overlaps, "{left} overlaps {right}");
            covering += u32::from(covers);
            overlapping += u32::from(overlaps);
        }
    }
    let pairs = u32::try_from(sets.len() * sets.len()).unwrap();
    assert!(covering > pairs / 100 && covering < overlapping && overlapping < pairs, "the alphabet tells them apart");
}

fn any_text() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["", "a", "+", "#", "$share", "$SYS", "ab", "a+", "\0", "é", "日本", " "]);
    prop_oneof![
        prop::collection::vec(level, 1..7).prop_map(|levels| levels.join("/")),
        "[a+#/$\\x00é]{0,12}",
        "\\PC{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_text_is_a_filter_if_it_keeps_the_rules_and_a_name_if_it_has_no_wildcard_besides(text in any_text()) {
        prop_assert_eq!(TopicFilter::parse(&text).is_ok(), naive_is_filter(&text));
        let is_name = naive_is_filter(&text) && !text.contains(['+', '#']);
        prop_assert_eq!(TopicName::parse(&text).is_ok(), is_name);
    }

    #[test]
    fn a_subscription_is_shared_if_and_only_if_it_says_so(text in any_text(), share in "[a-z+#/]{0,3}") {
        prop_assert!(matches!(parse_subscription(&text), Ok((None, _)) | Err(_)) || text.starts_with("$share/"));
        let shared = format!("$share/{share}/{text}");
        match parse_subscription(&shared) {
            Ok((Some(name), filter)) => {
                prop_assert_eq!(format!("$share/{}/{}", name.as_str(), filter.as_str()), shared.as_str());
                prop_assert!(naive_is_filter(filter.as_str()) && !name.as_str().is_empty());
            }
            Ok((None, _)) => prop_assert!(false, "{} is not shared", shared),
            Err(_) => {
                let (name, filter) = shared["$share/".len()..].split_once('/').unwrap();
                prop_assert!(name.is_empty() || name.contains(['+', '#']) || !naive_is_filter(filter));
            }
        }
    }

    #[test]
    fn all_that_answer_whether_a_filter_matches_agree(left in any_text(), right in any_text(), name in any_text()) {
        check_topic_filter(format!("{left}\n{right}\n{name}").as_bytes());
    }
}

/// Seeds and past findings of the fuzz target `topic_filter`, on the stable toolchain.
#[test]
fn the_fuzz_corpus_holds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/topic_filter");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        check_topic_filter(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 10, "{replayed} inputs in {corpus}");
}
