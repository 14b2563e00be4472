//! The body of a long-polling exchange: packets one behind the other, framed as the client's generation reads them.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use crate::{packet::Revision, text};

/// How the bodies for one client are framed. Fixed for a session by its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Revision 3, `b64=1` in the address (Node): `<length>:<packet>`. Characters outside ASCII leave as JSON escapes,
    /// because 1.x and 2.x clients disagree about how often they are encoded.
    LengthText,
    /// Revision 3 else (browsers): a zero byte, the length with one byte per decimal digit, `0xFF`, the packet in UTF-8.
    /// The answer a 1.3 client in a browser takes; any other it replaces by `ok`.
    LengthBinary,
    /// Revision 4: packets with the record separator `0x1E` between them.
    Separated,
}

impl Framing {
    /// The framing for a client of `revision` whose address says `b64=1` or not.
    #[must_use]
    pub fn of(revision: Revision, base64_only: bool) -> Framing {
        match (revision, base64_only) {
            (Revision::V4, _) => Framing::Separated,
            (Revision::V3, true) => Framing::LengthText,
            (Revision::V3, false) => Framing::LengthBinary,
        }
    }

    /// The media type of a body in this framing.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Framing::LengthBinary => "application/octet-stream",
            Framing::LengthText | Framing::Separated => "text/plain; charset=UTF-8",
        }
    }

    /// One body that carries `packets` in their order.
    #[must_use]
    pub fn encode(self, packets: &[ByteString]) -> Bytes {
        let content: usize = packets.iter().map(|packet| packet.len()).sum();
        let mut out = BytesMut::with_capacity(content + packets.len() * 8);
        match self {
            Framing::LengthText => {
                let mut escaped = String::new();
                for packet in packets {
                    escaped.clear();
                    text::push_escaped(&mut escaped, packet);
                    out.put_slice(escaped.len().to_string().as_bytes());
                    out.put_u8(b':');
                    out.put_slice(escaped.as_bytes());
                }
            }
            Framing::LengthBinary => {
                for packet in packets {
                    out.put_u8(TEXT_PACKET);
                    out.extend(packet.len().to_string().bytes().map(|digit| digit - b'0'));
                    out.put_u8(END_OF_LENGTH);
                    out.put_slice(packet.as_bytes());
                }
            }
            Framing::Separated => {
                for (i, packet) in packets.iter().enumerate() {
                    if i > 0 {
                        out.put_u8(SEPARATOR);
                    }
                    out.put_slice(packet.as_bytes());
                }
            }
        }
        out.freeze()
    }
}

/// A packet from a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// A text packet: see [`Session::handle_text`](crate::session::Session::handle_text).
    Text(ByteString),
    /// A binary packet, whatever it holds.
    Binary,
}

/// How often a client encodes its texts in UTF-8: what one session has learned so far.
///
/// Only `<length>:<packet>` bodies need it. A text outside ASCII that cannot have been encoded twice proves a client
/// that encodes once, and is remembered. Until then a text that can have been is taken to be: from a 2.x client that
/// first sends a text such as `Ã©` this is wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TextEncoding {
    /// No proof yet.
    #[default]
    Unknown,
    /// Once, as 2.x does.
    Once,
}

/// Takes the packets out of one body, one at a time, so that a body of many small packets costs no more than its bytes.
#[derive(Debug)]
pub struct Decoder {
    body: Body,
    at: usize,
}

#[derive(Debug)]
enum Body {
    LengthText(ByteString),
    LengthBinary(Bytes),
    Separated(ByteString),
}

/// Why a body could not be read. Packets in front of the fault have been taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadError {
    /// A text body that is not UTF-8.
    NotUtf8,
    /// No length where one has to be, or one of more than ten digits.
    BadLength,
    /// A length that reaches beyond the body, or ends within a character.
    Truncated,
    /// A packet of the binary framing that is neither text (0) nor binary (1).
    UnknownKind(u8),
}

const TEXT_PACKET: u8 = 0;
const BINARY_PACKET: u8 = 1;
const END_OF_LENGTH: u8 = 0xFF;
const SEPARATOR: u8 = 0x1E;
const LENGTH_DIGITS_MAX: usize = 10;

impl Decoder {
    /// Reads `body`, sent by a client of `revision`; `octet_stream` says whether its media type is
    /// `application/octet-stream`.
    ///
    /// # Errors
    /// [`PayloadError::NotUtf8`] when a text body is not UTF-8.
    pub fn new(revision: Revision, octet_stream: bool, body: Bytes) -> Result<Decoder, PayloadError> {
        let body = match (revision, octet_stream) {
            (Revision::V3, true) => Body::LengthBinary(body),
            (Revision::V3, false) => Body::LengthText(utf8(body)?),
            (Revision::V4, _) => Body::Separated(utf8(body)?),
        };
        Ok(Decoder { body, at: 0 })
    }

    /// The next packet; `None` at the end of the body. After an error there is nothing more to take.
    ///
    /// # Errors
    /// [`PayloadError`] when the framing is broken here.
    pub fn next_packet(&mut self, encoding: &mut TextEncoding) -> Option<Result<Inbound, PayloadError>> {
        let taken = match &self.body {
            Body::LengthText(text) => next_of_length_text(text, &mut self.at, encoding),
            Body::LengthBinary(bytes) => next_of_length_binary(bytes, &mut self.at),
            Body::Separated(text) => next_separated(text, &mut self.at).map(Ok),
        };
        if matches!(taken, Some(Err(_))) {
            self.at = usize::MAX;
        }
        taken
    }
}

fn next_of_length_text(
    text: &ByteString,
    at: &mut usize,
    encoding: &mut TextEncoding,
) -> Option<Result<Inbound, PayloadError>> {
    loop {
        let rest = text.get(*at..).filter(|rest| !rest.is_empty())?;
        let (length, start) = match read_length(rest.as_bytes(), b':', |byte| byte.wrapping_sub(b'0')) {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let Some(bytes) = utf16_prefix(&rest[start..], length) else {
            return Some(Err(PayloadError::Truncated));
        };
        *at += start + bytes;
        let packet = &rest[start..start + bytes];
        if packet.is_empty() {
            continue;
        }
        if *encoding == TextEncoding::Unknown && !packet.is_ascii() {
            match text::undo_second_encoding(packet) {
                Some(once) => return Some(Ok(Inbound::Text(once.into()))),
                None => *encoding = TextEncoding::Once,
            }
        }
        return Some(Ok(Inbound::Text(text.slice_ref(packet))));
    }
}

fn next_of_length_binary(bytes: &Bytes, at: &mut usize) -> Option<Result<Inbound, PayloadError>> {
    loop {
        let rest = bytes.get(*at..)?;
        let kind = *rest.first()?;
        if kind != TEXT_PACKET && kind != BINARY_PACKET {
            return Some(Err(PayloadError::UnknownKind(kind)));
        }
        let (length, digits) = match read_length(&rest[1..], END_OF_LENGTH, |byte| byte) {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let start = 1 + digits;
        let Some(packet) = start.checked_add(length).and_then(|end| rest.get(start..end)) else {
            return Some(Err(PayloadError::Truncated));
        };
        *at += start + length;
        if kind == BINARY_PACKET {
            return Some(Ok(Inbound::Binary));
        }
        if packet.is_empty() {
            continue;
        }
        return Some(utf8(bytes.slice_ref(packet)).map(Inbound::Text));
    }
}

fn next_separated(text: &ByteString, at: &mut usize) -> Option<Inbound> {
    loop {
        let rest = text.get(*at..).filter(|rest| !rest.is_empty())?;
        let end = rest.bytes().position(|byte| byte == SEPARATOR);
        *at += end.map_or(rest.len(), |end| end + 1);
        let packet = &rest[..end.unwrap_or(rest.len())];
        if packet.is_empty() {
            continue;
        }
        return Some(Inbound::Text(text.slice_ref(packet)));
    }
}

/// A decimal length that ends with `end`: its value, and the bytes taken with `end` among them.
fn read_length(bytes: &[u8], end: u8, digit: impl Fn(u8) -> u8) -> Result<(usize, usize), PayloadError> {
    let mut length = 0usize;
    for (i, &byte) in bytes.iter().take(LENGTH_DIGITS_MAX + 1).enumerate() {
        if byte == end && i > 0 {
            return Ok((length, i + 1));
        }
        let value = digit(byte);
        if value > 9 {
            return Err(PayloadError::BadLength);
        }
        length = length.saturating_mul(10).saturating_add(usize::from(value));
    }
    Err(PayloadError::BadLength)
}

/// How many bytes the first `units` UTF-16 units of `text` take; `None` when it has fewer, or a character is cut.
fn utf16_prefix(text: &str, units: usize) -> Option<usize> {
    if text.as_bytes().get(..units)?.is_ascii() {
        return Some(units);
    }
    let mut left = units;
    for (at, c) in text.char_indices() {
        if left == 0 {
            return Some(at);
        }
        left = left.checked_sub(c.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}

fn utf8(bytes: Bytes) -> Result<ByteString, PayloadError> {
    ByteString::try_from(bytes).map_err(|_| PayloadError::NotUtf8)
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PayloadError::NotUtf8 => f.write_str("a long-polling body is not UTF-8"),
            PayloadError::BadLength => {
                write!(
                    f,
                    "a long-polling body has no length of 1 to {LENGTH_DIGITS_MAX} digits where a packet starts"
                )
            }
            PayloadError::Truncated => f.write_str("a packet's length reaches beyond its long-polling body"),
            PayloadError::UnknownKind(found) => {
                write!(f, "a packet of a binary long-polling body is of kind `{found}`, expected `0` or `1`")
            }
        }
    }
}

impl std::error::Error for PayloadError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode_as(
        revision: Revision,
        octet_stream: bool,
        body: impl Into<Bytes>,
    ) -> Result<Vec<Inbound>, PayloadError> {
        let mut decoder = Decoder::new(revision, octet_stream, body.into())?;
        let mut encoding = TextEncoding::default();
        let mut all = Vec::new();
        while let Some(packet) = decoder.next_packet(&mut encoding) {
            all.push(packet?);
        }
        Ok(all)
    }

    fn texts(packets: &[&str]) -> Vec<Inbound> {
        packets.iter().map(|packet| Inbound::Text((*packet).into())).collect()
    }

    /// What a 1.x client posts: each packet encoded, lengths of that, then the whole encoded again.
    fn posted_by_1x(packets: &[&str]) -> String {
        packets
            .iter()
            .map(|packet| {
                let once: String = packet.bytes().map(char::from).collect();
                format!("{}:{once}", once.chars().count())
            })
            .collect()
    }

    fn posted_by_2x(packets: &[&str]) -> String {
        packets.iter().map(|packet| format!("{}:{packet}", packet.encode_utf16().count())).collect()
    }

    #[test]
    fn frames_for_each_generation() {
        let packets = [ByteString::from("40"), ByteString::from("42[\"é\"]")];
        assert_eq!(Framing::LengthText.encode(&packets), "2:4012:42[\"\\u00e9\"]");
        assert_eq!(
            Framing::LengthBinary.encode(&packets),
            b"\0\x02\xff40\0\x08\xff42[\"\xc3\xa9\"]".as_slice()
        );
        assert_eq!(Framing::Separated.encode(&packets), "40\u{1e}42[\"é\"]");
    }

    #[test]
    fn reads_what_each_generation_posts() {
        let packets = ["42[\"héllo 😀\"]", "2"];
        let expected = Ok(texts(&packets));
        assert_eq!(decode_as(Revision::V3, false, posted_by_1x(&packets)), expected);
        assert_eq!(decode_as(Revision::V3, false, posted_by_2x(&packets)), expected);
        assert_eq!(decode_as(Revision::V4, false, packets.join("\u{1e}")), expected);
        assert_eq!(decode_as(Revision::V3, true, &b"\0\x02\xff41\x01\x02\xff\x04x\0\x01\xff2"[..]), {
            Ok(vec![Inbound::Text("41".into()), Inbound::Binary, Inbound::Text("2".into())])
        });
        assert_eq!(decode_as(Revision::V3, false, "6:b4AQID2:40"), Ok(texts(&["b4AQID", "40"])));
        assert_eq!(decode_as(Revision::V3, false, "0:"), Ok(vec![]));
    }

    #[test]
    fn proof_of_one_encoding_is_remembered() {
        let mut encoding = TextEncoding::default();
        for packet in ["4é", "4Ã©"] {
            let mut decoder = Decoder::new(Revision::V3, false, posted_by_2x(&[packet]).into()).unwrap();
            assert_eq!(decoder.next_packet(&mut encoding), Some(Ok(Inbound::Text(packet.into()))));
        }
    }

    #[test]
    fn broken_framing_is_named() {
        for (body, error) in [
            (":40", PayloadError::BadLength),
            ("x:40", PayloadError::BadLength),
            ("2", PayloadError::BadLength),
            ("99999999999:4", PayloadError::BadLength),
            ("9999999999:4", PayloadError::Truncated),
            ("3:40", PayloadError::Truncated),
            ("2:4😀", PayloadError::Truncated),
        ] {
            assert_eq!(decode_as(Revision::V3, false, body), Err(error), "{body}");
        }
        assert_eq!(decode_as(Revision::V3, true, &b"\x07"[..]), Err(PayloadError::UnknownKind(7)));
        assert_eq!(decode_as(Revision::V3, true, &b"\0\x09\xff4"[..]), Err(PayloadError::Truncated));
        assert_eq!(decode_as(Revision::V3, true, &b"\0\x01\xff\xe9"[..]), Err(PayloadError::NotUtf8));
        assert_eq!(decode_as(Revision::V4, false, &b"4\xff"[..]), Err(PayloadError::NotUtf8));
    }

    #[test]
    fn nothing_follows_an_error() {
        let mut decoder = Decoder::new(Revision::V3, false, "2:40x".into()).unwrap();
        let mut encoding = TextEncoding::default();
        assert!(decoder.next_packet(&mut encoding).unwrap().is_ok());
        assert!(decoder.next_packet(&mut encoding).unwrap().is_err());
        assert!(decoder.next_packet(&mut encoding).is_none());
    }

    fn packet_text() -> impl Strategy<Value = String> {
        any::<String>().prop_map(|text| format!("4{}", text.replace('\u{1e}', "")))
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in any::<Vec<u8>>(), octet_stream in any::<bool>()) {
            for revision in [Revision::V3, Revision::V4] {
                let _ = decode_as(revision, octet_stream, body.clone());
            }
        }

        #[test]
        fn near_valid_bodies_never_panic(body in "([0-9]{0,3}:[a-b0-6é😀]{0,4}){0,4}", digits in any::<[u8; 6]>()) {
            let _ = decode_as(Revision::V3, false, body);
            let _ = decode_as(Revision::V3, true, [&[0][..], &digits, &[255], b"4"].concat());
        }

        #[test]
        fn posted_packets_come_back(packets in prop::collection::vec(packet_text(), 0..6)) {
            let packets: Vec<&str> = packets.iter().map(String::as_str).collect();
            let expected = Ok(texts(&packets));
            prop_assert_eq!(decode_as(Revision::V3, false, posted_by_1x(&packets)), expected.clone());
            prop_assert_eq!(decode_as(Revision::V4, false, packets.join("\u{1e}")), expected.clone());
            let framed = Framing::LengthBinary.encode(&packets.iter().map(|p| ByteString::from(*p)).collect::<Vec<_>>());
            prop_assert_eq!(decode_as(Revision::V3, true, framed), expected);
        }

        #[test]
        fn a_client_of_2x_keeps_its_texts(first in "4[\u{100}-\u{ffff}]{1,8}", packets in prop::collection::vec(packet_text(), 0..6)) {
            let mut all = vec![first.as_str()];
            all.extend(packets.iter().map(String::as_str));
            prop_assert_eq!(decode_as(Revision::V3, false, posted_by_2x(&all)), Ok(texts(&all)));
        }

        #[test]
        fn a_text_body_holds_the_lengths_that_every_generation_counts(packets in prop::collection::vec(packet_text(), 1..6)) {
            let packets: Vec<ByteString> = packets.into_iter().map(Into::into).collect();
            let body = Framing::LengthText.encode(&packets);
            prop_assert!(body.is_ascii());
            prop_assert_eq!(decode_as(Revision::V3, false, body).unwrap().len(), packets.len());
        }
    }
}
