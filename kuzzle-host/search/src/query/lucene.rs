//! The syntax of `query_string`: that of Lucene's classic query parser.

use super::strings::Options;
use super::{
    Bool, Fuzziness, Match, MatchKind, Minimum, Parser, Query, QueryKind, Range, Regexp, Scalar, Wildcard,
};
use crate::analysis::lower_case;
use crate::error::Result;
use crate::limits::{DEPTH_MAX, FUZZY_EDITS_MAX, REGEXP_CLAUSES};
use crate::node::{Node, excerpt};

pub(super) fn parse(parser: &mut Parser, node: &Node<'_>, text: &str, options: &Options) -> Result<Query> {
    let mut reader = Reader { parser, node, options, text, rest: text, depth: 0 };
    let query = reader.clauses(None)?;
    match reader.peek() {
        None => Ok(query),
        Some(letter) => Err(reader.fail(&format!("found `{letter}` where a clause was expected"))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Conjunction {
    None,
    And,
    Or,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Modifier {
    None,
    Required,
    Prohibited,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Occur {
    Must,
    Should,
    MustNot,
}

struct Reader<'r, 'a, 't> {
    parser: &'r mut Parser,
    node: &'r Node<'a>,
    options: &'r Options,
    text: &'t str,
    rest: &'t str,
    depth: usize,
}

impl Reader<'_, '_, '_> {
    fn fail(&self, why: &str) -> crate::Error {
        let column = self.text[..self.text.len() - self.rest.len()].chars().count();
        self.node
            .fail(format!("Failed to parse query [{}]: {why}, at character {column}", excerpt(self.text)))
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{3000}']);
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// An operator in capital letters, with something other than a letter behind it.
    fn word(&mut self, word: &str) -> bool {
        let ends =
            |rest: &str| rest.chars().next().is_none_or(|it| it.is_whitespace() || "()\"+-!".contains(it));
        match self.rest.strip_prefix(word) {
            Some(rest) if ends(rest) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Clauses up to the end or a `)`.
    fn clauses(&mut self, field: Option<&str>) -> Result<Query> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.node.over(format!("groups of a query string nest deeper than {DEPTH_MAX}")));
        }
        let mut clauses: Vec<(Occur, Query)> = Vec::new();
        loop {
            self.space();
            if self.rest.is_empty() || self.peek() == Some(')') {
                break;
            }
            let conjunction = if self.word("AND") || self.eat("&&") {
                Conjunction::And
            } else if self.word("OR") || self.eat("||") {
                Conjunction::Or
            } else {
                Conjunction::None
            };
            if clauses.is_empty() && conjunction != Conjunction::None {
                return Err(self.fail("found an operator where a clause was expected"));
            }
            self.space();
            let modifier = if self.eat("+") {
                Modifier::Required
            } else if self.eat("-") || self.eat("!") || self.word("NOT") {
                Modifier::Prohibited
            } else {
                Modifier::None
            };
            self.space();
            let query = self.clause(field)?;
            self.add(&mut clauses, conjunction, modifier, query);
        }
        self.depth -= 1;
        let pointer = &self.options.pointer;
        if let [(Occur::Must | Occur::Should, _)] = clauses.as_slice()
            && let Some((_, only)) = clauses.pop()
        {
            return Ok(only);
        }
        if clauses.is_empty() {
            // Nothing is asked for, and nothing is found.
            let nothing = Query::of(QueryKind::MatchAll, pointer);
            return Ok(Query::of(
                QueryKind::Bool(Bool { must_not: vec![nothing], ..Bool::default() }),
                pointer,
            ));
        }
        let mut bool = Bool::default();
        for (occur, query) in clauses {
            match occur {
                Occur::Must => bool.must.push(query),
                Occur::Should => bool.should.push(query),
                Occur::MustNot => bool.must_not.push(query),
            }
        }
        bool.minimum = match &self.options.minimum {
            Some(minimum) if self.depth == 0 => Some(minimum.clone()),
            _ => Some(Minimum::count(usize::from(bool.must.is_empty() && !bool.should.is_empty()))),
        };
        Ok(Query::of(QueryKind::Bool(bool), pointer))
    }

    fn add(
        &self,
        clauses: &mut Vec<(Occur, Query)>,
        conjunction: Conjunction,
        modifier: Modifier,
        query: Query,
    ) {
        let all = self.options.all;
        if let Some((occur, _)) = clauses.last_mut()
            && *occur != Occur::MustNot
        {
            match conjunction {
                Conjunction::And => *occur = Occur::Must,
                Conjunction::Or if all => *occur = Occur::Should,
                _ => {}
            }
        }
        let required = match modifier {
            Modifier::Prohibited => false,
            Modifier::Required => true,
            Modifier::None if all => conjunction != Conjunction::Or,
            Modifier::None => conjunction == Conjunction::And,
        };
        let occur = match (modifier, required) {
            (Modifier::Prohibited, _) => Occur::MustNot,
            (_, true) => Occur::Must,
            _ => Occur::Should,
        };
        clauses.push((occur, query));
    }

    fn clause(&mut self, field: Option<&str>) -> Result<Query> {
        self.parser.count(self.node, 1)?;
        let named = self.field_name();
        let field = named.as_deref().or(field);
        self.space();
        match self.peek() {
            None => Err(self.fail("found the end where a clause was expected")),
            Some('(') => {
                self.skip(1);
                let inner = self.clauses(field)?;
                if !self.eat(")") {
                    return Err(self.fail("a `(` without its `)`"));
                }
                Ok(inner.boosted(self.boost()?))
            }
            Some('"') => self.phrase(field),
            Some('[' | '{') => self.range(field),
            Some('/') => self.regexp(field),
            Some('>' | '<') => self.comparison(field),
            Some(letter) if ")]}^~:".contains(letter) => {
                Err(self.fail(&format!("found `{letter}` where a clause was expected")))
            }
            Some(_) => self.term(field),
        }
    }

    /// A name before a `:`.
    fn field_name(&mut self) -> Option<String> {
        let before = self.rest;
        let (name, _) = self.read_term();
        if !name.is_empty() && self.eat(":") {
            return Some(name.replace('\\', ""));
        }
        self.rest = before;
        None
    }

    /// A term as it stands, with its escapes, and whether it holds wildcards.
    fn read_term(&mut self) -> (String, bool) {
        let mut raw = String::new();
        let mut wild = false;
        let mut chars = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, letter)) = chars.next() {
            match letter {
                '\\' => {
                    raw.push('\\');
                    match chars.next() {
                        Some((_, escaped)) => raw.push(escaped),
                        None => raw.push('\\'),
                    }
                }
                letter if letter.is_whitespace() || "()[]{}^\"~:".contains(letter) => {
                    end = at;
                    break;
                }
                letter => {
                    wild |= letter == '*' || letter == '?';
                    raw.push(letter);
                }
            }
        }
        self.skip(end);
        (raw, wild)
    }

    fn boost(&mut self) -> Result<f32> {
        if !self.eat("^") {
            return Ok(1.0);
        }
        let number = self.number();
        number.parse().ok().filter(|it: &f32| it.is_finite()).ok_or_else(|| self.fail("`^` without a number"))
    }

    fn number(&mut self) -> String {
        let end = self.rest.find(|it: char| !(it.is_ascii_digit() || it == '.')).unwrap_or(self.rest.len());
        let number = self.rest[..end].to_owned();
        self.skip(end);
        number
    }

    fn term(&mut self, field: Option<&str>) -> Result<Query> {
        let (raw, wild) = self.read_term();
        if raw.is_empty() {
            return Err(self.fail("found nothing where a term was expected"));
        }
        let fuzzy = if self.eat("~") { Some(self.number()) } else { None };
        let boost = self.boost()?;
        if field == Some("*") && raw == "*" {
            return Ok(Query::of(QueryKind::MatchAll, &self.options.pointer).boosted(boost));
        }
        if raw == "*" {
            return Ok(self.exists(field).boosted(boost));
        }
        let plain = unescape(&raw);
        match field {
            Some("_exists_") => {
                return Ok(Query::of(QueryKind::Exists { field: plain }, &self.options.pointer));
            }
            Some("_missing_") => {
                let kind = QueryKind::Missing { field: plain, existence: true, null_value: false };
                return Ok(Query::of(kind, &self.options.pointer));
            }
            _ => {}
        }
        if wild {
            return self.wild(field, &raw, boost);
        }
        if let Some(edits) = fuzzy {
            let fuzziness = self.fuzziness(&edits)?;
            let prefix_length = self.options.base.prefix_length;
            let value = self.expanded(&plain);
            return Ok(self.on_fields(field, boost, |field| QueryKind::Fuzzy {
                field,
                value: value.clone(),
                fuzziness,
                prefix_length,
                transpositions: true,
            }));
        }
        let kind = if self.options.auto_phrase { MatchKind::Phrase } else { MatchKind::Boolean };
        let all = self.options.all;
        let base = Match { text: plain, kind, all, slop: 0, ..self.options.base.clone() };
        Ok(self.on_fields(field, boost, |field| QueryKind::Match(Match { field, ..base.clone() })))
    }

    fn exists(&self, field: Option<&str>) -> Query {
        match field {
            Some(field) => Query::of(QueryKind::Exists { field: field.to_owned() }, &self.options.pointer),
            None => Query::of(QueryKind::MatchAll, &self.options.pointer),
        }
    }

    fn expanded(&self, text: &str) -> String {
        if self.options.lowercase { lower_case(text) } else { text.to_owned() }
    }

    fn wild(&mut self, field: Option<&str>, raw: &str, boost: f32) -> Result<Query> {
        if !self.options.leading_wildcard && raw.starts_with(['*', '?']) {
            return Err(self.fail("'*' or '?' not allowed as first character in WildcardQuery"));
        }
        let raw = self.expanded(raw);
        if let Some(prefix) = raw.strip_suffix('*')
            && !prefix.contains(['*', '?', '\\'])
        {
            let prefix = prefix.to_owned();
            return Ok(
                self.on_fields(field, boost, |field| QueryKind::Prefix { field, value: prefix.clone() })
            );
        }
        let pattern = Wildcard::parse(self.node, &raw)?;
        Ok(self.on_fields(field, boost, |field| QueryKind::Wildcard { field, pattern: pattern.clone() }))
    }

    fn fuzziness(&self, edits: &str) -> Result<Fuzziness> {
        if edits.is_empty() {
            return Ok(self.options.fuzziness);
        }
        let number: f32 = edits.parse().map_err(|_| self.fail("`~` with something that is no number"))?;
        if number < 1.0 && number > 0.0 {
            return Err(self.node.unsupported("a fuzziness between 0 and 1: write `~1` or `~2`"));
        }
        Ok(Fuzziness::Edits((number as u32).min(FUZZY_EDITS_MAX)))
    }

    fn phrase(&mut self, field: Option<&str>) -> Result<Query> {
        let text = self.quoted()?;
        let mut slop = self.options.base.slop;
        if self.eat("~") {
            slop = self.number().parse::<f32>().unwrap_or(0.0).min(1_000_000.0) as u32;
        }
        let boost = self.boost()?;
        match field {
            Some("_exists_") => {
                return Ok(Query::of(QueryKind::Exists { field: text }, &self.options.pointer));
            }
            Some("_missing_") => {
                let kind = QueryKind::Missing { field: text, existence: true, null_value: false };
                return Ok(Query::of(kind, &self.options.pointer));
            }
            _ => {}
        }
        let base = Match { text, kind: MatchKind::Phrase, slop, ..self.options.base.clone() };
        Ok(self.on_fields(field, boost, |field| QueryKind::Match(Match { field, ..base.clone() })))
    }

    fn quoted(&mut self) -> Result<String> {
        let mut escaped = false;
        let end = self.rest[1..].find(|letter| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        });
        let Some(end) = end else { return Err(self.fail("a `\"` without its end")) };
        let text = unescape(&self.rest[1..=end]);
        self.skip(end + 2);
        Ok(text)
    }

    fn regexp(&mut self, field: Option<&str>) -> Result<Query> {
        let mut escaped = false;
        let end = self.rest[1..].find(|letter| {
            let ends = letter == '/' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        });
        let Some(end) = end else { return Err(self.fail("a `/` without its end")) };
        let source = self.rest[1..=end].replace("\\/", "/");
        self.skip(end + 2);
        let source = self.expanded(&source);
        self.parser.count(self.node, REGEXP_CLAUSES)?;
        let pattern = Regexp::parse(self.node, &source, None)?;
        let boost = self.boost()?;
        Ok(self.on_fields(field, boost, |field| QueryKind::Regexp { field, pattern: pattern.clone() }))
    }

    fn range(&mut self, field: Option<&str>) -> Result<Query> {
        let include_from = self.peek() == Some('[');
        self.skip(1);
        let from = self.range_end()?;
        self.space();
        if !self.word("TO") {
            return Err(self.fail("a range is written `[from TO to]`"));
        }
        let to = self.range_end()?;
        self.space();
        let include_to = match self.peek() {
            Some(']') => true,
            Some('}') => false,
            _ => return Err(self.fail("a range without its `]` or `}`")),
        };
        self.skip(1);
        let boost = self.boost()?;
        Ok(self.ranges(field, boost, Range { from, to, include_from, include_to, ..Range::default() }))
    }

    fn ranges(&self, field: Option<&str>, boost: f32, range: Range) -> Query {
        let (time_zone, lenient) = (self.options.time_zone.clone(), self.options.base.lenient);
        let range = Range { time_zone, lenient, ..range };
        self.on_fields(field, boost, |field| QueryKind::Range(Range { field, ..range.clone() }))
    }

    fn range_end(&mut self) -> Result<Option<Scalar>> {
        self.space();
        if self.peek() == Some('"') {
            return Ok(Some(Scalar::Text(self.quoted()?)));
        }
        let end = self
            .rest
            .find(|it: char| it.is_whitespace() || it == ']' || it == '}')
            .unwrap_or(self.rest.len());
        let text = unescape(&self.rest[..end]);
        self.skip(end);
        match text.as_str() {
            "" => Err(self.fail("a range is written `[from TO to]`")),
            "*" => Ok(None),
            _ => Ok(Some(Scalar::Text(self.expanded_date(&text)))),
        }
    }

    /// Ends of ranges are kept as they are: dates have capital letters.
    fn expanded_date(&self, text: &str) -> String {
        let is_word = text.chars().all(char::is_alphabetic);
        if is_word { self.expanded(text) } else { text.to_owned() }
    }

    fn comparison(&mut self, field: Option<&str>) -> Result<Query> {
        let greater = self.peek() == Some('>');
        self.skip(1);
        let include = self.eat("=");
        self.space();
        let end = self.range_end()?;
        let boost = self.boost()?;
        let mut range = Range { include_from: true, include_to: true, ..Range::default() };
        if greater {
            (range.from, range.include_from) = (end, include);
        } else {
            (range.to, range.include_to) = (end, include);
        }
        Ok(self.ranges(field, boost, range))
    }

    fn on_fields(&self, field: Option<&str>, boost: f32, kind: impl Fn(String) -> QueryKind) -> Query {
        on_fields(self.options, field, boost, kind)
    }
}

/// A query on the named field, or on all of the default fields.
pub(super) fn on_fields(
    options: &Options,
    field: Option<&str>,
    boost: f32,
    kind: impl Fn(String) -> QueryKind,
) -> Query {
    let one = |field: &str, weight: f32| Query::of(kind(field.to_owned()), &options.pointer).boosted(weight);
    if let Some(field) = field {
        return one(field, boost);
    }
    if let [(field, weight)] = options.fields.as_slice() {
        return one(field, weight * boost);
    }
    let queries: Vec<Query> = options.fields.iter().map(|(field, weight)| one(field, *weight)).collect();
    let kind = match options.tie_breaker {
        Some(tie_breaker) => QueryKind::DisMax { queries, tie_breaker },
        None => {
            QueryKind::Bool(Bool { should: queries, minimum: Some(Minimum::count(1)), ..Bool::default() })
        }
    };
    Query::of(kind, &options.pointer).boosted(boost)
}

/// Drops the backslashes of escapes.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(letter) = chars.next() {
        out.push(if letter == '\\' { chars.next().unwrap_or('\\') } else { letter });
    }
    out
}
