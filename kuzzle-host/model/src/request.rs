//! The one form that every protocol's requests take.

mod fields;
mod message;
mod route;

use serde_json::{Map, Value};

pub use route::RouteParts;

use crate::json::is_truthy;
use crate::response::write_source;
use crate::{ApiError, Limits, RawJson, Response};

/// One request, whatever protocol it came by.
///
/// A message over a request protocol is this JSON object; unknown keys are ignored:
///
/// ```json
/// {"controller":"write","action":"create","index":"i","collection":"c","_id":"optional","body":{"a":1},
///  "metadata":{},"requestId":"5cb4d930-62f4-4393-afc1-9a71e284a214","headers":{"authorization":"Bearer .."}}
/// ```
///
/// REST builds the same from its route, see [`RouteParts`].
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Controller, case-sensitive; empty when the client named none.
    pub controller: String,
    /// Action, case-sensitive; empty when the client named none.
    pub action: String,
    /// Index.
    pub index: Option<String>,
    /// Collection.
    pub collection: Option<String>,
    /// Document id; a number is taken as its decimal text.
    pub id: Option<String>,
    /// Body, any JSON value, `{}` when the client sent none. A `_id` at its root is still there, see
    /// [`Request::take_document`].
    pub body: Value,
    /// Metadata, an object or an array, `{}` when the client sent none; echoed in the answer and in notifications.
    pub metadata: Value,
    /// Request id as text: the client's, or a new UUID.
    pub request_id: String,
    /// Request id as the client sent it, when that was not a string: the answer echoes it unchanged.
    pub request_id_value: Option<Value>,
    /// Value of the `authorization` header, unparsed.
    pub authorization: Option<String>,
    /// Subscription option `state`, in lower case.
    pub state: Option<String>,
    /// Subscription option `scope`, in lower case.
    pub scope: Option<String>,
    /// Subscription option `users`, in lower case.
    pub users: Option<String>,
    /// Who is asking, for protocols whose messages carry no connection: the message's `clientId`.
    pub client_id: Option<String>,
}

/// A message of which no request could be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Malformed {
    /// What is wrong with it.
    pub error: ApiError,
    /// As much of the request as could be read, so that the answer finds its way: the request id if it was seen, else
    /// a new one.
    pub request: Box<Request>,
}

impl Request {
    /// Reads a request from a message of a request protocol: one JSON object in UTF-8.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the message is longer than [`Limits::request_max_bytes`], is not JSON, nests deeper than
    /// [`JSON_DEPTH_MAX`](crate::limits::JSON_DEPTH_MAX), is not an object, or has a name, id or option that is neither
    /// text nor a number.
    pub fn from_message(message: &[u8], limits: &Limits) -> Result<Request, Malformed> {
        message::read(message, limits)
    }

    /// Builds a request from a REST route.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when the payload is neither object nor array, or has a name, id or option of the wrong kind.
    pub fn from_route(parts: RouteParts) -> Result<Request, Malformed> {
        route::build(parts)
    }

    /// Takes the document out of the body, leaving `null`: the body without the `_id` at its root, which names the
    /// document and is never stored in it.
    ///
    /// # Errors
    ///
    /// `api.arguments.body_empty` when the body is not an object or array with something in it,
    /// `api.arguments.body_not_object` when it is an array. The body is left as it was.
    pub fn take_document(&mut self) -> Result<Value, ApiError> {
        match &self.body {
            Value::Object(document) if !document.is_empty() => {}
            Value::Array(items) if !items.is_empty() => return Err(ApiError::body_not_object("an array")),
            _ => return Err(ApiError::body_empty()),
        }
        let mut document = self.body.take();
        if let Value::Object(fields) = &mut document {
            fields.remove("_id");
        }
        Ok(document)
    }

    /// Returns what an error repeats of the request, `{"_id":..,"body":..}`, or nothing when the body is null, false,
    /// zero or the empty string.
    pub fn source(&self) -> Option<RawJson> {
        is_truthy(&self.body).then(|| write_source(self.id.as_deref(), &self.body))
    }
}

impl Default for Request {
    /// An empty request with an empty request id: names nothing, carries nothing.
    fn default() -> Request {
        Request {
            controller: String::new(),
            action: String::new(),
            index: None,
            collection: None,
            id: None,
            body: empty_object(),
            metadata: empty_object(),
            request_id: String::new(),
            request_id_value: None,
            authorization: None,
            state: None,
            scope: None,
            users: None,
            client_id: None,
        }
    }
}

impl Malformed {
    /// Makes the answer.
    pub fn into_response(self) -> Response {
        Response::failure(*self.request, self.error)
    }
}

fn empty_object() -> Value {
    Value::Object(Map::new())
}
