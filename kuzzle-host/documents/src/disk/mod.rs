//! The file layer: everything the engine writes passes through these two traits, so that a test can put a disk under
//! it that fills up, fails, or forgets what was not synced.

mod directory;
#[cfg(test)]
pub(crate) mod simulated;
mod unchanged;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

pub(crate) use directory::Directory;
pub(crate) use unchanged::Unchanged;

/// A flat directory of files.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Opens a file for reading and writing, or says `NotFound`.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file after emptying it or bringing it into being.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, replacing what had it. On stable storage when it returns.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Free space in bytes.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Space taken by all files, in bytes.
    fn used_bytes(&self) -> io::Result<u64>;
}

/// An open file.
pub(crate) trait DiskFile: Debug + Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Fills `out` from `offset` on; reading past the end is an error.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data` at `offset`, extending the file where needed.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Cuts the file or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Returns when all earlier writes to this file are on stable storage.
    fn sync(&self) -> io::Result<()>;
}
