//! The packets but CONNECT and CONNACK (sections 3.3 to 3.15).

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    ConnAck, Connect, DecodeError, EncodeError, Limits, PacketType, Properties, PropertyContext, QoS,
    ReasonCode, Version, encode, reader::Reader,
};

/// One control packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// [`PacketType::Connect`].
    Connect(Box<Connect>),
    /// [`PacketType::ConnAck`].
    ConnAck(ConnAck),
    /// [`PacketType::Publish`].
    Publish(Publish),
    /// [`PacketType::PubAck`].
    PubAck(Ack),
    /// [`PacketType::PubRec`].
    PubRec(Ack),
    /// [`PacketType::PubRel`].
    PubRel(Ack),
    /// [`PacketType::PubComp`].
    PubComp(Ack),
    /// [`PacketType::Subscribe`].
    Subscribe(Subscribe),
    /// [`PacketType::SubAck`].
    SubAck(SubAck),
    /// [`PacketType::Unsubscribe`].
    Unsubscribe(Unsubscribe),
    /// [`PacketType::UnsubAck`].
    UnsubAck(UnsubAck),
    /// [`PacketType::PingReq`].
    PingReq,
    /// [`PacketType::PingResp`].
    PingResp,
    /// [`PacketType::Disconnect`].
    Disconnect(Disconnect),
    /// [`PacketType::Auth`].
    Auth(Auth),
}

/// An application message under way (section 3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Whether it may have been sent before.
    pub dup: bool,
    /// See [`QoS`].
    pub qos: QoS,
    /// Whether it becomes the retained message of its topic, or (to a client) was that.
    pub retain: bool,
    /// The topic name; empty when a topic alias stands for it.
    pub topic: ByteString,
    /// The packet identifier; 0 with QoS 0, which has none.
    pub packet_id: u16,
    /// Properties of 5.0.
    pub properties: Properties,
    /// The message.
    pub payload: Bytes,
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The packet identifier of the PUBLISH.
    pub packet_id: u16,
    /// How it ended; before 5.0 always [`ReasonCode::Success`].
    pub reason: ReasonCode,
    /// Properties of 5.0.
    pub properties: Properties,
}

/// What a subscription asks for (section 3.8.3.1). Before 5.0 there is the QoS alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscriptionOptions {
    /// The most that messages are delivered with.
    pub qos: QoS,
    /// Whether the client's own messages are left out.
    pub no_local: bool,
    /// Whether the retain flag is delivered as it was published.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When a subscription is sent the retained messages that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetainHandling {
    /// At each SUBSCRIBE.
    #[default]
    Always = 0,
    /// When the subscription did not exist.
    IfNew = 1,
    /// Not.
    Never = 2,
}

/// One topic filter of a SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeFilter {
    /// The topic filter, not yet checked.
    pub filter: ByteString,
    /// What the subscription asks for.
    pub options: SubscriptionOptions,
}

/// SUBSCRIBE (section 3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The packet identifier.
    pub packet_id: u16,
    /// At least one.
    pub filters: Vec<SubscribeFilter>,
    /// Properties of 5.0.
    pub properties: Properties,
}

/// SUBACK (section 3.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// The packet identifier of the SUBSCRIBE.
    pub packet_id: u16,
    /// One for each filter: the granted QoS or why not (before 5.0: 0x80).
    pub codes: Vec<u8>,
    /// Properties of 5.0.
    pub properties: Properties,
}

/// UNSUBSCRIBE (section 3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The packet identifier.
    pub packet_id: u16,
    /// At least one.
    pub filters: Vec<ByteString>,
    /// Properties of 5.0.
    pub properties: Properties,
}

/// UNSUBACK (section 3.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    /// The packet identifier of the UNSUBSCRIBE.
    pub packet_id: u16,
    /// One for each filter; none before 5.0.
    pub codes: Vec<u8>,
    /// Properties of 5.0.
    pub properties: Properties,
}

/// DISCONNECT (section 3.14). Before 5.0 it has no body, and only a client sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Why.
    pub reason: ReasonCode,
    /// Properties of 5.0.
    pub properties: Properties,
}

/// AUTH (section 3.15), 5.0 only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The step of authentication.
    pub reason: ReasonCode,
    /// Method and data.
    pub properties: Properties,
}

impl Packet {
    /// The kind.
    #[must_use]
    pub fn packet_type(&self) -> PacketType {
        match self {
            Packet::Connect(_) => PacketType::Connect,
            Packet::ConnAck(_) => PacketType::ConnAck,
            Packet::Publish(_) => PacketType::Publish,
            Packet::PubAck(_) => PacketType::PubAck,
            Packet::PubRec(_) => PacketType::PubRec,
            Packet::PubRel(_) => PacketType::PubRel,
            Packet::PubComp(_) => PacketType::PubComp,
            Packet::Subscribe(_) => PacketType::Subscribe,
            Packet::SubAck(_) => PacketType::SubAck,
            Packet::Unsubscribe(_) => PacketType::Unsubscribe,
            Packet::UnsubAck(_) => PacketType::UnsubAck,
            Packet::PingReq => PacketType::PingReq,
            Packet::PingResp => PacketType::PingResp,
            Packet::Disconnect(_) => PacketType::Disconnect,
            Packet::Auth(_) => PacketType::Auth,
        }
    }

    /// The first byte of all but PUBLISH, whose flags vary.
    pub(super) fn first_byte(&self) -> u8 {
        let flags = match self {
            Packet::PubRel(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) => 2,
            _ => 0,
        };
        (self.packet_type() as u8) << 4 | flags
    }

    /// Reads the body of a packet whose first byte has been checked, CONNECT excepted.
    pub(super) fn read_body(
        first_byte: u8,
        packet: PacketType,
        reader: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Packet, DecodeError> {
        let read_ack = |reader: &mut Reader| Ack::read(reader, packet, version, limits);
        Ok(match packet {
            PacketType::Connect => return Err(DecodeError::protocol("a second CONNECT [MQTT-3.1.0-2]")),
            PacketType::ConnAck => Packet::ConnAck(ConnAck::read(reader, version, limits)?),
            PacketType::Publish => Packet::Publish(Publish::read(first_byte, reader, version, limits)?),
            PacketType::PubAck => Packet::PubAck(read_ack(reader)?),
            PacketType::PubRec => Packet::PubRec(read_ack(reader)?),
            PacketType::PubRel => Packet::PubRel(read_ack(reader)?),
            PacketType::PubComp => Packet::PubComp(read_ack(reader)?),
            PacketType::Subscribe => Packet::Subscribe(Subscribe::read(reader, version, limits)?),
            PacketType::SubAck => Packet::SubAck(SubAck::read(reader, version, limits)?),
            PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::read(reader, version, limits)?),
            PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::read(reader, version, limits)?),
            PacketType::PingReq => Packet::PingReq,
            PacketType::PingResp => Packet::PingResp,
            PacketType::Disconnect => {
                let (reason, properties) =
                    read_end(reader, packet, version, PropertyContext::Disconnect, limits)?;
                Packet::Disconnect(Disconnect { reason, properties })
            }
            PacketType::Auth => {
                if version < Version::V5 {
                    return Err(DecodeError::malformed("a packet type of 15, which is reserved before 5.0"));
                }
                let (reason, properties) = read_end(reader, packet, version, PropertyContext::Auth, limits)?;
                Packet::Auth(Auth { reason, properties })
            }
        })
    }

    pub(super) fn write_body(&self, version: Version, out: &mut BytesMut) {
        let v5 = version == Version::V5;
        match self {
            Packet::Connect(connect) => connect.write(out),
            Packet::ConnAck(connack) => connack.write(version, out),
            // Written by `encode_publish`.
            Packet::Publish(_) => {}
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                out.put_u16(ack.packet_id);
                if v5 {
                    write_end(ack.reason, &ack.properties, out);
                }
            }
            Packet::Subscribe(subscribe) => {
                out.put_u16(subscribe.packet_id);
                if v5 {
                    subscribe.properties.write(out);
                }
                for filter in &subscribe.filters {
                    encode::put_text(out, &filter.filter);
                    out.put_u8(if v5 { filter.options.to_u8() } else { filter.options.qos as u8 });
                }
            }
            Packet::SubAck(suback) => {
                out.put_u16(suback.packet_id);
                if v5 {
                    suback.properties.write(out);
                }
                out.put_slice(&suback.codes);
            }
            Packet::Unsubscribe(unsubscribe) => {
                out.put_u16(unsubscribe.packet_id);
                if v5 {
                    unsubscribe.properties.write(out);
                }
                for filter in &unsubscribe.filters {
                    encode::put_text(out, filter);
                }
            }
            Packet::UnsubAck(unsuback) => {
                out.put_u16(unsuback.packet_id);
                if v5 {
                    unsuback.properties.write(out);
                    out.put_slice(&unsuback.codes);
                }
            }
            Packet::PingReq | Packet::PingResp => {}
            Packet::Disconnect(Disconnect { reason, properties }) => {
                if v5 {
                    write_end(*reason, properties, out);
                }
            }
            // AUTH alone may not leave out its properties when the reason code is there (section 3.15.2.1).
            Packet::Auth(Auth { reason: ReasonCode::Success, properties }) if properties.is_empty() => {}
            Packet::Auth(Auth { reason, properties }) => {
                out.put_u8(*reason as u8);
                properties.write(out);
            }
        }
    }

    pub(super) fn check_fields(&self) -> Result<(), EncodeError> {
        match self {
            Packet::Connect(connect) => connect.check_fields(),
            Packet::ConnAck(ConnAck { properties, .. })
            | Packet::PubAck(Ack { properties, .. })
            | Packet::PubRec(Ack { properties, .. })
            | Packet::PubRel(Ack { properties, .. })
            | Packet::PubComp(Ack { properties, .. })
            | Packet::SubAck(SubAck { properties, .. })
            | Packet::UnsubAck(UnsubAck { properties, .. })
            | Packet::Disconnect(Disconnect { properties, .. })
            | Packet::Auth(Auth { properties, .. }) => encode::check_properties(properties),
            Packet::Subscribe(subscribe) => {
                subscribe.filters.iter().try_for_each(|filter| encode::check_field(filter.filter.len()))?;
                encode::check_properties(&subscribe.properties)
            }
            Packet::Unsubscribe(unsubscribe) => {
                unsubscribe.filters.iter().try_for_each(|filter| encode::check_field(filter.len()))?;
                encode::check_properties(&unsubscribe.properties)
            }
            Packet::Publish(_) | Packet::PingReq | Packet::PingResp => Ok(()),
        }
    }
}

impl Publish {
    fn read(
        first_byte: u8,
        reader: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Publish, DecodeError> {
        let qos = QoS::from_u8(first_byte >> 1 & 3)
            .ok_or_else(|| DecodeError::malformed("a QoS of 3 [MQTT-3.3.1-4]"))?;
        let dup = first_byte & 8 != 0;
        if dup && qos == QoS::AtMostOnce && version > Version::V31 {
            return Err(DecodeError::malformed("the DUP flag with QoS 0 [MQTT-3.3.1-2]"));
        }
        let topic = reader.text()?;
        if topic.len() > limits.topic_max_bytes {
            return Err(DecodeError::refused(
                ReasonCode::TopicNameInvalid,
                "the topic name is longer than this server takes",
            ));
        }
        if topic.bytes().any(|byte| byte == b'+' || byte == b'#') {
            return Err(DecodeError::refused(
                ReasonCode::TopicNameInvalid,
                "the topic name has wildcards [MQTT-3.3.2-2]",
            ));
        }
        let packet_id = if qos > QoS::AtMostOnce { reader.packet_id()? } else { 0 };
        let properties = match version {
            Version::V5 => Properties::read(reader, PropertyContext::Publish, limits.properties_max)?,
            _ => Properties::NONE,
        };
        Ok(Publish {
            dup,
            qos,
            retain: first_byte & 1 != 0,
            topic,
            packet_id,
            properties,
            payload: reader.rest(),
        })
    }
}

impl Ack {
    fn read(
        reader: &mut Reader,
        packet: PacketType,
        version: Version,
        limits: &Limits,
    ) -> Result<Ack, DecodeError> {
        let packet_id = reader.packet_id()?;
        let (reason, properties) = read_end(reader, packet, version, PropertyContext::Ack, limits)?;
        Ok(Ack { packet_id, reason, properties })
    }
}

impl Subscribe {
    fn read(reader: &mut Reader, version: Version, limits: &Limits) -> Result<Subscribe, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::V5 => Properties::read(reader, PropertyContext::Subscribe, limits.properties_max)?,
            _ => Properties::NONE,
        };
        let mut filters = Vec::new();
        while !reader.is_empty() {
            check_filters(filters.len(), limits)?;
            let filter = reader.text()?;
            filters.push(SubscribeFilter {
                filter,
                options: SubscriptionOptions::read(reader.byte()?, version)?,
            });
        }
        if filters.is_empty() {
            return Err(DecodeError::protocol("no topic filter; at least one must be there [MQTT-3.8.3-2]"));
        }
        Ok(Subscribe { packet_id, filters, properties })
    }
}

impl SubscriptionOptions {
    /// The byte of SUBSCRIBE in 5.0.
    #[must_use]
    pub fn to_u8(self) -> u8 {
        self.qos as u8
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | (self.retain_handling as u8) << 4
    }

    /// Reads the byte that [`SubscriptionOptions::to_u8`] makes; `None` when it is another.
    #[must_use]
    pub fn from_u8(byte: u8) -> Option<SubscriptionOptions> {
        SubscriptionOptions::read(byte, Version::V5).ok()
    }

    fn read(byte: u8, version: Version) -> Result<SubscriptionOptions, DecodeError> {
        let reserved = if version == Version::V5 { 0xC0 } else { 0xFC };
        if byte & reserved != 0 && version > Version::V31 {
            return Err(DecodeError::malformed("a reserved bit of the options is set [MQTT-3.8.3-5]"));
        }
        let qos = QoS::from_u8(byte & 3)
            .ok_or_else(|| DecodeError::protocol("a requested QoS of 3 [MQTT-3.8.3-4]"))?;
        if version < Version::V5 {
            return Ok(SubscriptionOptions { qos, ..SubscriptionOptions::default() });
        }
        let retain_handling = match byte >> 4 & 3 {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            _ => return Err(DecodeError::protocol("a retain handling of 3; it must be 0, 1 or 2")),
        };
        Ok(SubscriptionOptions {
            qos,
            no_local: byte & 4 != 0,
            retain_as_published: byte & 8 != 0,
            retain_handling,
        })
    }
}

impl SubAck {
    fn read(reader: &mut Reader, version: Version, limits: &Limits) -> Result<SubAck, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::V5 => Properties::read(reader, PropertyContext::SubAck, limits.properties_max)?,
            _ => Properties::NONE,
        };
        Ok(SubAck { packet_id, codes: reader.rest().to_vec(), properties })
    }
}

impl Unsubscribe {
    fn read(reader: &mut Reader, version: Version, limits: &Limits) -> Result<Unsubscribe, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::V5 => Properties::read(reader, PropertyContext::Unsubscribe, limits.properties_max)?,
            _ => Properties::NONE,
        };
        let mut filters = Vec::new();
        while !reader.is_empty() {
            check_filters(filters.len(), limits)?;
            filters.push(reader.text()?);
        }
        if filters.is_empty() {
            return Err(DecodeError::protocol("no topic filter; at least one must be there [MQTT-3.10.3-2]"));
        }
        Ok(Unsubscribe { packet_id, filters, properties })
    }
}

impl UnsubAck {
    fn read(reader: &mut Reader, version: Version, limits: &Limits) -> Result<UnsubAck, DecodeError> {
        let packet_id = reader.packet_id()?;
        if version < Version::V5 {
            return Ok(UnsubAck { packet_id, codes: Vec::new(), properties: Properties::NONE });
        }
        let properties = Properties::read(reader, PropertyContext::UnsubAck, limits.properties_max)?;
        Ok(UnsubAck { packet_id, codes: reader.rest().to_vec(), properties })
    }
}

/// Reason code and properties, each of which may be missing: then success and none.
fn read_end(
    reader: &mut Reader,
    packet: PacketType,
    version: Version,
    context: PropertyContext,
    limits: &Limits,
) -> Result<(ReasonCode, Properties), DecodeError> {
    if version < Version::V5 || reader.is_empty() {
        return Ok((ReasonCode::Success, Properties::NONE));
    }
    let reason = ReasonCode::from_u8(reader.byte()?)
        .filter(|reason| reason.fits(packet))
        .ok_or_else(|| DecodeError::protocol("a reason code that the packet does not have"))?;
    let properties = match reader.is_empty() {
        true => Properties::NONE,
        false => Properties::read(reader, context, limits.properties_max)?,
    };
    Ok((reason, properties))
}

fn write_end(reason: ReasonCode, properties: &Properties, out: &mut BytesMut) {
    if reason != ReasonCode::Success || !properties.is_empty() {
        out.put_u8(reason as u8);
    }
    if !properties.is_empty() {
        properties.write(out);
    }
}

fn check_filters(count: usize, limits: &Limits) -> Result<(), DecodeError> {
    if count == limits.filters_max {
        return Err(DecodeError::refused(
            ReasonCode::QuotaExceeded,
            "more topic filters than this server takes in one packet",
        ));
    }
    Ok(())
}
