//! What searches see, and what mappings make of documents.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::*;
use crate::store::{Change, RedbStore, Space, Store};

fn ids(documents: &Documents, body: Value) -> Vec<String> {
    let found = wait(documents.search("index", "collection", &body)).unwrap();
    found["hits"].as_array().unwrap().iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()).collect()
}

fn count(documents: &Documents, body: Value) -> u64 {
    wait(documents.count("index", "collection", &body)).unwrap()
}

fn update_mapping(documents: &Documents, mapping: Value) -> Result<Written, Error> {
    let (index, collection) = ("index".to_owned(), "collection".to_owned());
    wait(documents.write(Write::UpdateMapping { index, collection, mapping }))
}

fn auto_refresh(documents: &Documents, enabled: bool) {
    wait(documents.write(Write::SetAutoRefresh { index: "index".into(), enabled })).unwrap();
}

#[test]
fn a_write_is_searchable_after_a_refresh_and_not_before() {
    let documents = open(&SimulatedDisk::default());
    put(&documents, "a", json!({"name": "Grace"})).unwrap();
    assert_eq!(ids(&documents, json!({})), Vec::<String>::new());
    documents.refresh("index").unwrap();
    assert_eq!(ids(&documents, json!({"filter": {"term": {"name": "grace"}}})), ["a"]);
    put(&documents, "a", json!({"name": "Ada"})).unwrap();
    put(&documents, "b", json!({"name": "Grace"})).unwrap();
    assert_eq!(source(&documents, "a").unwrap()["name"], "Ada", "a get sees it at once");
    let found = wait(documents.search("index", "collection", &json!({"version": true}))).unwrap();
    assert_eq!(found["hits"][0]["_source"]["name"], "Grace");
    assert_eq!((&found["total"], &found["hits"][0]["_version"]), (&json!(1), &json!(1)));
    until("the write is seen after a second", || count(&documents, json!({})) == 2);
    assert_eq!(documents.refresh("other").unwrap_err(), Error::IndexNotFound { index: "other".into() });
}

#[test]
fn with_automatic_refresh_a_write_is_searchable_when_it_is_answered() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    assert!(!documents.auto_refresh("index"));
    auto_refresh(&documents, true);
    for n in 0..50 {
        put(&documents, &n.to_string(), json!({"n": n})).unwrap();
        assert_eq!(count(&documents, json!({"query": {"term": {"n": n}}})), 1);
        put(&documents, "same", json!({"n": n + 1_000})).unwrap();
        assert_eq!(count(&documents, json!({"query": {"range": {"n": {"gte": 1_000}}}})), 1);
    }
    let survivor = open(&disk.after_power_loss(1, 0));
    assert!(survivor.auto_refresh("index"));
    wait(survivor.write(Write::DeleteIndex { index: "index".into() })).unwrap();
    assert!(!survivor.auto_refresh("index"), "forgotten with its index");
}

#[test]
fn deletions_by_query_take_what_searches_see() {
    let documents = open(&SimulatedDisk::default());
    for (id, city) in [("c", "NYC"), ("a", "London"), ("b", "NYC")] {
        put(&documents, id, json!({"info": {"city": city}})).unwrap();
    }
    let delete = |body: Value| {
        let gone = wait(documents.delete_by_query("index", "collection", &body)).unwrap();
        gone.into_iter().map(|written| (written.id, written.before.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(delete(json!({})), []);
    documents.refresh("index").unwrap();
    put(&documents, "late", json!({"info": {"city": "NYC"}})).unwrap();
    let gone = |ids: &[&str]| ids.iter().map(|id| (id.to_string(), true)).collect::<Vec<_>>();
    assert_eq!(delete(json!({"query": {"match": {"info.city": "nyc"}}})), gone(&["c", "b"]));
    assert_eq!(count(&documents, json!({})), 3, "searches see deletions after a refresh too");
    documents.refresh("index").unwrap();
    assert_eq!(delete(json!({})), gone(&["a", "late"]));
    assert_eq!(documents.document_count("index", "collection"), Some(0));
    let missing = wait(documents.delete_by_query("other", "collection", &json!({})));
    assert_eq!(missing.unwrap_err(), Error::IndexNotFound { index: "other".into() });
    assert_eq!(wait(documents.delete_by_query("index", "other", &json!({}))).unwrap(), []);
}

#[test]
fn documents_make_mappings_and_have_to_fit_them() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    put(&documents, "a", json!({"s": "x", "n": 1, "d": "2016-01-02", "o": {"f": 1.5}})).unwrap();
    let expected = json!({"properties": {
        "s": {"type": "string"}, "n": {"type": "long"}, "o": {"properties": {"f": {"type": "double"}}},
        "d": {"type": "date", "format": "strict_date_optional_time||epoch_millis"},
    }});
    assert_eq!(documents.mapping("index", "collection").unwrap(), expected);
    let refused = put(&documents, "b", json!({"n": "no number"})).unwrap_err();
    assert!(matches!(refused, Error::InvalidDocument { .. }), "{refused}");
    let update = Write::Update {
        index: "index".into(),
        collection: "collection".into(),
        id: "a".into(),
        source: json!({"o": {"f": "no number"}}),
    };
    assert!(matches!(wait(documents.write(update)).unwrap_err(), Error::InvalidDocument { .. }));
    let conflict = update_mapping(&documents, json!({"properties": {"n": {"type": "string"}}})).unwrap_err();
    assert!(conflict.to_string().contains("of different type"), "{conflict}");
    update_mapping(
        &documents,
        json!({"collection": {"properties": {"s": {"type": "string", "copy_to": "t"}}}}),
    )
    .unwrap();
    assert!(matches!(
        wait(documents.write(Write::UpdateMapping {
            index: "other".into(),
            collection: "c".into(),
            mapping: json!({}),
        })),
        Err(Error::IndexNotFound { .. })
    ));
    for documents in [&documents, &open(&disk.after_power_loss(1, 0))] {
        let mapping = documents.mapping("index", "collection").unwrap();
        assert_eq!(mapping["properties"]["s"], json!({"type": "string", "copy_to": ["t"]}));
        assert_eq!(mapping["properties"]["n"], json!({"type": "long"}));
        assert_eq!(documents.document_count("index", "collection"), Some(1));
    }
    documents.close();
    let again = open(&disk);
    assert_eq!(again.mapping("index", "collection").unwrap()["properties"]["n"], json!({"type": "long"}));
    assert_eq!(again.document_count("index", "collection"), Some(1));
}

#[test]
fn writes_that_wait_together_see_the_mapping_that_the_first_of_them_makes() {
    let documents = open(&SimulatedDisk::default());
    let waiting = [("a", json!({"n": 1})), ("b", json!({"n": "no number"})), ("c", json!({"n": 2}))]
        .map(|(id, source)| documents.write(create_or_replace(id, source)));
    let answers = waiting.map(|answer| wait(answer).is_ok());
    assert_eq!(answers, [true, false, true]);
}

#[test]
fn a_refused_document_makes_no_collection() {
    let documents = open(&SimulatedDisk::default());
    let mut deep = json!(1);
    for _ in 0..40 {
        deep = json!({ "a": deep });
    }
    assert!(put(&documents, "a", json!({ "a": deep })).is_err());
    assert_eq!(documents.indexes(), Vec::<String>::new());
}

#[test]
fn bad_searches_are_refused_with_the_place() {
    let documents = open(&SimulatedDisk::default());
    put(&documents, "a", json!({"n": 1})).unwrap();
    let refused = wait(documents.search("index", "collection", &json!({"query": {"trem": {}}}))).unwrap_err();
    assert!(refused.to_string().contains("/query"), "{refused}");
    let refused = wait(documents.count("index", "collection", &json!({"sort": "n"}))).unwrap_err();
    assert!(matches!(refused, Error::InvalidSearch { .. }), "{refused}");
    let missing = wait(documents.search("other", "collection", &json!({}))).unwrap_err();
    assert_eq!(missing, Error::IndexNotFound { index: "other".into() });
    let nothing = wait(documents.search("index", "other", &json!({}))).unwrap();
    assert_eq!(nothing["total"], 0);
    documents.close();
    assert_eq!(wait(documents.search("index", "collection", &json!({}))).unwrap_err(), Error::Closed);
}

/// Two accounts always hold a hundred together: each transfer changes both in one collection, one after the other, and a
/// refresh follows only when both are written.
#[test]
fn a_search_sees_one_state_while_writes_go_on() {
    let documents = open(&SimulatedDisk::default());
    let ending = AtomicBool::new(false);
    let accounts = 2_500u64;
    let all: Vec<_> =
        (0..accounts).map(|n| create_or_replace(&format!("{n:05}"), json!({"round": 0}))).collect();
    assert!(wait(documents.write_all(all)).into_iter().all(|answer| answer.is_ok()));
    documents.refresh("index").unwrap();
    let body = json!({"size": 0, "aggs": {"rounds": {"terms": {"field": "round"}}}});
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !ending.load(Ordering::Relaxed) {
                round += 1;
                // The order differs from round to round, and some are deleted and come back.
                let each = (0..accounts).map(|n| (n * 7 + round) % accounts);
                let writes = each.flat_map(|n| {
                    let id = format!("{n:05}");
                    let delete = Write::Delete {
                        index: "index".into(),
                        collection: "collection".into(),
                        id: id.clone(),
                    };
                    let put = create_or_replace(&id, json!({ "round": round }));
                    if n % 3 == 0 { vec![delete, put] } else { vec![put] }
                });
                wait(documents.write_all(writes.collect()));
                documents.refresh("index").unwrap();
            }
        });
        for _ in 0..40 {
            let found = wait(documents.search("index", "collection", &body)).unwrap();
            let total = found["total"].as_u64().unwrap();
            assert_eq!(total, accounts, "{found}");
        }
        ending.store(true, Ordering::Relaxed);
    });
}

#[test]
fn documents_of_an_older_format_get_their_mapping_and_count() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    for n in 0..2_100 {
        put(&documents, &n.to_string(), json!({ "n": n, "name": "Grace" })).unwrap();
    }
    documents.close();
    let store = RedbStore::open(Arc::new(disk.clone()), 1 << 20).unwrap();
    let notes = [store.scan(Space::Catalogue, b"d", b"e", 10), store.scan(Space::Catalogue, b"m", b"n", 10)];
    let notes = notes.into_iter().flat_map(Result::unwrap);
    let removals: Vec<_> = notes.map(|(key, _)| Change::Remove(Space::Catalogue, key)).collect();
    assert_eq!(removals.len(), 2);
    store.commit(&removals).unwrap();
    drop(store);
    disk.damage("FORMAT", |bytes| bytes.copy_from_slice(b"kuzzle documents, format 1\n"));
    for _ in 0..2 {
        let documents = open(&disk);
        let expected = json!({"properties": {"n": {"type": "long"}, "name": {"type": "string"}}});
        assert_eq!(documents.mapping("index", "collection").unwrap(), expected);
        assert_eq!(documents.document_count("index", "collection"), Some(2_100));
        assert_eq!(count(&documents, json!({"query": {"match": {"name": "grace"}}})), 2_100);
        documents.close();
    }
}

#[test]
fn a_search_sees_what_there_was_when_it_was_asked() {
    let documents = open(&SimulatedDisk::default());
    auto_refresh(&documents, true);
    put(&documents, "a", json!({"n": 1})).unwrap();
    // On threads of its own, and yet before the write that follows it.
    let asked: Vec<_> = (0..50)
        .map(|_| documents.count("index", "collection", &json!({"query": {"term": {"n": 1}}})))
        .collect();
    put(&documents, "a", json!({"n": 2, "new": true})).unwrap();
    for answer in asked {
        assert_eq!(wait(answer), Ok(1));
    }
    assert_eq!(count(&documents, json!({"query": {"term": {"new": true}}})), 1);
}

#[test]
fn more_documents_than_are_kept_score_as_few_do() {
    let documents = open(&SimulatedDisk::default());
    let source = |n: u64| json!({"text": if n.is_multiple_of(2_000) { "rare" } else { "common" }});
    let all = (0..6_001).map(|n| create_or_replace(&n.to_string(), source(n))).collect();
    assert!(wait(documents.write_all(all)).into_iter().all(|answer| answer.is_ok()));
    documents.refresh("index").unwrap();
    let body = json!({"query": {"match": {"text": "rare"}}});
    let found = wait(documents.search("index", "collection", &body)).unwrap();
    assert_eq!(found["total"], 4);
    // One term in a field of one token: its weight by rarity is all that counts.
    let expected = (6_001f64 / 5.0).ln() + 1.0;
    assert!((found["max_score"].as_f64().unwrap() - expected).abs() < 1e-4, "{}", found["max_score"]);
}
