//! What the tables of the broker show.

use std::fmt::Write as _;

use kuzzle_host::table::{aligned, plain};
use serde_json::Value;

/// A listing of the server.
pub(super) struct Listing {
    /// Its path below `/_broker`.
    pub(super) path: &'static str,
    /// Whether a virtual host may stand behind the path.
    pub(super) of_vhost: bool,
    pub(super) columns: &'static [Column],
}

/// A column of a table.
pub(super) struct Column {
    pub(super) title: &'static str,
    /// The cell of an item.
    pub(super) show: fn(&Value) -> String,
}

macro_rules! columns {
    ($($title:literal: $show:expr),+ $(,)?) => {
        &[$(Column { title: $title, show: $show }),+]
    };
}

pub(super) static CONNECTIONS: Listing = Listing {
    path: "connections",
    of_vhost: false,
    columns: columns! {
        "id": |it| text(&it["id"]),
        "protocol": |it| text(&it["protocol"]),
        "user": |it| text(&it["user"]),
        "client": |it| text(&it["clientName"]),
        "from": |it| text(&it["info"]["remote"]),
        "vhost": |it| text(&it["vhost"]),
        "channels": |it| text(&it["channels"]),
        "publish/s": |it| text(&it["published"]["perSecond"]),
        "state": |it| if it["throttled"] == true { "blocked" } else { "running" }.to_owned(),
    },
};

pub(super) static CHANNELS: Listing = Listing {
    path: "channels",
    of_vhost: false,
    columns: columns! {
        "connection": |it| text(&it["connection"]),
        "channel": |it| text(&it["channel"]),
        "user": |it| text(&it["user"]),
        "session": |it| text(&it["session"]),
        "consumers": |it| text(&it["consumers"]),
        "unsettled": |it| text(&it["unsettled"]),
        "unconfirmed": |it| text(&it["unconfirmed"]),
        "publish/s": |it| text(&it["published"]["perSecond"]),
        "deliver/s": |it| text(&it["delivered"]["perSecond"]),
    },
};

pub(super) static EXCHANGES: Listing = Listing {
    path: "exchanges",
    of_vhost: true,
    columns: columns! {
        "vhost": |it| text(&it["vhost"]),
        "name": |it| match it["name"].as_str() {
            Some("") => "(default)".to_owned(),
            _ => text(&it["name"]),
        },
        "type": |it| text(&it["type"]),
        "features": |it| features(it, &[("durable", "durable"), ("autoDelete", "auto-delete"), ("internal", "internal")]),
        "retained": |it| text(&it["retained"]),
        "publish/s": |it| text(&it["published"]["perSecond"]),
        "published": |it| text(&it["published"]["total"]),
    },
};

pub(super) static QUEUES: Listing = Listing {
    path: "queues",
    of_vhost: true,
    columns: columns! {
        "vhost": |it| text(&it["vhost"]),
        "name": |it| text(&it["name"]),
        "features": |it| {
            features(
                it,
                &[
                    ("durable", "durable"),
                    ("autoDelete", "auto-delete"),
                    ("exclusiveTo", "exclusive"),
                    ("ofSession", "session"),
                ],
            )
        },
        "ready": |it| text(&it["ready"]),
        "unsettled": |it| text(&it["unsettled"]),
        "consumers": |it| text(&it["consumers"]),
        "in/s": |it| text(&it["published"]["perSecond"]),
        "out/s": |it| text(&it["delivered"]["perSecond"]),
    },
};

pub(super) static BINDINGS: Listing = Listing {
    path: "bindings",
    of_vhost: true,
    columns: columns! {
        "vhost": |it| text(&it["vhost"]),
        "source": |it| match it["source"].as_str() {
            Some("") => "(default)".to_owned(),
            _ => text(&it["source"]),
        },
        "destination": |it| text(&it["destination"]),
        "kind": |it| text(&it["destinationType"]),
        "routing key": |it| text(&it["routingKey"]),
        "arguments": |it| match &it["arguments"] {
            Value::Object(fields) if fields.is_empty() => "-".to_owned(),
            arguments => arguments.to_string(),
        },
    },
};

pub(super) static CONSUMERS: Listing = Listing {
    path: "consumers",
    of_vhost: true,
    columns: columns! {
        "vhost": |it| text(&it["vhost"]),
        "queue": |it| text(&it["queue"]),
        "consumer": |it| text(&it["name"]),
        "connection": |it| text(&it["connection"]),
        "channel": |it| text(&it["channel"]),
        "credit": |it| text(&it["credit"]),
        "priority": |it| text(&it["priority"]),
        "features": |it| features(it, &[("needsSettling", "settles"), ("exclusive", "exclusive")]),
    },
};

pub(super) static SESSIONS: Listing = Listing {
    path: "sessions",
    of_vhost: true,
    columns: columns! {
        "vhost": |it| text(&it["vhost"]),
        "name": |it| text(&it["name"]),
        "connection": |it| text(&it["connection"]),
        "queue": |it| text(&it["queue"]),
        "ready": |it| text(&it["ready"]),
        "unsettled": |it| text(&it["unsettled"]),
        "expiry secs": |it| text(&it["expirySecs"]),
        "features": |it| features(it, &[("durable", "durable"), ("hasWill", "will")]),
    },
};

/// A value as a cell; a dash for nothing.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.as_f64() == Some(0.0) => "0".to_owned(),
        other => other.to_string(),
    }
}

/// Words for those fields that say yes.
fn features(item: &Value, words: &[(&str, &str)]) -> String {
    let said = words.iter().filter(|(field, _)| !matches!(item[*field], Value::Null | Value::Bool(false)));
    let said: Vec<&str> = said.map(|(_, word)| *word).collect();
    if said.is_empty() { "-".to_owned() } else { said.join(" ") }
}

/// Figures of the whole, one a line.
pub(super) fn overview(overview: &Value) -> String {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let rate = |value: &Value| format!("{} ({}/s)", value["total"], text(&value["perSecond"]));
    let mut rows = Vec::new();
    for name in
        ["connections", "channels", "consumers", "exchanges", "queues", "sessions", "ready", "unsettled"]
    {
        rows.push(row(name, text(&overview[name])));
    }
    rows.push(row("published", rate(&overview["published"])));
    rows.push(row("delivered", rate(&overview["delivered"])));
    rows.push(row("dropped", text(&overview["dropped"])));
    rows.push(row("memory", size(&overview["memoryBytes"])));
    rows.push(row("journal", size(&overview["journal"]["bytes"])));
    rows.push(row("alarm", text(&overview["alarm"])));
    if !overview["journal"]["failure"].is_null() {
        rows.push(row("journal failure", text(&overview["journal"]["failure"])));
    }
    aligned(&rows)
}

fn size(bytes: &Value) -> String {
    let bytes = bytes.as_u64().unwrap_or_default();
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Messages, each with its head in a line and its body below.
pub(super) fn messages(got: &Value) -> String {
    let mut out = String::new();
    for message in got["messages"].as_array().into_iter().flatten() {
        let exchange = message["exchange"].as_str().filter(|name| !name.is_empty()).unwrap_or("(default)");
        let redelivered = if message["redelivered"] == true { ", redelivered" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "exchange {}, routing key {}, {} bytes{redelivered}",
            plain(exchange),
            plain(&text(&message["routingKey"])),
            message["payloadBytes"],
        );
        if message["properties"].as_object().is_some_and(|properties| !properties.is_empty()) {
            let _ = writeln!(out, "properties {}", plain(&message["properties"].to_string()));
        }
        let kind = if message["payloadEncoding"] == "base64" { "base64 " } else { "" };
        let _ = writeln!(out, "{kind}{}\n", plain(message["payload"].as_str().unwrap_or_default()));
    }
    let _ = writeln!(out, "{} message(s) ready", got["ready"]);
    out
}

/// What an import came to.
pub(super) fn imported(report: &Value) -> String {
    let mut rows = vec![["", "created", "there before"].map(str::to_owned).to_vec()];
    for kind in ["vhosts", "exchanges", "queues", "bindings"] {
        let count = |of: &str| report[of][kind].as_u64().unwrap_or_default().to_string();
        rows.push(vec![kind.to_owned(), count("created"), count("existed")]);
    }
    let mut out = aligned(&rows);
    let ignored = report["ignored"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !ignored.is_empty() {
        let _ = writeln!(out, "ignored:");
    }
    for note in ignored {
        let words = |field: &str| plain(note[field].as_str().unwrap_or_default());
        let _ = writeln!(out, "  {}: {}", words("pointer"), words("reason"));
    }
    out
}
