use super::leaf::bounded_text;
use super::text::{operator, slop, weighted_fields};
use super::{Fuzziness, Match, Minimum, Parser, QueryKind, lucene, simple};
use crate::error::Result;
use crate::node::Fields;

/// What the texts of `query_string` and `simple_query_string` are read with.
#[derive(Debug, Clone)]
pub(super) struct Options {
    /// Fields with their weights, where the text names none.
    pub(super) fields: Vec<(String, f32)>,
    /// Whether clauses without an operator all have to match.
    pub(super) all: bool,
    /// What each text is looked for with.
    pub(super) base: Match,
    /// Whether patterns are made lower case.
    pub(super) lowercase: bool,
    pub(super) leading_wildcard: bool,
    pub(super) fuzziness: Fuzziness,
    pub(super) minimum: Option<Minimum>,
    /// How much other fields than the best count; `None`: all fields count the same.
    pub(super) tie_breaker: Option<f32>,
    pub(super) auto_phrase: bool,
    pub(super) time_zone: Option<String>,
    pub(super) pointer: String,
}

fn options(fields: &mut Fields<'_>) -> Result<Options> {
    let mut base = Match::new("", "");
    base.lenient = fields.take("lenient").map_or(Ok(false), |it| it.bool())?;
    base.analyzer = fields.take("analyzer").map(|it| it.str().map(str::to_owned)).transpose()?;
    let flag = |fields: &mut Fields<'_>, name: &'static str, default: bool| {
        fields.take(name).map_or(Ok(default), |it| it.bool())
    };
    let named = fields.take("fields").map(|it| weighted_fields(&it)).transpose()?;
    Ok(Options {
        fields: named.unwrap_or_else(|| vec![("_all".to_owned(), 1.0)]),
        all: operator(fields.take("default_operator"))?,
        base,
        lowercase: flag(fields, "lowercase_expanded_terms", true)?,
        leading_wildcard: true,
        fuzziness: Fuzziness::Auto,
        minimum: fields.take("minimum_should_match").map(|it| Minimum::parse(&it)).transpose()?,
        tie_breaker: Some(0.0),
        auto_phrase: false,
        time_zone: None,
        pointer: fields.node.pointer(),
    })
}

pub(super) fn query_string(parser: &mut Parser, fields: &mut Fields<'_>) -> Result<QueryKind> {
    let node = fields.need("query")?;
    let text = bounded_text(&node)?;
    let mut options = options(fields)?;
    if let Some(field) = fields.take("default_field") {
        options.fields = weighted_fields(&field)?;
    }
    if let Some(wildcard) = fields.take("allow_leading_wildcard") {
        options.leading_wildcard = wildcard.bool()?;
    }
    if let Some(fuzziness) = fields.any(&["fuzziness", "fuzzy_min_sim"]) {
        options.fuzziness = Fuzziness::parse(&fuzziness)?;
    }
    if let Some(length) = fields.take("fuzzy_prefix_length") {
        options.base.prefix_length = length.usize()?;
    }
    options.base.slop = slop(fields.take("phrase_slop"))?;
    options.tie_breaker = Some(fields.take("tie_breaker").map_or(Ok(0.0), |it| it.f32())?);
    if let Some(dis_max) = fields.take("use_dis_max")
        && !dis_max.bool()?
    {
        options.tie_breaker = None;
    }
    if let Some(phrases) = fields.take("auto_generate_phrase_queries") {
        options.auto_phrase = phrases.bool()?;
    }
    options.time_zone = fields.take("time_zone").map(|it| it.str().map(str::to_owned)).transpose()?;
    if let Some(analyze) = fields.take("analyze_wildcard")
        && analyze.bool()?
    {
        return Err(analyze.unsupported("`analyze_wildcard: true`"));
    }
    fields.hint(&["fuzzy_max_expansions", "fuzzy_rewrite", "rewrite", "max_determinized_states"]);
    fields.hint(&["enable_position_increments", "locale", "escape"]);
    fields.refuse(&["quote_field_suffix", "quote_analyzer"])?;
    Ok(lucene::parse(parser, &node, &text, &options)?.kind)
}

pub(super) fn simple_query_string(parser: &mut Parser, fields: &mut Fields<'_>) -> Result<QueryKind> {
    let node = fields.need("query")?;
    let text = bounded_text(&node)?;
    let mut options = options(fields)?;
    options.tie_breaker = None;
    let flags = fields.take("flags").map_or(Ok(simple::Flags::all()), |it| simple::Flags::parse(&it))?;
    fields.hint(&["locale", "analyze_wildcard"]);
    Ok(simple::parse(parser, &node, &text, &options, flags)?.kind)
}
