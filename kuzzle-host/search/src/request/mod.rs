//! The body of a search: what is looked for, how hits are sorted, cut and shown.

mod execute;
mod highlight;
mod hits;
mod run;
mod sort;
mod source;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use execute::{Execution, SearchResult};
pub use hits::Held;
pub(crate) use hits::{HitOptions, Shown, Top};
pub use run::{Matcher, Run};

use crate::aggs::{self, Aggregation};
use crate::error::Result;
use crate::node::Node;
use crate::query::{Parser, Query, QueryKind};

/// A search, read from the JSON of its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    query: Query,
    post_filter: Option<Query>,
    min_score: Option<f32>,
    timeout_ms: Option<i64>,
    hits: HitOptions,
    aggregations: Vec<Aggregation>,
}

const UNSUPPORTED: &[&str] = &[
    "facets",
    "fielddata_fields",
    "indices_boost",
    "inner_hits",
    "partial_fields",
    "profile",
    "rescore",
    "script_fields",
    "scroll",
    "search_type",
    "slice",
    "stats",
    "suggest",
    "template",
    "terminate_after",
];

impl Search {
    /// Reads the body of a search; an empty one, or `null`, finds the first ten of all documents.
    ///
    /// # Errors
    /// As [`Query::parse`]: whatever is not known at its place is refused by name. So is a page that ends beyond
    /// [`WINDOW_MAX`](crate::limits::WINDOW_MAX).
    pub fn parse(body: &Value) -> Result<Self> {
        let empty = Value::Object(serde_json::Map::new());
        let node = Node::root(if body.is_null() { &empty } else { body });
        let mut fields = node.fields("search")?;
        fields.refuse(UNSUPPORTED)?;
        let mut parser = Parser::default();
        let query = match fields.take("query") {
            Some(query) => parser.query(&query, 0)?,
            None => Query::of(QueryKind::MatchAll, ""),
        };
        // Clients build `"filter": {}` when they have none.
        let post_filter = fields.any(&["post_filter", "filter"]);
        let post_filter = post_filter.filter(|it| it.value.as_object().is_none_or(|map| !map.is_empty()));
        let post_filter = post_filter.map(|it| parser.query(&it, 0)).transpose()?;
        let min_score = fields.take("min_score").map(|it| it.f32()).transpose()?;
        let timeout_ms = fields.take("timeout").map(|it| timeout(&it)).transpose()?;
        let hits = HitOptions::read(&mut fields, &mut parser, 10)?;
        let aggregations = match fields.any(&["aggregations", "aggs"]) {
            Some(node) => aggs::parse(&node, &mut parser)?,
            None => Vec::new(),
        };
        fields.finish()?;
        Ok(Self { query, post_filter, min_score, timeout_ms, hits, aggregations })
    }

    /// Reads the body of a count: a search of which only `query` is asked for.
    ///
    /// # Errors
    /// As [`Search::parse`]; any key but `query` and `filter` is refused.
    pub fn parse_count(body: &Value) -> Result<Self> {
        if let Some(map) = body.as_object() {
            let node = Node::root(body);
            for (key, value) in map {
                if !["query", "filter", "post_filter", "min_score"].contains(&key.as_str()) {
                    let message = format!(
                        "unknown key `{}` in `count`; known here: `query`",
                        crate::node::excerpt(key)
                    );
                    return Err(node.key(key, value).fail(message));
                }
            }
        }
        Self::parse(body)
    }

    /// The query.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// What hits have to match besides, and aggregations have not.
    pub fn post_filter(&self) -> Option<&Query> {
        self.post_filter.as_ref()
    }

    /// Milliseconds after which whoever asked waits no longer, if the body says so. It is the caller who knows the
    /// time, and sets the flag of [`Execution`].
    pub fn timeout_ms(&self) -> Option<i64> {
        self.timeout_ms
    }
}

fn timeout(node: &Node<'_>) -> Result<i64> {
    let found = match node.value {
        Value::String(text) => crate::dates::duration_ms(text).or_else(|| text.parse().ok()),
        _ => Some(node.i64()?),
    };
    found.filter(|it| *it > 0 || *it == -1).ok_or_else(|| node.expected("a time such as `500ms` or `5s`"))
}
