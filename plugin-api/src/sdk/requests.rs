//! Clients of the API: requests in, responses out, notifications pushed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use abi_stable::std_types::{RString, RVec};
use parking_lot::RwLock;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tracing::warn;

use super::inbox::{Inbox, Notification, Received};
use super::metrics::{Counter, Metrics};
use crate::abi::{
    self, ApiError, Blob, Completion, EVENT_CLOSE, EVENT_NOTIFICATION, PendingReply, Reply, RequestEvent,
    RequestsClientCalls,
};

/// What the host is told of a client of the API: a JSON object. Made from a [`Connection`](super::Connection) by
/// [`info`](super::Connection::info), or from nothing.
#[derive(Clone, Debug, Default)]
pub struct ConnectionInfo {
    members: Map<String, Value>,
}

impl ConnectionInfo {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member. The host knows `remote`, `local`, `listener` and `tls`, and shows what else there is.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(&self.members).unwrap_or_else(|_| "{}".to_owned())
    }
}

/// The instance's access to the API. Clones share it.
#[derive(Clone)]
pub struct Requests {
    hub: Arc<Hub>,
}

impl Requests {
    pub(crate) const fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// Opens a client of the API. One connection of the protocol has one, as a rule; a protocol that carries many
    /// clients over one socket opens one for each.
    ///
    /// # Errors
    ///
    /// 429 when the instance has too many, 503 when the host is stopping or has no service `requests`.
    pub fn open(&self, info: &ConnectionInfo) -> Result<RequestConnection, ApiError> {
        let Some(service) = self.hub.service.clone() else {
            let message = "cannot open a client of the API: the host does not offer the service `requests`";
            return Err(ApiError::new(503, "plugin.service.absent", message));
        };
        let id = self.hub.next.fetch_add(1, Ordering::Relaxed);
        let inbox = Arc::new(Inbox::default());
        // First, so that no event can come for a connection that is not known here.
        self.hub.inboxes.write().insert(id, Arc::clone(&inbox));
        if let Err(error) = service.open(id, &info.to_json()) {
            self.hub.inboxes.write().remove(&id);
            return Err(error);
        }
        Ok(RequestConnection { id, service, inbox, hub: Arc::clone(&self.hub) })
    }
}

/// One client of the API. Dropping it closes it: its subscriptions end.
pub struct RequestConnection {
    id: u64,
    service: abi::Requests,
    inbox: Arc<Inbox>,
    hub: Arc<Hub>,
}

impl RequestConnection {
    /// Its id, as events name it; unique among those that the instance ever opened.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Runs one request: the bytes of one JSON object. The request is under way when this returns, so several can be;
    /// they begin in the order of the calls, and their answers may overtake one another.
    ///
    /// The [`Reply`]'s body is the JSON response, ready to be sent, whatever the request was: also malformed or refused.
    pub fn execute(&self, request: impl Into<Blob>) -> PendingReply {
        PendingReply::of(|done| self.service.execute(self.id, request.into(), done))
    }

    /// As [`execute`](Self::execute), with a function that takes the answer: without a task to wait for it. It is called
    /// once, on any thread, often before this returns, and must not block.
    pub fn execute_then(&self, request: impl Into<Blob>, then: impl FnOnce(Reply) + Send + 'static) {
        self.service.execute(self.id, request.into(), Completion::to_fn(then));
    }

    /// Gives the client the identity that `credentials` prove. `mechanism` is that of SASL, `PLAIN` or `ANONYMOUS`. A
    /// status of 200 says that it has it; otherwise it stays who it was.
    pub fn authenticate(&self, mechanism: &str, credentials: impl Into<Blob>) -> PendingReply {
        PendingReply::of(|done| self.service.authenticate(self.id, mechanism, credentials.into(), done))
    }

    /// The next thing that happens to this client. Notifications wait here in order, [bounded](super::EVENTS_MAX); what comes
    /// after [`Received::Closed`] is the same again.
    pub fn received(&self) -> impl Future<Output = Received> + Send + '_ {
        std::future::poll_fn(|context| self.poll_received(context))
    }

    /// As [`received`](Self::received), for those who write their own futures. One task reads at a time: the last waker is
    /// the one that is woken.
    pub fn poll_received(&self, context: &Context<'_>) -> Poll<Received> {
        self.inbox.poll(context)
    }

    /// As [`received`](Self::received), when something is there already: to write many in one go.
    #[must_use]
    pub fn try_received(&self) -> Option<Received> {
        self.inbox.try_take()
    }
}

impl Drop for RequestConnection {
    fn drop(&mut self) {
        self.hub.inboxes.write().remove(&self.id);
        self.service.close(self.id);
    }
}

/// Something that happens to clients of the API, before it is shared out among them.
#[derive(Clone, Debug)]
pub enum Event {
    /// Is to be sent to them.
    Notification {
        /// Whom: ids of [`RequestConnection`]s. Some may have been dropped meanwhile.
        connections: RVec<u64>,
        /// What.
        notification: Notification,
    },
    /// The host wants them closed.
    Close {
        /// Whom: ids of [`RequestConnection`]s.
        connections: RVec<u64>,
        /// Why: a status as in HTTP.
        code: u32,
        /// Why, in one line for people.
        reason: RString,
    },
}

/// Where events for the instance come in and are given to its clients.
pub(crate) struct Hub {
    service: Option<abi::Requests>,
    next: AtomicU64,
    inboxes: RwLock<HashMap<u64, Arc<Inbox>>>,
    wake: Notify,
    slow_closed: Counter,
}

impl Hub {
    pub(crate) fn new(service: Option<abi::Requests>, generation: u64, metrics: &Metrics) -> Arc<Self> {
        // Generations of an instance overlap; ids of one never meet those of another.
        const GENERATION_SHIFT: u32 = 40;
        Arc::new(Self {
            service,
            next: AtomicU64::new((generation << GENERATION_SHIFT) + 1),
            inboxes: RwLock::default(),
            wake: Notify::new(),
            slow_closed: metrics.counter(
                "slow_clients_closed_total",
                "Clients closed because too many notifications waited for them.",
            ),
        })
    }

    /// Takes events as they come, and gives `deliver` the first say on each; what it gives back is shared out. Never
    /// resolves.
    pub(crate) async fn run(&self, deliver: impl Fn(Event) -> Option<Event>) {
        const TAKEN_MAX_EVENTS: u32 = 256;
        const TAKEN_MAX_BYTES: u64 = 1024 * 1024;
        let Some(service) = &self.service else { return std::future::pending().await };
        loop {
            let events = service.take(TAKEN_MAX_EVENTS, TAKEN_MAX_BYTES);
            if events.is_empty() {
                self.wake.notified().await;
                continue;
            }
            for event in events.into_iter().filter_map(known) {
                // A protocol that panics over one event still gets the next.
                if let Some(event) = abi::guard(|| deliver(event), |_panic| None) {
                    self.share_out(event);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn share_out(&self, event: Event) {
        let inboxes = self.inboxes.read();
        match event {
            Event::Notification { connections, notification } => {
                for (id, inbox) in known_of(&inboxes, &connections) {
                    if !inbox.push(&notification) {
                        self.slow_closed.add(1);
                        warn!(connection = id, "client closed: too many notifications wait for it");
                    }
                }
            }
            Event::Close { connections, code, reason } => {
                for (_, inbox) in known_of(&inboxes, &connections) {
                    inbox.close(code, &reason);
                }
            }
        }
    }
}

fn known_of<'a>(
    inboxes: &'a HashMap<u64, Arc<Inbox>>,
    ids: &'a [u64],
) -> impl Iterator<Item = (u64, &'a Arc<Inbox>)> {
    ids.iter().filter_map(|id| inboxes.get(id).map(|inbox| (*id, inbox)))
}

/// An event of a kind that this kit knows.
fn known(event: RequestEvent) -> Option<Event> {
    let RequestEvent { kind, code, connections, channel, payload, reason } = event;
    match kind {
        EVENT_NOTIFICATION => {
            let notification = Notification { channel: channel.as_str().into(), payload };
            Some(Event::Notification { connections, notification })
        }
        EVENT_CLOSE => Some(Event::Close { connections, code, reason }),
        _ => None,
    }
}

impl RequestsClientCalls for Hub {
    fn ready(&self) {
        self.wake.notify_one();
    }
}
