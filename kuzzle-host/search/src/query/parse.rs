use serde_json::Value;

use super::{Bool, Minimum, NestedScore, Query, QueryKind, function, geo, leaf, strings, text};
use crate::error::Result;
use crate::limits::{CLAUSES_MAX, DEPTH_MAX, REGEXP_CLAUSES};
use crate::node::{Fields, Node, excerpt, list};

/// Reads queries and counts their clauses.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    clauses: usize,
}

const KNOWN: &[&str] = &[
    "and",
    "bool",
    "boosting",
    "constant_score",
    "dis_max",
    "exists",
    "filtered",
    "function_score",
    "fuzzy",
    "geo_bounding_box",
    "geo_distance",
    "geo_distance_range",
    "geo_polygon",
    "ids",
    "match",
    "match_all",
    "match_phrase",
    "match_phrase_prefix",
    "missing",
    "multi_match",
    "nested",
    "not",
    "or",
    "prefix",
    "query",
    "query_string",
    "range",
    "regexp",
    "simple_query_string",
    "term",
    "terms",
    "type",
    "wildcard",
];

const UNSUPPORTED: &[&str] = &[
    "common",
    "custom_boost_factor",
    "custom_filters_score",
    "custom_score",
    "field",
    "flt",
    "flt_field",
    "fuzzy_like_this",
    "fuzzy_like_this_field",
    "geo_shape",
    "geohash_cell",
    "has_child",
    "has_parent",
    "indices",
    "limit",
    "mlt",
    "more_like_this",
    "more_like_this_field",
    "numeric_range",
    "script",
    "span_containing",
    "span_first",
    "span_multi",
    "span_near",
    "span_not",
    "span_or",
    "span_term",
    "span_within",
    "template",
    "text",
    "top_children",
    "wrapper",
];

impl Query {
    /// Reads a query or a filter, such as `{"match": {"title": "words"}}`.
    ///
    /// # Errors
    /// Whatever is not known at its place is refused with a JSON pointer, what was found and what is allowed; what the
    /// language has and this crate has not, as [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    pub fn parse(value: &Value) -> Result<Self> {
        Parser::default().query(&Node::root(value), 0)
    }
}

impl Parser {
    /// Counts clauses, before memory is taken for them.
    pub(crate) fn count(&mut self, node: &Node<'_>, clauses: usize) -> Result<()> {
        self.clauses = self.clauses.saturating_add(clauses);
        if self.clauses > CLAUSES_MAX {
            return Err(
                node.over(format!("too many clauses: at most {CLAUSES_MAX} are taken in one request"))
            );
        }
        Ok(())
    }

    pub(crate) fn query(&mut self, node: &Node<'_>, depth: usize) -> Result<Query> {
        if depth > DEPTH_MAX {
            return Err(node.over(format!("queries nest deeper than {DEPTH_MAX}")));
        }
        self.count(node, 1)?;
        let map = node.map("a query, such as `{\"match\": {\"field\": \"text\"}}`")?;
        if map.is_empty() {
            return Err(node.fail(
                "query malformed, empty clause found: write `{\"match_all\": {}}` for every document",
            ));
        }
        let (name, body) = node.only("the name of a query")?;
        let snake = snake_case(name);
        match self.named(&snake, &body, depth)? {
            Some(query) => Ok(query),
            None if UNSUPPORTED.contains(&snake.as_str()) => {
                Err(body.unsupported(&format!("the query `{}`", excerpt(name))))
            }
            None => {
                let name = excerpt(name);
                Err(body.fail(format!("No query registered for [{name}]; known are {}", list(KNOWN))))
            }
        }
    }

    fn named(&mut self, name: &str, body: &Node<'_>, depth: usize) -> Result<Option<Query>> {
        Ok(Some(match name {
            "and" | "or" => self.and_or(name == "and", body, depth)?,
            "not" => self.not(body, depth)?,
            "query" => self.query(body, depth + 1)?,
            "match" | "match_phrase" | "match_phrase_prefix" => text::match_query(name, body)?,
            "multi_match" => self.object("multi_match", body, |_, fields| text::multi_match(fields))?,
            "term" => leaf::term(body)?,
            "terms" | "in" => leaf::terms(body)?,
            "range" => leaf::range(body)?,
            "prefix" => leaf::prefix(body)?,
            "wildcard" => leaf::wildcard(body)?,
            "regexp" => {
                self.count(body, REGEXP_CLAUSES)?;
                leaf::regexp(body)?
            }
            "fuzzy" => leaf::fuzzy(body)?,
            "exists" => self.object("exists", body, |_, fields| leaf::exists(fields))?,
            "missing" => self.object("missing", body, |_, fields| leaf::missing(fields))?,
            "ids" => self.object("ids", body, |_, fields| leaf::ids(fields))?,
            "type" => self.object("type", body, |_, fields| {
                Ok(QueryKind::Type { value: fields.need("value")?.str()?.to_owned() })
            })?,
            "match_all" => self.object("match_all", body, |_, fields| {
                fields.hint(&["norms_field"]);
                Ok(QueryKind::MatchAll)
            })?,
            "geo_distance" => geo::distance(body, false)?,
            "geo_distance_range" => geo::distance(body, true)?,
            "geo_bounding_box" | "geo_bbox" => geo::bounding_box(body)?,
            "geo_polygon" => geo::polygon(body)?,
            "query_string" => self.object("query_string", body, strings::query_string)?,
            "simple_query_string" => {
                self.object("simple_query_string", body, strings::simple_query_string)?
            }
            "bool" => self.object("bool", body, |parser, fields| parser.bool(fields, depth))?,
            "filtered" => self.object("filtered", body, |parser, fields| parser.filtered(fields, depth))?,
            "constant_score" => self.object("constant_score", body, |parser, fields| {
                let filter = fields.any(&["filter", "query"]);
                let filter =
                    filter.ok_or_else(|| fields.node.fail("`constant_score` needs `filter` or `query`"))?;
                Ok(QueryKind::ConstantScore(Box::new(parser.query(&filter, depth + 1)?)))
            })?,
            "nested" => self.object("nested", body, |parser, fields| parser.nested(fields, depth))?,
            "boosting" => self.object("boosting", body, |parser, fields| {
                Ok(QueryKind::Boosting {
                    positive: Box::new(parser.query(&fields.need("positive")?, depth + 1)?),
                    negative: Box::new(parser.query(&fields.need("negative")?, depth + 1)?),
                    negative_boost: fields.need("negative_boost")?.f32()?,
                })
            })?,
            "dis_max" => self.object("dis_max", body, |parser, fields| {
                let queries = fields.need("queries")?;
                let tie_breaker = fields.take("tie_breaker").map_or(Ok(0.0), |it| it.f32())?;
                Ok(QueryKind::DisMax { queries: parser.clauses_of(&queries, depth)?, tie_breaker })
            })?,
            "function_score" => self.object("function_score", body, |parser, fields| {
                function::function_score(parser, fields, depth).map(QueryKind::FunctionScore)
            })?,
            _ => return Ok(None),
        }))
    }

    /// Reads the body of a query that is an object of options, of which `boost` and `_name` are every query's.
    fn object(
        &mut self,
        of: &'static str,
        body: &Node<'_>,
        read: impl FnOnce(&mut Self, &mut Fields<'_>) -> Result<QueryKind>,
    ) -> Result<Query> {
        let mut fields = body.fields(of)?;
        let (boost, name) = common(&mut fields)?;
        let kind = read(self, &mut fields)?;
        fields.finish()?;
        Ok(Query { kind, boost, name, pointer: body.pointer() })
    }

    /// One query or an array of them.
    fn clauses_of(&mut self, node: &Node<'_>, depth: usize) -> Result<Vec<Query>> {
        node.items().iter().map(|item| self.query(item, depth + 1)).collect()
    }

    fn bool(&mut self, fields: &mut Fields<'_>, depth: usize) -> Result<QueryKind> {
        let mut clauses = |names: &[&'static str]| match fields.any(names) {
            Some(node) => self.clauses_of(&node, depth),
            None => Ok(Vec::new()),
        };
        let (must, filter) = (clauses(&["must"])?, clauses(&["filter"])?);
        let (should, must_not) = (clauses(&["should"])?, clauses(&["must_not", "mustNot"])?);
        let minimum =
            fields.any(&["minimum_should_match", "minimum_number_should_match", "minimumShouldMatch"]);
        let minimum = minimum.map(|it| Minimum::parse(&it)).transpose()?;
        let disable_coord =
            fields.any(&["disable_coord", "disableCoord"]).map_or(Ok(false), |it| it.bool())?;
        if let Some(adjust) = fields.take("adjust_pure_negative")
            && !adjust.bool()?
        {
            return Err(adjust.unsupported("`adjust_pure_negative: false`"));
        }
        Ok(QueryKind::Bool(Bool { must, filter, should, must_not, minimum, disable_coord }))
    }

    fn filtered(&mut self, fields: &mut Fields<'_>, depth: usize) -> Result<QueryKind> {
        fields.hint(&["strategy"]);
        let must = fields.take("query").map(|it| self.query(&it, depth + 1)).transpose()?;
        let filter = fields.take("filter").map(|it| self.query(&it, depth + 1)).transpose()?;
        let everything = || Query::of(QueryKind::MatchAll, &fields.node.pointer());
        let must = vec![must.unwrap_or_else(everything)];
        Ok(QueryKind::Bool(Bool { must, filter: filter.into_iter().collect(), ..Bool::default() }))
    }

    /// What both a query and a filter select; everything when there is neither.
    pub(super) fn query_and_filter(
        &mut self,
        at: &Node<'_>,
        query: Option<Node<'_>>,
        filter: Option<Node<'_>>,
        depth: usize,
    ) -> Result<Query> {
        let query = query.map(|it| self.query(&it, depth + 1)).transpose()?;
        let filter = filter.map(|it| self.query(&it, depth + 1)).transpose()?;
        let pointer = at.pointer();
        let Some(filter) = filter else {
            return Ok(query.unwrap_or_else(|| Query::of(QueryKind::MatchAll, &pointer)));
        };
        let Some(query) = query else {
            return Ok(Query::of(QueryKind::ConstantScore(Box::new(filter)), &pointer));
        };
        let both = Bool { must: vec![query], filter: vec![filter], ..Bool::default() };
        Ok(Query::of(QueryKind::Bool(both), &pointer))
    }

    fn and_or(&mut self, and: bool, body: &Node<'_>, depth: usize) -> Result<Query> {
        let (mut boost, mut name) = (1.0, None);
        let clauses = match body.value {
            Value::Object(_) => {
                let mut fields = body.fields(if and { "and" } else { "or" })?;
                (boost, name) = common(&mut fields)?;
                let filters = fields.need("filters")?;
                fields.finish()?;
                self.clauses_of(&filters, depth)?
            }
            Value::Array(_) => self.clauses_of(body, depth)?,
            _ => return Err(body.expected("an array of filters, or an object with `filters`")),
        };
        if clauses.is_empty() {
            return Err(body.fail("found no filter, expected at least one"));
        }
        let bool = if and {
            Bool { must: clauses, ..Bool::default() }
        } else {
            Bool { should: clauses, minimum: Some(Minimum::count(1)), ..Bool::default() }
        };
        Ok(Query { kind: QueryKind::Bool(bool), boost, name, pointer: body.pointer() })
    }

    /// `{"not": {"filter": {..}}}`, `{"not": {"query": {..}}}` or `{"not": {..}}`.
    fn not(&mut self, body: &Node<'_>, depth: usize) -> Result<Query> {
        let map = body.map("a filter")?;
        let wrapped = map.contains_key("filter") || map.keys().any(|key| key.starts_with('_'));
        let (mut boost, mut name) = (1.0, None);
        let inner = if wrapped || (map.len() > 1 && map.contains_key("query")) {
            let mut fields = body.fields("not")?;
            (boost, name) = common(&mut fields)?;
            let inner = fields.any(&["filter", "query"]);
            let inner = inner.ok_or_else(|| body.fail("`not` needs `filter` or `query`"))?;
            fields.finish()?;
            self.query(&inner, depth + 1)?
        } else {
            self.query(body, depth + 1)?
        };
        let bool = Bool { must_not: vec![inner], ..Bool::default() };
        Ok(Query { kind: QueryKind::Bool(bool), boost, name, pointer: body.pointer() })
    }

    fn nested(&mut self, fields: &mut Fields<'_>, depth: usize) -> Result<QueryKind> {
        fields.refuse(&["inner_hits"])?;
        fields.hint(&["join"]);
        let path = fields.need("path")?.str()?.to_owned();
        let (query, filter) = (fields.take("query"), fields.take("filter"));
        if query.is_none() && filter.is_none() {
            return Err(fields.node.fail("`nested` needs `query` or `filter`"));
        }
        let query = Box::new(self.query_and_filter(&fields.node, query, filter, depth)?);
        let score_mode = fields.any(&["score_mode", "scoreMode"]).map_or(Ok(NestedScore::Avg), |it| {
            it.one_of(&[
                ("avg", NestedScore::Avg),
                ("sum", NestedScore::Total),
                ("total", NestedScore::Total),
                ("max", NestedScore::Max),
                ("min", NestedScore::Min),
                ("none", NestedScore::None),
            ])
        })?;
        Ok(QueryKind::Nested { path, query, score_mode })
    }
}

/// `boost` and `_name`; hints for the caches of Elasticsearch mean nothing here.
pub(super) fn common(fields: &mut Fields<'_>) -> Result<(f32, Option<String>)> {
    fields.hint(&["_cache", "_cache_key"]);
    let boost = fields.take("boost").map_or(Ok(1.0), |it| it.f32())?;
    let name = fields.take("_name").map(|it| it.str().map(str::to_owned)).transpose()?;
    Ok((boost, name))
}

fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.chars().take(100) {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
