//! What a session is told by the broker.

use std::time::Duration;

/// An event of the broker.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// [`Action::Authenticate`](super::Action::Authenticate) is done: 200, or the status of the refusal.
    Authenticated {
        /// 200, 401, 403, 429, 503, ..
        status: u16,
    },
    /// [`Action::Enter`](super::Action::Enter) is done: 200, or the code of the refusal.
    Entered {
        /// 200, 403, 404, 530, ..
        code: u16,
    },
    /// A call with that number is done, or refused with an AMQP reply code.
    Answer {
        /// The number.
        op: u64,
        /// 200, or why not.
        code: u16,
        /// Whether what was made, bound, unbound or attached was there before.
        existed: bool,
        /// The queue of an attached session; with another code than 200, why.
        text: &'a str,
    },
    /// A binding of the session that was attached.
    Binding {
        /// [`Bind::id`](super::Bind::id).
        id: u64,
        /// [`Bind::routing_key`](super::Bind::routing_key).
        routing_key: &'a str,
        /// [`Bind::options`](super::Bind::options).
        options: &'a [u8],
    },
    /// A note of the session that was attached.
    Note {
        /// Its name.
        key: &'a str,
        /// Its value.
        value: &'a [u8],
    },
    /// A message.
    Delivery(Delivery<'a>),
    /// Publishes up to this sequence number are taken care of, but for those refused.
    Confirmed {
        /// The sequence number.
        up_to: u64,
    },
    /// A publish was not taken.
    Refused {
        /// Its sequence number.
        sequence: u64,
        /// An AMQP reply code.
        code: u16,
        /// Why.
        text: &'a str,
    },
    /// A mandatory publish reached no queue; its confirmation follows.
    Returned {
        /// Its sequence number.
        sequence: u64,
    },
    /// A consumer has ended by the broker's doing.
    Cancelled {
        /// Which.
        consumer: u64,
    },
    /// The broker takes no more for now: the client is not read from until [`Event::Unblocked`].
    Throttled,
    /// The broker takes messages again.
    Unblocked,
    /// The link is gone.
    Closed {
        /// An AMQP reply code.
        code: u16,
        /// Whether another connection has attached the session.
        taken_over: bool,
    },
}

/// A message on its way to the client, borrowed from the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Names it in a [`Settlement`](super::Settlement).
    pub delivery: u64,
    /// The consumer.
    pub consumer: u64,
    /// Its tag in the session: the packet identifier. 0 when it has none.
    pub tag: u16,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// Whether a new subscription brought it (a retained message).
    pub retained: bool,
    /// Whether its first phase is settled: the client has it, and PUBREL is due.
    pub received: bool,
    /// Whether nothing is to be settled.
    pub settled: bool,
    /// The first binding of the session's queue that matched, 0 for none.
    pub binding: u64,
    /// The others that matched.
    pub more_bindings: &'a [u64],
    /// The routing key.
    pub routing_key: &'a str,
    /// Content-header properties of AMQP 0-9-1, from the property flags on.
    pub properties: &'a [u8],
    /// The message.
    pub body: &'a [u8],
    /// Whether it was published with the retain flag.
    pub published_retained: bool,
    /// The time until it expires.
    pub expires_in: Option<Duration>,
}
