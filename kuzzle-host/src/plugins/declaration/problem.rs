//! What is wrong with a declaration, and where.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What was found and what is expected, on one line.
    pub message: String,
    /// Bytes of the file that it is about; none when it is about the whole.
    pub span: Option<Range<usize>>,
    /// What probably was meant, on one line.
    pub hint: Option<String>,
}

/// A file that cannot be used: everything that is wrong with it, in the order of the file.
///
/// Its `Display` shows each problem with the line it is on and a caret under the place, and then how many there are.
#[derive(Clone, Debug)]
pub struct ConfigErrors {
    file: PathBuf,
    text: Arc<str>,
    problems: Vec<Problem>,
}

impl Problem {
    /// A problem with a part of the file.
    pub(crate) fn at(span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self { message: message.into(), span, hint: None }
    }

    /// Adds what probably was meant.
    #[must_use]
    pub(crate) fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl ConfigErrors {
    /// Collects what is wrong with `file`, whose text is `text`.
    pub(crate) fn new(file: &Path, text: Arc<str>, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        Self { file: file.to_owned(), text, problems }
    }

    /// The file cannot be read at all.
    pub(crate) fn unreadable(file: &Path, reason: impl fmt::Display) -> Self {
        let message = format!("cannot read plugins file `{}`: {reason}", file.display());
        Self::new(file, Arc::from(""), vec![Problem::at(None, message)])
    }

    /// The problems, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Each problem on one line, as a log wants it: `<file>:<line>:<column>: <message>; <hint>`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.problems.iter().map(|problem| self.line(problem)).collect()
    }

    fn line(&self, problem: &Problem) -> String {
        let mut line = match &problem.span {
            Some(span) => {
                let place = Place::of(&self.text, span);
                format!("{}:{}:{}: {}", self.file.display(), place.line, place.column, problem.message)
            }
            None => problem.message.clone(),
        };
        if let Some(hint) = &problem.hint {
            line.push_str("; ");
            line.push_str(hint);
        }
        line
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "error: {}", problem.message)?;
            match &problem.span {
                Some(span) => {
                    write_excerpt(f, &self.file, &Place::of(&self.text, span), problem.hint.as_deref())?
                }
                None => {
                    if let Some(hint) = &problem.hint {
                        writeln!(f, "  {hint}")?;
                    }
                }
            }
        }
        match self.problems.len() {
            1 => f.write_str("1 error"),
            n => write!(f, "{n} errors"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

fn write_excerpt(
    f: &mut fmt::Formatter<'_>,
    file: &Path,
    place: &Place<'_>,
    hint: Option<&str>,
) -> fmt::Result {
    writeln!(f, "  --> {}:{}:{}", file.display(), place.line, place.column)?;
    let number = place.line.to_string();
    writeln!(f, "   {number} | {}", place.text)?;
    write!(f, "   {:width$} | {}{}", "", place.indent(), "^".repeat(place.width), width = number.len())?;
    if let Some(hint) = hint {
        write!(f, " {hint}")?;
    }
    f.write_char('\n')
}

/// A place in a text as people count: from 1, columns in characters.
struct Place<'a> {
    line: usize,
    column: usize,
    /// The line, without its end.
    text: &'a str,
    /// Characters to underline, at least one.
    width: usize,
}

impl<'a> Place<'a> {
    fn of(text: &'a str, span: &Range<usize>) -> Self {
        let start = floor_char_boundary(text, span.start);
        let end = floor_char_boundary(text, span.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let width = text[start..end.min(line_end)].trim_end().chars().count().max(1);
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            text: text[line_start..line_end].trim_end_matches('\r'),
            width,
        }
    }

    /// White space as wide as what precedes the place: tabs stay tabs.
    fn indent(&self) -> String {
        let before = self.text.chars().take(self.column - 1);
        before.map(|character| if character == '\t' { '\t' } else { ' ' }).collect()
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The known word that `found` probably was meant to be, as a hint.
pub(crate) fn closest<'a>(
    found: &str,
    known: impl IntoIterator<Item = &'a str>,
    what: &str,
) -> Option<String> {
    let distance =
        |word: &str| strsim::damerau_levenshtein(&found.to_ascii_lowercase(), &word.to_ascii_lowercase());
    let (best, distance) =
        known.into_iter().map(|word| (word, distance(word))).min_by_key(|(_, distance)| *distance)?;
    // A third of the letters wrong is as far as a slip goes.
    (distance <= best.chars().count().max(3) / 3).then(|| format!("closest known {what}: `{best}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_points_at_the_place() {
        let text: Arc<str> = "a = 1\n\tpört = \"x\"\r\n".into();
        let span = text.find("\"x\"").map(|at| at..at + 3);
        let problem = Problem::at(span, "bad").hint(Some("try `y`".into()));
        let errors = ConfigErrors::new(Path::new("f.toml"), text, vec![problem]);
        let expected =
            "error: bad\n  --> f.toml:2:9\n   2 | \tpört = \"x\"\n     | \t       ^^^ try `y`\n1 error";
        assert_eq!(errors.to_string(), expected);
        assert_eq!(errors.lines(), ["f.toml:2:9: bad; try `y`"]);
    }

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["plugin", "path", "enabled", "listen"];
        assert_eq!(closest("enabeld", known, "key"), Some("closest known key: `enabled`".into()));
        assert_eq!(closest("Listen", known, "key"), Some("closest known key: `listen`".into()));
        assert_eq!(closest("colour", known, "key"), None);
    }

    #[test]
    fn a_span_outside_the_text_is_no_reason_to_panic() {
        let errors = ConfigErrors::new(Path::new("f"), "é".into(), vec![Problem::at(Some(1..900), "bad")]);
        assert!(errors.to_string().contains("f:1:1"));
    }
}
