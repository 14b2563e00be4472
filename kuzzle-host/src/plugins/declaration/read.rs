//! From the tables of a file to declarations, noting every problem on the way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml_edit::{Item, Table, TableLike, Value};

use super::{Declaration, Defaults, Isolation, Problem, Source, closest};

mod listen;

const INSTANCE_KEYS: &[&str] = &[
    "plugin",
    "path",
    "enabled",
    "listen",
    "defaults",
    "isolation",
    "drain_secs",
    "max_connections",
    "idle_timeout_secs",
    "worker_threads",
    "settings",
];

const DRAIN_SECS_DEFAULT: u32 = 30;
const DRAIN_SECS_MAX: u32 = 24 * 60 * 60;
const CONNECTIONS_DEFAULT: u32 = 10_000;
const CONNECTIONS_MAX: u32 = 10_000_000;
const IDLE_SECS_MAX: u32 = 7 * 24 * 60 * 60;
const WORKER_THREADS_MAX: u32 = 256;
const INSTANCES_MAX: usize = 64;
const NAME_MAX: usize = 64;

/// Reads all instances.
pub(super) fn instances(root: &Table, folder: &Path) -> Result<Vec<Declaration>, Vec<Problem>> {
    let mut reader = Reader { problems: Vec::new(), folder };
    let mut instances = Vec::new();
    reader.known_keys(
        root,
        &["protocols"],
        "at the top level; protocols are tables such as `[protocols.chat]`",
    );
    if let Some(protocols) = root.get("protocols") {
        match protocols.as_table_like() {
            Some(tables) => instances = reader.protocols(tables),
            None => reader.wrong_type(protocols, "protocols", "a table of tables"),
        }
    }
    reader.shared_addresses(&instances);
    if reader.problems.is_empty() { Ok(instances) } else { Err(reader.problems) }
}

struct Reader<'a> {
    problems: Vec<Problem>,
    /// What relative paths start from.
    folder: &'a Path,
}

impl Reader<'_> {
    fn protocols(&mut self, tables: &dyn TableLike) -> Vec<Declaration> {
        let mut instances = Vec::new();
        for (name, item) in tables.iter() {
            let key = tables.key(name).and_then(toml_edit::Key::span);
            if instances.len() == INSTANCES_MAX {
                self.note(key, format!("more than {INSTANCES_MAX} protocols are declared"));
                break;
            }
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
                let expected = format!("expected 1 to {NAME_MAX} letters, digits, `-` and `_`");
                self.note(key.clone(), format!("`{name}` cannot name a protocol, {expected}"));
            }
            match item.as_table_like() {
                Some(table) => {
                    let header = item.span().filter(|_| item.is_table()).or(key);
                    instances.extend(self.instance(name, table, header));
                }
                None => self.wrong_type(item, &format!("protocols.{name}"), "a table"),
            }
        }
        instances
    }

    fn instance(
        &mut self,
        name: &str,
        table: &dyn TableLike,
        header: Option<Range<usize>>,
    ) -> Option<Declaration> {
        self.known_keys(table, INSTANCE_KEYS, &format!("in [protocols.{name}]"));
        let (source, source_span) = self.source(name, table, header.clone()).unzip();
        let enabled = self.boolean(table, "enabled", true);
        let listen = self.listeners(table);
        let defaults = self.defaults(table);
        let isolation = self.isolation(table);
        let drain_secs = self.number(table, "drain_secs", DRAIN_SECS_DEFAULT, 0..=DRAIN_SECS_MAX);
        let max_connections = self.number(table, "max_connections", CONNECTIONS_DEFAULT, 0..=CONNECTIONS_MAX);
        let idle_timeout_secs = self.number(table, "idle_timeout_secs", 0, 0..=IDLE_SECS_MAX);
        let worker_threads = self.number(table, "worker_threads", 1, 1..=WORKER_THREADS_MAX);
        let settings = self.settings(table);
        Some(Declaration {
            name: name.to_owned(),
            source: source?,
            enabled,
            listen,
            defaults,
            isolation,
            drain: Duration::from_secs(drain_secs.into()),
            max_connections,
            idle_timeout_secs,
            worker_threads,
            settings,
            header,
            source_span: source_span?,
        })
    }

    fn source(
        &mut self,
        name: &str,
        table: &dyn TableLike,
        header: Option<Range<usize>>,
    ) -> Option<(Source, Option<Range<usize>>)> {
        let span = |key: &str| table.get(key).and_then(Item::span);
        match (table.contains_key("plugin"), table.contains_key("path")) {
            (true, true) => {
                let message = "`plugin` and `path` both say which library it is, expected one of them";
                self.note(span("path"), message);
                None
            }
            (false, false) => {
                let hint = format!("add `plugin = \"{name}\"`, or `path` with the file");
                let message = format!("[protocols.{name}] names no plugin");
                self.problems.push(Problem::at(header, message).hint(Some(hint)));
                None
            }
            (true, false) => {
                let plugin = self.string(table, "plugin")?;
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                if plugin.is_empty() || plugin.len() > NAME_MAX || !plugin.bytes().all(plain) {
                    let message = format!("`{plugin}` is not the name of a plugin");
                    let hint = "a file is given by `path`".to_owned();
                    self.problems.push(Problem::at(span("plugin"), message).hint(Some(hint)));
                    return None;
                }
                Some((Source::Plugin(plugin), span("plugin")))
            }
            (false, true) => {
                let path = self.string(table, "path")?;
                if path.is_empty() {
                    self.note(span("path"), "`path` is empty, expected the plugin's file");
                    return None;
                }
                let mut path = self.folder.join(path);
                if path.extension().is_none() {
                    path.set_extension(std::env::consts::DLL_EXTENSION);
                }
                Some((Source::Path(path), span("path")))
            }
        }
    }

    fn defaults(&mut self, table: &dyn TableLike) -> Defaults {
        let Some(item) = table.get("defaults") else { return Defaults::default() };
        let Some(table) = item.as_table_like() else {
            self.wrong_type(item, "defaults", "a table with `index`");
            return Defaults::default();
        };
        self.known_keys(table, &["index"], "in `defaults`");
        Defaults { index: self.string(table, "index") }
    }

    fn isolation(&mut self, table: &dyn TableLike) -> Isolation {
        let Some(text) = self.string(table, "isolation") else { return Isolation::default() };
        let span = table.get("isolation").and_then(Item::span);
        match text.as_str() {
            "none" => Isolation::None,
            "loopback" => Isolation::Loopback,
            "process" => {
                let hint = "leave `isolation` out, or write `\"none\"`".to_owned();
                let message = "`isolation = \"process\"` is not available yet";
                self.problems.push(Problem::at(span, message).hint(Some(hint)));
                Isolation::default()
            }
            other => {
                let message = format!("`isolation` is `{other}`, expected `none` or `loopback`");
                let hint = closest(other, ["none", "loopback"], "value");
                self.problems.push(Problem::at(span, message).hint(hint));
                Isolation::default()
            }
        }
    }

    fn settings(&mut self, table: &dyn TableLike) -> serde_json::Map<String, serde_json::Value> {
        let Some(item) = table.get("settings") else { return serde_json::Map::new() };
        match item.as_table_like() {
            Some(settings) => self.object(settings),
            None => {
                self.wrong_type(item, "settings", "a table");
                serde_json::Map::new()
            }
        }
    }

    fn object(&mut self, table: &dyn TableLike) -> serde_json::Map<String, serde_json::Value> {
        table.iter().map(|(key, item)| (key.to_owned(), self.json_of_item(item))).collect()
    }

    fn json_of_item(&mut self, item: &Item) -> serde_json::Value {
        match item {
            Item::None => serde_json::Value::Null,
            Item::Value(value) => self.json(value),
            Item::Table(table) => self.object(table).into(),
            Item::ArrayOfTables(tables) => {
                tables.iter().map(|table| serde_json::Value::from(self.object(table))).collect()
            }
        }
    }

    fn json(&mut self, value: &Value) -> serde_json::Value {
        match value {
            Value::String(text) => text.value().as_str().into(),
            Value::Integer(number) => (*number.value()).into(),
            Value::Boolean(boolean) => (*boolean.value()).into(),
            Value::Datetime(time) => time.value().to_string().into(),
            Value::Array(array) => array.iter().map(|value| self.json(value)).collect(),
            Value::InlineTable(table) => self.object(table).into(),
            Value::Float(number) => match serde_json::Number::from_f64(*number.value()) {
                Some(number) => number.into(),
                None => {
                    self.note(
                        value.span(),
                        format!("{} is not a number that settings can hold", number.value()),
                    );
                    serde_json::Value::Null
                }
            },
        }
    }

    /// No two instances that are enabled, and no instance twice, may ask for one address.
    fn shared_addresses(&mut self, instances: &[Declaration]) {
        let mut seen: BTreeMap<u16, Vec<(SocketAddr, &str, bool)>> = BTreeMap::new();
        for instance in instances {
            for listen in &instance.listen {
                let address = listen.address;
                if address.port() == 0 {
                    continue;
                }
                let others = seen.entry(address.port()).or_default();
                let clash = others.iter().find(|(other, name, enabled)| {
                    overlap(*other, address) && (*name == instance.name || (*enabled && instance.enabled))
                });
                if let Some((other, name, _)) = clash {
                    let whose = if *name == instance.name {
                        "a second time".to_owned()
                    } else {
                        format!("but [protocols.{name}] already listens there")
                    };
                    let through = if *other == address { String::new() } else { format!(" through {other}") };
                    self.note(listen.span.clone(), format!("{address} is declared {whose}{through}"));
                }
                others.push((address, &instance.name, instance.enabled));
            }
        }
    }

    fn known_keys(&mut self, table: &dyn TableLike, known: &[&str], place: &str) {
        for (name, _) in table.iter() {
            if !known.contains(&name) {
                let span = table.key(name).and_then(toml_edit::Key::span);
                let problem = Problem::at(span, format!("unknown key `{name}` {place}"));
                self.problems.push(problem.hint(closest(name, known.iter().copied(), "key")));
            }
        }
    }

    fn string(&mut self, table: &dyn TableLike, key: &str) -> Option<String> {
        let item = table.get(key)?;
        if item.as_str().is_none() {
            self.wrong_type(item, key, "a string");
        }
        item.as_str().map(str::to_owned)
    }

    fn boolean(&mut self, table: &dyn TableLike, key: &str, default: bool) -> bool {
        let Some(item) = table.get(key) else { return default };
        item.as_bool().unwrap_or_else(|| {
            self.wrong_type(item, key, "`true` or `false`");
            default
        })
    }

    fn number(
        &mut self,
        table: &dyn TableLike,
        key: &str,
        default: u32,
        range: std::ops::RangeInclusive<u32>,
    ) -> u32 {
        let Some(item) = table.get(key) else { return default };
        let Some(number) = item.as_integer() else {
            self.wrong_type(item, key, "a whole number");
            return default;
        };
        match u32::try_from(number).ok().filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let message = format!("`{key}` is {number}, expected {} to {}", range.start(), range.end());
                self.note(item.span(), message);
                default
            }
        }
    }

    fn wrong_type(&mut self, item: &Item, key: &str, expected: &str) {
        let found = match item.type_name() {
            name @ ("array" | "integer" | "inline table") => format!("an {name}"),
            name => format!("a {name}"),
        };
        self.note(item.span(), format!("`{key}` is {found}, expected {expected}"));
    }

    fn note(&mut self, span: Option<Range<usize>>, message: impl Into<String>) {
        self.problems.push(Problem::at(span, message));
    }
}

/// Whether a socket on one address takes the other's port as well.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let wild = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.is_ipv4() == b.is_ipv4() && (a.ip() == b.ip() || wild)
}

#[cfg(test)]
mod tests;
