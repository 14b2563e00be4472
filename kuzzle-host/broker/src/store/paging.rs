//! Messages that only the journal has: letting go of them, and reading them back.

use std::sync::Arc;

use bytes::Bytes;

use super::record::{Reader, kind, message_flag};
use super::{NewMessage, Store, Stored};
use crate::broker::Core;
use crate::effects::Effects;
use crate::error::{Code, Error};
use crate::message::{Facts, Message};
use crate::queue::{Entry, Queue};

/// Messages read at once for the head of a queue.
const LOADED_AT_ONCE: usize = 128;

/// What is left of a message in memory when only the journal has it, with what the allocator adds.
const STORED_BYTES: usize = size_of::<Stored>() + 32;

/// Messages at the head of a queue that stay in memory.
const KEPT_AT_HEAD: usize = 256;

impl Store {
    /// Reads a message.
    pub(super) fn read(&self, stored: &Stored) -> Result<NewMessage, String> {
        let position = stored.position();
        let payload = match self.journal.read(position) {
            Ok(payload) => payload,
            // It may have moved since.
            Err(error) if stored.position() == position => return Err(error.to_string()),
            Err(_) => self.journal.read(stored.position()).map_err(|error| error.to_string())?,
        };
        let found = parse(&payload, stored.id);
        found.ok_or_else(|| format!("the record at {position} is not message {}", stored.id))
    }
}

/// The message of a record.
pub(super) fn parse(payload: &Bytes, id: u64) -> Option<NewMessage> {
    let mut reader = Reader(payload);
    let found = reader.u8()?;
    if !matches!(found, kind::MESSAGE | kind::MOVED) || reader.u64()? != id {
        return None;
    }
    let flags = reader.u8()?;
    let published_at_ms = reader.u64()?;
    let (exchange, key) = (reader.text()?, reader.text()?);
    let properties = payload.slice_ref(reader.bytes()?);
    let size = reader.u32()? as usize;
    let body = payload.slice(payload.len().checked_sub(size)?..);
    let exchange: &str = &exchange;
    Some(NewMessage {
        exchange: exchange.into(),
        key,
        facts: Facts::read(&properties, None).unwrap_or_default(),
        properties,
        body,
        published_at_ms,
        retain: flags & message_flag::RETAIN != 0,
    })
}

impl Core {
    /// The message that the journal has.
    pub(crate) fn read_message(&self, stored: &Arc<Stored>) -> Result<Arc<Message>, Error> {
        let Some(store) = &self.store else {
            return Err(Error::new(Code::InternalError, "there is no journal to read from"));
        };
        let new = store.read(stored).map_err(|reason| {
            Error::new(Code::InternalError, format!("cannot read message {}: {reason}", stored.id))
        })?;
        Ok(self.message(new, None, Some(Arc::clone(stored))))
    }

    /// Reads what of the head of a queue only the journal has, and delivers on.
    pub(crate) fn load(&self, queue: &Arc<Queue>, fx: &mut Effects) -> Result<(), Error> {
        let wanted = queue.paged_head(LOADED_AT_ONCE);
        let mut messages = Vec::with_capacity(wanted.len());
        let mut failed = None;
        for (seq, stored) in wanted {
            let read = self.read_message(&stored);
            if let Err(error) = &read {
                failed = Some(error.clone());
            }
            messages.push((seq, read));
        }
        // One that was settled meanwhile may have gone from the journal too.
        let lost = queue.loaded(&mut messages, self.now(), fx);
        failed.filter(|_| lost > 0).map_or(Ok(()), Err)
    }

    /// Counts what the entries of queues take: they stay when their messages have left, and millions of them are worth
    /// an alarm.
    pub(crate) fn count_entries(&self) {
        let mut bytes = 0;
        for vhost in self.vhosts.read().values() {
            for queue in vhost.topology.read().queues.values() {
                let counts = queue.counts();
                bytes += (counts.ready + counts.unsettled) * size_of::<Entry>() + counts.paged * STORED_BYTES;
            }
        }
        self.memory.set_entries(bytes as u64);
    }

    /// Lets queues leave their messages in the journal while too much is in memory, the longest first.
    pub(crate) fn page_out(&self) {
        let Some(store) = &self.store else { return };
        if self.memory.used() <= self.options.page_out_above_bytes || store.is_failing() {
            return;
        }
        let mut queues: Vec<(usize, Arc<Queue>)> = Vec::new();
        for vhost in self.vhosts.read().values() {
            for queue in vhost.topology.read().queues.values() {
                let counts = queue.counts();
                let waiting = counts.ready - counts.paged;
                if waiting > KEPT_AT_HEAD {
                    queues.push((waiting, Arc::clone(queue)));
                }
            }
        }
        queues.sort_by_key(|(waiting, _)| std::cmp::Reverse(*waiting));
        for (_, queue) in queues {
            if self.memory.used() <= self.options.page_out_above_bytes {
                break;
            }
            let gone = queue.page_out(KEPT_AT_HEAD, |message| {
                let new = NewMessage {
                    exchange: Arc::clone(&message.exchange),
                    key: message.routing_key.clone(),
                    properties: message.properties.clone(),
                    body: message.body.clone(),
                    published_at_ms: message.published_at_ms,
                    facts: message.facts,
                    retain: message.retain,
                };
                Some(store.spill(&new))
            });
            tracing::debug!(queue = &*queue.name, gone, "messages of a queue are left in the journal");
        }
    }
}
