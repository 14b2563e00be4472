//! Reading a data directory from end to end without changing it.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use kuzzle_search::Mapping;
use serde_json::Value;

use crate::directory::{self, Contents};
use crate::disk::{Directory, Disk, Unchanged};
use crate::documents::Documents;
use crate::error::OpenError;
use crate::limits::{DOCUMENT_ID_MAX_BYTES, DOCUMENT_MAX_BYTES, DOCUMENT_MAX_DEPTH};
use crate::merge::depth_within;
use crate::op::Op;
use crate::options::Options;
use crate::record::{CollectionId, HEADER_LEN, Key, Record};
use crate::store::{RedbStore, STORE_NAME, Space, Store, StoreError, check_integrity};

/// Findings that are told one by one; more are counted.
const TOLD_MAX: usize = 1_000;
/// Memory for pages of the store.
const CACHE_BYTES: usize = 16 << 20;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Odd, and nothing is lost.
    Warning,
    /// Something was changed or lost after it had been written.
    Damage,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where: a file, a collection, or a document.
    pub place: String,
    /// What was found and what was expected.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Damage => "damage",
        };
        write!(f, "{severity}: {}: {}", self.place, self.problem)
    }
}

/// What a data directory holds, and what of it is not as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Indexes.
    pub indexes: usize,
    /// Collections of all indexes.
    pub collections: usize,
    /// Documents, those of the journal included.
    pub documents: u64,
    /// Changes in the journal that the store does not have yet.
    pub journal_changes: usize,
    /// Whether the journal ends with a batch that was answered to nobody, which the next start leaves out.
    pub torn: bool,
    /// What is not as it should be; a thousand at most.
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub more_findings: usize,
    /// Whether anything is damaged, told or not.
    pub is_damaged: bool,
}

impl CheckReport {
    /// Adds a finding.
    pub(crate) fn tell(&mut self, severity: Severity, place: impl Into<String>, problem: impl Into<String>) {
        self.is_damaged |= severity == Severity::Damage;
        if self.findings.len() < TOLD_MAX {
            self.findings.push(Finding { severity, place: place.into(), problem: problem.into() });
        } else {
            self.more_findings += 1;
        }
    }
}

impl Documents {
    /// Reads everything in a data directory that no process uses, for which [`DirectoryLock`](crate::DirectoryLock) is: every page of the store, each document, the journal. Tells
    /// what is damaged, whether counts agree, and which documents do not fit their mapping. Nothing is written.
    ///
    /// # Errors
    /// When the directory holds no documents, was written by a newer version, or cannot be read.
    /// Damage is no error but a finding.
    pub fn check(path: &Path) -> Result<CheckReport, OpenError> {
        Self::check_on(&(Arc::new(Directory::new(path)) as Arc<dyn Disk>), path)
    }

    pub(crate) fn check_on(disk: &Arc<dyn Disk>, path: &Path) -> Result<CheckReport, OpenError> {
        let unchanged = || Arc::new(Unchanged::new(Arc::clone(disk))) as Arc<dyn Disk>;
        let mut report = CheckReport::default();
        let contents = match directory::check_format(&*unchanged(), path) {
            Ok(Contents::None) => {
                return Err(OpenError::Io {
                    doing: "check the documents in",
                    path: path.to_owned(),
                    source: std::io::Error::new(std::io::ErrorKind::NotFound, "there are none"),
                });
            }
            Err(OpenError::Corrupt { path, reason }) => {
                report.tell(Severity::Damage, path.display().to_string(), reason);
                Contents::Known
            }
            contents => contents?,
        };
        let mut check = Check { report, is_older: contents == Contents::Older, collections: HashMap::new() };
        match check_integrity(&*unchanged(), CACHE_BYTES) {
            Ok(true) => {}
            Ok(false) => {
                check.damaged(STORE_NAME, "pages do not have the checksums that were written with them")
            }
            Err(error) => check.damaged(STORE_NAME, error.to_string()),
        }
        check.read(&unchanged(), path)?;
        Ok(check.report)
    }
}

/// What is known of a collection, and what was counted.
struct Collection {
    name: String,
    mapping: Arc<Mapping>,
    found: u64,
}

struct Check {
    report: CheckReport,
    /// Of a format without mappings and counts.
    is_older: bool,
    collections: HashMap<CollectionId, Collection>,
}

impl Check {
    fn damaged(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.report.tell(Severity::Damage, place, problem);
    }

    fn read(&mut self, disk: &Arc<dyn Disk>, path: &Path) -> Result<(), OpenError> {
        let loaded = RedbStore::open(Arc::clone(disk), CACHE_BYTES)
            .and_then(|store| crate::checkpoint::load(&store).map(|loaded| (store, loaded)));
        let (store, loaded) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                self.damaged(STORE_NAME, format!("it cannot be opened: {error}"));
                return Ok(());
            }
        };
        for (index, name, collection) in loaded.catalogue.all() {
            let name = format!("{index}/{name}");
            let mapping = Arc::clone(&collection.mapping);
            self.collections.insert(collection.id, Collection { name, mapping, found: 0 });
        }
        self.walk(&store);
        if !self.is_older {
            let mut wrong = Vec::new();
            for (id, collection) in &self.collections {
                let counted = loaded.counts.get(id).copied().unwrap_or_default();
                if counted != collection.found {
                    let found = collection.found;
                    wrong.push((
                        collection.name.clone(),
                        format!("the store counts {counted} documents, and holds {found}"),
                    ));
                }
            }
            wrong.sort();
            wrong.into_iter().for_each(|(name, problem)| self.damaged(name, problem));
        }
        let mut catalogue = loaded.catalogue;
        let mut grown = self.collections.values().map(|it| it.found).sum::<u64>() as i64;
        match directory::read_journal(&**disk, path, &Options::default(), loaded.applied) {
            Ok(recovered) => {
                self.report.torn = recovered.torn;
                self.report.journal_changes = recovered.ops.len();
                for op in &recovered.ops {
                    op.apply_to(&mut catalogue);
                    grown += op.growth().map_or(0, |(_, growth)| growth);
                    self.journal_change(op);
                }
            }
            Err(OpenError::Corrupt { path, reason }) => self.damaged(path.display().to_string(), reason),
            Err(OpenError::Io { path, source, .. }) => {
                self.damaged(path.display().to_string(), format!("it cannot be read: {source}"));
            }
            Err(error) => return Err(error),
        }
        self.report.indexes = catalogue.index_count();
        self.report.collections = catalogue.collection_count();
        self.report.documents = u64::try_from(grown).unwrap_or_default();
        Ok(())
    }

    /// Reads every document of the store.
    fn walk(&mut self, store: &RedbStore) {
        let removed: Vec<CollectionId> = store
            .scan(Space::Catalogue, b"g", b"h", usize::MAX)
            .unwrap_or_default()
            .iter()
            .filter_map(|(key, _)| Some(CollectionId::from_be_bytes(key.get(1..)?.try_into().ok()?)))
            .collect();
        let walked = store.picture().and_then(|picture| {
            picture.walk(Space::Documents, &mut |key, value| {
                match Key::from_bytes(key) {
                    None => {
                        self.damaged(STORE_NAME, format!("a key has {} bytes, expected 4 or more", key.len()))
                    }
                    // What is left of a collection that was removed is nobody's document.
                    Some(key) if removed.contains(&key.collection()) => {}
                    Some(key) => self.document(&key, value),
                }
                true
            })
        });
        if let Err(error @ (StoreError::Io(_) | StoreError::Corrupt(_))) = walked {
            self.damaged(STORE_NAME, format!("its documents cannot be read to the end: {error}"));
        }
    }

    fn document(&mut self, key: &Key, value: &[u8]) {
        let Some(collection) = self.collections.get_mut(&key.collection()) else {
            let place = format!("document `{}`", key.id());
            return self.damaged(place, format!("its collection {} does not exist", key.collection()));
        };
        collection.found += 1;
        let place = format!("document `{}` of {}", key.id(), collection.name);
        match judge(key, value) {
            Err(problem) => self.damaged(place, problem),
            Ok(source) if !self.is_older => {
                let problem = match collection.mapping.observe(&source) {
                    Ok(None) => return,
                    Ok(Some(_)) => "it has fields that the mapping does not know".to_owned(),
                    Err(error) => format!("it does not fit the mapping: {error}"),
                };
                self.report.tell(Severity::Warning, place, problem);
            }
            Ok(_) => {}
        }
    }

    fn journal_change(&mut self, op: &Op) {
        if let Op::Put { key, record } = op
            && let Err(problem) = judge(key, record.as_bytes())
        {
            self.damaged(format!("document `{}` in the journal", key.id()), problem);
        }
    }
}

/// Whether a document is one that may be stored.
fn judge(key: &Key, value: &[u8]) -> Result<Value, String> {
    let id = std::str::from_utf8(&key.as_bytes()[4..]).map_err(|_| "its id is not UTF-8".to_owned())?;
    if id.is_empty() || id.len() > DOCUMENT_ID_MAX_BYTES {
        return Err(format!("its id has {} bytes, expected 1 to {DOCUMENT_ID_MAX_BYTES}", id.len()));
    }
    let record = Record::from_bytes(bytes::Bytes::copy_from_slice(value))
        .ok_or_else(|| format!("it has {} bytes, expected {HEADER_LEN} before the source", value.len()))?;
    if record.version() == 0 {
        return Err("its version is 0, expected 1 or more".to_owned());
    }
    let source = record.source();
    if source.len() > DOCUMENT_MAX_BYTES {
        return Err(format!("it has {} bytes, at most {DOCUMENT_MAX_BYTES}", source.len()));
    }
    let source: Value =
        serde_json::from_slice(&source).map_err(|error| format!("it is not JSON: {error}"))?;
    if !source.is_object() {
        return Err("it is no JSON object".to_owned());
    }
    if !depth_within(&source, DOCUMENT_MAX_DEPTH) {
        return Err(format!("objects and arrays nest deeper than {DOCUMENT_MAX_DEPTH} levels"));
    }
    Ok(source)
}
