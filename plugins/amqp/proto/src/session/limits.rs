//! What a connection may ask for and keep, and how long it may take.

use std::time::Duration;

use bytestring::ByteString;

/// Limits, timings and names; the same for every connection of a server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// `product` of the server's properties: shown by tools.
    pub product: ByteString,
    /// `version` of the server's properties.
    pub version: ByteString,
    /// `cluster_name` of the server's properties.
    pub cluster_name: ByteString,
    /// Whether the mechanism ANONYMOUS is offered behind AMQPLAIN and PLAIN. Default: no.
    pub anonymous: bool,
    /// Channels that a connection may have open. Default: 2047.
    pub channel_max: u16,
    /// Octets of a frame, at least 4096. Default: 131,072.
    pub frame_max: u32,
    /// Seconds between heartbeats that are proposed; the client decides. Default: 60.
    pub heartbeat_secs: u16,
    /// Octets of a frame before the connection is open. Default: 8192.
    pub handshake_frame_max: u32,
    /// From the connection to `connection.open`. Default: 10 s.
    pub handshake_timeout: Duration,
    /// Pause before a refused client is cut off, so that it cannot try passwords quickly. Default: 3 s.
    pub refusal_delay: Duration,
    /// From a `close` to its `close-ok`. Default: 10 s.
    pub close_timeout: Duration,
    /// How long a `close-ok` may wait for answers to what was published. Default: 5 s.
    pub quiesce_timeout: Duration,
    /// From the first octet of a frame to the last. Default: 30 s.
    pub frame_timeout: Duration,
    /// How long a delivery may wait for its acknowledgement before its channel is closed; zero: for ever. It is noticed
    /// with a delay of at most an eighth of that. Default: 30 min.
    pub acknowledgement_timeout: Duration,
    /// How long a client may leave what is sent to it unread. Default: 60 s.
    pub write_timeout: Duration,
    /// Octets of the largest body. Default: 128 MiB.
    pub message_max_bytes: u64,
    /// Octets of all bodies of a connection that are not whole yet. Default: 256 MiB.
    pub assembling_max_bytes: usize,
    /// Octets of properties and bodies that wait for the commit of a channel. Default: 64 MiB.
    pub transaction_max_bytes: usize,
    /// Publishes and acknowledgements that wait for the commit of a channel. Default: 100,000.
    pub transaction_max_count: usize,
    /// Consumers of a channel. Default: 10,000.
    pub consumers_max: usize,
    /// Deliveries of a channel that may be unacknowledged; beyond, nothing is taken for it. Default: 1,000,000.
    pub unsettled_max: usize,
    /// Octets that may wait to be written; beyond, nothing is read nor taken. Default: 512 KiB.
    pub output_max_bytes: usize,
    /// Octets of properties and bodies handed over in one batch, about. Default: 1 MiB.
    pub batch_max_bytes: usize,
    /// Actions of a batch. Default: 256.
    pub batch_max_actions: usize,
    /// Operations of a connection under way; beyond, nothing is read. Default: 1024.
    pub operations_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            product: ByteString::from_static("kuzzle-host"),
            version: ByteString::from_static(env!("CARGO_PKG_VERSION")),
            cluster_name: ByteString::from_static("kuzzle"),
            anonymous: false,
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat_secs: 60,
            handshake_frame_max: 8192,
            handshake_timeout: Duration::from_secs(10),
            refusal_delay: Duration::from_secs(3),
            close_timeout: Duration::from_secs(10),
            quiesce_timeout: Duration::from_secs(5),
            frame_timeout: Duration::from_secs(30),
            acknowledgement_timeout: Duration::from_secs(1800),
            write_timeout: Duration::from_secs(60),
            message_max_bytes: 128 << 20,
            assembling_max_bytes: 256 << 20,
            transaction_max_bytes: 64 << 20,
            transaction_max_count: 100_000,
            consumers_max: 10_000,
            unsettled_max: 1_000_000,
            output_max_bytes: 512 << 10,
            batch_max_bytes: 1 << 20,
            batch_max_actions: 256,
            operations_max: 1024,
        }
    }
}

impl Limits {
    /// How precisely the ages of deliveries are kept.
    pub(super) fn acknowledgement_grain(&self) -> Duration {
        self.acknowledgement_timeout / 8
    }
}
