//! Packets written into one buffer.

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::{Packet, PacketType, Properties, QoS, REMAINING_LENGTH_MAX, ReasonCode, Version};

/// A packet that has no encoding. The buffer is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// A string or binary field of so many bytes; 65,535 is the most.
    FieldTooLong(usize),
    /// A remaining length above [`REMAINING_LENGTH_MAX`].
    PacketTooLarge(usize),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::FieldTooLong(found) => {
                write!(f, "cannot write the packet: a field of {found} bytes; at most 65535")
            }
            EncodeError::PacketTooLarge(found) => {
                write!(f, "cannot write the packet: {found} bytes; at most {REMAINING_LENGTH_MAX}")
            }
        }
    }
}

impl std::error::Error for EncodeError {}

/// What stands before the payload of a PUBLISH, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct PublishHead<'a> {
    /// Whether this may have been sent before. Never with QoS 0.
    pub dup: bool,
    /// See [`QoS`].
    pub qos: QoS,
    /// The retain flag.
    pub retain: bool,
    /// The topic name.
    pub topic: &'a str,
    /// The packet identifier; written with QoS 1 and 2 only.
    pub packet_id: u16,
}

impl PublishHead<'_> {
    pub(crate) fn first_byte(&self) -> u8 {
        0x30 | u8::from(self.dup) << 3 | (self.qos as u8) << 1 | u8::from(self.retain)
    }
}

/// The bytes of the whole PUBLISH that [`encode_publish`] writes, when its properties take `properties` bytes without
/// their length (none before 5.0).
#[must_use]
pub fn publish_size(version: Version, qos: QoS, topic: usize, properties: usize, payload: usize) -> usize {
    let body = publish_body_size(version, qos, topic, properties, payload);
    1 + varint_size(body) + body
}

/// Appends a PUBLISH; `properties` are written for 5.0 only.
///
/// # Errors
/// [`EncodeError`]; the buffer is as it was.
pub fn encode_publish(
    out: &mut BytesMut,
    version: Version,
    head: &PublishHead<'_>,
    properties: &Properties,
    payload: &[u8],
) -> Result<(), EncodeError> {
    if head.topic.len() > usize::from(u16::MAX) {
        return Err(EncodeError::FieldTooLong(head.topic.len()));
    }
    if version < Version::V5 || properties.is_empty() {
        let body = publish_body_size(version, head.qos, head.topic.len(), 0, payload.len());
        if body > REMAINING_LENGTH_MAX {
            return Err(EncodeError::PacketTooLarge(body));
        }
        out.reserve(5 + body);
        out.put_u8(head.first_byte());
        put_varint(out, body);
        put_text(out, head.topic);
        if head.qos > QoS::AtMostOnce {
            out.put_u16(head.packet_id);
        }
        if version == Version::V5 {
            out.put_u8(0);
        }
        out.put_slice(payload);
        return Ok(());
    }
    check_properties(properties)?;
    put_packet(out, head.first_byte(), |out| {
        put_text(out, head.topic);
        if head.qos > QoS::AtMostOnce {
            out.put_u16(head.packet_id);
        }
        properties.write(out);
        out.put_slice(payload);
    })
}

/// Appends a PUBACK, PUBREC, PUBREL or PUBCOMP without properties, in its shortest form. Before 5.0 `reason` is not
/// written.
pub fn encode_ack(
    out: &mut BytesMut,
    version: Version,
    packet: PacketType,
    packet_id: u16,
    reason: ReasonCode,
) {
    let flags = if packet == PacketType::PubRel { 2 } else { 0 };
    let [high, low] = packet_id.to_be_bytes();
    if version < Version::V5 || reason == ReasonCode::Success {
        out.put_slice(&[(packet as u8) << 4 | flags, 2, high, low]);
    } else {
        out.put_slice(&[(packet as u8) << 4 | flags, 3, high, low, reason as u8]);
    }
}

impl Packet {
    /// Appends the packet as `version` writes it; what the version does not know (properties, reason codes before 5.0) is
    /// left out.
    ///
    /// # Errors
    /// [`EncodeError`]; the buffer is as it was.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        if let Packet::Publish(publish) = self {
            let head = PublishHead {
                dup: publish.dup,
                qos: publish.qos,
                retain: publish.retain,
                topic: &publish.topic,
                packet_id: publish.packet_id,
            };
            return encode_publish(out, version, &head, &publish.properties, &publish.payload);
        }
        self.check_fields()?;
        put_packet(out, self.first_byte(), |out| self.write_body(version, out))
    }
}

/// Appends a packet: its first byte, its remaining length, and the body that `write` appends.
pub(super) fn put_packet(
    out: &mut BytesMut,
    first_byte: u8,
    write: impl FnOnce(&mut BytesMut),
) -> Result<(), EncodeError> {
    let start = out.len();
    out.put_u8(first_byte);
    put_with_length(out, write);
    let body = out.len() - start;
    if body > REMAINING_LENGTH_MAX {
        out.truncate(start);
        return Err(EncodeError::PacketTooLarge(body));
    }
    Ok(())
}

/// Appends the length, as a variable byte integer, of what `write` appends, and that.
pub(super) fn put_with_length(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u8(0);
    write(out);
    let length = out.len() - at - 1;
    let more = varint_size(length) - 1;
    if more > 0 {
        out.put_bytes(0, more);
        out.copy_within(at + 1..at + 1 + length, at + 1 + more);
    }
    let mut rest = length;
    for byte in &mut out[at..=at + more] {
        *byte = (rest & 0x7F) as u8 | if rest > 0x7F { 0x80 } else { 0 };
        rest >>= 7;
    }
}

/// The bytes that `value` takes as a variable byte integer; 4 also for what has no encoding.
fn varint_size(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

pub(crate) fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value > 0x7F {
        out.put_u8((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

pub(crate) fn put_text(out: &mut BytesMut, text: &str) {
    put_binary(out, text.as_bytes());
}

pub(super) fn put_binary(out: &mut BytesMut, data: &[u8]) {
    out.put_u16(data.len() as u16);
    out.put_slice(data);
}

pub(super) fn check_field(length: usize) -> Result<(), EncodeError> {
    if length > usize::from(u16::MAX) { Err(EncodeError::FieldTooLong(length)) } else { Ok(()) }
}

pub(super) fn check_properties(properties: &Properties) -> Result<(), EncodeError> {
    properties.iter().try_for_each(|property| check_field(property.longest_field()))
}

fn publish_body_size(version: Version, qos: QoS, topic: usize, properties: usize, payload: usize) -> usize {
    let packet_id = if qos > QoS::AtMostOnce { 2 } else { 0 };
    let properties = if version == Version::V5 { varint_size(properties) + properties } else { 0 };
    2 + topic + packet_id + properties + payload
}
