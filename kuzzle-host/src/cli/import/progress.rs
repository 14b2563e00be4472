//! How far an import of a file is, in a file beside it.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How much of the file before the place is compared, in bytes.
const COMPARED: u64 = 64 << 10;
/// Longest file of this kind that is read, in bytes.
const LEN_MAX: u64 = 64 << 10;

/// See the module.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Progress {
    /// Bytes that are imported.
    pub(super) offset: u64,
    /// Lines that are imported.
    pub(super) line: u64,
    /// Actions that were done.
    pub(super) done: u64,
    /// Actions that were refused.
    pub(super) refused: u64,
    /// The index that was given, if one was.
    pub(super) index: Option<String>,
    /// Where the server was said to be.
    pub(super) server: String,
    /// Checksum of what is before the place.
    before: String,
}

impl Progress {
    pub(super) fn new(index: Option<String>, server: String) -> Self {
        Self { index, server, ..Self::default() }
    }

    /// Reads that of `file`, if an import of it was begun. It must be of the same wish, and the file the same up to there.
    pub(super) fn read(file: &Path, wanted: &Self) -> Result<Option<Self>, String> {
        let path = path(file);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(LEN_MAX).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read `{}`: {error}", path.display())),
        }
        let other = |what: &str| {
            Err(format!(
                "`{}` tells of an import that was begun before {what}; give the same arguments to go on with it, or remove \
                 that file to begin anew",
                path.display()
            ))
        };
        let Ok(found) = serde_json::from_slice::<Self>(&bytes) else {
            return other("in a way that is not known here");
        };
        if found.index != wanted.index {
            return other("with another `--index`");
        }
        if found.server != wanted.server {
            return other(&format!("into the server on {}", found.server));
        }
        match before(file, found.offset) {
            Ok(before) if before == found.before => Ok(Some(found)),
            _ => other("from another file of this name"),
        }
    }

    /// Writes it down: it is the old one or this one, whatever happens.
    pub(super) fn write(&mut self, file: &Path) -> io::Result<()> {
        self.before = before(file, self.offset)?;
        let (path, new) = (path(file), super::super::export::with_suffix(file, ".progress.new"));
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, path)
    }

    /// Removes it.
    pub(super) fn remove(file: &Path) -> io::Result<()> {
        match fs::remove_file(path(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn path(file: &Path) -> PathBuf {
    super::super::export::with_suffix(file, ".progress")
}

/// Checksum of what lies before an offset, or of the last part of it.
fn before(file: &Path, offset: u64) -> io::Result<String> {
    let mut file = File::open(file)?;
    let len = offset.min(COMPARED);
    file.seek(SeekFrom::Start(offset - len))?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    file.read_exact(&mut bytes)?;
    Ok(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_up_by_the_same_wish_for_the_same_file_alone() {
        let folder = std::env::temp_dir().join(format!("kuzzle-import-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let file = folder.join("f.ndjson");
        fs::write(&file, "x".repeat(100_000)).unwrap();
        let wanted = Progress::new(None, "127.0.0.1:7511".into());
        assert_eq!(Progress::read(&file, &wanted), Ok(None));
        let mut progress = Progress { offset: 90_000, line: 7, done: 3, ..wanted.clone() };
        progress.write(&file).unwrap();
        assert_eq!(Progress::read(&file, &wanted), Ok(Some(progress.clone())));
        let other = Progress { index: Some("i".into()), ..wanted.clone() };
        assert!(Progress::read(&file, &other).unwrap_err().contains("another `--index`"));
        let other = Progress { server: "elsewhere".into(), ..wanted.clone() };
        assert!(Progress::read(&file, &other).unwrap_err().contains("server on 127.0.0.1:7511"));
        // Longer is fine, shorter or another is not.
        fs::write(&file, "x".repeat(200_000)).unwrap();
        assert_eq!(Progress::read(&file, &wanted), Ok(Some(progress)));
        for changed in ["x".repeat(80_000), "y".repeat(100_000)] {
            fs::write(&file, changed).unwrap();
            assert!(Progress::read(&file, &wanted).unwrap_err().contains("another file"));
        }
        Progress::remove(&file).unwrap();
        Progress::remove(&file).unwrap();
        assert_eq!(Progress::read(&file, &wanted), Ok(None));
        fs::remove_dir_all(folder).unwrap();
    }
}
