//! JavaScript's regular expressions in the syntax of the crate `regex`.

use std::fmt::{self, Write};
use std::iter::Peekable;
use std::str::Chars;

/// Flags that change what a pattern matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    multiline: bool,
    dot_all: bool,
    unicode: bool,
}

impl Flags {
    /// Reads flags; `g` says how matches are repeated, which does not matter here.
    pub(super) fn parse(text: &str) -> Result<Flags, String> {
        let mut flags = Flags::default();
        for flag in text.chars() {
            match flag {
                'i' => flags.ignore_case = true,
                'm' => flags.multiline = true,
                's' => flags.dot_all = true,
                'u' => flags.unicode = true,
                'g' => {}
                _ => return Err(format!("the flag `{flag}` is not one of `g`, `i`, `m`, `s`, `u`")),
            }
        }
        Ok(flags)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags =
            [('i', self.ignore_case), ('m', self.multiline), ('s', self.dot_all), ('u', self.unicode)];
        flags.into_iter().filter(|(_, set)| *set).try_for_each(|(flag, _)| out.write_char(flag))
    }
}

const DIGITS: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
const SPACE: &str =
    r"\t\n\x0B\x0C\r \u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}";

/// Rewrites a pattern. Groups capture nothing, as nobody asks what was matched.
pub(super) fn translate(pattern: &str, flags: Flags) -> Result<String, String> {
    let mut translator =
        Translator { rest: pattern.chars().peekable(), flags, out: String::with_capacity(pattern.len() * 2) };
    translator.pattern()?;
    Ok(translator.out)
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    flags: Flags,
    out: String,
}

/// What an escape stands for.
enum Atom {
    Char(char),
    /// The inside of a class, and whether it is that class's opposite.
    Set(String, bool),
    /// A place between characters.
    Between(&'static str),
}

impl Translator<'_> {
    fn pattern(&mut self) -> Result<(), String> {
        let mut quantified = false;
        while let Some(c) = self.rest.next() {
            let quantifier = matches!(c, '*' | '+' | '?') || c == '{' && self.is_interval();
            if quantifier && quantified {
                return Err("nothing to repeat".to_owned());
            }
            quantified = quantifier;
            match c {
                '*' | '+' | '?' => {
                    self.out.push(c);
                    self.lazy();
                }
                '{' if quantifier => self.interval(),
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' | '|' => self.out.push(c),
                '.' if self.flags.dot_all => self.out.push_str("(?s:.)"),
                '.' => self.out.push_str(r"[^\n\r\u{2028}\u{2029}]"),
                '^' => self.out.push_str(if self.flags.multiline { "(?m:^)" } else { r"\A" }),
                '$' => self.out.push_str(if self.flags.multiline { "(?m:$)" } else { r"\z" }),
                c => self.literal(c),
            }
        }
        Ok(())
    }

    fn literal(&mut self, c: char) {
        if regex_syntax::is_meta_character(c) {
            self.out.push('\\');
        }
        self.out.push(c);
    }

    fn lazy(&mut self) {
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
    }

    /// Whether a brace that was just read begins `{n}`, `{n,}` or `{n,m}`; any other one is text.
    fn is_interval(&self) -> bool {
        let mut ahead = self.rest.clone();
        let mut digits = 0;
        while ahead.next_if(char::is_ascii_digit).is_some() {
            digits += 1;
        }
        if digits > 0 && ahead.next_if_eq(&',').is_some() {
            while ahead.next_if(char::is_ascii_digit).is_some() {}
        }
        digits > 0 && ahead.next() == Some('}')
    }

    fn interval(&mut self) {
        self.out.push('{');
        for c in self.rest.by_ref() {
            self.out.push(c);
            if c == '}' {
                break;
            }
        }
        self.lazy();
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.push_str("(?:");
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        match (self.rest.next(), self.rest.peek()) {
            (Some(':'), _) => Ok(()),
            (Some('='), _) | (Some('!'), _) | (Some('<'), Some('=' | '!')) => {
                Err("look-around is not supported: it may take more than linear time".to_owned())
            }
            (Some('<'), Some(_)) => {
                let name: String = self.rest.by_ref().take_while(|c| *c != '>').collect();
                let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
                if name.is_empty() || !name.chars().all(word) {
                    return Err("invalid name of a group".to_owned());
                }
                Ok(())
            }
            _ => Err("invalid group".to_owned()),
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        match self.atom(false)? {
            Atom::Char(c) => self.literal(c),
            Atom::Set(inside, false) => _ = write!(self.out, "[{inside}]"),
            Atom::Set(inside, true) => _ = write!(self.out, "[^{inside}]"),
            Atom::Between(text) => self.out.push_str(text),
        }
        Ok(())
    }

    /// What stands behind a backslash.
    fn atom(&mut self, in_class: bool) -> Result<Atom, String> {
        let c = self.rest.next().ok_or("a `\\` at the end")?;
        Ok(match c {
            'd' | 'D' => Atom::Set(DIGITS.to_owned(), c == 'D'),
            'w' | 'W' => Atom::Set(WORD.to_owned(), c == 'W'),
            's' | 'S' => Atom::Set(SPACE.to_owned(), c == 'S'),
            'b' if in_class => Atom::Char('\u{8}'),
            'b' => Atom::Between(r"(?-u:\b)"),
            'B' if !in_class => Atom::Between(r"\B"),
            't' => Atom::Char('\t'),
            'n' => Atom::Char('\n'),
            'r' => Atom::Char('\r'),
            'v' => Atom::Char('\u{b}'),
            'f' => Atom::Char('\u{c}'),
            '0' if !self.rest.peek().is_some_and(char::is_ascii_digit) => Atom::Char('\0'),
            '0'..='9' | 'k' => {
                return Err(
                    "back-references are not supported: they may take more than linear time".to_owned()
                );
            }
            'c' => match self.rest.next_if(char::is_ascii_alphabetic) {
                Some(letter) => Atom::Char(char::from(letter as u8 & 0x1f)),
                None => return Err("a `\\c` without its letter".to_owned()),
            },
            'x' => Atom::Char(self.hexadecimal(2).map_or(Ok('x'), character)?),
            'u' => Atom::Char(self.unicode()?),
            'p' | 'P' if self.flags.unicode => self.property(c == 'P')?,
            c => Atom::Char(c),
        })
    }

    fn property(&mut self, opposite: bool) -> Result<Atom, String> {
        if self.rest.next_if_eq(&'{').is_none() {
            return Err("a property without its `{`".to_owned());
        }
        let name: String = self.rest.by_ref().take_while(|c| *c != '}').collect();
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '=')) {
            return Err("invalid name of a property".to_owned());
        }
        Ok(Atom::Set(format!(r"\p{{{name}}}"), opposite))
    }

    fn unicode(&mut self) -> Result<char, String> {
        if self.flags.unicode && self.rest.next_if_eq(&'{').is_some() {
            let digits: String = self.rest.by_ref().take_while(|c| *c != '}').collect();
            return u32::from_str_radix(&digits, 16)
                .map_err(|_| "invalid code point".to_owned())
                .and_then(character);
        }
        let Some(first) = self.hexadecimal(4) else { return Ok('u') };
        if !(0xD800..0xDC00).contains(&first) {
            return character(first);
        }
        let mut ahead = self.rest.clone();
        if ahead.next() == Some('\\') && ahead.next() == Some('u') {
            self.rest.next();
            self.rest.next();
            if let Some(second @ 0xDC00..0xE000) = self.hexadecimal(4) {
                return character(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00));
            }
        }
        character(first)
    }

    /// Exactly so many hexadecimal digits; nothing is taken when there are fewer.
    fn hexadecimal(&mut self, digits: usize) -> Option<u32> {
        let text: String = self.rest.clone().take(digits).collect();
        if text.chars().count() < digits || !text.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        self.rest.by_ref().take(digits).for_each(drop);
        u32::from_str_radix(&text, 16).ok()
    }

    fn class(&mut self) -> Result<(), String> {
        let opposite = self.rest.next_if_eq(&'^').is_some();
        let mut atoms = Vec::new();
        loop {
            match self.rest.next().ok_or("a `[` without its `]`")? {
                ']' => break,
                '\\' => atoms.push(self.atom(true)?),
                // A hyphen that may be a range is told from one that was escaped.
                '-' => atoms.push(Atom::Between("-")),
                c => atoms.push(Atom::Char(c)),
            }
        }
        match (atoms.is_empty(), opposite) {
            (true, true) => self.out.push_str("(?s:.)"),
            (true, false) => self.out.push_str(r"[^\x00-\x{10FFFF}]"),
            (false, _) => {
                self.out.push_str(if opposite { "[^" } else { "[" });
                self.class_items(&atoms)?;
                self.out.push(']');
            }
        }
        Ok(())
    }

    fn class_items(&mut self, atoms: &[Atom]) -> Result<(), String> {
        let mut rest = atoms;
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            match (first, after) {
                (Atom::Char(low), [Atom::Between(_), Atom::Char(high), ..]) => {
                    if low > high {
                        return Err("a range out of order in a class".to_owned());
                    }
                    _ = write!(self.out, r"\x{{{:X}}}-\x{{{:X}}}", u32::from(*low), u32::from(*high));
                    rest = &after[2..];
                }
                (Atom::Char(c), _) => _ = write!(self.out, r"\x{{{:X}}}", u32::from(*c)),
                (Atom::Set(inside, false), _) => _ = write!(self.out, "[{inside}]"),
                (Atom::Set(inside, true), _) => _ = write!(self.out, "[^{inside}]"),
                (Atom::Between(_), _) => self.out.push_str(r"\-"),
            }
        }
        Ok(())
    }
}

fn character(code: u32) -> Result<char, String> {
    char::from_u32(code).ok_or_else(|| format!("`{code:X}` is no code point of a character"))
}
