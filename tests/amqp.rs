//! The AMQP plugin through the clients that people use: amqp-tools, pika, aio-pika and kombu in Python, and amqplib of
//! 2016 and of today in Node. Their scripts were written against RabbitMQ 3.10, and pass there too.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use kuzzle_tests::process::Process;
use kuzzle_tests::server::{amqp, free_port};
use kuzzle_tests::{Namespace, Server, ServerOptions, node, python, repository, run_for_text, wait_for};
use serde_json::{Value, json};

/// The documentation's own commands.
const DECLARE: &str = "amqp-declare-queue -u amqp://rabbit:5672 -q response";
const PUBLISH: &str = r#"amqp-publish -u amqp://rabbit:5672 -t response -e amq.topic -r kuzzle -b '{"index": "index", "collection": "collection", "controller": "write", "action": "createOrReplace", "body": {"firstName": "John", "lastName": "Doe"} }'"#;
const GET: &str = "amqp-get -u amqp://rabbit:5672 -q response";

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

/// The product's documentation on its literal host and port, against the `plugins.toml` that is shipped.
struct Documented {
    _server: Server,
    namespace: Option<Namespace>,
    port: u16,
}

impl Documented {
    fn start() -> Self {
        let shipped = std::fs::read_to_string(repository().join("plugins.toml")).unwrap();
        let namespace = Namespace::new();
        let mut options = ServerOptions::default();
        let port = if namespace.is_some() {
            println!("in a network namespace of its own, on the literal port 5672 of the host `rabbit`");
            options.plugins = shipped;
            5672
        } else {
            let port = free_port();
            println!("no network namespace is to be had: port {port} of 127.0.0.1 stands for rabbit:5672");
            options.plugins = amqp(port);
            port
        };
        options.rest_port = Some(if namespace.is_some() { 7511 } else { free_port() });
        let server = options.start_in(namespace.as_ref());
        // The server says that it is ready once each protocol has been tried.
        let documented = Self { _server: server, namespace, port };
        wait_for("the port to answer", || {
            documented.try_run("amqp-declare-queue -u amqp://rabbit:5672 -q ready")
        });
        documented
    }

    fn command(&self, line: &str) -> Command {
        let mut command = match &self.namespace {
            Some(namespace) => namespace.command_with_host("rabbit", "bash"),
            None => Command::new("bash"),
        };
        let line = match &self.namespace {
            Some(_) => line.to_owned(),
            None => line.replace("rabbit:5672", &format!("127.0.0.1:{}", self.port)),
        };
        command.args(["-euc", &line]);
        command
    }

    fn run(&self, line: &str) -> String {
        run_for_text(&mut self.command(line))
    }

    fn try_run(&self, line: &str) -> Option<()> {
        self.command(line).output().unwrap().status.success().then_some(())
    }
}

#[test]
fn the_example_of_the_documentation() {
    let documented = Documented::start();
    assert_eq!(documented.run(DECLARE).trim_end(), "response");
    documented.run(PUBLISH);
    let printed = documented.run(GET);
    let answer: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    let result = &answer["result"];
    assert_eq!((&answer["status"], &answer["error"]), (&json!(200), &Value::Null), "{answer}");
    assert_eq!(result["_source"], json!({ "firstName": "John", "lastName": "Doe" }));
    for (key, value) in [
        ("_index", json!("index")),
        ("_type", json!("collection")),
        ("_version", json!(1)),
        ("action", json!("createOrReplace")),
        ("collection", json!("collection")),
        ("controller", json!("write")),
        ("created", json!(true)),
        ("metadata", json!({})),
    ] {
        assert_eq!(result[key], value, "{key} of {answer}");
    }
    for key in ["_id", "requestId"] {
        assert!(result[key].as_str().is_some_and(|id| !id.is_empty()), "{key} of {answer}");
    }
}

/// `amqp-publish` ends once its channel is closed, and by then its request is answered.
#[test]
fn an_answer_is_there_when_its_publisher_has_left() {
    let documented = Documented::start();
    documented.run(DECLARE);
    let printed = documented.run(&format!("for n in $(seq 20); do {PUBLISH}; {GET}; echo; done"));
    let answers: Vec<Value> = printed
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(answers.len(), 20, "{printed}");
    assert!(answers.iter().all(|answer| answer["status"] == 200), "{printed}");
}
