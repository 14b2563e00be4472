//! The threads of one instance.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Handle, Runtime};

use super::logging::LogSink;
use crate::abi::ApiError;

/// Threads for work that blocks, at most.
const BLOCKING_THREADS_MAX: usize = 4;

/// Worker threads, at most: a settings file with a slip of the finger must not take the machine down.
const WORKER_THREADS_MAX: usize = 64;

/// A tokio runtime of an instance's own, and the count of its threads.
pub(crate) struct InstanceRuntime {
    runtime: Option<Runtime>,
    threads: Arc<Threads>,
}

impl InstanceRuntime {
    /// Makes the runtime: `worker_threads` workers (0 is one), all named `name`.
    pub(crate) fn start(name: &str, worker_threads: usize, sink: &Arc<LogSink>) -> Result<Self, ApiError> {
        let threads = Arc::new(Threads { alive: Mutex::new(0), changed: Condvar::new() });
        let (started, stopped, sink) = (Arc::clone(&threads), Arc::clone(&threads), Arc::clone(sink));
        let runtime = Builder::new_multi_thread()
            .worker_threads(worker_threads.clamp(1, WORKER_THREADS_MAX))
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_name(name)
            .on_thread_start(move || {
                started.add(1);
                sink.adopt_thread();
            })
            .on_thread_stop(move || stopped.add(-1))
            .enable_all()
            .build()
            .map_err(|error| {
                let message = format!("cannot start the threads of instance `{name}`: {error}");
                ApiError::new(503, "plugin.start.threads", message)
            })?;
        Ok(Self { runtime: Some(runtime), threads })
    }

    /// For spawning onto the runtime. None after [`stop`](Self::stop).
    pub(crate) fn handle(&self) -> Option<&Handle> {
        self.runtime.as_ref().map(Runtime::handle)
    }

    /// Drops every task at its next pause and waits until `deadline` for the threads to end. Gives how many did not.
    ///
    /// May be called on any thread, also on one of another runtime.
    pub(crate) fn stop(&mut self, deadline: Instant) -> u32 {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.threads.wait_until_none(deadline)
    }
}

impl Drop for InstanceRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Threads {
    alive: Mutex<isize>,
    changed: Condvar,
}

impl Threads {
    fn add(&self, delta: isize) {
        *self.alive.lock() += delta;
        self.changed.notify_all();
    }

    fn wait_until_none(&self, deadline: Instant) -> u32 {
        let mut alive = self.alive.lock();
        while *alive > 0 && !self.changed.wait_until(&mut alive, deadline).timed_out() {}
        u32::try_from(*alive).unwrap_or_default()
    }
}
