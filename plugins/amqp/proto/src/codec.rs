//! Bytes to frames and back: the wire format of AMQP 0.9.1 as RabbitMQ and its clients speak it.
//!
//! - [`frame`]: the protocol header and the four kinds of frame, each checked for size and end before it is looked into.
//! - [`method`]: what a method frame carries: every method of the specification and RabbitMQ's own.
//! - [`table`]: field tables in RabbitMQ's dialect, read in place.
//! - [`properties`]: the properties of a content header, read in place.
//! - [`content`]: a message on its way to a client: method, header and body frames in one go.
//!
//! What is decoded shares the memory of what was read; what is encoded is appended to one buffer of the caller.
//!
//! Sources: the AMQP 0-9-1 specification, sections 4.2 and 4.3, and RabbitMQ's list of errata and extensions.

pub mod content;
pub mod frame;
pub mod method;
pub mod properties;
pub mod table;
mod wire;

#[cfg(test)]
pub(crate) mod tests;

pub use wire::Malformed;
