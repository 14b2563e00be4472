//! The data types of section 1.5, read from one packet.

use bytes::Bytes;
use bytestring::ByteString;

use super::DecodeError;

/// The body of one packet and how far it has been read.
#[derive(Debug)]
pub(super) struct Reader {
    body: Bytes,
    position: usize,
}

const CUT_SHORT: &str = "the packet ends inside a field; its remaining length is too small for what it holds";

impl Reader {
    /// A reader of `packet` from `position` on.
    pub(super) fn new(packet: Bytes, position: usize) -> Reader {
        Reader { body: packet, position }
    }

    pub(super) fn remaining(&self) -> usize {
        self.body.len() - self.position
    }

    pub(super) fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    fn advance(&mut self, length: usize) -> Result<usize, DecodeError> {
        if self.remaining() < length {
            return Err(DecodeError::malformed(CUT_SHORT));
        }
        let start = self.position;
        self.position += length;
        Ok(start)
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        let at = self.advance(1)?;
        Ok(self.body[at])
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        let at = self.advance(2)?;
        Ok(u16::from_be_bytes([self.body[at], self.body[at + 1]]))
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        let at = self.advance(4)?;
        let bytes = &self.body[at..at + 4];
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A variable byte integer: at most four bytes, and no more than needed (`[MQTT-1.5.5-1]`).
    pub(super) fn varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(DecodeError::malformed(
                        "a variable byte integer uses more bytes than it needs [MQTT-1.5.5-1]",
                    ));
                }
                return Ok(value);
            }
        }
        Err(DecodeError::malformed("a variable byte integer has more than four bytes"))
    }

    /// A packet identifier, which is never 0 (`[MQTT-2.2.1-3]`).
    pub(super) fn packet_id(&mut self) -> Result<u16, DecodeError> {
        match self.u16()? {
            0 => Err(DecodeError::protocol("packet identifier 0; it must be 1 to 65535 [MQTT-2.2.1-3]")),
            id => Ok(id),
        }
    }

    pub(super) fn binary(&mut self) -> Result<Bytes, DecodeError> {
        let length = usize::from(self.u16()?);
        let start = self.advance(length)?;
        Ok(self.body.slice(start..start + length))
    }

    /// A UTF-8 string, without U+0000 (`[MQTT-1.5.4-1]`, `[MQTT-1.5.4-2]`).
    pub(super) fn text(&mut self) -> Result<ByteString, DecodeError> {
        let bytes = self.binary()?;
        if bytes.contains(&0) {
            return Err(DecodeError::malformed("a string holds the character U+0000 [MQTT-1.5.4-2]"));
        }
        ByteString::try_from(bytes)
            .map_err(|_| DecodeError::malformed("a string is not UTF-8 [MQTT-1.5.4-1]"))
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> Bytes {
        let rest = self.body.slice(self.position..);
        self.position = self.body.len();
        rest
    }

    /// The next `length` bytes as a reader of their own.
    pub(super) fn part(&mut self, length: usize) -> Result<Reader, DecodeError> {
        let start = self.advance(length)?;
        Ok(Reader::new(self.body.slice(start..start + length), 0))
    }

    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::malformed("bytes are left behind the last field of the packet"))
        }
    }
}
