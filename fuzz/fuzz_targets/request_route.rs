//! A request as REST builds it, from any parts.
#![no_main]

use arbitrary::Arbitrary;
use kuzzle_model::{ApiError, Request, Response, RouteParts};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Parts<'a> {
    index: Option<&'a str>,
    collection: Option<&'a str>,
    id: Option<&'a str>,
    authorization: Option<&'a str>,
    parameters: Vec<(&'a str, &'a str)>,
    query: Vec<(&'a str, &'a str)>,
    payload: &'a [u8],
}

fuzz_target!(|parts: Parts| {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let parts = RouteParts {
        controller: "write".to_owned(),
        action: "create".to_owned(),
        index: owned(parts.index),
        collection: owned(parts.collection),
        id: owned(parts.id),
        authorization: owned(parts.authorization),
        parameters: pairs(&parts.parameters),
        query: pairs(&parts.query),
        payload: serde_json::from_slice(parts.payload).ok(),
    };
    let response = match Request::from_route(parts) {
        Ok(request) => Response::failure(request, ApiError::body_empty()),
        Err(malformed) => malformed.into_response(),
    };
    serde_json::from_slice::<serde_json::Value>(&response.to_bytes()).expect("a response is JSON");
});
