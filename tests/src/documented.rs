//! The product's documentation as it is printed: its commands, on its literal host and ports, against the `plugins.toml`
//! that is shipped.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::process::Process;
use crate::server::free_port;
use crate::{Namespace, Server, ServerOptions, TempDir, node, repository, run_for_text, wait_for};

/// The ports that the documentation prints: REST, socket.io, AMQP, MQTT, STOMP.
const PORTS: [u16; 5] = [7511, 7512, 5672, 1883, 61613];

/// The documentation's commands of AMQP, in their order.
pub const AMQP: [&str; 3] = [
    "amqp-declare-queue -u amqp://rabbit:5672 -q response",
    r#"amqp-publish -u amqp://rabbit:5672 -t response -e amq.topic -r kuzzle -b '{"index": "index", "collection": "collection", "controller": "write", "action": "createOrReplace", "body": {"firstName": "John", "lastName": "Doe"} }'"#,
    "amqp-get -u amqp://rabbit:5672 -q response",
];

/// The documentation's commands of MQTT: that of the first shell, and that of the second.
pub const MQTT: [&str; 2] = [
    "node_modules/.bin/mqtt subscribe -v -h rabbit -t mqtt.myId",
    r#"node_modules/.bin/mqtt publish -h rabbit -t kuzzle -m '{"clientId": "myId", "collection":"index", "collection":"collection", "controller": "write", "action": "createOrReplace", "body": {"firstName": "John", "lastName": "Doe"}}'"#,
];

/// What is typed into the documentation's `nc`: Ctrl-@ is one NUL, and Return a line feed behind it.
pub const STOMP: [&str; 3] = [
    "CONNECT\n\n\0\n",
    "SUBSCRIBE\ndestination:/queue/myResponse\n\n\0\n",
    "SEND\ndestination: /exchange/amq.topic/kuzzle\ncontent-type: application/json\nreply-to: myResponse\n\n{\"index\":\"index\", \"collection\":\"collection\", \"controller\": \"write\", \"action\": \"createOrReplace\", \"body\": {\"firstName\": \"John\", \"lastName\": \"Doe\"}}\n\0\n",
];

/// A server as the documentation wants it.
#[derive(Debug)]
pub struct Documented {
    server: Server,
    namespace: Option<Namespace>,
    ports: BTreeMap<u16, u16>,
}

impl Documented {
    /// Starts it in a network namespace of its own, where that is allowed; else on free ports, which stand for the
    /// literal ones in each command. It says which.
    ///
    /// # Panics
    ///
    /// When it does not start, or one of its ports does not answer.
    pub fn start() -> Self {
        let shipped = repository().join("plugins.toml");
        let shipped =
            std::fs::read_to_string(&shipped).unwrap_or_else(|error| panic!("{shipped:?}: {error}"));
        let namespace = Namespace::new();
        let ports: BTreeMap<u16, u16> = match &namespace {
            Some(_) => PORTS.into_iter().map(|port| (port, port)).collect(),
            None => PORTS.into_iter().map(|port| (port, free_port())).collect(),
        };
        match &namespace {
            Some(_) => {
                println!("in a network namespace of its own, on the literal ports of `rabbit` and localhost")
            }
            None => println!(
                "no network namespace is to be had: ports {ports:?} of 127.0.0.1 stand for the literal ones"
            ),
        }
        let mut plugins = shipped;
        for (literal, port) in &ports {
            plugins = plugins.replace(&format!(":{literal}\""), &format!(":{port}\""));
        }
        let options = ServerOptions { rest_port: Some(ports[&7511]), ..ServerOptions::with_plugins(plugins) };
        let server = options.start_in(namespace.as_ref());
        let documented = Self { server, namespace, ports };
        // The server says that it is ready once each protocol has been tried.
        for port in documented.ports.values() {
            let line = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
            wait_for(&format!("port {port} to answer"), || {
                documented.command(&line).output().is_ok_and(|output| output.status.success()).then_some(())
            });
        }
        documented
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The port that stands for a literal one: itself, in a namespace.
    ///
    /// # Panics
    ///
    /// When the documentation does not print it.
    pub fn port(&self, literal: u16) -> u16 {
        self.ports[&literal]
    }

    /// A line of a shell, ready to be run in the folder of MQTT's clients, whence the documentation's `node_modules` are.
    pub fn command(&self, line: &str) -> Command {
        let mut command = match &self.namespace {
            Some(namespace) => namespace.command_with_host("rabbit", "timeout"),
            None => Command::new("timeout"),
        };
        let line = match &self.namespace {
            Some(_) => line.to_owned(),
            None => line
                .replace("localhost:7511", &format!("localhost:{}", self.port(7511)))
                .replace("rabbit:5672", &format!("127.0.0.1:{}", self.port(5672)))
                .replace("-h rabbit", &format!("-h 127.0.0.1 -p {}", self.port(1883)))
                .replace("rabbit 61613", &format!("127.0.0.1 {}", self.port(61613))),
        };
        command.args(["-s", "KILL", "120", "bash", "-euc", &line]);
        command.current_dir(repository().join("tests/clients/mqtt"));
        command
    }

    /// Runs a line of a shell that must succeed, and returns what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn run(&self, line: &str) -> String {
        run_for_text(&mut self.command(line))
    }

    /// Opens the documentation's page with its client of socket.io in a browser, and has it write and read a document.
    ///
    /// # Panics
    ///
    /// When something of that fails.
    pub fn open_page(&self) {
        let folder = TempDir::new();
        let (certificate, key) = (folder.path().join("cdn.pem"), folder.path().join("cdn.key"));
        // The page loads its script from there.
        let cdn = rcgen::generate_simple_self_signed(["cdn.socket.io".to_owned()]).expect("a certificate");
        std::fs::write(&certificate, cdn.cert.pem()).expect("a writable folder");
        std::fs::write(&key, cdn.signing_key.serialize_pem()).expect("a writable folder");
        let (port, rest) = (self.port(7512).to_string(), self.server.rest().to_string());
        let mut command = node(self.namespace.as_ref(), "socketio", "browser.js", ["document", &port, &rest]);
        let said = run_for_text(command.arg(certificate).arg(key));
        assert!(said.starts_with("ok "), "{said}\n{}", self.server.log());
    }

    /// Runs MQTT's two shells, with another program in place of `node_modules/.bin/mqtt`, and returns what the first is
    /// answered.
    ///
    /// # Panics
    ///
    /// When no answer comes.
    pub fn two_shells(&self, mqtt: &str) -> String {
        let [subscribe, publish] =
            MQTT.map(|line| self.command(&line.replace("node_modules/.bin/mqtt", mqtt)));
        let mut publish = publish;
        // It does not say when it has subscribed; a publisher that comes too early is not answered and tries again.
        let mut first = Process::start(subscribe);
        wait_for("the answer", || {
            run_for_text(&mut publish);
            first.log().lines().any(|line| line.starts_with("mqtt/myId ")).then_some(())
        });
        let line = first.wait_for_line("the answer", 0, |line| line.starts_with("mqtt/myId "));
        line["mqtt/myId ".len()..].to_owned()
    }

    /// Types STOMP's session into a netcat, a frame at a time, by somebody who reads what is answered; returns all that
    /// came.
    ///
    /// # Panics
    ///
    /// When nothing does.
    pub fn type_into(&self, nc: &str) -> String {
        let folder = TempDir::new();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, text) in [("connect", STOMP[0]), ("rest", &STOMP[1..].concat())] {
            std::fs::write(path(name), text).expect("a writable folder");
        }
        let line = format!(
            "said={}; has() {{ for n in $(seq 600); do grep -aq \"$1\" $said && return; sleep 0.1; done; exit 9; }}; \
             touch $said; {{ cat {}; has '^CONNECTED'; cat {}; has '^{{'; }} | {nc} -q 1 rabbit 61613 > $said; cat $said",
            path("said"),
            path("connect"),
            path("rest")
        );
        self.run(&line)
    }
}

/// Compares an answer with the one that is printed, but for its ids.
///
/// # Panics
///
/// When they differ.
#[track_caller]
pub fn check_answer(answer: &str) {
    let answer: Value = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    let result = &answer["result"];
    assert_eq!((&answer["status"], &answer["error"]), (&json!(200), &Value::Null), "{answer}");
    for (key, value) in [
        ("_source", json!({ "firstName": "John", "lastName": "Doe" })),
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

/// Compares what came over STOMP with the documentation, byte by byte but for the session and the answer's ids. The
/// server names itself.
///
/// # Panics
///
/// When they differ.
#[track_caller]
pub fn check_stomp(said: &str) {
    let session =
        said.split_once("\nsession:").and_then(|(_, rest)| rest.split('\n').next()).expect("a session");
    assert_eq!(session.len(), "session-1S6Z0zqY2hZ1qHCM6oMmZg".len(), "{said}");
    assert!(session.starts_with("session-"), "{said}");
    let server = concat!("kuzzle-host/", env!("CARGO_PKG_VERSION"));
    let head = format!(
        "CONNECTED\nsession:{session}\nheart-beat:0,0\nserver:{server}\nversion:1.0\n\n\0\nMESSAGE\ndestination:/queue/myResponse\nmessage-id:Q_/queue/myResponse@@{session}@@1\nredelivered:false\npersistent:true\ncontent-length:"
    );
    let rest = said.strip_prefix(&head).unwrap_or_else(|| panic!("expected {head:?}, got {said:?}"));
    let (length, rest) = rest.split_once("\n\n").expect("the end of the headers");
    let body = rest.strip_suffix("\0\n").expect("the end of the frame");
    assert_eq!(length, body.len().to_string());
    check_answer(body);
}
