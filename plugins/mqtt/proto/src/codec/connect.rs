//! CONNECT and CONNACK (sections 3.1 and 3.2).

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    DecodeError, EncodeError, Limits, Properties, PropertyContext, QoS, ReasonCode, Version, encode,
    reader::Reader,
};

/// The first packet of a client. What is shown of it has no password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// The version that the client speaks.
    pub version: Version,
    /// Whether an earlier session is thrown away (clean session before 5.0).
    pub clean_start: bool,
    /// Seconds; 0 for none.
    pub keep_alive_secs: u16,
    /// The client identifier, possibly empty.
    pub client_id: ByteString,
    /// What is published when the client is lost.
    pub will: Option<Box<Will>>,
    /// The user name.
    pub username: Option<ByteString>,
    /// The password, which is binary.
    pub password: Option<Bytes>,
    /// Properties of 5.0.
    pub properties: Properties,
}

/// The will of a CONNECT (section 3.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// The topic name.
    pub topic: ByteString,
    /// The message.
    pub payload: Bytes,
    /// The QoS that it is published with.
    pub qos: QoS,
    /// Whether it is published as a retained message.
    pub retain: bool,
    /// Properties of 5.0.
    pub properties: Properties,
}

/// The answer to CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server continues an earlier session.
    pub session_present: bool,
    /// The reason code of 5.0, the return code (0 to 5) before.
    pub code: u8,
    /// Properties of 5.0.
    pub properties: Properties,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_secs", &self.keep_alive_secs)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("username", &self.username)
            .field("has_password", &self.password.is_some())
            .field("properties", &self.properties)
            .finish()
    }
}

impl Connect {
    /// Reads the version: `Err` in `Ok` is the level of a version that is not served, for a refusal that the client can
    /// read.
    pub(super) fn read_version(reader: &mut Reader) -> Result<Result<Version, u8>, DecodeError> {
        let name = reader.binary()?;
        let level = reader.byte()?;
        match (&name[..], level) {
            (b"MQIsdp", 3) => Ok(Ok(Version::V31)),
            (b"MQTT", 4) => Ok(Ok(Version::V311)),
            (b"MQTT", 5) => Ok(Ok(Version::V5)),
            (b"MQIsdp" | b"MQTT", level) => Ok(Err(level)),
            _ => Err(DecodeError::refused(
                ReasonCode::UnsupportedProtocolVersion,
                "a protocol name other than MQTT and MQIsdp [MQTT-3.1.2-1]",
            )),
        }
    }

    /// Reads what comes behind name and level.
    pub(super) fn read(
        reader: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<Connect, DecodeError> {
        let flags = reader.byte()?;
        if flags & 1 != 0 {
            return Err(DecodeError::malformed(
                "the reserved connect flag is set; it must be 0 [MQTT-3.1.2-3]",
            ));
        }
        let [has_username, has_password, will_retain, has_will, clean_start] =
            [0x80, 0x40, 0x20, 0x04, 0x02].map(|bit| flags & bit != 0);
        let will_qos = QoS::from_u8(flags >> 3 & 3)
            .ok_or_else(|| DecodeError::malformed("a will QoS of 3 [MQTT-3.1.2-12]"))?;
        if !has_will && (will_retain || will_qos > QoS::AtMostOnce) {
            return Err(DecodeError::malformed("will QoS or will retain without a will [MQTT-3.1.2-11]"));
        }
        if has_password && !has_username && version == Version::V311 {
            return Err(DecodeError::malformed("a password without a user name [MQTT-3.1.2-22]"));
        }
        let keep_alive_secs = reader.u16()?;
        let properties = match version {
            Version::V5 => Properties::read(reader, PropertyContext::Connect, limits.properties_max)?,
            _ => Properties::NONE,
        };
        let client_id = reader.text()?;
        if client_id.len() > limits.client_id_max_bytes {
            return Err(DecodeError::refused(
                ReasonCode::ClientIdentifierNotValid,
                "the client identifier is longer than this server takes",
            ));
        }
        let will = match has_will {
            true => Some(Box::new(Will::read(reader, version, will_qos, will_retain, limits)?)),
            false => None,
        };
        // Version 3.1: the remaining length takes precedence over the flags of the last two fields.
        let absent = |reader: &Reader| version == Version::V31 && reader.is_empty();
        let username = match has_username && !absent(reader) {
            true => Some(reader.text()?),
            false => None,
        };
        let password = match has_password && !absent(reader) {
            true => Some(reader.binary()?),
            false => None,
        };
        Ok(Connect { version, clean_start, keep_alive_secs, client_id, will, username, password, properties })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        encode::put_text(out, self.version.protocol_name());
        out.put_u8(self.version.level());
        let mut flags = u8::from(self.clean_start) << 1;
        if let Some(will) = &self.will {
            flags |= 4 | (will.qos as u8) << 3 | u8::from(will.retain) << 5;
        }
        flags |= u8::from(self.password.is_some()) << 6 | u8::from(self.username.is_some()) << 7;
        out.put_u8(flags);
        out.put_u16(self.keep_alive_secs);
        if self.version == Version::V5 {
            self.properties.write(out);
        }
        encode::put_text(out, &self.client_id);
        if let Some(will) = &self.will {
            if self.version == Version::V5 {
                will.properties.write(out);
            }
            encode::put_text(out, &will.topic);
            encode::put_binary(out, &will.payload);
        }
        if let Some(username) = &self.username {
            encode::put_text(out, username);
        }
        if let Some(password) = &self.password {
            encode::put_binary(out, password);
        }
    }

    pub(super) fn check_fields(&self) -> Result<(), EncodeError> {
        encode::check_properties(&self.properties)?;
        encode::check_field(self.client_id.len())?;
        if let Some(will) = &self.will {
            encode::check_properties(&will.properties)?;
            encode::check_field(will.topic.len())?;
            encode::check_field(will.payload.len())?;
        }
        encode::check_field(self.username.as_ref().map_or(0, |username| username.len()))?;
        encode::check_field(self.password.as_ref().map_or(0, Bytes::len))
    }
}

impl Will {
    fn read(
        reader: &mut Reader,
        version: Version,
        qos: QoS,
        retain: bool,
        limits: &Limits,
    ) -> Result<Will, DecodeError> {
        let properties = match version {
            Version::V5 => Properties::read(reader, PropertyContext::Will, limits.properties_max)?,
            _ => Properties::NONE,
        };
        Ok(Will { topic: reader.text()?, payload: reader.binary()?, qos, retain, properties })
    }
}

impl ConnAck {
    pub(super) fn read(
        reader: &mut Reader,
        version: Version,
        limits: &Limits,
    ) -> Result<ConnAck, DecodeError> {
        let flags = reader.byte()?;
        if flags > 1 && version > Version::V31 {
            return Err(DecodeError::malformed("a reserved acknowledge flag is set [MQTT-3.2.2-1]"));
        }
        let code = reader.byte()?;
        let properties = match version {
            Version::V5 => Properties::read(reader, PropertyContext::ConnAck, limits.properties_max)?,
            _ => Properties::NONE,
        };
        Ok(ConnAck { session_present: flags & 1 == 1, code, properties })
    }

    pub(super) fn write(&self, version: Version, out: &mut BytesMut) {
        out.put_slice(&[u8::from(self.session_present), self.code]);
        if version == Version::V5 {
            self.properties.write(out);
        }
    }
}
