//! What waits in an outbox.

use abi_stable::StableAbi;
use abi_stable::std_types::{RString, RVec};

use super::super::Blob;
use super::{
    CODE_NO_ROUTE, CODE_OK, EVENT_ANSWER, EVENT_BINDING, EVENT_BLOCKED, EVENT_CANCELLED, EVENT_CLOSED,
    EVENT_CONFIRMED, EVENT_DELIVERY, EVENT_GOT, EVENT_NOTE, EVENT_REFUSED, EVENT_RETURNED, EVENT_UNBLOCKED,
    FLAG_SETTLED, Message,
};

/// Something that happened on a link, or to a connection. What a kind does not use is 0 or empty.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, Default)]
pub struct LinkEvent {
    /// One of the `EVENT_` constants. A plugin ignores kinds that it does not know.
    pub kind: u32,
    /// [`CODE_OK`], or why something did not go well: an AMQP 0-9-1 reply code.
    pub code: u32,
    /// `FLAG_` flags.
    pub flags: u32,
    /// Deliveries of a session's queue that are to be settled: a number from 1 to 65535 that no other unsettled delivery of
    /// the session has. The broker chooses it, and it stays the same when the delivery is resumed on another link.
    pub tag: u32,
    /// Answers and what was got: the operation's number. Confirms, refusals and returns: the publish's sequence number.
    pub op: u64,
    /// Deliveries, and consumers that were ended: which consumer.
    pub consumer: u64,
    /// Deliveries and what was got: the number to settle it by. Counts from 1 in each link, one by one in the outbox's
    /// order, also for those that are settled already.
    pub delivery: u64,
    /// Deliveries to a consumer that asked for them: the first binding that matched. Bindings: their number.
    pub binding: u64,
    /// Answers: messages in the queue that was declared; removed by a purge or deletion; requeued by a recovery. What was
    /// got: messages left in the queue.
    pub messages: u64,
    /// The answer to the declaration of a queue: its consumers.
    pub consumers: u64,
    /// Deliveries, what was got, returns: the message.
    pub message: Message,
    /// Deliveries: the other bindings that matched.
    pub more_bindings: RVec<u64>,
    /// Answers: the queue's name (declare, attach), or why not when `code` is not [`CODE_OK`]: the whole reply text, such as
    /// `NOT_FOUND - no queue 'q' in vhost '/'`. Other kinds: see there.
    pub text: RString,
    /// Bindings: their options. Notes: their value.
    pub data: Blob,
}

impl LinkEvent {
    /// The operation is done.
    #[must_use]
    pub fn done(op: u64) -> Self {
        Self { kind: EVENT_ANSWER, code: CODE_OK, op, ..Self::default() }
    }

    /// The operation was refused.
    #[must_use]
    pub fn failed(op: u64, code: u32, text: impl Into<RString>) -> Self {
        Self { kind: EVENT_ANSWER, code, op, text: text.into(), ..Self::default() }
    }

    /// A message for a consumer. `tag` is 0 where there is no session.
    #[must_use]
    pub fn delivery(consumer: u64, delivery: u64, flags: u32, tag: u32, message: Message) -> Self {
        Self {
            kind: EVENT_DELIVERY,
            code: CODE_OK,
            flags,
            tag,
            consumer,
            delivery,
            message,
            ..Self::default()
        }
    }

    /// The message that was asked for; `messages` are left.
    #[must_use]
    pub fn got(op: u64, delivery: u64, flags: u32, messages: u64, message: Message) -> Self {
        Self { kind: EVENT_GOT, code: CODE_OK, flags, op, delivery, messages, message, ..Self::default() }
    }

    /// Publishes up to this sequence number are taken care of.
    #[must_use]
    pub fn confirmed(sequence: u64) -> Self {
        Self { kind: EVENT_CONFIRMED, code: CODE_OK, op: sequence, ..Self::default() }
    }

    /// A publish was not taken.
    #[must_use]
    pub fn refused(sequence: u64, code: u32, text: impl Into<RString>) -> Self {
        Self { kind: EVENT_REFUSED, code, op: sequence, text: text.into(), ..Self::default() }
    }

    /// A mandatory publish reached no queue.
    #[must_use]
    pub fn returned(sequence: u64, message: Message) -> Self {
        let text = RString::from("NO_ROUTE");
        Self { kind: EVENT_RETURNED, code: CODE_NO_ROUTE, op: sequence, message, text, ..Self::default() }
    }

    /// A consumer was ended.
    #[must_use]
    pub fn cancelled(consumer: u64, code: u32, text: impl Into<RString>) -> Self {
        Self { kind: EVENT_CANCELLED, code, consumer, text: text.into(), ..Self::default() }
    }

    /// A binding of the session.
    #[must_use]
    pub fn binding(id: u64, routing_key: impl Into<RString>, options: Blob) -> Self {
        let text = routing_key.into();
        Self { kind: EVENT_BINDING, code: CODE_OK, binding: id, text, data: options, ..Self::default() }
    }

    /// A note of the session.
    #[must_use]
    pub fn note(key: impl Into<RString>, value: Blob) -> Self {
        Self { kind: EVENT_NOTE, code: CODE_OK, text: key.into(), data: value, ..Self::default() }
    }

    /// Publishers are blocked.
    #[must_use]
    pub fn blocked(reason: impl Into<RString>) -> Self {
        Self { kind: EVENT_BLOCKED, code: CODE_OK, text: reason.into(), ..Self::default() }
    }

    /// The peer may be read from again.
    #[must_use]
    pub fn unblocked() -> Self {
        Self { kind: EVENT_UNBLOCKED, code: CODE_OK, ..Self::default() }
    }

    /// The link or connection is gone.
    #[must_use]
    pub fn closed(code: u32, text: impl Into<RString>, flags: u32) -> Self {
        Self { kind: EVENT_CLOSED, code, flags, text: text.into(), ..Self::default() }
    }

    /// Whether a delivery is still to be settled.
    #[must_use]
    pub const fn is_unsettled(&self) -> bool {
        (self.kind == EVENT_DELIVERY || self.kind == EVENT_GOT) && self.flags & FLAG_SETTLED == 0
    }

    /// What it counts for where bytes are counted: body and properties of its message, text and data.
    #[must_use]
    pub fn weight(&self) -> u64 {
        let parts = self.message.parts();
        (parts.body.len() + parts.properties.len() + self.text.len() + self.data.as_slice().len()) as u64
    }
}
