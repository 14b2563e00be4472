//! A full disk: writes are refused with the reason, reads go on, and writes work again once there is space.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::*;

fn bulk(n: usize) -> Value {
    json!({"n": n, "bulk": "b".repeat(2_000)})
}

/// Writes until one is refused; returns how many were taken, and the refusal.
fn fill(documents: &Documents) -> (usize, Error) {
    let started = Instant::now();
    for n in 0.. {
        if let Err(error) = put(documents, &format!("fill-{n}"), bulk(n)) {
            return (n, error);
        }
        assert!(started.elapsed() < CAP, "{n} writes were taken by a disk that should be full");
    }
    unreachable!()
}

fn assert_all_there(documents: &Documents, count: usize) {
    for n in 0..count {
        assert_eq!(source(documents, &format!("fill-{n}")), Some(bulk(n)), "document {n} of {count}");
    }
}

#[test]
fn below_the_reserve_writes_are_refused_at_once_and_taken_again_at_once() {
    let disk = SimulatedDisk::default();
    let documents = try_open(&disk, Options { reserve_bytes: 1 << 20, ..small() }).unwrap();
    put(&documents, "before", json!({})).unwrap();
    assert_eq!(documents.health().unwritable, None);
    disk.leave_free(1000 << 10);
    let refused = until_refused(&documents);
    let Error::Unavailable { reason } = &refused else { panic!("{refused:?}") };
    assert!(reason.starts_with("the disk is full: 1024000 bytes are free"), "{reason}");
    assert_eq!(documents.health().unwritable.as_ref(), Some(reason));
    assert_eq!(source(&documents, "before"), Some(json!({})));
    disk.set_capacity(None);
    put(&documents, "after", json!({})).unwrap();
    assert_eq!(documents.health().unwritable, None);
}

/// The free space is looked at every few milliseconds, not with each write.
fn until_refused(documents: &Documents) -> Error {
    let mut refusal = None;
    until("a write is refused", || {
        refusal = put(documents, "probe", json!({})).err();
        refusal.is_some()
    });
    refusal.unwrap()
}

#[test]
fn with_no_space_at_all_nothing_answered_is_lost_and_writing_resumes() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    for (round, space) in [200u64 << 10, 0, 64 << 10].into_iter().enumerate() {
        disk.leave_free(space);
        let (count, refused) = fill(&documents);
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
        assert_all_there(&documents, count);
        // Power loss now, and a start while there is still no space: all that was answered can be read.
        let survivor = disk.after_power_loss(round as u64, 30);
        survivor.leave_free(0);
        let restarted = open(&survivor);
        assert_all_there(&restarted, count);
        survivor.set_capacity(None);
        until("writes are taken after the restart", || put(&restarted, "again", json!({})).is_ok());

        disk.set_capacity(None);
        until("writes are taken again", || put(&documents, "again", json!({ "round": round })).is_ok());
        assert_all_there(&documents, count);
        assert_eq!(source(&documents, "again"), Some(json!({ "round": round })));
    }
    documents.close();
    assert_eq!(source(&open(&disk), "again"), Some(json!({"round": 2})));
}

#[test]
fn readers_notice_nothing_while_the_disk_is_full() {
    let disk = SimulatedDisk::default();
    let documents = open(&disk);
    // Enough that reading goes past the cache.
    let waiting: Vec<_> =
        (0..3_000).map(|n| documents.write(create_or_replace(&format!("fill-{n}"), bulk(n)))).collect();
    waiting.into_iter().for_each(|answer| drop(wait(answer).unwrap()));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _done = SetWhenDropped(&done);
        for reader in 0..3 {
            let (documents, done) = (&documents, &done);
            scope.spawn(move || {
                let mut n = reader * 997;
                while !done.load(Ordering::Relaxed) {
                    n = (n * 31 + 7) % 3_000;
                    assert_eq!(source(documents, &format!("fill-{n}")), Some(bulk(n)));
                }
            });
        }
        let mut new = 3_000;
        for _ in 0..5 {
            disk.leave_free(100 << 10);
            // New documents each time, for those that are written again take no more space.
            until("refused", || {
                new += 1;
                put(&documents, &format!("fill-{new}"), bulk(new)).is_err()
            });
            disk.set_capacity(None);
            until("taken", || put(&documents, "probe", bulk(0)).is_ok());
        }
    });
}

/// Ends other threads' loops however its own ends.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A file system of its own, gone with the value.
struct SmallFileSystem(PathBuf);

impl SmallFileSystem {
    /// Mounts one, or says why that is not allowed here.
    fn mount(size: &str) -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("kuzzle-documents-{}-{size}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| error.to_string())?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .output()
            .map_err(|error| error.to_string())?;
        if mounted.status.success() {
            Ok(Self(path))
        } else {
            let _ = std::fs::remove_dir(&path);
            Err(String::from_utf8_lossy(&mounted.stderr).into_owned())
        }
    }
}

impl Drop for SmallFileSystem {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_small_file_system_fills_up_and_recovers() {
    let file_system = match SmallFileSystem::mount("24m") {
        Ok(file_system) => file_system,
        Err(reason) => {
            // The same is shown above on the simulated disk.
            println!("not run on a real file system, mounting one is not allowed here: {reason}");
            return;
        }
    };
    let path = file_system.0.join("data");
    let (removed_later, last_byte) = (file_system.0.join("removed-later"), file_system.0.join("last-byte"));
    for reserve_bytes in [0, 2 << 20] {
        let options = Options { journal_bytes: 1 << 20, reserve_bytes, ..Options::default() };
        std::fs::write(&removed_later, vec![1; 6 << 20]).unwrap();
        let documents = Documents::open(&path, options.clone()).unwrap();
        let (count, refused) = fill(&documents);
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
        assert_all_there(&documents, count);

        // Others take the last byte: reading goes on, and starting anew is possible.
        let _ = std::fs::write(&last_byte, vec![1; 30 << 20]);
        until("refused", || put(&documents, "probe", json!({})).is_err());
        assert_all_there(&documents, count);
        documents.close();
        let documents = Documents::open(&path, options).unwrap();
        assert_all_there(&documents, count);

        // Space that comes back is used without a restart.
        std::fs::remove_file(&removed_later).unwrap();
        until("taken again", || put(&documents, "after", bulk(1)).is_ok());
        assert_all_there(&documents, count);
        assert_eq!(source(&documents, "after"), Some(bulk(1)));
        documents.close();
        std::fs::remove_file(&last_byte).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
    }
}
