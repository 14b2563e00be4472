//! Reading a file of lines as `_bulk` takes them, action by action.

use std::io::{self, BufRead, Read as _};

use serde_json::{Map, Value};

/// Longest line, in bytes: a document of the greatest size, and some room.
const LINE_MAX: u64 = (64 << 20) + (64 << 10);

/// What may be named beside an action.
const ACTIONS: [&str; 4] = ["index", "create", "update", "delete"];

/// One action with its document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The action's line in the file, counted from 1.
    pub(super) line: u64,
    /// Both as JSON, with a comma between them.
    pub(super) json: Vec<u8>,
    /// What the action names, for messages.
    pub(super) name: String,
}

/// Why there is no further action.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The file cannot be read.
    Io(io::Error),
    /// A line is not what has to stand there.
    Line(u64, String),
}

/// Reads actions; see the module.
pub(super) struct Lines<R> {
    input: R,
    /// Lines that were read.
    pub(super) line: u64,
    /// Bytes that were read.
    pub(super) offset: u64,
    /// The index that takes the place of those that the lines name.
    index: Option<String>,
}

impl<R: BufRead> Lines<R> {
    /// Goes on in `input`, before which there are `line` lines with `offset` bytes.
    pub(super) fn new(input: R, line: u64, offset: u64, index: Option<String>) -> Self {
        Self { input, line, offset, index }
    }

    /// The next action; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Pair>, Trouble> {
        let Some(action) = self.read()? else { return Ok(None) };
        let line = self.line;
        let (kind, mut target) = read_action(&action).map_err(|reason| Trouble::Line(line, reason))?;
        if let Some(index) = &self.index {
            target.insert("_index".to_owned(), index.as_str().into());
        }
        let text = |field: &str| match &target[field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let name = match target.contains_key("_id") {
            true => format!("document `{}`", text("_id")),
            false => "a document without an id".to_owned(),
        };
        let mut json =
            Value::Object(Map::from_iter([(kind.clone(), target.into())])).to_string().into_bytes();
        if kind != "delete" {
            let Some(source) = self.read()? else {
                return Err(Trouble::Line(line, format!("`{kind}` needs a document in the line behind it")));
            };
            json.push(b',');
            json.extend_from_slice(&source);
        }
        Ok(Some(Pair { line, json, name }))
    }

    /// The next line that is not empty, without its end.
    fn read(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        loop {
            let mut line = Vec::new();
            let read =
                (&mut self.input).take(LINE_MAX + 1).read_until(b'\n', &mut line).map_err(Trouble::Io)?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            self.offset += read as u64;
            if read as u64 > LINE_MAX {
                return Err(Trouble::Line(self.line, format!("it has more than {LINE_MAX} bytes")));
            }
            let text = line.trim_ascii();
            if !text.is_empty() {
                return Ok(Some(text.to_vec()));
            }
        }
    }
}

fn read_action(line: &[u8]) -> Result<(String, Map<String, Value>), String> {
    const EXPECTED: &str =
        "expected an action, such as {\"index\":{\"_index\":\"i\",\"_type\":\"c\",\"_id\":\"1\"}}";
    let found: Value =
        serde_json::from_slice(line).map_err(|error| format!("it is not JSON: {error}; {EXPECTED}"))?;
    let Value::Object(fields) = found else { return Err(format!("it is no object; {EXPECTED}")) };
    let mut fields = fields.into_iter();
    match (fields.next(), fields.next()) {
        (Some((kind, Value::Object(target))), None) if ACTIONS.contains(&kind.as_str()) => Ok((kind, target)),
        _ => Err(EXPECTED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, index: Option<&str>) -> (Vec<(u64, String)>, Option<String>) {
        let mut lines = Lines::new(text.as_bytes(), 0, 0, index.map(str::to_owned));
        let mut found = Vec::new();
        loop {
            match lines.next() {
                Ok(Some(pair)) => found.push((pair.line, String::from_utf8(pair.json).unwrap())),
                Ok(None) => return (found, None),
                Err(Trouble::Line(line, reason)) => return (found, Some(format!("{line}: {reason}"))),
                Err(Trouble::Io(error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn actions_come_with_their_documents_and_lines() {
        let text = "{\"index\":{\"_index\":\"i\",\"_id\":1}}\r\n{\"n\":1.50}\r\n\n{\"delete\":{\"_id\":\"x\"}}\n{\"create\":{}}\n{}";
        let (found, trouble) = read(text, None);
        assert_eq!(trouble, None);
        let expected = [
            (1, "{\"index\":{\"_id\":1,\"_index\":\"i\"}},{\"n\":1.50}"),
            (4, "{\"delete\":{\"_id\":\"x\"}}"),
            (5, "{\"create\":{}},{}"),
        ];
        assert_eq!(found, expected.map(|(line, json)| (line, json.to_owned())));
        let (found, _) = read(text, Some("other"));
        assert_eq!(found[2].1, "{\"create\":{\"_index\":\"other\"}},{}");
    }

    #[test]
    fn what_is_no_action_is_told_with_its_line() {
        for (text, expected) in [
            ("{\"n\":1}\n", "1: expected an action"),
            ("{\"delete\":{}}\n[1]\n", "2: it is no object"),
            ("nonsense\n", "1: it is not JSON"),
            ("{\"index\":{},\"create\":{}}\n", "1: expected an action"),
            ("\n{\"index\":{}}\n", "2: `index` needs a document"),
        ] {
            let (_, trouble) = read(text, None);
            assert!(trouble.as_ref().is_some_and(|it| it.starts_with(expected)), "{text}: {trouble:?}");
        }
    }
}
