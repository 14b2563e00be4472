//! What crosses by value: all of it frozen for the major version, and all that has a lifetime borrowed for the call.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

use super::super::Blob;

/// How long [`Bind::options`] may be, in bytes.
pub const BIND_OPTIONS_MAX: usize = 1024;

/// A message to publish.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct Publish<'a> {
    /// The exchange; empty is the default one.
    pub exchange: RStr<'a>,
    /// The routing key.
    pub routing_key: RStr<'a>,
    /// Properties: an AMQP 0-9-1 content header from the property flags on (4.2.6.1). Empty is the same as no property.
    pub properties: RSlice<'a, u8>,
    /// The body, copied by the host.
    pub body: RSlice<'a, u8>,
    /// The body when `body` is empty: shared with the host instead of copied, as is worth it for a large one.
    pub shared: Blob,
    /// `PUBLISH_` flags.
    pub flags: u32,
    /// Other than 0: a key of the link's session. A message whose key is remembered is not routed again, and confirmed as
    /// the first one; [`forget`](super::BrokerVt::forget) ends that. Remembered as durably as the message.
    pub dedupe: u32,
}

/// How much of a batch was taken.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// How many messages, from the first. What was not taken is to be published again with the same sequence numbers once
    /// the connection is unblocked; when `throttled` is false, the link is not open any more, and it never will be.
    pub taken: u32,
    /// Whether to stop reading from the peer until the connection is unblocked.
    pub throttled: bool,
}

/// What became of a delivery.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The delivery's number in its link.
    pub delivery: u64,
    /// One of the `SETTLE_` outcomes.
    pub outcome: u32,
    /// [`SETTLE_MULTIPLE`](super::SETTLE_MULTIPLE), or 0.
    pub flags: u32,
}

/// Where a connection goes once it is known who it is.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Enter<'a> {
    /// The virtual host, as `/`.
    pub virtual_host: RStr<'a>,
    /// The client's own name or id, or empty. Shown to operators; the API falls back on it where a request to it names no
    /// client. Gives no rights.
    pub client: RStr<'a>,
    /// More to show: a JSON object that adds to that of `open`, or empty.
    pub info: RStr<'a>,
}

/// What a link is opened with.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct LinkOptions {
    /// [`LINK_STOPS_AT_ERROR`](super::LINK_STOPS_AT_ERROR), or 0.
    pub flags: u32,
    /// How many deliveries may wait in its outbox; 0 leaves it to the host, which also has a limit.
    pub outbox_events: u32,
    /// How many bytes of them; 0 leaves it to the host.
    pub outbox_bytes: u64,
}

/// An exchange to declare.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct ExchangeDeclare<'a> {
    /// Its name.
    pub name: RStr<'a>,
    /// Its type: `direct`, `fanout`, `topic` or `headers`.
    pub kind: RStr<'a>,
    /// `DECLARE_` flags.
    pub flags: u32,
    /// The bytes of an AMQP field table without its length; empty for none.
    pub arguments: RSlice<'a, u8>,
}

/// A queue to declare.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct QueueDeclare<'a> {
    /// Its name; empty asks the host for one.
    pub name: RStr<'a>,
    /// `DECLARE_` flags.
    pub flags: u32,
    /// As for exchanges.
    pub arguments: RSlice<'a, u8>,
}

/// A binding to make or to take away.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Bind<'a> {
    /// Other than 0: the caller's number for it, unlike that of any other binding of the queue; binding again under a
    /// number replaces pattern, options and flags. With 0, a binding is known by source, key and arguments, as in AMQP.
    pub id: u64,
    /// The exchange that messages come from.
    pub source: RStr<'a>,
    /// The queue, or exchange, that they go to.
    pub destination: RStr<'a>,
    /// The routing key or pattern.
    pub routing_key: RStr<'a>,
    /// As for exchanges.
    pub arguments: RSlice<'a, u8>,
    /// What the caller wants to know again when its session is attached; at most [`BIND_OPTIONS_MAX`] bytes. Kept with the
    /// binding and not looked into.
    pub options: RSlice<'a, u8>,
    /// One of the `RETAINED_` choices. The retained messages are found in one step with the binding: a message that is
    /// published meanwhile is neither missed nor delivered twice.
    pub retained: u32,
    /// `BIND_` flags.
    pub flags: u32,
}

/// A consumer to begin.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Consume<'a> {
    /// The caller's number for it, in its link; not 0.
    pub consumer: u64,
    /// The queue.
    pub queue: RStr<'a>,
    /// Its name, as AMQP's consumer tag. Shown to operators.
    pub name: RStr<'a>,
    /// `CONSUME_` flags.
    pub flags: u32,
    /// One of the `OVERFLOW_` choices, for deliveries that take no credit.
    pub overflow: u32,
    /// How many deliveries may be unsettled at a time; 0 holds all back until [`credit`](super::BrokerVt::credit).
    pub credit: u32,
    /// How many deliveries that take no credit may wait in the outbox; 0 leaves it to the host.
    pub limit_events: u32,
    /// How many bytes of bodies may be unsettled at a time; one message may go beyond.
    pub credit_bytes: u64,
    /// How many bytes of deliveries that take no credit may wait in the outbox; 0 leaves it to the host.
    pub limit_bytes: u64,
    /// As for exchanges: `x-priority` and the like.
    pub arguments: RSlice<'a, u8>,
}

/// A session to attach to a link, and to make when it is not there.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct SessionAttach<'a> {
    /// Its name, unlike that of any other session of the virtual host.
    pub name: RStr<'a>,
    /// Name of its queue, for when it is made.
    pub queue: RStr<'a>,
    /// As for exchanges: arguments of its queue, for when it is made.
    pub arguments: RSlice<'a, u8>,
    /// How long it outlives its link, in seconds: 0 for not at all, or [`EXPIRY_NEVER`](super::EXPIRY_NEVER).
    pub expiry_secs: u32,
    /// How long its will waits once the link has ended without a detachment, in seconds. Attaching it again in time drops
    /// the will.
    pub will_delay_secs: u32,
    /// Whether it survives a restart.
    pub durable: bool,
    /// Whether one that is there is thrown away first.
    pub clean: bool,
    /// Whether `will` means something.
    pub has_will: bool,
    /// What is published when its link ends without a detachment.
    pub will: Publish<'a>,
}

impl<'a> Publish<'a> {
    /// A message of `body` without properties.
    #[must_use]
    pub fn new(exchange: &'a str, routing_key: &'a str, body: &'a [u8]) -> Self {
        Self {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            properties: RSlice::EMPTY,
            body: body.into(),
            shared: Blob::empty(),
            flags: 0,
            dedupe: 0,
        }
    }

    /// The body, wherever it is.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        if self.body.is_empty() { self.shared.as_slice() } else { self.body.as_slice() }
    }
}

impl Settle {
    /// One delivery with one outcome.
    #[must_use]
    pub const fn one(delivery: u64, outcome: u32) -> Self {
        Self { delivery, outcome, flags: 0 }
    }
}

impl<'a> Enter<'a> {
    /// A virtual host, with a client that says no more of itself.
    #[must_use]
    pub fn new(virtual_host: &'a str, client: &'a str) -> Self {
        Self { virtual_host: virtual_host.into(), client: client.into(), info: RStr::empty() }
    }
}

impl<'a> ExchangeDeclare<'a> {
    /// An exchange without arguments.
    #[must_use]
    pub fn new(name: &'a str, kind: &'a str, flags: u32) -> Self {
        Self { name: name.into(), kind: kind.into(), flags, arguments: RSlice::EMPTY }
    }
}

impl<'a> QueueDeclare<'a> {
    /// A queue without arguments.
    #[must_use]
    pub fn new(name: &'a str, flags: u32) -> Self {
        Self { name: name.into(), flags, arguments: RSlice::EMPTY }
    }
}

impl<'a> Bind<'a> {
    /// A binding of a queue without number, arguments and options.
    #[must_use]
    pub fn new(source: &'a str, destination: &'a str, routing_key: &'a str) -> Self {
        Self {
            id: 0,
            source: source.into(),
            destination: destination.into(),
            routing_key: routing_key.into(),
            arguments: RSlice::EMPTY,
            options: RSlice::EMPTY,
            retained: super::RETAINED_NONE,
            flags: 0,
        }
    }
}

impl<'a> Consume<'a> {
    /// A consumer with `credit` for that many messages of any size, and no flags.
    #[must_use]
    pub fn new(consumer: u64, queue: &'a str, credit: u32) -> Self {
        Self {
            consumer,
            queue: queue.into(),
            name: RStr::empty(),
            flags: 0,
            overflow: super::OVERFLOW_WAIT,
            credit,
            limit_events: 0,
            credit_bytes: super::BYTES_UNLIMITED,
            limit_bytes: 0,
            arguments: RSlice::EMPTY,
        }
    }
}

impl<'a> SessionAttach<'a> {
    /// A session that ends with its link, is not durable and has no will.
    #[must_use]
    pub fn new(name: &'a str, queue: &'a str) -> Self {
        Self {
            name: name.into(),
            queue: queue.into(),
            arguments: RSlice::EMPTY,
            expiry_secs: 0,
            will_delay_secs: 0,
            durable: false,
            clean: false,
            has_will: false,
            will: Publish::new("", "", &[]),
        }
    }
}
