//! What travels with a message: the properties of AMQP 0-9-1, in the encoding of its content header.
//!
//! The broker keeps properties in that one encoding, whatever protocol a message came by: property flags, then the values
//! of those that are there (AMQP 0-9-1, sections 4.2.6.1 and 4.2.5.5). Between it and MQTT 5.0:
//!
//! | MQTT | AMQP |
//! |---|---|
//! | QoS 0; 1 and 2 | `delivery_mode` 1; 2, and header `x-mqtt-publish-qos` (byte) |
//! | DUP | header `x-mqtt-dup` (boolean); not delivered |
//! | content type | `content_type`, or header `x-content-type` when it is longer than 255 bytes |
//! | correlation data | `correlation_id` when it is text of at most 255 bytes, else header `x-correlation-id` |
//! | response topic | header `x-reply-to-topic` (a routing key), and `reply_to` `/topic/<routing key>` when it fits |
//! | message expiry interval, seconds | `expiration`, milliseconds as text |
//! | payload format indicator | header `x-mqtt-payload-format-indicator` (byte) |
//! | user properties | headers that are strings |
//!
//! User properties may repeat, have an order, and long names; headers may not. Where a header cannot say it (a name above
//! 255 bytes, one that is there twice, or one that means something to the broker), all user properties are kept in one
//! more header, `x-mqtt-user-properties`, an array of names and values in turn, so that MQTT clients get all of them in
//! their order.
//!
//! A message without `x-mqtt-publish-qos` (from AMQP or STOMP) is one of QoS 1.

use std::str;

use bytes::{BufMut, BytesMut};

use crate::{
    codec::{Properties, Property, QoS},
    topic,
};

const CONTENT_TYPE: u16 = 0x8000;
const CONTENT_ENCODING: u16 = 0x4000;
const HEADERS: u16 = 0x2000;
const DELIVERY_MODE: u16 = 0x1000;
const PRIORITY: u16 = 0x0800;
const CORRELATION_ID: u16 = 0x0400;
const REPLY_TO: u16 = 0x0200;
const EXPIRATION: u16 = 0x0100;

const PUBLISH_QOS: &str = "x-mqtt-publish-qos";
const DUP: &str = "x-mqtt-dup";
const PAYLOAD_FORMAT: &str = "x-mqtt-payload-format-indicator";
const USER_PROPERTIES: &str = "x-mqtt-user-properties";
const LONG_CONTENT_TYPE: &str = "x-content-type";
const BINARY_CORRELATION_ID: &str = "x-correlation-id";
const REPLY_TO_TOPIC: &str = "x-reply-to-topic";
const REPLY_TO_PREFIX: &str = "/topic/";

/// Header names with a meaning of their own, which a user property does not become.
fn is_reserved(name: &str) -> bool {
    const RESERVED: [&str; 9] = [
        "CC",
        "BCC",
        "x-death",
        "x-first-death-exchange",
        "x-first-death-queue",
        "x-first-death-reason",
        LONG_CONTENT_TYPE,
        BINARY_CORRELATION_ID,
        REPLY_TO_TOPIC,
    ];
    name.starts_with("x-mqtt-") || RESERVED.contains(&name)
}

const PLAIN_SIZE: usize = 41;
const PLAIN_QOS_AT: usize = 26;
const PLAIN_DUP_AT: usize = 39;
const PLAIN_MODE_AT: usize = 40;

const fn plain(qos: u8, dup: u8) -> [u8; PLAIN_SIZE] {
    let mut bytes = *b"\x30\x00\x00\x00\x00\x22\x12x-mqtt-publish-qosb\x00\x0ax-mqtt-dupt\x00\x01";
    bytes[PLAIN_QOS_AT] = qos;
    bytes[PLAIN_DUP_AT] = dup;
    bytes[PLAIN_MODE_AT] = if qos > 0 { 2 } else { 1 };
    bytes
}

static PLAIN: [[u8; PLAIN_SIZE]; 6] =
    [plain(0, 0), plain(0, 1), plain(1, 0), plain(1, 1), plain(2, 0), plain(2, 1)];

/// The properties of a PUBLISH that has none of its own, which is every one before 5.0.
#[must_use]
pub fn plain_properties(qos: QoS, dup: bool) -> &'static [u8] {
    &PLAIN[qos as usize * 2 + usize::from(dup)]
}

/// Appends the properties of a PUBLISH or a will. Properties of MQTT that do not belong to the message (topic alias,
/// subscription identifier, will delay) are left out.
pub fn put_properties(out: &mut BytesMut, qos: QoS, dup: bool, properties: &Properties) {
    let mut content_type = None;
    let mut correlation = None;
    let mut reply_key = None;
    let mut expiry_secs = None;
    let mut payload_is_text = None;
    for property in properties.iter() {
        match property {
            Property::ContentType(text) => content_type = Some(text),
            Property::CorrelationData(data) => correlation = Some(data),
            Property::ResponseTopic(name) => reply_key = Some(topic::routing_key(name)),
            Property::MessageExpiryInterval(secs) => expiry_secs = Some(*secs),
            Property::PayloadFormatIndicator(is_text) => payload_is_text = Some(*is_text),
            _ => {}
        }
    }
    let short_content_type = content_type.filter(|text| text.len() <= 255);
    let correlation_id =
        correlation.filter(|data| data.len() <= 255 && !data.contains(&0) && str::from_utf8(data).is_ok());
    let reply_to =
        reply_key.as_ref().map(|key| format!("{REPLY_TO_PREFIX}{key}")).filter(|to| to.len() <= 255);

    let mut flags = HEADERS | DELIVERY_MODE;
    flags |= if short_content_type.is_some() { CONTENT_TYPE } else { 0 };
    flags |= if correlation_id.is_some() { CORRELATION_ID } else { 0 };
    flags |= if reply_to.is_some() { REPLY_TO } else { 0 };
    flags |= if expiry_secs.is_some() { EXPIRATION } else { 0 };
    out.put_u16(flags);
    if let Some(text) = short_content_type {
        put_short(out, text.as_bytes());
    }
    put_sized(out, |out| {
        put_header(out, PUBLISH_QOS, b'b', |out| out.put_u8(qos as u8));
        put_header(out, DUP, b't', |out| out.put_u8(u8::from(dup)));
        if let Some(is_text) = payload_is_text {
            put_header(out, PAYLOAD_FORMAT, b'b', |out| out.put_u8(u8::from(is_text)));
        }
        if let (Some(text), None) = (content_type, short_content_type) {
            put_header(out, LONG_CONTENT_TYPE, b'S', |out| put_long(out, text.as_bytes()));
        }
        if let (Some(data), None) = (correlation, correlation_id) {
            put_header(out, BINARY_CORRELATION_ID, b'S', |out| put_long(out, data));
        }
        if let Some(key) = &reply_key {
            put_header(out, REPLY_TO_TOPIC, b'S', |out| put_long(out, key.as_bytes()));
        }
        put_user_properties(out, properties);
    });
    out.put_u8(if qos > QoS::AtMostOnce { 2 } else { 1 });
    if let Some(data) = correlation_id {
        put_short(out, data);
    }
    if let Some(to) = &reply_to {
        put_short(out, to.as_bytes());
    }
    if let Some(secs) = expiry_secs {
        put_short(out, (u64::from(secs) * 1000).to_string().as_bytes());
    }
}

fn put_user_properties(out: &mut BytesMut, properties: &Properties) {
    let all = || {
        properties.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((&**name, &**value)),
            _ => None,
        })
    };
    let is_header = |name: &str| name.len() <= 255 && !is_reserved(name);
    let mut names: Vec<&str> = Vec::new();
    let mut complete = true;
    for (name, value) in all() {
        if is_header(name) && !names.contains(&name) {
            names.push(name);
            put_header(out, name, b'S', |out| put_long(out, value.as_bytes()));
        } else {
            complete = false;
        }
    }
    if !complete {
        put_header(out, USER_PROPERTIES, b'A', |out| {
            put_sized(out, |out| {
                for text in all().flat_map(|(name, value)| [name, value]) {
                    out.put_u8(b'S');
                    put_long(out, text.as_bytes());
                }
            });
        });
    }
}

fn put_header(out: &mut BytesMut, name: &str, kind: u8, value: impl FnOnce(&mut BytesMut)) {
    put_short(out, name.as_bytes());
    out.put_u8(kind);
    value(out);
}

/// A short string; longer than 255 bytes is excluded by the callers.
fn put_short(out: &mut BytesMut, text: &[u8]) {
    out.put_u8(text.len() as u8);
    out.put_slice(text);
}

fn put_long(out: &mut BytesMut, text: &[u8]) {
    out.put_u32(text.len() as u32);
    out.put_slice(text);
}

fn put_sized(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u32(0);
    write(out);
    let size = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

/// The properties of a message, as far as they mean something to MQTT; borrowed from their encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageProperties<'a> {
    /// What it was published with; QoS 1 when it was not published over MQTT.
    pub qos: QoS,
    /// The content type.
    pub content_type: Option<&'a str>,
    /// The correlation data.
    pub correlation: Option<&'a [u8]>,
    /// The routing key of the response topic.
    pub reply_key: Option<&'a str>,
    /// Whether the payload is UTF-8 text.
    pub payload_is_text: Option<bool>,
    headers: &'a [u8],
    all_user_properties: Option<&'a [u8]>,
}

impl<'a> MessageProperties<'a> {
    /// Reads properties. What cannot be read is not there: the broker has checked what it took, and a message is not lost
    /// for a header.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> MessageProperties<'a> {
        let mut read = MessageProperties {
            qos: QoS::AtLeastOnce,
            content_type: None,
            correlation: None,
            reply_key: None,
            payload_is_text: None,
            headers: &[],
            all_user_properties: None,
        };
        if let Some(qos) = plain_qos(bytes) {
            read.qos = qos;
        } else {
            read.read(&mut Cursor(bytes));
        }
        read
    }

    /// The user properties, in their order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut array = Cursor(self.all_user_properties.unwrap_or_default());
        let in_array = std::iter::from_fn(move || Some((array.array_text()?, array.array_text()?)));
        let mut headers = Cursor(if self.all_user_properties.is_some() { &[] } else { self.headers });
        let in_headers = std::iter::from_fn(move || headers.header());
        in_array.chain(in_headers.filter_map(|(name, kind, value)| {
            let text = text_of(value).filter(|_| kind == b'S' && !is_reserved(name) && !name.contains('\0'));
            text.map(|text| (name, text))
        }))
    }

    /// Whether there is nothing that an MQTT 5.0 client is told in properties.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.content_type.is_none()
            && self.correlation.is_none()
            && self.reply_key.is_none()
            && self.payload_is_text.is_none()
            && self.headers.is_empty()
    }

    fn read(&mut self, cursor: &mut Cursor<'a>) -> Option<()> {
        let flags = cursor.u16()?;
        let mut more = flags;
        while more & 1 != 0 {
            more = cursor.u16()?;
        }
        if flags & CONTENT_TYPE != 0 {
            self.content_type = text_of(cursor.short()?);
        }
        if flags & CONTENT_ENCODING != 0 {
            cursor.short()?;
        }
        if flags & HEADERS != 0 {
            self.headers = cursor.long()?;
            self.read_headers();
        }
        for _ in [DELIVERY_MODE, PRIORITY].iter().filter(|flag| flags & **flag != 0) {
            cursor.take(1)?;
        }
        if flags & CORRELATION_ID != 0 {
            self.correlation = Some(cursor.short()?);
        }
        if flags & REPLY_TO != 0 {
            let reply_to = text_of(cursor.short()?)?;
            if self.reply_key.is_none() {
                self.reply_key =
                    reply_to.strip_prefix(REPLY_TO_PREFIX).filter(|key| topic::is_topic_name(key));
            }
        }
        Some(())
    }

    fn read_headers(&mut self) {
        let mut headers = Cursor(self.headers);
        while let Some((name, kind, value)) = headers.header() {
            match (name, kind) {
                (PUBLISH_QOS, b'b' | b'B') => self.qos = QoS::from_u8(value[0]).unwrap_or(self.qos),
                (PAYLOAD_FORMAT, b'b' | b'B') => self.payload_is_text = Some(value[0] == 1),
                (LONG_CONTENT_TYPE, b'S') => self.content_type = self.content_type.or(text_of(value)),
                (BINARY_CORRELATION_ID, b'S' | b'x') if value.len() <= usize::from(u16::MAX) => {
                    self.correlation = Some(value);
                }
                (REPLY_TO_TOPIC, b'S') => {
                    self.reply_key = text_of(value).filter(|key| topic::is_topic_name(key));
                }
                (USER_PROPERTIES, b'A') => self.all_user_properties = Some(value),
                _ => {}
            }
        }
    }
}

/// The QoS when the properties are [`plain_properties`].
fn plain_qos(bytes: &[u8]) -> Option<QoS> {
    let plain = &PLAIN[0];
    let is_plain = bytes.len() == PLAIN_SIZE
        && bytes[..PLAIN_QOS_AT] == plain[..PLAIN_QOS_AT]
        && bytes[PLAIN_QOS_AT + 1..PLAIN_DUP_AT] == plain[PLAIN_QOS_AT + 1..PLAIN_DUP_AT];
    if is_plain { QoS::from_u8(bytes[PLAIN_QOS_AT]) } else { None }
}

/// A string that MQTT can carry.
fn text_of(bytes: &[u8]) -> Option<&str> {
    if bytes.len() > usize::from(u16::MAX) || bytes.contains(&0) {
        return None;
    }
    str::from_utf8(bytes).ok()
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.take(4)?;
        self.take(u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize)
    }

    /// The next header: name, kind, and the bytes of its value (those of strings, arrays and tables without their length).
    fn header(&mut self) -> Option<(&'a str, u8, &'a [u8])> {
        let name = str::from_utf8(self.short()?).ok()?;
        let kind = self.take(1)?[0];
        let value = match kind {
            b'V' => self.take(0)?,
            b't' | b'b' | b'B' => self.take(1)?,
            b's' | b'u' => self.take(2)?,
            b'I' | b'i' | b'f' => self.take(4)?,
            b'D' => self.take(5)?,
            b'l' | b'L' | b'd' | b'T' => self.take(8)?,
            b'S' | b'x' | b'A' | b'F' => self.long()?,
            _ => return None,
        };
        Some((name, kind, value))
    }

    /// The next element of an array, which must be a string.
    fn array_text(&mut self) -> Option<&'a str> {
        if self.take(1)?[0] != b'S' {
            return None;
        }
        text_of(self.long()?)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn encoded(qos: QoS, properties: Vec<Property>) -> BytesMut {
        let mut out = BytesMut::new();
        put_properties(&mut out, qos, false, &Properties(properties));
        out
    }

    #[test]
    fn plain_properties_are_those_that_the_encoder_writes() {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for dup in [false, true] {
                let mut out = BytesMut::new();
                put_properties(&mut out, qos, dup, &Properties::NONE);
                assert_eq!(&out[..], plain_properties(qos, dup));
                assert_eq!(MessageProperties::parse(&out).qos, qos);
            }
        }
        // Headers x-mqtt-publish-qos=0 (byte) and x-mqtt-dup=false, delivery mode 1.
        let expected = b"\x30\x00\0\0\0\x22\x12x-mqtt-publish-qosb\0\x0ax-mqtt-dupt\0\x01";
        assert_eq!(plain_properties(QoS::AtMostOnce, false), expected);
    }

    #[test]
    fn messages_of_other_protocols_have_qos_1() {
        // No property; delivery mode 2 alone; delivery mode 1 with an empty table of headers.
        for bytes in [&[0x00, 0x00][..], &[0x10, 0x00, 0x02], &[0x30, 0x00, 0, 0, 0, 0, 1], &[]] {
            let properties = MessageProperties::parse(bytes);
            assert_eq!(properties.qos, QoS::AtLeastOnce);
            assert!(properties.is_plain());
        }
    }

    #[test]
    fn what_mqtt_5_says_comes_back() {
        let bytes = encoded(
            QoS::ExactlyOnce,
            vec![
                Property::ContentType("text/plain".into()),
                Property::CorrelationData(Bytes::from_static(b"c1")),
                Property::ResponseTopic("answers/7".into()),
                Property::MessageExpiryInterval(30),
                Property::PayloadFormatIndicator(true),
                Property::UserProperty("a".into(), "1".into()),
                Property::UserProperty("b".into(), "2".into()),
            ],
        );
        let read = MessageProperties::parse(&bytes);
        assert_eq!(read.qos, QoS::ExactlyOnce);
        assert_eq!(read.content_type, Some("text/plain"));
        assert_eq!(read.correlation, Some(&b"c1"[..]));
        assert_eq!(read.reply_key, Some("answers.7"));
        assert_eq!(read.payload_is_text, Some(true));
        assert_eq!(read.user_properties().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        // Correlation id, reply to and expiration are AMQP's own, behind the delivery mode.
        assert!(bytes.ends_with(b"\x02\x02c1\x10/topic/answers.7\x0530000"));
    }

    #[test]
    fn mqtt_3_3_2_18_user_properties_keep_their_order_even_when_they_repeat() {
        let long = "n".repeat(300);
        for awkward in
            [("a", "again"), ("x-mqtt-publish-qos", "0"), ("CC", "elsewhere"), (long.as_str(), "v")]
        {
            let given = [("a", "1"), ("b", "2"), awkward];
            let properties = given.map(|(name, value)| Property::UserProperty(name.into(), value.into()));
            let bytes = encoded(QoS::AtLeastOnce, properties.into());
            let read = MessageProperties::parse(&bytes);
            assert_eq!(read.user_properties().collect::<Vec<_>>(), given);
            assert_eq!(read.qos, QoS::AtLeastOnce, "a user property is no header of ours");
        }
    }

    #[test]
    fn correlation_data_that_is_no_short_text_goes_into_a_header() {
        for data in [vec![0xFF, 0x00], vec![b'x'; 300]] {
            let bytes = encoded(QoS::AtMostOnce, vec![Property::CorrelationData(data.clone().into())]);
            assert_eq!(MessageProperties::parse(&bytes).correlation, Some(&data[..]));
        }
        let long = "t".repeat(300);
        let bytes = encoded(QoS::AtMostOnce, vec![Property::ContentType(long.as_str().into())]);
        assert_eq!(MessageProperties::parse(&bytes).content_type, Some(long.as_str()));
    }

    #[test]
    fn headers_that_are_strings_are_user_properties() {
        // What an AMQP client sets: text/plain, h1=v, n=3 (byte), correlation id c1, reply to rq, message id m1.
        let bytes = b"\xb6\x80\x0atext/plain\0\0\0\x0d\x02h1S\0\0\0\x01v\x01nb\x03\x02\x02c1\x02rq\x02m1";
        let read = MessageProperties::parse(bytes);
        assert_eq!(read.content_type, Some("text/plain"));
        assert_eq!(read.correlation, Some(&b"c1"[..]));
        assert_eq!(read.reply_key, None, "a queue is no topic");
        assert_eq!(read.user_properties().collect::<Vec<_>>(), [("h1", "v")]);
        for end in 0..bytes.len() {
            let _ = MessageProperties::parse(&bytes[..end]).user_properties().count();
        }
    }
}
