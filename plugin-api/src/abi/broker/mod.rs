//! The services of a broker protocol: exchanges, queues, sessions, messages in and out.
//!
//! The host offers `broker`; a plugin that uses it offers `broker-client`, so that it can be woken. There are four
//! objects:
//!
//! - a *connection*: identity, virtual host, exclusive queues;
//! - a *link*: order, credit, unsettled deliveries. An AMQP channel is one; an MQTT or STOMP connection has one;
//! - a *consumer*: a queue, credit, options;
//! - a *session*: outlives connections; owns a queue with its bindings, a will, notes, and a small number (tag) per
//!   unsettled delivery.
//!
//! # Ids
//!
//! The caller chooses them: numbers other than 0, never used twice by an instance. Connections and links share one
//! number space, since both have an outbox; consumers are numbered in their link.
//!
//! # A link is an ordered conversation
//!
//! Operations on a link take effect in the order of the calls. Each carries a number of the caller's choice, `op`, and is
//! answered by an event in the link's outbox with that number, in order with deliveries: the answer to a `consume` comes
//! before the consumer's first delivery, that to a `cancel` after its last, that to a `bind` before the retained messages
//! that it asks for. What needs the disk is answered when it is there; the rest often before the call returns. With an
//! `op` of 0 success is not told, a refusal still is. Each operation is answered once, or the link ends with
//! [`EVENT_CLOSED`]. Only what concerns a connection as a whole completes through a `Completion`.
//!
//! A refusal has an AMQP 0-9-1 reply code and its whole reply text. On a link with [`LINK_STOPS_AT_ERROR`] it is the last
//! event but for `EVENT_CLOSED`: the link ignores whatever follows until it is closed, as an AMQP channel does. So a caller
//! need not wait for one answer before the next operation.
//!
//! # Outboxes
//!
//! Events wait at the host, bounded, until they are taken. When they come to wait in an outbox that held none, the host
//! calls [`ready`](BrokerClientVt::ready) with its id, which only wakes a task; that task takes until nothing is left.
//!
//! # Throttling
//!
//! A caller that is told *throttled* stops reading from its peer until the connection's [`EVENT_UNBLOCKED`].

mod client;
mod codes;
mod event;
mod message;
mod offer;
mod service;
mod table;
mod values;

pub use client::{BrokerClient, BrokerClientCalls, BrokerClientVt, BrokerClientVtRef};
pub use codes::*;
pub use event::LinkEvent;
pub use message::{Message, MessageParts, MessageSource, MessageVt};
pub use offer::BrokerCalls;
pub use service::Broker;
pub use table::{BrokerVt, BrokerVtRef};
pub use values::{
    Accepted, BIND_OPTIONS_MAX, Bind, Consume, Enter, ExchangeDeclare, LinkOptions, Publish, QueueDeclare,
    SessionAttach, Settle,
};
