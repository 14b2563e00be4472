//! Where documents rest: ordered keys, atomic batches that are on stable storage when they return, consistent reads.

mod backend;
mod redb;

use bytes::Bytes;

pub(crate) use self::redb::{RedbStore, STORE_NAME, check_integrity};

/// The two ordered maps of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Space {
    /// Documents, see [`crate::record`].
    Documents,
    /// Names of indexes and collections, and the store's own notes.
    Catalogue,
}

impl Space {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Documents, Self::Catalogue];
}

// A space that is missing in `Space::ALL` would be missing in backups: whoever adds one is led here.
const _: () = match Space::ALL[0] {
    Space::Documents | Space::Catalogue => {}
};

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Sets a key.
    Put(Space, Bytes, Bytes),
    /// Removes a key, if it is there.
    Remove(Space, Bytes),
}

/// Why a store did not do as asked.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// The disk refused: full, or broken. The batch was not applied; a later one may succeed.
    Io(std::io::Error),
    /// The file holds what it cannot have been given.
    Corrupt(String),
    /// The store was closed.
    Closed,
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Corrupt(reason) => f.write_str(reason),
            Self::Closed => f.write_str("the store is closed"),
        }
    }
}

/// An embedded ordered key-value store. One thread commits at a time; any number read.
pub(crate) trait Store: Send + Sync {
    /// Reads one key of the last committed batch.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Reads up to `limit` pairs in key order, from `from` (included) to `to` (excluded).
    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StoreError>;

    /// Applies all changes in order, or none; on stable storage when it returns.
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// The state after the last commit, which stays as it is whatever is committed later.
    fn picture(&self) -> Result<Box<dyn Picture>, StoreError>;

    /// Closes the files; whatever is asked later is refused.
    fn close(&self);
}

/// One state of a store.
pub(crate) trait Picture {
    /// Calls `each` for every pair of a space in key order, until it says no.
    fn walk(&self, space: Space, each: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError>;

    /// Whether what was read is what the store held. It is not when the store was opened anew in between.
    fn is_valid(&self) -> bool;
}
