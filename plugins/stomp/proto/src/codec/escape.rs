//! Escapes of header names and values, which differ by version.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use super::Version;

/// A backslash with something behind it that the version does not know (1.2, "Value Encoding").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownEscape;

/// What a header's name or value says. In 1.0 a backslash is a backslash. `\r` is taken in 1.1 too, as clients of that
/// version send it.
///
/// # Errors
/// When it has an escape that the version does not know.
pub fn unescape(text: &str, version: Version) -> Result<Cow<'_, str>, UnknownEscape> {
    if version == Version::V1_0 {
        return Ok(Cow::Borrowed(text));
    }
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else { return Ok(Cow::Borrowed(text)) };
    let mut said = String::with_capacity(text.len());
    said.push_str(&text[..first]);
    let mut rest = text[first..].chars();
    while let Some(character) = rest.next() {
        said.push(match character {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some('c') => ':',
                Some('\\') => '\\',
                Some('r') => '\r',
                _ => return Err(UnknownEscape),
            },
            character => character,
        });
    }
    Ok(Cow::Owned(said))
}

/// Appends a header's name or value so that a client of that version reads `text`. 1.0 has no escapes: a line feed, which
/// would end the header, is written as `\n`, and all else as it is.
pub fn escape(out: &mut BytesMut, text: &[u8], version: Version) {
    let escaped = |octet: u8| match octet {
        b'\n' => Some(b'n'),
        b'\\' if version > Version::V1_0 => Some(b'\\'),
        b':' if version > Version::V1_0 => Some(b'c'),
        b'\r' if version == Version::V1_2 => Some(b'r'),
        _ => None,
    };
    let mut rest = text;
    while let Some(at) = rest.iter().position(|octet| matches!(octet, b'\n' | b'\\' | b':' | b'\r')) {
        out.put_slice(&rest[..at]);
        match escaped(rest[at]) {
            Some(letter) => out.put_slice(&[b'\\', letter]),
            None => out.put_u8(rest[at]),
        }
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
}
