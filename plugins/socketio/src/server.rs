//! What all clients of one instance share.

use std::{fmt, net::SocketAddr, sync::Arc};

use kuzzle_plugin_api::sdk::{ConnectionInfo, Counter, Host, Lifecycle, Notification};
use kuzzle_socketio_proto::{message, session::Limits};

use crate::{origins::Origins, sessions::Sessions, settings::SocketIoSettings};

/// Binary attachments that one event may announce. They are thrown away, since a request is JSON alone.
const ATTACHMENTS_MAX: u32 = 64;

/// One running instance.
pub(crate) struct Server {
    /// The way to the API.
    pub(crate) host: Host,
    /// As configured.
    pub(crate) settings: SocketIoSettings,
    /// The settings that a session needs.
    pub(crate) limits: Arc<Limits>,
    /// Who may connect from a web page.
    pub(crate) origins: Origins,
    /// The sessions on long-polling.
    pub(crate) sessions: Arc<Sessions>,
    /// What operators see.
    pub(crate) counts: Counts,
}

/// A server, held by each of its clients.
pub(crate) type Shared = Arc<Server>;

/// Numbers that operators see.
pub(crate) struct Counts {
    /// Messages that were no request and had no address to answer to.
    pub(crate) dropped: Counter,
    /// HTTP requests refused, and clients closed for breaking a rule or meeting a limit.
    pub(crate) refused: Counter,
    /// Clients closed because they did not read.
    pub(crate) slow: Counter,
}

impl Server {
    /// An instance with these settings.
    pub(crate) fn new(host: Host, settings: SocketIoSettings) -> Shared {
        let limits = Limits {
            request_event: settings.room.clone(),
            ping_interval: settings.ping_interval_millis,
            ping_timeout: settings.ping_timeout_millis,
            connect_timeout: settings.connect_timeout_secs,
            outbox_max_bytes: bytes(settings.outbox_max_bytes),
            attachments_max: ATTACHMENTS_MAX,
        };
        let metrics = host.metrics();
        let counts = Counts {
            dropped: metrics.counter(
                "socketio_messages_dropped_total",
                "Messages that were no request and had no address to answer to.",
            ),
            refused: metrics.counter(
                "socketio_refused_total",
                "HTTP requests refused, and clients closed for breaking a rule or meeting a limit.",
            ),
            slow: metrics.counter(
                "socketio_slow_consumers_total",
                "Clients closed because they did not read what was sent to them.",
            ),
        };
        Arc::new(Server {
            limits: Arc::new(limits),
            origins: Origins::new(&settings.origins),
            sessions: Sessions::new(bytes(settings.polling_sessions_max)),
            counts,
            host,
            settings,
        })
    }

    /// When to say goodbye.
    pub(crate) fn lifecycle(&self) -> Lifecycle {
        self.host.lifecycle()
    }

    /// Largest message or body, either way.
    pub(crate) fn message_max_bytes(&self) -> usize {
        bytes(self.settings.message_max_bytes)
    }

    /// Turns the payload of a notification into the packet that carries it: once for all clients of the instance, who
    /// share its bytes. None when there is nothing to send.
    pub(crate) fn encode(&self, notification: &Notification) -> Option<Notification> {
        let Ok(json) = std::str::from_utf8(notification.payload.as_ref()) else {
            tracing::error!(channel = %notification.channel, "a notification of the host is not UTF-8");
            return None;
        };
        let packet = message::event(&notification.channel, json);
        Some(Notification { channel: Arc::clone(&notification.channel), payload: packet.into_bytes().into() })
    }
}

/// A limit from the settings as a size in memory.
pub(crate) fn bytes(setting: u64) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}

/// The other end of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// The address that it connected to.
    pub(crate) local: SocketAddr,
    /// Id of the listener that it came through.
    pub(crate) listener: u64,
    /// Whether its bytes go over TLS.
    pub(crate) tls: bool,
}

impl Peer {
    /// What the host is told of a client at this end.
    pub(crate) fn info(&self) -> ConnectionInfo {
        ConnectionInfo::new()
            .with("remote", self.address.to_string())
            .with("local", self.local.to_string())
            .with("listener", self.listener)
            .with("tls", self.tls)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
