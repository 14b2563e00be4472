//! What `plugins.toml` and the configuration say of an address: TLS, the PROXY protocol, limits.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kuzzle_tests::server::{free_port, lines, socketio};
use kuzzle_tests::{PATIENCE, Server, ServerOptions, TempDir, curl, run_with_input, wait_for};
use serde_json::Value;

const NOW: &str = "{\"controller\":\"read\",\"action\":\"now\"}\n";

/// A certificate for `localhost` that signs itself.
struct Certificate {
    folder: TempDir,
}

impl Certificate {
    fn new() -> Self {
        let folder = TempDir::new();
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        std::fs::write(folder.path().join("chain.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder }
    }

    fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// What `curl` prints that trusts this certificate alone.
    fn curl(&self, url: &str) -> String {
        curl(None, &["--cacert", &self.chain().display().to_string(), url])
    }
}

/// An instance whose one listener is a table with `more`.
fn with_listener(instance: String, port: u16, more: &str) -> String {
    let plain = format!("[\"127.0.0.1:{port}\"]");
    assert!(instance.contains(&plain));
    instance.replace(&plain, &format!("[{{ address = \"127.0.0.1:{port}\", {more} }}]"))
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[test]
fn rest_and_plugins_speak_tls() {
    let certificate = Certificate::new();
    let (chain, key) = (certificate.chain(), certificate.key());
    let (web, line) = (free_port(), free_port());
    let tls = format!("tls = {{ certificate = \"{}\", key = \"{}\" }}", chain.display(), key.display());
    let plugins = with_listener(socketio(web), web, &tls) + &with_listener(lines(line), line, &tls);
    let config = format!("certificate = \"{}\"\nkey = \"{}\"\n", chain.display(), key.display());
    let rest = free_port();
    let options = ServerOptions { plugins, config, rest_port: Some(rest), ..ServerOptions::default() };
    let mut server = options.start();
    server.wait_for_log(0, &["listening", "lines"]);
    server.wait_for_log(0, &["listening", "socketio"]);

    assert!(certificate.curl(&format!("https://localhost:{rest}/api/1.0")).contains("Hello"));
    let hello = format!("https://localhost:{web}/socket.io/?EIO=4&transport=polling");
    assert!(certificate.curl(&hello).contains("\"sid\""));
    // A client that trusts nobody it does not know is not spoken to in plain text either.
    let mut plain = TcpStream::connect(local(line)).unwrap();
    plain.write_all(NOW.as_bytes()).unwrap();
    let mut said = Vec::new();
    let _reset = plain.read_to_end(&mut said);
    assert!(!String::from_utf8_lossy(&said).contains("status"), "{said:?}");
    let mut client = Command::new("node");
    client.args([
        "-e",
        "const tls = require('tls');\
         const [port, ca] = process.argv.slice(1);\
         const socket = tls.connect({ port, host: 'localhost', ca: require('fs').readFileSync(ca) });\
         socket.pipe(process.stdout); process.stdin.pipe(socket);",
        &line.to_string(),
    ]);
    let answer = run_with_input(client.arg(&chain), NOW.as_bytes());
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("not JSON: {answer}"));
    assert_eq!(answer["status"], 200);
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let port = free_port();
    let tls = "tls = { certificate = \"/nonexistent/chain.pem\", key = \"/nonexistent/key.pem\" }";
    let server = ServerOptions::with_plugins(with_listener(lines(port), port, tls)).start();
    let status = server.wait_for_state("lines", "failed");
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("/nonexistent/chain.pem") && !reason.contains('\n'), "{reason}");

    let config = "certificate = \"/nonexistent/chain.pem\"\nkey = \"/nonexistent/key.pem\"\n".to_owned();
    let ended = ServerOptions { config, ..ServerOptions::default() }.run_to_end();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("/nonexistent/chain.pem"), "{said}");
}

#[test]
fn a_balancer_tells_who_its_clients_are() {
    let port = free_port();
    let plugins = with_listener(lines(port), port, "proxy_protocol = true");
    let mut server = ServerOptions::with_plugins(plugins).start();
    server.wait_for_state("lines", "running");
    let mut client = connect(port);
    client
        .get_mut()
        .write_all(format!("PROXY TCP4 203.0.113.7 127.0.0.1 51234 {port}\r\n{NOW}").as_bytes())
        .unwrap();
    assert_eq!(answer(&mut client)["status"], 200);
    // Who does not say so is not let in.
    let mut other = connect(port);
    other.get_mut().write_all(NOW.as_bytes()).unwrap();
    assert_eq!(other.read_line(&mut String::new()).unwrap_or(0), 0, "it is closed");
    server.wait_for_log(0, &["handshake failed"]);
}

#[test]
fn connections_beyond_the_limit_are_closed_and_silent_ones_too() {
    let port = free_port();
    let plugins = lines(port) + "max_connections = 2\nidle_timeout_secs = 1\n";
    let server = ServerOptions::with_plugins(plugins).start();
    server.wait_for_state("lines", "running");
    let mut first = connect(port);
    let mut second = connect(port);
    for client in [&mut first, &mut second] {
        client.get_mut().write_all(NOW.as_bytes()).unwrap();
        assert_eq!(answer(client)["status"], 200);
    }
    let mut third = connect(port);
    assert_eq!(third.read_line(&mut String::new()).unwrap_or(0), 0, "one too many is closed");
    // Nobody says anything for a while: both are let go, and there is room again.
    for mut client in [first, second] {
        let mut rest = String::new();
        let _ended = client.read_to_string(&mut rest);
    }
    wait_for("room for a new connection", || serves(port).then_some(()));
    assert!(metric(&server, "idle") > 0, "{}", server.instance("lines"));
}

/// The sum of the numbers of the instance whose names hold a word.
fn metric(server: &Server, word: &str) -> i64 {
    let status = server.instance("lines");
    let metrics = status["metrics"].as_object().unwrap();
    metrics.iter().filter(|(name, _)| name.contains(word)).filter_map(|(_, value)| value.as_i64()).sum()
}

fn serves(port: u16) -> bool {
    let mut client = connect(port);
    let mut line = String::new();
    client.get_mut().write_all(NOW.as_bytes()).is_ok()
        && client.read_line(&mut line).is_ok_and(|read| read > 0)
        && line.contains("\"status\":200")
}

fn connect(port: u16) -> BufReader<TcpStream> {
    let stream = TcpStream::connect_timeout(&local(port), Duration::from_secs(10)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

fn answer(client: &mut BufReader<TcpStream>) -> Value {
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"))
}
