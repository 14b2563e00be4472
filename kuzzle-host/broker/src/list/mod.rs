//! What operators see and do: listings with counts and rates, and calls that need no link.

mod calls;
mod info;
mod rates;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use bytestring::ByteString;

use crate::broker::{Broker, Core};
use crate::direct_reply;
use crate::error::Error;
use crate::exchange::{BindingOptions, Exchange, Target};
use crate::queue::{DELIVERED, NEVER, PUBLISHED, Queue, SETTLED, Slot};
use crate::vhost::VirtualHost;

pub use info::{
    BindingInfo, BrokerInfo, ConnectionInfo, ConsumerInfo, ExchangeInfo, LinkInfo, PeekedMessage, QueueInfo,
    Rate, SessionInfo,
};
use rates::Counter;
pub(crate) use rates::Rates;

impl Core {
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
            infos.extend(queues.iter().map(|queue| queue_info(queue, &rates)));
        }
        infos
    }

    /// One queue.
    ///
    /// # Errors
    /// When there is no such virtual host or queue.
    pub fn queue(&self, vhost: &str, name: &str) -> Result<QueueInfo, Error> {
        let queue = self.core.vhost(vhost)?.queue(name)?;
        Ok(queue_info(&queue, &self.core.rates.lock()))
    }

    /// One exchange; the empty name is the default exchange.
    ///
    /// # Errors
    /// When there is no such virtual host or exchange.
    pub fn exchange(&self, vhost: &str, name: &str) -> Result<ExchangeInfo, Error> {
        let vhost = self.core.vhost(vhost)?;
        let rates = self.core.rates.lock();
        let topology = vhost.topology.read();
        let exchange = topology.exchanges.get(name).ok_or_else(|| Error::no_exchange(name, &vhost.name))?;
        Ok(exchange_info(&vhost.name, exchange, &rates))
    }

    /// Exchanges of one virtual host or of all, by name.
    pub fn exchanges(&self, vhost: Option<&str>) -> Vec<ExchangeInfo> {
        let rates = self.core.rates.lock();
        let mut infos = Vec::new();
        for vhost in self.core.chosen(vhost) {
            let topology = vhost.topology.read();
            let mut exchanges: Vec<_> = topology.exchanges.values().collect();
            exchanges.sort_by(|a, b| a.name.cmp(&b.name));
            infos.extend(exchanges.into_iter().map(|exchange| exchange_info(&vhost.name, exchange, &rates)));
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

    /// The first messages of a queue, `max` at most, which stay where they are. The last one is that with which their
    /// bodies reach `max_bytes`.
    ///
    /// # Errors
    /// When there is no such queue, or the journal cannot be read.
    pub fn peek(
        &self,
        vhost: &str,
        queue: &str,
        max: usize,
        max_bytes: usize,
    ) -> Result<Vec<PeekedMessage>, Error> {
        let queue = self.core.vhost(vhost)?.queue(queue)?;
        let mut bytes = 0;
        let mut peeked = Vec::new();
        for (slot, redelivered) in queue.peek(max) {
            let message = match slot {
                Slot::Message(message) => message,
                Slot::Paged(stored) => self.core.read_message(&stored)?,
            };
            bytes += message.size();
            peeked.push(PeekedMessage { message, redelivered });
            if bytes >= max_bytes {
                break;
            }
        }
        Ok(peeked)
    }
}

fn queue_info(queue: &Queue, rates: &Rates) -> QueueInfo {
    let counts = queue.counts();
    let rate = |meter: usize| {
        rates.rate(Counter::Queue(queue.id, meter), queue.meters[meter].load(Ordering::Relaxed))
    };
    QueueInfo {
        vhost: Arc::clone(&queue.vhost),
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
    }
}

fn exchange_info(vhost: &Arc<str>, exchange: &Exchange, rates: &Rates) -> ExchangeInfo {
    ExchangeInfo {
        vhost: Arc::clone(vhost),
        name: Arc::clone(&exchange.name),
        kind: exchange.kind,
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        arguments: exchange.arguments.clone(),
        retained: exchange.retained.len(),
        published: rates.rate(
            Counter::Exchange(Arc::clone(vhost), Arc::clone(&exchange.name)),
            exchange.published.load(Ordering::Relaxed),
        ),
    }
}
