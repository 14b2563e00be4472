//! MQTT without IO: bytes, times and the broker's events in; bytes, actions for the broker and deadlines out.
//!
//! The server's side of MQTT 3.1, 3.1.1 and 5.0:
//!
//! - [`codec`] is one control packet: how it is read from the bytes of a peer, and how it is written.
//! - [`topic`] is what a topic name and a topic filter may be, and the routing keys that they are in the broker.
//! - [`message`] is what travels with a message in the broker: its properties in the encoding of AMQP 0-9-1.
//! - [`session`] is the state machine of one connection over them: CONNECT and its refusals, publishing and delivering at
//!   each QoS, subscriptions, keep alive, will, takeover.
//!
//! Nothing here opens a socket, spawns a task or reads a clock, and no bytes a peer sends make it panic. What a peer may
//! have us remember is bounded by [`codec::Limits`] and [`session::Config`].
//!
//! Sources: *MQTT Version 5.0* and *MQTT Version 3.1.1* (OASIS; clauses are named as `[MQTT-3.1.2-24]`), *MQTT V3.1
//! Protocol Specification* (IBM, Eurotech).

pub mod codec;
pub mod message;
pub mod session;
pub mod topic;

pub use bytestring::ByteString;
