//! The MQTT plugin through the clients that people use: mqtt.js, its command line of today and of 2016, mosquitto's tools
//! and paho in Python. The names of tests carry the clause of MQTT 5.0 that they are about.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use kuzzle_tests::process::Process;
use kuzzle_tests::server::{free_port, mqtt};
use kuzzle_tests::{Documented, Server, ServerOptions, documented, node, python, run_for_text, wait_for};
use serde_json::{Value, json};

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
        let server = ServerOptions::with_plugins(format!("{}{more}\n", mqtt(port))).start();
        server.wait_for_state("mqtt", "running");
        Self { server, port }
    }

    /// Runs a scenario of a script for mqtt.js.
    fn run(&self, script: &str, scenario: &str) {
        self.check(&mut node(None, "mqtt", script, [scenario, &self.port.to_string()]));
        // Whoever left is forgotten.
        wait_for("no connection to be left", || (self.shown("connections") == 0).then_some(()));
    }

    fn paho(&self, scenario: &str) {
        self.check(&mut python("mqtt", "paho_client.py", [scenario, &self.port.to_string()]));
    }

    fn check(&self, command: &mut Command) {
        let said = run_for_text(command);
        assert!(said.starts_with("ok"), "{said}\n{}", self.server.log());
    }

    /// A command of mosquitto's: to the server, and never for long.
    fn mosquitto(&self, program: &str, line: &str) -> Command {
        let mut command = Command::new("timeout");
        // A line at a time, though nobody sits before it.
        let line = format!("exec stdbuf -oL {program} -h 127.0.0.1 -p {} {line}", self.port);
        command.args(["-s", "KILL", "60", "bash", "-euc", &line]);
        command
    }

    fn publish(&self, line: &str) {
        run_for_text(&mut self.mosquitto("mosquitto_pub", line));
    }

    /// Starts a subscriber, and waits until it has subscribed.
    fn subscribe(&self, line: &str) -> Process {
        let mut process = Process::start(self.mosquitto("mosquitto_sub", &format!("-d -v {line}")));
        process.wait_for_line("the subscription", 0, |line| line.starts_with("Subscribed"));
        process
    }

    /// What the plugin says of itself under `name`.
    fn shown(&self, name: &str) -> Value {
        self.server.instance("mqtt")["status"][name].clone()
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
fn mqtt_4_3_messages_arrive_as_their_qos_promises() {
    Served::start().run("messages.js", "qos");
}

#[test]
fn mqtt_4_3_1_a_burst_waits_for_its_subscriber() {
    Served::start().run("messages.js", "burst");
}

#[test]
fn mqtt_4_7_topics_and_filters() {
    Served::start().run("messages.js", "topics");
}

#[test]
fn mqtt_3_3_1_5_retained_messages_reach_new_subscribers_also_of_wildcards() {
    Served::start().run("messages.js", "retained");
}

#[test]
fn mqtt_3_3_1_9_retain_handling_and_retain_as_published() {
    Served::start().run("messages.js", "retainOptions");
}

#[test]
fn mqtt_4_8_2_shared_subscriptions() {
    Served::start().run("messages.js", "shared");
}

#[test]
fn mqtt_3_3_2_properties_of_messages() {
    Served::start().run("messages.js", "properties");
}

#[test]
fn mqtt_3_3_2_8_topic_aliases() {
    Served::start().run("messages.js", "aliases");
}

#[test]
fn mqtt_3_3_4_3_subscription_identifiers() {
    Served::start().run("messages.js", "subscriptionIdentifiers");
}

#[test]
fn mqtt_3_8_3_3_no_local() {
    Served::start().run("messages.js", "noLocal");
}

#[test]
fn mqtt_3_11_3_unsubscribing() {
    Served::start().run("messages.js", "unsubscribe");
}

#[test]
fn mqtt_3_4_2_reason_codes_of_acknowledgements() {
    Served::start().run("messages.js", "reasonCodes");
}

#[test]
fn mqtt_4_10_request_and_response() {
    Served::start().run("messages.js", "requestResponse");
}

#[test]
fn mqtt_3_1_2_11_receive_maximum_of_a_client() {
    Served::start().paho("window");
}

#[test]
fn mqtt_3_1_2_24_maximum_packet_size_of_a_client() {
    Served::start().run("messages.js", "packetSizes");
}

#[test]
fn mqtt_3_1_3_users_and_passwords() {
    Served::start().run("sessions.js", "users");
}

#[test]
fn mqtt_3_2_2_what_a_client_is_told_as_it_connects() {
    let settings = "[protocols.mqtt.settings]\nkeep_alive_max_secs = 5\nreceive_maximum = 100";
    Served::start_with(settings).run("sessions.js", "connack");
}

#[test]
fn mqtt_3_1_2_22_keep_alive() {
    Served::start().run("sessions.js", "keepAlive");
}

#[test]
fn mqtt_3_1_2_8_wills_also_of_a_client_whose_identifier_is_taken_over() {
    Served::start().run("sessions.js", "wills");
}

#[test]
fn mqtt_3_1_3_9_will_delay() {
    Served::start().run("sessions.js", "willDelay");
}

#[test]
fn mqtt_4_1_a_session_gets_what_it_missed() {
    Served::start().run("sessions.js", "offline");
}

#[test]
fn mqtt_4_4_what_was_not_acknowledged_comes_again() {
    Served::start().run("sessions.js", "redelivery");
}

#[test]
fn mqtt_3_1_2_23_sessions_expire() {
    Served::start().run("sessions.js", "sessionExpiry");
}

#[test]
fn mqtt_3_3_2_5_messages_expire() {
    Served::start().run("sessions.js", "messageExpiry");
}

#[test]
fn mqtt_4_1_sessions_messages_and_subscriptions_survive_a_crash() {
    let mut served = Served::start();
    served.run("sessions.js", "leave");
    served.server.kill();
    served.server.start_again();
    served.server.wait_for_state("mqtt", "running");
    served.run("sessions.js", "comeBack");
}

#[test]
fn mqtt_4_13_clients_are_told_that_the_protocol_stops_and_come_back() {
    let served = Served::start();
    let port = served.port.to_string();
    let mut client = Process::start(node(None, "mqtt", "sessions.js", ["reconnect", &port]));
    client.wait_for_line("the connection", 0, |line| line == "connected");
    served.server.set_enabled("mqtt", false);
    client.wait_for_line("the goodbye", 0, |line| line == "told");
    served.server.wait_for_state("mqtt", "stopped");
    let address = (Ipv4Addr::LOCALHOST, served.port);
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    drop(TcpListener::bind(address).expect("the port is free for others"));
    served.server.set_enabled("mqtt", true);
    client.wait_for_line("its session", 0, |line| line.starts_with("ok"));
}

#[test]
fn requests_are_answered_on_the_topic_of_their_client() {
    Served::start().run("api.js", "answers");
}

#[test]
fn requests_that_are_wrong_are_answered_too() {
    Served::start().run("api.js", "errors");
}

#[test]
fn mqtt_4_10_requests_are_answered_on_their_response_topic() {
    Served::start().run("api.js", "responseTopic");
}

#[test]
fn topics_of_the_host_are_its_own() {
    Served::start().run("api.js", "reserved");
}

#[test]
fn calls_that_are_carried_as_bytes_make_no_difference() {
    let served = Served::start_with("isolation = \"loopback\"");
    for (script, scenario) in [
        ("messages.js", "qos"),
        ("messages.js", "shared"),
        ("messages.js", "properties"),
        ("sessions.js", "wills"),
        ("sessions.js", "offline"),
        ("api.js", "answers"),
    ] {
        served.run(script, scenario);
    }
}

#[test]
fn paho_in_each_version() {
    Served::start().paho("versions");
}

#[test]
fn mosquitto_in_each_version_with_each_qos() {
    let served = Served::start();
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for qos in [0, 1, 2] {
            let mut subscriber =
                served.subscribe(&format!("-V {version} -i sub-{version}-{qos} -q {qos} -t 'a/#' -C 2"));
            served.publish(&format!("-V {version} -q {qos} -t a/b -m one"));
            served.publish(&format!("-V {version} -q {qos} -t a -m two"));
            subscriber.wait_for_line("a message", 0, |line| line == "a/b one");
            subscriber.wait_for_line("another", 0, |line| line == "a two");
            let status = subscriber.wait();
            assert!(status.success(), "{status}\n{}", subscriber.log());
        }
    }
}

#[test]
fn mosquitto_keeps_and_wills() {
    let served = Served::start();
    served.publish("-q 1 -r -t kept/a -m kept");
    served.subscribe("-t 'kept/+'").wait_for_line("it", 0, |line| line == "kept/a kept");
    served.publish("-q 1 -r -n -t kept/a");

    let mut heir = served.subscribe("-i heir -t will");
    let will = "-i lost -t any --will-topic will --will-payload gone --will-qos 1";
    served.subscribe(will).kill();
    heir.wait_for_line("the will of who is cut off", 0, |line| line == "will gone");
    let (seen, _first) = (heir.lines(), served.subscribe(will));
    // Its identifier is taken over, which ends it.
    let second = served.subscribe(will);
    heir.wait_for_line("the will of who is sent away", seen, |line| line == "will gone");
    second.signal("TERM");

    let offline = "-i lasting -c -q 2 -t missed";
    let mut lasting = Process::start(served.mosquitto("mosquitto_sub", &format!("{offline} -E")));
    assert!(lasting.wait().success(), "{}", lasting.log());
    served.publish("-q 2 -t missed -m message");
    let mut lasting = Process::start(served.mosquitto("mosquitto_sub", &format!("{offline} -C 1")));
    lasting.wait_for_line("what was missed", 0, |line| line == "message");
}

#[test]
fn mosquitto_sends_many_lines_of_which_none_is_lost() {
    const COUNT: usize = 20_000;
    let served = Served::start();
    let mut subscriber = served.subscribe(&format!("-q 1 -t lines -C {COUNT}"));
    run_for_text(
        Command::new("timeout")
            .args(["60", "bash", "-euc"])
            .arg(format!("seq {COUNT} | mosquitto_pub -h 127.0.0.1 -p {} -q 1 -t lines -l", served.port)),
    );
    assert!(subscriber.wait().success());
    let log = subscriber.log();
    let got: Vec<usize> = log
        .lines()
        .filter_map(|line| line.strip_prefix("lines "))
        .map(|number| number.parse().expect("a number"))
        .collect();
    assert!(got == (1..=COUNT).collect::<Vec<_>>(), "{} lines came", got.len());
}

#[test]
fn mosquitto_asks_the_api() {
    let served = Served::start();
    let line = r#"-V mqttv5 -q 1 -t kuzzle -e answers/here -m '{"controller": "read", "action": "now"}'"#;
    let answer = run_for_text(&mut served.mosquitto("mosquitto_rr", line));
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert_eq!(answer["status"], 200, "{answer}");
}

#[test]
fn server_info_counts_clients_by_version() {
    let served = Served::start();
    let _clients = ["mqttv31", "mqttv311", "mqttv5"]
        .map(|version| served.subscribe(&format!("-V {version} -i {version} -t x")));
    served.publish("-t x -m y");
    wait_for("all to be counted", || {
        let is_counted = served.shown("clients") == json!({ "3.1": 1, "3.1.1": 1, "5.0": 1 })
            && served.shown("messages") == json!({ "received": 1, "sent": 3 });
        is_counted.then_some(())
    });
}

#[test]
fn the_example_of_the_documentation() {
    let documented = Documented::start();
    for mqtt in ["node_modules/.bin/mqtt", "node node_modules/mqtt-1.5.0/mqtt.js"] {
        documented::check_answer(&documented.two_shells(mqtt));
    }
}
