//! AMQP 0.9.1 without IO: bytes and times in, bytes, actions and deadlines out.

pub mod codec;
