//! What a plugin sees of the host: one [`InstanceHost`] per generation, and the services behind it.

mod broker;
mod listeners;
mod log;
mod metrics;
mod outbox;
mod requests;

use std::sync::Arc;

use kuzzle_plugin_api::abi::{
    Broker, Host, LayoutMismatch, Listeners, LogLevel, Metrics, Requests, Service, ServiceLookup, ServiceRef,
};

pub(crate) use broker::{BrokerOptions, GenerationBroker};
pub(crate) use listeners::{GenerationListeners, Offered};
pub(crate) use log::PluginLog;
pub(crate) use metrics::InstanceMetrics;
pub(crate) use requests::{GenerationRequests, RequestsOptions};

/// The host, as one generation of an instance sees it.
pub(crate) struct InstanceHost {
    /// Its clients and their requests.
    pub(crate) requests: Arc<GenerationRequests>,
    /// Its use of the broker.
    pub(crate) broker: Arc<GenerationBroker>,
    /// Its sockets.
    pub(crate) listeners: Arc<GenerationListeners>,
    /// Its numbers, shared by all generations of the instance.
    pub(crate) metrics: Arc<InstanceMetrics>,
    /// Its log.
    pub(crate) log: Arc<PluginLog>,
}

impl ServiceLookup for InstanceHost {
    fn service(&self, id: &str, major: u32) -> Option<ServiceRef> {
        match (id, major) {
            (Requests::ID, Requests::MAJOR) => Some(Requests::offer(Arc::clone(&self.requests))),
            (Broker::ID, Broker::MAJOR) => Some(Broker::offer(Arc::clone(&self.broker))),
            (Listeners::ID, Listeners::MAJOR) => Some(Listeners::offer(Arc::clone(&self.listeners))),
            (Metrics::ID, Metrics::MAJOR) => Some(Metrics::offer(Arc::clone(&self.metrics))),
            _ => None,
        }
    }

    fn service_mismatch(&self, id: &str, mismatch: &LayoutMismatch) {
        let instance = self.log.instance();
        tracing::warn!(
            instance,
            service = id,
            reason = mismatch.summary,
            "plugin asked for a service that does not fit"
        );
    }
}

impl Host for InstanceHost {
    fn log(&self, level: LogLevel, target: &str, message: &str, fields: &str) {
        self.log.line(level, target, message, fields);
    }

    fn log_enabled(&self, level: LogLevel) -> bool {
        log::is_enabled(level)
    }
}
