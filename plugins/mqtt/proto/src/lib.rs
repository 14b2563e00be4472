//! MQTT without IO: bytes, times and the broker's events in; bytes, actions for the broker and deadlines out.
//!
//! The server's side of MQTT 3.1, 3.1.1 and 5.0:
//!
//! - [`codec`] is one control packet: how it is read from the bytes of a peer, and how it is written.
//!
//! Nothing here opens a socket, spawns a task or reads a clock, and no bytes a peer sends make it panic. What a peer may
//! have us remember is bounded by [`codec::Limits`].
//!
//! Sources: *MQTT Version 5.0* and *MQTT Version 3.1.1* (OASIS; clauses are named as `[MQTT-3.1.2-24]`), *MQTT V3.1
//! Protocol Specification* (IBM, Eurotech).

pub mod codec;

pub use bytestring::ByteString;
