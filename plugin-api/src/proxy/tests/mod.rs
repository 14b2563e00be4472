//! One body of tests for a plugin that is called directly and for the same plugin behind the proxy; and what only the
//! proxy has: its stream, which may be cut anywhere, and its codec.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod broker;
mod broker_codec;
mod codec;
mod cuts;
mod fixture;
mod overload;
mod recorder;
mod suite;
