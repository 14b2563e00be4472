//! AMQP 0.9.1 without IO: bytes and times in, bytes, actions and deadlines out.
//!
//! - [`codec`]: bytes to frames and back.
//! - [`session`]: the state machine of one connection over them.
//!
//! Nothing here opens a socket, spawns a task or reads a clock, and no bytes a peer sends make it panic. What a peer may
//! have us remember is bounded by [`session::Limits`].

pub mod codec;
pub mod session;
