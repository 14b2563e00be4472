//! One running instance, as the host sees it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;

use super::broker;
use super::logging::LogSink;
use super::metrics::Metrics;
use super::net::{BoundListener, Net, NetMetrics, Serve, accept_loop};
use super::options::Options;
use super::requests::Hub;
use super::runtime::InstanceRuntime;
use super::{Connection, Host, Lifecycle, Phase, Protocol, Settings, WebSocket};
use crate::abi::{
    self, ApiError, BrokerClient, Completion, HostRef, Instance, InstanceCalls, LayoutMismatch, Listeners,
    RequestsClient, Service, ServiceLookup, ServiceRef, StartArguments, Status, StatusCalls, StopReport,
    panic_text,
};

/// Starts an instance of `P`. `owns_process_hooks`: whether the plugin is a library of its own.
pub(crate) fn start<P: Protocol>(
    host_ref: HostRef,
    arguments: &StartArguments,
    owns_process_hooks: bool,
) -> Result<Instance, ApiError> {
    let settings = P::Settings::check(&arguments.settings).map_err(|problems| bad_settings(&problems))?;
    let options = Options::read(&arguments.options)?;
    let sink = LogSink::open(host_ref.clone(), owns_process_hooks);
    sink.adopt_thread_for(|| {
        let running = Running::<P>::start(host_ref, arguments, &options, settings, Arc::clone(&sink));
        running.map(|running| Instance::new(Arc::new(running))).inspect_err(|_error| sink.close())
    })
}

fn bad_settings(problems: &[abi::SettingsProblem]) -> ApiError {
    let lines: Vec<_> =
        problems.iter().map(|problem| format!("`{}` {}", problem.pointer, problem.message)).collect();
    ApiError::new(400, "plugin.start.settings", format!("bad settings: {}", lines.join("; ")))
}

struct Running<P: Protocol> {
    net: Arc<Net>,
    hub: Arc<Hub>,
    broker: Arc<broker::Hub>,
    sink: Arc<LogSink>,
    phase: watch::Sender<Phase>,
    accepting: Mutex<Vec<JoinHandle<()>>>,
    owned: Mutex<Option<Owned<P>>>,
    status: Arc<StatusOf<P>>,
}

/// What ends with `stop`, before the instance is released.
struct Owned<P> {
    runtime: InstanceRuntime,
    protocol: Arc<P>,
}

impl<P: Protocol> Running<P> {
    fn start(
        host_ref: HostRef,
        arguments: &StartArguments,
        options: &Options,
        settings: P::Settings,
        sink: Arc<LogSink>,
    ) -> Result<Self, ApiError> {
        let (phase, lifecycle) = Lifecycle::new();
        let metrics = Metrics::new(host_ref.service());
        let hub = Hub::new(host_ref.service(), arguments.generation, &metrics);
        let broker = broker::Hub::new(host_ref.service(), arguments.generation);
        let net = Net::new(
            lifecycle.clone(),
            NetMetrics::declare(&metrics),
            options.max_connections,
            options.idle_timeout,
        );
        let listeners = host_ref.service::<Listeners>();
        let mut runtime = InstanceRuntime::start(&arguments.instance, options.worker_threads, &sink)?;
        let host = Host::new(host_ref, arguments, lifecycle, metrics, Arc::clone(&hub), Arc::clone(&broker));
        let made = runtime.handle().cloned().ok_or_else(|| ended("its runtime")).and_then(|handle| {
            let bound = bind(&handle, listeners.as_ref(), P::WEBSOCKET)?;
            Ok((bound, run_start::<P>(&handle, host, settings)?, handle))
        });
        let (bound, protocol, handle) = made.inspect_err(|_error| {
            runtime.stop(Instant::now() + LONGEST_CUT);
        })?;

        let taking = (Arc::clone(&hub), Arc::clone(&protocol));
        handle.spawn(async move { taking.0.run(|event| taking.1.deliver(event)).await });
        let accepting = bound
            .into_iter()
            .map(|listener| {
                let (net, listeners, serving) =
                    (Arc::clone(&net), listeners.clone(), Serving(Arc::clone(&protocol)));
                let id = listener.facts.id;
                handle.spawn(async move {
                    if let Err(reason) = accept_loop(net, listener, serving).await
                        && let Some(listeners) = listeners
                    {
                        listeners.lost(id, &reason);
                    }
                })
            })
            .collect();
        let status =
            Arc::new(StatusOf { net: Arc::clone(&net), protocol: Mutex::new(Some(Arc::clone(&protocol))) });
        Ok(Self {
            net,
            hub,
            broker,
            sink,
            phase,
            accepting: Mutex::new(accepting),
            owned: Mutex::new(Some(Owned { runtime, protocol })),
            status,
        })
    }

    fn advance(&self, wanted: Phase) {
        self.phase.send_if_modified(|phase| {
            let is_later = *phase < wanted;
            *phase = wanted.max(*phase);
            is_later
        });
    }
}

/// Takes the instance's listeners over.
fn bind(
    handle: &Handle,
    listeners: Option<&Listeners>,
    websocket: Option<WebSocket>,
) -> Result<Vec<BoundListener>, ApiError> {
    let _inside = handle.enter();
    let handed = listeners.map(Listeners::list).transpose()?;
    handed.into_iter().flatten().map(|listener| BoundListener::take(listener, websocket)).collect()
}

/// Runs the protocol's `start` on the instance's runtime and waits for it here.
fn run_start<P: Protocol>(handle: &Handle, host: Host, settings: P::Settings) -> Result<Arc<P>, ApiError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    handle.spawn(async move {
        let started = tokio::spawn(async move { P::start(host, settings).await }).await;
        let _nobody_waits = sender.send(started.unwrap_or_else(|error| {
            let text = error.try_into_panic().map_or_else(|_| "cancelled".to_owned(), kept_text);
            Err(ApiError::panicked("start", &text))
        }));
    });
    receiver.recv().map_err(|_| ended("its start"))?.map(Arc::new)
}

fn ended(what: &str) -> ApiError {
    ApiError::new(500, "plugin.start.ended", format!("cannot start: {what} ended early"))
}

/// The text of a panic whose payload is kept from running code of its own when it is dropped.
fn kept_text(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic_text(panic.as_ref());
    std::mem::forget(panic);
    text
}

struct Serving<P>(Arc<P>);

impl<P> Clone for Serving<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Protocol> Serve for Serving<P> {
    fn serve(self, connection: Connection) -> impl Future<Output = io::Result<()>> + Send {
        P::serve(self.0, connection)
    }
}

impl<P: Protocol> InstanceCalls for Running<P> {
    fn drain(&self, done: Completion) {
        self.advance(Phase::Draining);
        let accepting = std::mem::take(&mut *self.accepting.lock());
        let net = Arc::clone(&self.net);
        let owned = self.owned.lock();
        let Some(handle) = owned.as_ref().and_then(|owned| owned.runtime.handle()) else { return };
        handle.spawn(async move {
            for task in accepting {
                let _ended = task.await;
            }
            net.all_closed().await;
            done.complete(StopReport::drained());
        });
    }

    fn stop(&self, timeout_ms: u64) -> StopReport {
        let Some(owned) = self.owned.lock().take() else {
            return StopReport { clean: true, ..StopReport::default() };
        };
        self.sink.adopt_thread_for(|| self.stop_owned(owned, Duration::from_millis(timeout_ms)))
    }
}

impl<P: Protocol> Running<P> {
    fn stop_owned(&self, owned: Owned<P>, timeout: Duration) -> StopReport {
        let Owned { mut runtime, protocol } = owned;
        let started = Instant::now();
        let deadline = started + timeout.min(LONGEST_STOP);
        // A part of the time is for cutting, and for the threads to end.
        let goodbyes_end = deadline.checked_sub((timeout / 5).min(LONGEST_CUT)).unwrap_or(started);
        self.advance(Phase::Stopping);

        let said_goodbye = self.wait_for_goodbyes(&runtime, &protocol, goodbyes_end);
        self.advance(Phase::Cut);
        if !said_goodbye {
            self.wait_until_closed(&runtime, deadline);
        }
        let left = u32::try_from(self.net.open()).unwrap_or(u32::MAX);
        let cut = self.net.cut.load(std::sync::atomic::Ordering::Relaxed).max(left);
        let leaked = runtime.stop(deadline);

        drop(self.status.protocol.lock().take());
        // The protocol may own clients of the API: they close here, while the host still listens.
        let dropped = abi::guard(
            || {
                drop(protocol);
                true
            },
            |_panic| false,
        );
        if leaked > 0 {
            warn!(threads = leaked, "threads of the plugin did not end and are left behind");
        }
        self.sink.close();
        StopReport {
            clean: said_goodbye && dropped && cut == 0 && leaked == 0,
            cut_connections: cut,
            leaked_threads: leaked,
        }
    }

    /// Waits for the protocol's `stop` and for every connection to end.
    fn wait_for_goodbyes(&self, runtime: &InstanceRuntime, protocol: &Arc<P>, until: Instant) -> bool {
        let (net, protocol) = (Arc::clone(&self.net), Arc::clone(protocol));
        let accepting = std::mem::take(&mut *self.accepting.lock());
        wait_for(runtime, until, async move {
            let stopping = tokio::spawn(async move { protocol.stop().await });
            for task in accepting {
                let _ended = task.await;
            }
            net.all_closed().await;
            match stopping.await {
                Ok(()) => true,
                Err(error) => {
                    // The hook has logged it; the payload must not run code when it is dropped.
                    let _text = error.try_into_panic().map(kept_text);
                    false
                }
            }
        })
    }

    fn wait_until_closed(&self, runtime: &InstanceRuntime, until: Instant) {
        let net = Arc::clone(&self.net);
        wait_for(runtime, until, async move {
            net.all_closed().await;
            true
        });
    }
}

/// The longest time that a stop may take, whatever it is asked for.
const LONGEST_STOP: Duration = Duration::from_secs(24 * 3600);

/// The longest part of a stop's time that is kept for cutting.
const LONGEST_CUT: Duration = Duration::from_millis(500);

/// Waits on this thread, which is none of the runtime's, for a future that runs on it. False when it failed or was late.
fn wait_for(
    runtime: &InstanceRuntime,
    until: Instant,
    future: impl Future<Output = bool> + Send + 'static,
) -> bool {
    let (sender, receiver) = mpsc::sync_channel(1);
    let Some(handle) = runtime.handle() else { return false };
    let task = handle.spawn(async move {
        let _nobody_waits = sender.send(future.await);
    });
    let result = receiver.recv_timeout(until.saturating_duration_since(Instant::now()));
    task.abort();
    result.unwrap_or(false)
}

impl<P: Protocol> ServiceLookup for Running<P> {
    fn service(&self, id: &str, major: u32) -> Option<ServiceRef> {
        match (id, major) {
            (RequestsClient::ID, RequestsClient::MAJOR) => Some(RequestsClient::offer(Arc::clone(&self.hub))),
            (BrokerClient::ID, BrokerClient::MAJOR) => Some(BrokerClient::offer(Arc::clone(&self.broker))),
            (Status::ID, Status::MAJOR) => Some(Status::offer(Arc::clone(&self.status))),
            _ => None,
        }
    }

    fn service_mismatch(&self, id: &str, mismatch: &LayoutMismatch) {
        self.sink.adopt_thread_for(|| {
            warn!(service = id, %mismatch, "service not given to the host: the tables differ");
        });
    }
}

struct StatusOf<P> {
    net: Arc<Net>,
    protocol: Mutex<Option<Arc<P>>>,
}

impl<P: Protocol> StatusCalls for StatusOf<P> {
    fn report(&self) -> abi::Blob {
        let protocol = self.protocol.lock().clone();
        let mut report = match protocol.map(|protocol| protocol.status()) {
            Some(Value::Object(members)) => members,
            _ => serde_json::Map::new(),
        };
        report.insert("connections".to_owned(), json!(self.net.open()));
        Value::Object(report).to_string().into()
    }
}
