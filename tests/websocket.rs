//! Message protocols over WebSockets, through the clients that people use: mqtt.js in Node and in a page of headless
//! Chromium, paho, @stomp/stompjs, a client of AMQP; and who is not let in.

use std::process::Command;

use kuzzle_tests::process::Process;
use kuzzle_tests::server::{amqp, free_port, lines, mqtt, socketio, stomp};
use kuzzle_tests::{Server, ServerOptions, TempDir, curl, node, python, run_for_text, wait_for};

/// An instance that listens on `listen`, in the words of `plugins.toml`, instead of its one address.
fn listening(instance: &str, port: u16, listen: &str) -> String {
    let plain = format!("[\"127.0.0.1:{port}\"]");
    assert!(instance.contains(&plain));
    instance.replace(&plain, &format!("[{listen}]"))
}

struct Served {
    server: Server,
    port: u16,
}

impl Served {
    /// A server whose MQTT is spoken over WebSockets alone.
    fn start() -> Self {
        let port = free_port();
        Self::with(port, &listening(&mqtt(port), port, &format!("\"ws://127.0.0.1:{port}\"")))
    }

    fn with(port: u16, plugins: &str) -> Self {
        let server = ServerOptions::with_plugins(plugins.to_owned()).start();
        server.wait_for_state("mqtt", "running");
        Self { server, port }
    }

    fn url(&self, path: &str) -> String {
        format!("ws://127.0.0.1:{}{path}", self.port)
    }

    fn run(&self, arguments: &[&str]) -> String {
        self.check(&mut node(None, "websocket", "client.js", arguments))
    }

    fn check(&self, command: &mut Command) -> String {
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with("ok"), "{said}{complaint}\n{}", self.server.log());
        said.trim_start_matches("ok").trim().to_owned()
    }

    fn wait_until_nobody_is_left(&self) {
        wait_for("no connection to be left", || {
            (self.server.instance("mqtt")["status"]["connections"] == 0).then_some(())
        });
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
fn mqtt_js_in_node_on_each_path() {
    let served = Served::start();
    for path in ["/mqtt", "/", "", "/mqtt?token=x"] {
        println!("{path}: {}", served.run(&["node", "mqtt", &served.url(path)]));
    }
    served.wait_until_nobody_is_left();
}

#[test]
fn mqtt_js_in_a_browser_on_each_path() {
    let served = Served::start();
    for path in ["/mqtt", "/"] {
        println!("{path}: {}", served.run(&["browser", "mqtt", &served.url(path)]));
    }
    served.wait_until_nobody_is_left();
}

#[test]
fn paho_over_websockets_in_each_version() {
    let served = Served::start();
    served.check(&mut python("mqtt", "paho_client.py", ["websockets", &served.port.to_string()]));
    served.wait_until_nobody_is_left();
}

#[test]
fn calls_that_are_carried_as_bytes_make_no_difference() {
    let port = free_port();
    let mut plugins = listening(&mqtt(port), port, &format!("\"ws://127.0.0.1:{port}\""));
    plugins.push_str("isolation = \"loopback\"\n");
    let served = Served::with(port, &plugins);
    served.run(&["node", "mqtt", &served.url("/mqtt")]);
}

#[test]
fn websockets_over_tls() {
    let folder = TempDir::new();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let port = free_port();
    let listen = format!(
        "{{ address = \"wss://127.0.0.1:{port}\", tls = {{ certificate = \"{}\", key = \"{}\" }} }}",
        chain.display(),
        key.display()
    );
    let served = Served::with(port, &listening(&mqtt(port), port, &listen));
    let shown = served.server.instance("mqtt")["listen"].clone();
    assert_eq!(shown, serde_json::json!([format!("wss://127.0.0.1:{port}")]));
    let url = format!("wss://localhost:{port}/mqtt");
    served.run(&["node", "mqtt", &url, &chain.display().to_string()]);
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let mut served = Served::start();
    let http = |path: &str| format!("http://127.0.0.1:{}{path}", served.port);
    let said = curl(None, &["-i", &http("/elsewhere")]);
    assert!(said.starts_with("HTTP/1.1 404 ") && said.contains("at /mqtt, /.\n"), "{said}");
    let said = curl(None, &["-i", &http("/mqtt")]);
    assert!(said.starts_with("HTTP/1.1 426 ") && said.contains("Upgrade: websocket\r\n"), "{said}");
    assert!(said.contains("does not ask for a WebSocket"), "{said}");

    let raw = |path: &str, offered: &[&str]| {
        let url = served.url(path);
        served.run(&[&["raw", &url][..], offered].concat())
    };
    assert_eq!(raw("/elsewhere", &["mqtt"]), "refused 404");
    assert_eq!(raw("/mqtt", &["mqtt"]), "open mqtt");
    assert_eq!(raw("/", &["mqttv3.1"]), "open mqttv3.1");
    assert_eq!(raw("/", &["other", "mqtt"]), "open mqtt");
    assert_eq!(raw("/", &[]), "open");
    // Told none of what it offers, a client leaves by itself [MQTT-6.0.0-4].
    assert_eq!(raw("/", &["other"]), "failed Server sent no subprotocol");
    served.server.wait_for_log(0, &["handshake failed", "/elsewhere"]);
}

#[test]
fn pages_of_other_machines_are_not_let_in_through_loopback_unless_allowed() {
    let served = Served::start();
    let url = served.url("/mqtt");
    assert_eq!(served.run(&["page-of", &url, "evil.example"]), "closed 1006");
    assert_eq!(served.run(&["page-of", &url, "app.localhost"]), "open mqtt");
    drop(served);
    let port = free_port();
    let listen = format!("{{ address = \"ws://127.0.0.1:{port}/mqtt\", allowed_origins = [\"*\"] }}");
    let served = Served::with(port, &listening(&mqtt(port), port, &listen));
    assert_eq!(served.run(&["page-of", &served.url("/mqtt"), "evil.example"]), "open mqtt");
    // The address names one path alone.
    assert_eq!(served.run(&["raw", &served.url("/"), "mqtt"]), "refused 404");
}

#[test]
fn a_running_protocol_gets_websockets_and_loses_them_again() {
    let (tcp, ws) = (free_port(), free_port());
    let before = mqtt(tcp);
    let served = Served::with(ws, &before);
    let stay = |url: String| {
        let mut client = Process::start(node(None, "websocket", "client.js", ["stay", &url]));
        client.wait_for_line("the connection", 0, |line| line == "connected");
        client
    };
    let mut old = stay(format!("mqtt://127.0.0.1:{tcp}"));
    let from = served.server.log().lines().count();
    let both = listening(&before, tcp, &format!("\"127.0.0.1:{tcp}\", \"ws://127.0.0.1:{ws}\""));
    served.server.save_plugins(&both);
    let address = format!("ws://127.0.0.1:{ws}");
    wait_for("the address to be served", || {
        let listen = served.server.instance("mqtt")["listen"].clone();
        listen.as_array().is_some_and(|listen| listen.iter().any(|one| *one == address)).then_some(())
    });
    let mut new = stay(served.url("/mqtt"));
    // Away again: who is connected stays until it leaves by itself, as whoever came over TCP.
    served.server.save_plugins(&before);
    wait_for("the address to be free", || std::net::TcpListener::bind(("127.0.0.1", ws)).ok().map(drop));
    let publisher = mqtt_publish(tcp);
    for client in [&mut old, &mut new] {
        client.wait_for_line("the message", 0, |line| line.starts_with("ok"));
        assert!(client.wait().success(), "{}", client.log());
    }
    drop(publisher);
    assert!(from > 0);
}

/// Publishes to `stay`.
fn mqtt_publish(port: u16) -> String {
    let line = format!("exec mosquitto_pub -h 127.0.0.1 -p {port} -q 1 -t stay -m now");
    run_for_text(Command::new("timeout").args(["-s", "KILL", "60", "bash", "-euc", &line]))
}

#[test]
fn other_protocols_have_them_too_or_say_that_they_bring_their_own() {
    let [a, b, c, d] = [free_port(), free_port(), free_port(), free_port()];
    let plugins = [
        listening(&mqtt(a), a, &format!("\"ws://127.0.0.1:{a}\"")),
        listening(&amqp(b), b, &format!("\"ws://127.0.0.1:{b}\"")),
        listening(&lines(c), c, &format!("\"ws://127.0.0.1:{c}/lines\"")),
        listening(&socketio(d), d, &format!("\"ws://127.0.0.1:{d}\"")),
    ];
    let served = Served::with(a, &plugins.concat());
    served.server.wait_for_state("amqp", "running");
    served.run(&["amqp", &format!("ws://127.0.0.1:{b}/")]);
    served.server.wait_for_state("lines", "running");
    let request = r#"{"controller":"read","action":"now"}"#;
    let answer = served.run(&["text", &format!("ws://127.0.0.1:{c}/lines"), request]);
    assert!(answer.starts_with("text {") && answer.contains("\"status\":200"), "{answer}");
    let failed = served.server.wait_for_state("socketio", "failed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("without `ws://`"), "{reason}");
}

fn serve_stomp() -> Served {
    let (idle, port) = (free_port(), free_port());
    let stomp = listening(&stomp(port), port, &format!("\"ws://127.0.0.1:{port}\""));
    let mut served = Served::with(idle, &(mqtt(idle) + &stomp));
    served.port = port;
    served.server.wait_for_state("stomp", "running");
    served
}

#[test]
fn stompjs_in_node_on_each_path() {
    let served = serve_stomp();
    for path in ["/stomp", "/ws", "/"] {
        println!("{path}: {}", served.run(&["node", "stomp", &served.url(path)]));
    }
    // The first that is known is told back, and who offers none that is may go on.
    let raw = |offered: &[&str]| served.run(&[&["raw", &served.url("/ws")][..], offered].concat());
    assert_eq!(raw(&["v11.stomp", "v12.stomp"]), "open v11.stomp");
    assert_eq!(raw(&["other", "v10.stomp"]), "open v10.stomp");
    assert_eq!(raw(&[]), "open");
    assert_eq!(raw(&["other"]), "failed Server sent no subprotocol");
    // Which version is spoken is said in the frames.
    assert_eq!(served.run(&["version", &served.url("/ws"), "v12.stomp", "1.0,1.1"]), "1.1");
}

#[test]
fn stompjs_in_a_browser() {
    let served = serve_stomp();
    println!("{}", served.run(&["browser", "stomp", &served.url("/ws")]));
}
