//! What a session asks of the broker and of its shell.

use bytes::Bytes;
use bytestring::ByteString;

/// The consumer of the session's own queue. Those of shared subscriptions have higher numbers.
pub const SESSION_CONSUMER: u64 = 1;

/// Something to do, in the order of [`Session::poll_action`](super::Session::poll_action).
///
/// Each is one call of the broker's service; `op` is its number there, 0 when no answer is needed. All but the first three
/// concern the one link of the connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Check who the client is. Answered by [`Event::Authenticated`](super::Event::Authenticated).
    Authenticate(Credentials),
    /// Enter a virtual host. Answered by [`Event::Entered`](super::Event::Entered).
    Enter {
        /// `/` unless the user name had another before a colon.
        virtual_host: ByteString,
        /// The client identifier.
        client: ByteString,
    },
    /// Open the link, with confirms on.
    OpenLink,
    /// Take the session, or make it.
    Attach(Box<Attach>),
    /// Begin deliveries of a queue.
    Consume(Box<Consume>),
    /// End a consumer.
    Cancel {
        /// The number of the call.
        op: u64,
        /// Which.
        consumer: u64,
    },
    /// Bound the unsettled deliveries of all consumers of the link together.
    Credit {
        /// How many.
        count: u16,
    },
    /// Make the queue of a shared subscription, or find it, whatever its properties.
    DeclareQueue(Box<DeclareQueue>),
    /// Bind a queue to `amq.topic`.
    Bind(Box<Bind>),
    /// Remove a binding of the session's queue.
    Unbind {
        /// The number of the call.
        op: u64,
        /// The binding.
        id: u64,
        /// The session's queue.
        queue: ByteString,
    },
    /// Keep a value with the session; empty removes it. Not answered.
    Note {
        /// Its name: that of a shared subscription.
        key: ByteString,
        /// Its options, for [`Event::Note`](super::Event::Note).
        value: Bytes,
    },
    /// Publish to `amq.topic`.
    Publish(PublishBatch),
    /// Settle deliveries. An answer, where `op` asks for one, is due when it is durable.
    Settle {
        /// The number of the call.
        op: u64,
        /// What is settled, in order.
        settlements: Vec<Settlement>,
    },
    /// Forget the dedupe keys of messages that were published with QoS 2: the client has released them. Answered when it is
    /// durable.
    Forget {
        /// The number of the call.
        op: u64,
        /// Packet identifiers.
        keys: Vec<u16>,
    },
    /// The client has left in order; the session is given up by this link. Not answered: [`Action::Close`] follows.
    Detach {
        /// Whether the will is published nevertheless.
        with_will: bool,
        /// How long the session lives on, in seconds.
        expiry_secs: u32,
    },
    /// Write what [`Session::output`](super::Session::output) holds, close the socket and the broker's connection. A session
    /// that was not detached before is one whose connection was lost, and its will is due.
    Close,
}

/// Who the client says that it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing: the anonymous user.
    Anonymous,
    /// User name and password.
    Plain {
        /// Without the virtual host.
        user: ByteString,
        /// As it came.
        password: Bytes,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credentials::Anonymous => f.write_str("Anonymous"),
            // A password reaches no log.
            Credentials::Plain { user, .. } => write!(f, "Plain {{ user: {user:?} }}"),
        }
    }
}

/// The session that a client wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Attach {
    /// The number of the call. Its answer says whether the session was there, then its bindings and notes follow.
    pub op: u64,
    /// The client identifier: the session's name in its virtual host.
    pub name: ByteString,
    /// The name of its queue, when it is made.
    pub queue: ByteString,
    /// How long it outlives the connection, in seconds; 0 not at all; [`EXPIRY_NEVER`](super::EXPIRY_NEVER).
    pub expiry_secs: u32,
    /// Whether it survives a restart: when it outlives its connection.
    pub durable: bool,
    /// Whether one that is there is thrown away.
    pub clean: bool,
    /// What is published when the connection is lost.
    pub will: Option<WillMessage>,
}

/// A will.
#[derive(Debug, Clone, PartialEq)]
pub struct WillMessage {
    /// The message.
    pub publish: Publish,
    /// How long the broker waits for the client to come back, in seconds.
    pub delay_secs: u32,
}

/// A consumer. Deliveries of the session's queue name the bindings that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consume {
    /// The number of the call.
    pub op: u64,
    /// [`SESSION_CONSUMER`] or higher.
    pub consumer: u64,
    /// The queue.
    pub queue: ByteString,
    /// Whether deliveries need no settlement: a shared subscription of QoS 0.
    pub no_ack: bool,
    /// Unsettled deliveries at most.
    pub credit: u16,
    /// What may wait in the outbox without credit, the newest being dropped: events.
    pub limit_events: u32,
    /// As `limit_events`, in bytes.
    pub limit_bytes: u64,
}

/// The queue of a shared subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclareQueue {
    /// The number of the call.
    pub op: u64,
    /// Its name.
    pub name: ByteString,
    /// Whether it outlives its consumers, and then how long unused, in milliseconds (`x-expires`); else it goes with the
    /// last of them.
    pub expires_ms: Option<u64>,
}

/// A subscription, as the broker sees it. A binding key that begins with a wildcard is never to match routing keys that
/// begin with `$` (`[MQTT-4.7.2-1]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The number of the call.
    pub op: u64,
    /// The binding, for [`Delivery::binding`](super::Delivery::binding). Binding under an id again replaces it.
    pub id: u64,
    /// The queue.
    pub queue: ByteString,
    /// The binding key.
    pub routing_key: ByteString,
    /// Kept with the binding, for [`Event::Binding`](super::Event::Binding).
    pub options: Bytes,
    /// Which retained messages come.
    pub retained: Retained,
    /// Whether the session's own messages are left out.
    pub no_local: bool,
    /// Whether what comes through it needs no settlement (QoS 0).
    pub at_most_once: bool,
}

/// Which retained messages a binding brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retained {
    /// None.
    None,
    /// All that match.
    Always,
    /// All that match, when the binding was not there.
    IfNew,
}

/// Messages with consecutive sequence numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishBatch {
    /// The sequence number of the first.
    pub first_sequence: u64,
    /// At least one.
    pub messages: Vec<Publish>,
}

/// A message for `amq.topic`.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// The routing key.
    pub routing_key: ByteString,
    /// Content-header properties of AMQP 0-9-1, from the property flags on.
    pub properties: Bytes,
    /// The message.
    pub body: Bytes,
    /// Whether it becomes the retained message of its key (empty: removes it).
    pub retain: bool,
    /// Whether the client is told when it reaches no queue.
    pub mandatory: bool,
    /// The key under which the session's broker remembers it, so that it is taken once; 0 for none.
    pub dedupe: u16,
}

/// The end of one delivery, or of its first phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// [`Delivery::delivery`](super::Delivery::delivery).
    pub delivery: u64,
    /// How.
    pub outcome: Outcome,
}

/// How a delivery is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The client has it and must still be told that it may forget the packet identifier.
    Received,
    /// It is gone.
    Done,
    /// Back to its place in the queue.
    Requeue,
    /// The client, or MQTT, cannot take it.
    Reject,
}
