//! From the frames of a client to the bytes that they carry (RFC 6455, section 5).

use std::fmt;

use super::Messages;
use super::close::Close;
use super::frame::{CONTROL_MAX_BYTES, OpCode};
use super::utf8::Utf8;

/// Largest message of a client, in bytes, in however many frames. Nothing is gathered here, so that this takes no memory: a
/// protocol's own limits are what counts for what it gathers.
pub const MESSAGE_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Longest beginning of a frame that a client sends, in bytes: it masks what it sends.
const HEADER_MAX_BYTES: usize = 14;

/// Turns the frames of one client into the bytes that their messages carry, in place and as they come: frames need not be
/// whole, and none is kept.
#[derive(Debug)]
pub struct Decoder {
    messages: Messages,
    header: [u8; HEADER_MAX_BYTES],
    header_length: u8,
    /// The frame whose payload comes next; none while a header does.
    frame: Option<Frame>,
    /// The kind of the message that is not whole yet.
    message: Option<OpCode>,
    /// What has been announced of it.
    message_bytes: u64,
    utf8: Utf8,
    /// What has come of a control frame's payload.
    control: Vec<u8>,
    has_ended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    code: OpCode,
    is_final: bool,
    mask: [u8; 4],
    /// Bytes of the payload that are still to come.
    left: u64,
}

/// What a piece of a client's bytes came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// How many bytes of messages there are: they stand at the beginning of the piece now.
    pub payload: usize,
    /// What the last ping in it carried, which a pong has to carry back (section 5.5.3: earlier ones need none).
    pub ping: Option<Vec<u8>>,
    /// Set when nothing that comes after it counts.
    pub end: Option<End>,
}

/// Why nothing more is taken from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has closed, with this code if it gave one.
    Closed(Option<Close>),
    /// It broke a rule.
    Fault(Fault),
}

/// The rule that a client broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bits are set that only an extension gives a meaning (section 5.2).
    ReservedBits,
    /// An opcode that does not exist.
    OpCode(u8),
    /// A frame that is not masked (section 5.1).
    NotMasked,
    /// A control frame in parts, or with more than [`CONTROL_MAX_BYTES`] (section 5.5).
    Control,
    /// A continuation without a message to go on with (section 5.4).
    NothingToContinue,
    /// A message that begins before the one before it has ended (section 5.4).
    NotContinued,
    /// A length that is longer than it has to be, or has its highest bit set (section 5.2).
    Length,
    /// A message of so many bytes, more than [`MESSAGE_MAX_BYTES`].
    TooLarge(u64),
    /// A message of text where the protocol takes bytes alone.
    Text,
    /// Text that is not UTF-8 (section 8.1).
    NotUtf8,
    /// A close frame whose payload is no code with a text behind it (section 5.5.1), or whose code may not be sent.
    Close,
}

impl Fault {
    /// What the client is closed with.
    #[must_use]
    pub const fn close(self) -> Close {
        match self {
            Self::TooLarge(_) => Close::SIZE,
            Self::Text => Close::UNSUPPORTED,
            Self::NotUtf8 => Close::INVALID,
            _ => Close::PROTOCOL,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits => {
                f.write_str("a frame with reserved bits, though no extension was agreed on")
            }
            Self::OpCode(found) => write!(f, "a frame of the unknown opcode {found:#x}"),
            Self::NotMasked => f.write_str("a frame that is not masked; clients mask what they send"),
            Self::Control => {
                write!(f, "a control frame that is in parts or carries more than {CONTROL_MAX_BYTES} bytes")
            }
            Self::NothingToContinue => f.write_str("a continuation frame without a message before it"),
            Self::NotContinued => f.write_str("a message that begins before the one before it has ended"),
            Self::Length => f.write_str("a frame whose length is not in its shortest form"),
            Self::TooLarge(found) => {
                write!(f, "a message of {found} bytes, at most {MESSAGE_MAX_BYTES} are taken")
            }
            Self::Text => f.write_str("a message of text; this protocol takes binary messages"),
            Self::NotUtf8 => f.write_str("text that is not UTF-8"),
            Self::Close => f.write_str("a close frame without a proper code and text"),
        }
    }
}

impl std::error::Error for Fault {}

impl Decoder {
    /// For a client that has just been let in, of a protocol that is spoken in these messages.
    #[must_use]
    pub const fn new(messages: Messages) -> Self {
        Self {
            messages,
            header: [0; HEADER_MAX_BYTES],
            header_length: 0,
            frame: None,
            message: None,
            message_bytes: 0,
            utf8: Utf8::new(),
            control: Vec::new(),
            has_ended: false,
        }
    }

    /// Takes the next bytes of the client, all of them, and moves what messages carry to their beginning.
    ///
    /// The bytes of messages, and how it ends, do not depend on how the client's bytes were cut. After an end it takes
    /// nothing more.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Decoded {
        let mut decoded = Decoded::default();
        let mut at = 0;
        while at < bytes.len() && !self.has_ended {
            match self.step(bytes, &mut at, &mut decoded) {
                Ok(()) => {}
                Err(end) => {
                    self.has_ended = true;
                    self.control = Vec::new();
                    decoded.end = Some(end);
                }
            }
        }
        decoded
    }

    /// Takes a byte of a header, or what there is of a payload.
    fn step(&mut self, bytes: &mut [u8], at: &mut usize, decoded: &mut Decoded) -> Result<(), End> {
        let Some(mut frame) = self.frame else {
            let Some(byte) = bytes.get(*at) else { return Ok(()) };
            *at += 1;
            let begun = self.take_header_byte(*byte).map_err(End::Fault)?;
            self.frame = begun;
            return match begun {
                // Nothing more may come that would end it.
                Some(frame) if frame.left == 0 => self.end_frame(frame, decoded),
                _ => Ok(()),
            };
        };
        let here = bytes.len().saturating_sub(*at);
        let length = usize::try_from(frame.left).map_or(here, |left| left.min(here));
        let to = if frame.code.is_control() { *at } else { decoded.payload };
        bytes.copy_within(*at..*at + length, to);
        *at += length;
        let Some(payload) = bytes.get_mut(to..to + length) else { return Ok(()) };
        frame.unmask(payload);
        if frame.code.is_control() {
            self.control.extend_from_slice(payload);
        } else {
            if self.message == Some(OpCode::Text) {
                self.utf8.check(payload).map_err(|taken| {
                    decoded.payload += taken;
                    End::Fault(Fault::NotUtf8)
                })?;
            }
            decoded.payload += length;
        }
        self.frame = Some(frame);
        if frame.left == 0 { self.end_frame(frame, decoded) } else { Ok(()) }
    }

    /// Takes the next byte of a header. Gives the frame once its header is whole.
    ///
    /// What can be judged is judged at once, so that it makes no difference where a header was cut.
    fn take_header_byte(&mut self, byte: u8) -> Result<Option<Frame>, Fault> {
        if let Some(place) = self.header.get_mut(usize::from(self.header_length)) {
            *place = byte;
            self.header_length += 1;
        }
        let [first, second, ..] = self.header;
        let code = OpCode::from_bits(first & 0x0f).ok_or(Fault::OpCode(first & 0x0f))?;
        let is_final = first & 0x80 != 0;
        if self.header_length == 1 {
            self.begin(first, code, is_final)?;
            return Ok(None);
        }
        let short = second & 0x7f;
        if self.header_length == 2 {
            if second & 0x80 == 0 {
                return Err(Fault::NotMasked);
            }
            if code.is_control() && usize::from(short) > CONTROL_MAX_BYTES {
                return Err(Fault::Control);
            }
        }
        // Where the mask begins, and the least length that may be written so.
        let (mask_at, shortest): (u8, u64) = match short {
            126 => (4, 126),
            127 => (10, 0x1_0000),
            _ => (2, 0),
        };
        let written = self.header.get(2..usize::from(mask_at)).unwrap_or_default();
        let length = match written {
            [] => u64::from(short),
            _ => written.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        if self.header_length == mask_at {
            if length < shortest || length > i64::MAX.unsigned_abs() {
                return Err(Fault::Length);
            }
            self.announce(code, length)?;
        }
        let [.., a, b, c, d] = self.header.get(..usize::from(self.header_length)).unwrap_or_default() else {
            return Ok(None);
        };
        if self.header_length < mask_at + 4 {
            return Ok(None);
        }
        let mask = [*a, *b, *c, *d];
        self.header_length = 0;
        Ok(Some(Frame { code, is_final, mask, left: length }))
    }

    /// Judges the first byte of a frame.
    fn begin(&mut self, first: u8, code: OpCode, is_final: bool) -> Result<(), Fault> {
        const RESERVED: u8 = 0x70;
        if first & RESERVED != 0 {
            return Err(Fault::ReservedBits);
        }
        match (code, self.message) {
            (OpCode::Close | OpCode::Ping | OpCode::Pong, _) if !is_final => Err(Fault::Control),
            (OpCode::Continuation, None) => Err(Fault::NothingToContinue),
            (OpCode::Text | OpCode::Binary, Some(_)) => Err(Fault::NotContinued),
            (OpCode::Text, None) if self.messages == Messages::Binary => Err(Fault::Text),
            (OpCode::Text | OpCode::Binary, None) => {
                self.message = Some(code);
                self.message_bytes = 0;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Counts what a frame of a message is going to carry.
    fn announce(&mut self, code: OpCode, length: u64) -> Result<(), Fault> {
        if code.is_control() {
            return Ok(());
        }
        self.message_bytes = self.message_bytes.saturating_add(length);
        if self.message_bytes > MESSAGE_MAX_BYTES {
            return Err(Fault::TooLarge(self.message_bytes));
        }
        Ok(())
    }

    fn end_frame(&mut self, frame: Frame, decoded: &mut Decoded) -> Result<(), End> {
        self.frame = None;
        let control = std::mem::take(&mut self.control);
        match frame.code {
            OpCode::Ping => decoded.ping = Some(control),
            OpCode::Pong => {}
            OpCode::Close => return Err(read_close(&control)),
            OpCode::Continuation | OpCode::Text | OpCode::Binary if frame.is_final => {
                self.message = None;
                if !self.utf8.is_whole() {
                    return Err(End::Fault(Fault::NotUtf8));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Frame {
    /// Undoes the mask of the next bytes of the payload, and counts them.
    fn unmask(&mut self, payload: &mut [u8]) {
        let [a, b, c, d] = self.mask;
        let wide = [a, b, c, d, a, b, c, d];
        let mut chunks = payload.chunks_exact_mut(8);
        for chunk in &mut chunks {
            for (byte, mask) in chunk.iter_mut().zip(&wide) {
                *byte ^= mask;
            }
        }
        let rest = chunks.into_remainder();
        for (byte, mask) in rest.iter_mut().zip(&wide) {
            *byte ^= mask;
        }
        // What comes next goes on in the middle of the mask.
        self.mask.rotate_left(payload.len() % 4);
        self.left = self.left.saturating_sub(payload.len() as u64);
    }
}

/// What a close frame says (section 5.5.1).
fn read_close(payload: &[u8]) -> End {
    let fault = End::Fault(Fault::Close);
    match payload {
        [] => End::Closed(None),
        [high, low, reason @ ..] => match Close::new(u16::from_be_bytes([*high, *low])) {
            Some(_) if std::str::from_utf8(reason).is_err() => End::Fault(Fault::NotUtf8),
            Some(close) => End::Closed(Some(close)),
            None => fault,
        },
        _ => fault,
    }
}
