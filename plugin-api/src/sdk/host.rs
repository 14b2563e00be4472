//! A protocol's hold on its host.

use std::sync::Arc;

use super::Lifecycle;
use super::broker::{self, Broker};
use super::metrics::Metrics;
use super::requests::{Hub, Requests};
use crate::abi::{HostRef, Service, StartArguments};

/// What a protocol may use of its host. Clones share it.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    host: HostRef,
    instance: String,
    generation: u64,
    lifecycle: Lifecycle,
    metrics: Metrics,
    requests: Requests,
    broker: Broker,
}

impl Host {
    pub(crate) fn new(
        host: HostRef,
        arguments: &StartArguments,
        lifecycle: Lifecycle,
        metrics: Metrics,
        hub: Arc<Hub>,
        broker: Arc<broker::Hub>,
    ) -> Self {
        let inner = Inner {
            host,
            instance: arguments.instance.to_string(),
            generation: arguments.generation,
            lifecycle,
            metrics,
            requests: Requests::new(hub),
            broker: Broker::new(broker),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Name of the instance: that of its table in `plugins.toml`.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.inner.instance
    }

    /// Counts the generations of the instance in this process, from 1: each change of its file or table makes one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.inner.generation
    }

    /// The API: requests in, responses out, notifications pushed.
    #[must_use]
    pub fn requests(&self) -> &Requests {
        &self.inner.requests
    }

    /// The broker: messages in and out.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        &self.inner.broker
    }

    /// Numbers that operators see.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// When the instance is about to end.
    #[must_use]
    pub fn lifecycle(&self) -> Lifecycle {
        self.inner.lifecycle.clone()
    }

    /// A service of the host that the kit does not wrap. None when the host does not have it, or has one that does not
    /// fit: a normal answer that a protocol lives with.
    #[must_use]
    pub fn service<S: Service>(&self) -> Option<S> {
        self.inner.host.service()
    }
}
