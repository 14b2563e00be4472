//! Managing the broker of a running server: over REST, from the shell, and by definitions that go to RabbitMQ and come from it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use kuzzle_tests::process::Process;
use kuzzle_tests::server::{amqp, free_port, lines, mqtt};
use kuzzle_tests::{
    HttpClient, Server, ServerOptions, TempDir, binaries, cannot_run, run_for_text, run_with_input, wait_for,
};
use serde_json::{Value, json};

struct Served {
    server: Server,
    amqp: u16,
}

impl Served {
    fn start() -> Self {
        let port = free_port();
        let server = ServerOptions::with_plugins(amqp(port)).start();
        server.wait_for_state("amqp", "running");
        Self { server, amqp: port }
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let body = body.map(|body| body.to_string());
        let body = body.as_deref().or((method == "POST").then_some("{}"));
        let answer = self.server.request(method, &format!("/api/1.0/_broker{path}"), body);
        let json = answer.json();
        assert_eq!(u64::from(answer.status), json["status"].as_u64().unwrap(), "{json}");
        json
    }

    fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer = self.ask(method, path, body);
        assert_eq!(answer["status"], 200, "{method} {path}: {answer}");
        answer["result"].clone()
    }

    fn refused(&self, method: &str, path: &str, body: Option<Value>, status: u16, text: &str) {
        let answer = self.ask(method, path, body);
        assert_eq!(answer["status"], status, "{method} {path}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(text), "{method} {path}: {message}");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::host());
        command.env_remove("KUZZLE_BIN_DIR").arg("--config").arg(self.server.folder().join("kuzzle.toml"));
        command.arg("broker").args(arguments);
        command
    }

    fn shell(&self, arguments: &[&str]) -> String {
        run_for_text(&mut self.command(arguments))
    }

    fn amqp_tool(&self, tool: &str, arguments: &[&str]) -> String {
        let url = format!("amqp://localhost:{}", self.amqp);
        run_for_text(Command::new(tool).args(["-u", &url]).args(arguments))
    }
}

fn failed(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(!status.success(), "{command:?} succeeded: {}", String::from_utf8_lossy(&stdout));
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn queues_exchanges_bindings_and_messages_over_rest() {
    let served = Served::start();
    let queue = "/queues/%2F/a%2Fb";
    assert_eq!(served.ok("PUT", queue, Some(json!({"arguments": {"x-max-length": 9}})))["created"], true);
    served.refused(
        "PUT",
        queue,
        Some(json!({"durable": false})),
        412,
        "inequivalent arg 'durable' for queue 'a/b'",
    );
    served.ok("PUT", "/exchanges/%2F/news", Some(json!({"type": "topic"})));
    served.ok(
        "POST",
        "/bindings/%2F",
        Some(json!({"source": "news", "destination": "a/b", "routingKey": "x.#"})),
    );

    // What a client of AMQP publishes is what an operator sees, and the other way round.
    served.amqp_tool("amqp-publish", &["-e", "news", "-r", "x.y", "-b", "from a client"]);
    let publish =
        json!({"routingKey": "x", "payload": "from an operator", "properties": {"deliveryMode": 2}});
    assert_eq!(served.ok("POST", "/exchanges/%2F/news/publish", Some(publish))["routed"], true);
    let seen = served.ok("POST", &format!("{queue}/get"), Some(json!({"count": 5})));
    let payloads: Vec<&Value> =
        seen["messages"].as_array().unwrap().iter().map(|it| &it["payload"]).collect();
    assert_eq!(payloads, ["from a client", "from an operator"]);
    assert_eq!(served.amqp_tool("amqp-get", &["-q", "a/b"]), "from a client");
    let taken = served.ok("POST", &format!("{queue}/get"), Some(json!({"requeue": false})));
    assert_eq!((&taken["messages"][0]["payload"], &taken["ready"]), (&json!("from an operator"), &json!(0)));

    for number in 0..120 {
        served.ok("PUT", &format!("/queues/%2F/many-{number:03}"), None);
    }
    let page = served.ok("GET", "/queues?name=MANY&page=2&pageSize=50&sort=name&reverse=true", None);
    assert_eq!((&page["matched"], &page["pages"], &page["total"]), (&json!(120), &json!(3), &json!(121)));
    assert_eq!(page["items"][0]["name"], "many-069");
    served.refused("GET", "/queues?sort=size", None, 400, "`sort` is `size`, expected one of");
    served.refused("GET", "/queues?page=x", None, 400, "`page` is `x`");
    served.refused("GET", "/queues/nowhere", None, 404, "no vhost 'nowhere'");
    for (method, path) in [("GET", ""), ("DELETE", ""), ("DELETE", "/contents"), ("POST", "/get")] {
        served.refused(
            method,
            &format!("/queues/%2F/absent{path}"),
            None,
            404,
            "no queue 'absent' in vhost '/'",
        );
    }

    // A change that was answered is on the disk.
    let mut served = served;
    served.ok("DELETE", "/queues/%2F/many-000", None);
    served.server.kill();
    served.server.start_again();
    served.refused("GET", "/queues/%2F/many-000", None, 404, "no queue");
    assert_eq!(served.ok("GET", "/queues?name=many", None)["matched"], 119);
    assert_eq!(served.ok("GET", "/bindings?source=news", None)["items"][0]["routingKey"], "x.#");
    let deleted = served.ok("DELETE", queue, None);
    assert_eq!(deleted["deleted"], "a/b");
    served.ok("DELETE", "/exchanges/%2F/news?ifUnused=true", None);
    served.refused("DELETE", "/exchanges/%2F/amq.topic", None, 403, "not allowed");
}

#[test]
fn definitions_of_a_large_installation_are_imported_twice_over() {
    const QUEUES: usize = 12_000;
    let server = ServerOptions::default().start();
    let served = Served { server, amqp: 0 };
    let padding = "x".repeat(60);
    let queues: Vec<Value> = (0..QUEUES)
        .map(|number| json!({"name": format!("{padding}-{number}"), "vhost": "/", "durable": true}))
        .collect();
    let bindings: Vec<Value> = (0..QUEUES)
        .map(|number| json!({"source": "amq.topic", "destination": format!("{padding}-{number}"), "routing_key": "k"}))
        .collect();
    let definitions = json!({"queues": queues, "bindings": bindings});
    assert!(definitions.to_string().len() > 2 << 20, "longer than other bodies may be");
    let made = served.ok("POST", "/definitions", Some(definitions.clone()));
    assert_eq!((&made["created"]["queues"], &made["created"]["bindings"]), (&json!(QUEUES), &json!(QUEUES)));
    let again = served.ok("POST", "/definitions", Some(definitions));
    assert_eq!((&again["created"]["queues"], &again["existed"]["bindings"]), (&json!(0), &json!(QUEUES)));
    let listed: Value = serde_json::from_str(&served.shell(&["queues", "--json"])).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), QUEUES, "every page is asked for");
}

#[test]
fn connections_are_seen_and_closed_and_sessions_deleted() {
    let (amqp_port, mqtt_port) = (free_port(), free_port());
    let server = ServerOptions::with_plugins(amqp(amqp_port) + &mqtt(mqtt_port)).start();
    server.wait_for_state("amqp", "running");
    server.wait_for_state("mqtt", "running");
    let served = Served { server, amqp: amqp_port };
    served.ok("PUT", "/queues/%2F/q", None);
    let mut command = Command::new("amqp-consume");
    command.args(["-u", &format!("amqp://localhost:{amqp_port}"), "-q", "q", "cat"]);
    let mut consumer = Process::start(command);
    let consuming = || served.ok("GET", "/consumers/%2F", None)["items"].as_array().unwrap().first().cloned();
    let found = wait_for("a consumer", consuming);
    assert_eq!(found["queue"], "q");
    let connection = found["connection"].as_u64().unwrap();
    let shown = served.ok("GET", &format!("/connections/{connection}"), None);
    assert_eq!((&shown["protocol"], &shown["user"]), (&json!("amqp"), &json!("guest")));
    assert_eq!(served.ok("GET", &format!("/connections/{connection}/channels"), None)["matched"], 1);
    served.ok("DELETE", &format!("/connections/{connection}?reason=maintenance"), None);
    assert!(!consumer.wait().success(), "its connection was closed");
    served.refused("DELETE", &format!("/connections/{connection}"), None, 404, "no connection");

    let port = mqtt_port.to_string();
    let subscribe = ["-p", &port, "-i", "phone", "-c", "-q", "1", "-t", "news", "-E"];
    run_for_text(Command::new("mosquitto_sub").args(subscribe));
    wait_for("the session to be without its client", || {
        served.ok("GET", "/sessions/%2F/phone", None)["connection"].is_null().then_some(())
    });
    // What belongs to a session is no definition.
    assert_eq!(served.ok("GET", "/definitions", None)["bindings"], json!([]));
    served.ok("DELETE", "/sessions/%2F/phone", None);
    served.refused("GET", "/sessions/%2F/phone", None, 404, "no session 'phone'");
}

#[test]
fn the_shell_shows_tables_and_changes_what_they_show() {
    let served = Served::start();
    let odd = "odd\u{1b}[31m";
    for name in ["orders", "mail", odd] {
        served.amqp_tool("amqp-declare-queue", &["-q", name]);
    }
    served.amqp_tool("amqp-publish", &["-r", "orders", "-b", "one"]);
    let table = served.shell(&["queues"]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["vhost", "name", "features", "ready", "unsettled", "consumers", "in/s", "out/s"]);
    assert_eq!(rows[1][1], "mail");
    assert_eq!(rows[2][1], "odd\\u{1b}[31m", "a terminal obeys no queue's name");
    assert_eq!((rows[3][1], rows[3][3]), ("orders", "1"));
    let columns: Vec<usize> = table.lines().map(|line| line.find("  ").unwrap()).collect();
    assert!(columns.iter().all(|at| *at <= "vhost".len()), "{table}");
    let json: Value = serde_json::from_str(&served.shell(&["queues", "--json", "--name", "ORD"])).unwrap();
    assert_eq!((json.as_array().unwrap().len(), &json[0]["ready"]), (1, &json!(1)));
    assert!(served.shell(&["queues", "--sort", "ready", "--reverse", "--limit", "1"]).contains("1 of 3"));
    for (listing, shown) in [
        ("connections", "protocol"),
        ("channels", "unconfirmed"),
        ("exchanges", "amq.topic"),
        ("bindings", "(default)"),
        ("consumers", "credit"),
        ("sessions", "expiry"),
        ("overview", "journal"),
    ] {
        let said = served.shell(&[listing]);
        assert!(said.contains(shown), "{listing}: {said}");
        let json: Value = serde_json::from_str(&served.shell(&[listing, "--json"])).unwrap();
        assert!(json.is_array() || json.is_object());
    }
    assert!(served.shell(&["get", "orders"]).contains("\none\n"));
    assert!(served.shell(&["get", "orders", "--take"]).contains("0 message(s) ready"));
    served.amqp_tool("amqp-publish", &["-r", "orders", "-b", "two"]);
    assert_eq!(served.shell(&["purge", "orders"]), "1 message(s) removed from queue `orders`\n");
    assert!(served.shell(&["delete", "orders", "--if-empty"]).contains("`orders` is deleted"));
    let (code, said) = failed(&mut served.command(&["purge", "orders"]));
    assert_eq!((code, said.as_str()), (Some(2), "error: NOT_FOUND - no queue 'orders' in vhost '/'\n"));
    let (code, said) = failed(&mut served.command(&["close", "999"]));
    assert_eq!(code, Some(2));
    assert!(said.contains("no connection 999"), "{said}");
    drop(served);

    let nowhere = format!("rest.listen=[\"127.0.0.1:{}\"]", free_port());
    let mut command = Command::new(binaries::host());
    command.env_remove("KUZZLE_BIN_DIR").args(["--set", &nowhere, "broker", "queues"]);
    let (code, said) = failed(&mut command);
    assert_eq!(code, Some(1));
    assert!(said.contains("no server answers where `rest.listen` says"), "{said}");
}

#[test]
fn what_manages_the_server_is_for_operators_alone() {
    let port = free_port();
    let server = ServerOptions::with_plugins(lines(port)).start();
    server.wait_for_state("lines", "running");
    server.request("PUT", "/api/1.0/_broker/queues/%2F/q", None);

    // A request protocol, which any page may reach when it is one of browsers.
    let request = r#"{"controller":"broker","action":"deleteQueue","body":{"name":"q"},"requestId":"1"}"#;
    let said = run_with_input(
        Command::new("nc").args(["-N", "127.0.0.1", &port.to_string()]),
        format!("{request}\n").as_bytes(),
    );
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(answer["status"], 403, "{answer}");

    // Pages of other origins, in the ways that browsers let them ask.
    let asked = |method: &str, path: &str, headers: &str, body: &str| {
        let mut http = HttpClient::connect(server.rest()).unwrap();
        let length = body.len();
        let text = format!("{method} {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        http.send(text.as_bytes()).unwrap();
        http.read_answer(false).unwrap()
    };
    let json = "Content-Type: application/json\r\n";
    let host = "Host: localhost:7511\r\n";
    let queue = "/api/1.0/_broker/queues/%2F/q";
    for (method, path, headers) in [
        ("DELETE", queue, format!("{host}Origin: http://evil.example\r\n")),
        ("DELETE", queue, format!("{host}Origin: null\r\n")),
        ("DELETE", queue, format!("{host}Sec-Fetch-Site: cross-site\r\n")),
        ("DELETE", queue, "Host: evil.example\r\nOrigin: http://evil.example\r\n".to_owned()),
        ("POST", "/api/1.0/_broker/queues/%2F/q/get", host.to_owned()),
        ("POST", "/api/1.0/_broker/queues/%2F/q/get", format!("{host}Origin: http://evil.example\r\n{json}")),
        (
            "POST",
            "/api/1.0/_server/protocols/lines/disable",
            format!("{host}Origin: http://evil.example\r\n{json}"),
        ),
        ("GET", "/API/1.0/_BROKER/queues", "Host: evil.example\r\n".to_owned()),
        ("GET", "/_admin", "Host: evil.example\r\n".to_owned()),
    ] {
        let answer = asked(method, path, &headers, "");
        assert_eq!(answer.status, 403, "{method} {path} with {headers}: {}", answer.text());
    }
    // A form of another page: its types are none that is taken.
    for form in ["text/plain", "application/x-www-form-urlencoded"] {
        let headers = format!("{host}Content-Type: {form}\r\n");
        assert_eq!(asked("POST", "/api/1.0/_broker/queues/%2F/q/get", &headers, "{}").status, 400);
    }
    // The question that a browser asks beforehand gets no permission.
    let beforehand = asked("OPTIONS", queue, &format!("{host}Access-Control-Request-Method: DELETE\r\n"), "");
    let read = asked("GET", queue, host, "");
    assert_eq!(read.status, 200);
    for answer in [&beforehand, &read] {
        let permission = answer.headers.iter().find(|(name, _)| name.starts_with("access-control-allow"));
        assert_eq!(permission, None);
    }
    assert_eq!(asked("GET", "/api/1.0/_now", "Host: evil.example\r\n", "").status, 200, "the API is for all");
    assert_eq!(server.request("GET", queue, None).status, 200, "the queue is there");
    assert_eq!(server.instance("lines")["state"], "running");
}

#[test]
fn protocols_are_switched_over_rest_and_their_file_keeps_its_comments() {
    let port = free_port();
    let plugins = format!("# Who speaks.\n{}# The end.\n", lines(port));
    let server = ServerOptions::with_plugins(plugins.clone()).start();
    server.wait_for_state("lines", "running");
    let switched = server.request("POST", "/api/1.0/_server/protocols/lines/disable", Some("{}"));
    assert_eq!(switched.status, 200, "{}", switched.text());
    server.wait_for_state("lines", "stopped");
    assert_eq!(server.plugins(), plugins.replace("enabled = true", "enabled = false"));
    let listed = server.request("GET", "/api/1.0/_server/protocols", None).json();
    assert_eq!(listed["result"]["protocols"][0]["enabled"], false);
    server.request("POST", "/api/1.0/_server/protocols/lines/enable", Some("{}"));
    server.wait_for_state("lines", "running");
    assert_eq!(server.plugins(), plugins);
    let unknown = server.request("POST", "/api/1.0/_server/protocols/line/enable", Some("{}"));
    assert_eq!(unknown.status, 404);
    assert!(unknown.error().contains("`lines`"), "{}", unknown.error());

    // A file with a mistake switches nothing, and is among the problems.
    server.save_plugins(&(plugins + "oops\n"));
    let refused = server.request("POST", "/api/1.0/_server/protocols/lines/disable", Some("{}"));
    assert_eq!(refused.status, 409, "{}", refused.text());
    wait_for("the mistake to be told", || {
        let problems = server.request("GET", "/api/1.0/_server/problems", None).json();
        problems["result"]["problems"].to_string().contains("plugins").then_some(())
    });
}

/// A RabbitMQ of its own, on free ports.
struct Rabbit {
    folder: TempDir,
    _node: Process,
    environment: Vec<(&'static str, String)>,
}

impl Rabbit {
    fn start() -> Option<Self> {
        let scripts = std::fs::read_dir("/usr/lib/rabbitmq/lib").ok()?.next()?.ok()?.path().join("sbin");
        let folder = TempDir::new();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (port, dist, epmd) = (free_port(), free_port(), free_port());
        let config = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = true\nlog.console.level = info\nlog.file = false\n"
        );
        std::fs::write(path("rabbitmq.conf"), config).unwrap();
        std::fs::write(path("enabled_plugins"), "[].\n").unwrap();
        let environment = vec![
            ("RABBITMQ_NODENAME", format!("kuzzle{port}@localhost")),
            ("RABBITMQ_DIST_PORT", dist.to_string()),
            ("ERL_EPMD_PORT", epmd.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("HOME", path("")),
            ("RABBITMQ_CONFIG_FILE", path("rabbitmq")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins")),
            ("RABBITMQ_MNESIA_BASE", path("db")),
            ("RABBITMQ_LOG_BASE", path("log")),
            ("RABBITMQ_LOGS", "-".to_owned()),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}".to_owned()),
            ("SCRIPTS", scripts.display().to_string()),
        ];
        let mut command = Command::new(scripts.join("rabbitmq-server"));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let node = Process::start(command);
        let rabbit = Self { folder, _node: node, environment };
        let mut ready = rabbit.tool(&["await_startup", "--timeout", "90"]);
        wait_for("RabbitMQ to start", || {
            ready
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|it| it.success())
                .then_some(())
        });
        Some(rabbit)
    }

    fn tool(&self, arguments: &[&str]) -> Command {
        let scripts = &self.environment.iter().find(|(name, _)| *name == "SCRIPTS").unwrap().1;
        let mut command = Command::new(Path::new(scripts).join("rabbitmqctl"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).args(arguments);
        command
    }

    fn evaluate(&self, what: &str) {
        run_for_text(&mut self.tool(&["eval", what]));
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        // The node, and then the name server that it has started.
        let _ = self.tool(&["stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        // It stays for as long as it knows of a node, which may be a moment longer than the node.
        for _ in 0..100 {
            let epmd = self.environment.iter().filter(|(name, _)| name.starts_with("ERL_EPMD"));
            let killed =
                Command::new("epmd").arg("-kill").envs(epmd.map(|(name, value)| (name, value))).output();
            if killed.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains("Killed")) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

#[test]
fn definitions_come_from_rabbitmq_and_go_to_it() {
    let Some(rabbit) = Rabbit::start() else {
        cannot_run("RabbitMQ is not installed (Debian's rabbitmq-server)");
        return;
    };
    // What an installation has: declared as clients would, and policies.
    rabbit.evaluate(
        r##"V = fun(K) -> rabbit_misc:r(<<"/">>, exchange, K) end,
        Q = fun(K) -> rabbit_misc:r(<<"/">>, queue, K) end,
        D = fun(K, T) -> rabbit_exchange:declare(V(K), T, true, false, false, [], <<"t">>) end,
        D(<<"orders">>, topic), D(<<"audit">>, fanout), D(<<"by-size">>, headers),
        rabbit_amqqueue:declare(Q(<<"invoices">>), true, false,
            [{<<"x-max-length">>, long, 1000}, {<<"x-dead-letter-exchange">>, longstr, <<"audit">>}], none, <<"t">>),
        rabbit_amqqueue:declare(Q(<<"mail">>), true, false, [], none, <<"t">>),
        B = fun(S, K, T, A) -> rabbit_binding:add({binding, V(S), K, T, A}, <<"t">>) end,
        B(<<"orders">>, <<"order.#">>, Q(<<"invoices">>), []), B(<<"orders">>, <<"#">>, V(<<"audit">>), []),
        B(<<"by-size">>, <<>>, Q(<<"mail">>), [{<<"x-match">>, longstr, <<"any">>}, {<<"size">>, long, 3}]), ok."##,
    );
    run_for_text(&mut rabbit.tool(&["add_vhost", "staging"]));
    run_for_text(&mut rabbit.tool(&["add_user", "ada", "secret"]));
    let policy = r#"{"message-ttl": 60000, "ha-mode": "all"}"#;
    run_for_text(&mut rabbit.tool(&[
        "set_policy",
        "short",
        "^mail$",
        policy,
        "--apply-to",
        "queues",
        "--priority",
        "3",
    ]));
    let theirs = rabbit.folder.path().join("theirs.json");
    run_for_text(&mut rabbit.tool(&["export_definitions", theirs.to_str().unwrap()]));

    let served = Served::start();
    let report = served.shell(&["import", theirs.to_str().unwrap()]);
    println!("{report}");
    let said = |text: &str| assert!(report.contains(text), "{text:?} is not in:\n{report}");
    said("/users/0: this server has no users yet");
    said("definition/ha-mode: ");
    let exported: Value = serde_json::from_str(&served.shell(&["export"])).unwrap();
    let named = |kind: &str, name: &str| {
        let found = exported[kind].as_array().unwrap().iter().find(|it| it["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {exported}")).clone()
    };
    assert_eq!(named("exchanges", "by-size")["type"], "headers");
    assert_eq!(
        named("queues", "invoices")["arguments"],
        json!({"x-max-length": 1000, "x-dead-letter-exchange": "audit"})
    );
    assert_eq!(named("policies", "short")["definition"], json!({"message-ttl": 60000}));
    assert_eq!(named("vhosts", "staging"), json!({"name": "staging"}));
    assert_eq!(exported["bindings"].as_array().unwrap().len(), 3);
    // They work, and clients that declare what they always declared are not refused for a policy.
    served.amqp_tool("amqp-declare-queue", &["-d", "-q", "mail"]);
    served.amqp_tool("amqp-publish", &["-e", "orders", "-r", "order.new", "-b", "7"]);
    assert_eq!(served.amqp_tool("amqp-get", &["-q", "invoices"]), "7");

    // A second RabbitMQ takes what this server exports, and says the same of it.
    drop(rabbit);
    let Some(rabbit) = Rabbit::start() else { return };
    let ours = rabbit.folder.path().join("ours.json");
    served.shell(&["export", ours.to_str().unwrap()]);
    run_for_text(&mut rabbit.tool(&["import_definitions", ours.to_str().unwrap()]));
    let again = rabbit.folder.path().join("again.json");
    run_for_text(&mut rabbit.tool(&["export_definitions", again.to_str().unwrap()]));
    let again: Value = serde_json::from_str(&std::fs::read_to_string(again).unwrap()).unwrap();
    let names = |definitions: &Value, kind: &str| -> Vec<String> {
        let all = definitions[kind].as_array().unwrap().iter();
        let mut names: Vec<String> = all.map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    for kind in ["exchanges", "queues", "policies", "vhosts"] {
        assert_eq!(names(&again, kind), names(&exported, kind), "{kind}");
    }
    assert_eq!(again["bindings"].as_array().unwrap().len(), 3);

    // Nothing is made when any of it is wrong, and all of it is told.
    let wrong = json!({
        "queues": [{"name": "fresh", "durable": true}, {"name": "mail", "durable": false}],
        "exchanges": [{"name": "odd", "type": "x-delayed-message", "durable": true}],
    });
    std::fs::write(&ours, wrong.to_string()).unwrap();
    let (code, said) = failed(&mut served.command(&["import", ours.to_str().unwrap()]));
    assert_eq!(code, Some(2));
    assert!(said.contains("nothing was imported: the definitions have 2 problem(s)"), "{said}");
    assert!(said.contains("/queues/1: PRECONDITION_FAILED - inequivalent arg 'durable'"), "{said}");
    assert!(
        said.contains("/exchanges/0/type: COMMAND_INVALID - unknown exchange type 'x-delayed-message'"),
        "{said}"
    );
    served.refused("GET", "/queues/%2F/fresh", None, 404, "no queue 'fresh'");
}
