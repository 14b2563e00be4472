//! Power loss: every answered write is there afterwards, and nothing is there by half.

use std::collections::HashMap;

use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::disk::simulated::Random;

/// What a writer knows of one of its own documents: the n-th write of it, or that it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Stored { n: u64, version: u64 },
    Gone { n: u64 },
}

/// One document as its writer sees it.
#[derive(Debug, Clone, Default)]
struct Track {
    submitted: u64,
    /// Each answer, with the number of events on the disk when it was there.
    answers: Vec<(usize, Known)>,
}

type Tracks = Mutex<HashMap<String, Track>>;

fn body(writer: u64, n: u64, bulk: usize) -> Value {
    json!({"writer": writer, "n": n, "bulk": "x".repeat(bulk), "end": n})
}

/// One writer: puts and deletes of its own ten documents, each waited for before the next, until power is lost.
fn write(documents: &Documents, disk: &SimulatedDisk, writer: u64, seed: u64, tracks: &Tracks) {
    let mut random = Random::new(seed ^ writer);
    let mut n = 0;
    while disk.survivor().is_none() {
        n += 1;
        let id = format!("{writer}-{}", random.below(10));
        let delete = random.below(5) == 0;
        tracks.lock().entry(id.clone()).or_default().submitted = n;
        let write = if delete {
            Write::Delete { index: "index".into(), collection: "collection".into(), id: id.clone() }
        } else {
            create_or_replace(&id, body(writer, n, random.below(3_000) as usize))
        };
        let known = match wait(documents.write(write)) {
            Ok(written) if delete => {
                assert_eq!(written.source, None);
                Known::Gone { n }
            }
            Ok(written) => Known::Stored { n, version: written.version },
            Err(Error::DeleteMissing) => Known::Gone { n },
            Err(error) => panic!("{error}"),
        };
        let events = disk.event_count();
        tracks.lock().get_mut(&id).unwrap().answers.push((events, known));
    }
}

/// Checks what is found after a power loss that came right after event `lost_at`.
fn check(documents: &Documents, tracks: &HashMap<String, Track>, lost_at: usize) {
    for (id, track) in tracks {
        let found = documents.get("index", "collection", id).unwrap();
        // With `lost_at` events or fewer the power was there, or went that moment: the answer had been given on what
        // was synced by then.
        let answered =
            track.answers.iter().rev().find(|(events, _)| *events <= lost_at).map(|(_, known)| *known);
        let Some(found) = found else {
            if let Some(Known::Stored { n, .. }) = answered {
                assert!(track.submitted > n, "document {id}: write {n} was answered and is lost");
            }
            continue;
        };
        let value: Value = serde_json::from_slice(&found.source).expect("a whole document");
        assert_eq!(value["n"], value["end"]);
        let n = value["n"].as_u64().unwrap();
        assert!(n <= track.submitted, "document {id} holds write {n}, which nobody made");
        match answered {
            Some(Known::Stored { n: answered, version }) if n == answered => {
                assert_eq!(found.version, version)
            }
            Some(Known::Stored { n: answered, .. } | Known::Gone { n: answered }) => {
                assert!(n > answered, "document {id} holds write {n}, though write {answered} was answered");
            }
            None => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn answered_writes_survive_power_loss(
        seed: u64,
        writers in 1u64..6,
        kept_percent in prop_oneof![Just(0u64), Just(50), Just(95), 0u64..100],
        cuts in proptest::collection::vec(1usize..1_500, 1..4),
    ) {
        let mut disk = SimulatedDisk::default();
        let mut before: HashMap<String, Option<Value>> = HashMap::new();
        for (round, cut) in cuts.into_iter().enumerate() {
            let documents = open(&disk);
            let lost_at = disk.event_count() + cut;
            disk.lose_power(lost_at, seed ^ round as u64, kept_percent);
            let tracks = Tracks::default();
            std::thread::scope(|scope| {
                for writer in 0..writers {
                    let (documents, disk, tracks) = (&documents, &disk, &tracks);
                    // Each round has writers and documents of its own.
                    scope.spawn(move || write(documents, disk, round as u64 * 100 + writer, seed, tracks));
                }
            });
            let survivor = disk.survivor().unwrap();
            let recovered = open(&survivor);
            check(&recovered, &tracks.lock(), lost_at);
            for (id, value) in &before {
                prop_assert_eq!(&source(&recovered, id), value, "document {} of an earlier round", id);
            }
            for id in tracks.lock().keys() {
                before.insert(id.clone(), source(&recovered, id));
            }
            // Once more without a stop in good order, and once with one.
            let again = open(&survivor.after_power_loss(seed, 0));
            for (id, value) in &before {
                prop_assert_eq!(&source(&again, id), value, "document {} after another power loss", id);
            }
            recovered.close();
            disk = survivor;
        }
    }

    #[test]
    fn power_loss_while_the_directory_is_made_leaves_nothing_that_cannot_be_opened(
        seed: u64, kept_percent in 0u64..100, at in 0u64..40,
    ) {
        // The disk has no space after some writes, so that making the directory ends at any point.
        let disk = SimulatedDisk::default();
        disk.set_capacity(Some(at * 16_384));
        let made = try_open(&disk, small());
        let survivor = disk.after_power_loss(seed, kept_percent);
        drop(made);
        let documents = open(&survivor);
        put(&documents, "a", json!({})).unwrap();
    }
}

#[test]
fn many_changes_of_the_journal_file_lose_nothing() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    for round in 0..30u64 {
        let waiting: Vec<_> = (0..100)
            .map(|n| {
                documents.write(create_or_replace(
                    &n.to_string(),
                    json!({"round": round, "bulk": "y".repeat(500)}),
                ))
            })
            .collect();
        for answer in waiting {
            assert_eq!(wait(answer).unwrap().version, round + 1);
        }
        let survivor = open(&disk.after_power_loss(round, 30));
        for n in 0..100 {
            assert_eq!(source(&survivor, &n.to_string()).unwrap()["round"], round);
        }
    }
}

#[test]
fn a_document_greater_than_the_journal_is_stored_and_survives() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    put(&documents, "small", json!({"n": 1})).unwrap();
    let large = json!({"bulk": "z".repeat(1 << 20)});
    put(&documents, "large", large.clone()).unwrap();
    put(&documents, "after", json!({"n": 2})).unwrap();
    for documents in [&documents, &open(&disk.after_power_loss(3, 0))] {
        assert_eq!(source(documents, "large").unwrap(), large);
        assert_eq!(source(documents, "small").unwrap(), json!({"n": 1}));
        assert_eq!(source(documents, "after").unwrap(), json!({"n": 2}));
    }
}
