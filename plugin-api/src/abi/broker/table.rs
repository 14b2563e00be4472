//! The host's table of the service `broker`.

use abi_stable::StableAbi;
use abi_stable::std_types::{RResult, RSlice, RStr, RVec};

use super::super::{ApiError, Blob, Completion};
use super::{
    Accepted, Bind, Consume, Enter, ExchangeDeclare, LinkEvent, LinkOptions, Publish, QueueDeclare,
    SessionAttach, Settle,
};

/// The host's table of the service `broker`. Every function: any thread, from starting until stopped, never blocks.
///
/// Calls for one link are made by one thread at a time: their order is the order of the operations. Those for different
/// links may overlap, as may `take` with anything.
///
/// What a function with an `op` comes to is told by the event that answers it, except that it returns whether the caller is
/// *throttled*. On a link that is not open, or has stopped at an error, it does nothing, answers nothing and returns
/// false; so it does when the host panics, which then closes the link.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = BrokerVtRef, prefix_fields = BrokerVtPrefix)))]
#[sabi(missing_field(option))]
pub struct BrokerVt {
    /// Opens a connection. `info` is a JSON object, as for [`RequestsVt::open`](crate::abi::RequestsVt::open). Refused (429)
    /// when the instance has too many, (400) when `info` is no object, (409) when the id was used, (503) when the host is
    /// stopping.
    pub open: unsafe extern "C" fn(ctx: *const (), connection: u64, info: RStr<'_>) -> RResult<(), ApiError>,

    /// Gives a connection the identity that `credentials` prove, also anew. `mechanism` is the SASL mechanism's name: `PLAIN`
    /// (RFC 4616) or `ANONYMOUS`. Completes with status 200 and a JSON object with `user`, or with 401 and the reason as a
    /// response; the connection stays as it was then. Credentials are owned, and never logged.
    pub authenticate: unsafe extern "C" fn(
        ctx: *const (),
        connection: u64,
        mechanism: RStr<'_>,
        credentials: Blob,
        done: Completion,
    ),

    /// Takes a connection into a virtual host, once, before its first link. Completes with status 200 and a JSON object, or
    /// with the reason as a response: 404 when there is no such virtual host, 403 when the user may not, 409 when it has
    /// entered one. The message is AMQP's reply text.
    pub enter: unsafe extern "C" fn(ctx: *const (), connection: u64, enter: &Enter<'_>, done: Completion),

    /// Closes a connection with its links, and its exclusive queues. A session that is still attached ends as with a lost
    /// connection: its will is due. No more events come. Unknown ids are ignored. Cannot fail.
    pub close: unsafe extern "C" fn(ctx: *const (), connection: u64),

    /// Opens a link of a connection. Refused (404) when the connection is not open, (403) when it has entered no virtual host,
    /// (409) when the id was used, (429) when the connection has too many.
    pub open_link: unsafe extern "C" fn(
        ctx: *const (),
        connection: u64,
        link: u64,
        options: LinkOptions,
    ) -> RResult<(), ApiError>,

    /// Closes a link: its consumers end, its unsettled deliveries go back to their queues, and a session that is still attached
    /// ends as with a lost connection. No more events come. Unknown ids are ignored. Cannot fail.
    pub close_link: unsafe extern "C" fn(ctx: *const (), link: u64),

    /// Takes events that wait in the outbox of a link or connection, oldest first: `max_events` at most, and no more once they
    /// [weigh](LinkEvent::weight) more than `max_bytes`, but at least one. When fewer came, and lighter, none was left. Empty
    /// for an id that is not known. Owned by the caller.
    pub take:
        unsafe extern "C" fn(ctx: *const (), id: u64, max_events: u32, max_bytes: u64) -> RVec<LinkEvent>,

    /// Publishes messages, numbered from `first_sequence` on; numbers only grow on a link. What they come to is told by
    /// `EVENT_CONFIRMED` when confirms are on, and by `EVENT_REFUSED` and `EVENT_RETURNED` in any case. Everything is borrowed.
    /// A panic takes none, as with a link that is not open.
    pub publish: unsafe extern "C" fn(
        ctx: *const (),
        link: u64,
        first_sequence: u64,
        messages: RSlice<'_, Publish<'_>>,
    ) -> Accepted,

    /// Settles deliveries, in order. One that the link does not have unsettled is refused (406), and those behind it are not
    /// looked at. Answered when it is durable.
    pub settle: unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, settles: RSlice<'_, Settle>) -> bool,

    /// Publishes and settles as one: all of it or, when anything is refused, nothing. Answered when it is durable. Messages
    /// are numbered as by `publish`, but not confirmed one by one.
    pub commit: unsafe extern "C" fn(
        ctx: *const (),
        link: u64,
        op: u64,
        first_sequence: u64,
        messages: RSlice<'_, Publish<'_>>,
        settles: RSlice<'_, Settle>,
    ) -> bool,

    /// Turns confirms on or off. They are off at first. Concerns what is published from here on.
    pub confirm: unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, on: bool) -> bool,

    /// Puts all unsettled deliveries of the link back into their queues, to be redelivered. Answered with their number.
    pub recover: unsafe extern "C" fn(ctx: *const (), link: u64, op: u64) -> bool,

    /// Takes one message from a queue, settled at once with `no_ack`. Answered by `EVENT_GOT`, or with `FLAG_EMPTY`.
    pub get: unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, queue: RStr<'_>, no_ack: bool) -> bool,

    /// Declares an exchange.
    pub declare_exchange:
        unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, declare: &ExchangeDeclare<'_>) -> bool,

    /// Deletes an exchange; `flags` are `DELETE_` flags. One that is not there is deleted already: `FLAG_EXISTED` tells.
    pub delete_exchange:
        unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, name: RStr<'_>, flags: u32) -> bool,

    /// Declares a queue. Answered with its name, its ready messages and its consumers. Wherever else a queue is named on this
    /// link, the empty name is that of the queue that it declared last.
    pub declare_queue:
        unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, declare: &QueueDeclare<'_>) -> bool,

    /// Deletes a queue; `flags` are `DELETE_` flags. Answered with the number of messages that went with it; one that is not
    /// there is deleted already: `FLAG_EXISTED` tells.
    pub delete_queue:
        unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, name: RStr<'_>, flags: u32) -> bool,

    /// Removes the ready messages of a queue. Answered with their number.
    pub purge_queue: unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, name: RStr<'_>) -> bool,

    /// Makes a binding; `FLAG_EXISTED` when it was there.
    pub bind: unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, bind: &Bind<'_>) -> bool,

    /// Takes a binding away: the one of that number, or with the number 0 the one of that source, key and arguments.
    /// `FLAG_EXISTED` when it was there.
    pub unbind: unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, bind: &Bind<'_>) -> bool,

    /// Begins a consumer.
    pub consume: unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, consume: &Consume<'_>) -> bool,

    /// Ends a consumer. What it has unsettled can still be settled. One that is not there has ended already.
    pub cancel: unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, consumer: u64) -> bool,

    /// Sets how many deliveries, and how many bytes of bodies, a consumer may have unsettled at a time; the consumer 0 sets it
    /// for all consumers of the link together, beside what each has. 0 holds deliveries back.
    pub credit: unsafe extern "C" fn(
        ctx: *const (),
        link: u64,
        op: u64,
        consumer: u64,
        count: u32,
        bytes: u64,
    ) -> bool,

    /// Attaches a session to a link, which has none yet, and makes it when it is not there. Another link that has it is closed
    /// first (`FLAG_TAKEN_OVER`). Answered with the name of its queue, and `FLAG_EXISTED`; `EVENT_BINDING` and `EVENT_NOTE` tell
    /// what it has. Once its queue is consumed from, what was left unsettled comes first, in the old order and with the old
    /// tags, and counts as redelivered.
    pub attach_session:
        unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, session: &SessionAttach<'_>) -> bool,

    /// Detaches the link's session: its expiry is `expiry_secs` from here on, and its will is dropped unless
    /// [`DETACH_WITH_WILL`](super::DETACH_WITH_WILL). Its consumers end.
    pub detach_session:
        unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, flags: u32, expiry_secs: u32) -> bool,

    /// Keeps a value under a key with the link's session, or removes it when the value is empty. Answered when it is durable.
    pub note_session: unsafe extern "C" fn(
        ctx: *const (),
        link: u64,
        op: u64,
        key: RStr<'_>,
        value: RSlice<'_, u8>,
    ) -> bool,

    /// Forgets [dedupe keys](Publish::dedupe) of the link's session, so that they can be used anew. Answered when it is durable.
    pub forget: unsafe extern "C" fn(ctx: *const (), link: u64, op: u64, dedupe: RSlice<'_, u32>) -> bool,

    /// Waits until every request to the API that was published on the link before is answered, and its response routed.
    /// Completes with status 200, with 504 when that took longer than `timeout_ms`, with 404 when the link is not open. Also on
    /// a link that has stopped at an error.
    pub quiesce: unsafe extern "C" fn(ctx: *const (), link: u64, timeout_ms: u64, done: Completion),

    /// What the host limits: a JSON object of numbers, such as `max_message_bytes`, `max_links` per connection,
    /// `max_publish_batch`. A panic answers with empty bytes. Owned by the caller.
    #[sabi(last_prefix_field)]
    pub limits: unsafe extern "C" fn(ctx: *const ()) -> Blob,
}
