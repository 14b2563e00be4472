//! What can be set, and the limits on what clients can ask for.

/// Settings of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Limits on what clients can ask for.
    pub limits: Limits,
    /// Messages in memory beyond which publishers are blocked, in bytes; twice as much refuses them. Default 512 MiB.
    pub memory_max_bytes: u64,
    /// Messages in memory beyond which queues leave theirs in the journal, in bytes. Default 256 MiB. Without a journal it
    /// means nothing.
    pub page_out_above_bytes: u64,
    /// Free space below which publishers are blocked, in bytes. Default 64 MiB.
    pub disk_free_min_bytes: u64,
    /// What may wait to be written before publishers are throttled, in bytes. Default 32 MiB.
    pub journal_waiting_max_bytes: u64,
    /// Size of one file of the journal, in bytes. Default 32 MiB.
    pub segment_bytes: u64,
    /// Whether messages that the host takes are also routed to queues. Default no.
    pub ingress_is_routed: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            memory_max_bytes: 512 << 20,
            page_out_above_bytes: 256 << 20,
            disk_free_min_bytes: 64 << 20,
            journal_waiting_max_bytes: 32 << 20,
            segment_bytes: 32 << 20,
            ingress_is_routed: false,
        }
    }
}

/// Limits on what clients can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body. Default 128 MiB.
    pub message_bytes: usize,
    /// Default 2,047.
    pub links_per_connection: usize,
    /// Default 65,535.
    pub consumers_per_link: usize,
    /// Default 1,000,000.
    pub queues_per_vhost: usize,
    /// Default 100,000.
    pub exchanges_per_vhost: usize,
    /// To one queue or exchange. Default 100,000.
    pub bindings_per_queue: usize,
    /// Words of a pattern, and of the key of a retained message. Default 256.
    pub key_words: usize,
    /// Of one exchange. Default 1,000,000.
    pub retained_messages: usize,
    /// Bytes of one note of a session, key included. Default 64 KiB.
    pub note_bytes: usize,
    /// Default 10,000.
    pub notes_per_session: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 128 << 20,
            links_per_connection: 2_047,
            consumers_per_link: 65_535,
            queues_per_vhost: 1_000_000,
            exchanges_per_vhost: 100_000,
            bindings_per_queue: 100_000,
            key_words: 256,
            retained_messages: 1_000_000,
            note_bytes: 64 << 10,
            notes_per_session: 10_000,
        }
    }
}
