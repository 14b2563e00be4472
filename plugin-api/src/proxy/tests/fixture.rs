//! A plugin and a host that do as a test tells them, and record what they are told.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::abi::*;
use crate::proxy::Loopback;

/// Generous: reached only when something hangs.
pub(super) const CAP: Duration = Duration::from_secs(60);

/// How a plugin is run.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Direct,
    Proxied,
}

impl Way {
    pub(super) fn describe<T: ModuleCalls>(self) -> PluginInfo {
        match self {
            Self::Direct => module_of::<T>().describe()(),
            Self::Proxied => Loopback::new(module_of::<T>()).describe(),
        }
    }

    pub(super) fn check_settings(self, settings: &str) -> Vec<SettingsProblem> {
        match self {
            Self::Direct => module_of::<Plugin>().check_settings()(settings.into()).into_vec(),
            Self::Proxied => Loopback::new(module_of::<Plugin>()).check_settings(settings),
        }
    }

    pub(super) fn start(self, host: HostRef, arguments: StartArguments) -> Result<Instance, ApiError> {
        match self {
            Self::Direct => module_of::<Plugin>().start()(host, arguments).into_result(),
            Self::Proxied => Loopback::new(module_of::<Plugin>()).start(host, arguments),
        }
    }

    /// A host and a plugin of its own.
    pub(super) fn run(self, settings: &str) -> Stage {
        self.run_on(&TestHost::new(), settings)
    }

    pub(super) fn run_on(self, host: &Arc<TestHost>, settings: &str) -> Stage {
        let arguments = arguments(settings);
        let name = arguments.instance.to_string();
        let instance = self.start(HostRef::new(Arc::clone(host)), arguments).unwrap();
        *host.client.lock() = instance.service::<RequestsClient>();
        Stage { host: Arc::clone(host), plugin: Plugin::named(&name).unwrap(), instance }
    }
}

pub(super) struct Stage {
    pub(super) host: Arc<TestHost>,
    pub(super) plugin: Arc<Plugin>,
    pub(super) instance: Instance,
}

/// Arguments of an instance with a name of its own, on a host that declares at most 100 connections.
pub(super) fn arguments(settings: &str) -> StartArguments {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    StartArguments {
        instance: format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed)).into(),
        generation: 7,
        settings: settings.into(),
        options: r#"{"max_connections":100}"#.into(),
    }
}

/// A value that can be waited for.
#[derive(Default)]
pub(super) struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub(super) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        let result = body(&mut self.value.lock());
        self.changed.notify_all();
        result
    }

    #[track_caller]
    pub(super) fn wait_for<R>(&self, mut found: impl FnMut(&mut T) -> Option<R>) -> R {
        let deadline = Instant::now() + CAP;
        let mut value = self.value.lock();
        loop {
            if let Some(result) = found(&mut value) {
                return result;
            }
            assert!(!self.changed.wait_until(&mut value, deadline).timed_out(), "waited in vain");
        }
    }
}

// The plugin.

static PLUGINS: Mutex<Option<HashMap<String, Arc<Plugin>>>> = Mutex::new(None);

/// Its settings are words that say where it misbehaves: `panic-start`, `refuse-start`, `panic-drain`, ...
pub(super) struct Plugin {
    pub(super) host: HostRef,
    pub(super) requests: Requests,
    pub(super) metrics: Metrics,
    pub(super) listeners: Listeners,
    pub(super) arguments: StartArguments,
    pub(super) ready: Watched<u64>,
    pub(super) broker_ready: Watched<Vec<u64>>,
    pub(super) draining: Watched<Option<Completion>>,
    pub(super) stopped: Watched<Option<u64>>,
    pub(super) unstoppable: AtomicBool,
    words: String,
}

pub(super) type Call = Receiver<Reply>;

impl Plugin {
    pub(super) fn named(name: &str) -> Option<Arc<Self>> {
        PLUGINS.lock().get_or_insert_default().remove(name)
    }

    fn misbehaves(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    pub(super) fn execute(&self, connection: u64, request: &str) -> Call {
        let (done, call) = completion();
        self.requests.execute(connection, request.to_owned().into(), done);
        call
    }

    pub(super) fn authenticate(&self, connection: u64, mechanism: &str, credentials: &[u8]) -> Call {
        let (done, call) = completion();
        self.requests.authenticate(connection, mechanism, credentials.to_vec().into(), done);
        call
    }

    /// Takes the next event, waiting for it.
    pub(super) fn next_event(&self) -> RequestEvent {
        let deadline = Instant::now() + CAP;
        loop {
            let seen = self.ready.with(|ready| *ready);
            if let Some(event) = self.requests.take(1, u64::MAX).into_iter().next() {
                return event;
            }
            let mut ready = self.ready.value.lock();
            while *ready == seen {
                let late = self.ready.changed.wait_until(&mut ready, deadline).timed_out();
                assert!(!late, "no event came");
            }
        }
    }

    /// Opens a connection, and gives the status of its refusal, however that comes, or 200 when requests are answered.
    pub(super) fn try_open(&self, connection: u64, info: &str) -> u32 {
        if let Err(error) = self.requests.open(connection, info) {
            return error.status;
        }
        match self.execute(connection, r#"{"requestId":"probe","answer":"inline"}"#).recv_timeout(CAP) {
            Ok(reply) if reply.status == 200 => 200,
            _ => {
                let event = self.next_event();
                assert_eq!((event.kind, event.connections.as_slice()), (EVENT_CLOSE, &[connection][..]));
                event.code
            }
        }
    }
}

pub(super) fn completion() -> (Completion, Call) {
    let (sender, call) = channel();
    (Completion::to_fn(move |reply| drop(sender.send(reply))), call)
}

#[track_caller]
pub(super) fn answer(call: &Call) -> Reply {
    call.recv_timeout(CAP).expect("the call is answered")
}

impl ModuleCalls for Plugin {
    fn describe() -> PluginInfo {
        PluginInfo { name: "test".into(), version: "1.2.3".into(), label: "té".into() }
    }

    fn check_settings(settings: &str) -> Vec<SettingsProblem> {
        assert!(!settings.contains("panic-check"), "check went wrong");
        let problem = |(at, word): (usize, &str)| SettingsProblem {
            pointer: format!("/{at}").into(),
            message: word.into(),
        };
        settings.split(' ').enumerate().filter(|(_, word)| word.starts_with("bad")).map(problem).collect()
    }

    fn start(host: HostRef, arguments: StartArguments) -> Result<Instance, ApiError> {
        let words = arguments.settings.to_string();
        assert!(!words.contains("panic-start"), "start went wrong");
        if words.contains("refuse-start") {
            let details = Blob::from(r#"{"port":1}"#);
            return Err(ApiError { details, ..ApiError::new(503, "plugin.start.bind", "no port") });
        }
        let name = arguments.instance.to_string();
        let plugin = Arc::new(Self {
            requests: host.service().unwrap(),
            metrics: host.service().unwrap(),
            listeners: host.service().unwrap(),
            host,
            arguments,
            ready: Watched::default(),
            broker_ready: Watched::default(),
            draining: Watched::default(),
            stopped: Watched::default(),
            unstoppable: AtomicBool::new(false),
            words,
        });
        PLUGINS.lock().get_or_insert_default().insert(name, Arc::clone(&plugin));
        Ok(Instance::new(Arc::new(Running(plugin))))
    }
}

struct Running(Arc<Plugin>);

impl ServiceLookup for Running {
    fn service(&self, id: &str, major: u32) -> Option<ServiceRef> {
        match (id, major) {
            ("requests-client", 1) => Some(RequestsClient::offer(Arc::new(Client(Arc::clone(&self.0))))),
            ("broker-client", 1) => Some(BrokerClient::offer(Arc::new(Client(Arc::clone(&self.0))))),
            ("status", 1) if !self.0.misbehaves("no-status") => {
                Some(Status::offer(Arc::new(Client(Arc::clone(&self.0)))))
            }
            _ => None,
        }
    }

    fn service_mismatch(&self, _id: &str, _mismatch: &LayoutMismatch) {}
}

impl InstanceCalls for Running {
    fn drain(&self, done: Completion) {
        assert!(!self.0.misbehaves("panic-drain"), "drain went wrong");
        self.0.draining.with(|draining| *draining = Some(done));
    }

    fn stop(&self, timeout_ms: u64) -> StopReport {
        self.0.stopped.with(|stopped| *stopped = Some(timeout_ms));
        assert!(!self.0.misbehaves("panic-stop"), "stop went wrong");
        while self.0.unstoppable.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        StopReport { clean: true, cut_connections: 3, leaked_threads: 0 }
    }
}

struct Client(Arc<Plugin>);

impl RequestsClientCalls for Client {
    fn ready(&self) {
        self.0.ready.with(|ready| *ready += 1);
        assert!(!self.0.misbehaves("panic-ready"), "ready went wrong");
    }
}

impl BrokerClientCalls for Client {
    fn ready(&self, id: u64) {
        self.0.broker_ready.with(|ready| ready.push(id));
    }
}

impl StatusCalls for Client {
    fn report(&self) -> Blob {
        assert!(!self.0.misbehaves("panic-report"), "report went wrong");
        let drained = self.0.draining.with(|draining| draining.is_some());
        serde_json::json!({ "connections": 2, "draining": drained }).to_string().into()
    }
}

// The host.

#[derive(Default)]
pub(super) struct HostState {
    pub(super) open: BTreeMap<u64, String>,
    pub(super) requests: Vec<String>,
    pub(super) held: Vec<(String, Completion)>,
    pub(super) events: VecDeque<RequestEvent>,
    pub(super) logs: Vec<(LogLevel, String, String, String)>,
    pub(super) metrics: Vec<(String, u32, i64)>,
    pub(super) lost: Vec<(u64, String)>,
    pub(super) listeners: Vec<(u64, std::net::TcpListener)>,
}

pub(super) struct TestHost {
    me: Weak<Self>,
    pub(super) state: Watched<HostState>,
    pub(super) client: Mutex<Option<RequestsClient>>,
    pub(super) log_level: Mutex<LogLevel>,
    /// The service `broker`, when the host offers it.
    pub(super) broker: Mutex<Option<ServiceRef>>,
}

impl TestHost {
    pub(super) fn new() -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            state: Watched::default(),
            client: Mutex::default(),
            log_level: Mutex::new(LogLevel::Debug),
            broker: Mutex::default(),
        })
    }

    /// Queues an event, and tells the instance when none waited.
    pub(super) fn notify(&self, event: RequestEvent) {
        let first = self.state.with(|state| {
            state.events.push_back(event);
            state.events.len() == 1
        });
        let client = self.client.lock().clone();
        if let Some(client) = client.filter(|_| first) {
            client.ready();
        }
    }

    /// The completion of a request that is answered late, by the request's id.
    pub(super) fn held(&self, request_id: &str) -> Completion {
        self.state.wait_for(|state| {
            let at = state.held.iter().position(|(id, _)| id == request_id)?;
            Some(state.held.remove(at).1)
        })
    }
}

impl ServiceLookup for TestHost {
    fn service(&self, id: &str, major: u32) -> Option<ServiceRef> {
        let me = self.me.upgrade()?;
        match (id, major) {
            ("requests", 1) => Some(Requests::offer(me)),
            ("metrics", 1) => Some(Metrics::offer(me)),
            ("listeners", 1) => Some(Listeners::offer(me)),
            ("broker", 1) => self.broker.lock().clone(),
            _ => None,
        }
    }

    fn service_mismatch(&self, _id: &str, _mismatch: &LayoutMismatch) {}
}

impl Host for TestHost {
    fn log(&self, level: LogLevel, target: &str, message: &str, fields: &str) {
        let line = (level, target.to_owned(), message.to_owned(), fields.to_owned());
        self.state.with(|state| state.logs.push(line));
    }

    fn log_enabled(&self, level: LogLevel) -> bool {
        level <= *self.log_level.lock()
    }
}

impl RequestsCalls for TestHost {
    fn open(&self, connection: u64, info: &str) -> Result<(), ApiError> {
        assert!(!info.contains("panic"), "open went wrong");
        if info.contains("refuse") {
            return Err(ApiError::new(429, "host.full", "too many"));
        }
        self.state.with(|state| state.open.insert(connection, info.to_owned()));
        Ok(())
    }

    fn close(&self, connection: u64) {
        self.state.with(|state| state.open.remove(&connection));
    }

    fn execute(&self, connection: u64, request: Blob, done: Completion) {
        let json: serde_json::Value = serde_json::from_slice(request.as_slice()).unwrap();
        let id = json["requestId"].as_str().unwrap_or_default().to_owned();
        let open = self.state.with(|state| {
            state.requests.push(id.clone());
            state.open.contains_key(&connection)
        });
        let reply =
            |status: u32, body: String| Reply { status, request_id: id.as_str().into(), body: body.into() };
        match json["answer"].as_str().unwrap_or_default() {
            _ if !open => done.complete(reply(400, "{}".to_owned())),
            "late" => self.state.with(|state| state.held.push((id, done))),
            "drop" => drop(done),
            "panic" => panic!("execute went wrong"),
            "long" => {
                let bytes = json["bytes"].as_u64().unwrap() as usize;
                done.complete(reply(200, "x".repeat(bytes)));
            }
            _ => done.complete(reply(200, json.to_string())),
        }
    }

    fn authenticate(&self, _connection: u64, mechanism: &str, credentials: Blob, done: Completion) {
        match (mechanism, credentials.as_slice()) {
            ("PLAIN", b"\0alice\0secret") => done.complete(Reply::authenticated("alice")),
            ("PANIC", _) => panic!("authenticate went wrong"),
            _ => done.complete(Reply::from_error(&ApiError::new(401, "host.credentials", "wrong"))),
        }
    }

    fn take(&self, max_events: u32, max_bytes: u64) -> Vec<RequestEvent> {
        self.state.with(|state| {
            let mut taken = Vec::new();
            let mut bytes = 0;
            while taken.len() < max_events as usize && (taken.is_empty() || bytes <= max_bytes) {
                let Some(event) = state.events.pop_front() else { break };
                bytes += event.payload.as_slice().len() as u64;
                taken.push(event);
            }
            taken
        })
    }
}

impl ListenersCalls for TestHost {
    fn list(&self) -> Result<Vec<Listener>, ApiError> {
        self.state.with(|state| {
            let listener = |(id, listener): &(u64, std::net::TcpListener)| Listener {
                id: *id,
                address: listener.local_addr().unwrap().to_string().into(),
                scheme: "tcp".into(),
                options: r#"{"proxy_protocol":true}"#.into(),
                socket: SocketHandle::from_fd(listener.try_clone().unwrap().into(), SOCKET_TCP_LISTENER),
            };
            Ok(state.listeners.iter().map(listener).collect())
        })
    }

    fn lost(&self, id: u64, reason: &str) {
        self.state.with(|state| state.lost.push((id, reason.to_owned())));
    }
}

impl MetricsCalls for TestHost {
    fn register(&self, name: &str, kind: u32, _help: &str) -> Result<u32, ApiError> {
        if name == "forbidden_total" {
            return Err(ApiError::new(400, "host.metric", "not this one"));
        }
        self.state.with(|state| {
            if let Some(at) = state.metrics.iter().position(|metric| metric.0 == name) {
                return Ok(100 + at as u32);
            }
            state.metrics.push((name.to_owned(), kind, 0));
            Ok(99 + state.metrics.len() as u32)
        })
    }

    fn add(&self, metric: u32, delta: i64) {
        self.state.with(|state| {
            if let Some(metric) = state.metrics.get_mut(metric.wrapping_sub(100) as usize)
                && (metric.1 == METRIC_GAUGE || delta > 0)
            {
                metric.2 += delta;
            }
        });
    }

    fn set(&self, metric: u32, value: i64) {
        self.state.with(|state| {
            if let Some(metric) = state.metrics.get_mut(metric.wrapping_sub(100) as usize)
                && metric.1 == METRIC_GAUGE
            {
                metric.2 = value;
            }
        });
    }
}
