use super::*;
use kuzzle_api::{Facts, Limits, PluginFacts, ServerFacts};
use kuzzle_broker::{Broker, NoHost, SystemClock};
use kuzzle_documents::Documents;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct NoFacts;

impl Facts for NoFacts {
    fn server(&self) -> ServerFacts {
        ServerFacts::default()
    }

    fn plugins(&self) -> Vec<PluginFacts> {
        Vec::new()
    }
}

struct Server {
    rest: Rest,
    folder: PathBuf,
}

impl Server {
    fn start(change: impl FnOnce(&mut Options)) -> Self {
        let folder = std::env::temp_dir().join(format!("kuzzle-rest-{}", uuid::Uuid::new_v4()));
        let documents = Documents::open(&folder, kuzzle_documents::Options::default()).unwrap();
        let broker =
            Broker::in_memory(kuzzle_broker::Options::default(), Arc::new(NoHost), Arc::new(SystemClock));
        let api = Api::new(documents, broker, Limits::default(), Arc::new(NoFacts));
        let mut options = Options {
            tls: None,
            body_max_bytes: 1000,
            connections_max: 100,
            header_timeout: Duration::from_secs(20),
            host_names: Vec::new(),
        };
        change(&mut options);
        let listener = crate::listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { rest: Rest::start(vec![listener], api, options).unwrap(), folder }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.rest.addresses()[0]).await.unwrap()
    }

    /// Sends `request` as it is and returns all that comes until the server closes.
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        read_to_end(&mut stream).await
    }

    async fn ask(&self, verb: &str, path: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        self.raw(
            format!("{verb} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
                .as_bytes(),
        )
        .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let _ =
        tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await.expect("no end");
    String::from_utf8_lossy(&answer).into_owned()
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_base_path_greets_to_the_letter() {
    let server = Server::start(|_| ());
    for path in ["/api/1.0", "/api/1.0/", "/API/1.0"] {
        let answer = server.ask("GET", path, "", "").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
        assert!(answer.contains("access-control-allow-origin: *\r\n"), "{answer}");
        assert!(
            answer.ends_with("\r\n\r\n{\"error\":null,\"result\":\"Hello from Kuzzle :)\",\"status\":200}"),
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_written_and_read() {
    let server = Server::start(|_| ());
    let answer = server.ask("PUT", "/api/1.0/i/c/1", JSON, r#"{"name":"Ada"}"#).await;
    assert!(answer.contains(r#""created":true"#), "{answer}");
    let answer = server.ask("PUT", "/api/1.0/i/c/1/_update", JSON, r#"{"body":{"age":36}}"#).await;
    assert!(answer.contains(r#""_version":2"#), "{answer}");
    let answer = server.ask("GET", "/api/1.0/I/c/1", "", "").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let answer = server.ask("GET", "/api/1.0/i/c/1", "", "").await;
    assert!(answer.contains(r#""_source":{"age":36,"name":"Ada"}"#), "{answer}");
    let answer = server.ask("HEAD", "/api/1.0/i/c/1", "", "").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{answer}");
    let answer = server.ask("POST", "/api/1.0/i/_refresh", JSON, "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer =
        server.ask("POST", "/api/1.0/i/c/_search", JSON, r#"{"filter":{"term":{"name":"ada"}}}"#).await;
    assert!(answer.contains(r#""_source":{"age":36,"name":"Ada"}"#), "{answer}");
    let answer = server.ask("POST", "/api/1.0/i/c", JSON, "{}").await;
    assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_of_the_api_gets_a_page() {
    let server = Server::start(|_| ());
    let answer = server.ask("GET", "/nowhere/a&b", "", "").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(answer.ends_with("Cannot GET /nowhere/a&amp;b\n"), "{answer}");
    let answer = server.ask("PATCH", "/api/1.0/i/c/1", "", "").await;
    assert!(answer.ends_with("Cannot PATCH /api/1.0/i/c/1\n"), "{answer}");
    let answer = server.ask("PUT", "/api/1.0/i/c/1", JSON, r#"{"a":"#).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(
        answer.contains("text/html") && answer.contains("nosniff") && answer.contains("invalid json"),
        "{answer}"
    );
    let answer = server.ask("PUT", "/api/1.0/i/c/1", "Content-Type: text/plain\r\n", "{}").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains(r#"{"error":{"message":"Invalid request content-type. Expected"#), "{answer}");
    let deep = "[".repeat(500);
    let answer = server.ask("POST", "/api/1.0/_bulk", JSON, &deep).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_beyond_the_limit_are_refused_whether_announced_or_chunked() {
    let server = Server::start(|_| ());
    let answer = server
        .raw(b"PUT /api/1.0/i/c/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\nConnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let chunk = format!("{:x}\r\n{}\r\n", 600, "x".repeat(600));
    let request = format!(
        "PUT /api/1.0/i/c/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    let answer = server.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_tell_the_methods_of_a_path() {
    let server = Server::start(|_| ());
    let answer = server.ask("OPTIONS", "/api/1.0/i/c/1", "Origin: http://x\r\n", "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("allow: DELETE, GET, HEAD, PUT\r\n"), "{answer}");
    assert!(answer.contains("access-control-allow-methods: DELETE, GET, HEAD, PUT\r\n"), "{answer}");
    assert!(answer.ends_with("DELETE, GET, HEAD, PUT"), "{answer}");
    assert!(server.ask("OPTIONS", "/nowhere", "", "").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_half_requests_end_the_connection_and_nothing_else() {
    let server = Server::start(|options| options.header_timeout = Duration::from_millis(300));
    assert!(!server.raw(b"\x16\x03\x01garbage\r\n\r\n").await.contains(" 200 "));
    assert!(server.raw(b"GET /<b> HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    let huge = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let refused = server.raw(huge.as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 4"), "{refused:?}");
    // Neither ever finishes: the server ends them when their time is up.
    server.raw(b"GET /api/1.0 HTTP/1.1\r\nHost").await;
    let answer = server.raw(b"PUT /api/1.0/i/c/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(server.ask("GET", "/api/1.0", "", "").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(|_| ());
    let one = "GET /api/1.0 HTTP/1.1\r\nHost: h\r\n\r\n";
    let two = "GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let answer = server.raw(format!("{one}{one}{two}").as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert!(answer.ends_with("Cannot GET /nowhere\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_clients_wait_and_are_served() {
    let server = Server::start(|options| options.connections_max = 1);
    let first = server.connect().await;
    let asked = tokio::spawn({
        let address = server.rest.addresses()[0];
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /api/1.0 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
            read_to_end(&mut stream).await
        }
    });
    while server.rest.open_connections() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!asked.is_finished());
    drop(first);
    assert!(asked.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_what_runs_and_cuts_what_does_not_end() {
    let server = Server::start(|_| ());
    let mut idle = server.connect().await;
    idle.write_all(b"GET /api/1.0 HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    let mut half = server.connect().await;
    half.write_all(b"PUT /api/1.0/i/c/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{").await.unwrap();
    while server.rest.open_connections() < 2 {
        tokio::task::yield_now().await;
    }
    let address = server.rest.addresses()[0];
    let Server { rest, .. } = &server;
    let (phase, _) = watch::channel(Phase::Running);
    let (_, gone) = mpsc::channel(1);
    let empty = Rest {
        addresses: Vec::new(),
        phase,
        gone,
        connections: Arc::clone(&rest.connections),
        connections_max: 0,
    };
    let mut server = server;
    let running = std::mem::replace(&mut server.rest, empty);
    running.stop(Duration::from_millis(500)).await;
    read_to_end(&mut idle).await;
    read_to_end(&mut half).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_when_asked_for() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = std::env::temp_dir().join(format!("kuzzle-tls-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    let (certificate, key) = (folder.join("c.pem"), folder.join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    assert!(super::super::server_config(&key, &key).unwrap_err().to_string().contains("no certificate"));
    let config = super::super::server_config(&certificate, &key).unwrap();
    let server = Server::start(|options| options.tls = Some(config));
    std::fs::remove_dir_all(&folder).unwrap();

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let mut stream =
        connector.connect("localhost".try_into().unwrap(), server.connect().await).await.unwrap();
    stream.write_all(b"GET /api/1.0 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut stream).await.contains("Hello from Kuzzle"));
    assert!(!server.raw(b"GET /api/1.0 HTTP/1.1\r\n\r\n").await.contains("Hello"));
}
