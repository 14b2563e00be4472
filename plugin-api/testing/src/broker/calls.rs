//! The fake host's `broker`.

use std::sync::Arc;

use kuzzle_plugin_api::abi::{
    Accepted, ApiError, Bind, Blob, BrokerCalls, CODE_CHANNEL_ERROR, CODE_COMMAND_INVALID, CODE_NOT_ALLOWED,
    CODE_RESOURCE_ERROR, CONSUME_EXCLUSIVE, CONSUME_NO_ACK, CONSUME_WITH_BINDINGS, Completion, Consume,
    DECLARE_ANY, DECLARE_EXCLUSIVE, DECLARE_PASSIVE, DELETE_IF_EMPTY, DELETE_IF_UNUSED, DETACH_WITH_WILL,
    Enter, ExchangeDeclare, FLAG_EMPTY, FLAG_EXISTED, FLAG_SETTLED, LinkEvent, LinkOptions, Publish,
    QueueDeclare, RETAINED_ALWAYS, RETAINED_IF_NEW, Reply, SessionAttach, Settle,
};
use serde_json::Value;

use super::attach::{attach, binding, is_same};
use super::state::{
    Connection, Consumer, Exchange, Link, Queue, Refused, State, access, no_exchange, no_queue, no_session,
    precondition,
};
use crate::host::Shared;

pub(crate) struct Calls(pub(crate) Arc<Shared>);

impl Calls {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.0.change_broker(change)
    }

    /// One operation: does nothing on a link that is not open or has stopped.
    fn operate(
        &self,
        link: u64,
        op: u64,
        operation: impl FnOnce(&mut State) -> Result<LinkEvent, Refused>,
    ) -> bool {
        self.operate_then(link, op, |state| Ok((operation(state)?, ())), |_, ()| ())
    }

    /// The same, with what happens once it is answered: what that causes comes after the answer.
    fn operate_then<T>(
        &self,
        link: u64,
        op: u64,
        operation: impl FnOnce(&mut State) -> Result<(LinkEvent, T), Refused>,
        then: impl FnOnce(&mut State, T),
    ) -> bool {
        self.change(|state| {
            if state.open_link(link).is_none() {
                return false;
            }
            match operation(state) {
                Ok((event, found)) => {
                    state.answer(link, op, Ok(event));
                    then(state, found);
                }
                Err(refused) => state.answer(link, op, Err(refused)),
            }
            false
        })
    }
}

fn refuse(status: u32, at: &str, text: impl Into<String>) -> ApiError {
    ApiError::new(status, at, text.into())
}

/// What a declaration finds that says what it is: the same again, or something else.
fn same(what: &str, name: &str, kind: &str, is_same: bool) -> Result<(), Refused> {
    if is_same {
        return Ok(());
    }
    Err(precondition(format_args!("inequivalent arg '{what}' for {kind} '{name}' in vhost '/'")))
}

const SAME_FLAGS: u32 = !(DECLARE_PASSIVE | DECLARE_ANY);

impl BrokerCalls for Calls {
    fn open(&self, connection: u64, info: &str) -> Result<(), ApiError> {
        let Ok(info @ Value::Object(_)) = serde_json::from_str(info) else {
            return Err(refuse(400, "broker.open", "the connection's info is not a JSON object"));
        };
        self.change(|state| {
            if connection == 0 || !state.used_ids.insert(connection) {
                return Err(refuse(409, "broker.open", format!("the id {connection} was used before")));
            }
            let connection_state = Connection {
                info,
                user: String::new(),
                client: String::new(),
                virtual_host: None,
                outbox: Default::default(),
            };
            state.connections.insert(connection, connection_state);
            Ok(())
        })
    }

    fn authenticate(&self, connection: u64, mechanism: &str, credentials: Blob, done: Completion) {
        let mut parts = credentials.as_slice().split(|byte| *byte == 0).skip(1);
        let (user, password) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let user = String::from_utf8_lossy(user).into_owned();
        let is_right = password == b"secret" || (user == "guest" && password == b"guest");
        let user = match mechanism {
            "ANONYMOUS" => Some("guest".to_owned()),
            "PLAIN" if is_right => Some(user),
            _ => None,
        };
        let reply = self.change(|state| {
            let known = state.connections.get_mut(&connection).zip(user);
            known.map(|(connection, user)| {
                connection.user.clone_from(&user);
                Reply::authenticated(&user)
            })
        });
        let refused = || {
            let text = format!(
                "ACCESS_REFUSED - Login was refused using authentication mechanism {mechanism}. For details see the \
                 broker logfile."
            );
            Reply::from_error(&refuse(401, "broker.authenticate", text))
        };
        done.complete(reply.unwrap_or_else(refused));
    }

    fn enter(&self, connection: u64, enter: &Enter<'_>, done: Completion) {
        let name = enter.virtual_host.as_str();
        let result = self.change(|state| {
            let refused = |status, text| Err(refuse(status, "broker.enter", format!("NOT_ALLOWED - {text}")));
            match state.connections.get_mut(&connection) {
                None => refused(404, format!("connection {connection} is not open")),
                Some(_) if name != "/" => refused(404, format!("vhost {name} not found")),
                Some(found) if found.user.is_empty() => {
                    refused(403, format!("access to vhost '{name}' refused for user ''"))
                }
                Some(found) if found.virtual_host.is_some() => {
                    refused(409, format!("connection {connection} has entered a vhost"))
                }
                Some(found) => {
                    found.virtual_host = Some(name.to_owned());
                    enter.client.as_str().clone_into(&mut found.client);
                    if let (Ok(Value::Object(more)), Value::Object(info)) =
                        (serde_json::from_str(&enter.info), &mut found.info)
                    {
                        info.extend(more);
                    }
                    Ok(())
                }
            }
        });
        done.complete(match result {
            Ok(()) => Reply { status: 200, request_id: "".into(), body: "{}".into() },
            Err(error) => Reply::from_error(&error),
        });
    }

    fn close(&self, connection: u64) {
        self.change(|state| {
            state.end_connection(connection, None);
            state.links.retain(|_, link| link.connection != connection);
        });
    }

    fn open_link(&self, connection: u64, link: u64, options: LinkOptions) -> Result<(), ApiError> {
        self.change(|state| {
            let Some(found) = state.connections.get(&connection) else {
                let text = format!("connection {connection} is not open");
                return Err(refuse(404, "broker.open_link", text));
            };
            if found.virtual_host.is_none() {
                let text = format!("connection {connection} has entered no virtual host");
                return Err(refuse(403, "broker.open_link", text));
            }
            if link == 0 || !state.used_ids.insert(link) {
                return Err(refuse(409, "broker.open_link", format!("the id {link} was used before")));
            }
            state.links.insert(link, Link::new(connection, options));
            Ok(())
        })
    }

    fn close_link(&self, link: u64) {
        self.change(|state| state.end_link(link, None));
    }

    fn take(&self, id: u64, max_events: u32, max_bytes: u64) -> Vec<LinkEvent> {
        self.change(|state| {
            let outbox = match (state.links.get_mut(&id), state.connections.get_mut(&id)) {
                (Some(link), _) => &mut link.outbox,
                (None, Some(connection)) => &mut connection.outbox,
                (None, None) => return Vec::new(),
            };
            let (mut taken, mut bytes) = (Vec::new(), 0);
            while taken.len() < max_events as usize && (taken.is_empty() || bytes <= max_bytes) {
                let Some(event) = outbox.pop_front() else { break };
                bytes += event.weight();
                taken.push(event);
            }
            // There is room for consumers that waited for it.
            state.pump_all_of(id);
            taken
        })
    }

    fn publish(&self, link: u64, first_sequence: u64, messages: &[Publish<'_>]) -> Accepted {
        self.change(|state| {
            let is_blocked = state.is_blocked;
            let Some(open) = state.open_link(link) else { return Accepted::default() };
            if is_blocked {
                return Accepted { taken: 0, throttled: true };
            }
            let confirms = open.confirms;
            let mut taken = 0;
            for (sequence, publish) in (first_sequence..).zip(messages) {
                taken += 1;
                if let Err((code, text)) = state.publish(link, sequence, publish) {
                    state.push(link, LinkEvent::refused(sequence, code, text));
                    if code != CODE_RESOURCE_ERROR {
                        state.stop_at_error(link);
                    }
                }
                if state.open_link(link).is_none() {
                    return Accepted { taken: messages.len() as u32, throttled: false };
                }
            }
            if confirms && taken > 0 {
                state.push(link, LinkEvent::confirmed(first_sequence + u64::from(taken) - 1));
            }
            Accepted { taken, throttled: false }
        })
    }

    fn settle(&self, link: u64, op: u64, settles: &[Settle]) -> bool {
        self.operate(link, op, |state| state.settle(link, settles).map(|()| LinkEvent::done(op)))
    }

    fn commit(
        &self,
        link: u64,
        op: u64,
        first_sequence: u64,
        messages: &[Publish<'_>],
        settles: &[Settle],
    ) -> bool {
        self.operate(link, op, |state| {
            messages.iter().try_for_each(|publish| state.check(publish))?;
            state.check_settles(link, settles)?;
            state.settle(link, settles)?;
            for (sequence, publish) in (first_sequence..).zip(messages) {
                state.publish(link, sequence, publish)?;
            }
            Ok(LinkEvent::done(op))
        })
    }

    fn confirm(&self, link: u64, op: u64, on: bool) -> bool {
        self.operate(link, op, |state| {
            if let Some(link) = state.links.get_mut(&link) {
                link.confirms = on;
            }
            Ok(LinkEvent::done(op))
        })
    }

    fn recover(&self, link: u64, op: u64) -> bool {
        self.operate(link, op, |state| {
            Ok(LinkEvent { messages: state.requeue_all(link), ..LinkEvent::done(op) })
        })
    }

    fn get(&self, link: u64, op: u64, queue: &str, no_ack: bool) -> bool {
        self.change(|state| {
            if state.open_link(link).is_none() {
                return false;
            }
            let (name, item, left) = match state.queue(link, queue) {
                Ok((name, queue)) => (name, queue.ready.pop_front(), queue.ready.len() as u64),
                Err(refused) => {
                    state.answer(link, op, Err(refused));
                    return false;
                }
            };
            let Some(item) = item else {
                let empty = LinkEvent { flags: FLAG_EMPTY, ..LinkEvent::done(op) };
                state.answer(link, op, Ok(empty));
                return false;
            };
            let settled = if no_ack { FLAG_SETTLED } else { 0 };
            let event = LinkEvent::got(op, 0, item.flags | settled, left, item.message.clone());
            state.hand_over(link, &name, item, event);
            false
        })
    }

    fn declare_exchange(&self, link: u64, op: u64, declare: &ExchangeDeclare<'_>) -> bool {
        let name = declare.name.as_str();
        self.operate(link, op, |state| {
            if name.is_empty() {
                return Err(access("operation not permitted on the default exchange"));
            }
            if let Some(found) = state.exchanges.get(name) {
                if declare.flags & DECLARE_PASSIVE == 0 {
                    same("type", name, "exchange", found.kind == declare.kind.as_str())?;
                    same("flags", name, "exchange", (found.flags ^ declare.flags) & SAME_FLAGS == 0)?;
                }
                return Ok(LinkEvent { flags: FLAG_EXISTED, ..LinkEvent::done(op) });
            }
            if declare.flags & DECLARE_PASSIVE != 0 {
                return Err(no_exchange(name));
            }
            if name.starts_with("amq.") {
                return Err(access(format_args!("exchange name '{name}' contains reserved prefix 'amq.*'")));
            }
            if !matches!(declare.kind.as_str(), "direct" | "fanout" | "topic") {
                let text = format!("COMMAND_INVALID - unknown exchange type '{}'", declare.kind);
                return Err((CODE_COMMAND_INVALID, text));
            }
            let exchange = Exchange {
                kind: declare.kind.to_string(),
                flags: declare.flags & SAME_FLAGS,
                bindings: Vec::new(),
            };
            state.exchanges.insert(name.to_owned(), exchange);
            Ok(LinkEvent::done(op))
        })
    }

    fn delete_exchange(&self, link: u64, op: u64, name: &str, flags: u32) -> bool {
        self.operate(link, op, |state| {
            if name.is_empty() || name.starts_with("amq.") {
                let text = format!("deletion of system exchange '{name}' in vhost '/' not allowed");
                return Err(access(text));
            }
            let Some(found) = state.exchanges.get(name) else { return Ok(LinkEvent::done(op)) };
            if flags & DELETE_IF_UNUSED != 0 && !found.bindings.is_empty() {
                return Err(precondition(format_args!("exchange '{name}' in vhost '/' in use")));
            }
            state.exchanges.remove(name);
            Ok(LinkEvent { flags: FLAG_EXISTED, ..LinkEvent::done(op) })
        })
    }

    fn declare_queue(&self, link: u64, op: u64, declare: &QueueDeclare<'_>) -> bool {
        self.operate(link, op, |state| {
            let is_passive = declare.flags & DECLARE_PASSIVE != 0;
            let mut name = declare.name.to_string();
            if name.is_empty() {
                if is_passive {
                    return Err(no_queue(""));
                }
                state.named_queues += 1;
                name = format!("amq.gen-{:022}", state.named_queues);
            } else if name.starts_with("amq.") && !state.queues.contains_key(&name) && !is_passive {
                return Err(access(format_args!("queue name '{name}' contains reserved prefix 'amq.*'")));
            }
            let existed = state.queues.contains_key(&name);
            if existed {
                let (_, queue) = state.queue(link, &name)?;
                if declare.flags & (DECLARE_PASSIVE | DECLARE_ANY) == 0 {
                    same("durable", &name, "queue", (queue.flags ^ declare.flags) & SAME_FLAGS == 0)?;
                    same("arguments", &name, "queue", queue.arguments == declare.arguments.as_slice())?;
                }
            } else if is_passive {
                return Err(no_queue(&name));
            } else {
                let connection = state.links.get(&link).map(|link| link.connection);
                let queue = Queue {
                    flags: declare.flags & SAME_FLAGS,
                    arguments: declare.arguments.to_vec(),
                    owner: connection.filter(|_| declare.flags & DECLARE_EXCLUSIVE != 0),
                    ..Queue::default()
                };
                state.queues.insert(name.clone(), queue);
            }
            if let Some(link) = state.links.get_mut(&link) {
                link.last_queue = Some(name.clone());
            }
            let (messages, consumers) = state
                .queues
                .get(&name)
                .map_or((0, 0), |queue| (queue.ready.len() as u64, queue.consumers.len() as u64));
            let flags = if existed { FLAG_EXISTED } else { 0 };
            Ok(LinkEvent { flags, messages, consumers, text: name.into(), ..LinkEvent::done(op) })
        })
    }

    fn delete_queue(&self, link: u64, op: u64, name: &str, flags: u32) -> bool {
        self.operate(link, op, |state| {
            let name = state.queue_name(link, name)?;
            if !state.queues.contains_key(&name) {
                return Ok(LinkEvent::done(op));
            }
            let (name, queue) = state.queue(link, &name)?;
            if flags & DELETE_IF_UNUSED != 0 && !queue.consumers.is_empty() {
                return Err(precondition(format_args!("queue '{name}' in vhost '/' in use")));
            }
            if flags & DELETE_IF_EMPTY != 0 && !queue.ready.is_empty() {
                return Err(precondition(format_args!("queue '{name}' in vhost '/' not empty")));
            }
            let messages = state.remove_queue(&name);
            Ok(LinkEvent { flags: FLAG_EXISTED, messages, ..LinkEvent::done(op) })
        })
    }

    fn purge_queue(&self, link: u64, op: u64, name: &str) -> bool {
        self.operate(link, op, |state| {
            let (_, queue) = state.queue(link, name)?;
            let messages = queue.ready.len() as u64;
            queue.ready.clear();
            Ok(LinkEvent { messages, ..LinkEvent::done(op) })
        })
    }

    fn bind(&self, link: u64, op: u64, bind: &Bind<'_>) -> bool {
        let bound = |state: &mut State| {
            let (exchange, binding) = binding(state, link, bind)?;
            let bindings =
                &mut state.exchanges.get_mut(&exchange).ok_or_else(|| no_exchange(&exchange))?.bindings;
            let before = bindings.iter().position(|other| is_same(other, &binding));
            match before.and_then(|at| bindings.get_mut(at)) {
                Some(place) => *place = binding.clone(),
                None => bindings.push(binding.clone()),
            }
            let wants_retained = match bind.retained {
                RETAINED_ALWAYS => true,
                RETAINED_IF_NEW => before.is_none(),
                _ => false,
            };
            let retained = if wants_retained { state.retained_for(&exchange, &binding) } else { Vec::new() };
            let flags = if before.is_some() { FLAG_EXISTED } else { 0 };
            Ok((LinkEvent { flags, ..LinkEvent::done(op) }, (binding.destination, retained)))
        };
        self.operate_then(link, op, bound, |state, (queue, retained)| {
            if let Some(queue) = state.queues.get_mut(&queue) {
                queue.ready.extend(retained);
            }
            state.pump(&queue);
        })
    }

    fn unbind(&self, link: u64, op: u64, bind: &Bind<'_>) -> bool {
        self.operate(link, op, |state| {
            let Ok((exchange, binding)) = binding(state, link, bind) else { return Ok(LinkEvent::done(op)) };
            let Some(exchange) = state.exchanges.get_mut(&exchange) else { return Ok(LinkEvent::done(op)) };
            let before = exchange.bindings.len();
            exchange.bindings.retain(|other| !is_same(other, &binding));
            let flags = if exchange.bindings.len() < before { FLAG_EXISTED } else { 0 };
            Ok(LinkEvent { flags, ..LinkEvent::done(op) })
        })
    }

    fn consume(&self, link: u64, op: u64, consume: &Consume<'_>) -> bool {
        let begun = |state: &mut State| {
            let (name, queue) = state.queue(link, &consume.queue)?;
            let first = queue.consumers.front().copied();
            let is_exclusive = consume.flags & CONSUME_EXCLUSIVE != 0;
            let is_held = first.is_some_and(|(link, consumer)| {
                let holder = state.links.get(&link).and_then(|link| link.consumers.get(&consumer));
                is_exclusive || holder.is_some_and(|holder| holder.is_exclusive)
            });
            if is_held {
                return Err(access(format_args!("queue '{name}' in vhost '/' in exclusive use")));
            }
            let found = state.links.get_mut(&link).ok_or_else(no_session)?;
            if consume.consumer == 0 || found.consumers.contains_key(&consume.consumer) {
                let text = format!("NOT_ALLOWED - attempt to reuse consumer tag '{}'", consume.name);
                return Err((CODE_NOT_ALLOWED, text));
            }
            let consumer = Consumer {
                queue: name.clone(),
                no_ack: consume.flags & CONSUME_NO_ACK != 0,
                is_exclusive,
                with_bindings: consume.flags & CONSUME_WITH_BINDINGS != 0,
                overflow: consume.overflow,
                limit_events: consume.limit_events,
                credit: (consume.credit, consume.credit_bytes),
            };
            found.consumers.insert(consume.consumer, consumer);
            Ok((LinkEvent::done(op), name))
        };
        self.operate_then(link, op, begun, |state, name| {
            if let Some(queue) = state.queues.get_mut(&name) {
                queue.consumers.push_back((link, consume.consumer));
            }
            state.pump(&name);
        })
    }

    fn cancel(&self, link: u64, op: u64, consumer: u64) -> bool {
        self.operate(link, op, |state| {
            let found = state.links.get_mut(&link).and_then(|link| link.consumers.remove(&consumer));
            if let Some(found) = found {
                state.end_consumer(link, consumer, &found.queue);
            }
            Ok(LinkEvent::done(op))
        })
    }

    fn credit(&self, link: u64, op: u64, consumer: u64, count: u32, bytes: u64) -> bool {
        let set = |state: &mut State| {
            let Some(found) = state.links.get_mut(&link) else { return Ok((LinkEvent::done(op), ())) };
            if consumer == 0 {
                found.credit = (count, bytes);
            } else if let Some(consumer) = found.consumers.get_mut(&consumer) {
                consumer.credit = (count, bytes);
            } else {
                return Err(precondition(format_args!("the link has no consumer {consumer}")));
            }
            Ok((LinkEvent::done(op), ()))
        };
        self.operate_then(link, op, set, |state, ()| state.pump_all_of(link))
    }

    fn attach_session(&self, link: u64, op: u64, session: &SessionAttach<'_>) -> bool {
        self.change(|state| {
            let Some(open) = state.open_link(link) else { return false };
            if open.session.is_some() {
                let text = "CHANNEL_ERROR - the link has a session".to_owned();
                state.answer(link, op, Err((CODE_CHANNEL_ERROR, text)));
                return false;
            }
            let events = attach(state, link, op, session);
            for event in events {
                state.push(link, event);
            }
            false
        })
    }

    fn detach_session(&self, link: u64, op: u64, flags: u32, expiry_secs: u32) -> bool {
        self.operate(link, op, |state| {
            let found = state.links.get_mut(&link);
            let name = found.and_then(|link| link.session.clone()).ok_or_else(no_session)?;
            if let Some(session) = state.sessions.get_mut(&name) {
                session.expiry_secs = expiry_secs;
                if flags & DETACH_WITH_WILL == 0 {
                    session.will = None;
                }
            }
            let consumers: Vec<_> = state
                .links
                .get_mut(&link)
                .map(|link| std::mem::take(&mut link.consumers))
                .into_iter()
                .flatten()
                .collect();
            for (number, consumer) in consumers {
                state.end_consumer(link, number, &consumer.queue);
            }
            state.requeue_all(link);
            if let Some(link) = state.links.get_mut(&link) {
                link.session = None;
            }
            state.lose_session(&name);
            Ok(LinkEvent::done(op))
        })
    }

    fn note_session(&self, link: u64, op: u64, key: &str, value: &[u8]) -> bool {
        self.operate(link, op, |state| {
            let name = state.links.get(&link).and_then(|link| link.session.clone());
            let session = name.and_then(|name| state.sessions.get_mut(&name)).ok_or_else(no_session)?;
            if value.is_empty() {
                session.notes.remove(key);
            } else {
                session.notes.insert(key.to_owned(), value.to_vec());
            }
            Ok(LinkEvent::done(op))
        })
    }

    fn forget(&self, link: u64, op: u64, dedupe: &[u32]) -> bool {
        self.operate(link, op, |state| {
            let name = state.links.get(&link).and_then(|link| link.session.clone());
            let session = name.and_then(|name| state.sessions.get_mut(&name)).ok_or_else(no_session)?;
            dedupe.iter().for_each(|key| {
                session.dedupe.remove(key);
            });
            Ok(LinkEvent::done(op))
        })
    }

    fn quiesce(&self, link: u64, _timeout_ms: u64, done: Completion) {
        // Nothing of the fake host answers requests that were published: there is nothing to wait for.
        let is_open = self.change(|state| state.links.contains_key(&link));
        done.complete(if is_open {
            Reply { status: 200, request_id: "".into(), body: "{}".into() }
        } else {
            Reply::from_error(&refuse(404, "broker.quiesce", format!("link {link} is not open")))
        });
    }

    fn limits(&self) -> Blob {
        r#"{"max_links":2047,"max_message_bytes":134217728,"max_publish_batch":4096}"#.into()
    }
}
