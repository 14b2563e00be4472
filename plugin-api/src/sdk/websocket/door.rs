//! The handshake: an HTTP request that asks for a WebSocket, and its answer (RFC 6455, section 4.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use httparse::{EMPTY_HEADER, Request, Status};
use sha1::{Digest as _, Sha1};

use super::{Messages, Origins, WebSocket};

/// Longest head of a request, in bytes.
pub const HEAD_MAX_BYTES: usize = 8 * 1024;

/// Most headers of a request.
pub const HEADERS_MAX: usize = 64;

/// Longest path at which a WebSocket may be, in bytes.
pub const PATH_MAX_BYTES: usize = 255;

/// What stands for any path.
const ANY_PATH: &str = "/*";
const VERSION: &str = "13";
/// What the response says to those that ask for nothing, or for another version (section 4.4).
const OFFER: &str = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
/// Length of a key before it is encoded (section 4.1).
const KEY_BYTES: usize = 16;
/// What makes of a key something that only a server of WebSockets would answer (section 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What lets clients into a listener that speaks WebSocket.
#[derive(Clone, Debug)]
pub struct Door {
    websocket: WebSocket,
    paths: Vec<String>,
    origins: Origins,
}

/// What a client gets that knocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is let in.
    Accepted {
        /// The response to send.
        response: Vec<u8>,
        /// Bytes that the request takes; what follows is frames already.
        length: usize,
    },
    /// It is not, and is closed.
    Refused {
        /// The response to send: its body says for people what is wrong and what would be right.
        response: Vec<u8>,
        /// The same in one line, for the log.
        reason: String,
    },
}

impl Door {
    /// For a protocol that is spoken like this, at `paths` instead of its own if there are any.
    #[must_use]
    pub fn new(websocket: WebSocket, paths: Vec<String>, origins: Origins) -> Self {
        let own = || websocket.paths().iter().map(|path| (*path).to_owned()).collect();
        let paths = if paths.is_empty() { own() } else { paths };
        Self { websocket, paths, origins }
    }

    /// The kind of message that is spoken behind it.
    #[must_use]
    pub const fn messages(&self) -> Messages {
        self.websocket.messages()
    }

    /// Answers the request with which the bytes of a client begin. None while more of them are needed.
    ///
    /// Who is refused after some bytes is refused after more as well, and is answered after [`HEAD_MAX_BYTES`].
    #[must_use]
    pub fn answer(&self, bytes: &[u8]) -> Option<Answer> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut request = Request::new(&mut headers);
        let head = bytes.get(..HEAD_MAX_BYTES).unwrap_or(bytes);
        let judged = match request.parse(head) {
            Ok(Status::Complete(length)) => self.accept(&request).map(|response| (response, length)),
            Ok(Status::Partial) if bytes.len() < HEAD_MAX_BYTES => return None,
            Ok(Status::Partial) => {
                let found = format!("a request whose head exceeds {HEAD_MAX_BYTES} bytes");
                Err(Refusal::new("431 Request Header Fields Too Large", found))
            }
            Err(httparse::Error::TooManyHeaders) => Err(Refusal::new(
                "431 Request Header Fields Too Large",
                format!("a request with more than {HEADERS_MAX} headers"),
            )),
            Err(_) => Err(Refusal::new("400 Bad Request", not_http(bytes))),
        };
        Some(match judged {
            Ok((response, length)) => Answer::Accepted { response, length },
            Err(refusal) => self.refuse(&refusal),
        })
    }

    /// What a client gets that has not asked in time.
    #[must_use]
    pub fn late(&self) -> Answer {
        self.refuse(&Refusal::new("408 Request Timeout", "no whole request in time"))
    }

    fn accept(&self, request: &Request<'_, '_>) -> Result<Vec<u8>, Refusal> {
        if request.version != Some(1) {
            return Err(Refusal::new(
                "505 HTTP Version Not Supported",
                "a request of HTTP/1.0, expected HTTP/1.1",
            ));
        }
        if request.method != Some("GET") {
            let found = shown(request.method.unwrap_or_default());
            let refusal = Refusal::new(
                "405 Method Not Allowed",
                format!("a request with the method {found}, expected GET"),
            );
            return Err(refusal.with_header("Allow: GET\r\n"));
        }
        let path = path_of(request.path.unwrap_or_default());
        if !self.paths.iter().any(|known| known == ANY_PATH || known == path) {
            return Err(Refusal::new("404 Not Found", format!("no WebSocket at {}", shown(path))));
        }
        if text(request, "Host").is_none() {
            return Err(Refusal::new("400 Bad Request", "a request without the header `Host`"));
        }
        if !has_token(request, "Upgrade", "websocket") || !has_token(request, "Connection", "upgrade") {
            let refusal = Refusal::new("426 Upgrade Required", "a request that does not ask for a WebSocket");
            return Err(refusal.with_header(OFFER));
        }
        let version = text(request, "Sec-WebSocket-Version").unwrap_or("none");
        if version != VERSION {
            let found = format!("a WebSocket of version {}, expected {VERSION}", shown(version));
            return Err(Refusal::new("426 Upgrade Required", found).with_header(OFFER));
        }
        if let Some(origin) = text(request, "Origin").filter(|origin| !self.origins.allow(origin)) {
            let found = format!("a web page of the origin {}, which may not connect", shown(origin));
            return Err(Refusal::new("403 Forbidden", found));
        }
        let key = text(request, "Sec-WebSocket-Key").unwrap_or_default();
        if STANDARD.decode(key).map_or(0, |key| key.len()) != KEY_BYTES {
            let found = "a request whose `Sec-WebSocket-Key` is not 16 bytes in Base64";
            return Err(Refusal::new("400 Bad Request", found));
        }
        let digest = Sha1::new().chain_update(key).chain_update(KEY_SUFFIX).finalize();
        let chosen = self.sub_protocol(request);
        let chosen = chosen.map(|chosen| format!("Sec-WebSocket-Protocol: {chosen}\r\n"));
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{}\r\n",
            STANDARD.encode(digest),
            chosen.unwrap_or_default(),
        );
        Ok(response.into_bytes())
    }

    /// The first sub-protocol that the client offers and that is known (section 4.2.2, item 5).
    fn sub_protocol(&self, request: &Request<'_, '_>) -> Option<&'static str> {
        let known = self.websocket.sub_protocols();
        tokens(request, "Sec-WebSocket-Protocol")
            .find_map(|offered| known.iter().copied().find(|known| *known == offered))
    }

    fn refuse(&self, refusal: &Refusal) -> Answer {
        let Refusal { status, header, found } = refusal;
        let paths: Vec<_> =
            self.paths.iter().map(|path| if path == ANY_PATH { "any path" } else { path }).collect();
        let body = format!("{found}.\nThis address takes WebSockets at {}.\n", paths.join(", "));
        let response = format!(
            "HTTP/1.1 {status}\r\n{header}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        Answer::Refused { response: response.into_bytes(), reason: format!("{found} ({status})") }
    }
}

struct Refusal {
    /// Code and words of the response.
    status: &'static str,
    /// A line of the response's head.
    header: &'static str,
    /// What came instead of a proper request.
    found: String,
}

impl Refusal {
    fn new(status: &'static str, found: impl Into<String>) -> Self {
        Self { status, header: "", found: found.into() }
    }

    fn with_header(self, header: &'static str) -> Self {
        Self { header, ..self }
    }
}

/// What to call bytes that are no request.
fn not_http(bytes: &[u8]) -> String {
    const TLS_HANDSHAKE: u8 = 0x16;
    match bytes.first() {
        Some(&TLS_HANDSHAKE) => "a TLS handshake on an address without TLS".to_owned(),
        _ => "no HTTP request; a WebSocket begins with one".to_owned(),
    }
}

/// What a client wrote, for people: short, in quotes, and without anything that is not a plain character.
fn shown(text: &str) -> String {
    const SHOWN_MAX_BYTES: usize = 100;
    let end = text.floor_char_boundary(SHOWN_MAX_BYTES);
    let dots = if end < text.len() { ".." } else { "" };
    format!("`{}{dots}`", text.get(..end).unwrap_or_default().escape_debug())
}

/// The path of a request's target: without what it asks, and without scheme and host where those are written as well
/// (RFC 9112, section 3.2).
fn path_of(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
        }
        _ => target,
    };
    path.split('?').next().unwrap_or_default()
}

/// The value of a header, the first if there are several.
fn text<'a>(request: &Request<'_, 'a>, name: &str) -> Option<&'a str> {
    values(request, name).next()
}

fn values<'a>(request: &Request<'_, 'a>, name: &str) -> impl Iterator<Item = &'a str> {
    let of_name = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    // What is no text stays there as something that is never right.
    of_name.map(|header| std::str::from_utf8(header.value).unwrap_or("\u{fffd}").trim())
}

/// What a header lists, however many lines it takes for that.
fn tokens<'a>(request: &Request<'_, 'a>, name: &str) -> impl Iterator<Item = &'a str> {
    values(request, name).flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

fn has_token(request: &Request<'_, '_>, name: &str, wanted: &str) -> bool {
    tokens(request, name).any(|token| token.eq_ignore_ascii_case(wanted))
}
