//! What a link owes its client: an outbox of events, consumers with their credit, deliveries not yet settled.
//!
//! Lock order: a queue's state before a link's. Whatever follows for queues from a change here (credit came back, a
//! consumer is gone) is done after the link is unlocked.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytestring::ByteString;
use parking_lot::Mutex;
use slab::Slab;
use smallvec::SmallVec;

use crate::connection::ConnectionCore;
use crate::effects::Effects;
use crate::error::Error;
use crate::events::{Answer, Delivery, Done, Got, LinkEvent};
use crate::ingress::Unanswered;
use crate::message::{Message, Origin};
use crate::publish::Publisher;
use crate::queue::{Entry, Queue};
use crate::session::Session;
use crate::unsettled::{Unsettled, UnsettledDeliveries};

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

/// How many deliveries may be unsettled. `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Credit {
    /// In messages; a limit of 0 stops deliveries.
    pub count: Option<u32>,
    /// In bytes of bodies; one message may exceed it.
    pub bytes: Option<u64>,
}

impl Credit {
    fn allows(&self, used: &Used) -> bool {
        self.count.is_none_or(|count| used.count < count) && self.bytes.is_none_or(|bytes| used.bytes < bytes)
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Used {
    count: u32,
    bytes: u64,
}

impl Used {
    fn add(&mut self, bytes: u32) {
        self.count += 1;
        self.bytes += u64::from(bytes);
    }

    fn sub(&mut self, bytes: u32) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes.into());
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

struct Consumer {
    id: u64,
    name: ByteString,
    queue: Arc<Queue>,
    no_ack: bool,
    with_bindings: bool,
    credit: Credit,
    used: Used,
    /// Deliveries in the outbox that take no credit, and what happens at their limit.
    waiting: Used,
    limit: Limit,
    stalled: bool,
    cancelled: bool,
}

/// What may wait in the outbox for a consumer of deliveries that take no credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Messages; 0 for what the link allows.
    pub count: u32,
    /// Bytes of bodies; 0 for what the link allows.
    pub bytes: u64,
    /// What happens beyond.
    pub beyond: SlowConsumer,
}

impl Default for Limit {
    fn default() -> Self {
        Self { count: 0, bytes: 0, beyond: SlowConsumer::Wait }
    }
}

/// What happens when a consumer without credit does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlowConsumer {
    /// Messages wait in the queue, within the limits of the queue.
    #[default]
    Wait,
    /// The new message is dropped.
    DropNewest,
    /// The oldest message is dropped.
    DropOldest,
    /// The link is closed.
    Close,
}

/// How a consumer is added to a link.
pub(crate) struct NewConsumer<'a> {
    pub(crate) id: u64,
    pub(crate) name: &'a str,
    pub(crate) queue: &'a Arc<Queue>,
    pub(crate) no_ack: bool,
    pub(crate) with_bindings: bool,
    pub(crate) credit: Credit,
    pub(crate) limit: Limit,
}

/// What became of a message offered to a consumer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It is in the outbox.
    Taken,
    /// It is in the outbox and there is nothing to settle.
    TakenForGood,
    /// The consumer is too slow and the message is dropped for it.
    Dropped,
    /// No credit or no room; the link calls the queue when that changes.
    Stalled,
    /// The consumer is no more.
    Gone,
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

    /// Offers the head of a queue to a consumer; called under the queue's lock. `key` finds the entry among those the
    /// queue has unsettled, `tag` is the one it has or would get; it is given when the journal is synced up to `after`.
    pub(crate) fn offer(
        self: &Arc<Self>,
        slot: u32,
        entry: &Entry,
        message: &Arc<Message>,
        (key, tag, after): (u32, u16, u64),
        fx: &mut Effects,
    ) -> Offered {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(consumer) = state.consumers.get_mut(slot as usize).filter(|consumer| !consumer.cancelled)
        else {
            return Offered::Gone;
        };
        let settled = consumer.no_ack || entry.at_most_once;
        let mut room = state.deliveries < self.options.outbox_max
            && state.delivery_bytes < self.options.outbox_max_bytes;
        if settled {
            let limit = consumer.limit;
            room &= (limit.count == 0 || consumer.waiting.count < limit.count)
                && (limit.bytes == 0 || consumer.waiting.bytes < limit.bytes);
            match limit.beyond {
                _ if room => {}
                SlowConsumer::Wait => {}
                SlowConsumer::DropNewest => return Offered::Dropped,
                SlowConsumer::DropOldest => {
                    if !state.drop_oldest(slot) {
                        return Offered::Dropped;
                    }
                    fx.dropped += 1;
                    room = true;
                }
                SlowConsumer::Close => {
                    fx.too_slow.push(Arc::clone(self));
                    return Offered::Dropped;
                }
            }
        }
        let consumer = &mut state.consumers[slot as usize];
        let credit = settled || (consumer.credit.allows(&consumer.used) && state.credit.allows(&state.used));
        if !room || !credit {
            if !consumer.stalled {
                consumer.stalled = true;
                state.stalled.push(slot);
            }
            return Offered::Stalled;
        }
        let delivery = state.next_delivery;
        state.next_delivery += 1;
        if settled {
            consumer.waiting.add(entry.size);
        } else {
            consumer.used.add(entry.size);
            state.used.add(entry.size);
            state.unsettled.push(
                delivery,
                Unsettled { queue: Arc::clone(&consumer.queue), key, consumer: Some(slot), size: entry.size },
            );
        }
        state.deliveries += 1;
        state.delivery_bytes += u64::from(entry.size);
        let event = Delivery {
            consumer: consumer.id,
            delivery,
            message: Arc::clone(message),
            bindings: if consumer.with_bindings { entry.bindings.clone() } else { None },
            tag: if settled { 0 } else { tag },
            settled,
            redelivered: entry.redelivered,
            retained: entry.retained,
            received: entry.received,
            slot,
            after: if settled || after == 0 || after <= self.connection.synced() { 0 } else { after },
        };
        if event.after == 0 {
            state.push(LinkEvent::Delivery(event), self, fx);
        } else {
            // Not pushed as news: the outbox has nothing to give for it yet.
            state.outbox.push_back(LinkEvent::Delivery(event));
            if !std::mem::replace(&mut state.confirms.registered, true) {
                fx.waiting.push(Arc::clone(self));
            }
        }
        self.delivered.fetch_add(1, Ordering::Relaxed);
        if settled { Offered::TakenForGood } else { Offered::Taken }
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

    pub(crate) fn add_consumer(&self, new: NewConsumer<'_>) -> Result<u32, Error> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::closed());
        }
        if state.by_id.contains_key(&new.id) {
            return Err(Error::new(
                crate::Code::NotAllowed,
                format!("attempt to reuse consumer tag '{}'", new.name),
            ));
        }
        let slot = state.consumers.insert(Consumer {
            id: new.id,
            name: new.name.into(),
            queue: Arc::clone(new.queue),
            no_ack: new.no_ack,
            with_bindings: new.with_bindings,
            credit: new.credit,
            used: Used::default(),
            waiting: Used::default(),
            limit: new.limit,
            stalled: false,
            cancelled: false,
        });
        state.by_id.insert(new.id, slot);
        Ok(slot as u32)
    }

    /// Ends a consumer; what it has unsettled stays so.
    pub(crate) fn remove_consumer(&self, id: u64) -> Option<(Arc<Queue>, u32)> {
        let mut state = self.state.lock();
        let slot = state.by_id.remove(&id)?;
        Some((state.cancel(slot), slot as u32))
    }

    /// As [`LinkCore::remove_consumer`], from the queue's side: the client is told.
    pub(crate) fn consumer_lost(self: &Arc<Self>, slot: u32, fx: &mut Effects) {
        let mut state = self.state.lock();
        let Some(consumer) = state.consumers.get(slot as usize).filter(|consumer| !consumer.cancelled) else {
            return;
        };
        let id = consumer.id;
        state.by_id.remove(&id);
        let queue = state.cancel(slot as usize);
        if !state.closed {
            let error = Box::new(Error::no_queue(&queue.name, &queue.vhost));
            state.push(LinkEvent::Cancelled { consumer: id, error }, self, fx);
        }
    }

    /// Number and name of a consumer, and its credit.
    pub(crate) fn consumer_shown(&self, slot: u32) -> Option<(u64, ByteString, Credit)> {
        let state = self.state.lock();
        let consumer = state.consumers.get(slot as usize)?;
        Some((consumer.id, consumer.name.clone(), consumer.credit))
    }

    /// Sets the credit of one consumer, or of the link as a whole.
    pub(crate) fn set_credit(&self, consumer: Option<u64>, credit: Credit) -> Option<Resumed> {
        let mut state = self.state.lock();
        match consumer {
            None => state.credit = credit,
            Some(id) => {
                let slot = *state.by_id.get(&id)?;
                state.consumers[slot].credit = credit;
            }
        }
        Some(state.resume())
    }

    /// Gives a message that was got to the client. Returns whether the link still lives; else the message has to go
    /// back.
    pub(crate) fn got(
        self: &Arc<Self>,
        op: u64,
        queue: &Arc<Queue>,
        got: (Arc<Message>, u32, bool, u64),
        key: Option<u32>,
        fx: &mut Effects,
    ) -> bool {
        let (message, size, redelivered, left) = got;
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        let delivery = state.next_delivery;
        state.next_delivery += 1;
        if let Some(key) = key {
            let queue = Arc::clone(queue);
            state.unsettled.push(delivery, Unsettled { queue, key, consumer: None, size });
        }
        let settled = key.is_none();
        let got = Got { op, delivery, settled, message, redelivered, left };
        state.push(LinkEvent::Got(Box::new(got)), self, fx);
        true
    }

    /// Takes out the deliveries that a settlement names; their credit comes back.
    pub(crate) fn settle(
        &self,
        delivery: u64,
        multiple: bool,
        out: &mut SmallVec<[Unsettled; 8]>,
    ) -> Result<Resumed, Error> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let first = out.len();
        if multiple {
            let upto = if delivery == 0 { u64::MAX } else { delivery };
            if delivery != 0 && (delivery >= state.next_delivery || !state.unsettled.contains(delivery)) {
                return Err(Error::unknown_delivery(delivery));
            }
            state.unsettled.take_upto(upto, |_, unsettled| out.push(unsettled));
        } else {
            out.push(state.unsettled.take(delivery).ok_or_else(|| Error::unknown_delivery(delivery))?);
        }
        for unsettled in &out[first..] {
            state.give_back(unsettled);
        }
        Ok(state.resume())
    }

    /// Calls `with` for a delivery that stays unsettled.
    pub(crate) fn with_unsettled<R>(
        &self,
        delivery: u64,
        with: impl FnOnce(&Unsettled) -> R,
    ) -> Result<R, Error> {
        let state = self.state.lock();
        state.unsettled.get(delivery).map(with).ok_or_else(|| Error::unknown_delivery(delivery))
    }

    /// Checks that deliveries are unsettled without settling them.
    pub(crate) fn check_settle(&self, delivery: u64, multiple: bool) -> Result<(), Error> {
        let state = self.state.lock();
        if (multiple && delivery == 0) || state.unsettled.contains(delivery) {
            return Ok(());
        }
        Err(Error::unknown_delivery(delivery))
    }

    /// Takes all that is unsettled, for the whole link.
    pub(crate) fn take_all_unsettled(&self, out: &mut SmallVec<[Unsettled; 8]>) -> Resumed {
        let mut state = self.state.lock();
        let state = &mut *state;
        // Deliveries that the client never saw go back too.
        let first = out.len();
        state.unsettled.take_upto(u64::MAX, |_, unsettled| out.push(unsettled));
        for unsettled in &out[first..] {
            state.give_back(unsettled);
        }
        let mut dropped = (0, 0);
        state.outbox.retain(|event| match event {
            LinkEvent::Delivery(delivery) if !delivery.settled => {
                dropped.0 += 1;
                dropped.1 += delivery.message.size() as u64;
                false
            }
            _ => true,
        });
        state.deliveries -= dropped.0;
        state.delivery_bytes -= dropped.1;
        state.resume()
    }

    /// Ends the consumers of one queue without a word; returns their places.
    pub(crate) fn end_consumers_of(&self, queue: &Arc<Queue>) -> Vec<u32> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut slots = Vec::new();
        state.by_id.retain(|_, slot| {
            let of_queue = Arc::ptr_eq(&state.consumers[*slot].queue, queue);
            if of_queue {
                slots.push(*slot as u32);
            }
            !of_queue
        });
        for slot in &slots {
            state.cancel(*slot as usize);
        }
        slots
    }

    /// Takes what is unsettled of one queue.
    pub(crate) fn take_unsettled_of(
        &self,
        queue: &Arc<Queue>,
        out: &mut SmallVec<[Unsettled; 8]>,
    ) -> Resumed {
        let mut state = self.state.lock();
        let state = &mut *state;
        let first = out.len();
        let mut others = Vec::new();
        state.unsettled.take_upto(u64::MAX, |delivery, unsettled| {
            if Arc::ptr_eq(&unsettled.queue, queue) {
                out.push(unsettled);
            } else {
                others.push((delivery, unsettled));
            }
        });
        for (delivery, unsettled) in others {
            state.unsettled.push(delivery, unsettled);
        }
        for unsettled in &out[first..] {
            state.give_back(unsettled);
        }
        state.resume()
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

    /// Takes a delivery that is settled already out of the outbox, the oldest of a consumer.
    fn drop_oldest(&mut self, slot: u32) -> bool {
        let oldest = self.outbox.iter().position(
            |event| matches!(event, LinkEvent::Delivery(delivery) if delivery.settled && delivery.slot == slot),
        );
        let Some(LinkEvent::Delivery(delivery)) = oldest.and_then(|place| self.outbox.remove(place)) else {
            return false;
        };
        self.forget_delivery(&delivery);
        true
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

    fn give_back(&mut self, unsettled: &Unsettled) {
        let Some(slot) = unsettled.consumer else { return };
        self.used.sub(unsettled.size);
        let slot = slot as usize;
        if let Some(consumer) = self.consumers.get_mut(slot) {
            consumer.used.sub(unsettled.size);
            if consumer.cancelled && consumer.used.count == 0 {
                self.consumers.remove(slot);
            }
        }
    }

    /// Marks a consumer as ended; its place is kept until nothing refers to it.
    fn cancel(&mut self, slot: usize) -> Arc<Queue> {
        let consumer = &mut self.consumers[slot];
        consumer.cancelled = true;
        let queue = Arc::clone(&consumer.queue);
        self.stalled.retain(|stalled| *stalled as usize != slot);
        if consumer.used.count == 0 {
            self.consumers.remove(slot);
        }
        queue
    }

    fn resume(&mut self) -> Resumed {
        let mut resumed = Resumed::new();
        if self.stalled.is_empty() || !self.credit.allows(&self.used) {
            // Consumers that need no acknowledgement do not depend on the link's credit.
            if !self.stalled.iter().any(|slot| self.consumers[*slot as usize].no_ack) {
                return resumed;
            }
        }
        let consumers = &mut self.consumers;
        self.stalled.retain(|slot| {
            let consumer = &mut consumers[*slot as usize];
            if !consumer.no_ack && !consumer.credit.allows(&consumer.used) {
                return true;
            }
            consumer.stalled = false;
            resumed.push((Arc::clone(&consumer.queue), *slot));
            false
        });
        resumed
    }
}
