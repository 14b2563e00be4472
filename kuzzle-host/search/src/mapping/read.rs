use core::net::Ipv4Addr;

use serde_json::Value;

use super::{Field, Kind, NumberKind};
use crate::dates::Zone;
use crate::error::{Error, ErrorKind, Result};
use crate::geo::Point;
use crate::limits::TERM_MAX_BYTES;
use crate::node::describe;

/// A value of a document as its field's type sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FieldValue {
    Text(String),
    /// Whole numbers; dates in milliseconds; booleans as 0 and 1; addresses as 32 bits.
    Long(i64),
    Double(f64),
    Geo(Point),
    /// There, and nothing that could be compared.
    Opaque,
}

impl Field {
    /// Reads one value of a document. `None`: it is there and not indexed.
    ///
    /// # Errors
    /// `failed to parse [<path>]` when it does not fit the type.
    pub(crate) fn read(&self, value: &Value) -> Result<Option<FieldValue>> {
        match self.kind.read(value, self.coerce) {
            Ok(value) => Ok(value),
            Err(_) if self.ignore_malformed => Ok(None),
            Err(why) => {
                Err(Error::bare(ErrorKind::Document, format!("failed to parse [{}]: {why}", self.path)))
            }
        }
    }
}

type Read = std::result::Result<Option<FieldValue>, String>;

impl Kind {
    fn read(&self, value: &Value, coerce: bool) -> Read {
        match self {
            Kind::Text(text) => {
                let found =
                    plain_text(value).ok_or_else(|| expected(value, "a string, number or boolean"))?;
                if text.analyzer.is_some() {
                    return Ok(Some(FieldValue::Text(found)));
                }
                if text.ignore_above.is_some_and(|most| found.chars().count() > most) {
                    return Ok(None);
                }
                if found.len() > TERM_MAX_BYTES {
                    return Err(format!(
                        "a value that is not analyzed has {} bytes, at most {TERM_MAX_BYTES} are taken",
                        found.len()
                    ));
                }
                Ok(Some(FieldValue::Text(found)))
            }
            Kind::Number(kind) => number(*kind, value, coerce),
            Kind::Boolean => boolean(value).map(|it| Some(FieldValue::Long(it.into()))),
            Kind::Date(formats) => {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => return Err(expected(value, "a date")),
                };
                let format = formats.name();
                match formats.read(&text, Zone::UTC, false) {
                    Some(ms) => Ok(Some(FieldValue::Long(ms))),
                    None => Err(expected(value, &format!("a date with the format [{format}]"))),
                }
            }
            Kind::GeoPoint => match Point::of(value) {
                Some(point) => Ok(Some(FieldValue::Geo(point))),
                None => Err(expected(value, "a point")),
            },
            Kind::Ip => match ip(value) {
                Some(address) => Ok(Some(FieldValue::Long(address))),
                None => Err(expected(value, "an IPv4 address")),
            },
            Kind::Binary => match value {
                Value::String(_) => Ok(Some(FieldValue::Opaque)),
                _ => Err(expected(value, "a string of base64")),
            },
        }
    }
}

fn expected(value: &Value, what: &str) -> String {
    format!("found {}, expected {what}", describe(value))
}

/// A single value as text; `None` of arrays, objects and null.
pub(crate) fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Everything but the words for false is true; an empty string is false.
pub(crate) fn boolean(value: &Value) -> std::result::Result<bool, String> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
        Value::String(text) => Ok(!matches!(text.as_str(), "" | "false" | "off" | "no" | "0")),
        _ => Err(expected(value, "a boolean")),
    }
}

/// An IPv4 address in dotted notation, or its 32 bits.
pub(crate) fn ip(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse::<Ipv4Addr>().ok().map(|it| u32::from(it).into()),
        Value::Number(number) => number.as_i64().filter(|it| (0..=i64::from(u32::MAX)).contains(it)),
        _ => None,
    }
}

/// An address in dotted notation.
pub(crate) fn print_ip(bits: i64) -> String {
    u32::try_from(bits).map_or_else(|_| bits.to_string(), |bits| Ipv4Addr::from(bits).to_string())
}

fn number(kind: NumberKind, value: &Value, coerce: bool) -> Read {
    let what = format!("a number of the type `{}`", Kind::Number(kind).name());
    let refused = || expected(value, &what);
    let found = match value {
        Value::Number(number) => number.clone(),
        Value::String(text) if coerce => {
            let text = text.trim();
            let whole = text.parse::<i64>().ok().map(serde_json::Number::from);
            let parsed = whole.or_else(|| text.parse().ok().and_then(serde_json::Number::from_f64));
            parsed.ok_or_else(refused)?
        }
        _ => return Err(refused()),
    };
    let double = found.as_f64().filter(|it| it.is_finite()).ok_or_else(refused)?;
    if kind.is_float() {
        let narrow = if kind == NumberKind::Float { f64::from(double as f32) } else { double };
        return if narrow.is_finite() { Ok(Some(FieldValue::Double(narrow))) } else { Err(refused()) };
    }
    let whole = match found.as_i64() {
        Some(whole) => whole,
        // 2^63 and beyond do not fit; `as` would saturate silently.
        None if double.abs() >= 9_223_372_036_854_775_808.0 => return Err(refused()),
        None if double.fract() != 0.0 && !coerce => return Err(refused()),
        None => double as i64,
    };
    let (least, greatest) = kind.range();
    if (least..=greatest).contains(&whole) { Ok(Some(FieldValue::Long(whole))) } else { Err(refused()) }
}
