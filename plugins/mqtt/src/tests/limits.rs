//! Peers that are silent, slow, wrong or too many, and a broker that has enough.

use std::time::{Duration, Instant};

use kuzzle_mqtt_proto::codec::{Connect, Disconnect, Packet, Property, Publish, QoS, ReasonCode, Version};
use kuzzle_plugin_api::sdk::serde_json::json;

use super::{
    Running,
    client::{Client, ack, connect, publish},
};

#[test]
fn mqtt_3_1_4_a_silent_connection_is_closed() {
    let running = Running::with_settings(json!({ "connect_timeout_secs": 1 }));
    let mut silent = Client::open(&running, Version::V311);
    let mut slow = Client::open(&running, Version::V311);
    slow.write(&[0x10]);
    assert!(silent.rest().is_empty() && slow.rest().is_empty());
}

#[test]
fn mqtt_3_1_2_22_a_client_that_is_silent_for_too_long_is_closed() {
    let running = Running::new();
    let started = Instant::now();
    let mut silent =
        Client::connect(&running, Connect { keep_alive_secs: 1, ..connect(Version::V5, "silent") });
    let mut alive =
        Client::connect(&running, Connect { keep_alive_secs: 1, ..connect(Version::V5, "alive") });
    while started.elapsed() < Duration::from_secs(3) {
        alive.send(&Packet::PingReq);
        assert_eq!(alive.receive(), Packet::PingResp);
        std::thread::sleep(Duration::from_millis(100));
    }
    let rest = silent.rest();
    assert!(
        matches!(&rest[..], [Packet::Disconnect(Disconnect { reason: ReasonCode::KeepAliveTimeout, .. })]),
        "{rest:?}"
    );
    assert!(started.elapsed() >= Duration::from_millis(1500));
}

#[test]
fn mqtt_3_1_2_21_a_client_is_told_the_longest_keep_alive() {
    let running = Running::with_settings(json!({ "keep_alive_max_secs": 30, "receive_maximum": 7 }));
    let (_, answer) = Client::ask(&running, Connect { keep_alive_secs: 600, ..connect(Version::V5, "a") });
    let told: Vec<_> = answer.properties.iter().collect();
    assert!(told.contains(&&Property::ServerKeepAlive(30)), "{told:?}");
    assert!(told.contains(&&Property::ReceiveMaximum(7)), "{told:?}");
    assert!(told.contains(&&Property::MaximumPacketSize(16_777_216)), "{told:?}");
}

#[test]
fn mqtt_4_13_a_client_that_breaks_a_rule_is_told_which() {
    let running = Running::new();
    let mut client = Client::connect(&running, connect(Version::V5, "wrong"));
    client.send(&Packet::Connect(Box::new(connect(Version::V5, "wrong"))));
    let rest = client.rest();
    assert!(
        matches!(&rest[..], [Packet::Disconnect(Disconnect { reason: ReasonCode::ProtocolError, .. })]),
        "{rest:?}"
    );
    let line = running.host.wait_for_log("connection closed: the client broke the protocol");
    let error = line.fields["error"].as_str().expect("a text");
    assert!(error.contains(r#"client "wrong": closed, 0x82: a second CONNECT"#), "{error}");
    // Something that is no MQTT at all gets no answer.
    let mut web = Client::open(&running, Version::V311);
    web.write(b"GET / HTTP/1.1\r\n\r\n");
    assert!(web.rest().is_empty());
}

#[test]
fn mqtt_3_1_2_24_a_packet_that_is_too_large_ends_the_connection() {
    let running = Running::with_settings(json!({ "packet_max_bytes": 2000 }));
    let mut client = Client::connect(&running, connect(Version::V5, "a"));
    assert_eq!(
        client.publish(publish("t", QoS::AtLeastOnce, vec![0; 1900])),
        ReasonCode::NoMatchingSubscribers
    );
    client.send(&Packet::Publish(publish("t", QoS::AtMostOnce, vec![0; 100_000])));
    let rest = client.rest();
    assert!(
        matches!(&rest[..], [Packet::Disconnect(Disconnect { reason: ReasonCode::PacketTooLarge, .. })]),
        "the goodbye is not lost to what was not read: {rest:?}"
    );
}

#[test]
fn messages_wait_while_the_broker_takes_none_and_none_is_lost() {
    let running = Running::new();
    let broker = running.host.broker();
    let mut subscriber = Client::connect(&running, connect(Version::V311, "subscriber"));
    subscriber.subscribe(&["t"], QoS::AtLeastOnce);
    let mut publisher = Client::connect(&running, connect(Version::V311, "publisher"));
    publisher.publish(publish("t", QoS::AtLeastOnce, "0"));
    let first = subscriber.message();
    broker.block("low on memory");
    let numbered = |at: u16| {
        Packet::Publish(Publish { packet_id: at + 100, ..publish("t", QoS::AtLeastOnce, at.to_string()) })
    };
    let packets: Vec<_> = (1..=50).map(numbered).collect();
    publisher.send_all(&packets);
    // One that only receives is read from: what it acknowledges makes room.
    subscriber.send(&Packet::PubAck(ack(first.packet_id)));
    running.host.wait_for("the acknowledgement", |host| {
        (host.broker().unsettled("mqtt-subscription-subscriberqos1") == 0).then_some(())
    });
    broker.unblock();
    for at in 1..=50_u16 {
        assert_eq!(publisher.receive(), Packet::PubAck(ack(at + 100)));
        let message = subscriber.message();
        assert_eq!(message.payload, at.to_string());
        subscriber.send(&Packet::PubAck(ack(message.packet_id)));
    }
}

#[test]
fn a_client_that_leaves_while_the_broker_takes_no_messages_has_published() {
    let running = Running::new();
    let broker = running.host.broker();
    let mut subscriber = Client::connect(&running, connect(Version::V311, "subscriber"));
    subscriber.subscribe(&["t"], QoS::AtMostOnce);
    let mut publisher = Client::connect(&running, connect(Version::V311, "publisher"));
    broker.block("low on disk");
    publisher.send_all(&[Packet::Publish(publish("t", QoS::AtMostOnce, "kept")), super::client::leave()]);
    drop(publisher);
    broker.unblock();
    assert_eq!(&subscriber.message().payload[..], b"kept");
    running.wait_for_connections(1);
}

#[test]
fn a_client_that_does_not_read_is_bounded_and_loses_nothing_that_it_must_get() {
    const COUNT: usize = 3000;
    let running = Running::with_settings(json!({ "output_max_bytes": 4096, "inflight_max": 65_535 }));
    let broker = running.host.broker();
    let mut slow = Client::connect(&running, connect(Version::V5, "slow"));
    slow.subscribe(&["t"], QoS::AtLeastOnce);
    let body = vec![b'x'; 10_000];
    for _ in 0..COUNT {
        broker.publish("amq.topic", "t", &body);
    }
    // More than sockets hold: the plugin has stopped taking, and what it has not taken waits in the broker.
    let sent = running.plugin.status()["messages"]["sent"].as_u64().expect("a number");
    assert!(sent < COUNT as u64, "{sent} were taken for a client that does not read");
    for _ in 0..COUNT {
        let message = slow.message();
        assert_eq!(message.payload.len(), body.len());
        slow.send(&Packet::PubAck(ack(message.packet_id)));
    }
    running.host.wait_for("all to be settled", |host| {
        (host.broker().unsettled("mqtt-subscription-slowqos1") == 0).then_some(())
    });
}

#[test]
fn mqtt_3_3_4_7_a_client_gets_no_more_than_its_receive_maximum() {
    let running = Running::with_settings(json!({ "inflight_max": 2 }));
    let broker = running.host.broker();
    let mut client = Client::connect(&running, connect(Version::V311, "a"));
    client.subscribe(&["t"], QoS::AtLeastOnce);
    for at in 0..5 {
        broker.publish("amq.topic", "t", at.to_string().as_bytes());
    }
    let ids: Vec<_> = (0..2).map(|_| client.message().packet_id).collect();
    client.send(&Packet::PingReq);
    assert_eq!(client.receive(), Packet::PingResp, "two are unacknowledged: no third comes");
    client.send(&Packet::PubAck(ack(ids[0])));
    assert_eq!(&client.message().payload[..], b"2");
}
