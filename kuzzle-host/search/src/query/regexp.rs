use regex::{Regex, RegexBuilder};

use crate::error::Result;
use crate::limits::{PATTERN_MAX_BYTES, REGEXP_MAX_BYTES};
use crate::node::{Node, excerpt};

/// How deep groups nest.
const GROUPS_MAX: usize = 50;
/// Numbers that an interval such as `<1-100>` spans.
const INTERVAL_MAX: u64 = 1000;

/// A regular expression in Lucene's syntax, which matches terms as a whole.
///
/// Besides the usual operators it has `@` for anything, `#` for nothing, `<1-100>` for numbers, `"..."` for literal text,
/// and, outside of groups that are repeated or continued, `~` for the opposite and `&` for both.
#[derive(Debug, Clone)]
pub struct Regexp {
    source: String,
    matcher: Matcher,
}

impl PartialEq for Regexp {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

#[derive(Debug, Clone)]
enum Matcher {
    Regex(Regex),
    Any(Vec<Matcher>),
    All(Vec<Matcher>),
    Not(Box<Matcher>),
}

impl Matcher {
    fn matches(&self, term: &str) -> bool {
        match self {
            Matcher::Regex(regex) => regex.is_match(term),
            Matcher::Any(inner) => inner.iter().any(|it| it.matches(term)),
            Matcher::All(inner) => inner.iter().all(|it| it.matches(term)),
            Matcher::Not(inner) => !inner.matches(term),
        }
    }
}

impl Regexp {
    pub(crate) fn parse(node: &Node<'_>, text: &str, flags: Option<&Node<'_>>) -> Result<Self> {
        if text.len() > PATTERN_MAX_BYTES {
            return Err(node.over(format!(
                "a regular expression of {} bytes, at most {PATTERN_MAX_BYTES} are taken",
                text.len()
            )));
        }
        let flags = flags.map_or(Ok(Flags::ALL), Flags::parse)?;
        let mut reader = Reader { rest: text, flags, depth: 0, unsupported: false };
        let tree = reader.union();
        let tree = match tree {
            Ok(tree) if reader.rest.is_empty() => tree,
            Ok(_) => return Err(invalid(node, text, "a `)` without its `(`")),
            Err(why) if reader.unsupported => return Err(node.unsupported(&why)),
            Err(why) => return Err(invalid(node, text, &why)),
        };
        let matcher = tree.matcher().map_err(|fault| match fault {
            Fault::Regex(regex::Error::CompiledTooBig(_)) => node.over(format!(
                "the regular expression `{}` takes more than {REGEXP_MAX_BYTES} bytes when compiled",
                excerpt(text)
            )),
            Fault::Regex(error) => {
                let why = error.to_string();
                invalid(node, text, why.lines().last().unwrap_or_default().trim())
            }
        })?;
        Ok(Self { source: text.to_owned(), matcher })
    }

    /// Whether the expression matches a whole term.
    pub fn matches(&self, term: &str) -> bool {
        self.matcher.matches(term)
    }
}

fn invalid(node: &Node<'_>, text: &str, why: &str) -> crate::Error {
    node.fail(format!("invalid regular expression `{}`: {why}", excerpt(text)))
}

#[derive(Debug, Clone, Copy)]
struct Flags {
    intersection: bool,
    complement: bool,
    empty: bool,
    anystring: bool,
    interval: bool,
}

impl Flags {
    const ALL: Self =
        Self { intersection: true, complement: true, empty: true, anystring: true, interval: true };
    const NONE: Self =
        Self { intersection: false, complement: false, empty: false, anystring: false, interval: false };

    fn parse(node: &Node<'_>) -> Result<Self> {
        let mut flags = Self::NONE;
        for name in node.str()?.split('|') {
            match name.trim() {
                "ALL" => flags = Self::ALL,
                "NONE" => {}
                "INTERSECTION" => flags.intersection = true,
                "COMPLEMENT" => flags.complement = true,
                "EMPTY" => flags.empty = true,
                "ANYSTRING" => flags.anystring = true,
                "INTERVAL" => flags.interval = true,
                "AUTOMATON" => return Err(node.unsupported("the flag `AUTOMATON`")),
                _ => {
                    return Err(node.expected(
                        "`ALL`, `NONE`, or some of `INTERSECTION`, `COMPLEMENT`, `EMPTY`, `ANYSTRING`, `INTERVAL` with `|` between",
                    ));
                }
            }
        }
        Ok(flags)
    }
}

/// Parts of an expression; `Plain` is in the syntax of the regex crate.
#[derive(Debug)]
enum Tree {
    Plain(String),
    Union(Vec<Tree>),
    Intersection(Vec<Tree>),
    Complement(Box<Tree>),
}

enum Fault {
    Regex(regex::Error),
}

impl Tree {
    fn matcher(self) -> std::result::Result<Matcher, Fault> {
        Ok(match self {
            Tree::Plain(plain) => {
                let regex = RegexBuilder::new(&format!("^(?:{plain})$"))
                    .dot_matches_new_line(true)
                    .size_limit(REGEXP_MAX_BYTES)
                    .dfa_size_limit(REGEXP_MAX_BYTES)
                    .nest_limit(2 * GROUPS_MAX as u32 + 20)
                    .build();
                Matcher::Regex(regex.map_err(Fault::Regex)?)
            }
            Tree::Union(parts) if parts.iter().all(|it| it.plain().is_ok()) => {
                return Tree::Plain(Tree::Union(parts).plain().unwrap_or_default()).matcher();
            }
            Tree::Union(parts) => {
                Matcher::Any(parts.into_iter().map(Tree::matcher).collect::<std::result::Result<_, _>>()?)
            }
            Tree::Intersection(parts) => {
                Matcher::All(parts.into_iter().map(Tree::matcher).collect::<std::result::Result<_, _>>()?)
            }
            Tree::Complement(inner) => Matcher::Not(Box::new(inner.matcher()?)),
        })
    }

    /// The part in the syntax of the regex crate, unless it holds an operator that has none there.
    fn plain(&self) -> std::result::Result<String, char> {
        match self {
            Tree::Plain(plain) => Ok(plain.clone()),
            Tree::Union(parts) => {
                let parts = parts.iter().map(Tree::plain).collect::<std::result::Result<Vec<_>, _>>()?;
                Ok(format!("(?:{})", parts.join("|")))
            }
            Tree::Intersection(_) => Err('&'),
            Tree::Complement(_) => Err('~'),
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
    flags: Flags,
    depth: usize,
    /// Whether what went wrong is an operator that Lucene has at this place.
    unsupported: bool,
}

type Read<T> = std::result::Result<T, String>;

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let letter = chars.next();
        self.rest = chars.as_str();
        letter
    }

    fn eat(&mut self, letter: char) -> bool {
        let found = self.peek() == Some(letter);
        if found {
            self.next();
        }
        found
    }

    fn union(&mut self) -> Read<Tree> {
        self.depth += 1;
        if self.depth > GROUPS_MAX {
            return Err(format!("groups nest deeper than {GROUPS_MAX}"));
        }
        let mut parts = vec![self.intersection()?];
        while self.eat('|') {
            parts.push(self.intersection()?);
        }
        self.depth -= 1;
        Ok(if parts.len() == 1 { parts.remove(0) } else { Tree::Union(parts) })
    }

    fn intersection(&mut self) -> Read<Tree> {
        let mut parts = vec![self.concatenation()?];
        while self.flags.intersection && self.eat('&') {
            parts.push(self.concatenation()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Tree::Intersection(parts) })
    }

    fn concatenation(&mut self) -> Read<Tree> {
        let mut parts: Vec<Tree> = Vec::new();
        while let Some(letter) = self.peek() {
            if letter == '|' || letter == ')' || (letter == '&' && self.flags.intersection) {
                break;
            }
            parts.push(self.complement()?);
        }
        match parts.len() {
            0 => Ok(Tree::Plain(String::new())),
            1 => Ok(parts.remove(0)),
            _ => {
                let plain = parts.iter().map(Tree::plain).collect::<std::result::Result<Vec<_>, _>>();
                plain.map(|it| Tree::Plain(it.concat())).map_err(|operator| self.nested(operator))
            }
        }
    }

    fn complement(&mut self) -> Read<Tree> {
        let mut opposite = false;
        while self.flags.complement && self.eat('~') {
            opposite = !opposite;
        }
        let inner = self.repetition()?;
        Ok(if opposite { Tree::Complement(Box::new(inner)) } else { inner })
    }

    fn repetition(&mut self) -> Read<Tree> {
        let mut tree = self.atom()?;
        loop {
            let operator = match self.peek() {
                Some('?' | '*' | '+') => self.next().map(String::from).unwrap_or_default(),
                Some('{') => {
                    let end = self.rest.find('}').ok_or("a `{` without its `}`")?;
                    let counts = self.rest[1..end].to_owned();
                    let numbers = counts.split(',').all(|it| it.is_empty() || it.parse::<u16>().is_ok());
                    if !numbers || counts.starts_with(',') || counts.is_empty() {
                        return Err(format!("found `{{{counts}}}`, expected `{{n}}`, `{{n,}}` or `{{n,m}}`"));
                    }
                    self.rest = &self.rest[end + 1..];
                    format!("{{{counts}}}")
                }
                _ => return Ok(tree),
            };
            tree = Tree::Plain(format!(
                "(?:{}){operator}",
                tree.plain().map_err(|operator| self.nested(operator))?
            ));
        }
    }

    fn nested(&mut self, operator: char) -> String {
        self.unsupported = true;
        format!(
            "the operator `{operator}` of regular expressions where something stands before or after its part"
        )
    }

    fn atom(&mut self) -> Read<Tree> {
        let Some(letter) = self.next() else { return Ok(Tree::Plain(String::new())) };
        Ok(Tree::Plain(match letter {
            '(' => {
                if self.eat(')') {
                    return Ok(Tree::Plain(String::new()));
                }
                let inner = self.union()?;
                if !self.eat(')') {
                    return Err("a `(` without its `)`".to_owned());
                }
                return Ok(inner);
            }
            '.' => ".".to_owned(),
            '@' if self.flags.anystring => ".*".to_owned(),
            '#' if self.flags.empty => "[^\\s\\S]".to_owned(),
            '"' => {
                let end = self.rest.find('"').ok_or("a `\"` without its end")?;
                let literal = regex::escape(&self.rest[..end]);
                self.rest = &self.rest[end + 1..];
                format!("(?:{literal})")
            }
            '[' => self.class()?,
            '<' if self.flags.interval => self.interval()?,
            '\\' => escape(self.next().ok_or("a `\\` at the end")?),
            '?' | '*' | '+' | '{' => return Err(format!("nothing before `{letter}`")),
            letter => escape(letter),
        }))
    }

    fn class(&mut self) -> Read<String> {
        let mut class = if self.eat('^') { "[^".to_owned() } else { "[".to_owned() };
        let mut empty = true;
        loop {
            let from = match self.next().ok_or("a `[` without its `]`")? {
                ']' if !empty => break,
                '\\' => self.next().ok_or("a `\\` at the end")?,
                letter => letter,
            };
            empty = false;
            class.push_str(&escape(from));
            if self.peek() == Some('-') && !self.rest.starts_with("-]") {
                self.next();
                let to = match self.next().ok_or("a `[` without its `]`")? {
                    '\\' => self.next().ok_or("a `\\` at the end")?,
                    letter => letter,
                };
                class.push('-');
                class.push_str(&escape(to));
            }
        }
        class.push(']');
        Ok(class)
    }

    fn interval(&mut self) -> Read<String> {
        let end = self.rest.find('>').ok_or("a `<` without its `>`")?;
        let text = self.rest[..end].to_owned();
        let (from, to) = text.split_once('-').ok_or("an interval is written `<1-100>`")?;
        let (low, high) = match (from.parse::<u64>(), to.parse::<u64>()) {
            (Ok(a), Ok(b)) => (a.min(b), a.max(b)),
            _ => return Err("an interval is written `<1-100>`".to_owned()),
        };
        if high - low >= INTERVAL_MAX {
            return Err(format!("an interval spans more than {INTERVAL_MAX} numbers"));
        }
        self.rest = &self.rest[end + 1..];
        let width = if from.len() == to.len() { from.len() } else { 0 };
        let numbers: Vec<String> = (low..=high).map(|number| format!("{number:0width$}")).collect();
        Ok(format!("(?:{}(?:{}))", if width == 0 { "0*" } else { "" }, numbers.join("|")))
    }
}

fn escape(letter: char) -> String {
    if letter.is_ascii_punctuation() || letter == '&' || letter == '~' {
        format!("\\x{{{:x}}}", u32::from(letter))
    } else {
        letter.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(pattern: &str, term: &str) -> bool {
        let value = json!(pattern);
        Regexp::parse(&Node::root(&value), pattern, None).unwrap().matches(term)
    }

    #[test]
    fn the_operators_of_lucene() {
        for (pattern, term, expected) in [
            ("s.*y", "shay", true),
            ("s.*y", "shay banon", false),
            ("users.test.*", "users#test-1", true),
            ("ab...", "abcde", true),
            ("a{3}b{2,4}", "aaabbb", true),
            ("(ab)+", "ababab", true),
            ("[a-cx]d", "xd", true),
            ("[^a-c]d", "ad", false),
            ("[a\\-c]", "-", true),
            ("foo<1-100>", "foo80", true),
            ("foo<1-100>", "foo101", false),
            ("foo<01-10>", "foo7", false),
            ("foo<01-10>", "foo07", true),
            ("aaa.+&.+bbb", "aaabbb", true),
            ("aaa.+&.+bbb", "aaab", false),
            ("~(abc)", "abc", false),
            ("~(abc)", "abd", true),
            ("a@b", "axxb", true),
            ("#", "", false),
            ("a\\.b", "axb", false),
            ("\"a.b\"c", "a.bc", true),
            ("a|b|", "", true),
            ("\\d", "d", true),
            ("^a$", "^a$", true),
            (".", "\n", true),
        ] {
            assert_eq!(matches(pattern, term), expected, "{pattern} {term}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let deep = format!("{}a{}", "(".repeat(60), ")".repeat(60));
        let long = "a".repeat(1001);
        for (pattern, message) in [
            ("a(b", "invalid regular expression `a(b`: a `(` without its `)`"),
            ("a)b", "invalid regular expression `a)b`: a `)` without its `(`"),
            ("*a", "invalid regular expression `*a`: nothing before `*`"),
            ("[a", "invalid regular expression `[a`: a `[` without its `]`"),
            (
                "a~bc",
                "not supported here: the operator `~` of regular expressions where something stands before or after its part",
            ),
            ("a{1000}{1000}", "takes more than 1048576 bytes when compiled"),
            ("<1-5000>", "an interval spans more than 1000 numbers"),
            (&deep, "groups nest deeper than 50"),
            (&long, "a regular expression of 1001 bytes, at most 1000 are taken"),
        ] {
            let value = json!(pattern);
            let error = Regexp::parse(&Node::root(&value), pattern, None).unwrap_err();
            assert!(error.to_string().contains(message), "{pattern}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_upsets_the_reader(pattern in "[a-c(){}<>\\[\\]0-9,|&~@#?*+.\"\\\\^-]{0,30}", term in "[a-c]{0,6}") {
            let value = json!(pattern);
            if let Ok(regexp) = Regexp::parse(&Node::root(&value), &pattern, None) {
                regexp.matches(&term);
            }
        }
    }
}
