//! The host's side of a running instance: turns the plugin's messages into calls of the real host.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abi_stable::std_types::RString;
use parking_lot::Mutex;

use super::inbox::{WINDOW_BYTES, WINDOW_EVENTS, weight};
use super::link::{Link, PushError, Receiver};
use super::messages::{ToHost, ToPlugin};
use super::metrics::METRICS_LIMIT;
use super::near::{Answer, Near, fields, log_levels};
use super::near_broker::NearBroker;
use crate::abi::{
    ApiError, Completion, HostRef, Listeners, LogLevel, Metrics, Reply, RequestEvent, Requests,
};

/// How many events are fetched at a time.
const BATCH_EVENTS: u64 = 256;
/// How many connections one event that stands for a longer one names.
const CLOSED_TOGETHER: usize = 65_536;

/// What the near half uses of the host; lives as long as its reading thread.
pub(super) struct NearHost {
    pub(super) host: HostRef,
    pub(super) requests: Option<Requests>,
    metrics: Option<Metrics>,
    listeners: Option<Listeners>,
    listener_ids: Vec<u64>,
    connections: HashSet<u64>,
    /// The host's number of each of the plugin's metrics; none for one that the host refused.
    metric_numbers: Vec<Option<u32>>,
    log_levels: u8,
}

impl NearHost {
    pub(super) fn new(
        host: HostRef,
        requests: Option<Requests>,
        metrics: Option<Metrics>,
        listeners: Option<Listeners>,
        listener_ids: Vec<u64>,
    ) -> Self {
        let log_levels = log_levels(&host);
        Self {
            host,
            requests,
            metrics,
            listeners,
            listener_ids,
            connections: HashSet::new(),
            metric_numbers: Vec::new(),
            log_levels,
        }
    }
}

/// The body of the reading thread.
pub(super) fn read(near: &Arc<Near>, host: Option<NearHost>) {
    let mut reader = Reader { near: Arc::clone(near), host };
    near.link.read_until_cut(&mut reader);
    let host = reader.host;
    let open = host.as_ref().map_or(0, |host| host.connections.len())
        + near.broker.as_ref().map_or(0, NearBroker::open_connections);
    if let Some(host) = host
        && !near.ending.load(Ordering::Acquire)
    {
        host.plugin_is_gone(&near.link.reason());
        if let Some(broker) = &near.broker {
            broker.close_all();
        }
    }
    near.ended(open);
}

struct Reader {
    near: Arc<Near>,
    host: Option<NearHost>,
}

impl Receiver<ToHost> for Reader {
    fn message(&mut self, message: ToHost) -> Result<(), String> {
        let near = &self.near;
        match message {
            ToHost::Described { info } => near.answer(Answer::Described(info)),
            ToHost::Checked { problems } => near.answer(Answer::Checked(problems)),
            ToHost::Started { result } => near.answer(Answer::Started(result)),
            ToHost::Stopped { report } => {
                // The plugin's side may end as soon as it has said so, before the host's thread takes the answer.
                near.ending.store(true, Ordering::Release);
                near.answer(Answer::Stopped(report));
            }
            ToHost::Status { report } => near.set_report(report),
            ToHost::Drained { call, reply } => {
                let done = near.calls.take(call).ok_or("a drain was answered that nobody asked for")?;
                done.complete(reply);
            }
            ToHost::EventsTaken { events, bytes } => {
                near.window.freed(events, bytes);
                near.link.poke();
            }
            other => {
                let host =
                    self.host.as_mut().ok_or("a message of an instance came where none was started")?;
                host.call(near, other)?;
            }
        }
        Ok(())
    }

    fn batch_done(&mut self) {
        if let Some(broker) = &self.near.broker {
            broker.tell_room(&self.near.link);
        }
        if let Some(host) = &mut self.host {
            host.follow_log_levels(&self.near.link);
        }
    }
}

impl NearHost {
    fn call(&mut self, near: &Arc<Near>, message: ToHost) -> Result<(), String> {
        const NOT_OFFERED: &str = "a call came to a service that the host does not offer";
        match message {
            ToHost::Open { connection, info } => {
                match self.requests.as_ref().ok_or(NOT_OFFERED)?.open(connection, &info) {
                    Ok(()) => {
                        self.connections.insert(connection);
                    }
                    Err(error) => {
                        near.link.push_surely(&ToPlugin::OpenRefused { connection, error });
                    }
                }
            }
            ToHost::Close { connection } => {
                self.connections.remove(&connection);
                self.requests.as_ref().ok_or(NOT_OFFERED)?.close(connection);
            }
            ToHost::Execute { call, connection, request } => {
                let done = answer_to(near, call);
                self.requests.as_ref().ok_or(NOT_OFFERED)?.execute(connection, request, done);
            }
            ToHost::Authenticate { call, connection, mechanism, credentials } => {
                let done = answer_to(near, call);
                let requests = self.requests.as_ref().ok_or(NOT_OFFERED)?;
                requests.authenticate(connection, &mechanism, credentials, done);
            }
            ToHost::Log { level, target, message, fields } => {
                self.host.log(LogLevel::from_number(level), &target, &message, &fields);
            }
            ToHost::MetricRegister { metric, name, kind, help } => {
                self.register(metric, &name, kind, &help)?;
            }
            ToHost::MetricAdd { metric, delta } => {
                if let (Some(metrics), Some(metric)) = (&self.metrics, self.metric(metric)) {
                    metrics.add(metric, delta);
                }
            }
            ToHost::MetricSet { metric, value } => {
                if let (Some(metrics), Some(metric)) = (&self.metrics, self.metric(metric)) {
                    metrics.set(metric, value);
                }
            }
            ToHost::Broker { connection, call } => {
                let broker = near.broker.as_ref().ok_or(NOT_OFFERED)?;
                broker.call(connection, call, &near.link, &|call| answer_to(near, call))?;
                near.link.poke();
            }
            ToHost::ListenerLost { id, reason } => {
                self.listeners.as_ref().ok_or(NOT_OFFERED)?.lost(id, &reason);
            }
            _ => return Err("a message came that nobody handles".to_owned()),
        }
        Ok(())
    }

    fn register(&mut self, metric: u32, name: &str, kind: u32, help: &str) -> Result<(), String> {
        if metric as usize != self.metric_numbers.len() || self.metric_numbers.len() >= METRICS_LIMIT {
            return Err(format!("metric `{name}` has the number {metric}, which was not expected"));
        }
        let metrics = self.metrics.as_ref().ok_or("a metric came to a host that has none")?;
        let number = metrics.register(name, kind, help);
        if let Err(error) = &number {
            let fields = fields(&[("metric", name), ("error", &error.message)]);
            let text = "the host refused a metric; it is not counted";
            self.host.log(LogLevel::Warn, "proxy", text, &fields);
        }
        self.metric_numbers.push(number.ok());
        Ok(())
    }

    fn metric(&self, metric: u32) -> Option<u32> {
        self.metric_numbers.get(metric as usize).copied().flatten()
    }

    fn follow_log_levels(&mut self, link: &Link) {
        let levels = log_levels(&self.host);
        if levels != self.log_levels && link.push_surely(&ToPlugin::LogLevels { levels }) {
            self.log_levels = levels;
        }
    }

    /// Leaves the host as after an instance that has failed: no connection of it is open, and its listeners are known to
    /// be accepted from no more.
    fn plugin_is_gone(self, reason: &str) {
        let fields = fields(&[("reason", reason)]);
        self.host.log(LogLevel::Error, "proxy", "the plugin's side of the proxy ended", &fields);
        if let Some(requests) = &self.requests {
            for connection in &self.connections {
                requests.close(*connection);
            }
        }
        if let Some(listeners) = &self.listeners {
            for id in &self.listener_ids {
                listeners.lost(*id, reason);
            }
        }
    }
}

pub(super) fn answer_to(near: &Arc<Near>, call: u64) -> Completion {
    let near = Arc::clone(near);
    Completion::to_fn(move |reply| answer(&near.link, call, reply))
}

/// Sends an answer, or a short one in its place when it cannot cross: a call never stays without.
pub(super) fn answer(link: &Link, call: u64, reply: Reply) {
    let request_id = reply.request_id.clone();
    let error = match link.push(&ToPlugin::Reply { call, reply }) {
        Ok(()) | Err(PushError::Closed) => return,
        Err(PushError::Full) => {
            let text = "too many bytes wait on the way to the plugin; try again later";
            ApiError::new(503, "plugin.proxy.overloaded", text)
        }
        Err(PushError::TooLong { bytes, limit }) => {
            let text = format!(
                "the response takes {bytes} bytes on the way to the plugin, expected at most {limit}"
            );
            ApiError::new(500, "plugin.proxy.too_long", text)
        }
    };
    let body = serde_json::json!({
        "error": { "message": error.message.as_str() },
        "requestId": request_id.as_str(),
        "result": null,
        "status": error.status
    });
    let reply = Reply { status: error.status, request_id, body: body.to_string().into() };
    link.push_surely(&ToPlugin::Reply { call, reply });
}

/// How far the events that were sent may run ahead of those that the plugin has taken.
#[derive(Default)]
pub(super) struct Window {
    waiting: AtomicBool,
    ahead: Mutex<Ahead>,
}

#[derive(Default)]
struct Ahead {
    events: u64,
    bytes: u64,
}

impl Window {
    /// Events wait at the host.
    pub(super) fn events_wait(&self) {
        self.waiting.store(true, Ordering::Release);
    }

    /// The plugin has taken so many.
    pub(super) fn freed(&self, events: u64, bytes: u64) {
        let mut ahead = self.ahead.lock();
        ahead.events = ahead.events.saturating_sub(events);
        ahead.bytes = ahead.bytes.saturating_sub(bytes);
    }

    /// Takes what waits at the host and sends it, as far as there is room. Called by the writing thread alone.
    pub(super) fn fetch(&self, requests: &Requests, link: &Link) {
        while self.waiting.load(Ordering::Acquire) && !link.is_busy() {
            let (events, bytes) = {
                let ahead = self.ahead.lock();
                (WINDOW_EVENTS.saturating_sub(ahead.events), WINDOW_BYTES.saturating_sub(ahead.bytes))
            };
            if events == 0 || bytes == 0 {
                return;
            }
            // Forgotten before looking: what comes to wait afterwards is announced anew.
            self.waiting.store(false, Ordering::Release);
            let most = u32::try_from(events.min(BATCH_EVENTS)).unwrap_or(u32::MAX);
            let taken = requests.take(most, bytes);
            if taken.is_empty() {
                continue;
            }
            self.waiting.store(true, Ordering::Release);
            self.send(taken.into_vec(), link);
        }
    }

    fn send(&self, events: Vec<RequestEvent>, link: &Link) {
        {
            let mut ahead = self.ahead.lock();
            ahead.events = ahead.events.saturating_add(events.len() as u64);
            ahead.bytes = ahead.bytes.saturating_add(events.iter().map(weight).sum());
        }
        let frame = ToPlugin::Events { events };
        if !matches!(link.push(&frame), Err(PushError::TooLong { .. } | PushError::Full)) {
            return;
        }
        let ToPlugin::Events { events } = frame else { return };
        for event in events {
            self.send_alone(event, link);
        }
    }

    /// Sends one event; one that is too long to cross is lost for its connections, which are closed for that.
    fn send_alone(&self, event: RequestEvent, link: &Link) {
        let frame = ToPlugin::Events { events: vec![event] };
        if !matches!(link.push_surely_if_it_fits(&frame), Err(PushError::TooLong { .. })) {
            return;
        }
        let ToPlugin::Events { events } = frame else { return };
        let reason = RString::from("an event for the connection is too long to reach the plugin");
        for event in events {
            self.freed(1, weight(&event));
            for connections in event.connections.chunks(CLOSED_TOGETHER) {
                let close = RequestEvent::close(connections.to_vec(), 413, reason.clone());
                let mut ahead = self.ahead.lock();
                ahead.events = ahead.events.saturating_add(1);
                ahead.bytes = ahead.bytes.saturating_add(weight(&close));
                drop(ahead);
                link.push_surely(&ToPlugin::Events { events: vec![close] });
            }
        }
    }
}
