//! Limits on whatever a client controls. Each is checked before memory is taken; the error names it.

/// How deep filters nest in one another.
pub const DEPTH_MAX: usize = 20;
/// Filters that one filter may consist of, itself and those in it counted together.
pub const CLAUSES_MAX: usize = 1024;
/// Values of all `terms` and `ids` of one filter together.
pub const TERMS_MAX: usize = 16_384;
/// Points of all polygons of one filter together.
pub const POLYGON_POINTS_MAX: usize = 10_000;
/// Bytes of the name of a field, its path included.
pub const FIELD_NAME_MAX_BYTES: usize = 1024;
/// How deep the path of a field goes: names between dots.
pub const FIELD_DEPTH_MAX: usize = 127;
/// Bytes of the pattern of a `regexp`.
pub const PATTERN_MAX_BYTES: usize = 1000;
/// How deep groups nest in a pattern.
pub const PATTERN_DEPTH_MAX: u32 = 50;
/// How many of [`CLAUSES_MAX`] a regular expression takes, since it may take so much memory.
pub const REGEXP_CLAUSES: usize = 16;
/// Bytes that a compiled regular expression may take.
pub const REGEXP_MAX_BYTES: usize = 256 * 1024;
/// Bytes that the table of states of a regular expression may grow to while it is matched.
pub const REGEXP_STATES_MAX_BYTES: usize = 256 * 1024;

/// Conjunctions that a filter is rewritten to. Beyond, alternatives are verified instead of indexed.
pub const CONJUNCTIONS_MAX: usize = 16;
/// Values of one `terms` or `ids` under each of which a filter is indexed. Longer lists are verified.
pub const INDEXED_VALUES_MAX: usize = 128;
