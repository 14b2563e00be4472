//! The service `broker`: from a plugin's calls to the broker and back.

mod convert;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kuzzle_broker as core;
use kuzzle_broker::Clock as _;
use kuzzle_plugin_api::abi::{
    Accepted, ApiError, BIND_TO_EXCHANGE, Bind, Blob, BrokerCalls, BrokerClient, Completion, Consume,
    DELETE_IF_EMPTY, DELETE_IF_UNUSED, DETACH_WITH_WILL, Enter, ExchangeDeclare, LinkEvent, LinkOptions,
    Publish, QueueDeclare, Reply, SessionAttach, Settle,
};
use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use super::requests;
use crate::messaging::Messaging;

/// Longest description of a connection, in bytes.
const INFO_MAX: usize = 64 * 1024;
/// Connections of an instance that declares no limit of its own.
const CONNECTIONS_MAX: usize = 10_000_000;
/// What the broker calls the anonymous user: clients log in so, and may name it as the user of a message.
const GUEST: &str = "guest";
/// Longest that an answer of the API may be waited for.
const QUIESCE_MAX: Duration = Duration::from_secs(60);

/// What a generation's use of the broker is made with.
pub(crate) struct BrokerOptions {
    /// The broker.
    pub(crate) messaging: Messaging,
    /// Name of the instance.
    pub(crate) instance: Arc<str>,
    /// Most connections at a time; 0 is unlimited.
    pub(crate) max_connections: u32,
}

/// The connections and links of one generation of an instance.
pub(crate) struct GenerationBroker {
    options: BrokerOptions,
    connections: RwLock<HashMap<u64, Connection>>,
    links: RwLock<HashMap<u64, Arc<Linked>>>,
    waker: Arc<Waker>,
    stopping: AtomicBool,
}

enum Connection {
    /// Opened, and not yet in a virtual host.
    Waiting {
        info: Map<String, Value>,
        user: Option<String>,
    },
    Entered(Arc<core::Connection>),
}

struct Linked {
    connection: u64,
    link: core::Link,
}

/// Wakes the plugin, once it has said who is to be woken.
#[derive(Default)]
struct Waker {
    client: RwLock<Option<BrokerClient>>,
    /// Outboxes that events came into before there was anybody to wake.
    missed: RwLock<Vec<u64>>,
}

impl core::Waker for Waker {
    fn ready(&self, id: u64) {
        let client = {
            let client = self.client.read();
            if client.is_none() {
                // Under the lock, so that whoever sets the client finds it.
                self.missed.write().push(id);
            }
            client.clone()
        };
        // Outside the lock: it is a call into the plugin.
        if let Some(client) = client {
            client.ready(id);
        }
    }
}

impl GenerationBroker {
    pub(crate) fn new(options: BrokerOptions) -> Self {
        Self {
            options,
            connections: RwLock::default(),
            links: RwLock::default(),
            waker: Arc::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Connections open now.
    pub(crate) fn open_connections(&self) -> usize {
        self.connections.read().len()
    }

    /// Whom to wake when events wait. Those that came before are told of now.
    pub(crate) fn set_client(&self, client: BrokerClient) {
        *self.waker.client.write() = Some(client.clone());
        let missed = std::mem::take(&mut *self.waker.missed.write());
        for id in missed {
            client.ready(id);
        }
    }

    /// Takes no more connections.
    pub(crate) fn refuse_new(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Ends everything: connections are closed as lost ones.
    pub(crate) fn end(&self) {
        self.refuse_new();
        let client = self.waker.client.write().take();
        let links = std::mem::take(&mut *self.links.write());
        let connections = std::mem::take(&mut *self.connections.write());
        // Outside the locks: much follows from it, and the last hold on the plugin may go with it.
        drop((links, connections, client));
    }

    fn on(&self, link: u64, call: impl FnOnce(&core::Link) -> bool) -> bool {
        let found = self.links.read().get(&link).cloned();
        found.is_some_and(|found| call(&found.link))
    }
}

fn refused<T>(status: u32, id: &'static str, message: impl Into<String>) -> Result<T, ApiError> {
    Err(ApiError::new(status, id, message.into()))
}

impl BrokerCalls for GenerationBroker {
    fn open(&self, connection: u64, info: &str) -> Result<(), ApiError> {
        if self.stopping.load(Ordering::Acquire) {
            return refused(503, "plugin.broker.stopping", "the protocol is being stopped");
        }
        let info =
            (info.len() <= INFO_MAX).then(|| serde_json::from_str::<Map<String, Value>>(info).ok()).flatten();
        let Some(info) = info else {
            let message = format!(
                "what is known of connection {connection} is no JSON object of {INFO_MAX} bytes at most"
            );
            return refused(400, "plugin.broker.info", message);
        };
        let limit = match self.options.max_connections {
            0 => CONNECTIONS_MAX,
            limit => limit as usize,
        };
        let mut connections = self.connections.write();
        if connection == 0
            || connections.contains_key(&connection)
            || self.links.read().contains_key(&connection)
        {
            return refused(
                409,
                "plugin.broker.connection",
                format!("the number {connection} is in use already"),
            );
        }
        if connections.len() >= limit {
            let message = format!("the protocol has its {limit} connections (`max_connections`)");
            return refused(429, "plugin.broker.limit", message);
        }
        connections.insert(connection, Connection::Waiting { info, user: None });
        Ok(())
    }

    fn authenticate(&self, connection: u64, mechanism: &str, credentials: Blob, done: Completion) {
        let proved = requests::user(mechanism, credentials.as_slice()).map(|_anonymous| GUEST);
        let reply = match (self.connections.write().get_mut(&connection), proved) {
            (None, _) => not_open(connection),
            (Some(_), Err(reason)) => Reply::from_error(&ApiError::new(401, "security.credentials", reason)),
            (Some(Connection::Waiting { user, .. }), Ok(name)) => {
                *user = Some(name.to_owned());
                Reply::authenticated(name)
            }
            // It stays who it was: there is one user.
            (Some(Connection::Entered(_)), Ok(name)) => Reply::authenticated(name),
        };
        // Outside the lock: it is a call into the plugin.
        done.complete(reply);
    }

    fn enter(&self, connection: u64, enter: &Enter<'_>, done: Completion) {
        let reply = match self.enter_virtual_host(connection, enter) {
            Ok(()) => done_well(),
            Err(error) => Reply::from_error(&error),
        };
        done.complete(reply);
    }

    fn close(&self, connection: u64) {
        let mut gone = Vec::new();
        self.links.write().retain(|_, linked| {
            let is_of_it = linked.connection == connection;
            if is_of_it {
                gone.push(Arc::clone(linked));
            }
            !is_of_it
        });
        let known = self.connections.write().remove(&connection);
        if let Some(Connection::Entered(entered)) = known {
            entered.close();
        }
        drop(gone);
    }

    fn open_link(&self, connection: u64, link: u64, options: LinkOptions) -> Result<(), ApiError> {
        let entered = match self.connections.read().get(&connection) {
            None => {
                return refused(
                    404,
                    "plugin.broker.connection",
                    format!("connection {connection} is not open"),
                );
            }
            Some(Connection::Waiting { .. }) => {
                let message = format!("connection {connection} has entered no virtual host");
                return refused(403, "plugin.broker.connection", message);
            }
            Some(Connection::Entered(entered)) => Arc::clone(entered),
        };
        let is_taken = self.links.read().contains_key(&link) || self.connections.read().contains_key(&link);
        if link == 0 || is_taken {
            return refused(409, "plugin.broker.link", format!("the number {link} is in use already"));
        }
        match entered.open_link(convert::link_options(link, options)) {
            Ok(opened) => {
                self.links.write().insert(link, Arc::new(Linked { connection, link: opened }));
                Ok(())
            }
            Err(error) if error.code == core::Code::ConnectionForced => {
                refused(404, "plugin.broker.connection", error.to_string())
            }
            Err(error) => refused(429, "plugin.broker.limit", error.to_string()),
        }
    }

    fn close_link(&self, link: u64) {
        let known = self.links.write().remove(&link);
        if let Some(known) = known {
            known.link.close();
        }
    }

    fn take(&self, id: u64, max_events: u32, max_bytes: u64) -> Vec<LinkEvent> {
        let mut events = Vec::new();
        let max = usize::try_from(max_events).unwrap_or(usize::MAX);
        let link = self.links.read().get(&id).cloned();
        if let Some(link) = link {
            link.link.take(max, max_bytes, &mut events);
        } else if let Some(Connection::Entered(connection)) = self.connections.read().get(&id) {
            connection.take(max, &mut events);
        }
        events.into_iter().filter_map(convert::event).collect()
    }

    fn publish(&self, link: u64, first_sequence: u64, messages: &[Publish<'_>]) -> Accepted {
        let found = self.links.read().get(&link).cloned();
        let Some(found) = found else { return Accepted::default() };
        let accepted = convert::with_publishes(messages, |batch| found.link.publish(first_sequence, batch));
        Accepted { taken: u32::try_from(accepted.taken).unwrap_or(u32::MAX), throttled: accepted.throttled }
    }

    fn settle(&self, link: u64, op: u64, settles: &[Settle]) -> bool {
        self.on(link, |link| link.settle(op, &convert::settles(settles)))
    }

    fn commit(
        &self,
        link: u64,
        op: u64,
        first_sequence: u64,
        messages: &[Publish<'_>],
        settles: &[Settle],
    ) -> bool {
        let settles = convert::settles(settles);
        self.on(link, |link| {
            convert::with_publishes(messages, |batch| link.commit(op, first_sequence, batch, &settles))
        })
    }

    fn confirm(&self, link: u64, op: u64, on: bool) -> bool {
        self.on(link, |link| link.confirm(op, on))
    }

    fn recover(&self, link: u64, op: u64) -> bool {
        self.on(link, |link| link.recover(op))
    }

    fn get(&self, link: u64, op: u64, queue: &str, no_ack: bool) -> bool {
        self.on(link, |link| link.get(op, queue, no_ack))
    }

    fn declare_exchange(&self, link: u64, op: u64, declare: &ExchangeDeclare<'_>) -> bool {
        self.on(link, |link| link.declare_exchange(op, &convert::exchange(declare)))
    }

    fn delete_exchange(&self, link: u64, op: u64, name: &str, flags: u32) -> bool {
        self.on(link, |link| link.delete_exchange(op, name, flags & DELETE_IF_UNUSED != 0))
    }

    fn declare_queue(&self, link: u64, op: u64, declare: &QueueDeclare<'_>) -> bool {
        self.on(link, |link| link.declare_queue(op, &convert::queue(declare)))
    }

    fn delete_queue(&self, link: u64, op: u64, name: &str, flags: u32) -> bool {
        self.on(link, |link| {
            link.delete_queue(op, name, flags & DELETE_IF_UNUSED != 0, flags & DELETE_IF_EMPTY != 0)
        })
    }

    fn purge_queue(&self, link: u64, op: u64, name: &str) -> bool {
        self.on(link, |link| link.purge_queue(op, name))
    }

    fn bind(&self, link: u64, op: u64, bind: &Bind<'_>) -> bool {
        self.on(link, |link| link.bind(op, &convert::bind(bind, bind.flags & BIND_TO_EXCHANGE != 0)))
    }

    fn unbind(&self, link: u64, op: u64, bind: &Bind<'_>) -> bool {
        self.on(link, |link| link.unbind(op, &convert::bind(bind, bind.flags & BIND_TO_EXCHANGE != 0)))
    }

    fn consume(&self, link: u64, op: u64, consume: &Consume<'_>) -> bool {
        self.on(link, |link| link.consume(op, &convert::consume(consume)))
    }

    fn cancel(&self, link: u64, op: u64, consumer: u64) -> bool {
        self.on(link, |link| link.cancel(op, consumer))
    }

    fn credit(&self, link: u64, op: u64, consumer: u64, count: u32, bytes: u64) -> bool {
        self.on(link, |link| link.credit(op, consumer, convert::credit(count, bytes)))
    }

    fn attach_session(&self, link: u64, op: u64, session: &SessionAttach<'_>) -> bool {
        self.on(link, |link| link.attach_session(op, &convert::session(session)))
    }

    fn detach_session(&self, link: u64, op: u64, flags: u32, expiry_secs: u32) -> bool {
        self.on(link, |link| link.detach_session(op, flags & DETACH_WITH_WILL != 0, Some(expiry_secs)))
    }

    fn note_session(&self, link: u64, op: u64, key: &str, value: &[u8]) -> bool {
        self.on(link, |link| link.note_session(op, key, value))
    }

    fn forget(&self, link: u64, op: u64, dedupe: &[u32]) -> bool {
        self.on(link, |link| link.forget(op, dedupe))
    }

    fn quiesce(&self, link: u64, timeout_ms: u64, done: Completion) {
        let found = self.links.read().get(&link).cloned();
        let Some(found) = found else {
            let error = ApiError::new(404, "plugin.broker.link", format!("link {link} is not open"));
            return done.complete(Reply::from_error(&error));
        };
        let timeout = Duration::from_millis(timeout_ms).min(QUIESCE_MAX);
        let deadline = core::SystemClock.now_ms() + timeout.as_millis() as u64;
        found.link.quiesce(deadline, move |in_time| {
            done.complete(if in_time {
                done_well()
            } else {
                let message = "requests that were published before are not answered yet";
                Reply::from_error(&ApiError::new(504, "plugin.broker.quiesce", message))
            });
        });
    }

    fn limits(&self) -> Blob {
        let limits = &self.options.messaging.limits();
        json!({
            "max_message_bytes": limits.message_bytes,
            "max_links": limits.links_per_connection,
            "max_consumers": limits.consumers_per_link,
            "max_note_bytes": limits.note_bytes,
            "max_notes": limits.notes_per_session,
            "max_bind_options_bytes": core::BIND_OPTIONS_MAX,
        })
        .to_string()
        .into_bytes()
        .into()
    }
}

impl GenerationBroker {
    fn enter_virtual_host(&self, connection: u64, enter: &Enter<'_>) -> Result<(), ApiError> {
        let mut connections = self.connections.write();
        let Some(known) = connections.get_mut(&connection) else {
            return refused(404, "plugin.broker.connection", format!("connection {connection} is not open"));
        };
        let Connection::Waiting { info, user } = known else {
            let message = format!("connection {connection} has entered a virtual host already");
            return refused(409, "plugin.broker.connection", message);
        };
        let Some(user) = user.take() else {
            let message = format!("connection {connection} has proved no identity");
            return refused(403, "plugin.broker.connection", message);
        };
        let more = serde_json::from_str::<Map<String, Value>>(enter.info.as_str()).unwrap_or_default();
        let mut info = std::mem::take(info);
        info.extend(more);
        let client = enter.client.as_str();
        let entered = self.options.messaging.broker().connect(core::ConnectionOptions {
            id: connection,
            vhost: enter.virtual_host.as_str().to_owned(),
            instance: self.options.instance.to_string(),
            user: user.clone(),
            client_name: (!client.is_empty()).then(|| client.to_owned()),
            info: Value::Object(info.clone()).to_string(),
            privileged: false,
            waker: Arc::clone(&self.waker) as Arc<dyn core::Waker>,
        });
        match entered {
            Ok(entered) => {
                *known = Connection::Entered(Arc::new(entered));
                Ok(())
            }
            Err(error) => {
                *known = Connection::Waiting { info, user: Some(user) };
                refused(404, "plugin.broker.virtual_host", error.to_string())
            }
        }
    }
}

/// The reply to what went well and has nothing to say.
fn done_well() -> Reply {
    Reply { status: 200, body: Blob::from(b"{}".to_vec()), ..Reply::cancelled() }
}

fn not_open(connection: u64) -> Reply {
    let message = format!("connection {connection} is not open");
    Reply::from_error(&ApiError::new(400, "plugin.broker.connection", message))
}

#[cfg(test)]
mod tests;
