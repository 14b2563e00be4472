//! The data types that methods, tables and properties are made of: integers, bits, short and long strings.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::table::{self, Table};

/// Bytes of the longest short string (specification 4.2.5.3).
pub(crate) const SHORT_STRING_MAX: usize = 255;

/// Why bytes could not be read as what they should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// A field reaches beyond the end.
    Truncated,
    /// Bytes are left behind the last field.
    Trailing,
    /// A short string is not UTF-8.
    Utf8,
    /// A table holds a value of a type that does not exist.
    FieldType(u8),
    /// Tables and arrays inside each other, more than [`table::DEPTH_MAX`] deep.
    Depth,
    /// Property flags that the basic class does not define.
    PropertyFlags(u16),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Truncated => f.write_str("a field reaches beyond the end"),
            Malformed::Trailing => f.write_str("bytes are left behind the last field"),
            Malformed::Utf8 => f.write_str("Malformed UTF-8 in shortstr"),
            Malformed::FieldType(octet) => write!(f, "there is no field type {octet:#04x}"),
            Malformed::Depth => write!(f, "tables more than {} deep", table::DEPTH_MAX),
            Malformed::PropertyFlags(flags) => write!(f, "there are no properties {flags:#06x}"),
        }
    }
}

impl std::error::Error for Malformed {}

/// Reads borrowed bytes from front to back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice<'a>(pub(crate) &'a [u8]);

impl<'a> Slice<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(Malformed::Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn short_string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u8()?;
        self.take(length.into())
    }

    pub(crate) fn long_string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| Malformed::Truncated)?)
    }
}

/// Reads the fields of a method; strings and tables share the memory of the frame.
pub(crate) struct Reader<'a> {
    source: &'a Bytes,
    rest: Slice<'a>,
    /// The octet that bits are taken from, and how many were.
    bits: (u8, u8),
}

impl<'a> Reader<'a> {
    /// Reads `source` from octet `start` on.
    pub(crate) fn new(source: &'a Bytes, start: usize) -> Reader<'a> {
        Reader { source, rest: Slice(source.get(start..).unwrap_or_default()), bits: (0, 8) }
    }

    fn plain(&mut self) -> &mut Slice<'a> {
        self.bits.1 = 8;
        &mut self.rest
    }

    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.rest.0.is_empty() { Ok(()) } else { Err(Malformed::Trailing) }
    }
}

/// Appends the fields of a method; consecutive bits share an octet (specification 4.2.5.2).
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut BytesMut,
    bits: u8,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut BytesMut) -> Writer<'a> {
        Writer { out, bits: 0 }
    }

    fn plain(&mut self) -> &mut BytesMut {
        self.bits = 0;
        self.out
    }
}

/// A field of a method.
pub(crate) trait Field: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed>;
    fn write(&self, writer: &mut Writer<'_>);
}

impl Field for bool {
    fn read(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
        if reader.bits.1 == 8 {
            reader.bits = (reader.rest.u8()?, 0);
        }
        let (octet, taken) = reader.bits;
        reader.bits.1 += 1;
        Ok(octet >> taken & 1 == 1)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        if writer.bits == 0 {
            writer.out.put_u8(0);
        }
        if let Some(octet) = writer.out.last_mut() {
            *octet |= u8::from(*self) << writer.bits;
        }
        writer.bits = (writer.bits + 1) % 8;
    }
}

macro_rules! integer_fields {
    ($($integer:ident $put:ident),*) => {$(
        impl Field for $integer {
            fn read(reader: &mut Reader<'_>) -> Result<$integer, Malformed> {
                reader.plain().$integer()
            }

            fn write(&self, writer: &mut Writer<'_>) {
                writer.plain().$put(*self);
            }
        }
    )*};
}

integer_fields!(u8 put_u8, u16 put_u16, u32 put_u32, u64 put_u64);

impl Field for ByteString {
    fn read(reader: &mut Reader<'_>) -> Result<ByteString, Malformed> {
        let octets = reader.plain().short_string()?;
        ByteString::try_from(reader.source.slice_ref(octets)).map_err(|_| Malformed::Utf8)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        put_short_str(writer.plain(), self);
    }
}

/// A long string.
impl Field for Bytes {
    fn read(reader: &mut Reader<'_>) -> Result<Bytes, Malformed> {
        let octets = reader.plain().long_string()?;
        Ok(reader.source.slice_ref(octets))
    }

    fn write(&self, writer: &mut Writer<'_>) {
        put_long_string(writer.plain(), self);
    }
}

impl Field for Table {
    fn read(reader: &mut Reader<'_>) -> Result<Table, Malformed> {
        let octets = reader.plain().long_string()?;
        Table::from_raw(reader.source.slice_ref(octets))
    }

    fn write(&self, writer: &mut Writer<'_>) {
        put_long_string(writer.plain(), self.raw());
    }
}

/// Appends `octets` as a short string; what is beyond [`SHORT_STRING_MAX`] is left out.
pub(crate) fn put_short_string(out: &mut BytesMut, octets: &[u8]) {
    let octets = octets.get(..SHORT_STRING_MAX).unwrap_or(octets);
    out.put_u8(octets.len() as u8);
    out.put_slice(octets);
}

/// Appends `text` as a short string, cut before the first character that does not fit.
pub(crate) fn put_short_str(out: &mut BytesMut, text: &str) {
    put_short_string(out, &text.as_bytes()[..text.floor_char_boundary(SHORT_STRING_MAX)]);
}

/// Appends `octets` as a long string. Nothing in this crate comes near the 4 GiB that its length can say.
pub(crate) fn put_long_string(out: &mut BytesMut, octets: &[u8]) {
    out.put_u32(octets.len() as u32);
    out.put_slice(octets);
}
