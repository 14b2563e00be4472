//! What the fake host answers.

use kuzzle_plugin_api::abi::{Blob, Completion, Reply};
use serde_json::{Value, json};

/// One request that a plugin made.
#[derive(Clone, Debug)]
pub struct Call {
    /// The client of the API that made it.
    pub connection: u64,
    /// Its bytes.
    pub bytes: Blob,
}

impl Call {
    /// The request as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.bytes.as_slice()).unwrap_or_default()
    }
}

/// How requests are answered: at once, or by completing later, on any thread.
pub type Answer = dyn Fn(Call, Completion) + Send + Sync;

/// The default answer: a response of status 200 whose result is the request itself, or of 400 when it is no JSON object.
#[must_use]
pub fn echo(call: &Call) -> Reply {
    let Value::Object(request) = call.json() else {
        let message = "the request is not a JSON object";
        let body = json!({ "error": { "message": message, "status": 400 }, "result": null, "status": 400 });
        return Reply { status: 400, request_id: "".into(), body: body.to_string().into() };
    };
    let id = request.get("requestId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let body = json!({ "error": null, "requestId": id, "result": request, "status": 200 });
    Reply { status: 200, request_id: id.into(), body: body.to_string().into() }
}
