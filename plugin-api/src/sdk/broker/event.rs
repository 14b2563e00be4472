//! What happens on a link or to a connection, in types.

use std::fmt;

use abi_stable::std_types::{RString, RVec, vec::IntoIter};

use crate::abi::{
    Blob, CODE_OK, EVENT_ANSWER, EVENT_BINDING, EVENT_BLOCKED, EVENT_CANCELLED, EVENT_CLOSED,
    EVENT_CONFIRMED, EVENT_DELIVERY, EVENT_GOT, EVENT_NOTE, EVENT_REFUSED, EVENT_RETURNED, EVENT_UNBLOCKED,
    FLAG_EMPTY, FLAG_EXISTED, FLAG_RECEIVED, FLAG_REDELIVERED, FLAG_RETAINED, FLAG_SETTLED, FLAG_TAKEN_OVER,
    LinkEvent, Message,
};

/// Why something was refused or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// An AMQP 0-9-1 reply code, as [`CODE_NOT_FOUND`](super::CODE_NOT_FOUND).
    pub code: u32,
    /// The whole reply text, such as `NOT_FOUND - no queue 'q' in vhost '/'`.
    pub text: RString,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.text, self.code)
    }
}

impl std::error::Error for Refusal {}

/// Something that happens on a link; [`Blocked`](Event::Blocked) and [`Unblocked`](Event::Unblocked) to a connection.
#[derive(Clone, Debug)]
pub enum Event {
    /// An operation is done or refused.
    Answer(Answer),
    /// A message for a consumer.
    Delivery(Delivery),
    /// Every publish up to and including this sequence number is taken care of, except those that were refused.
    Confirmed {
        /// The sequence number.
        sequence: u64,
    },
    /// A publish was not taken. [`CODE_RESOURCE_ERROR`](super::CODE_RESOURCE_ERROR) says that no queue had room; every other
    /// code is the publisher's mistake.
    Refused {
        /// Its sequence number.
        sequence: u64,
        /// Why.
        refusal: Refusal,
    },
    /// A mandatory publish reached no queue. Comes before its confirm.
    Returned {
        /// Its sequence number.
        sequence: u64,
        /// Why.
        refusal: Refusal,
        /// It, again.
        message: Message,
    },
    /// The host has ended a consumer.
    Cancelled {
        /// Which.
        consumer: u64,
        /// Why.
        refusal: Refusal,
    },
    /// A binding of the session that was attached.
    Binding {
        /// Its number.
        id: u64,
        /// Its routing key or pattern.
        routing_key: RString,
        /// What was kept with it.
        options: Blob,
    },
    /// A note of the session that was attached.
    Note {
        /// Its key.
        key: RString,
        /// Its value.
        value: Blob,
    },
    /// Publishers are blocked: read no more from a peer that publishes.
    Blocked {
        /// Why, as `low on memory`.
        reason: RString,
    },
    /// The peer may be read from again. May come unasked.
    Unblocked,
    /// The link or connection is gone. The last event.
    Closed {
        /// Why.
        refusal: Refusal,
        /// Whether another link has attached its session.
        taken_over: bool,
    },
}

/// What came of an operation.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The number that the operation was given.
    pub op: u64,
    /// How it went.
    pub result: Result<Done, Refusal>,
}

/// An operation that was done. What does not concern it is false, 0 or empty.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// Whether what was declared, deleted, bound, unbound or attached had been there.
    pub existed: bool,
    /// Ready messages of a queue that was declared; removed by a purge or deletion; requeued by a recovery; left after the
    /// one that was got.
    pub messages: u64,
    /// Consumers of a queue that was declared.
    pub consumers: u64,
    /// Name of the queue that was declared, or that the session has.
    pub name: RString,
    /// The message that was asked for; none when the queue is empty.
    pub got: Option<Box<Delivery>>,
    /// Whether the queue that was asked for a message is empty.
    pub empty: bool,
}

/// A message that has left its queue for this link.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The consumer that it is for; 0 for a message that was asked for.
    pub consumer: u64,
    /// The number to settle it by. Counts from 1 in each link.
    pub number: u64,
    /// For a session's deliveries that are to be settled: a number from 1 to 65535 that no other of them has, and that stays
    /// when the delivery is resumed. Otherwise 0.
    pub tag: u32,
    /// Whether it was delivered before.
    pub redelivered: bool,
    /// Whether it is there because a binding asked for retained messages.
    pub retained: bool,
    /// Whether [`SETTLE_RECEIVED`](super::SETTLE_RECEIVED) was settled on an earlier link, so that only the second phase is
    /// left.
    pub received: bool,
    /// Whether there is nothing to settle.
    pub settled: bool,
    /// The message.
    pub message: Message,
    binding: u64,
    more_bindings: RVec<u64>,
}

impl Delivery {
    /// Numbers of the bindings that it came through, for a consumer that asked for them.
    pub fn bindings(&self) -> impl Iterator<Item = u64> + '_ {
        std::iter::once(self.binding).filter(|id| *id != 0).chain(self.more_bindings.iter().copied())
    }
}

impl Event {
    /// The event in types; none when it is of a kind that this kit does not know.
    #[must_use]
    pub fn of(event: LinkEvent) -> Option<Self> {
        let sequence = event.op;
        Some(match event.kind {
            EVENT_DELIVERY => Self::Delivery(delivery(event)),
            EVENT_ANSWER | EVENT_GOT => Self::Answer(answer(event)),
            EVENT_CONFIRMED => Self::Confirmed { sequence },
            EVENT_REFUSED => Self::Refused { sequence, refusal: refusal(event.code, event.text) },
            EVENT_RETURNED => {
                Self::Returned { sequence, refusal: refusal(event.code, event.text), message: event.message }
            }
            EVENT_CANCELLED => {
                Self::Cancelled { consumer: event.consumer, refusal: refusal(event.code, event.text) }
            }
            EVENT_BINDING => {
                Self::Binding { id: event.binding, routing_key: event.text, options: event.data }
            }
            EVENT_NOTE => Self::Note { key: event.text, value: event.data },
            EVENT_BLOCKED => Self::Blocked { reason: event.text },
            EVENT_UNBLOCKED => Self::Unblocked,
            EVENT_CLOSED => Self::Closed {
                taken_over: event.flags & FLAG_TAKEN_OVER != 0,
                refusal: refusal(event.code, event.text),
            },
            _ => return None,
        })
    }
}

const fn refusal(code: u32, text: RString) -> Refusal {
    Refusal { code, text }
}

fn answer(event: LinkEvent) -> Answer {
    let op = event.op;
    if event.code != CODE_OK {
        return Answer { op, result: Err(refusal(event.code, event.text)) };
    }
    let mut done = Done {
        existed: event.flags & FLAG_EXISTED != 0,
        empty: event.flags & FLAG_EMPTY != 0,
        messages: event.messages,
        consumers: event.consumers,
        ..Done::default()
    };
    if event.kind == EVENT_GOT {
        done.got = Some(Box::new(delivery(event)));
    } else {
        done.name = event.text;
    }
    Answer { op, result: Ok(done) }
}

fn delivery(event: LinkEvent) -> Delivery {
    let is = |flag: u32| event.flags & flag != 0;
    Delivery {
        consumer: event.consumer,
        number: event.delivery,
        tag: event.tag,
        redelivered: is(FLAG_REDELIVERED),
        retained: is(FLAG_RETAINED),
        received: is(FLAG_RECEIVED),
        settled: is(FLAG_SETTLED),
        message: event.message,
        binding: event.binding,
        more_bindings: event.more_bindings,
    }
}

/// Events that were taken together, oldest first.
pub struct Events {
    taken: IntoIter<LinkEvent>,
}

impl Events {
    pub(super) fn new(taken: RVec<LinkEvent>) -> Self {
        Self { taken: taken.into_iter() }
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.taken.by_ref().find_map(Event::of)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.taken.size_hint().1)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({:?} at most)", self.taken.size_hint().1)
    }
}
