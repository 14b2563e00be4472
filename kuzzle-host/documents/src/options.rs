use std::time::Duration;

/// When a write is answered, relative to the moment it is on stable storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncPolicy {
    /// After the sync that covers it: an answered write survives `kill -9` and power loss. The default. Waiting
    /// writes share one sync, so the cost per write falls as the load rises.
    #[default]
    Always,
    /// At once; a sync follows every so many milliseconds (at least 1). Survives `kill -9`; power loss may take the
    /// writes answered since the last sync.
    IntervalMs(u64),
    /// At once; the operating system syncs when it likes. Survives `kill -9`; power loss may take the writes answered
    /// in the last half minute or so.
    Os,
}

/// How a data directory is opened. `Options::default()` serves most installations.
#[derive(Debug, Clone)]
pub struct Options {
    /// When writes are answered. Default: [`SyncPolicy::Always`].
    pub sync: SyncPolicy,
    /// Memory for cached pages of the store, in bytes. Default 8 MiB; taken as pages are used, not at start. The
    /// operating system's page cache stands behind it, so a small value costs system calls rather than disk reads.
    pub cache_bytes: usize,
    /// Writes that may wait at once; one more is refused with [`Error::Overloaded`](crate::Error::Overloaded).
    /// Default 16,384, at least 1.
    pub queue_limit: usize,
    /// Bytes of documents that may wait at once, refused likewise. Default 64 MiB. A single write is always let in.
    pub queue_bytes: usize,
    /// Space for the journal, in bytes, taken when the data directory is made. Default 16 MiB, at least 128 KiB. Half of
    /// it may wait to be brought into the store, and is held in memory meanwhile: more makes sustained writing cheaper,
    /// less makes memory under load smaller and the start after a crash quicker.
    pub journal_bytes: u64,
    /// Free space, in bytes, below which writes are refused with [`Error::Unavailable`](crate::Error::Unavailable)
    /// until more is free again. Default 16 MiB.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync: SyncPolicy::Always,
            cache_bytes: 8 << 20,
            queue_limit: 16_384,
            queue_bytes: 64 << 20,
            journal_bytes: 16 << 20,
            reserve_bytes: 16 << 20,
        }
    }
}

/// Shortest interval that [`SyncPolicy::IntervalMs`] is taken for.
pub(crate) const SYNC_INTERVAL_MIN: Duration = Duration::from_millis(1);
