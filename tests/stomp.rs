//! The STOMP plugin through the clients that people use: both kinds of netcat, stomp.py in each version, stompit, and
//! stomp-client of 2016; and beside AMQP's tools, on the same queues.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use kuzzle_tests::process::Process;
use kuzzle_tests::server::{amqp, free_port, stomp};
use kuzzle_tests::{
    Documented, PATIENCE, Server, ServerOptions, documented, node, python, run_for_text, wait_for,
};
use serde_json::Value;

struct Served {
    server: Server,
    port: u16,
    amqp_port: u16,
}

impl Served {
    fn start() -> Self {
        Self::start_with("")
    }

    /// With more lines in the instance's table.
    fn start_with(more: &str) -> Self {
        let (port, amqp_port) = (free_port(), free_port());
        let plugins = format!("{}\n{}{more}\n", amqp(amqp_port), stomp(port));
        let server = ServerOptions::with_plugins(plugins).start();
        server.wait_for_state("stomp", "running");
        server.wait_for_state("amqp", "running");
        Self { server, port, amqp_port }
    }

    fn python(&self, scenario: &str) {
        self.check(&mut python("stomp", "stomp_py_client.py", [scenario, &self.port.to_string()]));
    }

    fn node(&self, client: &str) {
        self.check(&mut node(None, "stomp", "client.js", [client, &self.port.to_string()]));
    }

    fn check(&self, command: &mut Command) {
        let said = run_for_text(command);
        assert!(said.starts_with("ok "), "{said}\n{}", self.server.log());
        // Whoever left is forgotten.
        wait_for("no connection to be left", || (self.connections() == 0).then_some(()));
    }

    fn connections(&self) -> Value {
        self.server.instance("stomp")["connections"].clone()
    }

    fn amqp(&self, line: &str) -> String {
        let line = line.replace("URL", &format!("amqp://127.0.0.1:{}", self.amqp_port));
        run_for_text(Command::new("timeout").args(["60", "bash", "-euc", &line]))
    }

    fn connect(&self, said: &str) -> Raw {
        let mut raw = Raw::connect(self.port);
        raw.say(said);
        let connected = raw.frame();
        assert!(connected.starts_with("CONNECTED\n"), "{connected}");
        raw
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(!self.server.log().contains("panicked"), "{}", self.server.log());
        }
    }
}

/// A plain socket.
struct Raw {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    fn connect(port: u16) -> Self {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it accepts");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket, read: Vec::new() }
    }

    fn say(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).expect("it is written");
    }

    /// The next frame up to its NUL, without the line feed behind it.
    fn frame(&mut self) -> String {
        loop {
            let begin = self.read.iter().take_while(|octet| **octet == b'\n').count();
            if let Some(end) = self.read.iter().position(|octet| *octet == 0) {
                let frame: Vec<u8> = self.read.drain(..=end).skip(begin).collect();
                return String::from_utf8(frame).expect("text");
            }
            let mut octets = [0; 65_536];
            let read = self.socket.read(&mut octets).expect("a frame in time");
            assert_ne!(read, 0, "the server has left after {:?}", String::from_utf8_lossy(&self.read));
            self.read.extend_from_slice(&octets[..read]);
        }
    }

    /// Waits until the server has left, and gives all that it said.
    fn rest(&mut self) -> String {
        let mut rest = std::mem::take(&mut self.read);
        self.socket.read_to_end(&mut rest).expect("the server leaves");
        String::from_utf8(rest).expect("text")
    }
}

#[test]
fn stomp_py_in_each_version_with_its_own_virtual_host() {
    Served::start().python("versions");
}

#[test]
fn stomp_py_what_is_not_acknowledged_comes_again() {
    Served::start().python("redelivery");
}

#[test]
fn stomp_py_durable_subscriptions_get_what_they_missed() {
    Served::start().python("durable");
}

#[test]
fn stomp_py_heart_beats_both_ways() {
    Served::start().python("heartbeats");
}

#[test]
fn stomp_py_is_told_what_is_wrong() {
    Served::start().python("errors");
}

#[test]
fn stompit() {
    Served::start().node("stompit");
}

#[test]
fn stomp_client_0_8_1() {
    Served::start().node("stomp-client");
}

#[test]
fn calls_that_are_carried_as_bytes_make_no_difference() {
    let served = Served::start_with("isolation = \"loopback\"");
    served.python("versions");
    served.python("redelivery");
    served.node("stompit");
}

#[test]
fn clients_hear_goodbye_and_come_back() {
    let served = Served::start();
    let port = served.port.to_string();
    let mut client = Process::start(python("stomp", "stomp_py_client.py", ["goodbye", &port]));
    client.wait_for_line("a delivery", 0, |line| line == "consuming");
    assert_eq!(served.server.instance("stomp")["status"]["clients"]["1.1"], 1);
    served.server.set_enabled("stomp", false);
    client.wait_for_line("the goodbye", 0, |line| line == "told connection_forced");
    served.server.wait_for_state("stomp", "stopped");
    let address = (Ipv4Addr::LOCALHOST, served.port);
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    drop(TcpListener::bind(address).expect("the port is free for others"));
    served.server.set_enabled("stomp", true);
    client.wait_for_line("what was unacknowledged", 0, |line| line == "came back true unacknowledged");
    assert!(client.wait().success(), "{}", client.log());
}

/// Better than RabbitMQ, which refuses to share a queue that is not durable.
#[test]
fn a_queue_of_amqp_is_shared_whatever_its_durability() {
    let served = Served::start();
    assert_eq!(served.amqp("amqp-declare-queue -u URL -q response").trim_end(), "response");
    let mut raw = served.connect("CONNECT\n\n\0");
    raw.say("SUBSCRIBE\ndestination:/queue/response\nreceipt:1\n\n\0");
    assert_eq!(raw.frame(), "RECEIPT\nreceipt-id:1\n\n\0");
    served.amqp("amqp-publish -u URL -r response -C text/plain -E none -p -H 'h1: v' -b hello");
    let message = raw.frame();
    assert!(
        message.starts_with("MESSAGE\ndestination:/queue/response\nmessage-id:Q_/queue/response@@"),
        "{message}"
    );
    assert!(
        message.ends_with(
            "redelivered:false\nh1:v\npersistent:true\ncontent-encoding:none\ncontent-type:text/plain\ncontent-length:5\n\nhello\0"
        ),
        "{message}"
    );
    raw.say("SEND\ndestination:/queue/other\nreceipt:2\n\nback\0");
    assert_eq!(raw.frame(), "RECEIPT\nreceipt-id:2\n\n\0");
    assert_eq!(served.amqp("amqp-get -u URL -q other"), "back");
}

/// What is said of a wish that a queue cannot fulfil is RabbitMQ's text.
#[test]
fn queues_that_are_other_than_asked_for_are_refused() {
    let served = Served::start();
    served.amqp("amqp-declare-queue -u URL -q plain");
    let mut raw = served.connect("CONNECT\n\n\0");
    raw.say("SUBSCRIBE\ndestination:/queue/plain\ndurable:true\n\n\0");
    let detail = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'plain' in vhost '/': received 'true' but current is 'false'";
    let expected = format!(
        "ERROR\nmessage:precondition_failed\ncontent-type:text/plain\nversion:1.0,1.1,1.2\ncontent-length:{}\n\n{detail}\0\n",
        detail.len()
    );
    assert_eq!(raw.rest().trim_start_matches('\n'), expected);
}

/// What has a receipt is on the disk: a message, a transaction, an acknowledgement.
#[test]
fn what_was_receipted_survives_a_crash() {
    let mut served = Served::start();
    let mut raw = served.connect("CONNECT\naccept-version:1.2\nhost:/\n\n\0");
    for number in 0..3 {
        raw.say(&format!(
            "SEND\ndestination:/queue/kept\npersistent:true\nreceipt:{number}\n\nmessage {number}\0"
        ));
        assert_eq!(raw.frame(), format!("RECEIPT\nreceipt-id:{number}\n\n\0"));
    }
    raw.say("SUBSCRIBE\nid:1\ndestination:/queue/kept\nack:client-individual\nprefetch-count:1\n\n\0");
    let first = raw.frame();
    assert!(first.ends_with("\n\nmessage 0\0"), "{first}");
    let id = first.lines().find_map(|line| line.strip_prefix("ack:")).expect("an id");
    raw.say(&format!("BEGIN\ntransaction:t\n\n\0ACK\nid:{id}\ntransaction:t\n\n\0SEND\ndestination:/queue/kept\npersistent:true\ntransaction:t\n\nmessage 3\0COMMIT\ntransaction:t\nreceipt:commit\n\n\0"));
    let mut told = raw.frame();
    while told.starts_with("MESSAGE\n") {
        told = raw.frame();
    }
    assert_eq!(told, "RECEIPT\nreceipt-id:commit\n\n\0");

    served.server.kill();
    served.server.start_again();
    served.server.wait_for_state("stomp", "running");
    let mut raw = served.connect("CONNECT\naccept-version:1.2\nhost:/\n\n\0");
    raw.say("SUBSCRIBE\nid:1\ndestination:/queue/kept\n\n\0");
    for number in 1..=3 {
        let message = raw.frame();
        assert!(message.ends_with(&format!("\n\nmessage {number}\0")), "{message}");
    }
}

#[test]
fn the_answer_to_a_request_is_there_when_its_client_has_left() {
    let served = Served::start();
    served.amqp("amqp-declare-queue -u URL -q answers");
    for _ in 0..20 {
        let mut raw = served.connect("CONNECT\naccept-version:1.2\nhost:/\n\n\0");
        raw.say("SEND\ndestination:/exchange/amq.topic/kuzzle\nreply-to:answers\n\n{\"controller\":\"write\",\"action\":\"create\",\"index\":\"i\",\"collection\":\"c\",\"body\":{\"a\":1}}\0DISCONNECT\nreceipt:bye\n\n\0");
        assert_eq!(raw.frame(), "RECEIPT\nreceipt-id:bye\n\n\0");
        assert_eq!(raw.rest(), "\n");
        let answer: Value =
            serde_json::from_str(&served.amqp("amqp-get -u URL -q answers")).expect("an answer");
        assert_eq!(answer["status"], 200, "{answer}");
    }
    // One's own answer comes before the receipt.
    let mut raw = served.connect("CONNECT\naccept-version:1.2\nhost:/\n\n\0");
    raw.say("SUBSCRIBE\nid:1\ndestination:/queue/own\n\n\0SEND\ndestination:/exchange/amq.topic/kuzzle\nreply-to:/queue/own\n\n{\"controller\":\"write\",\"action\":\"create\",\"index\":\"i\",\"collection\":\"c\",\"body\":{\"a\":1}}\0DISCONNECT\nreceipt:bye\n\n\0");
    assert!(raw.frame().starts_with("MESSAGE\nsubscription:1\ndestination:/queue/own\n"));
    assert_eq!(raw.frame(), "RECEIPT\nreceipt-id:bye\n\n\0");
}

#[test]
fn requests_that_are_wrong_are_answered_and_topics_are_addresses_too() {
    let served = Served::start();
    let mut raw = served.connect("CONNECT\naccept-version:1.2\nhost:/\n\n\0");
    raw.say("SUBSCRIBE\nid:1\ndestination:/topic/answers.here\n\n\0");
    for address in ["/topic/answers.here", "/temp-queue/answers"] {
        raw.say(&format!(
            "SEND\ndestination:/exchange/amq.topic/kuzzle\nreply-to:{address}\ncorrelation-id:c\n\nno JSON\0"
        ));
        let message = raw.frame();
        assert!(message.starts_with("MESSAGE\n") && message.contains("\ncorrelation-id:c\n"), "{message}");
        assert!(message.contains("\"status\":400"), "{message}");
    }
}

#[test]
fn half_frames_time_out_and_slow_readers_are_closed() {
    let settings = "[protocols.stomp.settings]\nframe_timeout_secs = 1\nconnect_timeout_secs = 1\nwrite_timeout_secs = 1\noutput_max_bytes = 16384\n";
    let served = Served::start_with(settings);
    let mut silent = Raw::connect(served.port);
    assert_eq!(silent.rest(), "");
    let mut half = served.connect("CONNECT\naccept-version:1.1\nhost:/\n\n\0");
    half.say("SEND\ndestination:/queue/a\ncontent-length:10\n\nhalf");
    assert!(half.rest().contains("ERROR\nmessage:Malformed frame\n"));
    let mut slow = served.connect("CONNECT\naccept-version:1.1\nhost:/\n\n\0");
    slow.say("SUBSCRIBE\nid:1\ndestination:/topic/flood\nreceipt:1\n\n\0");
    assert_eq!(slow.frame(), "RECEIPT\nreceipt-id:1\n\n\0");
    let mut flood = served.connect("CONNECT\naccept-version:1.1\nhost:/\n\n\0");
    let body = "x".repeat(100_000);
    for _ in 0..300 {
        flood.say(&format!("SEND\ndestination:/topic/flood\n\n{body}\0"));
    }
    flood.say("DISCONNECT\nreceipt:bye\n\n\0");
    assert_eq!(flood.frame(), "RECEIPT\nreceipt-id:bye\n\n\0");
    wait_for("the slow reader to be closed", || (served.connections() == 0).then_some(()));
}

#[test]
fn the_example_of_the_documentation_through_both_kinds_of_nc() {
    let documented = Documented::start();
    for nc in ["nc.openbsd", "nc.traditional"] {
        documented::check_stomp(&documented.type_into(nc));
    }
}

#[test]
fn the_example_of_the_documentation_through_a_socket() {
    let served = Served::start();
    for part in [1, 7, 10_000] {
        let mut raw = Raw::connect(served.port);
        for bytes in documented::STOMP.concat().as_bytes().chunks(part) {
            raw.socket.write_all(bytes).unwrap();
        }
        let mut said = raw.frame();
        said += "\n";
        said += &raw.frame();
        said += "\n";
        documented::check_stomp(&said);
    }
}
