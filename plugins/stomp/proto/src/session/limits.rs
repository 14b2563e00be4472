//! What a connection may ask for and keep, and how long it may take.

use std::time::Duration;

use bytestring::ByteString;

use crate::codec::FrameLimits;

/// Limits, timings and names; the same for every connection of a server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// `server` of `CONNECTED`: a name, a slash, a version.
    pub server: ByteString,
    /// Whether an `ERROR` ends connections of 1.1 and 1.2, as these say it must (1.2, "ERROR"). Otherwise they stay open
    /// after mistakes that the broker has not seen, as those of 1.0 do. Default: yes.
    pub error_closes: bool,
    /// How large frames may be.
    pub frame: FrameLimits,
    /// Octets of the head of `CONNECT`, and of anything else before it. Default: 8192.
    pub connect_max_bytes: usize,
    /// From the connection to `CONNECTED`. Default: 10 s.
    pub connect_timeout: Duration,
    /// From the first octet of a frame to the last. Default: 60 s.
    pub frame_timeout: Duration,
    /// How long a client may leave what is sent to it unread. Default: 60 s.
    pub write_timeout: Duration,
    /// How long the end of a connection may wait for answers to what was published on it. Default: 5 s.
    pub quiesce_timeout: Duration,
    /// Shortest interval between heart-beats, either way. Default: 1 s.
    pub heart_beat_min: Duration,
    /// Subscriptions, queues for answers included. Default: 1000.
    pub subscriptions_max: usize,
    /// Deliveries that may be unacknowledged; beyond, the client gets no more. Default: 100,000.
    pub unsettled_max: usize,
    /// Transactions that may be open. Default: 100.
    pub transactions_max: usize,
    /// Octets that wait for the commits of all transactions. Default: 64 MiB.
    pub transaction_max_bytes: usize,
    /// Frames that wait for the commits of all transactions. Default: 100,000.
    pub transaction_max_steps: usize,
    /// Octets that may wait to be written; beyond, nothing is read nor taken. Default: 512 KiB.
    pub output_max_bytes: usize,
    /// Octets of properties and bodies handed over in one batch, about. Default: 1 MiB.
    pub batch_max_bytes: usize,
    /// Actions of a batch. Default: 256.
    pub batch_max_actions: usize,
    /// Operations and receipts under way; beyond, nothing is read. Default: 4096.
    pub operations_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            server: ByteString::from_static(concat!("kuzzle-host/", env!("CARGO_PKG_VERSION"))),
            error_closes: true,
            frame: FrameLimits::default(),
            connect_max_bytes: 8192,
            connect_timeout: Duration::from_secs(10),
            frame_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            quiesce_timeout: Duration::from_secs(5),
            heart_beat_min: Duration::from_secs(1),
            subscriptions_max: 1000,
            unsettled_max: 100_000,
            transactions_max: 100,
            transaction_max_bytes: 64 << 20,
            transaction_max_steps: 100_000,
            output_max_bytes: 512 << 10,
            batch_max_bytes: 1 << 20,
            batch_max_actions: 256,
            operations_max: 4096,
        }
    }
}
