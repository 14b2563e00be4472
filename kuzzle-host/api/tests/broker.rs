//! The controllers of operators: what they show, what they change, and who is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{Server, assert_error};
use serde_json::{Value, json};

async fn ok(server: &Server, action: &str, body: Value) -> Value {
    let answer = server.operate("broker", action, body).await;
    assert_eq!(answer["status"], 200, "{action}: {answer}");
    answer["result"].clone()
}

async fn refused(server: &Server, action: &str, body: Value, status: u16, message: &str) {
    assert_error(&server.operate("broker", action, body).await, status, message);
}

#[tokio::test]
async fn only_operators_are_answered() {
    let server = Server::start();
    for controller in ["broker", "server"] {
        let action = if controller == "broker" { "overview" } else { "listProtocols" };
        let answer = server.ask(json!({"controller": controller, "action": action})).await;
        let text =
            format!("the controller {controller} is for operators: ask it over REST, or with `kuzzle-host`");
        assert_error(&answer, 403, &text);
        assert_eq!(server.operate(controller, action, json!({})).await["status"], 200);
    }
    let unknown = server.ask(json!({"controller": "broker", "action": "fly"})).await;
    assert_eq!(unknown["status"], 400);
}

#[tokio::test]
async fn queues_exchanges_and_bindings_are_declared_shown_and_deleted() {
    let server = Server::start();
    let queue = json!({"vhost": "/", "name": "q", "arguments": {"x-max-length": 5}});
    assert_eq!(ok(&server, "declareQueue", queue.clone()).await["created"], true);
    assert_eq!(ok(&server, "declareQueue", queue).await["created"], false);
    refused(
        &server,
        "declareQueue",
        json!({"name": "q"}),
        412,
        "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received none but current \
         is the value '5' of type 'signedint'",
    )
    .await;
    refused(
        &server,
        "declareQueue",
        json!({"name": "amq.x"}),
        403,
        "ACCESS_REFUSED - queue name 'amq.x' contains reserved prefix 'amq.*'",
    )
    .await;
    ok(&server, "declareExchange", json!({"name": "e", "type": "topic"})).await;
    let odd = server.operate("broker", "declareExchange", json!({"name": "o", "type": "x-odd"})).await;
    assert_eq!(odd["status"], 400);
    let bind = json!({"source": "e", "destination": "q", "routingKey": "a.*"});
    assert_eq!(ok(&server, "bind", bind.clone()).await["created"], true);
    let bindings = ok(&server, "listBindings", json!({"source": "e"})).await;
    assert_eq!(bindings["items"][0]["routingKey"], "a.*");
    assert_eq!(ok(&server, "listBindings", json!({"source": "amq.default"})).await["matched"], 1);
    let shown = ok(&server, "getQueue", json!({"name": "q"})).await;
    assert_eq!((&shown["arguments"], &shown["durable"]), (&json!({"x-max-length": 5}), &json!(true)));
    assert_eq!(ok(&server, "getExchange", json!({"name": "amq.default"})).await["name"], "");
    assert_eq!(ok(&server, "unbind", bind.clone()).await["deleted"], true);
    refused(
        &server,
        "unbind",
        bind,
        404,
        "no binding from exchange 'e' to 'q' with key 'a.*' and these arguments in vhost '/'",
    )
    .await;
    ok(&server, "deleteQueue", json!({"name": "q"})).await;
    ok(&server, "deleteExchange", json!({"name": "e"})).await;
    for action in ["getQueue", "deleteQueue", "purgeQueue", "getMessages"] {
        refused(&server, action, json!({"name": "q"}), 404, "NOT_FOUND - no queue 'q' in vhost '/'").await;
    }
    refused(&server, "deleteExchange", json!({"name": "e"}), 404, "NOT_FOUND - no exchange 'e' in vhost '/'")
        .await;
    refused(&server, "listQueues", json!({"vhost": "x"}), 404, "no vhost 'x'").await;
    refused(&server, "getQueue", json!({}), 400, "the argument `name` is needed").await;
}

#[tokio::test]
async fn messages_are_published_looked_at_and_taken() {
    let server = Server::start();
    ok(&server, "declareQueue", json!({"name": "q"})).await;
    for (payload, encoding) in [("héllo", "string"), ("/wA=", "base64")] {
        let publish = json!({
            "name": "amq.default", "routingKey": "q", "payload": payload, "payloadEncoding": encoding,
            "properties": {"deliveryMode": 2, "headers": {"n": 1}},
        });
        assert_eq!(ok(&server, "publish", publish).await["routed"], true);
    }
    let lost = json!({"name": "amq.direct", "routingKey": "nobody", "payload": "x"});
    assert_eq!(ok(&server, "publish", lost).await["routed"], false);
    refused(&server, "publish", json!({"name": "no"}), 404, "NOT_FOUND - no exchange 'no' in vhost '/'")
        .await;

    let seen = ok(&server, "getMessages", json!({"name": "q", "count": 10, "truncate": 2})).await;
    assert_eq!(seen["ready"], 2);
    let first = &seen["messages"][0];
    assert_eq!((&first["payload"], &first["payloadBytes"]), (&json!("h"), &json!(6)), "é is not cut in two");
    assert_eq!((&first["properties"]["headers"], &first["redelivered"]), (&json!({"n": 1}), &json!(false)));
    let taken = ok(&server, "getMessages", json!({"name": "q", "count": 1, "requeue": false})).await;
    assert_eq!((&taken["messages"][0]["payload"], &taken["ready"]), (&json!("héllo"), &json!(1)));
    let left = ok(&server, "getMessages", json!({"name": "q", "requeue": "false"})).await;
    assert_eq!(left["messages"][0]["payloadEncoding"], "base64");
    assert_eq!(left["messages"][0]["payload"], "/wA=");
    let none = ok(&server, "getMessages", json!({"name": "q", "requeue": false, "count": 5})).await;
    assert_eq!(none["messages"], json!([]));

    ok(&server, "publish", json!({"name": "amq.default", "routingKey": "q", "payload": "x"})).await;
    assert_eq!(ok(&server, "purgeQueue", json!({"name": "q"})).await["messages"], 1);
}

#[tokio::test]
async fn a_queue_that_refuses_more_says_so() {
    let server = Server::start();
    let arguments = json!({"x-max-length": 1, "x-overflow": "reject-publish"});
    ok(&server, "declareQueue", json!({"name": "q", "arguments": arguments})).await;
    let publish = json!({"name": "amq.default", "routingKey": "q", "payload": "x"});
    ok(&server, "publish", publish.clone()).await;
    let answer = server.operate("broker", "publish", publish).await;
    assert_error(&answer, 503, "RESOURCE_ERROR - queue 'q' in vhost '/' is full");
}

#[tokio::test]
async fn connections_are_listed_and_closed() {
    let server = Server::start();
    let connection = server
        .broker
        .connect(kuzzle_broker::ConnectionOptions {
            id: 1,
            vhost: "/".into(),
            instance: "pigeons".into(),
            user: "guest".into(),
            client_name: Some("Ada".into()),
            info: r#"{"peer":"127.0.0.1:1"}"#.into(),
            privileged: false,
            waker: std::sync::Arc::new(Nobody),
        })
        .unwrap();
    let _link = connection.open_link(kuzzle_broker::LinkOptions::default()).unwrap();
    let listed = ok(&server, "listConnections", json!({"name": "ada"})).await;
    let id = listed["items"][0]["id"].as_u64().unwrap();
    assert_eq!(listed["items"][0]["info"]["peer"], "127.0.0.1:1");
    assert_eq!(ok(&server, "listChannels", json!({"connection": id})).await["matched"], 1);
    assert_eq!(ok(&server, "getConnection", json!({"connection": id})).await["protocol"], "pigeons");
    assert_eq!(ok(&server, "overview", json!({})).await["connections"], 1);
    ok(&server, "closeConnection", json!({"connection": id.to_string(), "reason": "tests"})).await;
    let mut events = Vec::new();
    connection.take(5, &mut events);
    assert!(format!("{events:?}").contains("tests"), "{events:?}");
    let gone = format!("no connection {id}; it may have been closed already");
    refused(&server, "closeConnection", json!({"connection": id}), 404, &gone).await;
    refused(&server, "closeConnection", json!({}), 400, "the argument `connection` is needed").await;
    assert_eq!(ok(&server, "listConsumers", json!({})).await["total"], 0);
    assert_eq!(ok(&server, "listSessions", json!({})).await["total"], 0);
    refused(&server, "getSession", json!({"name": "s"}), 404, "no session 's' in vhost '/'").await;
    refused(&server, "deleteSession", json!({"name": "s"}), 404, "NOT_FOUND - no session 's' in vhost '/'")
        .await;
}

#[tokio::test]
async fn definitions_go_out_and_come_in() {
    let server = Server::start();
    ok(&server, "declareQueue", json!({"name": "q"})).await;
    let exported = ok(&server, "exportDefinitions", json!({})).await;
    assert_eq!(exported["queues"][0]["name"], "q");
    let other = Server::start();
    let report = ok(&other, "importDefinitions", exported).await;
    assert_eq!(report["created"]["queues"], 1);
    let answer = other.operate("broker", "importDefinitions", json!({"queues": [{}]})).await;
    assert_error(&answer, 400, "nothing was imported: the definitions have 1 problem(s)");
    assert_eq!(answer["error"]["errors"][0]["pointer"], "/queues/0");
}

#[tokio::test]
async fn protocols_are_listed_and_switched_and_problems_told() {
    let server = Server::start();
    let protocols = server.operate("server", "listProtocols", json!({})).await;
    assert_eq!(protocols["result"]["protocols"][0]["state"], "running");
    assert_eq!(protocols["result"]["protocols"][0]["enabled"], true);
    let switched = server.operate("server", "disableProtocol", json!({"protocol": "pigeons"})).await;
    assert_eq!(switched["result"]["done"], "pigeons off");
    assert_error(&server.operate("server", "enableProtocol", json!({"protocol": "x"})).await, 404, "no `x`");
    let broken = server.operate("server", "enableProtocol", json!({"protocol": "drums"})).await;
    assert_error(&broken, 409, "the file is broken");
    let problems = server.operate("server", "listProblems", json!({})).await;
    assert_eq!(
        problems["result"]["problems"][0],
        json!({"at": 7, "count": 2, "fields": {"name": "Ada"}, "level": "warning",
            "message": "a pigeon is late", "target": "birds"})
    );
}

struct Nobody;

impl kuzzle_broker::Waker for Nobody {
    fn ready(&self, _id: u64) {}
}

#[tokio::test]
async fn a_collection_is_exported_page_by_page_as_it_is_stored() {
    let server = Server::start();
    for id in ["b", "a", "c\"quoted", "d"] {
        let body = json!({"id": id, "nested": {"z": 1, "a": [1.50, 2]}});
        let create = json!({
            "controller": "write", "action": "create", "index": "i", "collection": "c", "_id": id, "body": body
        });
        assert_eq!(server.ask(create).await["status"], 200);
    }
    let page = |body: Value| {
        let message = json!({
            "controller": "server", "action": "exportDocuments", "index": "i", "collection": "c", "body": body
        });
        server.operate_message(message)
    };
    let first = page(json!({"size": 3})).await;
    let documents = first["result"]["documents"].as_array().unwrap();
    let ids: Vec<_> = documents.iter().map(|it| it["_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "b", "c\"quoted"]);
    assert_eq!(documents[0]["_source"], json!({"id": "a", "nested": {"z": 1, "a": [1.50, 2]}}));
    assert_eq!(documents[0]["_version"], 1);
    assert_eq!((&first["result"]["isLast"], &first["result"]["total"]), (&json!(false), &json!(4)));
    // As a query string says it.
    let last = page(json!({"after": "c\"quoted", "size": "3"})).await;
    assert_eq!(
        (&last["result"]["documents"][0]["_id"], &last["result"]["isLast"]),
        (&json!("d"), &json!(true))
    );
    assert_error(
        &page(json!({"size": 0})).await,
        400,
        "the argument `size` is `0`, expected a whole number from 1 to 10000",
    );
    let nowhere = json!({
        "controller": "server", "action": "exportDocuments", "index": "none", "collection": "c"
    });
    assert_eq!(server.operate_message(nowhere).await["status"], 404);
    let unnamed = json!({"controller": "server", "action": "exportDocuments", "index": "i"});
    assert_eq!(server.operate_message(unnamed).await["status"], 400);
}

#[tokio::test]
async fn a_backup_is_what_the_host_makes_of_it() {
    let server = Server::start();
    let made = server.operate("server", "backup", json!({"directory": "/backups/one"})).await;
    assert_eq!(made["result"], json!({"directory": "/backups/one", "files": 3, "bytes": 10}));
    let refused = server.operate("server", "backup", json!({"directory": "here"})).await;
    assert_error(&refused, 409, "`here` is no absolute path");
    let failed = server.operate("server", "backup", json!({"directory": "/full"})).await;
    assert_error(&failed, 503, "the disk is full");
    let unnamed = server.operate("server", "backup", json!({})).await;
    assert_error(&unnamed, 400, "the argument `directory` is needed");
}
