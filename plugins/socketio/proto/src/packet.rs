//! One engine.io packet: a type digit, then its data. Text packets alone; binary ones are attachments, which the
//! [session](crate::session) counts and drops.

use std::fmt;

use bytestring::ByteString;

/// Which revision of engine.io a client speaks: the `EIO` of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    /// `EIO=3`: socket.io-client 1.x and 2.x. The client sends the heartbeat.
    V3,
    /// `EIO=4`: socket.io-client 3.x and 4.x. The server sends the heartbeat.
    V4,
}

/// A packet that a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// `1`: the client leaves.
    Close,
    /// `2`: a heartbeat (revision 3) or the probe of an upgrade; the data comes back in the [`Packet::Pong`].
    Ping(ByteString),
    /// `3`: the answer to the server's heartbeat (revision 4).
    Pong,
    /// `4`: a socket.io packet.
    Message(ByteString),
    /// `5`: the WebSocket takes over from long-polling.
    Upgrade,
    /// `6`: nothing.
    Noop,
}

/// A packet that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PacketError {
    /// No type digit: the packet is empty.
    Empty,
    /// The first character is no type that a client may send; the code point found.
    UnknownType(char),
}

/// The packet that asks the other side to close.
pub const CLOSE: ByteString = ByteString::from_static("1");
/// The server's heartbeat.
pub const PING: ByteString = ByteString::from_static("2");
/// The answer to the probe of an upgrade.
pub const PONG_PROBE: ByteString = ByteString::from_static("3probe");
/// The packet that ends a waiting poll without telling anything.
pub const NOOP: ByteString = ByteString::from_static("6");
/// The data of the ping that probes an upgrade.
pub const PROBE: &str = "probe";

impl Packet {
    /// Reads one text packet.
    ///
    /// # Errors
    /// [`PacketError`] when the type is missing or not one that a client may send.
    pub fn parse(text: &ByteString) -> Result<Packet, PacketError> {
        let kind = text.chars().next().ok_or(PacketError::Empty)?;
        let data = || text.slice_ref(&text[kind.len_utf8()..]);
        match kind {
            '1' => Ok(Packet::Close),
            '2' => Ok(Packet::Ping(data())),
            '3' => Ok(Packet::Pong),
            '4' => Ok(Packet::Message(data())),
            '5' => Ok(Packet::Upgrade),
            '6' => Ok(Packet::Noop),
            other => Err(PacketError::UnknownType(other)),
        }
    }
}

/// The packet that answers a ping carrying `data`.
#[must_use]
pub fn pong(data: &str) -> ByteString {
    if data.is_empty() { ByteString::from_static("3") } else { format!("3{data}").into() }
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PacketError::Empty => {
                f.write_str("an engine.io packet is empty, expected a type from `1` to `6`")
            }
            PacketError::UnknownType(found) => {
                write!(
                    f,
                    "an engine.io packet starts with `{}`, expected a type from `1` to `6`",
                    found.escape_debug()
                )
            }
        }
    }
}

impl std::error::Error for PacketError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_each_type() {
        let parse = |text: &'static str| Packet::parse(&ByteString::from_static(text));
        assert_eq!(parse("1"), Ok(Packet::Close));
        assert_eq!(parse("2probe"), Ok(Packet::Ping("probe".into())));
        assert_eq!(parse("3"), Ok(Packet::Pong));
        assert_eq!(parse("42[]"), Ok(Packet::Message("2[]".into())));
        assert_eq!(parse("5"), Ok(Packet::Upgrade));
        assert_eq!(parse(""), Err(PacketError::Empty));
        assert_eq!(parse("0{}"), Err(PacketError::UnknownType('0')));
        assert_eq!(parse("é"), Err(PacketError::UnknownType('é')));
    }

    #[test]
    fn a_pong_carries_the_data_of_its_ping() {
        assert_eq!(pong(""), "3");
        assert_eq!(pong("probe"), PONG_PROBE);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = Packet::parse(&text.into());
        }
    }
}
