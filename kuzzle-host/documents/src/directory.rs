//! The data directory as a whole: who may use it, which format it has, what belongs into it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::checkpoint::{self, Loaded};
use crate::disk::{Disk, DiskFile};
use crate::error::OpenError;
use crate::journal::{Journal, Recovered, RecoveryError, SEGMENT_MIN_BYTES};
use crate::op::Op;
use crate::options::Options;
use crate::record::CollectionId;
use crate::store::{RedbStore, STORE_NAME, StoreError};

/// The format this version writes. Raised whenever an older version could misread what a newer one wrote; this version
/// reads 1 and itself.
const FORMAT: u32 = 2;

const FORMAT_NAME: &str = "FORMAT";
const FORMAT_PREFIX: &str = "kuzzle documents, format ";
const FORMAT_MAX_BYTES: u64 = 100;
const LOCK_NAME: &str = "LOCK";

/// Holds a data directory for this process until it is dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    /// The lock goes when the file is closed, by whatever way the process ends.
    _file: File,
}

impl DirectoryLock {
    /// Takes the documents in a directory for this process alone, if they have ever been used; none where they were not,
    /// as in a backup, which nobody can be using. Nothing is made.
    ///
    /// # Errors
    /// When another process has them, or the lock file cannot be opened.
    pub fn of_used(path: &Path) -> Result<Option<Self>, OpenError> {
        if path.join(LOCK_NAME).exists() { lock(path).map(Some) } else { Ok(None) }
    }
}

/// Makes the directory where it is missing, and takes it for this process alone.
pub(crate) fn lock(path: &Path) -> Result<DirectoryLock, OpenError> {
    let failed = |doing, path: &Path, source| OpenError::Io { doing, path: path.to_owned(), source };
    fs::create_dir_all(path).map_err(|error| failed("create the data directory", path, error))?;
    let name = path.join(LOCK_NAME);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(|error| failed("open the lock file", &name, error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.take(20).read_to_string(&mut text);
            return Err(OpenError::Locked { path: path.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(failed("lock", &name, error)),
    }
    // Only for the message of whoever comes second: a full disk is no reason not to start.
    let _ =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(DirectoryLock { _file: file })
}

/// What a data directory holds.
pub(crate) struct Opened {
    pub(crate) store: RedbStore,
    pub(crate) journal: Journal,
    /// The names, those of the journal included.
    pub(crate) catalogue: Catalogue,
    /// Documents of each collection, those of the journal included.
    pub(crate) counts: HashMap<CollectionId, u64>,
    /// The writes that the store does not have yet.
    pub(crate) recovered: Recovered,
}

/// Opens the files, making them where there are none.
pub(crate) fn open(disk: &Arc<dyn Disk>, path: &Path, options: &Options) -> Result<Opened, OpenError> {
    let contents = check_format(&**disk, path)?;
    if contents == Contents::None {
        create(disk, path, options)?;
    }
    let store_failed = |error| store_failed(path, "open", error);
    let store = RedbStore::open(Arc::clone(disk), options.cache_bytes).map_err(store_failed)?;
    let mut loaded = checkpoint::load(&store).map_err(store_failed)?;
    let (journal, mut recovered) = open_journal(&**disk, path, options, loaded.applied)?;
    if contents == Contents::Older {
        tracing::info!("learning the mappings of documents that an older version stored");
        checkpoint::migrate(&store, &mut loaded).map_err(store_failed)?;
    }
    let Loaded { mut catalogue, mut counts, .. } = loaded;
    for op in &recovered.ops {
        op.apply_to(&mut catalogue);
        if let Some((collection, growth)) = op.growth() {
            let count: &mut u64 = counts.entry(collection).or_default();
            *count = count.saturating_add_signed(growth);
        }
    }
    if contents == Contents::Older {
        let learned = learn(&mut catalogue, &recovered.ops);
        recovered.ops.extend(learned);
        write_format(disk.open(FORMAT_NAME), path)?;
    }
    Ok(Opened { store, journal, catalogue, counts, recovered })
}

fn open_journal(
    disk: &dyn Disk,
    path: &Path,
    options: &Options,
    applied: u64,
) -> Result<(Journal, Recovered), OpenError> {
    Journal::open(disk, segment_bytes(options), applied).map_err(|error| match error {
        RecoveryError::Io { file, error } => {
            OpenError::Io { doing: "read the journal", path: path.join(file), source: error }
        }
        RecoveryError::Damaged { file, reason } => OpenError::Corrupt { path: path.join(file), reason },
    })
}

/// The writes in the journal after number `applied`.
pub(crate) fn read_journal(
    disk: &dyn Disk,
    path: &Path,
    options: &Options,
    applied: u64,
) -> Result<Recovered, OpenError> {
    open_journal(disk, path, options, applied).map(|(_, recovered)| recovered)
}

/// What the documents in a journal of format 1 add to the mappings.
fn learn(catalogue: &mut Catalogue, ops: &[Op]) -> Vec<Op> {
    let names: HashMap<CollectionId, (Arc<str>, Arc<str>)> =
        catalogue.all().map(|(index, name, it)| (it.id, (Arc::clone(index), Arc::clone(name)))).collect();
    let mut learned = Vec::new();
    for op in ops {
        let Op::Put { key, record } = op else { continue };
        let Some((index, name)) = names.get(&key.collection()) else { continue };
        let Some(mapping) = catalogue.mapping(index, name) else { continue };
        if let Ok(source) = serde_json::from_slice(&record.source())
            && let Ok(Some(grown)) = mapping.observe(&source)
        {
            learned.push(Op::SetMapping {
                index: index.to_string(),
                collection: name.to_string(),
                id: key.collection(),
                mapping: grown.render().to_string(),
            });
            catalogue.set_mapping(index, name, Arc::new(grown));
        }
    }
    learned
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Nothing that was ever used.
    None,
    /// Files of the format this version writes.
    Known,
    /// Files of an older format.
    Older,
}

/// Looks what the directory holds. The format is written before anything else, and the store gets its name after all
/// else is in place: where the store is, the format must be.
pub(crate) fn check_format(disk: &dyn Disk, path: &Path) -> Result<Contents, OpenError> {
    let format = path.join(FORMAT_NAME);
    let io_failed = |source| OpenError::Io { doing: "read", path: format.clone(), source };
    let has_store = match disk.open(STORE_NAME) {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(io_failed(error)),
    };
    let text = match disk.open(FORMAT_NAME) {
        Ok(file) => {
            let mut bytes = vec![0; file.len().map_err(io_failed)?.min(FORMAT_MAX_BYTES) as usize];
            file.read_at(0, &mut bytes).map_err(io_failed)?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(io_failed(error)),
    };
    let found = text.strip_prefix(FORMAT_PREFIX).and_then(|rest| rest.trim_end().parse::<u32>().ok());
    match found {
        Some(found) if found > FORMAT => {
            Err(OpenError::NewerFormat { path: path.to_owned(), found, known: FORMAT })
        }
        Some(found) if has_store && found < FORMAT => Ok(Contents::Older),
        Some(_) if has_store => Ok(Contents::Known),
        None if has_store => Err(OpenError::Corrupt {
            path: format,
            reason: format!(
                "expected `{FORMAT_PREFIX}{FORMAT}` beside `{STORE_NAME}`, found `{}`",
                text.escape_debug()
            ),
        }),
        _ => Ok(Contents::None),
    }
}

fn create(disk: &Arc<dyn Disk>, path: &Path, options: &Options) -> Result<(), OpenError> {
    begin(&**disk, path, options)?;
    RedbStore::create(&**disk).map_err(|error| store_failed(path, "make the store in", error))
}

/// Makes all but the store, whose name says that the directory is whole.
pub(crate) fn begin(disk: &dyn Disk, path: &Path, options: &Options) -> Result<(), OpenError> {
    write_format(disk.create(FORMAT_NAME), path)?;
    Journal::create(disk, segment_bytes(options)).map_err(|source| OpenError::Io {
        doing: "make the journal in",
        path: path.to_owned(),
        source,
    })?;
    Ok(())
}

/// Size of one of the two files of the journal.
pub(crate) fn segment_bytes(options: &Options) -> u64 {
    (options.journal_bytes / 2).max(SEGMENT_MIN_BYTES)
}

fn write_format(file: io::Result<Arc<dyn DiskFile>>, path: &Path) -> Result<(), OpenError> {
    file.and_then(|file| {
        // Of an older format one digit changes: there is no state in between.
        file.write_at(0, format!("{FORMAT_PREFIX}{FORMAT}\n").as_bytes())?;
        file.sync()
    })
    .map_err(|source| OpenError::Io {
        doing: "write the format file in",
        path: path.to_owned(),
        source,
    })
}

fn store_failed(path: &Path, doing: &'static str, error: StoreError) -> OpenError {
    let path = path.join(STORE_NAME);
    match error {
        StoreError::Io(source) => OpenError::Io { doing, path, source },
        error => OpenError::Corrupt { path, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::record::{Draft, Key};

    #[test]
    fn documents_in_an_older_journal_add_to_the_mapping() {
        let put = |id: &str, source: Value| {
            let source: Map<String, Value> = source.as_object().unwrap().clone();
            Op::Put { key: Key::new(3, id), record: Draft::new(&source).unwrap().finish(1, 1) }
        };
        let add = Op::AddCollection { index: "i".to_owned(), collection: "c".to_owned(), id: 3 };
        let ops = [add, put("a", json!({"n": 1})), put("b", json!({"n": 2})), put("c", json!({"s": "x"}))];
        let mut catalogue = Catalogue::default();
        ops.iter().for_each(|op| op.apply_to(&mut catalogue));
        assert_eq!(learn(&mut catalogue, &ops).len(), 2);
        let expected = json!({"properties": {"n": {"type": "long"}, "s": {"type": "string"}}});
        assert_eq!(catalogue.mapping("i", "c").unwrap().render(), expected);
    }
}
