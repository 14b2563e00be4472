//! Sends what a plugin logs, and its panics, to the host's log.
//!
//! A plugin library has its own copy of `tracing` and of the standard library's panic hook, so nothing that it reports
//! reaches the host by itself. Both are installed once per build; several instances of one build share them, and a line
//! goes to the instance whose thread wrote it.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, Weak};

use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::abi::{HostRef, LogLevel};

/// Where one instance's lines go. Closed when the instance has stopped.
pub(crate) struct LogSink {
    host: RwLock<Option<HostRef>>,
}

impl LogSink {
    /// Opens a sink, and installs the forwarders if this is the first of the build. `owns_process_hooks` says that this
    /// build has them for itself, as a library does: then lines of foreign threads are taken too, and nothing is printed.
    pub(crate) fn open(host: HostRef, owns_process_hooks: bool) -> Arc<Self> {
        let sink = Arc::new(Self { host: RwLock::new(Some(host)) });
        let mut sinks = SINKS.lock();
        sinks.retain(|sink| sink.strong_count() > 0);
        sinks.push(Arc::downgrade(&sink));
        drop(sinks);
        OWNS_HOOKS.fetch_or(owns_process_hooks, Ordering::Relaxed);
        install();
        sink
    }

    /// Makes this the sink of the current thread.
    pub(crate) fn adopt_thread(self: &Arc<Self>) {
        let _ending = CURRENT.try_with(|current| *current.borrow_mut() = Some(Arc::clone(self)));
    }

    /// Runs `body` with this as the sink of the current thread, which is one of the host's.
    pub(crate) fn adopt_thread_for<T>(self: &Arc<Self>, body: impl FnOnce() -> T) -> T {
        struct Restore(Option<Arc<LogSink>>);
        impl Drop for Restore {
            fn drop(&mut self) {
                let _ending = CURRENT.try_with(|current| current.replace(self.0.take()));
            }
        }
        let before = CURRENT.try_with(|current| current.replace(Some(Arc::clone(self)))).ok().flatten();
        let _restore = Restore(before);
        body()
    }

    /// Sends nothing more to the host.
    pub(crate) fn close(&self) {
        let host = self.host.write().take();
        drop(host);
    }

    fn log(&self, level: LogLevel, target: &str, message: &str, fields: &str) {
        if let Some(host) = &*self.host.read() {
            host.log(level, target, message, fields);
        }
    }

    fn enabled(&self, level: LogLevel) -> bool {
        self.host.read().as_ref().is_some_and(|host| host.log_enabled(level))
    }
}

static SINKS: Mutex<Vec<Weak<LogSink>>> = Mutex::new(Vec::new());
static OWNS_HOOKS: AtomicBool = AtomicBool::new(false);

thread_local! {
    static CURRENT: RefCell<Option<Arc<LogSink>>> = const { RefCell::new(None) };
}

/// The sink for what the current thread says: its instance's; on a foreign thread the newest instance's, when the hooks
/// are ours alone.
fn current() -> Option<Arc<LogSink>> {
    let own =
        CURRENT.try_with(|current| current.try_borrow().ok().and_then(|sink| sink.clone())).ok().flatten();
    own.or_else(|| {
        let is_ours = OWNS_HOOKS.load(Ordering::Relaxed);
        is_ours.then(|| SINKS.lock().iter().rev().find_map(Weak::upgrade)).flatten()
    })
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // Fails when this is linked into a program with a subscriber of its own, which then gets the lines.
        let _taken = tracing::subscriber::set_global_default(Registry::default().with(Forwarder));
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match current() {
            Some(sink) => forward_panic(&sink, panic),
            None if OWNS_HOOKS.load(Ordering::Relaxed) => {}
            None => previous(panic),
        }));
    });
}

fn forward_panic(sink: &LogSink, panic: &std::panic::PanicHookInfo<'_>) {
    let mut fields = Map::new();
    fields.insert("panic".to_owned(), panic.payload_as_str().unwrap_or("a panic without a message").into());
    if let Some(place) = panic.location() {
        fields.insert("at".to_owned(), place.to_string().into());
    }
    if let Some(name) = std::thread::current().name() {
        fields.insert("thread".to_owned(), name.into());
    }
    sink.log(LogLevel::Error, "panic", "the plugin panicked", &Value::Object(fields).to_string());
}

/// Turns events into log lines. Fields of the spans around an event are added to its own.
struct Forwarder;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Forwarder {
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        current().is_some_and(|sink| sink.enabled(level_of(metadata.level())))
    }

    fn register_callsite(&self, _metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        // The host's levels may change while the plugin runs.
        tracing::subscriber::Interest::sometimes()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(sink) = current() else { return };
        let mut own = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                for (name, value) in &fields.values {
                    own.values.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        event.record(&mut own);
        let metadata = event.metadata();
        let fields =
            if own.values.is_empty() { String::new() } else { Value::Object(own.values).to_string() };
        sink.log(level_of(metadata.level()), metadata.target(), &own.message, &fields);
    }
}

const fn level_of(level: &Level) -> LogLevel {
    match *level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    values: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.values.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _never_fails = write!(self.message, "{value:?}");
        } else {
            self.put(field, format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.put(field, value.into());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}
