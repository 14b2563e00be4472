//! Keeping the journal in proportion to what is live: a picture of the live state now and then, from which the next
//! start reads, and the release of segments that hold nothing live.
//!
//! A segment with little live in it is emptied: its messages are written once more, at the end of the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::record::{Writer, entry_flag, flags, kind};
use super::{EntryRecord, Store, Stored, binding_record, exchange_record, head, queue_record};
use crate::broker::Core;
use crate::exchange::Exchange;
use crate::queue::{Queue, Slot};
use crate::vhost;

/// What is remembered from one time to the next.
#[derive(Default)]
pub(super) struct Tidying {
    /// Bytes of the last picture.
    picture_bytes: u64,
    /// Bytes of the messages that were live then.
    live_bytes: u64,
}

/// Bytes of entries in one record of a picture.
const CHUNK_BYTES: usize = 64 << 10;

/// A segment is emptied when less than this part of it is live, in a hundred.
const SPARSE_PERCENT: u64 = 30;

/// What is live and where.
#[derive(Default)]
struct Live {
    messages: Vec<Arc<Stored>>,
    /// Some were on their way from one queue to another, and may have been seen in neither.
    incomplete: bool,
}

impl Store {
    /// Takes a picture and releases segments, if it is time.
    pub(crate) fn tidy(&self, core: &Core) {
        if self.closed.load(Ordering::Acquire) || self.is_failing() {
            return;
        }
        let mut tidying = self.tidying.lock();
        let since = self.journal.appended().saturating_sub(self.journal.root());
        // A picture costs as much as it holds and looks at, so it waits until the log has grown by a part of that.
        let due = core.options.segment_bytes.max(tidying.picture_bytes * 3).max(tidying.live_bytes / 4);
        if since < due {
            return;
        }
        if let Err(reason) = self.tidy_now(core, &mut tidying, false) {
            tracing::warn!(reason, "the journal cannot be tidied; it is tried again");
        }
    }

    /// Notes that everything was said, and ends.
    pub(crate) fn close(&self, core: &Core) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut tidying = self.tidying.lock();
        if let Err(reason) = self.tidy_now(core, &mut tidying, true) {
            tracing::warn!(reason, "the journal is closed without a last picture");
        }
        self.journal.close();
    }

    fn tidy_now(&self, core: &Core, tidying: &mut Tidying, clean: bool) -> Result<(), String> {
        let begin = {
            // Whoever has appended a message has put it into its queues before.
            let _alone = self.gate.write();
            let record = Writer::new(kind::BEGIN)
                .u64(core.peek_next_id())
                .u64(self.next_message.load(Ordering::Relaxed))
                .u8(clean.into());
            self.journal.append(&[&record.0], true)
        };
        let live = self.picture(core);
        let end = self.append(&Writer::new(kind::END).u64(begin.position), true);
        self.journal.flush()?;
        self.journal.set_root(begin.position).map_err(|error| error.to_string())?;
        tidying.picture_bytes = end - begin.position;
        tidying.live_bytes = live.messages.iter().map(|stored| u64::from(stored.len)).sum();
        if live.incomplete { Ok(()) } else { self.release(live, begin.position, clean) }
    }

    /// Writes all that is live; messages only by where they are.
    fn picture(&self, core: &Core) -> Live {
        let mut live = Live::default();
        let vhosts: Vec<_> = core.vhosts.read().values().cloned().collect();
        for vhost in vhosts {
            let (queues, sessions) = {
                // Whoever changes any of this appends under the same lock.
                let topology = vhost.topology.read();
                self.append(&Writer::new(kind::VHOST).text(&vhost.name), false);
                for exchange in topology.exchanges.values().filter(|exchange| exchange.durable) {
                    if !vhost::is_predeclared(&exchange.name) {
                        self.append(&exchange_record(&vhost.name, exchange), false);
                    }
                    self.retained_of(&vhost.name, exchange, &mut live);
                }
                let queues: Vec<Arc<Queue>> = topology.queues.values().cloned().collect();
                for queue in queues.iter().filter(|queue| queue.is_kept()) {
                    self.append(&queue_record(queue), false);
                }
                for exchange in topology.exchanges.values() {
                    exchange.for_each(|binding| {
                        if core.is_durable(&topology, binding) {
                            self.append(&binding_record(kind::BIND, &vhost.name, binding), false);
                        }
                    });
                }
                let sessions: Vec<_> =
                    topology.sessions.values().filter(|session| session.durable).cloned().collect();
                (queues, sessions)
            };
            // Retained messages came first: one that a binding puts into a queue meanwhile was seen there.
            for queue in queues {
                self.entries_of(&queue, &mut live);
            }
            for session in sessions {
                self.session_in_picture(&session);
            }
        }
        live
    }

    fn session_in_picture(&self, session: &crate::session::Session) {
        if session.state.lock().ended {
            return;
        }
        self.session(session);
        let state = session.state.lock();
        for key in state.remembered.keys() {
            self.remembered(session.id, *key);
        }
        for (key, value) in &state.notes {
            self.note(session.id, key, value);
        }
    }

    fn retained_of(&self, vhost: &str, exchange: &Exchange, live: &mut Live) {
        for (key, retained) in exchange.retained.iter() {
            let stored = match &retained.slot {
                Slot::Message(message) => message.stored.as_ref(),
                Slot::Paged(stored) => Some(stored),
            };
            let Some(stored) = stored else { continue };
            live.messages.push(Arc::clone(stored));
            if !retained.durable {
                continue;
            }
            let record = Writer::new(kind::RETAINED)
                .text(vhost)
                .text(&exchange.name)
                .text(key)
                .u64(stored.id)
                .u64(stored.position())
                .u32(stored.len)
                .u32(retained.size)
                .u8(retained.priority)
                .u64(retained.expires_at)
                .u8(retained.persistent.into());
            self.append(&record, false);
        }
    }

    fn entries_of(&self, queue: &Queue, live: &mut Live) {
        let mut chunk = Writer::new(kind::ENTRIES).u64(queue.id);
        // All under the queue's lock, so that a settlement comes after what it settles.
        queue.with_entries(|entries, burying| {
            live.incomplete |= burying;
            for entry in entries {
                // What only memory knows to be in the queue is needed too, as long as the broker runs.
                let Some(stored) = entry.stored() else { continue };
                live.messages.push(Arc::clone(stored));
                if !entry.is_durable() {
                    continue;
                }
                let record = EntryRecord {
                    order: entry.order,
                    id: stored.id,
                    position: stored.position(),
                    len: stored.len,
                    size: entry.size,
                    priority: entry.priority,
                    expires_at: entry.expires_at,
                    tag: entry.tag,
                    flags: flags([
                        (entry.redelivered, entry_flag::REDELIVERED),
                        (entry.retained, entry_flag::RETAINED),
                        (entry.received, entry_flag::RECEIVED),
                    ]),
                    bindings: entry.bindings.as_deref(),
                };
                chunk = record.write(std::mem::take(&mut chunk));
                if chunk.0.len() > CHUNK_BYTES {
                    self.append(&chunk, false);
                    chunk = Writer::new(kind::ENTRIES).u64(queue.id);
                }
            }
            if queue.is_kept() {
                self.append(&chunk, false);
            }
        });
    }

    /// Releases segments before the root that hold nothing live, and empties those that hold little.
    fn release(&self, live: Live, root: u64, clean: bool) -> Result<(), String> {
        let segments = self.journal.segments();
        let mut by_segment: BTreeMap<u64, (u64, Vec<Arc<Stored>>)> =
            segments.iter().map(|segment| (segment.base, (0, Vec::new()))).collect();
        for stored in live.messages {
            if let Some((_, (bytes, messages))) = by_segment.range_mut(..=stored.position()).next_back() {
                // One in many queues counts more than once, which only keeps a segment longer.
                *bytes += u64::from(stored.len);
                messages.push(stored);
            }
        }
        for segment in segments.iter().filter(|segment| segment.end <= root) {
            let Some((bytes, messages)) = by_segment.remove(&segment.base) else { continue };
            let sparse = bytes * 100 < (segment.end - segment.base) * SPARSE_PERCENT;
            if !sparse || (clean && !messages.is_empty()) {
                continue;
            }
            for stored in &messages {
                // One in many queues was moved with the first.
                if (segment.base..segment.end).contains(&stored.position()) {
                    self.move_message(stored)?;
                }
            }
            if !messages.is_empty() {
                self.journal.flush()?;
            }
            self.journal.release(segment.base).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Writes a message once more, at the end of the log.
    fn move_message(&self, stored: &Stored) -> Result<(), String> {
        let new = self.read(stored)?;
        let writer = head(kind::MOVED, stored.id, u8::from(new.retain), &new).u32(0);
        let at = self.journal.append(&[&writer.0, &new.body], false);
        stored.position.store(at.position, Ordering::Release);
        Ok(())
    }
}
