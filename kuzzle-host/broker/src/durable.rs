//! Waiting for the disk without a link: what operators change is answered when it is durable too.

use crate::broker::{Broker, Core};

/// Told whether what was asked is on the disk, or why it is not.
pub(crate) type WhenDurable = Box<dyn FnOnce(Result<(), String>) + Send>;

impl Broker {
    /// Calls `done` once all that was changed before this call is on the disk: at once, or from the journal's thread. When
    /// the journal cannot be written it is called with the reason; what was changed is in force all the same, and is
    /// written when the disk allows it.
    pub fn when_durable(&self, done: impl FnOnce(Result<(), String>) + Send + 'static) {
        let Some(store) = &self.core.store else {
            done(Ok(()));
            return;
        };
        let position = store.hurry();
        self.core.waiting_calls.lock().push((position, Box::new(done)));
        // The sync it waits for may have come just before.
        self.core.call_durable();
    }
}

impl Core {
    /// Calls those whose position is synced, and with the reason everybody when nothing can be written. Called without any
    /// lock.
    pub(crate) fn call_durable(&self) {
        let mut waiting = self.waiting_calls.lock();
        if waiting.is_empty() {
            return;
        }
        let synced = self.synced();
        let failure = self.store.as_ref().and_then(crate::store::Store::failure);
        let (due, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut *waiting).into_iter().partition(|(at, _)| *at <= synced || failure.is_some());
        *waiting = left;
        drop(waiting);
        for (position, done) in due {
            match &failure {
                Some(reason) if position > synced => done(Err(reason.clone())),
                _ => done(Ok(())),
            }
        }
    }
}
