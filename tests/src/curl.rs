//! The real `curl`.

use std::process::Command;

use crate::{Answer, Namespace};

/// What a command prints that must succeed: `curl -sS` with these arguments.
///
/// # Panics
///
/// When it fails.
pub fn curl(namespace: Option<&Namespace>, arguments: &[&str]) -> String {
    curl_with_input(namespace, arguments, &[])
}

fn curl_with_input(namespace: Option<&Namespace>, arguments: &[&str], input: &[u8]) -> String {
    let mut command = match namespace {
        Some(namespace) => namespace.command("curl"),
        None => Command::new("curl"),
    };
    command.arg("-sS").args(["--max-time", "60"]).args(arguments);
    crate::run_with_input(&mut command, input)
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
    if body.is_some() {
        if !more.iter().any(|argument| argument.to_lowercase().starts_with("content-type")) {
            arguments.extend(["-H", "Content-Type: application/json"]);
        }
        // Over its input: the system bounds the length of an argument.
        arguments.extend(["--data-binary", "@-"]);
    }
    arguments.extend(more);
    let text = curl_with_input(None, &arguments, body.unwrap_or_default().as_bytes());
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
