//! Field tables of AMQP 0-9-1 (section 4.2.5.5), with the type letters that brokers and clients use in practice.
//!
//! A table is kept as its bytes, without the length before it, and read when somebody asks; so what a client sent is
//! what another gets, types included.

use std::fmt;

/// Tables and arrays may stand in each other so deep; what lies deeper is malformed.
pub const NESTING_MAX: usize = 32;

/// One value of a table, borrowed from its bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l` and `L`
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: digits after the point, and the number without it.
    Decimal(u8, u32),
    /// `S`
    LongString(&'a [u8]),
    /// `x`
    Binary(&'a [u8]),
    /// `A`: the bytes of the values.
    Array(&'a [u8]),
    /// `T`: seconds since 1970.
    Timestamp(u64),
    /// `F`: the bytes of the fields.
    Table(&'a [u8]),
    /// `V`
    Void,
}

impl<'a> Value<'a> {
    /// The number, if the value is a whole one.
    pub fn integer(self) -> Option<i64> {
        Some(match self {
            Value::I8(n) => n.into(),
            Value::U8(n) => n.into(),
            Value::I16(n) => n.into(),
            Value::U16(n) => n.into(),
            Value::I32(n) => n.into(),
            Value::U32(n) => n.into(),
            Value::I64(n) => n,
            _ => return None,
        })
    }

    /// The text, if the value is a long string of UTF-8.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Value::LongString(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Name of the type in the texts of refusals.
    pub fn type_name(self) -> &'static str {
        match self {
            Value::Bool(_) => "bool",
            Value::I8(_) => "byte",
            Value::U8(_) => "unsignedbyte",
            Value::I16(_) => "short",
            Value::U16(_) => "unsignedshort",
            Value::I32(_) => "signedint",
            Value::U32(_) => "unsignedint",
            Value::I64(_) => "long",
            Value::F32(_) => "float",
            Value::F64(_) => "double",
            Value::Decimal(..) => "decimal",
            Value::LongString(_) => "longstr",
            Value::Binary(_) => "binary",
            Value::Array(_) => "array",
            Value::Timestamp(_) => "timestamp",
            Value::Table(_) => "table",
            Value::Void => "void",
        }
    }

    /// Whether two values mean the same: whole numbers are compared whatever their width, all else by type too.
    pub fn same(self, other: Value<'_>) -> bool {
        match (self.integer(), other.integer()) {
            (Some(a), Some(b)) => a == b,
            (None, None) => self == other,
            _ => false,
        }
    }
}

/// The value as it stands between quotes in the texts of refusals.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::F32(value) => write!(f, "{value}"),
            Value::F64(value) => write!(f, "{value}"),
            Value::LongString(bytes) | Value::Binary(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Value::Timestamp(secs) => write!(f, "{secs}"),
            Value::Void => f.write_str("undefined"),
            Value::Decimal(scale, value) => write!(f, "{value}e-{scale}"),
            Value::Array(bytes) | Value::Table(bytes) => write!(f, "{} bytes", bytes.len()),
            _ => write!(f, "{}", self.integer().unwrap_or_default()),
        }
    }
}

/// The bytes are no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are neither a table nor the properties of a message")
    }
}

impl std::error::Error for Malformed {}

/// Reads numbers and strings in network order; each reading is `None` when too few bytes are left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn short(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?.into();
        self.take(len)
    }

    pub(crate) fn long(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    fn value(&mut self) -> Option<Value<'a>> {
        Some(match self.u8()? {
            b't' => Value::Bool(self.u8()? != 0),
            b'b' => Value::I8(self.array().map(i8::from_be_bytes)?),
            b'B' => Value::U8(self.u8()?),
            b's' => Value::I16(self.array().map(i16::from_be_bytes)?),
            b'u' => Value::U16(self.u16()?),
            b'I' => Value::I32(self.array().map(i32::from_be_bytes)?),
            b'i' => Value::U32(self.u32()?),
            b'l' | b'L' => Value::I64(self.array().map(i64::from_be_bytes)?),
            b'f' => Value::F32(self.array().map(f32::from_be_bytes)?),
            b'd' => Value::F64(self.array().map(f64::from_be_bytes)?),
            b'D' => Value::Decimal(self.u8()?, self.u32()?),
            b'S' => Value::LongString(self.long()?),
            b'x' => Value::Binary(self.long()?),
            b'A' => Value::Array(self.long()?),
            b'T' => Value::Timestamp(self.u64()?),
            b'F' => Value::Table(self.long()?),
            b'V' => Value::Void,
            _ => return None,
        })
    }
}

/// The fields of a table, in the order they stand; ends early where the bytes are malformed, so
/// [`check`] them first where that matters.
pub fn fields(table: &[u8]) -> impl Iterator<Item = (&[u8], Value<'_>)> {
    let mut reader = Reader(table);
    std::iter::from_fn(
        move || if reader.0.is_empty() { None } else { Some((reader.short()?, reader.value()?)) },
    )
}

/// The values of an array; ends early where the bytes are malformed.
pub fn values(array: &[u8]) -> impl Iterator<Item = Value<'_>> {
    let mut reader = Reader(array);
    std::iter::from_fn(move || if reader.0.is_empty() { None } else { reader.value() })
}

/// The first field of that name.
pub fn field<'a>(table: &'a [u8], name: &str) -> Option<Value<'a>> {
    fields(table).find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value)
}

/// Whether the bytes are a table all through, nested ones included.
///
/// # Errors
/// [`Malformed`] when a field is cut off, of an unknown type, or deeper than [`NESTING_MAX`].
pub fn check(table: &[u8]) -> Result<(), Malformed> {
    check_nested(table, true, 0).ok_or(Malformed)
}

fn check_nested(bytes: &[u8], names: bool, depth: usize) -> Option<()> {
    if depth > NESTING_MAX {
        return None;
    }
    let mut reader = Reader(bytes);
    while !reader.0.is_empty() {
        if names {
            reader.short()?;
        }
        match reader.value()? {
            Value::Array(inner) => check_nested(inner, false, depth + 1)?,
            Value::Table(inner) => check_nested(inner, true, depth + 1)?,
            _ => {}
        }
    }
    Some(())
}

/// Appends a field to a table. A name is cut at 255 bytes.
pub fn put(table: &mut Vec<u8>, name: &str, value: Value<'_>) {
    put_short(table, name.as_bytes());
    put_value(table, value);
}

pub(crate) fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(255)];
    out.push(bytes.len() as u8);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a value to an array.
pub fn put_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Bool(value) => out.extend_from_slice(&[b't', value.into()]),
        Value::I8(value) => out.extend_from_slice(&[b'b', value as u8]),
        Value::U8(value) => out.extend_from_slice(&[b'B', value]),
        Value::I16(value) => tagged(out, b's', &value.to_be_bytes()),
        Value::U16(value) => tagged(out, b'u', &value.to_be_bytes()),
        Value::I32(value) => tagged(out, b'I', &value.to_be_bytes()),
        Value::U32(value) => tagged(out, b'i', &value.to_be_bytes()),
        Value::I64(value) => tagged(out, b'l', &value.to_be_bytes()),
        Value::F32(value) => tagged(out, b'f', &value.to_be_bytes()),
        Value::F64(value) => tagged(out, b'd', &value.to_be_bytes()),
        Value::Decimal(scale, value) => {
            out.extend_from_slice(&[b'D', scale]);
            out.extend_from_slice(&value.to_be_bytes());
        }
        Value::LongString(bytes) => long(out, b'S', bytes),
        Value::Binary(bytes) => long(out, b'x', bytes),
        Value::Array(bytes) => long(out, b'A', bytes),
        Value::Timestamp(secs) => tagged(out, b'T', &secs.to_be_bytes()),
        Value::Table(bytes) => long(out, b'F', bytes),
        Value::Void => out.push(b'V'),
    }
}

fn tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn long(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_long(out, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_read_as_they_were_put() {
        let mut inner = Vec::new();
        put(&mut inner, "deep", Value::Void);
        let mut array = Vec::new();
        put_value(&mut array, Value::U8(3));
        put_value(&mut array, Value::F64(1.5));
        let all = [
            Value::Bool(true),
            Value::I8(-1),
            Value::U8(200),
            Value::I16(-300),
            Value::U16(60_000),
            Value::I32(-70_000),
            Value::U32(4_000_000_000),
            Value::I64(i64::MIN),
            Value::F32(0.5),
            Value::F64(-0.25),
            Value::Decimal(2, 314),
            Value::LongString(b"text"),
            Value::Binary(&[0, 255]),
            Value::Array(&array),
            Value::Timestamp(1_700_000_000),
            Value::Table(&inner),
            Value::Void,
        ];
        let mut table = Vec::new();
        for value in all {
            put(&mut table, value.type_name(), value);
        }
        check(&table).unwrap();
        let found: Vec<_> = fields(&table).collect();
        assert_eq!(found.len(), all.len());
        for (value, (name, found)) in all.into_iter().zip(found) {
            assert_eq!((name, found), (value.type_name().as_bytes(), value));
        }
        assert_eq!(check(&table[..table.len() - 2]), Err(Malformed));
    }

    #[test]
    fn nesting_ends_somewhere() {
        let mut table = Vec::new();
        for _ in 0..NESTING_MAX {
            let mut outer = Vec::new();
            put(&mut outer, "t", Value::Table(&table));
            table = outer;
        }
        check(&table).unwrap();
        let mut outer = Vec::new();
        put(&mut outer, "t", Value::Table(&table));
        let mut deeper = Vec::new();
        put(&mut deeper, "t", Value::Table(&outer));
        assert_eq!(check(&deeper), Err(Malformed));
    }

    #[test]
    fn numbers_are_the_same_whatever_their_width_and_never_text() {
        assert!(Value::I8(1).same(Value::I64(1)));
        assert!(!Value::I8(1).same(Value::LongString(b"1")));
        assert!(!Value::I8(1).same(Value::Bool(true)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let whole = check(&bytes).is_ok();
            let read: usize = fields(&bytes).count();
            prop_assert!(!whole || bytes.is_empty() || read > 0);
            let _ = values(&bytes).count();
        }
    }
}
