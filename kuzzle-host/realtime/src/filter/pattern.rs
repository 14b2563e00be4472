//! Regular expressions of filters: JavaScript's syntax, matched in linear time.

use std::fmt;

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::limits::{PATTERN_DEPTH_MAX, PATTERN_MAX_BYTES, REGEXP_MAX_BYTES, REGEXP_STATES_MAX_BYTES};

use super::javascript::{Flags, translate};

/// A regular expression in JavaScript's syntax that is looked for anywhere in a string.
///
/// Matching takes time linear in the string. For this there are neither back-references nor look-around; both are refused
/// when a filter is read. `\B`, and `^` and `$` with the flag `m`, follow Unicode's words and line feeds.
pub struct Pattern {
    source: Box<str>,
    flags: Flags,
    engine: Engine,
    literal: Option<Box<[u8]>>,
}

enum Engine {
    /// Plain text, perhaps tied to the start or the end: most patterns, in a fraction of the memory.
    Text {
        text: Box<str>,
        at_start: bool,
        at_end: bool,
    },
    Regex(Box<Regex>),
}

/// Why a pattern is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PatternError {
    /// It is not a regular expression, or one that needs more than linear time.
    Invalid(String),
    /// It passes a limit.
    Limit(String),
}

impl Pattern {
    pub(crate) fn new(source: &str, flags: &str) -> Result<Pattern, PatternError> {
        if source.len() > PATTERN_MAX_BYTES {
            return Err(PatternError::Limit(format!(
                "a pattern of {} bytes, at most {PATTERN_MAX_BYTES} are taken",
                source.len()
            )));
        }
        let flags = Flags::parse(flags).map_err(PatternError::Invalid)?;
        let translated = translate(source, flags).map_err(PatternError::Invalid)?;
        let hir = ParserBuilder::new()
            .nest_limit(PATTERN_DEPTH_MAX)
            .case_insensitive(flags.ignore_case)
            .build()
            .parse(&translated)
            .map_err(|error| PatternError::Invalid(last_line(&error.to_string())))?;
        let engine = match plain_text(&hir) {
            Some(engine) => engine,
            None => Engine::Regex(Box::new(compile(&translated, flags)?)),
        };
        let mut longest = Vec::new();
        required_literal(&hir, &mut Vec::new(), &mut longest);
        let literal = (longest.len() >= GRAM_BYTES).then(|| longest.into_boxed_slice());
        Ok(Pattern { source: source.into(), flags, engine, literal })
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The flags that change what matches, in alphabetical order.
    pub fn flags(&self) -> String {
        self.flags.to_string()
    }

    /// Whether it matches anywhere in a text.
    pub fn matches(&self, text: &str) -> bool {
        match &self.engine {
            Engine::Regex(regex) => regex.is_match(text),
            Engine::Text { text: wanted, at_start, at_end } => match (at_start, at_end) {
                (true, true) => text == wanted.as_ref(),
                (true, false) => text.starts_with(wanted.as_ref()),
                (false, true) => text.ends_with(wanted.as_ref()),
                (false, false) => memchr::memmem::find(text.as_bytes(), wanted.as_bytes()).is_some(),
            },
        }
    }

    /// Bytes without which no ASCII text matches, capitals made small: at least [`GRAM_BYTES`].
    pub(crate) fn literal(&self) -> Option<&[u8]> {
        self.literal.as_deref()
    }
}

/// Bytes of a literal under which patterns are grouped.
pub(crate) const GRAM_BYTES: usize = 3;

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.source == other.source && self.flags == other.flags
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "/{}/{}", self.source, self.flags)
    }
}

fn compile(translated: &str, flags: Flags) -> Result<Regex, PatternError> {
    RegexBuilder::new(translated)
        .case_insensitive(flags.ignore_case)
        .nest_limit(PATTERN_DEPTH_MAX)
        .size_limit(REGEXP_MAX_BYTES)
        .dfa_size_limit(REGEXP_STATES_MAX_BYTES)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::Limit(format!(
                "the pattern takes more than {REGEXP_MAX_BYTES} bytes when compiled"
            )),
            other => PatternError::Invalid(last_line(&other.to_string())),
        })
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}

fn plain_text(hir: &Hir) -> Option<Engine> {
    let parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    let is = |part: &Hir, look: Look| matches!(part.kind(), HirKind::Look(it) if *it == look);
    let (at_start, parts) = match parts.split_first() {
        Some((first, rest)) if is(first, Look::Start) => (true, rest),
        _ => (false, parts),
    };
    let (at_end, parts) = match parts.split_last() {
        Some((last, rest)) if is(last, Look::End) => (true, rest),
        _ => (false, parts),
    };
    let [only] = parts else { return None };
    let HirKind::Literal(literal) = only.kind() else { return None };
    let text = std::str::from_utf8(&literal.0).ok()?;
    Some(Engine::Text { text: text.into(), at_start, at_end })
}

/// Finds the longest run of bytes that every match has, in `longest`. `run` is what ends where `hir` begins.
fn required_literal(hir: &Hir, run: &mut Vec<u8>, longest: &mut Vec<u8>) {
    match hir.kind() {
        HirKind::Literal(literal) => {
            run.extend(literal.0.iter().map(u8::to_ascii_lowercase));
            keep_longest(run, longest);
        }
        HirKind::Class(Class::Unicode(class)) => match one_letter(class) {
            Some(letter) => {
                run.push(letter);
                keep_longest(run, longest);
            }
            None => run.clear(),
        },
        HirKind::Concat(parts) => parts.iter().for_each(|part| required_literal(part, run, longest)),
        HirKind::Capture(capture) => required_literal(&capture.sub, run, longest),
        HirKind::Repetition(repetition) => {
            run.clear();
            if repetition.min > 0 {
                required_literal(&repetition.sub, run, longest);
                run.clear();
            }
        }
        HirKind::Look(_) | HirKind::Empty => {}
        HirKind::Class(Class::Bytes(_)) | HirKind::Alternation(_) => run.clear(),
    }
}

fn keep_longest(run: &[u8], longest: &mut Vec<u8>) {
    if run.len() > longest.len() {
        longest.clear();
        longest.extend_from_slice(run);
    }
}

/// The letter that a class has in both cases, if it has no other character of ASCII.
fn one_letter(class: &regex_syntax::hir::ClassUnicode) -> Option<u8> {
    let mut found = None;
    for range in class.iter().filter(|range| range.start().is_ascii()) {
        for c in range.start()..=range.end().min('\u{7f}') {
            let small = c.to_ascii_lowercase() as u8;
            if !small.is_ascii_lowercase() || found.is_some_and(|it| it != small) {
                return None;
            }
            found = Some(small);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(source: &str, flags: &str) -> Pattern {
        Pattern::new(source, flags).unwrap()
    }

    #[test]
    fn patterns_match_as_in_javascript() {
        for (source, flags, matching, failing) in [
            ("abc", "", "xabcx", "ABC"),
            ("^abc", "", "abcd", "xabc"),
            ("abc$", "", "xabc", "abc\n"),
            ("^abc$", "", "abc", "abcd"),
            ("a.c", "", "a-c", "a\nc"),
            ("a.c", "s", "a\nc", "ac"),
            ("^b", "m", "a\nb", "ab"),
            ("task", "i", "my TASK", "my tusk"),
            (r"^\d+$", "", "0123", "٣"),
            (r"^\w+$", "", "a_9", "é"),
            (r"\bcat\b", "", "a cat!", "concat"),
            (r"^[\w-]+$", "", "a-b", "a b"),
            (r"^[a-c\d]+$", "", "b7", "d"),
            ("^[^]$", "", "\n", "ab"),
            ("^[[]$", "", "[", "]"),
            ("a{2}", "", "aa", "a"),
            ("a{,2}", "", "a{,2}", "aa"),
            (r"\u0041\x42", "", "AB", "ab"),
            (r"\/x\-y", "", "/x-y", "x-y"),
            (r"(?<year>\d{4})-(?:\d\d)", "", "on 2016-07", "on 201-07"),
            (r"\ud83d\ude00", "", "😀", "😁"),
            (r"^\cA$", "", "\u{1}", "A"),
            ("x|y", "g", "y", "z"),
            (r"\s", "", "\u{feff}", "\u{85}"),
        ] {
            let it = pattern(source, flags);
            assert!(it.matches(matching), "/{source}/{flags} on {matching:?}");
            assert!(!it.matches(failing), "/{source}/{flags} on {failing:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_or_explodes_is_refused() {
        for source in
            ["(", "a)", "[a", "*", "a**", r"\", "a{2,1}", "[z-a]", r"(a)\1", "a(?=b)", "(?<!a)b", "(?i)a"]
        {
            assert!(matches!(Pattern::new(source, ""), Err(PatternError::Invalid(_))), "/{source}/");
        }
        assert!(matches!(Pattern::new("a", "x"), Err(PatternError::Invalid(_))));
        assert!(matches!(Pattern::new("((a{100}){100}){100}", ""), Err(PatternError::Limit(_))));
        assert!(matches!(Pattern::new(&"a".repeat(PATTERN_MAX_BYTES + 1), ""), Err(PatternError::Limit(_))));
        assert!(Pattern::new(&"(".repeat(500), "").is_err());
    }

    #[test]
    fn exploding_patterns_take_linear_time() {
        let it = pattern("^(a+)+$", "");
        assert!(!it.matches(&format!("{}b", "a".repeat(100_000))));
    }

    #[test]
    fn literals_that_every_match_has() {
        for (source, flags, expected) in [
            ("abc", "", Some("abc")),
            ("^ab(?:cde)+x", "", Some("cde")),
            ("Foo.*barbar", "", Some("barbar")),
            ("foo", "i", Some("foo")),
            ("task", "i", Some("task")),
            ("a|bcd", "", None),
            ("(abc)?d", "", None),
            ("ab", "", None),
        ] {
            let it = pattern(source, flags);
            let literal = it.literal().map(|it| String::from_utf8_lossy(it).into_owned());
            assert_eq!(literal.as_deref(), expected, "/{source}/{flags}");
        }
    }
}
