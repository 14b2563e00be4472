//! The syntax of `simple_query_string`: whatever is typed means something.

use super::lucene::on_fields;
use super::strings::Options;
use super::{Bool, Fuzziness, Match, MatchKind, Minimum, Parser, Query, QueryKind};
use crate::analysis::lower_case;
use crate::error::Result;
use crate::limits::{DEPTH_MAX, FUZZY_EDITS_MAX};
use crate::node::Node;

/// Which operators mean something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags(u16);

const AND: u16 = 1;
const OR: u16 = 1 << 1;
const NOT: u16 = 1 << 2;
const PREFIX: u16 = 1 << 3;
const PHRASE: u16 = 1 << 4;
const PRECEDENCE: u16 = 1 << 5;
const ESCAPE: u16 = 1 << 6;
const WHITESPACE: u16 = 1 << 7;
const FUZZY: u16 = 1 << 8;
const SLOP: u16 = 1 << 9;

const NAMES: &[(&str, u16)] = &[
    ("all", u16::MAX),
    ("none", 0),
    ("and", AND),
    ("or", OR),
    ("not", NOT),
    ("prefix", PREFIX),
    ("phrase", PHRASE),
    ("precedence", PRECEDENCE),
    ("escape", ESCAPE),
    ("whitespace", WHITESPACE),
    ("fuzzy", FUZZY),
    ("near", SLOP),
    ("slop", SLOP),
];

impl Flags {
    pub(super) fn all() -> Self {
        Self(u16::MAX)
    }

    /// Names with `|` between them.
    pub(super) fn parse(node: &Node<'_>) -> Result<Self> {
        let mut flags = 0;
        for name in node.str()?.split('|') {
            let lower = name.trim().to_ascii_lowercase();
            let Some((_, bits)) = NAMES.iter().find(|(known, _)| *known == lower) else {
                let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
                return Err(node.expected(&format!("some of {} with `|` between", crate::node::list(&names))));
            };
            flags |= bits;
        }
        Ok(Self(flags))
    }

    fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }
}

pub(super) fn parse(
    parser: &mut Parser,
    node: &Node<'_>,
    text: &str,
    options: &Options,
    flags: Flags,
) -> Result<Query> {
    let mut reader =
        Reader { parser, node, options, flags, letters: text.chars().collect(), at: 0, depth: 0 };
    let query = reader.group()?;
    let nothing = || {
        let all = Query::of(QueryKind::MatchAll, &options.pointer);
        Query::of(QueryKind::Bool(Bool { must_not: vec![all], ..Bool::default() }), &options.pointer)
    };
    let mut query = query.unwrap_or_else(nothing);
    if let (Some(minimum), QueryKind::Bool(bool)) = (&options.minimum, &mut query.kind)
        && bool.must.is_empty()
        && !bool.should.is_empty()
    {
        bool.minimum = Some(minimum.clone());
    }
    Ok(query)
}

struct Reader<'r, 'a> {
    parser: &'r mut Parser,
    node: &'r Node<'a>,
    options: &'r Options,
    flags: Flags,
    letters: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader<'_, '_> {
    /// Clauses up to the end or a `)`. Operators bind from left to right.
    fn group(&mut self) -> Result<Option<Query>> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.node.over(format!("groups of a query string nest deeper than {DEPTH_MAX}")));
        }
        let mut top: Option<Query> = None;
        let mut last: Option<bool> = None;
        let mut pending: Option<bool> = None;
        let mut negated = false;
        while let Some(letter) = self.letters.get(self.at).copied() {
            if letter == ')' && self.flags.has(PRECEDENCE) {
                if self.depth > 1 {
                    break;
                }
                self.at += 1;
                continue;
            }
            if letter.is_whitespace() && self.flags.has(WHITESPACE) {
                self.at += 1;
                continue;
            }
            if letter == '+' && self.flags.has(AND) {
                pending = Some(true);
                self.at += 1;
                continue;
            }
            if letter == '|' && self.flags.has(OR) {
                pending = Some(false);
                self.at += 1;
                continue;
            }
            if letter == '-' && self.flags.has(NOT) {
                negated = !negated;
                self.at += 1;
                continue;
            }
            let found = self.clause(letter)?;
            if let Some(found) = found {
                let found = if negated { self.opposite(found) } else { found };
                let and = pending.unwrap_or(self.options.all);
                top = Some(match top {
                    None => found,
                    Some(top) => self.join(top, found, and, last),
                });
                last = if last.is_none() && pending.is_none() && negated { None } else { Some(and) };
            }
            (pending, negated) = (None, false);
        }
        self.depth -= 1;
        Ok(top)
    }

    fn opposite(&self, query: Query) -> Query {
        Query::of(QueryKind::Bool(Bool { must_not: vec![query], ..Bool::default() }), &self.options.pointer)
    }

    /// Adds a clause to a group of the same operator, or makes a new group around both.
    fn join(&self, top: Query, found: Query, and: bool, last: Option<bool>) -> Query {
        let mut bool = match top.kind {
            QueryKind::Bool(bool) if last == Some(and) && self.extends(&bool, and) => bool,
            kind => {
                let top = Query { kind, ..Query::of(QueryKind::MatchAll, &self.options.pointer) };
                let mut bool = Bool::default();
                if and {
                    bool.must.push(top)
                } else {
                    bool.should.push(top)
                }
                bool
            }
        };
        if and {
            bool.must.push(found);
        } else {
            bool.should.push(found);
            bool.minimum = Some(Minimum::count(1));
        }
        Query::of(QueryKind::Bool(bool), &self.options.pointer)
    }

    fn extends(&self, bool: &Bool, and: bool) -> bool {
        let (own, other) = if and { (&bool.must, &bool.should) } else { (&bool.should, &bool.must) };
        own.len() >= 2 && other.is_empty() && bool.must_not.is_empty()
    }

    fn clause(&mut self, letter: char) -> Result<Option<Query>> {
        self.parser.count(self.node, 1)?;
        if letter == '(' && self.flags.has(PRECEDENCE) {
            self.at += 1;
            let start = self.at;
            let inner = self.group()?;
            if self.letters.get(self.at) == Some(&')') {
                self.at += 1;
                return Ok(inner);
            }
            // Without its end it is no group: what follows it counts.
            self.at = self.at.max(start);
            return Ok(inner);
        }
        if letter == '"' && self.flags.has(PHRASE) {
            if let Some(end) = self.closing_quote() {
                let text: String = self.unescaped(self.at + 1, end);
                self.at = end + 1;
                let slop = self.tilde(SLOP).unwrap_or(0).min(1_000_000);
                let base = Match { text, kind: MatchKind::Phrase, slop, ..self.options.base.clone() };
                return Ok(Some(self.on_fields(|field| QueryKind::Match(Match { field, ..base.clone() }))));
            }
            self.at += 1;
            return Ok(None);
        }
        Ok(self.word())
    }

    fn closing_quote(&self) -> Option<usize> {
        let mut at = self.at + 1;
        while let Some(letter) = self.letters.get(at) {
            match letter {
                '\\' if self.flags.has(ESCAPE) => at += 2,
                '"' => return Some(at),
                _ => at += 1,
            }
        }
        None
    }

    fn unescaped(&self, from: usize, to: usize) -> String {
        let text: String = self.letters.get(from..to).unwrap_or_default().iter().collect();
        if self.flags.has(ESCAPE) { super::lucene::unescape(&text) } else { text }
    }

    /// The number after a `~`, if one stands here.
    fn tilde(&mut self, flag: u16) -> Option<u32> {
        if self.letters.get(self.at) != Some(&'~') || !self.flags.has(flag) {
            return None;
        }
        self.at += 1;
        let mut digits = String::new();
        while let Some(digit) = self.letters.get(self.at).filter(|it| it.is_ascii_digit()) {
            digits.push(*digit);
            self.at += 1;
        }
        Some(if digits.is_empty() { FUZZY_EDITS_MAX } else { digits.parse().unwrap_or(u32::MAX) })
    }

    fn word(&mut self) -> Option<Query> {
        let start = self.at;
        while let Some(letter) = self.letters.get(self.at).copied() {
            match letter {
                '\\' if self.flags.has(ESCAPE) => self.at += 1,
                '"' if self.flags.has(PHRASE) => break,
                '|' if self.flags.has(OR) => break,
                '+' if self.flags.has(AND) => break,
                '(' | ')' if self.flags.has(PRECEDENCE) => break,
                '~' if self.flags.has(FUZZY) => break,
                letter if letter.is_whitespace() && self.flags.has(WHITESPACE) => break,
                _ => {}
            }
            self.at += 1;
        }
        let end = self.at.min(self.letters.len());
        self.at = end;
        if start == end {
            self.at += 1;
            return None;
        }
        let star = end - start > 1 && self.letters.get(end - 1) == Some(&'*') && self.flags.has(PREFIX);
        let escaped = end - start > 2 && self.letters.get(end - 2) == Some(&'\\') && self.flags.has(ESCAPE);
        if star && !escaped {
            let text = self.unescaped(start, end - 1);
            let value = if self.options.lowercase { lower_case(&text) } else { text };
            return Some(self.on_fields(|field| QueryKind::Prefix { field, value: value.clone() }));
        }
        let text = self.unescaped(start, end);
        if let Some(edits) = self.tilde(FUZZY) {
            let value = if self.options.lowercase { lower_case(&text) } else { text };
            let fuzziness = Fuzziness::Edits(edits.min(FUZZY_EDITS_MAX));
            return Some(self.on_fields(|field| QueryKind::Fuzzy {
                field,
                value: value.clone(),
                fuzziness,
                prefix_length: 0,
                transpositions: true,
            }));
        }
        let base = Match { text, all: self.options.all, ..self.options.base.clone() };
        Some(self.on_fields(|field| QueryKind::Match(Match { field, ..base.clone() })))
    }

    fn on_fields(&self, kind: impl Fn(String) -> QueryKind) -> Query {
        on_fields(self.options, None, 1.0, kind)
    }
}
