//! Packets as the tests of sessions write and read them.

use bytes::Bytes;
use kuzzle_mqtt_proto::codec::{
    Ack, Connect, Packet, Properties, Property, Publish, QoS, ReasonCode, SubAck, Subscribe, SubscribeFilter,
    SubscriptionOptions, UnsubAck, Version,
};
use kuzzle_mqtt_proto::session::Config;

use super::{broker::client, bytes_of, net::Net};

pub const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

pub fn net() -> Net {
    Net::new(Config::default())
}

pub fn lasting(version: Version, id: &str) -> Connect {
    let properties = match version {
        Version::V5 => Properties(vec![Property::SessionExpiryInterval(1000)]),
        _ => Properties::NONE,
    };
    Connect { clean_start: false, properties, ..client(version, id) }
}

pub fn message(topic: &str, qos: QoS, packet_id: u16, payload: &'static str) -> Publish {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: topic.into(),
        packet_id,
        properties: Properties::NONE,
        payload: Bytes::from_static(payload.as_bytes()),
    }
}

pub fn ack(packet_id: u16) -> Ack {
    Ack { packet_id, reason: ReasonCode::Success, properties: Properties::NONE }
}

pub fn options(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions { qos, ..SubscriptionOptions::default() }
}

pub fn subscribe_with(filters: &[(&str, SubscriptionOptions)], properties: Vec<Property>) -> Packet {
    let filters = filters
        .iter()
        .map(|(filter, options)| SubscribeFilter { filter: (*filter).into(), options: *options })
        .collect();
    Packet::Subscribe(Subscribe { packet_id: 1, filters, properties: Properties(properties) })
}

pub fn subscribe(net: &mut Net, at: usize, filter: &str, qos: QoS) {
    let answers = net.exchange(at, subscribe_with(&[(filter, options(qos))], Vec::new()));
    assert_eq!(codes(&answers), [qos as u8], "{answers:?}");
}

pub fn codes(packets: &[Packet]) -> Vec<u8> {
    match &packets[0] {
        Packet::SubAck(SubAck { codes, .. }) | Packet::UnsubAck(UnsubAck { codes, .. }) => codes.clone(),
        other => panic!("{other:?}"),
    }
}

pub fn publishes(packets: &[Packet]) -> Vec<Publish> {
    packets
        .iter()
        .filter_map(|packet| match packet {
            Packet::Publish(publish) => Some(publish.clone()),
            _ => None,
        })
        .collect()
}

#[track_caller]
pub fn one(packets: &[Packet]) -> Publish {
    match &publishes(packets)[..] {
        [publish] => publish.clone(),
        _ => panic!("{packets:?}"),
    }
}

pub fn goodbye(packets: &[Packet]) -> Option<ReasonCode> {
    packets.iter().find_map(|packet| match packet {
        Packet::Disconnect(disconnect) => Some(disconnect.reason),
        _ => None,
    })
}

/// Headers x-mqtt-publish-qos (byte) and x-mqtt-dup (false), and the delivery mode.
pub fn expected_properties(qos: u8) -> Vec<u8> {
    let mut bytes = bytes_of(r#"3000 00000022 12 "x-mqtt-publish-qos" "b""#);
    bytes.push(qos);
    bytes.extend(bytes_of(r#"0a "x-mqtt-dup" "t" 00"#));
    bytes.push(if qos > 0 { 2 } else { 1 });
    bytes
}

pub fn retained(topic: &str, payload: &'static str) -> Packet {
    Packet::Publish(Publish { retain: true, ..message(topic, QoS::AtLeastOnce, 9, payload) })
}

pub fn publish_with(topic: &str, properties: Vec<Property>) -> Packet {
    Packet::Publish(Publish { properties: Properties(properties), ..message(topic, QoS::AtMostOnce, 0, "x") })
}
