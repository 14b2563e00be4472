//! The answer to a request and its one serialiser.

use std::ops::Range;

use serde_json::Value;

use crate::json::{ObjectWriter, RawJson, write_value};
use crate::{ApiError, Request};

/// The answer to one request; every protocol sends exactly the bytes of [`Response::to_bytes`].
///
/// As JSON, with the keys of every object in byte order and absent fields left out:
///
/// ```json
/// {"action":"create","collection":"c","controller":"write","error":null,"index":"i","metadata":{},
///  "requestId":"5cb4d930-62f4-4393-afc1-9a71e284a214","result":{"_id":"AVF8","created":true},"status":200}
/// ```
///
/// `error`, `result` and `status` are always there; exactly one of `error` and `result` is `null` unless an action has
/// no result or was done in part (status 206).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// HTTP status code, the same on every protocol.
    pub status: u16,
    /// The request's id as text, which is also the socket.io event that carries the answer. Empty in an answer that
    /// belongs to no request, such as REST's greeting.
    pub request_id: String,
    /// The request's id as the client sent it, when that was not a string.
    pub request_id_value: Option<Value>,
    /// The request's controller, if it named one.
    pub controller: Option<String>,
    /// The request's action, if it named one.
    pub action: Option<String>,
    /// The request's index, if it named one.
    pub index: Option<String>,
    /// The request's collection, if it named one.
    pub collection: Option<String>,
    /// The request's metadata, an object or an array; absent in an answer that belongs to no request.
    pub metadata: Option<Value>,
    /// What the action gave.
    pub result: ResponseResult,
    /// What went wrong, boxed because most answers have none.
    pub error: Option<Box<ApiError>>,
    /// The request's id and body as the client sent them, repeated inside the error: `{"_id":..,"body":..}`.
    pub error_source: Option<RawJson>,
}

/// The result of an action.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ResponseResult {
    /// `null`.
    #[default]
    Nothing,
    /// Any JSON value.
    Value(Value),
    /// JSON text spliced as it is.
    Raw(RawJson),
    /// One document.
    Document(DocumentResult),
}

/// What a result says of one document.
///
/// In JSON it also repeats the answer's `action`, `collection`, `controller`, `metadata` and `requestId`, where the
/// clients of the first broker protocols look for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DocumentResult {
    /// `_id`. The document's index and collection (`_index`, `_type`) are the answer's own.
    pub id: String,
    /// `_version`: 1 at creation, one more with every write of the same id.
    pub version: u64,
    /// `created`: whether a write made the document, in answers that say so.
    pub created: Option<bool>,
    /// `found`: whether a read or a deletion met the document, in answers that say so.
    pub found: Option<bool>,
    /// `_shards`: whether the answer tells how many copies were written. The embedded store keeps one.
    pub shards: bool,
    /// `_source`: the document itself, in answers that hold it.
    pub source: Option<RawJson>,
}

impl Response {
    /// Makes the answer to a request that was done.
    pub fn success(request: Request, result: ResponseResult) -> Response {
        Response { status: 200, result, ..Response::to(request) }
    }

    /// Makes the answer to a request that failed. `result` is `null`; when the request had a body, the error repeats
    /// it.
    pub fn failure(request: Request, error: ApiError) -> Response {
        let error_source = request.source();
        Response { status: error.status, error: Some(Box::new(error)), error_source, ..Response::to(request) }
    }

    /// Makes the answer to a request of which a part was done: both `error` and `result` say something.
    pub fn partial(request: Request, error: ApiError, result: ResponseResult) -> Response {
        Response { result, ..Response::failure(request, error) }
    }

    /// Makes an answer with the keys `error`, `result` and `status` alone, for what is asked without a request object:
    /// `{"error":null,"result":"Hello from Kuzzle :)","status":200}`.
    pub fn bare(outcome: Result<ResponseResult, ApiError>) -> Response {
        match outcome {
            Ok(result) => Response { status: 200, result, ..Response::default() },
            Err(error) => {
                Response { status: error.status, error: Some(Box::new(error)), ..Response::default() }
            }
        }
    }

    /// Serialises the answer as compact JSON with sorted keys.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.expected_len());
        self.write(&mut out);
        out
    }

    fn to(request: Request) -> Response {
        Response {
            request_id: request.request_id,
            request_id_value: request.request_id_value,
            controller: some_text(request.controller),
            action: some_text(request.action),
            index: request.index,
            collection: request.collection,
            metadata: Some(request.metadata),
            ..Response::default()
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::new(out);
        object.text_if("action", self.action.as_deref());
        object.text_if("collection", self.collection.as_deref());
        object.text_if("controller", self.controller.as_deref());
        match &self.error {
            None => object.literal("error", "null"),
            Some(error) => {
                object.with("error", |out| self.write_error(out, error));
            }
        }
        object.text_if("index", self.index.as_deref());
        let metadata =
            self.metadata.as_ref().map(|metadata| object.with("metadata", |out| write_value(out, metadata)));
        self.write_request_id(&mut object);
        match &self.result {
            ResponseResult::Nothing => object.literal("result", "null"),
            ResponseResult::Value(value) => object.value("result", value),
            ResponseResult::Raw(json) => object.raw("result", json),
            ResponseResult::Document(document) => {
                object.with("result", |out| self.write_document(out, document, metadata));
            }
        }
        object.number("status", u64::from(self.status));
        object.end();
    }

    fn write_request_id(&self, object: &mut ObjectWriter<'_>) {
        match &self.request_id_value {
            Some(value) => object.value("requestId", value),
            None if self.request_id.is_empty() => {}
            None => object.text("requestId", &self.request_id),
        }
    }

    fn write_document(&self, out: &mut Vec<u8>, document: &DocumentResult, metadata: Option<Range<usize>>) {
        let mut object = ObjectWriter::new(out);
        object.text("_id", &document.id);
        object.text_if("_index", self.index.as_deref());
        if document.shards {
            object.literal("_shards", r#"{"failed":0,"successful":1,"total":1}"#);
        }
        if let Some(source) = &document.source {
            object.raw("_source", source);
        }
        object.text_if("_type", self.collection.as_deref());
        object.number("_version", document.version);
        object.text_if("action", self.action.as_deref());
        object.text_if("collection", self.collection.as_deref());
        object.text_if("controller", self.controller.as_deref());
        if let Some(created) = document.created {
            object.truth("created", created);
        }
        if let Some(found) = document.found {
            object.truth("found", found);
        }
        if let Some(metadata) = metadata {
            object.again("metadata", metadata);
        }
        self.write_request_id(&mut object);
        object.end();
    }

    fn write_error(&self, out: &mut Vec<u8>, error: &ApiError) {
        let mut object = ObjectWriter::new(out);
        if let Some(source) = &self.error_source {
            object.raw("_source", source);
        }
        if !error.errors.is_empty() {
            object.number("count", error.errors.len() as u64);
        }
        if let Some(details) = &error.details {
            object.value("details", details);
        }
        if !error.errors.is_empty() {
            object.with("errors", |out| write_array(out, &error.errors));
        }
        object.text("id", error.id.as_str());
        object.text("message", &error.message);
        if error.status == 500 {
            // Clients of the original print this; the server's own frames would tell them nothing.
            object.text("stack", &format!("{}: {}", error.id.as_str(), error.message));
        }
        if error.status == 206 {
            object.number("status", 206);
        }
        object.end();
    }

    /// Guesses the length from the parts whose length varies, so that the buffer seldom grows.
    fn expected_len(&self) -> usize {
        let names = [&self.controller, &self.action, &self.index, &self.collection];
        let names: usize = names.iter().filter_map(|name| name.as_ref()).map(String::len).sum();
        let result = match &self.result {
            ResponseResult::Raw(json) => json.as_bytes().len(),
            ResponseResult::Document(document) => {
                document.id.len() + document.source.as_ref().map_or(0, |source| source.as_bytes().len())
            }
            ResponseResult::Nothing | ResponseResult::Value(_) => 0,
        };
        let source = self.error_source.as_ref().map_or(0, |source| source.as_bytes().len());
        384 + 2 * (names + self.request_id.len()) + result + source
    }
}

/// Serialises `{"_id":..,"body":..}`, the part of a request that an error repeats.
pub(crate) fn write_source(id: Option<&str>, body: &Value) -> RawJson {
    let mut out = Vec::new();
    let mut object = ObjectWriter::new(&mut out);
    object.text_if("_id", id);
    object.value("body", body);
    object.end();
    RawJson::from_sorted(out.into())
}

fn write_array(out: &mut Vec<u8>, values: &[Value]) {
    out.push(b'[');
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_value(out, value);
    }
    out.push(b']');
}

fn some_text(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}
