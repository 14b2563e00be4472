//! The actions on documents: arguments, results and errors of each.

mod common;

use std::sync::Arc;

use common::{Server, assert_error, get, options, origin, read, write};
use kuzzle_api::{Defaults, Limits, Origin};
use kuzzle_documents::Options;
use serde_json::{Value, json};

#[tokio::test]
async fn create_answers_the_stored_document() {
    let server = Server::start();
    let mut message = write("create", Some("x"), json!({"lastName": "Doe", "firstName": "John"}));
    message["requestId"] = "r".into();
    message["metadata"] = json!({"m": 1});
    assert_eq!(
        server.ask(message).await,
        json!({
            "action": "create", "collection": "c", "controller": "write", "error": null, "index": "i",
            "metadata": {"m": 1}, "requestId": "r", "status": 200,
            "result": {
                "_id": "x", "_index": "i", "_type": "c", "_version": 1, "created": true,
                "_shards": {"failed": 0, "successful": 1, "total": 1},
                "_source": {"firstName": "John", "lastName": "Doe"},
                "action": "create", "collection": "c", "controller": "write", "metadata": {"m": 1}, "requestId": "r",
            },
        })
    );
}

#[tokio::test]
async fn generated_ids_are_20_characters_and_differ() {
    let server = Server::start();
    let mut ids = std::collections::HashSet::new();
    for action in ["create", "createOrReplace", "create", "createOrReplace"] {
        let answer = server.ask(write(action, None, json!({"a": 1}))).await;
        let id = answer["result"]["_id"].as_str().unwrap().to_owned();
        assert_eq!(id.len(), 20);
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(server.stored("i", "c", &id).await, Some((json!({"a": 1}), 1)));
        ids.insert(id);
    }
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn create_refuses_an_id_that_exists() {
    let server = Server::start();
    server.ask(write("create", Some("x"), json!({"a": 1}))).await;
    let answer = server.ask(write("create", Some("x"), json!({"_id": "y", "b": 2}))).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("document_already_exists_exception") && message.contains("document already exists")
    );
    assert_eq!((&answer["status"], &answer["result"]), (&json!(400), &Value::Null));
    assert_eq!(answer["error"]["id"], "documents.document.already_exists");
    assert_eq!(answer["error"]["_source"], json!({"_id": "x", "body": {"_id": "y", "b": 2}}));
    assert_eq!(server.stored("i", "c", "x").await, Some((json!({"a": 1}), 1)));
}

#[tokio::test]
async fn create_or_replace_counts_versions_and_says_what_it_did() {
    let server = Server::start();
    for (version, created) in [(1, true), (2, false), (3, false)] {
        let answer = server.ask(write("createOrReplace", Some("x"), json!({"n": version}))).await;
        let result = &answer["result"];
        assert_eq!((&result["_id"], &result["_version"]), (&json!("x"), &json!(version)));
        assert_eq!((&result["created"], &result["_source"]), (&json!(created), &json!({"n": version})));
    }
    assert_eq!(server.stored("i", "c", "x").await, Some((json!({"n": 3}), 3)));
}

#[tokio::test]
async fn an_id_in_the_body_names_the_document_and_is_not_stored() {
    let server = Server::start();
    let answer = server.ask(write("createOrReplace", None, json!({"_id": 42, "a": 1}))).await;
    assert_eq!(answer["result"]["_id"], "42");
    assert_eq!(answer["result"]["_source"], json!({"a": 1}));
    assert_eq!(server.stored("i", "c", "42").await, Some((json!({"a": 1}), 1)));
}

#[tokio::test]
async fn replace_needs_the_document_and_forgets_what_was_in_it() {
    let server = Server::start();
    let answer = server.ask(write("replace", Some("x"), json!({"a": 1}))).await;
    assert_error(&answer, 404, "Document with id x not found.");
    server.ask(write("create", Some("x"), json!({"a": 1, "b": 2}))).await;
    let answer = server.ask(write("replace", Some("x"), json!({"c": 3}))).await;
    let result = &answer["result"];
    assert_eq!((&result["created"], &result["_version"]), (&json!(false), &json!(2)));
    assert_eq!(result["_source"], json!({"c": 3}));
    assert_eq!(server.stored("i", "c", "x").await, Some((json!({"c": 3}), 2)));
}

#[tokio::test]
async fn update_merges_at_every_depth() {
    let server = Server::start();
    let answer = server.ask(write("update", Some("x"), json!({"a": 1}))).await;
    assert_eq!(answer["status"], 400);
    assert!(answer["error"]["message"].as_str().unwrap().contains("document_missing_exception"));
    assert_eq!(answer["error"]["_source"], json!({"_id": "x", "body": {"a": 1}}));

    server.ask(write("create", Some("x"), json!({"info": {"city": "NYC", "age": 85}, "tags": [1, 2]}))).await;
    let patch = json!({"_id": "x", "info": {"city": "London"}, "tags": [3], "new": {"deep": null}});
    let answer = server.ask(write("update", None, patch)).await;
    let keys: Vec<&String> = answer["result"].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "_id",
            "_index",
            "_shards",
            "_type",
            "_version",
            "action",
            "collection",
            "controller",
            "metadata",
            "requestId",
        ],
        "no `_source`, no `created`"
    );
    assert_eq!(answer["result"]["_version"], 2);
    let merged = json!({"info": {"city": "London", "age": 85}, "tags": [3], "new": {"deep": null}});
    assert_eq!(server.stored("i", "c", "x").await, Some((merged.clone(), 2)));

    // The version grows even when nothing changes.
    let answer = server.ask(write("update", Some("x"), json!({"tags": [3]}))).await;
    assert_eq!(answer["result"]["_version"], 3);
    assert_eq!(server.stored("i", "c", "x").await, Some((merged, 3)));
}

#[tokio::test]
async fn delete_removes_once() {
    let server = Server::start();
    server.ask(write("create", Some("x"), json!({"a": 1}))).await;
    let answer = server.ask(write("delete", Some("x"), json!({}))).await;
    let result = &answer["result"];
    assert_eq!((&result["found"], &result["_id"]), (&json!(true), &json!("x")));
    assert_eq!((&result["_index"], &result["_type"]), (&json!("i"), &json!("c")));
    assert_eq!((result["_version"].is_u64(), result["_shards"].is_object()), (true, true));
    assert_eq!(server.stored("i", "c", "x").await, None);
    let answer = server.ask(write("delete", Some("x"), json!({}))).await;
    assert_error(&answer, 400, "Not Found");
}

#[tokio::test]
async fn get_answers_the_document_or_404() {
    let server = Server::start();
    server.ask(write("create", Some("a/b c"), json!({"z": 1, "a": ["1.5", "\u{1F600}", null]}))).await;
    let answer = server.ask(get("i", "c", "a/b c")).await;
    let result = &answer["result"];
    assert_eq!((&result["found"], &result["_version"]), (&json!(true), &json!(1)));
    assert_eq!(result["_source"], json!({"z": 1, "a": ["1.5", "\u{1F600}", null]}));
    assert_eq!(
        (&result["_index"], &result["_type"], &result["_id"]),
        (&json!("i"), &json!("c"), &json!("a/b c"))
    );
    for (index, collection, id) in [("i", "c", "y"), ("i", "other", "a/b c"), ("other", "c", "a/b c")] {
        let answer = server.ask(get(index, collection, id)).await;
        assert_error(&answer, 404, "Not Found");
        assert_eq!(answer["error"]["_source"], json!({"_id": id, "body": {}}));
    }
    assert_error(
        &server.ask(get("i", "c", "_search")).await,
        400,
        "The action _search can't be done with a GET",
    );
}

#[tokio::test]
async fn documents_are_objects_with_something_in_them() {
    let server = Server::start();
    for action in ["create", "createOrReplace", "replace", "update"] {
        for body in [json!(null), json!({}), json!([]), json!(""), json!("x"), json!(1), json!(true)] {
            let answer = server.ask(write(action, Some("x"), body)).await;
            assert_error(&answer, 400, "The body can't be empty");
        }
        let answer = server.ask(write(action, Some("x"), json!([{"a": 1}]))).await;
        assert_error(&answer, 400, "The body must be a JSON object, got an array");
        assert_eq!(answer["error"]["_source"], json!({"_id": "x", "body": [{"a": 1}]}));
    }
}

#[tokio::test]
async fn missing_names_are_told() {
    let server = Server::start();
    let body = json!({"a": 1});
    for (action, needed) in [
        ("create", "index, type"),
        ("createOrReplace", "index, type"),
        ("createCollection", "index, type"),
        ("replace", "index, type, id"),
        ("update", "index, type, id"),
        ("delete", "index, type, id"),
    ] {
        for absent in needed.split(", ") {
            let mut message = write(action, Some("x"), body.clone());
            let key = match absent {
                "type" => "collection",
                "id" => "_id",
                index => index,
            };
            message.as_object_mut().unwrap().remove(key);
            let answer = server.ask(message).await;
            let text = format!("Unable to build a path with those params. Supply at least {needed}");
            assert_error(&answer, 400, &text);
            assert_eq!(answer["error"]["_source"]["body"], body, "{action} without {absent}");
        }
    }
    for absent in ["index", "collection", "_id"] {
        let mut message = get("i", "c", "x");
        message.as_object_mut().unwrap().remove(absent);
        let answer = server.ask(message).await;
        assert_error(
            &answer,
            400,
            "Unable to build a path with those params. Supply at least index, type, id",
        );
    }
}

#[tokio::test]
async fn names_that_cannot_be_are_refused() {
    let server = Server::start();
    for (field, value) in
        [("index", "UPPER"), ("index", "_x"), ("collection", "_x"), ("_id", &"x".repeat(513))]
    {
        let mut message = write("createOrReplace", Some("x"), json!({"a": 1}));
        message[field] = value.into();
        let answer = server.ask(message).await;
        assert_eq!(
            (&answer["status"], &answer["error"]["id"]),
            (&json!(400), &json!("documents.name.invalid"))
        );
    }
    let mut deep = json!(1);
    for _ in 0..110 {
        deep = json!({"a": deep});
    }
    let answer = server.ask(write("create", Some("x"), deep)).await;
    assert_eq!(
        (&answer["status"], &answer["error"]["id"]),
        (&json!(400), &json!("documents.document.invalid"))
    );
}

#[tokio::test]
async fn an_instances_index_serves_document_writes_alone() {
    let server = Server::start();
    let origin = Origin { defaults: Defaults { index: Some(Arc::from("default")) }, ..origin() };
    let ask = async |message: &Value| {
        read(&server.api.handle_message(message.to_string().as_bytes(), origin.clone()).await)
    };
    for (action, id) in
        [("create", "x"), ("createOrReplace", "x"), ("replace", "x"), ("update", "x"), ("delete", "x")]
    {
        let mut message = write(action, Some(id), json!({"a": 1}));
        let index = message.as_object_mut().unwrap().remove("index");
        let answer = ask(&message).await;
        assert_eq!(answer["status"], 200, "{answer}");
        assert_eq!((&answer["index"], &answer["result"]["_index"]), (&json!("default"), &json!("default")));
        message["index"] = index.unwrap();
        message["action"] = "createOrReplace".into();
        assert_eq!(ask(&message).await["index"], "i", "a named index is used");
    }
    for message in [
        json!({"controller": "read", "action": "get", "collection": "c", "_id": "x"}),
        json!({"controller": "read", "action": "listCollections"}),
        json!({"controller": "write", "action": "createCollection", "collection": "c"}),
        json!({"controller": "admin", "action": "createIndex"}),
        json!({"controller": "admin", "action": "deleteIndex"}),
    ] {
        let answer = ask(&message).await;
        assert_eq!(
            (&answer["status"], &answer["error"]["id"]),
            (&json!(400), &json!("api.arguments.missing"))
        );
        assert!(answer.get("index").is_none());
    }
}

#[tokio::test]
async fn numbers_come_back_as_they_were_sent() {
    let server = Server::start();
    let body =
        json!({"float": -4.150_847_658_754_819_5e-133, "large": u64::MAX, "small": i64::MIN, "zero": 0.0});
    server.ask(write("create", Some("x"), body.clone())).await;
    assert_eq!(server.stored("i", "c", "x").await, Some((body, 1)));
}

#[tokio::test]
async fn without_space_writes_are_refused_and_reads_go_on() {
    // No file system has so much space left.
    let server = Server::with(Limits::default(), Options { reserve_bytes: u64::MAX, ..options() });
    let answer = server.ask(write("create", Some("x"), json!({"a": 1}))).await;
    assert_eq!((&answer["status"], &answer["result"]), (&json!(503), &Value::Null), "{answer}");
    assert_eq!(answer["error"]["id"], "documents.store.unavailable");
    assert!(answer["error"]["message"].as_str().unwrap().len() > 20, "says why");
    assert_error(&server.ask(get("i", "c", "x")).await, 404, "Not Found");
    assert_eq!(server.ask(json!({"controller": "read", "action": "listIndexes"})).await["status"], 200);
    let info = server.ask(json!({"controller": "read", "action": "serverInfo"})).await;
    let engine = &info["result"]["serverInfo"]["services"]["writeEngine"];
    assert_eq!(engine["status"], "red");
    assert!(engine["reason"].is_string());
}
