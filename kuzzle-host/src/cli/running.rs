//! Asking a running server over REST.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use kuzzle_host::table::plain;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// How long a server of this machine may take to accept.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take to answer: a change waits for the disk.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// Longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 1 << 30;
/// How much is shown of an answer that is none, in bytes.
const SHOWN_MAX: usize = 80;

/// The state of each instance of the server that listens on one of `addresses` and runs `file`; nothing when none does.
pub(super) fn states(addresses: &[SocketAddr], file: &Path) -> BTreeMap<String, String> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string();
    let Some(answer) = addresses.iter().find_map(|address| ask(*address)) else { return BTreeMap::new() };
    let plugins = &answer["result"]["serverInfo"]["kuzzle"]["plugins"];
    let ours = plugins.as_object().into_iter().flatten().filter(|(_, it)| it["declaredIn"] == file.as_str());
    ours.filter_map(|(name, it)| Some((name.clone(), it["state"].as_str()?.to_owned()))).collect()
}

/// A request to the running server. `body` is sent as JSON.
///
/// # Errors
///
/// In a line: that no server answers on any of `addresses`, or what it answered that is no response of the API.
pub(super) fn request(
    addresses: &[SocketAddr],
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, String> {
    let body = body.map(|body| body.to_string());
    let answer = send(addresses, method, path, body.as_deref().map(str::as_bytes), Some(ANSWER_PATIENCE))?;
    answer.json()
}

/// Why a command failed: what to print.
pub(super) enum Failed {
    /// What was asked for is wrong, or refused.
    Wrong(String),
    /// No server answers, or it cannot do it now; or the machine does not allow it.
    Server(String),
}

/// The result of a request to the running server.
pub(super) fn result(
    addresses: &[SocketAddr],
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Failed> {
    let answer = request(addresses, method, path, body);
    result_of(answer.map_err(|reason| Failed::Server(format!("error: {reason}")))?)
}

/// The result that an answer has, or what it says is wrong.
pub(super) fn result_of(mut answer: Value) -> Result<Value, Failed> {
    let error = &answer["error"];
    if error.is_null() {
        return Ok(answer["result"].take());
    }
    let mut text = format!("error: {}", plain(error["message"].as_str().unwrap_or("no reason given")));
    for part in error["errors"].as_array().into_iter().flatten() {
        let words = |field: &str| plain(part[field].as_str().unwrap_or_default());
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {}: {}", words("pointer"), words("message"));
    }
    match answer["status"].as_u64() {
        Some(500..) => Err(Failed::Server(text)),
        _ => Err(Failed::Wrong(text)),
    }
}

/// A text as a segment of a path or a value of a query string.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// What a server answered.
pub(super) struct Answered {
    address: SocketAddr,
    /// The first line of the head.
    line: String,
    pub(super) body: Vec<u8>,
}

impl Answered {
    /// The status of HTTP; 0 when there is none.
    pub(super) fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    /// The answer, if it is one of the API.
    ///
    /// # Errors
    ///
    /// In a line: what it is instead.
    pub(super) fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|_| self.odd())
    }

    /// Says that it is no answer of the API.
    pub(super) fn odd(&self) -> String {
        let line = self.line.chars().take(SHOWN_MAX).collect::<String>();
        let Self { address, .. } = self;
        format!(
            "the server on {address} answered `{}`, expected a response of the API over plain HTTP",
            plain(&line)
        )
    }
}

/// Sends JSON to the running server and returns what it answers, which is waited for as long as `patience` says, or
/// without end.
///
/// # Errors
///
/// In a line: that no server answers on any of `addresses`, or that one broke off.
pub(super) fn send(
    addresses: &[SocketAddr],
    method: &str,
    path: &str,
    body: Option<&[u8]>,
    patience: Option<Duration>,
) -> Result<Answered, String> {
    let mut refused = Vec::new();
    for address in addresses {
        match exchange(*address, method, path, body, patience) {
            Ok(answer) => return Ok(answer),
            Err(Unanswered::Nobody(reason)) => refused.push(format!("{address}: {reason}")),
            Err(Unanswered::Odd(reason)) => return Err(format!("the server on {address} {reason}")),
        }
    }
    Err(format!(
        "no server answers where `rest.listen` says ({}); start one, or name its configuration with `--config` or \
         `--set rest.listen=ADDRESS`",
        refused.join("; ")
    ))
}

/// Why there is no answer.
enum Unanswered {
    /// Nobody is there.
    Nobody(String),
    /// Somebody is, and does not speak as expected.
    Odd(String),
}

fn ask(address: SocketAddr) -> Option<Value> {
    let answer = exchange(address, "GET", "/api/_serverInfo", None, Some(ANSWER_PATIENCE)).ok()?;
    answer.json().ok()
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&[u8]>,
    patience: Option<Duration>,
) -> Result<Answered, Unanswered> {
    let nobody = |error: std::io::Error| Unanswered::Nobody(error.to_string());
    // An address that stands for all is reached on this machine.
    let address = match address.ip() {
        ip if !ip.is_unspecified() => address,
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())),
    };
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(nobody)?;
    let broken = |error: std::io::Error| Unanswered::Odd(format!("broke off: {error}"));
    stream.set_read_timeout(patience).map_err(broken)?;
    stream.set_write_timeout(Some(ANSWER_PATIENCE)).map_err(broken)?;
    let body = body.unwrap_or_default();
    // HTTP/1.0: the answer ends with the connection and comes in one piece.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).map_err(broken)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).map_err(broken)?;
    let start = answer.windows(4).position(|it| it == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let body = answer.split_off(start);
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(Answered { address, line: String::from_utf8_lossy(line).into_owned(), body })
}
