//! What a client says of itself, as operators are shown it.

use kuzzle_amqp_proto::codec::table::{TableView, Value};
use kuzzle_plugin_api::sdk::serde_json::{self, Map, Number};

/// A table as a JSON object. Bytes that are no UTF-8 and numbers that JSON does not have are shown as well as it goes.
pub(crate) fn object(table: TableView<'_>) -> Map<String, serde_json::Value> {
    table.iter().map(|(name, value)| (text(name), json(value))).collect()
}

fn json(value: Value<'_>) -> serde_json::Value {
    match value {
        Value::Bool(value) => value.into(),
        Value::F32(value) => float(value.into()),
        Value::F64(value) => float(value),
        Value::Decimal { scale, value } => float(f64::from(value) / 10_f64.powi(scale.into())),
        Value::Timestamp(seconds) => seconds.into(),
        Value::LongString(octets) | Value::ByteArray(octets) => text(octets).into(),
        Value::Array(values) => values.iter().map(json).collect(),
        Value::Table(table) => object(table).into(),
        Value::Void => serde_json::Value::Null,
        integer => integer.as_integer().map_or(serde_json::Value::Null, Into::into),
    }
}

fn float(value: f64) -> serde_json::Value {
    Number::from_f64(value).map_or(serde_json::Value::Null, Into::into)
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[cfg(test)]
mod tests {
    use kuzzle_amqp_proto::codec::table::TableBuilder;
    use kuzzle_plugin_api::sdk::serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_shown_as_an_object() {
        let inner = TableBuilder::new().field("basic.nack", Value::Bool(true)).build();
        let table = TableBuilder::new()
            .field("product", Value::text("pika"))
            .field("capabilities", Value::Table(inner.view()))
            .field("tries", Value::I32(-3))
            .field("big", Value::I64(i64::MIN))
            .field("share", Value::F64(0.5))
            .field("price", Value::Decimal { scale: 2, value: 1234 })
            .field("none", Value::F64(f64::NAN))
            .field("void", Value::Void)
            .field("octets", Value::ByteArray(&[0xFF, b'a']))
            .field("since", Value::Timestamp(1_700_000_000))
            .build();
        let shown = serde_json::Value::Object(object(table.view()));
        let expected = json!({
            "product": "pika",
            "capabilities": { "basic.nack": true },
            "tries": -3,
            "big": i64::MIN,
            "share": 0.5,
            "price": 12.34,
            "none": null,
            "void": null,
            "octets": "\u{FFFD}a",
            "since": 1_700_000_000_u64,
        });
        assert_eq!(shown, expected);
    }
}
