//! Subscribing, retained messages and shared subscriptions.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

mod common;

use common::{broker::client, bytes_of, net::Net, packets::*};
use kuzzle_mqtt_proto::{
    codec::{
        Packet, Properties, Property, QoS, ReasonCode, RetainHandling, SubscriptionOptions, Unsubscribe,
        Version,
    },
    session::Config,
};

#[test]
fn both_spellings_subscribe_and_the_delivery_has_slashes() {
    let mut net = net();
    let at = net.open(Version::V311);
    net.send_bytes(at, &bytes_of(r#"10 1b 0004 "MQTT" 04 02 003c 000f "mqttjs_e3d79b13""#));
    net.send_bytes(at, &bytes_of(r#"82 0e 76fb 0009 "mqtt.myId" 00"#));
    net.run();
    assert_eq!(&net.output(at)[..], bytes_of("20 02 00 00 90 03 76fb 00"));
    net.broker.publish("mqtt.myId", &[0x10, 0, 2], b"{}");
    net.run();
    assert_eq!(&net.output(at)[..], bytes_of(r#"30 0d 0009 "mqtt/myId" "{}""#));
    let slashes = net.connected(client(Version::V311, "b"));
    subscribe(&mut net, slashes, "mqtt/myId", QoS::AtMostOnce);
    net.broker.publish("mqtt.myId", &[0x10, 0, 2], b"{}");
    net.run();
    assert_eq!(one(&net.receive(slashes)).topic, "mqtt/myId");
}

#[test]
fn mqtt_3_3_1_8_overlapping_filters_deliver_once_at_the_highest_qos() {
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    let mut answers = Vec::new();
    for (filter, qos, identifier) in [("a/#", QoS::AtMostOnce, 7), ("a/b", QoS::AtLeastOnce, 200_000)] {
        let packet =
            subscribe_with(&[(filter, options(qos))], vec![Property::SubscriptionIdentifier(identifier)]);
        answers = net.exchange(at, packet);
    }
    assert_eq!(codes(&answers), [1]);
    let got = one(&net.exchange(at, Packet::Publish(message("a/b", QoS::AtLeastOnce, 1, "x"))));
    assert_eq!(got.qos, QoS::AtLeastOnce);
    let expected = [7, 200_000].map(Property::SubscriptionIdentifier);
    assert_eq!(got.properties.0, expected);
}

#[test]
fn mqtt_3_8_4_5_each_filter_has_its_code() {
    for (version, refused, invalid) in [(Version::V311, 0x80, 0x80), (Version::V5, 0x87, 0x8F)] {
        let mut net = net();
        net.broker.refused.insert("secret".to_owned(), 403);
        let at = net.connected(client(version, "a"));
        let filters =
            ["ok", "secret", "a/#/b", "a+", "", "also/ok"].map(|filter| (filter, options(QoS::ExactlyOnce)));
        let answers = net.exchange(at, subscribe_with(&filters, Vec::new()));
        assert_eq!(codes(&answers), [2, refused, invalid, invalid, invalid, 2]);
        assert!(!net.connections[at].closed);
        let answers = net.exchange(at, Packet::Publish(message("secret", QoS::AtMostOnce, 0, "x")));
        assert_eq!(answers, []);
    }
}

#[test]
fn a_refused_change_leaves_the_subscription_as_it_was() {
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    subscribe(&mut net, at, "t", QoS::AtLeastOnce);
    net.broker.refused.insert("t".to_owned(), 403);
    let answers = net.exchange(at, subscribe_with(&[("t", options(QoS::AtMostOnce))], Vec::new()));
    assert_eq!(codes(&answers), [0x87]);
    net.broker.publish("t", &[], b"x");
    net.run();
    assert_eq!(one(&net.receive(at)).qos, QoS::AtLeastOnce);
}

#[test]
fn mqtt_3_10_4_4_unsubscribe_is_always_answered() {
    for (version, expected) in [(Version::V311, vec![]), (Version::V5, vec![0x00, 0x11, 0x8F])] {
        let mut net = net();
        let at = net.connected(client(version, "a"));
        subscribe(&mut net, at, "a.b", QoS::AtMostOnce);
        let filters = vec!["a/b".into(), "unknown".into(), "#/x".into()];
        let answers = net.exchange(
            at,
            Packet::Unsubscribe(Unsubscribe { packet_id: 9, filters, properties: Properties::NONE }),
        );
        assert_eq!(codes(&answers), expected);
        assert_eq!(net.exchange(at, Packet::Publish(message("a/b", QoS::AtMostOnce, 0, "x"))), []);
    }
}

#[test]
fn mqtt_3_3_1_9_retained_messages_come_to_new_subscriptions_of_wildcards_too() {
    for version in VERSIONS {
        for filter in ["r/a", "r/+", "r/#", "#"] {
            let mut net = net();
            let at = net.connected(client(version, "a"));
            net.exchange(at, retained("r/a", "kept"));
            let answers =
                net.exchange(at, subscribe_with(&[(filter, options(QoS::AtLeastOnce))], Vec::new()));
            assert!(matches!(answers[0], Packet::SubAck(_)), "the SUBACK is first");
            let got = one(&answers);
            assert_eq!(
                (got.retain, got.qos, &got.payload[..]),
                (true, QoS::AtLeastOnce, &b"kept"[..]),
                "{filter}"
            );
            // [MQTT-3.3.1-12]: what is published live is not marked.
            assert!(!one(&net.exchange(at, retained("r/a", "live"))).retain);
            // [MQTT-3.3.1-6]: an empty one clears, and is still told.
            assert_eq!(one(&net.exchange(at, retained("r/a", ""))).payload.len(), 0);
            assert!(net.broker.retained.is_empty());
        }
    }
}

#[test]
fn mqtt_3_3_1_10_retain_handling_says_when() {
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    net.exchange(at, retained("r", "kept"));
    let mut counts = Vec::new();
    for retain_handling in
        [RetainHandling::Never, RetainHandling::IfNew, RetainHandling::Always, RetainHandling::Always]
    {
        let options = SubscriptionOptions { retain_handling, ..options(QoS::AtMostOnce) };
        let answers = net.exchange(at, subscribe_with(&[("r", options)], Vec::new()));
        counts.push(publishes(&answers).len());
    }
    assert_eq!(counts, [0, 0, 1, 1]);
    let fresh = SubscriptionOptions { retain_handling: RetainHandling::IfNew, ..options(QoS::AtMostOnce) };
    assert_eq!(publishes(&net.exchange(at, subscribe_with(&[("+", fresh)], Vec::new()))).len(), 1);
}

#[test]
fn mqtt_3_3_1_13_retain_as_published_keeps_the_flag() {
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    let options = SubscriptionOptions { retain_as_published: true, ..options(QoS::AtMostOnce) };
    net.exchange(at, subscribe_with(&[("r", options)], Vec::new()));
    assert!(one(&net.exchange(at, retained("r", "x"))).retain);
    assert!(!one(&net.exchange(at, Packet::Publish(message("r", QoS::AtMostOnce, 0, "x")))).retain);
}

#[test]
fn mqtt_3_8_3_3_no_local_leaves_out_the_clients_own() {
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    let options = SubscriptionOptions { no_local: true, ..options(QoS::AtMostOnce) };
    net.exchange(at, subscribe_with(&[("t", options)], Vec::new()));
    assert_eq!(net.exchange(at, Packet::Publish(message("t", QoS::AtMostOnce, 0, "own"))), []);
    let other = net.connected(client(Version::V5, "b"));
    net.exchange(other, Packet::Publish(message("t", QoS::AtMostOnce, 0, "theirs")));
    assert_eq!(&one(&net.receive(at)).payload[..], b"theirs");
}

#[test]
fn mqtt_3_8_3_4_no_local_on_a_shared_subscription_is_an_error() {
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    let options = SubscriptionOptions { no_local: true, ..options(QoS::AtMostOnce) };
    let answers = net.exchange(at, subscribe_with(&[("$share/g/t", options)], Vec::new()));
    assert_eq!(goodbye(&answers), Some(ReasonCode::ProtocolError));
}

#[test]
fn mqtt_4_7_2_1_wildcards_do_not_match_dollar_topics() {
    let mut net = net();
    let at = net.connected(client(Version::V311, "a"));
    subscribe(&mut net, at, "#", QoS::AtMostOnce);
    net.broker.publish("$SYS.x", &[], b"hidden");
    net.run();
    assert_eq!(net.receive(at), []);
    subscribe(&mut net, at, "$SYS/#", QoS::AtMostOnce);
    net.broker.publish("$SYS.x", &[], b"asked for");
    net.run();
    assert_eq!(one(&net.receive(at)).topic, "$SYS/x");
}

#[test]
fn mqtt_4_8_2_4_a_shared_subscription_delivers_each_message_to_one() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut net = net();
        let members: Vec<usize> = ["a", "b", "c"].map(|id| net.connected(lasting(Version::V5, id))).into();
        for &at in &members {
            subscribe(&mut net, at, "$share/g/t/+", qos);
        }
        let publisher = net.connected(client(Version::V5, "p"));
        for id in 1..=30 {
            net.exchange(publisher, Packet::Publish(message("t/1", QoS::AtLeastOnce, id, "x")));
        }
        let counts: Vec<usize> = members.iter().map(|&at| publishes(&net.receive(at)).len()).collect();
        assert_eq!(counts.iter().sum::<usize>(), 30);
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }
}

#[test]
fn a_shared_subscription_is_found_again_and_left() {
    let mut net = net();
    let at = net.connected(lasting(Version::V311, "a"));
    subscribe(&mut net, at, "$share/g/t", QoS::AtLeastOnce);
    net.lose(at);
    net.broker.publish("t", &[], b"waited");
    let at = net.open(Version::V311);
    net.send(at, &Packet::Connect(Box::new(lasting(Version::V311, "a"))));
    net.run();
    let got = one(&net.receive(at));
    assert_eq!((&*got.topic, got.qos), ("t", QoS::AtLeastOnce));
    assert_eq!(net.exchange(at, Packet::PubAck(ack(got.packet_id))), []);
    let filters = vec!["$share/g/t".into()];
    let leave = Unsubscribe { packet_id: 2, filters, properties: Properties::NONE };
    net.exchange(at, Packet::Unsubscribe(leave));
    net.broker.publish("t", &[], b"for nobody");
    net.run();
    assert_eq!(net.receive(at), []);
    net.lose(at);
    let at = net.connected(lasting(Version::V311, "a"));
    net.broker.publish("t", &[], b"for nobody");
    assert_eq!(net.exchange(at, Packet::PingReq), [Packet::PingResp]);
}

#[test]
fn an_unacknowledged_message_of_a_lost_member_goes_to_another() {
    let mut net = net();
    let first = net.connected(client(Version::V5, "a"));
    subscribe(&mut net, first, "$share/g/t", QoS::AtLeastOnce);
    net.broker.publish("t", &[], b"x");
    net.run();
    one(&net.receive(first));
    let second = net.connected(client(Version::V5, "b"));
    subscribe(&mut net, second, "$share/g/t", QoS::AtLeastOnce);
    net.lose(first);
    net.run();
    assert_eq!(&one(&net.receive(second)).payload[..], b"x");
}

#[test]
fn limits_on_subscriptions_are_told() {
    let mut net = Net::new(Config { subscriptions_max: 2, ..Config::default() });
    let at = net.connected(client(Version::V5, "a"));
    let filters = ["a", "b", "c", "a"].map(|filter| (filter, options(QoS::AtMostOnce)));
    let answers = net.exchange(at, subscribe_with(&filters, Vec::new()));
    assert_eq!(codes(&answers), [0, 0, 0x97, 0]);
}

#[test]
fn a_shared_queue_that_was_deleted_is_made_again() {
    let mut net = net();
    let at = net.connected(lasting(Version::V311, "a"));
    subscribe(&mut net, at, "$share/g/t", QoS::AtLeastOnce);
    net.broker.delete_queue("mqtt-share-g/t");
    net.run();
    net.broker.publish("t", &[], b"x");
    net.run();
    assert_eq!(&one(&net.receive(at)).payload[..], b"x");
}

#[test]
fn a_session_cannot_go_on_without_its_queue() {
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    net.broker.delete_queue("mqtt-subscription-aqos1");
    net.run();
    assert_eq!(goodbye(&net.receive(at)), Some(ReasonCode::AdministrativeAction));
    assert!(net.connections[at].closed);
}

#[test]
fn a_shared_subscription_may_change_its_qos() {
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    subscribe(&mut net, at, "$share/g/t", QoS::AtMostOnce);
    subscribe(&mut net, at, "$share/g/t", QoS::AtLeastOnce);
    net.broker.publish("t", &[], b"x");
    net.run();
    assert_eq!(one(&net.receive(at)).qos, QoS::AtLeastOnce);
}

#[test]
fn a_refused_shared_subscription_is_not_there() {
    let mut net = net();
    net.broker.refused.insert("t".to_owned(), 403);
    let at = net.connected(lasting(Version::V5, "a"));
    let answers = net.exchange(at, subscribe_with(&[("$share/g/t", options(QoS::AtLeastOnce))], Vec::new()));
    assert_eq!(codes(&answers), [0x87]);
    let filters = vec!["$share/g/t".into()];
    let leave = Unsubscribe { packet_id: 2, filters, properties: Properties::NONE };
    assert_eq!(codes(&net.exchange(at, Packet::Unsubscribe(leave))), [0x11]);
}

#[test]
fn a_subscription_of_qos_0_keeps_nothing_for_an_offline_session() {
    let mut net = net();
    let at = net.connected(lasting(Version::V311, "a"));
    subscribe(&mut net, at, "t", QoS::AtMostOnce);
    net.lose(at);
    net.broker.publish("t", &[], b"missed");
    let at = net.connected(lasting(Version::V311, "a"));
    net.broker.publish("t", &[], b"live");
    net.run();
    let got = one(&net.receive(at));
    assert_eq!((&got.payload[..], got.qos), (&b"live"[..], QoS::AtMostOnce));
    assert_eq!(net.broker.unsettled("a"), 0);
}
