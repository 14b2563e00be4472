//! The server's own log, on standard error; its latest warnings and errors are kept for operators.

mod recent;

use std::fmt;
use std::io::IsTerminal as _;

use kuzzle_api::Problem;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry};

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
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Human => lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed(),
        LogFormat::Json => lines.json().with_filter(filter).boxed(),
    };
    let kept = recent::Keep.with_filter(LevelFilter::WARN);
    let started = Registry::default().with(lines).with(kept).try_init();
    started.map_err(|error| LogError(format!("the log cannot be started: {error}")))
}

/// The latest warnings and errors, the newest first. What is never logged, such as payloads and credentials, is not here
/// either.
#[must_use]
pub fn problems() -> Vec<Problem> {
    recent::problems()
}
