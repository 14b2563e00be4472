//! Indexes, collections and documents on an embedded store.
//!
//! [`Documents`] is the whole public face, and [`DocumentEngine`] what of it the API asks for: open a data directory, read documents at once, submit writes and await
//! their answers. Each write is answered when it is durable (see [`SyncPolicy`]), and one committer thread gathers
//! the writes that wait at the same moment into one batch with one sync.
//!
//! The crate knows nothing of users, rights, protocols or HTTP. The texts of its errors are those that clients of
//! the search engine behind the original server saw, since client code matches on them.

mod backup;
mod catalogue;
mod check;
mod checkpoint;
mod committer;
mod directory;
mod disk;
mod documents;
mod engine;
mod error;
mod evaluate;
mod export;
mod finding;
mod id;
mod journal;
mod limits;
mod merge;
mod names;
mod op;
mod options;
mod overlay;
mod pool;
mod queue;
mod record;
mod scan;
mod shared;
mod store;
#[cfg(test)]
mod tests;
mod visible;
mod write;

pub use backup::BackupError;
pub use check::{CheckReport, Finding, Severity};
pub use directory::DirectoryLock;
pub use documents::{Documents, Health};
pub use engine::{Answer, DocumentEngine, EngineInfo, Pending};
pub use error::{Error, OpenError};
pub use export::Page;
pub use limits::*;
pub use options::{Options, SyncPolicy};
pub use write::{Document, Write, Written};
