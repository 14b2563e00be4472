//! The answers of the REST host.

use bytes::Bytes;
use warp::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW,
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;

use super::admin::StaticFile;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const YAML: HeaderValue = HeaderValue::from_static("application/yaml");
const ANYONE: HeaderValue = HeaderValue::from_static("*");
const REQUESTED_WITH: HeaderValue = HeaderValue::from_static("X-Requested-With");

/// Headers that a page on another origin may send, told to its browser beforehand.
const PREFLIGHT_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, x-requested-with");

/// What a page for operators may do: load what this server has, ask it, and no more. Nobody may show it in a frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// A JSON answer of the API. A status that is none becomes 500.
pub(super) fn json(status: u16, body: Bytes) -> Response {
    let mut response =
        bare_json(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANYONE);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUESTED_WITH);
    response
}

/// A JSON answer without the headers for other origins.
pub(super) fn bare_json(status: StatusCode, body: Bytes) -> Response {
    with_type(status, JSON, body)
}

/// A document of the API's description.
pub(super) fn yaml(body: Bytes) -> Response {
    with_type(StatusCode::OK, YAML, body)
}

/// A file of the page for operators.
pub(super) fn static_file(file: &'static StaticFile) -> Response {
    let text = Bytes::from_static(file.text.as_bytes());
    with_type(StatusCode::OK, HeaderValue::from_static(file.media_type), text)
}

/// The answer as the server's own pages get it, and pages of other origins cannot read it.
pub(super) fn for_own_pages(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for open in [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS] {
        headers.remove(open);
    }
    // What is shown is of this moment, and the page is that of this version.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

/// What no action was found or run for, as a page.
pub(super) fn page(status: StatusCode, text: &str) -> Response {
    let mut response = with_type(status, HTML, format!("{}\n", escaped(text)).into());
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The answer to `OPTIONS`: the methods of a path, also for a browser that asks on behalf of another origin.
pub(super) fn options(methods: &str) -> Response {
    let mut response = with_type(StatusCode::OK, PLAIN, methods.to_owned().into());
    let headers = response.headers_mut();
    if let Ok(methods) = HeaderValue::from_str(methods) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
        headers.insert(ALLOW, methods);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANYONE);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, PREFLIGHT_HEADERS);
    response
}

fn with_type(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// The text as it stands in a page: what a peer sent must not become markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
