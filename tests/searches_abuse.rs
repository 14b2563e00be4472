//! Searches, mappings and imports that are wrong, absurd or given up: each is refused with what is wrong, and nobody else
//! notices.

use kuzzle_tests::{HttpClient, Server, ServerOptions, wait_for};
use serde_json::{Value, json};

/// A server with a few documents that are searchable.
fn server() -> Server {
    let server = ServerOptions::default().start();
    let lines: Vec<Value> = (0..20)
        .flat_map(|n| {
            [json!({"index": {"_id": n}}), json!({"n": n * 1_000_000, "text": format!("word{n} and more")})]
        })
        .collect();
    let imported = post(&server, "/api/1.0/i/c/_bulk", &lines.into());
    assert_eq!(imported.0, 200, "{}", imported.1);
    assert_eq!(post(&server, "/api/1.0/i/_refresh", &json!({})).0, 200);
    server
}

fn send(server: &Server, method: &str, path: &str, body: &Value) -> (u16, String) {
    let answer = server.request(method, path, Some(&body.to_string()));
    (answer.status, if answer.status == 413 { answer.text() } else { message(&answer.json()) })
}

fn message(answer: &Value) -> String {
    answer["error"]["message"].as_str().unwrap_or_default().to_owned()
}

fn post(server: &Server, path: &str, body: &Value) -> (u16, String) {
    send(server, "POST", path, body)
}

fn still_serves(server: &Server) {
    let found = server.request("POST", "/api/1.0/i/c/_count", Some("{}")).json();
    assert_eq!(found["result"]["count"], 20, "{found}");
}

/// Something in itself, so many times.
fn nested(times: usize, inner: Value, around: impl Fn(Value) -> Value) -> Value {
    (0..times).fold(inner, |inner, _| around(inner))
}

#[test]
fn searches_that_are_wrong_or_absurd_are_refused() {
    let server = server();
    let query = |query: Value| json!({ "query": query });
    let many = |count: usize| (0..count).map(|n| json!({"term": {"n": n}})).collect::<Vec<Value>>();
    let cases = [
        // Of the wrong shape.
        (query(json!(5)), "at `/query`"),
        (query(json!({"match": {}})), "at `/query/match`"),
        (query(json!({"term": {"n": 1, "m": 2}})), "at `/query/term"),
        (query(json!({"bool": {"must": [{"match_all": {}}, {"mach": {}}]}})), "at `/query/bool/must/1/mach`"),
        (query(json!({"range": {"n": {"gte": {}}}})), "at `/query/range/n/gte`"),
        (query(json!({"range": {"born": {"gte": "2016||+1parsec"}}, "a": {}})), "at `/query"),
        (query(json!({"query_string": {"query": "(((a AND"}})), "at `/query/query_string"),
        (query(json!({"geo_polygon": {"place": {"points": [[0, 0]]}}})), "at `/query/geo_polygon"),
        (json!({"size": "many"}), "at `/size`"),
        (json!({"size": -1}), "at `/size`"),
        (json!({"from": 1.0e300}), "at `/from`"),
        (json!({"sort": 7}), "at `/sort`"),
        (json!({"aggs": []}), "at `/aggs`"),
        (json!({"aggs": {"a": {"sum": {"field": "n"}, "max": {"field": "n"}}}}), "at `/aggs/a"),
        (json!({"highlight": true}), "at `/highlight`"),
        (json!([{"query": {"match_all": {}}}]), "at the root"),
        // Known, and not there.
        (query(json!({"more_like_this": {"like": "a"}})), "not supported"),
        (json!({"suggest": {}}), "not supported"),
        (json!({"aggs": {"a": {"significant_terms": {"field": "text"}}}}), "not supported"),
        // Beyond a limit.
        (query(nested(30, json!({"match_all": {}}), |inner| json!({"bool": {"must": inner}}))), "20"),
        (
            json!({"aggs": nested(30, json!({"a": {"max": {"field": "n"}}}), |inner| {
                json!({"a": {"terms": {"field": "n"}, "aggs": inner}})
            })}),
            "20",
        ),
        (query(json!({"bool": {"should": many(2_000)}})), "1024"),
        (query(json!({"terms": {"n": (0..70_000).collect::<Vec<u32>>()}})), "65536"),
        (query(json!({"regexp": {"text": "((a{1,1000}){1,1000}){1,1000}"}})), "/query/regexp"),
        (query(json!({"regexp": {"text": "(".repeat(900)}})), "/query/regexp"),
        (query(json!({"wildcard": {"text": "*a".repeat(2_000)}})), "1000"),
        (query(json!({"match": {"text": "many words ".repeat(10_000)}})), "65536"),
        (json!({"from": 9_995, "size": 10}), "10000"),
        (json!({"size": 4_000_000_000_u32}), "10000"),
        (
            json!({"size": 0, "aggs": {"a": {"histogram": {"field": "n", "interval": 1, "min_doc_count": 0}}}}),
            "65536",
        ),
        (
            json!({"size": 0, "aggs": {"a": {"histogram": {"field": "n", "interval": 0}}}}),
            "/aggs/a/histogram",
        ),
        (json!({"sort": vec!["n"; 100]}), "16"),
    ];
    for (body, text) in cases {
        let shown: String = body.to_string().chars().take(200).collect();
        let (status, found) = post(&server, "/api/1.0/i/c/_search", &body);
        assert_eq!(status, 400, "{shown}: {found}");
        assert!(found.starts_with("[search_parse_exception] ") && found.contains(text), "{shown}: {found}");
        assert!(found.len() < 1_000, "{shown}: a message of {} bytes", found.len());
        still_serves(&server);
    }
    let deep = nested(200, json!({"match_all": {}}), |inner| json!({"bool": {"must": inner}})).to_string();
    let refused = server.request("POST", "/api/1.0/i/c/_search", Some(&format!("{{\"query\":{deep}}}")));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("recursion limit exceeded"), "{}", refused.text());
    still_serves(&server);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn mappings_that_are_wrong_or_absurd_are_refused() {
    let server = server();
    let properties = |properties: Value| json!({ "properties": properties });
    let wide: serde_json::Map<String, Value> =
        (0..2_000).map(|n| (format!("f{n}"), json!({"type": "long"}))).collect();
    let cases = [
        (json!({"propertys": {}}), "propertys"),
        (properties(json!([])), "properties"),
        (properties(json!({"a": 5})), "/properties/a"),
        (properties(json!({"a": {"type": "strong"}})), "strong"),
        (properties(json!({"a": {"type": "string", "analyzer": "mine"}})), "mine"),
        (properties(json!({"a": {"type": "long", "index": "backwards"}})), "backwards"),
        (properties(json!({"n": {"type": "string"}})), "different type"),
        (json!({"dynamic_templates": []}), "not supported"),
        (
            properties(nested(
                30,
                json!({"a": {"type": "long"}}),
                |inner| json!({"a": {"properties": inner}}),
            )),
            "20",
        ),
        (properties(wide.into()), "1000"),
    ];
    for (body, text) in cases {
        let shown: String = body.to_string().chars().take(200).collect();
        let (status, found) = send(&server, "PUT", "/api/1.0/i/c/_mapping", &body);
        assert_eq!(status, 400, "{shown}: {found}");
        assert!(found.starts_with("[mapper_parsing_exception] ") && found.contains(text), "{shown}: {found}");
        still_serves(&server);
    }
    let shown = server.request("GET", "/api/1.0/i/c/_mapping", None).json();
    let expected = json!({"n": {"type": "long"}, "text": {"type": "string"}});
    assert_eq!(shown["result"]["i"]["mappings"]["c"]["properties"], expected);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn imports_and_documents_that_are_wrong_or_absurd_are_refused() {
    let server = server();
    let index = |id: &str, document: Value| json!([{"index": {"_id": id}}, document]);
    let cases = [
        (json!([{"a": 1}, {"index": {"_id": "x"}}]), "line 1: found the key `a`"),
        (json!([{"index": {"_id": "x"}}, {"a": 1}, {"b": 1}]), "line 3: found the key `b`"),
        (json!([{"index": {"_id": "x"}}]), "line 2: found the end"),
        (json!([{"index": {"_id": "x"}}, "text"]), "line 2: found a string"),
        (json!([null]), "line 1: found null"),
        (json!([{"delete": {}}]), "line 1: `delete` needs the `_id`"),
        (json!([{"index": {"_id": ["x"]}}, {}]), "line 1: `_id` is an array"),
        (json!([]), "document <body> is missing"),
    ];
    for (body, text) in cases {
        let (status, found) = post(&server, "/api/1.0/i/c/_bulk", &body);
        assert_eq!(status, 400, "{body}: {found}");
        assert!(found.contains(text), "{body}: {found}");
        still_serves(&server);
    }
    // What is wrong with one document is that document's alone.
    let long = "x".repeat(600);
    let deep = nested(110, json!(1), |inner| json!({ "a": inner }));
    for (body, text) in [
        (index("deep", deep), "deeper than 100 levels"),
        (index(&long, json!({"a": 1})), "512"),
        (index("", json!({"a": 1})), "empty"),
        (index("unfit", json!({"n": "no number"})), "mapper_parsing_exception"),
        (index("unfit", json!({"n": {"a": 1}})), "mapper_parsing_exception"),
    ] {
        let answer = server.request("POST", "/api/1.0/i/c/_bulk", Some(&body.to_string())).json();
        let item = &answer["result"]["items"][0]["index"];
        assert_eq!((&answer["status"], &item["status"]), (&json!(206), &json!(400)), "{answer}");
        assert!(item["error"].as_str().unwrap().contains(text), "{item}");
        still_serves(&server);
    }
    let large = index("large", json!({"text": "x".repeat(2 << 20)}));
    let (status, found) = post(&server, "/api/1.0/i/c/_bulk", &large);
    assert_eq!(status, 413, "{found}");
    assert_eq!(post(&server, "/api/1.0/i/_refresh", &json!({})).0, 200);
    still_serves(&server);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

fn rest(server: &Server) -> (u64, u64) {
    let info = server.request("GET", "/api/_serverInfo", None).json();
    let rest = &info["result"]["serverInfo"]["kuzzle"]["protocols"]["rest"];
    let number = |name: &str| rest[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {rest}"));
    // Without the request that asks.
    (number("ongoingRequests") - 1, number("completedRequests") + number("failedRequests"))
}

/// Hundreds of searches are on their way, of which only as many run as there are processors. When their clients go away,
/// those that wait are never answered, and none of them stands in the way of the next client.
#[test]
fn searches_whose_clients_go_away_are_given_up() {
    let server = ServerOptions::default().start();
    for part in 0..10 {
        let lines: Vec<Value> = (0..2_000)
            .flat_map(|n| {
                let n = part * 2_000 + n;
                [json!({"index": {"_id": n}}), json!({"n": n, "text": format!("some words of document {n}")})]
            })
            .collect();
        let (status, found) = post(&server, "/api/1.0/i/c/_bulk", &lines.into());
        assert_eq!(status, 200, "{found}");
    }
    assert_eq!(post(&server, "/api/1.0/i/_refresh", &json!({})).0, 200);
    let body = json!({
        "query": {"bool": {"should": (0..40).map(|n| json!({"regexp": {"text": format!(".*{n}.*")}})).collect::<Vec<_>>()}},
        "sort": {"n": "desc"}, "size": 100,
    })
    .to_string();
    let request = format!(
        "POST /api/1.0/i/c/_search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (_, before) = rest(&server);
    let mut clients: Vec<HttpClient> = (0..300).map(|_| server.http()).collect();
    for client in &mut clients {
        client.send(request.as_bytes()).unwrap();
    }
    let (asked, sent) = (&server, clients.len() as u64);
    let mut polls = 0;
    let answered = wait_for("every search to have arrived", || {
        polls += 1;
        let (ongoing, ended) = rest(asked);
        let answered = ended - before - polls;
        (ongoing + answered >= sent).then_some(answered)
    });
    assert!(answered < sent, "every search was answered before its client could go");
    drop(clients);
    wait_for("the searches to be given up", || {
        polls += 1;
        (rest(asked).0 == 0).then_some(())
    });
    let (_, ended) = rest(&server);
    let answered = ended - before - polls - 1;
    println!("{answered} of {sent} searches were answered, and the others given up");
    assert!(answered < sent, "searches were done for nobody");
    assert_eq!(server.request("POST", "/api/1.0/i/c/_count", Some("{}")).json()["result"]["count"], 20_000);
}
