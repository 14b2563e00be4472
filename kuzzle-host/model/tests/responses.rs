//! The one serialiser: exact bytes, sorted keys, the superset of what clients of every age read.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use kuzzle_model::{
    ApiError, DocumentResult, ErrorId, Limits, Notification, NotificationResult, RawJson, Request, Response,
    ResponseResult, Scope, State,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn request() -> Request {
    let message = json!({
        "controller": "write", "action": "createOrReplace", "index": "index", "collection": "collection",
        "requestId": "r-1", "metadata": {"z": 1, "a": {"y": 2, "b": 3}},
    });
    Request::from_message(message.to_string().as_bytes(), &Limits::default()).unwrap()
}

fn text(response: &Response) -> String {
    String::from_utf8(response.to_bytes()).unwrap()
}

fn value(response: &Response) -> Value {
    serde_json::from_slice(&response.to_bytes()).unwrap()
}

fn document() -> DocumentResult {
    DocumentResult {
        id: "AVF8".into(),
        version: 3,
        created: Some(true),
        found: None,
        shards: true,
        source: Some(RawJson::from(&json!({"lastName": "Doe", "firstName": "John"}))),
    }
}

#[test]
fn a_document_answer_byte_by_byte() {
    let response = Response::success(request(), ResponseResult::Document(document()));
    assert_eq!(
        text(&response),
        concat!(
            r#"{"action":"createOrReplace","collection":"collection","controller":"write","error":null,"index":"index","#,
            r#""metadata":{"a":{"b":3,"y":2},"z":1},"requestId":"r-1","result":{"_id":"AVF8","_index":"index","#,
            r#""_shards":{"failed":0,"successful":1,"total":1},"_source":{"firstName":"John","lastName":"Doe"},"#,
            r#""_type":"collection","_version":3,"action":"createOrReplace","collection":"collection","#,
            r#""controller":"write","created":true,"metadata":{"a":{"b":3,"y":2},"z":1},"requestId":"r-1"},"#,
            r#""status":200}"#
        )
    );
}

#[test]
fn a_read_document_says_found_and_not_created() {
    let document = DocumentResult { created: None, found: Some(true), shards: false, ..document() };
    let answer = value(&Response::success(request(), ResponseResult::Document(document)));
    let keys: Vec<&str> = answer["result"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "_id",
            "_index",
            "_source",
            "_type",
            "_version",
            "action",
            "collection",
            "controller",
            "found",
            "metadata",
            "requestId",
        ]
    );
}

#[test]
fn results_of_any_kind_are_written_as_they_are() {
    for result in [
        json!(true),
        json!(null),
        json!(5),
        json!("x"),
        json!([2, 1]),
        json!({"b": [{"d": 1, "c": 2}], "a": 1}),
    ] {
        let response = Response::success(request(), ResponseResult::Value(result.clone()));
        assert_eq!(value(&response)["result"], result);
        let raw = Response::success(request(), ResponseResult::Raw(RawJson::from(&result)));
        assert_eq!(raw.to_bytes(), response.to_bytes());
    }
    assert_eq!(value(&Response::success(request(), ResponseResult::Nothing))["result"], Value::Null);
}

#[test]
fn absent_names_are_left_out() {
    let request = Request { request_id: "r".into(), ..Request::default() };
    let response = Response::success(request, ResponseResult::Nothing);
    assert_eq!(text(&response), r#"{"error":null,"metadata":{},"requestId":"r","result":null,"status":200}"#);
}

#[test]
fn an_answer_to_no_request_has_three_keys() {
    let greeting = Response::bare(Ok(ResponseResult::Value(json!("Hello from Kuzzle :)"))));
    assert_eq!(text(&greeting), r#"{"error":null,"result":"Hello from Kuzzle :)","status":200}"#);
    let refusal = Response::bare(Err(ApiError::content_type("text/plain")));
    assert_eq!(refusal.status, 400);
    assert_eq!(
        text(&refusal),
        concat!(
            r#"{"error":{"id":"api.request.content_type","message":"Invalid request content-type. Expected "#,
            r#"\"application/json\", got: \"text/plain\""},"result":null,"status":400}"#
        )
    );
}

#[test]
fn an_error_byte_by_byte() {
    let request = Request { id: Some("x".into()), body: json!({"b": 1, "a": 2}), ..request() };
    let response = Response::failure(request, ApiError::document_not_found());
    assert_eq!(response.status, 404);
    assert_eq!(
        text(&response),
        concat!(
            r#"{"action":"createOrReplace","collection":"collection","controller":"write","error":"#,
            r#"{"_source":{"_id":"x","body":{"a":2,"b":1}},"id":"documents.document.not_found","message":"Not Found"},"#,
            r#""index":"index","metadata":{"a":{"b":3,"y":2},"z":1},"requestId":"r-1","result":null,"status":404}"#
        )
    );
}

#[test]
fn an_error_repeats_a_body_that_is_something() {
    for (body, repeated) in [
        (json!({}), true),
        (json!([]), true),
        (json!("x"), true),
        (json!(1), true),
        (json!(null), false),
        (json!(""), false),
        (json!(0), false),
        (json!(false), false),
    ] {
        let response = Response::failure(Request { body: body.clone(), ..request() }, ApiError::no_action());
        let expected = if repeated { json!({"body": body}) } else { Value::Null };
        assert_eq!(value(&response)["error"]["_source"], expected, "{body}");
    }
}

#[test]
fn details_errors_count_stack_and_status_appear_when_they_mean_something() {
    let keys = |error: ApiError| -> Vec<String> {
        let response = Response::failure(Request { body: Value::Null, ..request() }, error);
        value(&response)["error"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys(ApiError::overloaded()), ["id", "message"]);
    assert_eq!(
        keys(ApiError::token_invalid().with_details(json!({"subCode": 2}))),
        ["details", "id", "message"]
    );
    assert_eq!(keys(ApiError::internal("x")), ["id", "message", "stack"]);
    assert_eq!(
        keys(ApiError::deleted_in_part().with_errors(vec![json!(1), json!({"b": 1, "a": 2})])),
        ["count", "errors", "id", "message", "status"]
    );
}

#[test]
fn a_partial_answer_has_error_and_result() {
    let error = ApiError::deleted_in_part().with_errors(vec![json!({"b": 1, "a": 2}), json!(null)]);
    let response = Response::partial(request(), error, ResponseResult::Value(json!({"deleted": ["a"]})));
    let answer = value(&response);
    assert_eq!((&answer["status"], &answer["error"]["status"]), (&json!(206), &json!(206)));
    assert_eq!(answer["error"]["count"], 2);
    assert_eq!(answer["error"]["errors"], json!([{"a": 2, "b": 1}, null]));
    assert_eq!(answer["result"], json!({"deleted": ["a"]}));
}

#[test]
fn a_request_id_of_another_kind_is_echoed_as_it_was_sent() {
    let message = br#"{"requestId":42,"controller":"c"}"#;
    let request = Request::from_message(message, &Limits::default()).unwrap();
    let response = Response::success(request, ResponseResult::Document(document()));
    assert_eq!(response.request_id, "42");
    let answer = value(&response);
    assert_eq!((&answer["requestId"], &answer["result"]["requestId"]), (&json!(42), &json!(42)));
}

#[test]
fn a_stored_document_is_spliced_unread() {
    // What no parser would let pass shows that none has seen it.
    let source = RawJson::from_sorted(bytes::Bytes::from_static(b"<spliced>"));
    let response = Response::success(
        request(),
        ResponseResult::Document(DocumentResult { source: Some(source), ..document() }),
    );
    assert!(text(&response).contains(r#""_source":<spliced>,"_type""#));
}

#[test]
fn every_registered_error_serialises_under_its_id() {
    for id in ErrorId::ALL {
        let response = Response::failure(request(), ApiError::new(*id, "a \"quoted\"\nmessage"));
        let answer = value(&response);
        assert_eq!(answer["error"]["id"], id.as_str());
        assert_eq!(answer["status"], id.status());
        assert_eq!(answer["error"]["message"], "a \"quoted\"\nmessage");
        assert_eq!(answer["result"], Value::Null);
    }
}

fn notification() -> Notification {
    Notification {
        room_id: "900150983cd24fb0d6963f7d28e17f72".into(),
        request_id: "r-1".into(),
        index: Some("i".into()),
        collection: Some("c".into()),
        controller: "write".into(),
        action: "create".into(),
        protocol: "carrier-pigeon".into(),
        timestamp_ms: 1_467_800_000_000,
        metadata: json!({"b": 1, "a": 2}),
        scope: Some(Scope::In),
        state: Some(State::Done),
        result: NotificationResult::Document {
            id: Some("x".into()),
            source: Some(RawJson::from(&json!({"b": 1, "a": 2}))),
        },
    }
}

#[test]
fn a_notification_byte_by_byte() {
    assert_eq!(
        String::from_utf8(notification().to_bytes()).unwrap(),
        concat!(
            r#"{"action":"create","collection":"c","controller":"write","error":null,"index":"i","#,
            r#""metadata":{"a":2,"b":1},"protocol":"carrier-pigeon","requestId":"r-1","#,
            r#""result":{"_id":"x","_source":{"a":2,"b":1}},"roomId":"900150983cd24fb0d6963f7d28e17f72","#,
            r#""scope":"in","state":"done","status":200,"timestamp":1467800000000}"#
        )
    );
}

#[test]
fn notifications_of_every_kind_leave_out_what_they_lack() {
    let read =
        |notification: Notification| -> Value { serde_json::from_slice(&notification.to_bytes()).unwrap() };
    let left = read(Notification {
        scope: Some(Scope::Out),
        result: NotificationResult::Document { id: Some("x".into()), source: None },
        ..notification()
    });
    assert_eq!((&left["scope"], &left["result"]), (&json!("out"), &json!({"_id": "x"})));

    let pending = read(Notification {
        scope: None,
        state: Some(State::Pending),
        result: NotificationResult::Document { id: None, source: Some(RawJson::from(&json!({}))) },
        ..notification()
    });
    assert_eq!((&pending["state"], &pending["result"]), (&json!("pending"), &json!({"_source": {}})));
    assert!(pending.get("scope").is_none());

    let joined = read(Notification {
        scope: None,
        state: None,
        result: NotificationResult::Count(2),
        ..notification()
    });
    assert_eq!(joined["result"], json!({"count": 2}));
    assert!(joined.get("state").is_none());

    let expired = read(Notification {
        index: None,
        collection: None,
        result: NotificationResult::Nothing,
        ..notification()
    });
    for key in ["index", "collection", "result"] {
        assert!(expired.get(key).is_none(), "{key}");
    }
}

/// A reader of JSON that keeps the order of keys, written apart from the serialiser it checks. Panics unless the whole
/// text is one value without white space between tokens.
fn assert_sorted(json: &[u8]) {
    fn string(json: &[u8], mut at: usize) -> usize {
        assert_eq!(json[at], b'"');
        at += 1;
        while json[at] != b'"' {
            at += if json[at] == b'\\' { 2 } else { 1 };
        }
        at + 1
    }
    fn value(json: &[u8], mut at: usize) -> usize {
        match json[at] {
            b'"' => string(json, at),
            b'[' | b'{' if json[at + 1] == json[at] + 2 => at + 2,
            b'[' => loop {
                at = value(json, at + 1);
                match json[at] {
                    b',' => {}
                    b']' => return at + 1,
                    other => panic!("`{}` at {at}", other as char),
                }
            },
            b'{' => {
                let mut last: Option<String> = None;
                loop {
                    let end = string(json, at + 1);
                    let key: String = serde_json::from_slice(&json[at + 1..end]).unwrap();
                    assert!(last.as_ref().is_none_or(|last| *last < key), "`{key}` after `{last:?}`");
                    last = Some(key);
                    assert_eq!(json[end], b':');
                    at = value(json, end + 1);
                    match json[at] {
                        b',' => {}
                        b'}' => return at + 1,
                        other => panic!("`{}` at {at}", other as char),
                    }
                }
            }
            _ => at + json[at..].iter().position(|byte| b",]}".contains(byte)).unwrap_or(json.len() - at),
        }
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(json).unwrap();
    assert_eq!(value(json, 0), json.len());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|keys| Value::Object(keys.into_iter().collect())),
        ]
    })
}

fn any_result() -> impl Strategy<Value = ResponseResult> {
    prop_oneof![
        Just(ResponseResult::Nothing),
        any_json().prop_map(ResponseResult::Value),
        any_json().prop_map(|value| ResponseResult::Raw(RawJson::from(&value))),
        (
            any::<String>(),
            any::<u64>(),
            any::<Option<bool>>(),
            any::<Option<bool>>(),
            any::<bool>(),
            prop::option::of(any_json()),
        )
            .prop_map(|(id, version, created, found, shards, source)| {
                let source = source.as_ref().map(RawJson::from);
                ResponseResult::Document(DocumentResult { id, version, created, found, shards, source })
            }),
    ]
}

fn any_error() -> impl Strategy<Value = ApiError> {
    let id = prop::sample::select(ErrorId::ALL);
    (id, any::<String>(), prop::option::of(any_json()), prop::collection::vec(any_json(), 0..3))
        .prop_map(|(id, message, details, errors)| ApiError { details, errors, ..ApiError::new(id, message) })
}

fn any_request() -> impl Strategy<Value = Request> {
    let names = (any::<String>(), any::<String>(), any::<Option<String>>(), any::<Option<String>>());
    (names, any::<Option<String>>(), any_json(), any_json(), any::<String>(), prop::option::of(any_json()))
        .prop_map(
            |((controller, action, index, collection), id, body, metadata, request_id, request_id_value)| {
                Request {
                    controller,
                    action,
                    index,
                    collection,
                    id,
                    body,
                    metadata,
                    request_id,
                    request_id_value,
                    ..Request::default()
                }
            },
        )
}

proptest! {
    #[test]
    fn answers_are_json_with_sorted_keys_and_say_what_they_hold(
        request in any_request(), result in any_result(), error in prop::option::of(any_error()),
    ) {
        let request_sent = request.clone();
        let response = match &error {
            None => Response::success(request, result.clone()),
            Some(error) => Response::partial(request, error.clone(), result.clone()),
        };
        let bytes = response.to_bytes();
        assert_sorted(&bytes);
        let answer: Value = serde_json::from_slice(&bytes).unwrap();

        for key in ["error", "result", "status", "metadata"] {
            prop_assert!(answer.get(key).is_some(), "{}", key);
        }
        prop_assert_eq!(answer.get("index").and_then(Value::as_str), request_sent.index.as_deref());
        prop_assert_eq!(&answer["metadata"], &request_sent.metadata);
        match &error {
            None => prop_assert_eq!(&answer["error"], &Value::Null),
            Some(error) => {
                prop_assert_eq!(&answer["error"]["message"], &json!(error.message));
                prop_assert_eq!(&answer["status"], &json!(error.status));
                prop_assert_eq!(answer["error"].get("stack").is_some(), error.status == 500);
                prop_assert_eq!(answer["error"].get("count").is_some(), !error.errors.is_empty());
            }
        }
        match &result {
            ResponseResult::Nothing => prop_assert_eq!(&answer["result"], &Value::Null),
            ResponseResult::Value(value) => prop_assert_eq!(&answer["result"], value),
            ResponseResult::Raw(json) => {
                prop_assert_eq!(&answer["result"], &serde_json::from_slice::<Value>(json.as_bytes()).unwrap());
            }
            ResponseResult::Document(document) => {
                for key in ["action", "collection", "controller", "metadata", "requestId"] {
                    prop_assert_eq!(answer["result"].get(key), answer.get(key), "{}", key);
                }
                prop_assert_eq!(&answer["result"]["_id"], &json!(document.id));
                prop_assert_eq!(answer["result"].get("_source").is_some(), document.source.is_some());
            }
        }
    }

    #[test]
    fn notifications_are_json_with_sorted_keys(
        text in any::<String>(), name in any::<Option<String>>(), metadata in any_json(), source in any_json(),
        timestamp_ms in any::<u64>(),
    ) {
        let notification = Notification {
            room_id: text.clone(),
            request_id: text.clone(),
            index: name.clone(),
            controller: text.clone(),
            metadata,
            timestamp_ms,
            result: NotificationResult::Document { id: name, source: Some(RawJson::from(&source)) },
            ..notification()
        };
        let bytes = notification.to_bytes();
        assert_sorted(&bytes);
        let read: Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(&read["result"]["_source"], &source);
        prop_assert_eq!(&read["roomId"], &json!(text));
    }
}
