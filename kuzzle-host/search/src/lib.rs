//! The query language of searches: that of Elasticsearch 1.x and 2.x, which clients of the original server write.
//!
//! ```
//! use std::sync::{Arc, atomic::AtomicBool};
//! use kuzzle_search::{Document, Execution, Mapping, Prepared, Search};
//! use serde_json::json;
//!
//! let source = json!({"title": "Dive into Rust", "year": 2016});
//! let mapping = Mapping::default().observe(&source)?.unwrap_or_default();
//! let document = Document {
//!     index: Arc::from("library"),
//!     collection: Arc::from("books"),
//!     id: "1".to_owned(),
//!     version: 1,
//!     sequence: 1,
//!     source: Arc::new(source),
//! };
//! let books = [Prepared::new(document, &mapping)];
//! let search = Search::parse(&json!({"query": {"match": {"title": "rust"}}, "_source": "year"}))?;
//! let cancelled = AtomicBool::new(false);
//! let execution = Execution { mapping: &mapping, now_ms: 0, cancelled: &cancelled, statistics: None };
//! let result = search.execute(execution, &books)?;
//! assert_eq!((result.total, &result.hits[0]["_source"]), (1, &json!({"year": 2016})));
//! # Ok::<(), kuzzle_search::Error>(())
//! ```
//!
//! The crate knows nothing of storage, users, HTTP or the time of day: documents and `now` are arguments. It is what
//! small collections are answered with, and what an index has to agree with. The parsed [`Query`] is public, so that
//! an index reads requests with the same parser.
//!
//! # What is there
//!
//! - **Mappings**: `string` (analyzed, not_analyzed, no), `long`, `integer`, `short`, `byte`, `double`, `float`,
//!   `boolean`, `date` with formats, `geo_point`, `ip`, `binary`, `object`, `nested`; multi-fields, `copy_to`,
//!   `null_value`, `include_in_all`, `ignore_above`, `ignore_malformed`, `coerce`, `boost`, `dynamic`, `_all`; detection
//!   of dates and numbers. Options that only say how values are stored are kept, shown, and change no result: `store`,
//!   `doc_values`, `fielddata`, `precision_step`, `index_options`, `term_vector`, and those of `geo_point`.
//! - **Analysers**: `standard`, `simple`, `whitespace`, `keyword`, `stop`, and those of 25 languages.
//! - **Queries and filters**: `match_all`, `match`, `match_phrase`, `match_phrase_prefix`, `multi_match`, `term`, `terms`,
//!   `range`, `prefix`, `wildcard`, `regexp`, `fuzzy`, `exists`, `missing`, `ids`, `type`, `query_string`,
//!   `simple_query_string`, `bool`, `filtered`, `constant_score`, `and`, `or`, `not`, `query`, `dis_max`, `boosting`,
//!   `function_score` with `weight`, `field_value_factor` and `random_score`, `nested`, `geo_distance`,
//!   `geo_distance_range`, `geo_bounding_box`, `geo_polygon`.
//! - **Requests**: `query`, `filter` and `post_filter`, `from`, `size`, `sort`, `_source`, `fields`, `highlight`,
//!   `min_score`, `version`, `track_scores`, `timeout`, `aggs`.
//! - **Aggregations**, in one another: `terms`, `range`, `date_range`, `histogram`, `date_histogram`, `filter`, `filters`,
//!   `missing`, `global`, `nested`, `stats`, `extended_stats`, `min`, `max`, `avg`, `sum`, `value_count`, `cardinality`,
//!   `percentiles`, `top_hits`, `geohash_grid`.
//!
//! # What is refused
//!
//! Whatever is not in these lists is an error that names it and its place: as unknown, or as `not supported here` when
//! Elasticsearch has it. The latter are, among queries, `more_like_this`, `common`, `has_child`, `has_parent`,
//! `geo_shape`, `geohash_cell`, `script`, `indices`, `limit`, `template`, `wrapper` and the `span_` queries; of functions
//! `script_score` and the decays; of aggregations `significant_terms`, `ip_range`, `geo_distance`, `geo_bounds`,
//! `percentile_ranks`, `reverse_nested`, `children`, `scripted_metric` and those that work on other aggregations; of
//! requests `facets`, `suggest`, `rescore`, `script_fields`, `fielddata_fields`, `explain`, `terminate_after`, `scroll`
//! and `inner_hits`; of mappings `geo_shape`, `completion`, `token_count`, `dynamic_templates`, `_parent`, `_routing`,
//! `_timestamp`, `_ttl`, a `_source` that is not stored whole, and analysers that are not in the list.
//!
//! # What differs from Elasticsearch
//!
//! - There is one shard: scores take counts of the whole collection, counts of `terms` are exact, and pages are the same
//!   each time, since what is equal keeps the order in which it was stored.
//! - Languages are stemmed by Snowball, where Lucene has lighter stemmers for some; stop words are Snowball's.
//! - `match_phrase_prefix` and fuzzy queries are not cut at `max_expansions`: they may find more.
//! - `percentiles` are exact, and `cardinality` is up to [`limits::CARDINALITY_EXACT_MAX`].
//! - A range over whole numbers with fractional ends takes the ends as they are, where Elasticsearch cuts them.
//! - A dot in the name of a document's field is a step into an object.
//! - `field_value_factor` without `missing` makes 1 of documents that lack the field.

mod aggs;
mod analysis;
pub mod candidates;
mod dates;
mod document;
mod error;
mod evaluate;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod generate;
mod geo;
pub mod limits;
mod mapping;
mod node;
pub mod query;
mod request;

pub use document::{Document, Prepared};
pub use error::{Error, ErrorKind, Result};
pub use evaluate::Statistics;
pub use geo::{BoundingBox, DistanceKind, LengthUnit, Point};
pub use mapping::Mapping;
pub use query::Query;
pub use request::{Execution, Held, Matcher, Run, Search, SearchResult};
