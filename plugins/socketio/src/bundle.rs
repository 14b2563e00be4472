//! The client scripts that the port serves, unchanged as their authors published them (MIT; licences beside them).

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Response, StatusCode,
    header::{self, HeaderMap, HeaderValue},
};

use crate::http::Answer;

/// One script.
pub(crate) struct Bundle {
    path: &'static str,
    script: &'static [u8],
    /// Its strong validator: the version it was published as.
    etag: &'static str,
}

static BUNDLES: [Bundle; 2] = [
    Bundle {
        path: "/socket.io/socket.io.js",
        script: include_bytes!("../client/socket.io-1.3.7.js"),
        etag: "\"1.3.7\"",
    },
    Bundle {
        path: "/socket.io/socket.io-2.js",
        script: include_bytes!("../client/socket.io-2.5.0.js"),
        etag: "\"2.5.0\"",
    },
];

/// The script at `path`.
pub(crate) fn at(path: &str) -> Option<&'static Bundle> {
    BUNDLES.iter().find(|bundle| bundle.path == path)
}

impl Bundle {
    /// Answers a request for the script.
    pub(crate) fn answer(&self, method: &Method, headers: &HeaderMap) -> Answer {
        let mut answer = Response::new(Full::new(Bytes::new()));
        let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|tags| self.is_named_by(tags));
        let head = answer.headers_mut();
        head.insert(header::ETAG, HeaderValue::from_static(self.etag));
        head.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
        head.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        if method != Method::GET && method != Method::HEAD {
            head.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        } else if known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            head.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/javascript; charset=UTF-8"),
            );
            // Of an answer to HEAD, hyper sends the length alone.
            *answer.body_mut() = Full::new(Bytes::from_static(self.script));
        }
        answer
    }

    fn is_named_by(&self, tags: &HeaderValue) -> bool {
        let Ok(tags) = tags.to_str() else { return false };
        tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.etag)
    }
}
