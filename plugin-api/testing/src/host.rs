//! The host itself: what a test sets up and looks at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kuzzle_plugin_api::abi::{
    self, ApiError, Blob, Broker, Completion, HostRef, LayoutMismatch, Listeners, LogLevel, Metrics,
    PluginModuleRef, Reply, RequestEvent, Requests, Service, ServiceLookup, ServiceRef, StartArguments,
};
use kuzzle_plugin_api::proxy::Loopback;
use kuzzle_plugin_api::sdk::{Protocol, linked_module};
use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};

use crate::broker;
use crate::listeners::{Bound, FakeListeners};
use crate::metrics::FakeMetrics;
use crate::requests::FakeRequests;
use crate::state::State;
use crate::{Answer, Call, LogLine, RunningPlugin, echo};

/// How long a test waits for something that should happen at once, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host that runs in the test's process. Clones share it.
#[derive(Clone)]
pub struct FakeHost {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) listeners: Vec<Bound>,
    absent: Vec<&'static str>,
    options: Value,
    settings: Value,
    is_proxied: bool,
    generation: AtomicU64,
    pub(crate) answer: Box<Answer>,
    pub(crate) broker: broker::Broker,
    pub(crate) state: Mutex<State>,
    changed: Condvar,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeHost {
    /// A host with one listener on a free port of the loopback interface, which [echoes](echo) every request.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            listeners: Vec::new(),
            absent: Vec::new(),
            options: json!({}),
            settings: json!({}),
            is_proxied: std::env::var_os("KUZZLE_TEST_PROXY").is_some_and(|value| value == "1"),
            generation: AtomicU64::new(0),
            answer: Box::new(|call, done| done.complete(echo(&call))),
            broker: broker::Broker::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        Self { shared: Arc::new(shared) }.with_listener(json!({}))
    }

    fn with(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        match Arc::get_mut(&mut self.shared) {
            Some(shared) => change(shared),
            None => unmet("a fake host is set up before it is cloned or started"),
        }
        self
    }

    /// Takes the listeners away.
    #[must_use]
    pub fn without_listeners(self) -> Self {
        self.with(|shared| shared.listeners.clear())
    }

    /// Adds a listener on a free port with `options`: `tls` (`certificate`, `key`), `proxy_protocol`. The first one that is
    /// added with options of its own takes the place of the one that is there by default.
    #[must_use]
    pub fn with_listener(self, options: Value) -> Self {
        self.with_listener_of("tcp", options)
    }

    /// Adds a listener of WebSockets, as an address with `ws://` is. Its `options` may have a `websocket` as well: `paths`
    /// and `allowed_origins`, both lists.
    #[must_use]
    pub fn with_websocket_listener(self, options: Value) -> Self {
        self.with_listener_of("ws", options)
    }

    fn with_listener_of(self, scheme: &'static str, options: Value) -> Self {
        match Bound::on_a_free_port(scheme, options) {
            Ok(bound) => self.with(|shared| {
                let is_default = |bound: &Bound| bound.options == json!({}) && bound.scheme == "tcp";
                if shared.listeners.len() == 1 && shared.listeners.iter().all(is_default) {
                    shared.listeners.clear();
                }
                shared.listeners.push(bound);
            }),
            Err(error) => unmet(&format!("no free port on the loopback interface: {error}")),
        }
    }

    /// Sets what the plugin finds in its settings table: a JSON object.
    #[must_use]
    pub fn with_settings(self, settings: Value) -> Self {
        self.with(|shared| shared.settings = settings)
    }

    /// Sets what the host declares for every protocol: `max_connections`, `idle_timeout_secs`, `worker_threads`.
    #[must_use]
    pub fn with_options(self, options: Value) -> Self {
        self.with(|shared| shared.options = options)
    }

    /// Answers every request with what `answer` gives, at once.
    #[must_use]
    pub fn with_answer(self, answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        self.with_completion(move |call, done| done.complete(answer(&call)))
    }

    /// Hands every request with its completion to `answer`, which completes it when it likes, on any thread.
    #[must_use]
    pub fn with_completion(self, answer: impl Fn(Call, Completion) + Send + Sync + 'static) -> Self {
        self.with(|shared| shared.answer = Box::new(answer))
    }

    /// Lacks the service `id`, such as `metrics`.
    #[must_use]
    pub fn without_service(self, id: &'static str) -> Self {
        self.with(|shared| shared.absent.push(id))
    }

    /// Puts plugins behind the proxy that serialises every call, or not. By default as the environment variable
    /// `KUZZLE_TEST_PROXY` says: `1` puts them there.
    #[must_use]
    pub fn proxied(self, is_proxied: bool) -> Self {
        self.with(|shared| shared.is_proxied = is_proxied)
    }

    /// Starts an instance of a protocol that is linked into the test, as the host would load it.
    ///
    /// # Errors
    ///
    /// With the plugin's reason when it does not start, or with the problems of its settings.
    pub fn start<P: Protocol>(&self) -> Result<RunningPlugin, ApiError> {
        self.start_module(linked_module::<P>())
    }

    /// Starts an instance of a module that the test got in another way, as from a library that it loaded. Each call is a
    /// new generation with the same listeners.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_module(&self, module: PluginModuleRef) -> Result<RunningPlugin, ApiError> {
        let shared = &self.shared;
        let settings = shared.settings.to_string();
        let problems = if shared.is_proxied {
            Loopback::new(module).check_settings(&settings)
        } else {
            (module.check_settings())(settings.as_str().into()).into_iter().collect()
        };
        if !problems.is_empty() {
            let lines: Vec<_> =
                problems.iter().map(|found| format!("`{}` {}", found.pointer, found.message)).collect();
            return Err(ApiError::new(400, "plugin.settings", lines.join("; ")));
        }
        let arguments = StartArguments {
            instance: "test".into(),
            generation: shared.generation.fetch_add(1, Ordering::Relaxed) + 1,
            settings: settings.into(),
            options: shared.options.to_string().into(),
        };
        let host = HostRef::new(Arc::new(Side(Arc::clone(shared))));
        let instance = if shared.is_proxied {
            Loopback::new(module).start(host, arguments)?
        } else {
            (module.start())(host, arguments).into_result()?
        };
        let client = instance.service();
        let broker_client = instance.service();
        let has_waiting = shared.change(|state| {
            state.client = client.clone();
            state.broker_client = broker_client;
            !state.events.is_empty()
        });
        if let (Some(client), true) = (client, has_waiting) {
            client.ready();
        }
        shared.wake_broker_client();
        Ok(RunningPlugin::new(self.clone(), instance))
    }

    /// Address of the first listener.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match self.shared.listeners.first() {
            Some(bound) => bound.address,
            None => unmet("this fake host has no listener"),
        }
    }

    /// Addresses of all listeners.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.shared.listeners.iter().map(|bound| bound.address).collect()
    }

    /// Clients of the API that are open: their ids, and what the plugin told of them.
    #[must_use]
    pub fn connections(&self) -> Vec<(u64, Value)> {
        let state = self.shared.state.lock();
        state.connections.iter().map(|(id, info)| (*id, info.clone())).collect()
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state.lock().calls.clone()
    }

    /// Every authentication so far: client, mechanism, credentials. Those of `PLAIN` with the password `secret` succeed.
    #[must_use]
    pub fn authentications(&self) -> Vec<(u64, String, Vec<u8>)> {
        self.shared.state.lock().authentications.clone()
    }

    /// Every log line so far.
    #[must_use]
    pub fn logs(&self) -> Vec<LogLine> {
        self.shared.state.lock().logs.clone()
    }

    /// The value of a metric; none when it was never declared.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<i64> {
        self.shared.state.lock().metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value)
    }

    /// Listeners that plugins have reported as lost: their ids and the reasons.
    #[must_use]
    pub fn lost_listeners(&self) -> Vec<(u64, String)> {
        self.shared.state.lock().lost.clone()
    }

    /// Ends listening for good, as a host does to free a port whoever still holds a duplicate of the socket.
    pub fn shut_listeners_down(&self) {
        for bound in &self.shared.listeners {
            if let Err(error) = bound.shut_down() {
                unmet(&format!("cannot shut the listener on {} down: {error}", bound.address));
            }
        }
    }

    /// Pushes a notification for clients of the API.
    pub fn notify(&self, connections: &[u64], channel: &str, payload: impl Into<Blob>) {
        self.push(RequestEvent::notification(connections.to_vec(), channel, payload.into()));
    }

    /// Wants clients of the API closed.
    pub fn close(&self, connections: &[u64], code: u32, reason: &str) {
        self.push(RequestEvent::close(connections.to_vec(), code, reason));
    }

    /// Pushes an event as it is, also one that plugins do not know.
    pub fn push(&self, event: RequestEvent) {
        let client = self.shared.change(|state| {
            state.events.push_back(event);
            // Only on empty to non-empty, as a host does: a plugin that misses it hears nothing more.
            if state.events.len() == 1 { state.client.clone() } else { None }
        });
        if let Some(client) = client {
            client.ready();
        }
    }

    /// Whether every event that was pushed has been taken.
    #[must_use]
    pub fn has_no_events(&self) -> bool {
        self.shared.state.lock().events.is_empty()
    }

    /// Waits until `look` finds what it looks for.
    ///
    /// # Panics
    ///
    /// When that takes longer than half a minute, with `what` and the last log lines.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        // What is looked for may lie outside of the host, so that no change of it may say when.
        const LOOK_AGAIN: Duration = Duration::from_millis(20);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if Instant::now() > deadline {
                let logs = self.logs();
                let last = logs.get(logs.len().saturating_sub(5)..).unwrap_or_default();
                unmet(&format!("waited for {what} in vain; the last log lines are {last:#?}"));
            }
            let mut state = self.shared.state.lock();
            self.shared.changed.wait_for(&mut state, LOOK_AGAIN);
        }
    }

    /// Waits until a metric has this value. Through the proxy a change arrives a moment after it was made.
    #[track_caller]
    pub fn wait_for_metric(&self, name: &str, value: i64) {
        self.wait_for(&format!("the metric `{name}` to be {value}"), |host| {
            (host.metric(name) == Some(value)).then_some(())
        });
    }

    /// Waits until `number` clients of the API are open, and gives their ids.
    #[track_caller]
    pub fn wait_for_connections(&self, number: usize) -> Vec<u64> {
        self.wait_for(&format!("{number} clients of the API"), |host| {
            let ids: Vec<_> = host.connections().into_iter().map(|(id, _)| id).collect();
            (ids.len() == number).then_some(ids)
        })
    }

    /// Waits for a log line with this message.
    #[track_caller]
    pub fn wait_for_log(&self, message: &str) -> LogLine {
        self.wait_for(&format!("the log line `{message}`"), |host| {
            host.logs().into_iter().find(|line| line.message == message)
        })
    }
}

/// Fails the test.
#[track_caller]
#[allow(clippy::panic, reason = "a test kit fails the test that it is used in")]
pub(crate) fn unmet(what: &str) -> ! {
    panic!("{what}")
}

impl Shared {
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.notify_all();
        result
    }
}

/// The host as one plugin instance sees it.
struct Side(Arc<Shared>);

impl abi::Host for Side {
    fn log(&self, level: LogLevel, target: &str, message: &str, fields: &str) {
        let line = LogLine {
            level,
            target: target.to_owned(),
            message: message.to_owned(),
            fields: serde_json::from_str(fields).unwrap_or_default(),
        };
        self.0.change(|state| state.logs.push(line));
    }

    fn log_enabled(&self, level: LogLevel) -> bool {
        level <= LogLevel::Debug
    }
}

impl ServiceLookup for Side {
    fn service(&self, id: &str, major: u32) -> Option<ServiceRef> {
        if self.0.absent.contains(&id) {
            return None;
        }
        let shared = Arc::clone(&self.0);
        match (id, major) {
            (Requests::ID, Requests::MAJOR) => Some(Requests::offer(Arc::new(FakeRequests(shared)))),
            (Broker::ID, Broker::MAJOR) => Some(Broker::offer(Arc::new(broker::Calls(shared)))),
            (Listeners::ID, Listeners::MAJOR) => Some(Listeners::offer(Arc::new(FakeListeners(shared)))),
            (Metrics::ID, Metrics::MAJOR) => Some(Metrics::offer(Arc::new(FakeMetrics(shared)))),
            _ => None,
        }
    }

    fn service_mismatch(&self, id: &str, mismatch: &LayoutMismatch) {
        unmet(&format!("the plugin asked for another `{id}`: {mismatch}"));
    }
}
