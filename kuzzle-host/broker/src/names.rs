//! Names that the broker itself gives or keeps: those of AMQP 0-9-1 and of the clients that know it by heart. They are
//! part of what clients send and bind to, so they stand here and nowhere else in the broker.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::exchange::ExchangeKind;

/// Names of queues and exchanges that begin so are the broker's own.
pub(crate) const RESERVED_PREFIX: &str = "amq.";

/// What operators call the default exchange, whose own name is empty, where a name has to be written.
pub const DEFAULT_EXCHANGE: &str = "amq.default";

/// Whether a name is the broker's own: the default exchange's, or one that clients cannot declare.
#[must_use]
pub fn is_reserved_name(name: &str) -> bool {
    name.is_empty() || name.starts_with(RESERVED_PREFIX)
}

/// Exchanges that are there from the start: name, kind, and whether clients may not publish to it.
pub(crate) const PREDECLARED: [(&str, ExchangeKind, bool); 7] = [
    ("", ExchangeKind::Direct, false),
    ("amq.direct", ExchangeKind::Direct, false),
    ("amq.fanout", ExchangeKind::Fanout, false),
    ("amq.topic", ExchangeKind::Topic, false),
    ("amq.headers", ExchangeKind::Headers, false),
    ("amq.match", ExchangeKind::Headers, false),
    ("amq.rabbitmq.trace", ExchangeKind::Topic, true),
];

/// The pseudo-queue of direct replies.
pub(crate) const DIRECT_REPLY: &str = "amq.rabbitmq.reply-to";

/// 22 characters of URL-safe base64 that nobody can guess.
pub(crate) fn random() -> String {
    URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes())
}

/// A name for a queue whose declaration names none: `amq.gen-<22 characters>`.
pub(crate) fn queue() -> String {
    format!("{RESERVED_PREFIX}gen-{}", random())
}

/// A name for a consumer whose client names none: `amq.ctag-<22 characters>`.
pub(crate) fn consumer() -> String {
    format!("{RESERVED_PREFIX}ctag-{}", random())
}
