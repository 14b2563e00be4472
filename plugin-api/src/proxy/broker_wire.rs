//! What the two halves say to each other of the broker.

use abi_stable::std_types::{RSlice, RStr, RString, RVec};

use super::wire::{Field, Input, Message, WireError, field_struct, messages, put_run};
use crate::abi::{
    self, Bind, Blob, Consume, LinkEvent, LinkOptions, MessageParts, Publish, SessionAttach, Settle,
};

messages! {
    /// From the plugin's side to the host's, always for one connection.
    #[derive(Clone, Debug)]
    enum BrokerCall {
        /// The connection was opened.
        1 Open { info: RString },
        /// The connection was closed.
        2 Close {},
        /// Credentials; asks for a reply.
        3 Authenticate { call: u64, mechanism: RString, credentials: Blob },
        /// A virtual host; asks for a reply.
        4 Enter { call: u64, virtual_host: RString, client: RString, info: RString },
        /// A link was opened.
        5 OpenLink { link: u64, options: LinkOptions },
        /// A link was closed.
        6 CloseLink { link: u64 },
        /// The plugin took so many events, with so many bytes, from that outbox: there is room for as many again.
        7 Taken { id: u64, events: u64, bytes: u64 },
        /// Messages, [packed](pack).
        8 Publish { link: u64, first_sequence: u64, messages: Blob },
        /// A publish or another operation that does not fit into a frame, to be refused in its place.
        9 TooLong { link: u64, op: u64, is_publish: bool, bytes: u64 },
        10 Settle { link: u64, op: u64, settles: Vec<Settle> },
        11 Commit { link: u64, op: u64, first_sequence: u64, messages: Blob, settles: Vec<Settle> },
        12 Confirm { link: u64, op: u64, on: bool },
        13 Recover { link: u64, op: u64 },
        14 Get { link: u64, op: u64, queue: RString, no_ack: bool },
        15 DeclareExchange { link: u64, op: u64, name: RString, kind: RString, flags: u32, arguments: Blob },
        16 DeleteExchange { link: u64, op: u64, name: RString, flags: u32 },
        17 DeclareQueue { link: u64, op: u64, name: RString, flags: u32, arguments: Blob },
        18 DeleteQueue { link: u64, op: u64, name: RString, flags: u32 },
        19 PurgeQueue { link: u64, op: u64, name: RString },
        20 Bind { link: u64, op: u64, bind: BindParts },
        21 Unbind { link: u64, op: u64, bind: BindParts },
        22 Consume { link: u64, op: u64, consume: ConsumeParts },
        23 Cancel { link: u64, op: u64, consumer: u64 },
        24 Credit { link: u64, op: u64, consumer: u64, count: u32, bytes: u64 },
        25 AttachSession { link: u64, op: u64, session: SessionParts },
        26 DetachSession { link: u64, op: u64, flags: u32, expiry_secs: u32 },
        27 NoteSession { link: u64, op: u64, key: RString, value: Blob },
        28 Forget { link: u64, op: u64, dedupe: Vec<u32> },
        /// Asks for a reply.
        29 Quiesce { call: u64, link: u64, timeout_ms: u64 },
    }
}

impl BrokerCall {
    /// The link that it is for; none when it is for the connection.
    pub(super) const fn link(&self) -> Option<u64> {
        match self {
            Self::Publish { link, .. }
            | Self::Settle { link, .. }
            | Self::Commit { link, .. }
            | Self::Confirm { link, .. }
            | Self::Recover { link, .. }
            | Self::Get { link, .. }
            | Self::DeclareExchange { link, .. }
            | Self::DeleteExchange { link, .. }
            | Self::DeclareQueue { link, .. }
            | Self::DeleteQueue { link, .. }
            | Self::PurgeQueue { link, .. }
            | Self::Bind { link, .. }
            | Self::Unbind { link, .. }
            | Self::Consume { link, .. }
            | Self::Cancel { link, .. }
            | Self::Credit { link, .. }
            | Self::AttachSession { link, .. }
            | Self::DetachSession { link, .. }
            | Self::NoteSession { link, .. }
            | Self::Forget { link, .. }
            | Self::Quiesce { link, .. }
            | Self::TooLong { link, .. }
            | Self::CloseLink { link, .. }
            | Self::OpenLink { link, .. } => Some(*link),
            Self::Open { .. }
            | Self::Close { .. }
            | Self::Authenticate { .. }
            | Self::Enter { .. }
            | Self::Taken { .. } => None,
        }
    }
}

messages! {
    /// From the host's side to the plugin's.
    #[derive(Clone, Debug)]
    enum BrokerNews {
        /// Events of an outbox, within what [`BrokerCall::Taken`] has made room for.
        1 Events { id: u64, events: Vec<LinkEvent> },
        /// The host refused a connection or link that was taken as open.
        2 Refused { id: u64, error: abi::ApiError },
        /// So many bytes of the connection's calls were handed to the host: there is room for as many again.
        3 Room { connection: u64, bytes: u64 },
        /// The host throttles the connection.
        4 Throttled { connection: u64 },
    }
}

/// Makes messages the last field of another message.
macro_rules! message_field {
    ($($name:ident)*) => {$(
        impl Field for $name {
            const MIN_BYTES: usize = 1;

            fn bytes(&self) -> usize {
                Message::bytes(self)
            }

            fn put(&self, out: &mut Vec<u8>) {
                Message::put(self, out);
            }

            fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
                Message::get(input)
            }
        }
    )*};
}

message_field!(BrokerCall BrokerNews);

/// An owned [`Bind`].
#[derive(Clone, Debug)]
pub(super) struct BindParts {
    id: u64,
    source: RString,
    destination: RString,
    routing_key: RString,
    arguments: Blob,
    options: Blob,
    retained: u32,
    flags: u32,
}

/// An owned [`Consume`].
#[derive(Clone, Debug)]
pub(super) struct ConsumeParts {
    consumer: u64,
    queue: RString,
    name: RString,
    flags: u32,
    overflow: u32,
    credit: u32,
    limit_events: u32,
    credit_bytes: u64,
    limit_bytes: u64,
    arguments: Blob,
}

/// An owned [`SessionAttach`].
#[derive(Clone, Debug)]
pub(super) struct SessionParts {
    name: RString,
    queue: RString,
    arguments: Blob,
    expiry_secs: u32,
    will_delay_secs: u32,
    durable: bool,
    clean: bool,
    has_will: bool,
    /// [Packed](pack).
    will: Blob,
}

field_struct!(LinkOptions { flags: u32, outbox_events: u32, outbox_bytes: u64 });
field_struct!(Settle { delivery: u64, outcome: u32, flags: u32 });

field_struct!(BindParts {
    id: u64,
    source: RString,
    destination: RString,
    routing_key: RString,
    arguments: Blob,
    options: Blob,
    retained: u32,
    flags: u32,
});

field_struct!(ConsumeParts {
    consumer: u64,
    queue: RString,
    name: RString,
    flags: u32,
    overflow: u32,
    credit: u32,
    limit_events: u32,
    credit_bytes: u64,
    limit_bytes: u64,
    arguments: Blob,
});

field_struct!(SessionParts {
    name: RString,
    queue: RString,
    arguments: Blob,
    expiry_secs: u32,
    will_delay_secs: u32,
    durable: bool,
    clean: bool,
    has_will: bool,
    will: Blob,
});

impl BindParts {
    pub(super) fn of(bind: &Bind<'_>) -> Self {
        Self {
            id: bind.id,
            source: bind.source.into(),
            destination: bind.destination.into(),
            routing_key: bind.routing_key.into(),
            arguments: bind.arguments.to_vec().into(),
            options: bind.options.to_vec().into(),
            retained: bind.retained,
            flags: bind.flags,
        }
    }

    pub(super) fn borrow(&self) -> Bind<'_> {
        Bind {
            id: self.id,
            source: self.source.as_rstr(),
            destination: self.destination.as_rstr(),
            routing_key: self.routing_key.as_rstr(),
            arguments: self.arguments.as_slice().into(),
            options: self.options.as_slice().into(),
            retained: self.retained,
            flags: self.flags,
        }
    }
}

impl ConsumeParts {
    pub(super) fn of(consume: &Consume<'_>) -> Self {
        Self {
            consumer: consume.consumer,
            queue: consume.queue.into(),
            name: consume.name.into(),
            flags: consume.flags,
            overflow: consume.overflow,
            credit: consume.credit,
            limit_events: consume.limit_events,
            credit_bytes: consume.credit_bytes,
            limit_bytes: consume.limit_bytes,
            arguments: consume.arguments.to_vec().into(),
        }
    }

    pub(super) fn borrow(&self) -> Consume<'_> {
        Consume {
            consumer: self.consumer,
            queue: self.queue.as_rstr(),
            name: self.name.as_rstr(),
            flags: self.flags,
            overflow: self.overflow,
            credit: self.credit,
            limit_events: self.limit_events,
            credit_bytes: self.credit_bytes,
            limit_bytes: self.limit_bytes,
            arguments: self.arguments.as_slice().into(),
        }
    }
}

impl SessionParts {
    pub(super) fn of(session: &SessionAttach<'_>) -> Self {
        Self {
            name: session.name.into(),
            queue: session.queue.into(),
            arguments: session.arguments.to_vec().into(),
            expiry_secs: session.expiry_secs,
            will_delay_secs: session.will_delay_secs,
            durable: session.durable,
            clean: session.clean,
            has_will: session.has_will,
            will: pack(std::slice::from_ref(&session.will)),
        }
    }

    pub(super) fn borrow(&self) -> Result<SessionAttach<'_>, WireError> {
        let will = unpack(self.will.as_slice())?.into_iter().next().ok_or(WireError::Truncated)?.publish;
        Ok(SessionAttach {
            name: self.name.as_rstr(),
            queue: self.queue.as_rstr(),
            arguments: self.arguments.as_slice().into(),
            expiry_secs: self.expiry_secs,
            will_delay_secs: self.will_delay_secs,
            durable: self.durable,
            clean: self.clean,
            has_will: self.has_will,
            will,
        })
    }
}

/// How many bytes a message takes in a [pack](pack).
pub(super) fn packed_bytes(publish: &Publish<'_>) -> usize {
    4 * 4
        + publish.exchange.len()
        + publish.routing_key.len()
        + publish.properties.len()
        + publish.body().len()
        + 4
        + 4
}

/// Messages one after the other, so that a batch costs one buffer and its reader copies nothing.
pub(super) fn pack(messages: &[Publish<'_>]) -> Blob {
    let mut out = Vec::with_capacity(messages.iter().map(packed_bytes).sum());
    for publish in messages {
        put_run(publish.exchange.as_bytes(), &mut out);
        put_run(publish.routing_key.as_bytes(), &mut out);
        put_run(&publish.properties, &mut out);
        put_run(publish.body(), &mut out);
        publish.flags.put(&mut out);
        publish.dedupe.put(&mut out);
    }
    out.into()
}

/// A message of a pack.
pub(super) struct Unpacked<'a> {
    pub(super) publish: Publish<'a>,
    /// Where the next one begins.
    pub(super) end: usize,
}

/// The messages of a pack.
pub(super) fn unpack(bytes: &[u8]) -> Result<Vec<Unpacked<'_>>, WireError> {
    let mut input = Input(bytes);
    let mut unpacked = Vec::new();
    while !input.0.is_empty() {
        let publish = Publish {
            exchange: text(&mut input)?,
            routing_key: text(&mut input)?,
            properties: input.run()?.into(),
            body: input.run()?.into(),
            shared: Blob::empty(),
            flags: u32::get(&mut input)?,
            dedupe: u32::get(&mut input)?,
        };
        unpacked.push(Unpacked { publish, end: bytes.len() - input.0.len() });
    }
    Ok(unpacked)
}

fn text<'a>(input: &mut Input<'a>) -> Result<RStr<'a>, WireError> {
    std::str::from_utf8(input.run()?).map(RStr::from).map_err(|_| WireError::Text)
}

/// A message, or none.
impl Field for abi::Message {
    const MIN_BYTES: usize = 1;

    fn bytes(&self) -> usize {
        if self.is_empty() {
            return 1;
        }
        let parts = self.parts();
        let runs = [parts.exchange.len(), parts.routing_key.len(), parts.properties.len(), parts.body.len()];
        1 + runs.iter().map(|run| 4 + run).sum::<usize>() + 8 + 8 + 4
    }

    fn put(&self, out: &mut Vec<u8>) {
        (!self.is_empty()).put(out);
        if self.is_empty() {
            return;
        }
        let parts = self.parts();
        put_run(parts.exchange.as_bytes(), out);
        put_run(parts.routing_key.as_bytes(), out);
        put_run(&parts.properties, out);
        put_run(&parts.body, out);
        parts.received_ms.put(out);
        parts.expires_ms.put(out);
        parts.flags.put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
        if !bool::get(input)? {
            return Ok(Self::empty());
        }
        let parts = MessageParts {
            exchange: text(input)?,
            routing_key: text(input)?,
            properties: RSlice::from(input.run()?),
            body: RSlice::from(input.run()?),
            received_ms: Field::get(input)?,
            expires_ms: Field::get(input)?,
            flags: Field::get(input)?,
        };
        Ok(Self::new(&parts))
    }
}

impl Field for RVec<u64> {
    const MIN_BYTES: usize = 4;

    fn bytes(&self) -> usize {
        4 + 8 * self.len()
    }

    fn put(&self, out: &mut Vec<u8>) {
        u32::try_from(self.len()).unwrap_or(u32::MAX).put(out);
        self.iter().for_each(|number| number.put(out));
    }

    fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
        Vec::get(input).map(Self::from)
    }
}

field_struct!(LinkEvent {
    kind: u32,
    code: u32,
    flags: u32,
    tag: u32,
    op: u64,
    consumer: u64,
    delivery: u64,
    binding: u64,
    messages: u64,
    consumers: u64,
    message: abi::Message,
    more_bindings: RVec<u64>,
    text: RString,
    data: Blob,
});
