//! The headers of a message as properties of AMQP 0-9-1, and back.
//!
//! The broker keeps properties as AMQP encodes them in a content header, from the property flags on (AMQP 0-9-1, sections
//! 4.2.6.1 and 4.2.5.5), whatever protocol a message came by. Headers of `SEND` that have a property become it; all
//! others but `destination` and `content-length` become fields of the property `headers`, which are strings.

use std::{borrow::Cow, fmt};

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Frame, FrameWriter},
    destination,
};

const CONTENT_TYPE: u16 = 0x8000;
const CONTENT_ENCODING: u16 = 0x4000;
const HEADERS: u16 = 0x2000;
const DELIVERY_MODE: u16 = 0x1000;
const PRIORITY: u16 = 0x0800;
const CORRELATION_ID: u16 = 0x0400;
const REPLY_TO: u16 = 0x0200;
const EXPIRATION: u16 = 0x0100;
const MESSAGE_ID: u16 = 0x0080;
const TIMESTAMP: u16 = 0x0040;
const TYPE: u16 = 0x0020;
const USER_ID: u16 = 0x0010;
const APP_ID: u16 = 0x0008;

/// Header that names the routing key for an answer, for those whose answers go to topics.
pub const REPLY_TO_TOPIC: &str = "x-reply-to-topic";

/// Octets of the longest value of a property, and of the longest name of a header, in AMQP.
const SHORT_MAX: usize = 255;

/// Headers of `MESSAGE` that say something of the delivery; a message's own of that name are not shown.
const RESERVED: [&str; 7] =
    ["subscription", "destination", "message-id", "redelivered", "ack", "content-length", REPLY_TO_TOPIC];

/// A header of `SEND` that no property can be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadHeader {
    /// The header's name, shortened.
    pub name: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the header '{}' {}", self.name, self.why)
    }
}

/// Where an answer to a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// To nowhere.
    None,
    /// To an address, which is `reply_to` as it is.
    To(&'a str),
    /// To a key of the topic exchange.
    Topic(&'a str),
}

/// Appends the properties of a `SEND`. Nothing is appended for a message without any.
///
/// # Errors
/// When a header has no property's form. What was appended is of no use then.
pub fn put_properties(out: &mut BytesMut, frame: &Frame, answer: Answer<'_>) -> Result<(), BadHeader> {
    let mut properties: [Option<Cow<'_, str>>; 9] = Default::default();
    let [kind, encoding, correlation, expiration, message_id, type_name, user, app, _] = &mut properties;
    let (mut persistent, mut priority, mut timestamp) = (false, None, None);
    let mut flags = 0;
    let start = out.len();
    out.put_u16(0);
    // The content type goes before the headers, and may come behind them.
    let mut fields = BytesMut::new();
    for (name, value) in frame.headers() {
        let (slot, flag) = match &*name {
            "destination" | "content-length" | "reply-to" => continue,
            "content-type" => (&mut *kind, CONTENT_TYPE),
            "content-encoding" => (&mut *encoding, CONTENT_ENCODING),
            "correlation-id" => (&mut *correlation, CORRELATION_ID),
            "expiration" => (&mut *expiration, EXPIRATION),
            "amqp-message-id" => (&mut *message_id, MESSAGE_ID),
            "type" => (&mut *type_name, TYPE),
            "user-id" => (&mut *user, USER_ID),
            "app-id" => (&mut *app, APP_ID),
            "persistent" => {
                persistent = &*value == "true";
                continue;
            }
            "priority" => {
                let number: u8 =
                    value.trim().parse().map_err(|_| bad(&name, "is not a number from 0 to 255"))?;
                priority = Some(number);
                continue;
            }
            "timestamp" => {
                let seconds: u64 =
                    value.trim().parse().map_err(|_| bad(&name, "is not a number of seconds"))?;
                timestamp = Some(seconds);
                continue;
            }
            REPLY_TO_TOPIC if answer != Answer::None => continue,
            _ => {
                put_field(&mut fields, &name, &value)?;
                continue;
            }
        };
        if value.len() > SHORT_MAX {
            return Err(bad(&name, "is longer than 255 octets"));
        }
        flags |= flag;
        *slot = Some(value);
    }
    let topic_address;
    let reply_to = match answer {
        Answer::None => None,
        Answer::To(to) => Some(to),
        Answer::Topic(key) => {
            put_field(&mut fields, REPLY_TO_TOPIC, key)?;
            topic_address = format!("/topic/{key}");
            (topic_address.len() <= SHORT_MAX).then_some(&*topic_address)
        }
    };
    if reply_to.is_some_and(|to| to.len() > SHORT_MAX) {
        return Err(bad("reply-to", "is longer than 255 octets"));
    }
    flags |= if fields.is_empty() { 0 } else { HEADERS };
    flags |= if persistent { DELIVERY_MODE } else { 0 };
    flags |= if priority.is_some() { PRIORITY } else { 0 };
    flags |= if reply_to.is_some() { REPLY_TO } else { 0 };
    flags |= if timestamp.is_some() { TIMESTAMP } else { 0 };
    if flags == 0 {
        out.truncate(start);
        return Ok(());
    }
    out[start..start + 2].copy_from_slice(&u16::to_be_bytes(flags));
    put_short(out, kind.as_deref());
    put_short(out, encoding.as_deref());
    if !fields.is_empty() {
        out.put_u32(u32::try_from(fields.len()).unwrap_or(u32::MAX));
        out.put_slice(&fields);
    }
    if persistent {
        out.put_u8(2);
    }
    if let Some(priority) = priority {
        out.put_u8(priority);
    }
    put_short(out, correlation.as_deref());
    put_short(out, reply_to);
    put_short(out, expiration.as_deref());
    put_short(out, message_id.as_deref());
    if let Some(timestamp) = timestamp {
        out.put_u64(timestamp);
    }
    put_short(out, type_name.as_deref());
    put_short(out, user.as_deref());
    put_short(out, app.as_deref());
    Ok(())
}

fn bad(name: &str, why: &'static str) -> BadHeader {
    BadHeader { name: name.chars().take(SHORT_MAX).collect(), why }
}

/// A short string that was checked to be one.
fn put_short(out: &mut BytesMut, text: Option<&str>) {
    if let Some(text) = text {
        out.put_u8(text.len() as u8);
        out.put_slice(text.as_bytes());
    }
}

/// Appends a field of a table that is a string.
///
/// # Errors
/// When its name is longer than AMQP's may be.
pub fn put_field(out: &mut BytesMut, name: &str, value: &str) -> Result<(), BadHeader> {
    if name.len() > SHORT_MAX {
        return Err(bad(name, "has a name of more than 255 octets"));
    }
    put_short(out, Some(name));
    out.put_u8(b'S');
    out.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
    out.put_slice(value.as_bytes());
    Ok(())
}

/// Appends a field of a table that is a number of 64 bits.
pub fn put_number(out: &mut BytesMut, name: &str, value: i64) {
    put_short(out, Some(name));
    out.put_u8(b'l');
    out.put_i64(value);
}

/// Properties of a message, borrowed from their encoding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Properties<'a> {
    content_type: Option<&'a [u8]>,
    content_encoding: Option<&'a [u8]>,
    headers: &'a [u8],
    delivery_mode: Option<u8>,
    priority: Option<u8>,
    correlation_id: Option<&'a [u8]>,
    reply_to: Option<&'a [u8]>,
    expiration: Option<&'a [u8]>,
    message_id: Option<&'a [u8]>,
    timestamp: Option<u64>,
    kind: Option<&'a [u8]>,
    user_id: Option<&'a [u8]>,
    app_id: Option<&'a [u8]>,
}

impl<'a> Properties<'a> {
    /// Reads properties. What cannot be read is not there: the broker has checked what it took.
    fn parse(bytes: &'a [u8]) -> Properties<'a> {
        let mut properties = Properties::default();
        let _ = properties.read(&mut Reader(bytes));
        properties
    }

    fn read(&mut self, reader: &mut Reader<'a>) -> Option<()> {
        let flags = reader.u16()?;
        let mut more = flags;
        while more & 1 != 0 {
            more = reader.u16()?;
        }
        let has = |flag| flags & flag != 0;
        let short =
            |reader: &mut Reader<'a>, flag| if has(flag) { reader.short().map(Some) } else { Some(None) };
        self.content_type = short(reader, CONTENT_TYPE)?;
        self.content_encoding = short(reader, CONTENT_ENCODING)?;
        if has(HEADERS) {
            self.headers = reader.long()?;
        }
        if has(DELIVERY_MODE) {
            self.delivery_mode = Some(reader.u8()?);
        }
        if has(PRIORITY) {
            self.priority = Some(reader.u8()?);
        }
        self.correlation_id = short(reader, CORRELATION_ID)?;
        self.reply_to = short(reader, REPLY_TO)?;
        self.expiration = short(reader, EXPIRATION)?;
        self.message_id = short(reader, MESSAGE_ID)?;
        if has(TIMESTAMP) {
            self.timestamp = Some(reader.u64()?);
        }
        self.kind = short(reader, TYPE)?;
        self.user_id = short(reader, USER_ID)?;
        self.app_id = short(reader, APP_ID)?;
        Some(())
    }
}

/// Writes what a message says of itself as headers of `MESSAGE`: first its own headers, then its properties.
pub fn put_headers(out: &mut FrameWriter<'_>, properties: &[u8]) {
    if properties.is_empty() {
        return;
    }
    let properties = Properties::parse(properties);
    let mut fields = Reader(properties.headers);
    let mut reply_topic = None;
    while let Some((name, kind, value)) = fields.field() {
        if name == REPLY_TO_TOPIC.as_bytes() && kind == b'S' {
            reply_topic = Some(value);
        }
        if RESERVED.iter().any(|reserved| reserved.as_bytes() == name) || !is_text(name) || name.is_empty() {
            continue;
        }
        match (kind, value) {
            (b'S', text) if is_text(text) => {
                out.custom(name, text);
            }
            (b'I', &[a, b, c, d]) => signed(out, name, i32::from_be_bytes([a, b, c, d]).into()),
            (b'i', &[a, b, c, d]) => signed(out, name, u32::from_be_bytes([a, b, c, d]).into()),
            (b'l' | b'L' | b'T', value) => {
                if let Some(value) = value.first_chunk() {
                    signed(out, name, i64::from_be_bytes(*value));
                }
            }
            _ => {}
        }
    }
    text(out, "app-id", properties.app_id);
    text(out, "user-id", properties.user_id);
    text(out, "type", properties.kind);
    if let Some(timestamp) = properties.timestamp {
        out.number("timestamp", timestamp);
    }
    text(out, "amqp-message-id", properties.message_id);
    text(out, "expiration", properties.expiration);
    put_reply_to(out, properties.reply_to, reply_topic);
    text(out, "correlation-id", properties.correlation_id);
    if let Some(priority) = properties.priority {
        out.number("priority", priority.into());
    }
    match properties.delivery_mode {
        Some(2) => {
            out.plain("persistent", "true");
        }
        Some(mode) => {
            out.number("persistent", mode.into());
        }
        None => {}
    }
    text(out, "content-encoding", properties.content_encoding);
    text(out, "content-type", properties.content_type);
}

/// A header, where there is something that a header may carry.
fn text(out: &mut FrameWriter<'_>, name: &str, value: Option<&[u8]>) {
    if let Some(value) = value.filter(|value| is_text(value)) {
        out.header(name, value);
    }
}

fn put_reply_to(out: &mut FrameWriter<'_>, reply_to: Option<&[u8]>, topic: Option<&[u8]>) {
    let text = |bytes: Option<&'_ [u8]>| bytes.filter(|bytes| is_text(bytes)).map(<[u8]>::to_vec);
    let address = match (text(topic), text(reply_to)) {
        (Some(key), _) => [b"/topic/", &key[..]].concat(),
        (None, Some(to)) if destination::has_known_prefix(&String::from_utf8_lossy(&to)) => to,
        (None, Some(queue)) => [b"/reply-queue/", &queue[..]].concat(),
        (None, None) => return,
    };
    out.header("reply-to", &address);
}

fn signed(out: &mut FrameWriter<'_>, name: &[u8], value: i64) {
    out.custom(name, itoa::Buffer::new().format(value).as_bytes());
}

/// Whether a header may carry it.
fn is_text(octets: &[u8]) -> bool {
    memchr::memchr(0, octets).is_none() && std::str::from_utf8(octets).is_ok()
}

/// Reads what AMQP encodes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|octets| octets[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(*self.take(8)?.first_chunk()?))
    }

    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_be_bytes(*self.take(4)?.first_chunk()?);
        self.take(usize::try_from(length).ok()?)
    }

    /// A field of a table: name, type, and the value's octets.
    fn field(&mut self) -> Option<(&'a [u8], u8, &'a [u8])> {
        let name = self.short()?;
        let kind = self.u8()?;
        let value = match kind {
            b't' | b'b' | b'B' => self.take(1)?,
            b's' | b'u' | b'U' => self.take(2)?,
            b'I' | b'i' | b'f' => self.take(4)?,
            b'D' => self.take(5)?,
            b'l' | b'L' | b'd' | b'T' => self.take(8)?,
            b'S' | b'x' | b'A' | b'F' => self.long()?,
            b'V' => &[],
            _ => return None,
        };
        Some((name, kind, value))
    }
}
