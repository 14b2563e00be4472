//! The broker on the host's side: hands the plugin's calls over, and fetches what waits for it.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use super::broker_wire::{BrokerCall, BrokerNews, unpack};
use super::far_broker::{call_weight, weight};
use super::inbox::{WINDOW_BYTES, WINDOW_EVENTS};
use super::link::{Link, PushError};
use super::messages::ToPlugin;
use super::near_host::answer;
use super::wire::WireError;
use crate::abi::{
    Broker, CODE_CONTENT_TOO_LARGE, Completion, EVENT_DELIVERY, EVENT_GOT, EVENT_UNBLOCKED, Enter,
    ExchangeDeclare, HostRef, LINK_STOPS_AT_ERROR, LinkEvent, LogLevel, Message, QueueDeclare, Reply,
    SETTLE_REJECT, Settle,
};

/// How many events are fetched at a time.
const BATCH_EVENTS: u64 = 256;

/// The broker of one instance, on the host's side.
pub(super) struct NearBroker {
    broker: Broker,
    /// Held while calls are handed over, so that each connection's stay in order.
    calls: Mutex<Calls>,
    outboxes: Mutex<Outboxes>,
}

#[derive(Default)]
struct Calls {
    connections: HashMap<u64, NearConnection>,
    links: HashMap<u64, NearLink>,
}

#[derive(Default)]
struct NearConnection {
    /// Whether the host throttles it: its calls wait.
    is_held: bool,
    waiting: VecDeque<BrokerCall>,
    /// Bytes of calls that were handed over since the plugin's side was told.
    handed_over: u64,
}

struct NearLink {
    connection: u64,
    stops_at_error: bool,
    has_stopped: bool,
}

#[derive(Default)]
struct Outboxes {
    known: HashMap<u64, Ahead>,
    /// Those to look into.
    ready: VecDeque<u64>,
}

/// How far the events that were sent run ahead of those that the plugin has taken.
#[derive(Default)]
struct Ahead {
    events: u64,
    bytes: u64,
    may_hold: bool,
    is_queued: bool,
}

impl Outboxes {
    fn may_hold(&mut self, id: u64) {
        let Some(ahead) = self.known.get_mut(&id) else { return };
        ahead.may_hold = true;
        self.queue(id);
    }

    /// Has an outbox looked into that may hold something and has room.
    fn queue(&mut self, id: u64) {
        let Some(ahead) = self.known.get_mut(&id) else { return };
        let has_room = ahead.events < WINDOW_EVENTS && ahead.bytes < WINDOW_BYTES;
        if ahead.may_hold && has_room && !ahead.is_queued {
            ahead.is_queued = true;
            self.ready.push_back(id);
        }
    }

    /// The next outbox to look into, and how much it has room for.
    fn next(&mut self) -> Option<(u64, u64, u64)> {
        loop {
            let id = self.ready.pop_front()?;
            let Some(ahead) = self.known.get_mut(&id) else { continue };
            ahead.is_queued = false;
            // Forgotten before looking: what comes to wait afterwards is announced anew.
            ahead.may_hold = false;
            let events = WINDOW_EVENTS.saturating_sub(ahead.events).min(BATCH_EVENTS);
            return Some((id, events, WINDOW_BYTES.saturating_sub(ahead.bytes)));
        }
    }

    fn sent(&mut self, id: u64, events: &[LinkEvent]) {
        if let Some(ahead) = self.known.get_mut(&id) {
            ahead.events = ahead.events.saturating_add(events.len() as u64);
            ahead.bytes = ahead.bytes.saturating_add(events.iter().map(weight).sum());
        }
    }

    fn freed(&mut self, id: u64, events: u64, bytes: u64) {
        if let Some(ahead) = self.known.get_mut(&id) {
            ahead.events = ahead.events.saturating_sub(events);
            ahead.bytes = ahead.bytes.saturating_sub(bytes);
        }
        self.queue(id);
    }
}

/// What handing a call over came to.
enum HandedOver {
    All {
        is_throttled: bool,
    },
    /// The rest has to wait.
    Part(BrokerCall),
}

impl NearBroker {
    pub(super) fn new(broker: Broker) -> Self {
        Self { broker, calls: Mutex::default(), outboxes: Mutex::default() }
    }

    /// The host says that events wait.
    pub(super) fn ready(&self, id: u64) {
        self.outboxes.lock().may_hold(id);
    }

    /// Hands a call of the plugin over, or keeps it for later. `complete` makes the completion of a call's number.
    pub(super) fn call(
        &self,
        connection: u64,
        call: BrokerCall,
        link: &Link,
        complete: &dyn Fn(u64) -> Completion,
    ) -> Result<(), String> {
        let broker = &self.broker;
        match call {
            BrokerCall::Open { info } => {
                self.outboxes.lock().known.insert(connection, Ahead::default());
                self.calls.lock().connections.insert(connection, NearConnection::default());
                if let Err(error) = broker.open(connection, &info) {
                    self.calls.lock().connections.remove(&connection);
                    self.outboxes.lock().known.remove(&connection);
                    tell(link, BrokerNews::Refused { id: connection, error });
                }
            }
            BrokerCall::Close {} => self.close(connection, link),
            BrokerCall::Authenticate { call, mechanism, credentials } => {
                broker.authenticate(connection, &mechanism, credentials, complete(call));
            }
            BrokerCall::Enter { call, virtual_host, client, info } => {
                let enter = Enter {
                    virtual_host: virtual_host.as_rstr(),
                    client: client.as_rstr(),
                    info: info.as_rstr(),
                };
                broker.enter(connection, &enter, complete(call));
            }
            BrokerCall::OpenLink { link: id, options } => {
                self.outboxes.lock().known.insert(id, Ahead::default());
                let stops_at_error = options.flags & LINK_STOPS_AT_ERROR != 0;
                self.calls
                    .lock()
                    .links
                    .insert(id, NearLink { connection, stops_at_error, has_stopped: false });
                if let Err(error) = broker.open_link(connection, id, options) {
                    self.forget_link(id);
                    tell(link, BrokerNews::Refused { id, error });
                }
            }
            BrokerCall::Taken { id, events, bytes } => self.outboxes.lock().freed(id, events, bytes),
            call => {
                let mut calls = self.calls.lock();
                let Some(found) = calls.connections.get_mut(&connection) else {
                    drop(calls);
                    refuse_quiesce(call, link);
                    return Ok(());
                };
                found.waiting.push_back(call);
                self.hand_over(&mut calls, connection, link, complete)?;
            }
        }
        Ok(())
    }

    /// Hands over what waits for a connection, as far as the host takes it.
    fn hand_over(
        &self,
        calls: &mut Calls,
        connection: u64,
        link: &Link,
        complete: &dyn Fn(u64) -> Completion,
    ) -> Result<(), String> {
        while let Some(found) = calls.connections.get_mut(&connection)
            && !found.is_held
            && let Some(call) = found.waiting.pop_front()
        {
            let bytes = call_weight(&call);
            let handed_over =
                self.perform(&mut calls.links, call, link, complete).map_err(|error| error.to_string())?;
            let Some(found) = calls.connections.get_mut(&connection) else { break };
            let rest = match handed_over {
                HandedOver::All { is_throttled } => {
                    found.is_held = is_throttled;
                    0
                }
                HandedOver::Part(rest) => {
                    found.is_held = true;
                    let left = call_weight(&rest);
                    found.waiting.push_front(rest);
                    left
                }
            };
            found.handed_over = found.handed_over.saturating_add(bytes.saturating_sub(rest));
            if found.is_held {
                tell(link, BrokerNews::Throttled { connection });
            }
        }
        Ok(())
    }

    /// Makes one call of a link.
    fn perform(
        &self,
        links: &mut HashMap<u64, NearLink>,
        call: BrokerCall,
        link: &Link,
        complete: &dyn Fn(u64) -> Completion,
    ) -> Result<HandedOver, WireError> {
        use BrokerCall as C;
        let broker = &self.broker;
        let (id, is_throttled) = match call {
            C::CloseLink { link: id } => {
                links.remove(&id);
                self.outboxes.lock().known.remove(&id);
                broker.close_link(id);
                (id, false)
            }
            C::Quiesce { call, link: id, timeout_ms } => {
                broker.quiesce(id, timeout_ms, complete(call));
                (id, false)
            }
            C::TooLong { link: id, op, is_publish, bytes } => {
                refuse_too_long(links, link, id, op, is_publish, bytes);
                (id, false)
            }
            other if is_for_stopped(links, &other) => return Ok(HandedOver::All { is_throttled: false }),
            C::Publish { link: id, first_sequence, messages } => {
                let unpacked = unpack(messages.as_slice())?;
                let (publishes, ends): (Vec<_>, Vec<_>) =
                    unpacked.into_iter().map(|one| (one.publish, one.end)).unzip();
                let accepted = broker.publish(id, first_sequence, &publishes);
                self.ready(id);
                let taken = accepted.taken as usize;
                if taken < publishes.len() && accepted.throttled {
                    let begin = taken.checked_sub(1).and_then(|last| ends.get(last).copied()).unwrap_or(0);
                    return Ok(HandedOver::Part(C::Publish {
                        link: id,
                        first_sequence: first_sequence.saturating_add(taken as u64),
                        messages: messages.slice(begin..),
                    }));
                }
                (id, accepted.throttled)
            }
            C::Settle { link: id, op, settles } => (id, broker.settle(id, op, &settles)),
            C::Commit { link: id, op, first_sequence, messages, settles } => {
                let publishes: Vec<_> =
                    unpack(messages.as_slice())?.into_iter().map(|one| one.publish).collect();
                (id, broker.commit(id, op, first_sequence, &publishes, &settles))
            }
            C::Confirm { link: id, op, on } => (id, broker.confirm(id, op, on)),
            C::Recover { link: id, op } => (id, broker.recover(id, op)),
            C::Get { link: id, op, queue, no_ack } => (id, broker.get(id, op, &queue, no_ack)),
            C::DeclareExchange { link: id, op, name, kind, flags, arguments } => {
                let declare = ExchangeDeclare {
                    name: name.as_rstr(),
                    kind: kind.as_rstr(),
                    flags,
                    arguments: arguments.as_slice().into(),
                };
                (id, broker.declare_exchange(id, op, &declare))
            }
            C::DeleteExchange { link: id, op, name, flags } => {
                (id, broker.delete_exchange(id, op, &name, flags))
            }
            C::DeclareQueue { link: id, op, name, flags, arguments } => {
                let declare =
                    QueueDeclare { name: name.as_rstr(), flags, arguments: arguments.as_slice().into() };
                (id, broker.declare_queue(id, op, &declare))
            }
            C::DeleteQueue { link: id, op, name, flags } => (id, broker.delete_queue(id, op, &name, flags)),
            C::PurgeQueue { link: id, op, name } => (id, broker.purge_queue(id, op, &name)),
            C::Bind { link: id, op, bind } => (id, broker.bind(id, op, &bind.borrow())),
            C::Unbind { link: id, op, bind } => (id, broker.unbind(id, op, &bind.borrow())),
            C::Consume { link: id, op, consume } => (id, broker.consume(id, op, &consume.borrow())),
            C::Cancel { link: id, op, consumer } => (id, broker.cancel(id, op, consumer)),
            C::Credit { link: id, op, consumer, count, bytes } => {
                (id, broker.credit(id, op, consumer, count, bytes))
            }
            C::AttachSession { link: id, op, session } => {
                (id, broker.attach_session(id, op, &session.borrow()?))
            }
            C::DetachSession { link: id, op, flags, expiry_secs } => {
                (id, broker.detach_session(id, op, flags, expiry_secs))
            }
            C::NoteSession { link: id, op, key, value } => {
                (id, broker.note_session(id, op, &key, value.as_slice()))
            }
            C::Forget { link: id, op, dedupe } => (id, broker.forget(id, op, &dedupe)),
            C::Open { .. }
            | C::Close { .. }
            | C::Authenticate { .. }
            | C::Enter { .. }
            | C::OpenLink { .. }
            | C::Taken { .. } => return Ok(HandedOver::All { is_throttled: false }),
        };
        // A plugin that is still starting is not told by the host.
        self.ready(id);
        Ok(HandedOver::All { is_throttled })
    }

    fn close(&self, connection: u64, link: &Link) {
        let (closed, mut ids) = {
            let mut calls = self.calls.lock();
            let of_it = |link: &NearLink| link.connection == connection;
            let ids: Vec<u64> = calls.links.extract_if(|_, link| of_it(link)).map(|(id, _)| id).collect();
            (calls.connections.remove(&connection), ids)
        };
        ids.push(connection);
        self.outboxes.lock().known.retain(|id, _| !ids.contains(id));
        for call in closed.into_iter().flat_map(|closed| closed.waiting) {
            refuse_quiesce(call, link);
        }
        self.broker.close(connection);
    }

    fn forget_link(&self, id: u64) {
        self.calls.lock().links.remove(&id);
        self.outboxes.lock().known.remove(&id);
    }

    /// Tells the plugin's side how much was handed over since it was told.
    pub(super) fn tell_room(&self, link: &Link) {
        for (connection, found) in &mut self.calls.lock().connections {
            if found.handed_over > 0 {
                let bytes = std::mem::take(&mut found.handed_over);
                tell(link, BrokerNews::Room { connection: *connection, bytes });
            }
        }
    }

    /// Takes what waits at the host and sends it, as far as there is room. Called by the writing thread alone.
    pub(super) fn fetch(&self, link: &Link, host: &HostRef, complete: &dyn Fn(u64) -> Completion) {
        while !link.is_busy() {
            let Some((id, events, bytes)) = self.outboxes.lock().next() else { return };
            let taken = self.broker.take(id, u32::try_from(events).unwrap_or(u32::MAX), bytes);
            if taken.is_empty() {
                continue;
            }
            let is_unblocked = taken.iter().any(|event| event.kind == EVENT_UNBLOCKED);
            self.outboxes.lock().sent(id, &taken);
            if is_unblocked {
                // Sent under the lock, so that it does not overtake the news that the connection is throttled.
                let mut calls = self.calls.lock();
                if let Some(found) = calls.connections.get_mut(&id) {
                    found.is_held = false;
                }
                self.send(id, taken.into_vec(), link, host);
                if let Err(reason) = self.hand_over(&mut calls, id, link, complete) {
                    link.cut(&reason);
                }
                drop(calls);
                self.tell_room(link);
            } else {
                self.send(id, taken.into_vec(), link, host);
            }
            self.outboxes.lock().may_hold(id);
        }
    }

    fn send(&self, id: u64, events: Vec<LinkEvent>, link: &Link, host: &HostRef) {
        let frame = ToPlugin::Broker { news: BrokerNews::Events { id, events } };
        if !matches!(link.push(&frame), Err(PushError::TooLong { .. } | PushError::Full)) {
            return;
        }
        let ToPlugin::Broker { news: BrokerNews::Events { events, .. } } = frame else { return };
        for event in events {
            self.send_alone(id, event, link, host);
        }
    }

    /// Sends one event. A message that is too long to cross is rejected, as one that cannot be delivered.
    fn send_alone(&self, id: u64, event: LinkEvent, link: &Link, host: &HostRef) {
        let frame = ToPlugin::Broker { news: BrokerNews::Events { id, events: vec![event] } };
        let Err(PushError::TooLong { bytes, limit }) = link.push_surely_if_it_fits(&frame) else { return };
        let ToPlugin::Broker { news: BrokerNews::Events { mut events, .. } } = frame else { return };
        let Some(event) = events.pop() else { return };
        self.outboxes.lock().freed(id, 1, weight(&event));
        if event.is_unsettled() {
            self.broker.settle(id, 0, &[Settle::one(event.delivery, SETTLE_REJECT)]);
        }
        let fields = serde_json::json!({
            "link": id, "routing_key": event.message.parts().routing_key.as_str(), "bytes": bytes, "limit": limit
        });
        let text = "a message is too long to reach the plugin and was not delivered";
        host.log(LogLevel::Warn, "proxy", text, &fields.to_string());
        let instead = match event.kind {
            EVENT_DELIVERY => return,
            EVENT_GOT => {
                let text = format!(
                    "CONTENT_TOO_LARGE - the message takes {bytes} bytes on the way to the plugin, expected at most {limit}"
                );
                LinkEvent::failed(event.op, CODE_CONTENT_TOO_LARGE, text)
            }
            // What was returned is known to who published it.
            _ => LinkEvent { message: Message::empty(), ..event },
        };
        self.outboxes.lock().sent(id, std::slice::from_ref(&instead));
        link.push_surely(&ToPlugin::Broker { news: BrokerNews::Events { id, events: vec![instead] } });
    }

    /// Leaves the host as after an instance that has failed.
    pub(super) fn close_all(&self) {
        let connections: Vec<u64> = self.calls.lock().connections.keys().copied().collect();
        connections.into_iter().for_each(|connection| self.broker.close(connection));
    }

    /// How many connections are open.
    pub(super) fn open_connections(&self) -> usize {
        self.calls.lock().connections.len()
    }
}

/// A call that nobody will make has to be answered when it asks for a reply.
fn refuse_quiesce(call: BrokerCall, link: &Link) {
    if let BrokerCall::Quiesce { call, .. } = call {
        answer(link, call, Reply { status: 404, ..Reply::cancelled() });
    }
}

fn tell(link: &Link, news: BrokerNews) {
    // Fails only when the link has ended, which its reader handles.
    link.push_surely(&ToPlugin::Broker { news });
}

/// Whether a call is for a link that is not known, or has stopped at something that did not reach the host.
fn is_for_stopped(links: &HashMap<u64, NearLink>, call: &BrokerCall) -> bool {
    call.link().is_none_or(|id| links.get(&id).is_none_or(|link| link.has_stopped))
}

fn refuse_too_long(
    links: &mut HashMap<u64, NearLink>,
    link: &Link,
    id: u64,
    op: u64,
    is_publish: bool,
    bytes: u64,
) {
    let Some(found) = links.get_mut(&id).filter(|link| !link.has_stopped) else { return };
    found.has_stopped = found.stops_at_error;
    let text = format!("CONTENT_TOO_LARGE - {bytes} bytes are too many on the way to the host");
    let event = if is_publish {
        LinkEvent::refused(op, CODE_CONTENT_TOO_LARGE, text)
    } else {
        LinkEvent::failed(op, CODE_CONTENT_TOO_LARGE, text)
    };
    tell(link, BrokerNews::Events { id, events: vec![event] });
}
