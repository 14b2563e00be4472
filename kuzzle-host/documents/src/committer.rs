//! The thread that makes writes durable: it takes what waits, evaluates it in order, commits once, answers all.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::evaluate::{Batch, Reader};
use crate::op::Op;
use crate::queue::Queue;
use crate::record::{Key, Record};
use crate::store::{Change, Space, Store, StoreError};

/// What readers and the committer share.
pub(crate) struct Shared {
    pub(crate) catalogue: RwLock<Catalogue>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Queue,
}

impl Reader for Shared {
    fn read(&self, key: &Key) -> Result<Option<Record>, Error> {
        match self.store.get(Space::Documents, key.as_bytes()).map_err(read_error)? {
            None => Ok(None),
            Some(bytes) => Record::from_bytes(bytes)
                .map(Some)
                .ok_or_else(|| Error::Corrupt { reason: "a stored document is too short".to_owned() }),
        }
    }
}

/// Runs until the queue is closed and empty.
pub(crate) fn run(shared: &Shared, mut sequence: u64) {
    let mut jobs = Vec::new();
    while shared.queue.take(&mut jobs, None) {
        let mut batch = Batch::new(shared.catalogue.read().clone(), sequence);
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs.drain(..) {
            answers.push((job.answer, batch.add(shared, job.write)));
        }
        let outcome = if batch.ops.is_empty() {
            Ok(())
        } else {
            let mut changes = changes_of(&batch.ops);
            changes.push(Change::Put(
                Space::Catalogue,
                Bytes::from_static(SEQUENCE_KEY),
                Bytes::copy_from_slice(&batch.sequence.to_be_bytes()),
            ));
            shared.store.commit(&changes)
        };
        match outcome {
            Ok(()) => {
                sequence = batch.sequence;
                *shared.catalogue.write() = batch.catalogue;
                for (answer, result) in answers {
                    let _ = answer.send(result);
                }
            }
            Err(error) => {
                for (answer, _) in answers {
                    let _ = answer.send(Err(Error::Unavailable { reason: error.to_string() }));
                }
            }
        }
    }
}

pub(crate) const SEQUENCE_KEY: &[u8] = b"s";

fn changes_of(ops: &[Op]) -> Vec<Change> {
    let mut changes = Vec::with_capacity(ops.len() + 1);
    for op in ops {
        match op {
            Op::Put { key, record } => changes.push(Change::Put(
                Space::Documents,
                Bytes::copy_from_slice(key.as_bytes()),
                Bytes::copy_from_slice(record.as_bytes()),
            )),
            Op::Remove { key } => {
                changes.push(Change::Remove(Space::Documents, Bytes::copy_from_slice(key.as_bytes())));
            }
            Op::AddIndex { index } => {
                changes.push(Change::Put(Space::Catalogue, index_key(index), Bytes::new()));
            }
            Op::AddCollection { index, collection, id } => changes.push(Change::Put(
                Space::Catalogue,
                collection_key(index, collection),
                Bytes::copy_from_slice(&id.to_be_bytes()),
            )),
            Op::RemoveIndex { index, collections } => {
                changes.push(Change::Remove(Space::Catalogue, index_key(index)));
                for (collection, _) in collections {
                    changes.push(Change::Remove(Space::Catalogue, collection_key(index, collection)));
                }
            }
        }
    }
    changes
}

fn index_key(index: &str) -> Bytes {
    [b"i".as_slice(), index.as_bytes()].concat().into()
}

fn collection_key(index: &str, collection: &str) -> Bytes {
    [b"c".as_slice(), index.as_bytes(), b"\0", collection.as_bytes()].concat().into()
}

pub(crate) fn read_error(error: StoreError) -> Error {
    match error {
        StoreError::Io(error) => Error::Unavailable { reason: format!("the store cannot be read: {error}") },
        StoreError::Corrupt(reason) => Error::Corrupt { reason },
    }
}
