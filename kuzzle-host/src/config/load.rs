//! Gathering the configuration from its sources.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml_edit::{Document, Item, TableLike, Value};

use super::keys::{Config, KEYS, Key};
use crate::plugins::{ConfigErrors, Problem, closest};

/// Where values come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file, when one was named.
    pub file: Option<PathBuf>,
    /// The environment; variables that do not begin with `KUZZLE_` are ignored.
    pub environment: Vec<(String, String)>,
    /// Flags: `<table>.<key>` and value as text.
    pub flags: Vec<(String, String)>,
}

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub struct ConfigProblems {
    file: Option<ConfigErrors>,
    others: Vec<String>,
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.others {
            writeln!(f, "error: {problem}")?;
        }
        match &self.file {
            Some(errors) => write!(f, "{errors} in the configuration file; nothing was started"),
            None => f.write_str("nothing was started"),
        }
    }
}

impl std::error::Error for ConfigProblems {}

/// Gathers the configuration. Unknown `KUZZLE_` variables are returned beside it, for a warning: they may belong to
/// something else.
///
/// # Errors
///
/// With everything that is wrong in any source.
pub fn load(sources: &Sources) -> Result<(Config, Vec<String>), ConfigProblems> {
    let mut config = Config::default();
    let mut others = Vec::new();
    let mut unknown = Vec::new();
    let file = sources.file.as_deref().and_then(|file| read_file(file, &mut config).err());
    for (name, text) in sources.environment.iter().filter(|(name, _)| name.starts_with("KUZZLE_")) {
        match KEYS.iter().find(|key| key.environment() == *name) {
            Some(key) => {
                assign_text(&mut config, key, text, &format!("environment variable `{name}`"), &mut others)
            }
            None => unknown.push(name.clone()),
        }
    }
    for (name, text) in &sources.flags {
        match name.split_once('.').and_then(|(table, name)| find(table, name)) {
            Some(key) => assign_text(&mut config, key, text, &format!("flag `{name}`"), &mut others),
            None => {
                let known: Vec<String> =
                    KEYS.iter().map(|key| format!("{}.{}", key.table, key.name)).collect();
                let hint = closest(name, known.iter().map(String::as_str), "key");
                others.push(format!(
                    "flag for unknown key `{name}`{}",
                    hint.map(|hint| format!("; {hint}")).unwrap_or_default()
                ));
            }
        }
    }
    if config.rest_certificate.as_os_str().is_empty() != config.rest_key.as_os_str().is_empty() {
        others.push("`rest.certificate` and `rest.key` go together, but only one of them is set".to_owned());
    }
    if file.is_none() && others.is_empty() {
        Ok((config, unknown))
    } else {
        Err(ConfigProblems { file, others })
    }
}

fn find(table: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.table == table && key.name == name)
}

/// Values outside a file are TOML where they read as such, and text otherwise.
fn assign_text(config: &mut Config, key: &Key, text: &str, whence: &str, problems: &mut Vec<String>) {
    let as_toml = text.parse::<Value>().ok();
    let as_text = Value::from(text);
    let result = match as_toml.map(|value| (key.assign)(config, &value)) {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => (key.assign)(config, &as_text).map_err(|_| error),
        None => (key.assign)(config, &as_text),
    };
    if let Err(error) = result {
        problems.push(format!("{whence} {error}"));
    }
}

fn read_file(file: &Path, config: &mut Config) -> Result<(), ConfigErrors> {
    let text: Arc<str> = match std::fs::read_to_string(file) {
        Ok(text) => text.into(),
        Err(error) => {
            let message = format!("cannot read configuration file `{}`: {error}", file.display());
            return Err(ConfigErrors::new(file, "".into(), vec![Problem::at(None, message)]));
        }
    };
    let document = match Document::parse(Arc::clone(&text)) {
        Ok(document) => document,
        Err(error) => {
            let problem = Problem::at(error.span(), error.message().trim().replace('\n', ", "));
            return Err(ConfigErrors::new(file, text, vec![problem]));
        }
    };
    let mut problems = Vec::new();
    for (name, item) in document.iter() {
        match item.as_table_like() {
            Some(table) if KEYS.iter().any(|key| key.table == name) => {
                read_table(name, table, config, &mut problems);
            }
            _ => {
                let span = document.get_key_value(name).and_then(|(key, _)| key.span());
                let tables = KEYS.iter().map(|key| key.table);
                problems.push(
                    Problem::at(span, format!("unknown table `{name}`")).hint(closest(name, tables, "table")),
                );
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(ConfigErrors::new(file, text, problems)) }
}

fn read_table(name: &str, table: &dyn TableLike, config: &mut Config, problems: &mut Vec<Problem>) {
    for (entry, item) in table.iter() {
        let span = table.get_key_value(entry).and_then(|(key, _)| key.span());
        let Some(key) = find(name, entry) else {
            let known = KEYS.iter().filter(|key| key.table == name).map(|key| key.name);
            let message = format!("unknown key `{entry}` in [{name}]");
            problems.push(Problem::at(span, message).hint(closest(entry, known, "key")));
            continue;
        };
        let result = match item {
            Item::Value(value) => (key.assign)(config, value),
            other => Err(format!("is a {}, expected a value", other.type_name())),
        };
        if let Err(error) = result {
            problems.push(Problem::at(item.span().or(span), format!("`{name}.{entry}` {error}")));
        }
    }
}
