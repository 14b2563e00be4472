//! Making a backup while the server runs.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use kuzzle_api::{BackupError, BackupFacts};
use kuzzle_broker::Broker;
use kuzzle_documents::{Documents, Pending};
use kuzzle_journal::Directory;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::manifest::{Entry, Manifest};
use super::{BROKER, DOCUMENTS, PLUGINS, Partial, files_below, sync_folders};

/// Deepest folder of others' files in the data directory.
const DEPTH_MAX: usize = 16;

/// Makes backups, one at a time.
#[derive(Clone)]
pub struct Backups {
    source: Arc<Source>,
    current: Arc<Mutex<Option<Current>>>,
}

/// What is copied.
struct Source {
    data: PathBuf,
    documents: Documents,
    broker: Broker,
}

/// The backup under way, or the last one.
struct Current {
    thread: JoinHandle<()>,
    given_up: Arc<AtomicBool>,
}

/// Gives up when it goes.
struct Asker(Arc<AtomicBool>);

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Backups {
    /// For the data directory `data` with what it holds, open.
    #[must_use]
    pub fn new(data: &Path, documents: Documents, broker: Broker) -> Self {
        Self {
            source: Arc::new(Source { data: data.to_owned(), documents, broker }),
            current: Arc::default(),
        }
    }

    /// Copies everything that is kept into `directory`, an absolute path at which nothing is. What was answered or
    /// confirmed before is in the copy; work goes on meanwhile. Dropping the answer gives the copy up.
    #[must_use]
    pub fn start(&self, directory: &str) -> Pending<Result<BackupFacts, BackupError>> {
        let refused = |reason: &str| Err(BackupError::Refused(reason.to_owned()));
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|current| !current.thread.is_finished()) {
            return ready(refused("another backup is being made; try again when it is done"));
        }
        let given_up = Arc::new(AtomicBool::new(false));
        let (answer, made) = oneshot::channel();
        let (source, directory) = (Arc::clone(&self.source), PathBuf::from(directory));
        let flag = Arc::clone(&given_up);
        let thread = std::thread::Builder::new().name("backup".into()).spawn(move || {
            let result = source.copy(&directory, &|| !flag.load(Ordering::Relaxed));
            match &result {
                Ok(made) => tracing::info!(
                    directory = made.directory,
                    files = made.files,
                    bytes = made.bytes,
                    "backup made"
                ),
                Err(BackupError::Refused(reason) | BackupError::Failed(reason)) => {
                    tracing::warn!(reason, "no backup was made");
                }
            }
            // Who no longer waits does not mind.
            let _ = answer.send(result);
        });
        match thread {
            Ok(thread) => *current = Some(Current { thread, given_up: Arc::clone(&given_up) }),
            Err(error) => {
                return ready(Err(BackupError::Failed(format!(
                    "cannot start a thread for the backup: {error}"
                ))));
            }
        }
        let asker = Asker(given_up);
        Box::pin(async move {
            let made = made.await;
            drop(asker);
            made.unwrap_or_else(|_| {
                Err(BackupError::Failed("making the backup ended by a defect".to_owned()))
            })
        })
    }

    /// Gives up what is under way, and waits until nothing of it is left.
    pub fn close(&self) {
        let current = self.current.lock().take();
        if let Some(Current { thread, given_up }) = current {
            given_up.store(true, Ordering::Relaxed);
            if thread.join().is_err() {
                tracing::error!("the thread of a backup panicked");
            }
        }
    }
}

fn ready<T: Send + 'static>(value: T) -> Pending<T> {
    Box::pin(std::future::ready(value))
}

impl Source {
    fn copy(&self, directory: &Path, goes_on: &dyn Fn() -> bool) -> Result<BackupFacts, BackupError> {
        let partial = self.begin(directory)?;
        let failed = |doing: &str, error: &dyn std::fmt::Display| {
            BackupError::Failed(format!("cannot {doing}: {error}; nothing of the backup is left"))
        };
        let path = partial.path.clone();
        self.documents
            .backup(&path.join(DOCUMENTS), goes_on)
            .map_err(|error| failed("back up the documents", &error))?;
        Directory::new(path.join(BROKER))
            .map_err(|error| failed("make the folder of the broker", &error))
            .and_then(|disk| {
                self.broker.copy_to(&disk, goes_on).map_err(|error| failed("back up the broker", &error))
            })?;
        self.copy_others(&path)
            .map_err(|error| failed("back up other files of the data directory", &error))?;
        let finished = || -> io::Result<Manifest> {
            let mut entries = Vec::new();
            for file in files_below(&path)? {
                if !goes_on() {
                    return Err(io::Error::new(io::ErrorKind::Interrupted, "it was given up"));
                }
                File::open(path.join(&file))?.sync_all()?;
                entries.push(Entry::of(&path, &file, &mut |_| {})?);
            }
            let manifest = Manifest::new(entries);
            manifest.write(&path)?;
            sync_folders(&path)?;
            // Others are kept out by the name with `.partial` alone, which is ours.
            if directory.symlink_metadata().is_ok() {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "somebody has made it meanwhile"));
            }
            fs::rename(&path, directory)?;
            if let Some(parent) = directory.parent() {
                File::open(parent)?.sync_all()?;
            }
            Ok(manifest)
        };
        let manifest =
            finished().map_err(|error| failed(&format!("finish `{}`", directory.display()), &error))?;
        partial.keep();
        Ok(BackupFacts {
            directory: directory.display().to_string(),
            files: manifest.files.len() as u64,
            bytes: manifest.bytes(),
        })
    }

    /// Judges where the backup is to be, and makes the folder that it is made in.
    fn begin(&self, directory: &Path) -> Result<Partial, BackupError> {
        let refused = |reason: &str| {
            BackupError::Refused(format!("cannot back up to `{}`: {reason}", directory.display()))
        };
        let (Some(parent), Some(name), true) =
            (directory.parent(), directory.file_name(), directory.is_absolute())
        else {
            return Err(refused("it is no absolute path of a new directory"));
        };
        let parent = parent
            .canonicalize()
            .map_err(|error| refused(&format!("the folder it would lie in: {error}")))?;
        let data =
            self.data.canonicalize().map_err(|error| refused(&format!("the data directory: {error}")))?;
        if parent.starts_with(&data) {
            return Err(refused(
                "it would lie in the data directory itself; choose a place elsewhere, best another disk",
            ));
        }
        if directory.symlink_metadata().is_ok() {
            return Err(refused("it is there already; choose another name"));
        }
        let mut partial = name.to_owned();
        partial.push(OsStr::new(".partial"));
        let path = parent.join(partial);
        // It holds secrets, so it is for the server's user alone.
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Partial { path, is_kept: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(refused(&format!(
                "`{}` is left of a backup that was cut off, or being made by another server; remove it",
                path.display()
            ))),
            Err(error) => Err(BackupError::Failed(format!("cannot make `{}`: {error}", path.display()))),
        }
    }

    /// Copies what else lies in the data directory.
    fn copy_others(&self, to: &Path) -> io::Result<()> {
        for entry in fs::read_dir(&self.data)? {
            let name = entry?.file_name();
            if [DOCUMENTS, BROKER, PLUGINS].iter().all(|ours| name != *ours) {
                copy_other(&self.data.join(&name), &to.join(&name), DEPTH_MAX)?;
            }
        }
        Ok(())
    }
}

/// Copies a file or folder; what is neither is passed over.
fn copy_other(from: &Path, to: &Path, depth_max: usize) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_dir() {
        if depth_max == 0 {
            return Err(io::Error::other(format!("`{}` lies too deep", from.display())));
        }
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy_other(&from.join(&name), &to.join(&name), depth_max - 1)?;
        }
        fs::set_permissions(to, fs::metadata(from)?.permissions())
    } else if fs::metadata(from).is_ok_and(|found| found.is_file()) {
        fs::copy(from, to).map(drop)
    } else {
        tracing::warn!(path = %from.display(), "not backed up: it is neither a file nor a folder");
        Ok(())
    }
}
