//! Writing JSON with sorted keys straight into one buffer.

use bytes::Bytes;
use serde_json::Value;

/// JSON text that is copied into an answer as it is.
///
/// Whoever makes one promises that the bytes are one complete JSON value, compact, with the keys of every object in
/// byte order, as the document store keeps them. The serialiser copies them unread: a stored document is parsed when it
/// is written and never again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawJson(Bytes);

impl RawJson {
    /// Wraps bytes that keep the promise above, sharing them.
    pub fn from_sorted(bytes: Bytes) -> RawJson {
        RawJson(bytes)
    }

    /// Returns the JSON text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&Value> for RawJson {
    fn from(value: &Value) -> RawJson {
        let mut out = Vec::new();
        write_value(&mut out, value);
        RawJson(Bytes::from(out))
    }
}

/// Returns the JSON name of a value's kind with its article, for error messages: `a string`, `an object`, `null`.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Tells whether JavaScript would take the value for true: the original's clients were written against that rule.
pub(crate) fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Writes one JSON object whose keys are literals of this crate, given in byte order.
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    last: &'static str,
}

impl<'a> ObjectWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> ObjectWriter<'a> {
        out.push(b'{');
        ObjectWriter { out, last: "" }
    }

    pub(crate) fn text(&mut self, key: &'static str, text: &str) {
        self.key(key);
        write_text(self.out, text);
    }

    pub(crate) fn text_if(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    pub(crate) fn number(&mut self, key: &'static str, number: u64) {
        self.key(key);
        write_number(self.out, number);
    }

    pub(crate) fn truth(&mut self, key: &'static str, truth: bool) {
        self.literal(key, if truth { "true" } else { "false" });
    }

    pub(crate) fn value(&mut self, key: &'static str, value: &Value) {
        self.key(key);
        write_value(self.out, value);
    }

    pub(crate) fn raw(&mut self, key: &'static str, json: &RawJson) {
        self.key(key);
        self.out.extend_from_slice(json.as_bytes());
    }

    /// Writes JSON text of this crate's own making.
    pub(crate) fn literal(&mut self, key: &'static str, json: &str) {
        self.key(key);
        self.out.extend_from_slice(json.as_bytes());
    }

    /// Copies what stands in the buffer at `from` once more, as the value of `key`.
    pub(crate) fn again(&mut self, key: &'static str, from: std::ops::Range<usize>) {
        self.key(key);
        self.out.extend_from_within(from);
    }

    /// Writes a value by hand; what `write` appends must be one JSON value. Returns where in the buffer it stands.
    pub(crate) fn with(
        &mut self,
        key: &'static str,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> std::ops::Range<usize> {
        self.key(key);
        let start = self.out.len();
        write(self.out);
        start..self.out.len()
    }

    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    fn key(&mut self, key: &'static str) {
        debug_assert!(self.last < key, "key `{key}` after `{}`", self.last);
        if !self.last.is_empty() {
            self.out.push(b',');
        }
        self.last = key;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    infallible(serde_json::to_writer(out, text));
}

pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    infallible(serde_json::to_writer(out, &number));
}

/// Writes a value; the keys of `serde_json`'s map are in byte order as long as its `preserve_order` feature is off.
pub(crate) fn write_value(out: &mut Vec<u8>, value: &Value) {
    infallible(serde_json::to_writer(out, value));
}

/// Writing strings, integers and values to memory has no way to fail: no IO, no key but strings, no number that JSON
/// lacks.
fn infallible(result: serde_json::Result<()>) {
    debug_assert!(result.is_ok());
}
