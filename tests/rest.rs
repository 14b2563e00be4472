//! REST as a client sees it, through curl: every action that is built, and what wrong requests get.

use kuzzle_tests::{Answer, Server, ServerOptions, curl_request};
use serde_json::{Value, json};

#[test]
fn hello_and_its_headers() {
    let server = ServerOptions::default().start();
    let answer = ask(&server, "GET", "/api/1.0", None);
    assert_eq!(answer.text(), r#"{"error":null,"result":"Hello from Kuzzle :)","status":200}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("X-Requested-With"));
    let head = ask(&server, "HEAD", "/api/1.0", None);
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn a_document_from_creation_to_deletion() {
    let server = ServerOptions::default().start();
    let document = "/api/1.0/nyc/taxi/one";

    let created =
        ask(&server, "PUT", &format!("{document}/_create"), Some(r#"{"plate":"T1","at":{"x":1,"y":2}}"#));
    assert_eq!(created.status, 200, "{}", created.text());
    let json = created.json();
    assert_eq!(json["status"], 200);
    assert_eq!(json["error"], Value::Null);
    assert_eq!((&json["controller"], &json["action"]), (&json!("write"), &json!("create")));
    assert_eq!((&json["index"], &json["collection"]), (&json!("nyc"), &json!("taxi")));
    assert_eq!(json["metadata"], json!({}));
    let request_id = json["requestId"].as_str().unwrap();
    assert_eq!(request_id.len(), 36, "a UUID: {request_id}");
    let result = &json["result"];
    assert_eq!(
        (&result["_id"], &result["_index"], &result["_type"]),
        (&json!("one"), &json!("nyc"), &json!("taxi"))
    );
    assert_eq!((&result["_version"], &result["created"]), (&json!(1), &json!(true)));
    assert_eq!(result["_source"], json!({"plate": "T1", "at": {"x": 1, "y": 2}}));

    let again = ask(&server, "PUT", &format!("{document}/_create"), Some(r#"{"plate":"T2"}"#));
    assert_eq!(again.status, 400);
    assert!(again.error().contains("document_already_exists_exception"), "{}", again.error());
    assert!(again.error().contains("document already exists"), "{}", again.error());
    assert_eq!(again.json()["result"], Value::Null);

    // A partial document is merged deep.
    let updated = ask(&server, "PUT", &format!("{document}/_update"), Some(r#"{"at":{"y":3},"free":true}"#));
    assert_eq!((updated.status, &updated.json()["result"]["_version"]), (200, &json!(2)));
    assert_eq!(updated.json()["result"].get("_source"), None);
    let got = ask(&server, "GET", document, None).json();
    assert_eq!(got["result"]["_source"], json!({"plate": "T1", "at": {"x": 1, "y": 3}, "free": true}));
    assert_eq!((&got["result"]["_version"], &got["result"]["found"]), (&json!(2), &json!(true)));
    assert_eq!((&got["controller"], &got["action"]), (&json!("read"), &json!("get")));

    let replaced = ask(&server, "PUT", &format!("{document}/_replace"), Some(r#"{"plate":"T3"}"#)).json();
    assert_eq!((&replaced["result"]["_version"], &replaced["result"]["created"]), (&json!(3), &json!(false)));
    let or_replaced = ask(&server, "PUT", document, Some(r#"{"plate":"T4"}"#)).json();
    assert_eq!(
        (&or_replaced["result"]["_version"], &or_replaced["result"]["created"]),
        (&json!(4), &json!(false))
    );
    assert_eq!(or_replaced["action"], "createOrReplace");
    let or_replaced =
        ask(&server, "PUT", &format!("{document}/_createOrReplace"), Some(r#"{"plate":"T5"}"#)).json();
    assert_eq!(or_replaced["result"]["_version"], 5);
    assert_eq!(ask(&server, "GET", document, None).json()["result"]["_source"], json!({"plate": "T5"}));

    let deleted = ask(&server, "DELETE", document, None);
    assert_eq!((deleted.status, &deleted.json()["result"]["found"]), (200, &json!(true)));
    let gone = ask(&server, "GET", document, None);
    assert_eq!((gone.status, gone.error().as_str()), (404, "Not Found"));
    assert_eq!(gone.json()["error"]["_source"]["_id"], "one");
    let again = ask(&server, "DELETE", document, None);
    assert_eq!((again.status, again.error().as_str()), (400, "Not Found"));
}

#[test]
fn documents_without_an_id_get_one() {
    let server = ServerOptions::default().start();
    let create = || ask(&server, "POST", "/api/1.0/nyc/taxi/_create", Some(r#"{"a":1}"#)).json();
    let (first, second) = (create(), create());
    let id = first["result"]["_id"].as_str().unwrap();
    assert!(
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
        "{id}"
    );
    assert_ne!(first["result"]["_id"], second["result"]["_id"]);
    let got = ask(&server, "GET", &format!("/api/1.0/nyc/taxi/{id}"), None);
    assert_eq!(got.json()["result"]["_source"], json!({"a": 1}));
    // An id inside the document names it, and is not stored.
    let named = ask(&server, "POST", "/api/1.0/nyc/taxi/_create", Some(r#"{"_id":"named","a":2}"#)).json();
    assert_eq!((&named["result"]["_id"], &named["result"]["_source"]), (&json!("named"), &json!({"a": 2})));
}

#[test]
fn what_is_missing_is_said_as_ever() {
    let server = ServerOptions::default().start();
    let missing = |method: &str, path: &str, body: Option<&str>| {
        let answer = ask(&server, method, path, body);
        (answer.status, answer.error())
    };
    let (status, message) = missing("PUT", "/api/1.0/i/c/nope/_update", Some(r#"{"a":1}"#));
    assert_eq!(status, 400);
    assert!(message.contains("document_missing_exception"), "{message}");
    assert_eq!(
        missing("PUT", "/api/1.0/i/c/nope/_replace", Some(r#"{"a":1}"#)),
        (404, "Document with id nope not found.".to_owned())
    );
    assert_eq!(
        missing("GET", "/api/1.0/i/c/_search", None),
        (400, "The action _search can't be done with a GET".to_owned())
    );
    for action in ["_create", "_createOrReplace", "_replace", "_update"] {
        let path = format!("/api/1.0/i/c/x/{action}");
        assert_eq!(
            missing("PUT", &path, Some("{}")),
            (400, "The body can't be empty".to_owned()),
            "{action}"
        );
    }
    let (status, message) = missing("PUT", "/api/1.0/nowhere/collection", None);
    assert_eq!(status, 400);
    assert!(message.contains("index_not_found_exception"), "{message}");
}

#[test]
fn indexes_and_collections() {
    let server = ServerOptions::default().start();
    let create = || ask(&server, "PUT", "/api/1.0/nyc", None);
    let created = create();
    assert_eq!((created.status, &created.json()["result"]), (200, &json!({"acknowledged": true})));
    let again = create();
    assert_eq!(again.status, 400);
    assert!(again.error().contains("index_already_exists_exception"), "{}", again.error());

    for _twice in 0..2 {
        let created = ask(&server, "PUT", "/api/1.0/nyc/taxi", None);
        assert_eq!((created.status, &created.json()["result"]), (200, &json!({"acknowledged": true})));
    }
    let of = |path: &str| ask(&server, "GET", path, None).json()["result"].clone();
    assert_eq!(
        of("/api/1.0/nyc/_listCollections/stored"),
        json!({"type": "stored", "collections": {"stored": ["taxi"]}})
    );
    assert_eq!(
        of("/api/1.0/nyc/_listCollections"),
        json!({"type": "all", "collections": {"stored": ["taxi"], "realtime": []}})
    );
    let wrong = ask(&server, "GET", "/api/1.0/nyc/_listCollections/purple", None);
    assert_eq!(
        (wrong.status, wrong.error().as_str()),
        (400, "listCollections: unrecognized type argument: \"purple\"")
    );

    for index in ["bos", "chi"] {
        assert_eq!(ask(&server, "PUT", &format!("/api/1.0/{index}"), None).status, 200);
    }
    let list = || of("/api/1.0/_listIndexes")["indexes"].clone();
    let has = |list: &Value, name: &str| list.as_array().unwrap().contains(&json!(name));
    assert!(["nyc", "bos", "chi"].iter().all(|index| has(&list(), index)), "{}", list());

    let deleted = ask(&server, "DELETE", "/api/1.0/nyc", None);
    assert_eq!((deleted.status, &deleted.json()["result"]), (200, &json!({"acknowledged": true})));
    let again = ask(&server, "DELETE", "/api/1.0/nyc", None);
    assert_eq!((again.status, &again.json()["action"]), (400, &json!("deleteIndex")));
    assert!(again.error().contains("index_not_found_exception"), "{}", again.error());

    let several =
        ask(&server, "DELETE", "/api/1.0/_deleteIndexes", Some(r#"{"indexes":["bos","never","chi"]}"#))
            .json();
    let mut names: Vec<String> = serde_json::from_value(several["result"]["deleted"].clone()).unwrap();
    names.sort();
    assert_eq!(names, ["bos", "chi"]);
    assert!(!has(&list(), "bos"), "{}", list());
}

#[test]
fn an_index_that_is_deleted_takes_its_documents_along() {
    let server = ServerOptions::default().start();
    assert_eq!(ask(&server, "PUT", "/api/1.0/nyc/taxi/one", Some(r#"{"a":1}"#)).status, 200);
    assert_eq!(ask(&server, "DELETE", "/api/1.0/nyc", None).status, 200);
    assert_eq!(ask(&server, "GET", "/api/1.0/nyc/taxi/one", None).status, 404);
    let anew = ask(&server, "PUT", "/api/1.0/nyc/taxi/one", Some(r#"{"b":2}"#)).json();
    assert_eq!((&anew["result"]["created"], &anew["result"]["_source"]), (&json!(true), &json!({"b": 2})));
}

#[test]
fn the_server_tells_of_itself() {
    let server = ServerOptions::default().start();
    let now = ask(&server, "GET", "/api/1.0/_now", None).json();
    assert!(now["result"]["now"].as_u64().unwrap() > 1_500_000_000_000, "{now}");
    let info = ask(&server, "GET", "/api/_serverInfo", None).json()["result"]["serverInfo"].clone();
    assert_eq!(info["kuzzle"]["api"]["version"], "1.0");
    let routes = &info["kuzzle"]["api"]["routes"];
    for (controller, action) in
        [("write", "createOrReplace"), ("read", "search"), ("ms", "get"), ("auth", "login")]
    {
        let actions = routes[controller].as_array().unwrap();
        assert!(actions.contains(&json!(action)), "{controller}.{action} is in {routes}");
    }
    let rest = &info["kuzzle"]["protocols"]["rest"];
    assert!(rest["completedRequests"].as_u64().unwrap() >= 1, "{rest}");
    assert_eq!(info["services"]["writeEngine"]["status"], "green");
}

#[test]
fn what_is_not_built_yet_says_so() {
    let server = ServerOptions::default().start();
    for (method, path, name) in [
        ("POST", "/api/1.0/i/c", "publish"),
        ("POST", "/api/1.0/_getStats", "getStats"),
        ("GET", "/api/1.0/roles/admin", "getRole"),
        ("POST", "/api/1.0/_login", "login"),
        ("GET", "/api/1.0/_listSubscriptions", "list"),
    ] {
        let body = (method == "POST").then_some("{}");
        let answer = ask(&server, method, path, body);
        assert_eq!(answer.status, 501, "{method} {path}: {}", answer.text());
        assert!(answer.error().contains(name), "{}", answer.error());
        assert!(answer.error().contains("not available yet"), "{}", answer.error());
    }
}

#[test]
fn wrong_requests_get_a_clear_answer_and_nothing_else_happens() {
    let server = ServerOptions::default().start();
    let unknown = ask(&server, "PUT", "/api/1.0/i/c/x/_fly", Some(r#"{"a":1}"#));
    assert_eq!(
        (unknown.status, unknown.error().as_str()),
        (400, "No corresponding action fly in controller write")
    );

    let nowhere = ask(&server, "GET", "/api/1.0/profiles/", None);
    assert_eq!((nowhere.status, nowhere.text().as_str()), (404, "Cannot GET /api/1.0/profiles/\n"));
    assert!(nowhere.header("content-type").unwrap().starts_with("text/html"));
    for (method, path) in
        [("GET", "/"), ("GET", "/api/2.0"), ("PATCH", "/api/1.0/i/c/x"), ("GET", "/api/1.0/i//x")]
    {
        assert_eq!(ask(&server, method, path, None).status, 404, "{method} {path}");
    }

    let malformed = ask(&server, "PUT", "/api/1.0/i/c/x", Some(r#"{"a":"#));
    assert_eq!(malformed.status, 400, "{}", malformed.text());
    for text in ["1", "\"x\"", "null", "true"] {
        assert_eq!(ask(&server, "PUT", "/api/1.0/i/c/x", Some(text)).status, 400, "{text}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(ask(&server, "PUT", "/api/1.0/i/c/x", Some(&format!("{{\"a\":{deep}}}"))).status, 400);

    let xml = ["-H", "Content-Type: text/xml"];
    let wrong_type = curl_request("PUT", &server.url("/api/1.0/i/c/x"), Some("{\"a\":1}"), &xml);
    assert_eq!(wrong_type.status, 400);
    assert_eq!(
        wrong_type.error(),
        "Invalid request content-type. Expected \"application/json\", got: \"text/xml\""
    );
    let latin = ["-H", "Content-Type: application/json; charset=latin1"];
    assert_eq!(curl_request("PUT", &server.url("/api/1.0/i/c/x"), Some("{\"a\":1}"), &latin).status, 400);
    let utf8 = ["-H", "Content-Type: application/json; charset=UTF-8"];
    assert_eq!(curl_request("PUT", &server.url("/api/1.0/i/c/y"), Some("{\"a\":1}"), &utf8).status, 200);

    // None of the wrong ones stored anything.
    assert_eq!(ask(&server, "GET", "/api/1.0/i/c/x", None).status, 404);
}

#[test]
fn tokens_are_looked_at_first() {
    let server = ServerOptions::default().start();
    let with = |header: &str| {
        curl_request("GET", &server.url("/api/1.0/_now"), None, &["-H", &format!("Authorization: {header}")])
    };
    let refused = with("Bearer made-up");
    assert_eq!((refused.status, refused.error().as_str()), (401, "Json Web Token Error"));
    // Anything but a Bearer token is the anonymous user.
    assert_eq!(with("Basic Zm9vOmJhcg==").status, 200);
}

#[test]
fn a_body_may_be_wrapped_and_carry_metadata() {
    let server = ServerOptions::default().start();
    let wrapped = r#"{"body":{"a":1},"metadata":{"who":"me"},"_id":"elsewhere"}"#;
    let answer = ask(&server, "PUT", "/api/1.0/i/c/here", Some(wrapped)).json();
    assert_eq!(answer["metadata"], json!({"who": "me"}));
    assert_eq!(answer["result"]["_id"], "elsewhere", "an id in the payload wins over the path's");
    assert_eq!(answer["result"]["_source"], json!({"a": 1}));
}

#[test]
fn paths_are_decoded_and_forgiving() {
    let server = ServerOptions::default().start();
    assert_eq!(ask(&server, "PUT", "/api/1.0/i/c/a%20b%2Fc%C3%A9", Some(r#"{"a":1}"#)).status, 200);
    let got = ask(&server, "GET", "/api/1.0/i/c/a%20b%2Fc%C3%A9", None).json();
    assert_eq!(got["result"]["_id"], "a b/cé");
    assert_eq!(ask(&server, "GET", "/API/1.0/_NOW/", None).status, 200);
    let options = ask(&server, "OPTIONS", "/api/1.0/i/c/x", None);
    assert_eq!(options.status, 200);
    let allow = options.header("allow").unwrap();
    assert!(["DELETE", "GET", "PUT"].iter().all(|method| allow.contains(method)), "{allow}");
}

#[test]
fn every_answer_has_its_keys_sorted() {
    let server = ServerOptions::default().start();
    let body = r#"{"zebra":{"y":1,"b":[{"d":1,"c":2}]},"ant":"é","Upper":1}"#;
    let answers = [
        ask(&server, "PUT", "/api/1.0/i/c/x", Some(body)),
        ask(&server, "GET", "/api/1.0/i/c/x", None),
        ask(&server, "GET", "/api/1.0/i/c/none", None),
        ask(&server, "GET", "/api/_serverInfo", None),
    ];
    for answer in answers {
        // The parser's maps are sorted, so what it writes is the sorted form.
        assert_eq!(answer.json().to_string(), answer.text());
    }
}

#[test]
fn versions_count_every_write_of_many_clients() {
    let server = ServerOptions::default().start();
    let write = |_| {
        let mut http = server.http();
        let mut version = || {
            let answer = http.request("PUT", "/api/1.0/i/c/shared", Some(r#"{"a":1}"#)).unwrap();
            answer.json()["result"]["_version"].as_u64().unwrap()
        };
        (0..50).map(|_| version()).collect::<Vec<u64>>()
    };
    let mut versions: Vec<u64> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|client| scope.spawn(move || write(client))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    versions.sort_unstable();
    assert_eq!(versions, (1..=400).collect::<Vec<u64>>());
}

fn ask(server: &Server, method: &str, path: &str, body: Option<&str>) -> Answer {
    curl_request(method, &server.url(path), body, &["--path-as-is"])
}
