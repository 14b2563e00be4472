//! Reads settings and lists everything that is wrong with them.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Kind, Setting};
use crate::abi::SettingsProblem;

/// Reads a JSON object by a list of [`Setting`]s and collects the problems.
///
/// [`settings!`](crate::settings) writes the code that uses it: one call per field, then [`finish`](Reader::finish).
pub struct Reader {
    settings: &'static [Setting],
    object: Map<String, Value>,
    problems: Vec<SettingsProblem>,
}

impl Reader {
    /// Reads `json` and looks for keys that do not exist.
    #[must_use]
    pub fn new(json: &str, settings: &'static [Setting]) -> Self {
        let mut reader = Self { settings, object: Map::new(), problems: Vec::new() };
        match serde_json::from_str(json) {
            Ok(Value::Object(object)) => reader.object = object,
            Ok(other) => reader.problem("", format!("is {}, expected a table of settings", shown(&other))),
            Err(error) => reader.problem("", format!("is not JSON: {error}")),
        }
        let unknown = reader.object.keys().filter(|key| settings.iter().all(|setting| setting.name != **key));
        let problems: Vec<_> = unknown.map(|key| (pointer(key), reader.unknown(key))).collect();
        for (pointer, message) in problems {
            reader.problem(&pointer, message);
        }
        reader
    }

    /// Takes a `bool`.
    pub fn bool(&mut self, name: &'static str) -> bool {
        let (value, setting) = self.take(name);
        let default = matches!(setting, Some(Setting { kind: Kind::Bool { default: true }, .. }));
        match value {
            None => default,
            Some(Value::Bool(value)) => value,
            Some(other) => {
                self.problem(&pointer(name), format!("is {}, expected `true` or `false`", shown(&other)));
                default
            }
        }
    }

    /// Takes an `integer`.
    pub fn integer(&mut self, name: &'static str) -> u64 {
        let (value, setting) = self.take(name);
        let Some(Setting { kind: Kind::Integer { default, min, max }, unit, .. }) = setting else { return 0 };
        let Some(value) = value else { return *default };
        match value.as_u64() {
            Some(number) if (*min..=*max).contains(&number) => number,
            _ => {
                let bounds = match (min, max) {
                    (0, max) if *max == i64::MAX as u64 => "from 0".to_owned(),
                    (min, max) if *max == i64::MAX as u64 => format!("from {min}"),
                    (min, max) => format!("from {min} to {max}"),
                };
                let unit = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
                self.problem(
                    &pointer(name),
                    format!("is {}, expected a whole number {bounds}{unit}", shown(&value)),
                );
                *default
            }
        }
    }

    /// Takes a `secs`.
    pub fn secs(&mut self, name: &'static str) -> Duration {
        Duration::from_secs(self.integer(name))
    }

    /// Takes a `millis`.
    pub fn millis(&mut self, name: &'static str) -> Duration {
        Duration::from_millis(self.integer(name))
    }

    /// Takes a `string`.
    pub fn string(&mut self, name: &'static str) -> String {
        let (value, setting) = self.take(name);
        let Some(Setting { kind: Kind::Text { default, choices }, .. }) = setting else {
            return String::new();
        };
        let Some(value) = value else { return (*default).to_owned() };
        self.text(&pointer(name), value, choices).unwrap_or_else(|| (*default).to_owned())
    }

    /// Takes a `list`.
    pub fn list(&mut self, name: &'static str) -> Vec<String> {
        let (value, setting) = self.take(name);
        let Some(Setting { kind: Kind::List { default, choices }, .. }) = setting else { return Vec::new() };
        match value {
            None => default.iter().map(|&item| item.to_owned()).collect(),
            Some(Value::Array(items)) => items
                .into_iter()
                .enumerate()
                .filter_map(|(at, item)| self.text(&format!("{}/{at}", pointer(name)), item, choices))
                .collect(),
            Some(other) => {
                self.problem(&pointer(name), format!("is {}, expected a list of texts", shown(&other)));
                Vec::new()
            }
        }
    }

    /// The value that was read, when nothing was wrong.
    ///
    /// # Errors
    ///
    /// With every problem that was met, in the order of the pointers.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<SettingsProblem>> {
        if self.problems.is_empty() { Ok(value) } else { Err(self.problems) }
    }

    fn text(&mut self, pointer: &str, value: Value, choices: &[&str]) -> Option<String> {
        let expected = || match choices {
            [] => "a text".to_owned(),
            choices => {
                let choices: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
                format!("one of {}", choices.join(", "))
            }
        };
        match value {
            Value::String(text) if choices.is_empty() || choices.contains(&text.as_str()) => Some(text),
            other => {
                let hint = other.as_str().and_then(|text| nearest(text, choices.iter().copied()));
                let hint = hint.map(|hint| format!("; did you mean `{hint}`?")).unwrap_or_default();
                self.problem(pointer, format!("is {}, expected {}{hint}", shown(&other), expected()));
                None
            }
        }
    }

    fn take(&mut self, name: &str) -> (Option<Value>, Option<&'static Setting>) {
        (self.object.remove(name), self.settings.iter().find(|setting| setting.name == name))
    }

    fn unknown(&self, key: &str) -> String {
        if self.settings.is_empty() {
            return "does not exist; this plugin has no settings".to_owned();
        }
        match nearest(key, self.settings.iter().map(|setting| setting.name)) {
            Some(name) => format!("does not exist; did you mean `{name}`?"),
            None => {
                let names: Vec<_> =
                    self.settings.iter().map(|setting| format!("`{}`", setting.name)).collect();
                format!("does not exist; the settings are {}", names.join(", "))
            }
        }
    }

    fn problem(&mut self, pointer: &str, message: String) {
        self.problems.push(SettingsProblem { pointer: pointer.into(), message: message.into() });
    }
}

/// The name that was perhaps meant.
fn nearest<'a>(found: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // The comparison's cost grows with the product of the lengths; no name is that long.
    const COMPARED_MAX_BYTES: usize = 64;
    if found.len() > COMPARED_MAX_BYTES {
        return None;
    }
    names
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

/// The JSON pointer (RFC 6901) to a member of the root.
fn pointer(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A value as a message shows it.
fn shown(value: &Value) -> String {
    const SHOWN_MAX_CHARS: usize = 40;
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        Value::String(text) if text.chars().count() > SHOWN_MAX_CHARS => {
            format!("a text of {} characters", text.chars().count())
        }
        Value::String(text) => format!("`{text}`"),
        other => other.to_string(),
    }
}
