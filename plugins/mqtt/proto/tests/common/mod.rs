//! What the tests share: packets of every kind, generated.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail the test")]

pub mod broker;
pub mod net;
pub mod packets;

use bytes::{Bytes, BytesMut};
use kuzzle_mqtt_proto::{
    ByteString,
    codec::{
        Ack, Auth, ConnAck, Connect, Decoder, Disconnect, Limits, Packet, Properties, Property,
        PropertyContext, Publish, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, SubscribeFilter,
        SubscriptionOptions, UnsubAck, Unsubscribe, Version, Will,
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select};

pub fn versions() -> impl Strategy<Value = Version> {
    select(vec![Version::V31, Version::V311, Version::V5])
}

pub fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

pub fn text() -> impl Strategy<Value = ByteString> {
    "[a-zé€/. $]{0,12}".prop_map(ByteString::from)
}

pub fn topic_name() -> impl Strategy<Value = ByteString> {
    "[a-zé/.$]{1,12}".prop_map(ByteString::from)
}

fn data() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn property(context: PropertyContext) -> impl Strategy<Value = Property> {
    use PropertyContext as C;
    let mut all: Vec<BoxedStrategy<Property>> =
        vec![(text(), text()).prop_map(|(name, value)| Property::UserProperty(name, value)).boxed()];
    let mut add = |contexts: &[C], strategy: BoxedStrategy<Property>| {
        if contexts.contains(&context) {
            all.push(strategy);
        }
    };
    add(&[C::Publish, C::Will], any::<bool>().prop_map(Property::PayloadFormatIndicator).boxed());
    add(&[C::Publish, C::Will], any::<u32>().prop_map(Property::MessageExpiryInterval).boxed());
    add(&[C::Publish, C::Will], text().prop_map(Property::ContentType).boxed());
    add(&[C::Publish, C::Will], topic_name().prop_map(Property::ResponseTopic).boxed());
    add(&[C::Publish, C::Will], data().prop_map(Property::CorrelationData).boxed());
    add(
        &[C::Publish, C::Subscribe],
        (1..=268_435_455_u32).prop_map(Property::SubscriptionIdentifier).boxed(),
    );
    add(
        &[C::Connect, C::ConnAck, C::Disconnect],
        any::<u32>().prop_map(Property::SessionExpiryInterval).boxed(),
    );
    add(&[C::ConnAck], text().prop_map(Property::AssignedClientIdentifier).boxed());
    add(&[C::ConnAck], any::<u16>().prop_map(Property::ServerKeepAlive).boxed());
    add(&[C::Connect, C::ConnAck, C::Auth], text().prop_map(Property::AuthenticationMethod).boxed());
    add(&[C::Connect, C::ConnAck, C::Auth], data().prop_map(Property::AuthenticationData).boxed());
    add(&[C::Connect], any::<bool>().prop_map(Property::RequestProblemInformation).boxed());
    add(&[C::Will], any::<u32>().prop_map(Property::WillDelayInterval).boxed());
    add(&[C::Connect], any::<bool>().prop_map(Property::RequestResponseInformation).boxed());
    add(&[C::ConnAck], text().prop_map(Property::ResponseInformation).boxed());
    add(&[C::ConnAck, C::Disconnect], text().prop_map(Property::ServerReference).boxed());
    add(
        &[C::ConnAck, C::Ack, C::SubAck, C::UnsubAck, C::Disconnect, C::Auth],
        text().prop_map(Property::ReasonString).boxed(),
    );
    add(&[C::Connect, C::ConnAck], (1..=u16::MAX).prop_map(Property::ReceiveMaximum).boxed());
    add(&[C::Connect, C::ConnAck], any::<u16>().prop_map(Property::TopicAliasMaximum).boxed());
    add(&[C::Publish], (1..=u16::MAX).prop_map(Property::TopicAlias).boxed());
    add(&[C::ConnAck], any::<bool>().prop_map(Property::MaximumQoS).boxed());
    add(&[C::ConnAck], any::<bool>().prop_map(Property::RetainAvailable).boxed());
    add(&[C::Connect, C::ConnAck], (1..=u32::MAX).prop_map(Property::MaximumPacketSize).boxed());
    add(&[C::ConnAck], any::<bool>().prop_map(Property::WildcardSubscriptionAvailable).boxed());
    add(&[C::ConnAck], any::<bool>().prop_map(Property::SubscriptionIdentifierAvailable).boxed());
    add(&[C::ConnAck], any::<bool>().prop_map(Property::SharedSubscriptionAvailable).boxed());
    proptest::strategy::Union::new(all)
}

/// Properties that the packet may have: none before 5.0, each once but those that may repeat.
pub fn properties(version: Version, context: PropertyContext) -> BoxedStrategy<Properties> {
    if version < Version::V5 {
        return Just(Properties::NONE).boxed();
    }
    vec(property(context), 0..6)
        .prop_map(move |mut properties| {
            let mut seen = Vec::new();
            properties.retain(|property| {
                let kind = std::mem::discriminant(property);
                let repeats = matches!(property, Property::UserProperty(..))
                    || (context == PropertyContext::Publish
                        && matches!(property, Property::SubscriptionIdentifier(_)));
                if !repeats && seen.contains(&kind) {
                    return false;
                }
                seen.push(kind);
                true
            });
            Properties(properties)
        })
        .boxed()
}

fn reason(version: Version, codes: &[ReasonCode]) -> BoxedStrategy<ReasonCode> {
    match version {
        Version::V5 => select(codes.to_vec()).boxed(),
        _ => Just(ReasonCode::Success).boxed(),
    }
}

fn will(version: Version) -> impl Strategy<Value = Will> {
    (topic_name(), data(), qos(), any::<bool>(), properties(version, PropertyContext::Will)).prop_map(
        |(topic, payload, qos, retain, properties)| Will { topic, payload, qos, retain, properties },
    )
}

pub fn connect(version: Version) -> impl Strategy<Value = Connect> {
    (
        (any::<bool>(), any::<u16>(), text(), option::of(will(version))),
        (option::of(text()), option::of(data()), properties(version, PropertyContext::Connect)),
    )
        .prop_map(
            move |((clean_start, keep_alive_secs, client_id, will), (username, password, properties))| {
                let password = if username.is_some() || version == Version::V5 { password } else { None };
                Connect {
                    version,
                    clean_start,
                    keep_alive_secs,
                    client_id,
                    will: will.map(Box::new),
                    username,
                    password,
                    properties,
                }
            },
        )
}

pub fn publish(version: Version) -> impl Strategy<Value = Publish> {
    (
        (any::<bool>(), qos(), any::<bool>(), topic_name(), 1..=u16::MAX),
        properties(version, PropertyContext::Publish),
        data(),
    )
        .prop_map(|((dup, qos, retain, topic, packet_id), properties, payload)| Publish {
            dup: dup && qos > QoS::AtMostOnce,
            qos,
            retain,
            topic,
            packet_id: if qos > QoS::AtMostOnce { packet_id } else { 0 },
            properties,
            payload,
        })
}

fn options(version: Version) -> impl Strategy<Value = SubscriptionOptions> {
    let handling = vec![RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never];
    (qos(), any::<bool>(), any::<bool>(), select(handling)).prop_map(
        move |(qos, no_local, retain_as_published, retain_handling)| match version {
            Version::V5 => SubscriptionOptions { qos, no_local, retain_as_published, retain_handling },
            _ => SubscriptionOptions { qos, ..SubscriptionOptions::default() },
        },
    )
}

fn filter() -> impl Strategy<Value = ByteString> {
    prop_oneof![
        topic_name(),
        Just(ByteString::from("a/+/b")),
        Just(ByteString::from("#")),
        Just(ByteString::from("$share/g/x/#"))
    ]
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe> {
    let filters = vec(
        (filter(), options(version)).prop_map(|(filter, options)| SubscribeFilter { filter, options }),
        1..5,
    );
    (1..=u16::MAX, filters, properties(version, PropertyContext::Subscribe))
        .prop_map(|(packet_id, filters, properties)| Subscribe { packet_id, filters, properties })
}

fn ack(version: Version, codes: &[ReasonCode]) -> impl Strategy<Value = Ack> + use<> {
    (1..=u16::MAX, reason(version, codes), properties(version, PropertyContext::Ack))
        .prop_map(|(packet_id, reason, properties)| Ack { packet_id, reason, properties })
}

/// Any packet of the version.
pub fn packet(version: Version) -> BoxedStrategy<Packet> {
    use PropertyContext as C;
    use ReasonCode as R;
    let published = [R::Success, R::NoMatchingSubscribers, R::NotAuthorized, R::QuotaExceeded];
    let released = [R::Success, R::PacketIdentifierNotFound];
    let v5 = version == Version::V5;
    let connack_codes = if v5 { vec![0_u8, 0x80, 0x84, 0x87] } else { vec![0, 1, 4, 5] };
    let suback_codes = if v5 { vec![0_u8, 1, 2, 0x87, 0x8F] } else { vec![0, 1, 2, 0x80] };
    let unsuback_codes =
        if v5 { vec(select(vec![0_u8, 0x11, 0x8F]), 1..5).boxed() } else { Just(Vec::new()).boxed() };
    let mut all = vec![
        connect(version).prop_map(|connect| Packet::Connect(Box::new(connect))).boxed(),
        (any::<bool>(), select(connack_codes), properties(version, C::ConnAck))
            .prop_map(|(present, code, properties)| {
                Packet::ConnAck(ConnAck { session_present: present && code == 0, code, properties })
            })
            .boxed(),
        publish(version).prop_map(Packet::Publish).boxed(),
        ack(version, &published).prop_map(Packet::PubAck).boxed(),
        ack(version, &published).prop_map(Packet::PubRec).boxed(),
        ack(version, &released).prop_map(Packet::PubRel).boxed(),
        ack(version, &released).prop_map(Packet::PubComp).boxed(),
        subscribe(version).prop_map(Packet::Subscribe).boxed(),
        (1..=u16::MAX, vec(select(suback_codes), 1..5), properties(version, C::SubAck))
            .prop_map(|(packet_id, codes, properties)| {
                Packet::SubAck(SubAck { packet_id, codes, properties })
            })
            .boxed(),
        (1..=u16::MAX, vec(filter(), 1..5), properties(version, C::Unsubscribe))
            .prop_map(|(packet_id, filters, properties)| {
                Packet::Unsubscribe(Unsubscribe { packet_id, filters, properties })
            })
            .boxed(),
        (1..=u16::MAX, unsuback_codes, properties(version, C::UnsubAck))
            .prop_map(|(packet_id, codes, properties)| {
                Packet::UnsubAck(UnsubAck { packet_id, codes, properties })
            })
            .boxed(),
        Just(Packet::PingReq).boxed(),
        Just(Packet::PingResp).boxed(),
        (
            reason(version, &[R::Success, R::DisconnectWithWill, R::SessionTakenOver]),
            properties(version, C::Disconnect),
        )
            .prop_map(|(reason, properties)| Packet::Disconnect(Disconnect { reason, properties }))
            .boxed(),
    ];
    if v5 {
        all.push(
            (reason(version, &[R::Success, R::ContinueAuthentication]), properties(version, C::Auth))
                .prop_map(|(reason, properties)| Packet::Auth(Auth { reason, properties }))
                .boxed(),
        );
    }
    proptest::strategy::Union::new(all).boxed()
}

pub fn encode(packet: &Packet, version: Version) -> BytesMut {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).unwrap();
    out
}

/// All packets in `bytes`, which must be whole.
pub fn decode_all(bytes: &[u8], version: Version) -> Vec<Packet> {
    let mut buffer = BytesMut::from(bytes);
    let mut decoder = Decoder::with_version(version);
    let mut packets = Vec::new();
    while let Some(packet) = decoder.decode(&mut buffer, &Limits::default()).unwrap() {
        packets.push(packet);
    }
    assert!(buffer.is_empty(), "bytes left over: {buffer:02x?}");
    packets
}

/// Bytes written as hexadecimal digits, with text in quotes: `30 0d 0006 "kuzzle"`.
pub fn bytes_of(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        if at % 2 == 1 {
            bytes.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u8> = part.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        for pair in digits.chunks(2) {
            bytes.push(u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
        }
    }
    bytes
}
