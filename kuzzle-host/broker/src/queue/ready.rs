//! The messages that wait, by priority and then by age.

use std::collections::VecDeque;

use super::{Entry, NEVER, Slot};

/// See the module.
pub(super) struct Ready {
    /// One level per priority, the lowest first; a queue without priorities has one.
    levels: Vec<VecDeque<Entry>>,
    len: usize,
    bytes: u64,
    paged: usize,
}

/// An empty level keeps no more room than this.
const KEPT: usize = 64;

impl Ready {
    pub(super) fn new(max_priority: Option<u8>) -> Self {
        let mut levels = Vec::new();
        levels.resize_with(usize::from(max_priority.unwrap_or(0)) + 1, VecDeque::new);
        Self { levels, len: 0, bytes: 0, paged: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn paged(&self) -> usize {
        self.paged
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.note(&entry);
        let level = usize::from(entry.priority).min(self.levels.len() - 1);
        self.levels[level].push_back(entry);
    }

    /// Puts an entry back to where it was.
    pub(super) fn put_back(&mut self, entry: Entry) {
        self.note(&entry);
        let level = usize::from(entry.priority).min(self.levels.len() - 1);
        let level = &mut self.levels[level];
        // Nearly always it is older than all that wait.
        let place = if level.front().is_none_or(|front| front.seq > entry.seq) {
            0
        } else {
            level.partition_point(|other| other.seq < entry.seq)
        };
        level.insert(place, entry);
    }

    pub(super) fn head(&self) -> Option<&Entry> {
        self.levels.iter().rev().find_map(VecDeque::front)
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        if self.len == 0 {
            return None;
        }
        let level = self.levels.iter_mut().rev().find(|level| !level.is_empty())?;
        let entry = level.pop_front();
        self.forget(entry)
    }

    /// The oldest of the lowest priority.
    pub(super) fn pop_lowest(&mut self) -> Option<Entry> {
        let entry = self.levels.iter_mut().find(|level| !level.is_empty())?.pop_front();
        self.forget(entry)
    }

    /// The first head of a level that is past its time.
    pub(super) fn pop_expired(&mut self, now: u64) -> Option<Entry> {
        let level =
            self.levels.iter_mut().find(|level| level.front().is_some_and(|head| head.expires_at <= now))?;
        let entry = level.pop_front();
        self.forget(entry)
    }

    /// When the first head of a level expires.
    pub(super) fn next_expiry(&self) -> u64 {
        self.levels
            .iter()
            .filter_map(|level| level.front())
            .map(|head| head.expires_at)
            .min()
            .unwrap_or(NEVER)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.levels.iter().flatten()
    }

    /// Entries from the head on, best first.
    pub(super) fn head_first(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.levels.iter_mut().rev().flatten()
    }

    /// Changes where the messages of entries are, and counts anew.
    pub(super) fn repage(&mut self, change: impl FnMut(&mut Entry)) {
        self.levels.iter_mut().rev().flatten().for_each(change);
        self.paged = self.iter().filter(|entry| matches!(entry.slot, Slot::Paged(_))).count();
    }

    pub(super) fn note_loaded(&mut self, n: usize) {
        self.paged -= n;
    }

    fn note(&mut self, entry: &Entry) {
        self.len += 1;
        self.bytes += u64::from(entry.size);
        self.paged += usize::from(matches!(entry.slot, Slot::Paged(_)));
    }

    fn forget(&mut self, entry: Option<Entry>) -> Option<Entry> {
        if let Some(entry) = &entry {
            self.len -= 1;
            self.bytes -= u64::from(entry.size);
            self.paged -= usize::from(matches!(entry.slot, Slot::Paged(_)));
            if self.len == 0 {
                self.levels.iter_mut().for_each(|level| {
                    if level.capacity() > KEPT {
                        level.shrink_to(KEPT / 4);
                    }
                });
            }
        }
        entry
    }
}
