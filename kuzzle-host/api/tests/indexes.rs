//! The actions on indexes and collections, and what the server says of itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod common;

use std::time::{SystemTime, UNIX_EPOCH};

use common::{Server, assert_error, write};
use kuzzle_api::actions;
use serde_json::{Value, json};

fn admin(action: &str, index: &str) -> Value {
    json!({"controller": "admin", "action": action, "index": index})
}

async fn indexes(server: &Server) -> Vec<String> {
    let answer = server.ask(json!({"controller": "read", "action": "listIndexes"})).await;
    serde_json::from_value(answer["result"]["indexes"].clone()).unwrap()
}

#[tokio::test]
async fn indexes_are_created_listed_and_deleted() {
    let server = Server::start();
    let answer = server.ask(admin("createIndex", "one")).await;
    assert_eq!((&answer["status"], &answer["result"]), (&json!(200), &json!({"acknowledged": true})));
    assert!(indexes(&server).await.contains(&"one".to_string()));

    let answer = server.ask(admin("createIndex", "one")).await;
    assert_eq!((&answer["status"], &answer["action"]), (&json!(400), &json!("createIndex")));
    assert!(answer["error"]["message"].as_str().unwrap().contains("index_already_exists_exception"));

    let answer = server.ask(admin("deleteIndex", "one")).await;
    assert_eq!((&answer["status"], &answer["result"]), (&json!(200), &json!({"acknowledged": true})));
    assert!(!indexes(&server).await.contains(&"one".to_string()));

    let answer = server.ask(admin("deleteIndex", "one")).await;
    assert_eq!((&answer["status"], &answer["action"]), (&json!(400), &json!("deleteIndex")));
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("index_not_found_exception") && message.contains("no such index"));
}

#[tokio::test]
async fn a_deleted_index_takes_its_documents_along() {
    let server = Server::start();
    server.ask(write("create", Some("x"), json!({"a": 1}))).await;
    server.ask(admin("deleteIndex", "i")).await;
    assert_eq!(server.stored("i", "c", "x").await, None);
    server.ask(write("create", Some("x"), json!({"b": 2}))).await;
    assert_eq!(server.stored("i", "c", "x").await, Some((json!({"b": 2}), 1)));
}

#[tokio::test]
async fn index_actions_need_an_index() {
    let server = Server::start();
    for action in ["createIndex", "deleteIndex"] {
        let answer = server.ask(json!({"controller": "admin", "action": action})).await;
        assert_error(&answer, 400, "Unable to build a path with those params. Supply at least index");
        let answer = server.ask(admin(action, "NO")).await;
        assert_eq!(answer["status"], 400);
    }
}

#[tokio::test]
async fn several_indexes_are_deleted_and_unknown_ones_passed_over() {
    let server = Server::start();
    for index in ["b", "a", "kept"] {
        server.ask(admin("createIndex", index)).await;
    }
    let delete = |body: Value| json!({"controller": "admin", "action": "deleteIndexes", "body": body});
    let answer = server.ask(delete(json!({"indexes": ["b", "nope", "a", "b", 5, null]}))).await;
    assert_eq!((&answer["status"], &answer["result"]), (&json!(200), &json!({"deleted": ["a", "b"]})));
    let left = indexes(&server).await;
    assert!(left.contains(&"kept".to_string()));
    assert!(!left.contains(&"a".to_string()) && !left.contains(&"b".to_string()));

    let answer = server.ask(delete(json!({"indexes": []}))).await;
    assert_eq!((&answer["status"], &answer["result"]), (&json!(200), &json!({"deleted": []})));
    for body in [json!({}), json!({"indexes": "kept"}), json!({"indexes": null}), json!([]), json!(null)] {
        assert_error(&server.ask(delete(body)).await, 400, "The indexes attribute must be an array");
    }
    assert!(indexes(&server).await.contains(&"kept".to_string()));
}

#[tokio::test]
async fn collections_are_created_in_an_existing_index() {
    let server = Server::start();
    let create =
        json!({"controller": "write", "action": "createCollection", "index": "i", "collection": "c"});
    let answer = server.ask(create.clone()).await;
    assert_eq!(answer["status"], 400);
    assert!(answer["error"]["message"].as_str().unwrap().contains("index_not_found_exception"));
    assert!(!indexes(&server).await.contains(&"i".to_string()));

    server.ask(admin("createIndex", "i")).await;
    for _ in 0..2 {
        let answer = server.ask(create.clone()).await;
        assert_eq!((&answer["status"], &answer["result"]), (&json!(200), &json!({"acknowledged": true})));
    }
}

#[tokio::test]
async fn collections_are_listed_by_type() {
    let server = Server::start();
    server.ask(write("create", None, json!({"a": 1}))).await;
    let mut other = write("create", None, json!({"a": 1}));
    other["collection"] = "another".into();
    server.ask(other).await;
    let list = |index: &str, body: Value| json!({"controller": "read", "action": "listCollections", "index": index, "body": body});
    let stored = json!(["another", "c"]);
    let all = json!({"type": "all", "collections": {"stored": stored, "realtime": []}});
    for (body, result) in [
        (json!({}), all.clone()),
        (json!(null), all.clone()),
        (json!({"type": null}), all.clone()),
        (json!({"type": ""}), all.clone()),
        (json!({"type": "all"}), all),
        (json!({"type": "stored"}), json!({"type": "stored", "collections": {"stored": stored}})),
        (json!({"type": "realtime"}), json!({"type": "realtime", "collections": {"realtime": []}})),
    ] {
        let answer = server.ask(list("i", body.clone())).await;
        assert_eq!((&answer["status"], &answer["result"]), (&json!(200), &result), "{body}");
    }
    let answer = server.ask(list("nowhere", json!({"type": "stored"}))).await;
    assert_eq!(answer["result"], json!({"type": "stored", "collections": {"stored": []}}));
    for (kind, printed) in [(json!("Stored"), "Stored"), (json!(5), "5"), (json!(["all"]), "[\"all\"]")] {
        let text = format!("listCollections: unrecognized type argument: \"{printed}\"");
        assert_error(&server.ask(list("i", json!({"type": kind}))).await, 400, &text);
    }
    let answer = server.ask(json!({"controller": "read", "action": "listCollections"})).await;
    assert_error(&answer, 400, "Unable to build a path with those params. Supply at least index");
}

#[tokio::test]
async fn now_is_the_time_in_milliseconds() {
    let server = Server::start();
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let before = clock();
    let answer = server.ask(json!({"controller": "read", "action": "now"})).await;
    let now = answer["result"]["now"].as_u64().unwrap();
    assert!((before..=clock()).contains(&now));
}

#[tokio::test]
async fn server_info_says_what_exists() {
    let server = Server::start();
    let _connection = server.api.statistics().connection_opened("carrier-pigeon");
    server.ask(json!({"controller": "nope"})).await;
    server.ask(write("create", None, json!({"a": 1}))).await;
    let answer = server.ask(json!({"controller": "read", "action": "serverInfo"})).await;
    let kuzzle = &answer["result"]["serverInfo"]["kuzzle"];

    assert_eq!((&kuzzle["version"], &kuzzle["uptime"]), (&json!("0.9.1"), &json!("12.3s")));
    assert_eq!(kuzzle["memoryUsed"], 1_000_001);
    assert_eq!(
        kuzzle["system"],
        json!({
            "memory": {"total": 2_000_002, "free": 3_000_003},
            "cpus": [{"model": "abacus", "speed": 4, "times": {"user": 1, "nice": 2, "sys": 3, "idle": 4, "irq": 5}}],
        })
    );
    let none: Vec<Value> = Vec::new();
    assert_eq!(
        kuzzle["plugins"],
        json!({
            "pigeons": {
                "name": "pigeons", "version": "1.2.3", "activated": true, "hooks": none, "pipes": none,
                "controllers": none, "routes": none, "state": "running", "listens": ["127.0.0.1:1"],
            },
            "drums": {
                "name": "drums", "version": null, "activated": false, "hooks": none, "pipes": none,
                "controllers": none, "routes": none,
            },
        })
    );
    assert_eq!(
        kuzzle["protocols"],
        json!({
            "carrier-pigeon": {
                "connections": 1, "ongoingRequests": 1, "completedRequests": 1, "failedRequests": 1,
            },
        })
    );

    assert_eq!(kuzzle["api"]["version"], "1.0");
    let routes = kuzzle["api"]["routes"].as_object().unwrap();
    let listed: usize = routes.values().map(|actions| actions.as_array().unwrap().len()).sum();
    assert_eq!(listed, actions().count());
    for name in actions() {
        assert!(routes[name.controller].as_array().unwrap().contains(&json!(name.action)), "{name:?}");
    }
    assert_eq!(routes["ms"], routes["memoryStorage"]);

    let services = &answer["result"]["serverInfo"]["services"];
    assert_eq!(services["readEngine"], services["writeEngine"]);
    assert_eq!(
        (&services["readEngine"]["status"], &services["readEngine"]["type"]),
        (&json!("green"), &json!("embedded"))
    );
    assert_eq!(
        (&services["readEngine"]["documents"], &services["readEngine"]["api"]),
        (&json!(1), &json!("2.2"))
    );
    assert!(services["readEngine"]["version"].is_string() && services["readEngine"]["spaceUsed"].is_string());
}
