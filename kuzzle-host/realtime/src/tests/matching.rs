//! The index finds what the naive evaluator finds.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::Matcher;

/// Compares, for one document, the index with each filter by itself.
fn agree(matcher: &Matcher<usize>, filters: &[(usize, &Filter)], document: &Document<'_>) {
    let mut found = matcher.matches("i", "c", document);
    found.sort_unstable();
    let expected: Vec<usize> =
        filters.iter().filter(|(_, filter)| filter.matches(document)).map(|(at, _)| *at).collect();
    if found != expected {
        let differing = filters.iter().find(|(at, _)| found.contains(at) != expected.contains(at));
        panic!("{document:?}: found {found:?}, expected {expected:?}; one that differs: {differing:?}");
    }
}

fn documents() -> impl Strategy<Value = Vec<(Option<String>, Value)>> {
    prop::collection::vec((id(), source()), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_index_agrees_with_the_evaluator(
        filters in prop::collection::vec(any_filter(), 1..40),
        documents in documents(),
        removed in prop::collection::vec(any::<bool>(), 40),
    ) {
        let parsed: Vec<Filter> = filters.iter().map(filter).collect();
        let matcher = Matcher::new();
        let mut inserted: Vec<_> =
            parsed.iter().enumerate().map(|(at, filter)| Some(matcher.insert("i", "c", filter, at))).collect();
        let mut left: Vec<(usize, &Filter)> = parsed.iter().enumerate().collect();
        let views: Vec<Document<'_>> =
            documents.iter().map(|(id, source)| Document { id: id.as_deref(), source }).collect();
        views.iter().for_each(|document| agree(&matcher, &left, document));
        left.retain(|(at, _)| !removed[*at]);
        for at in (0..parsed.len()).filter(|at| removed[*at]) {
            matcher.remove(inserted[at].take().unwrap());
        }
        views.iter().for_each(|document| agree(&matcher, &left, document));
        inserted.into_iter().flatten().for_each(|it| matcher.remove(it));
        prop_assert!(matcher.is_empty());
    }

    /// The same conditions many times over, so that every structure is divided.
    #[test]
    fn large_indexes_agree_too(
        leaves in prop::collection::vec(leaf(), 300),
        pairs in prop::collection::vec((0..300usize, 0..300usize), 300),
        documents in documents(),
    ) {
        let both = pairs.iter().map(|(a, b)| json!({"and": [leaves[*a], leaves[*b]]}));
        let parsed: Vec<Filter> = leaves.iter().cloned().chain(both).map(|json| filter(&json)).collect();
        let matcher = Matcher::new();
        let mut inserted: Vec<_> =
            parsed.iter().enumerate().map(|(at, filter)| Some(matcher.insert("i", "c", filter, at))).collect();
        let mut left: Vec<(usize, &Filter)> = parsed.iter().enumerate().collect();
        for keep in [1, 3, 17] {
            left.retain(|(at, _)| at % keep == 0);
            for (at, slot) in inserted.iter_mut().enumerate().filter(|(at, _)| at % keep != 0) {
                if let Some(it) = slot.take() {
                    matcher.remove(it);
                }
                let _ = at;
            }
            for (id, source) in &documents {
                agree(&matcher, &left, &Document { id: id.as_deref(), source });
            }
        }
    }
}

#[test]
fn collections_do_not_meet() {
    let matcher = Matcher::new();
    let everything = filter(&json!({}));
    let first = matcher.insert("i", "c", &everything, 1);
    let second = matcher.insert("i", "d", &everything, 2);
    let source = json!({});
    assert_eq!(matcher.matches("i", "c", &document(&source)), [1]);
    assert_eq!(matcher.matches("i", "d", &document(&source)), [2]);
    assert_eq!(matcher.matches("ic", "", &document(&source)), [0; 0]);
    assert_eq!((matcher.len("i", "c"), matcher.len("j", "c")), (1, 0));
    matcher.remove(first);
    matcher.remove(second);
    assert!(matcher.is_empty());
}

#[test]
fn thousands_of_filters_cost_what_they_match() {
    let matcher = Matcher::new();
    let mut inserted = Vec::new();
    for at in 0..20_000usize {
        let json = match at % 4 {
            0 => json!({"term": {"name": format!("n{at}")}}),
            1 => json!({"range": {"num": {"gte": at, "lt": at + 40}}}),
            2 => json!({"and": [{"term": {"type": "x"}}, {"range": {"num": {"gt": at}}}]}),
            _ => json!({"regexp": {"name": format!("^n{at}$")}}),
        };
        inserted.push(matcher.insert("i", "c", &filter(&json), at));
    }
    let source = json!({"name": "n400", "num": 402, "type": "y"});
    let mut found = matcher.matches("i", "c", &document(&source));
    found.sort_unstable();
    assert_eq!(found, [365, 369, 373, 377, 381, 385, 389, 393, 397, 400, 401]);
    let source = json!({"num": 50, "type": "x", "name": "n403"});
    let mut found = matcher.matches("i", "c", &document(&source));
    found.sort_unstable();
    let mut expected: Vec<usize> = (0..50).filter(|at| at % 4 == 2 || at % 4 == 1 && at + 40 > 50).collect();
    expected.push(403);
    assert_eq!(found, expected);
    inserted.into_iter().for_each(|it| matcher.remove(it));
    assert!(matcher.is_empty());
}

#[test]
fn filters_come_and_go_while_documents_match() {
    let matcher = Matcher::new();
    let steady: Vec<Filter> = (0..200)
        .map(|at| match at % 3 {
            0 => json!({"term": {"n": at % 20}}),
            1 => json!({"range": {"n": {"lt": at % 30}}}),
            _ => json!({"and": [{"term": {"t": "x"}}, {"range": {"n": {"gte": at % 25}}}]}),
        })
        .map(|json| filter(&json))
        .collect();
    let stay: Vec<_> =
        steady.iter().enumerate().map(|(at, filter)| matcher.insert("i", "c", filter, at)).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2usize {
            let (matcher, done) = (&matcher, &done);
            scope.spawn(move || {
                let mut held = Vec::new();
                for round in 0..3000usize {
                    let n = (round * 7 + thread) % 40;
                    let json = match round % 4 {
                        0 => json!({"term": {"n": n}}),
                        1 => json!({"range": {"n": {"gt": n, "lt": n + 5}}}),
                        2 => json!({"or": [{"term": {"t": "x"}}, {"term": {"n": n}}]}),
                        _ => json!({"and": [{"term": {"t": "x"}}, {"regexp": {"s": format!("a{n}b")}}]}),
                    };
                    held.push(matcher.insert("i", "c", &filter(&json), 1000 + round));
                    if held.len() > 100 {
                        matcher.remove(held.swap_remove(round % 100));
                    }
                }
                held.into_iter().for_each(|it| matcher.remove(it));
                done.store(true, Ordering::Release);
            });
        }
        for thread in 0..2usize {
            let (matcher, done, steady) = (&matcher, &done, &steady);
            scope.spawn(move || {
                let mut rounds = thread;
                while !done.load(Ordering::Acquire) || rounds < 500 {
                    let source =
                        json!({"n": rounds % 35, "t": if rounds % 2 == 0 { "x" } else { "y" }, "s": "a7b"});
                    let document = document(&source);
                    let mut found = matcher.matches("i", "c", &document);
                    found.sort_unstable();
                    assert!(found.is_sorted_by(|a, b| a < b || *a >= 1000), "a filter was found twice");
                    found.retain(|at| *at < 1000);
                    let expected: Vec<usize> =
                        (0..steady.len()).filter(|at| steady[*at].matches(&document)).collect();
                    assert_eq!(found, expected);
                    rounds += 1;
                }
            });
        }
    });
    stay.into_iter().for_each(|it| matcher.remove(it));
    assert!(matcher.is_empty());
}
