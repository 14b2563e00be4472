//! Why bytes are no packet.

use std::fmt;

use super::{PacketType, ReasonCode};

/// A packet that breaks a rule or meets a limit. The connection that it came over cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The packet, where its first byte told.
    pub packet: Option<PacketType>,
    /// The code with which MQTT 5.0 refuses it: malformed packet, protocol error, or a more exact one.
    pub reason: ReasonCode,
    /// What was found and what the rule is, with the clause in brackets where there is one.
    pub what: &'static str,
}

impl DecodeError {
    pub(crate) fn malformed(what: &'static str) -> DecodeError {
        DecodeError { packet: None, reason: ReasonCode::MalformedPacket, what }
    }

    pub(crate) fn protocol(what: &'static str) -> DecodeError {
        DecodeError { packet: None, reason: ReasonCode::ProtocolError, what }
    }

    pub(crate) fn refused(reason: ReasonCode, what: &'static str) -> DecodeError {
        DecodeError { packet: None, reason, what }
    }

    pub(crate) fn in_packet(mut self, packet: PacketType) -> DecodeError {
        self.packet.get_or_insert(packet);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.packet.map_or("packet", PacketType::name), self.what)
    }
}

impl std::error::Error for DecodeError {}
