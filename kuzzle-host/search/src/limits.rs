//! Limits on whatever a client controls. Each is checked before memory is taken; the error names it.

/// How deep queries, filters, sub-aggregations and objects of a mapping nest.
pub const DEPTH_MAX: usize = 20;
/// Clauses of one request, in all its queries and filters together, and of what text is analysed to.
pub const CLAUSES_MAX: usize = 1024;
/// Values of one `terms` or `ids` query.
pub const TERMS_MAX: usize = 65_536;
/// Bytes of a text that a query analyses or parses.
pub const QUERY_TEXT_MAX_BYTES: usize = 64 * 1024;
/// Bytes of the pattern of a `regexp`, `wildcard`, `prefix`, `include` or `exclude`.
pub const PATTERN_MAX_BYTES: usize = 1000;
/// How many of [`CLAUSES_MAX`] a regular expression takes, since it may take so much memory.
pub const REGEXP_CLAUSES: usize = 16;
/// Bytes that a compiled regular expression may take.
pub const REGEXP_MAX_BYTES: usize = 1024 * 1024;
/// `from` + `size`: deeper pages are reached by narrowing the query, such as by a range on the sort key.
pub const WINDOW_MAX: usize = 10_000;
/// Keys of one `sort`.
pub const SORT_KEYS_MAX: usize = 16;
/// Buckets that the aggregations of one request may make together.
pub const BUCKETS_MAX: usize = 65_536;
/// Aggregations of one request, sub-aggregations included.
pub const AGGREGATIONS_MAX: usize = 256;
/// Fields of one mapping, multi-fields and objects included.
pub const FIELDS_MAX: usize = 1000;
/// Bytes of the name of a field, its path included.
pub const FIELD_NAME_MAX_BYTES: usize = 1024;
/// Bytes of a term; longer values that are not analysed are not indexed, and tokens of more than 255 characters are
/// left out, as in Lucene.
pub const TERM_MAX_BYTES: usize = 32_766;
/// Corners of one `geo_polygon`.
pub const POLYGON_POINTS_MAX: usize = 10_000;
/// Operations of one expression of date math.
pub const DATE_MATH_OPERATIONS_MAX: usize = 32;
/// The edit distance of a fuzzy query, as in Lucene.
pub const FUZZY_EDITS_MAX: u32 = 2;
/// Fragments and characters of a fragment that highlighting gives for one field.
pub const FRAGMENTS_MAX: usize = 100;
/// Values that `cardinality` counts exactly; beyond, it estimates.
pub const CARDINALITY_EXACT_MAX: usize = 40_000;
/// Values of one `percentiles` or of one document's field that are kept.
pub const PERCENTILE_VALUES_MAX: usize = 1_000_000;
