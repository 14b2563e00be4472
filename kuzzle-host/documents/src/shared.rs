//! What readers, the committer and the checkpointer share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};

use crate::catalogue::Catalogue;
use crate::disk::Disk;
use crate::error::Error;
use crate::evaluate::Reader;
use crate::options::Options;
use crate::overlay::{Layer, Overlay};
use crate::queue::Queue;
use crate::record::{CollectionId, Key, Record};
use crate::store::{Space, Store, StoreError};
use crate::visible::Visibility;

/// See the module. Locks are taken one at a time, none while the disk is waited for; but whoever shows a batch holds the
/// visibility around the others.
pub(crate) struct Shared {
    pub(crate) catalogue: RwLock<Catalogue>,
    pub(crate) overlay: RwLock<Overlay>,
    pub(crate) visibility: Mutex<Visibility>,
    /// Documents of each collection.
    pub(crate) counts: RwLock<HashMap<CollectionId, u64>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) queue: Queue,
    pub(crate) options: Options,
    pub(crate) checkpoint: Checkpoint,
    /// Why the last batch could not be written to the journal; none after one that could.
    pub(crate) journal_failure: Mutex<Option<String>>,
}

impl Shared {
    /// Says why there is too little space, if there is.
    pub(crate) fn space_missing(&self) -> Option<String> {
        let (free, reserve) = (self.disk.free_bytes().ok()?, self.options.reserve_bytes);
        (free < reserve).then(|| {
            format!(
                "the disk is full: {free} bytes are free where the documents lie, at least {reserve} are needed; \
                 free some space and writes go on by themselves"
            )
        })
    }
}

impl Reader for Shared {
    fn read(&self, key: &Key) -> Result<Option<Record>, Error> {
        // The overlay comes first: what leaves it is in the store by then.
        if let Some(found) = self.overlay.read().get(key) {
            return Ok(found);
        }
        match self.store.get(Space::Documents, key.as_bytes()) {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => stored(bytes).map(Some),
            Err(error) => Err(unread(error)),
        }
    }
}

/// Takes a record as the store has it.
pub(crate) fn stored(bytes: Bytes) -> Result<Record, Error> {
    Record::from_bytes(bytes)
        .ok_or_else(|| Error::Corrupt { reason: "a stored document is shorter than its header".to_owned() })
}

/// Says why the store could not be read.
pub(crate) fn unread(error: StoreError) -> Error {
    match error {
        StoreError::Io(error) => {
            Error::Unavailable { reason: format!("the store cannot be read at present: {error}") }
        }
        StoreError::Corrupt(reason) => Error::Corrupt { reason },
        StoreError::Closed => Error::Closed,
    }
}

/// The hand-over of frozen layers from the committer to the checkpointer.
#[derive(Debug, Default)]
pub(crate) struct Checkpoint {
    state: Mutex<CheckpointState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct CheckpointState {
    pending: Option<Arc<Layer>>,
    failed: Option<String>,
    stopping: bool,
}

/// What the checkpointer is to do next.
#[derive(Debug)]
pub(crate) enum Task {
    /// Bring a layer into the store.
    Write(Arc<Layer>),
    /// Nothing waits: tidy up.
    Tidy,
    /// The committer is gone.
    Stop,
}

impl Checkpoint {
    /// Hands a layer over. The one before must be done.
    pub(crate) fn request(&self, layer: Arc<Layer>) {
        let mut state = self.state.lock();
        state.pending = Some(layer);
        state.failed = None;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until the store has all that was handed over, or says why it does not take it.
    pub(crate) fn wait_done(&self) -> Result<(), String> {
        let mut state = self.state.lock();
        while state.pending.is_some() && state.failed.is_none() {
            self.changed.wait(&mut state);
        }
        match (&state.pending, &state.failed) {
            (Some(_), Some(reason)) => Err(reason.clone()),
            _ => Ok(()),
        }
    }

    /// Whether the store has all that was handed over.
    pub(crate) fn is_done(&self) -> bool {
        self.state.lock().pending.is_none()
    }

    /// Why the store does not take what was handed over, if it does not.
    pub(crate) fn failure(&self) -> Option<String> {
        self.state.lock().failed.clone()
    }

    pub(crate) fn succeeded(&self) {
        let mut state = self.state.lock();
        state.pending = None;
        state.failed = None;
        drop(state);
        self.changed.notify_all();
    }

    pub(crate) fn failed(&self, reason: String) {
        self.state.lock().failed = Some(reason);
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    /// Waits for something to do, until `tidy_at` when there is something to tidy up.
    pub(crate) fn next(&self, tidy_at: Option<Instant>) -> Task {
        let mut state = self.state.lock();
        loop {
            if let Some(layer) = &state.pending {
                return Task::Write(Arc::clone(layer));
            }
            if state.stopping {
                return Task::Stop;
            }
            match tidy_at {
                None => self.changed.wait(&mut state),
                Some(at) if Instant::now() >= at => return Task::Tidy,
                Some(at) => {
                    self.changed.wait_until(&mut state, at);
                }
            }
        }
    }

    /// Waits out a pause, cut short by a stop.
    pub(crate) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.state.lock();
        while !state.stopping && !self.changed.wait_until(&mut state, until).timed_out() {}
    }
}
