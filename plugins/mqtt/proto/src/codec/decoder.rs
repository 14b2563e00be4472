//! Packets taken off the front of a buffer.

use bytes::BytesMut;

use super::{Connect, DecodeError, Packet, PacketType, ReasonCode, Version, reader::Reader};

/// What one packet may hold. Checked before memory is taken for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole packet. Default 16 MiB.
    pub packet_max_bytes: usize,
    /// Bytes of a packet before the client is connected. Default 64 KiB.
    pub connect_max_bytes: usize,
    /// Properties of one packet (a will's counted apart). Default 256.
    pub properties_max: usize,
    /// Topic filters of one SUBSCRIBE or UNSUBSCRIBE. Default 1024.
    pub filters_max: usize,
    /// Bytes of a topic name or filter. Default 4096.
    pub topic_max_bytes: usize,
    /// Levels of a topic name or filter. Default 128.
    pub topic_levels_max: usize,
    /// Bytes of a client identifier. Default 1024.
    pub client_id_max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            packet_max_bytes: 16 << 20,
            connect_max_bytes: 64 << 10,
            properties_max: 256,
            filters_max: 1024,
            topic_max_bytes: 4096,
            topic_levels_max: 128,
            client_id_max_bytes: 1024,
        }
    }
}

/// Reads packets. The version is that of the CONNECT that it reads, or the one that it is given.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    version: Option<Version>,
    refused_level: Option<u8>,
}

impl Decoder {
    /// A decoder that waits for CONNECT: any other packet is refused.
    #[must_use]
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// A decoder of `version`, which takes CONNECT of that version too: for a client, and for tests.
    #[must_use]
    pub fn with_version(version: Version) -> Decoder {
        Decoder { version: Some(version), refused_level: None }
    }

    /// The version, once a CONNECT named one that is served, also when the rest of it was refused.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The protocol level of a CONNECT that named a version which is not served.
    #[must_use]
    pub fn refused_level(&self) -> Option<u8> {
        self.refused_level
    }

    /// Takes one packet off the front of `buffer`; `None`, and the buffer untouched, when it is not there in full. Takes
    /// no memory for what has not arrived.
    ///
    /// # Errors
    /// [`DecodeError`], as soon as what is there cannot become a packet. The connection is over.
    pub fn decode(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Packet>, DecodeError> {
        let Some(&first_byte) = buffer.first() else { return Ok(None) };
        let packet = self.check_first_byte(first_byte)?;
        let fail = |error: DecodeError| error.in_packet(packet);
        let Some((header, length)) = remaining_length(&buffer[1..]).map_err(fail)? else { return Ok(None) };
        let max = match packet {
            PacketType::Connect => limits.connect_max_bytes,
            _ => limits.packet_max_bytes,
        };
        if header + length > max {
            return Err(fail(DecodeError::refused(
                ReasonCode::PacketTooLarge,
                "the packet is larger than this server takes",
            )));
        }
        if buffer.len() < header + length {
            return Ok(None);
        }
        if length == 2 && (PacketType::PubAck as u8..=PacketType::PubComp as u8).contains(&(packet as u8)) {
            // The short form of an acknowledgement needs no slice of the buffer.
            return self.short_ack(buffer, packet).map(Some).map_err(fail);
        }
        let mut reader = Reader::new(buffer.split_to(header + length).freeze(), header);
        self.read(first_byte, packet, &mut reader, limits).map(Some).map_err(fail)
    }

    fn read(
        &mut self,
        first_byte: u8,
        packet: PacketType,
        reader: &mut Reader,
        limits: &Limits,
    ) -> Result<Packet, DecodeError> {
        let read = match (packet, self.version) {
            (PacketType::Connect, expected) => {
                let version = self.read_version(reader, expected)?;
                Packet::Connect(Box::new(Connect::read(reader, version, limits)?))
            }
            (_, Some(version)) => Packet::read_body(first_byte, packet, reader, version, limits)?,
            (_, None) => return Err(not_connected()),
        };
        reader.end()?;
        Ok(read)
    }

    fn read_version(
        &mut self,
        reader: &mut Reader,
        expected: Option<Version>,
    ) -> Result<Version, DecodeError> {
        match Connect::read_version(reader)? {
            Ok(version) if expected.is_none_or(|expected| expected == version) => {
                self.version = Some(version);
                Ok(version)
            }
            Ok(_) => Err(DecodeError::protocol("a second CONNECT [MQTT-3.1.0-2]")),
            Err(level) => {
                self.refused_level = Some(level);
                Err(DecodeError::refused(
                    ReasonCode::UnsupportedProtocolVersion,
                    "a protocol level other than 3 (MQIsdp), 4 and 5 (MQTT) [MQTT-3.1.2-2]",
                ))
            }
        }
    }

    fn short_ack(&self, buffer: &mut BytesMut, packet: PacketType) -> Result<Packet, DecodeError> {
        let packet_id = u16::from_be_bytes([buffer[2], buffer[3]]);
        if packet_id == 0 {
            return Err(DecodeError::protocol("packet identifier 0; it must be 1 to 65535 [MQTT-2.2.1-3]"));
        }
        bytes::Buf::advance(buffer, 4);
        let ack = super::Ack { packet_id, reason: ReasonCode::Success, properties: super::Properties::NONE };
        Ok(match packet {
            PacketType::PubAck => Packet::PubAck(ack),
            PacketType::PubRec => Packet::PubRec(ack),
            PacketType::PubRel => Packet::PubRel(ack),
            _ => Packet::PubComp(ack),
        })
    }

    /// The kind of packet, and that its flags are those of the kind (section 2.1.3).
    fn check_first_byte(&self, first_byte: u8) -> Result<PacketType, DecodeError> {
        let packet = PacketType::from_u8(first_byte >> 4)
            .ok_or_else(|| DecodeError::malformed("a packet type of 0, which is reserved"))?;
        if self.version.is_none() && packet != PacketType::Connect {
            return Err(not_connected().in_packet(packet));
        }
        let flags = first_byte & 0x0F;
        let fits = match packet {
            PacketType::Publish => flags & 6 != 6,
            // 3.1 counts these as QoS 1, and a client may repeat them with DUP.
            PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => {
                flags == 2 || (flags == 10 && self.version == Some(Version::V31))
            }
            _ => flags == 0,
        };
        match fits {
            true => Ok(packet),
            false if packet == PacketType::Publish => {
                Err(DecodeError::malformed("a QoS of 3 [MQTT-3.3.1-4]").in_packet(packet))
            }
            false => Err(DecodeError::malformed("flags that the packet does not have [MQTT-2.1.3-1]")
                .in_packet(packet)),
        }
    }
}

fn not_connected() -> DecodeError {
    DecodeError::protocol("the first packet must be CONNECT [MQTT-3.1.0-1]")
}

/// The bytes of the fixed header and the remaining length, when they are there; `bytes` begin behind the first byte.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    let mut length = 0;
    for (at, &byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            if byte == 0 && at > 0 {
                return Err(DecodeError::malformed(
                    "the remaining length uses more bytes than it needs [MQTT-1.5.5-1]",
                ));
            }
            return Ok(Some((2 + at, length)));
        }
    }
    if bytes.len() >= 4 {
        return Err(DecodeError::malformed("the remaining length has more than four bytes"));
    }
    Ok(None)
}
