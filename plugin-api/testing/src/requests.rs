//! The fake host's `requests`.

use std::sync::Arc;

use kuzzle_plugin_api::abi::{ApiError, Blob, Completion, Reply, RequestEvent, RequestsCalls};
use serde_json::Value;

use crate::Call;
use crate::host::Shared;

pub(crate) struct FakeRequests(pub(crate) Arc<Shared>);

impl RequestsCalls for FakeRequests {
    fn open(&self, connection: u64, info: &str) -> Result<(), ApiError> {
        let Ok(info @ Value::Object(_)) = serde_json::from_str(info) else {
            return Err(ApiError::new(400, "requests.open", "the connection's info is not a JSON object"));
        };
        self.0.change(|state| {
            if !state.used_ids.insert(connection) {
                return Err(ApiError::new(
                    409,
                    "requests.open",
                    format!("connection {connection} was used before"),
                ));
            }
            state.connections.insert(connection, info);
            Ok(())
        })
    }

    fn close(&self, connection: u64) {
        self.0.change(|state| state.connections.remove(&connection));
    }

    fn execute(&self, connection: u64, request: Blob, done: Completion) {
        let call = Call { connection, bytes: request };
        let is_open = self.0.change(|state| {
            state.calls.push(call.clone());
            state.connections.contains_key(&connection)
        });
        if is_open {
            (self.0.answer)(call, done);
        } else {
            let message = format!("connection {connection} is not open");
            done.complete(Reply::from_error(&ApiError::new(400, "requests.execute", message)));
        }
    }

    fn authenticate(&self, connection: u64, mechanism: &str, credentials: Blob, done: Completion) {
        let bytes = credentials.as_slice().to_vec();
        let mut parts = bytes.split(|byte| *byte == 0).skip(1);
        let user = parts.next().map(|user| String::from_utf8_lossy(user).into_owned());
        let is_right = mechanism == "PLAIN" && parts.next() == Some(b"secret");
        self.0.change(|state| state.authentications.push((connection, mechanism.to_owned(), bytes.clone())));
        let refused =
            || Reply::from_error(&ApiError::new(401, "requests.authenticate", "wrong user or password"));
        let reply = user.filter(|_| is_right).map_or_else(refused, |user| Reply::authenticated(&user));
        done.complete(reply);
    }

    fn take(&self, max_events: u32, max_bytes: u64) -> Vec<RequestEvent> {
        self.0.change(|state| {
            let mut taken = Vec::new();
            let mut bytes = 0;
            while taken.len() < max_events as usize && (taken.is_empty() || bytes <= max_bytes) {
                let Some(event) = state.events.pop_front() else { break };
                bytes += event.payload.as_slice().len() as u64;
                taken.push(event);
            }
            taken
        })
    }
}
