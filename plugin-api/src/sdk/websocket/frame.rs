//! How frames begin (RFC 6455, section 5.2).

/// Longest beginning of a frame that a server sends, in bytes: it masks nothing.
pub const HEADER_MAX_BYTES: usize = 10;

/// Most that a control frame may carry, in bytes (section 5.5).
pub const CONTROL_MAX_BYTES: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OpCode {
    /// Goes on with a message.
    Continuation = 0x0,
    /// Begins a message of text.
    Text = 0x1,
    /// Begins a message of bytes.
    Binary = 0x2,
    /// Ends the WebSocket.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping.
    Pong = 0xa,
}

impl OpCode {
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether it is about the WebSocket itself, and may come between the frames of a message.
    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The beginning of a frame that a server sends: whole, and not masked.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; HEADER_MAX_BYTES],
    length: usize,
}

impl Header {
    /// For a frame that carries `payload` bytes and is a whole message by itself.
    #[must_use]
    pub fn new(code: OpCode, payload: usize) -> Self {
        const FINAL: u8 = 0x80;
        let mut bytes = [0; HEADER_MAX_BYTES];
        let wide = (payload as u64).to_be_bytes();
        let [.., high, low] = wide;
        // The shortest form that holds the length.
        let (short, length): (u8, usize) = match payload {
            0..=125 => (low, 2),
            126..=0xffff => (126, 4),
            _ => (127, HEADER_MAX_BYTES),
        };
        let begin = [FINAL | code as u8, short, high, low];
        for (to, from) in bytes.iter_mut().zip(begin) {
            *to = from;
        }
        if length == HEADER_MAX_BYTES {
            for (to, from) in bytes.iter_mut().skip(2).zip(wide) {
                *to = from;
            }
        }
        Self { bytes, length }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}
