//! The AMQP plugin through the clients that people use: amqp-tools, pika, aio-pika and kombu in Python, and amqplib of
//! 2016 and of today in Node. Their scripts were written against RabbitMQ 3.10, and pass there too.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use kuzzle_tests::process::Process;
use kuzzle_tests::server::{amqp, free_port};
use kuzzle_tests::{Documented, Server, ServerOptions, documented, node, python, run_for_text, wait_for};
use serde_json::Value;

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
        let server = ServerOptions::with_plugins(format!("{}{more}\n", amqp(port))).start();
        server.wait_for_state("amqp", "running");
        Self { server, port }
    }

    /// Runs a script in Python that must succeed.
    fn python(&self, script: &str) {
        self.check(&mut python("amqp", script, [self.port.to_string()]));
    }

    fn node(&self, version: &str) {
        self.check(&mut node(None, "amqp", "client.js", [version, &self.port.to_string()]));
    }

    fn check(&self, command: &mut Command) {
        let said = run_for_text(command);
        assert!(said.starts_with("ok "), "{said}\n{}", self.server.log());
        print!("{said}");
        // Whoever left is forgotten.
        wait_for("no connection to be left", || (self.connections() == 0).then_some(()));
    }

    fn connections(&self) -> Value {
        self.server.instance("amqp")["connections"].clone()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(!self.server.log().contains("panicked"), "{}", self.server.log());
        }
    }
}

#[test]
fn pika() {
    Served::start().python("pika_client.py");
}

#[test]
fn aio_pika() {
    Served::start().python("aio_pika_client.py");
}

#[test]
fn kombu() {
    Served::start().python("kombu_client.py");
}

#[test]
fn amqplib_0_4_2() {
    Served::start().node("0.4.2");
}

#[test]
fn amqplib_2_3_1() {
    Served::start().node("2.3.1");
}

#[test]
fn calls_that_are_carried_as_bytes_make_no_difference() {
    let served = Served::start_with("isolation = \"loopback\"");
    served.python("pika_client.py");
    served.node("0.4.2");
    served.python("api.py");
}

#[test]
fn requests_are_answered_wherever_their_clients_listen() {
    Served::start().python("api.py");
}

#[test]
fn clients_hear_goodbye_and_come_back() {
    let served = Served::start();
    let mut client = Process::start(python("amqp", "goodbye.py", [served.port.to_string()]));
    client.wait_for_line("a delivery", 0, |line| line == "consuming");
    assert_eq!(served.connections(), 1);

    served.server.set_enabled("amqp", false);
    let goodbye = client.wait_for_line("the goodbye", 0, |line| line.starts_with("closed"));
    assert_eq!(
        goodbye,
        "closed 320 CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
    );
    served.server.wait_for_state("amqp", "stopped");
    let address = (Ipv4Addr::LOCALHOST, served.port);
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    drop(TcpListener::bind(address).expect("the port is free for others"));

    served.server.set_enabled("amqp", true);
    client.wait_for_line("what was unacknowledged", 0, |line| line == "came back True unacknowledged");
    let status = client.wait();
    assert!(status.success(), "{status}\n{}", client.log());
}

#[test]
fn what_a_client_keeps_for_too_long_goes_to_another() {
    Served::start_with("[protocols.amqp.settings]\nacknowledgement_timeout_secs = 1").python("slow.py");
}

#[test]
fn the_example_of_the_documentation() {
    let documented = Documented::start();
    let [declare, publish, get] = documented::AMQP;
    assert_eq!(documented.run(declare).trim_end(), "response");
    documented.run(publish);
    documented::check_answer(&documented.run(get));
}

/// `amqp-publish` ends once its channel is closed, and by then its request is answered.
#[test]
fn an_answer_is_there_when_its_publisher_has_left() {
    let documented = Documented::start();
    let [declare, publish, get] = documented::AMQP;
    documented.run(declare);
    let printed = documented.run(&format!("for n in $(seq 20); do {publish}; {get}; echo; done"));
    let answers: Vec<&str> = printed.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(answers.len(), 20, "{printed}");
    answers.into_iter().for_each(documented::check_answer);
}
