//! engine.io and socket.io without IO: bytes and times in, packets, events and deadlines out.
//!
//! The server's side of two stacked protocols, for every client from socket.io-client 1.1 to 4.x:
//!
//! - [`payload`] is the body of a long-polling exchange: many packets in one, framed in three ways.
//! - [`packet`] is one engine.io packet: heartbeat, upgrade, or a message.
//! - [`message`] is one socket.io packet, carried in an engine.io message: connect, event, acknowledgement.
//! - [`session`] is the state machine of one client over them: handshake, heartbeat, upgrade, requests and answers.
//!
//! Nothing here opens a socket, spawns a task or reads a clock, and no bytes a peer sends make it panic. What a peer may
//! have us remember is bounded by [`session::Limits`].
//!
//! Sources: the engine.io protocol, revisions 3 and 4; the socket.io protocol, revisions 3 to 5; and, where the clients
//! of 2014 to 2016 differ from both, the clients themselves.

pub mod message;
pub mod packet;
pub mod payload;
pub mod session;
mod text;

pub use bytestring::ByteString;
