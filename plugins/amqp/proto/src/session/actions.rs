//! What a session asks of the broker and what the broker tells it.
//!
//! The words are the broker's: a channel is a *link*, an ordered conversation whose operations are numbered and answered
//! in order, among the deliveries. A link stops at its first refusal, so that a session need not wait for answers.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use crate::codec::table::Table;

/// What the shell does next, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Check who the client is; tell [`Session::authenticated`](super::Session::authenticated).
    Authenticate {
        /// `PLAIN` or `ANONYMOUS`.
        mechanism: &'static str,
        /// What SASL's mechanism of that name takes.
        credentials: Bytes,
    },
    /// Enter a virtual host; tell [`Session::entered`](super::Session::entered).
    Enter {
        /// Its name.
        virtual_host: ByteString,
        /// What the client calls this connection; may be empty.
        client_name: ByteString,
        /// All that the client says of itself.
        client_properties: Table,
    },
    /// Open a link that stops at its first refusal. When that cannot be, tell [`LinkEvent::Closed`].
    OpenLink {
        /// A new id.
        link: u64,
    },
    /// Close a link. Its events are of no use any more.
    CloseLink {
        /// Its id.
        link: u64,
    },
    /// Publish. What is not taken goes back by [`Session::not_taken`](super::Session::not_taken).
    Publish {
        /// Where.
        link: u64,
        /// The sequence of the first message; those of the others follow.
        first_seq: u64,
        /// At least one.
        messages: Vec<Publish>,
    },
    /// Settle deliveries.
    Settle {
        /// Where.
        link: u64,
        /// Number of the operation; 0: no answer is wanted.
        op: u64,
        /// At least one.
        settlements: Vec<Settle>,
    },
    /// Publish and settle at once or not at all.
    Commit {
        /// Where.
        link: u64,
        /// Number of the operation.
        op: u64,
        /// The sequence of the first message; those of the others follow.
        first_seq: u64,
        /// Perhaps none.
        messages: Vec<Publish>,
        /// Perhaps none.
        settlements: Vec<Settle>,
    },
    /// Any other operation.
    Call {
        /// Where.
        link: u64,
        /// Number of the operation.
        op: u64,
        /// What to do.
        operation: Operation,
    },
    /// Wait until what was published on a link is answered; tell [`Session::quiesced`](super::Session::quiesced).
    Quiesce {
        /// Where.
        link: u64,
        /// How long to wait at most.
        within: Duration,
    },
    /// Write what is left of the output, close the socket and the broker's connection. No action follows.
    Close(Ending),
}

/// An operation on a link that is answered by an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Give confirms from here on.
    Confirm,
    /// Declare an exchange.
    DeclareExchange {
        /// Its name.
        name: ByteString,
        /// Its type.
        kind: ByteString,
        /// Ask whether it is there, no more.
        passive: bool,
        /// It survives a restart.
        durable: bool,
        /// It goes with its last binding.
        auto_delete: bool,
        /// Clients may not publish to it.
        internal: bool,
        /// Its arguments.
        arguments: Table,
    },
    /// Delete an exchange.
    DeleteExchange {
        /// Its name.
        name: ByteString,
        /// Not while something is bound to it.
        if_unused: bool,
    },
    /// Declare a queue.
    DeclareQueue {
        /// Its name; empty: the broker makes one up.
        name: ByteString,
        /// Ask whether it is there, no more.
        passive: bool,
        /// It survives a restart.
        durable: bool,
        /// It is the connection's alone.
        exclusive: bool,
        /// It goes with its last consumer.
        auto_delete: bool,
        /// Its arguments.
        arguments: Table,
    },
    /// Delete a queue.
    DeleteQueue {
        /// Its name; empty: the one declared last on the link.
        name: ByteString,
        /// Not while it has consumers.
        if_unused: bool,
        /// Not while it has messages.
        if_empty: bool,
    },
    /// Drop the messages of a queue.
    PurgeQueue {
        /// Its name; empty: the one declared last on the link.
        name: ByteString,
    },
    /// Bind.
    Bind(Binding),
    /// Take a binding back.
    Unbind(Binding),
    /// Start a consumer.
    Consume {
        /// Its id in the link.
        consumer: u64,
        /// Name of the queue; empty: the one declared last on the link.
        queue: ByteString,
        /// Its consumer tag, for show.
        tag: ByteString,
        /// Deliveries are settled as they go.
        no_ack: bool,
        /// The queue is to have no other consumer.
        exclusive: bool,
        /// Unsettled deliveries at most; `None`: any number.
        credit: Option<u32>,
        /// `x-priority` and others.
        arguments: Table,
    },
    /// End a consumer.
    Cancel {
        /// Its id in the link.
        consumer: u64,
    },
    /// Get one message.
    Get {
        /// Name of the queue; empty: the one declared last on the link.
        queue: ByteString,
        /// It is settled as it goes.
        no_ack: bool,
    },
    /// Limit the unsettled deliveries of all consumers of the link together.
    Credit {
        /// At most.
        count: u32,
    },
}

/// A binding of a queue or an exchange to an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Name of the exchange that messages come from.
    pub source: ByteString,
    /// Name of the queue or exchange that they go to; an empty queue: the one declared last on the link.
    pub destination: ByteString,
    /// Whether the destination is an exchange.
    pub to_exchange: bool,
    /// Routing key or pattern.
    pub routing_key: ByteString,
    /// What a headers exchange compares, and anything else.
    pub arguments: Table,
}

/// A message from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Name of the exchange; empty: the default exchange.
    pub exchange: ByteString,
    /// Routing key.
    pub routing_key: ByteString,
    /// It is to come back when it reaches no queue.
    pub mandatory: bool,
    /// From the property flags on; checked.
    pub properties: Bytes,
    /// All of the body. Where it came in one frame it shares the memory of what was read.
    pub body: Bytes,
}

impl Publish {
    /// Octets of properties and body.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.properties.len() + self.body.len()
    }
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is gone.
    Done,
    /// Back to its place in the queue.
    Requeue,
    /// Dead-lettered or dropped.
    Reject,
}

/// A settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settle {
    /// The link's number of the delivery.
    pub delivery: u64,
    /// What becomes of it.
    pub outcome: Outcome,
    /// All unsettled ones before it too.
    pub multiple: bool,
}

/// A message of the broker, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Name of the exchange that it was published to.
    pub exchange: &'a str,
    /// Its routing key.
    pub routing_key: &'a str,
    /// From the property flags on; empty: none.
    pub properties: &'a [u8],
    /// All of the body.
    pub body: &'a [u8],
}

/// What a link has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEvent<'a> {
    /// An operation is done or refused.
    Answer {
        /// Its number; of a refused settlement 0.
        op: u64,
        /// 200, or an AMQP reply code.
        code: u16,
        /// A name when a queue was declared, or the reply text when the operation was refused.
        text: &'a str,
        /// Messages ready (declare) or removed (purge, delete).
        messages: u64,
        /// Consumers of a declared queue.
        consumers: u64,
    },
    /// A message for a consumer.
    Delivery {
        /// The consumer.
        consumer: u64,
        /// Number of the delivery: from 1, one by one.
        delivery: u64,
        /// It was delivered before.
        redelivered: bool,
        /// There is nothing to settle.
        settled: bool,
        /// The message.
        message: Message<'a>,
    },
    /// The message that a `get` asked for. (That the queue is empty is an [`LinkEvent::Answer`].)
    Got {
        /// Number of the operation.
        op: u64,
        /// Number of the delivery: from 1, one by one, together with those to consumers.
        delivery: u64,
        /// It was delivered before.
        redelivered: bool,
        /// There is nothing to settle.
        settled: bool,
        /// Messages left in the queue.
        messages: u64,
        /// The message.
        message: Message<'a>,
    },
    /// Publishes up to and including this sequence are taken care of, but for those refused.
    Confirmed {
        /// The sequence.
        up_to: u64,
    },
    /// A publish was not taken: 506 for want of room, else a mistake of the client.
    Refused {
        /// Its sequence.
        seq: u64,
        /// An AMQP reply code.
        code: u16,
        /// The reply text.
        text: &'a str,
    },
    /// A mandatory publish reached no queue.
    Returned {
        /// An AMQP reply code.
        code: u16,
        /// The reply text.
        text: &'a str,
        /// The message.
        message: Message<'a>,
    },
    /// A consumer has ended, since its queue is gone.
    Cancelled {
        /// The consumer.
        consumer: u64,
    },
    /// The link is gone. No event follows.
    Closed {
        /// An AMQP reply code.
        code: u16,
        /// The reply text.
        text: &'a str,
    },
}

/// What the broker has to say of the connection as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEvent<'a> {
    /// An alarm: publishers have to wait.
    Blocked {
        /// `low on memory` or `low on disk`.
        reason: &'a str,
    },
    /// The alarm is over, or what throttled the connection.
    Unblocked,
    /// The broker has ended the connection.
    Closed {
        /// An AMQP reply code.
        code: u16,
        /// The reply text.
        text: &'a str,
    },
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client closed it in order.
    ClosedByClient,
    /// The server closed it in order; the reply code says why.
    ClosedByServer(u16),
    /// The client speaks another protocol, or a version that is not known here.
    Protocol,
    /// The client broke off the opening, made a mistake in it, or was refused.
    Refused,
    /// A step of the opening was not taken in time.
    HandshakeTimeout,
    /// Nothing came from the client for three heartbeats.
    HeartbeatTimeout,
    /// The client does not read.
    WriteTimeout,
    /// A method of a class that does not exist.
    UnknownClass,
}
