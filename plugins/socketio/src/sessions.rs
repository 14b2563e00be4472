//! The sessions that HTTP exchanges may name: those on long-polling.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::polling::{Command, Handle};

/// Every session on long-polling by its id.
pub(crate) struct Sessions {
    by_id: Mutex<HashMap<Arc<str>, Handle>>,
    max: usize,
    left: Notify,
}

/// One session's place among them, given back on drop.
pub(crate) struct Place {
    /// The session's id.
    pub(crate) id: Arc<str>,
    /// What the exchanges ask of it.
    pub(crate) commands: mpsc::Receiver<Command>,
    sessions: Arc<Sessions>,
}

impl Sessions {
    /// None yet, and never more than `max`.
    pub(crate) fn new(max: usize) -> Arc<Sessions> {
        Arc::new(Sessions { by_id: Mutex::default(), max, left: Notify::new() })
    }

    /// A place for one more session, or none when all are taken.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Place> {
        let id: Arc<str> = random_id().into();
        let (handle, commands) = Handle::new();
        let mut by_id = self.by_id.lock();
        if by_id.len() >= self.max {
            return None;
        }
        by_id.insert(id.clone(), handle);
        Some(Place { id, commands, sessions: self.clone() })
    }

    /// The session of that id.
    pub(crate) fn get(&self, id: &str) -> Option<Handle> {
        self.by_id.lock().get(id).cloned()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_id.lock().len()
    }

    /// Resolves when there are none.
    pub(crate) async fn emptied(&self) {
        loop {
            let left = self.left.notified();
            if self.len() == 0 {
                return;
            }
            left.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sessions.by_id.lock().remove(&self.id);
        self.sessions.left.notify_waiters();
    }
}

/// An id that cannot be guessed: whoever knows a session's may post for its client.
pub(crate) fn random_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
