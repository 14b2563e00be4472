//! Numbers that a plugin shows to operators.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use kuzzle_plugin_api::abi::{ApiError, METRIC_COUNTER, METRIC_GAUGE, MetricsCalls};
use parking_lot::Mutex;

/// Metrics that one instance may declare.
const METRICS_MAX: usize = 1024;
/// Longest name, in bytes.
const NAME_MAX: usize = 128;

/// The metrics of an instance. They outlive its generations, so that a counter never runs backwards.
pub(crate) struct InstanceMetrics {
    /// Kind and value by number; a kind of 0 is a number that was not given yet.
    slots: Box<[Slot]>,
    /// Names in the order of their numbers.
    names: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Slot {
    kind: AtomicU32,
    value: AtomicI64,
}

impl Default for InstanceMetrics {
    fn default() -> Self {
        Self { slots: (0..METRICS_MAX).map(|_| Slot::default()).collect(), names: Mutex::default() }
    }
}

impl InstanceMetrics {
    /// Every metric with its value now.
    pub(crate) fn values(&self) -> BTreeMap<String, i64> {
        let names = self.names.lock();
        let values = self.slots.iter().map(|slot| slot.value.load(Ordering::Relaxed));
        names.iter().cloned().zip(values).collect()
    }

    fn slot(&self, metric: u32) -> Option<&Slot> {
        self.slots.get(usize::try_from(metric).ok()?)
    }
}

impl MetricsCalls for InstanceMetrics {
    fn register(&self, name: &str, kind: u32, _help: &str) -> Result<u32, ApiError> {
        let refused = |status, id, message| Err(ApiError::new(status, id, message));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let starts_well = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        if !starts_well || name.len() > NAME_MAX || !name.bytes().all(plain) {
            let message =
                format!("`{name}` cannot name a metric, expected lower-case letters, digits and underscores");
            return refused(400, "plugin.metrics.name", message);
        }
        if kind != METRIC_COUNTER && kind != METRIC_GAUGE {
            return refused(
                400,
                "plugin.metrics.kind",
                format!("metric `{name}` has the unknown kind {kind}"),
            );
        }
        let mut names = self.names.lock();
        let number = names.iter().position(|known| known == name).unwrap_or(names.len());
        let Some(slot) = self.slots.get(number) else {
            let message = format!("metric `{name}` is one too many: an instance may declare {METRICS_MAX}");
            return refused(429, "plugin.metrics.limit", message);
        };
        if number == names.len() {
            slot.kind.store(kind, Ordering::Release);
            names.push(name.to_owned());
        } else if slot.kind.load(Ordering::Acquire) != kind {
            return refused(
                400,
                "plugin.metrics.kind",
                format!("metric `{name}` was declared with another kind"),
            );
        }
        // At most `METRICS_MAX`.
        Ok(number as u32)
    }

    fn add(&self, metric: u32, delta: i64) {
        let Some(slot) = self.slot(metric) else { return };
        let kind = slot.kind.load(Ordering::Acquire);
        if kind == METRIC_GAUGE || (kind == METRIC_COUNTER && delta >= 0) {
            slot.value.fetch_add(delta, Ordering::Relaxed);
        }
    }

    fn set(&self, metric: u32, value: i64) {
        if let Some(slot) = self.slot(metric)
            && slot.kind.load(Ordering::Acquire) == METRIC_GAUGE
        {
            slot.value.store(value, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_grow_and_gauges_move() {
        let metrics = InstanceMetrics::default();
        let counter = metrics.register("frames_total", METRIC_COUNTER, "").unwrap();
        let gauge = metrics.register("open", METRIC_GAUGE, "").unwrap();
        assert_eq!(metrics.register("frames_total", METRIC_COUNTER, "again").unwrap(), counter);
        metrics.add(counter, 2);
        metrics.add(counter, -1);
        metrics.set(counter, 99);
        metrics.add(gauge, 5);
        metrics.add(gauge, -2);
        metrics.add(77, 1);
        metrics.add(u32::MAX, 1);
        assert_eq!(metrics.values(), BTreeMap::from([("frames_total".into(), 2), ("open".into(), 3)]));
        metrics.set(gauge, -7);
        assert_eq!(metrics.values()["open"], -7);
    }

    #[test]
    fn bad_names_kinds_and_floods_are_refused() {
        let metrics = InstanceMetrics::default();
        let status = |name: &str, kind| metrics.register(name, kind, "").map_err(|error| error.status);
        assert_eq!(status("Open", METRIC_GAUGE), Err(400));
        assert_eq!(status("", METRIC_GAUGE), Err(400));
        assert_eq!(status("_x", METRIC_GAUGE), Err(400));
        assert_eq!(status("open", 9), Err(400));
        assert_eq!(status("open", METRIC_GAUGE), Ok(0));
        assert_eq!(status("open", METRIC_COUNTER), Err(400));
        for number in 1..METRICS_MAX {
            assert_eq!(status(&format!("m{number}"), METRIC_GAUGE), Ok(number as u32));
        }
        assert_eq!(status("one_more", METRIC_GAUGE), Err(429));
    }
}
