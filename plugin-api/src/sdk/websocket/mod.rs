//! WebSockets as a way in for any protocol: bytes in messages instead of bytes in a stream (RFC 6455).
//!
//! A listener that `plugins.toml` declares with `ws://` gives the protocol the same [`Connection`](super::Connection) as
//! any other: what messages carry is read as one stream of bytes, and what is written leaves as messages. A protocol says
//! with [`Protocol::WEBSOCKET`](super::Protocol::WEBSOCKET) at which paths, under which sub-protocols and in which kind of
//! message.
//!
//! Here is what can be decided without sockets and clocks: [`Door`] answers handshakes, [`Decoder`] turns frames into bytes
//! in place, [`Header`] begins a frame. No extension is offered: messages are not compressed.

mod close;
mod decoder;
mod door;
mod frame;
mod origin;
mod utf8;

#[cfg(test)]
mod tests;

pub use close::Close;
pub use decoder::{Decoded, Decoder, End, Fault, MESSAGE_MAX_BYTES};
pub use door::{Answer, Door, HEAD_MAX_BYTES, HEADERS_MAX, PATH_MAX_BYTES};
pub use frame::{CONTROL_MAX_BYTES, HEADER_MAX_BYTES, Header, OpCode};
pub use origin::Origins;

/// How a protocol is spoken over WebSockets.
///
/// ```
/// use kuzzle_plugin_api::sdk::WebSocket;
///
/// const CHAT: WebSocket = WebSocket::text().at(&["/chat", "/"]).speaking(&["v2.chat", "v1.chat"]);
/// assert_eq!(CHAT.paths(), ["/chat", "/"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocket {
    messages: Messages,
    paths: &'static [&'static str],
    sub_protocols: &'static [&'static str],
}

/// The kind of message that a protocol's bytes travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// Binary ones. A client that sends text is closed with 1003.
    Binary,
    /// Text where it is UTF-8, binary where it is not. Clients may send either.
    Text,
}

impl WebSocket {
    /// For a protocol of bytes: in [binary](Messages::Binary) messages, at `/`, without a sub-protocol.
    #[must_use]
    pub const fn binary() -> Self {
        Self { messages: Messages::Binary, paths: &["/"], sub_protocols: &[] }
    }

    /// For a protocol of text: in [text](Messages::Text) messages, at `/`, without a sub-protocol.
    #[must_use]
    pub const fn text() -> Self {
        Self { messages: Messages::Text, ..Self::binary() }
    }

    /// At these paths instead, such as `/mqtt`. `/*` is any path. An address of `plugins.toml` may name others.
    #[must_use]
    pub const fn at(self, paths: &'static [&'static str]) -> Self {
        Self { paths, ..self }
    }

    /// With these sub-protocols: the first that a client offers and that is among them is told back. Clients that offer
    /// none, or only others, are let in as well and told none; those that insist go away by themselves.
    #[must_use]
    pub const fn speaking(self, sub_protocols: &'static [&'static str]) -> Self {
        Self { sub_protocols, ..self }
    }

    /// The kind of message.
    #[must_use]
    pub const fn messages(&self) -> Messages {
        self.messages
    }

    /// The paths, where an address names none.
    #[must_use]
    pub const fn paths(&self) -> &'static [&'static str] {
        self.paths
    }

    /// The sub-protocols.
    #[must_use]
    pub const fn sub_protocols(&self) -> &'static [&'static str] {
        self.sub_protocols
    }
}
