//! One server, five protocols: what is asked over one is heard over each, and what is published over one arrives over the
//! others with what the other protocol has for its properties.

use std::collections::BTreeMap;

use kuzzle_tests::EveryProtocol;
use kuzzle_tests::every_protocol::PROTOCOLS;
use serde_json::{Value, json};

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
    let said = EveryProtocol::start().run("answers.js");
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

/// A service of each message protocol is asked by a client of each, and answers to the address and with the correlation that
/// it sees in the words of its own protocol. Where one of the two is MQTT, which knows no queues, the address is a topic:
/// a service of AMQP finds it in the header `x-reply-to-topic`, and a client of AMQP names it there.
#[test]
fn a_service_of_one_protocol_answers_clients_of_each() {
    let said = EveryProtocol::start().run("services.js");
    let mut addresses = BTreeMap::new();
    for line in said.lines() {
        let [from, service, address] = line.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
        addresses.insert((from, service), address);
    }
    let messages = &PROTOCOLS[2..];
    println!("| asked over, service of | {} |\n|---|---|---|---|", messages.join(" | "));
    for from in messages {
        let answered: Vec<_> = messages.iter().map(|service| addresses[&(*from, *service)]).collect();
        println!("| {from} | {} |", answered.join(" | "));
    }
    assert_eq!(addresses.len(), messages.len() * messages.len());
}

/// What a consumer of each protocol sees of what is published over each: of AMQP one that is bound to `#` of `amq.topic`, of
/// MQTT 5.0 one with the filter `#` at QoS 1, of STOMP one of `/topic/#`. Properties that a protocol has no place for are
/// lost to its consumers alone.
#[test]
fn properties_and_headers_arrive_over_every_protocol() {
    let said = EveryProtocol::start().run("mapping.js");
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    for line in said.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        seen.insert(line["what"].as_str().expect("a text").to_owned(), line);
    }
    let rows = expected();
    for (what, of_amqp, of_mqtt, of_stomp) in &rows {
        let found = seen.get(*what).unwrap_or_else(|| panic!("nothing of {what}"));
        for (protocol, expected) in [("AMQP", of_amqp), ("MQTT", of_mqtt), ("STOMP", of_stomp)] {
            assert_eq!(found[protocol], *expected, "{what}, seen by {protocol}");
        }
        println!("{what}: as expected by AMQP, MQTT and STOMP");
    }
    assert_eq!(seen.len(), rows.len());
}

/// What is published, and what AMQP, MQTT and STOMP see of it.
fn expected() -> Vec<(&'static str, Value, Value, Value)> {
    let of_mqtt = |qos: u8| json!({ "x-mqtt-publish-qos": qos, "x-mqtt-dup": false });
    let plain_mqtt = |qos: u8| json!({ "topic": "sensor/temp", "qos": qos, "retain": false, "body": "21" });
    let promised_amqp =
        |qos: u8| json!({ "key": "sensor.temp", "deliveryMode": 2, "headers": of_mqtt(qos), "body": "21" });
    let promised_stomp = json!({ "destination": "/topic/sensor.temp", "persistent": "true", "body": "21" });
    vec![
        (
            "AMQP, all properties",
            json!({
                "key": "sensor.temp", "contentType": "text/plain", "deliveryMode": 2, "correlationId": "c1", "replyTo": "rq",
                "expiration": "60000", "messageId": "m1", "headers": { "h1": "v", "n": 3 }, "body": "21",
            }),
            // An address that is a queue is none that MQTT could answer to.
            json!({
                "topic": "sensor/temp", "qos": 1, "retain": false, "messageExpiryInterval": 60,
                "contentType": "text/plain", "correlationData": "c1", "userProperties": { "h1": "v" }, "body": "21",
            }),
            // A header of one byte is nothing that STOMP shows.
            json!({
                "destination": "/topic/sensor.temp", "h1": "v", "amqp-message-id": "m1", "expiration": "60000",
                "reply-to": "/reply-queue/rq", "correlation-id": "c1", "persistent": "true",
                "content-type": "text/plain", "body": "21",
            }),
        ),
        (
            "AMQP, no properties",
            json!({ "key": "sensor.temp", "headers": {}, "body": "21" }),
            plain_mqtt(1),
            json!({ "destination": "/topic/sensor.temp", "body": "21" }),
        ),
        (
            "AMQP, an empty key",
            json!({ "key": "", "headers": {}, "body": "21" }),
            // It would have to be an empty topic, which is none [MQTT-4.7.3-1].
            Value::Null,
            json!({ "destination": "/topic/", "body": "21" }),
        ),
        (
            "MQTT, QoS 0",
            json!({ "key": "sensor.temp", "deliveryMode": 1, "headers": of_mqtt(0), "body": "21" }),
            plain_mqtt(0),
            json!({ "destination": "/topic/sensor.temp", "persistent": "1", "body": "21" }),
        ),
        ("MQTT, QoS 1", promised_amqp(1), plain_mqtt(1), promised_stomp.clone()),
        ("MQTT, QoS 2", promised_amqp(2), plain_mqtt(1), promised_stomp.clone()),
        ("MQTT, retained", promised_amqp(1), plain_mqtt(1), promised_stomp.clone()),
        (
            "MQTT, a dot in the topic",
            json!({ "key": "a.b.c", "deliveryMode": 1, "headers": of_mqtt(0), "body": "21" }),
            json!({ "topic": "a/b/c", "qos": 0, "retain": false, "body": "21" }),
            json!({ "destination": "/topic/a.b.c", "persistent": "1", "body": "21" }),
        ),
        (
            "MQTT, properties of 5.0",
            json!({
                "key": "sensor.temp", "contentType": "text/plain", "deliveryMode": 2, "correlationId": "c1",
                "replyTo": "/topic/answers.here", "expiration": "60000",
                "headers": {
                    "x-mqtt-publish-qos": 1, "x-mqtt-dup": false, "x-reply-to-topic": "answers.here", "h1": "v",
                },
                "body": "21",
            }),
            json!({
                "topic": "sensor/temp", "qos": 1, "retain": false, "messageExpiryInterval": 60,
                "contentType": "text/plain", "responseTopic": "answers/here", "correlationData": "c1",
                "userProperties": { "h1": "v" }, "body": "21",
            }),
            json!({
                "destination": "/topic/sensor.temp", "h1": "v", "expiration": "60000",
                "reply-to": "/topic/answers.here", "correlation-id": "c1", "persistent": "true",
                "content-type": "text/plain", "body": "21",
            }),
        ),
        (
            "STOMP, headers",
            json!({
                "key": "sensor.temp", "contentType": "text/plain", "priority": 3, "correlationId": "c1",
                "replyTo": "qq", "messageId": "m1", "headers": { "foo": "bar", "receipt": "chosen" }, "body": "21",
            }),
            json!({
                "topic": "sensor/temp", "qos": 1, "retain": false, "contentType": "text/plain",
                "correlationData": "c1", "userProperties": { "foo": "bar", "receipt": "chosen" }, "body": "21",
            }),
            json!({
                "destination": "/topic/sensor.temp", "foo": "bar", "receipt": "chosen", "amqp-message-id": "m1",
                "reply-to": "/reply-queue/qq", "correlation-id": "c1", "priority": "3",
                "content-type": "text/plain", "body": "21",
            }),
        ),
        (
            "STOMP, persistent",
            json!({ "key": "sensor.temp", "deliveryMode": 2, "headers": { "receipt": "chosen" }, "body": "21" }),
            of_stomp_over_mqtt("sensor/temp"),
            json!({
                "destination": "/topic/sensor.temp", "receipt": "chosen", "persistent": "true", "body": "21",
            }),
        ),
        (
            "STOMP, no headers",
            json!({ "key": "sensor.temp", "headers": { "receipt": "chosen" }, "body": "21" }),
            of_stomp_over_mqtt("sensor/temp"),
            json!({ "destination": "/topic/sensor.temp", "receipt": "chosen", "body": "21" }),
        ),
        (
            "STOMP, a slash in the key",
            json!({ "key": "sensor/temp", "headers": { "receipt": "chosen" }, "body": "21" }),
            of_stomp_over_mqtt("sensor/temp"),
            json!({ "destination": "/topic/sensor%2Ftemp", "receipt": "chosen", "body": "21" }),
        ),
    ]
}

fn of_stomp_over_mqtt(topic: &str) -> Value {
    json!({
        "topic": topic, "qos": 1, "retain": false, "userProperties": { "receipt": "chosen" }, "body": "21",
    })
}
