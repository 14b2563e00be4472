//! Requests out of REST routes: one row per rule.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use kuzzle_model::{ErrorId, Request, RouteParts};
use proptest::prelude::*;
use serde_json::{Value, json};

fn route(payload: Option<Value>) -> RouteParts {
    RouteParts {
        controller: "write".into(),
        action: "create".into(),
        index: Some("i".into()),
        collection: Some("c".into()),
        payload,
        ..RouteParts::default()
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn build(parts: RouteParts) -> Request {
    Request::from_route(parts).unwrap()
}

#[test]
fn a_raw_payload_is_the_body() {
    let request = build(route(Some(json!({"firstName": "Ada", "query": {"x": 1}}))));
    assert_eq!(request.body, json!({"firstName": "Ada", "query": {"x": 1}}));
    assert_eq!((request.controller.as_str(), request.action.as_str()), ("write", "create"));
    assert_eq!((request.index.as_deref(), request.collection.as_deref()), (Some("i"), Some("c")));
}

#[test]
fn a_wrapped_payload_is_its_body() {
    let request = build(route(Some(json!({
        "body": {"a": 1}, "_id": "x", "metadata": {"m": 1}, "state": "ALL", "scope": "in", "users": "OUT", "other": 1,
    }))));
    assert_eq!((request.body, request.id.as_deref()), (json!({"a": 1}), Some("x")));
    assert_eq!(request.metadata, json!({"m": 1}));
    assert_eq!(
        (request.state.as_deref(), request.scope.as_deref(), request.users.as_deref()),
        (Some("all"), Some("in"), Some("out"))
    );
    for falsy in [json!(null), json!(false), json!(0), json!("")] {
        let payload = json!({"body": falsy, "a": 1});
        assert_eq!(build(route(Some(payload.clone()))).body, payload, "not wrapped");
    }
    assert_eq!(build(route(Some(json!({"body": "text"})))).body, json!("text"));
}

#[test]
fn an_array_is_the_body() {
    let parts = RouteParts { query: pairs(&[("_id", "x"), ("a", "1")]), ..route(Some(json!([1, {"a": 2}]))) };
    let request = build(parts);
    assert_eq!((request.body, request.id.as_deref()), (json!([1, {"a": 2}]), Some("x")));
}

#[test]
fn no_payload_is_an_empty_body() {
    assert_eq!(build(route(None)).body, json!({}));
}

#[test]
fn any_other_payload_is_refused() {
    for (payload, kind) in [(json!("x"), "a string"), (json!(null), "null"), (json!(1), "a number")] {
        let malformed = Request::from_route(route(Some(payload))).unwrap_err();
        assert_eq!(malformed.error.id, ErrorId::NotAnObject);
        assert_eq!(malformed.error.message, format!("the request must be a JSON object, got {kind}"));
        assert_eq!(malformed.request.controller, "write");
    }
}

#[test]
fn the_id_of_the_payload_wins_over_the_path() {
    let with_path = |payload| RouteParts { id: Some("path".into()), ..route(payload) };
    for (payload, id, body) in [
        (Some(json!({"_id": "payload", "a": 1})), "payload", json!({"a": 1})),
        (Some(json!({"_id": 5, "a": 1})), "5", json!({"a": 1})),
        (Some(json!({"_id": "", "a": 1})), "path", json!({"_id": "", "a": 1})),
        (Some(json!({"_id": "payload", "body": {"_id": "body"}})), "payload", json!({"_id": "body"})),
        (Some(json!({"body": {"_id": "body", "a": 1}})), "path", json!({"_id": "body", "a": 1})),
        (None, "path", json!({})),
    ] {
        let request = build(with_path(payload.clone()));
        assert_eq!((request.id.as_deref(), request.body), (Some(id), body), "{payload:?}");
    }
    let wrapped = build(route(Some(json!({"body": {"_id": "body", "a": 1}}))));
    assert_eq!(wrapped.id.as_deref(), Some("body"));
}

#[test]
fn names_in_the_payload_apply_when_the_route_has_none() {
    let payload =
        json!({"index": "other", "collection": "other", "controller": "admin", "action": "deleteIndex"});
    let request = build(route(Some(payload.clone())));
    assert_eq!((request.index.as_deref(), request.collection.as_deref()), (Some("i"), Some("c")));

    let request = build(RouteParts { index: None, collection: None, ..route(Some(payload)) });
    assert_eq!((request.index.as_deref(), request.collection.as_deref()), (Some("other"), Some("other")));
    assert_eq!((request.controller.as_str(), request.action.as_str()), ("write", "create"));
}

#[test]
fn path_parameters_and_query_join_the_payload_in_that_order() {
    let parts = RouteParts {
        parameters: pairs(&[("type", "stored"), ("both", "path")]),
        query: pairs(&[("both", "query"), ("keys", "a"), ("keys", "b"), ("keys", "c"), ("from", "5")]),
        ..route(Some(json!({"type": "payload", "from": 1, "size": 2})))
    };
    assert_eq!(
        build(parts.clone()).body,
        json!({"both": "query", "from": "5", "keys": ["a", "b", "c"], "size": 2, "type": "stored"})
    );
    let wrapped = RouteParts { payload: Some(json!({"body": {"a": 1}})), ..parts };
    assert_eq!(build(wrapped).body, json!({"a": 1}));
}

#[test]
fn the_query_string_may_name_what_the_payload_may() {
    let parts = RouteParts {
        index: None,
        query: pairs(&[
            ("_id", "x"),
            ("index", "q"),
            ("state", "Done"),
            ("metadata", "text"),
            ("requestId", "mine"),
        ]),
        ..route(None)
    };
    let request = build(parts);
    assert_eq!((request.id.as_deref(), request.index.as_deref()), (Some("x"), Some("q")));
    assert_eq!((request.state.as_deref(), &request.metadata), (Some("done"), &json!({})));
    assert_ne!(request.request_id, "mine");
}

#[test]
fn the_request_id_is_always_new() {
    let request = build(route(Some(json!({"requestId": "mine", "body": {"a": 1}}))));
    assert_eq!((request.request_id.len(), request.request_id_value), (36, None));
}

#[test]
fn a_document_field_of_the_wrong_kind_where_an_option_stands_is_explained() {
    let malformed = Request::from_route(route(Some(json!({"state": {"a": 1}})))).unwrap_err();
    assert_eq!(
        malformed.error.message,
        "the request option `state` must be a string, got an object; to store a field of this name, wrap the document \
         in `body`"
    );
    let stored = build(route(Some(json!({"body": {"state": {"a": 1}}}))));
    assert_eq!(stored.body, json!({"state": {"a": 1}}));
}

#[test]
fn a_raw_document_keeps_the_fields_that_are_also_read() {
    let document = json!({"metadata": {"m": 1}, "index": "x", "state": "ALL", "a": 1});
    let request = build(route(Some(document.clone())));
    assert_eq!((request.body, request.metadata), (document, json!({"m": 1})));
}

proptest! {
    #[test]
    fn building_never_panics(
        index in prop::option::of(".{0,5}"),
        id in prop::option::of(".{0,5}"),
        parameters in prop::collection::vec((key(), ".{0,5}"), 0..4),
        query in prop::collection::vec((key(), ".{0,5}"), 0..6),
        payload in prop::option::of(prop_oneof![
            Just(json!(null)),
            Just(json!([1])),
            prop::collection::btree_map(key(), prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!({"_id": []}))], 0..6)
                .prop_map(|keys| Value::Object(keys.into_iter().collect())),
        ]),
    ) {
        let parts = RouteParts {
            controller: "c".into(), action: "a".into(), index, id, parameters, query, payload,
            ..RouteParts::default()
        };
        if let Ok(request) = Request::from_route(parts) {
            prop_assert_eq!(request.controller, "c");
            prop_assert!(request.request_id_value.is_none());
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "body",
            "_id",
            "index",
            "collection",
            "metadata",
            "state",
            "scope",
            "users",
            "query"
        ])
        .prop_map(str::to_owned),
        "[a-z]{0,3}",
    ]
}
