//! STOMP 1.0, 1.1 and 1.2 without IO: bytes and times in, bytes, actions and deadlines out.
//!
//! - [`codec`]: bytes to frames and back.
//! - [`destination`]: what the names of destinations mean to the broker.
//! - [`message`]: the headers of a message as properties of AMQP 0-9-1, and back.
//! - [`session`]: the state machine of one connection over them.
//!
//! Nothing here opens a socket, spawns a task or reads a clock, and no bytes a peer sends make it panic. What a peer may
//! have us remember is bounded by [`codec::FrameLimits`] and [`session::Limits`].

pub mod codec;
pub mod destination;
pub mod message;
pub mod session;
