//! A protocol that does what its settings say, and clients for it.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kuzzle_plugin_api::sdk::serde_json::{Value, json};
use kuzzle_plugin_api::sdk::tokio::io::{AsyncReadExt, AsyncWriteExt};
use kuzzle_plugin_api::sdk::{
    ApiError, Connection, Event, Host, Protocol, RequestConnection, SettingsProblem, tokio, tracing,
};

/// How long a client waits for bytes that should come at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

kuzzle_plugin_api::settings! {
    /// What the protocol under test does.
    pub(crate) struct Settings {
        /// What `check` does.
        on_check: string = "accept", choices ["accept", "refuse", "panic"];
        /// What `start` does.
        on_start: string = "run", choices ["run", "fail", "panic", "open_client"];
        /// What `serve` does with a connection.
        on_serve: string = "echo", choices ["echo", "tell", "panic", "goodbye", "ignore_stop", "spin", "moved"];
        /// What `stop` does.
        on_stop: string = "return", choices ["return", "panic", "hang"];
        /// What `deliver` does.
        on_event: string = "pass", choices ["pass", "take", "panic_once"];
    }
}

/// Does what its settings say.
pub(crate) struct Scripted {
    settings: Settings,
    client: Option<RequestConnection>,
    has_panicked: std::sync::atomic::AtomicBool,
}

impl Protocol for Scripted {
    type Settings = Settings;

    fn check(settings: &Settings) -> Vec<SettingsProblem> {
        match settings.on_check.as_str() {
            "refuse" => vec![SettingsProblem { pointer: "/on_check".into(), message: "is refused".into() }],
            "panic" => panic!("boom in check"),
            _ => Vec::new(),
        }
    }

    async fn start(host: Host, settings: Settings) -> Result<Self, ApiError> {
        let client = match settings.on_start.as_str() {
            "fail" => return Err(ApiError::new(503, "scripted.start", "no reason to start")),
            "panic" => panic!("boom in start"),
            "open_client" => Some(host.requests().open(&Default::default())?),
            _ => None,
        };
        tracing::info!(instance = host.instance(), generation = host.generation(), "started");
        Ok(Self { settings, client, has_panicked: Default::default() })
    }

    async fn serve(self: Arc<Self>, mut connection: Connection) -> io::Result<()> {
        match self.settings.on_serve.as_str() {
            "tell" => {
                let told = json!({
                    "peer": connection.peer().to_string(), "local": connection.local().to_string(),
                    "tls": connection.is_tls(), "listener": connection.listener(), "scheme": connection.scheme(),
                    "thread": std::thread::current().name(),
                });
                connection.write_all(format!("{told}\n").as_bytes()).await?;
                echo(&mut connection).await
            }
            "panic" => panic!("boom in serve"),
            "goodbye" => {
                let lifecycle = connection.lifecycle();
                tokio::select! {
                    ended = echo(&mut connection) => ended?,
                    () = lifecycle.stopping() => connection.write_all(b"goodbye\n").await?,
                }
                connection.shutdown().await
            }
            "spin" => loop {
                std::thread::sleep(Duration::from_millis(5));
            },
            "moved" => {
                // As a WebSocket upgrade does: the connection lives on after `serve` has returned.
                tokio::spawn(async move { echo(&mut connection).await });
                Ok(())
            }
            _ => echo(&mut connection).await,
        }
    }

    async fn stop(&self) {
        match self.settings.on_stop.as_str() {
            "panic" => panic!("boom in stop"),
            "hang" => std::future::pending().await,
            _ => {}
        }
    }

    fn deliver(&self, event: Event) -> Option<Event> {
        use std::sync::atomic::Ordering::Relaxed;
        match self.settings.on_event.as_str() {
            "take" => {
                if let Event::Notification { connections, notification } = event {
                    let channel = &*notification.channel;
                    tracing::info!(clients = connections.len(), channel, "taken");
                }
                None
            }
            "panic_once" if !self.has_panicked.swap(true, Relaxed) => panic!("boom in deliver"),
            _ => Some(event),
        }
    }

    fn status(&self) -> Value {
        json!({ "has_client": self.client.is_some() })
    }
}

async fn echo(connection: &mut Connection) -> io::Result<()> {
    let mut bytes = [0; 4_096];
    loop {
        match connection.read(&mut bytes).await? {
            0 => return Ok(()),
            read => connection.write_all(&bytes[..read]).await?,
        }
    }
}

/// A client that reads lines, and gives up rather than wait for ever.
pub(crate) struct Client {
    pub(crate) stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the listener is there");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout is taken");
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).expect("the connection is open");
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line comes");
        line.trim_end().to_owned()
    }

    pub(crate) fn json(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("`{line}` is not JSON: {error}"))
    }

    /// What comes until the other end closes; a reset is an end too.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection did not end: {error}"),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn finish_writing(&mut self) {
        self.stream.get_mut().shutdown(std::net::Shutdown::Write).expect("the connection is open");
    }
}

/// A certificate for `localhost` in files of its own, removed at the end.
pub(crate) struct Certificate {
    pub(crate) folder: PathBuf,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl Certificate {
    pub(crate) fn new(name: &str) -> Self {
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate is made");
        let folder = std::env::temp_dir().join(format!("kuzzle-testing-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder is made");
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).expect("a file is written");
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("a file is written");
        Self { folder, der: made.cert.der().clone() }
    }

    pub(crate) fn options(&self) -> Value {
        json!({ "tls": { "certificate": self.folder.join("cert.pem"), "key": self.folder.join("key.pem") } })
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.folder);
    }
}

/// The client's end of TLS, which trusts this certificate alone.
pub(crate) fn tls_client(
    socket: TcpStream,
    certificate: &Certificate,
) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der.clone()).expect("the certificate is one");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions are known")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let session = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    rustls::StreamOwned::new(session, socket)
}

/// The threads of this process whose name is `name`.
pub(crate) fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|found| found.trim_end() == name).count()
}
