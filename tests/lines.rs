//! The example plugin, built out of the workspace on plugin-api alone, through the real `nc`; and one document on its way
//! through every protocol.

use std::process::Command;

use kuzzle_tests::server::{free_port, lines, socketio};
use kuzzle_tests::{Server, ServerOptions, node, run_for_text, run_with_input};
use serde_json::{Value, json};

/// The responses that `nc` prints to these requests.
fn nc(port: u16, typed: &[String]) -> Vec<Value> {
    nc_lines(port, typed).iter().map(|line| parse(line)).collect()
}

/// What `nc` prints after these lines were typed and the input was ended.
fn nc_lines(port: u16, typed: &[String]) -> Vec<String> {
    let mut command = Command::new("timeout");
    command.args(["60", "nc", "-N", "127.0.0.1", &port.to_string()]);
    let input: String = typed.iter().map(|line| format!("{line}\n")).collect();
    run_with_input(&mut command, input.as_bytes()).lines().map(str::to_owned).collect()
}

fn request(action: &str, more: Value) -> String {
    let controller = if action == "get" || action == "now" { "read" } else { "write" };
    let mut request = json!({ "controller": controller, "action": action });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request.to_string()
}

fn started() -> (Server, u16) {
    let port = free_port();
    let server = ServerOptions::with_plugins(lines(port)).start();
    server.wait_for_state("lines", "running");
    (server, port)
}

#[test]
fn it_answers_through_nc_in_the_order_of_the_requests() {
    let (_server, port) = started();
    let place = json!({ "index": "i", "collection": "c", "_id": "one" });
    let with = |more: Value| {
        let mut all = place.as_object().unwrap().clone();
        all.extend(more.as_object().unwrap().clone());
        Value::Object(all)
    };
    let typed = [
        request("createOrReplace", with(json!({ "requestId": "a", "body": { "text": "héllo, 日本語" } }))),
        request("get", with(json!({ "requestId": "b" }))),
        request("delete", with(json!({ "requestId": "c" }))),
        request("get", with(json!({ "requestId": "d" }))),
    ];
    let answers = nc(port, &typed);
    let seen: Vec<(&str, u64)> = answers
        .iter()
        .map(|answer| (answer["requestId"].as_str().unwrap(), answer["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(seen, [("a", 200), ("b", 200), ("c", 200), ("d", 404)]);
    assert_eq!(answers[1]["result"]["_source"], json!({ "text": "héllo, 日本語" }));
}

#[test]
fn what_is_wrong_is_answered_and_the_next_line_too() {
    let (server, port) = started();
    let long = format!("{{\"controller\":\"{}\"}}", "x".repeat(2 << 20));
    let typed =
        ["{\"controller\":", "[]", "{}", &long, r#"{"controller":"read","action":"now"}"#].map(str::to_owned);
    let answers = nc(port, &typed);
    let statuses: Vec<u64> = answers.iter().map(|answer| answer["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [400, 400, 400, 413, 200], "{answers:?}");
    for answer in &answers[..4] {
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn one_document_crosses_every_protocol() {
    let (web, line) = (free_port(), free_port());
    let server = ServerOptions::with_plugins(socketio(web) + &lines(line)).start();
    server.wait_for_state("socketio", "running");
    server.wait_for_state("lines", "running");
    let over_socketio = |action: &str, more: Value| -> Value {
        let arguments = ["4.8.4".to_owned(), web.to_string(), request(action, more)];
        serde_json::from_str(&run_for_text(&mut node(None, "socketio", "ask.js", arguments))).unwrap()
    };
    let place = |more: Value| {
        let mut place = json!({ "index": "nyc", "collection": "taxi", "_id": "t1" });
        place.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        place
    };

    // Written over REST, changed over lines, read over socket.io.
    let path = "/api/1.0/nyc/taxi/t1";
    assert_eq!(server.request("PUT", path, Some(r#"{"driver":"Liia","km":1}"#)).status, 200);
    let updated = nc(line, &[request("update", place(json!({ "body": { "km": 2 } })))]);
    assert_eq!((&updated[0]["status"], &updated[0]["result"]["_version"]), (&json!(200), &json!(2)));
    let read = over_socketio("get", place(json!({})));
    assert_eq!(read["result"]["_source"], json!({ "driver": "Liia", "km": 2 }));

    // Deleted over socket.io, gone everywhere.
    assert_eq!(over_socketio("delete", place(json!({})))["status"], 200);
    assert_eq!(server.request("GET", path, None).status, 404);
    assert_eq!(nc(line, &[request("get", place(json!({})))])[0]["status"], 404);

    // The same bytes on each, but for the request's id.
    assert_eq!(server.request("PUT", path, Some(r#"{"driver":"Ott","km":[3,1,2]}"#)).status, 200);
    let get = request("get", place(json!({})));
    let over_rest = server.request("GET", path, None).text();
    let over_lines = nc_lines(line, std::slice::from_ref(&get)).remove(0);
    let over_socketio =
        run_for_text(&mut node(None, "socketio", "ask.js", ["4.8.4", &web.to_string(), &get]));
    let expected = without_request_id(&over_rest);
    assert_eq!(without_request_id(&over_lines), expected);
    assert_eq!(without_request_id(over_socketio.trim_end()), expected);
}

fn without_request_id(response: &str) -> String {
    let id = parse(response)["requestId"].as_str().unwrap().to_owned();
    response.replace(&id, "")
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))
}
