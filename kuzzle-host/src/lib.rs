//! The server: REST, configuration, command line, logging and the plugin manager, wired together.

pub mod listen;
pub mod plugins;
pub mod rest;
