//! What a link tells its client.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;

use crate::error::Error;
use crate::message::Message;

/// One event of the outbox of a link or a connection, in the order in which it came about.
#[derive(Debug)]
#[non_exhaustive]
pub enum LinkEvent {
    /// An operation is done or refused.
    Answer(Box<Answer>),
    /// The message that [`crate::Link::get`] asked for; it is the answer.
    Got(Box<Got>),
    /// A message for a consumer.
    Delivery(Delivery),
    /// All publishes up to this sequence number are as safe as they asked to be, but for those refused before.
    ConfirmedUpTo(u64),
    /// A publish was refused. [`crate::Code::ResourceError`] is a queue or the broker that takes no more: the client
    /// may try again, and it is told only on links that confirm. Every other code is a mistake of the client.
    Refused {
        /// Sequence number of the publish.
        seq: u64,
        /// Why.
        error: Box<Error>,
    },
    /// A mandatory message reached no queue. Comes before its confirmation.
    Returned {
        /// Sequence number of the publish.
        seq: u64,
        /// The message, whole.
        message: Arc<Message>,
    },
    /// A consumer has ended by the broker's doing: its queue is gone.
    Cancelled {
        /// The caller's number of the consumer.
        consumer: u64,
        /// Why.
        error: Box<Error>,
    },
    /// A binding of the session that was attached.
    Binding(Box<SessionBinding>),
    /// A note of the session that was attached.
    Note {
        /// Its key.
        key: ByteString,
        /// Its value.
        value: Bytes,
    },
    /// On a connection: an alarm is on and the connection has published: `low on memory` or `low on disk`.
    Blocked(&'static str),
    /// On a connection: reading may go on, after `Blocked` or after a call that said it was throttled.
    Unblocked,
    /// The link or connection was ended by the broker. It is the last event.
    Closed {
        /// Why.
        error: Box<Error>,
        /// Whether another link attached the session of this one.
        taken_over: bool,
    },
}

/// What became of an operation.
#[derive(Debug)]
pub struct Answer {
    /// The caller's number of the operation.
    pub op: u64,
    /// What was done, or why not.
    pub result: Result<Done, Error>,
    /// The event is held back until the journal is synced up to this position; 0 when there is nothing to wait for.
    pub(crate) after: u64,
}

/// What was done. Fields that say nothing of the operation are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Whether it was there before (declare, bind, unbind, delete, attach).
    pub existed: bool,
    /// Whether the queue was empty (get).
    pub empty: bool,
    /// Name of the queue (declare, attach).
    pub name: Option<Arc<str>>,
    /// Messages ready (declare), removed (purge, delete), put back (recover).
    pub messages: u64,
    /// Consumers of the queue (declare).
    pub consumers: u64,
}

/// A message taken from the head of a queue.
#[derive(Debug)]
pub struct Got {
    /// The caller's number of the operation.
    pub op: u64,
    /// Number by which it is settled; on the link as with [`Delivery::delivery`].
    pub delivery: u64,
    /// Whether there is nothing to settle.
    pub settled: bool,
    /// The message.
    pub message: Arc<Message>,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// Messages left in the queue.
    pub left: u64,
}

/// A message for a consumer.
#[derive(Debug)]
pub struct Delivery {
    /// The caller's number of the consumer.
    pub consumer: u64,
    /// Number by which it is settled: unique on the link, ascending from 1.
    pub delivery: u64,
    /// The message.
    pub message: Arc<Message>,
    /// Numbers of the bindings that brought it here, when its consumer asked for them.
    pub bindings: Option<Arc<[u64]>>,
    /// From a session's queue: 1 to 65,535, unlike any other unsettled delivery of the session, and the same when it
    /// is delivered again. Else 0.
    pub tag: u16,
    /// Whether there is nothing to settle.
    pub settled: bool,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// Whether it is a retained message given to a new binding.
    pub retained: bool,
    /// Whether it had been settled as received before the session was resumed.
    pub received: bool,
    /// The consumer's place in its link.
    pub(crate) slot: u32,
    /// As [`Answer::after`]: what a durable session is given twice has to be the same.
    pub(crate) after: u64,
}

/// A binding of a session's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionBinding {
    /// The caller's number of it.
    pub id: u64,
    /// The exchange it is bound to.
    pub source: Arc<str>,
    /// Its routing key.
    pub routing_key: ByteString,
    /// What the caller keeps with it.
    pub options: Bytes,
}
