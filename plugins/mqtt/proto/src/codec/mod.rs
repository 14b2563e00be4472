//! Control packets as bytes: read from what a peer sent, written for a peer to read.
//!
//! [`Decoder`] takes packets off the front of a buffer, one by one; a packet that is not there in full is no error.
//! [`Packet::encode`] appends to a buffer, so that many packets leave in one write. Topics and payloads of packets that
//! were read are slices of the buffer, not copies.
//!
//! Both directions of every packet are here, so that a test or a client can speak to a server with the same code.

mod connect;
mod decoder;
mod encode;
mod error;
mod packets;
mod property;
mod reader;
mod reason;

pub use connect::{ConnAck, Connect, Will};
pub use decoder::{Decoder, Limits};
pub use encode::{EncodeError, PublishHead, encode_ack, encode_publish, publish_size};
pub(crate) use encode::{put_text, put_varint};
pub use error::DecodeError;
pub use packets::{
    Ack, Auth, Disconnect, Packet, Publish, RetainHandling, SubAck, Subscribe, SubscribeFilter,
    SubscriptionOptions, UnsubAck, Unsubscribe,
};
pub use property::{Properties, Property, PropertyContext};
pub use reason::ReasonCode;

/// The largest remaining length that the encoding can say: four bytes of seven bits (section 1.5.5).
pub const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// A version of the protocol, as CONNECT names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 3.1: protocol name `MQIsdp`, level 3.
    V31,
    /// 3.1.1: protocol name `MQTT`, level 4.
    V311,
    /// 5.0: protocol name `MQTT`, level 5.
    V5,
}

impl Version {
    /// The protocol level of CONNECT.
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Version::V31 => 3,
            Version::V311 => 4,
            Version::V5 => 5,
        }
    }

    /// The protocol name of CONNECT.
    #[must_use]
    pub fn protocol_name(self) -> &'static str {
        match self {
            Version::V31 => "MQIsdp",
            Version::V311 | Version::V5 => "MQTT",
        }
    }
}

/// How surely an application message arrives (section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum QoS {
    /// 0, at most once.
    #[default]
    AtMostOnce = 0,
    /// 1, at least once.
    AtLeastOnce = 1,
    /// 2, exactly once.
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS of that number; `None` above 2.
    #[must_use]
    pub fn from_u8(value: u8) -> Option<QoS> {
        match value {
            0 => Some(QoS::AtMostOnce),
            1 => Some(QoS::AtLeastOnce),
            2 => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }
}

/// The kind of a control packet: the upper four bits of its first byte (section 2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// A client asks to connect.
    Connect = 1,
    /// The answer to CONNECT.
    ConnAck = 2,
    /// A message.
    Publish = 3,
    /// The end of a message of QoS 1.
    PubAck = 4,
    /// A message of QoS 2 has arrived.
    PubRec = 5,
    /// A message of QoS 2 may be passed on.
    PubRel = 6,
    /// The end of a message of QoS 2.
    PubComp = 7,
    /// A client asks for messages.
    Subscribe = 8,
    /// The answer to SUBSCRIBE.
    SubAck = 9,
    /// A client wants messages no longer.
    Unsubscribe = 10,
    /// The answer to UNSUBSCRIBE.
    UnsubAck = 11,
    /// A client asks whether the server is there.
    PingReq = 12,
    /// The answer to PINGREQ.
    PingResp = 13,
    /// The last packet.
    Disconnect = 14,
    /// A step of authentication.
    Auth = 15,
}

impl PacketType {
    /// The kind of that number; `None` for 0 and above 15.
    #[must_use]
    pub fn from_u8(value: u8) -> Option<PacketType> {
        use PacketType::*;
        Some(match value {
            1 => Connect,
            2 => ConnAck,
            3 => Publish,
            4 => PubAck,
            5 => PubRec,
            6 => PubRel,
            7 => PubComp,
            8 => Subscribe,
            9 => SubAck,
            10 => Unsubscribe,
            11 => UnsubAck,
            12 => PingReq,
            13 => PingResp,
            14 => Disconnect,
            15 => Auth,
            _ => return None,
        })
    }

    /// The name as the specification writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        use PacketType::*;
        match self {
            Connect => "CONNECT",
            ConnAck => "CONNACK",
            Publish => "PUBLISH",
            PubAck => "PUBACK",
            PubRec => "PUBREC",
            PubRel => "PUBREL",
            PubComp => "PUBCOMP",
            Subscribe => "SUBSCRIBE",
            SubAck => "SUBACK",
            Unsubscribe => "UNSUBSCRIBE",
            UnsubAck => "UNSUBACK",
            PingReq => "PINGREQ",
            PingResp => "PINGRESP",
            Disconnect => "DISCONNECT",
            Auth => "AUTH",
        }
    }
}
