//! What a link owes its client: an outbox of events, consumers with their credit, deliveries not yet settled.
//!
//! Lock order: a queue's state before a link's. Whatever follows for queues from a change here (credit came back, a
//! consumer is gone) is done after the link is unlocked.

mod consumers;
mod settling;
mod unsettled;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use slab::Slab;
use smallvec::SmallVec;

use crate::connection::ConnectionCore;
use crate::effects::Effects;
use crate::error::Error;
use crate::events::{Answer, Delivery, Done, LinkEvent};
use crate::ingress::Unanswered;
use crate::message::Origin;
use crate::publish::Publisher;
use crate::queue::Queue;
use crate::session::Session;

use consumers::{Consumer, Used};
pub use consumers::{Credit, Limit, SlowConsumer};
pub(crate) use consumers::{NewConsumer, Offered};
pub(crate) use unsettled::Unsettled;
use unsettled::UnsettledDeliveries;

/// How a link is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkOptions {
    /// The caller's number of the link; it is handed to [`crate::Waker::ready`].
    pub id: u64,
    /// After a refusal everything asked of the link is ignored until it is closed, as on an AMQP channel.
    pub stops_at_error: bool,
    /// Deliveries that may wait in the outbox; more stay in their queues. Default 1,024.
    pub outbox_max: usize,
    /// Bytes of bodies that may wait in the outbox; one message may exceed it. Default 1 MiB.
    pub outbox_max_bytes: u64,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self { id: 0, stops_at_error: false, outbox_max: 1_024, outbox_max_bytes: 1 << 20 }
    }
}

/// The inside of a link; queues hold it for their consumers.
pub(crate) struct LinkCore {
    /// Unique in the broker.
    pub(crate) uid: u64,
    pub(crate) options: LinkOptions,
    pub(crate) connection: Arc<ConnectionCore>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) publisher: Mutex<Publisher>,
    pub(crate) unanswered: Arc<Unanswered>,
    pub(crate) session: Mutex<Option<Arc<Session>>>,
    /// Number of the session the link is attached to; 0 when none.
    pub(crate) session_id: AtomicU64,
    /// Publishes are confirmed.
    pub(crate) confirms: AtomicBool,
    /// A refusal has stopped it.
    pub(crate) stopped: AtomicBool,
    pub(crate) last_queue: Mutex<Option<Arc<str>>>,
    /// The queue of its direct replies.
    pub(crate) reply_queue: Mutex<Option<Arc<str>>>,
    pub(crate) published: AtomicU64,
    pub(crate) delivered: AtomicU64,
    state: Mutex<LinkState>,
}

struct LinkState {
    outbox: VecDeque<LinkEvent>,
    deliveries: usize,
    delivery_bytes: u64,
    /// The host was told, and has not emptied the outbox since.
    notified: bool,
    closed: bool,
    consumers: Slab<Consumer>,
    by_id: HashMap<u64, usize>,
    credit: Credit,
    used: Used,
    /// Consumers that a queue could not deliver to.
    stalled: SmallVec<[u32; 4]>,
    unsettled: UnsettledDeliveries,
    next_delivery: u64,
    confirms: Confirms,
}

/// Publishes whose confirmation waits for the journal.
#[derive(Default)]
struct Confirms {
    pending: VecDeque<(u64, u64)>,
    last: u64,
    told: u64,
    /// The store is asked to call back.
    registered: bool,
}

/// A consumer whose queue has to try again.
pub(crate) type Resumed = SmallVec<[(Arc<Queue>, u32); 4]>;

/// How much was taken out of an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Events appended.
    pub events: usize,
    /// Whether more wait: then take again, nobody is told.
    pub more: bool,
}

impl LinkCore {
    pub(crate) fn new(
        uid: u64,
        options: LinkOptions,
        connection: Arc<ConnectionCore>,
        origin: Arc<Origin>,
    ) -> Self {
        Self {
            uid,
            options,
            connection,
            origin,
            publisher: Mutex::default(),
            unanswered: Arc::default(),
            session: Mutex::new(None),
            session_id: AtomicU64::new(0),
            confirms: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            last_queue: Mutex::new(None),
            reply_queue: Mutex::new(None),
            published: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            state: Mutex::new(LinkState {
                outbox: VecDeque::new(),
                deliveries: 0,
                delivery_bytes: 0,
                notified: false,
                closed: false,
                consumers: Slab::new(),
                by_id: HashMap::new(),
                credit: Credit::default(),
                used: Used::default(),
                stalled: SmallVec::new(),
                unsettled: UnsettledDeliveries::default(),
                next_delivery: 1,
                confirms: Confirms::default(),
            }),
        }
    }

    /// Puts an event that is no delivery into the outbox.
    pub(crate) fn tell(self: &Arc<Self>, event: LinkEvent, fx: &mut Effects) {
        let mut state = self.state.lock();
        if !state.closed {
            state.push(event, self, fx);
        }
    }

    /// Whether so many events that are no deliveries wait that the client should be read no further.
    pub(crate) fn is_flooded(&self) -> bool {
        let state = self.state.lock();
        state.outbox.len() - state.deliveries >= self.options.outbox_max
    }

    /// Moves events out of the outbox; consumers that wait for room are returned. Answers that wait for a sync beyond
    /// `synced` hold back all that follows.
    pub(crate) fn take(
        &self,
        max: usize,
        max_bytes: u64,
        synced: u64,
        events: &mut Vec<LinkEvent>,
    ) -> (Taken, Resumed) {
        let mut state = self.state.lock();
        let mut bytes = 0;
        let mut taken = Taken::default();
        while taken.events < max && (bytes < max_bytes || taken.events == 0) {
            if state.outbox.front().is_none_or(|front| is_held(front, synced)) {
                break;
            }
            let Some(event) = state.outbox.pop_front() else { break };
            if let LinkEvent::Delivery(delivery) = &event {
                bytes += delivery.message.size() as u64;
                state.forget_delivery(delivery);
            }
            events.push(event);
            taken.events += 1;
        }
        taken.more = state.outbox.front().is_some_and(|front| !is_held(front, synced));
        state.notified = taken.more;
        if state.outbox.is_empty() && state.outbox.capacity() > 64 {
            // An idle link keeps little.
            state.outbox.shrink_to(16);
        }
        let resumed =
            if state.deliveries * 2 <= self.options.outbox_max { state.resume() } else { Resumed::new() };
        (taken, resumed)
    }

    /// Ends the link: nothing is offered any more. Returns its consumers.
    pub(crate) fn shut(
        self: &Arc<Self>,
        reason: Option<(Error, bool)>,
        fx: &mut Effects,
    ) -> Vec<(Arc<Queue>, u32)> {
        let mut state = self.state.lock();
        if state.closed {
            return Vec::new();
        }
        let slots: Vec<usize> = state.by_id.drain().map(|(_, slot)| slot).collect();
        let consumers = slots.into_iter().map(|slot| (state.cancel(slot), slot as u32)).collect();
        if let Some((error, taken_over)) = reason {
            state.push(LinkEvent::Closed { error: Box::new(error), taken_over }, self, fx);
        }
        state.closed = true;
        consumers
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Notes that everything up to `seq` was taken and waits for nothing but what is noted as pending.
    pub(crate) fn confirm(self: &Arc<Self>, seq: u64, fx: &mut Effects) {
        let mut state = self.state.lock();
        state.confirms.last = seq;
        if state.confirms.pending.is_empty() {
            state.tell_confirmed(seq, self, fx);
        }
    }

    /// Notes that `seq` is confirmed once the journal is synced up to `position`. Returns whether the store has to be
    /// asked to call.
    pub(crate) fn confirm_after(&self, seq: u64, position: u64) -> bool {
        let mut state = self.state.lock();
        state.confirms.last = seq;
        match state.confirms.pending.back_mut() {
            // One sync usually covers many.
            Some(last) if last.1 == position => last.0 = seq,
            _ => state.confirms.pending.push_back((seq, position)),
        }
        !std::mem::replace(&mut state.confirms.registered, true)
    }

    /// The journal is synced up to `position`. Returns whether more is pending.
    pub(crate) fn synced(self: &Arc<Self>, position: u64, fx: &mut Effects) -> bool {
        let mut state = self.state.lock();
        let mut upto = None;
        while let Some((seq, at)) = state.confirms.pending.front().copied() {
            if at > position {
                break;
            }
            upto = Some(seq);
            state.confirms.pending.pop_front();
        }
        let unconfirmed = !state.confirms.pending.is_empty();
        if let Some(seq) = upto {
            let seq = if unconfirmed { seq } else { state.confirms.last };
            state.tell_confirmed(seq, self, fx);
        }
        // Answers behind the first that is held are found when that one is let go.
        let held = state.outbox.iter().any(|event| is_held(event, position));
        if !state.notified && state.outbox.front().is_some_and(|front| !is_held(front, position)) {
            state.notified = true;
            fx.wake(self);
        }
        state.confirms.registered = unconfirmed || held;
        state.confirms.registered
    }

    /// Puts the answer of an operation into the outbox, to be given once the journal is synced up to `after`.
    /// Returns whether the store has to be asked to call.
    pub(crate) fn answer(
        self: &Arc<Self>,
        op: u64,
        result: Result<Done, Error>,
        after: u64,
        fx: &mut Effects,
    ) -> bool {
        if result.is_err() && self.options.stops_at_error {
            self.stopped.store(true, Ordering::Release);
        }
        if op == 0 && result.is_ok() {
            return false;
        }
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        let held = after > 0;
        let answer = LinkEvent::Answer(Box::new(Answer { op, result, after }));
        if held {
            // Not pushed as news: the outbox has nothing to give for it yet.
            state.outbox.push_back(answer);
            return !std::mem::replace(&mut state.confirms.registered, true);
        }
        state.push(answer, self, fx);
        false
    }

    pub(crate) fn counts(&self) -> LinkCounts {
        let state = self.state.lock();
        LinkCounts {
            consumers: state.by_id.len(),
            unsettled: state.unsettled.len(),
            outbox: state.outbox.len(),
            unconfirmed: state.confirms.pending.len(),
        }
    }
}

/// Whether an event waits for the journal.
fn is_held(event: &LinkEvent, synced: u64) -> bool {
    match event {
        LinkEvent::Answer(answer) => answer.after > synced,
        LinkEvent::Delivery(delivery) => delivery.after > synced,
        _ => false,
    }
}

/// Figures for the listing.
pub(crate) struct LinkCounts {
    pub(crate) consumers: usize,
    pub(crate) unsettled: usize,
    pub(crate) outbox: usize,
    pub(crate) unconfirmed: usize,
}

impl LinkState {
    fn push(&mut self, event: LinkEvent, link: &Arc<LinkCore>, fx: &mut Effects) {
        self.outbox.push_back(event);
        if !self.notified {
            self.notified = true;
            fx.wake(link);
        }
    }

    /// A delivery has left the outbox.
    fn forget_delivery(&mut self, delivery: &Delivery) {
        let size = delivery.message.size() as u32;
        self.deliveries -= 1;
        self.delivery_bytes -= u64::from(size);
        if delivery.settled
            && let Some(consumer) = self.consumers.get_mut(delivery.slot as usize)
            && consumer.id == delivery.consumer
        {
            consumer.waiting.sub(size);
        }
    }

    fn tell_confirmed(&mut self, seq: u64, link: &Arc<LinkCore>, fx: &mut Effects) {
        if seq <= self.confirms.told || self.closed {
            return;
        }
        self.confirms.told = seq;
        match self.outbox.back_mut() {
            Some(LinkEvent::ConfirmedUpTo(last)) => *last = seq,
            _ => self.push(LinkEvent::ConfirmedUpTo(seq), link, fx),
        }
    }
}
