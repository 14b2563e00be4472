//! A disk that answers with errors, and files that were damaged.

use serde_json::json;

use super::*;
use crate::disk::simulated::Failing;

#[test]
fn errors_of_the_disk_refuse_writes_and_lose_nothing() {
    for (name, files, writes, syncs) in [
        ("journal writes", "journal", true, false),
        ("journal syncs", "journal", false, true),
        ("store writes", "documents", true, false),
        ("store syncs", "documents", false, true),
        ("all", "", true, true),
    ] {
        let disk = SimulatedDisk::default();
        let documents = open(&disk);
        let text = json!({"text": "t".repeat(1_000)});
        put(&documents, "before", text.clone()).unwrap();
        disk.set_failing(Some(Failing { reads: false, writes, syncs, files }));
        let mut taken = Vec::new();
        let mut n = 0;
        until(name, || {
            n += 1;
            match put(&documents, &n.to_string(), text.clone()) {
                Ok(_) => taken.push(n),
                Err(Error::Unavailable { .. }) => return true,
                Err(error) => panic!("{name}: {error:?}"),
            }
            false
        });
        assert_eq!(source(&documents, "before").as_ref(), Some(&text), "{name}");
        disk.set_failing(None);
        until(name, || put(&documents, "after", text.clone()).is_ok());
        assert_eq!(documents.health().unwritable, None, "{name}");
        for documents in [&documents, &open(&disk.after_power_loss(5, 50))] {
            for id in taken.iter().map(ToString::to_string).chain(["before".to_owned(), "after".to_owned()]) {
                assert_eq!(source(documents, &id).as_ref(), Some(&text), "{name}: {id}");
            }
        }
    }
}

#[test]
fn a_write_refused_over_a_failing_journal_is_not_found() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    put(&documents, "a", json!({"n": 1})).unwrap();
    disk.set_failing(Some(Failing { reads: false, writes: false, syncs: true, files: "journal" }));
    assert!(matches!(put(&documents, "a", json!({"n": 2})), Err(Error::Unavailable { .. })));
    assert!(documents.health().unwritable.is_some());
    disk.set_failing(None);
    assert_eq!(source(&documents, "a"), Some(json!({"n": 1})));
    let next = put(&documents, "a", json!({"n": 3})).unwrap();
    assert_eq!(next.version, 2);
    assert_eq!(source(&open(&disk.after_power_loss(1, 100)), "a"), Some(json!({"n": 3})));
}

#[test]
fn reading_recovers_from_an_error_of_the_disk() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    let waiting: Vec<_> = (0..3_000)
        .map(|n| documents.write(create_or_replace(&n.to_string(), json!({"bulk": "b".repeat(2_000)}))))
        .collect();
    waiting.into_iter().for_each(|answer| drop(wait(answer).unwrap()));
    disk.set_failing(Some(Failing { reads: true, writes: false, syncs: false, files: "documents" }));
    let results: Vec<_> = (0..3_000).map(|n| documents.get("index", "collection", &n.to_string())).collect();
    assert!(
        results.iter().any(|result| matches!(result, Err(Error::Unavailable { .. }))),
        "beyond the cache"
    );
    disk.set_failing(None);
    for n in 0..3_000 {
        assert!(documents.get("index", "collection", &n.to_string()).unwrap().is_some(), "{n}");
    }
    // What the store could not be brought while it could not be read is tried again after a pause.
    until("written", || put(&documents, "after", json!({})).is_ok());
}

fn used() -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    for n in 0..20 {
        put(&documents, &n.to_string(), json!({ "n": n })).unwrap();
    }
    // As after `kill -9`: all written, nothing tidied up.
    disk.after_power_loss(0, 100)
}

fn refusal(disk: &SimulatedDisk) -> String {
    try_open(disk, small()).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_damaged_batch_before_whole_ones_is_an_error_not_a_loss() {
    let disk = used();
    disk.damage("journal.1", |bytes| bytes[60] ^= 1);
    let message = refusal(&disk);
    assert!(
        message.starts_with(
            "cannot open `simulated/journal.1`: the batch at byte 0 is damaged, while a later one"
        ),
        "{message}"
    );
}

#[test]
fn a_torn_last_batch_is_left_out() {
    let disk = used();
    disk.damage("journal.1", |bytes| {
        let last = (0..bytes.len() - 8)
            .rev()
            .find(|at| bytes[*at..].starts_with(&[0xff, 0xfe, b'K', b'Z']))
            .unwrap();
        bytes[last + 50] ^= 1;
    });
    let documents = open(&disk);
    assert_eq!(source(&documents, "18"), Some(json!({"n": 18})));
    assert_eq!(source(&documents, "19"), None);
    put(&documents, "19", json!({})).unwrap();
}

#[test]
fn damaged_and_missing_files_are_named() {
    for (name, change) in [
        ("documents.redb", (|bytes| bytes.truncate(1_000)) as fn(&mut Vec<u8>)),
        ("documents.redb", |bytes| bytes.clear()),
        ("documents.redb", |bytes| bytes[..4_096].fill(0x5a)),
        ("documents.redb", |bytes| bytes.fill(0)),
        ("FORMAT", |bytes| bytes.clear()),
        ("FORMAT", |bytes| *bytes = b"something else".to_vec()),
    ] {
        let disk = used();
        disk.damage(name, change);
        let message = refusal(&disk);
        assert!(message.contains(&format!("simulated/{name}")), "{name}: {message}");
    }
    for name in ["journal.0", "journal.1", "FORMAT"] {
        let disk = used();
        disk.remove(name);
        assert!(refusal(&disk).contains(&format!("simulated/{name}")), "{name}: {}", refusal(&disk));
    }
}

#[test]
fn any_damage_to_the_store_is_an_error_or_harmless_but_never_a_panic() {
    let documents = open(&SimulatedDisk::default());
    drop(documents);
    let disk = used();
    let documents = open(&disk);
    documents.close();
    for at in (0..disk.contents("documents.redb").len()).step_by(701) {
        let disk = disk.after_power_loss(0, 100);
        disk.damage("documents.redb", |bytes| {
            bytes[at..].iter_mut().take(64).for_each(|byte| *byte = !*byte)
        });
        if let Ok(documents) = try_open(&disk, small()) {
            for n in 0..20 {
                let _ = documents.get("index", "collection", &n.to_string());
            }
            let _ = put(&documents, "new", json!({}));
            documents.close();
        }
    }
}

#[test]
fn a_newer_format_is_refused() {
    let disk = used();
    disk.damage("FORMAT", |bytes| *bytes = b"kuzzle documents, format 3\n".to_vec());
    assert_eq!(
        refusal(&disk),
        "cannot open the documents in `simulated`: written in format 3, this version knows formats up to 2; use the \
         version that wrote them or a newer one"
    );
}
