//! A server of the test's own: built binary, free ports, a data directory and a `plugins.toml` that it may edit.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use serde_json::Value;

use crate::process::Process;
use crate::{Answer, HttpClient, Namespace, TempDir, binaries, files, wait_for};

/// How to start a server.
#[derive(Debug, Default)]
pub struct ServerOptions {
    /// The text of `plugins.toml`; see [`instance`] and [`socketio`] for what to put there.
    pub plugins: String,
    /// More lines for `kuzzle.toml`, after those that the harness writes.
    pub config: String,
    /// The data directory, when it is not to be a fresh one.
    pub data: Option<PathBuf>,
    /// The port of REST, when it is not to be a free one.
    pub rest_port: Option<u16>,
    /// More arguments.
    pub arguments: Vec<String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
}

/// A running server. It is killed, and its files removed, when dropped.
#[derive(Debug)]
pub struct Server {
    process: Process,
    folder: TempDir,
    options: ServerOptions,
    rest: SocketAddr,
}

impl ServerOptions {
    /// Options with this `plugins.toml`.
    pub fn with_plugins(plugins: impl Into<String>) -> Self {
        Self { plugins: plugins.into(), ..Self::default() }
    }

    /// Starts a server and waits until it says that it is ready.
    ///
    /// # Panics
    ///
    /// When it ends or patience does before.
    pub fn start(self) -> Server {
        self.start_in(None)
    }

    /// Starts a server and waits for a line of its log that `is_ready` knows.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn start_when(self, is_ready: impl Fn(&str) -> bool) -> Server {
        let mut server = self.begin(None);
        server.process.wait_for_line("the line that says ready", 0, is_ready);
        server
    }

    /// Starts a server in a network namespace.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn start_in(self, namespace: Option<&Namespace>) -> Server {
        let mut server = self.begin(namespace);
        server.wait_until_ready(0);
        server
    }

    fn begin(self, namespace: Option<&Namespace>) -> Server {
        let folder = TempDir::new();
        let rest = SocketAddr::from((Ipv4Addr::LOCALHOST, self.rest_port.unwrap_or_else(free_port)));
        let command = self.command(&folder, rest, namespace);
        Server { process: Process::start(command), folder, options: self, rest }
    }

    /// Starts a server that is expected to end by itself, and returns what it left.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn run_to_end(self) -> Output {
        let folder = TempDir::new();
        let rest = SocketAddr::from((Ipv4Addr::LOCALHOST, self.rest_port.unwrap_or_else(free_port)));
        let mut command = self.command(&folder, rest, None);
        // A server that starts after all is ended, so that the test fails rather than waits for ever.
        let program = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let environment: Vec<_> =
            command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
        command = Command::new("timeout");
        command.arg("60").arg(program).args(arguments);
        for (name, value) in environment {
            command.env(name, value.unwrap_or_default());
        }
        command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
    }

    fn command(&self, folder: &TempDir, rest: SocketAddr, namespace: Option<&Namespace>) -> Command {
        let folder = folder.path();
        std::fs::write(folder.join("plugins.toml"), &self.plugins).expect("a writable folder");
        let config = format!("[rest]\nlisten = [\"{rest}\"]\n\n{}", self.config);
        std::fs::write(folder.join("kuzzle.toml"), config).expect("a writable folder");
        let mut command = match namespace {
            Some(namespace) => namespace.command(binaries::host()),
            None => Command::new(binaries::host()),
        };
        // The tests' own variable, which the server would warn of.
        command.env_remove("KUZZLE_BIN_DIR");
        command.arg("--plugins").arg(folder.join("plugins.toml"));
        command.arg("--config").arg(folder.join("kuzzle.toml"));
        command.arg("--data").arg(self.data.clone().unwrap_or_else(|| folder.join("data")));
        command.args(&self.arguments).envs(self.environment.iter().cloned());
        command
    }
}

impl Server {
    /// The address of REST.
    pub fn rest(&self) -> SocketAddr {
        self.rest
    }

    /// A URL of the server's, such as `http://127.0.0.1:40000/api/1.0`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.rest)
    }

    /// The server's process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The server's folder, which holds `plugins.toml`, `kuzzle.toml` and, unless said otherwise, `data`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything that the server has printed.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// How many lines the server has printed.
    pub fn log_lines(&self) -> usize {
        self.process.lines()
    }

    /// Waits for a line of the log, after the first `from` lines, that holds all of `texts`, and returns it.
    ///
    /// # Panics
    ///
    /// When the server ends, or patience does, before.
    pub fn wait_for_log(&mut self, from: usize, texts: &[&str]) -> String {
        let wanted = |line: &str| {
            // Values are quoted in the log.
            let line = line.replace("\\\"", "\"");
            texts.iter().all(|text| line.contains(text))
        };
        self.process.wait_for_line(&format!("a line with {texts:?}"), from, wanted)
    }

    /// A new connection to REST.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub fn http(&self) -> HttpClient {
        HttpClient::connect(self.rest).unwrap_or_else(|error| panic!("cannot connect to REST: {error}"))
    }

    /// One request to REST on a connection of its own.
    ///
    /// # Panics
    ///
    /// When the connection breaks; the log is shown.
    pub fn request(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let answer = HttpClient::connect(self.rest).and_then(|mut http| http.request(method, path, body));
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// The path of `plugins.toml`.
    pub fn plugins_file(&self) -> PathBuf {
        self.folder.path().join("plugins.toml")
    }

    /// The text of `plugins.toml`.
    pub fn plugins(&self) -> String {
        std::fs::read_to_string(self.plugins_file()).expect("plugins.toml")
    }

    /// Saves `plugins.toml` as an editor does, which applies it.
    pub fn save_plugins(&self, text: &str) {
        files::replace(&self.plugins_file(), text.as_bytes());
    }

    /// Switches one instance on or off by editing `plugins.toml`.
    ///
    /// # Panics
    ///
    /// When the file has no such instance.
    pub fn set_enabled(&self, instance: &str, enabled: bool) {
        let mut file: toml_edit::DocumentMut = self.plugins().parse().expect("plugins.toml is TOML");
        file["protocols"][instance]["enabled"] = toml_edit::value(enabled);
        self.save_plugins(&file.to_string());
    }

    /// What the REST API says of an instance; null when it knows none of that name.
    pub fn instance(&self, name: &str) -> Value {
        let info = self.request("GET", "/api/_serverInfo", None).json();
        let plugins = &info["result"]["serverInfo"]["kuzzle"]["plugins"];
        plugins[name].clone()
    }

    /// Waits until an instance is in a state, and returns what the REST API says of it.
    ///
    /// # Panics
    ///
    /// When patience ends before; the last state and the log are shown.
    pub fn wait_for_state(&self, name: &str, state: &str) -> Value {
        let last = Mutex::new(Value::Null);
        let ask = || {
            let found = self.instance(name);
            let reached = found["state"].as_str() == Some(state);
            *last.lock() = found.clone();
            reached.then_some(found)
        };
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(&format!("`{name}` to be {state}"), ask)
        }));
        waited.unwrap_or_else(|_| {
            panic!("`{name}` is not {state} but {}; log:\n{}", last.lock(), self.log());
        })
    }

    /// Sends the server a signal, such as `HUP`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Asks the server to stop and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.wait()
    }

    /// Ends the server at once, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the server again on the same files and port; it must have ended.
    ///
    /// # Panics
    ///
    /// When it does not become ready.
    pub fn start_again(&mut self) {
        self.options.plugins = self.plugins();
        let command = self.options.command(&self.folder, self.rest, None);
        self.process = Process::start(command);
        self.wait_until_ready(0);
    }

    fn wait_until_ready(&mut self, from: usize) {
        self.process.wait_for_line("the line that says ready", from, |line| {
            line.split_whitespace().any(|word| word == "ready")
        });
    }
}

/// A port that is free, and stays so: below those that the system gives to outgoing connections, never the same twice in
/// a process, and seldom the same in two.
///
/// # Panics
///
/// When the system has none.
pub fn free_port() -> u16 {
    const FIRST: u32 = 15_000;
    const COUNT: u32 = 16_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + start.wrapping_add(step) % COUNT).expect("below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} on is free");
}

/// An instance for `plugins.toml`: `plugin` is the path of its library.
pub fn instance(name: &str, plugin: &Path, port: u16) -> String {
    format!(
        "[protocols.{name}]\npath = \"{}\"\nenabled = true\nlisten = [\"127.0.0.1:{port}\"]\n\n",
        plugin.display()
    )
}

/// The shipped socket.io plugin for `plugins.toml`.
pub fn socketio(port: u16) -> String {
    let _checked = binaries::plugin("socketio");
    format!(
        "[protocols.socketio]\nplugin = \"socketio\"\nenabled = true\nlisten = [\"127.0.0.1:{port}\"]\n\n"
    )
}

/// The shipped AMQP plugin for `plugins.toml`.
pub fn amqp(port: u16) -> String {
    let _checked = binaries::plugin("amqp");
    format!("[protocols.amqp]\nplugin = \"amqp\"\nenabled = true\nlisten = [\"127.0.0.1:{port}\"]\n\n")
}

/// The shipped MQTT plugin for `plugins.toml`, with the index that it is shipped with for document writes that name none.
pub fn mqtt(port: u16) -> String {
    let _checked = binaries::plugin("mqtt");
    format!(
        "[protocols.mqtt]\nplugin = \"mqtt\"\nenabled = true\nlisten = [\"127.0.0.1:{port}\"]\n\
         defaults = {{ index = \"index\" }}\n"
    )
}

/// The shipped STOMP plugin for `plugins.toml`.
pub fn stomp(port: u16) -> String {
    let _checked = binaries::plugin("stomp");
    format!("[protocols.stomp]\nplugin = \"stomp\"\nenabled = true\nlisten = [\"127.0.0.1:{port}\"]\n\n")
}

/// The example plugin, built out of the workspace, for `plugins.toml`.
pub fn lines(port: u16) -> String {
    instance("lines", &binaries::out_of_tree("lines"), port)
}
