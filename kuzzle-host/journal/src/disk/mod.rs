//! The file layer: everything a journal writes passes through these two traits, so that a test can put a disk under it
//! that fills up, fails, or forgets what was not synced.

mod directory;
#[cfg(any(test, feature = "simulated"))]
mod simulated;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

pub use directory::Directory;
#[cfg(any(test, feature = "simulated"))]
pub use simulated::{Failing, Random, SimulatedDisk};

/// A flat directory of files.
pub trait Disk: Debug + Send + Sync {
    /// Names of all files, in any order.
    ///
    /// # Errors
    /// As the file system has it.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file after emptying it or bringing it into being. Its name is on stable storage when this returns.
    ///
    /// # Errors
    /// As the file system has it.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, replacing what had it. On stable storage when it returns.
    ///
    /// # Errors
    /// As the file system has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the file system has it.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Free space in bytes.
    ///
    /// # Errors
    /// As the file system has it.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file.
#[allow(clippy::len_without_is_empty)]
pub trait DiskFile: Debug + Send + Sync {
    /// Length in bytes.
    ///
    /// # Errors
    /// As the file system has it.
    fn len(&self) -> io::Result<u64>;

    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data` at `offset`, extending the file where needed.
    ///
    /// # Errors
    /// `StorageFull` when there is no space; part of the data may be written then.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Cuts the file or extends it with zeros.
    ///
    /// # Errors
    /// As the file system has it.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Returns when all earlier writes to this file are on stable storage.
    ///
    /// # Errors
    /// After one, nobody knows what is.
    fn sync(&self) -> io::Result<()>;
}
