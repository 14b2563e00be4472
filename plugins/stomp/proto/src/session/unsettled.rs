//! The deliveries of a subscription that its client has not acknowledged yet.

use std::collections::VecDeque;

/// Set in the place of a delivery that was settled before those in front of it.
const SETTLED: u64 = 1 << 63;

/// Numbers of deliveries in ascending order. One that goes from the middle leaves a mark, and marks are swept when they are
/// half of what is kept: so any order of acknowledgements costs a binary search.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    numbers: VecDeque<u64>,
    settled: usize,
}

impl Unsettled {
    pub(super) fn len(&self) -> usize {
        self.numbers.len() - self.settled
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a number larger than all so far.
    pub(super) fn push(&mut self, number: u64) {
        self.numbers.push_back(number);
    }

    /// Whether the delivery is unsettled.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.position(number).is_some()
    }

    fn position(&self, number: u64) -> Option<usize> {
        let index = self.numbers.binary_search_by_key(&number, |kept| kept & !SETTLED).ok()?;
        (self.numbers[index] == number).then_some(index)
    }

    /// Removes a number; false when it is not there.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        if self.numbers.front() == Some(&number) {
            self.numbers.pop_front();
        } else if let Some(index) = self.position(number) {
            self.numbers[index] |= SETTLED;
            self.settled += 1;
        } else {
            return false;
        }
        while self.numbers.front().is_some_and(|number| number & SETTLED != 0) {
            self.numbers.pop_front();
            self.settled -= 1;
        }
        if self.settled > 32 && self.settled * 2 > self.numbers.len() {
            self.numbers.retain(|number| number & SETTLED == 0);
            self.settled = 0;
        }
        true
    }

    /// Removes and gives all numbers up to and including that one.
    pub(super) fn take_up_to(&mut self, number: u64) -> impl Iterator<Item = u64> + '_ {
        let end = self.numbers.partition_point(|kept| kept & !SETTLED <= number);
        self.settled -= self.numbers.iter().take(end).filter(|number| **number & SETTLED != 0).count();
        self.numbers.drain(..end).filter(|number| number & SETTLED == 0)
    }

    /// Gives memory back that is not in use.
    pub(super) fn shrink(&mut self) {
        self.numbers.shrink_to_fit();
    }
}
