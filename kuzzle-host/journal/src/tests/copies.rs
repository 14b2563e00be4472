//! Copies of a journal in use, and reading one without changing it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

/// Copies a journal to a disk of its own.
fn copy(journal: &Journal) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    journal.copy_to(&disk, &|| true).unwrap();
    disk
}

#[test]
fn a_copy_has_all_that_was_appended_before() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    assert_eq!(open(&copy(&journal)).unwrap().1, [], "of an empty journal too");
    let (done, next) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (journal, done, next) = (&journal, &done, &next);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                journal.append(&[&payload(n, n as usize % 900)], n % 5 == 0);
                if n % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        for wanted in [10, 500, 2_000] {
            until("more is appended", || next.load(Ordering::Relaxed) > wanted);
            let copied = copy(journal);
            // Whatever the power takes of the copy is not missing either.
            let (_, records) = open(&copied.after_power_loss(wanted, 0)).unwrap();
            assert!(records.len() as u64 >= wanted, "{} of at least {wanted}", records.len());
            assert!(records.iter().enumerate().all(|(n, (_, payload))| number(payload) == n as u64));
            let mut seen = 0;
            let checked = check(&copied, |_, _| {
                seen += 1;
                Ok(())
            })
            .unwrap();
            assert!(!checked.torn && checked.damaged.is_empty());
            assert_eq!(seen, records.len());
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn segments_stay_while_a_copy_is_made_and_are_released_later() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    let mut last = Appended { position: 0, end: 0 };
    for n in 0..400 {
        last = journal.append(&[&payload(n, 500)], true);
        if n % 10 == 0 {
            journal.flush().unwrap();
        }
    }
    journal.flush().unwrap();
    journal.set_root(last.position).unwrap();
    let first = journal.segments()[0].base;
    let released = AtomicBool::new(false);
    let copied = SimulatedDisk::default();
    journal
        .copy_to(&copied, &|| {
            journal.release(first).unwrap();
            released.store(true, Ordering::Relaxed);
            true
        })
        .unwrap();
    assert!(released.load(Ordering::Relaxed));
    assert_eq!(journal.segments()[0].base, first, "it was needed for the copy");
    let (copy, records) = open(&copied).unwrap();
    assert_eq!(records, [(last.position, payload(399, 500))]);
    assert_eq!(copy.segments()[0].base, first);
    journal.release(first).unwrap();
    assert!(journal.segments()[0].base > first);

    // What lies behind a gap is copied as well.
    let second = journal.segments()[1].base;
    journal.release(second).unwrap();
    let oldest = journal.segments()[0].base;
    let copied = SimulatedDisk::default();
    journal.copy_to(&copied, &|| true).unwrap();
    assert_eq!(open(&copied).unwrap().0.segments()[0].base, oldest);
}

#[test]
fn a_copy_that_cannot_be_written_or_is_given_up_says_so() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    journal.append(&[&payload(1, 100_000)], true);
    let full = SimulatedDisk::default();
    full.set_capacity(Some(8_192));
    let error = journal.copy_to(&full, &|| true).unwrap_err().to_string();
    assert!(error.starts_with("cannot write the copy of segment-"), "{error}");
    let error = journal.copy_to(&SimulatedDisk::default(), &|| false).unwrap_err();
    assert!(
        matches!(error, JournalError::Io { error, .. } if error.kind() == std::io::ErrorKind::Interrupted)
    );
    // Nothing stays pinned.
    assert_eq!(journal.shared.pins.load(Ordering::Relaxed), 0);
}

#[test]
fn a_check_changes_nothing_and_finds_damage_before_the_root() {
    let disk = SimulatedDisk::default();
    let (journal, _) = open(&disk).unwrap();
    let mut positions = Vec::new();
    for n in 0..200 {
        positions.push(journal.append(&[&payload(n, 500)], true).position);
        journal.flush().unwrap();
    }
    journal.set_root(positions[199]).unwrap();
    journal.close();
    let before = disk.after_power_loss(0, 100);
    let checked = check(&before, |_, _| Ok(())).unwrap();
    assert!(checked.damaged.is_empty() && checked.segments > 3 && checked.bytes > 100_000);
    assert_eq!(checked.read(positions[7]).unwrap(), payload(7, 500));
    disk.damage(&crate::segment::name(0), |bytes| bytes[3_000] ^= 1);
    let checked = check(&disk, |_, _| Ok(())).unwrap();
    assert_eq!(checked.damaged.len(), 1, "{:?}", checked.damaged);
    let broken = positions.iter().filter(|position| checked.read(**position).is_err()).count();
    assert_eq!(broken, 1);
    // What a power loss left at the end is told and left.
    let torn = disk.after_power_loss(0, 100);
    let last = journal.segments().last().unwrap().base;
    torn.damage(&crate::segment::name(last), |bytes| bytes.extend([0x93, 1, 2, 3]));
    assert!(check(&torn, |_, _| Ok(())).unwrap().torn);
    assert!(check(&torn, |_, _| Ok(())).unwrap().torn, "it is still there");
    // What comes from the root on must be whole.
    let damaged = disk.after_power_loss(0, 100);
    damaged.damage("root", |bytes| bytes[17] ^= 1);
    assert!(check(&damaged, |_, _| Ok(())).is_err());
}
