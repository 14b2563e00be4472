//! Values as JavaScript compares them: those of filters and those of documents.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

/// A value in a filter that a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scalar {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Arc<str>),
}

/// A number as JavaScript has them: a double. `-0` is `0`, and there is no `NaN`.
#[derive(Clone, Copy)]
pub struct Number(f64);

impl Number {
    /// Takes a double; `None` when it is `NaN`.
    pub fn new(value: f64) -> Option<Number> {
        (!value.is_nan()).then_some(Number(value + 0.0))
    }

    /// The double.
    pub fn get(self) -> f64 {
        self.0
    }

    /// A whole number in the order of the doubles, without gaps between neighbours.
    pub(crate) fn rank(self) -> u64 {
        let bits = self.0.to_bits();
        if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.0 == other.0
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.to_bits());
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

impl Scalar {
    /// Takes a value that is neither an array nor an object.
    pub fn of(value: &Value) -> Option<Scalar> {
        Some(match value {
            Value::Null => Scalar::Null,
            Value::Bool(value) => Scalar::Bool(*value),
            Value::Number(number) => Scalar::Number(Number::new(number.as_f64()?)?),
            Value::String(text) => Scalar::Text(Arc::from(text.as_str())),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }

    /// The value as JSON; whole numbers have no point.
    pub fn to_json(&self) -> Value {
        match self {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(*value),
            Scalar::Number(number) => number_to_json(number.get()),
            Scalar::Text(text) => Value::String(text.as_ref().to_owned()),
        }
    }

    pub(crate) fn datum(&self) -> Datum<'_> {
        match self {
            Scalar::Null => Datum::Null,
            Scalar::Bool(value) => Datum::Bool(*value),
            Scalar::Number(number) => Datum::Number(*number),
            Scalar::Text(text) => Datum::Text(text),
        }
    }

    /// JavaScript's `Number(value)`; `None` for what is not a number, and for `null`, which is taken as absent.
    pub(crate) fn number(&self) -> Option<Number> {
        match self {
            Scalar::Null => None,
            Scalar::Bool(value) => Number::new(f64::from(u8::from(*value))),
            Scalar::Number(number) => Some(*number),
            Scalar::Text(text) => text_to_number(text),
        }
    }
}

/// A number as JSON: without a point when it is whole and exactly so.
pub(crate) fn number_to_json(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT { Value::from(value as i64) } else { Value::from(value) }
}

/// The value of a document's field, as far as filters look at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Datum<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
    /// An array or an object, and whether anything is in it, for `exists`.
    Nested {
        filled: bool,
    },
}

impl<'a> Datum<'a> {
    pub(crate) fn of(value: &'a Value) -> Datum<'a> {
        match value {
            Value::Null => Datum::Null,
            Value::Bool(value) => Datum::Bool(*value),
            Value::Number(number) => number.as_f64().and_then(Number::new).map_or(Datum::Null, Datum::Number),
            Value::String(text) => Datum::Text(text),
            Value::Array(items) => Datum::Nested { filled: items.iter().any(|item| !item.is_null()) },
            Value::Object(map) => Datum::Nested { filled: !map.is_empty() },
        }
    }

    /// `===`.
    pub(crate) fn is(self, value: &Scalar) -> bool {
        match (self, value) {
            (Datum::Null, Scalar::Null) => true,
            (Datum::Bool(found), Scalar::Bool(wanted)) => found == *wanted,
            (Datum::Number(found), Scalar::Number(wanted)) => found == *wanted,
            (Datum::Text(found), Scalar::Text(wanted)) => found == wanted.as_ref(),
            _ => false,
        }
    }

    /// JavaScript's `Number(value)`, as relational operators use it; `null`, arrays and objects have none here.
    pub(crate) fn number(self) -> Option<Number> {
        match self {
            Datum::Bool(value) => Number::new(f64::from(u8::from(value))),
            Datum::Number(number) => Some(number),
            Datum::Text(text) => text_to_number(text),
            Datum::Null | Datum::Nested { .. } => None,
        }
    }

    pub(crate) fn text(self) -> Option<&'a str> {
        match self {
            Datum::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether `exists` finds something here.
    pub(crate) fn exists(self) -> bool {
        match self {
            Datum::Null => false,
            Datum::Nested { filled } => filled,
            Datum::Bool(_) | Datum::Number(_) | Datum::Text(_) => true,
        }
    }

    /// Where the value stands to a bound: by code units when both are strings, else as numbers. `None` when they cannot
    /// be compared (ECMAScript, IsLessThan).
    pub(crate) fn compare(self, bound: &Scalar) -> Option<Ordering> {
        match (self, bound) {
            (Datum::Text(found), Scalar::Text(bound)) => Some(compare_texts(found, bound)),
            _ => Some(self.number()?.cmp(&bound.number()?)),
        }
    }
}

/// A byte of UTF-8 such that comparing bytes compares UTF-16: characters beyond U+FFFF come before those from U+E000 on.
pub(crate) fn code_unit_order(byte: u8) -> u8 {
    match byte {
        0xEE | 0xEF => byte + 6,
        0xF0..=0xF4 => byte - 2,
        _ => byte,
    }
}

/// Compares strings by their UTF-16 code units, as JavaScript does.
pub(crate) fn compare_texts(a: &str, b: &str) -> Ordering {
    let differing = a.bytes().zip(b.bytes()).find(|(a, b)| a != b);
    match differing {
        Some((a, b)) => code_unit_order(a).cmp(&code_unit_order(b)),
        None => a.len().cmp(&b.len()),
    }
}

/// JavaScript's `Number(text)` (ECMAScript, StringToNumber); `None` where that is `NaN`.
pub(crate) fn text_to_number(text: &str) -> Option<Number> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.is_empty() {
        return Number::new(0.0);
    }
    for (prefixes, radix) in [(["0x", "0X"], 16), (["0o", "0O"], 8), (["0b", "0B"], 2)] {
        if let Some(digits) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            let digit = |value: f64, c: char| Some(value * f64::from(radix) + f64::from(c.to_digit(radix)?));
            let value = digits.chars().try_fold(0.0, digit);
            return value.filter(|_| !digits.is_empty()).and_then(Number::new);
        }
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "Infinity"
        || unsigned.bytes().all(|it| matches!(it, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        return text.parse().ok().and_then(Number::new);
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_become_numbers_as_in_javascript() {
        for (text, expected) in [
            ("12", Some(12.0)),
            (" 1.5\n", Some(1.5)),
            ("", Some(0.0)),
            ("1.", Some(1.0)),
            (".5", Some(0.5)),
            ("-1e3", Some(-1000.0)),
            ("+7", Some(7.0)),
            ("0x1F", Some(31.0)),
            ("0b101", Some(5.0)),
            ("0o17", Some(15.0)),
            ("Infinity", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("0x", None),
            ("-0x1", None),
            ("inf", None),
            ("nan", None),
            ("NaN", None),
            ("1 2", None),
            ("1_000", None),
            ("2016-01-01", None),
            (".", None),
            ("e5", None),
        ] {
            assert_eq!(text_to_number(text).map(Number::get), expected, "`{text}`");
        }
    }

    #[test]
    fn ranks_follow_the_numbers() {
        let numbers =
            [f64::NEG_INFINITY, -1e300, -1.0, -f64::MIN_POSITIVE, 0.0, 5e-324, 1.0, 1e300, f64::INFINITY];
        let ranks: Vec<u64> = numbers.iter().map(|it| Number::new(*it).unwrap().rank()).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        assert_eq!(Number::new(-0.0).unwrap().rank(), Number::new(0.0).unwrap().rank());
        let next = Number::new(1.0f64.next_up()).unwrap().rank();
        assert_eq!(next, Number::new(1.0).unwrap().rank() + 1);
    }

    #[test]
    fn texts_are_compared_by_code_units() {
        let sorted = ["", "a", "ab", "b", "é", "\u{d7ff}", "\u{10000}", "\u{10ffff}", "\u{e000}", "\u{ffff}"];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare_texts(a, b), i.cmp(&j), "{a:?} {b:?}");
                let units = |it: &str| it.encode_utf16().collect::<Vec<_>>();
                assert_eq!(compare_texts(a, b), units(a).cmp(&units(b)));
            }
        }
    }

    #[test]
    fn comparisons_coerce() {
        let compare = |found: Value, bound: Value| Datum::of(&found).compare(&Scalar::of(&bound).unwrap());
        assert_eq!(compare(json!("10"), json!(9)), Some(Ordering::Greater));
        assert_eq!(compare(json!("10"), json!("9")), Some(Ordering::Less));
        assert_eq!(compare(json!(true), json!(1)), Some(Ordering::Equal));
        assert_eq!(compare(json!("x"), json!(1)), None);
        assert_eq!(compare(json!(null), json!(0)), None);
        assert_eq!(compare(json!([1]), json!(1)), None);
    }

    #[test]
    fn whole_numbers_have_no_point() {
        assert_eq!(number_to_json(5.0).to_string(), "5");
        assert_eq!(number_to_json(-0.5).to_string(), "-0.5");
        assert_eq!(number_to_json(1e300).to_string(), "1e+300");
    }
}
