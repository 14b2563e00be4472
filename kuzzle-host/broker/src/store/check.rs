//! Copying what is durable, and reading all of it without changing it.

use std::sync::Arc;

use kuzzle_journal::{Disk, JournalError};

use super::record::kind;
use super::recovery::QueueRecord;
use super::{Recovered, Store, StoreError, Stored, paging};
use crate::broker::Broker;

/// Damaged messages that are told one by one; more are counted.
const TOLD_MAX: usize = 1_000;

/// What the journal of a broker holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Durable exchanges, the broker's own not counted.
    pub exchanges: usize,
    /// Durable queues, those of sessions included.
    pub queues: usize,
    /// Durable sessions.
    pub sessions: usize,
    /// Messages that wait in queues or are retained, each counted once.
    pub messages: usize,
    /// Retained messages.
    pub retained: usize,
    /// Bytes of the journal.
    pub bytes: u64,
    /// Whether the journal ends with something that was confirmed to nobody, which the next start leaves out.
    pub torn: bool,
    /// What is damaged, each in a line; a thousand at most.
    pub damage: Vec<String>,
    /// How much else is damaged.
    pub more_damage: usize,
}

/// Reads everything that the journal of a broker on `disk` holds, each message included, and writes nothing.
///
/// # Errors
/// What would keep the broker from being opened.
pub fn check(disk: &dyn Disk) -> Result<Checked, StoreError> {
    let mut found = Recovered::default();
    let journal = kuzzle_journal::check(disk, |position, payload| found.read(position, payload));
    let journal = journal.map_err(StoreError)?;
    let mut checked = Checked { bytes: journal.bytes, torn: journal.torn, ..Checked::default() };
    for error in &journal.damaged {
        checked.tell(error.to_string());
    }
    found.count(&mut checked);
    for (place, stored) in found.live() {
        let reason = match journal.read(stored.position()) {
            Ok(payload) if paging::parse(&payload, stored.id).is_some() => continue,
            Ok(payload) => {
                let kind = payload.first().copied().unwrap_or_default();
                format!("a record of kind {kind} where one of kind {} was expected", kind::MESSAGE)
            }
            Err(error) => error.to_string(),
        };
        checked.tell(format!("message {} {place} cannot be read: {reason}", stored.id));
    }
    Ok(checked)
}

impl Checked {
    fn tell(&mut self, damage: String) {
        if self.damage.len() < TOLD_MAX {
            self.damage.push(damage);
        } else {
            self.more_damage += 1;
        }
    }
}

impl Recovered {
    fn count(&self, checked: &mut Checked) {
        checked.exchanges = self.exchanges.len();
        checked.queues = self.queues_found().count();
        checked.sessions = self.sessions.len();
        checked.retained = self.retained.len();
        let mut ids: Vec<u64> = self.live().map(|(_, stored)| stored.id).collect();
        ids.sort_unstable();
        ids.dedup();
        checked.messages = ids.len();
    }

    /// Queues but those of sessions that are no more, which go with them.
    fn queues_found(&self) -> impl Iterator<Item = (&u64, &QueueRecord)> {
        let queues = self.queues.iter();
        queues.filter(|(_, queue)| queue.session == 0 || self.sessions.contains_key(&queue.session))
    }

    /// Messages that somebody may still get, with where they are.
    fn live(&self) -> impl Iterator<Item = (String, &Arc<Stored>)> {
        let queued = self.queues_found().flat_map(|(id, queue)| {
            let entries = self.entries.get(id).into_iter().flat_map(|entries| entries.values());
            entries.map(|entry| (format!("of queue `{}`", queue.name), &entry.stored))
        });
        let retained = self.retained.iter();
        queued.chain(retained.map(|((_, exchange, key), found)| {
            (format!("retained by exchange `{exchange}` for `{key}`"), &found.stored)
        }))
    }
}

impl Store {
    fn copy_to(&self, disk: &dyn Disk, goes_on: &dyn Fn() -> bool) -> Result<(), JournalError> {
        self.journal.copy_to(disk, goes_on)
    }
}

impl Broker {
    /// Copies what is durable to an empty disk, while the broker goes on. Everything that was confirmed or answered before
    /// this call is in the copy; opening it is like opening the broker after its power was lost. `goes_on` is asked now
    /// and then and ends the copying by saying no. A broker in memory has nothing to copy.
    ///
    /// # Errors
    /// When the journal cannot be written at present, a disk fails, or `goes_on` says no. What was copied by then is left
    /// to the caller.
    pub fn copy_to(&self, disk: &dyn Disk, goes_on: &dyn Fn() -> bool) -> Result<(), JournalError> {
        self.core.store.as_ref().map_or(Ok(()), |store| store.copy_to(disk, goes_on))
    }
}
