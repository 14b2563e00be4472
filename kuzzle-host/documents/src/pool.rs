//! The threads that searches run on: as many as there are processors, made when the first search comes.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::error::Error;

/// Searches that may wait for a thread; one more is refused.
const WAITING_MAX: usize = 1_024;

type Job = Box<dyn FnOnce() + Send>;

/// See the module.
#[derive(Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: Vec<JoinHandle<()>>,
    idle: usize,
    closed: bool,
}

/// Set when whoever asked has gone, and looked at by what runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancelled(Arc<AtomicBool>);

impl Cancelled {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.0
    }
}

/// Sets the flag when it goes.
struct Guard(Cancelled);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Pool {
    /// Runs something that takes long on a thread of the pool. Dropping the future cancels it: it does not begin, or
    /// finds the flag set.
    pub(crate) fn run<T: Send + 'static, W>(
        self: &Arc<Self>,
        work: W,
    ) -> impl Future<Output = Result<T, Error>> + Send + use<T, W>
    where
        W: FnOnce(&Cancelled) -> Result<T, Error> + Send + 'static,
    {
        let cancelled = Cancelled::default();
        let guard = Guard(cancelled.clone());
        let (answer, receiver) = oneshot::channel();
        let job = Box::new(move || {
            if cancelled.is_set() {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(|| work(&cancelled)));
            let result = result.unwrap_or_else(|_| Err(Error::Failed { doing: "search" }));
            // Who no longer waits does not mind.
            let _ = answer.send(result);
        });
        let pushed = self.push(job);
        async move {
            let _guard = guard;
            pushed?;
            receiver.await.unwrap_or(Err(Error::Closed))
        }
    }

    fn push(self: &Arc<Self>, job: Job) -> Result<(), Error> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        if state.jobs.len() >= WAITING_MAX {
            return Err(Error::Overloaded { reason: format!("{WAITING_MAX} searches are waiting") });
        }
        state.jobs.push_back(job);
        let wanted = std::thread::available_parallelism().map_or(1, usize::from);
        if state.idle < state.jobs.len() && state.threads.len() < wanted {
            let pool = Arc::clone(self);
            let name = format!("documents-find-{}", state.threads.len());
            match std::thread::Builder::new().name(name).spawn(move || pool.work()) {
                Ok(thread) => state.threads.push(thread),
                Err(error) if state.threads.is_empty() => {
                    state.jobs.pop_back();
                    return Err(Error::Overloaded { reason: format!("no thread can be started: {error}") });
                }
                Err(_) => {}
            }
        }
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.state.lock();
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                self.filled.wait(&mut state);
                state.idle -= 1;
            }
        }
    }

    /// Lets nothing more in, and waits for what runs; what waits is dropped.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.jobs);
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        drop(dropped);
        self.filled.notify_all();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread that searches panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::tests::wait;

    #[test]
    fn work_is_done_cancelled_and_outlives_panics() {
        let pool = Arc::new(Pool::default());
        assert_eq!(wait(pool.run(|_| Ok(1))), Ok(1));
        let panicking: Result<(), Error> = wait(pool.run(|_| panic!("a defect")));
        assert_eq!(panicking, Err(Error::Failed { doing: "search" }));
        let (began, begins) = mpsc::channel();
        let (ended, ends) = mpsc::channel();
        let running = pool.run(move |cancelled| {
            began.send(()).unwrap();
            while !cancelled.is_set() {
                std::thread::sleep(Duration::from_millis(1));
            }
            ended.send(()).unwrap();
            Ok(())
        });
        begins.recv_timeout(Duration::from_secs(60)).unwrap();
        drop(running);
        ends.recv_timeout(Duration::from_secs(60)).unwrap();
        pool.close();
        assert_eq!(wait(pool.run(|_| Ok(1))), Err(Error::Closed));
    }
}
