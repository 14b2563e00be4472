//! The declaration of every key.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml_edit::Value;

use super::value::{LogFormat, Mebibytes, Milliseconds, Names, Paths, Seconds, Setting, SyncChoice};

/// A key as data.
pub(super) struct Key {
    pub(super) table: &'static str,
    pub(super) name: &'static str,
    /// As TOML.
    pub(super) default: &'static str,
    /// Lines of explanation, each with a space in front.
    pub(super) meaning: &'static [&'static str],
    /// Reads a value into the configuration, or says what is wrong with it.
    pub(super) assign: fn(&mut Config, &Value) -> Result<(), String>,
}

impl Key {
    /// Name of the environment variable.
    pub(super) fn environment(&self) -> String {
        format!("KUZZLE_{}_{}", self.table, self.name).to_ascii_uppercase()
    }
}

macro_rules! keys {
    ($(
        $(#[doc = $doc:literal])+
        $table:ident.$name:ident as $field:ident: $type:ty = $default:literal $(, $low:literal to $high:literal)?;
    )+) => {
        /// The configuration in force.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $(
                $(#[doc = $doc])+
                #[doc = concat!("\n\nDefault: `", $default, "`.")]
                pub $field: $type,
            )+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($field: default_of::<$type>($default),)+ }
            }
        }

        pub(super) static KEYS: &[Key] = &[
            $(Key {
                table: stringify!($table),
                name: stringify!($name),
                default: $default,
                meaning: &[$($doc),+],
                assign: |config, value| {
                    let range: &[(u64, u64)] = &[$(($low, $high))?];
                    config.$field = <$type as Setting>::read(value, range.first().copied())?;
                    Ok(())
                },
            },)+
        ];
    };
}

fn default_of<T: Setting>(text: &str) -> T {
    text.parse().ok().and_then(|value| T::read(&value, None).ok()).unwrap_or_default()
}

keys! {
    /// Where REST listens: IP addresses with ports. An address of a family that the machine lacks is left out with a
    /// warning as long as another one can be bound.
    rest.listen as rest_listen: Vec<SocketAddr> = "[\"127.0.0.1:7511\", \"[::1]:7511\"]";
    /// Names under which browsers of operators reach this server, such as `["kuzzle.example.com"]`; `localhost` and addresses
    /// always do. Under other names what manages the server is refused, since any page may give its name this address.
    rest.host_names as rest_host_names: Names = "[]";
    /// PEM file with the certificate chain of REST over TLS; plain HTTP when empty.
    rest.certificate as rest_certificate: PathBuf = "\"\"";
    /// PEM file with the certificate's private key.
    rest.key as rest_key: PathBuf = "\"\"";
    /// Longest body of a request, in bytes, as sent and once inflated. Each request under way may take this much memory
    /// a few times over.
    rest.body_max_bytes as rest_body_max_bytes: u64 = "1048576", 1 to 1073741824;
    /// Most open connections; further clients wait. Each idle one takes about 10 KiB.
    rest.connections_max as rest_connections_max: u64 = "10000", 1 to 1000000;
    /// Seconds that the head of a request, its body, and a TLS handshake may each take; also how long an idle connection
    /// is kept.
    rest.header_timeout_secs as rest_header_timeout: Seconds = "60", 1 to 86400;

    /// Folder of everything that is kept. When empty: `data` in the current folder when that is a source checkout, else
    /// the state folder of the user or of the service manager.
    data.dir as data_dir: PathBuf = "\"\"";
    /// When a write is answered: `always` after the sync that covers it, so that nothing answered is ever lost;
    /// `interval` at once, with a sync every `sync_interval_ms`, so that a power cut loses at most so much; `os` at once,
    /// and the operating system syncs when it likes.
    data.sync as data_sync: SyncChoice = "\"always\"";
    /// Milliseconds between two syncs when `sync` is `interval`.
    data.sync_interval_ms as data_sync_interval: Milliseconds = "100", 1 to 60000;
    /// Memory for pages of the document store, in MiB. A larger cache saves system calls; the operating system caches the
    /// file as well.
    data.cache_mib as data_cache: Mebibytes = "8", 1 to 1048576;
    /// Free space on the disk, in MiB, below which writes are refused with status 503 until there is more again.
    data.reserve_mib as data_reserve: Mebibytes = "16", 0 to 1048576;

    /// Messages that the broker holds in memory, in MiB, beyond which publishers are blocked until there are fewer.
    broker.memory_max_mib as broker_memory_max: Mebibytes = "512", 1 to 1048576;
    /// Messages in memory, in MiB, beyond which queues leave the bodies of persistent messages on the disk.
    broker.page_out_above_mib as broker_page_out_above: Mebibytes = "256", 1 to 1048576;
    /// Free space on the disk, in MiB, below which publishers are blocked.
    broker.disk_free_min_mib as broker_disk_free_min: Mebibytes = "64", 0 to 1048576;
    /// Longest body of a message, in MiB.
    broker.message_max_mib as broker_message_max: Mebibytes = "128", 1 to 512;

    /// The file that declares the protocols. Saving it applies it. A missing file of this default name means REST alone.
    plugins.file as plugins_file: PathBuf = "\"plugins.toml\"";
    /// Folders in which plugins are looked for by name, after the folder of the program itself.
    plugins.dirs as plugins_dirs: Paths = "[]";

    /// Requests that may be under way at once, over all protocols; one more is answered 503. Instances and connections
    /// share them fairly once they run short.
    requests.accepted_max as requests_accepted_max: u64 = "10000", 1 to 10000000;
    /// Requests that may compute at once, not counting those that wait for the disk; 0 is twice the processors.
    requests.computing_max as requests_computing_max: u64 = "0", 0 to 100000;

    /// Whether to listen on addresses that other machines reach although everyone may do everything, as is so until an
    /// administrator exists.
    security.open_network as security_open_network: bool = "false";

    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), or directives such as
    /// `info,kuzzle_host::rest=debug`.
    log.level as log_level: String = "\"info\"";
    /// How it is written: `human`, in colour on a terminal, or `json`, one object a line.
    log.format as log_format: LogFormat = "\"human\"";

    /// Seconds that stopping may take before what is left is cut.
    server.stop_deadline_secs as stop_deadline: Seconds = "10", 0 to 3600;
    /// Threads that answer requests; 0 is one per processor.
    server.worker_threads as worker_threads: u64 = "0", 0 to 1024;
}
