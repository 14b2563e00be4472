//! What a subscriber receives.

use serde_json::Value;

use crate::json::{ObjectWriter, RawJson};

/// Tells a room of a document or of another subscriber.
///
/// It is serialised once, however many connections it goes to. Absent fields are left out of the JSON:
///
/// ```json
/// {"action":"create","collection":"c","controller":"write","error":null,"index":"i","metadata":{},"protocol":"rest",
///  "requestId":"5cb4d930-62f4-4393-afc1-9a71e284a214","result":{"_id":"AVF8","_source":{}},
///  "roomId":"900150983cd24fb0d6963f7d28e17f72","scope":"in","state":"done","status":200,"timestamp":1467800000000}
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The room: 32 lower-case hexadecimal characters.
    pub room_id: String,
    /// Id of the request that caused it.
    pub request_id: String,
    /// Index of the document, or of the subscription.
    pub index: Option<String>,
    /// Collection of the document, or of the subscription.
    pub collection: Option<String>,
    /// Controller of the event: `write`, `subscribe` or `auth`.
    pub controller: String,
    /// What happened: `create`, `update`, `delete`, `publish`, `on`, `off` and so on.
    pub action: String,
    /// API label of the protocol that carried the causing request, as the request's origin gave it.
    pub protocol: String,
    /// When it happened, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// Metadata of the causing request, an object or an array.
    pub metadata: Value,
    /// Whether the document entered or left the room's filter; absent when it did neither.
    pub scope: Option<Scope>,
    /// Whether the write is yet to be stored or done; absent when nothing is written.
    pub state: Option<State>,
    /// What it is about.
    pub result: NotificationResult,
}

/// Where a document stands to a room's filter after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// It matches.
    In,
    /// It matched and no longer does.
    Out,
}

/// How far a write has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Accepted, not stored yet.
    Pending,
    /// Stored.
    Done,
}

/// What a notification is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum NotificationResult {
    /// Nothing more than its envelope says.
    #[default]
    Nothing,
    /// A document: its id when it is known, its source unless it left the room.
    Document {
        /// `_id`.
        id: Option<String>,
        /// `_source`.
        source: Option<RawJson>,
    },
    /// Subscribers left in the room.
    Count(u64),
}

impl Notification {
    /// Serialises the notification as compact JSON with sorted keys.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let mut object = ObjectWriter::new(&mut out);
        object.text("action", &self.action);
        object.text_if("collection", self.collection.as_deref());
        object.text("controller", &self.controller);
        object.literal("error", "null");
        object.text_if("index", self.index.as_deref());
        object.value("metadata", &self.metadata);
        object.text("protocol", &self.protocol);
        object.text("requestId", &self.request_id);
        match &self.result {
            NotificationResult::Nothing => {}
            NotificationResult::Document { id, source } => {
                object.with("result", |out| write_document(out, id.as_deref(), source.as_ref()));
            }
            NotificationResult::Count(count) => {
                object.with("result", |out| {
                    let mut result = ObjectWriter::new(out);
                    result.number("count", *count);
                    result.end();
                });
            }
        }
        object.text("roomId", &self.room_id);
        object.text_if("scope", self.scope.map(Scope::as_str));
        object.text_if("state", self.state.map(State::as_str));
        object.number("status", 200);
        object.number("timestamp", self.timestamp_ms);
        object.end();
        out
    }
}

impl Scope {
    /// Returns the word of the API: `in` or `out`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::In => "in",
            Scope::Out => "out",
        }
    }
}

impl State {
    /// Returns the word of the API: `pending` or `done`.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Done => "done",
        }
    }
}

fn write_document(out: &mut Vec<u8>, id: Option<&str>, source: Option<&RawJson>) {
    let mut object = ObjectWriter::new(out);
    object.text_if("_id", id);
    if let Some(source) = source {
        object.raw("_source", source);
    }
    object.end();
}
