//! What follows from a change, collected under locks and done after they are released.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::connection::ConnectionCore;
use crate::link::LinkCore;
use crate::message::Message;
use crate::queue::{Queue, Slot};

/// Why a message is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeadReason {
    Rejected,
    Expired,
    MaxLength,
}

impl DeadReason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            DeadReason::Rejected => "rejected",
            DeadReason::Expired => "expired",
            DeadReason::MaxLength => "maxlen",
        }
    }
}

/// A message that goes to the dead-letter exchange of its queue.
pub(crate) struct Dead {
    pub(crate) queue: Arc<Queue>,
    pub(crate) slot: Slot,
    pub(crate) reason: DeadReason,
    /// Order number of a durable entry, to be settled once the dead letter is written.
    pub(crate) order: Option<u64>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Effects {
    /// Links whose outbox is no longer empty.
    pub(crate) wakes: SmallVec<[Arc<LinkCore>; 8]>,
    pub(crate) dead: Vec<Dead>,
    /// Durable entries that are no more: number of the queue and order number.
    pub(crate) settled: SmallVec<[(u64, u64); 8]>,
    /// Queues whose head has to be read from the disk.
    pub(crate) loads: Vec<Arc<Queue>>,
    /// Queues that lost their last consumer and are to be deleted for it.
    pub(crate) unused: Vec<Arc<Queue>>,
    /// Queues to be looked at when the time has come.
    pub(crate) timers: SmallVec<[(u64, Arc<Queue>); 2]>,
    /// Requests for the host.
    pub(crate) ingress: Vec<(Arc<LinkCore>, Arc<Message>)>,
    /// Links whose consumer was too slow and that are to be closed for it.
    pub(crate) too_slow: Vec<Arc<LinkCore>>,
    /// Tags other than those that follow from the message, to be written down.
    pub(crate) tags: Vec<(u64, u64, u16)>,
    /// Connections with news in their own outbox.
    pub(crate) connections: SmallVec<[Arc<ConnectionCore>; 1]>,
    /// Links with something that waits for the journal.
    pub(crate) waiting: Vec<Arc<LinkCore>>,
    /// Messages dropped for slow consumers.
    pub(crate) dropped: u64,
}

impl Effects {
    pub(crate) fn wake(&mut self, link: &Arc<LinkCore>) {
        self.wakes.push(Arc::clone(link));
    }

    pub(crate) fn is_done(&self) -> bool {
        self.dead.is_empty()
            && self.settled.is_empty()
            && self.loads.is_empty()
            && self.unused.is_empty()
            && self.timers.is_empty()
            && self.ingress.is_empty()
            && self.too_slow.is_empty()
            && self.tags.is_empty()
            && self.waiting.is_empty()
    }
}
