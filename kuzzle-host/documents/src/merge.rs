//! The merge of `update`.

use serde_json::{Map, Value};

/// Merges `partial` into `target`: where both have an object under a key the two are merged likewise, any other value
/// of `partial` replaces what was there.
pub(crate) fn merge(target: &mut Map<String, Value>, partial: Map<String, Value>) {
    for (key, value) in partial {
        match (target.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(partial)) => merge(inner, partial),
            (Some(slot), value) => *slot = value,
            (None, value) => {
                target.insert(key, value);
            }
        }
    }
}

/// Whether objects and arrays in `value` nest at most `limit` deep.
pub(crate) fn depth_within(value: &Value, limit: usize) -> bool {
    match value {
        Value::Object(map) => limit > 0 && map.values().all(|v| depth_within(v, limit - 1)),
        Value::Array(items) => limit > 0 && items.iter().all(|v| depth_within(v, limit - 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merges_objects_and_replaces_the_rest() {
        for (name, target, partial, expected) in [
            ("new key", json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2})),
            ("scalar", json!({"a": 1}), json!({"a": 2}), json!({"a": 2})),
            ("null is a value", json!({"a": 1}), json!({"a": null}), json!({"a": null})),
            (
                "nested",
                json!({"a": {"b": {"c": 1}, "d": 1}}),
                json!({"a": {"b": {"e": 2}}}),
                json!({"a": {"b": {"c": 1, "e": 2}, "d": 1}}),
            ),
            ("array as a whole", json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
            ("object over scalar", json!({"a": 1}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}})),
            ("scalar over object", json!({"a": {"b": 1}}), json!({"a": 1}), json!({"a": 1})),
        ] {
            let (Value::Object(mut target), Value::Object(partial)) = (target, partial) else {
                unreachable!()
            };
            merge(&mut target, partial);
            assert_eq!(Value::Object(target), expected, "{name}");
        }
    }

    #[test]
    fn depth_counts_objects_and_arrays() {
        assert!(depth_within(&json!({"a": [1]}), 2));
        assert!(!depth_within(&json!({"a": [1]}), 1));
        assert!(depth_within(&json!(1), 0));
        assert!(!depth_within(&json!([]), 0));
    }
}
