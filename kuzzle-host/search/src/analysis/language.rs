use waken_snowball::{Algorithm, stem};

use super::{Token, lower_case, standard};

/// Those of Lucene's English analyser.
pub(super) const ENGLISH_STOP_WORDS: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no",
    "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to",
    "was", "will", "with",
];

/// A language with a stemmer: its name, its algorithm, the code of its stop words.
type Row = (&'static str, Algorithm, Option<&'static str>);

const LANGUAGES: &[Row] = &[
    ("arabic", Algorithm::Arabic, Some("ar")),
    ("armenian", Algorithm::Armenian, None),
    ("basque", Algorithm::Basque, Some("eu")),
    ("brazilian", Algorithm::Portuguese, Some("pt")),
    ("catalan", Algorithm::Catalan, Some("ca")),
    ("danish", Algorithm::Danish, Some("da")),
    ("dutch", Algorithm::DutchPorter, Some("nl")),
    ("english", Algorithm::Porter, None),
    ("finnish", Algorithm::Finnish, Some("fi")),
    ("french", Algorithm::French, Some("fr")),
    ("german", Algorithm::German, Some("de")),
    ("greek", Algorithm::Greek, Some("el")),
    ("hindi", Algorithm::Hindi, None),
    ("hungarian", Algorithm::Hungarian, Some("hu")),
    ("indonesian", Algorithm::Indonesian, Some("id")),
    ("irish", Algorithm::Irish, None),
    ("italian", Algorithm::Italian, Some("it")),
    ("lithuanian", Algorithm::Lithuanian, None),
    ("norwegian", Algorithm::Norwegian, Some("no")),
    ("portuguese", Algorithm::Portuguese, Some("pt")),
    ("romanian", Algorithm::Romanian, Some("ro")),
    ("russian", Algorithm::Russian, Some("ru")),
    ("spanish", Algorithm::Spanish, Some("es")),
    ("swedish", Algorithm::Swedish, Some("sv")),
    ("turkish", Algorithm::Turkish, Some("tr")),
];

/// Articles that French, Catalan, Italian and Irish words swallow before an apostrophe.
const ELISIONS: &[(&str, &[&str])] = &[
    ("french", &["l", "m", "t", "qu", "n", "s", "j", "d", "c", "jusqu", "quoiqu", "lorsqu", "puisqu"]),
    ("catalan", &["d", "l", "m", "n", "s", "t"]),
    (
        "italian",
        &[
            "c", "l", "all", "dall", "dell", "nell", "sull", "coll", "pell", "gl", "agl", "dagl", "degl",
            "negl", "sugl", "un", "m", "t", "s", "v", "d",
        ],
    ),
    ("irish", &["d", "m", "b"]),
];

/// One of the stock languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Language {
    name: &'static str,
    algorithm: Algorithm,
    stop_words: Option<&'static str>,
}

impl Language {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (name, algorithm, stop_words) = *LANGUAGES.iter().find(|(known, ..)| *known == name)?;
        Some(Self { name, algorithm, stop_words })
    }

    pub(super) fn names() -> Vec<&'static str> {
        LANGUAGES.iter().map(|(name, ..)| *name).collect()
    }

    pub(super) fn name(self) -> &'static str {
        self.name
    }

    pub(super) fn tokens(self, text: &str) -> Vec<Token> {
        let stop_words = match self.stop_words {
            Some(code) => stop_words::lookup(code).unwrap_or_default(),
            None if self.name == "english" => ENGLISH_STOP_WORDS,
            None => &[],
        };
        let elisions = ELISIONS.iter().find(|(name, _)| *name == self.name).map(|(_, articles)| *articles);
        let mut tokens = standard(text);
        for token in &mut tokens {
            if self.name == "turkish" {
                token.term = turkish_lower_case(&text[token.start..token.end]);
            }
            if self.name == "english" {
                for possessive in ["'s", "\u{2019}s", "\u{ff07}s"] {
                    if let Some(word) = token.term.strip_suffix(possessive) {
                        token.term = word.to_owned();
                    }
                }
            }
            if let Some(articles) = elisions
                && let Some((article, word)) = token.term.split_once(['\'', '\u{2019}'])
                && articles.contains(&article)
            {
                token.term = word.to_owned();
            }
        }
        tokens.retain(|token| !token.term.is_empty() && !stop_words.contains(&token.term.as_str()));
        for token in &mut tokens {
            token.term = stem(self.algorithm, &token.term).into_owned();
        }
        tokens.retain(|token| !token.term.is_empty());
        tokens
    }
}

/// In Turkish the dot of an `i` is kept.
fn turkish_lower_case(text: &str) -> String {
    lower_case(&text.replace('I', "\u{131}").replace('\u{130}', "i"))
}
