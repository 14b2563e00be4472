//! The broker as the plugin sees it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Weak;

use parking_lot::Mutex;

use super::broker_wire::{BindParts, BrokerCall, BrokerNews, ConsumeParts, SessionParts, pack, packed_bytes};
use super::far_host::{FarHost, is_object};
use super::link::PushError;
use super::messages::ToHost;
use super::wire::Message;
use crate::abi::{
    Accepted, ApiError, Bind, Blob, BrokerCalls, CODE_CONNECTION_FORCED, CODE_OK, CODE_RESOURCE_ERROR,
    Completion, Consume, EVENT_ANSWER, EVENT_CLOSED, EVENT_REFUSED, EVENT_UNBLOCKED, Enter, ExchangeDeclare,
    LINK_STOPS_AT_ERROR, LinkEvent, LinkOptions, Publish, QueueDeclare, SessionAttach, Settle,
};

/// How many bytes of a connection's calls may be on their way before it is throttled.
const WINDOW_BYTES: u64 = 4 * 1024 * 1024;
/// How large a frame of several messages is made.
const BATCH_BYTES: usize = 256 * 1024;
/// What a call counts for besides its own bytes.
const CALL_BYTES: u64 = 16;

/// The broker of one instance, on the plugin's side.
pub(super) struct FarBroker {
    host: Weak<FarHost>,
    limits: Blob,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: HashMap<u64, FarConnection>,
    links: HashMap<u64, FarLink>,
    /// Connections that were told that they are throttled.
    throttled: HashSet<u64>,
}

#[derive(Default)]
struct FarConnection {
    outbox: Outbox,
    has_entered: bool,
    /// Bytes of its calls that the host's side has not handed over yet.
    on_the_way: u64,
    /// Whether the host throttles it.
    is_held: bool,
}

struct FarLink {
    connection: u64,
    outbox: Outbox,
    stops_at_error: bool,
    /// Whether it is known to do nothing any more.
    has_stopped: bool,
}

#[derive(Default)]
struct Outbox {
    /// With whether each came from the host, and so takes room in the window.
    events: VecDeque<(LinkEvent, bool)>,
}

/// What an event counts for in an outbox's window, in bytes.
pub(super) fn weight(event: &LinkEvent) -> u64 {
    192 + event.weight() + 8 * event.more_bindings.len() as u64
}

/// What a call counts for in its connection's window, in bytes: operations of links do, since they may have to wait.
pub(super) fn call_weight(call: &BrokerCall) -> u64 {
    match call {
        BrokerCall::Open { .. }
        | BrokerCall::Close { .. }
        | BrokerCall::Authenticate { .. }
        | BrokerCall::Enter { .. }
        | BrokerCall::OpenLink { .. }
        | BrokerCall::Taken { .. }
        | BrokerCall::Quiesce { .. } => 0,
        _ => CALL_BYTES + Message::bytes(call) as u64,
    }
}

impl Outbox {
    /// Says whether none waited before.
    fn push(&mut self, event: LinkEvent, is_counted: bool) -> bool {
        self.events.push_back((event, is_counted));
        self.events.len() == 1
    }
}

impl State {
    fn outbox(&mut self, id: u64) -> Option<&mut Outbox> {
        match (self.links.get_mut(&id), self.connections.get_mut(&id)) {
            (Some(link), _) => Some(&mut link.outbox),
            (None, Some(connection)) => Some(&mut connection.outbox),
            (None, None) => None,
        }
    }

    /// Adds an event of this side's own; says whether none waited before.
    fn push_own(&mut self, id: u64, event: LinkEvent) -> bool {
        self.outbox(id).is_some_and(|outbox| outbox.push(event, false))
    }

    /// Counts a call in, and says whether its connection is throttled from here on.
    fn count(&mut self, connection: u64, bytes: u64) -> bool {
        let Some(found) = self.connections.get_mut(&connection) else { return false };
        found.on_the_way = found.on_the_way.saturating_add(bytes);
        let is_throttled = found.is_held || found.on_the_way > WINDOW_BYTES;
        if is_throttled {
            self.throttled.insert(connection);
        }
        is_throttled
    }

    /// Counts a call out that was handed over, or never sent.
    fn discount(&mut self, connection: u64, bytes: u64) {
        if let Some(found) = self.connections.get_mut(&connection) {
            found.on_the_way = found.on_the_way.saturating_sub(bytes);
        }
    }

    /// Unblocks the connections that can go on, and gives those whose outbox was empty.
    fn unblock(&mut self) -> Vec<u64> {
        let connections = &self.connections;
        let may_go_on = |id: &u64| {
            connections.get(id).is_some_and(|found| !found.is_held && found.on_the_way <= WINDOW_BYTES / 2)
        };
        let ready: Vec<u64> = self.throttled.iter().copied().filter(may_go_on).collect();
        ready
            .into_iter()
            .filter(|id| {
                self.throttled.remove(id);
                self.push_own(*id, LinkEvent::unblocked())
            })
            .collect()
    }

    /// Takes note of what an event says about a connection or link.
    fn learn(&mut self, id: u64, event: &LinkEvent) {
        if let Some(link) = self.links.get_mut(&id) {
            let is_refusal = match event.kind {
                EVENT_ANSWER => event.code != CODE_OK,
                EVENT_REFUSED => event.code != CODE_RESOURCE_ERROR,
                _ => false,
            };
            link.has_stopped |= event.kind == EVENT_CLOSED || (is_refusal && link.stops_at_error);
        } else if event.kind == EVENT_UNBLOCKED
            && let Some(connection) = self.connections.get_mut(&id)
        {
            connection.is_held = false;
        }
    }
}

impl FarBroker {
    pub(super) fn new(host: Weak<FarHost>, limits: Blob) -> Self {
        Self { host, limits, state: Mutex::default() }
    }

    /// Takes in what the host's side tells.
    pub(super) fn heard(&self, news: BrokerNews) {
        let ready = match news {
            BrokerNews::Events { id, events } => self.add(id, events),
            BrokerNews::Refused { id, error } => self.refused(id, &error),
            BrokerNews::Room { connection, bytes } => {
                let mut state = self.state.lock();
                state.discount(connection, bytes);
                state.unblock()
            }
            BrokerNews::Throttled { connection } => {
                let mut state = self.state.lock();
                if let Some(found) = state.connections.get_mut(&connection) {
                    found.is_held = true;
                }
                Vec::new()
            }
        };
        self.wake(&ready);
    }

    fn add(&self, id: u64, events: Vec<LinkEvent>) -> Vec<u64> {
        let mut state = self.state.lock();
        events.iter().for_each(|event| state.learn(id, event));
        let Some(outbox) = state.outbox(id) else { return Vec::new() };
        let mut is_first = false;
        for event in events {
            is_first |= outbox.push(event, true);
        }
        if is_first { vec![id] } else { Vec::new() }
    }

    /// The host has refused what was taken as open: it is closed, with its links.
    fn refused(&self, id: u64, error: &ApiError) -> Vec<u64> {
        let mut state = self.state.lock();
        let mut closed: Vec<u64> =
            state.links.iter().filter(|(_, link)| link.connection == id).map(|(link, _)| *link).collect();
        closed.push(id);
        let text = format!("CONNECTION_FORCED - {}", error.message);
        state.close_all(&closed, &text)
    }

    /// Nothing will come any more: closes everything.
    pub(super) fn host_is_gone(&self, reason: &str) {
        let ready = {
            let mut state = self.state.lock();
            let all: Vec<u64> = state.links.keys().chain(state.connections.keys()).copied().collect();
            state.close_all(
                &all,
                &format!("CONNECTION_FORCED - the host cannot be reached any more: {reason}"),
            )
        };
        self.wake(&ready);
    }

    /// Wakes a plugin that has just started.
    pub(super) fn wake_if_events_wait(&self) {
        let ready: Vec<u64> = {
            let state = self.state.lock();
            let links = state.links.iter().map(|(id, link)| (*id, &link.outbox));
            let connections = state.connections.iter().map(|(id, connection)| (*id, &connection.outbox));
            links
                .chain(connections)
                .filter(|(_, outbox)| !outbox.events.is_empty())
                .map(|(id, _)| id)
                .collect()
        };
        self.wake(&ready);
    }

    fn wake(&self, ready: &[u64]) {
        if ready.is_empty() {
            return;
        }
        let client = self.host.upgrade().and_then(|host| host.broker_client());
        if let Some(client) = client {
            ready.iter().for_each(|id| client.ready(*id));
        }
    }

    fn send(&self, connection: u64, call: BrokerCall) {
        if let Some(host) = self.host.upgrade() {
            host.send_surely(&ToHost::Broker { connection, call });
        }
    }

    /// Sends one operation of a link, and says whether its connection is throttled.
    fn operate(&self, link: u64, op: u64, call: BrokerCall) -> bool {
        let (connection, is_throttled) = {
            let mut state = self.state.lock();
            let Some(found) = state.links.get(&link).filter(|link| !link.has_stopped) else { return false };
            let connection = found.connection;
            (connection, state.count(connection, call_weight(&call)))
        };
        let Some(host) = self.host.upgrade() else { return false };
        let bytes = call_weight(&call);
        let sent = host.send_surely_if_it_fits(&ToHost::Broker { connection, call });
        if let Err(PushError::TooLong { bytes: too_many, .. }) = sent {
            self.state.lock().discount(connection, bytes);
            self.refuse_too_long(connection, link, op, false, too_many);
        }
        is_throttled
    }

    /// Has something refused that cannot cross, in its place.
    fn refuse_too_long(&self, connection: u64, link: u64, op: u64, is_publish: bool, bytes: usize) {
        let call = BrokerCall::TooLong { link, op, is_publish, bytes: bytes as u64 };
        self.state.lock().count(connection, call_weight(&call));
        self.send(connection, call);
    }

    fn call(&self, connection: u64, done: Completion, call: impl FnOnce(u64) -> BrokerCall) {
        if let Some(host) = self.host.upgrade() {
            host.call(done, None, |number| ToHost::Broker { connection, call: call(number) });
        }
    }
}

impl State {
    /// Tells links and connections that they are gone, and gives those whose outbox was empty.
    fn close_all(&mut self, ids: &[u64], text: &str) -> Vec<u64> {
        let closed = LinkEvent::closed(CODE_CONNECTION_FORCED, text, 0);
        let mut ready = Vec::new();
        for id in ids {
            self.learn(*id, &closed);
            if self.push_own(*id, closed.clone()) {
                ready.push(*id);
            }
        }
        ready
    }
}

impl BrokerCalls for FarBroker {
    fn open(&self, connection: u64, info: &str) -> Result<(), ApiError> {
        if !is_object(info) {
            let text = format!("the info of connection {connection} is no JSON object");
            return Err(ApiError::new(400, "plugin.connection.info", text));
        }
        {
            let mut state = self.state.lock();
            state.use_id(connection)?;
            state.connections.insert(connection, FarConnection::default());
        }
        self.send(connection, BrokerCall::Open { info: info.into() });
        Ok(())
    }

    fn authenticate(&self, connection: u64, mechanism: &str, credentials: Blob, done: Completion) {
        let mechanism = mechanism.into();
        self.call(connection, done, |call| BrokerCall::Authenticate { call, mechanism, credentials });
    }

    fn enter(&self, connection: u64, enter: &Enter<'_>, done: Completion) {
        let host = Weak::clone(&self.host);
        let done = Completion::to_fn(move |reply| {
            if reply.status == 200
                && let Some(host) = host.upgrade()
                && let Some(broker) = host.broker()
                && let Some(found) = broker.state.lock().connections.get_mut(&connection)
            {
                found.has_entered = true;
            }
            done.complete(reply);
        });
        self.call(connection, done, |call| BrokerCall::Enter {
            call,
            virtual_host: enter.virtual_host.into(),
            client: enter.client.into(),
            info: enter.info.into(),
        });
    }

    fn close(&self, connection: u64) {
        {
            let mut state = self.state.lock();
            if state.connections.remove(&connection).is_none() {
                return;
            }
            state.links.retain(|_, link| link.connection != connection);
            state.throttled.remove(&connection);
        }
        self.send(connection, BrokerCall::Close {});
    }

    fn open_link(&self, connection: u64, link: u64, options: LinkOptions) -> Result<(), ApiError> {
        {
            let mut state = self.state.lock();
            match state.connections.get(&connection) {
                None => {
                    let text = format!("connection {connection} is not open; open it first");
                    return Err(ApiError::new(404, "plugin.broker.connection", text));
                }
                Some(found) if !found.has_entered => {
                    let text =
                        format!("connection {connection} has entered no virtual host; enter one first");
                    return Err(ApiError::new(403, "plugin.broker.connection", text));
                }
                Some(_) => {}
            }
            state.use_id(link)?;
            let opened = FarLink {
                connection,
                outbox: Outbox::default(),
                stops_at_error: options.flags & LINK_STOPS_AT_ERROR != 0,
                has_stopped: false,
            };
            state.links.insert(link, opened);
        }
        self.send(connection, BrokerCall::OpenLink { link, options });
        Ok(())
    }

    fn close_link(&self, link: u64) {
        let Some(closed) = self.state.lock().links.remove(&link) else { return };
        let call = BrokerCall::CloseLink { link };
        self.state.lock().count(closed.connection, call_weight(&call));
        self.send(closed.connection, call);
    }

    fn take(&self, id: u64, max_events: u32, max_bytes: u64) -> Vec<LinkEvent> {
        let (taken, connection, events, freed) = {
            let mut state = self.state.lock();
            let connection = state.links.get(&id).map_or(id, |link| link.connection);
            let Some(outbox) = state.outbox(id) else { return Vec::new() };
            let (mut taken, mut bytes, mut events, mut freed) = (Vec::new(), 0, 0, 0);
            while taken.len() < max_events as usize && (taken.is_empty() || bytes <= max_bytes) {
                let Some((event, is_counted)) = outbox.events.pop_front() else { break };
                bytes += event.weight();
                if is_counted {
                    events += 1;
                    freed += weight(&event);
                }
                taken.push(event);
            }
            (taken, connection, events, freed)
        };
        if events > 0 {
            self.send(connection, BrokerCall::Taken { id, events, bytes: freed });
        }
        taken
    }

    fn publish(&self, link: u64, first_sequence: u64, messages: &[Publish<'_>]) -> Accepted {
        let mut taken = 0;
        let accepted =
            |taken: usize, throttled| Accepted { taken: u32::try_from(taken).unwrap_or(u32::MAX), throttled };
        let Some(host) = self.host.upgrade() else { return Accepted::default() };
        loop {
            let rest = messages.get(taken..).unwrap_or_default();
            let connection = {
                let mut state = self.state.lock();
                let Some(found) = state.links.get(&link).filter(|link| !link.has_stopped) else {
                    return Accepted::default();
                };
                let connection = found.connection;
                let is_throttled = state.count(connection, 0);
                if rest.is_empty() || is_throttled {
                    return accepted(taken, is_throttled);
                }
                connection
            };
            let most = BATCH_BYTES.min(host.frame_bytes() / 2);
            let mut bytes = 0;
            let fit = rest
                .iter()
                .take_while(|publish| {
                    bytes += packed_bytes(publish);
                    bytes <= most
                })
                .count();
            let batch = rest.get(..fit.max(1)).unwrap_or_default();
            let call = BrokerCall::Publish {
                link,
                first_sequence: first_sequence.saturating_add(taken as u64),
                messages: pack(batch),
            };
            let weight = call_weight(&call);
            // Before it is sent, since it may be handed over at once.
            self.state.lock().count(connection, weight);
            match host.send(&ToHost::Broker { connection, call }) {
                Ok(()) => {}
                Err(PushError::Closed) => return Accepted::default(),
                Err(PushError::Full) => {
                    let mut state = self.state.lock();
                    state.discount(connection, weight);
                    state.throttled.insert(connection);
                    return accepted(taken, true);
                }
                Err(PushError::TooLong { bytes, .. }) => {
                    self.state.lock().discount(connection, weight);
                    let sequence = first_sequence.saturating_add(taken as u64);
                    self.refuse_too_long(connection, link, sequence, true, bytes);
                }
            }
            taken += batch.len();
        }
    }

    fn settle(&self, link: u64, op: u64, settles: &[Settle]) -> bool {
        self.operate(link, op, BrokerCall::Settle { link, op, settles: settles.to_vec() })
    }

    fn commit(
        &self,
        link: u64,
        op: u64,
        first_sequence: u64,
        messages: &[Publish<'_>],
        settles: &[Settle],
    ) -> bool {
        let (messages, settles) = (pack(messages), settles.to_vec());
        self.operate(link, op, BrokerCall::Commit { link, op, first_sequence, messages, settles })
    }

    fn confirm(&self, link: u64, op: u64, on: bool) -> bool {
        self.operate(link, op, BrokerCall::Confirm { link, op, on })
    }

    fn recover(&self, link: u64, op: u64) -> bool {
        self.operate(link, op, BrokerCall::Recover { link, op })
    }

    fn get(&self, link: u64, op: u64, queue: &str, no_ack: bool) -> bool {
        self.operate(link, op, BrokerCall::Get { link, op, queue: queue.into(), no_ack })
    }

    fn declare_exchange(&self, link: u64, op: u64, declare: &ExchangeDeclare<'_>) -> bool {
        let call = BrokerCall::DeclareExchange {
            link,
            op,
            name: declare.name.into(),
            kind: declare.kind.into(),
            flags: declare.flags,
            arguments: declare.arguments.to_vec().into(),
        };
        self.operate(link, op, call)
    }

    fn delete_exchange(&self, link: u64, op: u64, name: &str, flags: u32) -> bool {
        self.operate(link, op, BrokerCall::DeleteExchange { link, op, name: name.into(), flags })
    }

    fn declare_queue(&self, link: u64, op: u64, declare: &QueueDeclare<'_>) -> bool {
        let arguments = declare.arguments.to_vec().into();
        let (name, flags) = (declare.name.into(), declare.flags);
        self.operate(link, op, BrokerCall::DeclareQueue { link, op, name, flags, arguments })
    }

    fn delete_queue(&self, link: u64, op: u64, name: &str, flags: u32) -> bool {
        self.operate(link, op, BrokerCall::DeleteQueue { link, op, name: name.into(), flags })
    }

    fn purge_queue(&self, link: u64, op: u64, name: &str) -> bool {
        self.operate(link, op, BrokerCall::PurgeQueue { link, op, name: name.into() })
    }

    fn bind(&self, link: u64, op: u64, bind: &Bind<'_>) -> bool {
        self.operate(link, op, BrokerCall::Bind { link, op, bind: BindParts::of(bind) })
    }

    fn unbind(&self, link: u64, op: u64, bind: &Bind<'_>) -> bool {
        self.operate(link, op, BrokerCall::Unbind { link, op, bind: BindParts::of(bind) })
    }

    fn consume(&self, link: u64, op: u64, consume: &Consume<'_>) -> bool {
        self.operate(link, op, BrokerCall::Consume { link, op, consume: ConsumeParts::of(consume) })
    }

    fn cancel(&self, link: u64, op: u64, consumer: u64) -> bool {
        self.operate(link, op, BrokerCall::Cancel { link, op, consumer })
    }

    fn credit(&self, link: u64, op: u64, consumer: u64, count: u32, bytes: u64) -> bool {
        self.operate(link, op, BrokerCall::Credit { link, op, consumer, count, bytes })
    }

    fn attach_session(&self, link: u64, op: u64, session: &SessionAttach<'_>) -> bool {
        self.operate(link, op, BrokerCall::AttachSession { link, op, session: SessionParts::of(session) })
    }

    fn detach_session(&self, link: u64, op: u64, flags: u32, expiry_secs: u32) -> bool {
        self.operate(link, op, BrokerCall::DetachSession { link, op, flags, expiry_secs })
    }

    fn note_session(&self, link: u64, op: u64, key: &str, value: &[u8]) -> bool {
        let value = value.to_vec().into();
        self.operate(link, op, BrokerCall::NoteSession { link, op, key: key.into(), value })
    }

    fn forget(&self, link: u64, op: u64, dedupe: &[u32]) -> bool {
        self.operate(link, op, BrokerCall::Forget { link, op, dedupe: dedupe.to_vec() })
    }

    fn quiesce(&self, link: u64, timeout_ms: u64, done: Completion) {
        let connection = self.state.lock().links.get(&link).map_or(0, |link| link.connection);
        self.call(connection, done, |call| BrokerCall::Quiesce { call, link, timeout_ms });
    }

    fn limits(&self) -> Blob {
        self.limits.clone()
    }
}

impl State {
    fn use_id(&mut self, id: u64) -> Result<(), ApiError> {
        if id == 0 || self.connections.contains_key(&id) || self.links.contains_key(&id) {
            let text = format!("the id {id} is in use, expected one that was never used and is not 0");
            return Err(ApiError::new(409, "plugin.broker.id", text));
        }
        Ok(())
    }
}
