//! The server's own log, on standard error.

use std::fmt;
use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Why logging cannot start.
#[derive(Debug)]
pub struct LogError(String);

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LogError {}

/// Sends the process's log to standard error: what `level` lets through (a level, or directives such as
/// `info,kuzzle_host::rest=debug`), written as `format` says, in colour when a person watches.
///
/// # Errors
///
/// When `level` cannot be read, or logging was started before.
pub fn start(level: &str, format: LogFormat) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        LogError(format!("`log.level` is `{level}`: {error}; expected a level such as `info`, or directives"))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| LogError(format!("the log cannot be started: {error}")))
}
