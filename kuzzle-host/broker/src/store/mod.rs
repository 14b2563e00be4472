//! What is durable, on one journal: a message is written once however many queues it enters.
//!
//! An entry of a durable queue is known by its queue and its order number: that of the message, or a fresh one for a
//! retained message that a binding asks for. Settlements name order numbers and are written in batches.
//!
//! Who changes something appends its record so that a picture of the live state, taken at the same time, agrees with
//! the log: removals change the memory first; additions are appended under the lock of what they add to, or within the
//! gate, which a picture waits for before it begins.

mod check;
mod paging;
mod record;
mod recovery;
mod tidy;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use bytestring::ByteString;
use kuzzle_journal::{Appended, Disk, Group, Journal, JournalError, JournalOptions};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use smallvec::SmallVec;

use crate::exchange::{Binding, Exchange, Target};
use crate::message::Facts;
use crate::options::Options;
use crate::queue::{Queue, Slot};
use crate::session::Session;

pub use check::{Checked, check};
use record::{Writer, entry_flag, kind, message_flag};
pub(crate) use recovery::Recovered;

/// Where the journal has a message.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Its number, ascending.
    pub(crate) id: u64,
    position: AtomicU64,
    /// Bytes of its record.
    len: u32,
}

impl Stored {
    pub(crate) fn new(id: u64, position: u64, len: u32) -> Self {
        Self { id, position: AtomicU64::new(position), len }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// It is durable when the journal is synced up to here.
    pub(crate) fn end(&self) -> u64 {
        self.position() + u64::from(self.len)
    }
}

/// A message about to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewMessage {
    pub(crate) exchange: Arc<str>,
    pub(crate) key: ByteString,
    pub(crate) properties: Bytes,
    pub(crate) body: Bytes,
    pub(crate) published_at_ms: u64,
    pub(crate) facts: Facts,
    pub(crate) retain: bool,
}

/// An entry in a durable queue that is written with its message.
pub(crate) struct NewEntry {
    pub(crate) queue: u64,
    pub(crate) expires_at: u64,
    pub(crate) bindings: Option<Arc<[u64]>>,
}

/// Why a broker cannot be opened.
#[derive(Debug)]
pub struct StoreError(JournalError);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open the broker: {}", self.0)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// See the module.
pub(crate) struct Store {
    journal: Journal,
    /// Held shared from a message being appended to its being in its queues.
    gate: RwLock<()>,
    next_message: AtomicU64,
    tidying: Mutex<tidy::Tidying>,
    closed: AtomicBool,
}

impl Store {
    pub(crate) fn open(disk: Arc<dyn Disk>, options: &Options) -> Result<(Self, Recovered), StoreError> {
        let mut recovered = Recovered::default();
        let journal_options =
            JournalOptions { segment_bytes: options.segment_bytes, ..JournalOptions::default() };
        let journal =
            Journal::open(disk, journal_options, |position, payload| recovered.read(position, payload))
                .map_err(StoreError)?;
        let store = Self {
            journal,
            gate: RwLock::new(()),
            next_message: AtomicU64::new(recovered.next_message.max(1)),
            tidying: Mutex::default(),
            closed: AtomicBool::new(false),
        };
        Ok((store, recovered))
    }

    /// Begins to write; `synced` is called after each sync.
    pub(crate) fn start(&self, synced: Box<dyn Fn() + Send>) {
        self.journal.start(synced);
        // Deliveries leave no trace in the journal, so this has to be there before the first.
        self.append(&Writer::new(kind::OPENED), true);
        if let Err(reason) = self.journal.flush() {
            tracing::warn!(reason, "the broker opens, though its journal cannot be written");
        }
    }

    pub(crate) fn gate(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read()
    }

    pub(crate) fn group(&self) -> Group<'_> {
        self.journal.group()
    }

    pub(crate) fn synced(&self) -> u64 {
        self.journal.synced()
    }

    /// Has all that was appended written soon. Returns the position that says it was.
    pub(crate) fn hurry(&self) -> u64 {
        self.journal.hurry()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.journal.synced() == self.journal.appended()
    }

    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.journal.waiting_bytes()
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.journal.failure()
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.journal.failure().is_some()
    }

    pub(crate) fn free_bytes(&self) -> Option<u64> {
        self.journal.free_bytes()
    }

    /// Bytes of all segments.
    pub(crate) fn size(&self) -> u64 {
        self.journal.segments().iter().map(|segment| segment.end - segment.base).sum()
    }

    fn append(&self, writer: &Writer, wait: bool) -> u64 {
        self.journal.append(&[&writer.0], wait).end
    }

    /// Writes a message with its entries; `retained_in` is the virtual host in whose exchange it is retained. Returns the
    /// position that makes it durable.
    pub(crate) fn message(
        &self,
        new: &NewMessage,
        retained_in: Option<&Arc<str>>,
        dedupe: Option<(u64, u32)>,
        entries: &[NewEntry],
    ) -> (Arc<Stored>, u64) {
        let id = self.next_message.fetch_add(1, Ordering::Relaxed);
        let flags = record::flags([
            (new.retain, message_flag::RETAIN),
            (retained_in.is_some(), message_flag::RETAINED),
            (dedupe.is_some(), message_flag::DEDUPE),
        ]);
        let mut writer = head(kind::MESSAGE, id, flags, new);
        if let Some(vhost) = retained_in {
            writer = writer.text(vhost);
        }
        if let Some((session, key)) = dedupe {
            writer = writer.u64(session).u32(key);
        }
        writer = writer.u32(entries.len() as u32);
        for entry in entries {
            writer = writer.u64(entry.queue).u64(entry.expires_at).numbers(entry.bindings.as_deref());
        }
        let at = self.journal.append(&[&writer.0, &new.body], true);
        (stored(id, at), at.end)
    }

    /// Writes a transient message, so that memory can let go of it. Nothing remembers it after a restart.
    fn spill(&self, new: &NewMessage) -> Arc<Stored> {
        let id = self.next_message.fetch_add(1, Ordering::Relaxed);
        let writer = head(kind::MESSAGE, id, 0, new).u32(0);
        stored(id, self.journal.append(&[&writer.0, &new.body], false))
    }

    /// Writes an entry for a message that was written before. Returns its order number.
    pub(crate) fn enqueue(
        &self,
        queue: u64,
        slot: &Slot,
        (size, priority, expires_at): (u32, u8, u64),
        bindings: Option<&[u64]>,
    ) -> Option<u64> {
        let stored = match slot {
            Slot::Message(message) => message.stored.as_ref()?,
            Slot::Paged(stored) => stored,
        };
        let order = self.next_message.fetch_add(1, Ordering::Relaxed);
        let entry = EntryRecord {
            order,
            id: stored.id,
            position: stored.position(),
            len: stored.len,
            size,
            priority,
            expires_at,
            tag: 0,
            flags: entry_flag::RETAINED,
            bindings,
        };
        self.append(&entry.write(Writer::new(kind::ENTRIES).u64(queue)), true);
        Some(order)
    }

    /// Writes settlements, a record for each run of one queue.
    pub(crate) fn settled(&self, settled: &[(u64, u64)], wait: bool) -> u64 {
        let mut rest = settled;
        let mut end = 0;
        while let Some((queue, _)) = rest.first() {
            let run = rest.iter().take_while(|(other, _)| other == queue).count();
            let orders: SmallVec<[u64; 64]> = rest[..run].iter().map(|(_, order)| *order).collect();
            end = self.append(&Writer::new(kind::SETTLED).u64(*queue).numbers(Some(&orders)), wait);
            rest = &rest[run..];
        }
        end
    }

    pub(crate) fn received(&self, queue: u64, order: u64, tag: u16) -> u64 {
        self.append(&Writer::new(kind::RECEIVED).u64(queue).u64(order).u16(tag), true)
    }

    pub(crate) fn tag(&self, queue: u64, order: u64, tag: u16) {
        self.append(&Writer::new(kind::TAG).u64(queue).u64(order).u16(tag), true);
    }

    pub(crate) fn vhost(&self, name: &str) -> u64 {
        self.append(&Writer::new(kind::VHOST).text(name), true)
    }

    pub(crate) fn exchange(&self, vhost: &str, exchange: &Exchange) -> u64 {
        self.append(&exchange_record(vhost, exchange), true)
    }

    pub(crate) fn exchange_gone(&self, vhost: &str, name: &str) -> u64 {
        self.append(&Writer::new(kind::EXCHANGE_GONE).text(vhost).text(name), true)
    }

    pub(crate) fn queue(&self, queue: &Queue) -> u64 {
        self.append(&queue_record(queue), true)
    }

    pub(crate) fn queue_gone(&self, id: u64) -> u64 {
        self.append(&Writer::new(kind::QUEUE_GONE).u64(id), true)
    }

    pub(crate) fn binding(&self, vhost: &str, binding: &Binding) -> u64 {
        self.append(&binding_record(kind::BIND, vhost, binding), true)
    }

    pub(crate) fn binding_gone(&self, vhost: &str, binding: &Binding) -> u64 {
        self.append(&binding_record(kind::UNBIND, vhost, binding), true)
    }

    pub(crate) fn retained_gone(&self, vhost: &str, exchange: &str, key: &str) -> u64 {
        self.append(&Writer::new(kind::RETAINED_GONE).text(vhost).text(exchange).text(key), true)
    }

    /// Writes the present state of a session, without what is written for itself: keys and notes.
    pub(crate) fn session(&self, session: &Session) -> u64 {
        let state = session.state.lock();
        let mut writer = Writer::new(kind::SESSION)
            .u64(session.id)
            .text(&session.vhost)
            .text(&session.name)
            .u64(session.queue.id)
            .u32(state.expiry_secs)
            .u64(state.expires_at)
            .u64(state.will_at)
            .u8(state.will.is_some().into());
        if let Some(will) = &state.will {
            let message = &will.message;
            writer = writer
                .u32(will.delay_secs)
                .text(&message.exchange)
                .text(&message.key)
                .bytes(&message.properties)
                .bytes(&message.body)
                .u8(message.retain.into());
        }
        // Under the lock, so that what was last is last in the journal too.
        self.append(&writer, true)
    }

    pub(crate) fn session_gone(&self, id: u64) {
        self.append(&Writer::new(kind::SESSION_GONE).u64(id), false);
    }

    pub(crate) fn remembered(&self, session: u64, key: u32) -> u64 {
        self.append(&Writer::new(kind::REMEMBERED).u64(session).u32(key), true)
    }

    pub(crate) fn note(&self, session: u64, key: &str, value: &[u8]) -> u64 {
        self.append(&Writer::new(kind::NOTE).u64(session).text(key).bytes(value), true)
    }

    pub(crate) fn forgotten(&self, session: u64, keys: &[u32]) -> u64 {
        let mut writer = Writer::new(kind::FORGOTTEN).u64(session).u32(keys.len() as u32);
        for key in keys {
            writer = writer.u32(*key);
        }
        self.append(&writer, true)
    }
}

fn stored(id: u64, at: Appended) -> Arc<Stored> {
    Arc::new(Stored::new(id, at.position, (at.end - at.position).min(u32::MAX.into()) as u32))
}

/// What every record of a message begins with.
fn head(kind: u8, id: u64, flags: u8, new: &NewMessage) -> Writer {
    let size = 64 + new.exchange.len() + new.key.len() + new.properties.len();
    let mut writer = Writer(Vec::with_capacity(size));
    writer.0.push(kind);
    writer
        .u64(id)
        .u8(flags)
        .u64(new.published_at_ms)
        .text(&new.exchange)
        .text(&new.key)
        .bytes(&new.properties)
        .u32(new.body.len() as u32)
}

fn exchange_record(vhost: &str, exchange: &Exchange) -> Writer {
    Writer::new(kind::EXCHANGE)
        .text(vhost)
        .text(&exchange.name)
        .text(exchange.kind.name())
        .u8(u8::from(exchange.auto_delete) | u8::from(exchange.internal) << 1)
        .bytes(&exchange.arguments)
}

fn queue_record(queue: &Queue) -> Writer {
    Writer::new(kind::QUEUE)
        .u64(queue.id)
        .text(&queue.vhost)
        .text(&queue.name)
        .u8(queue.auto_delete.into())
        .u64(queue.session)
        .bytes(&queue.arguments)
}

fn binding_record(kind: u8, vhost: &str, binding: &Binding) -> Writer {
    let options = &binding.options;
    let mut writer = Writer::new(kind).text(vhost).text(&binding.source);
    writer = match &binding.target {
        Target::Queue(queue) => writer.u8(0).u64(queue.id),
        Target::Exchange(name) => writer.u8(1).text(name),
    };
    writer
        .text(&binding.routing_key)
        .bytes(&binding.arguments)
        .u64(options.id)
        .u8(u8::from(options.no_local)
            | u8::from(options.at_most_once) << 1
            | u8::from(options.hides_dollar) << 2
            | u8::from(options.sees_reserved) << 3)
        .bytes(&options.opaque)
}

/// An entry as it is written apart from its message.
struct EntryRecord<'a> {
    order: u64,
    id: u64,
    position: u64,
    len: u32,
    size: u32,
    priority: u8,
    expires_at: u64,
    tag: u16,
    flags: u8,
    bindings: Option<&'a [u64]>,
}

impl EntryRecord<'_> {
    fn write(&self, writer: Writer) -> Writer {
        writer
            .u64(self.order)
            .u64(self.id)
            .u64(self.position)
            .u32(self.len)
            .u32(self.size)
            .u8(self.priority)
            .u64(self.expires_at)
            .u16(self.tag)
            .u8(self.flags)
            .numbers(self.bindings)
    }
}
