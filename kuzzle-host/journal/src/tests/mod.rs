//! Crash tests on a disk that loses what was not synced, and trouble with the disk.

mod copies;

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::*;

fn options() -> JournalOptions {
    JournalOptions { segment_bytes: 16 << 10, lazy_for: Duration::from_millis(1), free_segments: 1 }
}

type Records = Vec<(u64, Vec<u8>)>;

/// Opens a journal and gives what it holds.
fn open(disk: &SimulatedDisk) -> Result<(Journal, Records), JournalError> {
    let mut records = Vec::new();
    let journal = Journal::open(Arc::new(disk.clone()), options(), |position, payload| {
        records.push((position, payload.to_vec()));
        Ok(())
    })?;
    journal.start(Box::new(|| {}));
    Ok((journal, records))
}

fn payload(n: u64, len: usize) -> Vec<u8> {
    let mut payload = n.to_le_bytes().to_vec();
    payload.resize(len.max(8), n as u8);
    payload
}

fn number(payload: &[u8]) -> u64 {
    u64::from_le_bytes(payload[..8].try_into().unwrap())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn records_are_found_again_and_read_by_position() {
    let disk = SimulatedDisk::default();
    let mut known = Vec::new();
    for round in 0..3u64 {
        let (journal, records) = open(&disk).unwrap();
        let expected: Vec<(u64, Vec<u8>)> = known.clone();
        assert_eq!(records, expected);
        for n in 0..300 {
            let payload = payload(round * 1000 + n, (n as usize * 7) % 500);
            let at = journal.append(&[&payload[..3], &payload[3..]], n % 3 == 0);
            known.push((at.position, payload));
            // Also before it is written.
            assert_eq!(journal.read(at.position).unwrap(), known.last().unwrap().1);
            if n % 20 == 0 {
                journal.flush().unwrap();
            }
        }
        journal.flush().unwrap();
        for (position, payload) in &known {
            assert_eq!(journal.read(*position).unwrap(), payload);
        }
        assert!(journal.segments().len() > 3, "segments are begun");
        journal.close();
    }
}

#[test]
fn lazy_records_are_written_without_being_waited_for() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    let at = journal.append(&[b"lazy"], false);
    until("it is synced", || journal.synced() >= at.end);
}

#[test]
fn what_is_appended_after_a_flush_is_written_too() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    disk.set_sync_takes(Duration::from_millis(30));
    let first = journal.append(&[b"first"], true);
    // The batch is cut off and on its way, so the flush finds nothing else to hurry.
    until("it is being written", || disk.used_bytes() > 8192);
    journal.flush().unwrap();
    assert!(journal.synced() >= first.end);
    let second = journal.append(&[b"second"], true);
    until("it is synced", || journal.synced() >= second.end);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 0, ..ProptestConfig::default() })]

    /// Writers append and wait; power is lost at any time, several times over.
    #[test]
    fn what_was_synced_survives_power_loss_and_groups_are_whole(
        seed: u64,
        kept_percent in prop_oneof![Just(0u64), Just(50), Just(95), 0u64..100],
        rounds in proptest::collection::vec(1u64..40, 1..5),
    ) {
        let mut random = Random::new(seed);
        let mut disk = SimulatedDisk::default();
        // Number and size of each group of records, in order, and how many groups are known to be safe.
        let mut groups: Vec<u64> = Vec::new();
        let mut next = 0;
        for round in rounds {
            let (journal, records) = open(&disk).unwrap();
            let found: Vec<u64> = records.iter().map(|(_, payload)| number(payload)).collect();
            prop_assert_eq!(&found, &(0..found.len() as u64).collect::<Vec<_>>(), "records are in order");
            next = found.len() as u64;
            let mut safe = next;
            groups.clear();
            for _ in 0..round {
                let size = 1 + random.below(4);
                let group = journal.group();
                for _ in 0..size {
                    journal.append(&[&payload(next, random.below(3_000) as usize)], random.below(2) == 0);
                    next += 1;
                }
                drop(group);
                groups.push(next);
                match random.below(4) {
                    0 => { journal.flush().unwrap(); safe = next; }
                    1 => std::thread::sleep(Duration::from_micros(random.below(600))),
                    _ => {}
                }
            }
            disk = disk.after_power_loss(seed ^ round, kept_percent);
            journal.close();
            let (again, records) = open(&disk).unwrap();
            again.close();
            let found = records.len() as u64;
            prop_assert!(found >= safe, "{} of {} safe records are found", found, safe);
            prop_assert!(found <= next);
            prop_assert!(
                found == safe || groups.contains(&found) || records.is_empty() && safe == 0,
                "a group is whole or not there: {} of {:?}", found, groups
            );
        }
        let _ = next;
    }
}

#[test]
fn damage_before_whole_records_is_an_error() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    let mut first = None;
    for n in 0..20 {
        let at = journal.append(&[&payload(n, 100)], true);
        first.get_or_insert(at);
        journal.flush().unwrap();
    }
    journal.close();
    disk.damage("segment-00000000000000000000", |bytes| bytes[150] ^= 1);
    let error = open(&disk).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the journal is damaged: segment-00000000000000000000: the batch at 0 is damaged, while a later one at 144 is \
         whole; restore the directory from a copy, or move it away to begin empty"
    );
    let (journal, _) = open(&SimulatedDisk::default()).unwrap();
    assert!(journal.read(first.unwrap().position).is_err(), "nothing is read from nothing");
}

#[test]
fn a_damaged_record_is_not_read() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    let at = journal.append(&[&payload(1, 100)], true);
    journal.flush().unwrap();
    disk.damage("segment-00000000000000000000", |bytes| bytes[64 + 60] ^= 1);
    let error = journal.read(at.position).unwrap_err().to_string();
    assert!(error.contains("the record at 32 is damaged"), "{error}");
    disk.damage("segment-00000000000000000000", |bytes| bytes[64 + 32 + 3] = 0xff);
    assert!(journal.read(at.position).is_err(), "a length beyond the file is refused");
}

#[test]
fn a_missing_segment_and_a_missing_root_are_errors() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    for n in 0..200 {
        journal.append(&[&payload(n, 1000)], true);
        journal.flush().unwrap();
    }
    let segments = journal.segments();
    assert!(segments.len() > 4);
    journal.close();
    let gap = disk.after_power_loss(1, 100);
    gap.remove(&format!("segment-{:020}", segments[2].base)).unwrap();
    let error = open(&gap).unwrap_err().to_string();
    assert!(error.contains("its batches end at"), "{error}");
    disk.remove("root").unwrap();
    let error = open(&disk).unwrap_err().to_string();
    assert!(error.contains("root: it is missing"), "{error}");
}

#[test]
fn a_newer_format_is_refused() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    journal.append(&[b"x"], true);
    journal.flush().unwrap();
    journal.close();
    disk.damage("segment-00000000000000000000", |bytes| {
        bytes[8] = 9;
        let checksum = crc32fast::hash(&bytes[8..24]);
        bytes[24..28].copy_from_slice(&checksum.to_le_bytes());
    });
    assert_eq!(
        open(&disk).unwrap_err().to_string(),
        "segment-00000000000000000000 has format 9, this version reads up to 1; use the version that wrote it"
    );
}

#[test]
fn the_root_moves_and_segments_before_it_are_released() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    let mut old = None;
    for n in 0..100 {
        let at = journal.append(&[&payload(n, 1000)], true);
        old.get_or_insert(at.position);
        journal.flush().unwrap();
    }
    let root = journal.append(&[&payload(1000, 20)], true);
    let after = journal.append(&[&payload(1001, 20)], true);
    journal.flush().unwrap();
    let before = journal.segments();
    journal.release(before[0].base).unwrap();
    assert_eq!(journal.segments(), before, "nothing goes that the next start needs");
    journal.set_root(root.position).unwrap();
    for segment in &before[1..] {
        journal.release(segment.base).unwrap();
    }
    assert_eq!(journal.segments().len(), 2, "one that is referred to, and the newest");
    assert_eq!(number(&journal.read(old.unwrap()).unwrap()), 0);
    assert!(journal.read(journal.segments()[1].base - 1).is_err());
    journal.close();
    let (journal, records) = open(&disk).unwrap();
    assert_eq!(
        records.iter().map(|(position, payload)| (*position, number(payload))).collect::<Vec<_>>(),
        [(root.position, 1000), (after.position, 1001)]
    );
    assert_eq!(journal.root(), root.position);
    assert_eq!(number(&journal.read(old.unwrap()).unwrap()), 0, "older segments can still be read");
    // A released file is used again, and what it held before does not come back.
    let used = disk.used_bytes();
    for n in 0..40 {
        journal.append(&[&payload(2000 + n, 1000)], true);
        journal.flush().unwrap();
    }
    journal.close();
    assert!(disk.used_bytes() < used + (80 << 10));
    let (_, records) = open(&disk.after_power_loss(7, 0)).unwrap();
    assert_eq!(records.len(), 42);
}

#[test]
fn a_full_disk_is_said_and_recovered_from() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    journal.append(&[&payload(0, 100)], true);
    journal.flush().unwrap();
    disk.set_capacity(Some(disk.used_bytes() + 8192));
    let mut n = 1;
    while journal.flush().is_ok() {
        journal.append(&[&payload(n, 2000)], true);
        n += 1;
        assert!(n < 1000, "the disk is never full");
    }
    let reason = journal.failure().unwrap();
    assert!(reason.starts_with("cannot write the journal: "), "{reason}");
    assert!(journal.waiting_bytes() > 0);
    disk.set_capacity(None);
    until("it is written again", || journal.flush().is_ok());
    assert_eq!(journal.failure(), None);
    journal.close();
    let (_, records) = open(&disk.after_power_loss(3, 0)).unwrap();
    assert_eq!(records.len() as u64, n, "nothing that was appended is lost");
}

#[test]
fn after_a_failed_sync_the_batch_is_written_elsewhere() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    journal.append(&[&payload(0, 100)], true);
    journal.flush().unwrap();
    disk.set_failing(Failing { syncs: true, ..Failing::default() });
    let at = journal.append(&[&payload(1, 100)], true);
    until("it fails", || journal.failure().is_some());
    assert!(journal.synced() < at.end);
    disk.set_failing(Failing::default());
    until("it is written again", || journal.synced() >= at.end);
    journal.append(&[&payload(2, 100)], true);
    journal.flush().unwrap();
    journal.close();
    let (_, records) = open(&disk.after_power_loss(5, 0)).unwrap();
    assert_eq!(records.iter().map(|(_, payload)| number(payload)).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_real_directory_works_the_same() {
    let path = std::env::temp_dir().join(format!("kuzzle-journal-{}", std::process::id()));
    let disk: Arc<dyn Disk> = Arc::new(Directory::new(&path).unwrap());
    let journal = Journal::open(Arc::clone(&disk), options(), |_, _| Ok(())).unwrap();
    journal.start(Box::new(|| {}));
    for n in 0..100 {
        journal.append(&[&payload(n, 1000)], true);
        journal.flush().unwrap();
    }
    assert!(journal.free_bytes().unwrap() > 0);
    journal.close();
    let mut n = 0;
    let journal = Journal::open(disk, options(), |_, payload| {
        assert_eq!(number(payload), n);
        n += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(n, 100);
    drop(journal);
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn who_cannot_read_a_record_stops_the_start() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    journal.append(&[b"odd"], true);
    journal.flush().unwrap();
    journal.close();
    let error = Journal::open(Arc::new(disk), options(), |_, _| Err("unknown kind 9".into())).unwrap_err();
    assert!(error.to_string().contains("the record at 32 cannot be read: unknown kind 9"), "{error}");
}
