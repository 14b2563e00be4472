//! What a server lets its MQTT clients do.

use std::time::Duration;

use crate::codec::Limits;

/// A session expiry that never comes (section 3.1.2.11.2).
pub const EXPIRY_NEVER: u32 = u32::MAX;

/// Settings and limits, the same for every session of a listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What one packet may hold.
    pub limits: Limits,
    /// Time from the first byte to the CONNACK. Default 10 s.
    pub connect_timeout: Duration,
    /// Time for a packet that has begun to arrive in full, keep alive or not. Default 60 s.
    pub packet_timeout: Duration,
    /// The longest keep alive; a 5.0 client that asks for more, or for none, is told this one. Default 65,535: none at all
    /// is allowed too.
    pub keep_alive_max_secs: u16,
    /// The longest that a session outlives its connection; [`EXPIRY_NEVER`] for no limit. Default a day. Clients before 5.0
    /// with clean session off get it.
    pub session_expiry_max_secs: u32,
    /// Receive maximum that 5.0 clients are told: messages of QoS 1 and 2 that they may have unacknowledged. Clients before
    /// 5.0 are not read from while so many wait for the broker. Default 1,024.
    pub receive_maximum: u16,
    /// Messages of QoS 1 and 2 that a client may have unacknowledged, when its own receive maximum is not lower. Default 256.
    pub inflight_max: u16,
    /// Topic aliases that a client may set. Default 32.
    pub topic_alias_max: u16,
    /// Topic aliases that are set for a client, when its own maximum is not lower. Default 32.
    pub topic_alias_out_max: u16,
    /// Subscriptions of one session. Default 1,024.
    pub subscriptions_max: usize,
    /// SUBSCRIBE, UNSUBSCRIBE and PUBREL that may wait for the broker before the client is not read from. Default 64.
    pub pending_max: usize,
    /// Messages in one [`Action::Publish`](super::Action::Publish). Default 256.
    pub publish_batch_max: usize,
    /// Things to do that may wait in [`Session::poll_action`](super::Session::poll_action) before the input is left where it
    /// is. Default 1,024.
    pub actions_max: usize,
    /// Bytes of output from which on a client is not read from, and nothing more should be taken for it. Default 256 KiB.
    pub output_high_water_bytes: usize,
    /// What may wait in the broker's outbox for a client without QoS (the newest is dropped above): events. Default 10,000.
    pub outbox_max_events: u32,
    /// As `outbox_max_events`, in bytes. Default 8 MiB.
    pub outbox_max_bytes: u64,
    /// The topic below which a 5.0 client that asks for response information gets one of its own: `<prefix>/<client id>`.
    /// Default none: it is told nothing.
    pub response_prefix: Option<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(10),
            packet_timeout: Duration::from_secs(60),
            keep_alive_max_secs: u16::MAX,
            session_expiry_max_secs: 86_400,
            receive_maximum: 1024,
            inflight_max: 256,
            topic_alias_max: 32,
            topic_alias_out_max: 32,
            subscriptions_max: 1024,
            pending_max: 64,
            publish_batch_max: 256,
            actions_max: 1024,
            output_high_water_bytes: 256 << 10,
            outbox_max_events: 10_000,
            outbox_max_bytes: 8 << 20,
            response_prefix: None,
        }
    }
}
