//! The fake host's `metrics`.

use std::sync::Arc;

use kuzzle_plugin_api::abi::{ApiError, METRIC_COUNTER, METRIC_GAUGE, MetricsCalls};

use crate::host::Shared;
use crate::state::Metric;

pub(crate) struct FakeMetrics(pub(crate) Arc<Shared>);

impl MetricsCalls for FakeMetrics {
    fn register(&self, name: &str, kind: u32, _help: &str) -> Result<u32, ApiError> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || !name.bytes().all(is_name) || (kind != METRIC_COUNTER && kind != METRIC_GAUGE) {
            return Err(ApiError::new(
                400,
                "metrics.register",
                format!("bad metric `{name}` of kind {kind}"),
            ));
        }
        self.0.change(|state| {
            let number = match state.metrics.iter().position(|metric| metric.name == name) {
                Some(known) if state.metrics.get(known).is_some_and(|metric| metric.kind == kind) => known,
                Some(_) => {
                    let message = format!("metric `{name}` exists with another kind");
                    return Err(ApiError::new(400, "metrics.register", message));
                }
                None => {
                    state.metrics.push(Metric { name: name.to_owned(), kind, value: 0 });
                    state.metrics.len() - 1
                }
            };
            u32::try_from(number).map_err(|_| ApiError::new(429, "metrics.register", "too many metrics"))
        })
    }

    fn add(&self, metric: u32, delta: i64) {
        self.0.change(|state| {
            if let Some(metric) = state.metrics.get_mut(metric as usize)
                && (metric.kind == METRIC_GAUGE || delta > 0)
            {
                metric.value = metric.value.saturating_add(delta);
            }
        });
    }

    fn set(&self, metric: u32, value: i64) {
        self.0.change(|state| {
            if let Some(metric) = state.metrics.get_mut(metric as usize)
                && metric.kind == METRIC_GAUGE
            {
                metric.value = value;
            }
        });
    }
}
