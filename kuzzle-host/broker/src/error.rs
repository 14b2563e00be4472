//! Why the broker refuses: a code of the reply-code table of AMQP 0-9-1 and a text that names what was found.

use std::fmt;

/// Reply codes of AMQP 0-9-1 (section 1.2, "constants"), as far as the broker itself answers with them.
///
/// Other protocols map them to their own: a front end matches on the variant, never on the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// 312: a mandatory message reached no queue.
    NoRoute,
    /// 320: an operator or a takeover ended the link.
    ConnectionForced,
    /// 403: a name that is reserved, a queue in exclusive use, an internal exchange.
    AccessRefused,
    /// 404: no such virtual host, exchange, queue, session or consumer.
    NotFound,
    /// 405: the queue belongs to another connection.
    ResourceLocked,
    /// 406: arguments differ from those of the first declaration, or are invalid; an unknown delivery.
    PreconditionFailed,
    /// 501: properties that are not encoded as AMQP 0-9-1 has it.
    FrameError,
    /// 503: an unknown kind of exchange.
    CommandInvalid,
    /// 506: a limit of the broker is reached: a queue that refuses more, memory, the disk.
    ResourceError,
    /// 530: a consumer id that is taken; an unknown virtual host.
    NotAllowed,
    /// 541: the journal cannot be read.
    InternalError,
}

impl Code {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        match self {
            Code::NoRoute => 312,
            Code::ConnectionForced => 320,
            Code::AccessRefused => 403,
            Code::NotFound => 404,
            Code::ResourceLocked => 405,
            Code::PreconditionFailed => 406,
            Code::FrameError => 501,
            Code::CommandInvalid => 503,
            Code::ResourceError => 506,
            Code::NotAllowed => 530,
            Code::InternalError => 541,
        }
    }

    /// The name, as it stands before the detail: `NOT_FOUND`.
    pub fn name(self) -> &'static str {
        match self {
            Code::NoRoute => "NO_ROUTE",
            Code::ConnectionForced => "CONNECTION_FORCED",
            Code::AccessRefused => "ACCESS_REFUSED",
            Code::NotFound => "NOT_FOUND",
            Code::ResourceLocked => "RESOURCE_LOCKED",
            Code::PreconditionFailed => "PRECONDITION_FAILED",
            Code::FrameError => "FRAME_ERROR",
            Code::CommandInvalid => "COMMAND_INVALID",
            Code::ResourceError => "RESOURCE_ERROR",
            Code::NotAllowed => "NOT_ALLOWED",
            Code::InternalError => "INTERNAL_ERROR",
        }
    }
}

/// A refusal. `Display` gives the text that client libraries print: `NOT_FOUND - no queue 'x' in vhost '/'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What kind of refusal.
    pub code: Code,
    /// What was found and expected, without the name of the code.
    pub detail: String,
}

impl Error {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(crate) fn no_queue(name: &str, vhost: &str) -> Self {
        Self::new(Code::NotFound, format!("no queue '{name}' in vhost '{vhost}'"))
    }

    pub(crate) fn no_exchange(name: &str, vhost: &str) -> Self {
        Self::new(Code::NotFound, format!("no exchange '{name}' in vhost '{vhost}'"))
    }

    pub(crate) fn default_exchange() -> Self {
        Self::new(Code::AccessRefused, "operation not permitted on the default exchange")
    }

    pub(crate) fn exclusive_use(queue: &str, vhost: &str) -> Self {
        Self::new(Code::AccessRefused, format!("queue '{queue}' in vhost '{vhost}' in exclusive use"))
    }

    pub(crate) fn locked(queue: &str, vhost: &str) -> Self {
        Self::new(
            Code::ResourceLocked,
            format!(
                "cannot obtain exclusive access to locked queue '{queue}' in vhost '{vhost}'. It could be \
                 originally declared on another connection or the exclusive property value does not match that \
                 of the original declaration."
            ),
        )
    }

    pub(crate) fn precondition(detail: impl Into<String>) -> Self {
        Self::new(Code::PreconditionFailed, detail)
    }

    pub(crate) fn unknown_delivery(delivery: u64) -> Self {
        Self::precondition(format!("unknown delivery tag {delivery}"))
    }

    pub(crate) fn closed() -> Self {
        Self::new(Code::ConnectionForced, "the link is closed")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} - {}", self.code.name(), self.detail)
    }
}

impl std::error::Error for Error {}
