//! The host as the plugin sees it: answers from what is at hand, and turns everything else into messages.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use abi_stable::std_types::RString;
use parking_lot::Mutex;
use serde::Deserialize;

use super::calls::Calls;
use super::far_broker::FarBroker;
use super::inbox::Inbox;
use super::link::{Link, PushError};
use super::messages::{ListenerParts, Offers, Start, ToHost};
use super::metrics::FarMetrics;
use super::sockets::Sockets;
use crate::abi::{
    ApiError, Blob, Broker, BrokerClient, Completion, Host, Instance, LayoutMismatch, Listener, Listeners,
    ListenersCalls, LogLevel, Metrics, MetricsCalls, Reply, RequestEvent, Requests, RequestsCalls,
    RequestsClient, Service, ServiceLookup, ServiceRef, SocketHandle, Status,
};

/// How many calls may wait for their answer; beyond, they are answered 503.
const CALLS_LIMIT: usize = 16_384;
const LOG_TEXT_BYTES_LIMIT: usize = 16 * 1024;
const LOG_FIELDS_BYTES_LIMIT: usize = 64 * 1024;
const REASON_BYTES_LIMIT: usize = 4 * 1024;
const REPORT_BYTES_LIMIT: usize = 1024 * 1024;

/// The host of one instance, on the plugin's side.
pub(super) struct FarHost {
    me: Weak<Self>,
    link: Arc<Link>,
    calls: Calls,
    inbox: Mutex<Inbox>,
    metrics: FarMetrics,
    log_levels: AtomicU8,
    log_dropped: AtomicU64,
    offers_requests: bool,
    offers_metrics: bool,
    broker: Option<Arc<FarBroker>>,
    listeners: Mutex<Option<Result<Vec<Held>, ApiError>>>,
    running: Mutex<Option<Running>>,
    last_report: Mutex<Blob>,
}

/// A running instance and what it offers.
struct Running {
    instance: Arc<Instance>,
    requests_client: Option<RequestsClient>,
    broker_client: Option<BrokerClient>,
    status: Option<Status>,
}

/// A listener, and the socket that duplicates are made of.
struct Held {
    parts: ListenerParts,
    socket: std::os::fd::OwnedFd,
}

impl FarHost {
    pub(super) fn new(link: Arc<Link>, start: Start, sockets: &Sockets) -> Arc<Self> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Options {
            max_connections: u64,
        }
        let options: Options = serde_json::from_str(&start.options).unwrap_or_default();
        let hold = |parts: ListenerParts| {
            let socket = sockets.take(parts.socket).ok_or_else(|| {
                let text = format!("the socket of listener `{}` did not arrive", parts.address);
                ApiError::new(503, "plugin.listener.lost", text)
            })?;
            Ok(Held { parts, socket: socket.into_fd() })
        };
        let listeners = start.listeners.map(|listed| {
            listed.and_then(|parts| parts.into_iter().map(hold).collect::<Result<Vec<_>, _>>())
        });
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            link,
            calls: Calls::new(CALLS_LIMIT),
            inbox: Mutex::new(Inbox::new(options.max_connections)),
            metrics: FarMetrics::default(),
            log_levels: AtomicU8::new(start.log_levels),
            log_dropped: AtomicU64::new(0),
            offers_requests: start.requests,
            offers_metrics: start.metrics,
            broker: start.broker.map(|limits| Arc::new(FarBroker::new(Weak::clone(me), limits))),
            listeners: Mutex::new(listeners),
            running: Mutex::new(None),
            last_report: Mutex::default(),
        })
    }

    /// Takes the started instance in.
    pub(super) fn started(&self, instance: Instance) -> Offers {
        let running = Running {
            requests_client: instance.service::<RequestsClient>(),
            broker_client: instance.service::<BrokerClient>(),
            status: instance.service::<Status>(),
            instance: Arc::new(instance),
        };
        let offers = Offers {
            status: running.status.is_some(),
            report: running.status.as_ref().map_or_else(Blob::empty, Status::report),
        };
        *self.last_report.lock() = offers.report.clone();
        *self.running.lock() = Some(running);
        offers
    }

    pub(super) fn broker(&self) -> Option<&Arc<FarBroker>> {
        self.broker.as_ref()
    }

    /// How long a frame may be, in bytes.
    pub(super) fn frame_bytes(&self) -> usize {
        self.link.frame_bytes()
    }

    pub(super) fn broker_client(&self) -> Option<BrokerClient> {
        self.running.lock().as_ref().and_then(|running| running.broker_client.clone())
    }

    pub(super) fn instance(&self) -> Option<Arc<Instance>> {
        self.running.lock().as_ref().map(|running| Arc::clone(&running.instance))
    }

    /// Lets go of the stopped instance.
    pub(super) fn release(&self) {
        let running = self.running.lock().take();
        drop(running);
    }

    /// Closes this side's own handles of the listeners.
    pub(super) fn close_listeners(&self) {
        let mut listeners = self.listeners.lock();
        if listeners.is_some() {
            let text = "the instance is draining or stopping, and has given its listeners back";
            *listeners = Some(Err(ApiError::new(503, "plugin.listener.closed", text)));
        }
    }

    pub(super) fn answered(&self, call: u64, reply: Reply) -> Result<(), String> {
        let done =
            self.calls.take(call).ok_or_else(|| format!("call {call} was answered that nobody made"))?;
        done.complete(reply);
        Ok(())
    }

    pub(super) fn open_refused(&self, connection: u64, error: &ApiError) {
        let first = self.inbox.lock().refuse(connection, error);
        self.wake_plugin(first);
    }

    pub(super) fn add_events(&self, events: Vec<RequestEvent>) {
        let first = self.inbox.lock().add(events);
        self.wake_plugin(first);
    }

    pub(super) fn set_log_levels(&self, levels: u8) {
        self.log_levels.store(levels, Ordering::Relaxed);
    }

    /// Nothing will be answered any more: cancels what waits, and tells the plugin that its connections are closed.
    pub(super) fn host_is_gone(&self, reason: &str) {
        self.calls.cancel();
        let first =
            self.inbox.lock().close_all(503, &format!("the host cannot be reached any more: {reason}"));
        self.wake_plugin(first);
        if let Some(broker) = &self.broker {
            broker.host_is_gone(reason);
        }
    }

    pub(super) fn wake_plugin_if_events_wait(&self) {
        let waiting = self.inbox.lock().has_events();
        self.wake_plugin(waiting);
        if let Some(broker) = &self.broker {
            broker.wake_if_events_wait();
        }
    }

    fn wake_plugin(&self, events_have_come: bool) {
        if !events_have_come {
            return;
        }
        let client = self.running.lock().as_ref().and_then(|running| running.requests_client.clone());
        if let Some(client) = client {
            client.ready();
        }
    }

    /// Sends the plugin's report when it is another one than before.
    pub(super) fn send_report(&self) {
        let status = self.running.lock().as_ref().and_then(|running| running.status.clone());
        let Some(report) = status.map(|status| status.report()) else { return };
        if report.as_slice().len() > REPORT_BYTES_LIMIT || *self.last_report.lock() == report {
            return;
        }
        if self.link.push(&ToHost::Status { report: report.clone() }).is_ok() {
            *self.last_report.lock() = report;
        }
    }

    pub(super) fn flush_metrics(&self) {
        self.metrics.flush(|message| {
            self.link.push_surely(message);
        });
    }

    /// Sends `message` after the changes of metrics that came before it.
    pub(super) fn send(&self, message: &ToHost) -> Result<(), PushError> {
        self.flush_metrics();
        self.link.push(message)
    }

    pub(super) fn send_surely(&self, message: &ToHost) {
        self.flush_metrics();
        // Fails only when the link has ended, which its reader handles.
        self.link.push_surely(message);
    }

    /// Sends a message that must not be lost, unless it is too long for a frame.
    pub(super) fn send_surely_if_it_fits(&self, message: &ToHost) -> Result<(), PushError> {
        self.flush_metrics();
        self.link.push_surely_if_it_fits(message)
    }

    /// Sends a call that the host's side answers, or answers it here when it cannot cross.
    pub(super) fn call(&self, done: Completion, request: Option<&Blob>, message: impl FnOnce(u64) -> ToHost) {
        let call = match self.calls.add(done) {
            Ok(call) => call,
            Err(done) => {
                let text = format!("{CALLS_LIMIT} calls wait for their answer already; try again later");
                return done.complete(refusal(503, "plugin.proxy.overloaded", &text, request));
            }
        };
        let Err(error) = self.send(&message(call)) else { return };
        let Some(done) = self.calls.take(call) else { return };
        match error {
            PushError::Closed => drop(done),
            PushError::Full => {
                let text = "too many bytes wait on the way to the host; try again later";
                done.complete(refusal(503, "plugin.proxy.overloaded", text, request));
            }
            PushError::TooLong { bytes, limit } => {
                let text =
                    format!("the call takes {bytes} bytes on the way to the host, expected at most {limit}");
                done.complete(refusal(413, "plugin.proxy.too_long", &text, request));
            }
        }
    }
}

/// The answer to a request that does not reach the host: carries the request's id when the request has one.
fn refusal(status: u32, id: &str, message: &str, request: Option<&Blob>) -> Reply {
    #[derive(Default, Deserialize)]
    struct Addressed {
        #[serde(rename = "requestId")]
        request_id: String,
    }
    let addressed: Option<Addressed> =
        request.and_then(|request| serde_json::from_slice(request.as_slice()).ok());
    let Some(Addressed { request_id }) = addressed else {
        return Reply::from_error(&ApiError::new(status, id, message));
    };
    let body = serde_json::json!({
        "error": { "message": message }, "requestId": request_id, "result": null, "status": status
    });
    Reply { status, request_id: request_id.into(), body: body.to_string().into() }
}

/// The beginning of a text, of `limit` bytes at most.
fn cut(text: &str, limit: usize) -> RString {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default().into()
}

impl Host for FarHost {
    fn log(&self, level: LogLevel, target: &str, message: &str, fields: &str) {
        if !self.log_enabled(level) {
            return;
        }
        let fields = if fields.len() > LOG_FIELDS_BYTES_LIMIT { "" } else { fields };
        let line = ToHost::Log {
            level: level as u32,
            target: cut(target, LOG_TEXT_BYTES_LIMIT),
            message: cut(message, LOG_TEXT_BYTES_LIMIT),
            fields: fields.into(),
        };
        if self.send(&line).is_err() {
            self.log_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let dropped = self.log_dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            self.send_surely(&ToHost::Log {
                level: LogLevel::Warn as u32,
                target: "proxy".into(),
                message: "log lines were dropped on their way to the host".into(),
                fields: serde_json::json!({ "lines": dropped }).to_string().into(),
            });
        }
    }

    fn log_enabled(&self, level: LogLevel) -> bool {
        self.log_levels.load(Ordering::Relaxed) & level_bit(level) != 0
    }
}

const fn level_bit(level: LogLevel) -> u8 {
    1 << (level as u32 - 1)
}

impl ServiceLookup for FarHost {
    fn service(&self, id: &str, major: u32) -> Option<ServiceRef> {
        let me = self.me.upgrade()?;
        match (id, major) {
            (Requests::ID, Requests::MAJOR) if self.offers_requests => Some(Requests::offer(me)),
            (Metrics::ID, Metrics::MAJOR) if self.offers_metrics => Some(Metrics::offer(me)),
            (Broker::ID, Broker::MAJOR) => self.broker.clone().map(Broker::offer),
            (Listeners::ID, Listeners::MAJOR) if self.listeners.lock().is_some() => {
                Some(Listeners::offer(me))
            }
            _ => None,
        }
    }

    fn service_mismatch(&self, id: &str, mismatch: &LayoutMismatch) {
        let fields = serde_json::json!({ "service": id, "difference": mismatch.summary }).to_string();
        self.log(LogLevel::Warn, "proxy", "a service was asked for with a table that does not fit", &fields);
    }
}

impl RequestsCalls for FarHost {
    fn open(&self, connection: u64, info: &str) -> Result<(), ApiError> {
        if !is_object(info) {
            let text = format!("the info of connection {connection} is no JSON object");
            return Err(ApiError::new(400, "plugin.connection.info", text));
        }
        self.inbox.lock().open(connection)?;
        let sent = self.send(&ToHost::Open { connection, info: info.into() });
        sent.map_err(|error| {
            self.inbox.lock().close(connection);
            match error {
                PushError::Closed => {
                    let text = "the host cannot be reached any more; no connection can be opened";
                    ApiError::new(503, "plugin.proxy.ended", text)
                }
                PushError::Full => {
                    let text = "too many bytes wait on the way to the host; try again later";
                    ApiError::new(503, "plugin.proxy.overloaded", text)
                }
                PushError::TooLong { bytes, limit } => {
                    let text = format!(
                        "the info of connection {connection} takes {bytes} bytes, expected at most {limit}"
                    );
                    ApiError::new(413, "plugin.proxy.too_long", text)
                }
            }
        })
    }

    fn close(&self, connection: u64) {
        if self.inbox.lock().close(connection) {
            self.send_surely(&ToHost::Close { connection });
        }
    }

    fn execute(&self, connection: u64, request: Blob, done: Completion) {
        let body = request.clone();
        self.call(done, Some(&request), |call| ToHost::Execute { call, connection, request: body });
    }

    fn authenticate(&self, connection: u64, mechanism: &str, credentials: Blob, done: Completion) {
        self.call(done, None, |call| ToHost::Authenticate {
            call,
            connection,
            mechanism: mechanism.into(),
            credentials,
        });
    }

    fn take(&self, max_events: u32, max_bytes: u64) -> Vec<RequestEvent> {
        let taken = self.inbox.lock().take(max_events, max_bytes);
        let (events, bytes) = taken.freed;
        if events > 0 {
            self.send_surely(&ToHost::EventsTaken { events, bytes });
        }
        taken.events
    }
}

pub(super) fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

impl ListenersCalls for FarHost {
    fn list(&self) -> Result<Vec<Listener>, ApiError> {
        let listeners = self.listeners.lock();
        let held = match &*listeners {
            Some(Ok(held)) => held,
            Some(Err(error)) => return Err(error.clone()),
            None => return Ok(Vec::new()),
        };
        held.iter().map(Held::listener).collect()
    }

    fn lost(&self, id: u64, reason: &str) {
        self.send_surely(&ToHost::ListenerLost { id, reason: cut(reason, REASON_BYTES_LIMIT) });
    }
}

impl Held {
    fn listener(&self) -> Result<Listener, ApiError> {
        let socket = self.socket.try_clone().map_err(|error| {
            let text =
                format!("the socket of listener `{}` cannot be duplicated: {error}", self.parts.address);
            ApiError::new(503, "plugin.listener.duplicate", text)
        })?;
        Ok(Listener {
            id: self.parts.id,
            address: self.parts.address.clone(),
            scheme: self.parts.scheme.clone(),
            options: self.parts.options.clone(),
            socket: SocketHandle::from_fd(socket, self.parts.kind),
        })
    }
}

impl MetricsCalls for FarHost {
    fn register(&self, name: &str, kind: u32, help: &str) -> Result<u32, ApiError> {
        self.metrics.register(name, kind, help, |message| {
            self.link.push_surely(message);
        })
    }

    fn add(&self, metric: u32, delta: i64) {
        if self.metrics.add(metric, delta) {
            self.link.poke();
        }
    }

    fn set(&self, metric: u32, value: i64) {
        if self.metrics.set(metric, value) {
            self.link.poke();
        }
    }
}
