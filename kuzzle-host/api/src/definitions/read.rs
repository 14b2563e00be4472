//! Reading definitions: every object with its place, and all that is wrong with them at once.

use kuzzle_broker::{DEFAULT_VHOST, is_reserved_name};
use kuzzle_model::kind_of;
use serde_json::{Map, Value};

use super::Note;

/// What definitions ask for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) vhosts: Vec<Vhost>,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) queues: Vec<Queue>,
    pub(super) bindings: Vec<Binding>,
}

#[derive(Debug)]
pub(super) struct Vhost {
    pub(super) name: String,
}

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) pointer: String,
    pub(super) vhost: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) durable: bool,
    pub(super) auto_delete: bool,
    pub(super) internal: bool,
    pub(super) arguments: Map<String, Value>,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) pointer: String,
    pub(super) vhost: String,
    pub(super) name: String,
    pub(super) durable: bool,
    pub(super) auto_delete: bool,
    pub(super) arguments: Map<String, Value>,
}

#[derive(Debug)]
pub(super) struct Binding {
    pub(super) pointer: String,
    pub(super) vhost: String,
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) to_exchange: bool,
    pub(super) routing_key: String,
    pub(super) arguments: Map<String, Value>,
}

#[derive(Debug)]
pub(super) struct Policy {
    pub(super) pointer: String,
    pub(super) vhost: String,
    pub(super) name: String,
    pub(super) pattern: String,
    pub(super) apply_to: String,
    pub(super) priority: i64,
    pub(super) definition: Map<String, Value>,
}

/// Definitions as they were read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) wanted: Wanted,
    pub(super) policies: Vec<Policy>,
    pub(super) ignored: Vec<Note>,
    pub(super) problems: Vec<Note>,
}

/// Keys that say something about the file and ask for nothing.
const ABOUT: [&str; 10] = [
    "bindings_count",
    "explanation",
    "metadata",
    "original_cluster_name",
    "original_vhost_name",
    "product_name",
    "product_version",
    "rabbit_version",
    "rabbitmq_definition_format",
    "rabbitmq_version",
];

/// Keys whose entries have no meaning here, with the reason.
const IGNORED: [(&str, &str); 7] = [
    ("users", "this server has no users yet: everyone is the anonymous user"),
    ("permissions", "this server has no users yet, and so no permissions"),
    ("topic_permissions", "this server has no users yet, and so no permissions"),
    ("parameters", "parameters belong to plugins of another broker"),
    ("global_parameters", "parameters belong to plugins of another broker"),
    ("vhost_limits", "this server has no limits of a virtual host"),
    ("user_limits", "this server has no users yet, and so no limits of theirs"),
];

/// Reads definitions.
pub(super) fn read(definitions: &Value) -> Read {
    let mut read = Read::default();
    let Value::Object(root) = definitions else {
        read.problems
            .push(Note::new("", format!("the definitions are {}, expected an object", kind_of(definitions))));
        return read;
    };
    for (key, value) in root {
        let pointer = format!("/{}", escaped(key));
        if ABOUT.contains(&key.as_str()) {
            continue;
        }
        let Value::Array(entries) = value else {
            let text = format!("is {}, expected an array", kind_of(value));
            match IGNORED.iter().find(|(name, _)| name == key) {
                Some((_, reason)) => read.ignored.push(Note::new(pointer, *reason)),
                None if is_known(key) => read.problems.push(Note::new(pointer, text)),
                None => read.ignored.push(Note::new(pointer, "it is not known what this is")),
            }
            continue;
        };
        for (index, entry) in entries.iter().enumerate() {
            let mut fields = Fields { read: &mut read, pointer: format!("{pointer}/{index}"), entry };
            fields.entry_of(key);
        }
    }
    read
}

fn is_known(key: &str) -> bool {
    ["vhosts", "exchanges", "queues", "bindings", "policies"].contains(&key)
}

/// A key as a part of a JSON pointer.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// One entry that is being read.
struct Fields<'a> {
    read: &'a mut Read,
    pointer: String,
    entry: &'a Value,
}

impl Fields<'_> {
    fn entry_of(&mut self, key: &str) {
        if let Some((_, reason)) = IGNORED.iter().find(|(name, _)| *name == key) {
            self.read.ignored.push(Note::new(self.pointer.clone(), *reason));
            return;
        }
        if !is_known(key) {
            self.read.ignored.push(Note::new(self.pointer.clone(), "it is not known what this is"));
            return;
        }
        if !self.entry.is_object() {
            self.wrong("", format!("is {}, expected an object", kind_of(self.entry)));
            return;
        }
        match key {
            "vhosts" => self.vhost(),
            "exchanges" => self.exchange(),
            "queues" => self.queue(),
            "bindings" => self.binding(),
            _ => self.policy(),
        }
    }

    fn vhost(&mut self) {
        if let Some(name) = self.text("name", None) {
            self.read.wanted.vhosts.push(Vhost { name });
        }
    }

    fn exchange(&mut self) {
        let (vhost, name) = (self.of_vhost(), self.text("name", None));
        let kind = self.text("type", None);
        let durable = self.flag("durable", true);
        let auto_delete = self.flag("auto_delete", false);
        let internal = self.flag("internal", false);
        let arguments = self.object("arguments");
        let (Some(vhost), Some(name), Some(kind), Some(arguments)) = (vhost, name, kind, arguments) else {
            return;
        };
        if is_reserved_name(&name) {
            self.ignore("exchanges with such a name are there from the start");
            return;
        }
        let pointer = self.pointer.clone();
        let exchange = Exchange { pointer, vhost, name, kind, durable, auto_delete, internal, arguments };
        self.read.wanted.exchanges.push(exchange);
    }

    fn queue(&mut self) {
        let (vhost, name) = (self.of_vhost(), self.text("name", None));
        let durable = self.flag("durable", true);
        let auto_delete = self.flag("auto_delete", false);
        let arguments = self.object("arguments");
        let (Some(vhost), Some(name), Some(arguments)) = (vhost, name, arguments) else { return };
        if is_reserved_name(&name) {
            self.ignore("its name was made by a broker, and will not be asked for again");
            return;
        }
        let pointer = self.pointer.clone();
        self.read.wanted.queues.push(Queue { pointer, vhost, name, durable, auto_delete, arguments });
    }

    fn binding(&mut self) {
        let vhost = self.of_vhost();
        let source = self.text("source", None);
        let destination = self.text("destination", None);
        let kind = self.text("destination_type", Some("queue"));
        let routing_key = self.text("routing_key", Some(""));
        let arguments = self.object("arguments");
        let to_exchange = match kind.as_deref() {
            Some("queue") => Some(false),
            Some("exchange") => Some(true),
            Some(other) => {
                self.wrong("destination_type", format!("is `{other}`, expected `queue` or `exchange`"));
                None
            }
            None => None,
        };
        let (
            Some(vhost),
            Some(source),
            Some(destination),
            Some(to_exchange),
            Some(routing_key),
            Some(arguments),
        ) = (vhost, source, destination, to_exchange, routing_key, arguments)
        else {
            return;
        };
        if source.is_empty() {
            self.ignore("every queue has its binding to the default exchange");
            return;
        }
        if !to_exchange && is_reserved_name(&destination) {
            self.ignore("the name of its queue was made by a broker, and will not be asked for again");
            return;
        }
        let pointer = self.pointer.clone();
        let binding = Binding { pointer, vhost, source, destination, to_exchange, routing_key, arguments };
        self.read.wanted.bindings.push(binding);
    }

    fn policy(&mut self) {
        let (vhost, name) = (self.of_vhost(), self.text("name", None));
        let pattern = self.text("pattern", None);
        let apply_to = self.text("apply-to", Some("all"));
        let definition = self.object("definition");
        let priority = match self.entry.get("priority") {
            None => Some(0),
            Some(value) => value.as_i64().or_else(|| {
                self.wrong("priority", format!("is `{value}`, expected a whole number"));
                None
            }),
        };
        let (Some(vhost), Some(name), Some(pattern), Some(apply_to), Some(definition), Some(priority)) =
            (vhost, name, pattern, apply_to, definition, priority)
        else {
            return;
        };
        let pointer = self.pointer.clone();
        self.read.policies.push(Policy { pointer, vhost, name, pattern, apply_to, priority, definition });
    }

    fn ignore(&mut self, reason: &str) {
        self.read.ignored.push(Note::new(self.pointer.clone(), reason));
    }

    fn wrong(&mut self, field: &str, text: impl Into<String>) {
        let pointer = match field {
            "" => self.pointer.clone(),
            field => format!("{}/{}", self.pointer, escaped(field)),
        };
        self.read.problems.push(Note::new(pointer, text));
    }

    /// Definitions of one virtual host alone do not name it.
    fn of_vhost(&mut self) -> Option<String> {
        self.text("vhost", Some(DEFAULT_VHOST))
    }

    /// A text; without a default it has to be there.
    fn text(&mut self, field: &str, default: Option<&str>) -> Option<String> {
        match (self.entry.get(field), default) {
            (Some(Value::String(text)), _) => return Some(text.clone()),
            (None, Some(default)) => return Some(default.to_owned()),
            (None, None) => self.wrong("", format!("has no `{field}`, expected a string")),
            (Some(other), _) => self.wrong(field, format!("is {}, expected a string", kind_of(other))),
        }
        None
    }

    fn flag(&mut self, field: &str, default: bool) -> bool {
        match self.entry.get(field) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            // Shown as `undefined` for exchanges of old versions.
            Some(Value::String(text)) if text == "true" || text == "false" => text == "true",
            Some(other) => {
                self.wrong(field, format!("is {}, expected `true` or `false`", kind_of(other)));
                default
            }
        }
    }

    fn object(&mut self, field: &str) -> Option<Map<String, Value>> {
        match self.entry.get(field) {
            None => Some(Map::new()),
            Some(Value::Object(fields)) => Some(fields.clone()),
            // An empty table, as some versions write it.
            Some(Value::Array(items)) if items.is_empty() => Some(Map::new()),
            Some(other) => {
                self.wrong(field, format!("is {}, expected an object", kind_of(other)));
                None
            }
        }
    }
}
