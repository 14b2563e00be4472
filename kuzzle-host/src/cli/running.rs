//! Asking a running server over REST.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use kuzzle_host::table::plain;
use serde_json::Value;

/// How long a server of this machine may take to accept.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take to answer: a change waits for the disk.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
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
    let mut refused = Vec::new();
    for address in addresses {
        match exchange(*address, method, path, body) {
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
    exchange(address, "GET", "/api/_serverInfo", None).ok()
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Unanswered> {
    let nobody = |error: std::io::Error| Unanswered::Nobody(error.to_string());
    // An address that stands for all is reached on this machine.
    let address = match address.ip() {
        ip if !ip.is_unspecified() => address,
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())),
    };
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(nobody)?;
    let broken = |error: std::io::Error| Unanswered::Odd(format!("broke off: {error}"));
    stream.set_read_timeout(Some(ANSWER_PATIENCE)).map_err(broken)?;
    stream.set_write_timeout(Some(ANSWER_PATIENCE)).map_err(broken)?;
    let body = body.map(Value::to_string).unwrap_or_default();
    // HTTP/1.0: the answer ends with the connection and comes in one piece.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).map_err(broken)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).map_err(broken)?;
    let start = answer.windows(4).position(|it| it == b"\r\n\r\n").map(|at| at + 4);
    let json = start.and_then(|start| serde_json::from_slice(answer.get(start..)?).ok());
    json.ok_or_else(|| {
        let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line.get(..line.len().min(SHOWN_MAX)).unwrap_or_default());
        Unanswered::Odd(format!(
            "answered `{}`, expected a response of the API over plain HTTP",
            plain(&line)
        ))
    })
}
