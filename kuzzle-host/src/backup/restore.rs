//! Bringing a backup back into an empty data directory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use kuzzle_documents::{DirectoryLock, Documents};

use super::manifest::Manifest;
use super::{BROKER, BackupFailure, DOCUMENTS, Partial, Progress, sync_folders};

/// Where files are within the data directory until all of them are there.
const PARTIAL: &str = "restore.partial";

/// What was brought back.
#[derive(Debug)]
pub struct Restored {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Damage that was in the backup, as it was in what it was made of; each in a line.
    pub damage: Vec<String>,
}

/// Tells whether a data directory holds the beginning of a restore.
#[must_use]
pub fn is_interrupted(data: &Path) -> bool {
    data.join(PARTIAL).symlink_metadata().is_ok()
}

/// Brings the backup `backup` back into the data directory `data`, which must be empty or missing, with no server on it.
/// All files are compared with the backup's list first, and their formats judged. `progress` is told of bytes: of all of
/// them twice. A restore that was cut off is begun anew.
///
/// # Errors
///
/// When the backup is damaged or newer than this version, the directory is in use or not empty, or the disk fails. The
/// directory is then as it was.
pub fn restore(
    backup: &Path,
    data: &Path,
    begin: impl FnOnce(u64),
    progress: &mut Progress<'_>,
) -> Result<Restored, BackupFailure> {
    let manifest = Manifest::read(backup)?;
    if let Err(error) = DirectoryLock::of_used(&data.join(DOCUMENTS)) {
        return Err(BackupFailure::Wrong(error.to_string()));
    }
    let tops: Vec<&str> = manifest.files.iter().filter_map(|entry| entry.path.split('/').next()).collect();
    check_empty(data, &tops)?;
    begin(manifest.bytes() * 2);
    let problems = manifest.compare(backup, progress);
    if !problems.is_empty() {
        return Err(BackupFailure::Wrong(format!(
            "the backup `{}` is damaged, and nothing was restored:\n  {}",
            backup.display(),
            problems.join("\n  ")
        )));
    }
    let damage = check_formats(backup)?;
    let failed = |error: io::Error| {
        BackupFailure::Failed(format!(
            "cannot restore into `{}`: {error}; nothing of it is left",
            data.display()
        ))
    };
    let made = !data.exists();
    let undo = |error: io::Error| {
        if made {
            // Only if it is empty.
            let _ = fs::remove_dir(data);
        }
        failed(error)
    };
    clear(data, &tops).and_then(|()| fs::create_dir_all(data)).map_err(undo)?;
    let partial = Partial { path: data.join(PARTIAL), is_kept: false };
    fs::create_dir(&partial.path)
        .and_then(|()| {
            manifest.files.iter().try_for_each(|entry| entry.copy(backup, &partial.path, progress))
        })
        .and_then(|()| sync_folders(&partial.path))
        .map_err(|error| {
            let _ = fs::remove_dir_all(&partial.path);
            undo(error)
        })?;
    // From here on it is cut off or done: a server does not start while the folder is there.
    let path = partial.path.clone();
    partial.keep();
    finish(&path, data).map_err(|error| {
        BackupFailure::Failed(format!(
            "cannot finish restoring into `{}`: {error}; run the same command again",
            data.display()
        ))
    })?;
    Ok(Restored { files: manifest.files.len() as u64, bytes: manifest.bytes(), damage })
}

/// Refuses a directory in which something is, but for what an earlier restore has left.
fn check_empty(data: &Path, tops: &[&str]) -> Result<(), BackupFailure> {
    let wrong =
        |reason: String| BackupFailure::Wrong(format!("cannot restore into `{}`: {reason}", data.display()));
    let entries = match fs::read_dir(data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| wrong(error.to_string()))?,
    };
    let is_interrupted = is_interrupted(data);
    for entry in entries {
        let name = entry.map_err(|error| wrong(error.to_string()))?.file_name();
        let is_ours = name == PARTIAL || tops.iter().any(|top| name == *top);
        if !is_interrupted || !is_ours {
            return Err(wrong(format!(
                "it is not empty, `{}` is there; move it away, or name another directory with `--data`",
                name.display()
            )));
        }
    }
    Ok(())
}

/// Removes what an earlier restore has left.
fn clear(data: &Path, tops: &[&str]) -> io::Result<()> {
    if !is_interrupted(data) {
        return Ok(());
    }
    // The folder that says so goes last.
    for name in tops.iter().copied().chain([PARTIAL]) {
        let path = data.join(name);
        let removed = match path.symlink_metadata() {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(_) => Ok(()),
        };
        removed?;
    }
    Ok(())
}

/// Judges whether this version can open what is in a backup; returns what of it is damaged all the same.
fn check_formats(backup: &Path) -> Result<Vec<String>, BackupFailure> {
    let unusable = |reason: &dyn std::fmt::Display| {
        BackupFailure::Wrong(format!("the backup `{}` cannot be used: {reason}", backup.display()))
    };
    let documents = Documents::check(&backup.join(DOCUMENTS)).map_err(|error| unusable(&error))?;
    let mut damage: Vec<String> = documents.findings.iter().map(ToString::to_string).collect();
    let disk = broker_disk(&backup.join(BROKER)).map_err(|error| unusable(&error))?;
    damage.extend(kuzzle_broker::check(&disk).map_err(|error| unusable(&error))?.damage);
    Ok(damage)
}

fn broker_disk(path: &Path) -> io::Result<kuzzle_journal::Directory> {
    // It would be made where it is missing.
    fs::metadata(path)?;
    kuzzle_journal::Directory::new(path)
}

/// Gives everything its place, the documents last.
fn finish(partial: &Path, data: &Path) -> io::Result<()> {
    let mut entries: Vec<PathBuf> = fs::read_dir(partial)?
        .map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())))
        .collect::<io::Result<_>>()?;
    entries.sort_by_key(|name| name.as_os_str() == DOCUMENTS);
    for name in entries {
        fs::rename(partial.join(&name), data.join(&name))?;
    }
    File::open(data)?.sync_all()?;
    fs::remove_dir(partial)?;
    File::open(data)?.sync_all()
}
