//! Properties of a message in the content-header encoding of AMQP 0-9-1 (section 4.2.6.1): the property flags, then
//! the values of those present. The class, weight and body size before them are not part of it.
//!
//! They travel as bytes from publisher to consumer. The broker reads the few it acts on; only dead lettering and
//! blind copies write new ones.

use bytes::Bytes;

use crate::table::{self, Malformed, Reader, Value};

/// All properties, borrowed from their bytes. Strings are not checked to be UTF-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    /// MIME type of the body.
    pub content_type: Option<&'a [u8]>,
    /// MIME encoding of the body.
    pub content_encoding: Option<&'a [u8]>,
    /// Bytes of the headers table, without its length.
    pub headers: Option<&'a [u8]>,
    /// 1 transient, 2 persistent.
    pub delivery_mode: Option<u8>,
    /// 0 to 255.
    pub priority: Option<u8>,
    /// Ties an answer to a question.
    pub correlation_id: Option<&'a [u8]>,
    /// Address for the answer.
    pub reply_to: Option<&'a [u8]>,
    /// Time to live: milliseconds, in decimal.
    pub expiration: Option<&'a [u8]>,
    /// Name of the message, given by its publisher.
    pub message_id: Option<&'a [u8]>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// Kind of message, given by its publisher.
    pub kind: Option<&'a [u8]>,
    /// Who published, checked against the connection.
    pub user_id: Option<&'a [u8]>,
    /// Which application published.
    pub app_id: Option<&'a [u8]>,
    /// Reserved.
    pub cluster_id: Option<&'a [u8]>,
}

impl<'a> Properties<'a> {
    /// Reads the properties; no bytes at all are no properties.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes end early, go on after the last property, hold a broken headers table, or flag a
    /// property that does not exist.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::read(bytes).ok_or(Malformed)
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut properties = Self::default();
        if bytes.is_empty() {
            return Some(properties);
        }
        let mut reader = Reader(bytes);
        let flags = reader.u16()?;
        // Bit 0 announces further flags, bit 1 is of no property: AMQP 0-9-1 has fourteen.
        if flags & 3 != 0 {
            return None;
        }
        let has = |bit: u16| flags & (1 << bit) != 0;
        if has(15) {
            properties.content_type = Some(reader.short()?);
        }
        if has(14) {
            properties.content_encoding = Some(reader.short()?);
        }
        if has(13) {
            let headers = reader.long()?;
            table::check(headers).ok()?;
            properties.headers = Some(headers);
        }
        if has(12) {
            properties.delivery_mode = Some(reader.u8()?);
        }
        if has(11) {
            properties.priority = Some(reader.u8()?);
        }
        if has(10) {
            properties.correlation_id = Some(reader.short()?);
        }
        if has(9) {
            properties.reply_to = Some(reader.short()?);
        }
        if has(8) {
            properties.expiration = Some(reader.short()?);
        }
        if has(7) {
            properties.message_id = Some(reader.short()?);
        }
        if has(6) {
            properties.timestamp = Some(reader.u64()?);
        }
        if has(5) {
            properties.kind = Some(reader.short()?);
        }
        if has(4) {
            properties.user_id = Some(reader.short()?);
        }
        if has(3) {
            properties.app_id = Some(reader.short()?);
        }
        if has(2) {
            properties.cluster_id = Some(reader.short()?);
        }
        reader.0.is_empty().then_some(properties)
    }

    /// The properties as bytes.
    pub fn encode(&self) -> Bytes {
        let mut flags = 0u16;
        let mut out = vec![0; 2];
        let mut short = |bit: u16, value: Option<&[u8]>, out: &mut Vec<u8>| {
            if let Some(value) = value {
                flags |= 1 << bit;
                table::put_short(out, value);
            }
        };
        short(15, self.content_type, &mut out);
        short(14, self.content_encoding, &mut out);
        if let Some(headers) = self.headers {
            table::put_long(&mut out, headers);
        }
        out.extend(self.delivery_mode);
        out.extend(self.priority);
        short(10, self.correlation_id, &mut out);
        short(9, self.reply_to, &mut out);
        short(8, self.expiration, &mut out);
        short(7, self.message_id, &mut out);
        if let Some(timestamp) = self.timestamp {
            out.extend_from_slice(&timestamp.to_be_bytes());
        }
        short(5, self.kind, &mut out);
        short(4, self.user_id, &mut out);
        short(3, self.app_id, &mut out);
        short(2, self.cluster_id, &mut out);
        flags |= u16::from(self.headers.is_some()) << 13
            | u16::from(self.delivery_mode.is_some()) << 12
            | u16::from(self.priority.is_some()) << 11
            | u16::from(self.timestamp.is_some()) << 6;
        out[..2].copy_from_slice(&flags.to_be_bytes());
        out.into()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<Value<'a>> {
        table::field(self.headers?, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_measured_bytes_of_delivery_mode_two() {
        let properties = Properties { delivery_mode: Some(2), ..Properties::default() };
        assert_eq!(properties.encode()[..], [0x10, 0x00, 0x02]);
        assert_eq!(Properties::parse(&[0x10, 0x00, 0x02]), Ok(properties));
        assert_eq!(Properties::parse(&[]), Ok(Properties::default()));
        assert_eq!(Properties::parse(&[0x10, 0x00]), Err(Malformed));
        assert_eq!(Properties::parse(&[0x10, 0x00, 2, 9]), Err(Malformed));
        assert_eq!(Properties::parse(&[0x00, 0x01, 0, 0]), Err(Malformed));
    }

    fn short() -> impl Strategy<Value = Option<Vec<u8>>> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..30))
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_again(
            strings in proptest::array::uniform10(short()),
            delivery_mode: Option<u8>, priority: Option<u8>, timestamp: Option<u64>, headers: Option<i32>,
        ) {
            let headers = headers.map(|n| {
                let mut headers = Vec::new();
                table::put(&mut headers, "n", Value::I32(n));
                headers
            });
            let s = |n: usize| strings[n].as_deref();
            let properties = Properties {
                content_type: s(0), content_encoding: s(1), headers: headers.as_deref(), delivery_mode, priority,
                correlation_id: s(2), reply_to: s(3), expiration: s(4), message_id: s(5), timestamp,
                kind: s(6), user_id: s(7), app_id: s(8), cluster_id: s(9),
            };
            let bytes = properties.encode();
            prop_assert_eq!(Properties::parse(&bytes), Ok(properties));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(properties) = Properties::parse(&bytes) {
                prop_assert!(bytes.is_empty() || properties.encode() == bytes);
            }
        }
    }
}
