//! One server, five protocols: what is asked over one is heard over each, and what is published over one arrives over the
//! others with what the other protocol has for its properties.

use std::collections::BTreeMap;

use kuzzle_tests::server::{amqp, free_port, mqtt, socketio, stomp};
use kuzzle_tests::{Server, ServerOptions, node, run_for_text};

/// In the order of the tables, and of the scripts' arguments.
const PROTOCOLS: [&str; 5] = ["REST", "socket.io", "AMQP", "MQTT", "STOMP"];

struct Served {
    server: Server,
    ports: [u16; 4],
}

impl Served {
    fn start() -> Self {
        let ports = [free_port(), free_port(), free_port(), free_port()];
        let plugins = [socketio(ports[0]), amqp(ports[1]), mqtt(ports[2]), stomp(ports[3])];
        let server = ServerOptions::with_plugins(plugins.concat()).start();
        for instance in ["socketio", "amqp", "mqtt", "stomp"] {
            server.wait_for_state(instance, "running");
        }
        Self { server, ports }
    }

    fn run(&self, script: &str) -> String {
        let ports = [&[self.server.rest().port()][..], &self.ports].concat();
        run_for_text(&mut node(None, "cross", script, ports.iter().map(u16::to_string)))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(!self.server.log().contains("panicked"), "{}", self.server.log());
        }
    }
}

/// Every protocol asks, and every protocol hears of it. What that means depends on both:
///
/// - *AMQP, MQTT and STOMP among themselves*: a request is a message that names where its answer goes, and that place is
///   another client's, of the other protocol. A request of AMQP names a queue (`reply_to`), which AMQP and STOMP consume, or
///   the identifier of an MQTT client (`clientId` in its JSON), whose topic `mqtt/<clientId>` is answered. A request of MQTT
///   names a topic (the response topic of 5.0), to which an AMQP queue is bound and STOMP subscribes, or an identifier as
///   well. A request of STOMP names a queue (`reply-to:<queue>`), or a topic (`reply-to:/topic/<key>`), which MQTT hears.
///   The answer itself arrives there: the asker gets none.
/// - *over REST and socket.io* a request is answered to who asked and cannot name another. What others hear is what it did:
///   the document that it wrote is read by a request over the other protocol, and is the one that the asker was told of.
/// - *REST and socket.io hear* what the other three ask in the same way: they have no address that a message could name.
/// - *the diagonal* is a protocol's own answer: for REST and socket.io on the connection that asked, for the others once so
///   and once to a second client of the same protocol.
#[test]
fn what_is_asked_over_one_protocol_is_heard_over_each() {
    let said = Served::start().run("answers.js");
    let mut cells = BTreeMap::new();
    for line in said.lines() {
        let [from, over, how] = line.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
        cells.insert((from, over), how);
    }
    println!("| asked over, heard over | {} |\n|---|---|---|---|---|---|", PROTOCOLS.join(" | "));
    for from in PROTOCOLS {
        let row = PROTOCOLS.map(|over| cells.get(&(from, over)).copied().unwrap_or("nothing"));
        println!("| {from} | {} |", row.join(" | "));
        for (over, how) in PROTOCOLS.into_iter().zip(row) {
            let among_messages = PROTOCOLS[2..].contains(&from) && PROTOCOLS[2..].contains(&over);
            let expected = match (from, over) {
                ("AMQP", "MQTT") | ("MQTT", "MQTT") => "answer, by its clientId",
                ("MQTT", _) | (_, "MQTT") if among_messages => "answer, at its topic",
                _ if among_messages => "answer, in its queue",
                _ if from == over => "answer, of its own",
                _ => "document, as answered",
            };
            assert_eq!(how, expected, "asked over {from}, heard over {over}");
        }
    }
    assert_eq!(cells.len(), PROTOCOLS.len() * PROTOCOLS.len());
}
