//! Why a WebSocket ends (RFC 6455, section 7.4).

use super::frame::{CONTROL_MAX_BYTES, HEADER_MAX_BYTES, Header, OpCode};

/// The status code of a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close(u16);

impl Close {
    /// It was meant to end.
    pub const NORMAL: Self = Self(1000);
    /// The other end broke the protocol of WebSockets.
    pub const PROTOCOL: Self = Self(1002);
    /// The other end sent a kind of message that is not taken.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Text that is not UTF-8.
    pub const INVALID: Self = Self(1007);
    /// A message that is too large.
    pub const SIZE: Self = Self(1009);

    /// A code that a close frame may carry: 1000 to 1003, 1007 to 1014, 3000 to 4999 (section 7.4.2 and IANA's registry).
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The code.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Appends a close frame with this code and as much of `reason` as fits.
    pub fn encode(self, reason: &str, out: &mut impl Extend<u8>) {
        let room = CONTROL_MAX_BYTES - size_of::<u16>();
        let reason = reason.get(..reason.floor_char_boundary(room)).unwrap_or_default();
        let header = Header::new(OpCode::Close, size_of::<u16>() + reason.len());
        debug_assert!(header.as_bytes().len() <= HEADER_MAX_BYTES);
        out.extend(header.as_bytes().iter().copied());
        out.extend(self.0.to_be_bytes());
        out.extend(reason.bytes());
    }
}
