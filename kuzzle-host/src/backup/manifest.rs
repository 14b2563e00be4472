//! The list of a backup's files.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Component, Path};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{BackupFailure, Progress};
use crate::server::VERSION;

/// Name of the file.
pub(super) const NAME: &str = "BACKUP";
/// The format this version writes; a newer one is refused.
const FORMAT: u32 = 1;
/// Longest list that is read, in bytes.
const LEN_MAX: u64 = 64 << 20;
/// Bytes that are read at a time.
const STRIDE: usize = 1 << 20;

/// What a backup says of itself.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Manifest {
    format: u32,
    /// Version of the server that made it.
    pub(super) version: String,
    /// When: milliseconds since 1970.
    pub(super) made_at_ms: u64,
    pub(super) files: Vec<Entry>,
}

/// One file.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Entry {
    /// Its path within the backup.
    pub(super) path: String,
    pub(super) bytes: u64,
    /// In hexadecimal digits.
    sha256: String,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Manifest {
    pub(super) fn new(files: Vec<Entry>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let made_at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self { format: FORMAT, version: VERSION.to_owned(), made_at_ms, files }
    }

    /// Writes it into a folder.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut file = File::create_new(folder.join(NAME))?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()
    }

    /// Reads that of a backup.
    pub(super) fn read(backup: &Path) -> Result<Self, BackupFailure> {
        let path = backup.join(NAME);
        let wrong = |reason: String| BackupFailure::Wrong(format!("`{}` {reason}", path.display()));
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(LEN_MAX).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupFailure::Wrong(format!(
                    "`{}` is no backup: it has no file `{NAME}`, which `kuzzle-host backup` writes last",
                    backup.display()
                )));
            }
            Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
        }
        let unlike =
            |error: serde_json::Error| wrong(format!("is not the list of a backup's files: {error}"));
        let Format { format } = serde_json::from_slice(&bytes).map_err(unlike)?;
        if format > FORMAT {
            return Err(wrong(format!(
                "has format {format}, this version reads up to {FORMAT}; use the version that wrote it or a newer one"
            )));
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(unlike)?;
        for entry in &manifest.files {
            let mut parts = Path::new(&entry.path).components();
            if entry.path.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_))) {
                return Err(wrong(format!("names the file `{}`, which would lie elsewhere", entry.path)));
            }
        }
        Ok(manifest)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.bytes).sum()
    }

    /// Compares all files of a backup with the list; returns what is wrong, each in a line.
    pub(super) fn compare(&self, backup: &Path, progress: &mut Progress<'_>) -> Vec<String> {
        let mut problems = Vec::new();
        for entry in &self.files {
            let path = backup.join(&entry.path);
            match fs::metadata(&path) {
                Ok(found) if found.len() != entry.bytes => {
                    let found = found.len();
                    problems.push(format!("`{}` has {found} bytes, expected {}", entry.path, entry.bytes));
                    continue;
                }
                Ok(_) => {}
                Err(error) => {
                    problems.push(format!("`{}` cannot be read: {error}", entry.path));
                    continue;
                }
            }
            match sum(&path, &mut io::sink(), progress) {
                Ok((_, sha256)) if sha256 == entry.sha256 => {}
                Ok(_) => {
                    problems.push(format!("`{}` does not have the checksum it was written with", entry.path))
                }
                Err(error) => problems.push(format!("`{}` cannot be read: {error}", entry.path)),
            }
        }
        problems
    }
}

impl Entry {
    /// Describes a file below a folder.
    pub(super) fn of(folder: &Path, path: &Path, progress: &mut Progress<'_>) -> io::Result<Self> {
        let name = path.to_str().ok_or_else(|| io::Error::other(format!("{path:?} is not UTF-8")))?;
        let (bytes, sha256) = sum(&folder.join(path), &mut io::sink(), progress)?;
        Ok(Self { path: name.to_owned(), bytes, sha256 })
    }

    /// Copies the file to another folder and brings it to the disk; it must be what the list says.
    pub(super) fn copy(&self, from: &Path, to: &Path, progress: &mut Progress<'_>) -> io::Result<()> {
        let target = to.join(&self.path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        let source = from.join(&self.path);
        let mut file = File::create_new(&target)?;
        let (_, sha256) = sum(&source, &mut file, progress)?;
        if sha256 != self.sha256 {
            return Err(io::Error::other("it has changed since its checksum was compared"));
        }
        file.set_permissions(fs::metadata(&source)?.permissions())?;
        file.sync_all()
    }
}

/// Passes a file on, and returns its length and checksum.
fn sum(path: &Path, to: &mut dyn io::Write, progress: &mut Progress<'_>) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; STRIDE];
    let (mut bytes, mut hasher) = (0, Sha256::new());
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        bytes += read as u64;
        progress(read as u64);
    }
    Ok((bytes, hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}
