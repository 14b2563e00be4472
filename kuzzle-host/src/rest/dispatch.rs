//! From an HTTP request to its answer.

use std::fmt;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::Stream;
use kuzzle_api::{Api, Origin};
use kuzzle_model::{Request, RouteParts};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use warp::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use warp::http::{HeaderMap, Method, StatusCode};
use warp::reply::Response;

use super::body::{self, BodyError, Bounds};
use super::router::{Found, Routes, without_trailing_slash};
use super::routes::{BASE, Verb};
use super::{admin, guard, reply, swagger};

/// The greeting of the base path, as documented to the letter.
const GREETING: &[u8] = br#"{"error":null,"result":"Hello from Kuzzle :)","status":200}"#;

/// Pairs of a query string that are read; the rest is ignored, as the first server's parser did.
const QUERY_PAIRS_MAX: usize = 1000;

/// Longest definitions, in bytes, unless all bodies may be longer: an installation has many queues, and imports them once.
const DEFINITIONS_MAX_BYTES: usize = 32 << 20;

/// Answers HTTP requests.
pub(super) struct Dispatcher {
    api: Api,
    routes: Routes,
    bounds: Bounds,
    protocol: Arc<str>,
    /// Names of hosts under which operators reach this server.
    host_names: Vec<String>,
}

/// An HTTP request without its body.
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    /// The connection that it came over.
    pub(super) connection: u64,
}

impl Head {
    fn header(&self, name: warp::http::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Dispatcher {
    pub(super) fn new(api: Api, bounds: Bounds, host_names: Vec<String>) -> Result<Self, String> {
        Ok(Self { api, routes: Routes::new()?, bounds, protocol: Arc::from("rest"), host_names })
    }

    /// Answers one request.
    pub(super) async fn answer<S, B, E>(&self, head: Head, body: S) -> Response
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
        E: fmt::Display,
    {
        let is_guarded = guard::is_guarded(without_trailing_slash(&head.path));
        if is_guarded && let Err(reason) = guard::check(&head.method, &head.headers, &self.host_names) {
            let body = json!({"error": {"message": reason}, "result": null, "status": 403});
            return reply::bare_json(StatusCode::FORBIDDEN, body.to_string().into());
        }
        let response = self.answer_checked(head, body, is_guarded).await;
        if is_guarded { reply::for_own_pages(response) } else { response }
    }

    /// Answers a request that comes from where it may.
    async fn answer_checked<S, B, E>(&self, head: Head, body: S, is_guarded: bool) -> Response
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
        E: fmt::Display,
    {
        if head.method == Method::OPTIONS {
            return self.answer_options(&head);
        }
        if let Err(message) = check_content_type(&head) {
            let body = json!({"error": {"message": message}, "result": null, "status": 400});
            return reply::bare_json(StatusCode::BAD_REQUEST, body.to_string().into());
        }
        if let Some(response) = fixed(&head) {
            return response;
        }
        let Some(found) = verb_of(&head.method).and_then(|verb| self.routes.find(verb, &head.path)) else {
            return reply::page(StatusCode::NOT_FOUND, &format!("Cannot {} {}", head.method, head.path));
        };
        let mut bounds = self.bounds;
        if (found.route.controller, found.route.action) == ("broker", "importDefinitions") {
            bounds.bytes_max = bounds.bytes_max.max(DEFINITIONS_MAX_BYTES);
        }
        let is_import = (found.route.controller, found.route.action) == ("bulk", "import");
        match read_payload(&head, body, bounds, is_import).await {
            Ok(payload) => self.run(&head, found, payload, is_guarded).await,
            Err(error) => reply::page(status_of(&error), &error.to_string()),
        }
    }

    async fn run(&self, head: &Head, found: Found, payload: Option<Value>, is_operator: bool) -> Response {
        let mut parts = RouteParts {
            controller: found.route.controller.to_owned(),
            action: found.route.action.to_owned(),
            authorization: head.header(AUTHORIZATION).map(str::to_owned),
            payload,
            query: head.query.as_deref().map(pairs).unwrap_or_default(),
            ..RouteParts::default()
        };
        for (name, value) in found.parameters {
            match name {
                "index" => parts.index = Some(value),
                "collection" => parts.collection = Some(value),
                "id" => parts.id = Some(value),
                "action" if found.route.action == ":action" => parts.action = value,
                other => parts.parameters.push((other.to_owned(), value)),
            }
        }
        if is_operator {
            gather(&mut parts);
        }
        let response = match Request::from_route(parts) {
            Ok(request) => {
                let (label, instance) = (Arc::clone(&self.protocol), Arc::clone(&self.protocol));
                let origin = Origin { is_operator, ..Origin::new(label, instance, head.connection) };
                self.api.handle(request, origin).await
            }
            Err(malformed) => malformed.into_response(),
        };
        reply::json(response.status, response.to_bytes().into())
    }

    fn answer_options(&self, head: &Head) -> Response {
        let path = without_trailing_slash(&head.path);
        let mut methods: Vec<&str> = self.routes.verbs(path).into_iter().map(Verb::as_str).collect();
        if methods.is_empty() && is_fixed(path) {
            methods.push("GET");
        }
        if methods.is_empty() {
            return reply::page(StatusCode::NOT_FOUND, &format!("Cannot OPTIONS {}", head.path));
        }
        if methods.contains(&"GET") {
            methods.push("HEAD");
            methods.sort_unstable();
        }
        reply::options(&methods.join(", "))
    }
}

async fn read_payload<S, B, E>(
    head: &Head,
    body: S,
    bounds: Bounds,
    is_import: bool,
) -> Result<Option<Value>, BodyError>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
    E: fmt::Display,
{
    let announced = head.header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let bytes = body::read(body, announced, bounds).await?;
    let bytes = body::inflate(bytes, head.header(CONTENT_ENCODING), bounds)?;
    if is_import { body::parse_lines(&bytes) } else { body::parse(&bytes) }
}

/// Makes one body of the payload, the query string and, over both, the path. What manages the server has neither documents
/// nor options of subscriptions, whose names are fields like others here: definitions have `users`, say.
fn gather(parts: &mut RouteParts) {
    let mut body = match parts.payload.take() {
        None => Map::new(),
        Some(Value::Object(fields)) => fields,
        Some(other) => {
            parts.payload = Some(other);
            return;
        }
    };
    let named = parts.query.drain(..).chain(parts.parameters.drain(..));
    body.extend(named.map(|(name, value)| (name, Value::String(value))));
    parts.payload = Some(json!({"body": body}));
}

const SWAGGER_JSON: &str = "/api/swagger.json";
const SWAGGER_YAML: &str = "/api/swagger.yml";

fn is_fixed(path: &str) -> bool {
    [BASE, SWAGGER_JSON, SWAGGER_YAML].iter().any(|fixed| path.eq_ignore_ascii_case(fixed))
        || admin::file(path).is_some()
}

/// The answers that no action is behind.
fn fixed(head: &Head) -> Option<Response> {
    if verb_of(&head.method) != Some(Verb::Get) {
        return None;
    }
    let path = without_trailing_slash(&head.path);
    if let Some(file) = admin::file(path) {
        return Some(reply::static_file(file));
    }
    if path.eq_ignore_ascii_case(BASE) {
        return Some(reply::json(200, Bytes::from_static(GREETING)));
    }
    let described = || swagger::describe(head.header(HOST).unwrap_or("localhost:7511"));
    if path.eq_ignore_ascii_case(SWAGGER_JSON) {
        return Some(reply::json(200, described().to_string().into()));
    }
    path.eq_ignore_ascii_case(SWAGGER_YAML).then(|| reply::yaml(swagger::to_yaml(&described()).into()))
}

fn verb_of(method: &Method) -> Option<Verb> {
    match *method {
        Method::GET | Method::HEAD => Some(Verb::Get),
        Method::POST => Some(Verb::Post),
        Method::PUT => Some(Verb::Put),
        Method::DELETE => Some(Verb::Delete),
        _ => None,
    }
}

fn status_of(error: &BodyError) -> StatusCode {
    match error {
        BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::Late(_) => StatusCode::REQUEST_TIMEOUT,
        BodyError::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        BodyError::Broken(_) | BodyError::Json(_) => StatusCode::BAD_REQUEST,
    }
}

/// A `Content-Type`, where there is one, must be JSON in UTF-8. Without one the body is taken for JSON: the first server
/// ignored it then, and so a deletion by query without the header deleted everything.
fn check_content_type(head: &Head) -> Result<(), String> {
    let Some(value) = head.headers.get(CONTENT_TYPE) else { return Ok(()) };
    let found = String::from_utf8_lossy(value.as_bytes());
    // Imports come in lines too, which have a type of their own.
    let is_lines = || {
        let path = without_trailing_slash(&head.path).to_ascii_lowercase();
        path.ends_with("/_bulk") && found.to_ascii_lowercase().contains("application/x-ndjson")
    };
    if !found.to_ascii_lowercase().contains("application/json") && !is_lines() {
        return Err(format!("Invalid request content-type. Expected \"application/json\", got: \"{found}\""));
    }
    let charset = found.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    match charset {
        Some(charset) if !charset.eq_ignore_ascii_case("utf-8") => Err(format!(
            "Charset of the Request content-type must be utf-8. \
             Expected \"application/json; charset=utf-8\", got: \"{found}\""
        )),
        _ => Ok(()),
    }
}

/// The pairs of a query string, decoded.
fn pairs(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .take(QUERY_PAIRS_MAX)
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decoded(key), decoded(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(content_type: &str) -> Head {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        Head { method: Method::POST, path: "/".to_owned(), query: None, headers, connection: 1 }
    }

    #[test]
    fn only_json_in_utf_8_is_taken() {
        for good in
            ["application/json", "application/json; charset=UTF-8", "application/json;charset=\"utf-8\""]
        {
            assert_eq!(check_content_type(&head(good)), Ok(()), "{good}");
        }
        assert_eq!(
            check_content_type(&head("text/plain")).unwrap_err(),
            "Invalid request content-type. Expected \"application/json\", got: \"text/plain\""
        );
        assert!(check_content_type(&head("application/x-ndjson")).is_err());
        let bulk = Head { path: "/api/1.0/i/_bulk/".to_owned(), ..head("application/x-ndjson") };
        assert_eq!(check_content_type(&bulk), Ok(()));
        assert!(
            check_content_type(&head("application/json; charset=latin1"))
                .unwrap_err()
                .contains("must be utf-8")
        );
    }

    #[test]
    fn what_manages_the_server_has_one_body_in_which_the_path_wins() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut parts = RouteParts {
            payload: Some(json!({"users": [], "name": "payload", "durable": true})),
            query: vec![pair("name", "query"), pair("page", "2")],
            parameters: vec![pair("name", "path")],
            ..RouteParts::default()
        };
        gather(&mut parts);
        let request = Request::from_route(parts).unwrap();
        assert_eq!(request.body, json!({"users": [], "name": "path", "durable": true, "page": "2"}));
        let mut nothing = RouteParts::default();
        gather(&mut nothing);
        assert_eq!(Request::from_route(nothing).unwrap().body, json!({}));
    }

    #[test]
    fn query_strings_are_decoded() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(pairs("a=1&b=x+y%21&&c"), [pair("a", "1"), pair("b", "x y!"), pair("c", "")]);
    }
}
