//! Publishing and delivering.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

mod common;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{broker::client, decode_all, encode, net::Net, packets::*};
use kuzzle_mqtt_proto::{
    codec::{Ack, Connect, Packet, Properties, Property, Publish, QoS, ReasonCode, Version},
    session::{Action, Config, Delivery, End, Event, Outcome, Session, Settlement},
};

#[test]
fn mqtt_4_3_1_1_qos_0_is_delivered_at_most_once() {
    for version in VERSIONS {
        let mut net = net();
        let at = net.connected(client(version, "a"));
        subscribe(&mut net, at, "a/b", QoS::ExactlyOnce);
        let got = one(&net.exchange(at, Packet::Publish(message("a/b", QoS::AtMostOnce, 0, "x"))));
        assert_eq!(
            (got.qos, got.dup, got.retain, &got.payload[..]),
            (QoS::AtMostOnce, false, false, &b"x"[..])
        );
        assert_eq!(&net.broker.routed[0].properties[..], expected_properties(0));
    }
}

#[test]
fn mqtt_4_3_2_2_qos_1_is_acknowledged_both_ways() {
    for version in VERSIONS {
        let mut net = net();
        let at = net.connected(client(version, "a"));
        subscribe(&mut net, at, "a", QoS::AtLeastOnce);
        let answers = net.exchange(at, Packet::Publish(message("a", QoS::AtLeastOnce, 77, "x")));
        assert!(answers.contains(&Packet::PubAck(ack(77))), "{answers:?}");
        let got = one(&answers);
        assert_eq!((got.qos, got.dup), (QoS::AtLeastOnce, false));
        assert_eq!(net.exchange(at, Packet::PubAck(ack(got.packet_id))), []);
        // Settled: it does not come again.
        net.lose(at);
        assert_eq!(&net.broker.routed[0].properties[..], expected_properties(1));
    }
}

#[test]
fn mqtt_4_3_3_qos_2_is_real_both_ways() {
    for version in VERSIONS {
        for connect in [client(version, "a"), lasting(version, "a")] {
            let mut net = net();
            let at = net.connected(connect);
            subscribe(&mut net, at, "a", QoS::ExactlyOnce);
            let answers = net.exchange(at, Packet::Publish(message("a", QoS::ExactlyOnce, 5, "x")));
            assert!(answers.contains(&Packet::PubRec(ack(5))), "{answers:?}");
            let got = one(&answers);
            assert_eq!(got.qos, QoS::ExactlyOnce);
            // The same again, before PUBREL: answered, and not published.
            let mut again = message("a", QoS::ExactlyOnce, 5, "x");
            again.dup = true;
            assert_eq!(net.exchange(at, Packet::Publish(again)), [Packet::PubRec(ack(5))]);
            assert_eq!(net.exchange(at, Packet::PubRel(ack(5))), [Packet::PubComp(ack(5))]);
            // The subscriber's side.
            let id = got.packet_id;
            assert_eq!(net.exchange(at, Packet::PubRec(ack(id))), [Packet::PubRel(ack(id))]);
            assert_eq!(net.exchange(at, Packet::PubRec(ack(id))), [Packet::PubRel(ack(id))]);
            assert_eq!(net.exchange(at, Packet::PubComp(ack(id))), []);
            // The identifier may be used anew.
            let answers = net.exchange(at, Packet::Publish(message("a", QoS::ExactlyOnce, 5, "y")));
            assert!(answers.contains(&Packet::PubRec(ack(5))));
            assert_eq!(net.broker.routed.len(), 2);
        }
    }
}

#[test]
fn mqtt_4_3_3_10_a_qos_2_message_is_not_published_twice_over_two_connections() {
    for version in VERSIONS {
        let mut net = net();
        let at = net.connected(lasting(version, "a"));
        net.exchange(at, Packet::Publish(message("a", QoS::ExactlyOnce, 5, "x")));
        net.lose(at);
        let at = net.connected(lasting(version, "a"));
        let mut again = message("a", QoS::ExactlyOnce, 5, "x");
        again.dup = true;
        assert_eq!(net.exchange(at, Packet::Publish(again)), [Packet::PubRec(ack(5))]);
        assert_eq!(net.broker.routed.len(), 1);
        net.lose(at);
        let at = net.connected(lasting(version, "a"));
        assert_eq!(net.exchange(at, Packet::PubRel(ack(5))), [Packet::PubComp(ack(5))]);
        assert!(net.broker.sessions["a"].remembered.is_empty());
    }
}

#[test]
fn mqtt_4_4_0_1_unacknowledged_messages_come_again_with_dup_and_their_identifier() {
    for version in VERSIONS {
        let mut net = net();
        let at = net.connected(lasting(version, "a"));
        subscribe(&mut net, at, "#", QoS::ExactlyOnce);
        let first = one(&net.exchange(at, Packet::Publish(message("one", QoS::AtLeastOnce, 1, "1"))));
        let second = one(&net.exchange(at, Packet::Publish(message("two", QoS::ExactlyOnce, 2, "2"))));
        let third = one(&net.exchange(at, Packet::Publish(message("three", QoS::ExactlyOnce, 3, "3"))));
        net.exchange(at, Packet::PubRec(ack(third.packet_id)));
        net.lose(at);
        let at = net.open(version);
        net.send(at, &Packet::Connect(Box::new(lasting(version, "a"))));
        net.run();
        let answers = net.receive(at);
        let expected = [first, second].map(|publish| Publish { dup: true, ..publish });
        assert_eq!(publishes(&answers), expected);
        assert_eq!(answers.last(), Some(&Packet::PubRel(ack(third.packet_id))));
        assert_eq!(net.exchange(at, Packet::PubComp(ack(third.packet_id))), []);
    }
}

#[test]
fn messages_wait_for_an_offline_session() {
    let mut net = net();
    let at = net.connected(lasting(Version::V311, "a"));
    subscribe(&mut net, at, "t/#", QoS::AtLeastOnce);
    net.lose(at);
    net.broker.publish("t.1", &expected_properties(0), b"zero");
    net.broker.publish("t.2", &[0x10, 0, 2], b"amqp");
    let at = net.open(Version::V311);
    net.send(at, &Packet::Connect(Box::new(lasting(Version::V311, "a"))));
    net.run();
    let got = publishes(&net.receive(at));
    let seen: Vec<_> = got.iter().map(|publish| (&*publish.topic, publish.qos, publish.dup)).collect();
    assert_eq!(seen, [("t/1", QoS::AtMostOnce, false), ("t/2", QoS::AtLeastOnce, false)]);
}

#[test]
fn mqtt_3_3_2_12_topic_aliases_of_the_client_stand_for_topics() {
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    subscribe(&mut net, at, "#", QoS::AtMostOnce);
    for (topic, alias, expected) in
        [("a/b", 1, "a/b"), ("", 1, "a/b"), ("c", 32, "c"), ("", 32, "c"), ("d", 1, "d"), ("", 1, "d")]
    {
        let answers = net.exchange(at, publish_with(topic, vec![Property::TopicAlias(alias)]));
        assert_eq!(one(&answers).topic, expected);
    }
}

#[test]
fn mqtt_3_3_2_9_topic_aliases_have_a_maximum() {
    for (topic, properties, reason) in [
        ("a", vec![Property::TopicAlias(33)], ReasonCode::TopicAliasInvalid),
        ("", vec![Property::TopicAlias(3)], ReasonCode::ProtocolError),
        ("", vec![], ReasonCode::ProtocolError),
        ("a", vec![Property::SubscriptionIdentifier(1)], ReasonCode::ProtocolError),
    ] {
        let mut net = net();
        let at = net.connected(client(Version::V5, "a"));
        let answers = net.exchange(at, publish_with(topic, properties));
        assert_eq!(goodbye(&answers), Some(reason), "{topic}");
    }
}

#[test]
fn mqtt_3_1_2_26_topic_aliases_are_set_for_a_client_up_to_its_maximum() {
    let mut net = net();
    let properties = Properties(vec![Property::TopicAliasMaximum(1)]);
    let at = net.connected(Connect { properties, ..client(Version::V5, "a") });
    subscribe(&mut net, at, "#", QoS::AtMostOnce);
    let mut seen = Vec::new();
    for topic in ["one", "one", "two", "one"] {
        let got = one(&net.exchange(at, Packet::Publish(message(topic, QoS::AtMostOnce, 0, "x"))));
        seen.push((got.topic.to_string(), got.properties.0));
    }
    let alias = || vec![Property::TopicAlias(1)];
    let expected = [("one", alias()), ("", alias()), ("two", vec![]), ("", alias())]
        .map(|(topic, p)| (topic.to_owned(), p));
    assert_eq!(seen, expected);
}

#[test]
fn mqtt_3_3_2_15_properties_of_a_message_arrive_unaltered() {
    let sent = vec![
        Property::PayloadFormatIndicator(true),
        Property::ContentType("text/plain".into()),
        Property::ResponseTopic("answers/a".into()),
        Property::CorrelationData(Bytes::from_static(&[0xFF, 0])),
        Property::UserProperty("b".into(), "2".into()),
        Property::UserProperty("a".into(), "1".into()),
        Property::UserProperty("b".into(), "3".into()),
    ];
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    let old = net.connected(client(Version::V311, "b"));
    subscribe(&mut net, at, "t", QoS::AtLeastOnce);
    subscribe(&mut net, old, "t", QoS::AtLeastOnce);
    assert_eq!(one(&net.exchange(at, publish_with("t", sent.clone()))).properties.0, sent);
    assert_eq!(&one(&net.receive(old)).payload[..], b"x");
}

#[test]
fn mqtt_3_3_2_6_the_expiry_that_is_left_is_told() {
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    subscribe(&mut net, at, "t", QoS::AtMostOnce);
    net.expires_in = Some(Duration::from_millis(6500));
    let got = one(&net.exchange(at, publish_with("t", vec![Property::MessageExpiryInterval(10)])));
    assert_eq!(got.properties.0, [Property::MessageExpiryInterval(7)]);
    // [MQTT-3.3.2-5]: one that has expired is not sent.
    net.expires_in = Some(Duration::ZERO);
    assert_eq!(net.exchange(at, publish_with("t", vec![Property::MessageExpiryInterval(10)])), []);
    assert!(net.broker.routed[0].properties.ends_with(b"\x0510000"));
}

#[test]
fn mqtt_3_1_2_24_packets_above_the_clients_maximum_are_not_sent() {
    let mut net = net();
    let properties = Properties(vec![Property::MaximumPacketSize(40)]);
    let at = net.connected(Connect { properties, ..client(Version::V5, "a") });
    subscribe(&mut net, at, "t", QoS::AtLeastOnce);
    net.broker.publish("t", &[], &[b'x'; 100]);
    net.broker.publish("t", &[], b"small");
    net.run();
    // [MQTT-3.1.2-25]: as if it had been sent.
    assert_eq!(&one(&net.receive(at)).payload[..], b"small");
}

#[test]
fn mqtt_3_3_4_9_the_clients_receive_maximum_is_kept() {
    let mut net = net();
    let properties = Properties(vec![Property::ReceiveMaximum(2)]);
    let at = net.connected(Connect { properties, ..client(Version::V5, "a") });
    subscribe(&mut net, at, "t", QoS::ExactlyOnce);
    for _ in 0..5 {
        net.broker.publish("t", &[], b"x");
    }
    net.run();
    let mut got = publishes(&net.receive(at));
    assert_eq!(got.len(), 2);
    let mut total = 2;
    while let Some(publish) = got.pop() {
        let more = publishes(&net.exchange(at, Packet::PubAck(ack(publish.packet_id))));
        assert!(more.len() <= 1);
        total += more.len();
        got.extend(more);
    }
    assert_eq!(total, 5);
}

#[test]
fn mqtt_3_3_4_7_the_servers_receive_maximum_is_kept() {
    let mut net = Net::new(Config { receive_maximum: 2, ..Config::default() });
    net.broker.holds_confirms = true;
    let at = net.connected(client(Version::V5, "a"));
    for id in 1..=2 {
        net.exchange(at, Packet::Publish(message("t", QoS::ExactlyOnce, id, "x")));
    }
    net.broker.confirm(at, 2);
    net.run();
    let received = net.receive(at);
    assert!(
        matches!(&received[..], [Packet::PubRec(one), Packet::PubRec(two)] if (one.packet_id, two.packet_id) == (1, 2))
    );
    // Not acknowledged until PUBCOMP.
    let answers = net.exchange(at, Packet::Publish(message("t", QoS::AtLeastOnce, 3, "x")));
    assert_eq!(goodbye(&answers), Some(ReasonCode::ReceiveMaximumExceeded));
}

#[test]
fn a_client_before_5_is_not_read_from_while_the_broker_lags() {
    let mut net = Net::new(Config { receive_maximum: 2, ..Config::default() });
    net.broker.holds_confirms = true;
    let at = net.connected(client(Version::V311, "a"));
    for id in 1..=4 {
        net.send(at, &Packet::Publish(message("t", QoS::AtLeastOnce, id, "x")));
    }
    net.run();
    assert_eq!(net.broker.routed.len(), 2);
    assert!(!net.connections[at].session.wants_input());
    // Its silence is ours.
    net.wait(10_000);
    assert!(!net.connections[at].closed);
    net.broker.confirm(at, 2);
    net.run();
    net.broker.confirm(at, 4);
    net.run();
    assert_eq!(net.receive(at), [1, 2, 3, 4].map(|id| Packet::PubAck(ack(id))));
}

#[test]
fn mqtt_4_6_0_2_acknowledgements_keep_the_order_of_the_messages() {
    let mut net = net();
    net.broker.refused.insert("no".to_owned(), 506);
    net.broker.holds_confirms = true;
    let at = net.connected(client(Version::V5, "a"));
    for (id, topic) in [(1, "yes"), (2, "no"), (3, "yes")] {
        net.send(at, &Packet::Publish(message(topic, QoS::AtLeastOnce, id, "x")));
    }
    net.run();
    assert_eq!(net.receive(at), [], "the refusal waits for the first");
    net.broker.confirm(at, 3);
    net.run();
    let got: Vec<_> = net
        .receive(at)
        .into_iter()
        .map(|packet| match packet {
            Packet::PubAck(ack) => (ack.packet_id, ack.reason),
            other => panic!("{other:?}"),
        })
        .collect();
    let nobody = ReasonCode::NoMatchingSubscribers;
    assert_eq!(got, [(1, nobody), (2, ReasonCode::QuotaExceeded), (3, nobody)]);
}

#[test]
fn mqtt_4_3_3_9_a_message_that_comes_twice_before_its_pubrec_is_published_once() {
    for connect in [client(Version::V311, "a"), lasting(Version::V5, "a")] {
        let mut net = net();
        net.broker.holds_confirms = true;
        let at = net.connected(connect);
        net.exchange(at, Packet::Publish(message("t", QoS::ExactlyOnce, 5, "x")));
        let again = Publish { dup: true, ..message("t", QoS::ExactlyOnce, 5, "x") };
        assert_eq!(net.exchange(at, Packet::Publish(again)), []);
        assert_eq!(net.broker.routed.len(), 1);
        net.broker.confirm(at, 1);
        net.run();
        let answers = net.receive(at);
        assert!(matches!(&answers[..], [Packet::PubRec(ack)] if ack.packet_id == 5));
    }
}

#[test]
fn a_refusal_needs_no_confirmation() {
    let mut net = net();
    net.broker.refused.insert("no".to_owned(), 506);
    net.broker.holds_confirms = true;
    let at = net.connected(client(Version::V5, "a"));
    let answers = net.exchange(at, Packet::Publish(message("no", QoS::AtLeastOnce, 1, "x")));
    assert!(matches!(&answers[..], [Packet::PubAck(ack)] if ack.reason == ReasonCode::QuotaExceeded));
}

#[test]
fn mqtt_3_3_5_2_a_publish_that_is_not_allowed_is_told_or_closes() {
    let mut net = net();
    net.broker.refused.insert("secret".to_owned(), 403);
    let at = net.connected(client(Version::V5, "a"));
    for (qos, refused) in [(QoS::AtLeastOnce, PacketKind::PubAck), (QoS::ExactlyOnce, PacketKind::PubRec)] {
        let answers = net.exchange(at, Packet::Publish(message("secret", qos, 4, "x")));
        let (kind, ack) = match &answers[0] {
            Packet::PubAck(ack) => (PacketKind::PubAck, ack),
            Packet::PubRec(ack) => (PacketKind::PubRec, ack),
            other => panic!("{other:?}"),
        };
        assert_eq!((kind, ack.packet_id, ack.reason), (refused, 4, ReasonCode::NotAuthorized));
    }
    let at = net.connected(client(Version::V311, "b"));
    assert_eq!(net.exchange(at, Packet::Publish(message("secret", QoS::AtLeastOnce, 4, "x"))), []);
    assert!(net.connections[at].closed);
    assert!(matches!(
        net.connections[at].session.end(),
        Some(End::Closed { reason: ReasonCode::NotAuthorized, .. })
    ));
}

#[derive(Debug, PartialEq)]
enum PacketKind {
    PubAck,
    PubRec,
}

#[test]
fn mqtt_3_4_2_1_nobody_subscribes_is_told() {
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    let answers = net.exchange(at, Packet::Publish(message("t", QoS::AtLeastOnce, 4, "x")));
    let reason = ReasonCode::NoMatchingSubscribers;
    assert_eq!(answers, [Packet::PubAck(Ack { reason, ..ack(4) })]);
    let old = net.connected(client(Version::V311, "b"));
    let answers = net.exchange(old, Packet::Publish(message("t", QoS::AtLeastOnce, 4, "x")));
    assert_eq!(answers, [Packet::PubAck(ack(4))]);
}

#[test]
fn unknown_identifiers_are_answered_where_there_is_an_answer() {
    for version in VERSIONS {
        let mut net = net();
        let at = net.connected(client(version, "a"));
        let missing = match version {
            Version::V5 => ReasonCode::PacketIdentifierNotFound,
            _ => ReasonCode::Success,
        };
        assert_eq!(net.exchange(at, Packet::PubAck(ack(9))), []);
        assert_eq!(net.exchange(at, Packet::PubComp(ack(9))), []);
        let answers = net.exchange(at, Packet::PubRec(ack(9)));
        assert!(matches!(&answers[..], [Packet::PubRel(ack)] if ack.packet_id == 9 && ack.reason == missing));
        let answers = net.exchange(at, Packet::PubRel(ack(9)));
        assert!(
            matches!(&answers[..], [Packet::PubComp(ack)] if ack.packet_id == 9 && ack.reason == missing)
        );
    }
}

#[test]
fn mqtt_4_3_3_1_acknowledgements_of_another_qos_are_errors() {
    for (qos, wrong) in [
        (QoS::AtLeastOnce, Packet::PubRec as fn(Ack) -> Packet),
        (QoS::ExactlyOnce, Packet::PubAck),
        (QoS::ExactlyOnce, Packet::PubComp),
    ] {
        let mut net = net();
        let at = net.connected(client(Version::V5, "a"));
        subscribe(&mut net, at, "t", qos);
        let got = one(&net.exchange(at, Packet::Publish(message("t", qos, 1, "x"))));
        let answers = net.exchange(at, wrong(ack(got.packet_id)));
        assert_eq!(goodbye(&answers), Some(ReasonCode::ProtocolError));
    }
}

#[test]
fn request_problem_information_0_means_no_texts() {
    for (wanted, texts) in [(true, 1), (false, 0)] {
        let mut net = net();
        net.broker.refused.insert("secret".to_owned(), 403);
        let properties = Properties(vec![Property::RequestProblemInformation(wanted)]);
        let at = net.connected(Connect { properties, ..client(Version::V5, "a") });
        let answers = net.exchange(at, Packet::Publish(message("secret", QoS::AtLeastOnce, 4, "x")));
        assert!(matches!(&answers[..], [Packet::PubAck(ack)] if ack.properties.0.len() == texts));
    }
}

#[test]
fn a_throttled_client_is_not_read_from_and_loses_nothing() {
    let mut net = net();
    net.broker.takes = Some(1);
    let at = net.connected(lasting(Version::V311, "a"));
    subscribe(&mut net, at, "alarm", QoS::AtLeastOnce);
    for id in 1..=5 {
        net.send(at, &Packet::Publish(message("t", QoS::AtLeastOnce, id, "x")));
    }
    net.run();
    assert!(!net.connections[at].session.wants_input());
    assert_eq!(net.broker.routed.len(), 1);
    // What is delivered meanwhile is settled, and not held up behind what waits.
    net.broker.publish("alarm", &expected_properties(0), b"x");
    net.run();
    let answers = net.receive(at);
    assert_eq!(answers[0], Packet::PubAck(ack(1)));
    assert_eq!(one(&answers).qos, QoS::AtMostOnce);
    assert_eq!(net.broker.unsettled("a"), 0);
    net.wait(10_000);
    net.unblock(at);
    let answers = net.receive(at);
    assert_eq!(answers, [2, 3, 4, 5].map(|id| Packet::PubAck(ack(id))));
    assert_eq!(net.broker.routed.len(), 6);
}

#[test]
fn keys_that_are_no_topics_are_not_delivered() {
    let mut net = net();
    let at = net.connected(client(Version::V311, "a"));
    subscribe(&mut net, at, "#", QoS::AtLeastOnce);
    for key in ["", "a.+", "b.#", "sensor/temp", "a*"] {
        net.broker.publish(key, &[], b"x");
    }
    net.run();
    let topics: Vec<String> = publishes(&net.receive(at)).iter().map(|p| p.topic.to_string()).collect();
    assert_eq!(topics, ["sensor/temp", "a*"]);
}

#[test]
fn input_waits_while_much_is_to_be_done() {
    let config = Config { actions_max: 10, publish_batch_max: 4, ..Config::default() };
    let mut session = Session::new(config.into(), 1, Duration::ZERO);
    let mut input = BytesMut::new();
    Packet::Connect(Box::new(client(Version::V311, "a"))).encode(Version::V311, &mut input).unwrap();
    session.handle_input(&mut input, Duration::ZERO);
    session.handle_event(Event::Authenticated { status: 200 }, Duration::ZERO);
    session.handle_event(Event::Entered { code: 200 }, Duration::ZERO);
    for op in [1, 2] {
        session.handle_event(Event::Answer { op, code: 200, existed: false, text: "q" }, Duration::ZERO);
    }
    while session.poll_action().is_some() {}
    for _ in 0..25 {
        let publish = Packet::Publish(message("t/1", QoS::AtMostOnce, 0, "x"));
        publish.encode(Version::V311, &mut input).unwrap();
    }
    let (mut rounds, mut sizes) = (0, Vec::new());
    loop {
        rounds += 1;
        let goes_on = session.handle_input(&mut input, Duration::ZERO);
        while let Some(action) = session.poll_action() {
            let Action::Publish(batch) = action else { panic!("{action:?}") };
            assert_eq!(batch.first_sequence as usize, sizes.iter().sum::<usize>() + 1);
            sizes.push(batch.messages.len());
        }
        if !goes_on {
            break;
        }
    }
    assert_eq!((rounds, sizes), (3, vec![4, 4, 2, 4, 4, 2, 4, 1]));
}

#[test]
fn a_slow_reader_is_not_read_from() {
    let mut net = Net::new(Config { output_high_water_bytes: 100, ..Config::default() });
    let at = net.connected(client(Version::V311, "a"));
    for _ in 0..1000 {
        net.send(at, &Packet::PingReq);
    }
    net.run();
    assert!(net.connections[at].session.output().len() < 110);
    let mut pongs = 0;
    loop {
        let got = net.receive(at).len();
        pongs += got;
        if got == 0 {
            break;
        }
        net.run();
    }
    assert_eq!(pongs, 1001 - 1);
}

#[test]
fn many_deliveries_leave_in_one_buffer() {
    let mut net = net();
    let at = net.connected(client(Version::V311, "a"));
    subscribe(&mut net, at, "t/#", QoS::AtMostOnce);
    for size in [0, 1, 119, 120, 121, 122, 123, 124, 125, 126, 16_377, 16_378, 16_379, 16_380, 2_097_150] {
        net.broker.publish("t.x", &[], &vec![b'x'; size]);
        net.run();
        let bytes = net.output(at);
        let packets = decode_all(&bytes, Version::V311);
        assert_eq!(one(&packets).payload.len(), size);
    }
}

#[test]
fn a_client_that_never_reads_ends_with_its_keep_alive() {
    let mut net = Net::new(Config { output_high_water_bytes: 100, ..Config::default() });
    let at = net.connected(Connect { keep_alive_secs: 10, ..client(Version::V311, "a") });
    for _ in 0..1000 {
        net.send(at, &Packet::PingReq);
    }
    net.run();
    net.wait(14);
    assert!(!net.connections[at].closed);
    net.wait(1);
    assert!(net.connections[at].closed);
    let end = net.connections[at].session.end();
    assert!(matches!(end, Some(End::Closed { reason: ReasonCode::QuotaExceeded, .. })), "{end:?}");
}

#[test]
fn a_session_that_ends_with_this_connection_still_knows_what_came_over_the_one_before() {
    let mut net = net();
    let at = net.connected(lasting(Version::V5, "a"));
    net.exchange(at, Packet::Publish(message("a", QoS::ExactlyOnce, 5, "x")));
    net.lose(at);
    let at = net.connected(Connect { clean_start: false, ..client(Version::V5, "a") });
    let again = Publish { dup: true, ..message("a", QoS::ExactlyOnce, 5, "x") };
    assert_eq!(net.exchange(at, Packet::Publish(again)), [Packet::PubRec(ack(5))]);
    assert_eq!(net.broker.routed.len(), 1);
    assert_eq!(net.exchange(at, Packet::PubRel(ack(5))), [Packet::PubComp(ack(5))]);
    assert!(net.broker.sessions["a"].remembered.is_empty());
}

/// A session of a client that stays, with nothing to do.
fn lasting_session() -> Session {
    let mut session = Session::new(Config::default().into(), 1, Duration::ZERO);
    let mut input = encode(&Packet::Connect(Box::new(lasting(Version::V5, "a"))), Version::V5);
    session.handle_input(&mut input, Duration::ZERO);
    session.handle_event(Event::Authenticated { status: 200 }, Duration::ZERO);
    session.handle_event(Event::Entered { code: 200 }, Duration::ZERO);
    for op in [1, 2] {
        session.handle_event(Event::Answer { op, code: 200, existed: false, text: "q" }, Duration::ZERO);
    }
    while session.poll_action().is_some() {}
    session.output().clear();
    session
}

#[test]
fn mqtt_4_3_3_11_pubcomp_waits_for_the_broker_to_forget() {
    for (code, answered) in [(200, true), (541, false)] {
        let mut session = lasting_session();
        let mut input = encode(&Packet::Publish(message("a", QoS::ExactlyOnce, 5, "x")), Version::V5);
        session.handle_input(&mut input, Duration::ZERO);
        let Some(Action::Publish(batch)) = session.poll_action() else { panic!("no publish") };
        assert_eq!(batch.messages[0].dedupe, 5);
        session.handle_event(Event::Confirmed { up_to: 1 }, Duration::ZERO);
        session.output().clear();
        input.extend_from_slice(&encode(&Packet::PubRel(ack(5)), Version::V5));
        session.handle_input(&mut input, Duration::ZERO);
        assert_eq!(session.poll_action(), Some(Action::Forget { op: 3, keys: vec![5] }));
        assert!(session.output().is_empty());
        session.handle_event(Event::Answer { op: 3, code, existed: true, text: "" }, Duration::ZERO);
        let answers = decode_all(session.output(), Version::V5);
        assert_eq!(answers == [Packet::PubComp(ack(5))], answered);
        assert_eq!(session.end().is_none(), answered);
    }
}

#[test]
fn mqtt_4_3_3_4_pubrel_waits_for_the_broker_to_remember() {
    let mut session = lasting_session();
    let properties = expected_properties(2);
    let delivery = Delivery {
        delivery: 1,
        consumer: 1,
        tag: 9,
        redelivered: true,
        retained: false,
        received: false,
        settled: false,
        binding: 4,
        more_bindings: &[],
        routing_key: "t",
        properties: &properties,
        body: b"x",
        published_retained: false,
        expires_in: None,
    };
    session.handle_event(Event::Delivery(delivery), Duration::ZERO);
    // Begun with a subscription that is gone: completed, with its identifier and QoS.
    let got = one(&decode_all(session.output(), Version::V5));
    assert_eq!((got.packet_id, got.qos, got.dup), (9, QoS::ExactlyOnce, true));
    session.output().clear();
    let mut input = encode(&Packet::PubRec(ack(9)), Version::V5);
    session.handle_input(&mut input, Duration::ZERO);
    let settlements = vec![Settlement { delivery: 1, outcome: Outcome::Received }];
    assert_eq!(session.poll_action(), Some(Action::Settle { op: 3, settlements }));
    assert!(session.output().is_empty());
    session.handle_event(Event::Answer { op: 3, code: 200, existed: false, text: "" }, Duration::ZERO);
    assert_eq!(decode_all(session.output(), Version::V5), [Packet::PubRel(ack(9))]);
}
