//! The store on redb: one file, a copy-on-write B-tree.
//!
//! After one error of the disk redb refuses everything, reads too, until the database is opened anew. So this is done
//! here, at once and by whoever meets the error first: the last batch that was committed is intact, and each batch
//! keeps the list of free pages with it ("quick repair"), so opening anew takes no walk through the file.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;
use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::backend::Backend;
use super::{Change, Picture, Space, Store, StoreError};
use crate::disk::Disk;

/// Name of the file.
pub(crate) const STORE_NAME: &str = "documents.redb";

/// What the file is called until it is whole for the first time.
const UNFINISHED_NAME: &str = "documents.redb.new";

type Pairs = TableDefinition<'static, &'static [u8], &'static [u8]>;
const DOCUMENTS: Pairs = TableDefinition::new("documents");
const CATALOGUE: Pairs = TableDefinition::new("catalogue");

/// Times a read is tried over an error of the disk.
const READ_TRIES: usize = 3;

/// See the module.
pub(crate) struct RedbStore {
    disk: Arc<dyn Disk>,
    /// Of the file.
    name: &'static str,
    cache_bytes: usize,
    opened: RwLock<State>,
    /// Grows with each opening, so that of many who meet an error one opens anew.
    openings: Arc<AtomicU64>,
}

enum State {
    Open(Box<Opened>),
    /// Opening anew failed; the next one to come tries again.
    Failed,
    Closed,
}

struct Opened {
    // Before the database, for it must be gone first.
    snapshot: RwLock<Snapshot>,
    database: Database,
}

/// The state after the last commit. Kept open, since opening one for each read would cost more than the read.
struct Snapshot {
    documents: ReadOnlyTable<&'static [u8], &'static [u8]>,
    catalogue: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl RedbStore {
    /// Makes the file. It bears its name only when it is whole.
    pub(crate) fn create(disk: &dyn Disk) -> Result<(), StoreError> {
        let file = disk.create(UNFINISHED_NAME).map_err(StoreError::Io)?;
        let database = Database::builder().create_with_backend(Backend(file)).map_err(convert)?;
        make_tables(&database)?;
        drop(database);
        disk.rename(UNFINISHED_NAME, STORE_NAME).map_err(StoreError::Io)
    }

    /// Makes the file, which is to be filled before it is given its name by [`RedbStore::finish`].
    pub(crate) fn begin(disk: &Arc<dyn Disk>, cache_bytes: usize) -> Result<Self, StoreError> {
        let file = disk.create(UNFINISHED_NAME).map_err(StoreError::Io)?;
        make_tables(&Database::builder().create_with_backend(Backend(file)).map_err(convert)?)?;
        Self::open_named(Arc::clone(disk), UNFINISHED_NAME, cache_bytes)
    }

    /// Closes a file that was begun and gives it its name, with all of it on stable storage.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        self.close();
        self.disk.open(UNFINISHED_NAME).and_then(|file| file.sync()).map_err(StoreError::Io)?;
        self.disk.rename(UNFINISHED_NAME, STORE_NAME).map_err(StoreError::Io)
    }

    /// Opens the file, `NotFound` when there is none.
    pub(crate) fn open(disk: Arc<dyn Disk>, cache_bytes: usize) -> Result<Self, StoreError> {
        Self::open_named(disk, STORE_NAME, cache_bytes)
    }

    fn open_named(disk: Arc<dyn Disk>, name: &'static str, cache_bytes: usize) -> Result<Self, StoreError> {
        let opened = Opened::new(&*disk, name, cache_bytes)?;
        Ok(Self {
            disk,
            name,
            cache_bytes,
            opened: RwLock::new(State::Open(Box::new(opened))),
            openings: Arc::default(),
        })
    }

    /// Reads with `read`; over an error of the disk the database is opened anew and the read tried again.
    fn read<T>(&self, read: impl Fn(&Snapshot) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let opening = self.openings.load(Ordering::Acquire);
            let result = match &*self.opened.read() {
                State::Open(opened) => read(&opened.snapshot.read()),
                State::Failed => Err(not_open()),
                State::Closed => Err(StoreError::Closed),
            };
            match result {
                Err(StoreError::Io(error)) if tries < READ_TRIES => {
                    tracing::warn!(%error, "the document store is opened anew after an error of the disk");
                    self.reopen(opening)?;
                }
                result => return result,
            }
        }
    }

    /// Opens the database anew, unless another thread did so since the `opening` given.
    fn reopen(&self, opening: u64) -> Result<(), StoreError> {
        let mut state = self.opened.write();
        let due = match &*state {
            State::Open(_) => self.openings.load(Ordering::Acquire) == opening,
            State::Failed => true,
            State::Closed => return Err(StoreError::Closed),
        };
        if due {
            *state = State::Failed;
            *state = State::Open(Box::new(Opened::new(&*self.disk, self.name, self.cache_bytes)?));
            self.openings.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }
}

impl Opened {
    fn new(disk: &dyn Disk, name: &str, cache_bytes: usize) -> Result<Self, StoreError> {
        let file = disk.open(name).map_err(StoreError::Io)?;
        if file.len().map_err(StoreError::Io)? == 0 {
            // redb would take an empty file for a new one.
            return Err(StoreError::Corrupt("the file is empty".to_owned()));
        }
        let database = unpanicked(|| {
            Database::builder()
                .set_cache_size(cache_bytes)
                .create_with_backend(Backend(file))
                .map_err(convert)
        })?;
        let snapshot = RwLock::new(unpanicked(|| Snapshot::new(&database))?);
        Ok(Self { snapshot, database })
    }
}

fn make_tables(database: &Database) -> Result<(), StoreError> {
    let mut transaction = database.begin_write().map_err(convert)?;
    transaction.set_quick_repair(true);
    for table in [DOCUMENTS, CATALOGUE] {
        transaction.open_table(table).map_err(convert)?;
    }
    transaction.commit().map_err(convert)
}

impl Snapshot {
    fn new(database: &Database) -> Result<Self, StoreError> {
        let transaction = database.begin_read().map_err(convert)?;
        Ok(Self {
            documents: transaction.open_table(DOCUMENTS).map_err(convert)?,
            catalogue: transaction.open_table(CATALOGUE).map_err(convert)?,
        })
    }

    fn table(&self, space: Space) -> &ReadOnlyTable<&'static [u8], &'static [u8]> {
        match space {
            Space::Documents => &self.documents,
            Space::Catalogue => &self.catalogue,
        }
    }
}

impl Store for RedbStore {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.read(|snapshot| {
            let found = snapshot.table(space).get(key).map_err(convert)?;
            Ok(found.map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        self.read(|snapshot| {
            let mut pairs = Vec::new();
            for pair in snapshot.table(space).range(from..to).map_err(convert)?.take(limit) {
                let (key, value) = pair.map_err(convert)?;
                pairs.push((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value())));
            }
            Ok(pairs)
        })
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let opening = self.openings.load(Ordering::Acquire);
        let result = match &*self.opened.read() {
            State::Open(opened) => unpanicked(|| commit(opened, changes)),
            State::Failed => Err(not_open()),
            State::Closed => Err(StoreError::Closed),
        };
        if result.is_err() {
            // Otherwise readers would find a database that refuses them.
            self.reopen(opening)?;
        }
        result
    }

    fn picture(&self) -> Result<Box<dyn Picture>, StoreError> {
        match &*self.opened.read() {
            State::Open(opened) => Ok(Box::new(Frozen {
                opening: self.openings.load(Ordering::Acquire),
                snapshot: unpanicked(|| Snapshot::new(&opened.database))?,
                openings: Arc::clone(&self.openings),
            })),
            State::Failed => Err(not_open()),
            State::Closed => Err(StoreError::Closed),
        }
    }

    fn close(&self) {
        *self.opened.write() = State::Closed;
    }
}

/// One state, kept while commits go on.
struct Frozen {
    snapshot: Snapshot,
    opening: u64,
    openings: Arc<AtomicU64>,
}

impl Picture for Frozen {
    fn walk(&self, space: Space, each: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        unpanicked(|| {
            for pair in self.snapshot.table(space).range::<&[u8]>(..).map_err(convert)? {
                let (key, value) = pair.map_err(convert)?;
                if !each(key.value(), value.value()) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn is_valid(&self) -> bool {
        // A database that was opened anew knows nothing of this one's readers, and gives away what they read.
        self.opening == self.openings.load(Ordering::Acquire)
    }
}

/// Compares the checksums of all pages; returns whether they agree. The file is repaired where that is possible.
pub(crate) fn check_integrity(disk: &dyn Disk, cache_bytes: usize) -> Result<bool, StoreError> {
    let file = disk.open(STORE_NAME).map_err(StoreError::Io)?;
    unpanicked(|| {
        let mut database = Database::builder()
            .set_cache_size(cache_bytes)
            .create_with_backend(Backend(file))
            .map_err(convert)?;
        database.check_integrity().map_err(convert)
    })
}

fn commit(opened: &Opened, changes: &[Change]) -> Result<(), StoreError> {
    let mut transaction = opened.database.begin_write().map_err(convert)?;
    transaction.set_quick_repair(true);
    {
        let mut documents = transaction.open_table(DOCUMENTS).map_err(convert)?;
        let mut catalogue = transaction.open_table(CATALOGUE).map_err(convert)?;
        for change in changes {
            let (Change::Put(space, key, _) | Change::Remove(space, key)) = change;
            let table = match space {
                Space::Documents => &mut documents,
                Space::Catalogue => &mut catalogue,
            };
            match change {
                Change::Put(_, _, value) => table.insert(&key[..], &value[..]).map_err(convert)?,
                Change::Remove(..) => table.remove(&key[..]).map_err(convert)?,
            };
        }
    }
    transaction.commit().map_err(convert)?;
    *opened.snapshot.write() = Snapshot::new(&opened.database)?;
    Ok(())
}

fn not_open() -> StoreError {
    StoreError::Io(io::Error::other("the store is not open after an earlier error"))
}

/// Runs something on a file that may have been damaged: what redb holds for impossible must not stop the server.
fn unpanicked<T>(run: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(StoreError::Corrupt("its pages contradict each other".to_owned())))
}

fn convert(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error)
            if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            StoreError::Corrupt(error.to_string())
        }
        redb::Error::Io(error) => StoreError::Io(error),
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
            StoreError::Io(io::Error::other("the disk failed a moment ago"))
        }
        error => StoreError::Corrupt(error.to_string()),
    }
}
