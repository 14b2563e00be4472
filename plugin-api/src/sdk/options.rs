//! What the host declares for every protocol.

use std::time::Duration;

use serde_json::Value;

use crate::abi::ApiError;

/// The options that the kit keeps for a protocol; see [`StartArguments::options`](crate::abi::StartArguments::options).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// 0 is unlimited.
    pub(crate) max_connections: usize,
    /// Zero is never.
    pub(crate) idle_timeout: Duration,
    /// 0 is the default, one.
    pub(crate) worker_threads: usize,
}

/// Longer timeouts are taken for this one, a century: a clock can be asked for no time that it does not reach.
const IDLE_TIMEOUT_MAX_SECS: u64 = 100 * 365 * 24 * 3600;

impl Options {
    pub(crate) fn read(text: &str) -> Result<Self, ApiError> {
        let text = if text.is_empty() { "{}" } else { text };
        let value: Value =
            serde_json::from_str(text).map_err(|error| refused(&format!("are not JSON: {error}")))?;
        let number = |name: &str| match value.get(name) {
            None | Some(Value::Null) => Ok(0),
            Some(value) => {
                value.as_u64().ok_or_else(|| refused(&format!("have a `{name}` that is no whole number")))
            }
        };
        Ok(Self {
            max_connections: usize::try_from(number("max_connections")?).unwrap_or(usize::MAX),
            idle_timeout: Duration::from_secs(number("idle_timeout_secs")?.min(IDLE_TIMEOUT_MAX_SECS)),
            worker_threads: usize::try_from(number("worker_threads")?).unwrap_or(usize::MAX),
        })
    }
}

fn refused(reason: &str) -> ApiError {
    ApiError::new(400, "plugin.start.options", format!("cannot start: the host's options {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_options_are_unlimited_and_later_ones_ignored() {
        let none = Options { max_connections: 0, idle_timeout: Duration::ZERO, worker_threads: 0 };
        assert_eq!(Options::read("").ok(), Some(none));
        assert_eq!(Options::read(r#"{"later":[1],"max_connections":null}"#).ok(), Some(none));
        let some = Options { max_connections: 5, idle_timeout: Duration::from_secs(60), worker_threads: 2 };
        let text = r#"{"max_connections":5,"idle_timeout_secs":60,"worker_threads":2}"#;
        assert_eq!(Options::read(text).ok(), Some(some));
        let longest =
            Options::read(&format!(r#"{{"idle_timeout_secs":{}}}"#, u64::MAX)).unwrap().idle_timeout;
        assert!(std::time::Instant::now().checked_add(longest).is_some());
        assert!(Options::read("[").is_err());
        assert!(Options::read(r#"{"max_connections":-1}"#).is_err());
    }
}
