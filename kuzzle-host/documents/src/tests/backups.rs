//! Copies of a store in use, and reading one from end to end without changing it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;

use super::*;
use crate::disk::Disk;
use crate::disk::simulated::Failing;
use crate::{BackupError, CheckReport, Severity};

/// Makes a copy on a disk of its own.
fn backup(documents: &Documents) -> SimulatedDisk {
    let copy = SimulatedDisk::default();
    documents.backup_on(&(Arc::new(copy.clone()) as Arc<dyn Disk>), &|| true).unwrap();
    copy
}

fn check(disk: &SimulatedDisk) -> CheckReport {
    Documents::check_on(&(Arc::new(disk.clone()) as Arc<dyn Disk>), Path::new("simulated")).unwrap()
}

/// Waits until the store has all that the journal had.
fn settle(documents: &Documents) {
    until("the store has it", || documents.stored_documents() > 0 && documents.shared().checkpoint.is_done());
}

#[test]
fn a_copy_has_names_mappings_and_documents_wherever_they_are() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    assert_eq!(open(&backup(&documents)).indexes(), [] as [&str; 0], "of an empty store too");
    for n in 0..400 {
        put(&documents, &n.to_string(), json!({"n": n, "text": "x".repeat(500)})).unwrap();
    }
    settle(&documents);
    wait(documents.write(Write::Delete {
        index: "index".into(),
        collection: "collection".into(),
        id: "7".into(),
    }))
    .unwrap();
    put(&documents, "8", json!({"n": 8, "again": true})).unwrap();
    wait(documents.write(Write::SetAutoRefresh { index: "index".into(), enabled: true })).unwrap();
    wait(documents.write(Write::CreateIndex { index: "empty".into() })).unwrap();
    let copied = backup(&documents);
    assert_eq!(
        check(&copied),
        CheckReport { indexes: 2, collections: 1, documents: 399, ..CheckReport::default() }
    );
    let copy = open(&copied.after_power_loss(1, 0));
    assert_eq!(copy.indexes(), ["empty", "index"]);
    assert!(copy.auto_refresh("index"));
    assert_eq!(copy.mapping("index", "collection"), documents.mapping("index", "collection"));
    assert_eq!(copy.document_count("index", "collection"), Some(399));
    for n in 0..400 {
        let (index, id) = ("index", n.to_string());
        assert_eq!(copy.get(index, "collection", &id), documents.get(index, "collection", &id), "{id}");
    }
    // The copy is a store like any other.
    let next = put(&copy, "8", json!({})).unwrap();
    assert_eq!(next.version, 3);
}

#[test]
fn a_copy_that_is_made_meanwhile_has_all_that_was_answered() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    let (done, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (documents, done, answered) = (&documents, &done, &answered);
        for writer in 0..2u64 {
            scope.spawn(move || {
                for n in (writer..).step_by(2) {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    put(documents, &format!("{writer}"), json!({"n": n})).unwrap();
                    put(documents, &format!("{writer}-{n:06}"), json!({"n": n, "text": "x".repeat(300)}))
                        .unwrap();
                    // The lower bound of both: each writer is at most one ahead of what it counts.
                    answered.fetch_add(1, Ordering::Release);
                }
            });
        }
        for wanted in [3, 150, 400, 900] {
            until("more is answered", || answered.load(Ordering::Acquire) >= wanted);
            let before: Vec<_> = (0..2).map(|writer| source(documents, &writer.to_string())).collect();
            let copied = backup(documents);
            let report = check(&copied);
            assert_eq!((report.findings, report.is_damaged), (Vec::new(), false));
            let copy = open(&copied.after_power_loss(wanted, 0));
            for (writer, before) in before.iter().enumerate() {
                let Some(before) = before else { continue };
                let now = source(&copy, &writer.to_string()).unwrap()["n"].as_u64().unwrap();
                assert!(now >= before["n"].as_u64().unwrap());
                // One moment: what was written before is there, and of what was written after at most the same.
                for n in (writer as u64..now).step_by(2) {
                    assert!(
                        source(&copy, &format!("{writer}-{n:06}")).is_some(),
                        "{writer}-{n} before {now}"
                    );
                }
                assert_eq!(source(&copy, &format!("{writer}-{:06}", now + 2)), None);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn power_loss_while_a_copy_is_made_leaves_the_original_whole() {
    for cut in [1, 5, 20, 60, 120] {
        let disk = SimulatedDisk::default();
        let documents = open(&disk);
        for n in 0..300 {
            put(&documents, &n.to_string(), json!({"n": n, "text": "x".repeat(400)})).unwrap();
        }
        disk.lose_power(disk.event_count() + cut, cut as u64, 50);
        let copy = SimulatedDisk::default();
        copy.lose_power(copy.event_count() + cut, cut as u64, 50);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut n = 300;
                while disk.survivor().is_none() {
                    put(&documents, &n.to_string(), json!({"n": n, "text": "x".repeat(400)})).unwrap();
                    n += 1;
                }
            });
            documents.backup_on(&(Arc::new(copy.clone()) as Arc<dyn Disk>), &|| true).unwrap();
        });
        let recovered = open(&disk.survivor().unwrap());
        for n in 0..300 {
            assert_eq!(source(&recovered, &n.to_string()).unwrap()["n"], n, "cut {cut}");
        }
        // Of the copy there is no store before all of it is there.
        if let Some(partial) = copy.survivor()
            && partial.open("documents.redb").is_ok()
        {
            let whole = open(&partial);
            assert_eq!(source(&whole, "299").unwrap()["n"], 299, "cut {cut}");
        }
        let finished = open(&copy.after_power_loss(1, 0));
        assert_eq!(source(&finished, "299").unwrap()["n"], 299);
    }
}

#[test]
fn a_copy_that_cannot_be_made_says_why() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    for n in 0..300 {
        put(&documents, &n.to_string(), json!({"text": "x".repeat(400)})).unwrap();
    }
    settle(&documents);
    for capacity in [0, 100 << 10, 150 << 10, 300 << 10] {
        let full = SimulatedDisk::default();
        full.set_capacity(Some(capacity));
        let copy = documents.backup_on(&(Arc::new(full.clone()) as Arc<dyn Disk>), &|| true);
        match copy {
            Err(BackupError::Unwritten { reason, .. }) => assert!(reason.contains("space"), "{reason}"),
            other => panic!("{capacity}: {other:?}"),
        }
        assert!(full.open("documents.redb").is_err());
    }
    let turns = Cell::new(0);
    let given_up = documents.backup_on(&(Arc::new(SimulatedDisk::default()) as Arc<dyn Disk>), &|| {
        turns.set(turns.get() + 1);
        turns.get() < 2
    });
    assert!(matches!(given_up, Err(BackupError::GivenUp)), "{given_up:?}");
    disk.set_failing(Some(Failing { reads: true, writes: false, syncs: false, files: "documents" }));
    let unread = documents.backup_on(&(Arc::new(SimulatedDisk::default()) as Arc<dyn Disk>), &|| true);
    disk.set_failing(None);
    // What of the pages is in memory may be enough.
    assert!(matches!(unread, Ok(()) | Err(BackupError::Unread { .. })), "{unread:?}");
    put(&documents, "after", json!({})).unwrap();
    assert_eq!(check(&backup(&documents)).documents, 301);
}

/// A store that was closed, with its documents in the store or in the journal.
fn closed(in_journal: bool) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    for n in 0..50 {
        put(&documents, &format!("d{n}"), json!({"n": n, "word": format!("needle{n}x")})).unwrap();
    }
    if in_journal {
        return disk.after_power_loss(0, 100);
    }
    documents.close();
    disk
}

#[test]
fn a_check_of_what_is_whole_finds_nothing_and_changes_nothing() {
    for in_journal in [false, true] {
        let disk = closed(in_journal);
        let before = ["documents.redb", "journal.0", "journal.1", "FORMAT"].map(|name| disk.contents(name));
        let report = check(&disk);
        assert_eq!((report.documents, report.collections, &report.findings[..]), (50, 1, &[][..]));
        assert_eq!(report.journal_changes > 0, in_journal);
        let after = ["documents.redb", "journal.0", "journal.1", "FORMAT"].map(|name| disk.contents(name));
        assert!(before == after);
    }
    let nothing =
        Documents::check_on(&(Arc::new(SimulatedDisk::default()) as Arc<dyn Disk>), Path::new("simulated"));
    assert!(nothing.unwrap_err().to_string().contains("there are none"));
}

#[test]
fn a_check_finds_what_was_damaged() {
    let flip = |disk: &SimulatedDisk, file: &str, word: &str| {
        disk.damage(file, |bytes| {
            let at = bytes.windows(word.len()).position(|it| it == word.as_bytes()).unwrap();
            bytes[at] ^= 0x01;
        });
    };
    // One letter of a document: it is still JSON, and only the page's checksum knows.
    let disk = closed(false);
    flip(&disk, "documents.redb", "needle7x");
    let report = check(&disk);
    assert!(report.is_damaged, "{report:?}");
    assert!(
        report.findings.iter().any(|it| it.to_string().contains("checksums") || it.place == "documents.redb")
    );

    // A batch of the journal that whole ones follow.
    let disk = closed(true);
    flip(&disk, "journal.1", "needle7x");
    let report = check(&disk);
    let texts: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(report.is_damaged && texts.join("\n").contains("journal.1"), "{texts:?}");

    let disk = closed(false);
    disk.damage("FORMAT", |bytes| bytes[0] ^= 1);
    assert!(check(&disk).findings.iter().any(|it| it.place.ends_with("FORMAT")));

    let disk = closed(false);
    disk.remove("journal.0");
    let report = check(&disk);
    assert!(report.is_damaged && report.findings[0].place.ends_with("journal.0"), "{report:?}");

    let disk = closed(false);
    disk.damage("documents.redb", |bytes| bytes.truncate(5_000));
    assert!(check(&disk).is_damaged);
}

#[test]
fn a_check_judges_each_document() {
    use crate::record::Key;
    use crate::store::{Change, RedbStore, Space, Store};

    let disk = closed(false);
    let store = RedbStore::open(Arc::new(disk.clone()), 1 << 20).unwrap();
    let (key, _) = store.scan(Space::Documents, b"", &[0xff; 8], 1).unwrap().remove(0);
    let collection = Key::from_bytes(&key).unwrap().collection();
    let record = |version: u64, source: &str| {
        [&version.to_le_bytes()[..], &1u64.to_le_bytes(), source.as_bytes()].concat().into()
    };
    let long = "x".repeat(600);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    let put = |id: &str, value: bytes::Bytes| {
        Change::Put(Space::Documents, Key::new(collection, id).into_bytes(), value)
    };
    store
        .commit(&[
            put("unlike", record(1, r#"{"n":"no number"}"#)),
            put("more", record(1, r#"{"new":1}"#)),
            put("torn", record(1, r#"{"n":1"#)),
            put("list", record(1, "[1]")),
            put("deep", record(1, &deep)),
            put("zero", record(0, "{}")),
            put("short", bytes::Bytes::from_static(b"short")),
            put(&long, record(1, "{}")),
            put("", record(1, "{}")),
            Change::Put(Space::Documents, Key::new(77, "lost").into_bytes(), record(1, "{}")),
        ])
        .unwrap();
    store.close();
    let report = check(&disk);
    let problem = |id: &str| {
        let place = format!("document `{id}`");
        let found = report.findings.iter().find(|it| it.place.starts_with(&place));
        found.map(|it| (it.severity, it.problem.as_str())).unwrap_or_else(|| panic!("{id}: {report:?}"))
    };
    for (id, severity, text) in [
        ("unlike", Severity::Warning, "does not fit the mapping"),
        ("more", Severity::Warning, "fields that the mapping does not know"),
        ("torn", Severity::Damage, "not JSON"),
        ("list", Severity::Damage, "no JSON object"),
        ("deep", Severity::Damage, "deeper than 100 levels"),
        ("zero", Severity::Damage, "version is 0"),
        ("short", Severity::Damage, "it has 5 bytes"),
        (&long, Severity::Damage, "its id has 600 bytes"),
        ("", Severity::Damage, "its id has 0 bytes"),
        ("lost", Severity::Damage, "its collection 77 does not exist"),
    ] {
        let (found, problem) = problem(id);
        assert!(found == severity && problem.contains(text), "{id}: {problem}");
    }
    let counted = report.findings.iter().find(|it| it.place == "index/collection").unwrap();
    assert_eq!(counted.problem, "the store counts 50 documents, and holds 59");
}

#[test]
fn pages_give_each_document_once_in_the_order_of_ids() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    let mut expected = Vec::new();
    for n in 0..300 {
        let id = format!("{n:03}é");
        put(&documents, &id, json!({"n": n, "text": "x".repeat(400)})).unwrap();
        expected.push(id);
    }
    settle(&documents);
    for n in [3, 31, 299] {
        wait(documents.write(Write::Delete {
            index: "index".into(),
            collection: "collection".into(),
            id: expected[n].clone(),
        }))
        .unwrap();
    }
    put(&documents, "zz", json!({})).unwrap();
    put(&documents, "000é", json!({"again": 1})).unwrap();
    expected.retain(|id| !["003é", "031é", "299é"].contains(&id.as_str()));
    expected.push("zz".to_owned());
    for (count, bytes) in
        [(1, usize::MAX), (7, usize::MAX), (64, usize::MAX), (1_000, usize::MAX), (1_000, 900), (5, 0)]
    {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = documents.page("index", "collection", after.as_deref(), count, bytes).unwrap();
            assert!(page.documents.len() <= count);
            assert!(page.is_last || !page.documents.is_empty());
            found.extend(page.documents.iter().map(|(id, _)| id.clone()));
            after = found.last().cloned();
            if page.is_last {
                break;
            }
        }
        assert_eq!(found, expected, "{count} {bytes}");
    }
    let first = documents.page("index", "collection", None, 1, 1).unwrap();
    assert_eq!(first.total, 298);
    assert_eq!((first.documents[0].1.version, &first.documents[0].1.source[..]), (2, &br#"{"again":1}"#[..]));
    assert!(documents.page("index", "none", None, 1, 1).unwrap().is_last);
    assert_eq!(
        documents.page("none", "none", None, 1, 1).unwrap_err(),
        Error::IndexNotFound { index: "none".into() }
    );
}
