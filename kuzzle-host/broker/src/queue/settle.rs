//! Getting, settling, consuming: what clients do to a queue.

use std::sync::Arc;

use super::{DELIVERED, Entry, Queue, QueueConsumer, SETTLED, Slot};
use crate::effects::{DeadReason, Effects};
use crate::error::Error;
use crate::link::LinkCore;
use crate::message::Message;
use crate::store::Stored;

/// How a delivery is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it and will not take it twice; the second phase is to come (MQTT's PUBREC).
    Received,
    /// It is done with.
    Done,
    /// It goes back to its place in the queue.
    Requeue,
    /// It is dropped, or goes to the dead-letter exchange of the queue.
    Reject,
}

/// How long a queue whose head cannot be read waits before it is tried again.
const LOAD_AGAIN_MS: u64 = 10_000;

/// What getting from a queue came to.
pub(crate) enum Got {
    Empty,
    /// The head has to be read from the journal first.
    NotLoaded,
    Message {
        message: Arc<Message>,
        key: u32,
        size: u32,
        redelivered: bool,
        left: usize,
    },
}

impl Queue {
    /// Takes the head.
    pub(crate) fn get(self: &Arc<Self>, no_ack: bool, now: u64, fx: &mut Effects) -> Got {
        let mut state = self.state.lock();
        state.used_at = now;
        self.expire(&mut state, now, fx);
        let message = match state.ready.head().map(|head| &head.slot) {
            None => return Got::Empty,
            Some(Slot::Paged(_)) => return Got::NotLoaded,
            Some(Slot::Message(message)) => Arc::clone(message),
        };
        let Some(entry) = state.ready.pop() else { return Got::Empty };
        let (size, redelivered, left) = (entry.size, entry.redelivered, state.ready.len());
        self.count(DELIVERED, 1);
        let mut key = 0;
        if no_ack {
            self.count(SETTLED, 1);
            self.forget(&entry, fx);
        } else {
            state.unsettled_bytes += u64::from(size);
            key = state.unsettled.insert(entry) as u32;
        }
        self.set_timer(&mut state, fx);
        Got::Message { message, key, size, redelivered, left }
    }

    /// Settles deliveries; `keys` are those of entries that are unsettled. Unknown ones are of a queue that was deleted.
    pub(crate) fn settle(
        self: &Arc<Self>,
        keys: impl Iterator<Item = u32>,
        outcome: Outcome,
        now: u64,
        fx: &mut Effects,
    ) {
        let mut state = self.state.lock();
        for key in keys {
            let Some(mut entry) = state.unsettled.try_remove(key as usize) else { continue };
            state.unsettled_bytes -= u64::from(entry.size);
            if outcome != Outcome::Requeue {
                state.tags.release(entry.tag);
            }
            match outcome {
                // The link keeps such a delivery; it does not come here.
                Outcome::Received | Outcome::Done => {
                    self.count(SETTLED, 1);
                    self.forget(&entry, fx);
                }
                Outcome::Requeue => {
                    entry.redelivered = true;
                    state.ready.put_back(entry);
                }
                Outcome::Reject => {
                    self.count(SETTLED, 1);
                    self.bury(&mut state, entry, DeadReason::Rejected, fx);
                }
            }
        }
        if outcome == Outcome::Requeue {
            self.pump(&mut state, now, fx);
            self.enforce_limits(&mut state, fx);
            self.expire(&mut state, now, fx);
        }
        let slack = state.unsettled.capacity() > 1_024 && state.unsettled.is_empty();
        if slack {
            state.unsettled.shrink_to_fit();
        }
    }

    /// Changes an entry that stays unsettled; gives its order number, if it is durable, and its tag.
    pub(crate) fn mark(&self, key: u32, change: impl FnOnce(&mut Entry)) -> Option<(u64, u16)> {
        let mut state = self.state.lock();
        let entry = state.unsettled.get_mut(key as usize)?;
        change(entry);
        entry.is_durable().then_some((entry.order, entry.tag))
    }

    /// Adds a consumer, calls `added`, and delivers what waits.
    pub(crate) fn consume(
        self: &Arc<Self>,
        consumer: QueueConsumer,
        now: u64,
        fx: &mut Effects,
        added: impl FnOnce(&mut Effects),
    ) -> Result<(), Error> {
        let mut state = self.state.lock();
        if state.deleted {
            return Err(Error::no_queue(&self.name, &self.vhost));
        }
        let held = state.consumers.iter().any(|other| other.exclusive);
        let in_use = state.consumers.len() > 0 || state.consumers.is_single_active();
        if held || (consumer.exclusive && in_use) {
            return Err(Error::exclusive_use(&self.name, &self.vhost));
        }
        state.used_at = now;
        state.consumers.add(consumer);
        added(fx);
        self.pump(&mut state, now, fx);
        Ok(())
    }

    /// Removes a consumer. A queue that deletes itself goes with the last one.
    pub(crate) fn leave(self: &Arc<Self>, link: &Arc<LinkCore>, slot: u32, now: u64, fx: &mut Effects) {
        let mut state = self.state.lock();
        if state.consumers.remove(link, slot).is_none() {
            return;
        }
        state.used_at = now;
        if state.consumers.len() == 0 && self.auto_delete && !state.deleted {
            fx.unused.push(Arc::clone(self));
            return;
        }
        self.pump(&mut state, now, fx);
        self.set_timer(&mut state, fx);
    }

    /// A consumer can take again.
    pub(crate) fn resume(self: &Arc<Self>, link: &Arc<LinkCore>, slot: u32, now: u64, fx: &mut Effects) {
        let mut state = self.state.lock();
        if state.consumers.resume(link, slot) {
            self.pump(&mut state, now, fx);
        }
    }

    pub(crate) fn consumers(&self) -> Vec<QueueConsumer> {
        self.state.lock().consumers.iter().cloned().collect()
    }

    /// Whether a queue has no consumer any more, asked again before it is deleted for that.
    pub(crate) fn is_unused(&self) -> bool {
        self.state.lock().consumers.len() == 0
    }

    /// What of the head is only in the journal, at most so many entries.
    pub(crate) fn paged_head(&self, max: usize) -> Vec<(u64, Arc<Stored>)> {
        let mut state = self.state.lock();
        let mut wanted = Vec::new();
        for entry in state.ready.head_first().take(max) {
            if let Slot::Paged(stored) = &entry.slot {
                wanted.push((entry.seq, Arc::clone(stored)));
            }
        }
        wanted
    }

    /// Puts messages that were read into their entries and delivers. Returns how many are there and could not be read.
    pub(crate) fn loaded(
        self: &Arc<Self>,
        messages: &mut Vec<(u64, Result<Arc<Message>, Error>)>,
        now: u64,
        fx: &mut Effects,
    ) -> usize {
        let mut state = self.state.lock();
        state.loading = false;
        let most = messages.len() * 2 + 16;
        let mut lost = 0;
        let mut n = 0;
        for entry in state.ready.head_first().take(most) {
            let Some(place) = messages.iter().position(|(seq, _)| *seq == entry.seq) else { continue };
            match messages.swap_remove(place).1 {
                Ok(message) => {
                    if matches!(entry.slot, Slot::Paged(_)) {
                        entry.slot = Slot::Message(message);
                        n += 1;
                    }
                }
                Err(_) => lost += 1,
            }
        }
        state.ready.note_loaded(n);
        if lost == 0 {
            state.load_after = 0;
            self.pump(&mut state, now, fx);
        } else {
            // The disk may be well again by then; what waits must not be skipped meanwhile.
            state.load_after = now + LOAD_AGAIN_MS;
            self.set_timer(&mut state, fx);
        }
        lost
    }

    /// Lets go of messages beyond the first `keep` whose journal copy exists; `write` makes one for those that have
    /// none yet. Returns how many went.
    pub(crate) fn page_out(
        &self,
        keep: usize,
        mut write: impl FnMut(&Arc<Message>) -> Option<Arc<Stored>>,
    ) -> usize {
        let mut state = self.state.lock();
        if state.ready.len() <= keep {
            return 0;
        }
        let mut at = 0;
        let mut gone = 0;
        state.ready.repage(|entry| {
            at += 1;
            if at <= keep {
                return;
            }
            if let Slot::Message(message) = &entry.slot
                && let Some(stored) = message.stored.clone().or_else(|| write(message))
            {
                entry.slot = Slot::Paged(stored);
                gone += 1;
            }
        });
        gone
    }

    /// The first messages, which stay.
    pub(crate) fn peek(&self, max: usize) -> Vec<(Slot, bool)> {
        let mut state = self.state.lock();
        state.ready.head_first().take(max).map(|entry| (entry.slot.clone(), entry.redelivered)).collect()
    }
}
