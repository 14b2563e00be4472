//! The socket.io plugin through the clients that people use: every generation of the JavaScript client, in Node and in a
//! browser, and the SDK of 2016. What they stored is read back over REST.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use kuzzle_tests::process::Process;
use kuzzle_tests::server::{free_port, socketio};
use kuzzle_tests::{Documented, Server, ServerOptions, node, repository, run_for_text, wait_for};
use serde_json::Value;

/// The clients under test; the first is the one of the product's documentation.
const VERSIONS: [&str; 5] = ["1.3.7", "1.4.8", "2.5.0", "3.1.3", "4.8.4"];

const TRANSPORTS: [&str; 3] = ["polling", "websocket", "upgrade"];

struct Served {
    server: Server,
    port: u16,
}

impl Served {
    fn start() -> Self {
        Self::start_with("")
    }

    /// With more lines in the instance's table.
    fn start_with(more: &str) -> Self {
        let port = free_port();
        let server = ServerOptions::with_plugins(format!("{}{more}\n", socketio(port))).start();
        server.wait_for_state("socketio", "running");
        Self { server, port }
    }

    /// Runs a script that must succeed, with port and address of REST as its last arguments.
    fn run(&self, script: &str, arguments: &[&str]) {
        let (port, rest) = (self.port.to_string(), self.server.rest().to_string());
        let arguments = arguments.iter().copied().chain([port.as_str(), rest.as_str()]);
        let said = run_for_text(&mut node(None, "socketio", script, arguments));
        assert!(said.starts_with("ok "), "{said}\n{}", self.server.log());
        print!("{said}");
    }

    fn connections(&self) -> Value {
        let info = self.server.request("GET", "/api/_serverInfo", None).json();
        info["result"]["serverInfo"]["kuzzle"]["protocols"]["socketio"]["connections"].clone()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(!self.server.log().contains("panicked"), "{}", self.server.log());
        }
    }
}

fn every_transport_in_node(version: &str) {
    every_transport_against(&Served::start(), version);
}

fn every_transport_against(served: &Served, version: &str) {
    for transport in TRANSPORTS {
        served.run("client.js", &[version, transport]);
    }
    // Whoever left is forgotten.
    wait_for("no connection to be left", || (served.connections() == 0).then_some(()));
}

#[test]
fn client_1_3_7_in_node() {
    every_transport_in_node("1.3.7");
}

#[test]
fn client_1_4_8_in_node() {
    every_transport_in_node("1.4.8");
}

#[test]
fn client_2_5_0_in_node() {
    every_transport_in_node("2.5.0");
}

#[test]
fn client_3_1_3_in_node() {
    every_transport_in_node("3.1.3");
}

#[test]
fn client_4_8_4_in_node() {
    every_transport_in_node("4.8.4");
}

#[test]
fn calls_that_are_carried_as_bytes_make_no_difference() {
    let served = Served::start_with("isolation = \"loopback\"");
    every_transport_against(&served, "1.3.7");
    every_transport_against(&served, "4.8.4");
}

#[test]
fn every_client_in_a_browser() {
    let served = Served::start();
    for version in VERSIONS {
        served.run("browser.js", &["page", version, "upgrade"]);
    }
    served.run("browser.js", &["page", "1.3.7", "polling"]);
}

#[test]
fn the_sdk_of_2016() {
    Served::start().run("sdk.js", &[]);
}

#[test]
fn the_sdk_of_2016_searches() {
    Served::start().run("sdk_documents.js", &[]);
}

#[test]
fn clients_come_back_after_the_protocol_was_off() {
    let served = Served::start();
    let mut clients: Vec<(String, Process)> = Vec::new();
    for version in VERSIONS {
        for transport in TRANSPORTS {
            let port = served.port.to_string();
            let command = node(None, "socketio", "reconnect.js", [version, transport, &port]);
            clients.push((format!("{version} over {transport}"), Process::start(command)));
        }
    }
    for (name, client) in &mut clients {
        client.wait_for_line(&format!("{name}: the connection"), 0, |line| line == "connected");
    }
    assert_eq!(served.connections(), clients.len());

    served.server.set_enabled("socketio", false);
    for (name, client) in &mut clients {
        client.wait_for_line(&format!("{name}: the goodbye"), 0, |line| line.starts_with("disconnected"));
    }
    served.server.wait_for_state("socketio", "stopped");
    let address = (Ipv4Addr::LOCALHOST, served.port);
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    drop(TcpListener::bind(address).expect("the port is free for others"));

    served.server.set_enabled("socketio", true);
    for (name, client) in &mut clients {
        client.wait_for_line(&format!("{name}: an answer after it came back"), 0, |line| line == "answered");
        let status = client.wait();
        assert!(status.success(), "{name}: {status}\n{}", client.log());
    }
}

/// On its literal host and port.
#[test]
fn the_example_of_the_documentation_in_a_browser() {
    Documented::start().open_page();
}

#[test]
fn the_port_serves_the_client_as_its_authors_published_it() {
    let served = Served::start();
    let packages = repository().join("tests/clients/socketio/node_modules");
    let published = [
        ("/socket.io/socket.io.js", packages.join("socket.io-client-1.3.7/socket.io.js")),
        ("/socket.io/socket.io-2.js", packages.join("socket.io-client-2.5.0/dist/socket.io.js")),
    ];
    for (path, file) in published {
        let address = (Ipv4Addr::LOCALHOST, served.port).into();
        let mut http = kuzzle_tests::HttpClient::connect(address).unwrap();
        let answer = http.request("GET", path, None).unwrap();
        assert_eq!(answer.status, 200);
        let file = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(answer.body == file, "{path} is not the published file");
    }
}
