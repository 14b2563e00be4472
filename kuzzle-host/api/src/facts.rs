//! What the api asks its host about the process and its plugins.

use std::time::Duration;

use kuzzle_documents::Pending;
use serde_json::{Map, Value};

/// The host's knowledge of itself, asked for by `read.serverInfo` each time it is called.
pub trait Facts: Send + Sync + 'static {
    /// Returns what is true of the process and its machine now.
    fn server(&self) -> ServerFacts;

    /// Returns the protocol instances that the configuration declares, running or not.
    fn plugins(&self) -> Vec<PluginFacts>;

    /// Switches a protocol instance on or off in the configuration, which applies it. Returns what was done in a line.
    ///
    /// # Errors
    ///
    /// When there is no such instance, as by default there is none, or the configuration cannot be changed.
    fn set_enabled(&self, instance: &str, enabled: bool) -> Result<String, SwitchError> {
        let _ = enabled;
        Err(SwitchError::Unknown(format!("no protocol `{instance}` is declared")))
    }

    /// Copies everything that is kept into a new directory, named by its absolute path; all that was answered before is in
    /// it. Dropping the answer gives the copy up.
    ///
    /// # Errors
    ///
    /// When the directory cannot be used, as by default none can, or the disk fails. Nothing is left then.
    fn backup(&self, directory: &str) -> Pending<Result<BackupFacts, BackupError>> {
        let reason = format!("cannot back up to `{directory}`: this server keeps nothing");
        Box::pin(std::future::ready(Err(BackupError::Refused(reason))))
    }

    /// Returns the latest warnings and errors, the newest first; none by default.
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}

/// Why a protocol instance was not switched; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchError {
    /// No instance has this name.
    Unknown(String),
    /// What declares it is wrong, or cannot be written.
    Unusable(String),
}

/// A copy of everything that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupFacts {
    /// Where it is.
    pub directory: String,
    /// How many files it has.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// Why there is no copy; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupError {
    /// It cannot be made there, or not now.
    Refused(String),
    /// It could not be made.
    Failed(String),
}

/// A warning or an error of the server's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// Whether it is an error, and not a warning.
    pub is_error: bool,
    /// When it came last: milliseconds since 1970.
    pub at_ms: u64,
    /// How often it came in a row.
    pub count: u64,
    /// The part of the server that says it.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Names and values beside the message, in their order.
    pub fields: Vec<(String, String)>,
}

/// The process and its machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerFacts {
    /// Version of the product.
    pub version: String,
    /// Time since the process started.
    pub uptime: Duration,
    /// Resident memory of the process, in bytes.
    pub memory_used_bytes: u64,
    /// Memory of the machine, in bytes.
    pub memory_total_bytes: u64,
    /// Memory of the machine that is free, in bytes.
    pub memory_free_bytes: u64,
    /// One entry per processor.
    pub cpus: Vec<CpuFacts>,
}

/// One processor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CpuFacts {
    /// Name of the model.
    pub model: String,
    /// Clock, in MHz; 0 when unknown.
    pub speed_mhz: u64,
    /// Time spent since the machine started.
    pub times: CpuTimes,
}

/// Time a processor has spent, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// In programs.
    pub user_ms: u64,
    /// In programs of low priority.
    pub nice_ms: u64,
    /// In the kernel.
    pub sys_ms: u64,
    /// Idle.
    pub idle_ms: u64,
    /// Serving interrupts.
    pub irq_ms: u64,
}

/// One protocol instance and the plugin that serves it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginFacts {
    /// Name of the instance, the key under which `serverInfo` lists it.
    pub name: String,
    /// Version of the plugin, if it could be read.
    pub version: Option<String>,
    /// Whether the configuration enables the instance.
    pub activated: bool,
    /// What else is known (state, reason, listening addresses, generation and so on), listed beside the above under
    /// its own keys.
    pub status: Map<String, Value>,
}
