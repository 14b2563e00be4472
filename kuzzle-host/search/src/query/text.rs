use super::leaf::{OneField, bounded_text};
use super::{Fuzziness, Minimum, Query, QueryKind};
use crate::error::Result;
use crate::limits::CLAUSES_MAX;
use crate::node::{Fields, Node};

/// A text in one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Path of the field.
    pub field: String,
    /// The text, which is analysed as the field's texts are.
    pub text: String,
    /// How its words are combined.
    pub kind: MatchKind,
    /// Whether all words have to match.
    pub all: bool,
    /// How many words have to match, where not all.
    pub minimum: Option<Minimum>,
    /// How many letters of each word may differ.
    pub fuzziness: Option<Fuzziness>,
    /// Letters at the beginning of each word that may not differ.
    pub prefix_length: usize,
    /// Whether two neighbours that changed places count as one difference.
    pub transpositions: bool,
    /// By how many places the words of a phrase may be out of place.
    pub slop: u32,
    /// Name of an analyser that is used instead of the field's.
    pub analyzer: Option<String>,
    /// Whether a text without words matches everything instead of nothing.
    pub zero_terms_all: bool,
    /// Whether a text that the field's type cannot read matches nothing instead of being refused.
    pub lenient: bool,
}

/// How the words of a [`Match`] are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchKind {
    /// Each by itself.
    Boolean,
    /// One after the other.
    Phrase,
    /// One after the other, the last being the beginning of a word.
    PhrasePrefix,
}

/// A text in several fields.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiMatch {
    /// Paths of the fields, which may hold `*`, with their weights; empty: all of them together.
    pub fields: Vec<(String, f32)>,
    /// How the fields are combined.
    pub kind: MultiMatchKind,
    /// How much the scores of fields other than the best count; by default, as `kind` says.
    pub tie_breaker: Option<f32>,
    /// What is looked for in each; its `field` is empty.
    pub query: Match,
}

/// How the fields of a [`MultiMatch`] are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultiMatchKind {
    /// The best field scores.
    BestFields,
    /// All fields score.
    MostFields,
    /// Each word may be in any of the fields.
    CrossFields,
}

impl Match {
    /// A text of which one word has to match.
    pub(super) fn new(field: &str, text: &str) -> Self {
        Self {
            field: field.to_owned(),
            text: text.to_owned(),
            kind: MatchKind::Boolean,
            all: false,
            minimum: None,
            fuzziness: None,
            prefix_length: 0,
            transpositions: true,
            slop: 0,
            analyzer: None,
            zero_terms_all: false,
            lenient: false,
        }
    }
}

pub(super) fn match_query(name: &str, body: &Node<'_>) -> Result<Query> {
    let mut one = OneField::read(body, "match")?;
    let mut query = Match::new("", "");
    query.kind = match name {
        "match_phrase" => MatchKind::Phrase,
        "match_phrase_prefix" => MatchKind::PhrasePrefix,
        _ => MatchKind::Boolean,
    };
    match one.options("match")? {
        None => query.text = bounded_text(&one.value)?,
        Some(mut fields) => {
            if let Some(kind) = fields.take("type") {
                query.kind = kind.one_of(&[
                    ("boolean", MatchKind::Boolean),
                    ("phrase", MatchKind::Phrase),
                    ("phrase_prefix", MatchKind::PhrasePrefix),
                ])?;
            }
            options(&mut fields, &mut query)?;
            fields.finish()?;
        }
    }
    Ok(one.query(|field| QueryKind::Match(Match { field, ..query })))
}

fn options(fields: &mut Fields<'_>, query: &mut Match) -> Result<()> {
    query.text = bounded_text(&fields.need("query")?)?;
    query.all = operator(fields.take("operator"))?;
    query.minimum = fields.take("minimum_should_match").map(|it| Minimum::parse(&it)).transpose()?;
    query.fuzziness = fields.take("fuzziness").map(|it| Fuzziness::parse(&it)).transpose()?;
    if let Some(node) = fields.take("prefix_length") {
        query.prefix_length = node.usize()?;
    }
    if let Some(node) = fields.take("fuzzy_transpositions") {
        query.transpositions = node.bool()?;
    }
    query.slop = slop(fields.any(&["slop", "phrase_slop"]))?;
    query.analyzer = fields.take("analyzer").map(|it| it.str().map(str::to_owned)).transpose()?;
    if let Some(node) = fields.take("zero_terms_query") {
        query.zero_terms_all = node.one_of(&[("none", false), ("all", true)])?;
    }
    query.lenient = fields.take("lenient").map_or(Ok(false), |it| it.bool())?;
    // How it would be carried out; the result is the same, and with `max_expansions` never fewer.
    fields.hint(&["max_expansions", "rewrite", "fuzzy_rewrite"]);
    fields.refuse(&["cutoff_frequency"])
}

pub(super) fn slop(node: Option<Node<'_>>) -> Result<u32> {
    let Some(node) = node else { return Ok(0) };
    u32::try_from(node.usize()?)
        .ok()
        .filter(|it| *it <= 1_000_000)
        .ok_or_else(|| node.over("at most 1000000"))
}

pub(super) fn operator(node: Option<Node<'_>>) -> Result<bool> {
    node.map_or(Ok(false), |it| it.one_of(&[("or", false), ("and", true)]))
}

pub(super) fn multi_match(fields: &mut Fields<'_>) -> Result<QueryKind> {
    let names = weighted_fields(&fields.need("fields")?)?;
    let mut query = Match::new("", "");
    let kind = match fields.take("type") {
        None => MultiMatchKind::BestFields,
        Some(node) => {
            let (kind, inner) = node.one_of(&[
                ("best_fields", (MultiMatchKind::BestFields, MatchKind::Boolean)),
                ("most_fields", (MultiMatchKind::MostFields, MatchKind::Boolean)),
                ("cross_fields", (MultiMatchKind::CrossFields, MatchKind::Boolean)),
                ("phrase", (MultiMatchKind::BestFields, MatchKind::Phrase)),
                ("phrase_prefix", (MultiMatchKind::BestFields, MatchKind::PhrasePrefix)),
            ])?;
            query.kind = inner;
            kind
        }
    };
    let tie_breaker = fields.take("tie_breaker").map(|it| it.f32()).transpose()?;
    let mut separate = None;
    if let Some(node) = fields.take("use_dis_max") {
        separate = Some(!node.bool()?);
    }
    options(fields, &mut query)?;
    let kind = if separate == Some(true) && kind == MultiMatchKind::BestFields {
        MultiMatchKind::MostFields
    } else {
        kind
    };
    Ok(QueryKind::MultiMatch(MultiMatch { fields: names, kind, tie_breaker, query }))
}

/// `["title^2", "body", "tags.*"]`, or one of them.
pub(super) fn weighted_fields(node: &Node<'_>) -> Result<Vec<(String, f32)>> {
    let items = node.items();
    if items.len() > CLAUSES_MAX {
        return Err(node.over(format!("found {} fields, at most {CLAUSES_MAX} are taken", items.len())));
    }
    let read = |item: &Node<'_>| {
        let text = item.str()?;
        match text.rsplit_once('^') {
            None => Ok((text.to_owned(), 1.0)),
            Some((name, boost)) => match boost.parse::<f32>().ok().filter(|it| it.is_finite()) {
                Some(boost) => Ok((name.to_owned(), boost)),
                None => Err(item.expected("a field, with a weight if any, such as `title^2`")),
            },
        }
    };
    let fields = items.iter().map(read).collect::<Result<Vec<_>>>()?;
    if fields.is_empty() {
        return Err(node.fail("found no field, expected at least one"));
    }
    Ok(fields)
}
