//! What is known of the instances, for those who ask.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kuzzle_api::PluginFacts;
use kuzzle_plugin_api::abi::{Instance, Status as PluginStatus};
use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use super::super::library::Library;
use super::super::machine::{Report, State};
use super::super::serving::{GenerationBroker, GenerationRequests, InstanceMetrics};

/// The state of every instance, as the manager last saw it. Clones share it.
#[derive(Clone, Default)]
pub struct Status {
    shared: Arc<RwLock<Arc<Snapshot>>>,
}

/// All instances at one moment.
#[derive(Default)]
pub(super) struct Snapshot {
    pub(super) instances: Vec<Entry>,
    /// The file that declares them.
    pub(super) file: String,
    /// Builds that are loaded, in use or not.
    pub(super) loaded_builds: usize,
    /// Whether everything is as declared or has failed at it.
    pub(super) is_settled: bool,
}

/// One instance.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_enabled: bool,
    pub(super) report: Report,
    /// When the next attempt is due, if one is.
    pub(super) retry_at: Option<Instant>,
    /// The build that serves, or else the one loaded last.
    pub(super) library: Option<Arc<Library>>,
    /// Addresses as bound, with their scheme where it is not plain TCP.
    pub(super) listen: Vec<String>,
    pub(super) metrics: Arc<InstanceMetrics>,
    /// Clients of every generation that has not ended.
    pub(super) requests: Vec<Arc<GenerationRequests>>,
    /// Connections to the broker of every generation that has not ended.
    pub(super) brokers: Vec<Arc<GenerationBroker>>,
    /// The generation that serves. Weak: whoever asks must not keep a stopped plugin alive.
    pub(super) serving: Option<Weak<Instance>>,
    /// Calls into the plugin that never came back.
    pub(super) lost_threads: u32,
}

impl Status {
    pub(super) fn publish(&self, snapshot: Snapshot) {
        *self.shared.write() = Arc::new(snapshot);
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.read())
    }

    /// Whether every instance is as declared or has failed at it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.snapshot().is_settled
    }

    /// The instances as the API tells of them, in the order of their names.
    #[must_use]
    pub fn facts(&self) -> Vec<PluginFacts> {
        let snapshot = self.snapshot();
        snapshot.instances.iter().map(|entry| entry.facts(&snapshot)).collect()
    }
}

impl Entry {
    fn facts(&self, snapshot: &Snapshot) -> PluginFacts {
        let manifest = self.library.as_deref().map(|library| &library.manifest);
        let mut status = Map::new();
        let (state, reason) = match &self.report.state {
            State::Absent => ("absent", None),
            State::Loaded => ("loaded", None),
            State::Starting => ("starting", None),
            State::Running => ("running", None),
            State::Draining => ("draining", None),
            State::Stopped => ("stopped", None),
            State::Failed { reason, .. } => ("failed", Some(reason.as_str())),
        };
        status.insert("state".into(), state.into());
        status.insert("reason".into(), reason.into());
        status.insert("retryAt".into(), self.retry_at.map(epoch_ms).into());
        status.insert("generation".into(), self.report.serving.into());
        status.insert("retiring".into(), self.report.retiring.clone().into());
        status.insert("listen".into(), self.listen.clone().into());
        status.insert("label".into(), manifest.map(|it| it.label.as_str()).into());
        let abi =
            manifest.map(|it| json!({"major": it.abi.major, "minor": it.abi.minor, "draft": it.abi.draft}));
        status.insert("abi".into(), abi.into());
        status.insert("build".into(), self.library.as_deref().map(|it| it.hash.as_str()).into());
        status.insert("plugin".into(), manifest.map(|it| it.name.as_str()).into());
        let clients: usize = self.requests.iter().map(|requests| requests.open_connections()).sum();
        let peers: usize = self.brokers.iter().map(|broker| broker.open_connections()).sum();
        let connections = clients + peers;
        status.insert("connections".into(), connections.into());
        let metrics: BTreeMap<String, i64> = self.metrics.values();
        status.insert("metrics".into(), json!(metrics));
        status.insert("lostThreads".into(), self.lost_threads.into());
        status.insert("loadedBuilds".into(), snapshot.loaded_builds.into());
        status.insert("declaredIn".into(), snapshot.file.as_str().into());
        status.insert("status".into(), self.plugin_status());
        PluginFacts {
            name: self.name.clone(),
            version: manifest.map(|it| it.version.clone()),
            activated: self.is_enabled,
            status,
        }
    }

    /// What the plugin says about itself; null when it says nothing.
    fn plugin_status(&self) -> Value {
        let serving = self.serving.as_ref().and_then(Weak::upgrade);
        let report = serving.and_then(|it| it.service::<PluginStatus>()).map(|it| it.report());
        report.and_then(|it| serde_json::from_slice(it.as_slice()).ok()).unwrap_or_default()
    }
}

/// A moment to come as milliseconds since 1970.
fn epoch_ms(at: Instant) -> u64 {
    let at = SystemTime::now() + at.saturating_duration_since(Instant::now());
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
