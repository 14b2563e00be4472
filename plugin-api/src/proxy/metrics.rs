//! Metrics on the plugin's side: numbers are given here, and changes are added up until they are sent.

use std::sync::atomic::{AtomicBool, Ordering};

use abi_stable::std_types::RString;
use parking_lot::{Mutex, RwLock};

use super::messages::ToHost;
use crate::abi::{ApiError, METRIC_COUNTER, METRIC_GAUGE};

/// How many metrics an instance may have.
pub(super) const METRICS_LIMIT: usize = 1024;
const NAME_BYTES_LIMIT: usize = 200;
const HELP_BYTES_LIMIT: usize = 2_000;

/// The metrics of an instance.
#[derive(Default)]
pub(super) struct FarMetrics {
    metrics: RwLock<Vec<Metric>>,
    changed: AtomicBool,
    sending: Mutex<()>,
}

struct Metric {
    name: String,
    kind: u32,
    change: Mutex<Change>,
}

/// What has happened since the last sending: set first, if at all, then added to.
#[derive(Default)]
struct Change {
    set: Option<i64>,
    delta: i64,
}

impl FarMetrics {
    /// Declares a metric. `send` is called, for a new one, before anybody can change it.
    pub(super) fn register(
        &self,
        name: &str,
        kind: u32,
        help: &str,
        send: impl FnOnce(&ToHost),
    ) -> Result<u32, ApiError> {
        let refused = |status, text| Err(ApiError::new(status, "plugin.metric.refused", text));
        if !is_name(name) {
            return refused(
                400,
                format!(
                    "metric `{name}`: expected lower case letters, digits and underscores, a letter first"
                ),
            );
        }
        if kind != METRIC_COUNTER && kind != METRIC_GAUGE {
            return refused(
                400,
                format!("metric `{name}` has kind {kind}, expected 1 (counter) or 2 (gauge)"),
            );
        }
        if help.len() > HELP_BYTES_LIMIT {
            return refused(
                400,
                format!("the help of metric `{name}` has more than {HELP_BYTES_LIMIT} bytes"),
            );
        }
        let mut metrics = self.metrics.write();
        if let Some((number, known)) = (0..).zip(metrics.iter()).find(|(_, metric)| metric.name == name) {
            if known.kind != kind {
                return refused(
                    400,
                    format!("metric `{name}` is known as kind {}, found kind {kind}", known.kind),
                );
            }
            return Ok(number);
        }
        if metrics.len() >= METRICS_LIMIT {
            return refused(
                429,
                format!("metric `{name}`: an instance may have {METRICS_LIMIT} metrics, and has them"),
            );
        }
        let number = u32::try_from(metrics.len()).unwrap_or(u32::MAX);
        send(&ToHost::MetricRegister { metric: number, name: name.into(), kind, help: RString::from(help) });
        metrics.push(Metric { name: name.to_owned(), kind, change: Mutex::default() });
        Ok(number)
    }

    /// Adds to a metric; says whether this is the first change since the last sending.
    pub(super) fn add(&self, metric: u32, delta: i64) -> bool {
        self.change(metric, |kind, change| {
            if kind == METRIC_GAUGE || delta > 0 {
                change.delta = change.delta.wrapping_add(delta);
            }
        })
    }

    /// Sets a gauge; says whether this is the first change since the last sending.
    pub(super) fn set(&self, metric: u32, value: i64) -> bool {
        self.change(metric, |kind, change| {
            if kind == METRIC_GAUGE {
                *change = Change { set: Some(value), delta: 0 };
            }
        })
    }

    fn change(&self, metric: u32, apply: impl FnOnce(u32, &mut Change)) -> bool {
        let metrics = self.metrics.read();
        let Some(metric) = metrics.get(metric as usize) else { return false };
        apply(metric.kind, &mut metric.change.lock());
        drop(metrics);
        !self.changed.swap(true, Ordering::AcqRel)
    }

    /// Sends what has changed. Changes made before this is called have been handed to `send` when it returns.
    pub(super) fn flush(&self, mut send: impl FnMut(&ToHost)) {
        // Taken even when nothing has changed: another thread may be about to send what this one has changed.
        let sending = self.sending.lock();
        if self.changed.swap(false, Ordering::AcqRel) {
            for (number, metric) in (0_u32..).zip(self.metrics.read().iter()) {
                let change = std::mem::take(&mut *metric.change.lock());
                if let Some(value) = change.set {
                    send(&ToHost::MetricSet { metric: number, value: value.wrapping_add(change.delta) });
                } else if change.delta != 0 {
                    send(&ToHost::MetricAdd { metric: number, delta: change.delta });
                }
            }
        }
        drop(sending);
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_LIMIT
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
