//! Properties of MQTT 5.0 (section 2.2.2).

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{DecodeError, ReasonCode, encode, reader::Reader};

/// One property. Its name says what it is; the comment, where it may stand if not in one packet alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// PUBLISH, will: the payload is UTF-8 text.
    PayloadFormatIndicator(bool),
    /// PUBLISH, will: seconds.
    MessageExpiryInterval(u32),
    /// PUBLISH, will.
    ContentType(ByteString),
    /// PUBLISH, will: a topic name.
    ResponseTopic(ByteString),
    /// PUBLISH, will.
    CorrelationData(Bytes),
    /// SUBSCRIBE, and PUBLISH to a client, there many times: 1 to 268,435,455.
    SubscriptionIdentifier(u32),
    /// CONNECT, CONNACK, DISCONNECT: seconds; 0xFFFFFFFF never.
    SessionExpiryInterval(u32),
    /// CONNACK.
    AssignedClientIdentifier(ByteString),
    /// CONNACK: seconds.
    ServerKeepAlive(u16),
    /// CONNECT, CONNACK, AUTH.
    AuthenticationMethod(ByteString),
    /// CONNECT, CONNACK, AUTH.
    AuthenticationData(Bytes),
    /// CONNECT.
    RequestProblemInformation(bool),
    /// Will: seconds.
    WillDelayInterval(u32),
    /// CONNECT.
    RequestResponseInformation(bool),
    /// CONNACK.
    ResponseInformation(ByteString),
    /// CONNACK, DISCONNECT.
    ServerReference(ByteString),
    /// Everything that acknowledges, DISCONNECT, AUTH: for people to read.
    ReasonString(ByteString),
    /// CONNECT, CONNACK: 1 to 65535.
    ReceiveMaximum(u16),
    /// CONNECT, CONNACK.
    TopicAliasMaximum(u16),
    /// PUBLISH: 1 to the maximum.
    TopicAlias(u16),
    /// CONNACK: whether QoS 1 is the most (else 0).
    MaximumQoS(bool),
    /// CONNACK.
    RetainAvailable(bool),
    /// Anywhere, many times.
    UserProperty(ByteString, ByteString),
    /// CONNECT, CONNACK: bytes, 1 or more.
    MaximumPacketSize(u32),
    /// CONNACK.
    WildcardSubscriptionAvailable(bool),
    /// CONNACK.
    SubscriptionIdentifierAvailable(bool),
    /// CONNACK.
    SharedSubscriptionAvailable(bool),
}

/// Where properties stand, which decides what they may be (table 2-4 of section 2.2.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum PropertyContext {
    /// CONNECT.
    Connect = 1,
    /// CONNACK.
    ConnAck = 2,
    /// PUBLISH.
    Publish = 4,
    /// The will of a CONNECT.
    Will = 8,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    Ack = 16,
    /// SUBSCRIBE.
    Subscribe = 32,
    /// SUBACK.
    SubAck = 64,
    /// UNSUBSCRIBE.
    Unsubscribe = 128,
    /// UNSUBACK.
    UnsubAck = 256,
    /// DISCONNECT.
    Disconnect = 512,
    /// AUTH.
    Auth = 1024,
}

/// The properties of one packet, in their order. Empty takes no memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties(pub Vec<Property>);

impl Properties {
    /// None.
    pub const NONE: Properties = Properties(Vec::new());

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Property> {
        self.0.iter()
    }

    /// Reads the length and the properties behind it. `max` bounds how many there may be.
    pub(super) fn read(
        reader: &mut Reader,
        context: PropertyContext,
        max: usize,
    ) -> Result<Properties, DecodeError> {
        let length = reader.varint()? as usize;
        if length == 0 {
            return Ok(Properties::NONE);
        }
        let mut reader = reader.part(length)?;
        let mut properties = Vec::new();
        let mut seen = 0_u64;
        while !reader.is_empty() {
            if properties.len() == max {
                return Err(DecodeError::refused(
                    ReasonCode::QuotaExceeded,
                    "more properties than this server takes in one packet",
                ));
            }
            let id = reader.byte()?;
            if allowed(id) & context as u16 == 0 {
                return Err(DecodeError::malformed("a property that the packet may not have [MQTT-2.2.2]"));
            }
            let repeats =
                id == USER_PROPERTY || (id == SUBSCRIPTION_IDENTIFIER && context == PropertyContext::Publish);
            if !repeats && seen & (1 << id) != 0 {
                return Err(DecodeError::protocol("a property is there twice that may be there once"));
            }
            seen |= 1 << id;
            properties.push(Property::read(id, &mut reader)?);
        }
        Ok(Properties(properties))
    }

    /// Appends the length and the properties.
    pub(super) fn write(&self, out: &mut BytesMut) {
        encode::put_with_length(out, |out| {
            for property in &self.0 {
                property.write(out);
            }
        });
    }
}

impl Property {
    fn read(id: u8, reader: &mut Reader) -> Result<Property, DecodeError> {
        use Property::*;
        Ok(match id {
            0x01 => PayloadFormatIndicator(flag(reader)?),
            0x02 => MessageExpiryInterval(reader.u32()?),
            0x03 => ContentType(reader.text()?),
            0x08 => ResponseTopic(response_topic(reader)?),
            0x09 => CorrelationData(reader.binary()?),
            SUBSCRIPTION_IDENTIFIER => SubscriptionIdentifier(not_zero(reader.varint()?)?),
            0x11 => SessionExpiryInterval(reader.u32()?),
            0x12 => AssignedClientIdentifier(reader.text()?),
            0x13 => ServerKeepAlive(reader.u16()?),
            0x15 => AuthenticationMethod(reader.text()?),
            0x16 => AuthenticationData(reader.binary()?),
            0x17 => RequestProblemInformation(flag(reader)?),
            0x18 => WillDelayInterval(reader.u32()?),
            0x19 => RequestResponseInformation(flag(reader)?),
            0x1A => ResponseInformation(reader.text()?),
            0x1C => ServerReference(reader.text()?),
            0x1F => ReasonString(reader.text()?),
            0x21 => ReceiveMaximum(not_zero(reader.u16()?)?),
            0x22 => TopicAliasMaximum(reader.u16()?),
            0x23 => TopicAlias(topic_alias(reader)?),
            0x24 => MaximumQoS(flag(reader)?),
            0x25 => RetainAvailable(flag(reader)?),
            USER_PROPERTY => UserProperty(reader.text()?, reader.text()?),
            0x27 => MaximumPacketSize(not_zero(reader.u32()?)?),
            0x28 => WildcardSubscriptionAvailable(flag(reader)?),
            0x29 => SubscriptionIdentifierAvailable(flag(reader)?),
            0x2A => SharedSubscriptionAvailable(flag(reader)?),
            _ => return Err(DecodeError::malformed("a property that the packet may not have [MQTT-2.2.2]")),
        })
    }

    /// Appends identifier and value. Strings and binary data are cut by nobody: what is longer than 65,535 bytes was
    /// refused by [`Packet::encode`](super::Packet::encode).
    pub(crate) fn write(&self, out: &mut BytesMut) {
        use Property::*;
        let id = self.id();
        out.put_u8(id);
        match self {
            PayloadFormatIndicator(flag)
            | RequestProblemInformation(flag)
            | RequestResponseInformation(flag)
            | MaximumQoS(flag)
            | RetainAvailable(flag)
            | WildcardSubscriptionAvailable(flag)
            | SubscriptionIdentifierAvailable(flag)
            | SharedSubscriptionAvailable(flag) => out.put_u8(u8::from(*flag)),
            ServerKeepAlive(value) | ReceiveMaximum(value) | TopicAliasMaximum(value) | TopicAlias(value) => {
                out.put_u16(*value);
            }
            MessageExpiryInterval(value)
            | SessionExpiryInterval(value)
            | WillDelayInterval(value)
            | MaximumPacketSize(value) => out.put_u32(*value),
            SubscriptionIdentifier(value) => encode::put_varint(out, *value as usize),
            ContentType(text)
            | ResponseTopic(text)
            | AssignedClientIdentifier(text)
            | AuthenticationMethod(text)
            | ResponseInformation(text)
            | ServerReference(text)
            | ReasonString(text) => encode::put_text(out, text),
            CorrelationData(data) | AuthenticationData(data) => encode::put_binary(out, data),
            UserProperty(name, value) => {
                encode::put_text(out, name);
                encode::put_text(out, value);
            }
        }
    }

    /// The bytes of its longest string, for the limit of 65,535.
    pub(super) fn longest_field(&self) -> usize {
        use Property::*;
        match self {
            ContentType(text)
            | ResponseTopic(text)
            | AssignedClientIdentifier(text)
            | AuthenticationMethod(text)
            | ResponseInformation(text)
            | ServerReference(text)
            | ReasonString(text) => text.len(),
            CorrelationData(data) | AuthenticationData(data) => data.len(),
            UserProperty(name, value) => name.len().max(value.len()),
            _ => 0,
        }
    }

    fn id(&self) -> u8 {
        use Property::*;
        match self {
            PayloadFormatIndicator(_) => 0x01,
            MessageExpiryInterval(_) => 0x02,
            ContentType(_) => 0x03,
            ResponseTopic(_) => 0x08,
            CorrelationData(_) => 0x09,
            SubscriptionIdentifier(_) => SUBSCRIPTION_IDENTIFIER,
            SessionExpiryInterval(_) => 0x11,
            AssignedClientIdentifier(_) => 0x12,
            ServerKeepAlive(_) => 0x13,
            AuthenticationMethod(_) => 0x15,
            AuthenticationData(_) => 0x16,
            RequestProblemInformation(_) => 0x17,
            WillDelayInterval(_) => 0x18,
            RequestResponseInformation(_) => 0x19,
            ResponseInformation(_) => 0x1A,
            ServerReference(_) => 0x1C,
            ReasonString(_) => 0x1F,
            ReceiveMaximum(_) => 0x21,
            TopicAliasMaximum(_) => 0x22,
            TopicAlias(_) => 0x23,
            MaximumQoS(_) => 0x24,
            RetainAvailable(_) => 0x25,
            UserProperty(..) => USER_PROPERTY,
            MaximumPacketSize(_) => 0x27,
            WildcardSubscriptionAvailable(_) => 0x28,
            SubscriptionIdentifierAvailable(_) => 0x29,
            SharedSubscriptionAvailable(_) => 0x2A,
        }
    }
}

const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
const USER_PROPERTY: u8 = 0x26;

/// The contexts that may hold the property, as bits.
fn allowed(id: u8) -> u16 {
    use PropertyContext::*;
    let contexts: &[PropertyContext] = match id {
        0x01 | 0x02 | 0x03 | 0x08 | 0x09 => &[Publish, Will],
        SUBSCRIPTION_IDENTIFIER => &[Publish, Subscribe],
        0x11 => &[Connect, ConnAck, Disconnect],
        0x12 | 0x13 | 0x1A | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => &[ConnAck],
        0x15 | 0x16 => &[Connect, ConnAck, Auth],
        0x17 | 0x19 => &[Connect],
        0x18 => &[Will],
        0x1C => &[ConnAck, Disconnect],
        0x1F => &[ConnAck, Ack, SubAck, UnsubAck, Disconnect, Auth],
        0x21 | 0x22 | 0x27 => &[Connect, ConnAck],
        0x23 => &[Publish],
        USER_PROPERTY => return u16::MAX,
        _ => &[],
    };
    contexts.iter().fold(0, |bits, context| bits | *context as u16)
}

fn flag(reader: &mut Reader) -> Result<bool, DecodeError> {
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::protocol("a property that is 0 or 1 has another value")),
    }
}

fn not_zero<T: PartialEq + From<u8>>(value: T) -> Result<T, DecodeError> {
    if value == T::from(0) {
        return Err(DecodeError::protocol("a property that starts at 1 is 0"));
    }
    Ok(value)
}

fn topic_alias(reader: &mut Reader) -> Result<u16, DecodeError> {
    match reader.u16()? {
        0 => Err(DecodeError::refused(ReasonCode::TopicAliasInvalid, "topic alias 0 [MQTT-3.3.2-8]")),
        alias => Ok(alias),
    }
}

fn response_topic(reader: &mut Reader) -> Result<ByteString, DecodeError> {
    let topic = reader.text()?;
    if topic.is_empty() || topic.contains(['+', '#']) {
        return Err(DecodeError::protocol(
            "the response topic is empty or has wildcards; it must be a topic name [MQTT-3.3.2-14]",
        ));
    }
    Ok(topic)
}
