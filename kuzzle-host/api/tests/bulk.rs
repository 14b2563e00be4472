//! Imports: what they do, in which order, what they answer, and what they refuse.

mod common;

use std::sync::Arc;

use common::{Server, assert_error, origin, read, write};
use kuzzle_api::{Defaults, Origin};
use serde_json::{Value, json};

fn import(lines: Value) -> Value {
    json!({"controller": "bulk", "action": "import", "index": "i", "collection": "c", "body": lines})
}

fn done(id: &str, version: u64, status: u16) -> Value {
    let shards = json!({"failed": 0, "successful": 1, "total": 1});
    json!({"_index": "i", "_type": "c", "_id": id, "_version": version, "_shards": shards, "status": status})
}

#[tokio::test]
async fn actions_are_done_in_order_and_ids_may_be_numbers() {
    let server = Server::start();
    let lines = json!([
        {"index": {"_id": 1}}, {"title": "foo"},
        {"index": {"_id": 2}}, {"title": "bar"},
        {"update": {"_id": 1}}, {"doc": {"title": "foobar"}},
        {"delete": {"_id": 2}},
        {"create": {"_id": "3"}}, {"title": "new"},
        {"index": {"_id": "3"}}, {"title": "newer"},
    ]);
    let mut answer = server.ask(import(lines)).await;
    assert!(answer["result"]["took"].take().is_u64());
    let mut deleted = done("2", 2, 200);
    deleted["found"] = true.into();
    let items = json!([
        {"index": done("1", 1, 201)}, {"index": done("2", 1, 201)}, {"update": done("1", 2, 200)},
        {"delete": deleted}, {"create": done("3", 1, 201)}, {"index": done("3", 2, 200)},
    ]);
    assert_eq!((&answer["status"], &answer["error"]), (&json!(200), &Value::Null));
    assert_eq!(answer["result"], json!({"errors": false, "items": items, "took": null}));
    assert_eq!(server.stored("i", "c", "1").await, Some((json!({"title": "foobar"}), 2)));
    assert_eq!(server.stored("i", "c", "2").await, None);
    assert_eq!(server.stored("i", "c", "3").await, Some((json!({"title": "newer"}), 2)));
}

#[tokio::test]
async fn actions_name_their_own_index_and_collection() {
    let server = Server::start();
    let lines = json!([
        {"index": {"_id": "x", "_index": "other", "_type": "kind"}}, {"a": 1},
        {"index": {"_id": "x", "_type": "kind"}}, {"a": 2},
        {"index": {"_id": "x", "_index": null}}, {"a": 3},
    ]);
    assert_eq!(server.ask(import(lines.clone())).await["status"], 200);
    for (index, collection, a) in [("other", "kind", 1), ("i", "kind", 2), ("i", "c", 3)] {
        assert_eq!(server.stored(index, collection, "x").await, Some((json!({"a": a}), 1)));
    }
    // The message is the same for both.
    for absent in ["index", "collection"] {
        let mut asked = import(lines.clone());
        asked[absent] = Value::Null;
        let answer = server.ask(asked).await;
        assert_error(&answer, 400, "Missing data collection argument");
        assert_eq!(answer["error"]["details"], json!({"line": if absent == "index" { 3 } else { 5 }}));
    }
    let whole = json!([{"index": {"_id": "y", "_index": "other", "_type": "kind"}}, {"a": 1}]);
    let asked = json!({"controller": "bulk", "action": "import", "body": whole});
    assert_eq!(server.ask(asked).await["status"], 200);
    assert!(server.stored("other", "kind", "y").await.is_some());
}

#[tokio::test]
async fn an_instance_supplies_the_index() {
    let server = Server::start();
    let mut asked = import(json!([{"index": {"_id": "x"}}, {"a": 1}]));
    asked["index"] = Value::Null;
    let origin = Origin { defaults: Defaults { index: Some(Arc::from("d")) }, ..origin() };
    let answer = read(&server.api.handle_message(asked.to_string().as_bytes(), origin).await);
    assert_eq!((&answer["status"], answer.get("index")), (&json!(200), None), "the request named none");
    assert!(server.stored("d", "c", "x").await.is_some());
}

#[tokio::test]
async fn what_fails_is_told_and_stops_nothing() {
    let server = Server::start();
    server.ask(write("create", Some("there"), json!({"n": 1}))).await;
    let lines = json!([
        {"create": {"_id": "there"}}, {"n": 2},
        {"update": {"_id": "gone"}}, {"doc": {"n": 2}},
        {"delete": {"_id": "gone"}},
        {"index": {"_id": "fits"}}, {"n": 3},
        {"index": {"_id": "fits not"}}, {"n": "no number"},
        {"index": {"_id": "x", "_index": "NO"}}, {"n": 1},
        {"index": {"_id": "last"}}, {"n": 4},
    ]);
    let answer = server.ask(import(lines)).await;
    assert_eq!((&answer["status"], &answer["result"]["errors"]), (&json!(206), &json!(true)));
    let items = answer["result"]["items"].as_array().unwrap();
    let statuses: Vec<_> = items
        .iter()
        .map(|item| {
            let (name, item) = item.as_object().unwrap().iter().next().unwrap();
            (name.as_str(), item["_id"].as_str().unwrap(), item["status"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(
        statuses,
        [
            ("create", "there", 409),
            ("update", "gone", 404),
            ("delete", "gone", 404),
            ("index", "fits", 201),
            ("index", "fits not", 400),
            ("index", "x", 400),
            ("index", "last", 201),
        ]
    );
    let partial = answer["result"]["partialErrors"].as_array().unwrap();
    assert_eq!(partial.len(), 5);
    assert_eq!(
        partial[2],
        json!({
            "action": "delete", "_index": "i", "_type": "c", "_id": "gone", "error": "Not Found", "found": false,
            "status": 404,
        })
    );
    assert!(partial[0]["error"].as_str().unwrap().contains("document_already_exists_exception"));
    assert!(partial[3]["error"].as_str().unwrap().contains("mapper_parsing_exception"));
    assert!(partial[4]["error"].as_str().unwrap().contains("invalid_index_name_exception"));
    assert_eq!(
        answer["error"],
        json!({
            "count": 5, "errors": partial, "id": "documents.bulk.imported_in_part", "message": "Some errors on bulk",
            "status": 206,
        })
    );
    assert_eq!(server.stored("i", "c", "there").await, Some((json!({"n": 1}), 1)));
    assert!(server.stored("i", "c", "last").await.is_some());
}

#[tokio::test]
async fn an_id_in_a_document_names_it_and_is_not_stored() {
    let server = Server::start();
    let lines = json!([
        {"index": {}}, {"_id": 7, "a": 1},
        {"create": {"_id": "named"}}, {"_id": "ignored", "a": 2},
        {"index": {}}, {"a": 3},
    ]);
    let answer = server.ask(import(lines)).await;
    let items = &answer["result"]["items"];
    assert_eq!((&items[0]["index"]["_id"], &items[1]["create"]["_id"]), (&json!("7"), &json!("named")));
    assert_eq!(items[2]["index"]["_id"].as_str().unwrap().len(), 20, "generated");
    assert_eq!(server.stored("i", "c", "7").await, Some((json!({"a": 1}), 1)));
    assert_eq!(server.stored("i", "c", "named").await, Some((json!({"a": 2}), 1)));
}

#[tokio::test]
async fn lines_that_make_no_sense_are_refused_before_anything_is_done() {
    let server = Server::start();
    let good = json!([{"index": {"_id": "good"}}, {"a": 1}]);
    for (bad, line, text) in [
        (json!([{"title": "foo"}]), 3, "found the key `title`, expected an action"),
        (json!([{"index": {}, "create": {}}, {}]), 3, "found an object with 2 keys, expected an action"),
        (json!([{}]), 3, "found an object with 0 keys"),
        (json!(["index"]), 3, "found a string, expected an action"),
        (json!([{"index": "x"}, {}]), 3, "`index` is a string, expected an object"),
        (json!([{"index": {"_id": {}}}, {}]), 3, "`_id` is an object, expected a string or a number"),
        (json!([{"index": {"_type": true}}, {}]), 3, "`_type` is a boolean"),
        (json!([{"index": {"_routing": "x"}}, {}]), 3, "`index` has the unknown key `_routing`"),
        (json!([{"index": {}}]), 4, "found the end, expected the document of `index`"),
        (json!([{"create": {}}, null]), 4, "found null, expected the document of `create`"),
        (json!([{"index": {}}, {"_id": []}]), 4, "`_id` is an array"),
        (json!([{"update": {}}, {"doc": {}}]), 3, "`update` needs the `_id` of a document"),
        (json!([{"delete": {}}]), 3, "`delete` needs the `_id` of a document"),
        (json!([{"update": {"_id": 1}}, {"a": 1}]), 4, "found the key `a`, of an `update` only `doc`"),
        (json!([{"update": {"_id": 1}}, {"doc": {}, "upsert": {}}]), 4, "found the key `upsert`"),
        (json!([{"update": {"_id": 1}}, {"doc": 5}]), 4, "`doc` is a number, expected an object"),
        (json!([{"update": {"_id": 1}}, {}]), 4, "expected {\"doc\":{..}}"),
        (json!([{"delete": {"_id": 1}}, {"a": 1}]), 4, "found the key `a`, expected an action"),
    ] {
        let lines = [good.as_array().unwrap().clone(), bad.as_array().unwrap().clone()].concat();
        let answer = server.ask(import(lines.clone().into())).await;
        assert_eq!((&answer["status"], &answer["result"]), (&json!(400), &Value::Null), "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        let expected = format!("Bulk import: Parse error: line {line}: {text}");
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(answer["error"]["_source"]["body"], Value::Array(lines), "repeats the request");
    }
    assert_eq!(server.stored("i", "c", "good").await, None);
    for body in [json!(null), json!({}), json!([])] {
        let answer = server.ask(import(body)).await;
        assert_error(&answer, 400, "Bulk import: Parse error: document <body> is missing");
    }
    for (body, found) in
        [(json!("lines"), "a string"), (json!({"index": {}}), "an object"), (json!(1), "a number")]
    {
        let text = format!("the argument `body` is {found}, expected an array of lines");
        assert_error(&server.ask(import(body)).await, 400, &text);
    }
    let long = "x".repeat(5_000);
    let answer = server.ask(import(json!([{long: {}}]))).await;
    assert!(answer["error"]["message"].as_str().unwrap().len() < 300, "{answer}");
}

#[tokio::test]
async fn more_than_a_thousand_actions_keep_their_order() {
    let server = Server::start();
    let mut lines = Vec::new();
    for n in 0..3_500 {
        lines.push(json!({"index": {"_id": n % 7}}));
        lines.push(json!({ "n": n }));
    }
    let answer = server.ask(import(lines.into())).await;
    assert_eq!(answer["result"]["items"].as_array().unwrap().len(), 3_500);
    for id in 0..7_u64 {
        let last = (0..3_500).rev().find(|n| n % 7 == id).unwrap();
        assert_eq!(server.stored("i", "c", &id.to_string()).await, Some((json!({"n": last}), 500)));
    }
}

#[tokio::test]
async fn an_import_takes_its_turn_when_it_is_handed_over() {
    let server = Server::start();
    let hand_over = |message: Value| server.api.handle_message(message.to_string().as_bytes(), origin());
    let imported = hand_over(import(json!([{"index": {"_id": "x"}}, {"a": 1}])));
    let updated = hand_over(write("update", Some("x"), json!({"b": 2})));
    assert_eq!(updated.await.status, 200);
    assert_eq!(imported.await.status, 200);
    assert_eq!(server.stored("i", "c", "x").await, Some((json!({"a": 1, "b": 2}), 2)));
}

#[tokio::test]
async fn an_import_is_searchable_at_once_where_the_index_says_so() {
    let server = Server::start();
    let auto = json!({"controller": "admin", "action": "setAutoRefresh", "index": "i", "body": {"autoRefresh": true}});
    server.ask(auto).await;
    let lines: Vec<Value> =
        (0..1_500).flat_map(|n| [json!({"index": {"_id": n}}), json!({ "n": n })]).collect();
    assert_eq!(server.ask(import(lines.into())).await["status"], 200);
    let count = json!({"controller": "read", "action": "count", "index": "i", "collection": "c"});
    assert_eq!(server.ask(count).await["result"]["count"], 1_500);
}
