//! The naive model of topics that the tests compare with, and the check that fuzzing repeats.
#![allow(clippy::panic, reason = "a test says what failed by failing")]
#![allow(dead_code, reason = "each test file and the fuzz target use a part of it")]

use bartizan_core::topic::{
    Interest, InterestLimits, RetainedStore, SubscriptionIndex, TopicFilter, TopicName, parse_subscription, topic_hash,
};

/// Chapter 4.7 word by word: recursive and slow, for short topics.
pub fn naive_matches(filter: &str, name: &str) -> bool {
    fn levels_match(filter: &[&str], name: &[&str]) -> bool {
        match (filter, name) {
            ([], []) => true,
            (["#"], _) => true,
            (["+", filter @ ..], [_, name @ ..]) => levels_match(filter, name),
            ([wanted, filter @ ..], [found, name @ ..]) => wanted == found && levels_match(filter, name),
            _ => false,
        }
    }
    if name.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')) {
        return false;
    }
    levels_match(&filter.split('/').collect::<Vec<_>>(), &name.split('/').collect::<Vec<_>>())
}

/// The rules of 4.7.1 and 4.7.3 for a Topic Filter, one by one.
pub fn naive_is_filter(text: &str) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    !text.is_empty()
        && text.len() <= 65_535
        && !text.contains('\0')
        && levels.iter().all(|level| level.len() == 1 || !level.contains(['+', '#']))
        && levels.iter().position(|level| *level == "#").is_none_or(|at| at + 1 == levels.len())
}

/// Whatever the three lines of the input are, parsing judges them by the rules, and everything
/// that answers "does this filter match this name" gives one answer.
pub fn check_topic_filter(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.splitn(3, '\n');
    let [first, second, third] = [(); 3].map(|()| lines.next().unwrap_or_default());
    for line in [first, second, third] {
        assert_eq!(TopicFilter::parse(line).is_ok(), naive_is_filter(line), "filter {line:?}");
        let is_name = naive_is_filter(line) && !line.contains(['+', '#']);
        assert_eq!(TopicName::parse(line).is_ok(), is_name, "name {line:?}");
        if let Ok((Some(share), filter)) = parse_subscription(line) {
            assert_eq!(format!("$share/{}/{filter}", share.as_str()), line);
            assert!(naive_is_filter(filter.as_str()) && !share.as_str().contains(['/', '+', '#']));
        }
    }
    if let (Ok(filter), Ok(name)) = (TopicFilter::parse(first), TopicName::parse(third)) {
        check_one_answer(&filter, &name);
    }
    if let (Ok(left), Ok(right)) = (TopicFilter::parse(first), TopicFilter::parse(second)) {
        check_relations(&left, &right, TopicName::parse(third).ok().as_ref());
    }
}

fn check_one_answer(filter: &TopicFilter<'_>, name: &TopicName<'_>) {
    let matches = filter.matches(name);
    // The naive matcher recurses, so it is asked only where the stack bears it.
    if name.level_count() < 500 {
        assert_eq!(matches, naive_matches(filter.as_str(), name.as_str()), "{filter} {name}");
    }
    assert_eq!(matches, filter.covers(&TopicFilter::exactly(name)), "{filter} covers {name}");
    assert_eq!(matches, filter.overlaps(&TopicFilter::exactly(name)), "{filter} overlaps {name}");

    let mut index = SubscriptionIndex::new();
    index.insert(filter, 1_u32, ());
    let mut found = false;
    index.for_each_match(name, &mut |_, ()| found = true);
    assert_eq!(matches, found, "index: {filter} {name}");
    assert_eq!(index.remove(filter, 1), Some(()));
    index.for_each_match(name, &mut |_, ()| panic!("a removed filter matches: {filter} {name}"));

    let interest = Interest::new(InterestLimits { exact_buckets: 4, first_level_buckets: 4 });
    interest.add(filter);
    assert!(!matches || interest.may_match(name, topic_hash(name.as_str())), "interest: {filter} {name}");

    let mut retained = RetainedStore::new();
    retained.set(name, (), 0);
    let mut collected = Vec::new();
    retained.collect_matching(filter, 1, &mut collected);
    assert_eq!(matches, collected.len() == 1, "retained: {filter} {name}");
}

fn check_relations(left: &TopicFilter<'_>, right: &TopicFilter<'_>, name: Option<&TopicName<'_>>) {
    assert!(left.covers(left) && left.overlaps(left), "{left} and itself");
    assert_eq!(left.overlaps(right), right.overlaps(left), "{left} {right}");
    assert!(!left.covers(right) || left.overlaps(right), "{left} covers {right} without overlapping it");
    if let Some(name) = name {
        assert!(!(left.covers(right) && right.matches(name)) || left.matches(name), "{left} {right} {name}");
        assert!(!(left.matches(name) && right.matches(name)) || left.overlaps(right), "{left} {right} {name}");
    }
}
