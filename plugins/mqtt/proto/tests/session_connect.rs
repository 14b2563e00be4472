//! CONNECT, its refusals, keep alive, wills, takeover and goodbyes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

mod common;

use std::time::Duration;

use common::{broker::client, bytes_of, decode_all, encode, net::Net};
use kuzzle_mqtt_proto::{
    codec::{
        ConnAck, Connect, Disconnect, Packet, Properties, Property, QoS, ReasonCode, Subscribe,
        SubscribeFilter, SubscriptionOptions, Version, Will,
    },
    session::{Action, Config, Credentials, End, Event, Session},
};

fn net() -> Net {
    Net::new(Config::default())
}

fn connack(packets: &[Packet]) -> &ConnAck {
    match packets {
        [Packet::ConnAck(connack)] => connack,
        other => panic!("{other:?}"),
    }
}

fn v5(id: &str, properties: Vec<Property>) -> Connect {
    Connect { properties: Properties(properties), ..client(Version::V5, id) }
}

#[track_caller]
fn assert_refused(connect: Connect, code: u8) {
    let mut net = net();
    let (at, answers) = net.connect(connect);
    assert_eq!(connack(&answers).code, code);
    assert!(net.connections[at].closed);
}

fn with_will(mut connect: Connect, retain: bool, properties: Vec<Property>) -> Connect {
    connect.will = Some(Box::new(Will {
        topic: "wills/a".into(),
        payload: "gone".into(),
        qos: QoS::AtLeastOnce,
        retain,
        properties: Properties(properties),
    }));
    connect
}

#[test]
fn mqtt_3_2_0_1_connect_is_answered_as_measured() {
    for line in [
        r#"10 1b 0004 "MQTT" 04 02 003c 000f "mqttjs_e3d79b13""#,
        r#"10 13 0006 "MQIsdp" 03 02 003c 0005 "mqtts""#,
        r#"10 0c 0004 "MQTT" 04 02 003c 0000"#,
    ] {
        let mut net = net();
        let at = net.open(Version::V311);
        net.send_bytes(at, &bytes_of(line));
        net.run();
        assert_eq!(&net.output(at)[..], bytes_of("20 02 00 00"), "{line}");
    }
}

#[test]
fn what_follows_connect_at_once_is_not_lost() {
    let mut net = net();
    let at = net.open(Version::V311);
    net.send_bytes(at, &bytes_of(r#"10 0d 0004 "MQTT" 04 02 003c 0001 "a""#));
    // PUBLISH and DISCONNECT in the same segment.
    net.send_bytes(at, &bytes_of(r#"30 0a 0006 "kuzzle" 7b7d e000"#));
    net.run();
    assert_eq!(net.broker.routed.len(), 1);
    assert_eq!(net.broker.routed[0].key, "kuzzle");
    assert_eq!(net.connections[at].session.end(), Some(&End::Left(ReasonCode::Success)));
}

#[test]
fn mqtt_3_1_2_1_other_protocol_names_are_closed_in_silence() {
    for line in [r#"10 0d 0004 "AMQP" 04 02 003c 0001 "a""#, r#""GET / HTTP/1.1""#, "c000", "1002"] {
        let mut net = net();
        let at = net.open(Version::V311);
        net.send_bytes(at, &bytes_of(line));
        net.run();
        if line != "1002" {
            assert!(net.connections[at].closed, "{line}");
        }
        assert!(net.output(at).is_empty(), "{line}");
    }
}

#[test]
fn mqtt_3_1_2_2_unknown_levels_are_refused_in_their_way() {
    for (level, answer) in [("06", "20 03 00 84 00"), ("02", "20 02 00 01"), ("84", "20 02 00 01")] {
        let mut net = net();
        let at = net.open(Version::V311);
        net.send_bytes(at, &bytes_of(&format!(r#"10 0d 0004 "MQTT" {level} 02 003c 0001 "a""#)));
        net.run();
        let output = net.output(at);
        assert_eq!(output[3], bytes_of(answer)[3], "{level}");
        assert!(net.connections[at].closed);
    }
}

#[test]
fn mqtt_3_1_2_3_a_reserved_flag_is_refused() {
    let mut net = net();
    let at = net.open(Version::V5);
    net.send_bytes(at, &bytes_of(r#"10 0e 0004 "MQTT" 05 03 003c 00 0001 "a""#));
    net.run();
    let answers = net.receive(at);
    assert_eq!(connack(&answers).code, 0x81);
}

#[test]
fn mqtt_3_1_3_8_no_client_id_needs_a_clean_session() {
    for version in [Version::V31, Version::V311] {
        assert_refused(Connect { clean_start: false, ..client(version, "") }, 2);
    }
    let mut net = net();
    let (_, answers) = net.connect(Connect { clean_start: false, ..client(Version::V5, "") });
    let connack = connack(&answers);
    assert_eq!(connack.code, 0);
    assert!(connack.properties.iter().any(|property| matches!(
        property, Property::AssignedClientIdentifier(id) if id.starts_with("auto-")
    )));
}

#[test]
fn mqtt_3_1_3_5_long_client_ids_are_taken_up_to_the_limit() {
    let mut net = net();
    net.connected(client(Version::V31, &"i".repeat(30)));
    net.connected(client(Version::V311, &"i".repeat(1000)));
    assert_refused(client(Version::V311, &"i".repeat(1025)), 2);
    assert_refused(client(Version::V5, &"i".repeat(1025)), 0x85);
}

fn login(version: Version, user: Option<&str>, password: Option<&'static str>) -> Connect {
    Connect { username: user.map(Into::into), password: password.map(Into::into), ..client(version, "a") }
}

#[test]
fn credentials_are_checked_as_measured() {
    for user in ["guest", "/:guest"] {
        net().connected(login(Version::V311, Some(user), Some("guest")));
    }
    for (version, code) in [(Version::V31, 4), (Version::V311, 4), (Version::V5, 0x86)] {
        assert_refused(login(version, Some("guest"), Some("wrong")), code);
        assert_refused(login(version, Some("guest"), None), code);
        assert_refused(login(version, Some(""), Some("guest")), code);
        assert_refused(login(version, Some("nowhere:guest"), Some("guest")), code);
    }
    assert_refused(login(Version::V311, Some("locked:guest"), Some("guest")), 5);
    assert_refused(login(Version::V5, Some("locked:guest"), Some("guest")), 0x87);
}

#[test]
fn mqtt_4_12_0_1_authentication_methods_are_refused() {
    assert_refused(v5("a", vec![Property::AuthenticationMethod("SCRAM-SHA-1".into())]), 0x8C);
}

#[test]
fn mqtt_3_1_0_2_a_second_connect_closes() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut net = net();
        let at = net.connected(client(version, "a"));
        let answers = net.exchange(at, Packet::Connect(Box::new(client(version, "a"))));
        assert!(net.connections[at].closed);
        assert_eq!(
            reason_of_goodbye(&answers),
            (version == Version::V5).then_some(ReasonCode::ProtocolError)
        );
    }
}

fn reason_of_goodbye(packets: &[Packet]) -> Option<ReasonCode> {
    match packets {
        [] => None,
        [Packet::Disconnect(disconnect)] => Some(disconnect.reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_connect_within_ten_seconds_closes() {
    let mut net = net();
    let at = net.open(Version::V311);
    net.send_bytes(at, &bytes_of("10 1b 0004"));
    net.wait(9);
    assert!(!net.connections[at].closed);
    net.wait(1);
    assert!(net.connections[at].closed);
    assert!(net.output(at).is_empty());
}

#[test]
fn mqtt_3_1_2_22_keep_alive_is_one_and_a_half() {
    for version in [Version::V311, Version::V5] {
        let mut net = net();
        let at = net.connected(Connect { keep_alive_secs: 10, ..client(version, "a") });
        net.wait(14);
        assert_eq!(net.exchange(at, Packet::PingReq), [Packet::PingResp]);
        net.wait(14);
        assert!(!net.connections[at].closed);
        net.wait(1);
        assert!(net.connections[at].closed);
        let answers = net.receive(at);
        assert_eq!(
            reason_of_goodbye(&answers),
            (version == Version::V5).then_some(ReasonCode::KeepAliveTimeout)
        );
    }
}

#[test]
fn keep_alive_0_waits_for_ever_but_not_for_half_a_packet() {
    let mut net = net();
    let at = net.connected(Connect { keep_alive_secs: 0, ..client(Version::V311, "a") });
    net.wait(1_000_000);
    assert!(!net.connections[at].closed);
    net.send_bytes(at, &bytes_of("30 0a 0006"));
    net.run();
    net.wait(59);
    assert!(!net.connections[at].closed);
    net.wait(1);
    assert!(net.connections[at].closed);
}

#[test]
fn mqtt_3_1_2_21_the_server_keep_alive_is_told() {
    let mut net = Net::new(Config { keep_alive_max_secs: 20, ..Config::default() });
    let (at, answers) = net.connect(Connect { keep_alive_secs: 0, ..client(Version::V5, "a") });
    assert!(connack(&answers).properties.iter().any(|property| *property == Property::ServerKeepAlive(20)));
    net.wait(30);
    assert!(net.connections[at].closed);
}

#[test]
fn mqtt_3_1_4_3_the_older_connection_of_a_client_id_ends() {
    for version in [Version::V311, Version::V5] {
        let mut net = net();
        let old = net.connected(with_will(client(version, "a"), false, Vec::new()));
        let new = net.connected(client(version, "a"));
        assert!(net.connections[old].closed && !net.connections[new].closed);
        let goodbye = net.receive(old);
        assert_eq!(
            reason_of_goodbye(&goodbye),
            (version == Version::V5).then_some(ReasonCode::SessionTakenOver)
        );
        // [MQTT-3.1.2-8]: the will of the older one is published.
        assert_eq!(net.broker.routed.len(), 1);
        assert_eq!(net.exchange(new, Packet::PingReq), [Packet::PingResp]);
    }
}

#[test]
fn mqtt_3_1_2_8_the_will_is_published_when_the_connection_is_lost() {
    let mut net = net();
    let at = net.connected(with_will(client(Version::V311, "a"), true, Vec::new()));
    net.lose(at);
    assert_eq!(net.broker.routed[0].key, "wills.a");
    assert_eq!(&net.broker.routed[0].body[..], b"gone");
    assert!(net.broker.retained.contains_key("wills.a"));
}

#[test]
fn mqtt_3_14_4_3_a_normal_disconnect_drops_the_will() {
    let mut net = net();
    let at = net.connected(with_will(client(Version::V5, "a"), false, Vec::new()));
    net.exchange(
        at,
        Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties: Properties::NONE }),
    );
    assert!(net.broker.routed.is_empty());
    let at = net.connected(with_will(client(Version::V5, "a"), false, Vec::new()));
    let reason = ReasonCode::DisconnectWithWill;
    net.exchange(at, Packet::Disconnect(Disconnect { reason, properties: Properties::NONE }));
    assert_eq!(net.broker.routed.len(), 1);
}

#[test]
fn mqtt_3_1_3_9_a_delayed_will_is_not_due_when_the_client_comes_back() {
    let mut net = net();
    let lasting = || v5("a", vec![Property::SessionExpiryInterval(100)]);
    let at = net.connected(with_will(lasting(), false, vec![Property::WillDelayInterval(30)]));
    net.lose(at);
    assert!(net.broker.routed.is_empty());
    assert_eq!(net.broker.delayed.len(), 1);
    net.connected(Connect { clean_start: false, ..lasting() });
    assert!(net.broker.delayed.is_empty());
}

#[test]
fn a_will_with_wildcards_is_refused() {
    let mut connect = with_will(client(Version::V5, "a"), false, Vec::new());
    connect.will.as_mut().unwrap().topic = "a/#".into();
    assert_refused(connect, 0x90);
}

#[test]
fn mqtt_3_2_2_2_session_present_says_whether_the_session_goes_on() {
    for version in [Version::V311, Version::V5] {
        let lasting = |clean_start| Connect {
            clean_start,
            properties: match version {
                Version::V5 => Properties(vec![Property::SessionExpiryInterval(1000)]),
                _ => Properties::NONE,
            },
            ..client(version, "a")
        };
        let mut net = net();
        for (clean_start, present) in
            [(false, false), (false, true), (true, false), (false, version == Version::V5)]
        {
            let (at, answers) = net.connect(lasting(clean_start));
            assert_eq!(connack(&answers).session_present, present, "{version:?} {clean_start}");
            net.lose(at);
        }
    }
}

#[test]
fn mqtt_3_2_2_1_session_present_is_one_bit() {
    let mut net = net();
    for answer in ["20 02 00 00", "20 02 01 00"] {
        let at = net.open(Version::V311);
        net.send_bytes(at, &bytes_of(r#"10 0d 0004 "MQTT" 04 00 003c 0001 "a""#));
        net.run();
        assert_eq!(&net.output(at)[..], bytes_of(answer));
        net.lose(at);
    }
}

#[test]
fn session_expiry_is_bounded_and_told() {
    let mut net = Net::new(Config { session_expiry_max_secs: 100, ..Config::default() });
    let (at, answers) = net.connect(v5("a", vec![Property::SessionExpiryInterval(u32::MAX)]));
    let told = connack(&answers).properties.iter().any(|p| *p == Property::SessionExpiryInterval(100));
    assert!(told);
    assert_eq!(net.broker.sessions["a"].expiry_secs, 100);
    // DISCONNECT may change it.
    let properties = Properties(vec![Property::SessionExpiryInterval(0)]);
    net.exchange(at, Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties }));
    assert!(!net.broker.sessions.contains_key("a"));
}

#[test]
fn mqtt_3_14_2_2_2_disconnect_sets_no_expiry_where_connect_set_none() {
    let mut net = net();
    let at = net.connected(client(Version::V5, "a"));
    let properties = Properties(vec![Property::SessionExpiryInterval(10)]);
    let answers =
        net.exchange(at, Packet::Disconnect(Disconnect { reason: ReasonCode::Success, properties }));
    assert_eq!(reason_of_goodbye(&answers), Some(ReasonCode::ProtocolError));
}

#[test]
fn response_information_is_given_to_those_who_ask() {
    let config = Config { response_prefix: Some("responses".to_owned()), ..Config::default() };
    let mut net = Net::new(config);
    let (_, answers) = net.connect(v5("a", vec![Property::RequestResponseInformation(true)]));
    let expected = Property::ResponseInformation("responses/a".into());
    assert!(connack(&answers).properties.iter().any(|property| *property == expected));
    let (_, answers) = net.connect(v5("b", Vec::new()));
    assert!(!connack(&answers).properties.iter().any(|p| matches!(p, Property::ResponseInformation(_))));
}

#[test]
fn mqtt_3_14_2_3_a_goodbye_fits_the_clients_packet_size() {
    for (max, expected) in [(1000, true), (3, false)] {
        let mut net = net();
        let at = net.open(Version::V5);
        let connect = v5("a", vec![Property::MaximumPacketSize(max)]);
        net.send(at, &Packet::Connect(Box::new(connect)));
        net.run();
        net.receive(at);
        net.connections[at].session.disconnect(ReasonCode::ServerShuttingDown);
        net.run();
        let bytes = net.output(at);
        assert!(bytes.len() <= max as usize);
        assert_eq!(bytes.len() > 3, expected);
        assert!(net.connections[at].closed);
    }
}

#[test]
fn packets_of_a_server_are_refused() {
    for bytes in ["20 02 0000", "d0 00", "90 03 0001 00"] {
        let mut net = net();
        let at = net.connected(client(Version::V311, "a"));
        net.send_bytes(at, &bytes_of(bytes));
        net.run();
        assert!(net.connections[at].closed, "{bytes}");
    }
}

#[test]
fn malformed_packets_close_with_their_reason() {
    for (bytes, reason) in [
        ("30 80808080 01", ReasonCode::MalformedPacket),
        ("00 00", ReasonCode::MalformedPacket),
        (r#"36 05 0001 "a" 0001"#, ReasonCode::MalformedPacket),
        (r#"30 05 0002 "a#" 00"#, ReasonCode::TopicNameInvalid),
        ("30 ffffff7f", ReasonCode::PacketTooLarge),
        ("f0 00", ReasonCode::ProtocolError),
    ] {
        let mut net = net();
        let at = net.connected(client(Version::V5, "a"));
        net.send_bytes(at, &bytes_of(bytes));
        net.run();
        let answers = net.receive(at);
        assert_eq!(reason_of_goodbye(&answers), Some(reason), "{bytes}");
        assert!(net.connections[at].closed);
    }
}

#[test]
fn a_clean_start_forgets_the_subscriptions() {
    let mut net = net();
    let lasting = |clean_start| Connect { clean_start, ..client(Version::V311, "a") };
    let at = net.connected(lasting(false));
    let filter = SubscribeFilter {
        filter: "t".into(),
        options: SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() },
    };
    let subscribe = Subscribe { packet_id: 1, filters: vec![filter], properties: Properties::NONE };
    net.exchange(at, Packet::Subscribe(subscribe));
    net.lose(at);
    net.broker.publish("t", &[], b"1");
    let at = net.open(Version::V311);
    net.send(at, &Packet::Connect(Box::new(lasting(true))));
    net.run();
    assert_eq!(net.receive(at).len(), 1, "a CONNACK and no message");
    net.broker.publish("t", &[], b"2");
    net.run();
    assert_eq!(net.receive(at), []);
}

#[test]
fn time_may_start_anywhere() {
    let mut net = net();
    net.now = Duration::from_secs(1 << 40);
    let at = net.connected(client(Version::V311, "a"));
    net.wait(89);
    assert!(!net.connections[at].closed);
    net.wait(1);
    assert!(net.connections[at].closed);
}

#[test]
fn a_broker_that_does_not_answer_connect_is_unavailable() {
    for (version, code) in [(Version::V311, 3), (Version::V5, 0x88)] {
        let mut session = Session::new(Config::default().into(), 1, Duration::ZERO);
        let mut input = encode(&Packet::Connect(Box::new(client(version, "a"))), version);
        session.handle_input(&mut input, Duration::ZERO);
        assert_eq!(session.deadline(), Some(Duration::from_secs(10)));
        session.handle_timeout(Duration::from_secs(10));
        assert_eq!(connack(&decode_all(session.output(), version)).code, code);
    }
}

#[test]
fn refusals_of_the_broker_are_told() {
    for (at_attach, code, old, new) in [
        (false, 429, 3, 0x97),
        (false, 503, 3, 0x88),
        (true, 403, 5, 0x87),
        (true, 506, 3, 0x97),
        (true, 541, 3, 0x80),
    ] {
        for (version, expected) in [(Version::V311, old), (Version::V5, new)] {
            let mut session = Session::new(Config::default().into(), 1, Duration::ZERO);
            let mut input = encode(&Packet::Connect(Box::new(client(version, "a"))), version);
            session.handle_input(&mut input, Duration::ZERO);
            let status = if at_attach { 200 } else { code };
            session.handle_event(Event::Authenticated { status }, Duration::ZERO);
            session.handle_event(Event::Entered { code: 200 }, Duration::ZERO);
            session.handle_event(Event::Answer { op: 1, code, existed: false, text: "no" }, Duration::ZERO);
            assert_eq!(connack(&decode_all(session.output(), version)).code, expected, "{code}");
            assert!(matches!(session.end(), Some(End::Refused { .. })));
        }
    }
}

#[test]
fn a_link_that_the_broker_closes_is_told_why() {
    for (code, reason) in [(320, ReasonCode::ServerShuttingDown), (506, ReasonCode::QuotaExceeded)] {
        let mut net = net();
        let at = net.connected(client(Version::V5, "a"));
        let event = Event::Closed { code, taken_over: false };
        net.connections[at].session.handle_event(event, Duration::ZERO);
        net.run();
        assert_eq!(reason_of_goodbye(&net.receive(at)), Some(reason));
    }
}

#[test]
fn credentials_show_no_password() {
    let mut session = Session::new(Config::default().into(), 1, Duration::ZERO);
    let connect = login(Version::V311, Some("/:guest"), Some("secret word"));
    assert!(!format!("{connect:?}").contains("secret"));
    let mut input = encode(&Packet::Connect(Box::new(connect)), Version::V311);
    session.handle_input(&mut input, Duration::ZERO);
    let action = session.poll_action().unwrap();
    let Action::Authenticate(Credentials::Plain { user, password }) = &action else { panic!("{action:?}") };
    assert_eq!((&**user, &password[..]), ("guest", &b"secret word"[..]));
    assert!(!format!("{action:?} {session:?}").contains("secret"));
}
