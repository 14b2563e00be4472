//! Field tables of the broker as JSON, and back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kuzzle_broker::table::{self, NESTING_MAX, Value as Field};
use serde_json::{Map, Number, Value};

/// Longest name of a field, in bytes (AMQP 0-9-1, 4.2.5.5: a short string).
const NAME_MAX: usize = 255;

/// Makes a field table of an object: whole numbers of 32 bits where they fit, else of 64; other numbers as doubles.
///
/// # Errors
///
/// What cannot stand in a table: a name that is too long, a number that is too large, or too many levels.
pub(crate) fn from_json(fields: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    put_fields(&mut bytes, fields, 0)?;
    Ok(bytes)
}

fn put_fields(bytes: &mut Vec<u8>, fields: &Map<String, Value>, depth: usize) -> Result<(), String> {
    for (name, value) in fields {
        if name.len() > NAME_MAX {
            return Err(format!("a name of {} bytes, at most {NAME_MAX} are possible", name.len()));
        }
        with_field(value, depth, &mut |field| table::put(bytes, name, field))?;
    }
    Ok(())
}

fn with_field(value: &Value, depth: usize, put: &mut dyn FnMut(Field<'_>)) -> Result<(), String> {
    if depth > NESTING_MAX {
        return Err(format!("more than {NESTING_MAX} levels deep"));
    }
    let mut nested = Vec::new();
    put(match value {
        Value::Null => Field::Void,
        Value::Bool(flag) => Field::Bool(*flag),
        Value::String(text) => Field::LongString(text.as_bytes()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => i32::try_from(whole).map_or(Field::I64(whole), Field::I32),
            (None, Some(real)) if !number.is_u64() => Field::F64(real),
            _ => return Err(format!("the number {number}, which has more than 64 bits")),
        },
        Value::Array(items) => {
            for item in items {
                with_field(item, depth + 1, &mut |field| table::put_value(&mut nested, field))?;
            }
            Field::Array(&nested)
        }
        Value::Object(fields) => {
            put_fields(&mut nested, fields, depth + 1)?;
            Field::Table(&nested)
        }
    });
    Ok(())
}

/// Shows a field table as an object. Bytes that are no text are shown in base64.
pub(crate) fn to_json(bytes: &[u8]) -> Map<String, Value> {
    table::fields(bytes)
        .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), shown(value)))
        .collect()
}

fn shown(value: Field<'_>) -> Value {
    match value {
        Field::Bool(flag) => flag.into(),
        Field::F32(real) => Number::from_f64(real.into()).map_or(Value::Null, Value::Number),
        Field::F64(real) => Number::from_f64(real).map_or(Value::Null, Value::Number),
        Field::Decimal(scale, digits) => {
            Number::from_f64(f64::from(digits) / 10_f64.powi(scale.into())).map_or(Value::Null, Value::Number)
        }
        Field::LongString(bytes) | Field::Binary(bytes) => text_or_base64(bytes).0.into(),
        Field::Array(bytes) => table::values(bytes).map(shown).collect(),
        Field::Table(bytes) => Value::Object(to_json(bytes)),
        Field::Timestamp(seconds) => seconds.into(),
        Field::Void => Value::Null,
        whole => whole.integer().map_or(Value::Null, Value::from),
    }
}

/// The text that the bytes are, or their base64, and whether it is that.
pub(crate) fn text_or_base64(bytes: &[u8]) -> (String, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (STANDARD.encode(bytes), true),
    }
}

/// Bytes of a base64 text.
///
/// # Errors
///
/// What is wrong with the text.
pub(crate) fn bytes_of_base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_goes_in_comes_out() {
        let object = json!({
            "a": 1, "b": -5_000_000_000_i64, "c": 1.5, "d": "text", "e": [1, "x", [true]], "f": {"g": null},
        });
        let bytes = from_json(object.as_object().unwrap()).unwrap();
        table::check(&bytes).unwrap();
        assert_eq!(Value::Object(to_json(&bytes)), object);
        assert_eq!(table::field(&bytes, "a"), Some(Field::I32(1)));
    }

    #[test]
    fn what_has_no_place_in_a_table_is_refused() {
        let refused = |value: Value| from_json(value.as_object().unwrap()).unwrap_err();
        assert!(refused(json!({"x": u64::MAX})).contains("64 bits"));
        assert!(refused(json!({"x".repeat(256): 1})).contains("256 bytes"));
        let deep = (0..40).fold(json!({}), |inner, _| json!({"x": inner}));
        assert!(refused(deep).contains("levels"));
    }

    #[test]
    fn bytes_that_are_no_text_are_base64() {
        let mut bytes = Vec::new();
        table::put(&mut bytes, "b", Field::Binary(&[0xff, 0]));
        table::put(&mut bytes, "n", Field::F64(f64::NAN));
        table::put(&mut bytes, "d", Field::Decimal(2, 125));
        assert_eq!(Value::Object(to_json(&bytes)), json!({"b": "/wA=", "n": null, "d": 1.25}));
        assert_eq!(bytes_of_base64("/wA=").unwrap(), [0xff, 0]);
        assert!(bytes_of_base64("?").is_err());
    }
}
