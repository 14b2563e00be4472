//! From the records back to the live state.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use super::record::{Reader, entry_flag, kind, message_flag};
use super::{NewMessage, StoreError, Stored};
use crate::arguments::QueueArguments;
use crate::broker::{Core, DEFAULT_VHOST, Timer};
use crate::effects::Effects;
use crate::exchange::{Binding, BindingOptions, Exchange, ExchangeKind, Target};
use crate::message::Facts;
use crate::queue::{Entry, NEVER, NewQueue, Queue, Slot};
use crate::retained::Retained;
use crate::session::{Session, Will};
use crate::vhost::VirtualHost;

/// What the journal says, while it is read.
#[derive(Default)]
pub(crate) struct Recovered {
    pub(super) next_message: u64,
    next_id: u64,
    /// The last picture was taken at the end of a clean stop, and nothing came after it.
    clean: bool,
    complete: bool,
    vhosts: Vec<ByteString>,
    pub(super) exchanges: BTreeMap<(ByteString, ByteString), ExchangeRecord>,
    bindings: Vec<(ByteString, BindingRecord)>,
    pub(super) queues: BTreeMap<u64, QueueRecord>,
    pub(super) entries: HashMap<u64, BTreeMap<u64, EntryFound>>,
    messages: HashMap<u64, Arc<Stored>>,
    pub(super) retained: HashMap<(ByteString, ByteString, ByteString), RetainedFound>,
    pub(super) sessions: BTreeMap<u64, SessionRecord>,
    /// Keys and notes of sessions, which may come before the session itself.
    kept: HashMap<u64, Kept>,
}

pub(super) struct ExchangeRecord {
    kind: ExchangeKind,
    flags: u8,
    arguments: Bytes,
}

#[derive(PartialEq)]
struct BindingRecord {
    source: ByteString,
    target: TargetRecord,
    routing_key: ByteString,
    arguments: Bytes,
    options: BindingOptions,
}

#[derive(PartialEq)]
enum TargetRecord {
    Queue(u64),
    Exchange(ByteString),
}

pub(super) struct QueueRecord {
    vhost: ByteString,
    pub(super) name: ByteString,
    auto_delete: bool,
    pub(super) session: u64,
    arguments: Bytes,
}

pub(super) struct EntryFound {
    pub(super) stored: Arc<Stored>,
    size: u32,
    priority: u8,
    expires_at: u64,
    tag: u16,
    flags: u8,
    bindings: Vec<u64>,
}

pub(super) struct RetainedFound {
    pub(super) stored: Arc<Stored>,
    size: u32,
    priority: u8,
    expires_at: u64,
    persistent: bool,
}

pub(super) struct SessionRecord {
    vhost: ByteString,
    name: ByteString,
    queue: u64,
    expiry_secs: u32,
    expires_at: u64,
    will_at: u64,
    will: Option<Will>,
}

#[derive(Default)]
struct Kept {
    remembered: Vec<u32>,
    notes: BTreeMap<ByteString, Bytes>,
}

impl Recovered {
    /// Reads one record.
    pub(super) fn read(&mut self, position: u64, payload: &[u8]) -> Result<(), String> {
        let mut reader = Reader(payload);
        let Some(kind) = reader.u8() else { return Err("it is empty".into()) };
        // Whatever follows on the last picture of a clean stop makes it old.
        if self.complete {
            self.clean = false;
        }
        let read = match kind {
            kind::BEGIN => self.begin(&mut reader),
            kind::END => {
                self.complete = true;
                Some(())
            }
            kind::OPENED => Some(()),
            kind::VHOST => self.vhost(&mut reader),
            kind::EXCHANGE => self.exchange(&mut reader),
            kind::EXCHANGE_GONE => self.exchange_gone(&mut reader),
            kind::QUEUE => self.queue(&mut reader),
            kind::QUEUE_GONE => self.queue_gone(&mut reader),
            kind::BIND => self.bind(&mut reader),
            kind::UNBIND => self.unbind(&mut reader),
            kind::MESSAGE => self.message(position, payload.len(), &mut reader),
            kind::MOVED => self.moved(position, &mut reader),
            kind::ENTRIES => self.entries(&mut reader),
            kind::SETTLED => self.settled(&mut reader),
            kind::RECEIVED | kind::TAG => self.tagged(kind, &mut reader),
            kind::RETAINED => self.retained(&mut reader),
            kind::RETAINED_GONE => self.retained_gone(&mut reader),
            kind::SESSION => self.session(&mut reader),
            kind::SESSION_GONE => self.session_gone(&mut reader),
            kind::REMEMBERED => self.remembered(&mut reader),
            kind::NOTE => self.note(&mut reader),
            kind::FORGOTTEN => self.forgotten(&mut reader),
            _ => return Err(format!("its kind {kind} is unknown")),
        };
        read.ok_or_else(|| format!("a record of kind {kind} is not written as the format says"))
    }

    fn begin(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        self.next_id = self.next_id.max(reader.u64()?);
        self.next_message = self.next_message.max(reader.u64()?);
        self.clean = reader.u8()? != 0;
        self.complete = false;
        Some(())
    }

    fn vhost(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let name = reader.text()?;
        if !self.vhosts.contains(&name) {
            self.vhosts.push(name);
        }
        Some(())
    }

    fn exchange(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let key = (reader.text()?, reader.text()?);
        let kind = ExchangeKind::from_name(&reader.text()?).ok()?;
        let (flags, arguments) = (reader.u8()?, reader.owned()?);
        self.exchanges.insert(key, ExchangeRecord { kind, flags, arguments });
        Some(())
    }

    fn exchange_gone(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let (vhost, name) = (reader.text()?, reader.text()?);
        self.bindings.retain(|(of, binding)| {
            *of != vhost || (binding.source != name && binding.target != TargetRecord::Exchange(name.clone()))
        });
        self.retained.retain(|(of, exchange, _), _| *of != vhost || *exchange != name);
        self.exchanges.remove(&(vhost, name));
        Some(())
    }

    fn queue(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let id = reader.u64()?;
        self.next_id = self.next_id.max(id + 1);
        let record = QueueRecord {
            vhost: reader.text()?,
            name: reader.text()?,
            auto_delete: reader.u8()? != 0,
            session: reader.u64()?,
            arguments: reader.owned()?,
        };
        self.queues.insert(id, record);
        Some(())
    }

    fn queue_gone(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let id = reader.u64()?;
        self.queues.remove(&id);
        self.entries.remove(&id);
        self.bindings.retain(|(_, binding)| binding.target != TargetRecord::Queue(id));
        Some(())
    }

    fn binding(reader: &mut Reader<'_>) -> Option<(ByteString, BindingRecord)> {
        let (vhost, source) = (reader.text()?, reader.text()?);
        let target = match reader.u8()? {
            0 => TargetRecord::Queue(reader.u64()?),
            _ => TargetRecord::Exchange(reader.text()?),
        };
        let (routing_key, arguments, id) = (reader.text()?, reader.owned()?, reader.u64()?);
        let flags = reader.u8()?;
        let options = BindingOptions {
            id,
            no_local: flags & 1 != 0,
            at_most_once: flags & 2 != 0,
            hides_dollar: flags & 4 != 0,
            sees_reserved: flags & 8 != 0,
            opaque: reader.owned()?,
        };
        Some((vhost, BindingRecord { source, target, routing_key, arguments, options }))
    }

    fn bind(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let binding = Self::binding(reader)?;
        // The same may be in the log and in the picture.
        if !self.bindings.contains(&binding) {
            self.bindings.push(binding);
        }
        Some(())
    }

    fn unbind(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let binding = Self::binding(reader)?;
        self.bindings.retain(|other| *other != binding);
        Some(())
    }

    fn message(&mut self, position: u64, len: usize, reader: &mut Reader<'_>) -> Option<()> {
        let id = reader.u64()?;
        self.next_message = self.next_message.max(id + 1);
        let flags = reader.u8()?;
        let published_at = reader.u64()?;
        let (exchange, key) = (reader.text()?, reader.text()?);
        let facts = Facts::read(reader.bytes()?, None).unwrap_or_default();
        let size = reader.u32()?;
        let stored = Arc::clone(
            self.messages.entry(id).or_insert_with(|| Arc::new(Stored::new(id, position, len as u32))),
        );
        let mut used = false;
        if flags & message_flag::RETAINED != 0 {
            let vhost = reader.text()?;
            let found = RetainedFound {
                stored: Arc::clone(&stored),
                size,
                priority: facts.priority,
                expires_at: facts.ttl_ms.map_or(NEVER, |ttl| published_at.saturating_add(ttl)),
                persistent: facts.persistent,
            };
            self.retained.insert((vhost, exchange, key), found);
            used = true;
        }
        if flags & message_flag::DEDUPE != 0 {
            let (session, key) = (reader.u64()?, reader.u32()?);
            self.kept.entry(session).or_default().remembered.push(key);
        }
        for _ in 0..reader.u32()? {
            let queue = reader.u64()?;
            let entry = EntryFound {
                stored: Arc::clone(&stored),
                size,
                priority: facts.priority,
                expires_at: reader.u64()?,
                tag: 0,
                flags: 0,
                bindings: reader.numbers()?,
            };
            self.entries.entry(queue).or_default().insert(id, entry);
            used = true;
        }
        if !used {
            self.messages.remove(&id);
        }
        Some(())
    }

    fn moved(&mut self, position: u64, reader: &mut Reader<'_>) -> Option<()> {
        let id = reader.u64()?;
        if let Some(stored) = self.messages.get(&id) {
            stored.position.store(position, std::sync::atomic::Ordering::Release);
        }
        // Its entries may be in a picture that is still to come; that one knows where it is now.
        Some(())
    }

    fn entries(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let queue = reader.u64()?;
        while !reader.is_empty() {
            let (order, id, position, len) = (reader.u64()?, reader.u64()?, reader.u64()?, reader.u32()?);
            self.next_message = self.next_message.max(order.max(id) + 1);
            let stored = self.messages.entry(id).or_insert_with(|| Arc::new(Stored::new(id, position, len)));
            let entry = EntryFound {
                stored: Arc::clone(stored),
                size: reader.u32()?,
                priority: reader.u8()?,
                expires_at: reader.u64()?,
                tag: reader.u16()?,
                flags: reader.u8()?,
                bindings: reader.numbers()?,
            };
            self.entries.entry(queue).or_default().insert(order, entry);
        }
        Some(())
    }

    fn settled(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let queue = reader.u64()?;
        let orders = reader.numbers()?;
        if let Some(entries) = self.entries.get_mut(&queue) {
            for order in orders {
                entries.remove(&order);
            }
        }
        Some(())
    }

    fn tagged(&mut self, kind: u8, reader: &mut Reader<'_>) -> Option<()> {
        let (queue, order, tag) = (reader.u64()?, reader.u64()?, reader.u16()?);
        if let Some(entry) = self.entries.get_mut(&queue).and_then(|entries| entries.get_mut(&order)) {
            entry.tag = tag;
            if kind == kind::RECEIVED {
                entry.flags |= entry_flag::RECEIVED;
            }
        }
        Some(())
    }

    fn retained(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let key = (reader.text()?, reader.text()?, reader.text()?);
        let (id, position, len) = (reader.u64()?, reader.u64()?, reader.u32()?);
        let stored = self.messages.entry(id).or_insert_with(|| Arc::new(Stored::new(id, position, len)));
        let found = RetainedFound {
            stored: Arc::clone(stored),
            size: reader.u32()?,
            priority: reader.u8()?,
            expires_at: reader.u64()?,
            persistent: reader.u8()? != 0,
        };
        self.retained.insert(key, found);
        Some(())
    }

    fn retained_gone(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let key = (reader.text()?, reader.text()?, reader.text()?);
        self.retained.remove(&key);
        Some(())
    }

    fn session(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let id = reader.u64()?;
        self.next_id = self.next_id.max(id + 1);
        let mut session = SessionRecord {
            vhost: reader.text()?,
            name: reader.text()?,
            queue: reader.u64()?,
            expiry_secs: reader.u32()?,
            expires_at: reader.u64()?,
            will_at: reader.u64()?,
            will: None,
        };
        if reader.u8()? != 0 {
            let delay_secs = reader.u32()?;
            let (exchange, key) = (reader.text()?, reader.text()?);
            let (properties, body, retain) = (reader.owned()?, reader.owned()?, reader.u8()? != 0);
            let facts = Facts::read(&properties, None).unwrap_or_default();
            let exchange: &str = &exchange;
            let message = NewMessage {
                exchange: exchange.into(),
                key,
                properties,
                body,
                published_at_ms: 0,
                facts,
                retain,
            };
            session.will = Some(Will { message, delay_secs, origin: None });
        }
        self.sessions.insert(id, session);
        Some(())
    }

    fn session_gone(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let id = reader.u64()?;
        self.sessions.remove(&id);
        self.kept.remove(&id);
        Some(())
    }

    fn remembered(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let (session, key) = (reader.u64()?, reader.u32()?);
        self.kept.entry(session).or_default().remembered.push(key);
        Some(())
    }

    fn note(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let session = reader.u64()?;
        let (key, value) = (reader.text()?, reader.owned()?);
        let notes = &mut self.kept.entry(session).or_default().notes;
        if value.is_empty() {
            notes.remove(&key);
        } else {
            notes.insert(key, value);
        }
        Some(())
    }

    fn forgotten(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let kept = self.kept.entry(reader.u64()?).or_default();
        for _ in 0..reader.u32()? {
            let key = reader.u32()?;
            kept.remembered.retain(|other| *other != key);
        }
        Some(())
    }
}

impl Core {
    /// Brings back what was found, before anyone connects.
    pub(crate) fn restore(&self, found: Recovered) -> Result<(), StoreError> {
        let now = self.now();
        let mut fx = Effects::default();
        self.set_next_id(found.next_id);
        let clean = found.clean && found.complete;
        {
            let mut vhosts = self.vhosts.write();
            for name in std::iter::once(DEFAULT_VHOST).chain(found.vhosts.iter().map(|name| &**name)) {
                vhosts.entry(name.into()).or_insert_with(|| Arc::new(VirtualHost::new(name)));
            }
        }
        for ((vhost, name), record) in found.exchanges {
            let Ok(vhost) = self.vhost(&vhost) else { continue };
            let flags = (true, record.flags & 1 != 0, record.flags & 2 != 0);
            let name: Arc<str> = (&*name).into();
            let exchange = Exchange::new(Arc::clone(&name), record.kind, flags, record.arguments);
            vhost.topology.write().exchanges.insert(name, exchange);
        }
        let mut entries = found.entries;
        let mut queues: HashMap<u64, Arc<Queue>> = HashMap::new();
        for (id, record) in found.queues {
            // A queue of a session that is no more goes with it.
            if record.session != 0 && !found.sessions.contains_key(&record.session) {
                continue;
            }
            let Ok(vhost) = self.vhost(&record.vhost) else { continue };
            let args =
                QueueArguments::read(&record.arguments, &record.name, &vhost.name, true).unwrap_or_default();
            let new = NewQueue {
                id,
                name: (&*record.name).into(),
                vhost: Arc::clone(&vhost.name),
                durable: true,
                auto_delete: record.auto_delete,
                exclusive: None,
                session: record.session,
                arguments: record.arguments,
                args,
            };
            let queue = Arc::new(Queue::new(new, now));
            for (order, entry) in entries.remove(&id).unwrap_or_default() {
                queue.restore(restored(order, entry, clean));
            }
            queue.start(&mut fx);
            vhost.topology.write().queues.insert(Arc::clone(&queue.name), Arc::clone(&queue));
            queues.insert(id, queue);
        }
        for (vhost, record) in found.bindings {
            if let Ok(vhost) = self.vhost(&vhost) {
                restore_binding(&vhost, record, &queues);
            }
        }
        for ((vhost, exchange, key), retained) in found.retained {
            let Ok(vhost) = self.vhost(&vhost) else { continue };
            if let Some(exchange) = vhost.topology.write().exchanges.get_mut(&*exchange) {
                exchange.retained.put(key, retained.into());
            }
        }
        let mut kept = found.kept;
        for (id, record) in found.sessions {
            if let Some(queue) = queues.get(&record.queue) {
                self.restore_session(id, record, kept.remove(&id).unwrap_or_default(), queue, now);
            }
        }
        self.finish(fx);
        Ok(())
    }

    fn restore_session(&self, id: u64, record: SessionRecord, kept: Kept, queue: &Arc<Queue>, now: u64) {
        let Ok(vhost) = self.vhost(&record.vhost) else { return };
        let name: Arc<str> = (&*record.name).into();
        let session = Arc::new(Session::new(
            (id, Arc::clone(&name), Arc::clone(&vhost.name)),
            true,
            Arc::clone(queue),
            record.expiry_secs,
        ));
        let at = {
            let mut state = session.state.lock();
            // One that had a link lost it with the stop.
            state.expires_at = match record.expires_at {
                NEVER => now.saturating_add(crate::session::millis(record.expiry_secs)),
                at => at,
            };
            state.will_at = match (&record.will, record.will_at) {
                (None, _) => NEVER,
                (Some(will), NEVER) => now.saturating_add(crate::session::millis(will.delay_secs)),
                (Some(_), at) => at,
            };
            state.will = record.will;
            state.remembered = kept.remembered.into_iter().map(|key| (key, 0)).collect();
            state.notes = kept.notes;
            state.expires_at.min(state.will_at)
        };
        vhost.topology.write().sessions.insert(name, Arc::clone(&session));
        if at < NEVER {
            self.add_timer(at, Timer::Session(Arc::downgrade(&session)));
        }
    }
}

fn restored(order: u64, found: EntryFound, clean: bool) -> Entry {
    Entry {
        seq: 0,
        order,
        slot: Slot::Paged(found.stored),
        bindings: (!found.bindings.is_empty()).then(|| found.bindings.into()),
        expires_at: found.expires_at,
        tag: found.tag,
        size: found.size,
        priority: found.priority,
        // Without a clean stop nobody knows what was delivered.
        redelivered: !clean || found.flags & entry_flag::REDELIVERED != 0,
        retained: found.flags & entry_flag::RETAINED != 0,
        received: found.flags & entry_flag::RECEIVED != 0,
        at_most_once: false,
    }
}

fn restore_binding(vhost: &VirtualHost, record: BindingRecord, queues: &HashMap<u64, Arc<Queue>>) {
    let mut topology = vhost.topology.write();
    let target = match &record.target {
        TargetRecord::Queue(id) => match queues.get(id) {
            Some(queue) => Target::Queue(Arc::clone(queue)),
            None => return,
        },
        TargetRecord::Exchange(name) => match topology.exchanges.get(&**name) {
            Some(exchange) => Target::Exchange(Arc::clone(&exchange.name)),
            None => return,
        },
    };
    let Some(source) = topology.exchanges.get(&*record.source) else { return };
    let binding =
        Binding::new(source.kind, &source.name, target, record.routing_key, record.arguments, record.options);
    if let Ok(binding) = binding {
        topology.add_binding(&Arc::new(binding));
    }
}

impl From<RetainedFound> for Retained {
    fn from(found: RetainedFound) -> Self {
        Self {
            slot: Slot::Paged(found.stored),
            size: found.size,
            priority: found.priority,
            expires_at: found.expires_at,
            durable: true,
            persistent: found.persistent,
        }
    }
}
