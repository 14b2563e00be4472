//! A request as a protocol plugin hands it over: any bytes are answered with a response that is JSON.
#![no_main]

use kuzzle_model::{ApiError, Limits, Request, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    let response = match Request::from_message(data, &limits) {
        Ok(request) => Response::failure(request, ApiError::body_empty()),
        Err(malformed) => malformed.into_response(),
    };
    serde_json::from_slice::<serde_json::Value>(&response.to_bytes()).expect("a response is JSON");
});
