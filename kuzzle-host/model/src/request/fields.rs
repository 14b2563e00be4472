//! The fields of a request before their kinds are checked.

use serde_json::Value;

use super::{Malformed, Request, empty_object};
use crate::json::is_truthy;
use crate::{ApiError, ids, kind_of};

/// What stood at the root of a message or of a route and its payload, still of any kind; absent is `Null` wherever the
/// rules do not tell the two apart.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) controller: Value,
    pub(super) action: Value,
    pub(super) index: Value,
    pub(super) collection: Value,
    pub(super) id: Value,
    /// `None` is `undefined`: `null` is a body of its own.
    pub(super) body: Option<Value>,
    pub(super) query: Option<Value>,
    pub(super) metadata: Value,
    pub(super) request_id: Value,
    pub(super) authorization: Option<String>,
    pub(super) state: Value,
    pub(super) scope: Value,
    pub(super) users: Value,
    pub(super) client_id: Value,
}

impl Fields {
    /// Makes the request, checking kinds. Everything is read even when something is wrong, so that the answer can
    /// repeat it; the first fault is the one reported.
    pub(super) fn into_request(self) -> Result<Request, Malformed> {
        let mut faults = Faults::default();
        let (request_id, request_id_value) = request_id(self.request_id);
        let body = match (self.body, self.query) {
            (Some(body), _) => body,
            (None, Some(query)) => Value::Object([("query".to_string(), query)].into_iter().collect()),
            (None, None) => empty_object(),
        };
        let request = Request {
            controller: faults.name("controller", self.controller).unwrap_or_default(),
            action: faults.name("action", self.action).unwrap_or_default(),
            index: faults.name("index", self.index),
            collection: faults.name("collection", self.collection),
            id: faults.name("_id", self.id).or_else(|| faults.body_id(&body)),
            body,
            metadata: metadata(self.metadata),
            request_id,
            request_id_value,
            authorization: self.authorization,
            state: faults.option("state", self.state),
            scope: faults.option("scope", self.scope),
            users: faults.option("users", self.users),
            client_id: faults.name("clientId", self.client_id),
        };
        match faults.first {
            None => Ok(request),
            Some(error) => Err(Malformed { error, request: Box::new(request) }),
        }
    }

    /// Makes the failure of a message that could be read up to here only.
    pub(super) fn into_malformed(self, error: ApiError) -> Malformed {
        let (Ok(request) | Err(Malformed { request, .. })) = self.into_request().map(Box::new);
        Malformed { error, request }
    }
}

#[derive(Default)]
struct Faults {
    first: Option<ApiError>,
}

impl Faults {
    /// A name or id: falsy is absent, a number is its decimal text.
    fn name(&mut self, field: &str, value: Value) -> Option<String> {
        match value {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text),
            value if !is_truthy(&value) => None,
            Value::Number(number) => Some(number.to_string()),
            other => self.refuse(ApiError::field_not_text(field, kind_of(&other))),
        }
    }

    /// The document id inside the body; unlike elsewhere, a zero counts.
    fn body_id(&mut self, body: &Value) -> Option<String> {
        match body.get("_id") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(other) => self.refuse(ApiError::field_not_text("body._id", kind_of(other))),
        }
    }

    fn option(&mut self, field: &str, value: Value) -> Option<String> {
        match value {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.to_lowercase()),
            value if !is_truthy(&value) => None,
            other => self.refuse(ApiError::option_not_text(field, kind_of(&other))),
        }
    }

    fn refuse(&mut self, error: ApiError) -> Option<String> {
        self.first.get_or_insert(error);
        None
    }
}

fn metadata(value: Value) -> Value {
    if value.is_object() || value.is_array() { value } else { empty_object() }
}

/// The id as text, and as it was sent when that is something else.
fn request_id(value: Value) -> (String, Option<Value>) {
    match value {
        Value::String(text) if !text.is_empty() => (text, None),
        value if is_truthy(&value) => (value.to_string(), Some(value)),
        _ => (ids::request_id(), None),
    }
}
