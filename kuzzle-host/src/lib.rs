//! The server.

pub mod plugins;
