//! What all connections of one instance share.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use kuzzle_plugin_api::sdk::{
    ApiError, Counter, Host,
    serde_json::{Value, json},
};
use kuzzle_stomp_proto::{
    codec::Version,
    session::{Limits, Session},
};

use crate::settings::{self, StompSettings};

/// One running instance.
pub(crate) struct Server {
    /// The way to the broker.
    pub(crate) host: Host,
    /// What operators see.
    pub(crate) counts: Counts,
    limits: Arc<Limits>,
    secrets: [RandomState; 2],
    next_secret: AtomicU64,
    started: Instant,
}

/// A server, held by each of its connections.
pub(crate) type Shared = Arc<Server>;

/// Numbers that operators see.
pub(crate) struct Counts {
    /// Clients of 1.0, 1.1 and 1.2 that are connected.
    pub(crate) clients: [AtomicU64; 3],
    /// Connections that are not read from, because the broker asked for that.
    pub(crate) throttled: AtomicU64,
    /// Messages that were handed to the broker.
    pub(crate) published: Counter,
    /// Messages that were sent to clients.
    pub(crate) delivered: Counter,
    /// Connections refused, or closed for breaking a rule or meeting a limit.
    pub(crate) refused: Counter,
    /// Connections closed because their clients did not read.
    pub(crate) slow: Counter,
}

impl Server {
    /// An instance with these settings.
    ///
    /// # Errors
    /// When the host has no broker.
    pub(crate) fn new(host: Host, settings: &StompSettings) -> Result<Shared, ApiError> {
        if !host.broker().is_offered() {
            let message =
                "cannot serve STOMP: the host does not offer the service `broker`; use a host that does";
            return Err(ApiError::new(503, "plugin.service.absent", message));
        }
        let limits = settings::limits(settings, host.broker().limit("max_message_bytes"));
        Ok(Arc::new(Server {
            limits: Arc::new(limits),
            counts: Counts::new(&host),
            secrets: [RandomState::new(), RandomState::new()],
            next_secret: AtomicU64::new(0),
            started: Instant::now(),
            host,
        }))
    }

    /// The time as sessions count it.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// A time of a session on the clock.
    pub(crate) fn instant(&self, time: Duration) -> Instant {
        self.started + time
    }

    /// A session of a client that has just connected.
    pub(crate) fn session(&self) -> Session {
        let number = self.next_secret.fetch_add(1, Relaxed);
        // Hashes under random keys: others do not guess them, and each number has its own.
        let [high, low] = [0, 1].map(|half| u128::from(self.secrets[half].hash_one(number)));
        Session::new(Arc::clone(&self.limits), high << 64 | low, self.now())
    }
}

impl Counts {
    fn new(host: &Host) -> Counts {
        let metrics = host.metrics();
        Counts {
            clients: Default::default(),
            throttled: AtomicU64::new(0),
            published: metrics
                .counter("stomp_messages_published_total", "Messages that clients handed to the broker."),
            delivered: metrics
                .counter("stomp_messages_delivered_total", "Messages that were sent to clients."),
            refused: metrics.counter(
                "stomp_refused_total",
                "Connections refused, or closed for breaking a rule or meeting a limit.",
            ),
            slow: metrics.counter(
                "stomp_slow_consumers_total",
                "Connections closed because their clients did not read what was sent to them.",
            ),
        }
    }

    /// The number of clients of a version.
    pub(crate) fn clients_of(&self, version: Version) -> &AtomicU64 {
        let [first, second, third] = &self.clients;
        match version {
            Version::V1_0 => first,
            Version::V1_1 => second,
            Version::V1_2 => third,
        }
    }

    /// What the numbers are now.
    pub(crate) fn status(&self) -> Value {
        let [first, second, third] = [0, 1, 2].map(|index| self.clients[index].load(Relaxed));
        json!({
            "clients": { "1.0": first, "1.1": second, "1.2": third },
            "throttled": self.throttled.load(Relaxed),
        })
    }
}
