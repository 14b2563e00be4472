//! The commands `kuzzle-host broker ...`: the running server's broker as tables, and what changes it.

mod columns;

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use kuzzle_host::table::{aligned, plain};
use serde_json::{Value, json};

use super::running::{self, Failed, encoded};
use columns::Listing;

/// Items that are asked for at once; the server gives no more.
const PAGE_SIZE: usize = 1_000;
/// Longest file of definitions that is read, in bytes.
const DEFINITIONS_MAX: u64 = 1 << 30;

/// What is asked of the broker.
#[derive(Debug, Subcommand)]
pub(super) enum BrokerCommand {
    /// Figures of the whole.
    Overview {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Connections of clients.
    Connections(List),
    /// Channels: the ordered conversations within connections.
    Channels(List),
    /// Exchanges.
    Exchanges(List),
    /// Queues, with what waits in them.
    Queues(List),
    /// What leads from exchanges to queues and other exchanges.
    Bindings(List),
    /// Consumers of queues.
    Consumers(List),
    /// Sessions, which outlive their connections.
    Sessions(List),
    /// Closes a connection; its client is told the reason.
    Close {
        /// Its number, as `connections` shows it.
        connection: u64,
        /// What its client is told.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Removes the messages that wait in a queue.
    Purge(Queue),
    /// Deletes a queue with its messages.
    Delete {
        #[command(flatten)]
        queue: Queue,
        /// Only when it has no consumers.
        #[arg(long)]
        if_unused: bool,
        /// Only when no message waits in it.
        #[arg(long)]
        if_empty: bool,
    },
    /// Shows messages from the head of a queue, which stay where they are.
    Get {
        #[command(flatten)]
        queue: Queue,
        /// How many, at most.
        #[arg(long, default_value_t = 1)]
        count: u32,
        /// Take them out of the queue for good.
        #[arg(long)]
        take: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Writes the definitions in RabbitMQ's format: virtual hosts, exchanges, queues, bindings, policies.
    Export {
        /// The file; standard output when left out.
        file: Option<PathBuf>,
    },
    /// Makes what definitions in RabbitMQ's format say: all of it, or nothing when any of it has a problem.
    Import {
        /// The file; `-` is standard input.
        file: PathBuf,
    },
}

/// How a listing is asked for.
#[derive(Args, Debug)]
pub(super) struct List {
    /// Only those whose name contains this text, whatever its case.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only those of this virtual host.
    #[arg(long)]
    vhost: Option<String>,
    /// The field to sort by, as `--json` shows it, such as `ready` or `published.perSecond`.
    #[arg(long, value_name = "FIELD")]
    sort: Option<String>,
    /// The other way round.
    #[arg(long)]
    reverse: bool,
    /// How many, at most.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A queue that is named.
#[derive(Args, Debug)]
pub(super) struct Queue {
    /// Its name.
    name: String,
    /// Its virtual host.
    #[arg(long, default_value = "/")]
    vhost: String,
}

/// Does what is asked, by a request to the server that listens on one of `addresses`. Returns what to print.
pub(super) fn run(command: BrokerCommand, addresses: &[SocketAddr]) -> Result<String, Failed> {
    let server = Server { addresses };
    match command {
        BrokerCommand::Overview { json } => {
            let overview = server.get("")?;
            Ok(if json { pretty(&overview) } else { columns::overview(&overview) })
        }
        BrokerCommand::Connections(list) => server.list(&columns::CONNECTIONS, &list),
        BrokerCommand::Channels(list) => server.list(&columns::CHANNELS, &list),
        BrokerCommand::Exchanges(list) => server.list(&columns::EXCHANGES, &list),
        BrokerCommand::Queues(list) => server.list(&columns::QUEUES, &list),
        BrokerCommand::Bindings(list) => server.list(&columns::BINDINGS, &list),
        BrokerCommand::Consumers(list) => server.list(&columns::CONSUMERS, &list),
        BrokerCommand::Sessions(list) => server.list(&columns::SESSIONS, &list),
        BrokerCommand::Close { connection, reason } => {
            let body = reason.map(|reason| json!({"reason": reason}));
            server.ask("DELETE", &format!("/connections/{connection}"), body.as_ref())?;
            Ok(format!("connection {connection} is closed"))
        }
        BrokerCommand::Purge(queue) => {
            let done = server.ask("DELETE", &format!("{}/contents", queue.path()), None)?;
            Ok(format!("{} message(s) removed from queue `{}`", done["messages"], plain(&queue.name)))
        }
        BrokerCommand::Delete { queue, if_unused, if_empty } => {
            let path = format!("{}?ifUnused={if_unused}&ifEmpty={if_empty}", queue.path());
            let done = server.ask("DELETE", &path, None)?;
            Ok(format!(
                "queue `{}` is deleted, and {} message(s) with it",
                plain(&queue.name),
                done["messages"]
            ))
        }
        BrokerCommand::Get { queue, count, take, json } => {
            let body = json!({"count": count, "requeue": !take});
            let got = server.ask("POST", &format!("{}/get", queue.path()), Some(&body))?;
            Ok(if json { pretty(&got) } else { columns::messages(&got) })
        }
        BrokerCommand::Export { file } => {
            let text = pretty(&server.get("/definitions")?);
            let Some(file) = file else { return Ok(text) };
            std::fs::write(&file, text + "\n").map_err(|error| unusable("write", &file, &error))?;
            Ok(format!("definitions are in `{}`", file.display()))
        }
        BrokerCommand::Import { file } => server.import(&file),
    }
}

struct Server<'a> {
    addresses: &'a [SocketAddr],
}

impl Server<'_> {
    fn get(&self, path: &str) -> Result<Value, Failed> {
        self.ask("GET", path, None)
    }

    /// The result of a request below `/_broker`.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        let path = format!("/api/1.0/_broker{path}");
        running::result(self.addresses, method, &path, body)
    }

    fn list(&self, listing: &Listing, list: &List) -> Result<String, Failed> {
        let limit = list.limit.unwrap_or(usize::MAX);
        let mut items: Vec<Value> = Vec::new();
        let mut matched = 0;
        for page in 1.. {
            let mut path = format!("/{}", listing.path);
            if let Some(vhost) = list.vhost.as_ref().filter(|_| listing.of_vhost) {
                let _ = write!(path, "/{}", encoded(vhost));
            }
            // Pages of one size, so that none is left out.
            let _ = write!(
                path,
                "?page={page}&pageSize={}&reverse={}",
                PAGE_SIZE.min(limit.max(1)),
                list.reverse
            );
            for (name, value) in [("name", &list.name), ("sort", &list.sort)] {
                if let Some(value) = value {
                    let _ = write!(path, "&{name}={}", encoded(value));
                }
            }
            let mut found = self.get(&path)?;
            matched = found["matched"].as_u64().unwrap_or_default();
            let more = found["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
            let is_last = more.is_empty() || found["pages"].as_u64().is_none_or(|pages| page >= pages);
            items.extend(more);
            if is_last || items.len() >= limit {
                break;
            }
        }
        items.truncate(limit);
        if list.json {
            return Ok(pretty(&items.into()));
        }
        let titles = listing.columns.iter().map(|column| column.title.to_owned()).collect();
        let rows =
            items.iter().map(|item| listing.columns.iter().map(|column| (column.show)(item)).collect());
        let mut table = aligned(&std::iter::once(titles).chain(rows).collect::<Vec<Vec<String>>>());
        let shown = items.len() as u64;
        if shown < matched {
            let _ = writeln!(table, "{shown} of {matched}");
        }
        Ok(table)
    }

    fn import(&self, file: &Path) -> Result<String, Failed> {
        let mut text = String::new();
        let read = if file == Path::new("-") {
            std::io::stdin().take(DEFINITIONS_MAX).read_to_string(&mut text)
        } else {
            std::fs::File::open(file).and_then(|file| file.take(DEFINITIONS_MAX).read_to_string(&mut text))
        };
        read.map_err(|error| unusable("read", file, &error))?;
        let definitions: Value = serde_json::from_str(&text).map_err(|error| {
            Failed::Wrong(format!("error: `{}` is not JSON: {error}; nothing was imported", file.display()))
        })?;
        Ok(columns::imported(&self.ask("POST", "/definitions", Some(&definitions))?))
    }
}

impl Queue {
    fn path(&self) -> String {
        format!("/queues/{}/{}", encoded(&self.vhost), encoded(&self.name))
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn unusable(what: &str, file: &Path, error: &std::io::Error) -> Failed {
    Failed::Wrong(format!("error: cannot {what} `{}`: {error}", file.display()))
}
