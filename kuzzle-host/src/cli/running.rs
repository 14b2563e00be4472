//! Asking a running server about its protocols, over REST.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// How long a server of this machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 4 << 20;

/// The state of each instance of the server that listens on one of `addresses` and runs `file`; nothing when none does.
pub(super) fn states(addresses: &[SocketAddr], file: &Path) -> BTreeMap<String, String> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string();
    let Some(answer) = addresses.iter().find_map(|address| ask(*address)) else { return BTreeMap::new() };
    let plugins = &answer["result"]["serverInfo"]["kuzzle"]["plugins"];
    let ours = plugins.as_object().into_iter().flatten().filter(|(_, it)| it["declaredIn"] == file.as_str());
    ours.filter_map(|(name, it)| Some((name.clone(), it["state"].as_str()?.to_owned()))).collect()
}

fn ask(address: SocketAddr) -> Option<Value> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    // HTTP/1.0: the answer ends with the connection and comes in one piece.
    stream.write_all(b"GET /api/_serverInfo HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).ok()?;
    let start = answer.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    serde_json::from_slice(answer.get(start..)?).ok()
}
