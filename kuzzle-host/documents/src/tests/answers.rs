//! What each write answers.

use serde_json::json;

use super::*;
use crate::disk::simulated::Event;

fn named(index: &str, collection: &str) -> (String, String) {
    (index.to_owned(), collection.to_owned())
}

#[test]
fn create_stores_once_and_makes_index_and_collection() {
    let documents = open(&SimulatedDisk::default());
    let create = |id: Option<&str>| {
        let (index, collection) = named("things", "pumps");
        wait(documents.write(Write::Create {
            index,
            collection,
            id: id.map(str::to_owned),
            source: json!({"b": 1, "a": [{"d": null, "c": "é"}]}),
        }))
    };
    let written = create(Some("p1")).unwrap();
    assert_eq!((written.id.as_str(), written.version, written.created), ("p1", 1, true));
    assert_eq!(written.source.unwrap(), r#"{"a":[{"c":"é","d":null}],"b":1}"#.as_bytes());
    assert_eq!(written.before, None);
    assert_eq!(
        create(Some("p1")).unwrap_err().to_string(),
        "[document_already_exists_exception] [pumps][p1]: document already exists, with { index=\"things\" }"
    );
    let generated = create(None).unwrap();
    assert_eq!(generated.id.len(), 20);
    assert!(documents.get("things", "pumps", &generated.id).unwrap().is_some());
    assert_eq!(documents.indexes(), ["things"]);
    assert_eq!(documents.collections("things").unwrap(), ["pumps"]);
    assert_eq!(documents.collections("other"), None);
}

#[test]
fn versions_and_sequences_grow_and_versions_begin_anew_after_a_delete() {
    let documents = open(&SimulatedDisk::default());
    let first = put(&documents, "a", json!({"n": 1})).unwrap();
    let other = put(&documents, "b", json!({"n": 1})).unwrap();
    let second = put(&documents, "a", json!({"n": 2})).unwrap();
    assert_eq!((first.version, other.version, second.version), (1, 1, 2));
    assert_eq!((first.created, second.created), (true, false));
    assert!(first.sequence < other.sequence && other.sequence < second.sequence);
    assert_eq!(second.before, first.source);
    let stored = documents.get("index", "collection", "a").unwrap().unwrap();
    assert_eq!((stored.version, stored.sequence), (2, second.sequence));

    let (index, collection) = named("index", "collection");
    let delete = Write::Delete { index, collection, id: "a".into() };
    let deleted = wait(documents.write(delete.clone())).unwrap();
    assert_eq!((deleted.version, deleted.created, deleted.source), (3, false, None));
    assert_eq!(deleted.before, second.source);
    assert_eq!(source(&documents, "a"), None);
    assert_eq!(wait(documents.write(delete)).unwrap_err().to_string(), "Not Found");
    assert_eq!(put(&documents, "a", json!({})).unwrap().version, 1);
}

#[test]
fn replace_and_update_need_the_document() {
    let documents = open(&SimulatedDisk::default());
    let (index, collection) = named("index", "collection");
    let replace = |source| Write::Replace {
        index: index.clone(),
        collection: collection.clone(),
        id: "a".into(),
        source,
    };
    let update = |source| Write::Update {
        index: index.clone(),
        collection: collection.clone(),
        id: "a".into(),
        source,
    };
    assert_eq!(
        wait(documents.write(replace(json!({})))).unwrap_err().to_string(),
        "Document with id a not found."
    );
    assert_eq!(
        wait(documents.write(update(json!({})))).unwrap_err().to_string(),
        "[document_missing_exception] [collection][a]: document missing, with { index=\"index\" }"
    );
    assert!(documents.indexes().is_empty(), "a refused write makes no index");

    put(&documents, "a", json!({"deep": {"x": 1, "y": [1, 2]}, "k": 1})).unwrap();
    let replaced = wait(documents.write(replace(json!({"deep": {"x": 1, "y": [1, 2]}})))).unwrap();
    assert_eq!((replaced.version, replaced.created), (2, false));
    let updated = wait(documents.write(update(json!({"deep": {"y": [3], "z": {"q": 1}}})))).unwrap();
    assert_eq!(updated.version, 3);
    assert_eq!(source(&documents, "a"), Some(json!({"deep": {"x": 1, "y": [3], "z": {"q": 1}}})));
    assert_eq!(updated.before, replaced.source);
    assert_eq!(wait(documents.write(update(json!({})))).unwrap().version, 4, "even when nothing changes");
}

#[test]
fn indexes_and_collections() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    let (index, collection) = named("i", "c");
    let create_index = Write::CreateIndex { index: index.clone() };
    let delete_index = Write::DeleteIndex { index: index.clone() };
    let create_collection = Write::CreateCollection { index: index.clone(), collection: collection.clone() };
    let failure = |write: &Write| wait(documents.write(write.clone())).unwrap_err().to_string();

    assert_eq!(failure(&delete_index), "[index_not_found_exception] no such index, with { index=\"i\" }");
    assert_eq!(
        failure(&create_collection),
        "[index_not_found_exception] no such index, with { index=\"i\" }"
    );
    assert!(wait(documents.write(create_index.clone())).unwrap().created);
    assert_eq!(
        failure(&create_index),
        "[index_already_exists_exception] already exists, with { index=\"i\" }"
    );
    assert!(wait(documents.write(create_collection.clone())).unwrap().created);
    assert!(!wait(documents.write(create_collection)).unwrap().created, "again is no error");
    let write = Write::Create { index, collection, id: Some("x".into()), source: json!({}) };
    wait(documents.write(write.clone())).unwrap();
    wait(documents.write(delete_index)).unwrap();
    assert_eq!(documents.get("i", "c", "x").unwrap(), None);
    assert_eq!(documents.collections("i"), None);
    assert_eq!(wait(documents.write(write)).unwrap().version, 1, "the old document is gone");

    documents.close();
    let documents = open(&disk);
    assert_eq!(documents.indexes(), ["i"]);
    assert_eq!(documents.get("i", "c", "x").unwrap().unwrap().version, 1);
}

#[test]
fn documents_of_a_removed_index_leave_the_store() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    let writes: Vec<_> = (0..5_000)
        .map(|n| documents.write(create_or_replace(&n.to_string(), json!({"text": "x".repeat(100)}))))
        .collect();
    writes.into_iter().for_each(|write| drop(wait(write).unwrap()));
    documents.close();

    let documents = open(&disk);
    wait(documents.write(Write::DeleteIndex { index: "index".into() })).unwrap();
    documents.close();
    let documents = open(&disk);
    until("the documents are taken out", || documents.stored_documents() == 0);
}

#[test]
fn bad_arguments_are_refused_before_they_wait() {
    let documents = open(&SimulatedDisk::default());
    let create = |index: &str, collection: &str, id: &str, source| {
        let (index, collection) = named(index, collection);
        wait(documents.write(Write::Create { index, collection, id: Some(id.to_owned()), source }))
            .unwrap_err()
    };
    assert!(matches!(create("Upper", "c", "a", json!({})), Error::InvalidIndexName { .. }));
    assert!(matches!(create("i", "_c", "a", json!({})), Error::InvalidCollectionName { .. }));
    assert!(matches!(create("i", "c", "", json!({})), Error::InvalidId { .. }));
    assert_eq!(
        create("i", "c", "a", json!([1])).to_string(),
        "[mapper_parsing_exception] invalid document: found an array, expected an object"
    );
    assert!(documents.indexes().is_empty());
}

#[test]
fn a_full_queue_refuses_and_the_rest_is_answered() {
    let disk = SimulatedDisk::default();
    let documents = try_open(&disk, Options { queue_limit: 4, ..small() }).unwrap();
    let answers: Vec<_> = (0..20_000)
        .map(|n| documents.write(create_or_replace(&n.to_string(), json!({}))))
        .collect::<Vec<_>>()
        .into_iter()
        .map(wait)
        .collect();
    let refused = answers.iter().filter(|answer| matches!(answer, Err(Error::Overloaded { .. }))).count();
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(refused + taken, answers.len());
    assert!(refused > 0 && taken > 0, "{refused} refused, {taken} taken");
    assert!(answers[..4].iter().all(Result::is_ok));
}

#[test]
fn pipelined_writes_keep_their_order() {
    let documents = open(&SimulatedDisk::default());
    let waiting: Vec<_> =
        (1..=3_000u64).map(|n| (n, documents.write(create_or_replace("a", json!({ "n": n }))))).collect();
    for (n, answer) in waiting {
        assert_eq!(wait(answer).unwrap().version, n);
    }
    assert_eq!(source(&documents, "a"), Some(json!({"n": 3_000})));
}

#[test]
fn each_answer_follows_the_sync_that_covers_it() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (documents, disk) = (&documents, &disk);
            scope.spawn(move || {
                for n in 0..200 {
                    let written = put(documents, &format!("{writer}-{n}"), json!({ "n": n })).unwrap();
                    disk.note(written.sequence);
                }
            });
        }
    });
    // A batch is one write to a journal file. Counting the writes it held tells which answers may follow its sync.
    let (mut written, mut synced, mut notes) = (0, 0, 0);
    for event in disk.events() {
        match event {
            Event::Write { file, .. } if file.starts_with("journal") => written += 1,
            Event::Sync { file } if file.starts_with("journal") => synced = written,
            Event::Note(_) => {
                notes += 1;
                assert!(synced > 0, "an answer before any sync");
            }
            _ => {}
        }
    }
    assert_eq!(notes, 8 * 200);
    // The proof for each single answer: power lost right after it, nothing unsynced kept.
    for n in 0..60 {
        let id = format!("after-{n}");
        put(&documents, &id, json!({ "n": n })).unwrap();
        let survivor = open(&disk.after_power_loss(n, 0));
        assert_eq!(source(&survivor, &id), Some(json!({ "n": n })));
    }
}

#[test]
fn without_waiting_for_the_sync_answers_come_before_it() {
    for sync in [crate::SyncPolicy::Os, crate::SyncPolicy::IntervalMs(3_600_000)] {
        let disk = SimulatedDisk::default();
        let documents = try_open(&disk, Options { sync, ..small() }).unwrap();
        put(&documents, "a", json!({})).unwrap();
        assert_eq!(source(&documents, "a"), Some(json!({})));
        assert_eq!(source(&open(&disk.after_power_loss(1, 0)), "a"), None, "{sync:?}");
        assert_eq!(source(&open(&disk.after_power_loss(1, 100)), "a"), Some(json!({})), "{sync:?}");
        documents.close();
        assert_eq!(source(&open(&disk.after_power_loss(1, 0)), "a"), Some(json!({})), "a clean stop syncs");
    }
}

#[test]
fn the_interval_policy_syncs_by_itself() {
    let disk = SimulatedDisk::default();
    let documents = try_open(&disk, Options { sync: crate::SyncPolicy::IntervalMs(5), ..small() }).unwrap();
    put(&documents, "a", json!({})).unwrap();
    until("synced", || source(&open(&disk.after_power_loss(1, 0)), "a").is_some());
}

#[test]
fn closed_documents_answer_so() {
    let documents = open(&SimulatedDisk::default());
    put(&documents, "a", json!({})).unwrap();
    documents.close();
    documents.close();
    assert_eq!(put(&documents, "b", json!({})), Err(Error::Closed));
    assert_eq!(documents.get("index", "collection", "a"), Err(Error::Closed));
}
