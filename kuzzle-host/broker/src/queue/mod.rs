//! A queue: what is ready, what is delivered and unsettled, and who consumes.
//!
//! Each queue has one short lock. Under it messages are put into the outboxes of links (whose locks come after); all
//! else that follows is collected as [`Effects`].

mod consumers;
mod ready;
mod settle;
mod tags;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use slab::Slab;

use crate::arguments::{Overflow, QueueArguments};
use crate::effects::{Dead, DeadReason, Effects};
use crate::link::Offered;
use crate::message::Message;
use crate::store::Stored;

use consumers::Consumers;
pub(crate) use consumers::QueueConsumer;
use ready::Ready;
pub(crate) use settle::Got as QueueGot;
pub use settle::Outcome;
use tags::Tags;

/// No time at all.
pub(crate) const NEVER: u64 = u64::MAX;

/// Where the message of an entry is.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    /// In memory.
    Message(Arc<Message>),
    /// In the journal alone.
    Paged(Arc<Stored>),
}

/// One message in one queue.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its place among the others.
    pub(crate) seq: u64,
    /// By which the journal knows it; 0 when it does not.
    pub(crate) order: u64,
    pub(crate) slot: Slot,
    pub(crate) bindings: Option<Arc<[u64]>>,
    /// Milliseconds since 1970.
    pub(crate) expires_at: u64,
    /// In a session's queue, once it was delivered.
    pub(crate) tag: u16,
    /// Bytes of the body.
    pub(crate) size: u32,
    pub(crate) priority: u8,
    pub(crate) redelivered: bool,
    pub(crate) retained: bool,
    /// Settled as received, not yet as done.
    pub(crate) received: bool,
    /// It came by bindings that ask for no more: nothing is settled.
    pub(crate) at_most_once: bool,
}

impl Entry {
    pub(crate) fn is_durable(&self) -> bool {
        self.order != 0
    }

    pub(crate) fn stored(&self) -> Option<&Arc<Stored>> {
        match &self.slot {
            Slot::Message(message) => message.stored.as_ref(),
            Slot::Paged(stored) => Some(stored),
        }
    }
}

/// What is put into a queue.
pub(crate) struct Incoming {
    /// By which the journal knows it; 0 when it does not.
    pub(crate) order: u64,
    pub(crate) slot: Slot,
    pub(crate) size: u32,
    pub(crate) priority: u8,
    pub(crate) ttl_ms: Option<u64>,
    pub(crate) bindings: Option<Arc<[u64]>>,
    pub(crate) retained: bool,
    pub(crate) at_most_once: bool,
}

/// See the module.
pub(crate) struct Queue {
    /// Unique for the life of the data directory.
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    pub(crate) vhost: Arc<str>,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    /// The connection it belongs to.
    pub(crate) exclusive: Option<u64>,
    /// The session it belongs to; 0 when none.
    pub(crate) session: u64,
    pub(crate) arguments: Bytes,
    pub(crate) args: QueueArguments,
    /// `published`, `delivered`, `settled` since it came into being.
    pub(crate) meters: [AtomicU64; 3],
    state: Mutex<State>,
}

pub(crate) const PUBLISHED: usize = 0;
pub(crate) const DELIVERED: usize = 1;
pub(crate) const SETTLED: usize = 2;

struct State {
    ready: Ready,
    unsettled: Slab<Entry>,
    unsettled_bytes: u64,
    consumers: Consumers,
    next_seq: u64,
    tags: Tags,
    /// The head is being read from the journal.
    loading: bool,
    /// Not before then: it could not be read.
    load_after: u64,
    /// Dead letters that were taken from here and are not published yet.
    burying: usize,
    deleted: bool,
    /// Last use of a queue that expires.
    used_at: u64,
    /// The time it is registered to be looked at.
    timer_at: u64,
}

/// Figures of a queue at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct QueueCounts {
    pub(crate) ready: usize,
    pub(crate) ready_bytes: u64,
    pub(crate) unsettled: usize,
    pub(crate) unsettled_bytes: u64,
    pub(crate) consumers: usize,
    pub(crate) paged: usize,
}

/// How a queue is made.
pub(crate) struct NewQueue {
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    pub(crate) vhost: Arc<str>,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) exclusive: Option<u64>,
    pub(crate) session: u64,
    pub(crate) arguments: Bytes,
    pub(crate) args: QueueArguments,
}

impl Queue {
    pub(crate) fn new(new: NewQueue, now: u64) -> Self {
        Self {
            id: new.id,
            name: new.name,
            vhost: new.vhost,
            durable: new.durable,
            auto_delete: new.auto_delete,
            exclusive: new.exclusive,
            session: new.session,
            arguments: new.arguments,
            meters: Default::default(),
            state: Mutex::new(State {
                ready: Ready::new(new.args.max_priority),
                unsettled: Slab::new(),
                unsettled_bytes: 0,
                consumers: Consumers::new(new.args.single_active_consumer),
                next_seq: 0,
                tags: Tags::default(),
                loading: false,
                load_after: 0,
                burying: 0,
                deleted: false,
                used_at: now,
                timer_at: NEVER,
            }),
            args: new.args,
        }
    }

    /// Whether the queue belongs to this session or connection.
    pub(crate) fn is_of(&self, session: u64, connection: u64) -> bool {
        (self.session != 0 && self.session == session) || self.exclusive == Some(connection)
    }

    fn count(&self, meter: usize, n: u64) {
        self.meters[meter].fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> QueueCounts {
        let state = self.state.lock();
        QueueCounts {
            ready: state.ready.len(),
            ready_bytes: state.ready.bytes(),
            unsettled: state.unsettled.len(),
            unsettled_bytes: state.unsettled_bytes,
            consumers: state.consumers.len(),
            paged: state.ready.paged(),
        }
    }

    /// Whether a message of that size would be refused: the queue is full and refuses rather than drops.
    pub(crate) fn refuses(&self, size: usize) -> bool {
        if self.args.overflow == Overflow::DropHead {
            return false;
        }
        let state = self.state.lock();
        let full = self.args.max_length.is_some_and(|max| state.ready.len() as u64 >= max)
            || self.args.max_length_bytes.is_some_and(|max| state.ready.bytes() + size as u64 > max);
        full && !(state.ready.len() == 0 && state.consumers.any_able())
    }

    /// Puts a message at its place near the tail and delivers what can be delivered. Returns whether it was taken.
    pub(crate) fn push(self: &Arc<Self>, incoming: Incoming, now: u64, fx: &mut Effects) -> bool {
        let mut state = self.state.lock();
        if state.deleted || (incoming.at_most_once && state.consumers.len() == 0) {
            return false;
        }
        let ttl = match (self.args.message_ttl_ms, incoming.ttl_ms) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let entry = Entry {
            seq: state.next_seq,
            slot: incoming.slot,
            bindings: incoming.bindings,
            expires_at: ttl.map_or(NEVER, |ttl| now.saturating_add(ttl)),
            tag: 0,
            size: incoming.size,
            priority: incoming.priority.min(self.args.max_priority.unwrap_or(0)),
            redelivered: false,
            retained: incoming.retained,
            received: false,
            order: incoming.order,
            at_most_once: incoming.at_most_once,
        };
        state.next_seq += 1;
        state.ready.push(entry);
        self.count(PUBLISHED, 1);
        self.pump(&mut state, now, fx);
        self.enforce_limits(&mut state, fx);
        if ttl.is_some() {
            self.expire(&mut state, now, fx);
        }
        true
    }

    /// Puts back an entry as it was before a restart.
    pub(crate) fn restore(&self, mut entry: Entry) {
        let mut state = self.state.lock();
        entry.seq = state.next_seq;
        state.next_seq += 1;
        state.tags.reserve(entry.tag);
        state.ready.push(entry);
    }

    /// Delivers as long as there is something ready and somebody able to take it.
    fn pump(self: &Arc<Self>, state: &mut State, now: u64, fx: &mut Effects) {
        while state.consumers.any_able() {
            let Some(head) = state.ready.head() else { break };
            // At its very time a message may still reach a consumer that waits for it.
            if head.expires_at < now {
                if let Some(entry) = state.ready.pop() {
                    self.bury(state, entry, DeadReason::Expired, fx);
                }
                continue;
            }
            let Slot::Message(message) = &head.slot else {
                self.ask_for_load(state, now, fx);
                break;
            };
            let Some(chosen) = state.consumers.choose() else { break };
            let consumer = state.consumers.at(chosen);
            let key = state.unsettled.vacant_key() as u32;
            let tag = if self.session == 0 { 0 } else { state.tags.of(head) };
            let after = match head.stored() {
                Some(stored) if tag != 0 && head.is_durable() => stored.end(),
                _ => 0,
            };
            match consumer.link.offer(consumer.slot, head, message, (key, tag, after), fx) {
                Offered::Taken => {
                    state.consumers.served(chosen);
                    let Some(mut entry) = state.ready.pop() else { break };
                    self.count(DELIVERED, 1);
                    if tag != 0 && entry.tag != tag {
                        self.note_tag(state, &mut entry, tag, fx);
                    }
                    state.unsettled_bytes += u64::from(entry.size);
                    state.unsettled.insert(entry);
                }
                Offered::TakenForGood => {
                    state.consumers.served(chosen);
                    let Some(entry) = state.ready.pop() else { break };
                    self.count(DELIVERED, 1);
                    self.count(SETTLED, 1);
                    state.tags.release(entry.tag);
                    self.forget(&entry, fx);
                }
                Offered::Dropped => {
                    let Some(entry) = state.ready.pop() else { break };
                    fx.dropped += 1;
                    self.bury(state, entry, DeadReason::MaxLength, fx);
                }
                Offered::Stalled | Offered::Gone => state.consumers.stall(chosen),
            }
        }
        self.set_timer(state, fx);
    }

    /// Gives an entry its tag. One that does not follow from the message has to be written down.
    fn note_tag(&self, state: &mut State, entry: &mut Entry, tag: u16, fx: &mut Effects) {
        state.tags.reserve(tag);
        entry.tag = tag;
        if entry.is_durable() && Tags::preferred(entry.order) != tag {
            fx.tags.push((self.id, entry.order, tag));
        }
    }

    fn ask_for_load(self: &Arc<Self>, state: &mut State, now: u64, fx: &mut Effects) {
        if !state.loading && now >= state.load_after {
            state.loading = true;
            fx.loads.push(Arc::clone(self));
        }
    }

    /// Drops what the queue has no room for.
    fn enforce_limits(self: &Arc<Self>, state: &mut State, fx: &mut Effects) {
        let over = |state: &State| {
            self.args.max_length.is_some_and(|max| state.ready.len() as u64 > max)
                || self.args.max_length_bytes.is_some_and(|max| state.ready.bytes() > max)
        };
        while over(state) {
            let Some(entry) = state.ready.pop_lowest() else { break };
            self.bury(state, entry, DeadReason::MaxLength, fx);
        }
    }

    /// Buries what is past its time at the head.
    fn expire(self: &Arc<Self>, state: &mut State, now: u64, fx: &mut Effects) {
        while let Some(entry) = state.ready.pop_expired(now) {
            self.bury(state, entry, DeadReason::Expired, fx);
        }
        self.set_timer(state, fx);
    }

    /// A message that leaves other than by being settled as done.
    fn bury(self: &Arc<Self>, state: &mut State, entry: Entry, reason: DeadReason, fx: &mut Effects) {
        if self.args.dead_letter_exchange.is_some() {
            let order = entry.is_durable().then_some(entry.order);
            state.burying += 1;
            fx.dead.push(Dead { queue: Arc::clone(self), slot: entry.slot, reason, order });
        } else {
            self.forget(&entry, fx);
        }
    }

    /// A message that the queue refuses is its dead letter all the same.
    pub(crate) fn bury_unseen(self: &Arc<Self>, message: Arc<Message>, fx: &mut Effects) {
        self.state.lock().burying += 1;
        let slot = Slot::Message(message);
        fx.dead.push(Dead { queue: Arc::clone(self), slot, reason: DeadReason::MaxLength, order: None });
    }

    /// A dead letter was published.
    pub(crate) fn buried(&self) {
        self.state.lock().burying -= 1;
    }

    /// An entry that is no more: the journal is told.
    fn forget(&self, entry: &Entry, fx: &mut Effects) {
        if entry.is_durable() {
            fx.settled.push((self.id, entry.order));
        }
    }

    fn set_timer(self: &Arc<Self>, state: &mut State, fx: &mut Effects) {
        let mut at = state.ready.next_expiry();
        if let Some(expires) = self.args.expires_ms
            && state.consumers.len() == 0
        {
            at = at.min(state.used_at.saturating_add(expires));
        }
        if state.load_after > 0 {
            at = at.min(state.load_after);
        }
        if at < state.timer_at {
            state.timer_at = at;
            fx.timers.push((at, Arc::clone(self)));
        }
    }

    /// The time it was registered for has come. Returns whether the queue expired and is to be deleted.
    pub(crate) fn timer(self: &Arc<Self>, now: u64, fx: &mut Effects) -> bool {
        let mut state = self.state.lock();
        state.timer_at = NEVER;
        if state.deleted {
            return false;
        }
        if let Some(expires) = self.args.expires_ms
            && state.consumers.len() == 0
            && state.used_at.saturating_add(expires) <= now
        {
            return true;
        }
        self.expire(&mut state, now, fx);
        if state.load_after > 0 && state.load_after <= now {
            state.load_after = 0;
            self.pump(&mut state, now, fx);
        }
        false
    }

    /// Registers its deadlines; once, when it came into being.
    pub(crate) fn start(self: &Arc<Self>, fx: &mut Effects) {
        self.set_timer(&mut self.state.lock(), fx);
    }

    /// Notes that a queue that expires was used.
    pub(crate) fn touch(self: &Arc<Self>, now: u64) {
        if self.args.expires_ms.is_some() {
            self.state.lock().used_at = now;
        }
    }

    /// Empties the ready messages; returns how many there were.
    pub(crate) fn purge(&self, fx: &mut Effects) -> usize {
        let mut state = self.state.lock();
        let mut purged = 0;
        while let Some(entry) = state.ready.pop() {
            self.forget(&entry, fx);
            purged += 1;
        }
        purged
    }

    /// Ends the queue: consumers are told, messages go. Returns how many were ready.
    pub(crate) fn shut(&self, fx: &mut Effects) -> usize {
        let mut state = self.state.lock();
        state.deleted = true;
        let ready = state.ready.len();
        state.unsettled = Slab::new();
        state.unsettled_bytes = 0;
        state.ready = Ready::new(self.args.max_priority);
        let consumers = state.consumers.take_all();
        drop(state);
        for consumer in consumers {
            consumer.link.consumer_lost(consumer.slot, fx);
        }
        ready
    }

    /// Calls `with` with all entries, unsettled ones too, in any order and under the lock, and with whether some have
    /// left that are not yet where they go.
    pub(crate) fn with_entries(&self, with: impl FnOnce(&mut dyn Iterator<Item = &Entry>, bool)) {
        let state = self.state.lock();
        let mut entries = state.unsettled.iter().map(|(_, entry)| entry).chain(state.ready.iter());
        with(&mut entries, state.burying > 0);
    }

    /// Whether the journal knows of the queue. One that ends with its connection is not worth it.
    pub(crate) fn is_kept(&self) -> bool {
        self.durable && self.exclusive.is_none()
    }
}
