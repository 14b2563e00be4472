//! Controllers and actions: the one place that orders check, act and notify.
//!
//! [`Api::handle`] takes one request, whatever protocol carried it, and gives its one response. Nothing here knows
//! which protocol that was: its label is counted and echoed, never looked at.

mod actions;
mod api;
mod definitions;
mod facts;
mod gate;
mod origin;
pub mod reserved_names;
mod statistics;
mod step;

pub use actions::{ActionName, actions};
pub use api::{Api, Limits};
pub use facts::{
    BackupError, BackupFacts, CpuFacts, CpuTimes, Facts, PluginFacts, Problem, ServerFacts, SwitchError,
};
pub use origin::{Defaults, Origin};
pub use statistics::{OpenConnection, Statistics, Traffic};
