//! What is wrong and who is told: reply codes, reply texts, and how octets are shown in them.

use std::fmt::{self, Write as _};

use super::actions::Ending;

/// Reply codes (specification 1.2 and RabbitMQ's).
pub mod code {
    /// All is well.
    pub const OK: u16 = 200;
    /// Contents are too large.
    pub const CONTENT_TOO_LARGE: u16 = 311;
    /// A mandatory message reached no queue.
    pub const NO_ROUTE: u16 = 312;
    /// Nobody was there to take a message at once.
    pub const NO_CONSUMERS: u16 = 313;
    /// An operator closed the connection.
    pub const CONNECTION_FORCED: u16 = 320;
    /// A path that is none.
    pub const INVALID_PATH: u16 = 402;
    /// The user may not.
    pub const ACCESS_REFUSED: u16 = 403;
    /// There is no such thing.
    pub const NOT_FOUND: u16 = 404;
    /// Somebody else has it.
    pub const RESOURCE_LOCKED: u16 = 405;
    /// It is not as it would have to be.
    pub const PRECONDITION_FAILED: u16 = 406;
    /// Bytes that are no frame or method.
    pub const FRAME_ERROR: u16 = 501;
    /// A value that cannot be.
    pub const SYNTAX_ERROR: u16 = 502;
    /// A method that is not served.
    pub const COMMAND_INVALID: u16 = 503;
    /// A method for a channel in another state.
    pub const CHANNEL_ERROR: u16 = 504;
    /// A frame that is not the next.
    pub const UNEXPECTED_FRAME: u16 = 505;
    /// The server has not enough of something.
    pub const RESOURCE_ERROR: u16 = 506;
    /// Against the rules.
    pub const NOT_ALLOWED: u16 = 530;
    /// Not made.
    pub const NOT_IMPLEMENTED: u16 = 540;
    /// The server's own fault.
    pub const INTERNAL_ERROR: u16 = 541;

    /// The code's name, as reply texts begin with it; `None` for a code that is not AMQP's.
    #[must_use]
    pub fn name(code: u16) -> Option<&'static str> {
        Some(match code {
            CONTENT_TOO_LARGE => "CONTENT_TOO_LARGE",
            NO_ROUTE => "NO_ROUTE",
            NO_CONSUMERS => "NO_CONSUMERS",
            CONNECTION_FORCED => "CONNECTION_FORCED",
            INVALID_PATH => "INVALID_PATH",
            ACCESS_REFUSED => "ACCESS_REFUSED",
            NOT_FOUND => "NOT_FOUND",
            RESOURCE_LOCKED => "RESOURCE_LOCKED",
            PRECONDITION_FAILED => "PRECONDITION_FAILED",
            FRAME_ERROR => "FRAME_ERROR",
            SYNTAX_ERROR => "SYNTAX_ERROR",
            COMMAND_INVALID => "COMMAND_INVALID",
            CHANNEL_ERROR => "CHANNEL_ERROR",
            UNEXPECTED_FRAME => "UNEXPECTED_FRAME",
            RESOURCE_ERROR => "RESOURCE_ERROR",
            NOT_ALLOWED => "NOT_ALLOWED",
            NOT_IMPLEMENTED => "NOT_IMPLEMENTED",
            INTERNAL_ERROR => "INTERNAL_ERROR",
            _ => return None,
        })
    }

    /// Whether the code ends the connection rather than the channel.
    #[must_use]
    pub fn ends_connection(code: u16) -> bool {
        matches!(code, CONNECTION_FORCED | INVALID_PATH | FRAME_ERROR..)
    }
}

/// Octets of the longest reply text.
const TEXT_MAX: usize = 255;

/// A method that failed: its class and number; `(0, 0)` when none did.
pub(super) type MethodId = (u16, u16);

/// Why a channel or a connection is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) code: u16,
    pub(super) text: String,
    pub(super) method: MethodId,
}

impl Reason {
    /// `detail` behind the code's name.
    pub(super) fn new(code: u16, method: MethodId, detail: impl fmt::Display) -> Reason {
        let name = code::name(code).unwrap_or("INTERNAL_ERROR");
        Reason::told(code, method, &format!("{name} - {detail}"))
    }

    /// A text that is whole, as the broker gives it; cut to what fits a short string.
    pub(super) fn told(code: u16, method: MethodId, text: &str) -> Reason {
        let text = if text.len() > TEXT_MAX {
            format!("{}...", &text[..text.floor_char_boundary(TEXT_MAX - 3)])
        } else {
            text.to_owned()
        };
        Reason { code, text, method }
    }
}

/// Something went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The channel is closed.
    Channel(Reason),
    /// The connection is closed.
    Connection(Reason),
    /// The client is cut off after a while, and told nothing.
    Refused,
    /// The client is cut off at once.
    Gone(Ending),
}

impl Fault {
    pub(super) fn channel(code: u16, method: MethodId, detail: impl fmt::Display) -> Fault {
        Fault::Channel(Reason::new(code, method, detail))
    }

    pub(super) fn connection(code: u16, method: MethodId, detail: impl fmt::Display) -> Fault {
        Fault::Connection(Reason::new(code, method, detail))
    }

    /// What the broker refused.
    pub(super) fn told(code: u16, method: MethodId, text: &str) -> Fault {
        let reason = Reason::told(code, method, text);
        if code::ends_connection(code) { Fault::Connection(reason) } else { Fault::Channel(reason) }
    }
}

/// Octets as RabbitMQ shows them: `<<"text">>` where all are printable, else `<<1,2,3>>`. No more than fits a reply text.
pub(super) struct Octets<'a>(pub(super) &'a [u8]);

impl fmt::Display for Octets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(TEXT_MAX)];
        let printable = |octet: &u8| matches!(octet, 8..=13 | 27 | 32..=126 | 160..);
        f.write_str("<<")?;
        if !shown.is_empty() && shown.iter().all(printable) {
            f.write_char('"')?;
            for octet in shown {
                match octet {
                    8 => f.write_str("\\b")?,
                    9 => f.write_str("\\t")?,
                    10 => f.write_str("\\n")?,
                    11 => f.write_str("\\v")?,
                    12 => f.write_str("\\f")?,
                    13 => f.write_str("\\r")?,
                    27 => f.write_str("\\e")?,
                    b'"' => f.write_str("\\\"")?,
                    b'\\' => f.write_str("\\\\")?,
                    octet => f.write_char(char::from(*octet))?,
                }
            }
            f.write_char('"')?;
        } else {
            for (index, octet) in shown.iter().enumerate() {
                if index > 0 {
                    f.write_char(',')?;
                }
                write!(f, "{octet}")?;
            }
        }
        f.write_str(">>")
    }
}
