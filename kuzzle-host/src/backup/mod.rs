//! Copies of the data directory: made while the server runs, brought back and checked while it does not.
//!
//! A backup is a folder of its own, laid out as the data directory is, with a list of its files beside them. It has its name
//! only once all of it is on the disk: until then it is called `NAME.partial`.

mod check;
mod make;
mod manifest;
mod restore;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub use check::{Checked, check};
pub use make::Backups;
pub use restore::{Restored, is_interrupted, restore};

/// Where documents are, below the data directory and a backup.
pub const DOCUMENTS: &str = "documents";
/// Where the broker's journal is.
pub const BROKER: &str = "broker";
/// Private copies of plugins, made anew at each start.
const PLUGINS: &str = "plugins";

/// Why a backup is not what it should be, or cannot be brought back. The text is for people.
#[derive(Debug)]
pub enum BackupFailure {
    /// What was asked for is wrong: nothing was changed.
    Wrong(String),
    /// The disk does not allow it. Nothing of it is left.
    Failed(String),
}

impl std::fmt::Display for BackupFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Wrong(text) | Self::Failed(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for BackupFailure {}

/// Is told of bytes that are done.
pub type Progress<'a> = dyn FnMut(u64) + 'a;

/// A folder in the making, removed unless it is kept.
struct Partial {
    path: PathBuf,
    is_kept: bool,
}

impl Partial {
    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "what was written cannot be removed");
        }
    }
}

/// Files below a folder, as paths from there, in their order.
fn files_below(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Brings the names in a folder and in all below it to the disk.
fn sync_folders(root: &Path) -> io::Result<()> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        File::open(&folder)?.sync_all()?;
    }
    Ok(())
}
