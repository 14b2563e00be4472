//! The numbers of the service `broker`.

/// [`LinkEvent::kind`](super::LinkEvent::kind): the operation `op` is done, or refused when `code` is not [`CODE_OK`].
pub const EVENT_ANSWER: u32 = 1;
/// A message for a consumer.
pub const EVENT_DELIVERY: u32 = 2;
/// The message that the `get` of number `op` asked for, and its answer.
pub const EVENT_GOT: u32 = 3;
/// Every publish up to and including the sequence `op` is taken care of, except those that were refused.
pub const EVENT_CONFIRMED: u32 = 4;
/// The publish of sequence `op` was not taken, for `code` and `text`. [`CODE_RESOURCE_ERROR`] says that no queue had room; it
/// is told only while confirms are on and never stops a link. Every other code is the publisher's mistake.
pub const EVENT_REFUSED: u32 = 5;
/// The publish of sequence `op`, which was [mandatory](PUBLISH_MANDATORY), reached no queue: here it is again. Comes before
/// its confirm.
pub const EVENT_RETURNED: u32 = 6;
/// The host has ended a consumer, as when its queue was deleted.
pub const EVENT_CANCELLED: u32 = 7;
/// A binding of the session that was attached: `binding` is its id, `text` its routing key, `data` its options.
pub const EVENT_BINDING: u32 = 8;
/// A note of the session that was attached: `text` is its key, `data` its value.
pub const EVENT_NOTE: u32 = 9;
/// In the outbox of a connection that publishes: publishers are blocked for the reason in `text`, as `low on memory`.
pub const EVENT_BLOCKED: u32 = 10;
/// In a connection's outbox: the peer may be read from again, after *throttled* or [`EVENT_BLOCKED`]. May come unasked.
pub const EVENT_UNBLOCKED: u32 = 11;
/// The last event of an outbox: the link or connection is gone, for `code` and `text`. With a connection all its links are
/// gone, and each is told.
pub const EVENT_CLOSED: u32 = 12;

/// [`LinkEvent::flags`](super::LinkEvent::flags): the message was delivered before.
pub const FLAG_REDELIVERED: u32 = 1;
/// The message is there because a binding asked for retained ones.
pub const FLAG_RETAINED: u32 = 2;
/// The delivery is resumed in its second phase: [`SETTLE_RECEIVED`] was settled, and only [`SETTLE_DONE`] is missing.
pub const FLAG_RECEIVED: u32 = 4;
/// There is nothing to settle.
pub const FLAG_SETTLED: u32 = 8;
/// What was declared, deleted, bound, unbound or attached had been there.
pub const FLAG_EXISTED: u32 = 16;
/// The queue that a `get` asked is empty.
pub const FLAG_EMPTY: u32 = 32;
/// The link was closed because another one has attached its session.
pub const FLAG_TAKEN_OVER: u32 = 64;

/// [`LinkOptions::flags`](super::LinkOptions::flags): after a refusal the link ignores everything until it is closed.
pub const LINK_STOPS_AT_ERROR: u32 = 1;

/// [`Publish::flags`](super::Publish::flags): is [returned](EVENT_RETURNED) when it reaches no queue.
pub const PUBLISH_MANDATORY: u32 = 1;
/// Becomes the retained message of its routing key, or removes it when the body is empty. Topic exchanges only; elsewhere
/// without effect.
pub const PUBLISH_RETAIN: u32 = 2;

/// [`MessageParts::flags`](super::MessageParts::flags): was published with [`PUBLISH_RETAIN`].
pub const MESSAGE_RETAIN: u32 = 1;

/// Flag of a declaration: it must be there; nothing is made.
pub const DECLARE_PASSIVE: u32 = 1;
/// It survives a restart.
pub const DECLARE_DURABLE: u32 = 2;
/// It goes with its last consumer (queue) or binding (exchange).
pub const DECLARE_AUTO_DELETE: u32 = 4;
/// Queues: belongs to the connection and goes with it.
pub const DECLARE_EXCLUSIVE: u32 = 8;
/// Exchanges: cannot be published to by clients.
pub const DECLARE_INTERNAL: u32 = 16;
/// Queues: an existing one of that name will do, whatever its properties.
pub const DECLARE_ANY: u32 = 32;

/// Flag of a deletion: only when it has no consumers (queue) or bindings (exchange).
pub const DELETE_IF_UNUSED: u32 = 1;
/// Queues: only when it holds no messages.
pub const DELETE_IF_EMPTY: u32 = 2;

/// [`Bind::flags`](super::Bind::flags): the destination is an exchange.
pub const BIND_TO_EXCHANGE: u32 = 1;
/// Not for what is published over the queue's own session or connection.
pub const BIND_NO_LOCAL: u32 = 2;
/// What a queue gets through such bindings only is delivered [settled](FLAG_SETTLED): it takes no credit, is not stored, and
/// is dropped while the queue has no consumer.
pub const BIND_AT_MOST_ONCE: u32 = 4;
/// A pattern that begins with a wildcard does not match keys that begin with `$`.
pub const BIND_HIDES_DOLLAR: u32 = 8;

/// [`Bind::retained`](super::Bind::retained): retained messages stay where they are.
pub const RETAINED_NONE: u32 = 0;
/// The queue gets the retained messages that match.
pub const RETAINED_ALWAYS: u32 = 1;
/// The queue gets them when the binding was not there before.
pub const RETAINED_IF_NEW: u32 = 2;

/// [`Consume::flags`](super::Consume::flags): deliveries are settled as they enter the outbox.
pub const CONSUME_NO_ACK: u32 = 1;
/// Nobody else may consume from the queue.
pub const CONSUME_EXCLUSIVE: u32 = 2;
/// Deliveries name the bindings that they came through.
pub const CONSUME_WITH_BINDINGS: u32 = 4;

/// [`Consume::overflow`](super::Consume::overflow): messages stay in the queue until there is room.
pub const OVERFLOW_WAIT: u32 = 0;
/// The message that finds no room is dropped.
pub const OVERFLOW_DROP_NEWEST: u32 = 1;
/// The message that has waited longest is dropped.
pub const OVERFLOW_DROP_OLDEST: u32 = 2;
/// The link is closed, with [`CODE_RESOURCE_ERROR`].
pub const OVERFLOW_CLOSE: u32 = 3;

/// A number of unsettled deliveries that is never reached.
pub const CREDIT_UNLIMITED: u32 = u32::MAX;
/// A number of bytes that is never reached.
pub const BYTES_UNLIMITED: u64 = u64::MAX;

/// [`Settle::outcome`](super::Settle::outcome): the first phase of two. The message is not delivered again; what is left to
/// resume is [`FLAG_RECEIVED`].
pub const SETTLE_RECEIVED: u32 = 1;
/// The message is gone from the queue.
pub const SETTLE_DONE: u32 = 2;
/// The message goes back to its place, and counts as redelivered.
pub const SETTLE_REQUEUE: u32 = 3;
/// The message is dead-lettered or dropped.
pub const SETTLE_REJECT: u32 = 4;

/// [`Settle::flags`](super::Settle::flags): all unsettled deliveries of the link up to and including that one; with the
/// delivery 0, all.
pub const SETTLE_MULTIPLE: u32 = 1;

/// Flag of a detachment: the will is published, as after a lost connection.
pub const DETACH_WITH_WILL: u32 = 1;

/// A session's expiry that never comes.
pub const EXPIRY_NEVER: u32 = u32::MAX;

/// Done.
pub const CODE_OK: u32 = 200;
/// A message is larger than messages may be (`CONTENT_TOO_LARGE`).
pub const CODE_CONTENT_TOO_LARGE: u32 = 311;
/// A message reached no queue (`NO_ROUTE`).
pub const CODE_NO_ROUTE: u32 = 312;
/// A message reached no consumer (`NO_CONSUMERS`).
pub const CODE_NO_CONSUMERS: u32 = 313;
/// The host has closed it (`CONNECTION_FORCED`).
pub const CODE_CONNECTION_FORCED: u32 = 320;
/// The user may not (`ACCESS_REFUSED`).
pub const CODE_ACCESS_REFUSED: u32 = 403;
/// There is no such thing (`NOT_FOUND`).
pub const CODE_NOT_FOUND: u32 = 404;
/// It belongs to another connection (`RESOURCE_LOCKED`).
pub const CODE_RESOURCE_LOCKED: u32 = 405;
/// It is there, but other than asked for (`PRECONDITION_FAILED`).
pub const CODE_PRECONDITION_FAILED: u32 = 406;
/// Properties or arguments cannot be read (`FRAME_ERROR`).
pub const CODE_FRAME_ERROR: u32 = 501;
/// An argument makes no sense (`SYNTAX_ERROR`).
pub const CODE_SYNTAX_ERROR: u32 = 502;
/// There is no such kind of thing (`COMMAND_INVALID`).
pub const CODE_COMMAND_INVALID: u32 = 503;
/// The link is not in a state for that (`CHANNEL_ERROR`).
pub const CODE_CHANNEL_ERROR: u32 = 504;
/// There is no room (`RESOURCE_ERROR`).
pub const CODE_RESOURCE_ERROR: u32 = 506;
/// It is forbidden (`NOT_ALLOWED`).
pub const CODE_NOT_ALLOWED: u32 = 530;
/// The broker cannot do that (`NOT_IMPLEMENTED`).
pub const CODE_NOT_IMPLEMENTED: u32 = 540;
/// The broker has failed (`INTERNAL_ERROR`).
pub const CODE_INTERNAL_ERROR: u32 = 541;
