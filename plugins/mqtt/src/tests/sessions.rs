//! From CONNECT to the end, and what outlives it.

use bytes::Bytes;
use kuzzle_mqtt_proto::codec::{
    Connect, Disconnect, Packet, Properties, Property, QoS, ReasonCode, Version, Will,
};

use kuzzle_plugin_testing::FakeHost;

use super::{
    Running, both_ways,
    client::{Client, VERSIONS, ack, connect, leave, publish},
};

fn with_will(connect: Connect) -> Connect {
    let will = Will {
        topic: "will".into(),
        payload: Bytes::from_static(b"gone"),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::NONE,
    };
    Connect { will: Some(Box::new(will)), ..connect }
}

/// A client that keeps its session.
fn lasting(version: Version, client_id: &str) -> Connect {
    let properties = match version {
        Version::V5 => Properties(vec![Property::SessionExpiryInterval(3600)]),
        _ => Properties::NONE,
    };
    Connect { clean_start: false, properties, ..connect(version, client_id) }
}

/// One who is told of wills.
fn heir(running: &Running) -> Client {
    let mut heir = Client::connect(running, connect(Version::V311, "heir"));
    heir.subscribe(&["will"], QoS::AtMostOnce);
    heir
}

#[test]
fn mqtt_3_1_2_who_a_client_is_decides_whether_it_may_connect() {
    let running = Running::new();
    let code = |version, username: Option<&str>, password: Option<&str>| {
        let (mut client, answer) = Client::ask(
            &running,
            Connect {
                username: username.map(Into::into),
                password: password.map(|text| Bytes::copy_from_slice(text.as_bytes())),
                ..connect(version, "a")
            },
        );
        if answer.code != 0 {
            assert!(client.rest().is_empty());
        }
        answer.code
    };
    for (version, refused) in [(Version::V31, 4), (Version::V311, 4), (Version::V5, 0x86)] {
        assert_eq!(code(version, None, None), 0);
        assert_eq!(code(version, Some("guest"), Some("guest")), 0);
        assert_eq!(code(version, Some("/:me"), Some("secret")), 0);
        assert_eq!(code(version, Some("me"), Some("guess")), refused);
        assert_eq!(code(version, Some("nowhere:guest"), Some("guest")), refused, "no such virtual host");
    }
    let refusals = running.host.wait_for("the refusals to be counted", |host| {
        host.metric("mqtt_connects_refused_total").filter(|count| *count == 6)
    });
    assert_eq!(refusals, 6);
    let line = running.host.wait_for_log("connection closed: the client broke the protocol");
    assert!(!line.fields.to_string().contains("guess"), "no password in a log");
}

#[test]
fn mqtt_3_1_3_6_a_client_without_identifier_gets_one_of_its_own() {
    let running = Running::new();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (client, answer) = Client::ask(&running, connect(Version::V5, ""));
        let assigned = answer.properties.iter().find_map(|property| match property {
            Property::AssignedClientIdentifier(id) => Some(id.to_string()),
            _ => None,
        });
        ids.push((assigned.expect("it is told"), client));
    }
    assert_ne!(ids[0].0, ids[1].0);
}

#[test]
fn mqtt_3_1_2_8_the_will_of_a_lost_client_is_published() {
    both_ways(|running| {
        let mut heir = heir(running);
        let lost = Client::connect(running, with_will(connect(Version::V311, "lost")));
        drop(lost);
        let message = heir.message();
        assert_eq!((&*message.topic, &message.payload[..]), ("will", &b"gone"[..]));
    });
}

#[test]
fn mqtt_3_1_2_10_the_will_of_a_client_that_leaves_is_not() {
    let running = Running::new();
    let mut heir = heir(&running);
    for reason in [ReasonCode::Success, ReasonCode::DisconnectWithWill] {
        let mut client = Client::connect(&running, with_will(connect(Version::V5, "leaves")));
        let disconnect = Disconnect { reason, properties: Properties::NONE };
        client.send(&Packet::Disconnect(disconnect));
        assert!(client.rest().is_empty());
        running.wait_for_connections(1);
        if reason == ReasonCode::DisconnectWithWill {
            assert_eq!(heir.message().topic, "will");
        }
        for _ in 0..2 {
            heir.send(&Packet::PingReq);
            assert_eq!(heir.receive(), Packet::PingResp);
        }
    }
}

#[test]
fn mqtt_3_1_4_3_a_client_takes_its_identifier_over() {
    both_ways(|running| {
        let mut heir = heir(running);
        for version in VERSIONS {
            let mut first = Client::connect(running, with_will(connect(version, "twice")));
            let mut second = Client::connect(running, connect(version, "twice"));
            let rest = first.rest();
            match version {
                Version::V5 => assert!(
                    matches!(
                        &rest[..],
                        [Packet::Disconnect(Disconnect { reason: ReasonCode::SessionTakenOver, .. })]
                    ),
                    "{rest:?}"
                ),
                _ => assert!(rest.is_empty(), "{rest:?}"),
            }
            assert_eq!(heir.message().topic, "will");
            second.send(&Packet::PingReq);
            assert_eq!(second.receive(), Packet::PingResp);
        }
    });
}

#[test]
fn mqtt_4_4_a_session_finds_what_it_missed_and_what_it_had_not_acknowledged() {
    both_ways(|running| {
        for version in VERSIONS {
            let (mut client, answer) = Client::ask(running, lasting(version, "lasting"));
            assert!(!answer.session_present);
            client.subscribe(&["a/#"], QoS::ExactlyOnce);
            let mut publisher = Client::connect(running, connect(Version::V5, "publisher"));
            publisher.publish(publish("a/1", QoS::AtLeastOnce, "unacknowledged"));
            let first = client.message();
            drop(client);
            running.wait_for_connections(1);
            publisher.publish(publish("a/2", QoS::AtLeastOnce, "missed"));

            let (mut client, answer) = Client::ask(running, lasting(version, "lasting"));
            assert_eq!(answer.session_present, version > Version::V31);
            let again = client.message();
            assert_eq!((&again.payload[..], again.dup), (&b"unacknowledged"[..], true));
            assert_eq!(again.packet_id, first.packet_id);
            client.send(&Packet::PubAck(ack(again.packet_id)));
            let missed = client.message();
            assert_eq!((&missed.payload[..], missed.dup), (&b"missed"[..], false));
            client.send(&Packet::PubAck(ack(missed.packet_id)));
            // The subscription is still there, and goes with the session.
            publisher.publish(publish("a/3", QoS::AtLeastOnce, "now"));
            assert_eq!(&client.message().payload[..], b"now");
            client.send(&leave());
            client.rest();
            let (_, answer) = Client::ask(running, connect(version, "lasting"));
            assert!(!answer.session_present, "a clean start throws it away");
            running.wait_for_connections(1);
            drop(publisher);
            running.wait_for_connections(0);
        }
    });
}

#[test]
fn mqtt_4_8_2_a_shared_subscription_comes_back_with_its_session() {
    let running = Running::new();
    let mut member = Client::connect(&running, lasting(Version::V5, "member"));
    assert_eq!(member.subscribe(&["$share/g/job"], QoS::AtLeastOnce), [1]);
    drop(member);
    running.wait_for_connections(0);
    let (mut member, answer) = Client::ask(&running, lasting(Version::V5, "member"));
    assert!(answer.session_present);
    running.host.broker().publish("amq.topic", "job", b"work");
    assert_eq!(&member.message().payload[..], b"work");
}

#[test]
fn mqtt_3_14_a_client_is_told_that_the_server_stops() {
    for is_proxied in [false, true] {
        let running = Running::on(FakeHost::new().proxied(is_proxied));
        let mut heir = heir(&running);
        let mut told = Client::connect(&running, with_will(connect(Version::V5, "told")));
        let mut silent = Client::open(&running, Version::V5);
        running
            .host
            .wait_for("all to be accepted", |_| (running.plugin.status()["connections"] == 3).then_some(()));
        let reading = std::thread::spawn(move || (told.rest(), heir.rest(), silent.rest()));
        let report = running.plugin.stop();
        assert!(report.clean, "{report:?}");
        let (told, heir, silent) = reading.join().expect("they are told");
        assert!(
            matches!(
                &told[..],
                [Packet::Disconnect(Disconnect { reason: ReasonCode::ServerShuttingDown, .. })]
            ),
            "{told:?}"
        );
        assert!(heir.iter().all(|packet| matches!(packet, Packet::Publish(_))), "{heir:?}");
        assert!(silent.is_empty(), "{silent:?}");
    }
}

#[test]
fn a_client_whose_connection_an_operator_closes_is_told() {
    let running = Running::new();
    let mut client = Client::connect(&running, connect(Version::V5, "a"));
    let id = running.host.broker().connections()[0].id;
    running.host.broker().close(id, "maintenance");
    let rest = client.rest();
    assert!(matches!(&rest[..], [Packet::Disconnect(_)]), "{rest:?}");
    running.wait_for_connections(0);
}
