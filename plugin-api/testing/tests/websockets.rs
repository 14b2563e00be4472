//! What the kit does with listeners of WebSockets.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use common::{Certificate, Client, PATIENCE, Scripted, tls_client};
use kuzzle_plugin_api::sdk::tokio::io::AsyncWriteExt;
use kuzzle_plugin_api::sdk::{ApiError, Connection, Host, Protocol, WebSocket};
use kuzzle_plugin_testing::FakeHost;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Error, Message};

fn scripted(settings: Value, options: Value) -> FakeHost {
    let host = FakeHost::new().with_settings(settings).with_websocket_listener(options);
    // As a part of `proxied.rs` the same tests run through the proxy.
    if module_path!().starts_with("proxied::") { host.proxied(true) } else { host }
}

type Socket<S> = tungstenite::WebSocket<S>;

/// Knocks at `path` with one more header.
fn knock(
    host: &FakeHost,
    path: &str,
    header: Option<(&'static str, &str)>,
) -> Result<Socket<TcpStream>, Error> {
    let socket = TcpStream::connect(host.address()).expect("the listener is there");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout is taken");
    let mut request = format!("ws://{}{path}", host.address()).into_client_request().expect("a request");
    if let Some((name, value)) = header {
        request.headers_mut().insert(name, value.parse().expect("a header"));
    }
    tungstenite::client(request, socket).map(|(socket, _response)| socket).map_err(|error| match error {
        tungstenite::HandshakeError::Failure(error) => error,
        tungstenite::HandshakeError::Interrupted(_) => panic!("no answer came"),
    })
}

/// What comes until there are so many bytes.
fn read<S: Read + Write>(socket: &mut Socket<S>, length: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < length {
        got.extend_from_slice(&socket.read().expect("a message comes").into_data());
    }
    got
}

/// The status that a client was refused with.
fn status(refused: Result<Socket<TcpStream>, Error>) -> u16 {
    match refused {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other} instead of a status"),
        Ok(_) => panic!("it was let in"),
    }
}

#[test]
fn a_protocol_of_bytes_is_spoken_in_messages() {
    let host = scripted(json!({ "on_serve": "tell" }), json!({}));
    let _plugin = host.start::<Scripted>().expect("it starts");
    let mut socket = knock(&host, "/", None).expect("it is let in");
    let told = socket.read().expect("a message").into_data();
    let told: Value = serde_json::from_slice(&told).expect("JSON");
    assert_eq!((&told["scheme"], &told["tls"]), (&json!("ws"), &json!(false)));
    let length = 20 + host_sent(&host);
    for part in [&b"ten bytes "[..], b"", b"and ten mo"] {
        socket.send(Message::Binary(part.to_vec().into())).expect("it is sent");
    }
    assert_eq!(read(&mut socket, 20), b"ten bytes and ten mo");
    host.wait_for_metric("connections", 1);
    // What messages carry is counted, not their frames.
    host.wait_for_metric("bytes_received_total", 20);
    host.wait_for_metric("bytes_sent_total", length);
    socket.close(None).expect("it is sent");
    assert!(matches!(socket.read(), Ok(Message::Close(_))));
    host.wait_for_metric("connections", 0);
}

fn host_sent(host: &FakeHost) -> i64 {
    host.wait_for("the greeting to be counted", |host| {
        host.metric("bytes_sent_total").filter(|sent| *sent > 0)
    })
}

#[test]
fn clients_over_tls_and_behind_a_balancer() {
    let certificate = Certificate::new("websocket");
    let mut options = certificate.options();
    options["proxy_protocol"] = json!(true);
    let host = scripted(json!({ "on_serve": "tell" }), options);
    let _plugin = host.start::<Scripted>().expect("it starts");
    let mut socket = TcpStream::connect(host.address()).expect("the listener is there");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout is taken");
    socket.write_all(b"PROXY TCP4 203.0.113.7 198.51.100.1 5000 443\r\n").expect("it is sent");
    let stream = tls_client(socket, &certificate);
    let (mut socket, _response) = tungstenite::client("wss://localhost/", stream).expect("it is let in");
    let told: Value = serde_json::from_slice(&socket.read().expect("a message").into_data()).expect("JSON");
    assert_eq!(
        (&told["scheme"], &told["tls"], &told["peer"]),
        (&json!("ws"), &json!(true), &json!("203.0.113.7:5000"))
    );
    socket.send(Message::Binary(b"echo".to_vec().into())).expect("it is sent");
    assert_eq!(read(&mut socket, 4), b"echo");
}

#[test]
fn who_is_not_let_in_is_told_why_and_counted() {
    let host = scripted(json!({}), json!({}));
    let plugin = host.start::<Scripted>().expect("it starts");
    assert_eq!(status(knock(&host, "/elsewhere", None)), 404);
    assert_eq!(status(knock(&host, "/", Some(("Origin", "https://evil.example")))), 403);
    let mut plain = Client::connect(host.address());
    plain.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = plain.rest();
    assert!(answer.starts_with("HTTP/1.1 426 ") && answer.ends_with("takes WebSockets at /.\n"), "{answer}");
    let mut other = Client::connect(host.address());
    other.send("\x10\x10\0\x04MQTT");
    assert!(other.rest().starts_with("HTTP/1.1 400 "));
    host.wait_for_metric("handshakes_failed_total", 4);
    let line = host.wait_for_log("handshake failed");
    let reason = line.fields["error"].as_str().expect("a text");
    assert_eq!(reason, "no WebSocket: no WebSocket at `/elsewhere` (404 Not Found)");
    host.wait_for("nobody to be left", |_| (plugin.status()["connections"] == 0).then_some(()));
    knock(&host, "/", Some(("Origin", "http://localhost:3000"))).expect("a page of this machine is let in");
}

#[test]
fn an_address_may_say_where_and_for_whom() {
    let options =
        json!({ "websocket": { "paths": ["/a", "/b"], "allowed_origins": ["https://app.example"] } });
    let host = scripted(json!({}), options);
    let _plugin = host.start::<Scripted>().expect("it starts");
    assert_eq!(status(knock(&host, "/", None)), 404);
    assert_eq!(status(knock(&host, "/a", Some(("Origin", "http://localhost")))), 403);
    for path in ["/a", "/b?x=y"] {
        knock(&host, path, Some(("Origin", "https://app.example"))).expect("it is let in");
    }
    let host = scripted(json!({}), json!({ "websocket": { "paths": "/a" } }));
    let error = host.start::<Scripted>().err().expect("it does not start");
    assert!(error.message.ends_with("`paths` is not a list of strings"), "{error}");
}

#[test]
fn a_client_that_breaks_a_rule_reads_its_code() {
    let host = scripted(json!({}), json!({}));
    let _plugin = host.start::<Scripted>().expect("it starts");
    let mut socket = knock(&host, "/", None).expect("it is let in");
    socket.send(Message::Text("text".into())).expect("it is sent");
    let Ok(Message::Close(Some(close))) = socket.read() else { panic!("no close frame came") };
    assert_eq!(close.code, CloseCode::Unsupported);
    let line = host.wait_for_log("connection closed: the client broke the protocol");
    let reason = line.fields["error"].as_str().expect("a text");
    assert!(reason.contains("takes binary messages"), "{reason}");

    let mut socket = knock(&host, "/", None).expect("it is let in");
    socket.get_mut().write_all(&[0x82, 0x01, b'x']).expect("it is sent");
    let Ok(Message::Close(Some(close))) = socket.read() else { panic!("no close frame came") };
    assert_eq!(close.code, CloseCode::Protocol);
    host.wait_for_metric("connections", 0);
}

#[test]
fn goodbyes_reach_clients_before_their_close_frame() {
    let host = scripted(json!({ "on_serve": "goodbye" }), json!({}));
    let plugin = host.start::<Scripted>().expect("it starts");
    let mut socket = knock(&host, "/", None).expect("it is let in");
    socket.send(Message::Binary(b"x".to_vec().into())).expect("it is sent");
    assert_eq!(read(&mut socket, 1), b"x");
    let stopping = std::thread::spawn(move || plugin.stop().clean);
    assert_eq!(read(&mut socket, 8), b"goodbye\n");
    let Ok(Message::Close(Some(close))) = socket.read() else { panic!("no close frame came") };
    assert_eq!(close.code, CloseCode::Normal);
    assert!(stopping.join().expect("it stops"));
}

#[test]
fn a_silent_client_is_idle_before_its_handshake_and_after() {
    let host =
        scripted(json!({}), json!({})).with_options(json!({ "idle_timeout_secs": 1, "max_connections": 1 }));
    let _plugin = host.start::<Scripted>().expect("it starts");
    let mut socket = knock(&host, "/", None).expect("it is let in");
    host.wait_for_metric("idle_connections_closed_total", 1);
    assert!(socket.read().is_err());
    host.wait_for_metric("connections", 0);
    // Whoever says nothing at all has the time of a handshake.
    let mut silent = Client::connect(host.address());
    let answer = silent.rest();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_client_that_pings_is_not_idle() {
    let host = scripted(json!({}), json!({})).with_options(json!({ "idle_timeout_secs": 1 }));
    let _plugin = host.start::<Scripted>().expect("it starts");
    let mut silent = knock(&host, "/", None).expect("it is let in");
    silent.get_mut().set_nonblocking(true).expect("a flag is taken");
    let mut alive = knock(&host, "/", None).expect("it is let in");
    // Until the other one has been ended, which takes longer than the timeout.
    while matches!(silent.read(), Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock) {
        alive.send(Message::Ping(b"here".to_vec().into())).expect("it is sent");
        assert!(matches!(alive.read(), Ok(Message::Pong(_))));
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    host.wait_for_metric("idle_connections_closed_total", 1);
    alive.send(Message::Binary(b"still".to_vec().into())).expect("it is sent");
    assert_eq!(read(&mut alive, 5), b"still");
}

/// A protocol that has WebSockets of its own.
struct Own;

impl Protocol for Own {
    type Settings = ();

    const WEBSOCKET: Option<WebSocket> = None;

    async fn start(_host: Host, _settings: ()) -> Result<Self, ApiError> {
        Ok(Self)
    }

    async fn serve(self: Arc<Self>, mut connection: Connection) -> io::Result<()> {
        connection.shutdown().await
    }
}

#[test]
fn a_protocol_that_is_not_spoken_so_does_not_start() {
    let host = scripted(json!({}), json!({}));
    let error = host.start::<Own>().err().expect("it does not start");
    assert!(error.message.contains("without `ws://`"), "{error}");
    assert!(error.message.contains(&host.address().to_string()), "{error}");
}
