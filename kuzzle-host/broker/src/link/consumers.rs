//! Consumers of a link: their credit, and what becomes of a message that is offered to one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytestring::ByteString;

use super::unsettled::Unsettled;
use super::{LinkCore, LinkState, Resumed};
use crate::effects::Effects;
use crate::error::Error;
use crate::events::{Delivery, LinkEvent};
use crate::message::Message;
use crate::queue::{Entry, Queue};

/// How many deliveries may be unsettled. `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Credit {
    /// In messages; a limit of 0 stops deliveries.
    pub count: Option<u32>,
    /// In bytes of bodies; one message may exceed it.
    pub bytes: Option<u64>,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Used {
    pub(super) count: u32,
    pub(super) bytes: u64,
}

pub(super) struct Consumer {
    pub(super) id: u64,
    pub(super) name: ByteString,
    pub(super) queue: Arc<Queue>,
    pub(super) no_ack: bool,
    pub(super) with_bindings: bool,
    pub(super) credit: Credit,
    pub(super) used: Used,
    /// Deliveries in the outbox that take no credit, and what happens at their limit.
    pub(super) waiting: Used,
    pub(super) limit: Limit,
    pub(super) stalled: bool,
    pub(super) cancelled: bool,
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

impl Credit {
    pub(super) fn allows(&self, used: &Used) -> bool {
        self.count.is_none_or(|count| used.count < count) && self.bytes.is_none_or(|bytes| used.bytes < bytes)
    }
}

impl Used {
    pub(super) fn add(&mut self, bytes: u32) {
        self.count += 1;
        self.bytes += u64::from(bytes);
    }

    pub(super) fn sub(&mut self, bytes: u32) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes.into());
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self { count: 0, bytes: 0, beyond: SlowConsumer::Wait }
    }
}

impl LinkCore {
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
}

impl LinkState {
    /// Takes a delivery that is settled already out of the outbox, the oldest of a consumer.
    pub(super) fn drop_oldest(&mut self, slot: u32) -> bool {
        let oldest = self.outbox.iter().position(
            |event| matches!(event, LinkEvent::Delivery(delivery) if delivery.settled && delivery.slot == slot),
        );
        let Some(LinkEvent::Delivery(delivery)) = oldest.and_then(|place| self.outbox.remove(place)) else {
            return false;
        };
        self.forget_delivery(&delivery);
        true
    }

    /// Marks a consumer as ended; its place is kept until nothing refers to it.
    pub(super) fn cancel(&mut self, slot: usize) -> Arc<Queue> {
        let consumer = &mut self.consumers[slot];
        consumer.cancelled = true;
        let queue = Arc::clone(&consumer.queue);
        self.stalled.retain(|stalled| *stalled as usize != slot);
        if consumer.used.count == 0 {
            self.consumers.remove(slot);
        }
        queue
    }

    pub(super) fn resume(&mut self) -> Resumed {
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
