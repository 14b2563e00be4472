//! The properties of a message: read in place, made, and changed.
//!
//! A message keeps its properties as they came, in the encoding of a content header from the property flags on
//! (specification 4.2.6.1): so typed header tables survive, and passing a message on costs no encoding.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    table::TableView,
    wire::{Malformed, Slice, put_long_string, put_short_string},
};

const CONTENT_TYPE: u16 = 1 << 15;
const CONTENT_ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const PRIORITY: u16 = 1 << 11;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;
const TIMESTAMP: u16 = 1 << 6;
const TYPE: u16 = 1 << 5;
const USER_ID: u16 = 1 << 4;
const APP_ID: u16 = 1 << 3;
const CLUSTER_ID: u16 = 1 << 2;
/// No property has these: the lowest says that more flags follow, which the basic class never needs.
const UNDEFINED: u16 = 0b11;

/// The encoding of a message without properties.
pub const NO_PROPERTIES: &[u8] = &[0, 0];

/// The properties of the basic class, borrowed from their encoding; what is `None` is absent from the wire.
///
/// The texts are octets: clients put binary correlation ids there, and the values have to pass unchanged.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Properties<'a> {
    /// MIME type of the body.
    pub content_type: Option<&'a [u8]>,
    /// MIME encoding of the body.
    pub content_encoding: Option<&'a [u8]>,
    /// Header fields of the application.
    pub headers: Option<TableView<'a>>,
    /// 1: transient; 2: persistent.
    pub delivery_mode: Option<u8>,
    /// 0 to 255; queues decide how many of them they tell apart.
    pub priority: Option<u8>,
    /// Correlates an answer with its request.
    pub correlation_id: Option<&'a [u8]>,
    /// Where answers go: a routing key on the default exchange.
    pub reply_to: Option<&'a [u8]>,
    /// Milliseconds until the message expires, in decimal digits.
    pub expiration: Option<&'a [u8]>,
    /// Name of the message, given by the application.
    pub message_id: Option<&'a [u8]>,
    /// Seconds since 1970, given by the application.
    pub timestamp: Option<u64>,
    /// Name of the kind of message, given by the application.
    pub kind: Option<&'a [u8]>,
    /// Name of the user who published; checked against the connection's.
    pub user_id: Option<&'a [u8]>,
    /// Name of the application that published.
    pub app_id: Option<&'a [u8]>,
    /// Out of use.
    pub cluster_id: Option<&'a [u8]>,
}

impl<'a> Properties<'a> {
    /// Reads `raw`: the property flags and what they announce.
    ///
    /// # Errors
    /// When `raw` is not the encoding of properties, from the first octet to the last.
    pub fn parse(raw: &'a [u8]) -> Result<Properties<'a>, Malformed> {
        let mut from = Slice(raw);
        let flags = from.u16()?;
        if flags & UNDEFINED != 0 {
            return Err(Malformed::PropertyFlags(flags & UNDEFINED));
        }
        let mut properties = Properties::default();
        if flags & CONTENT_TYPE != 0 {
            properties.content_type = Some(from.short_string()?);
        }
        if flags & CONTENT_ENCODING != 0 {
            properties.content_encoding = Some(from.short_string()?);
        }
        if flags & HEADERS != 0 {
            properties.headers = Some(TableView::from_raw(from.long_string()?)?);
        }
        if flags & DELIVERY_MODE != 0 {
            properties.delivery_mode = Some(from.u8()?);
        }
        if flags & PRIORITY != 0 {
            properties.priority = Some(from.u8()?);
        }
        if flags & CORRELATION_ID != 0 {
            properties.correlation_id = Some(from.short_string()?);
        }
        if flags & REPLY_TO != 0 {
            properties.reply_to = Some(from.short_string()?);
        }
        if flags & EXPIRATION != 0 {
            properties.expiration = Some(from.short_string()?);
        }
        if flags & MESSAGE_ID != 0 {
            properties.message_id = Some(from.short_string()?);
        }
        if flags & TIMESTAMP != 0 {
            properties.timestamp = Some(from.u64()?);
        }
        if flags & TYPE != 0 {
            properties.kind = Some(from.short_string()?);
        }
        if flags & USER_ID != 0 {
            properties.user_id = Some(from.short_string()?);
        }
        if flags & APP_ID != 0 {
            properties.app_id = Some(from.short_string()?);
        }
        if flags & CLUSTER_ID != 0 {
            properties.cluster_id = Some(from.short_string()?);
        }
        if from.0.is_empty() { Ok(properties) } else { Err(Malformed::Trailing) }
    }

    /// Appends the encoding to `out`. Of a text longer than 255 bytes the rest is left out.
    pub fn encode(&self, out: &mut BytesMut) {
        let at = out.len();
        out.put_u16(0);
        let mut flags = 0;
        let mut text = |flag, value: Option<&[u8]>, out: &mut BytesMut| {
            if let Some(value) = value {
                flags |= flag;
                put_short_string(out, value);
            }
        };
        text(CONTENT_TYPE, self.content_type, out);
        text(CONTENT_ENCODING, self.content_encoding, out);
        if let Some(headers) = self.headers {
            put_long_string(out, headers.raw());
        }
        if let Some(mode) = self.delivery_mode {
            out.put_u8(mode);
        }
        if let Some(priority) = self.priority {
            out.put_u8(priority);
        }
        text(CORRELATION_ID, self.correlation_id, out);
        text(REPLY_TO, self.reply_to, out);
        text(EXPIRATION, self.expiration, out);
        text(MESSAGE_ID, self.message_id, out);
        if let Some(timestamp) = self.timestamp {
            out.put_u64(timestamp);
        }
        text(TYPE, self.kind, out);
        text(USER_ID, self.user_id, out);
        text(APP_ID, self.app_id, out);
        text(CLUSTER_ID, self.cluster_id, out);
        for (flag, present) in [
            (HEADERS, self.headers.is_some()),
            (DELIVERY_MODE, self.delivery_mode.is_some()),
            (PRIORITY, self.priority.is_some()),
            (TIMESTAMP, self.timestamp.is_some()),
        ] {
            if present {
                flags |= flag;
            }
        }
        out[at..at + 2].copy_from_slice(&flags.to_be_bytes());
    }

    /// The encoding in memory of its own.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        self.encode(&mut out);
        out.freeze()
    }
}
