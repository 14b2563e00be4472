//! Bytes to frames and back.
//!
//! [`Decoder`] takes whole frames out of a buffer, wherever the bytes were split; [`FrameWriter`] appends frames to one.
//! Header values stay in the bytes that were read, and are unescaped only when somebody looks at them.

mod decoder;
mod encode;
mod escape;

use std::fmt;

pub use self::{
    decoder::{DecodeError, Decoder, Frame, FrameLimits, Problem},
    encode::FrameWriter,
    escape::{UnknownEscape, escape, unescape},
};

/// A version of the protocol. Later ones are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// 1.0: no escapes; spaces in front of a header's value do not belong to it.
    #[default]
    V1_0,
    /// 1.1: `\n`, `\c` and `\\` are escapes.
    V1_1,
    /// 1.2: `\r` is one too, and lines may end in CR LF.
    V1_2,
}

impl Version {
    /// All of them, as `ERROR` frames list them.
    pub const ALL: &'static str = "1.0,1.1,1.2";

    /// As the headers `version` and `accept-version` have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
        }
    }

    /// The version of that name, if it is spoken here.
    #[must_use]
    pub fn of(name: &str) -> Option<Version> {
        [Version::V1_0, Version::V1_1, Version::V1_2].into_iter().find(|version| version.name() == name)
    }

    /// The latest version of a comma separated list that is spoken here (1.1 and 1.2, "Protocol Negotiation").
    #[must_use]
    pub fn negotiate(accepted: &str) -> Option<Version> {
        accepted.split(',').filter_map(|name| Version::of(name.trim())).max()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a client's frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// `CONNECT` or `STOMP`: opens the connection.
    Connect,
    /// `SEND`: publishes a message.
    Send,
    /// `SUBSCRIBE`: begins a subscription.
    Subscribe,
    /// `UNSUBSCRIBE`: ends one.
    Unsubscribe,
    /// `ACK`: messages were processed.
    Ack,
    /// `NACK`: they were not.
    Nack,
    /// `BEGIN`: opens a transaction.
    Begin,
    /// `COMMIT`: does all of it.
    Commit,
    /// `ABORT`: does nothing of it.
    Abort,
    /// `DISCONNECT`: closes the connection in order.
    Disconnect,
    /// Anything else; see [`Frame::command_text`].
    Unknown,
}

impl Command {
    /// The command that a frame's first line names. Case matters.
    #[must_use]
    pub fn of(line: &[u8]) -> Command {
        match line {
            b"SEND" => Command::Send,
            b"ACK" => Command::Ack,
            b"NACK" => Command::Nack,
            b"SUBSCRIBE" => Command::Subscribe,
            b"UNSUBSCRIBE" => Command::Unsubscribe,
            b"BEGIN" => Command::Begin,
            b"COMMIT" => Command::Commit,
            b"ABORT" => Command::Abort,
            b"DISCONNECT" => Command::Disconnect,
            b"CONNECT" | b"STOMP" => Command::Connect,
            _ => Command::Unknown,
        }
    }

    /// Its name as clients write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Command::Connect => "CONNECT",
            Command::Send => "SEND",
            Command::Subscribe => "SUBSCRIBE",
            Command::Unsubscribe => "UNSUBSCRIBE",
            Command::Ack => "ACK",
            Command::Nack => "NACK",
            Command::Begin => "BEGIN",
            Command::Commit => "COMMIT",
            Command::Abort => "ABORT",
            Command::Disconnect => "DISCONNECT",
            Command::Unknown => "",
        }
    }
}
