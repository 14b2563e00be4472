//! The half beside the host: looks like a plugin, and asks the plugin behind the stream.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use abi_stable::std_types::RString;
use parking_lot::{Condvar, Mutex};

use super::calls::Calls;
use super::link::{Limits, Link, PushError};
use super::messages::{ListenerParts, Offers, Start, ToPlugin};
use super::near_broker::NearBroker;
use super::near_host::{NearHost, Window, answer_to};
use super::sockets::Sockets;
use crate::abi::{
    ApiError, Blob, Broker, BrokerClient, BrokerClientCalls, Completion, HostRef, Instance, InstanceCalls,
    LayoutMismatch, Listeners, LogLevel, Metrics, PluginInfo, Requests, RequestsClient, RequestsClientCalls,
    Service, ServiceLookup, ServiceRef, SettingsProblem, StartArguments, Status, StatusCalls, StopReport,
};

/// How much longer than the plugin the proxy may take to stop.
const STOP_MARGIN: Duration = Duration::from_millis(500);
/// How many drains may wait; the contract asks for one at most.
const DRAINS_LIMIT: usize = 16;

/// The near half's state, shared by its threads and the host's calls.
pub(super) struct Near {
    pub(super) link: Link,
    pub(super) calls: Calls,
    pub(super) window: Window,
    pub(super) broker: Option<NearBroker>,
    conversation: Mutex<Conversation>,
    answered: Condvar,
    report: Mutex<Blob>,
    /// Whether the end of the stream is the host's own wish.
    pub(super) ending: AtomicBool,
}

/// The questions that are asked one at a time and waited for.
#[derive(Default)]
struct Conversation {
    answer: Option<Answer>,
    ended: bool,
    /// How many connections were open when the plugin's side ended.
    cut_connections: u32,
}

/// What a question was answered with.
pub(super) enum Answer {
    Described(PluginInfo),
    Checked(Vec<SettingsProblem>),
    Started(Result<Offers, ApiError>),
    Stopped(StopReport),
}

/// Why a question has no answer.
enum NoAnswer {
    Ended,
    Late,
    TooLong { bytes: usize, limit: usize },
}

impl Near {
    fn new(stream: UnixStream, limits: Limits, broker: Option<Broker>) -> Arc<Self> {
        Arc::new(Self {
            link: Link::new(stream, limits),
            calls: Calls::new(DRAINS_LIMIT),
            window: Window::default(),
            broker: broker.map(NearBroker::new),
            conversation: Mutex::default(),
            answered: Condvar::new(),
            report: Mutex::default(),
            ending: AtomicBool::new(false),
        })
    }

    fn ask(&self, question: &ToPlugin, deadline: Option<Instant>) -> Result<Answer, NoAnswer> {
        match self.link.push(question) {
            // Too many bytes wait only when the peer does not read; then the deadline, or its end, decides.
            Ok(()) | Err(PushError::Closed) => {}
            Err(PushError::Full) => {
                self.link.push_surely(question);
            }
            Err(PushError::TooLong { bytes, limit }) => return Err(NoAnswer::TooLong { bytes, limit }),
        }
        let mut conversation = self.conversation.lock();
        loop {
            if let Some(answer) = conversation.answer.take() {
                return Ok(answer);
            }
            if conversation.ended {
                return Err(NoAnswer::Ended);
            }
            match deadline {
                None => self.answered.wait(&mut conversation),
                Some(deadline) => {
                    if self.answered.wait_until(&mut conversation, deadline).timed_out()
                        && conversation.answer.is_none()
                        && !conversation.ended
                    {
                        return Err(NoAnswer::Late);
                    }
                }
            }
        }
    }

    /// Takes the answer to the question in.
    pub(super) fn answer(&self, answer: Answer) {
        self.conversation.lock().answer = Some(answer);
        self.answered.notify_all();
    }

    /// The plugin's side has ended, with so many connections open.
    pub(super) fn ended(&self, connections: usize) {
        self.calls.cancel();
        *self.report.lock() =
            serde_json::json!({ "connections": 0, "failed": self.link.reason() }).to_string().into();
        let mut conversation = self.conversation.lock();
        conversation.ended = true;
        conversation.cut_connections = u32::try_from(connections).unwrap_or(u32::MAX);
        drop(conversation);
        self.answered.notify_all();
    }

    pub(super) fn set_report(&self, report: Blob) {
        *self.report.lock() = report;
    }

    fn ended_error(&self, doing: &str) -> ApiError {
        let text = format!("the plugin's side of the proxy ended while {doing}: {}", self.link.reason());
        ApiError::new(500, "plugin.proxy.ended", text)
    }
}

impl RequestsClientCalls for Near {
    fn ready(&self) {
        self.window.events_wait();
        self.link.poke();
    }
}

impl BrokerClientCalls for Near {
    fn ready(&self, id: u64) {
        if let Some(broker) = &self.broker {
            broker.ready(id);
            self.link.poke();
        }
    }
}

impl StatusCalls for Near {
    fn report(&self) -> Blob {
        self.report.lock().clone()
    }
}

/// Threads of a near half.
struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    /// Starts reading for `host` and writing.
    fn spawn(near: &Arc<Near>, host: Option<NearHost>) -> io::Result<Self> {
        let mut threads = Self(Vec::new());
        let result = threads.add(near, host);
        if result.is_err() {
            near.link.cut("the system has no more threads");
            threads.join();
        }
        result.map(|()| threads)
    }

    fn add(&mut self, near: &Arc<Near>, host: Option<NearHost>) -> io::Result<()> {
        let writer = Arc::clone(near);
        let requests = host.as_ref().and_then(|host| host.requests.clone());
        let host_ref = host.as_ref().map(|host| host.host.clone());
        let write = move || {
            writer.link.write_until_cut(None, || {
                if let Some(requests) = &requests {
                    writer.window.fetch(requests, &writer.link);
                }
                if let (Some(broker), Some(host)) = (&writer.broker, &host_ref) {
                    broker.fetch(&writer.link, host, &|call| answer_to(&writer, call));
                }
            });
        };
        self.0.push(thread::Builder::new().name("proxy-near-write".to_owned()).spawn(write)?);
        let reader = Arc::clone(near);
        let read = move || super::near_host::read(&reader, host);
        self.0.push(thread::Builder::new().name("proxy-near-read".to_owned()).spawn(read)?);
        Ok(())
    }

    /// Waits for the threads of a link that was cut.
    fn join(&mut self) {
        let current = thread::current().id();
        for thread in self.0.drain(..) {
            // A host that stops the instance from inside a call that the plugin has made does it on our own thread.
            if thread.thread().id() != current {
                // A panic of the thread has ended it, which is all that is waited for.
                drop(thread.join());
            }
        }
    }
}

fn threads_error(error: &io::Error) -> ApiError {
    ApiError::new(503, "plugin.proxy.threads", format!("the proxy's threads could not be made: {error}"))
}

/// A near half that asks one question about the module, and ends.
fn ask_once(
    stream: UnixStream,
    limits: Limits,
    doing: &str,
    question: &ToPlugin,
) -> Result<Answer, ApiError> {
    let near = Near::new(stream, limits, None);
    let mut threads = Threads::spawn(&near, None).map_err(|error| threads_error(&error))?;
    let answer = near.ask(question, None);
    let answer = answer.map_err(|error| no_answer(&near, doing, &error));
    near.ending.store(true, Ordering::Release);
    near.link.cut("the question is answered");
    threads.join();
    answer
}

fn no_answer(near: &Near, doing: &str, error: &NoAnswer) -> ApiError {
    match error {
        NoAnswer::TooLong { bytes, limit } => ApiError::new(
            413,
            "plugin.proxy.too_long",
            format!("{doing} takes {bytes} bytes on the way to the plugin, expected at most {limit}"),
        ),
        NoAnswer::Ended | NoAnswer::Late => near.ended_error(doing),
    }
}

fn unexpected(doing: &str) -> ApiError {
    let text = format!("the plugin's side of the proxy gave another answer than was asked for while {doing}");
    ApiError::new(500, "plugin.proxy.answer", text)
}

/// Asks the plugin behind `stream` what it is.
pub(super) fn describe(stream: UnixStream, limits: Limits) -> Result<PluginInfo, ApiError> {
    match ask_once(stream, limits, "describing", &ToPlugin::Describe {})? {
        Answer::Described(info) => Ok(info),
        _ => Err(unexpected("describing")),
    }
}

/// Asks the plugin behind `stream` what is wrong with `settings`.
pub(super) fn check_settings(
    stream: UnixStream,
    limits: Limits,
    settings: &str,
) -> Result<Vec<SettingsProblem>, ApiError> {
    let question = ToPlugin::CheckSettings { settings: settings.into() };
    match ask_once(stream, limits, "checking settings", &question)? {
        Answer::Checked(problems) => Ok(problems),
        _ => Err(unexpected("checking settings")),
    }
}

/// Starts an instance of the plugin behind `stream` for `host`.
pub(super) fn start(
    stream: UnixStream,
    sockets: &Sockets,
    limits: Limits,
    host: HostRef,
    arguments: StartArguments,
) -> Result<Instance, ApiError> {
    let broker = host.service::<Broker>();
    let near = Near::new(stream, limits, broker.clone());
    let requests = host.service::<Requests>();
    let metrics = host.service::<Metrics>();
    let listeners = host.service::<Listeners>();
    let listed = listeners.as_ref().map(|listeners| list(listeners, sockets));
    let ids = match &listed {
        Some(Ok(parts)) => parts.iter().map(|parts| parts.id).collect(),
        _ => Vec::new(),
    };
    let question = ToPlugin::Start {
        arguments: Start {
            instance: arguments.instance,
            generation: arguments.generation,
            settings: arguments.settings,
            options: arguments.options,
            log_levels: log_levels(&host),
            requests: requests.is_some(),
            metrics: metrics.is_some(),
            broker: broker.as_ref().map(Broker::limits),
            listeners: listed,
        },
    };
    let offers_requests = requests.is_some();
    let side = NearHost::new(host.clone(), requests, metrics, listeners, ids);
    let mut threads = Threads::spawn(&near, Some(side)).map_err(|error| threads_error(&error))?;
    let result = match near.ask(&question, None) {
        Ok(Answer::Started(result)) => result,
        Ok(_) => Err(unexpected("starting")),
        Err(error) => Err(no_answer(&near, "starting", &error)),
    };
    match result {
        Ok(offers) => {
            near.set_report(offers.report);
            RequestsClientCalls::ready(&*near);
            let (status, threads) = (offers.status, Mutex::new(threads));
            Ok(Instance::new(Arc::new(NearInstance { near, host, offers_requests, status, threads })))
        }
        Err(error) => {
            near.ending.store(true, Ordering::Release);
            near.link.cut("the plugin did not start");
            threads.join();
            Err(error)
        }
    }
}

fn list(listeners: &Listeners, sockets: &Sockets) -> Result<Vec<ListenerParts>, ApiError> {
    let parts = listeners.list()?.into_iter().map(|listener| ListenerParts {
        id: listener.id,
        address: listener.address,
        scheme: listener.scheme,
        options: listener.options,
        kind: listener.socket.kind(),
        socket: sockets.put(listener.socket),
    });
    Ok(parts.collect())
}

/// Which levels of log lines `host` writes; bit `n` stands for the level `n + 1`.
pub(super) fn log_levels(host: &HostRef) -> u8 {
    (0..5_u8)
        .filter(|bit| host.log_enabled(LogLevel::from_number(u32::from(*bit) + 1)))
        .fold(0, |levels, bit| levels | 1 << bit)
}

/// The instance as the host sees it. Dropping it without a stop cuts the link, and the other half stops the plugin.
struct NearInstance {
    near: Arc<Near>,
    host: HostRef,
    offers_requests: bool,
    status: bool,
    threads: Mutex<Threads>,
}

impl ServiceLookup for NearInstance {
    fn service(&self, id: &str, major: u32) -> Option<ServiceRef> {
        let near = Arc::clone(&self.near);
        match (id, major) {
            (RequestsClient::ID, RequestsClient::MAJOR) if self.offers_requests => {
                Some(RequestsClient::offer(near))
            }
            (BrokerClient::ID, BrokerClient::MAJOR) if self.near.broker.is_some() => {
                Some(BrokerClient::offer(near))
            }
            (Status::ID, Status::MAJOR) if self.status => Some(Status::offer(near)),
            _ => None,
        }
    }

    fn service_mismatch(&self, id: &str, mismatch: &LayoutMismatch) {
        let fields = serde_json::json!({ "service": id, "difference": mismatch.summary }).to_string();
        let text = "a service was asked for with a table that does not fit";
        self.host.log(LogLevel::Warn, "proxy", text, &fields);
    }
}

impl InstanceCalls for NearInstance {
    fn drain(&self, done: Completion) {
        // A completion that is given back is dropped, which says that nobody can tell.
        let Ok(call) = self.near.calls.add(done) else { return };
        if !self.near.link.push_surely(&ToPlugin::Drain { call }) {
            drop(self.near.calls.take(call));
        }
    }

    fn stop(&self, timeout_ms: u64) -> StopReport {
        let deadline = Duration::from_millis(timeout_ms)
            .checked_add(STOP_MARGIN)
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let report = match self.near.ask(&ToPlugin::Stop { timeout_ms }, deadline) {
            Ok(Answer::Stopped(report)) => report,
            Ok(_) | Err(NoAnswer::Ended | NoAnswer::TooLong { .. }) => {
                let cut_connections = self.near.conversation.lock().cut_connections;
                StopReport { clean: false, cut_connections, leaked_threads: 0 }
            }
            // The thread that runs the plugin's `stop`.
            Err(NoAnswer::Late) => StopReport { clean: false, cut_connections: 0, leaked_threads: 1 },
        };
        self.near.ending.store(true, Ordering::Release);
        self.near.link.cut("the instance was stopped");
        // The lock is not held while waiting: the reader may be inside a call of the host that comes back here.
        let mut threads = std::mem::replace(&mut *self.threads.lock(), Threads(Vec::new()));
        threads.join();
        report
    }
}

impl Drop for NearInstance {
    fn drop(&mut self) {
        self.near.ending.store(true, Ordering::Release);
        self.near.link.cut("the instance was released");
    }
}

/// The fields of a log line, as JSON.
pub(super) fn fields(pairs: &[(&str, &str)]) -> RString {
    let object: serde_json::Map<_, _> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    serde_json::Value::Object(object).to_string().into()
}
