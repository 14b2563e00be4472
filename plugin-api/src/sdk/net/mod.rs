//! Sockets of an instance: from the listeners that the host has bound to connections that a protocol serves.

mod accept;
mod connection;
mod listener;
mod metrics;
mod proxy_protocol;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod websocket;

pub(crate) use accept::{Serve, accept_loop};
pub use connection::Connection;
pub(crate) use listener::BoundListener;
pub(crate) use metrics::NetMetrics;
pub use proxy_protocol::{ProxyError, ProxyHeader, V1_MAX_BYTES, V2_MAX_BYTES, parse_proxy_header};

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Lifecycle;
use connection::Ending;

/// How long a client has for the PROXY protocol header, after it for the TLS handshake, and after that for the handshake of
/// a WebSocket.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a protocol has to end a connection that was idle for too long before it is cut.
pub const IDLE_GOODBYE: Duration = Duration::from_secs(5);

/// What the connections of one instance share.
pub(crate) struct Net {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) metrics: NetMetrics,
    /// 0 is unlimited.
    pub(crate) max_connections: usize,
    /// Zero is never.
    pub(crate) idle_timeout: Duration,
    pub(crate) started: Instant,
    pub(crate) cut: AtomicU32,
    open: AtomicUsize,
    changed: Notify,
}

impl Net {
    pub(crate) fn new(
        lifecycle: Lifecycle,
        metrics: NetMetrics,
        max_connections: usize,
        idle_timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            lifecycle,
            metrics,
            max_connections,
            idle_timeout,
            started: Instant::now(),
            cut: AtomicU32::new(0),
            open: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// A place for one more connection, unless the limit is reached.
    pub(crate) fn place(self: &Arc<Self>) -> Option<Place> {
        let limit = if self.max_connections == 0 { usize::MAX } else { self.max_connections };
        let taken = self
            .open
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| (open < limit).then_some(open + 1));
        taken.ok()?;
        self.metrics.connections.add(1);
        Some(Place { net: Arc::clone(self) })
    }

    /// Resolves when no connection is open.
    pub(crate) async fn all_closed(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.open() == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// Counts one open connection for as long as it exists.
pub(crate) struct Place {
    net: Arc<Net>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.net.metrics.connections.add(-1);
        if self.net.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.net.changed.notify_waiters();
        }
    }
}
