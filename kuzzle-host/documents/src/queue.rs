//! The bounded queue between those who write and the committer.

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::evaluate::Prepared;
use crate::write::Written;

/// A write that waits for its answer.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) write: Prepared,
    pub(crate) answer: oneshot::Sender<Result<Written, Error>>,
}

/// First in, first out; bounded in number and bytes.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    limit: usize,
    limit_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Job>,
    bytes: usize,
    closed: bool,
    /// Whether the committer sleeps; only then is it worth a system call to wake it.
    sleeping: bool,
}

impl Queue {
    pub(crate) fn new(limit: usize, limit_bytes: usize) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), limit: limit.max(1), limit_bytes }
    }

    /// Adds a write, or says why it cannot wait.
    pub(crate) fn push(&self, write: Prepared) -> Result<oneshot::Receiver<Result<Written, Error>>, Error> {
        let bytes = write.len();
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        if state.jobs.len() >= self.limit {
            return Err(Error::Overloaded {
                reason: format!("{} of {} are waiting", state.jobs.len(), self.limit),
            });
        }
        if !state.jobs.is_empty() && state.bytes + bytes > self.limit_bytes {
            return Err(Error::Overloaded {
                reason: format!("{} of {} bytes are waiting", state.bytes, self.limit_bytes),
            });
        }
        let (answer, receiver) = oneshot::channel();
        state.jobs.push(Job { write, answer });
        state.bytes += bytes;
        let wake = std::mem::take(&mut state.sleeping);
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Ok(receiver)
    }

    /// Waits for writes and moves all of them into `jobs`; false once the queue is closed and empty. Returns with
    /// nothing when `until` passes first.
    pub(crate) fn take(&self, jobs: &mut Vec<Job>, until: Option<std::time::Instant>) -> bool {
        let mut state = self.state.lock();
        while state.jobs.is_empty() {
            if state.closed {
                return false;
            }
            state.sleeping = true;
            match until {
                None => self.filled.wait(&mut state),
                Some(until) => {
                    if self.filled.wait_until(&mut state, until).timed_out() {
                        state.sleeping = false;
                        break;
                    }
                }
            }
        }
        std::mem::swap(&mut state.jobs, jobs);
        state.bytes = 0;
        true
    }

    /// Lets nothing more in; what waits is still handled.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.sleeping = false;
        drop(state);
        self.filled.notify_all();
    }

    /// Number of writes that wait.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().jobs.len()
    }
}
