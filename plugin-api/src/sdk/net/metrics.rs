//! What the kit counts for every protocol.

use crate::sdk::metrics::{Counter, Gauge, Metrics};

/// Metrics of an instance's connections.
pub(crate) struct NetMetrics {
    pub(crate) connections: Gauge,
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) handshakes_failed: Counter,
    pub(crate) idle_closed: Counter,
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
}

impl NetMetrics {
    pub(crate) fn declare(metrics: &Metrics) -> Self {
        Self {
            connections: metrics.gauge("connections", "Connections that are open."),
            accepted: metrics.counter("connections_accepted_total", "Connections that were accepted."),
            refused: metrics.counter(
                "connections_refused_total",
                "Connections closed at once because of `max_connections`.",
            ),
            handshakes_failed: metrics.counter(
                "handshakes_failed_total",
                "Connections whose PROXY protocol header, TLS handshake or WebSocket handshake was bad or late.",
            ),
            idle_closed: metrics.counter(
                "idle_connections_closed_total",
                "Connections closed because of `idle_timeout_secs`.",
            ),
            received: metrics.counter("bytes_received_total", "Bytes that clients sent, inside TLS and WebSocket frames."),
            sent: metrics.counter("bytes_sent_total", "Bytes sent to clients, inside TLS and WebSocket frames."),
        }
    }
}
