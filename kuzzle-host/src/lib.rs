//! The server: REST, configuration, command line, logging and the plugin manager, wired together.

pub mod backup;
pub mod config;
pub mod listen;
pub mod logging;
pub mod messaging;
pub mod plugins;
pub mod rest;
pub mod server;
pub mod table;
