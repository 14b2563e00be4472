//! What a session asks of the broker and what the broker tells it.
//!
//! The words are the broker's. A connection has one *link*, an ordered conversation whose operations are numbered and
//! answered in order, among the deliveries. It stops at its first refusal, so that a session need not wait for answers.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use crate::codec::Version;

/// What the shell does next, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Check who the client is, by SASL's mechanism PLAIN; tell [`Session::authenticated`](super::Session::authenticated).
    Authenticate {
        /// What PLAIN takes: a NUL, the name, a NUL, the password.
        credentials: Bytes,
    },
    /// Enter a virtual host; tell [`Session::entered`](super::Session::entered).
    Enter {
        /// Its name.
        virtual_host: ByteString,
        /// What the client calls itself; may be empty.
        client_name: ByteString,
        /// The session's id, as the client is told.
        session_id: ByteString,
        /// The version that is spoken.
        version: Version,
    },
    /// Open the link, which stops at its first refusal. When that cannot be, tell [`LinkEvent::Closed`].
    OpenLink,
    /// Publish. What is not taken goes back by [`Session::not_taken`](super::Session::not_taken).
    Publish {
        /// The sequence of the first message; those of the others follow.
        first_seq: u64,
        /// At least one.
        messages: Vec<Publish>,
    },
    /// Settle deliveries.
    Settle {
        /// Number of the operation; 0: no answer is wanted.
        op: u64,
        /// At least one.
        settlements: Vec<Settle>,
    },
    /// Publish and settle at once or not at all.
    Commit {
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
        /// Number of the operation; 0: no answer is wanted.
        op: u64,
        /// What to do.
        operation: Operation,
    },
    /// Wait until what was published is answered; tell [`Session::quiesced`](super::Session::quiesced).
    Quiesce {
        /// How long to wait at most.
        within: Duration,
    },
    /// Write what is left of the output, close the socket and the broker's connection. No action follows.
    Close(Ending),
}

/// An operation on the link that is answered by an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Give confirms from here on.
    Confirm,
    /// Limit the unsettled deliveries of all consumers together. The answer comes behind the deliveries that wait.
    Credit {
        /// At most.
        count: u32,
    },
    /// Declare a queue.
    DeclareQueue {
        /// Its name.
        name: ByteString,
        /// It survives a restart.
        durable: bool,
        /// It is the connection's alone.
        exclusive: bool,
        /// It goes with its last consumer.
        auto_delete: bool,
        /// One that is there will do, whatever its properties.
        any: bool,
        /// Fields of a table of AMQP.
        arguments: Bytes,
    },
    /// Delete a queue.
    DeleteQueue {
        /// Its name.
        name: ByteString,
    },
    /// Bind a queue.
    Bind {
        /// Name of the exchange that messages come from.
        exchange: ByteString,
        /// Name of the queue that they go to.
        queue: ByteString,
        /// Routing key or pattern.
        key: ByteString,
    },
    /// Start a consumer.
    Consume {
        /// Its id in the link.
        consumer: u64,
        /// Name of the queue.
        queue: ByteString,
        /// Its name, for show.
        tag: ByteString,
        /// Deliveries are settled as they go.
        no_ack: bool,
        /// Unsettled deliveries at most; `None`: any number.
        credit: Option<u32>,
        /// Fields of a table of AMQP.
        arguments: Bytes,
    },
    /// End a consumer.
    Cancel {
        /// Its id in the link.
        consumer: u64,
    },
}

/// A message from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Name of the exchange; empty: the default exchange.
    pub exchange: ByteString,
    /// Routing key.
    pub routing_key: ByteString,
    /// From the property flags on; empty: none.
    pub properties: Bytes,
    /// All of the body. It shares the memory of what was read.
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

/// What the link has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEvent<'a> {
    /// An operation is done or refused.
    Answer {
        /// Its number; of a refused one that wanted no answer 0.
        op: u64,
        /// 200, or an AMQP reply code.
        code: u16,
        /// The reply text when the operation was refused.
        text: &'a str,
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

/// Whether the client may enter its virtual host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// It has.
    Yes,
    /// There is no such virtual host.
    NotFound,
    /// The user may not, or the broker cannot.
    Barred,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client closed it in order.
    Disconnected,
    /// The client was told an `ERROR`.
    Error,
    /// The server closed it, as an operator wanted or because it stops.
    ClosedByServer,
    /// The client did not connect in time.
    ConnectTimeout,
    /// Nothing came from the client for three heart-beats.
    HeartBeatTimeout,
    /// The client does not read.
    WriteTimeout,
}
