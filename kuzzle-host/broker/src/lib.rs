//! Exchanges, bindings, queues, sessions, consumers and settlement: what stands behind every protocol that moves messages.
//!
//! ```text
//! Broker      virtual hosts, time, alarms, listings
//! Connection  identity, virtual host, exclusive queues; its own outbox tells when publishers are blocked
//! Link        an ordered conversation: operations in, events out by [`Link::take`]
//! consumer    a queue's messages into the outbox of a link, within its credit
//! session     {name, expiry, durable}: outlives links; owns a queue, bindings, a will, notes
//! ```
//!
//! Messages keep their properties in the content-header encoding of AMQP 0-9-1, so that typed tables survive. Refusals
//! carry a reply code and a text as AMQP clients know them; other protocols map the code.
//!
//! The crate opens no socket and knows no user's rights. What is durable lies on one [`kuzzle_journal::Journal`]. Each
//! queue has a short lock of its own, and no lock is held while the host is called.

mod alarms;
mod arguments;
mod broker;
mod connection;
mod dead_letter;
mod declare;
mod direct_reply;
mod durable;
mod effects;
mod error;
mod events;
mod exchange;
mod ingress;
mod link;
mod link_calls;
mod list;
mod message;
mod names;
mod options;
pub mod properties;
mod publish;
mod queue;
mod retained;
mod session;
mod settle;
mod store;
pub mod table;
#[cfg(test)]
mod tests;
mod topic;
mod vhost;

pub use arguments::{Overflow, POLICY, POLICY_DEFINITION, POLICY_KEYS};
pub use broker::{Broker, Clock, DEFAULT_VHOST, SystemClock};
pub use connection::{Connection, ConnectionOptions};
pub use declare::{BIND_OPTIONS_MAX, Bind, ExchangeDeclare, QueueDeclare, RetainedWanted};
pub use error::{Code, Error};
pub use events::{Answer, Delivery, Done, Got, LinkEvent, SessionBinding};
pub use exchange::{BindingOptions, ExchangeKind};
pub use ingress::{Host, KeyClass, NoHost, Request, Waker};
pub use link::{Credit, Limit, LinkOptions, SlowConsumer, Taken};
pub use link_calls::{Consume, Link};
pub use list::{
    BindingInfo, BrokerInfo, ConnectionInfo, ConsumerInfo, ExchangeInfo, LinkInfo, PeekedMessage, QueueInfo,
    Rate, SessionInfo,
};
pub use message::{Message, Origin};
pub use names::{DEFAULT_EXCHANGE, is_reserved_name};
pub use options::{Limits, Options};
pub use publish::{Accepted, Body, Publish};
pub use queue::Outcome;
pub use session::{EXPIRY_NEVER, SessionAttach};
pub use settle::{Settle, consumer_name};
pub use store::{Checked, StoreError, check};
