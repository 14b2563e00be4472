//! A plugin that runs.

use std::sync::mpsc;
use std::time::Duration;

use kuzzle_plugin_api::abi::{Completion, Instance, Reply, Service, Status, StopReport};
use serde_json::Value;

use crate::FakeHost;
use crate::host::unmet;

/// A running instance. Dropping it stops it.
pub struct RunningPlugin {
    host: FakeHost,
    instance: Option<Instance>,
}

impl RunningPlugin {
    /// How long [`stop`](Self::stop) gives the plugin.
    pub const STOP: Duration = Duration::from_secs(10);

    /// How long a plugin gets that is dropped without being stopped: its connections may not care to end.
    const STOP_WHEN_DROPPED: Duration = Duration::from_secs(1);

    pub(crate) fn new(host: FakeHost, instance: Instance) -> Self {
        Self { host, instance: Some(instance) }
    }

    /// The host that it runs on.
    #[must_use]
    pub const fn host(&self) -> &FakeHost {
        &self.host
    }

    /// What it says about itself to operators; null when it offers no `status`.
    #[must_use]
    pub fn status(&self) -> Value {
        let status = self.instance.as_ref().and_then(Instance::service::<Status>);
        status.and_then(|status| serde_json::from_slice(status.report().as_slice()).ok()).unwrap_or_default()
    }

    /// A service of the plugin that the kit does not wrap.
    #[must_use]
    pub fn service<S: Service>(&self) -> Option<S> {
        self.instance.as_ref().and_then(Instance::service)
    }

    /// Makes it stop accepting. Its connections go on until they end.
    #[must_use]
    pub fn drain(&self) -> Drain {
        let (sender, done) = mpsc::sync_channel(1);
        if let Some(instance) = &self.instance {
            instance.drain(Completion::to_fn(move |reply| {
                let _nobody_waits = sender.send(reply);
            }));
        }
        Drain { done }
    }

    /// Stops it within [`STOP`](Self::STOP).
    pub fn stop(self) -> StopReport {
        self.stop_within(Self::STOP)
    }

    /// Stops it. Blocks until it has stopped; any thread.
    pub fn stop_within(mut self, timeout: Duration) -> StopReport {
        self.end(timeout)
    }

    fn end(&mut self, timeout: Duration) -> StopReport {
        let Some(instance) = self.instance.take() else { return StopReport::default() };
        let report = instance.stop(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        // It holds the instance, which holds the host.
        let clients = self.host.shared.change(|state| (state.client.take(), state.broker_client.take()));
        drop(clients);
        report
    }
}

impl Drop for RunningPlugin {
    fn drop(&mut self) {
        self.end(Self::STOP_WHEN_DROPPED);
    }
}

/// A drain that is under way.
pub struct Drain {
    done: mpsc::Receiver<Reply>,
}

impl Drain {
    /// The reply, when no connection is left.
    #[must_use]
    pub fn try_done(&self) -> Option<Reply> {
        self.done.try_recv().ok()
    }

    /// Waits until no connection is left: the reply's status is 200, or 499 when the instance ended before.
    ///
    /// # Panics
    ///
    /// When that takes longer than half a minute.
    #[track_caller]
    #[must_use]
    pub fn wait(&self) -> Reply {
        match self.done.recv_timeout(Duration::from_secs(30)) {
            Ok(reply) => reply,
            Err(_) => unmet("waited in vain for the drain to complete"),
        }
    }
}
