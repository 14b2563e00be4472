//! What all clients of one instance share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use kuzzle_mqtt_proto::{codec::Version, session::Config};
use kuzzle_plugin_api::sdk::{
    Counter, Host,
    serde_json::{Value, json},
};

use crate::settings::{self, MqttSettings};

/// One running instance.
pub(crate) struct Server {
    /// The way to the broker.
    pub(crate) host: Host,
    /// What every session is told.
    pub(crate) config: Arc<Config>,
    /// What operators see.
    pub(crate) counts: Counts,
    started: Instant,
}

/// A server, held by each of its clients.
pub(crate) type Shared = Arc<Server>;

impl Server {
    /// An instance with these settings.
    pub(crate) fn new(host: Host, settings: &MqttSettings) -> Shared {
        let config = Arc::new(settings::config(settings, host.broker()));
        let counts = Counts::new(&host);
        Arc::new(Server { host, config, counts, started: Instant::now() })
    }

    /// The time of sessions: since the instance started.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// When a time of sessions is, or was.
    pub(crate) fn instant(&self, time: Duration) -> tokio::time::Instant {
        (self.started + time).into()
    }

    /// What operators see of the instance.
    pub(crate) fn status(&self) -> Value {
        let clients = |version| self.counts.clients_of(version).load(Ordering::Relaxed);
        json!({
            "clients": {
                "3.1": clients(Version::V31),
                "3.1.1": clients(Version::V311),
                "5.0": clients(Version::V5),
            },
            "messages": {
                "received": self.counts.received.total(),
                "sent": self.counts.sent.total(),
            },
        })
    }
}

/// Numbers that operators see.
pub(crate) struct Counts {
    /// Clients that are connected, by version.
    clients: [AtomicU64; 3],
    /// Messages that clients published.
    pub(crate) received: Total,
    /// Messages that were delivered to clients.
    pub(crate) sent: Total,
    /// CONNECTs that were refused.
    pub(crate) refused: Counter,
    /// Clients that were closed for a fault of theirs.
    pub(crate) faults: Counter,
}

impl Counts {
    fn new(host: &Host) -> Self {
        let metrics = host.metrics();
        let counter = |name, help| metrics.counter(name, help);
        Self {
            clients: Default::default(),
            received: Total::new(counter("mqtt_messages_received_total", "Messages that clients published.")),
            sent: Total::new(counter("mqtt_messages_sent_total", "Messages that were delivered to clients.")),
            refused: counter("mqtt_connects_refused_total", "CONNECTs that were refused."),
            faults: counter(
                "mqtt_clients_closed_total",
                "Clients that were closed for breaking a rule, meeting a limit or being silent.",
            ),
        }
    }

    fn clients_of(&self, version: Version) -> &AtomicU64 {
        match version {
            Version::V31 => &self.clients[0],
            Version::V311 => &self.clients[1],
            Version::V5 => &self.clients[2],
        }
    }
}

/// A number that only grows, for metrics and status.
pub(crate) struct Total {
    counter: Counter,
    total: AtomicU64,
}

impl Total {
    fn new(counter: Counter) -> Self {
        Self { counter, total: AtomicU64::new(0) }
    }

    /// Adds to it.
    pub(crate) fn add(&self, delta: usize) {
        if delta > 0 {
            self.counter.add(delta as u64);
            self.total.fetch_add(delta as u64, Ordering::Relaxed);
        }
    }

    fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }
}

/// Counts one connected client for as long as it exists.
pub(crate) struct Connected {
    server: Shared,
    version: Version,
}

impl Connected {
    /// Counts a client.
    pub(crate) fn new(server: &Shared, version: Version) -> Self {
        server.counts.clients_of(version).fetch_add(1, Ordering::Relaxed);
        Self { server: Arc::clone(server), version }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.server.counts.clients_of(self.version).fetch_sub(1, Ordering::Relaxed);
    }
}
