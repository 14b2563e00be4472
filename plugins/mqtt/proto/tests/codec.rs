//! The codec against itself, against arbitrary bytes, against lines measured on the wire, and against a codec that
//! others wrote.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

mod common;

use arbitrary::{Arbitrary, Unstructured};
use bytes::{Bytes, BytesMut};
use common::{bytes_of, decode_all, encode, packet, versions};
use kuzzle_mqtt_proto::{
    ByteString,
    codec::{
        ConnAck, Decoder, Limits, Packet, Properties, Property, Publish, PublishHead, QoS, ReasonCode,
        Version, encode_publish, publish_size,
    },
};
use mqtt_proto::v5::ErrorV5;
use proptest::{collection::vec, prelude::*};

fn versioned_packet() -> impl Strategy<Value = (Version, Packet)> {
    versions().prop_flat_map(|version| (Just(version), packet(version)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn what_is_encoded_is_decoded((version, packet) in versioned_packet()) {
        prop_assert_eq!(decode_all(&encode(&packet, version), version), vec![packet]);
    }

    #[test]
    fn many_packets_in_one_buffer_come_out_in_order(
        (version, packets) in versions().prop_flat_map(|version| (Just(version), vec(packet(version), 0..8))),
    ) {
        let mut out = BytesMut::new();
        for packet in &packets {
            packet.encode(version, &mut out).unwrap();
        }
        prop_assert_eq!(decode_all(&out, version), packets);
    }

    #[test]
    fn a_cut_at_any_byte_only_delays_the_packet((version, packet) in versioned_packet()) {
        let bytes = encode(&packet, version);
        for cut in 0..bytes.len() {
            let mut decoder = Decoder::with_version(version);
            let mut buffer = BytesMut::from(&bytes[..cut]);
            prop_assert_eq!(decoder.decode(&mut buffer, &Limits::default()), Ok(None), "cut at {}", cut);
            prop_assert_eq!(buffer.len(), cut, "nothing is taken");
            buffer.extend_from_slice(&bytes[cut..]);
            prop_assert_eq!(decoder.decode(&mut buffer, &Limits::default()), Ok(Some(packet.clone())));
        }
    }

    #[test]
    fn a_packet_cut_short_within_its_length_is_refused((version, packet) in versioned_packet()) {
        // The remaining length says less than the packet holds: each cut is an error or another whole packet.
        let bytes = encode(&packet, version);
        for cut in 2..bytes.len().min(120) {
            let mut short = BytesMut::from(&bytes[..cut]);
            short[1] = (cut - 2) as u8;
            let mut decoder = Decoder::with_version(version);
            if let Ok(Some(other)) = decoder.decode(&mut short, &Limits::default()) {
                prop_assert!(decode_all(&encode(&other, version), version) == vec![other]);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), version in prop::option::of(versions())) {
        let mut decoder = version.map_or_else(Decoder::new, Decoder::with_version);
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(packet)) = decoder.decode(&mut buffer, &Limits::default()) {
            let version = decoder.version().unwrap();
            let mut out = BytesMut::new();
            packet.encode(version, &mut out).unwrap();
            prop_assert_eq!(decode_all(&out, version), vec![packet]);
        }
    }

    #[test]
    fn one_changed_byte_never_panics(
        (version, packet) in versioned_packet(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = encode(&packet, version);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let mut decoder = Decoder::with_version(version);
        while let Ok(Some(_)) = decoder.decode(&mut bytes, &Limits::default()) {}
    }

    #[test]
    fn the_size_of_a_publish_is_known_before(
        (version, publish) in versions().prop_flat_map(|version| (Just(version), common::publish(version))),
    ) {
        let publish = Publish { properties: Properties::NONE, ..publish };
        let size = publish_size(version, publish.qos, publish.topic.len(), 0, publish.payload.len());
        prop_assert_eq!(encode(&Packet::Publish(publish), version).len(), size);
    }

    #[test]
    fn agrees_with_an_independent_codec_on_our_packets((version, packet) in versioned_packet()) {
        let bytes = encode(&packet, version);
        if version < Version::V5 && matches!(&packet, Packet::SubAck(suback) if suback.codes.contains(&0x80)) {
            // The other codec reads a failure and writes it as 3.
            return Ok(());
        }
        let again = match version {
            Version::V5 => match mqtt_proto::v5::Packet::decode(&bytes) {
                // It reads a payload to check its format, and takes one subscription identifier where many may be.
                Err(ErrorV5::InvalidPayloadFormat | ErrorV5::DuplicatedProperty(_)) => return Ok(()),
                theirs => theirs.unwrap().unwrap().encode().unwrap(),
            },
            _ => mqtt_proto::v3::Packet::decode(&bytes).unwrap().unwrap().encode().unwrap(),
        };
        let again = decode_all(again.as_ref(), version);
        prop_assert_eq!(again.into_iter().map(sorted).collect::<Vec<_>>(), vec![sorted(packet)]);
    }

    #[test]
    fn agrees_with_an_independent_codec_on_its_packets_of_3(seed in vec(any::<u8>(), 0..1500)) {
        let Ok(packet) = mqtt_proto::v3::Packet::arbitrary(&mut Unstructured::new(&seed)) else { return Ok(()) };
        let Ok(bytes) = packet.encode() else { return Ok(()) };
        if mqtt_proto::v3::Packet::decode(bytes.as_ref()).ok().flatten().as_ref() != Some(&packet) {
            return Ok(());
        }
        for version in [Version::V31, Version::V311] {
            let mut decoder = Decoder::with_version(version);
            match decoder.decode(&mut BytesMut::from(bytes.as_ref()), &Limits::default()) {
                Ok(ours) => {
                    let again = encode(&ours.unwrap(), version);
                    prop_assert_eq!(mqtt_proto::v3::Packet::decode(&again).unwrap(), Some(packet.clone()));
                }
                Err(error) => prop_assert!(is_stricter(error.what), "{error}: {packet:?}"),
            }
        }
    }

    #[test]
    fn agrees_with_an_independent_codec_on_its_packets_of_5(seed in vec(any::<u8>(), 0..1500)) {
        let Ok(packet) = mqtt_proto::v5::Packet::arbitrary(&mut Unstructured::new(&seed)) else { return Ok(()) };
        let Ok(bytes) = packet.encode() else { return Ok(()) };
        if mqtt_proto::v5::Packet::decode(bytes.as_ref()).ok().flatten().as_ref() != Some(&packet) {
            return Ok(());
        }
        let mut decoder = Decoder::with_version(Version::V5);
        match decoder.decode(&mut BytesMut::from(bytes.as_ref()), &Limits::default()) {
            Ok(ours) => {
                let again = encode(&ours.unwrap(), Version::V5);
                prop_assert_eq!(mqtt_proto::v5::Packet::decode(&again).unwrap(), Some(packet));
            }
            Err(error) => prop_assert!(is_stricter(error.what), "{error}: {packet:?}"),
        }
    }
}

/// Rules that the other codec does not check.
fn is_stricter(what: &str) -> bool {
    [
        "U+0000",
        "DUP flag with QoS 0",
        "password without a user name",
        "second CONNECT",
        "packet identifier 0",
        "starts at 1 is 0",
        "will QoS or will retain without a will",
        "response topic",
        "client identifier is longer",
        "no topic filter",
        "topic alias 0",
    ]
    .iter()
    .any(|rule| what.contains(rule))
}

/// The packet with its properties in one order, since theirs is not a matter of meaning.
fn sorted(mut packet: Packet) -> Packet {
    let sort = |properties: &mut Properties| {
        properties.0.sort_by_key(|property| match property {
            // The order of these is meant.
            Property::UserProperty(..) => "~user".to_owned(),
            Property::SubscriptionIdentifier(_) => "~subscription".to_owned(),
            other => format!("{other:?}"),
        });
    };
    match &mut packet {
        Packet::Connect(connect) => {
            if let Some(will) = &mut connect.will {
                sort(&mut will.properties);
            }
            sort(&mut connect.properties);
        }
        Packet::ConnAck(connack) => sort(&mut connack.properties),
        Packet::Publish(publish) => sort(&mut publish.properties),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            sort(&mut ack.properties);
        }
        Packet::Subscribe(subscribe) => sort(&mut subscribe.properties),
        Packet::SubAck(suback) => sort(&mut suback.properties),
        Packet::Unsubscribe(unsubscribe) => sort(&mut unsubscribe.properties),
        Packet::UnsubAck(unsuback) => sort(&mut unsuback.properties),
        Packet::Disconnect(disconnect) => sort(&mut disconnect.properties),
        Packet::Auth(auth) => sort(&mut auth.properties),
        Packet::PingReq | Packet::PingResp => {}
    }
    packet
}

#[test]
fn the_lines_measured_on_the_wire_are_read_and_written() {
    let lines = [
        r#"10 1b 0004 "MQTT" 04 02 003c 000f "mqttjs_e3d79b13""#,
        r#"10 1b 0004 "MQTT" 04 02 000a 000f "mqttjs_b21807af""#,
        "20 02 00 00",
        "20 02 01 00",
        r#"82 0e 76fb 0009 "mqtt.myId" 00"#,
        "90 03 76fb 00",
        "e0 00",
        "c0 00",
        "d0 00",
        "40 02 0001",
        r#"30 0a 0006 "kuzzle" 7b7d"#,
        r#"32 06 0002 "ab" 0007"#,
        r#"33 06 0002 "ab" 0007"#,
        r#"3a 06 0002 "ab" 0007"#,
    ];
    for line in lines {
        let bytes = bytes_of(line);
        let packets = decode_all(&bytes, Version::V311);
        assert_eq!(packets.len(), 1, "{line}");
        assert_eq!(&encode(&packets[0], Version::V311)[..], &bytes[..], "{line}");
    }
    // A PUBLISH and the DISCONNECT behind it in one segment.
    let segment = bytes_of(r#"30 0a 0006 "kuzzle" 7b7d e000"#);
    let packets = decode_all(&segment, Version::V311);
    assert!(
        matches!(&packets[..], [Packet::Publish(publish), Packet::Disconnect(_)] if publish.topic == "kuzzle")
    );
}

fn refusal(line: &str, version: Option<Version>) -> (ReasonCode, &'static str) {
    let mut decoder = version.map_or_else(Decoder::new, Decoder::with_version);
    let error = decoder.decode(&mut BytesMut::from(&bytes_of(line)[..]), &Limits::default()).unwrap_err();
    (error.reason, error.what)
}

#[track_caller]
fn assert_refused(line: &str, version: impl Into<Option<Version>>, reason: ReasonCode, clause: &str) {
    let (found, what) = refusal(line, version.into());
    assert_eq!(found, reason, "{line}: {what}");
    assert!(what.contains(clause), "{line}: {what}");
}

#[test]
fn mqtt_1_5_4_1_strings_are_utf_8() {
    assert_refused("30 05 0001 ff 6869", Version::V311, ReasonCode::MalformedPacket, "MQTT-1.5.4-1");
    // An encoded surrogate.
    assert_refused("30 05 0003 eda080", Version::V5, ReasonCode::MalformedPacket, "MQTT-1.5.4-1");
}

#[test]
fn mqtt_1_5_4_2_strings_hold_no_null() {
    assert_refused("30 05 0003 610062", Version::V311, ReasonCode::MalformedPacket, "MQTT-1.5.4-2");
}

#[test]
fn mqtt_1_5_5_1_lengths_use_the_fewest_bytes() {
    assert_refused("c0 80 00", Version::V5, ReasonCode::MalformedPacket, "MQTT-1.5.5-1");
    assert_refused("c0 80808080 01", Version::V5, ReasonCode::MalformedPacket, "four bytes");
}

#[test]
fn mqtt_2_1_3_1_flags_are_those_of_the_packet() {
    for line in ["80 00", "c1 00", "60 02 0001", "a0 00", "22 02 0000", "e1 00"] {
        assert_refused(line, Version::V311, ReasonCode::MalformedPacket, "MQTT-2.1.3-1");
    }
    assert_refused("00 00", Version::V311, ReasonCode::MalformedPacket, "reserved");
    assert_refused("f0 00", Version::V311, ReasonCode::MalformedPacket, "reserved");
}

#[test]
fn mqtt_2_2_1_3_packet_identifiers_are_not_zero() {
    assert_refused("40 02 0000", Version::V5, ReasonCode::ProtocolError, "MQTT-2.2.1-3");
    assert_refused(r#"32 05 0001 "a" 0000"#, Version::V5, ReasonCode::ProtocolError, "MQTT-2.2.1-3");
    assert_refused(r#"82 06 0000 0001 "a" 00"#, Version::V311, ReasonCode::ProtocolError, "MQTT-2.2.1-3");
}

#[test]
fn mqtt_3_1_0_1_the_first_packet_is_connect() {
    assert_refused("c0 00", None, ReasonCode::ProtocolError, "MQTT-3.1.0-1");
    assert_refused(r#""GET / HTTP/1.1""#, None, ReasonCode::ProtocolError, "MQTT-3.1.0-1");
}

#[test]
fn mqtt_3_1_2_1_protocol_names_are_two() {
    assert_refused(
        r#"10 0d 0004 "mqtt" 04 02 003c 0001 "a""#,
        None,
        ReasonCode::UnsupportedProtocolVersion,
        "3.1.2-1",
    );
}

#[test]
fn mqtt_3_1_2_2_unknown_levels_are_named() {
    let mut decoder = Decoder::new();
    let bytes = bytes_of(r#"10 0d 0004 "MQTT" 06 02 003c 0001 "a""#);
    let error = decoder.decode(&mut BytesMut::from(&bytes[..]), &Limits::default()).unwrap_err();
    assert_eq!(error.reason, ReasonCode::UnsupportedProtocolVersion);
    assert_eq!((decoder.version(), decoder.refused_level()), (None, Some(6)));
}

#[test]
fn mqtt_3_1_2_3_the_reserved_connect_flag_is_zero() {
    let line = r#"10 0d 0004 "MQTT" 04 03 003c 0001 "a""#;
    assert_refused(line, None, ReasonCode::MalformedPacket, "MQTT-3.1.2-3");
}

#[test]
fn mqtt_3_1_2_11_will_flags_need_a_will() {
    for flags in ["0a", "22", "1a"] {
        let line = format!(r#"10 0d 0004 "MQTT" 04 {flags} 003c 0001 "a""#);
        assert_refused(&line, None, ReasonCode::MalformedPacket, "MQTT-3.1.2-1");
    }
}

#[test]
fn mqtt_3_3_1_2_dup_needs_qos() {
    assert_refused(r#"38 03 0001 "a""#, Version::V311, ReasonCode::MalformedPacket, "MQTT-3.3.1-2");
}

#[test]
fn mqtt_3_3_1_4_there_is_no_qos_3() {
    assert_refused(r#"36 05 0001 "a" 0001"#, Version::V311, ReasonCode::MalformedPacket, "MQTT-3.3.1-4");
}

#[test]
fn mqtt_3_3_2_2_topic_names_have_no_wildcards() {
    for topic in ["+", "a+", "#", "a/#"] {
        let line = format!(r#"30 {:02x} {:04x} "{topic}""#, topic.len() + 2, topic.len());
        assert_refused(&line, Version::V311, ReasonCode::TopicNameInvalid, "MQTT-3.3.2-2");
    }
}

#[test]
fn mqtt_3_8_3_2_subscribe_has_a_filter() {
    assert_refused("82 02 0001", Version::V311, ReasonCode::ProtocolError, "MQTT-3.8.3-2");
    assert_refused("a2 02 0001", Version::V311, ReasonCode::ProtocolError, "MQTT-3.10.3-2");
}

#[test]
fn mqtt_3_8_3_4_requested_qos_is_0_to_2() {
    assert_refused(r#"82 06 0001 0001 "a" 03"#, Version::V311, ReasonCode::ProtocolError, "MQTT-3.8.3-4");
    assert_refused(r#"82 06 0001 0001 "a" 81"#, Version::V311, ReasonCode::MalformedPacket, "3.8.3-5");
}

#[test]
fn properties_stand_where_they_may_and_once() {
    // A server keep alive in a PUBLISH; a topic alias twice; a topic alias of 0; a receive maximum of 0.
    assert_refused(r#"30 07 0001 "a" 03 130001"#, Version::V5, ReasonCode::MalformedPacket, "property");
    assert_refused(r#"30 0a 0001 "a" 06 230001230001"#, Version::V5, ReasonCode::ProtocolError, "twice");
    assert_refused(r#"30 07 0001 "a" 03 230000"#, Version::V5, ReasonCode::TopicAliasInvalid, "3.3.2-8");
    let line = r#"10 11 0004 "MQTT" 05 02 003c 03 210000 0001 "a""#;
    assert_refused(line, None, ReasonCode::ProtocolError, "starts at 1");
}

#[test]
fn limits_are_met_before_memory_is_taken() {
    let limits =
        Limits { packet_max_bytes: 100, connect_max_bytes: 50, properties_max: 2, ..Limits::default() };
    let mut decoder = Decoder::with_version(Version::V5);
    // Ninety-nine bytes are announced behind the header of two; nothing of them has arrived.
    let mut buffer = BytesMut::from(&[0x30, 99][..]);
    let error = decoder.decode(&mut buffer, &limits).unwrap_err();
    assert_eq!(error.reason, ReasonCode::PacketTooLarge);
    let mut buffer = BytesMut::from(&[0x10, 49][..]);
    assert_eq!(Decoder::new().decode(&mut buffer, &limits).unwrap_err().reason, ReasonCode::PacketTooLarge);
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: ByteString::from("a"),
        packet_id: 0,
        properties: Properties(vec![Property::UserProperty("k".into(), "v".into()); 3]),
        payload: Bytes::new(),
    };
    let mut bytes = encode(&Packet::Publish(publish), Version::V5);
    assert_eq!(decoder.decode(&mut bytes, &limits).unwrap_err().reason, ReasonCode::QuotaExceeded);
}

#[test]
fn a_field_that_has_no_encoding_is_refused_and_leaves_the_buffer_alone() {
    let mut out = BytesMut::from(&b"before"[..]);
    let long = "x".repeat(65_536);
    let head = PublishHead { dup: false, qos: QoS::AtMostOnce, retain: false, topic: &long, packet_id: 0 };
    encode_publish(&mut out, Version::V311, &head, &Properties::NONE, b"").unwrap_err();
    let properties = Properties(vec![Property::ReasonString(long.into())]);
    let connack = Packet::ConnAck(ConnAck { session_present: false, code: 0, properties });
    connack.encode(Version::V5, &mut out).unwrap_err();
    assert_eq!(&out[..], b"before");
}
