//! What the port answers over HTTP: the client script, preflights, handshakes, polls and posts. An upgrade to a WebSocket
//! is left in the connection's slot, for [`crate::serve`] to take over.

use std::{sync::Arc, time::Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderMap, HeaderValue},
    upgrade::OnUpgrade,
};
use kuzzle_socketio_proto::{
    packet::Revision,
    payload::{Decoder, Framing},
    session::Session,
};
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    bundle,
    client::Client,
    polling::{self, Handle},
    server::{Peer, Shared},
    sessions::random_id,
};

/// The answer to any request of this port.
pub(crate) type Answer = Response<Full<Bytes>>;

/// A WebSocket that a client asked for, to be served once the HTTP exchange is over.
pub(crate) struct Upgrade {
    /// Resolves to the byte stream.
    pub(crate) stream: OnUpgrade,
    /// The revision that the client speaks.
    pub(crate) revision: Revision,
    /// The session that moves to the WebSocket; none for a client that starts on it.
    pub(crate) session: Option<Handle>,
}

/// Where an accepted upgrade is left for the task that serves the connection.
pub(crate) type UpgradeSlot = Arc<Mutex<Option<Upgrade>>>;

/// The path under which everything lives.
const PATH: &str = "/socket.io/";
/// How much of a body that is too large is read and thrown away before its client is refused.
const DISCARD_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Why a request is refused, with the codes that clients of engine.io know.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    UnknownTransport,
    UnknownSession,
    BadMethod,
    BadRequest(&'static str),
    ForbiddenOrigin,
    UnsupportedRevision,
    TooLarge,
    TooSlow,
    Busy,
}

impl Refusal {
    fn parts(self) -> (StatusCode, u8, &'static str) {
        match self {
            Refusal::UnknownTransport => (StatusCode::BAD_REQUEST, 0, "Transport unknown"),
            Refusal::UnknownSession => (StatusCode::BAD_REQUEST, 1, "Session ID unknown"),
            Refusal::BadMethod => (StatusCode::BAD_REQUEST, 2, "Bad handshake method"),
            Refusal::BadRequest(why) => (StatusCode::BAD_REQUEST, 3, why),
            Refusal::ForbiddenOrigin => (StatusCode::FORBIDDEN, 4, "Origin not allowed"),
            Refusal::UnsupportedRevision => (StatusCode::BAD_REQUEST, 5, "Unsupported protocol version"),
            Refusal::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 3, "Payload too large"),
            Refusal::TooSlow => (StatusCode::REQUEST_TIMEOUT, 3, "Payload did not arrive in time"),
            Refusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, 4, "Too many sessions"),
        }
    }

    fn answer(self) -> Answer {
        let (status, code, message) = self.parts();
        let body = format!("{{\"code\":{code},\"message\":\"{message}\"}}");
        let mut answer = with_type(body.into(), "application/json");
        *answer.status_mut() = status;
        answer
    }
}

/// Answers one request.
pub(crate) async fn answer(
    server: Shared,
    peer: Peer,
    slot: UpgradeSlot,
    request: Request<Incoming>,
) -> Answer {
    if let Some(bundle) = bundle::at(request.uri().path()) {
        return bundle.answer(request.method(), request.headers());
    }
    if request.uri().path() != PATH && request.uri().path() != &PATH[..PATH.len() - 1] {
        return plain(StatusCode::NOT_FOUND, "nothing is here but /socket.io/\n");
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    if origin.as_ref().is_some_and(|origin| !server.origins.allow(origin)) {
        server.counts.refused.add(1);
        tracing::warn!(%peer, ?origin, "origin refused");
        return Refusal::ForbiddenOrigin.answer();
    }
    let mut answer = if request.method() == Method::OPTIONS {
        preflight(request.headers())
    } else {
        match engine(&server, peer, &slot, request).await {
            Ok(answer) => answer,
            Err(refusal) => {
                server.counts.refused.add(1);
                tracing::warn!(%peer, reason = refusal.parts().2, "request refused");
                refusal.answer()
            }
        }
    };
    allow_origin(answer.headers_mut(), origin);
    answer
}

/// What a client says in its address.
struct Query<'a> {
    revision: Option<Revision>,
    transport: &'a str,
    session: Option<&'a str>,
    base64_only: bool,
    jsonp: bool,
}

impl<'a> Query<'a> {
    fn parse(text: &'a str) -> Query<'a> {
        let mut query = Query {
            revision: Some(Revision::V3),
            transport: "",
            session: None,
            base64_only: false,
            jsonp: false,
        };
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "EIO" => {
                    query.revision = match value {
                        "3" => Some(Revision::V3),
                        "4" => Some(Revision::V4),
                        _ => None,
                    };
                }
                "transport" => query.transport = value,
                "sid" => query.session = Some(value),
                "b64" => query.base64_only = !matches!(value, "" | "0" | "false"),
                "j" => query.jsonp = true,
                _ => {}
            }
        }
        query
    }
}

async fn engine(
    server: &Shared,
    peer: Peer,
    slot: &UpgradeSlot,
    mut request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let uri = request.uri().clone();
    let query = Query::parse(uri.query().unwrap_or_default());
    let revision = query.revision.ok_or(Refusal::UnsupportedRevision)?;
    let get = request.method() == Method::GET;
    match (query.transport, query.session) {
        ("polling" | "websocket", None) if !get => Err(Refusal::BadMethod),
        ("polling", _) if query.jsonp => Err(Refusal::BadRequest("JSONP is not supported")),
        ("polling", None) => handshake(server, peer, revision, Framing::of(revision, query.base64_only)),
        ("polling", Some(session)) if get => poll(server, session).await,
        ("polling", Some(session)) if request.method() == Method::POST => {
            post(server, revision, session, request).await
        }
        ("polling", Some(_)) => Err(Refusal::BadRequest("Bad request")),
        ("websocket", session) if get => {
            let answer = switch_protocols(request.headers())?;
            let session = match session {
                Some(id) => Some(server.sessions.get(id).ok_or(Refusal::UnknownSession)?),
                None => None,
            };
            let stream = hyper::upgrade::on(&mut request);
            *slot.lock() = Some(Upgrade { stream, revision, session });
            Ok(answer)
        }
        ("websocket", Some(_)) => Err(Refusal::BadRequest("Bad request")),
        _ => Err(Refusal::UnknownTransport),
    }
}

fn handshake(server: &Shared, peer: Peer, revision: Revision, framing: Framing) -> Result<Answer, Refusal> {
    let place = server.sessions.enter().ok_or(Refusal::Busy)?;
    let session = Session::new(
        server.limits.clone(),
        revision,
        &place.id,
        &random_id(),
        true,
        server.message_max_bytes(),
        Instant::now(),
    );
    let mut client = Client::open(server, peer, session).map_err(|(client, end)| {
        client.log_end(&end);
        Refusal::Busy
    })?;
    let first = framing.encode(&client.session.take_payload(usize::MAX));
    tokio::spawn(polling::run(client, framing, place));
    Ok(with_type(first, framing.content_type()))
}

async fn poll(server: &Shared, session: &str) -> Result<Answer, Refusal> {
    let session = server.sessions.get(session).ok_or(Refusal::UnknownSession)?;
    let polled = session.poll().await.ok_or(Refusal::UnknownSession)?;
    let polled = polled.map_err(Refusal::BadRequest)?;
    Ok(with_type(polled.body, polled.content_type))
}

async fn post(
    server: &Shared,
    revision: Revision,
    session: &str,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let session = server.sessions.get(session).ok_or(Refusal::UnknownSession)?;
    let octet_stream = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/octet-stream"));
    let body = read_body(request.into_body(), server.message_max_bytes());
    let body = timeout(server.settings.body_timeout_secs, body).await.map_err(|_| Refusal::TooSlow)??;
    let decoder =
        Decoder::new(revision, octet_stream, body).map_err(|_| Refusal::BadRequest("Malformed payload"))?;
    session.post(decoder).await.ok_or(Refusal::UnknownSession)?.map_err(Refusal::BadRequest)?;
    Ok(with_type(Bytes::from_static(b"ok"), "text/html"))
}

/// The whole body. One that is too large is read on for a while and thrown away: a client that still writes would not
/// see the refusal.
async fn read_body(mut body: Incoming, max_bytes: usize) -> Result<Bytes, Refusal> {
    let mut read = BytesMut::new();
    let mut discarded = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BadRequest("Incomplete payload"))?;
        let Ok(data) = frame.into_data() else { continue };
        if discarded > 0 || read.len() + data.len() > max_bytes {
            discarded += read.len() + data.len();
            read = BytesMut::new();
        } else {
            read.extend_from_slice(&data);
        }
        if discarded > DISCARD_MAX_BYTES {
            break;
        }
    }
    if discarded > 0 { Err(Refusal::TooLarge) } else { Ok(read.freeze()) }
}

/// The answer that turns the connection into a WebSocket (RFC 6455, section 4.2.2).
fn switch_protocols(headers: &HeaderMap) -> Result<Answer, Refusal> {
    let upgrades =
        headers.get(header::UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let (true, true, Some(key)) = (upgrades, version, key) else {
        return Err(Refusal::BadRequest("Expected a WebSocket handshake of version 13"));
    };
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|_| Refusal::BadRequest("Bad Sec-WebSocket-Key"))?;
    let mut answer = plain(StatusCode::SWITCHING_PROTOCOLS, "");
    *answer.headers_mut() = HeaderMap::new();
    answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(answer)
}

fn preflight(asked: &HeaderMap) -> Answer {
    let mut answer = plain(StatusCode::NO_CONTENT, "");
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,POST,OPTIONS"));
    let allowed = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        allowed.unwrap_or(HeaderValue::from_static("Content-Type")),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    answer
}

/// 1.x and 2.x browsers always send credentials, so `*` would be refused by the browser: the origin is told back. That
/// is safe because nothing here is authorised by a cookie: a token travels inside the message.
fn allow_origin(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    match origin {
        Some(origin) => {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        None => {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
    }
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
}

fn with_type(body: Bytes, content_type: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = with_type(Bytes::from_static(text.as_bytes()), "text/plain; charset=UTF-8");
    *answer.status_mut() = status;
    answer
}
