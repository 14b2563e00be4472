//! The command `kuzzle-host export`: an index as lines, as `_bulk` takes them.
//!
//! The file grows under the name `FILE.partial` and says itself how far it is: the same command goes on behind its last
//! whole document. Mappings and the like stand in a file beside it, since no tool expects them among the lines.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use kuzzle_host::table::plain;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::running::{self, Failed, encoded};

/// Documents that are asked for at once; the server gives fewer where they are large.
const PAGE_SIZE: usize = 1_000;

/// What is exported, and where to.
#[derive(Args, Debug)]
pub(super) struct Export {
    /// The index.
    index: String,
    /// Only this collection; may be given several times.
    #[arg(long = "collection", value_name = "NAME")]
    collections: Vec<String>,
    /// The file, `INDEX.ndjson` when left out; `-` is standard output, for documents alone. After an interruption the same
    /// command goes on where the file ends.
    #[arg(short = 'o', long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Name of the file with the mappings of a file of documents.
pub(super) fn mappings_file(file: &Path) -> PathBuf {
    with_suffix(file, ".mappings.json")
}

/// A path with something behind its name.
pub(super) fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A bar on standard error, when that is a terminal.
pub(super) fn bar(len: u64, template: &str) -> ProgressBar {
    // The templates are this program's own.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(len).with_style(style)
}

/// Where an export goes on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Place {
    /// Bytes of the file that are whole.
    len: u64,
    /// Documents in them.
    documents: u64,
    /// Collection and id of the last one.
    last: Option<(String, String)>,
    /// Documents of that collection.
    of_last: u64,
}

/// Does what is asked. Returns what to print.
pub(super) fn run(export: &Export, addresses: &[SocketAddr]) -> Result<String, Failed> {
    let collections = collections(export, addresses)?;
    let file = export.file.clone().unwrap_or_else(|| PathBuf::from(format!("{}.ndjson", export.index)));
    if file == Path::new("-") {
        let mut out = BufWriter::new(io::stdout().lock());
        let documents = write(export, addresses, &collections, &Place::default(), &mut out)?;
        out.flush().map_err(|error| unwritten(&file, &error))?;
        // Standard output is taken.
        let _ =
            writeln!(io::stderr(), "{documents} document(s) of index `{}` exported", plain(&export.index));
        return Ok(String::new());
    }
    if file.exists() {
        return Err(Failed::Wrong(format!(
            "error: `{}` is there already; remove it, or name another file with `--file`",
            file.display()
        )));
    }
    let partial = with_suffix(&file, ".partial");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&partial);
    let mut out = opened.map_err(|error| unwritten(&partial, &error))?;
    let place = place(&out, &export.index, &collections).map_err(|reason| {
        Failed::Wrong(format!(
            "error: `{}` is not the beginning of this export: {reason}; remove it to begin anew",
            partial.display()
        ))
    })?;
    let resumed = place.documents;
    let failed = |error| unwritten(&partial, &error);
    out.set_len(place.len).and_then(|()| out.seek(SeekFrom::End(0))).map_err(failed)?;
    let mut out = BufWriter::new(out);
    let documents = write(export, addresses, &collections, &place, &mut out)?;
    out.into_inner()
        .map_err(io::IntoInnerError::into_error)
        .and_then(|out| out.sync_all())
        .map_err(failed)?;
    // After the documents, which may have added fields.
    let mappings = mappings(export, addresses, &collections)?;
    let beside = mappings_file(&file);
    std::fs::write(&beside, mappings + "\n").map_err(|error| unwritten(&beside, &error))?;
    std::fs::rename(&partial, &file).map_err(|error| unwritten(&file, &error))?;
    let before = if resumed > 0 { format!(", {resumed} of them before") } else { String::new() };
    Ok(format!(
        "{documents} document(s) of index `{}` are in `{}`{before}; mappings in `{}`",
        plain(&export.index),
        file.display(),
        beside.display()
    ))
}

/// The collections that are wanted, sorted.
fn collections(export: &Export, addresses: &[SocketAddr]) -> Result<Vec<String>, Failed> {
    let indexes = running::result(addresses, "GET", "/api/1.0/_listIndexes", None)?;
    if !indexes["indexes"].as_array().is_some_and(|names| names.iter().any(|name| *name == *export.index)) {
        return Err(Failed::Wrong(format!("error: there is no index `{}`", plain(&export.index))));
    }
    let path = format!("/api/1.0/{}/_listCollections/stored", encoded(&export.index));
    let listed = running::result(addresses, "GET", &path, None)?;
    let stored = listed["collections"]["stored"].as_array().into_iter().flatten();
    let stored: Vec<String> = stored.filter_map(Value::as_str).map(str::to_owned).collect();
    if let Some(unknown) = export.collections.iter().find(|name| !stored.contains(name)) {
        return Err(Failed::Wrong(format!(
            "error: index `{}` has no collection `{}`",
            plain(&export.index),
            plain(unknown)
        )));
    }
    let is_wanted = |name: &String| export.collections.is_empty() || export.collections.contains(name);
    let mut wanted: Vec<String> = stored.into_iter().filter(is_wanted).collect();
    wanted.sort();
    Ok(wanted)
}

/// Mappings and settings of the index, as JSON.
fn mappings(export: &Export, addresses: &[SocketAddr], collections: &[String]) -> Result<String, Failed> {
    let index = encoded(&export.index);
    let mut mappings = serde_json::Map::new();
    for collection in collections {
        let path = format!("/api/1.0/{index}/{}/_mapping", encoded(collection));
        let mut found = running::result(addresses, "GET", &path, None)?;
        mappings.insert(collection.clone(), found[&export.index]["mappings"][collection].take());
    }
    let path = format!("/api/1.0/{index}/_autoRefresh");
    let auto_refresh = running::result(addresses, "GET", &path, None)?;
    let all = json!({&export.index: {"autoRefresh": auto_refresh, "mappings": mappings}});
    Ok(serde_json::to_string_pretty(&all).unwrap_or_default())
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Option<Page<'a>>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    documents: Vec<Document<'a>>,
    #[serde(rename = "isLast")]
    is_last: bool,
    total: u64,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_source", borrow)]
    source: &'a RawValue,
}

/// Writes all documents behind a place; returns how many there are with those before it.
fn write(
    export: &Export,
    addresses: &[SocketAddr],
    collections: &[String],
    place: &Place,
    out: &mut impl io::Write,
) -> Result<u64, Failed> {
    let (done, mut after) = match &place.last {
        Some((collection, id)) => (Some(collection), Some(id.clone())),
        None => (None, None),
    };
    let left: Vec<&String> =
        collections.iter().filter(|name| done.is_none_or(|done| *name >= done)).collect();
    let bar = bar(
        place.documents - place.of_last,
        "{msg} [{bar:40}] {human_pos}/{human_len} documents, {per_sec}, {eta} left",
    );
    bar.set_message(plain(&export.index));
    bar.set_position(place.documents);
    bar.reset_eta();
    for name in &left {
        bar.inc_length(ask(export, addresses, name, None, 1, |page| Ok(page.total))?);
    }
    let mut documents = place.documents;
    for name in left {
        // The first one may be half done.
        let mut last = after.take();
        loop {
            let from = last.take();
            let is_last = ask(export, addresses, name, from.as_deref(), PAGE_SIZE, |page| {
                for document in &page.documents {
                    let action =
                        json!({"index": {"_index": export.index, "_type": name, "_id": document.id}});
                    writeln!(out, "{action}\n{}", document.source.get())
                        .map_err(|error| Failed::Server(format!("error: cannot write: {error}")))?;
                }
                documents += page.documents.len() as u64;
                bar.set_position(documents);
                last = page.documents.last().map(|document| document.id.clone());
                Ok(page.is_last)
            })?;
            // What is in the file is what an interruption leaves.
            out.flush().map_err(|error| Failed::Server(format!("error: cannot write: {error}")))?;
            if is_last {
                break;
            }
        }
    }
    bar.finish_and_clear();
    Ok(documents)
}

/// Asks for a page.
fn ask<T>(
    export: &Export,
    addresses: &[SocketAddr],
    collection: &str,
    after: Option<&str>,
    size: usize,
    then: impl FnOnce(&Page<'_>) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let mut path =
        format!("/api/1.0/_server/documents/{}/{}?size={size}", encoded(&export.index), encoded(collection));
    if let Some(after) = after {
        path = format!("{path}&after={}", encoded(after));
    }
    let answered = running::send(addresses, "GET", &path, None, Some(running::ANSWER_PATIENCE))
        .map_err(|reason| Failed::Server(format!("error: {reason}; the same command goes on from here")))?;
    // Sources are copied as they came, so the answer is not read into values.
    match serde_json::from_slice::<Answer<'_>>(&answered.body) {
        Ok(Answer { result: Some(page) }) => then(&page),
        _ => {
            let answer = answered.json().map_err(|reason| Failed::Server(format!("error: {reason}")))?;
            running::result_of(answer)?;
            Err(Failed::Server(format!("error: {}", answered.odd())))
        }
    }
}

/// Reads a file of an earlier run and finds where it goes on: lines come in pairs, of which the last may be torn.
fn place(file: &File, index: &str, collections: &[String]) -> Result<Place, String> {
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let mut place = Place::default();
    let mut action = Vec::new();
    loop {
        action.clear();
        let len = lines.read_until(b'\n', &mut action).map_err(|error| error.to_string())?;
        if action.last() != Some(&b'\n') {
            break;
        }
        let (source_len, is_whole) = skip_line(&mut lines).map_err(|error| error.to_string())?;
        if !is_whole {
            break;
        }
        let line: Value = serde_json::from_slice(&action).unwrap_or_default();
        let target = &line["index"];
        let text = |field: &str| target[field].as_str();
        let (Some(of), Some(collection), Some(id)) = (text("_index"), text("_type"), text("_id")) else {
            return Err(format!("the line at byte {} is no action that `export` writes", place.len));
        };
        if of != index || !collections.iter().any(|name| name == collection) {
            return Err(format!("it has documents of `{}/{}`", plain(of), plain(collection)));
        }
        place.len += (len as u64) + source_len;
        place.documents += 1;
        let is_next = place.last.as_ref().is_none_or(|(of, _)| of != collection);
        place.of_last = if is_next { 1 } else { place.of_last + 1 };
        place.last = Some((collection.to_owned(), id.to_owned()));
    }
    Ok(place)
}

/// Passes over a line; returns its length and whether it ends.
fn skip_line(lines: &mut impl io::BufRead) -> io::Result<(u64, bool)> {
    let mut len = 0;
    loop {
        let buffer = lines.fill_buf()?;
        if buffer.is_empty() {
            return Ok((len, false));
        }
        let (used, is_end) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        lines.consume(used);
        len += used as u64;
        if is_end {
            return Ok((len, true));
        }
    }
}

fn unwritten(file: &Path, error: &io::Error) -> Failed {
    Failed::Server(format!("error: cannot write `{}`: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Result<Place, String> {
        let path = std::env::temp_dir().join(format!("kuzzle-export-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, text).unwrap();
        let place = place(&File::open(&path).unwrap(), "i", &["c".to_owned(), "d".to_owned()]);
        std::fs::remove_file(&path).unwrap();
        place
    }

    #[test]
    fn an_export_goes_on_behind_the_last_whole_document() {
        let action = |collection: &str, id: &str| {
            format!("{{\"index\":{{\"_id\":\"{id}\",\"_index\":\"i\",\"_type\":\"{collection}\"}}}}\n")
        };
        // A document may look like an action.
        let whole = format!("{}{}{}{{\"a\":1}}\n", action("c", "1"), action("c", "x"), action("d", "2"));
        let expected =
            Place { len: whole.len() as u64, documents: 2, last: Some(("d".into(), "2".into())), of_last: 1 };
        for torn in ["", "{\"ind", &action("d", "3"), &format!("{}{{\"a\"", action("d", "3"))] {
            assert_eq!(found(&format!("{whole}{torn}")).unwrap(), expected, "{torn}");
        }
        assert_eq!(found("").unwrap(), Place::default());
        assert_eq!(found("{\"index\":").unwrap(), Place::default());
        assert!(found("something\nelse\n").unwrap_err().contains("at byte 0"));
        assert!(found(&format!("{}{{}}\n", action("e", "1"))).unwrap_err().contains("`i/e`"));
    }
}
