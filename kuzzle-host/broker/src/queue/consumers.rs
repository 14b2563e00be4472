//! Who consumes from a queue, and whose turn it is.

use std::sync::Arc;

use crate::link::LinkCore;

/// One consumer of a queue.
#[derive(Clone)]
pub(crate) struct QueueConsumer {
    pub(crate) link: Arc<LinkCore>,
    /// Its place in the link.
    pub(crate) slot: u32,
    pub(crate) no_ack: bool,
    pub(crate) exclusive: bool,
    pub(crate) priority: i32,
    /// It could take nothing when it was last tried.
    pub(crate) stalled: bool,
}

/// Sorted by priority, highest first; equal ones in the order they came.
pub(super) struct Consumers {
    list: Vec<QueueConsumer>,
    /// Where the search among equals goes on.
    cursor: usize,
    able: usize,
    /// Only the first that came is served, while it is there.
    single_active: bool,
    active: Option<(u64, u32)>,
}

impl Consumers {
    pub(super) fn new(single_active: bool) -> Self {
        Self { list: Vec::new(), cursor: 0, able: 0, single_active, active: None }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &QueueConsumer> {
        self.list.iter()
    }

    pub(super) fn at(&self, place: usize) -> &QueueConsumer {
        &self.list[place]
    }

    pub(super) fn is_single_active(&self) -> bool {
        self.single_active
    }

    /// Whether anyone may be able to take a message.
    pub(super) fn any_able(&self) -> bool {
        self.able > 0
    }

    pub(super) fn add(&mut self, consumer: QueueConsumer) {
        let place = self.list.partition_point(|other| other.priority >= consumer.priority);
        if self.single_active && self.active.is_none() {
            self.active = Some((consumer.link.uid, consumer.slot));
        }
        self.list.insert(place, consumer);
        self.recount();
    }

    pub(super) fn remove(&mut self, link: &Arc<LinkCore>, slot: u32) -> Option<QueueConsumer> {
        let place = self.place(link, slot)?;
        let consumer = self.list.remove(place);
        if self.active == Some((link.uid, slot)) {
            self.active = self.list.first().map(|next| (next.link.uid, next.slot));
        }
        self.recount();
        Some(consumer)
    }

    pub(super) fn take_all(&mut self) -> Vec<QueueConsumer> {
        self.able = 0;
        self.active = None;
        std::mem::take(&mut self.list)
    }

    /// A consumer may be able again.
    pub(super) fn resume(&mut self, link: &Arc<LinkCore>, slot: u32) -> bool {
        let Some(place) = self.place(link, slot) else { return false };
        self.list[place].stalled = false;
        self.recount();
        true
    }

    pub(super) fn stall(&mut self, place: usize) {
        self.list[place].stalled = true;
        self.recount();
    }

    /// Whose turn it is: among the able ones of the highest priority, one after the other.
    pub(super) fn choose(&self) -> Option<usize> {
        if self.list.len() == 1 {
            return (!self.list[0].stalled).then_some(0);
        }
        if let Some((link, slot)) = self.active {
            let place =
                self.list.iter().position(|consumer| consumer.link.uid == link && consumer.slot == slot)?;
            return (!self.list[place].stalled).then_some(place);
        }
        let first = self.list.iter().position(|consumer| !consumer.stalled)?;
        let priority = self.list[first].priority;
        let end = self.list.partition_point(|consumer| consumer.priority >= priority);
        if self.cursor > first && self.cursor < end {
            let later = self.list[self.cursor..end].iter().position(|consumer| !consumer.stalled);
            return Some(later.map_or(first, |later| self.cursor + later));
        }
        Some(first)
    }

    pub(super) fn served(&mut self, place: usize) {
        self.cursor = place + 1;
    }

    fn place(&self, link: &Arc<LinkCore>, slot: u32) -> Option<usize> {
        self.list.iter().position(|consumer| consumer.slot == slot && Arc::ptr_eq(&consumer.link, link))
    }

    fn recount(&mut self) {
        self.able = match self.active {
            Some((link, slot)) => self
                .list
                .iter()
                .filter(|consumer| !consumer.stalled && consumer.link.uid == link && consumer.slot == slot)
                .count(),
            None => self.list.iter().filter(|consumer| !consumer.stalled).count(),
        };
    }
}
