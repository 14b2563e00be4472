//! What `plugins.toml` declares.
//!
//! Reading it finds every problem at once, each with its place. What can only be known by looking at the plugin (that
//! its file exists, that its settings please it) is checked later, against the same places.

mod address;
mod pointer;
mod problem;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use toml_edit::Document;

pub(crate) use problem::closest;
pub use problem::{ConfigErrors, Problem};

/// Largest file that is read, in bytes.
pub(crate) const FILE_MAX_BYTES: u64 = 1 << 20;

/// The protocols that a file declares.
#[derive(Clone, Debug)]
pub(crate) struct Declarations {
    /// In the order of the file.
    pub(crate) instances: Vec<Declaration>,
    file: PathBuf,
    document: Arc<Document<Arc<str>>>,
}

/// One protocol: the table `[protocols.<name>]`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Declaration {
    /// Name of the table, and so of the instance.
    pub(crate) name: String,
    /// Which library it is.
    pub(crate) source: Source,
    /// Whether it should run. Default true.
    #[serde(skip)]
    pub(crate) enabled: bool,
    /// Where it listens; may be empty for a protocol that only calls out.
    pub(crate) listen: Vec<Listen>,
    /// For document writes whose request names none.
    pub(crate) defaults: Defaults,
    /// How far it is kept apart from the host. Default none.
    pub(crate) isolation: Isolation,
    /// How long a generation that was replaced may serve its connections. Default 30 seconds.
    #[serde(skip)]
    pub(crate) drain: Duration,
    /// Most connections at a time; 0 is unlimited. Default 10,000.
    pub(crate) max_connections: u32,
    /// How long a connection may be silent; 0 is unlimited. Default 0: protocols have keep-alives of their own.
    pub(crate) idle_timeout_secs: u32,
    /// Threads that drive the plugin's connections. Default 1.
    pub(crate) worker_threads: u32,
    /// For the plugin alone: what it accepts is its business.
    pub(crate) settings: serde_json::Map<String, serde_json::Value>,
    /// Where its name stands in the file.
    #[serde(skip)]
    pub(crate) header: Option<Range<usize>>,
    /// Where the plugin's name or path stands in the file.
    #[serde(skip)]
    pub(crate) source_span: Option<Range<usize>>,
}

/// Which library an instance runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// One that is looked for by name.
    Plugin(String),
    /// The file itself, absolute or relative to the folder of `plugins.toml` (already joined).
    Path(PathBuf),
}

/// One address that an instance listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Listen {
    pub(crate) address: SocketAddr,
    /// How it is spoken to, over TLS or not.
    pub(crate) scheme: Scheme,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
    /// Whether each connection begins with a PROXY protocol header.
    pub(crate) proxy_protocol: bool,
    /// Where WebSockets are; empty for the paths that the plugin has by itself.
    pub(crate) paths: Vec<String>,
    /// Web pages that may open WebSockets; none for the rule that holds where nothing is said.
    pub(crate) allowed_origins: Option<Vec<String>>,
    /// Where it stands in the file.
    #[serde(skip)]
    pub(crate) span: Option<Range<usize>>,
}

/// How an address is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scheme {
    /// As a stream of bytes.
    Tcp,
    /// In messages of WebSockets.
    Ws,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Ws => "ws",
        })
    }
}

/// PEM files of a listener that speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Tls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What the API assumes for an instance's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Defaults {
    /// Index of document writes that name none.
    pub(crate) index: Option<String>,
}

/// How far a plugin is kept apart from the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Isolation {
    /// It runs in the host's process and is called directly.
    #[default]
    None,
    /// It runs in the host's process, but every call between the two is carried as bytes: a diagnostic that shows
    /// whether the plugin would work in a process of its own.
    Loopback,
}

impl Declarations {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// With everything that is wrong with it.
    pub(crate) fn read(file: &Path) -> Result<Self, ConfigErrors> {
        let length = std::fs::metadata(file).map_err(|error| ConfigErrors::unreadable(file, error))?.len();
        if length > FILE_MAX_BYTES {
            let reason = format!("it has {length} bytes, at most {FILE_MAX_BYTES} are read");
            return Err(ConfigErrors::unreadable(file, reason));
        }
        let text = std::fs::read_to_string(file).map_err(|error| ConfigErrors::unreadable(file, error))?;
        Self::parse(file, text.into())
    }

    /// Reads a text that stands, or is going to stand, in `file`.
    ///
    /// # Errors
    ///
    /// With everything that is wrong with it.
    pub(crate) fn parse(file: &Path, text: Arc<str>) -> Result<Self, ConfigErrors> {
        let document = match Document::parse(Arc::clone(&text)) {
            Ok(document) => document,
            Err(error) => {
                let message = error.message().trim().replace('\n', ", ");
                return Err(ConfigErrors::new(file, text, vec![Problem::at(error.span(), message)]));
            }
        };
        let folder = file.parent().unwrap_or(Path::new(""));
        match read::instances(document.as_table(), folder) {
            Ok(instances) => Ok(Self { instances, file: file.to_owned(), document: Arc::new(document) }),
            Err(problems) => Err(ConfigErrors::new(file, text, problems)),
        }
    }

    /// The text that was read.
    pub(crate) fn text(&self) -> Arc<str> {
        Arc::from(self.document.raw())
    }

    /// Wraps problems that were found after reading.
    pub(crate) fn errors(&self, problems: Vec<Problem>) -> ConfigErrors {
        ConfigErrors::new(&self.file, self.text(), problems)
    }

    /// A problem that a plugin has with the settings of an instance, at the place that its JSON pointer names.
    pub(crate) fn settings_problem(&self, instance: &Declaration, pointer: &str, message: &str) -> Problem {
        let path = ["protocols", instance.name.as_str()];
        let span =
            pointer::span(self.document.as_table(), &path, pointer).or_else(|| instance.header.clone());
        let message = match pointer {
            "" => format!("settings of `{}`: {message}", instance.name),
            _ => format!("settings of `{}`: {message} (at {pointer})", instance.name),
        };
        Problem::at(span, message)
    }
}

impl Declaration {
    /// Stands for everything that a generation is made from, but the library itself.
    pub(crate) fn fingerprint(&self) -> String {
        // A plain structure with text keys always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The listeners with their keys: what names a socket across generations and changes of the file.
    pub(crate) fn listeners(&self) -> Vec<(String, &Listen)> {
        // Port 0 asks for any free port, so the same address may stand there more than once.
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let key = |listen: &Listen| {
            let address = listen.address.to_string();
            if listen.address.port() != 0 {
                return address;
            }
            let count = seen.entry(address.clone()).or_default();
            *count += 1;
            format!("{}/{address}/{count}", self.name)
        };
        self.listen.iter().map(key).zip(&self.listen).collect()
    }
}
