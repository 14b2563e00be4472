//! The real `curl`.

use std::process::Command;

use crate::{Answer, Namespace};

/// What a command prints that must succeed: `curl -sS` with these arguments.
///
/// # Panics
///
/// When it fails.
pub fn curl(namespace: Option<&Namespace>, arguments: &[&str]) -> String {
    let mut command = match namespace {
        Some(namespace) => namespace.command("curl"),
        None => Command::new("curl"),
    };
    crate::run_for_text(command.arg("-sS").args(["--max-time", "60"]).args(arguments))
}

/// One request of `curl`, with what it says of the answer's head.
///
/// # Panics
///
/// When it fails, or prints something that is no answer.
pub fn curl_request(method: &str, url: &str, body: Option<&str>, more: &[&str]) -> Answer {
    let mut arguments = vec!["-i", "-X", method, url];
    if method == "HEAD" {
        arguments = vec!["-I", url];
    }
    if let Some(body) = body {
        if !more.iter().any(|argument| argument.to_lowercase().starts_with("content-type")) {
            arguments.extend(["-H", "Content-Type: application/json"]);
        }
        arguments.extend(["--data-binary", body]);
    }
    arguments.extend(more);
    let text = curl(None, &arguments);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let header =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    Answer {
        status: status.unwrap_or_else(|| panic!("no status: {text}")),
        headers: lines.filter_map(header).collect(),
        body: body.as_bytes().to_vec(),
    }
}
