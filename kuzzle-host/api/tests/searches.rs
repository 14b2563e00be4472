//! Searches, counts, deletions by query, mappings and refreshes: arguments, results and errors of each.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Server, assert_error, origin, read, write};
use kuzzle_api::{Defaults, Origin};
use serde_json::{Value, json};

fn message(controller: &str, action: &str, body: Value) -> Value {
    json!({"controller": controller, "action": action, "index": "i", "collection": "c", "body": body})
}

/// A server with an index `i` whose writes are searchable at once, and these documents in its collection `c`.
async fn server_with(documents: &[(&str, Value)]) -> Server {
    let server = Server::start();
    let answer = server.ask(message("admin", "setAutoRefresh", json!({"autoRefresh": true}))).await;
    assert_eq!(answer["result"], json!(true));
    for (id, document) in documents {
        assert_eq!(server.ask(write("create", Some(id), document.clone())).await["status"], 200);
    }
    server
}

fn people() -> [(&'static str, Value); 3] {
    [
        ("grace", json!({"firstName": "Grace", "info": {"city": "NYC", "age": 85}})),
        ("ada", json!({"firstName": "Ada", "info": {"city": "London", "age": 36}})),
        ("mary", json!({"firstName": "Mary", "info": {"city": "NYC", "age": 30}})),
    ]
}

#[tokio::test]
async fn a_search_answers_hits_beside_their_total() {
    let server = server_with(&people()).await;
    let body = json!({
        "filter": {"term": {"firstName": "grace"}}, "version": true, "aggs": {"oldest": {"max": {"field": "info.age"}}},
    });
    let mut asked = message("read", "search", body);
    asked["requestId"] = "r".into();
    let mut answer = server.ask(asked).await;
    assert!(answer["result"]["took"].take().is_u64());
    assert_eq!(
        answer,
        json!({
            "action": "search", "collection": "c", "controller": "read", "error": null, "index": "i", "metadata": {},
            "requestId": "r", "status": 200,
            "result": {
                "_shards": {"failed": 0, "successful": 1, "total": 1}, "timed_out": false, "took": null,
                "total": 1, "max_score": 1.0, "aggregations": {"oldest": {"value": 85.0}},
                "hits": [{
                    "_index": "i", "_type": "c", "_id": "grace", "_score": 1.0, "_version": 1,
                    "_source": {"firstName": "Grace", "info": {"city": "NYC", "age": 85}},
                }],
            },
        })
    );
    for body in [json!({}), json!(null), json!({"query": {"match_all": {}}})] {
        let answer = server.ask(message("read", "search", body)).await;
        let hits = answer["result"]["hits"].as_array().unwrap();
        let ids: Vec<&str> = hits.iter().map(|hit| hit["_id"].as_str().unwrap()).collect();
        assert_eq!((ids, &answer["result"]["total"]), (vec!["grace", "ada", "mary"], &json!(3)));
        assert!(answer["result"].get("aggregations").is_none());
    }
}

#[tokio::test]
async fn a_query_at_the_root_of_a_message_is_a_body() {
    let server = server_with(&people()).await;
    let query = json!({"match": {"info.city": "nyc"}});
    for (controller, action, at, expected) in [
        ("read", "search", "/result/total", json!(2)),
        ("read", "count", "/result/count", json!(2)),
        ("write", "deleteByQuery", "/result/ids", json!(["grace", "mary"])),
    ] {
        let asked = json!({"controller": controller, "action": action, "index": "i", "collection": "c", "query": query});
        let answer = server.ask(asked).await;
        assert_eq!(answer.pointer(at), Some(&expected), "{answer}");
    }
}

#[tokio::test]
async fn a_count_takes_a_query_and_nothing_else() {
    let server = server_with(&people()).await;
    let count = |body: Value| message("read", "count", body);
    let counted = |count: u64| json!({"_shards": {"failed": 0, "successful": 1, "total": 1}, "count": count});
    for (body, expected) in [
        (json!({}), 3),
        (json!(null), 3),
        (json!({"query": {"match": {"info.city": "NYC"}}}), 2),
        (json!({"query": {"term": {"firstName": "Grace"}}}), 0),
    ] {
        let answer = server.ask(count(body)).await;
        assert_eq!((&answer["status"], &answer["result"]), (&json!(200), &counted(expected)));
    }
    let answer = server.ask(count(json!({"sort": "info.age"}))).await;
    assert_eq!(
        (&answer["status"], &answer["error"]["id"]),
        (&json!(400), &json!("documents.search.invalid"))
    );
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("unknown key `sort` in `count`"), "{message}");
}

#[tokio::test]
async fn what_is_read_from_an_index_that_is_not_there_is_404_and_what_is_written_400() {
    let server = server_with(&people()).await;
    for (controller, action, status) in [
        ("read", "search", 404),
        ("read", "count", 404),
        ("write", "deleteByQuery", 400),
        ("admin", "truncateCollection", 400),
        ("admin", "updateMapping", 400),
        ("admin", "refreshIndex", 400),
    ] {
        let mut asked = message(controller, action, json!({}));
        asked["index"] = "nowhere".into();
        let answer = server.ask(asked).await;
        assert_eq!(answer["status"], status, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("index_not_found_exception") && message.contains("no such index"));
        assert_eq!(answer["error"]["_source"], json!({"body": {}}));
    }
    for (controller, action, result) in [
        ("read", "count", json!({"_shards": {"failed": 0, "successful": 1, "total": 1}, "count": 0})),
        ("write", "deleteByQuery", json!({"ids": []})),
        ("admin", "truncateCollection", json!({"ids": []})),
    ] {
        let mut asked = message(controller, action, json!({}));
        asked["collection"] = "empty".into();
        let answer = server.ask(asked).await;
        assert_eq!((&answer["status"], &answer["result"]), (&json!(200), &result));
    }
}

#[tokio::test]
async fn searches_that_cannot_be_understood_are_400_with_their_place() {
    let server = server_with(&people()).await;
    for (body, text) in [
        (json!({"query": {"trem": {"a": 1}}}), "`/query/trem`"),
        (json!({"quarry": {}}), "quarry"),
        (json!({"query": {"range": {"n": {"gte": 1, "near": 2}}}}), "near"),
        (json!([1]), "expected the object of `search`"),
        (json!("text"), "expected the object of `search`"),
        (json!({"query": {"more_like_this": {}}}), "not supported"),
    ] {
        for action in ["search", "deleteByQuery"] {
            let controller = if action == "search" { "read" } else { "write" };
            let answer = server.ask(message(controller, action, body.clone())).await;
            assert_eq!((&answer["status"], &answer["result"]), (&json!(400), &Value::Null), "{answer}");
            assert_eq!(answer["error"]["id"], "documents.search.invalid");
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.contains("[search_parse_exception]") && message.contains(text), "{message}");
            assert_eq!(answer["error"]["_source"]["body"], body);
        }
    }
    let deep = server.ask(message("read", "search", json!({"from": 9_999, "size": 2}))).await;
    assert_eq!(deep["status"], 400);
    assert!(deep["error"]["message"].as_str().unwrap().contains("Result window is too large"), "{deep}");
    assert_eq!(server.ask(message("read", "count", json!({}))).await["result"]["count"], 3);
}

#[tokio::test]
async fn a_deletion_by_query_answers_the_ids() {
    let server = server_with(&people()).await;
    let delete = |body: Value| message("write", "deleteByQuery", body);
    assert_error(&server.ask(delete(json!(null))).await, 400, "null is not a valid document ID");
    let answer = server.ask(delete(json!({"filter": {"regexp": {"_uid": "c.gr.*"}}}))).await;
    assert_eq!((&answer["status"], &answer["result"]), (&json!(200), &json!({"ids": ["grace"]})));
    assert_eq!(server.stored("i", "c", "grace").await, None);
    let answer = server.ask(delete(json!({"query": {"match": {"info.city": "Paris"}}}))).await;
    assert_eq!(answer["result"], json!({"ids": []}));
    let answer = server.ask(delete(json!({}))).await;
    assert_eq!(answer["result"], json!({"ids": ["ada", "mary"]}));
    assert_eq!(server.ask(message("read", "count", json!({}))).await["result"]["count"], 0);
}

#[tokio::test]
async fn a_truncation_takes_what_is_searchable_and_keeps_the_mapping() {
    let server = server_with(&people()).await;
    server.ask(message("admin", "setAutoRefresh", json!({"autoRefresh": false}))).await;
    let mut gone = vec![json!("grace"), json!("ada"), json!("mary")];
    // A second after a write it is seen anyway: whoever is so slow has to try again.
    loop {
        let began = Instant::now();
        server.ask(write("createOrReplace", Some("late"), json!({"firstName": "Late"}))).await;
        let answer = server.ask(message("admin", "truncateCollection", json!({}))).await;
        if began.elapsed() < Duration::from_millis(900) {
            assert_eq!(answer["result"], json!({"ids": gone}));
            assert!(server.stored("i", "c", "late").await.is_some(), "not seen yet, so not removed");
            break;
        }
        gone.clear();
    }
    let mapping = server.ask(message("admin", "getMapping", json!({}))).await;
    assert_eq!(mapping["result"]["i"]["mappings"]["c"]["properties"]["firstName"], json!({"type": "string"}));
}

#[tokio::test]
async fn mappings_are_merged_shown_and_refused() {
    let server = Server::start();
    let get = || message("admin", "getMapping", json!({}));
    let update = |body: Value| message("admin", "updateMapping", body);
    assert_error(&server.ask(get()).await, 404, "No mapping for index \"i\"");
    server.ask(json!({"controller": "admin", "action": "createIndex", "index": "i"})).await;
    assert_error(&server.ask(get()).await, 404, "No mapping for index \"i\"");
    server.ask(message("write", "createCollection", json!({}))).await;
    assert_eq!(server.ask(get()).await["result"], json!({"i": {"mappings": {"c": {}}}}));

    let schema = json!({"properties": {
        "firstName": {"type": "string", "copy_to": "newFirstName"},
        "newFirstName": {"type": "string", "store": true, "index": "not_analyzed"},
    }});
    for _ in 0..2 {
        let answer = server.ask(update(schema.clone())).await;
        assert_eq!((&answer["status"], &answer["result"]), (&json!(200), &json!({"acknowledged": true})));
    }
    let shown = server.ask(get()).await["result"]["i"]["mappings"]["c"]["properties"].take();
    assert_eq!(shown["newFirstName"], schema["properties"]["newFirstName"]);
    assert_eq!(shown["firstName"], json!({"type": "string", "copy_to": ["newFirstName"]}));

    let answer = server.ask(update(json!({"properties": {"firstName": {"type": "long"}}}))).await;
    assert_eq!(
        (&answer["status"], &answer["error"]["id"]),
        (&json!(400), &json!("documents.mapping.invalid"))
    );
    assert!(answer["error"]["message"].as_str().unwrap().contains("firstName"), "{answer}");
    for body in [json!(null), json!([]), json!("x"), json!({"properties": 5}), json!({"propertys": {}})] {
        let answer = server.ask(update(body.clone())).await;
        assert_eq!(answer["status"], 400, "{body}: {answer}");
    }
    assert_eq!(
        server.ask(get()).await["result"]["i"]["mappings"]["c"]["properties"],
        shown,
        "what is refused changes nothing"
    );
}

#[tokio::test]
async fn documents_are_searchable_after_a_refresh_or_at_once() {
    let server = Server::start();
    let index = |action: &str, body: Value| json!({"controller": "admin", "action": action, "index": "i", "body": body});
    let count = async || server.ask(message("read", "count", json!({}))).await["result"]["count"].clone();
    // It is remembered before the index is there.
    assert_eq!(server.ask(index("getAutoRefresh", json!({}))).await["result"], json!(false));
    assert_eq!(
        server.ask(index("setAutoRefresh", json!({"autoRefresh": true}))).await["result"],
        json!(true)
    );
    assert_eq!(server.ask(index("getAutoRefresh", json!({}))).await["result"], json!(true));
    server.ask(write("create", Some("x"), json!({"a": 1}))).await;
    assert_eq!(count().await, 1);
    assert_eq!(
        server.ask(index("setAutoRefresh", json!({"autoRefresh": false}))).await["result"],
        json!(false)
    );
    let mut created: u32 = 1;
    loop {
        let (began, before) = (Instant::now(), count().await);
        server.ask(write("create", None, json!({"a": 1}))).await;
        created += 1;
        let after = count().await;
        if began.elapsed() < Duration::from_millis(900) {
            assert_eq!(before, after, "not before a refresh");
            break;
        }
    }
    let answer = server.ask(index("refreshIndex", json!({}))).await;
    assert_eq!(answer["result"], json!({"_shards": {"failed": 0, "successful": 1, "total": 1}}));
    assert_eq!(count().await, created);

    let refused = |found: &str| format!("Invalid type for autoRefresh, expected Boolean got {found}");
    for (body, text) in [
        (json!({}), "mandatory parameter \"autoRefresh\" not found.".to_owned()),
        (json!(null), "mandatory parameter \"autoRefresh\" not found.".to_owned()),
        (json!({"autoRefresh": "true"}), refused("string")),
        (json!({"autoRefresh": 1}), refused("number")),
        (json!({"autoRefresh": null}), refused("object")),
        (json!({"autoRefresh": []}), refused("object")),
    ] {
        assert_error(&server.ask(index("setAutoRefresh", body)).await, 400, &text);
    }
    assert_eq!(server.ask(index("getAutoRefresh", json!({}))).await["result"], json!(false));
}

#[tokio::test]
async fn missing_names_are_told() {
    let server = Server::start();
    for (controller, action, needed) in [
        ("read", "search", "index, type"),
        ("read", "count", "index, type"),
        ("write", "deleteByQuery", "index, type"),
        ("admin", "truncateCollection", "index, type"),
        ("admin", "updateMapping", "index, type"),
        ("admin", "getMapping", "index, type"),
        ("admin", "refreshIndex", "index"),
        ("admin", "getAutoRefresh", "index"),
        ("admin", "setAutoRefresh", "index"),
    ] {
        for absent in needed.split(", ") {
            let mut asked = message(controller, action, json!({"autoRefresh": true}));
            asked[if absent == "type" { "collection" } else { absent }] = Value::Null;
            let text = format!("Unable to build a path with those params. Supply at least {needed}");
            assert_error(&server.ask(asked).await, 400, &text);
        }
    }
}

#[tokio::test]
async fn an_instance_supplies_the_index_of_deletions_by_query_and_of_no_search() {
    let server = server_with(&people()).await;
    let ask = async |asked: Value| {
        let defaults = Defaults { index: Some(Arc::from("i")) };
        let origin = Origin { defaults, ..origin() };
        read(&server.api.handle_message(asked.to_string().as_bytes(), origin).await)
    };
    let mut asked = message("read", "search", json!({}));
    asked["index"] = Value::Null;
    assert_eq!(ask(asked.clone()).await["status"], 400);
    asked["controller"] = "write".into();
    asked["action"] = "deleteByQuery".into();
    asked["body"] = json!({"query": {"ids": {"values": ["ada"]}}});
    let answer = ask(asked).await;
    assert_eq!((&answer["index"], &answer["result"]), (&json!("i"), &json!({"ids": ["ada"]})));
}
