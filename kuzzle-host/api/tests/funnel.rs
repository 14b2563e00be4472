//! What every request passes before its action: the order of the checks, the limits, the counters.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use common::{Server, assert_error, first_poll, get, options, origin, read, write};
use kuzzle_api::{Limits, Origin, Traffic, actions};
use proptest::prelude::*;
use serde_json::{Value, json};

const OVERLOADED: &str = "Request discarded: Kuzzle Server is temporarily overloaded";

#[tokio::test]
async fn each_check_has_its_text_and_its_place_in_the_order() {
    let server = Server::start();
    let token = json!({"authorization": "Bearer abc"});
    for (message, status, text) in [
        (json!({"headers": token}), 401, "Json Web Token Error"),
        (json!({"headers": token, "controller": "nope", "action": "nope"}), 401, "Json Web Token Error"),
        (
            json!({"headers": token, "controller": "auth", "action": "checkToken"}),
            401,
            "Json Web Token Error",
        ),
        (json!({}), 400, "No controller provided for object"),
        (json!({"action": "create"}), 400, "No controller provided for object"),
        (json!({"controller": "nope"}), 400, "No action provided for object"),
        (
            json!({"controller": "nope", "action": "create"}),
            400,
            "No corresponding action create in controller nope",
        ),
        (
            json!({"controller": "write", "action": "nope"}),
            400,
            "No corresponding action nope in controller write",
        ),
        (
            json!({"controller": "write", "action": "publish"}),
            501,
            "The action publish of controller write is not available yet",
        ),
        (json!({"controller": "write", "action": "create"}), 400, "The body can't be empty"),
    ] {
        let answer = server.ask(message.clone()).await;
        assert_error(&answer, status, text);
        assert_eq!(answer["requestId"].as_str().map(str::len), Some(36), "{message}");
    }
}

#[tokio::test]
async fn a_token_is_a_bearer_token_that_is_not_blank() {
    let server = Server::start();
    let now = |authorization: Value| json!({"controller": "read", "action": "now", "headers": {"authorization": authorization}});
    for anonymous in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer   ",
        "Bearer \t",
        "bearer x",
        "Basic eDp4",
        "xBearer y",
        " Bearer x",
    ] {
        assert_eq!(server.ask(now(anonymous.into())).await["status"], 200, "{anonymous:?}");
    }
    assert_eq!(server.ask(now(5.into())).await["status"], 200);
    for known in ["Bearer x", "Bearer  x", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln"] {
        let answer = server.ask(now(known.into())).await;
        assert_error(&answer, 401, "Json Web Token Error");
        assert_eq!(answer["error"]["details"]["subCode"], 2);
        assert_eq!(answer["error"]["id"], "security.token.invalid");
    }
}

#[tokio::test]
async fn an_answer_echoes_its_request() {
    let server = Server::start();
    let answer = server
        .ask(json!({
            "controller": "security", "action": "getRole", "index": "i", "collection": "c", "requestId": "r",
            "metadata": {"we": ["will"]}, "_id": "x", "body": {"b": 1}, "custom": "ignored",
        }))
        .await;
    assert_eq!(
        answer,
        json!({
            "action": "getRole", "collection": "c", "controller": "security", "index": "i", "requestId": "r",
            "metadata": {"we": ["will"]}, "result": null, "status": 501,
            "error": {
                "_source": {"_id": "x", "body": {"b": 1}},
                "id": "api.request.not_built",
                "message": "The action getRole of controller security is not available yet",
            },
        })
    );
}

#[tokio::test]
async fn every_listed_action_is_known_and_unbuilt_ones_say_so() {
    let server = Server::start();
    let mut unbuilt = 0;
    for name in actions() {
        let answer = server.ask(json!({"controller": name.controller, "action": name.action})).await;
        if name.built {
            assert_ne!(answer["status"], 501, "{name:?}");
            assert_ne!(answer["error"]["id"], "api.request.unknown_action", "{name:?}");
        } else {
            let text =
                format!("The action {} of controller {} is not available yet", name.action, name.controller);
            assert_error(&answer, 501, &text);
            unbuilt += 1;
        }
    }
    assert!(unbuilt > 0);
    for absent in ["scroll", "mget", "specifications", "exists"] {
        assert_eq!(server.ask(json!({"controller": "read", "action": absent})).await["status"], 400);
    }
    for excluded in ["config", "eval", "flushall", "scan", "shutdown", "select"] {
        assert_eq!(server.ask(json!({"controller": "ms", "action": excluded})).await["status"], 400);
    }
}

#[tokio::test]
async fn malformed_messages_are_answered() {
    let server = Server::start();
    let ask = async |message: &[u8]| read(&server.api.handle_message(message, origin()).await);
    for (message, id) in [
        (&b"{"[..], "api.request.not_json"),
        (b"\xff", "api.request.not_json"),
        (b"[]", "api.request.not_an_object"),
        (br#"{"index":[]}"#, "api.request.field_not_text"),
        (br#"{"scope":1}"#, "api.request.option_not_text"),
    ] {
        let answer = ask(message).await;
        assert_eq!((&answer["status"], &answer["error"]["id"]), (&json!(400), &json!(id)));
        assert_eq!(answer["requestId"].as_str().map(str::len), Some(36));
    }
    let answer = ask(br#"{"requestId":"mine","index":[]}"#).await;
    assert_eq!(answer["requestId"], "mine");
}

#[tokio::test]
async fn a_message_may_be_as_long_as_the_limit() {
    let limits = Limits { request: kuzzle_model::Limits { request_max_bytes: 60 }, ..Limits::default() };
    let server = Server::with(limits, options());
    let message = |padding: usize| json!({"controller": "read", "action": "now", "x": "y".repeat(padding)});
    let fits = 60 - message(0).to_string().len();
    assert_eq!(server.ask(message(fits)).await["status"], 200);
    let answer = server.ask(message(fits + 1)).await;
    assert_error(&answer, 413, "the request has 61 bytes, at most 60 are accepted");
}

#[tokio::test]
async fn reads_and_refusals_are_answered_at_the_first_poll() {
    let server = Server::start();
    server.ask(write("create", Some("x"), json!({"a": 1}))).await;
    for (message, status) in [
        (json!({"controller": "read", "action": "now"}), 200),
        (get("i", "c", "x"), 200),
        (get("i", "c", "y"), 404),
        (json!({"controller": "read", "action": "listIndexes"}), 200),
        (json!({"controller": "read", "action": "serverInfo"}), 200),
        (json!({"controller": "write", "action": "create"}), 400),
        (json!({"controller": "write", "action": "publish"}), 501),
        (json!([]), 400),
    ] {
        let answer = server.ask_once(message.clone());
        assert_eq!(answer.map(|answer| answer["status"].clone()), Some(json!(status)), "{message}");
    }
}

#[tokio::test]
async fn writes_take_their_turn_when_they_are_handed_over() {
    let server = Server::start();
    let hand_over = |message: Value| server.api.handle_message(message.to_string().as_bytes(), origin());
    let created = hand_over(write("create", Some("x"), json!({"a": 1})));
    let updated = hand_over(write("update", Some("x"), json!({"b": 2})));
    let replaced = hand_over(write("replace", Some("x"), json!({"c": 3})));
    let deleted = hand_over(write("delete", Some("x"), json!({})));
    // Awaited backwards: had each begun at its first poll, all but the create would fail.
    assert_eq!(deleted.await.status, 200);
    assert_eq!(replaced.await.status, 200);
    assert_eq!(updated.await.status, 200);
    assert_eq!(created.await.status, 200);
}

#[tokio::test]
async fn a_write_whose_answer_nobody_awaits_is_done_all_the_same() {
    let server = Server::start();
    drop(
        server
            .api
            .handle_message(write("create", Some("x"), json!({"a": 1})).to_string().as_bytes(), origin()),
    );
    server.ask(write("create", Some("y"), json!({"a": 1}))).await;
    assert_eq!(server.stored("i", "c", "x").await, Some((json!({"a": 1}), 1)));
    let traffic = server.api.statistics().traffic("carrier-pigeon");
    assert_eq!((traffic.ongoing, traffic.completed), (0, 2), "the create of `y` and the get");
}

#[tokio::test]
async fn beyond_the_limit_requests_are_refused_and_nothing_is_done() {
    let server = Server::with(Limits { accepted_max: 10, ..Limits::default() }, options());
    let from = |instance: &str, connection: u64, message: Value| {
        server.api.handle_message(
            message.to_string().as_bytes(),
            Origin::new("carrier-pigeon", instance, connection),
        )
    };
    let create = |number: u64| write("create", Some(&format!("x{number}")), json!({"a": 1}));
    let now = || json!({"controller": "read", "action": "now", "requestId": "r", "body": {"b": 1}});

    // Answers nobody has awaited keep their places.
    let mut held: Vec<_> = (1..=9).map(|number| from("first", number, create(number))).collect();
    let answer = read(&from("first", 10, now()).await);
    assert_error(&answer, 503, OVERLOADED);
    assert_eq!((&answer["requestId"], &answer["controller"]), (&json!("r"), &json!("read")));
    assert_eq!(answer["error"]["_source"], json!({"body": {"b": 1}}));

    // The last place is for others.
    assert_eq!(from("second", 1, now()).await.status, 200);
    let last = from("second", 1, create(10));
    assert_eq!(from("second", 2, now()).await.status, 503);
    assert_eq!(from("third", 1, now()).await.status, 503);

    // Overload comes before any other check.
    let answer = read(&from("third", 1, json!({"headers": {"authorization": "Bearer x"}})).await);
    assert_error(&answer, 503, OVERLOADED);
    let refused = from("third", 1, write("create", Some("refused"), json!({"a": 1})));
    assert_eq!(refused.await.status, 503);

    // Places come back with the answers.
    assert_eq!(last.await.status, 200);
    for answer in held.drain(..) {
        assert_eq!(answer.await.status, 200);
    }
    assert_eq!(from("first", 10, now()).await.status, 200);
    assert_eq!(server.stored("i", "c", "refused").await, None);
}

#[tokio::test]
async fn one_connection_has_a_tenth_of_the_places() {
    let server = Server::with(Limits { accepted_max: 40, ..Limits::default() }, options());
    let from = |connection: u64| {
        let message = write("create", None, json!({"a": 1})).to_string();
        server.api.handle_message(message.as_bytes(), Origin::new("carrier-pigeon", "pigeons", connection))
    };
    let held: Vec<_> = (0..4).map(|_| from(1)).collect();
    assert_eq!(from(1).await.status, 503);
    assert_eq!(from(2).await.status, 200);
    drop(held);
    assert_eq!(from(1).await.status, 200);
}

#[tokio::test]
async fn any_label_is_counted_like_any_other() {
    let server = Server::start();
    let now = json!({"controller": "read", "action": "now"}).to_string();
    let ask = |label: &str, message: &str| {
        first_poll(server.api.handle_message(message.as_bytes(), Origin::new(label, "instance", 1)))
    };
    let _connection = server.api.statistics().connection_opened("semaphore");
    for _ in 0..3 {
        ask("semaphore", &now);
    }
    ask("semaphore", "{}");
    ask("semaphore", "not json");
    ask("drums", &now);
    let pending = server.api.handle_message(
        write("create", None, json!({"a": 1})).to_string().as_bytes(),
        Origin::new("drums", "instance", 1),
    );
    let statistics = server.api.statistics();
    assert_eq!(
        statistics.traffic("semaphore"),
        Traffic { connections: 1, ongoing: 0, completed: 3, failed: 2 }
    );
    assert_eq!(statistics.traffic("drums"), Traffic { connections: 0, ongoing: 1, completed: 1, failed: 0 });
    pending.await;
    assert_eq!(statistics.traffic("drums"), Traffic { connections: 0, ongoing: 0, completed: 2, failed: 0 });
    assert_eq!(statistics.snapshot().keys().collect::<Vec<_>>(), ["drums", "semaphore"]);
}

#[test]
fn a_request_is_answered_the_same_under_every_label() {
    let server = Server::start();
    let answers: Vec<Value> = ["rest", "carrier-pigeon", ""]
        .into_iter()
        .map(|label| {
            let message = get("i", "c", "x").to_string();
            let answer = server.api.handle_message(message.as_bytes(), Origin::new(label, label, 0));
            let mut answer = read(&first_poll(answer).unwrap());
            answer["requestId"] = Value::Null;
            answer
        })
        .collect();
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[1], answers[2]);
}

#[test]
fn nothing_a_client_sends_goes_unanswered() {
    let (runtime, server) = (tokio::runtime::Runtime::new().unwrap(), Server::start());
    let controller = prop::sample::select(vec!["write", "read", "admin", "bulk", "ms", "nope"]);
    let action = prop::sample::select(vec![
        "create",
        "createOrReplace",
        "replace",
        "update",
        "delete",
        "createCollection",
        "get",
        "now",
        "listIndexes",
        "listCollections",
        "serverInfo",
        "createIndex",
        "deleteIndex",
        "deleteIndexes",
        "search",
        "count",
        "deleteByQuery",
        "truncateCollection",
        "updateMapping",
        "getMapping",
        "refreshIndex",
        "getAutoRefresh",
        "setAutoRefresh",
        "import",
        "nope",
    ]);
    let fields = prop::collection::btree_map(
        prop::sample::select(vec!["index", "collection", "_id", "body", "metadata", "requestId"]),
        prop_oneof![
            Just(json!(null)),
            Just(json!("i")),
            Just(json!("_x")),
            Just(json!(0)),
            Just(json!([])),
            Just(json!({"a": {"b": []}})),
            Just(json!({"indexes": ["i", 5]})),
            Just(json!({"_id": "x"})),
            Just(json!({"query": {"match": {"a": "b"}}})),
            Just(json!({"properties": {"a": {"type": "string"}}})),
            Just(json!({"autoRefresh": true})),
            Just(json!([{"index": {}}, {"a": {"b": 1}}, {"delete": {"_id": 1}}])),
            ".{0,4}".prop_map(Value::from),
        ],
        0..6,
    );
    let config = ProptestConfig::with_cases(256);
    proptest!(config, |(controller in controller, action in action, fields in fields)| {
        let mut message = json!({"controller": controller, "action": action});
        message.as_object_mut().unwrap().extend(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
        let answer = runtime.block_on(server.ask(message));
        let status = answer["status"].as_u64().unwrap();
        prop_assert_eq!(answer["error"].is_null(), status == 200, "{}", answer);
        prop_assert!([200, 206, 400, 404, 501].contains(&status), "{}", answer);
    });
}
