//! Tags of the unsettled deliveries of a session, small enough for a packet identifier.
//!
//! A durable message's tag follows from its number, so that it is the same after a restart without having been
//! written anywhere.

use std::collections::HashSet;

use super::Entry;

/// Tags go from 1 to this.
const MAX: u64 = u16::MAX as u64;

#[derive(Debug, Default)]
pub(super) struct Tags {
    used: HashSet<u16>,
    next: u64,
}

impl Tags {
    /// The tag that follows from the order number of a durable entry.
    pub(super) fn preferred(order: u64) -> u16 {
        (order % MAX + 1) as u16
    }

    /// The tag that an entry has, or would get now.
    pub(super) fn of(&mut self, entry: &Entry) -> u16 {
        if entry.tag != 0 || entry.at_most_once {
            return entry.tag;
        }
        if entry.is_durable() {
            let preferred = Self::preferred(entry.order);
            if !self.used.contains(&preferred) {
                return preferred;
            }
        }
        // A window of deliveries is far smaller than the number of tags, so this ends soon.
        for _ in 0..MAX {
            let tag = (self.next % MAX + 1) as u16;
            if !self.used.contains(&tag) {
                return tag;
            }
            self.next += 1;
        }
        0
    }

    pub(super) fn reserve(&mut self, tag: u16) {
        if tag != 0 {
            self.used.insert(tag);
            self.next += 1;
        }
    }

    pub(super) fn release(&mut self, tag: u16) {
        if tag != 0 {
            self.used.remove(&tag);
        }
    }
}
