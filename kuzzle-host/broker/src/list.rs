//! What operators see and do: listings with counts and rates, and calls that need no link.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use bytestring::ByteString;

use crate::broker::{Broker, Core};
use crate::declare::{Bind, ExchangeDeclare, QueueDeclare};
use crate::direct_reply;
use crate::effects::Effects;
use crate::error::{Code, Error};
use crate::events::Done;
use crate::exchange::{BindingOptions, ExchangeKind, Target};
use crate::link::Credit;
use crate::message::Message;
use crate::queue::{DELIVERED, NEVER, PUBLISHED, SETTLED, Slot};
use crate::vhost::VirtualHost;

/// A counter and how fast it grew lately.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    /// Since the thing came into being.
    pub total: u64,
    /// Per second, over the last five to ten seconds.
    pub per_second: f64,
}

/// Counters are looked at so often, in milliseconds.
const RATE_OVER_MS: u64 = 5_000;

/// The broker as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BrokerInfo {
    /// Connections open.
    pub connections: usize,
    /// Links open.
    pub links: usize,
    /// Queues, over all virtual hosts.
    pub queues: usize,
    /// Exchanges, over all virtual hosts.
    pub exchanges: usize,
    /// Consumers, over all queues.
    pub consumers: usize,
    /// Sessions, over all virtual hosts.
    pub sessions: usize,
    /// Messages ready, over all queues.
    pub ready: usize,
    /// Messages delivered and unsettled, over all queues.
    pub unsettled: usize,
    /// Messages published to exchanges.
    pub published: Rate,
    /// Messages delivered to consumers or got.
    pub delivered: Rate,
    /// Messages dropped for slow consumers.
    pub dropped: u64,
    /// Bytes of messages in memory.
    pub memory_bytes: u64,
    /// Why publishers are blocked, if they are.
    pub alarm: Option<&'static str>,
    /// Why the journal cannot be written, if it cannot.
    pub journal_failure: Option<String>,
    /// Bytes of all segments of the journal.
    pub journal_bytes: u64,
}

/// A connection.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionInfo {
    /// For [`Broker::close_connection`].
    pub number: u64,
    /// The caller's number of it.
    pub id: u64,
    /// Plugin instance.
    pub instance: String,
    /// Virtual host.
    pub vhost: Arc<str>,
    /// User.
    pub user: String,
    /// What the client calls itself.
    pub client_name: Option<String>,
    /// What else is known of it, as JSON.
    pub info: String,
    /// Milliseconds since 1970.
    pub opened_at_ms: u64,
    /// Links open.
    pub links: usize,
    /// Whether it was told to stop reading.
    pub throttled: bool,
    /// Messages published over it.
    pub published: Rate,
}

/// A link.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkInfo {
    /// Number of its connection.
    pub connection: u64,
    /// The caller's number of it.
    pub id: u64,
    /// User of its connection.
    pub user: String,
    /// Session it has attached.
    pub session: Option<Arc<str>>,
    /// Whether publishes are confirmed.
    pub confirms: bool,
    /// Consumers.
    pub consumers: usize,
    /// Deliveries not yet settled.
    pub unsettled: usize,
    /// Events that wait to be taken.
    pub outbox: usize,
    /// Publishes that wait for the journal, in groups.
    pub unconfirmed: usize,
    /// Requests not yet answered.
    pub unanswered: u64,
    /// Messages published over it.
    pub published: Rate,
    /// Messages delivered over it.
    pub delivered: Rate,
}

/// A queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueInfo {
    /// Virtual host.
    pub vhost: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last consumer.
    pub auto_delete: bool,
    /// Number of the connection it belongs to.
    pub exclusive: Option<u64>,
    /// Whether it belongs to a session.
    pub of_session: bool,
    /// A field table without its length.
    pub arguments: Bytes,
    /// Messages that wait.
    pub ready: usize,
    /// Bytes of their bodies.
    pub ready_bytes: u64,
    /// Messages delivered and unsettled.
    pub unsettled: usize,
    /// Bytes of their bodies.
    pub unsettled_bytes: u64,
    /// Of those that wait, how many only the journal has.
    pub paged: usize,
    /// Consumers.
    pub consumers: usize,
    /// Messages that came.
    pub published: Rate,
    /// Messages that were delivered.
    pub delivered: Rate,
    /// Messages that were settled for good.
    pub settled: Rate,
}

/// An exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeInfo {
    /// Virtual host.
    pub vhost: Arc<str>,
    /// Name; empty is the default exchange.
    pub name: Arc<str>,
    /// How it routes.
    pub kind: ExchangeKind,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last binding.
    pub auto_delete: bool,
    /// Clients cannot publish to it.
    pub internal: bool,
    /// A field table without its length.
    pub arguments: Bytes,
    /// Retained messages.
    pub retained: usize,
    /// Messages published to it.
    pub published: Rate,
}

/// A binding.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingInfo {
    /// Virtual host.
    pub vhost: Arc<str>,
    /// Exchange.
    pub source: Arc<str>,
    /// Queue, or exchange.
    pub destination: Arc<str>,
    /// Whether it leads to an exchange.
    pub to_exchange: bool,
    /// Routing key or pattern.
    pub routing_key: ByteString,
    /// A field table without its length.
    pub arguments: Bytes,
    /// What else it asks for.
    pub options: BindingOptions,
}

/// A consumer.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerInfo {
    /// Virtual host.
    pub vhost: Arc<str>,
    /// Queue.
    pub queue: Arc<str>,
    /// Number of its connection.
    pub connection: u64,
    /// The caller's number of its link.
    pub link: u64,
    /// The caller's number of it.
    pub id: u64,
    /// Its name.
    pub name: ByteString,
    /// Deliveries are settled at once.
    pub no_ack: bool,
    /// Nobody else may consume.
    pub exclusive: bool,
    /// Higher is served first.
    pub priority: i32,
    /// How many deliveries may be unsettled.
    pub credit: Credit,
}

/// A session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionInfo {
    /// Virtual host.
    pub vhost: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Its queue.
    pub queue: Arc<str>,
    /// Survives a restart.
    pub durable: bool,
    /// Number of the connection that has it.
    pub connection: Option<u64>,
    /// Seconds it outlives its link.
    pub expiry_secs: u32,
    /// When it expires, if nobody attaches it: milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
    /// Whether it has a will.
    pub has_will: bool,
    /// Messages that wait in its queue.
    pub ready: usize,
    /// Messages delivered and unsettled.
    pub unsettled: usize,
}

/// A message as it lies in a queue.
#[derive(Debug, Clone)]
pub struct PeekedMessage {
    /// The message.
    pub message: Arc<Message>,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
}

/// The last two looks at the counters.
#[derive(Default)]
pub(crate) struct Rates {
    before: Sample,
    now: Sample,
}

#[derive(Default)]
struct Sample {
    at: u64,
    counters: HashMap<Counter, u64>,
}

/// What a counter counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Counter {
    Queue(u64, usize),
    Exchange(Arc<str>, Arc<str>),
    Connection(u64),
    Link(u64, bool),
    Published,
    Delivered,
}

impl Rates {
    fn rate(&self, counter: Counter, total: u64) -> Rate {
        let millis = self.now.at.saturating_sub(self.before.at);
        let growth = match (self.now.counters.get(&counter), self.before.counters.get(&counter)) {
            (Some(now), Some(before)) => now.saturating_sub(*before),
            (Some(now), None) => *now,
            _ => 0,
        };
        let per_second = if millis == 0 { 0.0 } else { growth as f64 * 1_000.0 / millis as f64 };
        Rate { total, per_second }
    }
}

impl Core {
    /// Looks at the counters, if the last look is old enough.
    pub(crate) fn sample_rates(&self, now: u64) {
        if now < self.rates.lock().now.at + RATE_OVER_MS {
            return;
        }
        let mut sample = Sample { at: now, counters: HashMap::new() };
        let (mut published, mut delivered) = (0, 0);
        for vhost in self.vhosts.read().values() {
            let topology = vhost.topology.read();
            for queue in topology.queues.values() {
                for meter in [PUBLISHED, DELIVERED, SETTLED] {
                    let total = queue.meters[meter].load(Ordering::Relaxed);
                    sample.counters.insert(Counter::Queue(queue.id, meter), total);
                    delivered += if meter == DELIVERED { total } else { 0 };
                }
            }
            for exchange in topology.exchanges.values() {
                let total = exchange.published.load(Ordering::Relaxed);
                published += total;
                let counter = Counter::Exchange(Arc::clone(&vhost.name), Arc::clone(&exchange.name));
                sample.counters.insert(counter, total);
            }
        }
        for connection in self.connections.lock().values() {
            let total = connection.published.load(Ordering::Relaxed);
            sample.counters.insert(Counter::Connection(connection.uid), total);
            for link in connection.links.lock().iter() {
                let total = link.published.load(Ordering::Relaxed);
                sample.counters.insert(Counter::Link(link.uid, true), total);
                let total = link.delivered.load(Ordering::Relaxed);
                sample.counters.insert(Counter::Link(link.uid, false), total);
            }
        }
        sample.counters.insert(Counter::Published, published);
        sample.counters.insert(Counter::Delivered, delivered);
        let mut rates = self.rates.lock();
        rates.before = std::mem::replace(&mut rates.now, sample);
    }

    fn chosen(&self, vhost: Option<&str>) -> Vec<Arc<VirtualHost>> {
        let vhosts = self.vhosts.read();
        let mut chosen: Vec<_> =
            vhosts.values().filter(|found| vhost.is_none_or(|name| *found.name == *name)).cloned().collect();
        chosen.sort_by(|a, b| a.name.cmp(&b.name));
        chosen
    }
}

impl Broker {
    /// Figures of the whole.
    pub fn info(&self) -> BrokerInfo {
        let core = &self.core;
        let mut info = BrokerInfo {
            dropped: core.dropped.load(Ordering::Relaxed),
            memory_bytes: core.memory.used(),
            alarm: core.alarms.reason(),
            ..BrokerInfo::default()
        };
        let (mut published, mut delivered) = (0, 0);
        for vhost in core.chosen(None) {
            let topology = vhost.topology.read();
            info.queues += topology.queues.len();
            info.exchanges += topology.exchanges.len();
            info.sessions += topology.sessions.len();
            for queue in topology.queues.values() {
                let counts = queue.counts();
                info.ready += counts.ready;
                info.unsettled += counts.unsettled;
                info.consumers += counts.consumers;
                delivered += queue.meters[DELIVERED].load(Ordering::Relaxed);
            }
            published +=
                topology.exchanges.values().map(|found| found.published.load(Ordering::Relaxed)).sum::<u64>();
        }
        for connection in core.connections.lock().values() {
            info.connections += 1;
            info.links += connection.links.lock().len();
        }
        if let Some(store) = &core.store {
            info.journal_failure = store.failure();
            info.journal_bytes = store.size();
        }
        let rates = core.rates.lock();
        info.published = rates.rate(Counter::Published, published);
        info.delivered = rates.rate(Counter::Delivered, delivered);
        info
    }

    /// All connections, the oldest first.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let rates = self.core.rates.lock();
        let connections = self.core.connections.lock();
        let mut infos: Vec<_> = connections
            .values()
            .map(|connection| ConnectionInfo {
                number: connection.uid,
                id: connection.id,
                instance: connection.instance.clone(),
                vhost: Arc::clone(&connection.vhost.name),
                user: connection.user.clone(),
                client_name: connection.client_name.clone(),
                info: connection.info.clone(),
                opened_at_ms: connection.opened_at_ms,
                links: connection.links.lock().len(),
                throttled: connection.throttled.load(Ordering::Relaxed),
                published: rates
                    .rate(Counter::Connection(connection.uid), connection.published.load(Ordering::Relaxed)),
            })
            .collect();
        infos.sort_by_key(|info| info.number);
        infos
    }

    /// All links, those of the oldest connection first.
    pub fn links(&self) -> Vec<LinkInfo> {
        let connections: Vec<_> = self.core.connections.lock().values().cloned().collect();
        let rates = self.core.rates.lock();
        let mut infos = Vec::new();
        for connection in connections {
            for link in connection.links.lock().iter() {
                let counts = link.counts();
                infos.push(LinkInfo {
                    connection: connection.uid,
                    id: link.options.id,
                    user: connection.user.clone(),
                    session: link.session.lock().as_ref().map(|session| Arc::clone(&session.name)),
                    confirms: link.confirms.load(Ordering::Relaxed),
                    consumers: counts.consumers,
                    unsettled: counts.unsettled,
                    outbox: counts.outbox,
                    unconfirmed: counts.unconfirmed,
                    unanswered: link.unanswered.open(),
                    published: rates
                        .rate(Counter::Link(link.uid, true), link.published.load(Ordering::Relaxed)),
                    delivered: rates
                        .rate(Counter::Link(link.uid, false), link.delivered.load(Ordering::Relaxed)),
                });
            }
        }
        infos.sort_by_key(|info| (info.connection, info.id));
        infos
    }

    /// Queues of one virtual host or of all, by name.
    pub fn queues(&self, vhost: Option<&str>) -> Vec<QueueInfo> {
        let rates = self.core.rates.lock();
        let mut infos = Vec::new();
        for vhost in self.core.chosen(vhost) {
            let mut queues: Vec<_> = vhost.topology.read().queues.values().cloned().collect();
            queues.retain(|queue| !direct_reply::is_reply_queue(&queue.name));
            queues.sort_by(|a, b| a.name.cmp(&b.name));
            for queue in queues {
                let counts = queue.counts();
                let rate = |meter: usize| {
                    rates.rate(Counter::Queue(queue.id, meter), queue.meters[meter].load(Ordering::Relaxed))
                };
                infos.push(QueueInfo {
                    vhost: Arc::clone(&vhost.name),
                    name: Arc::clone(&queue.name),
                    durable: queue.durable,
                    auto_delete: queue.auto_delete,
                    exclusive: queue.exclusive,
                    of_session: queue.session != 0,
                    arguments: queue.arguments.clone(),
                    ready: counts.ready,
                    ready_bytes: counts.ready_bytes,
                    unsettled: counts.unsettled,
                    unsettled_bytes: counts.unsettled_bytes,
                    paged: counts.paged,
                    consumers: counts.consumers,
                    published: rate(PUBLISHED),
                    delivered: rate(DELIVERED),
                    settled: rate(SETTLED),
                });
            }
        }
        infos
    }

    /// Exchanges of one virtual host or of all, by name.
    pub fn exchanges(&self, vhost: Option<&str>) -> Vec<ExchangeInfo> {
        let rates = self.core.rates.lock();
        let mut infos = Vec::new();
        for vhost in self.core.chosen(vhost) {
            let topology = vhost.topology.read();
            let mut exchanges: Vec<_> = topology.exchanges.values().collect();
            exchanges.sort_by(|a, b| a.name.cmp(&b.name));
            infos.extend(exchanges.into_iter().map(|exchange| ExchangeInfo {
                vhost: Arc::clone(&vhost.name),
                name: Arc::clone(&exchange.name),
                kind: exchange.kind,
                durable: exchange.durable,
                auto_delete: exchange.auto_delete,
                internal: exchange.internal,
                arguments: exchange.arguments.clone(),
                retained: exchange.retained.len(),
                published: rates.rate(
                    Counter::Exchange(Arc::clone(&vhost.name), Arc::clone(&exchange.name)),
                    exchange.published.load(Ordering::Relaxed),
                ),
            }));
        }
        infos
    }

    /// Bindings of one virtual host or of all, by source and destination; those every queue has to the default exchange
    /// among them.
    pub fn bindings(&self, vhost: Option<&str>) -> Vec<BindingInfo> {
        let mut infos = Vec::new();
        for vhost in self.core.chosen(vhost) {
            let topology = vhost.topology.read();
            let of_vhost = infos.len();
            for queue in topology.queues.values() {
                if direct_reply::is_reply_queue(&queue.name) {
                    continue;
                }
                infos.push(BindingInfo {
                    vhost: Arc::clone(&vhost.name),
                    source: "".into(),
                    destination: Arc::clone(&queue.name),
                    to_exchange: false,
                    routing_key: ByteString::from(&*queue.name),
                    arguments: Bytes::new(),
                    options: BindingOptions::default(),
                });
            }
            for exchange in topology.exchanges.values() {
                exchange.for_each(|binding| {
                    infos.push(BindingInfo {
                        vhost: Arc::clone(&vhost.name),
                        source: Arc::clone(&binding.source),
                        destination: Arc::clone(binding.target.name()),
                        to_exchange: matches!(binding.target, Target::Exchange(_)),
                        routing_key: binding.routing_key.clone(),
                        arguments: binding.arguments.clone(),
                        options: binding.options.clone(),
                    });
                });
            }
            infos[of_vhost..].sort_by(|a, b| {
                (&a.source, &a.destination, &*a.routing_key).cmp(&(
                    &b.source,
                    &b.destination,
                    &*b.routing_key,
                ))
            });
        }
        infos
    }

    /// Consumers of one virtual host or of all, by queue.
    pub fn consumers(&self, vhost: Option<&str>) -> Vec<ConsumerInfo> {
        let mut infos = Vec::new();
        for vhost in self.core.chosen(vhost) {
            let mut queues: Vec<_> = vhost.topology.read().queues.values().cloned().collect();
            queues.sort_by(|a, b| a.name.cmp(&b.name));
            for queue in queues {
                for consumer in queue.consumers() {
                    let Some((id, name, credit)) = consumer.link.consumer_shown(consumer.slot) else {
                        continue;
                    };
                    infos.push(ConsumerInfo {
                        vhost: Arc::clone(&vhost.name),
                        queue: Arc::clone(&queue.name),
                        connection: consumer.link.connection.uid,
                        link: consumer.link.options.id,
                        id,
                        name,
                        no_ack: consumer.no_ack,
                        exclusive: consumer.exclusive,
                        priority: consumer.priority,
                        credit,
                    });
                }
            }
        }
        infos
    }

    /// Sessions of one virtual host or of all, by name.
    pub fn sessions(&self, vhost: Option<&str>) -> Vec<SessionInfo> {
        let mut infos = Vec::new();
        for vhost in self.core.chosen(vhost) {
            let mut sessions: Vec<_> = vhost.topology.read().sessions.values().cloned().collect();
            sessions.sort_by(|a, b| a.name.cmp(&b.name));
            for session in sessions {
                let counts = session.queue.counts();
                let state = session.state.lock();
                infos.push(SessionInfo {
                    vhost: Arc::clone(&vhost.name),
                    name: Arc::clone(&session.name),
                    queue: Arc::clone(&session.queue.name),
                    durable: session.durable,
                    connection: state.link.as_ref().map(|link| link.connection.uid),
                    expiry_secs: state.expiry_secs,
                    expires_at_ms: (state.expires_at != NEVER).then_some(state.expires_at),
                    has_will: state.will.is_some(),
                    ready: counts.ready,
                    unsettled: counts.unsettled,
                });
            }
        }
        infos
    }

    /// The first messages of a queue, which stay where they are.
    ///
    /// # Errors
    /// When there is no such queue, or the journal cannot be read.
    pub fn peek(&self, vhost: &str, queue: &str, max: usize) -> Result<Vec<PeekedMessage>, Error> {
        let queue = self.core.vhost(vhost)?.queue(queue)?;
        let peek = |(slot, redelivered)| {
            let message = match slot {
                Slot::Message(message) => message,
                Slot::Paged(stored) => self.core.read_message(&stored)?,
            };
            Ok(PeekedMessage { message, redelivered })
        };
        queue.peek(max).into_iter().map(peek).collect()
    }

    /// Declares an exchange.
    ///
    /// # Errors
    /// As [`crate::Link::declare_exchange`].
    pub fn declare_exchange(&self, vhost: &str, declare: &ExchangeDeclare<'_>) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        Ok(self.core.declare_exchange(&vhost, declare)?.0)
    }

    /// Deletes an exchange.
    ///
    /// # Errors
    /// As [`crate::Link::delete_exchange`].
    pub fn delete_exchange(&self, vhost: &str, name: &str, if_unused: bool) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        Ok(self.core.delete_exchange(&vhost, name, if_unused)?.0)
    }

    /// Declares a queue that belongs to no connection.
    ///
    /// # Errors
    /// As [`crate::Link::declare_queue`].
    pub fn declare_queue(&self, vhost: &str, declare: &QueueDeclare<'_>) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        self.with_effects(|fx| Ok(self.core.declare_queue(&vhost, None, declare, fx)?.0))
    }

    /// Deletes a queue, whosever it is.
    ///
    /// # Errors
    /// As [`crate::Link::delete_queue`].
    pub fn delete_queue(
        &self,
        vhost: &str,
        name: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        self.with_effects(|fx| Ok(self.core.delete_queue(&vhost, None, name, (if_unused, if_empty), fx)?.0))
    }

    /// Removes the ready messages of a queue.
    ///
    /// # Errors
    /// When there is no such queue.
    pub fn purge_queue(&self, vhost: &str, name: &str) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        self.with_effects(|fx| self.core.purge_queue(&vhost, None, name, fx))
    }

    /// Makes a binding.
    ///
    /// # Errors
    /// As [`crate::Link::bind`].
    pub fn bind(&self, vhost: &str, bind: &Bind<'_>) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        self.with_effects(|fx| {
            let mut made = Done::default();
            self.core.bind(&vhost, None, bind, fx, |done, _, _| made = done)?;
            Ok(made)
        })
    }

    /// Removes a binding.
    ///
    /// # Errors
    /// As [`crate::Link::unbind`].
    pub fn unbind(&self, vhost: &str, bind: &Bind<'_>) -> Result<Done, Error> {
        let vhost = self.core.vhost(vhost)?;
        Ok(self.core.unbind(&vhost, None, bind)?.0)
    }

    /// Whether anything would see a message of the host's own: something is bound to a key of an exchange.
    pub fn is_heard(&self, vhost: &str, exchange: &str, routing_key: &str) -> bool {
        let Ok(vhost) = self.core.vhost(vhost) else { return false };
        let topology = vhost.topology.read();
        !topology.route(exchange, routing_key, &[], &[], true).0.is_empty()
    }

    /// Ends a session, attached or not; its link is closed.
    ///
    /// # Errors
    /// When there is no such session.
    pub fn delete_session(&self, vhost: &str, name: &str) -> Result<(), Error> {
        let vhost = self.core.vhost(vhost)?;
        let session = vhost.topology.read().sessions.get(name).cloned();
        let session = session.ok_or_else(|| {
            Error::new(Code::NotFound, format!("no session '{name}' in vhost '{}'", vhost.name))
        })?;
        self.with_effects(|fx| {
            let link = session.state.lock().link.clone();
            if let Some(link) = link {
                let error = Error::new(Code::ConnectionForced, "the session was deleted");
                self.core.close_link(&link, Some((error, false)), fx);
            }
            self.core.end_session(&vhost, &session, fx);
            Ok(())
        })
    }

    /// Closes a connection; its client is told the reason. Returns whether there was one of that number.
    pub fn close_connection(&self, number: u64, reason: &str) -> bool {
        let connection = self.core.connections.lock().get(&number).cloned();
        if let Some(connection) = &connection {
            self.core.close_connection(connection, Some(Error::new(Code::ConnectionForced, reason)));
        }
        connection.is_some()
    }

    fn with_effects<R>(&self, call: impl FnOnce(&mut Effects) -> R) -> R {
        let mut fx = Effects::default();
        let result = call(&mut fx);
        self.core.finish(fx);
        result
    }
}
