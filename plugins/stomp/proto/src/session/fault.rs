//! What is wrong, in the words that clients know.

use std::{borrow::Cow, fmt};

use bytes::BytesMut;
use bytestring::ByteString;

use crate::codec::{FrameWriter, Version};

/// AMQP reply codes that mean something here.
pub(super) mod code {
    pub(in super::super) const OK: u16 = 200;
    pub(in super::super) const RESOURCE_ERROR: u16 = 506;
}

/// The name of a broker's refusal, as the header `message` has it.
pub(super) fn code_name(code: u16) -> &'static str {
    match code {
        311 => "content_too_large",
        312 => "no_route",
        313 => "no_consumers",
        320 => "connection_forced",
        403 => "access_refused",
        404 => "not_found",
        405 => "resource_locked",
        406 => "precondition_failed",
        501 => "frame_error",
        502 => "syntax_error",
        503 => "command_invalid",
        504 => "channel_error",
        506 => "resource_error",
        530 => "not_allowed",
        540 => "not_implemented",
        _ => "internal_error",
    }
}

/// Octets of a client's own text that an `ERROR` repeats.
const SHOWN_MAX: usize = 1024;

/// A client's own text, cut to what is worth repeating.
pub(super) fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN_MAX)]
}

/// Something went wrong, and the client is told by an `ERROR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The header `message`.
    pub(super) message: Cow<'static, str>,
    /// The body.
    pub(super) detail: String,
    /// The header `subscription`, where it is about one.
    pub(super) subscription: Option<ByteString>,
    /// The header `receipt-id`, where the frame that it is about asked for a receipt.
    pub(super) receipt: Option<ByteString>,
    /// The connection cannot go on, whatever the version says.
    pub(super) is_fatal: bool,
}

impl Fault {
    pub(super) fn new(message: &'static str, detail: impl fmt::Display) -> Fault {
        Fault {
            message: Cow::Borrowed(message),
            detail: detail.to_string(),
            subscription: None,
            receipt: None,
            is_fatal: false,
        }
    }

    /// One after which nothing can follow.
    pub(super) fn fatal(message: &'static str, detail: impl fmt::Display) -> Fault {
        Fault { is_fatal: true, ..Fault::new(message, detail) }
    }

    /// What the broker refused. Its link has stopped.
    pub(super) fn told(code: u16, text: &str) -> Fault {
        Fault::fatal(code_name(code), text)
    }

    /// A header or value that cannot be processed.
    pub(super) fn processing(detail: impl fmt::Display) -> Fault {
        Fault::new("Processing error", detail)
    }

    pub(super) fn with_receipt(self, receipt: Option<ByteString>) -> Fault {
        Fault { receipt, ..self }
    }

    /// Writes it. The order of headers is that of RabbitMQ.
    pub(super) fn put(&self, out: &mut BytesMut, version: Version) {
        let mut frame = FrameWriter::new(out, "ERROR", version);
        frame.header("message", self.message.as_bytes());
        frame.plain("content-type", "text/plain");
        frame.plain("version", Version::ALL);
        if let Some(subscription) = &self.subscription {
            frame.header("subscription", subscription.as_bytes());
        }
        if let Some(receipt) = &self.receipt {
            frame.header("receipt-id", receipt.as_bytes());
        }
        frame.body(self.detail.as_bytes());
    }
}
