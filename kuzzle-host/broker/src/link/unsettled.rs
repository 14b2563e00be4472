//! The deliveries of a link that were not yet settled, by their numbers.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::queue::Queue;

/// One delivery.
pub(crate) struct Unsettled {
    pub(crate) queue: Arc<Queue>,
    /// Finds the entry in the queue.
    pub(crate) key: u32,
    /// The consumer's place in its link; none for a message that was got.
    pub(crate) consumer: Option<u32>,
    pub(crate) size: u32,
}

/// Numbers come in ascending order and mostly go in the same order: a deque with holes that are swept now and then.
#[derive(Default)]
pub(crate) struct UnsettledDeliveries {
    window: VecDeque<(u64, Option<Unsettled>)>,
    live: usize,
}

/// Below so many places holes are left alone.
const SWEEP_MIN: usize = 64;

impl UnsettledDeliveries {
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    pub(crate) fn push(&mut self, delivery: u64, unsettled: Unsettled) {
        self.window.push_back((delivery, Some(unsettled)));
        self.live += 1;
    }

    pub(crate) fn get(&self, delivery: u64) -> Option<&Unsettled> {
        self.window[self.place(delivery)?].1.as_ref()
    }

    pub(crate) fn contains(&self, delivery: u64) -> bool {
        self.get(delivery).is_some()
    }

    pub(crate) fn take(&mut self, delivery: u64) -> Option<Unsettled> {
        let place = self.place(delivery)?;
        let unsettled = self.window[place].1.take()?;
        self.live -= 1;
        while self.window.front().is_some_and(|(_, unsettled)| unsettled.is_none()) {
            self.window.pop_front();
        }
        if self.window.len() > SWEEP_MIN && self.live * 2 < self.window.len() {
            self.window.retain(|(_, unsettled)| unsettled.is_some());
        }
        if self.live == 0 && self.window.capacity() > SWEEP_MIN * 4 {
            self.window.shrink_to(SWEEP_MIN);
        }
        Some(unsettled)
    }

    /// Takes all up to and including a number, in order.
    pub(crate) fn take_upto(&mut self, delivery: u64, mut taken: impl FnMut(u64, Unsettled)) {
        while self.window.front().is_some_and(|(number, _)| *number <= delivery) {
            if let Some((number, Some(unsettled))) = self.window.pop_front() {
                self.live -= 1;
                taken(number, unsettled);
            }
        }
    }

    fn place(&self, delivery: u64) -> Option<usize> {
        let first = self.window.front()?.0;
        let guess = usize::try_from(delivery.checked_sub(first)?).ok()?;
        if self.window.get(guess).is_some_and(|(number, _)| *number == delivery) {
            return Some(guess);
        }
        self.window.binary_search_by_key(&delivery, |(number, _)| *number).ok()
    }
}
