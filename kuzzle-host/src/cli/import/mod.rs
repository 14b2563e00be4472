//! The command `kuzzle-host import`: lines as `_bulk` takes them, into the running server.
//!
//! Lines are sent in parts that the server takes as one body. How far it is stands in `FILE.progress` after each part, so
//! the same command goes on there.

mod lines;
mod progress;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use kuzzle_host::config::Config;
use kuzzle_host::table::plain;
use serde::Deserialize;
use serde_json::{Value, json};

use super::export;
use super::running::{self, Failed, encoded};
use lines::{Lines, Pair, Trouble};
use progress::Progress;

/// Bytes that are sent at once, where the server takes as many.
const PART_BYTES: usize = 2 << 20;
/// Actions that are sent at once.
const PART_ACTIONS: usize = 5_000;
/// Longest file of mappings that is read, in bytes.
const MAPPINGS_MAX: u64 = 64 << 20;
/// How often a server that is overloaded is asked again, and the pause before.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// What is imported, and where to.
#[derive(Args, Debug)]
pub(super) struct Import {
    /// The file; `-` is standard input. Mappings are taken from `FILE.mappings.json` where that is there.
    file: PathBuf,
    /// The index, in place of those that the lines name.
    #[arg(long, value_name = "NAME")]
    index: Option<String>,
}

/// Where the lines go.
struct Target<'a> {
    addresses: &'a [SocketAddr],
    /// Longest body that the server takes, in bytes.
    body_max: usize,
    bar: ProgressBar,
}

/// What a part came to: the actions that were refused, and why.
type Refused = Vec<(u64, String)>;

/// Does what is asked. Returns what to print.
pub(super) fn run(import: &Import, config: &Config) -> Result<String, Failed> {
    let server = config.rest_listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut progress = Progress::new(import.index.clone(), server);
    let body_max = usize::try_from(config.rest_body_max_bytes).unwrap_or(usize::MAX);
    let target = |bar| Target { addresses: &config.rest_listen, body_max, bar };
    if import.file == Path::new("-") {
        let bar = export::bar(0, "{spinner} {human_pos} actions, {per_sec}");
        let target = target(bar);
        let lines = Lines::new(io::stdin().lock(), 0, 0, import.index.clone());
        target.send_all(lines, &mut progress, &mut |_| Ok(()))?;
        return finish(&import.file, &progress, 0);
    }
    let file = &import.file;
    let wrong = |reason: String| Failed::Wrong(format!("error: {reason}"));
    if let Some(found) = Progress::read(file, &progress).map_err(wrong)? {
        progress = found;
    }
    let before = progress.done;
    let unread =
        |error: io::Error| Failed::Wrong(format!("error: cannot read `{}`: {error}", file.display()));
    let mut input = File::open(file).map_err(unread)?;
    let len = input.metadata().map_err(unread)?.len();
    input.seek(SeekFrom::Start(progress.offset)).map_err(unread)?;
    let bar = export::bar(len, "{msg} [{bar:40}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left");
    bar.set_message(plain(&file.display().to_string()));
    bar.set_position(progress.offset);
    bar.reset_eta();
    let target = target(bar);
    let settings = read_mappings(file).map_err(wrong)?;
    target.prepare(&settings, import.index.as_deref())?;
    let lines = Lines::new(
        BufReader::with_capacity(1 << 20, input),
        progress.line,
        progress.offset,
        import.index.clone(),
    );
    target.send_all(lines, &mut progress, &mut |progress| {
        progress.write(file).map_err(|error| {
            Failed::Server(format!(
                "error: cannot write down how far the import of `{}` is: {error}",
                file.display()
            ))
        })
    })?;
    // Once all is there, so that no part is refreshed for itself.
    target.finish(&settings, import.index.as_deref())?;
    Progress::remove(file).map_err(|error| {
        Failed::Server(format!("error: cannot remove `{}.progress`: {error}", file.display()))
    })?;
    finish(file, &progress, before)
}

fn finish(file: &Path, progress: &Progress, before: u64) -> Result<String, Failed> {
    let before = if before > 0 { format!(", {before} of them before") } else { String::new() };
    let done = format!("{} action(s) of `{}` are imported{before}", progress.done, file.display());
    match progress.refused {
        0 => Ok(done),
        refused => Err(Failed::Server(format!("{done}; {refused} refused"))),
    }
}

/// What `export` wrote of an index beside its documents.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default, rename = "autoRefresh")]
    auto_refresh: bool,
    #[serde(default)]
    mappings: BTreeMap<String, Value>,
}

/// Reads the file of mappings beside a file of documents, if there is one.
fn read_mappings(file: &Path) -> Result<BTreeMap<String, Settings>, String> {
    let path = export::mappings_file(file);
    let read = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(format!("cannot read `{}`: {error}", path.display())),
        Ok(file) => serde_json::from_reader(io::Read::take(BufReader::new(file), MAPPINGS_MAX)),
    };
    read.map_err(|error| {
        format!("`{}` is not as `export` writes it: {error}; nothing was imported", path.display())
    })
}

impl Target<'_> {
    /// Makes the indexes and collections, with their mappings.
    fn prepare(&self, settings: &BTreeMap<String, Settings>, renamed: Option<&str>) -> Result<(), Failed> {
        if settings.is_empty() {
            return Ok(());
        }
        let known = running::result(self.addresses, "GET", "/api/1.0/_listIndexes", None)?;
        for (index, settings) in settings {
            let index = renamed.unwrap_or(index);
            let path = format!("/api/1.0/{}", encoded(index));
            if !known["indexes"].as_array().is_some_and(|names| names.iter().any(|name| *name == *index)) {
                running::result(self.addresses, "PUT", &path, None)?;
            }
            for (collection, mapping) in &settings.mappings {
                let path = format!("{path}/{}", encoded(collection));
                running::result(self.addresses, "PUT", &path, None)?;
                if mapping.as_object().is_some_and(|mapping| !mapping.is_empty()) {
                    running::result(self.addresses, "PUT", &format!("{path}/_mapping"), Some(mapping))?;
                }
            }
        }
        Ok(())
    }

    /// Sets what is set once all documents are there.
    fn finish(&self, settings: &BTreeMap<String, Settings>, renamed: Option<&str>) -> Result<(), Failed> {
        for (index, _) in settings.iter().filter(|(_, settings)| settings.auto_refresh) {
            let path = format!("/api/1.0/{}/_autoRefresh", encoded(renamed.unwrap_or(index)));
            running::result(self.addresses, "POST", &path, Some(&json!({"autoRefresh": true})))?;
        }
        Ok(())
    }

    /// Sends all actions, part by part, and tells `after` how far it is after each.
    fn send_all<R: BufRead>(
        &self,
        mut lines: Lines<R>,
        progress: &mut Progress,
        after: &mut dyn FnMut(&mut Progress) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let has_length = self.bar.length().is_some_and(|len| len > 0);
        let mut pending = None;
        loop {
            let mut part = Vec::new();
            let mut bytes = 2;
            // Where the part ends: before the action that has no more room in it.
            let (mut line, mut offset) = (lines.line, lines.offset);
            if let Some((pair, end)) = pending.take() {
                let pair: Pair = pair;
                bytes += pair.json.len() + 1;
                part.push(pair);
                (line, offset) = end;
            }
            let mut trouble = None;
            while part.len() < PART_ACTIONS {
                match lines.next() {
                    Ok(None) => {
                        (line, offset) = (lines.line, lines.offset);
                        break;
                    }
                    Ok(Some(pair)) => {
                        let len = pair.json.len() + 1;
                        if !part.is_empty() && bytes + len > self.body_max.min(PART_BYTES) {
                            pending = Some((pair, (lines.line, lines.offset)));
                            break;
                        }
                        bytes += len;
                        part.push(pair);
                        (line, offset) = (lines.line, lines.offset);
                    }
                    Err(error) => {
                        trouble = Some(error);
                        break;
                    }
                }
            }
            if !part.is_empty() {
                let refused = self.send(&part)?;
                progress.done += part.len() as u64 - refused.len() as u64;
                progress.refused += refused.len() as u64;
                (progress.line, progress.offset) = (line, offset);
                for (line, reason) in refused {
                    self.tell(&format!("line {line}: {reason}"));
                }
                self.bar.set_position(if has_length { offset } else { progress.done + progress.refused });
                after(progress)?;
            }
            match trouble {
                Some(Trouble::Io(error)) => {
                    return Err(Failed::Server(format!("error: cannot read on: {error}")));
                }
                Some(Trouble::Line(line, reason)) => {
                    self.bar.finish_and_clear();
                    return Err(Failed::Wrong(format!(
                        "error: line {line}: {}; what stands before it is imported ({} action(s), {} refused)",
                        plain(&reason),
                        progress.done,
                        progress.refused
                    )));
                }
                None if part.is_empty() && pending.is_none() => {
                    self.bar.finish_and_clear();
                    return Ok(());
                }
                None => {}
            }
        }
    }

    /// Prints a line on standard error, above the bar where there is one.
    fn tell(&self, line: &str) {
        self.bar.suspend(|| {
            // Nobody reads it: so be it.
            let _ = writeln!(io::stderr(), "{}", plain(line));
        });
    }

    /// Sends actions; returns those that were refused.
    fn send(&self, part: &[Pair]) -> Result<Refused, Failed> {
        let mut body = Vec::with_capacity(part.iter().map(|pair| pair.json.len() + 1).sum::<usize>() + 2);
        for (n, pair) in part.iter().enumerate() {
            body.push(if n == 0 { b'[' } else { b',' });
            body.extend_from_slice(&pair.json);
        }
        body.push(b']');
        let answer = self.post(&body)?;
        let items = answer["result"]["items"].as_array();
        if let Some(items) = items.filter(|items| items.len() == part.len()) {
            return self.judge(part, items);
        }
        let reason = answer["error"]["message"].as_str().unwrap_or("no reason given");
        match (part, answer["status"].as_u64().unwrap_or_default()) {
            (_, 500..) => {
                Err(Failed::Server(format!("error: {}; the same command goes on from here", plain(reason))))
            }
            // It is refused as a whole for the sake of one, without anything being done.
            ([pair], _) => Ok(vec![(pair.line, format!("{}: {reason}", pair.name))]),
            _ => {
                let (first, second) = part.split_at(part.len() / 2);
                let mut refused = self.send(first)?;
                refused.extend(self.send(second)?);
                Ok(refused)
            }
        }
    }

    /// What an answer says of each action.
    fn judge(&self, part: &[Pair], items: &[Value]) -> Result<Refused, Failed> {
        let mut refused = Vec::new();
        for (pair, item) in part.iter().zip(items) {
            let Some(item) = item.as_object().and_then(|item| item.values().next()) else { continue };
            let Some(reason) = item["error"].as_str() else { continue };
            if item["status"].as_u64().is_some_and(|status| status >= 500) {
                return Err(Failed::Server(format!(
                    "error: line {}: {}; the same command goes on from here",
                    pair.line,
                    plain(reason)
                )));
            }
            refused.push((pair.line, format!("{}: {reason}", pair.name)));
        }
        Ok(refused)
    }

    /// Posts a body, again while the server is overloaded. What is no answer of the API becomes one.
    fn post(&self, body: &[u8]) -> Result<Value, Failed> {
        let mut tried = 0;
        loop {
            tried += 1;
            let answered = running::send(
                self.addresses,
                "POST",
                "/api/1.0/_bulk",
                Some(body),
                Some(running::ANSWER_PATIENCE),
            );
            let answered = answered.map_err(|reason| {
                Failed::Server(format!("error: {reason}; the same command goes on from here"))
            })?;
            match answered.status() {
                503 if tried < TRIES => std::thread::sleep(PAUSE),
                413 => {
                    let reason = format!(
                        "it is larger than the server takes; raise `rest.body_max_bytes` ({})",
                        self.body_max
                    );
                    return Ok(json!({"status": 413, "error": {"message": reason}}));
                }
                400 if answered.json().is_err() => {
                    return Ok(json!({"status": 400, "error": {"message": "its document is not JSON"}}));
                }
                _ => return answered.json().map_err(|reason| Failed::Server(format!("error: {reason}"))),
            }
        }
    }
}
