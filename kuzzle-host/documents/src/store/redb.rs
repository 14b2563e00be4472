//! The store on redb: one file, a copy-on-write B-tree.

use std::path::Path;

use bytes::Bytes;
use parking_lot::RwLock;
use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::{Change, Space, Store, StoreError};

const DOCUMENTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("documents");
const CATALOGUE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("catalogue");

/// See the module.
pub(crate) struct RedbStore {
    database: Database,
    snapshot: RwLock<Snapshot>,
}

/// The state after the last commit. Kept open, since opening one for each read would cost more than the read.
struct Snapshot {
    documents: ReadOnlyTable<&'static [u8], &'static [u8]>,
    catalogue: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl RedbStore {
    pub(crate) fn open(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        let database = Database::builder().set_cache_size(cache_bytes).create(path).map_err(convert)?;
        let transaction = database.begin_write().map_err(convert)?;
        transaction.open_table(DOCUMENTS).map_err(convert)?;
        transaction.open_table(CATALOGUE).map_err(convert)?;
        transaction.commit().map_err(convert)?;
        let snapshot = RwLock::new(Snapshot::new(&database)?);
        Ok(Self { database, snapshot })
    }
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
        let found = self.snapshot.read().table(space).get(key).map_err(convert)?;
        Ok(found.map(|value| Bytes::copy_from_slice(value.value())))
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let snapshot = self.snapshot.read();
        let mut pairs = Vec::new();
        for pair in snapshot.table(space).range(from..to).map_err(convert)?.take(limit) {
            let (key, value) = pair.map_err(convert)?;
            pairs.push((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value())));
        }
        Ok(pairs)
    }

    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_write().map_err(convert)?;
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
        *self.snapshot.write() = Snapshot::new(&self.database)?;
        Ok(())
    }
}

fn convert(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            StoreError::Corrupt(error.to_string())
        }
        redb::Error::Io(error) => StoreError::Io(error),
        redb::Error::PreviousIo => StoreError::Io(std::io::Error::other("an earlier error of the disk")),
        error => StoreError::Corrupt(error.to_string()),
    }
}
