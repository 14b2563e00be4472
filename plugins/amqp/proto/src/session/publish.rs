//! From the frames of a publish to a message: assembly, and what is checked before the broker sees it.

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    actions::Publish,
    fault::{Fault, MethodId, Octets, code},
    io::Io,
};
use crate::codec::{
    frame::{ContentHeader, Payload},
    method::basic,
    properties::Properties,
    table::Value,
};

/// The queue that stands for the channel itself: answers come to it directly.
pub(super) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// `basic.publish`, the only method of a client that has a content.
pub(super) const PUBLISH: MethodId = (basic::CLASS, basic::Publish::METHOD);

/// The longest expiration, in milliseconds.
const EXPIRATION_MAX: i128 = u32::MAX as i128;

/// Where a channel stands between two methods.
#[derive(Debug, Default)]
pub(super) enum Assembly {
    /// The next frame has a method.
    #[default]
    Method,
    /// The next frame has a content header.
    Header(basic::Publish),
    /// The next frame has a part of the body.
    Body(Content),
}

/// A content whose body is not whole.
#[derive(Debug)]
pub(super) struct Content {
    method: basic::Publish,
    header: ContentHeader,
    received: u64,
    parts: BytesMut,
}

/// A content that is whole.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) method: basic::Publish,
    properties: Bytes,
    size: u64,
    body: Bytes,
}

impl Assembly {
    /// Takes a frame that is no method; gives the content that it completes.
    pub(super) fn take(&mut self, payload: Payload, io: &mut Io) -> Result<Option<Whole>, Fault> {
        match (std::mem::take(self), payload) {
            (Assembly::Method, _) => Err(Fault::connection(
                code::UNEXPECTED_FRAME,
                (0, 0),
                "expected method frame, got non method frame instead",
            )),
            (Assembly::Header(method), Payload::Header(payload)) => {
                let Some(header) = ContentHeader::decode(&payload) else { return Err(no_header("non")) };
                if header.class != basic::CLASS {
                    return Err(no_header(&format!("one for class {}", header.class)));
                }
                if header.body_size == 0 {
                    let ContentHeader { properties, .. } = header;
                    return Ok(Some(Whole { method, properties, size: 0, body: Bytes::new() }));
                }
                *self = Assembly::Body(Content { method, header, received: 0, parts: BytesMut::new() });
                Ok(None)
            }
            (Assembly::Header(_), _) => Err(no_header("non")),
            (Assembly::Body(content), Payload::Body(part)) => content.take(part, self, io),
            (Assembly::Body(_), _) => Err(no_body()),
        }
    }

    /// What a method frame means here.
    pub(super) fn expects_method(&self) -> Result<(), Fault> {
        match self {
            Assembly::Method => Ok(()),
            Assembly::Header(_) => Err(no_header("non")),
            Assembly::Body(_) => Err(no_body()),
        }
    }

    /// Forgets what was assembled.
    pub(super) fn reset(&mut self, io: &mut Io) {
        if let Assembly::Body(content) = std::mem::take(self) {
            io.assembling -= content.parts.len();
        }
    }
}

fn no_header(instead: &str) -> Fault {
    let instead = if instead == "non" { "non content header frame" } else { instead };
    Fault::connection(
        code::UNEXPECTED_FRAME,
        PUBLISH,
        format_args!("expected content header for class 60, got {instead} instead"),
    )
}

fn no_body() -> Fault {
    Fault::connection(
        code::UNEXPECTED_FRAME,
        PUBLISH,
        "expected content body, got non content body frame instead",
    )
}

impl Content {
    fn take(mut self, part: Bytes, next: &mut Assembly, io: &mut Io) -> Result<Option<Whole>, Fault> {
        let size = self.header.body_size;
        let first = self.received == 0;
        self.received = self.received.saturating_add(part.len() as u64);
        let kept = size <= io.limits.message_max_bytes;
        if self.received == size {
            io.assembling -= self.parts.len();
            let body = if first || !kept {
                part
            } else {
                self.parts.extend_from_slice(&part);
                self.parts.freeze()
            };
            let Content { method, header, .. } = self;
            return Ok(Some(Whole { method, properties: header.properties, size, body }));
        }
        if self.received > size {
            // RabbitMQ goes on waiting for body here; the next method ends it. Nothing is kept meanwhile.
            io.assembling -= self.parts.len();
            self.parts = BytesMut::new();
        } else if kept {
            io.assembling += part.len();
            if io.assembling > io.limits.assembling_max_bytes {
                io.assembling -= part.len() + self.parts.len();
                let max = io.limits.assembling_max_bytes;
                let detail = format_args!("unfinished messages of this connection are larger than {max}");
                return Err(Fault::connection(code::RESOURCE_ERROR, PUBLISH, detail));
            }
            if first {
                // No more than twice what has come: an announced size alone takes no memory.
                self.parts.reserve((part.len() * 2).min(size as usize));
            }
            self.parts.extend_from_slice(&part);
        }
        *next = Assembly::Body(self);
        Ok(None)
    }
}

impl Whole {
    /// The message for the broker, or what is wrong with it.
    pub(super) fn check(self, replies: bool, io: &Io) -> Result<Publish, Fault> {
        let Whole { method, properties: raw, size, body } = self;
        if method.immediate {
            return Err(Fault::connection(code::NOT_IMPLEMENTED, PUBLISH, "immediate=true"));
        }
        let max = io.limits.message_max_bytes;
        if size > max {
            return Err(precondition(format_args!(
                "message size {size} is larger than configured max size {max}"
            )));
        }
        let Ok(properties) = Properties::parse(&raw) else {
            let detail = format!("cannot decode {}", Octets(&raw));
            return Err(Fault::connection(code::FRAME_ERROR, PUBLISH, detail));
        };
        check_properties(&properties, replies, io)?;
        Ok(Publish {
            exchange: method.exchange,
            routing_key: method.routing_key,
            mandatory: method.mandatory,
            properties: raw,
            body,
        })
    }
}

fn precondition(detail: impl std::fmt::Display) -> Fault {
    Fault::channel(code::PRECONDITION_FAILED, PUBLISH, detail)
}

fn check_properties(properties: &Properties<'_>, replies: bool, io: &Io) -> Result<(), Fault> {
    if let Some(user) = properties.user_id
        && user != io.user.as_bytes()
    {
        return Err(precondition(format_args!(
            "user_id property set to '{}' but authenticated user was '{}'",
            String::from_utf8_lossy(user),
            io.user
        )));
    }
    if let Some(expiration) = properties.expiration {
        check_expiration(expiration).map_err(|why| {
            let shown = String::from_utf8_lossy(expiration);
            precondition(format_args!("invalid expiration '{shown}': {why}"))
        })?;
    }
    if let Some(mode @ (0 | 3..)) = properties.delivery_mode {
        return Err(precondition(format_args!("invalid message: {{delivery_mode_unknown,{mode}}}")));
    }
    for name in ["CC", "BCC"] {
        let Some(keys) = properties.headers.and_then(|headers| headers.get(name)) else { continue };
        let wrong = match keys {
            Value::Array(keys) => keys.iter().find(|key| !matches!(key, Value::LongString(_))),
            other => Some(other),
        };
        if let Some(wrong) = wrong {
            let kind = wrong.type_name();
            return Err(precondition(format_args!(
                "invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}"
            )));
        }
    }
    if properties.reply_to == Some(REPLY_TO.as_bytes()) && !replies {
        return Err(precondition("fast reply consumer does not exist"));
    }
    Ok(())
}

/// Milliseconds in decimal digits, as Erlang reads them.
fn check_expiration(octets: &[u8]) -> Result<(), String> {
    let (sign, digits) = match octets {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let length = digits.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(length);
    if digits.is_empty() {
        return Err("no_integer".to_owned());
    }
    if !rest.is_empty() {
        return Err(format!("{{leftover_string,\"{}\"}}", String::from_utf8_lossy(rest)));
    }
    // Thirty digits are beyond any limit and within the type.
    let value =
        digits.iter().take(30).fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0')) * sign;
    match value {
        ..0 => Err(format!("{{value_negative,{value}}}")),
        0..=EXPIRATION_MAX => Ok(()),
        _ => Err(format!("{{value_too_big,{value}}}")),
    }
}

/// Whether a name of a queue is that of the channel itself.
pub(super) fn is_reply_queue(name: &ByteString) -> bool {
    &name[..] == REPLY_TO
}
