//! Building a request from a REST route.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::{Malformed, Request};
use crate::json::is_truthy;
use crate::{ApiError, kind_of};

/// What REST knows of a request once the route is found: names already percent-decoded, the payload already parsed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteParts {
    /// The route's controller.
    pub controller: String,
    /// The route's action.
    pub action: String,
    /// Path parameter `:index`.
    pub index: Option<String>,
    /// Path parameter `:collection`.
    pub collection: Option<String>,
    /// Path parameter `:id`; an `_id` in the payload or the query string wins over it.
    pub id: Option<String>,
    /// Header `Authorization`.
    pub authorization: Option<String>,
    /// The path's other parameters (`type`, `strategy` and so on): they become keys of the payload.
    pub parameters: Vec<(String, String)>,
    /// The JSON payload, an object or an array; `None` when the request has none. It is the document itself, or
    /// `{"body":<document>}` with what else the request has beside it.
    pub payload: Option<Value>,
    /// The query string's pairs in their order: they become keys of the payload, over its own; a key that comes
    /// several times becomes an array.
    pub query: Vec<(String, String)>,
}

pub(super) fn build(parts: RouteParts) -> Result<Request, Malformed> {
    let mut fields = Fields {
        controller: Value::String(parts.controller),
        action: Value::String(parts.action),
        index: text_or_null(parts.index),
        collection: text_or_null(parts.collection),
        id: text_or_null(parts.id),
        authorization: parts.authorization,
        ..Fields::default()
    };
    let (mut keys, items) = match parts.payload {
        None => (Map::new(), None),
        Some(Value::Object(keys)) => (keys, None),
        Some(items @ Value::Array(_)) => (Map::new(), Some(items)),
        Some(other) => return Err(fields.into_malformed(ApiError::not_an_object(kind_of(&other)))),
    };
    keys.extend(parts.parameters.into_iter().map(|(key, value)| (key, Value::String(value))));
    keys.extend(grouped(parts.query));

    if keys.get("_id").is_some_and(is_truthy) {
        fields.id = keys.remove("_id").unwrap_or_default();
    }
    if fields.index.is_null() {
        fields.index = copy(&keys, "index");
    }
    if fields.collection.is_null() {
        fields.collection = copy(&keys, "collection");
    }
    fields.metadata = copy(&keys, "metadata");
    fields.state = copy(&keys, "state");
    fields.scope = copy(&keys, "scope");
    fields.users = copy(&keys, "users");
    let wrapped = keys.get("body").is_some_and(is_truthy);
    fields.body = match items {
        Some(items) => Some(items),
        None if wrapped => keys.remove("body"),
        None => Some(Value::Object(keys)),
    };
    fields.into_request()
}

/// Copies, since a document given as it is keeps its fields of these names.
fn copy(keys: &Map<String, Value>, key: &str) -> Value {
    keys.get(key).cloned().unwrap_or_default()
}

fn grouped(query: Vec<(String, String)>) -> Map<String, Value> {
    let mut keys = Map::new();
    for (key, value) in query {
        let value = Value::String(value);
        match keys.get_mut(&key) {
            None => {
                keys.insert(key, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    keys
}

fn text_or_null(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::String)
}
