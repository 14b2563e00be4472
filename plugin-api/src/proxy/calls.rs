//! Calls that wait for their answer from the other half.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::abi::Completion;

/// The completions of calls that have crossed, by number.
pub(super) struct Calls {
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, Completion>>,
    limit: usize,
}

impl Calls {
    /// A table of up to `limit` calls at a time.
    pub(super) fn new(limit: usize) -> Self {
        Self { next: AtomicU64::new(1), waiting: Mutex::default(), limit }
    }

    /// Keeps a completion and gives the number of its call; gives the completion back when too many wait.
    pub(super) fn add(&self, done: Completion) -> Result<u64, Completion> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= self.limit {
            return Err(done);
        }
        let call = self.next.fetch_add(1, Ordering::Relaxed);
        waiting.insert(call, done);
        Ok(call)
    }

    /// Takes the completion of a call; none when it was answered before.
    pub(super) fn take(&self, call: u64) -> Option<Completion> {
        self.waiting.lock().remove(&call)
    }

    /// Answers all that wait as cancelled.
    pub(super) fn cancel(&self) {
        let cancelled = std::mem::take(&mut *self.waiting.lock());
        drop(cancelled);
    }
}
