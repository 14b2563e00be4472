//! What the kit does with sockets: limits, timeouts, TLS, the PROXY protocol.
#![allow(clippy::expect_used, reason = "helpers of tests fail like tests")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Certificate, Client, PATIENCE, Scripted, tls_client};
use kuzzle_plugin_testing::FakeHost;
use serde_json::{Value, json};

fn scripted(settings: Value) -> FakeHost {
    let host = FakeHost::new().with_settings(settings);
    // As a part of `proxied.rs` the same tests run through the proxy.
    if module_path!().starts_with("proxied::") { host.proxied(true) } else { host }
}

#[test]
fn beyond_the_limit_clients_are_refused_at_once() {
    let host = scripted(json!({})).with_options(json!({ "max_connections": 2 }));
    let plugin = host.start::<Scripted>().expect("it starts");
    let mut clients = [Client::connect(host.address()), Client::connect(host.address())];
    for client in &mut clients {
        client.send("x\n");
        assert_eq!(client.line(), "x");
    }
    assert_eq!(Client::connect(host.address()).rest(), "");
    assert_eq!(Client::connect(host.address()).rest(), "");
    let line = host.wait_for_log("connection refused: too many are open");
    assert_eq!(line.fields["max_connections"], 2);
    host.wait_for_metric("connections_refused_total", 2);

    let [first, mut second] = clients;
    drop(first);
    host.wait_for("a place", |_| (plugin.status()["connections"] == 1).then_some(()));
    let mut third = Client::connect(host.address());
    for client in [&mut second, &mut third] {
        client.send("y\n");
        assert_eq!(client.line(), "y");
    }
}

#[test]
fn metrics_count_connections_and_bytes() {
    let host = scripted(json!({}));
    let _plugin = host.start::<Scripted>().expect("it starts");
    let mut client = Client::connect(host.address());
    client.send("hello\n");
    assert_eq!(client.line(), "hello");
    host.wait_for_metric("connections", 1);
    client.finish_writing();
    assert_eq!(client.rest(), "");
    host.wait_for_metric("connections", 0);
    for (name, value) in
        [("connections_accepted_total", 1), ("bytes_received_total", 6), ("bytes_sent_total", 6)]
    {
        host.wait_for_metric(name, value);
    }
}

#[test]
fn an_idle_connection_is_ended_and_a_busy_one_is_not() {
    for script in ["echo", "moved"] {
        let host = scripted(json!({ "on_serve": script })).with_options(json!({ "idle_timeout_secs": 1 }));
        let _plugin = host.start::<Scripted>().expect("it starts");
        let mut idle = Client::connect(host.address());
        let mut busy = Client::connect(host.address());
        idle.stream.get_ref().set_nonblocking(true).expect("a flag is taken");
        // Busy until the other one has been ended, which takes longer than the timeout.
        while matches!(idle.stream.get_mut().read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
        {
            busy.send("x\n");
            assert_eq!(busy.line(), "x");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        host.wait_for_metric("idle_connections_closed_total", 1);
        busy.send("still\n");
        assert_eq!(busy.line(), "still");
    }
}

#[test]
fn the_proxy_protocol_tells_who_the_client_is() {
    let host = scripted(json!({ "on_serve": "tell" })).with_listener(json!({ "proxy_protocol": true }));
    let _plugin = host.start::<Scripted>().expect("it starts");

    let mut client = Client::connect(host.address());
    client.send("PROXY TCP4 203.0.113.7 198.51.100.1 5000 443\r\nfirst\n");
    let told = client.json();
    assert_eq!(
        (told["peer"].as_str(), told["local"].as_str()),
        (Some("203.0.113.7:5000"), Some("198.51.100.1:443"))
    );
    assert_eq!(client.line(), "first");

    // Byte by byte, version 2.
    let mut client = Client::connect(host.address());
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xc6\x33\x64\x01\x13\x88\x01\xbb";
    client.stream.get_ref().set_nodelay(true).expect("a flag is taken");
    for byte in header {
        client.send([*byte]);
    }
    assert_eq!(client.json()["peer"], "203.0.113.7:5000");

    let mut client = Client::connect(host.address());
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.rest(), "");
    let line = host.wait_for_log("handshake failed");
    let expected = "no PROXY protocol header; is the listener's `proxy_protocol` meant to be on?";
    assert_eq!(line.fields["error"], expected);
}

#[test]
fn tls_is_spoken_where_the_listener_declares_it() {
    let certificate = Certificate::new("tls");
    let host = scripted(json!({ "on_serve": "tell" })).with_listener(certificate.options());
    let plugin = host.start::<Scripted>().expect("it starts");

    let socket = TcpStream::connect(host.address()).expect("the listener is there");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout is taken");
    let mut client = tls_client(socket, &certificate);

    client.write_all(b"over tls\n").expect("the handshake succeeds");
    let mut told = Vec::new();
    while !told.ends_with(b"over tls\n") {
        let mut bytes = [0; 512];
        let read = client.read(&mut bytes).expect("an answer comes");
        told.extend_from_slice(&bytes[..read]);
    }
    let first: Value =
        serde_json::from_slice(told.split(|byte| *byte == b'\n').next().expect("a line")).expect("JSON");
    assert_eq!(first["tls"], true);

    let mut plain = Client::connect(host.address());
    plain.send("not a handshake\n");
    plain.rest();
    host.wait_for_log("handshake failed");
    host.wait_for("one to be left", |_| (plugin.status()["connections"] == 1).then_some(()));
    host.wait_for_metric("handshakes_failed_total", 1);
}

#[test]
fn bad_tls_options_stop_the_start_and_name_the_file() {
    let certificate = Certificate::new("bad-tls");
    let cert = certificate.folder.join("cert.pem").display().to_string();
    let absent = certificate.folder.join("absent.pem").display().to_string();
    for (tls, words) in [
        (json!({}), vec!["`tls` has no `certificate`"]),
        (json!({ "certificate": cert }), vec!["`tls` has no `key`"]),
        (json!({ "certificate": absent, "key": cert }), vec!["cannot read the certificate", absent.as_str()]),
        (json!({ "certificate": cert, "key": cert }), vec!["cannot read the private key", cert.as_str()]),
    ] {
        let host = scripted(json!({})).with_listener(json!({ "tls": tls }));
        let error = host.start::<Scripted>().err().expect("it does not start");
        for word in words {
            assert!(error.message.contains(word), "`{word}` in `{}`", error.message);
        }
        assert!(error.message.contains(&host.address().to_string()), "{}", error.message);
    }
    let host = scripted(json!({})).with_listener(json!({ "proxy_protocol": "yes" }));
    let error = host.start::<Scripted>().err().expect("it does not start");
    assert!(error.message.ends_with("`proxy_protocol` is neither `true` nor `false`"), "{}", error.message);
}

#[test]
fn a_listener_that_the_host_shuts_down_is_reported_as_lost() {
    let host = scripted(json!({}));
    let plugin = host.start::<Scripted>().expect("it starts");
    let mut client = Client::connect(host.address());
    client.send("x\n");
    assert_eq!(client.line(), "x");
    host.shut_listeners_down();
    let lost = host.wait_for("the listener to be lost", |host| host.lost_listeners().into_iter().next());
    assert_eq!(lost.0, 1);
    client.send("y\n");
    assert_eq!(client.line(), "y");
    assert!(TcpStream::connect(host.address()).is_err());
    plugin.stop_within(std::time::Duration::from_millis(100));
}

#[test]
fn one_worker_thread_is_the_default_and_named_after_the_instance() {
    let host = scripted(json!({ "on_serve": "tell" }));
    let _plugin = host.start::<Scripted>().expect("it starts");
    assert_eq!(Client::connect(host.address()).json()["thread"], "test");
}
