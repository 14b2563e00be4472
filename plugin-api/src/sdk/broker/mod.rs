//! The broker: exchanges, queues and sessions, for protocols that carry messages.
//!
//! A protocol opens a [`Connection`] for each of its own, tells who it is, enters a virtual host, and opens one [`Link`],
//! or one per channel where the protocol has channels. Operations on a link return at once; what comes of them, and what
//! consumers get, are [`Event`]s, all in one order.
//!
//! The words are those of AMQP 0-9-1, and so are the codes of refusals: see [`Refusal`]. Each operation has a number, `op`,
//! that comes back with its answer; with the number 0 only a refusal is told.
//!
//! An operation that returns true wants its caller to stop reading from its peer until [`Event::Unblocked`] comes for the
//! connection.
//!
//! # One loop per connection
//!
//! ```
//! use kuzzle_plugin_api::sdk::broker::{Connection, Event, Link, LinkOptions, Publish, QueueDeclare, Bind, Consume};
//! # use kuzzle_plugin_api::sdk::broker::{Enter, Refusal, Settle, DECLARE_EXCLUSIVE, SETTLE_DONE};
//! # use kuzzle_plugin_api::sdk::{ApiError, Host, ConnectionInfo, tokio};
//! # fn refused(_refusal: Refusal) -> ApiError { ApiError::new(500, "hello", "refused") }
//!
//! # async fn all(host: Host) -> Result<(), ApiError> {
//! let connection = host.broker().open(&ConnectionInfo::new())?;
//! connection.authenticate("PLAIN", "\0guest\0guest".into()).await.map_err(refused)?;
//! connection.enter(&Enter::new("/", "pump-7")).await.map_err(refused)?;
//! let mut link = connection.open_link(LinkOptions::default())?;
//!
//! link.ask(|link, op| link.declare_queue(op, &QueueDeclare::new("", DECLARE_EXCLUSIVE))).await.map_err(refused)?;
//! link.ask(|link, op| link.bind(op, &Bind::new("amq.topic", "", "alarm.#"))).await.map_err(refused)?;
//! link.consume(0, &Consume::new(1, "", 100));
//! link.publish(1, &[Publish::new("amq.topic", "alarm.fire", b"now")]);
//! loop {
//!     tokio::select! {
//!         events = link.events() => for event in events {
//!             match event {
//!                 Event::Delivery(delivery) => {
//!                     println!("{} bytes", delivery.message.parts().body.len());
//!                     link.settle(0, &[Settle::one(delivery.number, SETTLE_DONE)]);
//!                 }
//!                 Event::Closed { .. } => return Ok(()),
//!                 _ => {}
//!             }
//!         },
//!         // and the socket, and the clock
//!         () = host.lifecycle().stopping() => return Ok(()),
//!     }
//! }
//! # }
//! ```
//!
//! A protocol with many links reads all of them through [`Connection::events`] instead.

mod connection;
mod event;
mod hub;
mod link;

pub use connection::{Budget, Connection, ConnectionEvents};
pub use event::{Answer, Delivery, Done, Event, Events, Refusal};
pub use hub::Broker;
pub(crate) use hub::Hub;
pub use link::{KEPT_EVENTS_MAX, Link};

pub use crate::abi::{
    Accepted, BIND_AT_MOST_ONCE, BIND_HIDES_DOLLAR, BIND_NO_LOCAL, BIND_OPTIONS_MAX, BIND_TO_EXCHANGE,
    BYTES_UNLIMITED, Bind, CODE_ACCESS_REFUSED, CODE_CHANNEL_ERROR, CODE_COMMAND_INVALID,
    CODE_CONNECTION_FORCED, CODE_CONTENT_TOO_LARGE, CODE_FRAME_ERROR, CODE_INTERNAL_ERROR, CODE_NO_CONSUMERS,
    CODE_NO_ROUTE, CODE_NOT_ALLOWED, CODE_NOT_FOUND, CODE_NOT_IMPLEMENTED, CODE_OK, CODE_PRECONDITION_FAILED,
    CODE_RESOURCE_ERROR, CODE_RESOURCE_LOCKED, CODE_SYNTAX_ERROR, CONSUME_EXCLUSIVE, CONSUME_NO_ACK,
    CONSUME_WITH_BINDINGS, CREDIT_UNLIMITED, Consume, DECLARE_ANY, DECLARE_AUTO_DELETE, DECLARE_DURABLE,
    DECLARE_EXCLUSIVE, DECLARE_INTERNAL, DECLARE_PASSIVE, DELETE_IF_EMPTY, DELETE_IF_UNUSED,
    DETACH_WITH_WILL, EXPIRY_NEVER, Enter, ExchangeDeclare, LINK_STOPS_AT_ERROR, LinkOptions, MESSAGE_RETAIN,
    Message, MessageParts, OVERFLOW_CLOSE, OVERFLOW_DROP_NEWEST, OVERFLOW_DROP_OLDEST, OVERFLOW_WAIT,
    PUBLISH_MANDATORY, PUBLISH_RETAIN, Publish, QueueDeclare, RETAINED_ALWAYS, RETAINED_IF_NEW,
    RETAINED_NONE, SETTLE_DONE, SETTLE_MULTIPLE, SETTLE_RECEIVED, SETTLE_REJECT, SETTLE_REQUEUE,
    SessionAttach, Settle,
};

/// How many events are taken from an outbox at a time.
const TAKEN_MAX_EVENTS: u32 = 256;

/// How heavy they may be together.
const TAKEN_MAX_BYTES: u64 = 1024 * 1024;
