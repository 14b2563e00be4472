//! Frames: the envelope of everything that follows the protocol header (specification 4.2.3).

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What a client of 0-9-1 sends first, and what it gets back when it asked for something else.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";
/// RabbitMQ takes this for 0-9-1 as well: clients of the first drafts send it.
pub const PROTOCOL_HEADER_DRAFT: [u8; 8] = *b"AMQP\x01\x01\x00\x09";

/// The octet that ends each frame.
pub const FRAME_END: u8 = 0xCE;
/// Octets of a frame besides its payload: type, channel and size in front, the end behind.
pub const FRAME_OVERHEAD: usize = 8;
/// The smallest `frame_max` that two peers may agree on.
pub const FRAME_MIN_SIZE: u32 = 4096;
/// What may be beyond `frame_max`: some clients count payloads, some whole frames.
const FRAME_SIZE_FUDGE: usize = FRAME_OVERHEAD;
const FRAME_HEAD: usize = 7;

/// Type octet of a method frame.
pub(crate) const METHOD: u8 = 1;
/// Type octet of a content header frame.
pub(crate) const HEADER: u8 = 2;
/// Type octet of a content body frame.
pub(crate) const BODY: u8 = 3;
/// Type octet of a heartbeat frame.
pub(crate) const HEARTBEAT: u8 = 8;

/// The heartbeat that a server sends.
pub const HEARTBEAT_FRAME: [u8; 8] = [HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END];

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A method: see [`Method::decode`](super::method::Method::decode).
    Method(Bytes),
    /// The header of a content: see [`ContentHeader::decode`].
    Header(Bytes),
    /// A part of the body of a content.
    Body(Bytes),
    /// A sign of life.
    Heartbeat,
}

impl Payload {
    /// The type octet and the bytes.
    #[must_use]
    pub fn parts(&self) -> (u8, &[u8]) {
        match self {
            Payload::Method(bytes) => (METHOD, bytes),
            Payload::Header(bytes) => (HEADER, bytes),
            Payload::Body(bytes) => (BODY, bytes),
            Payload::Heartbeat => (HEARTBEAT, &[]),
        }
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// 0 is the connection itself.
    pub channel: u16,
    /// What it carries.
    pub payload: Payload,
}

/// Bytes that are no frame. The stream cannot be read any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameError {
    /// The type octet.
    pub frame_type: u8,
    /// The channel.
    pub channel: u16,
    /// The payload; empty when it was not waited for.
    pub octets: Bytes,
    /// What is wrong.
    pub kind: FrameErrorKind,
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameErrorKind {
    /// The payload is larger than the peers have agreed on.
    TooLarge {
        /// Octets of payload announced.
        size: u32,
        /// Octets of payload allowed.
        max: u32,
    },
    /// Another octet than [`FRAME_END`] where the frame should end.
    End(u8),
    /// There is no such type of frame, or its payload is too short to be told apart.
    Unknown,
}

impl fmt::Display for FrameErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameErrorKind::TooLarge { size, max } => write!(f, "{{frame_too_large,{size},{max}}}"),
            FrameErrorKind::End(octet) => write!(f, "{{invalid_frame_end_marker,{octet}}}"),
            FrameErrorKind::Unknown => f.write_str("unknown_frame"),
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame of type {} on channel {}: {}", self.frame_type, self.channel, self.kind)
    }
}

impl std::error::Error for FrameError {}

/// The type, channel and payload size of the frame that `input` begins with; `None` until they are there.
#[must_use]
pub fn head(input: &[u8]) -> Option<(u8, u16, u32)> {
    let [frame_type, c1, c0, s3, s2, s1, s0] = *input.first_chunk::<FRAME_HEAD>()?;
    Some((frame_type, u16::from_be_bytes([c1, c0]), u32::from_be_bytes([s3, s2, s1, s0])))
}

/// Takes the first frame out of `input`; `None` when it is not whole yet. The payload shares the memory of `input`.
///
/// `frame_max` is the negotiated size of a whole frame. A frame beyond it is refused as soon as its head is there, so
/// that no more than `frame_max` and eight octets need ever be buffered.
///
/// # Errors
/// When the bytes are no frame.
pub fn decode(input: &mut BytesMut, frame_max: u32) -> Result<Option<Frame>, FrameError> {
    let Some((frame_type, channel, size)) = head(input) else { return Ok(None) };
    let error = |octets, kind| Err(FrameError { frame_type, channel, octets, kind });
    let length = size as usize;
    let allowed = (frame_max as usize).saturating_sub(FRAME_OVERHEAD);
    if length > allowed + FRAME_SIZE_FUDGE {
        let kind = FrameErrorKind::TooLarge { size, max: allowed as u32 };
        return error(Bytes::new(), kind);
    }
    if input.len() < FRAME_OVERHEAD + length {
        return Ok(None);
    }
    let mut frame = input.split_to(FRAME_OVERHEAD + length);
    let end = frame[FRAME_HEAD + length];
    frame.advance(FRAME_HEAD);
    frame.truncate(length);
    let octets = frame.freeze();
    if end != FRAME_END {
        return error(octets, FrameErrorKind::End(end));
    }
    let payload = match frame_type {
        METHOD if length >= 4 => Payload::Method(octets),
        HEADER if length >= CONTENT_HEADER_MIN => Payload::Header(octets),
        BODY => Payload::Body(octets),
        HEARTBEAT if length == 0 => Payload::Heartbeat,
        _ => return error(octets, FrameErrorKind::Unknown),
    };
    Ok(Some(Frame { channel, payload }))
}

/// Appends a frame to `out`.
pub fn encode(frame: &Frame, out: &mut BytesMut) {
    let (frame_type, octets) = frame.payload.parts();
    put(out, frame_type, frame.channel, octets);
}

/// Appends a frame of any type to `out`.
pub(crate) fn put(out: &mut BytesMut, frame_type: u8, channel: u16, octets: &[u8]) {
    out.reserve(FRAME_OVERHEAD + octets.len());
    put_head(out, frame_type, channel, octets.len());
    out.put_slice(octets);
    out.put_u8(FRAME_END);
}

/// Appends what is in front of a payload of `size` octets.
pub(crate) fn put_head(out: &mut BytesMut, frame_type: u8, channel: u16, size: usize) {
    let [c1, c0] = channel.to_be_bytes();
    let [s3, s2, s1, s0] = (size as u32).to_be_bytes();
    out.put_slice(&[frame_type, c1, c0, s3, s2, s1, s0]);
}

/// Appends a frame whose payload `write` appends; its size is filled in afterwards.
pub(crate) fn put_with(out: &mut BytesMut, frame_type: u8, channel: u16, write: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    put_head(out, frame_type, channel, 0);
    write(out);
    let size = (out.len() - at - FRAME_HEAD) as u32;
    out[at + 3..at + FRAME_HEAD].copy_from_slice(&size.to_be_bytes());
    out.put_u8(FRAME_END);
}

/// Octets of a content header in front of the property flags.
pub(crate) const CONTENT_HEADER_MIN: usize = 12;

/// The payload of a content header frame (specification 4.2.6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentHeader {
    /// The class of the method that the content belongs to; 60 is basic.
    pub class: u16,
    /// Octets of body that follow in body frames.
    pub body_size: u64,
    /// The properties, unread: see [`Properties::parse`](super::properties::Properties::parse).
    pub properties: Bytes,
}

impl ContentHeader {
    /// Reads the payload of a header frame; `None` when it is too short.
    #[must_use]
    pub fn decode(payload: &Bytes) -> Option<ContentHeader> {
        let [c1, c0, _, _, size @ ..] = *payload.first_chunk::<CONTENT_HEADER_MIN>()?;
        Some(ContentHeader {
            class: u16::from_be_bytes([c1, c0]),
            body_size: u64::from_be_bytes(size),
            properties: payload.slice(CONTENT_HEADER_MIN..),
        })
    }
}
