//! Copying a data directory while it is used.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::checkpoint::changes_of;
use crate::directory;
use crate::disk::{Directory, Disk};
use crate::documents::Documents;
use crate::error::OpenError;
use crate::overlay::Layer;
use crate::shared::Shared;
use crate::store::{Change, Picture, RedbStore, Space, Store, StoreError};

/// Bytes that are brought into the copy by one commit.
const COMMIT_BYTES: usize = 8 << 20;
/// Memory for pages of the copy while it is made.
const CACHE_BYTES: usize = 8 << 20;

/// Why there is no copy.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// What is to be copied could not be read.
    Unread {
        /// What the store says.
        reason: String,
    },
    /// The copy could not be written.
    Unwritten {
        /// Where it was to be.
        path: PathBuf,
        /// What the disk says.
        reason: String,
    },
    /// Whoever asked gave up.
    GivenUp,
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread { reason } => write!(f, "cannot read the documents: {reason}"),
            Self::Unwritten { path, reason } => {
                write!(f, "cannot write the copy of the documents in `{}`: {reason}", path.display())
            }
            Self::GivenUp => f.write_str("the copy of the documents was given up before it was whole"),
        }
    }
}

impl std::error::Error for BackupError {}

impl Documents {
    /// Copies all documents, mappings and names into a new data directory, while reads and writes go on. Every write that
    /// was answered before this call is in the copy, and it holds the state of one moment. `to` is made where it is
    /// missing, and must be empty.
    ///
    /// The contents of the files are on stable storage when this returns. `goes_on` is asked now and then and ends the
    /// copying by saying no. Blocks the calling thread for as long as the disk takes.
    ///
    /// # Errors
    /// When the store cannot be read, the disk refuses, or `goes_on` says no. What was copied by then is left to the
    /// caller.
    pub fn backup(&self, to: &Path, goes_on: &dyn Fn() -> bool) -> Result<(), BackupError> {
        std::fs::create_dir_all(to).map_err(|error| unwritten(to, &error))?;
        let disk: Arc<dyn Disk> = Arc::new(Directory::new(to));
        copy(self.shared(), &disk, to, goes_on)
    }

    #[cfg(test)]
    pub(crate) fn backup_on(
        &self,
        disk: &Arc<dyn Disk>,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(), BackupError> {
        copy(self.shared(), disk, Path::new("simulated"), goes_on)
    }
}

/// One state of everything: that of the store, and what the journal has beyond it.
struct State {
    store: Box<dyn Picture>,
    layers: Vec<Arc<Layer>>,
}

impl State {
    /// Takes the state as it is now.
    fn of(shared: &Shared) -> Result<Self, StoreError> {
        // While the overlay is held nothing leaves it. A layer that is on its way may be in the store already.
        let overlay = shared.overlay.read();
        let store = shared.store.picture()?;
        let active = (!overlay.active.is_empty()).then(|| Arc::new(overlay.active.clone()));
        let layers = overlay.frozen.iter().cloned().chain(active).collect();
        Ok(Self { store, layers })
    }
}

fn copy(
    shared: &Shared,
    disk: &Arc<dyn Disk>,
    path: &Path,
    goes_on: &dyn Fn() -> bool,
) -> Result<(), BackupError> {
    let state = State::of(shared).map_err(unread)?;
    let written = |error: StoreError| unwritten(path, &error);
    directory::begin(&**disk, path, &shared.options).map_err(|error| match error {
        OpenError::Io { source, .. } => unwritten(path, &source),
        error => unwritten(path, &error),
    })?;
    let copy = RedbStore::begin(disk, CACHE_BYTES).map_err(written)?;
    copy_store(&*state.store, &copy, path, goes_on)?;
    let applied = crate::checkpoint::load(&copy).map_err(unread)?.applied;
    for layer in state.layers.iter().filter(|layer| layer.last > applied) {
        let changes = changes_of(layer, &copy).map_err(unread)?;
        copy.commit(&changes).map_err(written)?;
    }
    if !state.store.is_valid() {
        return Err(BackupError::Unread {
            reason: "the disk failed while they were copied, and the store was opened anew; try again"
                .to_owned(),
        });
    }
    copy.finish().map_err(written)
}

/// Copies what the store holds, in key order and a few megabytes at a time.
fn copy_store(
    from: &dyn Picture,
    copy: &RedbStore,
    path: &Path,
    goes_on: &dyn Fn() -> bool,
) -> Result<(), BackupError> {
    for space in Space::ALL {
        let (mut changes, mut bytes, mut stopped) = (Vec::new(), 0, None);
        let walked = from.walk(space, &mut |key, value| {
            changes.push(Change::Put(space, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            bytes += key.len() + value.len();
            if bytes < COMMIT_BYTES {
                return true;
            }
            bytes = 0;
            if !goes_on() {
                stopped = Some(BackupError::GivenUp);
            } else if let Err(error) = copy.commit(&std::mem::take(&mut changes)) {
                stopped = Some(unwritten(path, &error));
            }
            stopped.is_none()
        });
        walked.map_err(unread)?;
        match stopped {
            Some(error) => return Err(error),
            None if !goes_on() => return Err(BackupError::GivenUp),
            None => copy.commit(&changes).map_err(|error| unwritten(path, &error))?,
        }
    }
    Ok(())
}

fn unread(error: StoreError) -> BackupError {
    BackupError::Unread { reason: error.to_string() }
}

fn unwritten(path: &Path, error: &dyn fmt::Display) -> BackupError {
    BackupError::Unwritten { path: path.to_owned(), reason: error.to_string() }
}
