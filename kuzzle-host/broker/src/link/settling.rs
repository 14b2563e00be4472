//! Deliveries that leave a link: settled, put back, or got without a consumer.

use std::sync::Arc;

use smallvec::SmallVec;

use super::unsettled::Unsettled;
use super::{LinkCore, LinkState, Resumed};
use crate::effects::Effects;
use crate::error::Error;
use crate::events::{Got, LinkEvent};
use crate::message::Message;
use crate::queue::Queue;

impl LinkCore {
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
}

impl LinkState {
    pub(super) fn give_back(&mut self, unsettled: &Unsettled) {
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
}
