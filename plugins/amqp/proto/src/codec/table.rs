//! Field tables in RabbitMQ's dialect, checked once and then read in place.
//!
//! The specification's letters and RabbitMQ's differ: `s` is a signed 16-bit integer, `l` a signed 64-bit one, `x` a byte
//! array (errata, "Field types"). `L` is read like `l`, as other implementations of the dialect do.

use std::iter::FusedIterator;

use bytes::{BufMut, Bytes, BytesMut};

use super::wire::{Malformed, Slice, put_long_string, put_short_string};

/// How deep tables and arrays may be nested.
pub const DEPTH_MAX: usize = 32;

/// A field table that owns its bytes, known to be well-formed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table(Bytes);

impl Table {
    /// A table without fields.
    #[must_use]
    pub const fn new() -> Table {
        Table(Bytes::new())
    }

    /// The table whose fields are `raw`: its encoding without the length in front.
    ///
    /// # Errors
    /// When the fields are not well-formed or nested deeper than [`DEPTH_MAX`].
    pub fn from_raw(raw: Bytes) -> Result<Table, Malformed> {
        check_fields(&raw, DEPTH_MAX)?;
        Ok(Table(raw))
    }

    /// The encoding of the fields, without the length in front.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.0
    }

    /// The table, borrowed.
    #[must_use]
    pub fn view(&self) -> TableView<'_> {
        TableView(&self.0)
    }

    /// The value of the first field called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'_>> {
        self.view().get(name)
    }
}

/// A field table inside other bytes, known to be well-formed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableView<'a>(&'a [u8]);

impl<'a> TableView<'a> {
    /// The table whose fields are `raw`: its encoding without the length in front.
    ///
    /// # Errors
    /// When the fields are not well-formed or nested deeper than [`DEPTH_MAX`].
    pub fn from_raw(raw: &'a [u8]) -> Result<TableView<'a>, Malformed> {
        check_fields(raw, DEPTH_MAX)?;
        Ok(TableView(raw))
    }

    /// The encoding of the fields, without the length in front.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Name and value of each field, in the order of the wire.
    #[must_use]
    pub fn iter(self) -> Fields<'a> {
        Fields(Slice(self.0))
    }

    /// The value of the first field called `name`.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.iter().find(|(field, _)| *field == name.as_bytes()).map(|(_, value)| value)
    }
}

impl<'a> IntoIterator for TableView<'a> {
    type Item = (&'a [u8], Value<'a>);
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Fields<'a> {
        self.iter()
    }
}

/// The fields of a table: see [`TableView::iter`].
#[derive(Debug, Clone)]
pub struct Fields<'a>(Slice<'a>);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.short_string().ok()?, Value::read(&mut self.0).ok()?))
    }
}

impl FusedIterator for Fields<'_> {}

/// An array of values inside other bytes, known to be well-formed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArrayView<'a>(&'a [u8]);

impl<'a> ArrayView<'a> {
    /// The encoding of the values, without the length in front.
    #[must_use]
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// The values, in the order of the wire.
    #[must_use]
    pub fn iter(self) -> Values<'a> {
        Values(Slice(self.0))
    }
}

impl<'a> IntoIterator for ArrayView<'a> {
    type Item = Value<'a>;
    type IntoIter = Values<'a>;

    fn into_iter(self) -> Values<'a> {
        self.iter()
    }
}

/// The values of an array: see [`ArrayView::iter`].
#[derive(Debug, Clone)]
pub struct Values<'a>(Slice<'a>);

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        Value::read(&mut self.0).ok()
    }
}

impl FusedIterator for Values<'_> {}

/// A value of a field table, borrowed from its bytes.
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
    /// `l`
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: `value` divided by ten to the power of `scale`.
    Decimal {
        /// Digits behind the point.
        scale: u8,
        /// All digits.
        value: u32,
    },
    /// `T`: seconds since 1970.
    Timestamp(u64),
    /// `S`: text by custom, any octets by right.
    LongString(&'a [u8]),
    /// `x`
    ByteArray(&'a [u8]),
    /// `V`
    Void,
    /// `A`
    Array(ArrayView<'a>),
    /// `F`
    Table(TableView<'a>),
}

impl<'a> Value<'a> {
    /// A long string of `text`.
    #[must_use]
    pub fn text(text: &'a str) -> Value<'a> {
        Value::LongString(text.as_bytes())
    }

    /// The name of the value's type in RabbitMQ's messages.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
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
            Value::Decimal { .. } => "decimal",
            Value::Timestamp(_) => "timestamp",
            Value::LongString(_) => "longstr",
            Value::ByteArray(_) => "binary",
            Value::Void => "void",
            Value::Array(_) => "array",
            Value::Table(_) => "table",
        }
    }

    /// The value of an integer of any width.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        Some(match *self {
            Value::I8(value) => value.into(),
            Value::U8(value) => value.into(),
            Value::I16(value) => value.into(),
            Value::U16(value) => value.into(),
            Value::I32(value) => value.into(),
            Value::U32(value) => value.into(),
            Value::I64(value) => value,
            _ => return None,
        })
    }

    /// Reads one value; of an array or a table the length alone is checked.
    fn read(from: &mut Slice<'a>) -> Result<Value<'a>, Malformed> {
        Ok(match from.u8()? {
            b't' => Value::Bool(from.u8()? != 0),
            b'b' => Value::I8(i8::from_be_bytes(from.array()?)),
            b'B' => Value::U8(from.u8()?),
            b's' => Value::I16(i16::from_be_bytes(from.array()?)),
            b'u' => Value::U16(from.u16()?),
            b'I' => Value::I32(i32::from_be_bytes(from.array()?)),
            b'i' => Value::U32(from.u32()?),
            b'l' | b'L' => Value::I64(i64::from_be_bytes(from.array()?)),
            b'f' => Value::F32(f32::from_be_bytes(from.array()?)),
            b'd' => Value::F64(f64::from_be_bytes(from.array()?)),
            b'D' => Value::Decimal { scale: from.u8()?, value: from.u32()? },
            b'T' => Value::Timestamp(from.u64()?),
            b'S' => Value::LongString(from.long_string()?),
            b'x' => Value::ByteArray(from.long_string()?),
            b'V' => Value::Void,
            b'A' => Value::Array(ArrayView(from.long_string()?)),
            b'F' => Value::Table(TableView(from.long_string()?)),
            other => return Err(Malformed::FieldType(other)),
        })
    }

    fn write(&self, out: &mut BytesMut) {
        match *self {
            Value::Bool(value) => out.put_slice(&[b't', value.into()]),
            Value::I8(value) => out.put_slice(&[b'b', value as u8]),
            Value::U8(value) => out.put_slice(&[b'B', value]),
            Value::I16(value) => put(out, b's', value.to_be_bytes()),
            Value::U16(value) => put(out, b'u', value.to_be_bytes()),
            Value::I32(value) => put(out, b'I', value.to_be_bytes()),
            Value::U32(value) => put(out, b'i', value.to_be_bytes()),
            Value::I64(value) => put(out, b'l', value.to_be_bytes()),
            Value::F32(value) => put(out, b'f', value.to_be_bytes()),
            Value::F64(value) => put(out, b'd', value.to_be_bytes()),
            Value::Decimal { scale, value } => {
                out.put_slice(&[b'D', scale]);
                out.put_u32(value);
            }
            Value::Timestamp(value) => put(out, b'T', value.to_be_bytes()),
            Value::LongString(octets) => put_long(out, b'S', octets),
            Value::ByteArray(octets) => put_long(out, b'x', octets),
            Value::Void => out.put_u8(b'V'),
            Value::Array(array) => put_long(out, b'A', array.0),
            Value::Table(table) => put_long(out, b'F', table.0),
        }
    }
}

fn put<const N: usize>(out: &mut BytesMut, letter: u8, octets: [u8; N]) {
    out.put_u8(letter);
    out.put_slice(&octets);
}

fn put_long(out: &mut BytesMut, letter: u8, octets: &[u8]) {
    out.put_u8(letter);
    put_long_string(out, octets);
}

fn check_fields(raw: &[u8], depth: usize) -> Result<(), Malformed> {
    let mut rest = Slice(raw);
    while !rest.0.is_empty() {
        rest.short_string()?;
        check_value(&mut rest, depth)?;
    }
    Ok(())
}

fn check_value(rest: &mut Slice<'_>, depth: usize) -> Result<(), Malformed> {
    let value = Value::read(rest)?;
    if !matches!(value, Value::Array(_) | Value::Table(_)) {
        return Ok(());
    }
    let depth = depth.checked_sub(1).ok_or(Malformed::Depth)?;
    match value {
        Value::Table(table) => check_fields(table.0, depth),
        Value::Array(array) => {
            let mut values = Slice(array.0);
            while !values.0.is_empty() {
                check_value(&mut values, depth)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Makes a table field by field.
#[derive(Debug, Default)]
pub struct TableBuilder(BytesMut);

impl TableBuilder {
    /// A builder of a table without fields.
    #[must_use]
    pub fn new() -> TableBuilder {
        TableBuilder::default()
    }

    /// Appends a field. Of a name longer than 255 bytes the rest is left out.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value<'_>) -> TableBuilder {
        self.push(name.as_bytes(), value);
        self
    }

    /// Appends a field whose name need not be UTF-8. Of a name longer than 255 bytes the rest is left out.
    pub fn push(&mut self, name: &[u8], value: Value<'_>) {
        put_short_string(&mut self.0, name);
        value.write(&mut self.0);
    }

    /// The table. It is not asked how deep the tables in it are nested: see [`Table::from_raw`].
    #[must_use]
    pub fn build(self) -> Table {
        Table(self.0.freeze())
    }
}

/// Makes an array value by value.
#[derive(Debug, Default)]
pub struct ArrayBuilder(BytesMut);

impl ArrayBuilder {
    /// A builder of an array without values.
    #[must_use]
    pub fn new() -> ArrayBuilder {
        ArrayBuilder::default()
    }

    /// Appends a value.
    #[must_use]
    pub fn value(mut self, value: Value<'_>) -> ArrayBuilder {
        value.write(&mut self.0);
        self
    }

    /// The array, borrowed from the builder.
    #[must_use]
    pub fn view(&self) -> ArrayView<'_> {
        ArrayView(&self.0)
    }
}
