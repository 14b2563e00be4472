//! The public handle.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};

use crate::catalogue::Catalogue;
use crate::committer::{self, SEQUENCE_KEY, Shared};
use crate::error::{Error, OpenError};
use crate::evaluate::{Prepared, Reader};
use crate::options::Options;
use crate::queue::Queue;
use crate::record::Key;
use crate::store::{RedbStore, Space, Store, StoreError};
use crate::write::{Document, Write, Written};

/// The documents of one data directory. Clones are handles to the same store; it closes with [`Documents::close`] or
/// when the last clone is gone.
///
/// Reading answers from the calling thread and may read the disk. Writing answers after the sync that covers the
/// write, as [`SyncPolicy`](crate::SyncPolicy) has it. A write becomes visible to readers when it is answered.
#[derive(Clone)]
pub struct Documents {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

/// The state of a store, for those who watch over the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why writes are refused at present; none while they are taken.
    pub unwritable: Option<String>,
    /// Space the store takes on disk, in bytes.
    pub used_bytes: u64,
    /// Free space where the store lies, in bytes, as far as the operating system tells.
    pub free_bytes: Option<u64>,
    /// Writes that wait for the disk.
    pub waiting: usize,
}

impl Documents {
    /// Opens a data directory, creating it where it is missing.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        std::fs::create_dir_all(path).map_err(|source| OpenError::Io {
            doing: "create the data directory",
            path: path.to_owned(),
            source,
        })?;
        let file = path.join("documents.redb");
        let failed = |error| match error {
            StoreError::Io(source) => OpenError::Io { doing: "open", path: file.clone(), source },
            StoreError::Corrupt(reason) => OpenError::Corrupt { path: file.clone(), reason },
        };
        let store = RedbStore::open(&file, options.cache_bytes).map_err(failed)?;
        let (catalogue, sequence) = load(&store).map_err(failed)?;
        let shared = Arc::new(Shared {
            catalogue: RwLock::new(catalogue),
            store: Arc::new(store),
            queue: Queue::new(options.queue_limit, options.queue_bytes),
        });
        let thread = std::thread::Builder::new()
            .name("documents".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || committer::run(&shared, sequence)
            })
            .map_err(|source| OpenError::Io {
                doing: "start the committer of",
                path: path.to_owned(),
                source,
            })?;
        Ok(Self { inner: Arc::new(Inner { shared, committer: Mutex::new(Some(thread)) }) })
    }

    /// Reads a document; none when it, its collection or its index does not exist.
    pub fn get(&self, index: &str, collection: &str, id: &str) -> Result<Option<Document>, Error> {
        let shared = &self.inner.shared;
        let Some(collection) = shared.catalogue.read().collection(index, collection) else { return Ok(None) };
        Ok(shared.read(&Key::new(collection, id))?.map(|record| record.document()))
    }

    /// Submits a write and returns its answer to come.
    ///
    /// The write takes its place among all others in this call, not when the future is first polled. Dropping the
    /// future does not take the write back. The future needs no particular runtime.
    pub fn write(&self, write: Write) -> impl Future<Output = Result<Written, Error>> + Send + 'static {
        let waiting = Prepared::new(write).and_then(|prepared| self.inner.shared.queue.push(prepared));
        async move {
            match waiting {
                Ok(answer) => answer.await.unwrap_or(Err(Error::Closed)),
                Err(error) => Err(error),
            }
        }
    }

    /// Names of all indexes, sorted.
    pub fn indexes(&self) -> Vec<String> {
        self.inner.shared.catalogue.read().index_names()
    }

    /// Names of the collections of an index, sorted; none when there is no such index.
    pub fn collections(&self, index: &str) -> Option<Vec<String>> {
        self.inner.shared.catalogue.read().collection_names(index)
    }

    /// Whether writes are taken, and the space used.
    pub fn health(&self) -> Health {
        Health { unwritable: None, used_bytes: 0, free_bytes: None, waiting: self.inner.shared.queue.len() }
    }

    /// Lets nothing more in, waits for what is under way, and closes the files. Later writes are answered
    /// [`Error::Closed`]. Blocks the calling thread for as long as the disk takes.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Inner {
    fn close(&self) {
        self.shared.queue.close();
        if let Some(thread) = self.committer.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

fn load(store: &dyn Store) -> Result<(Catalogue, u64), StoreError> {
    let mut catalogue = Catalogue::default();
    for (key, value) in store.scan(Space::Catalogue, b"c", b"j", usize::MAX)? {
        let text = std::str::from_utf8(&key[1..])
            .map_err(|_| StoreError::Corrupt("a name in the catalogue is not UTF-8".to_owned()))?;
        match (key[0], text.split_once('\0')) {
            (b'i', None) => catalogue.add_index(text),
            (b'c', Some((index, collection))) => {
                let id = <[u8; 4]>::try_from(&value[..])
                    .map_err(|_| StoreError::Corrupt(format!("collection `{collection}` has no number")))?;
                catalogue.add_collection(index, collection, u32::from_be_bytes(id));
            }
            _ => return Err(StoreError::Corrupt("an entry of the catalogue is of no known kind".to_owned())),
        }
    }
    let sequence = match store.get(Space::Catalogue, SEQUENCE_KEY)? {
        None => 0,
        Some(bytes) => u64::from_be_bytes(
            <[u8; 8]>::try_from(&bytes[..])
                .map_err(|_| StoreError::Corrupt("the sequence is not a number".to_owned()))?,
        ),
    };
    Ok((catalogue, sequence))
}
