//! A protocol goes and comes a hundred times while messages flow over another: nobody else is disturbed, and what lasts
//! finds everything that was sent meanwhile.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use kuzzle_tests::load::NumberedLoad;
use kuzzle_tests::process::Process;
use kuzzle_tests::server::{amqp, free_port, lines, mqtt, socketio, stomp};
use kuzzle_tests::{ServerOptions, node, python, wait_for};

#[test]
fn mqtt_a_hundred_times_off_and_on_while_amqp_carries_messages() {
    off_and_on("mqtt", "amqp");
}

#[test]
fn amqp_a_hundred_times_off_and_on_while_mqtt_carries_messages() {
    off_and_on("amqp", "mqtt");
}

#[test]
fn stomp_a_hundred_times_off_and_on_while_amqp_carries_messages() {
    off_and_on("stomp", "amqp");
}

#[test]
fn mqtt_a_hundred_times_off_and_on_while_stomp_carries_messages() {
    off_and_on("mqtt", "stomp");
}

#[test]
fn mqtt_4_3_3_qos_2_is_exactly_once_also_for_a_client_that_is_sent_away_a_hundred_times() {
    let port = free_port();
    let server = ServerOptions::with_plugins(mqtt(port)).start();
    server.wait_for_state("mqtt", "running");
    let mut client = Process::start(python("mqtt", "exact.py", [port.to_string()]));
    client.wait_for_line("a number", 0, is_number);
    for _ in 0..100 {
        server.set_enabled("mqtt", false);
        server.wait_for_state("mqtt", "stopped");
        let seen = client.lines();
        server.set_enabled("mqtt", true);
        client.wait_for_line("a number", seen, is_number);
    }
    client.signal("TERM");
    let status = client.wait();
    assert!(status.success(), "{status}: {}", client.log());
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// Switches `moving` off and on while REST, socket.io, the example plugin and `steady` carry numbers: none of them loses its
/// connection or an answer, and what a client of `moving` keeps for its return holds each number once.
fn off_and_on(moving: &str, steady: &str) {
    let [amqp_port, mqtt_port, stomp_port, web, line] = [(); 5].map(|()| free_port());
    let port = |protocol: &str| match protocol {
        "amqp" => amqp_port,
        "mqtt" => mqtt_port,
        _ => stomp_port,
    };
    let plugins = [socketio(web), amqp(amqp_port), mqtt(mqtt_port), stomp(stomp_port), lines(line)];
    let server = ServerOptions::with_plugins(plugins.concat()).start();
    for name in ["socketio", "amqp", "mqtt", "stomp", "lines"] {
        server.wait_for_state(name, "running");
    }
    let start = |protocol: &str, mode: &str| {
        let port = port(protocol).to_string();
        Process::start(node(None, protocol, "numbers.js", [mode, &port, steady]))
    };
    let mut keeper = start(moving, "keep");
    keeper.wait_for_line("its queue", 0, |line| line == "attached");
    let mut sender = start(steady, "send");
    let mut asker = Process::start(node(None, "socketio", "numbers.js", [web.to_string()]));
    asker.wait_for_line("an answer", 0, is_number);
    let loads = [NumberedLoad::over_rest(server.rest()), NumberedLoad::over_lines(local(line))];

    for round in 0..100 {
        server.set_enabled(moving, false);
        wait_until_free(port(moving));
        server.wait_for_state(moving, "stopped");
        let seen = sender.lines();
        sender.wait_for_line("a number", seen, is_number);
        let seen = keeper.lines();
        server.set_enabled(moving, true);
        keeper.wait_for_line("its return", seen, |line| line == "attached");
        if round % 10 == 0 {
            loads.iter().for_each(NumberedLoad::wait_for_more);
            let answered = asker.lines();
            asker.wait_for_line("an answer", answered, is_number);
            keeper.wait_for_line("what it missed", seen, is_number);
        }
    }
    server.wait_for_state(moving, "running");
    for client in [&mut sender, &mut asker] {
        client.signal("TERM");
        let status = client.wait();
        assert!(status.success(), "{status}: {}", client.log());
    }
    let log = sender.log();
    let last = log.lines().last().expect("numbers").to_owned();
    assert!(last.parse::<u64>().expect("a number") > 100, "{last}");
    keeper.wait_for_line("the last number", 0, |line| line == last);
    for load in loads {
        assert!(load.finish() > 100);
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

fn is_number(line: &str) -> bool {
    assert!(!line.starts_with("disturbed"), "{line}");
    line.bytes().all(|byte| byte.is_ascii_digit())
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Waits until nobody accepts there, and proves it by listening there.
fn wait_until_free(port: u16) {
    wait_for(&format!("port {port} to be free"), || {
        TcpStream::connect(local(port))
            .is_err()
            .then_some(())
            .and_then(|()| TcpListener::bind(local(port)).ok())
    });
}
