//! Alarms: too much in memory, too little space on the disk. Publishers are blocked while one is on.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::broker::Core;
use crate::effects::Effects;

#[derive(Debug, Default)]
pub(crate) struct Alarms {
    memory: AtomicBool,
    disk: AtomicBool,
    refuses: AtomicBool,
}

impl Alarms {
    /// The reason to block publishers, if there is one.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        if self.memory.load(Ordering::Relaxed) {
            Some("low on memory")
        } else if self.disk.load(Ordering::Relaxed) {
            Some("low on disk")
        } else {
            None
        }
    }

    /// Whether clients that publish all the same are refused.
    pub(crate) fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }
}

impl Core {
    /// Sets and clears the alarms; connections that publish are told.
    pub(crate) fn check_alarms(&self, fx: &mut Effects) {
        let used = self.memory.used();
        let max = self.options.memory_max_bytes;
        let was_on = self.alarms.memory.load(Ordering::Relaxed);
        // Off only well below the limit, so that it does not flicker.
        let memory = used > max || (was_on && used > max / 10 * 9);
        self.alarms.memory.store(memory, Ordering::Relaxed);
        let disk = self.store.as_ref().is_some_and(|store| {
            store.is_failing()
                || store.free_bytes().is_some_and(|free| free < self.options.disk_free_min_bytes)
        });
        self.alarms.disk.store(disk, Ordering::Relaxed);
        let failing = self.store.as_ref().is_some_and(|store| store.is_failing());
        self.alarms.refuses.store(used > max.saturating_mul(2) || failing, Ordering::Relaxed);
        let Some(reason) = self.alarms.reason() else { return };
        let connections: Vec<_> = self.connections.lock().values().cloned().collect();
        for connection in connections {
            if connection.published.load(Ordering::Relaxed) > 0
                && !connection.blocked.swap(true, Ordering::AcqRel)
            {
                connection.tell(crate::LinkEvent::Blocked(reason), fx);
                self.hold(&connection);
            }
        }
    }
}
