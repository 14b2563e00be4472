//! The public handle.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use kuzzle_search::Search;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;

use crate::checkpoint;
use crate::committer::Committer;
use crate::directory::{self, DirectoryLock, Opened};
use crate::disk::{Directory, Disk};
use crate::error::{Error, OpenError};
use crate::evaluate::{Prepared, Reader};
use crate::finding::Place;
use crate::options::Options;
use crate::overlay::Layer;
use crate::pool::{Cancelled, Pool};
use crate::queue::Queue;
use crate::record::Key;
use crate::shared::{Checkpoint, Shared};
use crate::visible::Visibility;
use crate::write::{Document, Write, Written};

/// Writes of one call that wait for the disk at a time.
const STRIDE: usize = 1_000;

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
    pool: Arc<Pool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<DirectoryLock>>,
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
    /// Opens a data directory, creating it where it is missing, and recovers what a crash left in its journal.
    ///
    /// Errors: another process has it, its format is newer, a file in it is damaged, or the disk refuses. A full disk
    /// does not hinder opening a directory that was used before.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let lock = directory::lock(path)?;
        Self::open_on(Arc::new(Directory::new(path)), path, options, Some(lock))
    }

    /// Opens the directory `path` as `disk` shows it.
    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: Options,
        lock: Option<DirectoryLock>,
    ) -> Result<Self, OpenError> {
        let Opened { store, journal, catalogue, counts, recovered } = directory::open(&disk, path, &options)?;
        if recovered.torn {
            tracing::info!(
                "a batch that was being written at the last stop was left out; no answer was given to it"
            );
        }
        let sequence = recovered.last;
        let layer = Layer::from_ops(recovered.ops, recovered.last);
        let shared = Arc::new(Shared {
            catalogue: RwLock::new(catalogue),
            overlay: RwLock::default(),
            visibility: Mutex::new(Visibility::new(sequence)),
            counts: RwLock::new(counts),
            store: Arc::new(store),
            disk,
            queue: Queue::new(options.queue_limit, options.queue_bytes),
            options,
            checkpoint: Checkpoint::default(),
            journal_failure: Mutex::new(None),
        });
        if !layer.is_empty() {
            tracing::info!(documents = layer.documents.len(), "recovered writes from the journal");
            let layer = Arc::new(layer);
            shared.overlay.write().frozen = Some(Arc::clone(&layer));
            shared.checkpoint.request(layer);
        }
        let committer = Committer::new(Arc::clone(&shared), journal, sequence);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|source| OpenError::Io {
                doing: "start a thread for",
                path: path.to_owned(),
                source,
            })
        };
        let checkpointer = spawn("documents-store", {
            let shared = Arc::clone(&shared);
            Box::new(move || checkpoint::run(&shared))
        })?;
        let committer = spawn("documents-write", Box::new(move || committer.run())).inspect_err(|_| {
            shared.checkpoint.stop();
        })?;
        let threads = Mutex::new(vec![committer, checkpointer]);
        let pool = Arc::default();
        Ok(Self { inner: Arc::new(Inner { shared, pool, threads, lock: Mutex::new(lock) }) })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
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
    pub fn write(
        &self,
        write: Write,
    ) -> impl Future<Output = Result<Written, Error>> + Send + 'static + use<> {
        let waiting = self.prepare(write).and_then(|prepared| self.inner.shared.queue.push(prepared));
        async move {
            match waiting {
                Ok(answer) => answer.await.unwrap_or(Err(Error::Closed)),
                Err(error) => Err(error),
            }
        }
    }

    fn prepare(&self, write: Write) -> Result<Prepared, Error> {
        let mapping = match &write {
            Write::Create { index, collection, .. }
            | Write::CreateOrReplace { index, collection, .. }
            | Write::Replace { index, collection, .. }
            | Write::Update { index, collection, .. } => {
                self.inner.shared.catalogue.read().mapping(index, collection).cloned()
            }
            _ => None,
        };
        Prepared::new(write, mapping.as_ref())
    }

    /// Submits writes one after the other and returns their answers in the same order: each sees those before it.
    /// Other writes may come in between. However many there are, only a thousand of them wait for the disk at a time; the
    /// first of these take their place in this call. Dropping the future gives up those that were not submitted yet.
    pub fn write_all(
        &self,
        writes: Vec<Write>,
    ) -> impl Future<Output = Vec<Result<Written, Error>>> + Send + use<> {
        let documents = self.clone();
        let mut answers = Vec::with_capacity(writes.len());
        let mut writes = writes.into_iter();
        // In this call, as of a single write.
        let mut waiting: Vec<_> = writes.by_ref().take(STRIDE).map(|it| documents.write(it)).collect();
        async move {
            while !waiting.is_empty() {
                for answer in waiting {
                    answers.push(answer.await);
                }
                waiting = writes.by_ref().take(STRIDE).map(|it| documents.write(it)).collect();
            }
            answers
        }
    }

    /// Searches a collection as it was at its last refresh, and gives the result as clients see it. `body` is a search in
    /// the query language of Elasticsearch, `null` and `{}` find everything.
    ///
    /// The work is done by threads of this store, beginning with this call. Dropping the future ends it.
    ///
    /// Errors: no such index (a missing collection is empty), a body that is no search, too many searches at once.
    pub fn search(
        &self,
        index: &str,
        collection: &str,
        body: &Value,
    ) -> impl Future<Output = Result<Value, Error>> + Send + use<> {
        let began = Instant::now();
        let found = self.find(index, collection, Search::parse(body), Place::search);
        async move {
            let took = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            found.await.map(|result| result.render(took()))
        }
    }

    /// How many documents of a collection match; see [`Documents::search`]. Of the body only `query` is asked for.
    pub fn count(
        &self,
        index: &str,
        collection: &str,
        body: &Value,
    ) -> impl Future<Output = Result<u64, Error>> + Send + use<> {
        self.find(index, collection, Search::parse_count(body), Place::count)
    }

    /// Removes the documents of a collection that match, as [`Documents::search`] sees them, and gives what was removed
    /// in the order in which it was stored. A document that is gone by the time its turn comes is passed over; one that
    /// was changed in between is removed as it is then.
    ///
    /// Errors: as of a search; when a removal is refused, what was removed before it stays removed.
    pub fn delete_by_query(
        &self,
        index: &str,
        collection: &str,
        body: &Value,
    ) -> impl Future<Output = Result<Vec<Written>, Error>> + Send + use<> {
        let found = self.find(index, collection, Search::parse_count(body), Place::select);
        let (documents, index, collection) = (self.clone(), index.to_owned(), collection.to_owned());
        async move {
            let ids = found.await?;
            let delete = |id| Write::Delete { index: index.clone(), collection: collection.clone(), id };
            let answers = documents.write_all(ids.into_iter().map(delete).collect()).await;
            answers.into_iter().filter(|answer| !matches!(answer, Err(Error::DeleteMissing))).collect()
        }
    }

    fn find<T: Send + 'static, R>(
        &self,
        index: &str,
        collection: &str,
        search: kuzzle_search::Result<Search>,
        run: R,
    ) -> impl Future<Output = Result<T, Error>> + Send + use<T, R>
    where
        R: FnOnce(&Place, &Shared, &Search, &Cancelled) -> Result<T, Error> + Send + 'static,
    {
        let shared = &self.inner.shared;
        let place = Place::find(shared, index, collection);
        let running = place.and_then(|place| Ok((place, search?))).map(|(place, search)| {
            let shared = Arc::clone(shared);
            self.inner.pool.run(move |cancelled| run(&place, &shared, &search, cancelled))
        });
        async move { running?.await }
    }

    /// The mapping of a collection as clients see it; none when the index has no such collection, or there is no such
    /// index.
    pub fn mapping(&self, index: &str, collection: &str) -> Option<Value> {
        self.inner.shared.catalogue.read().mapping(index, collection).map(|mapping| mapping.render())
    }

    /// Shows searches all that was written to an index so far.
    ///
    /// Errors: no such index.
    pub fn refresh(&self, index: &str) -> Result<(), Error> {
        let shared = &self.inner.shared;
        let ids = {
            let catalogue = shared.catalogue.read();
            if !catalogue.has_index(index) {
                return Err(Error::IndexNotFound { index: index.to_owned() });
            }
            catalogue.collections_of(index)
        };
        let mut visibility = shared.visibility.lock();
        ids.into_iter().for_each(|id| visibility.refresh(id));
        Ok(())
    }

    /// Whether the writes of an index are searchable as soon as they are answered; false when nobody said so, or there
    /// is no such index.
    pub fn auto_refresh(&self, index: &str) -> bool {
        self.inner.shared.catalogue.read().auto_refresh(index)
    }

    /// How many documents a collection has, those included that searches do not see yet; none when there is no such
    /// collection.
    pub fn document_count(&self, index: &str, collection: &str) -> Option<u64> {
        let shared = &self.inner.shared;
        let id = shared.catalogue.read().collection(index, collection)?;
        Some(shared.counts.read().get(&id).copied().unwrap_or_default())
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
        let shared = &self.inner.shared;
        Health {
            unwritable: shared
                .space_missing()
                .or_else(|| shared.checkpoint.failure())
                .or_else(|| shared.journal_failure.lock().clone()),
            used_bytes: shared.disk.used_bytes().unwrap_or_default(),
            free_bytes: shared.disk.free_bytes().ok(),
            waiting: shared.queue.len(),
        }
    }

    /// Lets nothing more in, waits for what is under way, and closes the files. Later reads and writes are answered
    /// [`Error::Closed`]. Blocks the calling thread for as long as the disk takes.
    pub fn close(&self) {
        self.inner.close();
    }
}

#[cfg(test)]
impl Documents {
    /// Number of documents in the store itself, those that nobody can reach included.
    pub(crate) fn stored_documents(&self) -> usize {
        self.inner
            .shared
            .store
            .scan(crate::store::Space::Documents, b"", &[0xff; 8], usize::MAX)
            .unwrap()
            .len()
    }
}

impl Inner {
    fn close(&self) {
        self.pool.close();
        self.shared.queue.close();
        let mut threads = self.threads.lock();
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the document store panicked");
            }
        }
        self.shared.store.close();
        self.lock.lock().take();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
