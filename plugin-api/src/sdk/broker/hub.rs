//! The instance's access to the broker, and where it is woken.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};

use parking_lot::{Mutex, RwLock};
use serde_json::Value;

use super::Connection;
use crate::abi::{self, ApiError, BrokerClientCalls};
use crate::sdk::ConnectionInfo;

/// The instance's access to the broker. Clones share it.
#[derive(Clone)]
pub struct Broker {
    hub: Arc<Hub>,
}

impl Broker {
    pub(crate) const fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// Whether the host offers it.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.hub.service.is_some()
    }

    /// What the host limits, as `max_message_bytes`; none when it does not say.
    #[must_use]
    pub fn limit(&self, name: &str) -> Option<u64> {
        let limits = self.hub.service.as_ref()?.limits();
        serde_json::from_slice::<Value>(limits.as_slice()).ok()?.get(name)?.as_u64()
    }

    /// Opens a connection. It can be [authenticated](Connection::authenticate) and [enter](Connection::enter) a virtual
    /// host.
    ///
    /// # Errors
    ///
    /// 429 when the instance has too many, 503 when the host is stopping or does not offer the service `broker`.
    pub fn open(&self, info: &ConnectionInfo) -> Result<Connection, ApiError> {
        let Some(service) = self.hub.service.clone() else {
            let message =
                "cannot open a connection to the broker: the host does not offer the service `broker`";
            return Err(ApiError::new(503, "plugin.service.absent", message));
        };
        Connection::open(&self.hub, service, &info.to_json())
    }
}

/// Where the host says that events wait, and the connections and links that they wait for.
pub(crate) struct Hub {
    service: Option<abi::Broker>,
    next: AtomicU64,
    outboxes: RwLock<HashMap<u64, Arc<Outbox>>>,
}

impl Hub {
    pub(crate) fn new(service: Option<abi::Broker>, generation: u64) -> Arc<Self> {
        // Generations of an instance overlap; ids of one never meet those of another.
        const GENERATION_SHIFT: u32 = 40;
        let next = AtomicU64::new((generation << GENERATION_SHIFT) + 1);
        Arc::new(Self { service, next, outboxes: RwLock::default() })
    }

    /// An outbox under a new id, known from here on.
    pub(super) fn add(&self, reader: &Arc<Reader>) -> Arc<Outbox> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let outbox = Arc::new(Outbox {
            id,
            may_hold: AtomicBool::new(false),
            is_queued: AtomicBool::new(false),
            waker: Mutex::default(),
            reader: Arc::downgrade(reader),
        });
        self.outboxes.write().insert(id, Arc::clone(&outbox));
        outbox
    }

    /// Forgets an outbox.
    pub(super) fn remove(&self, outbox: &Arc<Outbox>) {
        self.outboxes.write().remove(&outbox.id);
        if let Some(reader) = outbox.reader.upgrade() {
            reader.state.lock().ready.retain(|ready| !Arc::ptr_eq(ready, outbox));
        }
    }
}

impl BrokerClientCalls for Hub {
    fn ready(&self, id: u64) {
        let outbox = self.outboxes.read().get(&id).cloned();
        if let Some(outbox) = outbox {
            outbox.ready();
        }
    }
}

/// What is known here of an outbox at the host.
pub(super) struct Outbox {
    pub(super) id: u64,
    /// Whether something may wait that was not looked for yet.
    may_hold: AtomicBool,
    is_queued: AtomicBool,
    /// Who waits for this outbox alone.
    waker: Mutex<Option<Waker>>,
    reader: Weak<Reader>,
}

impl Outbox {
    fn ready(self: &Arc<Self>) {
        self.may_hold.store(true, Ordering::Release);
        let own = self.waker.lock().take();
        let all = self.reader.upgrade().and_then(|reader| reader.queue(self));
        for waker in [own, all].into_iter().flatten() {
            waker.wake();
        }
    }

    /// Whether it is worth looking; a look that finds something is followed by another.
    pub(super) fn is_worth_a_look(&self) -> bool {
        self.may_hold.swap(false, Ordering::AcqRel)
    }

    /// Something was found, so that there may be more.
    pub(super) fn found(&self) {
        self.may_hold.store(true, Ordering::Release);
    }

    /// Has the context's task woken when something comes. False when something has come meanwhile.
    pub(super) fn wait(&self, context: &Context<'_>) -> bool {
        let before = self.waker.lock().replace(context.waker().clone());
        // A waker may free a task when it is dropped, which must not happen under the lock.
        drop(before);
        !self.may_hold.load(Ordering::Acquire)
    }
}

/// Who reads all outboxes of a connection.
#[derive(Default)]
pub(super) struct Reader {
    state: Mutex<ReaderState>,
}

#[derive(Default)]
struct ReaderState {
    ready: VecDeque<Arc<Outbox>>,
    waker: Option<Waker>,
}

impl Reader {
    /// Puts an outbox behind those that are to be looked into, and gives the waker of who waits for that.
    pub(super) fn queue(&self, outbox: &Arc<Outbox>) -> Option<Waker> {
        let mut state = self.state.lock();
        if !outbox.is_queued.swap(true, Ordering::Relaxed) {
            state.ready.push_back(Arc::clone(outbox));
        }
        state.waker.take()
    }

    /// Puts an outbox behind those that are to be looked into, for who is looking now: nobody is woken.
    pub(super) fn put_back(&self, outbox: &Arc<Outbox>) {
        let mut state = self.state.lock();
        if !outbox.is_queued.swap(true, Ordering::Relaxed) {
            state.ready.push_back(Arc::clone(outbox));
        }
    }

    /// The next outbox to look into, or none, and then the context's task is woken once there is one.
    pub(super) fn next(&self, context: &Context<'_>) -> Option<Arc<Outbox>> {
        let mut state = self.state.lock();
        if let Some(outbox) = state.ready.pop_front() {
            outbox.is_queued.store(false, Ordering::Relaxed);
            return Some(outbox);
        }
        let before = state.waker.replace(context.waker().clone());
        drop(state);
        drop(before);
        None
    }
}
