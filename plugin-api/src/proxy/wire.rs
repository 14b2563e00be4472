//! Bytes to messages and back, without IO.
//!
//! A stream is a run of frames. A frame is a length (`u32`), then as many bytes: one that names the kind of message,
//! then the message's fields one after the other. Numbers are little-endian and of fixed size; texts, byte strings and
//! lists are preceded by their length (`u32`); what may be absent is preceded by a byte, 0 or 1.

use std::fmt;

use crate::abi::Blob;
use abi_stable::std_types::RString;

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WireError {
    /// A frame says that it is longer than frames may be.
    TooLong { bytes: usize, limit: usize },
    /// A field reaches past the end of its frame.
    Truncated,
    /// Bytes follow the last field.
    Trailing(usize),
    /// There is no message of this kind in this direction.
    Kind(u8),
    /// A text is not UTF-8.
    Text,
    /// A byte that must be 0 or 1 is not.
    Choice(u8),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, limit } => {
                write!(f, "a frame of {bytes} bytes came, at most {limit} are read")
            }
            Self::Truncated => f.write_str("a field reaches past the end of its frame"),
            Self::Trailing(bytes) => write!(f, "{bytes} bytes follow the last field of a frame"),
            Self::Kind(kind) => write!(f, "a message of the unknown kind {kind} came"),
            Self::Text => f.write_str("a text is not UTF-8"),
            Self::Choice(byte) => write!(f, "a choice has the value {byte}, expected 0 or 1"),
        }
    }
}

/// A message that travels in a frame of its own.
pub(super) trait Message: Sized {
    /// How many bytes [`put`](Message::put) will write.
    fn bytes(&self) -> usize;
    /// Writes kind and fields.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads kind and fields; the whole input must be used up.
    fn get(input: &mut Input<'_>) -> Result<Self, WireError>;
}

/// A value inside a message.
pub(super) trait Field: Sized {
    /// The fewest bytes that a value takes; at least 1, so that a list's length is bounded by its frame.
    const MIN_BYTES: usize;
    /// How many bytes [`put`](Field::put) will write.
    fn bytes(&self) -> usize;
    /// Writes the value.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads a value.
    fn get(input: &mut Input<'_>) -> Result<Self, WireError>;
}

/// The unread rest of a frame.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn run(&mut self) -> Result<&'a [u8], WireError> {
        let length = u32::get(self)? as usize;
        self.bytes(length)
    }

    /// Fails when something is left.
    pub(super) const fn end(&self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Trailing(self.0.len())) }
    }
}

/// Appends one frame, when its message is short enough.
///
/// # Errors
///
/// With the length, when it is not; `out` is as before then.
pub(super) fn put_frame<M: Message>(message: &M, limit: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let bytes = message.bytes();
    let length =
        u32::try_from(bytes).ok().filter(|_| bytes <= limit).ok_or(WireError::TooLong { bytes, limit })?;
    out.reserve(4 + bytes);
    length.put(out);
    message.put(out);
    Ok(())
}

/// Cuts a stream into messages.
///
/// Feed it with [`push`](Decoder::push) and call [`next`](Decoder::next) until it has none left. It holds one frame of
/// the limit at most, and what was pushed beyond it; memory is taken as bytes arrive, not as lengths promise.
pub(super) struct Decoder {
    buffer: Vec<u8>,
    start: usize,
    limit: usize,
}

impl Decoder {
    /// A decoder of frames of up to `limit` bytes.
    pub(super) const fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, limit }
    }

    /// Takes bytes of the stream in.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let needed = self.buffer.len() + bytes.len();
        if needed > self.buffer.capacity() {
            let most = 4 + self.limit;
            let wanted = (2 * self.buffer.capacity()).min(most).max(needed);
            self.buffer.reserve_exact(wanted - self.buffer.len());
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or none until more is pushed. After an error the stream has no meaning any more.
    ///
    /// # Errors
    ///
    /// When the bytes are no message.
    pub(super) fn next<M: Message>(&mut self) -> Result<Option<M>, WireError> {
        let waiting = self.buffer.get(self.start..).unwrap_or_default();
        let Some((length, rest)) = waiting.split_first_chunk::<4>() else { return Ok(None) };
        let bytes = u32::from_le_bytes(*length) as usize;
        if bytes > self.limit {
            return Err(WireError::TooLong { bytes, limit: self.limit });
        }
        let Some(frame) = rest.get(..bytes) else { return Ok(None) };
        let message = M::get(&mut Input(frame))?;
        self.start += 4 + bytes;
        Ok(Some(message))
    }

    /// Whether the stream stands inside a frame.
    pub(super) const fn is_inside_frame(&self) -> bool {
        self.buffer.len() > self.start
    }

    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}

/// Declares the messages of one direction: `number Name { fields }`.
macro_rules! messages {
    (
        $(#[$meta:meta])*
        enum $name:ident {
            $( $(#[$doc:meta])* $kind:literal $variant:ident { $($field:ident: $type:ty),* $(,)? } ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        pub(super) enum $name {
            $( $(#[$doc])* $variant { $($field: $type),* } ),*
        }

        impl Message for $name {
            fn bytes(&self) -> usize {
                1 + match self {
                    $( Self::$variant { $($field),* } => 0 $(+ Field::bytes($field))* ),*
                }
            }

            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $( Self::$variant { $($field),* } => { out.push($kind); $(Field::put($field, out);)* } ),*
                }
            }

            fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
                let message = match u8::get(input)? {
                    $( $kind => Self::$variant { $($field: Field::get(input)?),* }, )*
                    other => return Err(WireError::Kind(other)),
                };
                input.end()?;
                Ok(message)
            }
        }
    };
}

/// Makes a struct a field: its named members one after the other.
macro_rules! field_struct {
    ($name:ty { $($field:ident: $type:ty),* $(,)? }) => {
        impl Field for $name {
            const MIN_BYTES: usize = 0 $(+ <$type as Field>::MIN_BYTES)*;

            fn bytes(&self) -> usize {
                0 $(+ self.$field.bytes())*
            }

            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }

            fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
                Ok(Self { $($field: Field::get(input)?),* })
            }
        }
    };
}

pub(super) use {field_struct, messages};

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Field for $type {
            const MIN_BYTES: usize = size_of::<Self>();

            fn bytes(&self) -> usize {
                size_of::<Self>()
            }

            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
                input.array().map(Self::from_le_bytes)
            }
        }
    )*};
}

number!(u8 u32 u64 i64);

impl Field for bool {
    const MIN_BYTES: usize = 1;

    fn bytes(&self) -> usize {
        1
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push((*self).into());
    }

    fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
        match u8::get(input)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(WireError::Choice(other)),
        }
    }
}

pub(super) fn put_run(bytes: &[u8], out: &mut Vec<u8>) {
    // A run longer than the number can say makes a frame longer than any limit, which is refused before this is reached.
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).put(out);
    out.extend_from_slice(bytes);
}

impl Field for RString {
    const MIN_BYTES: usize = 4;

    fn bytes(&self) -> usize {
        4 + self.len()
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_run(self.as_bytes(), out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
        std::str::from_utf8(input.run()?).map(Self::from).map_err(|_| WireError::Text)
    }
}

impl Field for Blob {
    const MIN_BYTES: usize = 4;

    fn bytes(&self) -> usize {
        4 + self.as_slice().len()
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_run(self.as_slice(), out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
        input.run().map(|bytes| bytes.to_vec().into())
    }
}

impl<T: Field> Field for Vec<T> {
    const MIN_BYTES: usize = 4;

    fn bytes(&self) -> usize {
        4 + self.iter().map(Field::bytes).sum::<usize>()
    }

    fn put(&self, out: &mut Vec<u8>) {
        u32::try_from(self.len()).unwrap_or(u32::MAX).put(out);
        for item in self {
            item.put(out);
        }
    }

    fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
        let count = u32::get(input)? as usize;
        if count > input.0.len() / T::MIN_BYTES {
            return Err(WireError::Truncated);
        }
        let mut items = Self::with_capacity(count);
        for _ in 0..count {
            items.push(T::get(input)?);
        }
        Ok(items)
    }
}

impl<T: Field> Field for Option<T> {
    const MIN_BYTES: usize = 1;

    fn bytes(&self) -> usize {
        1 + self.as_ref().map_or(0, Field::bytes)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
        if bool::get(input)? { T::get(input).map(Some) } else { Ok(None) }
    }
}

impl<T: Field, E: Field> Field for Result<T, E> {
    const MIN_BYTES: usize = 1;

    fn bytes(&self) -> usize {
        1 + match self {
            Ok(value) => value.bytes(),
            Err(error) => error.bytes(),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.is_ok().put(out);
        match self {
            Ok(value) => value.put(out),
            Err(error) => error.put(out),
        }
    }

    fn get(input: &mut Input<'_>) -> Result<Self, WireError> {
        if bool::get(input)? { T::get(input).map(Ok) } else { E::get(input).map(Err) }
    }
}
