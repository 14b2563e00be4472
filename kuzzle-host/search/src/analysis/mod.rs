//! Analysis: how a text becomes tokens. Positions count words, so that phrases can be found; offsets are bytes of the
//! text, so that hits can be highlighted.

mod language;

use unicode_segmentation::UnicodeSegmentation;

use crate::error::{Error, ErrorKind, Result};
use crate::node::excerpt;
use language::Language;

/// Characters of the longest token; longer ones leave a gap, as in Lucene.
const TOKEN_MAX_CHARS: usize = 255;

/// A word of a text, as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) term: String,
    pub(crate) position: u32,
    /// First byte in the text.
    pub(crate) start: usize,
    /// The byte after the last one.
    pub(crate) end: usize,
}

/// What turns texts into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Analyzer {
    /// Words by Unicode's rules, in lower case.
    Standard,
    /// Runs of letters, in lower case.
    Simple,
    /// What stands between white space.
    Whitespace,
    /// The whole text as one token.
    Keyword,
    /// As `simple`, without English stop words.
    Stop,
    /// As `standard`, without stop words, and stemmed.
    Language(Language),
}

impl Analyzer {
    pub(crate) fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "standard" | "default" => Analyzer::Standard,
            "simple" => Analyzer::Simple,
            "whitespace" => Analyzer::Whitespace,
            "keyword" => Analyzer::Keyword,
            "stop" => Analyzer::Stop,
            name => match Language::parse(name) {
                Some(language) => Analyzer::Language(language),
                None => {
                    let message = format!(
                        "not supported here: the analyzer `{}`; known are standard, simple, whitespace, keyword, stop, {}",
                        excerpt(name),
                        Language::names().join(", ")
                    );
                    return Err(Error::bare(ErrorKind::Unsupported, message));
                }
            },
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Analyzer::Standard => "standard",
            Analyzer::Simple => "simple",
            Analyzer::Whitespace => "whitespace",
            Analyzer::Keyword => "keyword",
            Analyzer::Stop => "stop",
            Analyzer::Language(language) => language.name(),
        }
    }

    pub(crate) fn tokens(self, text: &str) -> Vec<Token> {
        match self {
            Analyzer::Standard => standard(text),
            Analyzer::Simple => runs(text, char::is_alphabetic, true),
            Analyzer::Whitespace => runs(text, |it| !it.is_whitespace(), false),
            Analyzer::Keyword if text.is_empty() => Vec::new(),
            Analyzer::Keyword => {
                vec![Token { term: text.to_owned(), position: 0, start: 0, end: text.len() }]
            }
            Analyzer::Stop => {
                let mut tokens = runs(text, char::is_alphabetic, true);
                tokens.retain(|token| !language::ENGLISH_STOP_WORDS.contains(&token.term.as_str()));
                tokens
            }
            Analyzer::Language(language) => language.tokens(text),
        }
    }
}

/// Lower case, letter by letter.
pub(crate) fn lower_case(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.chars().flat_map(char::to_lowercase).collect()
    }
}

fn standard(text: &str) -> Vec<Token> {
    let words = text.unicode_word_indices().map(|(start, word)| (start, start + word.len()));
    collect(text, words, true)
}

fn runs(text: &str, belongs: impl Fn(char) -> bool, lower: bool) -> Vec<Token> {
    let mut spans = Vec::new();
    let mut start = None;
    for (at, letter) in text.char_indices() {
        match (belongs(letter), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                spans.push((from, at));
                start = None;
            }
            _ => {}
        }
    }
    spans.extend(start.map(|from| (from, text.len())));
    collect(text, spans.into_iter(), lower)
}

fn collect(text: &str, spans: impl Iterator<Item = (usize, usize)>, lower: bool) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (position, (start, end)) in (0u32..).zip(spans) {
        let word = &text[start..end];
        if word.len() > TOKEN_MAX_CHARS && word.chars().count() > TOKEN_MAX_CHARS {
            continue;
        }
        let term = if lower { lower_case(word) } else { word.to_owned() };
        tokens.push(Token { term, position, start, end });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(analyzer: &str, text: &str) -> Vec<String> {
        Analyzer::parse(analyzer).unwrap().tokens(text).into_iter().map(|token| token.term).collect()
    }

    const TEXT: &str = "The 2 QUICK Brown-Foxes jumped over the lazy dog's bone.";

    #[test]
    fn the_stock_analysers() {
        assert_eq!(
            terms("standard", TEXT),
            ["the", "2", "quick", "brown", "foxes", "jumped", "over", "the", "lazy", "dog's", "bone"]
        );
        assert_eq!(
            terms("simple", TEXT),
            ["the", "quick", "brown", "foxes", "jumped", "over", "the", "lazy", "dog", "s", "bone"]
        );
        assert_eq!(
            terms("whitespace", TEXT),
            ["The", "2", "QUICK", "Brown-Foxes", "jumped", "over", "the", "lazy", "dog's", "bone."]
        );
        assert_eq!(terms("keyword", TEXT), [TEXT]);
        assert_eq!(
            terms("stop", TEXT),
            ["quick", "brown", "foxes", "jumped", "over", "lazy", "dog", "s", "bone"]
        );
        assert_eq!(
            terms("english", TEXT),
            ["2", "quick", "brown", "fox", "jump", "over", "lazi", "dog", "bone"]
        );
        assert_eq!(terms("french", "L'avion des étudiants"), ["avion", "étudi"]);
        assert_eq!(terms("german", "Die Häuser am Fluss"), ["haus", "fluss"]);
        assert_eq!(terms("standard", "東京 Straße"), ["東", "京", "straße"]);
        assert!(terms("standard", "").is_empty());
        assert!(terms("keyword", "").is_empty());
    }

    #[test]
    fn positions_and_offsets_are_kept() {
        let tokens = Analyzer::parse("english").unwrap().tokens("The quick é fox");
        let places: Vec<_> =
            tokens.iter().map(|it| (it.term.as_str(), it.position, it.start, it.end)).collect();
        assert_eq!(places, [("quick", 1, 4, 9), ("é", 2, 10, 12), ("fox", 3, 13, 16)]);
        let long = format!("a {} b", "x".repeat(256));
        let positions: Vec<u32> = standard(&long).iter().map(|token| token.position).collect();
        assert_eq!(positions, [0, 2]);
    }

    #[test]
    fn unknown_analysers_are_named() {
        let error = Analyzer::parse("thai").unwrap_err();
        assert!(error.message().starts_with("not supported here: the analyzer `thai`; known are standard"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_upsets_an_analyser(text in ".{0,80}") {
            for name in Language::names().into_iter().chain(["standard", "simple", "whitespace", "keyword", "stop"]) {
                for token in Analyzer::parse(name).unwrap().tokens(&text) {
                    proptest::prop_assert!(text.get(token.start..token.end).is_some());
                }
            }
        }
    }
}
