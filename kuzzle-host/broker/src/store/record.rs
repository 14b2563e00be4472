//! Records of the broker's journal as bytes. All numbers are little-endian; texts and byte strings have their length in 4
//! bytes before them. A payload begins with a byte that says its kind.

use bytes::Bytes;
use bytestring::ByteString;

/// Kinds of records.
pub(super) mod kind {
    /// A picture of all that is live begins.
    pub(crate) const BEGIN: u8 = 1;
    /// It is complete.
    pub(crate) const END: u8 = 2;
    pub(crate) const VHOST: u8 = 3;
    pub(crate) const EXCHANGE: u8 = 4;
    pub(crate) const EXCHANGE_GONE: u8 = 5;
    pub(crate) const QUEUE: u8 = 6;
    pub(crate) const QUEUE_GONE: u8 = 7;
    pub(crate) const BIND: u8 = 8;
    pub(crate) const UNBIND: u8 = 9;
    /// A message with its entries in queues, or with none.
    pub(crate) const MESSAGE: u8 = 10;
    /// Entries of one queue for messages that lie elsewhere.
    pub(crate) const ENTRIES: u8 = 11;
    pub(crate) const SETTLED: u8 = 12;
    pub(crate) const RECEIVED: u8 = 13;
    pub(crate) const TAG: u8 = 14;
    pub(crate) const RETAINED: u8 = 15;
    pub(crate) const RETAINED_GONE: u8 = 16;
    pub(crate) const SESSION: u8 = 17;
    pub(crate) const SESSION_GONE: u8 = 18;
    pub(crate) const REMEMBERED: u8 = 19;
    pub(crate) const NOTE: u8 = 20;
    pub(crate) const FORGOTTEN: u8 = 21;
    /// A message once more, without entries: it has moved here.
    pub(crate) const MOVED: u8 = 22;
    /// Clients may come from here on: what follows on a clean stop is not clean any more.
    pub(crate) const OPENED: u8 = 23;
}

/// Writes the fields of a record.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn new(kind: u8) -> Self {
        Self(vec![kind])
    }

    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, value: &[u8]) -> Self {
        self.0.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.0.extend_from_slice(value);
        self
    }

    pub(super) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    /// A list of numbers, which may be missing.
    pub(super) fn numbers(mut self, values: Option<&[u64]>) -> Self {
        self = self.u32(values.map_or(0, |values| values.len() as u32));
        for value in values.unwrap_or_default() {
            self = self.u64(*value);
        }
        self
    }
}

/// Reads the fields of a record; none where the bytes end early.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_at_checked(N)?;
        self.0 = tail;
        head.try_into().ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    pub(super) fn owned(&mut self) -> Option<Bytes> {
        self.bytes().map(Bytes::copy_from_slice)
    }

    pub(super) fn text(&mut self) -> Option<ByteString> {
        std::str::from_utf8(self.bytes()?).ok().map(ByteString::from)
    }

    pub(super) fn numbers(&mut self) -> Option<Vec<u64>> {
        let len = self.u32()? as usize;
        if len > self.0.len() / 8 {
            return None;
        }
        (0..len).map(|_| self.u64()).collect()
    }
}

/// The flags of those that hold.
pub(super) fn flags<const N: usize>(all: [(bool, u8); N]) -> u8 {
    all.into_iter().filter(|(holds, _)| *holds).fold(0, |flags, (_, flag)| flags | flag)
}

/// Bits of a message's flags.
pub(super) mod message_flag {
    pub(crate) const RETAIN: u8 = 1;
    /// It is the retained message of its key.
    pub(crate) const RETAINED: u8 = 2;
    /// A session remembers it.
    pub(crate) const DEDUPE: u8 = 4;
}

/// Bits of an entry's flags.
pub(super) mod entry_flag {
    pub(crate) const REDELIVERED: u8 = 1;
    pub(crate) const RETAINED: u8 = 2;
    pub(crate) const RECEIVED: u8 = 4;
}
