//! Messages in and out.

use std::collections::HashSet;

use kuzzle_mqtt_proto::codec::{Packet, Properties, Property, Publish, QoS, ReasonCode, Version};
use kuzzle_plugin_api::sdk::serde_json::json;

use super::{
    Running, both_ways,
    client::{Client, VERSIONS, ack, connect, leave, publish},
};

#[test]
fn mqtt_4_3_messages_of_each_qos_reach_subscribers_of_each_version() {
    both_ways(|running| {
        for (at, version) in VERSIONS.into_iter().enumerate() {
            let mut subscriber = Client::connect(running, connect(version, "subscriber"));
            assert_eq!(subscriber.subscribe(&["a/+"], QoS::ExactlyOnce), [2]);
            let mut publisher = Client::connect(running, connect(VERSIONS[2 - at], "publisher"));

            publisher.send(&Packet::Publish(publish("a/0", QoS::AtMostOnce, "none")));
            let message = subscriber.message();
            assert_eq!(
                (&*message.topic, message.qos, &message.payload[..]),
                ("a/0", QoS::AtMostOnce, &b"none"[..])
            );

            assert_eq!(publisher.publish(publish("a/1", QoS::AtLeastOnce, "one")), ReasonCode::Success);
            let message = subscriber.message();
            assert_eq!((&*message.topic, message.qos), ("a/1", QoS::AtLeastOnce));
            subscriber.send(&Packet::PubAck(ack(message.packet_id)));

            publisher
                .send(&Packet::Publish(Publish { packet_id: 9, ..publish("a/2", QoS::ExactlyOnce, "two") }));
            assert_eq!(publisher.receive(), Packet::PubRec(ack(9)));
            publisher.send(&Packet::PubRel(ack(9)));
            assert_eq!(publisher.receive(), Packet::PubComp(ack(9)));
            let message = subscriber.message();
            assert_eq!((&*message.topic, message.qos), ("a/2", QoS::ExactlyOnce));
            subscriber.send(&Packet::PubRec(ack(message.packet_id)));
            assert_eq!(subscriber.receive(), Packet::PubRel(ack(message.packet_id)));
            subscriber.send(&Packet::PubComp(ack(message.packet_id)));

            running.host.wait_for("all to be settled", |host| {
                (host.broker().unsettled("mqtt-subscription-subscriberqos1") == 0).then_some(())
            });
            subscriber.send(&leave());
            publisher.send(&leave());
            assert!(subscriber.rest().is_empty() && publisher.rest().is_empty());
            running.wait_for_connections(0);
        }
    });
}

#[test]
fn many_messages_in_one_segment_are_published_in_order() {
    const COUNT: usize = 5000;
    let running = Running::new();
    let mut subscriber = Client::connect(&running, connect(Version::V311, "subscriber"));
    subscriber.subscribe(&["#"], QoS::AtMostOnce);
    let mut publisher = Client::connect(&running, connect(Version::V311, "publisher"));
    let numbered = |at: usize| Packet::Publish(publish("t", QoS::AtMostOnce, at.to_string()));
    let packets: Vec<_> = (0..COUNT).map(numbered).collect();
    publisher.send_all(&packets);
    for at in 0..COUNT {
        assert_eq!(subscriber.message().payload, at.to_string());
    }
    let status = running.host.wait_for("the messages to be counted", |_| {
        let status = running.plugin.status();
        (status["messages"] == json!({ "received": COUNT, "sent": COUNT })).then_some(status)
    });
    assert_eq!(status["clients"], json!({ "3.1": 0, "3.1.1": 2, "5.0": 0 }));
    assert_eq!(running.host.metric("mqtt_messages_received_total"), Some(COUNT as i64));
}

#[test]
fn each_message_of_a_segment_is_acknowledged() {
    const COUNT: u16 = 500;
    let running = Running::new();
    let mut client = Client::connect(&running, connect(Version::V5, "publisher"));
    let numbered = |packet_id| Packet::Publish(Publish { packet_id, ..publish("t", QoS::AtLeastOnce, "x") });
    let packets: Vec<_> = (1..=COUNT).map(numbered).collect();
    client.send_all(&packets);
    for packet_id in 1..=COUNT {
        match client.receive() {
            Packet::PubAck(ack) => {
                assert_eq!((ack.packet_id, ack.reason), (packet_id, ReasonCode::NoMatchingSubscribers));
            }
            other => panic!("{other:?} instead of PUBACK"),
        }
    }
}

#[test]
fn packets_that_come_byte_by_byte_are_read() {
    let running = Running::new();
    let mut client = Client::connect(&running, connect(Version::V5, "slow"));
    client.subscribe(&["t"], QoS::AtMostOnce);
    let message = Packet::Publish(publish("t", QoS::AtMostOnce, "a message"));
    for byte in client.encode(&[message, Packet::PingReq]) {
        client.write(&[byte]);
    }
    let mut got = [client.receive(), client.receive()];
    got.sort_by_key(|packet| *packet == Packet::PingResp);
    assert!(matches!(&got[0], Packet::Publish(message) if message.payload == "a message"), "{got:?}");
    assert_eq!(got[1], Packet::PingResp);
}

#[test]
fn large_messages_pass() {
    both_ways(|running| {
        let mut client = Client::connect(running, connect(Version::V311, "large"));
        client.subscribe(&["t"], QoS::AtLeastOnce);
        for bytes in [100_000, 5_000_000] {
            let payload: Vec<u8> = (0..bytes).map(|at: u32| (at % 251) as u8).collect();
            client.send(&Packet::Publish(publish("t", QoS::AtMostOnce, payload.clone())));
            assert!(client.message().payload == payload, "{bytes} bytes");
        }
    });
}

#[test]
fn mqtt_3_3_1_retained_messages_reach_new_subscribers_also_of_wildcards() {
    both_ways(|running| {
        let mut publisher = Client::connect(running, connect(Version::V5, "publisher"));
        let retained =
            |topic: &str, payload| Publish { retain: true, ..publish(topic, QoS::AtLeastOnce, payload) };
        publisher.publish(retained("state/pump", "on"));
        publisher.publish(retained("state/valve", "open"));
        let mut subscriber = Client::connect(running, connect(Version::V311, "subscriber"));
        subscriber.subscribe(&["state/+"], QoS::AtMostOnce);
        let got: HashSet<_> = [(); 2]
            .map(|()| {
                let message = subscriber.message();
                assert!(message.retain);
                (message.topic.to_string(), message.payload)
            })
            .into();
        let expected = [("state/pump".to_owned(), "on".into()), ("state/valve".to_owned(), "open".into())];
        assert_eq!(got, expected.into());
        // An empty one takes it away, and is a message to those who are there [MQTT-3.3.1-6].
        publisher.publish(retained("state/pump", ""));
        let message = subscriber.message();
        assert!(message.payload.is_empty() && !message.retain);
        let mut late = Client::connect(running, connect(Version::V311, "late"));
        late.subscribe(&["state/#"], QoS::AtMostOnce);
        assert_eq!(late.message().topic, "state/valve");
    });
}

#[test]
fn mqtt_4_7_2_1_wildcards_do_not_match_topics_of_the_server() {
    let running = Running::new();
    let mut client = Client::connect(&running, connect(Version::V311, "a"));
    client.subscribe(&["#", "+/x"], QoS::AtMostOnce);
    client.send(&Packet::Publish(publish("$SYS/x", QoS::AtMostOnce, "hidden")));
    client.send(&Packet::Publish(publish("seen/x", QoS::AtMostOnce, "seen")));
    assert_eq!(client.message().topic, "seen/x");
    assert_eq!(client.subscribe(&["$SYS/#"], QoS::AtMostOnce), [0]);
    client.send(&Packet::Publish(publish("$SYS/x", QoS::AtMostOnce, "asked for")));
    assert_eq!(client.message().topic, "$SYS/x");
}

#[test]
fn mqtt_4_8_2_members_of_a_shared_subscription_share_its_messages() {
    both_ways(|running| {
        let mut members = ["one", "two"].map(|id| {
            let mut member = Client::connect(running, connect(Version::V5, id));
            assert_eq!(member.subscribe(&["$share/group/job/#"], QoS::AtLeastOnce), [1]);
            member
        });
        let mut publisher = Client::connect(running, connect(Version::V5, "publisher"));
        for at in 0..10 {
            publisher.publish(publish("job/x", QoS::AtLeastOnce, at.to_string()));
        }
        let mut got: Vec<_> = (0..10).map(|at| members[at % 2].message().payload).collect();
        got.sort();
        let expected: Vec<_> = (0..10).map(|at: u32| at.to_string()).collect();
        assert_eq!(got, expected, "each once, half for each");
    });
}

#[test]
fn messages_of_other_protocols_reach_mqtt() {
    let running = Running::new();
    let broker = running.host.broker();
    let mut client = Client::connect(&running, connect(Version::V311, "pump-7"));
    client.subscribe(&["from/amqp"], QoS::AtLeastOnce);
    broker.publish("amq.topic", "from.amqp", b"hello");
    let message = client.message();
    assert_eq!((&*message.topic, message.qos), ("from/amqp", QoS::AtLeastOnce));

    let seen = broker.connections().remove(0);
    assert_eq!((seen.user.as_str(), seen.client.as_str()), ("guest", "pump-7"));
    assert_eq!((&seen.info["version"], &seen.info["tls"]), (&json!("3.1.1"), &json!(false)));
    // Not acknowledged: it waits where an operator finds it.
    assert_eq!(broker.unsettled("mqtt-subscription-pump-7qos1"), 1);
}

#[test]
fn mqtt_3_3_2_properties_go_from_client_to_client() {
    let running = Running::new();
    let mut subscriber = Client::connect(&running, connect(Version::V5, "subscriber"));
    subscriber.subscribe(&["t/+"], QoS::AtMostOnce);
    let properties = || {
        Properties(vec![
            Property::ContentType("text/plain".into()),
            Property::ResponseTopic("answers/7".into()),
            Property::CorrelationData("c1".into()),
            Property::UserProperty("name".into(), "value".into()),
        ])
    };
    let mut publisher = Client::connect(&running, connect(Version::V5, "publisher"));
    publisher.publish(Publish { properties: properties(), ..publish("t/1", QoS::AtLeastOnce, "hello") });
    assert_eq!(subscriber.message().properties, properties());
}

#[test]
fn what_is_published_with_the_last_packet_is_taken() {
    let running = Running::new();
    let mut subscriber = Client::connect(&running, connect(Version::V311, "subscriber"));
    subscriber.subscribe(&["kuzzle"], QoS::AtMostOnce);
    let mut publisher = Client::open(&running, Version::V311);
    publisher.send(&Packet::Connect(Box::new(connect(Version::V311, "publisher"))));
    publisher.receive();
    publisher.send_all(&[Packet::Publish(publish("kuzzle", QoS::AtMostOnce, "{}")), leave()]);
    drop(publisher);
    assert_eq!(subscriber.message().payload, "{}");
}
