use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Matching, Scan, keys_of_term};
use crate::fixture::{Fixture, NOW_MS};
use crate::generate::{document, mapping, query, search};
use crate::{Execution, Prepared, Search, Statistics};

type Keys = BTreeSet<Vec<u8>>;

fn keys(document: &Prepared) -> Keys {
    let mut out = Keys::new();
    document.each_key(b"", &mut |key| {
        out.insert(key.to_vec());
    });
    out
}

/// Whether a document with these keys and this id is in a set: the words of [`Matching`], one by one.
fn holds(matching: &Matching, keys: &Keys, id: &str) -> bool {
    match matching {
        Matching::All => true,
        Matching::None => false,
        Matching::Term(key) => keys.contains(key),
        Matching::Terms(terms) => terms.iter().any(|key| keys.contains(key)),
        Matching::Ranges(ranges) => ranges.iter().any(|range| keys.range(range.clone()).next().is_some()),
        Matching::Scan(scan) => keys.range(scan.range.clone()).any(|key| scan.accepts(key)),
        Matching::And(sets) => sets.iter().all(|set| holds(set, keys, id)),
        Matching::Or(sets) => sets.iter().any(|set| holds(set, keys, id)),
        Matching::AndNot(set, refused) => holds(set, keys, id) && !holds(refused, keys, id),
        Matching::AtLeast(least, sets) => sets.iter().filter(|set| holds(set, keys, id)).count() >= *least,
        Matching::Ids(ids) => ids.iter().any(|it| it == id),
    }
}

/// Counts of some documents, from their keys alone.
struct Counts {
    documents: BTreeMap<String, Keys>,
}

impl Statistics for Counts {
    fn documents(&self) -> u64 {
        self.documents.len() as u64
    }

    fn document_frequency(&self, field: &str, term: &str) -> u64 {
        let own = |id: &String| match field {
            "_id" => Some(*id == *term),
            "_uid" => Some(term == format!("books#{id}")),
            "_type" => Some(term == "books"),
            _ => None,
        };
        let wanted = keys_of_term(field, term);
        let has = |(id, keys): &(&String, &Keys)| own(id).unwrap_or_else(|| holds(&wanted, keys, id));
        self.documents.iter().filter(has).count() as u64
    }

    fn each_term(&self, field: &str, prefix: &str, then: &mut dyn FnMut(&str)) {
        for scan in Scan::of_field(field, prefix) {
            for keys in self.documents.values() {
                keys.range(scan.range.clone()).filter_map(|key| scan.text(key)).for_each(&mut *then);
            }
        }
    }
}

fn id(document: &Prepared) -> String {
    document.document().id.clone()
}

/// Searches what an index would give, with its counts for all documents but the last `tail`.
fn through_an_index(fixture: &Fixture, body: &Value, tail: usize) -> crate::Result<crate::SearchResult> {
    let (indexed, tail) = fixture.documents.split_at(fixture.documents.len().saturating_sub(tail));
    let counts = Counts { documents: indexed.iter().map(|it| (id(it), keys(it))).collect() };
    let cancelled = AtomicBool::new(false);
    let execution = Execution {
        mapping: &fixture.mapping,
        now_ms: NOW_MS,
        cancelled: &cancelled,
        statistics: Some(&counts),
    };
    let mut run = Search::parse(body)?.start(execution)?;
    if run.needs_counts() {
        tail.iter().try_for_each(|document| run.count(document))?;
    }
    let plan = run.plan("library", "books");
    let found = indexed.iter().filter(|it| holds(&plan.candidates.matching, &keys(it), &id(it)));
    let found: Vec<&Prepared> = found.collect();
    let mut pushed = found.len();
    if let Some(first) = plan.first_by_sequence.filter(|_| plan.candidates.exact) {
        pushed = pushed.min(first);
        run.add_unseen((found.len() - pushed) as u64);
    }
    found.into_iter().take(pushed).chain(tail).try_for_each(|document| run.push(document))?;
    run.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn candidates_hold_every_match(sources in prop::collection::vec(document(), 0..15), query in query()) {
        let fixture = Fixture::new(mapping(), sources);
        let cancelled = AtomicBool::new(false);
        let execution =
            Execution { mapping: &fixture.mapping, now_ms: NOW_MS, cancelled: &cancelled, statistics: None };
        let search = Search::parse(&json!({"query": query})).unwrap();
        let mut matcher = search.matcher(execution).unwrap();
        let candidates = matcher.candidates("library", "books");
        for document in &fixture.documents {
            let matches = matcher.matches(document).unwrap();
            let held = holds(&candidates.matching, &keys(document), &document.document().id);
            let source = document.document();
            prop_assert!(held || !matches, "{:?} is no candidate: {:?}", source, candidates);
            prop_assert!(!candidates.exact || held == matches, "{:?} is an exact candidate: {:?}", source, candidates);
        }
    }

    #[test]
    fn a_search_through_an_index_gives_the_same(
        sources in prop::collection::vec(document(), 0..15), body in search(), tail in 0..6usize
    ) {
        let fixture = Fixture::new(mapping(), sources);
        match (fixture.run(&body), through_an_index(&fixture, &body, tail)) {
            (Ok(expected), Ok(found)) => prop_assert_eq!(found, expected),
            (expected, found) => prop_assert!(false, "{expected:?} against {found:?}"),
        }
    }
}

#[test]
fn much_is_known_without_looking_at_documents() {
    let fixture = Fixture::new(mapping(), Vec::new());
    let cancelled = AtomicBool::new(false);
    let execution =
        Execution { mapping: &fixture.mapping, now_ms: NOW_MS, cancelled: &cancelled, statistics: None };
    let plan = |body: Value| {
        let run = Search::parse(&body).unwrap().start::<&Prepared>(execution).unwrap();
        let plan = run.plan("library", "books");
        (plan.candidates.exact, plan.first_by_sequence, matches!(plan.candidates.matching, Matching::All))
    };
    let ten = Some(10);
    for (body, expected) in [
        (json!({}), (true, ten, true)),
        (json!({"size": 0}), (true, Some(1), true)),
        (json!({"from": 20}), (true, Some(30), true)),
        (json!({"query": {"term": {"tag": "a"}}}), (true, ten, false)),
        (json!({"query": {"term": {"text": "a"}}}), (true, None, false)),
        (json!({"query": {"term": {"text": "a"}}, "sort": "_doc"}), (true, ten, false)),
        (
            json!({"query": {"term": {"text": "a"}}, "sort": "_doc", "track_scores": true}),
            (true, None, false),
        ),
        (json!({"filter": {"range": {"n": {"gte": 3}}}}), (true, ten, false)),
        (json!({"query": {"match_phrase": {"text": "a b"}}}), (false, None, false)),
        (json!({"query": {"not": {"term": {"ok": true}}}}), (true, ten, false)),
        (
            json!({"query": {"not": {"nested": {"path": "pets", "query": {"term": {"pets.age": 3}}}}}}),
            (false, ten, true),
        ),
        (json!({"query": {"type": {"value": "books"}}}), (true, ten, true)),
        (
            json!({"filter": {"term": {"ok": true}}, "aggs": {"n": {"max": {"field": "n"}}}}),
            (true, None, true),
        ),
        (json!({"query": {"term": {"ok": true}}, "aggs": {"g": {"global": {}}}}), (false, None, true)),
        (json!({"query": {"term": {"ok": true}}, "min_score": 1}), (false, ten, false)),
    ] {
        assert_eq!(plan(body.clone()), expected, "{body}");
    }
}
