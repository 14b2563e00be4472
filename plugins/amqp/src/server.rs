//! What all connections of one instance share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use kuzzle_amqp_proto::session::{Limits, Session};
use kuzzle_plugin_api::sdk::{
    ApiError, Counter, Host,
    serde_json::{Value, json},
};

use crate::settings::{self, AmqpSettings};

/// One running instance.
pub(crate) struct Server {
    /// The way to the broker.
    pub(crate) host: Host,
    /// What operators see.
    pub(crate) counts: Counts,
    limits: Arc<Limits>,
    ids: Arc<AtomicU64>,
    seed: u64,
    started: Instant,
}

/// A server, held by each of its connections.
pub(crate) type Shared = Arc<Server>;

/// Numbers that operators see.
pub(crate) struct Counts {
    /// Channels that are open.
    pub(crate) channels: AtomicU64,
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
    pub(crate) fn new(host: Host, settings: &AmqpSettings) -> Result<Shared, ApiError> {
        if !host.broker().is_offered() {
            let message =
                "cannot serve AMQP: the host does not offer the service `broker`; use a host that does";
            return Err(ApiError::new(503, "plugin.service.absent", message));
        }
        let limits = settings::limits(settings, host.broker().limit("max_message_bytes"));
        Ok(Arc::new(Server {
            limits: Arc::new(limits),
            counts: Counts::new(&host),
            ids: Arc::new(AtomicU64::new(1)),
            seed: random(),
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
        Session::new(Arc::clone(&self.limits), Arc::clone(&self.ids), self.seed, self.now())
    }
}

impl Counts {
    fn new(host: &Host) -> Counts {
        let metrics = host.metrics();
        Counts {
            channels: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            published: metrics
                .counter("amqp_messages_published_total", "Messages that clients handed to the broker."),
            delivered: metrics
                .counter("amqp_messages_delivered_total", "Messages that were sent to clients."),
            refused: metrics.counter(
                "amqp_refused_total",
                "Connections refused, or closed for breaking a rule or meeting a limit.",
            ),
            slow: metrics.counter(
                "amqp_slow_consumers_total",
                "Connections closed because their clients did not read what was sent to them.",
            ),
        }
    }

    /// What the numbers are now.
    pub(crate) fn status(&self) -> Value {
        json!({ "channels": self.channels.load(Relaxed), "throttled": self.throttled.load(Relaxed) })
    }
}

/// A number that others do not guess: the hash of nothing under the random keys of a new hasher.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(())
}
