//! What listings tell.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use crate::exchange::{BindingOptions, ExchangeKind};
use crate::link::Credit;
use crate::message::Message;

/// A counter and how fast it grew lately.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    /// Since the thing came into being.
    pub total: u64,
    /// Per second, over the last five to ten seconds.
    pub per_second: f64,
}

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
    /// Bytes of messages in memory, and of what queues know of those that are not.
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
    /// For [`crate::Broker::close_connection`].
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
