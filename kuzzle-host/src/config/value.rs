//! The kinds of values that keys have.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml_edit::Value;

/// A kind of value: how it is read, and what to say when it cannot be.
pub(super) trait Setting: Default {
    /// Reads a value; `range` bounds numbers, both ends included.
    fn read(value: &Value, range: Option<(u64, u64)>) -> Result<Self, String>;
}

/// A number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seconds(pub Duration);

/// A number of milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Milliseconds(pub Duration);

/// A number of MiB, held in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mebibytes(pub u64);

/// A list of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths(pub Vec<PathBuf>);

/// A list of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

/// When writes are answered; see the key `data.sync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncChoice {
    /// After the sync that covers them.
    #[default]
    Always,
    /// At once, with a sync at intervals.
    Interval,
    /// At once.
    Os,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

impl Setting for bool {
    fn read(value: &Value, _range: Option<(u64, u64)>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| unexpected(value, "`true` or `false`"))
    }
}

impl Setting for u64 {
    fn read(value: &Value, range: Option<(u64, u64)>) -> Result<Self, String> {
        let (low, high) = range.unwrap_or((0, Self::MAX));
        let number = value.as_integer().ok_or_else(|| unexpected(value, "a whole number"))?;
        match Self::try_from(number) {
            Ok(number) if (low..=high).contains(&number) => Ok(number),
            _ => Err(format!("is {number}, expected {low} to {high}")),
        }
    }
}

impl Setting for Seconds {
    fn read(value: &Value, range: Option<(u64, u64)>) -> Result<Self, String> {
        u64::read(value, range).map(|seconds| Self(Duration::from_secs(seconds)))
    }
}

impl Setting for Milliseconds {
    fn read(value: &Value, range: Option<(u64, u64)>) -> Result<Self, String> {
        u64::read(value, range).map(|milliseconds| Self(Duration::from_millis(milliseconds)))
    }
}

impl Setting for Mebibytes {
    fn read(value: &Value, range: Option<(u64, u64)>) -> Result<Self, String> {
        u64::read(value, range).map(|mebibytes| Self(mebibytes.saturating_mul(1 << 20)))
    }
}

impl Setting for String {
    fn read(value: &Value, _range: Option<(u64, u64)>) -> Result<Self, String> {
        value.as_str().map(str::to_owned).ok_or_else(|| unexpected(value, "text"))
    }
}

impl Setting for PathBuf {
    fn read(value: &Value, _range: Option<(u64, u64)>) -> Result<Self, String> {
        value.as_str().map(Self::from).ok_or_else(|| unexpected(value, "a path"))
    }
}

impl Setting for Paths {
    fn read(value: &Value, _range: Option<(u64, u64)>) -> Result<Self, String> {
        Ok(Self(list(value, "a list of paths")?.into_iter().map(PathBuf::from).collect()))
    }
}

impl Setting for Names {
    fn read(value: &Value, _range: Option<(u64, u64)>) -> Result<Self, String> {
        list(value, "a list of names").map(Self)
    }
}

impl Setting for Vec<SocketAddr> {
    fn read(value: &Value, _range: Option<(u64, u64)>) -> Result<Self, String> {
        let texts = list(value, "a list of addresses such as `[\"127.0.0.1:7511\"]`")?;
        if texts.is_empty() {
            return Err("is empty, expected at least one address".to_owned());
        }
        let read = |text: &String| {
            text.parse().map_err(|_| {
                format!(
                    "has `{text}`, expected an IP address and a port such as `127.0.0.1:7511` or `[::1]:7511`"
                )
            })
        };
        texts.iter().map(read).collect()
    }
}

impl Setting for SyncChoice {
    fn read(value: &Value, _range: Option<(u64, u64)>) -> Result<Self, String> {
        choose(value, &[("always", Self::Always), ("interval", Self::Interval), ("os", Self::Os)])
    }
}

impl Setting for LogFormat {
    fn read(value: &Value, _range: Option<(u64, u64)>) -> Result<Self, String> {
        choose(value, &[("human", Self::Human), ("json", Self::Json)])
    }
}

fn choose<T: Copy>(value: &Value, choices: &[(&str, T)]) -> Result<T, String> {
    let found = value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
        unexpected(value, &names.join(", "))
    })
}

/// The texts of an array, or of one text with commas, as an environment variable has them.
fn list(value: &Value, expected: &str) -> Result<Vec<String>, String> {
    if let Some(text) = value.as_str() {
        return Ok(text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect());
    }
    let items = value.as_array().ok_or_else(|| unexpected(value, expected))?;
    items
        .iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| unexpected(item, expected)))
        .collect()
}

fn unexpected(value: &Value, expected: &str) -> String {
    let found = match value {
        Value::String(text) => format!("`{}`", text.value()),
        other => format!("the {} `{}`", other.type_name(), other.to_string().trim()),
    };
    format!("is {found}, expected {expected}")
}
