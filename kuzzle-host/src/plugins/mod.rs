//! The plugin manager: reads `plugins.toml`, loads what it declares, and keeps reality like the declaration.
//!
//! `declaration` reads the file, `library` finds and loads the plugins, `machine` decides what has to happen, and
//! `manager` does it. `serving` is what a plugin sees of the host.

pub(crate) mod declaration;
pub(crate) mod library;
pub(crate) mod machine;
pub(crate) mod manager;
pub(crate) mod serving;

pub mod commands;

pub(crate) use declaration::closest;
pub use declaration::{ConfigErrors, Problem};
pub(crate) use library::give_back as give_back_memory;
pub use manager::{Options, Plan, Plugins, Status};
