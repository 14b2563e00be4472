//! Log lines of plugins, on their way into the host's log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kuzzle_plugin_api::abi::LogLevel;
use parking_lot::Mutex;
use tracing::Level;

/// Lines that an instance may write at once.
const BURST: u32 = 400;
/// Lines per second that it may write in the long run.
const PER_SECOND: u32 = 100;
/// Longest message, in bytes.
const MESSAGE_MAX: usize = 4 * 1024;
/// Longest text of fields, in bytes.
const FIELDS_MAX: usize = 8 * 1024;
/// Longest target, in bytes.
const TARGET_MAX: usize = 128;

/// The log of an instance: says whose line it is, cuts what is too long and drops what comes too fast.
pub(crate) struct PluginLog {
    instance: Arc<str>,
    bucket: Mutex<Bucket>,
}

/// Lets lines through at a bounded rate, and counts the others.
struct Bucket {
    lines: u32,
    filled: Instant,
    dropped: u64,
}

impl PluginLog {
    /// The log of the instance of that name.
    pub(crate) fn new(instance: Arc<str>) -> Self {
        Self { instance, bucket: Mutex::new(Bucket { lines: BURST, filled: Instant::now(), dropped: 0 }) }
    }

    /// Name of the instance.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    pub(super) fn line(&self, level: LogLevel, target: &str, message: &str, fields: &str) {
        if !is_enabled(level) {
            return;
        }
        let Some(dropped) = self.bucket.lock().take(Instant::now()) else { return };
        let instance = &*self.instance;
        if dropped > 0 {
            tracing::warn!(target: "plugin", instance, dropped, "plugin log lines dropped");
        }
        let (part, message, fields) =
            (cut(target, TARGET_MAX), cut(message, MESSAGE_MAX), cut(fields, FIELDS_MAX));
        match level {
            LogLevel::Error => tracing::error!(target: "plugin", instance, part, fields, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "plugin", instance, part, fields, "{message}"),
            LogLevel::Info => tracing::info!(target: "plugin", instance, part, fields, "{message}"),
            LogLevel::Debug => tracing::debug!(target: "plugin", instance, part, fields, "{message}"),
            LogLevel::Trace => tracing::trace!(target: "plugin", instance, part, fields, "{message}"),
        }
    }
}

impl Bucket {
    /// Whether one more line may pass, and then how many did not since the last that did.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let since = now.saturating_duration_since(self.filled);
        let earned = since.as_millis().saturating_mul(PER_SECOND.into()) / 1000;
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(BURST);
            self.lines = self.lines.saturating_add(earned).min(BURST);
            // What is left of a line goes on counting.
            self.filled += Duration::from_millis(u64::from(earned) * 1000 / u64::from(PER_SECOND)).min(since);
        }
        if self.lines == 0 {
            self.dropped += 1;
            return None;
        }
        self.lines -= 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

/// Whether lines of that level are written at all.
pub(super) fn is_enabled(level: LogLevel) -> bool {
    match level {
        LogLevel::Error => tracing::enabled!(target: "plugin", Level::ERROR),
        LogLevel::Warn => tracing::enabled!(target: "plugin", Level::WARN),
        LogLevel::Info => tracing::enabled!(target: "plugin", Level::INFO),
        LogLevel::Debug => tracing::enabled!(target: "plugin", Level::DEBUG),
        LogLevel::Trace => tracing::enabled!(target: "plugin", Level::TRACE),
    }
}

fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let start = Instant::now();
        let mut bucket = Bucket { lines: BURST, filled: start, dropped: 0 };
        let passed = (0..BURST * 2).filter(|_| bucket.take(start).is_some()).count();
        assert_eq!(passed, BURST as usize);
        assert_eq!(bucket.take(start + Duration::from_millis(5)), None);
        assert_eq!(bucket.take(start + Duration::from_millis(10)), Some(u64::from(BURST) + 1));
        assert_eq!(bucket.take(start + Duration::from_millis(11)), None);
        let second =
            (0..1_000).filter(|_| bucket.take(start + Duration::from_millis(1_010)).is_some()).count();
        assert_eq!(second, PER_SECOND as usize);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("aéb", 2), "a");
        assert_eq!(cut("aéb", 3), "aé");
        assert_eq!(cut("abc", 9), "abc");
    }
}
