//! The deliveries of a channel that its client has not settled yet.

use std::{collections::VecDeque, time::Duration};

/// Set in the place of a delivery that was settled before those in front of it.
const SETTLED: u64 = 1 << 63;

/// Delivery tags in ascending order.
///
/// Tags come one by one and mostly go from the front. One that goes from the middle leaves a mark, and marks are swept
/// when they are half of what is kept: so any order of acknowledgements costs a binary search, and memory follows what
/// is unsettled, not how long the oldest of it has been.
///
/// How long the oldest has been there is known up to a grain of time: the first tag of each grain is remembered with its
/// time, and those that follow within the grain count as the last of it.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    tags: VecDeque<u64>,
    settled: usize,
    grains: VecDeque<(u64, Duration)>,
}

impl Unsettled {
    pub(super) fn len(&self) -> usize {
        self.tags.len() - self.settled
    }

    /// Places taken, marks too.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.tags.len()
    }

    /// Adds a tag larger than all so far. With a grain of zero no times are kept.
    pub(super) fn push(&mut self, tag: u64, now: Duration, grain: Duration) {
        if self.tags.is_empty() {
            self.grains.clear();
        }
        if !grain.is_zero() && self.grains.back().is_none_or(|(_, since)| *since + grain <= now) {
            self.grains.push_back((tag, now));
        }
        self.tags.push_back(tag);
    }

    /// From when on the oldest tag has certainly been there for a grain, as far as is known without a look at the tags:
    /// it may be later.
    pub(super) fn oldest_before(&self, grain: Duration) -> Option<Duration> {
        if self.tags.is_empty() { None } else { self.grains.front().map(|(_, since)| *since + grain) }
    }

    /// Forgets grains of which every tag was settled, so that [`Unsettled::oldest_before`] speaks of the oldest.
    pub(super) fn forget_grains(&mut self) {
        let oldest = self.tags.front().map_or(u64::MAX, |tag| tag & !SETTLED);
        while self.grains.get(1).is_some_and(|(tag, _)| *tag <= oldest) {
            self.grains.pop_front();
        }
    }

    /// The largest tag.
    pub(super) fn last(&self) -> Option<u64> {
        self.tags.iter().rev().find(|tag| **tag & SETTLED == 0).copied()
    }

    fn position(&self, tag: u64) -> Option<usize> {
        let index = self.tags.binary_search_by_key(&tag, |kept| kept & !SETTLED).ok()?;
        (self.tags[index] == tag).then_some(index)
    }

    /// Whether `tag` is unsettled.
    pub(super) fn contains(&self, tag: u64) -> bool {
        self.position(tag).is_some()
    }

    /// Removes `tag`; false when it is not there.
    pub(super) fn remove(&mut self, tag: u64) -> bool {
        if self.tags.front() == Some(&tag) {
            self.tags.pop_front();
        } else if let Some(index) = self.position(tag) {
            self.tags[index] |= SETTLED;
            self.settled += 1;
        } else {
            return false;
        }
        while self.tags.front().is_some_and(|tag| tag & SETTLED != 0) {
            self.tags.pop_front();
            self.settled -= 1;
        }
        if self.settled > 32 && self.settled * 2 > self.tags.len() {
            self.tags.retain(|tag| tag & SETTLED == 0);
            self.settled = 0;
        }
        true
    }

    /// Removes and gives all tags up to and including `tag`.
    pub(super) fn take_up_to(&mut self, tag: u64) -> impl Iterator<Item = u64> + '_ {
        let end = self.tags.partition_point(|kept| kept & !SETTLED <= tag);
        self.settled -= self.tags.iter().take(end).filter(|tag| **tag & SETTLED != 0).count();
        self.tags.drain(..end).filter(|tag| tag & SETTLED == 0)
    }

    /// Puts tags back that were removed.
    pub(super) fn put_back(&mut self, tags: impl IntoIterator<Item = u64>) {
        self.tags.retain(|tag| tag & SETTLED == 0);
        self.settled = 0;
        self.tags.extend(tags);
        self.tags.make_contiguous().sort_unstable();
    }
}
