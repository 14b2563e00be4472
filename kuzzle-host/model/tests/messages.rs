//! Requests out of JSON messages: one row per rule.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use kuzzle_model::{ErrorId, Limits, Malformed, Request};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(message: Value) -> Request {
    Request::from_message(message.to_string().as_bytes(), &Limits::default()).unwrap()
}

fn refuse(message: &[u8]) -> Malformed {
    Request::from_message(message, &Limits::default()).unwrap_err()
}

#[test]
fn every_field_is_read() {
    let request = read(json!({
        "controller": "write", "action": "create", "index": "i", "collection": "c", "_id": "x",
        "body": {"a": 1}, "metadata": {"m": [1]}, "requestId": "r",
        "headers": {"authorization": "Bearer t", "other": 1},
        "state": "DONE", "scope": "In", "users": "ALL", "clientId": "me",
    }));
    let expected = Request {
        controller: "write".into(),
        action: "create".into(),
        index: Some("i".into()),
        collection: Some("c".into()),
        id: Some("x".into()),
        body: json!({"a": 1}),
        metadata: json!({"m": [1]}),
        request_id: "r".into(),
        request_id_value: None,
        authorization: Some("Bearer t".into()),
        state: Some("done".into()),
        scope: Some("in".into()),
        users: Some("all".into()),
        client_id: Some("me".into()),
    };
    assert_eq!(request, expected);
}

#[test]
fn absent_fields_have_their_defaults() {
    let request = read(json!({}));
    assert_eq!(request.request_id.len(), 36);
    let expected = Request { request_id: request.request_id.clone(), ..Request::default() };
    assert_eq!(request, expected);
    assert_eq!((request.body, request.metadata), (json!({}), json!({})));
}

#[test]
fn unknown_keys_are_ignored_however_deep() {
    let deep = format!(r#"{{"x":{}{},"action":"a"}}"#, "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(Request::from_message(deep.as_bytes(), &Limits::default()).unwrap().action, "a");
}

#[test]
fn a_repeated_key_counts_the_last_time() {
    let request =
        Request::from_message(br#"{"action":"a","action":"b","body":1,"body":[2]}"#, &Limits::default())
            .unwrap();
    assert_eq!((request.action.as_str(), request.body), ("b", json!([2])));
}

#[test]
fn body_is_the_body_or_the_query_or_an_empty_object() {
    for (message, body) in [
        (json!({"body": {"a": 1}, "query": {"b": 2}}), json!({"a": 1})),
        (json!({"body": null, "query": {"b": 2}}), json!(null)),
        (json!({"body": [1, "x"]}), json!([1, "x"])),
        (json!({"body": "text"}), json!("text")),
        (json!({"body": false}), json!(false)),
        (json!({"query": {"match": {}}}), json!({"query": {"match": {}}})),
        (json!({"query": null}), json!({"query": null})),
        (json!({}), json!({})),
    ] {
        assert_eq!(read(message.clone()).body, body, "{message}");
    }
}

#[test]
fn ids_come_from_the_root_before_the_body_and_are_text() {
    for (message, id) in [
        (json!({"_id": "root", "body": {"_id": "body"}}), Some("root")),
        (json!({"body": {"_id": "body"}}), Some("body")),
        (json!({"_id": "", "body": {"_id": "body"}}), Some("body")),
        (json!({"_id": null, "body": {"_id": "body"}}), Some("body")),
        (json!({"_id": 0, "body": {"_id": 0}}), Some("0")),
        (json!({"_id": 42}), Some("42")),
        (json!({"_id": -1.5}), Some("-1.5")),
        (json!({"_id": 18_446_744_073_709_551_615_u64}), Some("18446744073709551615")),
        (json!({"body": {"_id": 7}}), Some("7")),
        (json!({"body": {"_id": ""}}), None),
        (json!({"body": {"_id": null}}), None),
        (json!({"body": [{"_id": "in an array"}]}), None),
        (json!({"_id": false}), None),
        (json!({}), None),
    ] {
        assert_eq!(read(message.clone()).id.as_deref(), id, "{message}");
    }
}

#[test]
fn the_document_to_store_has_no_id_inside() {
    let mut request = read(json!({"body": {"_id": "x", "a": {"_id": "kept"}}}));
    assert_eq!(request.take_document().unwrap(), json!({"a": {"_id": "kept"}}));
    assert_eq!(request.body, Value::Null);

    // Not empty as it was sent: the id was in it.
    let mut request = read(json!({"body": {"_id": "x"}}));
    assert_eq!(request.take_document().unwrap(), json!({}));
}

#[test]
fn a_document_is_an_object_with_something_in_it() {
    for body in [json!(null), json!({}), json!([]), json!(""), json!("x"), json!(1), json!(true)] {
        let mut request = read(json!({"body": body}));
        let error = request.take_document().unwrap_err();
        assert_eq!(error.message, "The body can't be empty", "{body}");
        assert_eq!(request.body, body);
    }
    let mut request = read(json!({"body": [1]}));
    let error = request.take_document().unwrap_err();
    assert_eq!((error.id, error.status), (ErrorId::BodyNotObject, 400));
}

#[test]
fn metadata_is_kept_when_it_is_an_object_or_an_array() {
    for (metadata, kept) in [
        (json!({"a": {"b": 1}}), json!({"a": {"b": 1}})),
        (json!(["we", "will"]), json!(["we", "will"])),
        (json!(null), json!({})),
        (json!("text"), json!({})),
        (json!(1), json!({})),
    ] {
        assert_eq!(read(json!({"metadata": metadata})).metadata, kept, "{metadata}");
    }
}

#[test]
fn any_truthy_request_id_is_kept_as_it_is() {
    for (sent, text, value) in [
        (json!("r-1"), "r-1", None),
        (json!(42), "42", Some(json!(42))),
        (json!(true), "true", Some(json!(true))),
        (json!({"a": 1}), r#"{"a":1}"#, Some(json!({"a": 1}))),
        (json!([]), "[]", Some(json!([]))),
    ] {
        let request = read(json!({"requestId": sent}));
        assert_eq!((request.request_id.as_str(), request.request_id_value), (text, value), "{sent}");
    }
    for sent in [json!(""), json!(0), json!(-0.0), json!(false), json!(null)] {
        let request = read(json!({"requestId": sent}));
        assert_eq!((request.request_id.len(), request.request_id_value), (36, None), "{sent}");
    }
}

#[test]
fn the_token_is_the_text_of_the_lower_case_header() {
    for (headers, authorization) in [
        (json!({"authorization": "Bearer x"}), Some("Bearer x")),
        (json!({"Authorization": "Bearer x"}), None),
        (json!({"authorization": 5}), None),
        (json!({}), None),
        (json!("authorization"), None),
        (json!(null), None),
    ] {
        assert_eq!(read(json!({"headers": headers})).authorization.as_deref(), authorization, "{headers}");
    }
}

#[test]
fn names_are_text_or_numbers() {
    let request = read(json!({"controller": 1, "action": 2.5, "index": 3, "collection": 4, "clientId": 5}));
    assert_eq!((request.controller.as_str(), request.action.as_str()), ("1", "2.5"));
    assert_eq!((request.index.as_deref(), request.collection.as_deref()), (Some("3"), Some("4")));
    assert_eq!(request.client_id.as_deref(), Some("5"));

    let request = read(json!({"controller": null, "action": false, "index": "", "collection": 0}));
    assert_eq!((request.controller.as_str(), request.action.as_str()), ("", ""));
    assert_eq!((request.index, request.collection), (None, None));

    for field in ["controller", "action", "index", "collection", "_id", "clientId"] {
        for (value, kind) in
            [(json!({"a": 1}), "an object"), (json!([1]), "an array"), (json!(true), "a boolean")]
        {
            let malformed = refuse(json!({field: value, "requestId": "r"}).to_string().as_bytes());
            assert_eq!((malformed.error.id, malformed.error.status), (ErrorId::FieldNotText, 400));
            assert_eq!(
                malformed.error.message,
                format!("the request field `{field}` must be a string, got {kind}")
            );
            assert_eq!(malformed.request.request_id, "r");
        }
    }
    let malformed = refuse(br#"{"body":{"_id":{}}}"#);
    assert_eq!(malformed.error.message, "the request field `body._id` must be a string, got an object");
}

#[test]
fn options_that_are_no_text_are_refused() {
    for field in ["state", "scope", "users"] {
        let malformed = refuse(json!({field: 5, "requestId": "r", "action": "a"}).to_string().as_bytes());
        assert_eq!((malformed.error.id, malformed.error.status), (ErrorId::OptionNotText, 400));
        assert!(malformed.error.message.starts_with(&format!("the request option `{field}` must be")));
        assert_eq!((malformed.request.request_id.as_str(), malformed.request.action.as_str()), ("r", "a"));
        let absent = read(json!({field: null}));
        assert_eq!((absent.state, absent.scope, absent.users), (None, None, None));
    }
}

#[test]
fn what_is_no_json_object_is_refused_with_what_it_is() {
    for (message, id, text) in [
        ("", ErrorId::NotJson, "the request is not valid JSON: EOF while parsing a value at line 1 column 0"),
        ("{", ErrorId::NotJson, "EOF while parsing an object"),
        ("abc", ErrorId::NotJson, "expected value at line 1 column 1"),
        ("[1", ErrorId::NotJson, "EOF while parsing a list"),
        ("{\"a\":1} x", ErrorId::NotJson, "trailing characters at line 1 column 9"),
        ("{\"body\":{\"a\":01}}", ErrorId::NotJson, "invalid number"),
        ("[]", ErrorId::NotAnObject, "the request must be a JSON object, got an array"),
        (" \n\"x\"", ErrorId::NotAnObject, "got a string"),
        ("-5", ErrorId::NotAnObject, "got a number"),
        ("true", ErrorId::NotAnObject, "got a boolean"),
        ("null", ErrorId::NotAnObject, "got null"),
    ] {
        let malformed = refuse(message.as_bytes());
        assert_eq!((malformed.error.id, malformed.error.status), (id, 400), "{message}");
        assert!(malformed.error.message.contains(text), "{message}: {}", malformed.error.message);
        assert_eq!(malformed.request.request_id.len(), 36);
    }
    assert_eq!(refuse(b"{\"body\":\"\xff\"}").error.id, ErrorId::NotJson);
    assert_eq!(refuse(b"\xff\xfe").error.id, ErrorId::NotJson);
}

#[test]
fn a_request_id_before_the_fault_finds_its_way_into_the_answer() {
    let malformed = refuse(br#"{"requestId":"r","controller":"write","action":"create","body":{"a":}"#);
    assert_eq!(malformed.error.id, ErrorId::NotJson);
    let answer: Value = serde_json::from_slice(&malformed.into_response().to_bytes()).unwrap();
    assert_eq!((&answer["requestId"], &answer["status"]), (&json!("r"), &json!(400)));
    assert_eq!((&answer["controller"], &answer["action"]), (&json!("write"), &json!("create")));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!(r#"{{"body":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    let fits = kuzzle_model::limits::JSON_DEPTH_MAX;
    assert!(Request::from_message(nested(fits).as_bytes(), &Limits::default()).is_ok());
    for depth in [fits + 1, 100_000] {
        let malformed = refuse(nested(depth).as_bytes());
        assert_eq!(malformed.error.id, ErrorId::NotJson);
        assert!(malformed.error.message.contains("recursion limit"), "{}", malformed.error.message);
    }
}

#[test]
fn length_is_bounded() {
    let limits = Limits { request_max_bytes: 20 };
    let message = br#"{"action":"12345678"}"#;
    assert_eq!(message.len(), 21);
    let malformed = Request::from_message(message, &limits).unwrap_err();
    assert_eq!((malformed.error.id, malformed.error.status), (ErrorId::TooLarge, 413));
    assert_eq!(malformed.error.message, "the request has 21 bytes, at most 20 are accepted");
    assert!(Request::from_message(&br#"{"action":"1234567"}"#[..], &limits).is_ok());
}

/// Any JSON value, a few levels deep, whose keys are often those that mean something in a request.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        prop::sample::select(vec![
            "controller",
            "action",
            "index",
            "collection",
            "_id",
            "body",
            "query",
            "metadata",
            "requestId",
            "headers",
            "authorization",
            "state",
            "scope",
            "users",
            "clientId",
        ])
        .prop_map(str::to_owned),
        ".{0,6}",
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..10)
                .prop_map(|keys| Value::Object(keys.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reading_never_panics_on_bytes(message in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Request::from_message(&message, &Limits::default());
    }

    #[test]
    fn reading_never_panics_on_cut_or_damaged_json(
        message in any_json(), cut in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut message = message.to_string().into_bytes();
        let place = cut.index(message.len());
        let _ = Request::from_message(&message[..place], &Limits::default());
        message[place] = byte;
        let _ = Request::from_message(&message, &Limits::default());
    }

    #[test]
    fn every_object_is_answered(message in any_json().prop_filter("object", Value::is_object)) {
        let response = match Request::from_message(message.to_string().as_bytes(), &Limits::default()) {
            Ok(request) => {
                prop_assert!(!request.request_id.is_empty());
                prop_assert!(request.metadata.is_object() || request.metadata.is_array());
                kuzzle_model::Response::success(request, kuzzle_model::ResponseResult::Nothing)
            }
            Err(malformed) => malformed.into_response(),
        };
        let answer: Value = serde_json::from_slice(&response.to_bytes()).unwrap();
        prop_assert!(answer["requestId"] != Value::Null);
    }
}
