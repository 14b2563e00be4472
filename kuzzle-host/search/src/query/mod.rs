//! Queries and filters as a typed tree. [`Query::parse`] reads the JSON in every notation of Elasticsearch 1.x and 2.x;
//! what those spell in several ways is one thing here: `and`, `or`, `not`, `filtered` and the syntax of `query_string`
//! become [`Bool`]s.

mod function;
mod geo;
mod leaf;
mod lucene;
mod minimum;
mod parse;
mod regexp;
mod simple;
mod strings;
#[cfg(test)]
mod tests;
mod text;
mod wildcard;

pub use function::{Combine, FieldValueFactor, Function, FunctionScore, Modifier, ScoreFunction};
pub use minimum::{Fuzziness, Minimum};
pub(crate) use parse::Parser;
pub use regexp::Regexp;
pub use text::{Match, MatchKind, MultiMatch, MultiMatchKind};
pub use wildcard::Wildcard;

use crate::geo::{BoundingBox, DistanceKind, Point};
pub use crate::node::Scalar;

/// A query or filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What it looks for.
    pub kind: QueryKind,
    /// Weight of its score; 1 by default.
    pub boost: f32,
    /// Its `_name`: hits say which named queries they match.
    pub name: Option<String>,
    /// Where it stands, as a JSON pointer into the request.
    pub pointer: String,
}

/// What a [`Query`] looks for.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryKind {
    /// Every document.
    MatchAll,
    /// A text, analysed, in one field.
    Match(Match),
    /// A text, analysed, in several fields.
    MultiMatch(MultiMatch),
    /// A term as it is.
    Term {
        /// Path of the field.
        field: String,
        /// The term, read by the field's type.
        value: Scalar,
    },
    /// Any of several terms, or so many of them.
    Terms {
        /// Path of the field.
        field: String,
        /// The terms.
        values: Vec<Scalar>,
        /// How many of them; one by default.
        minimum: Option<Minimum>,
    },
    /// Values between two ends.
    Range(Range),
    /// Clauses that must, should and must not match.
    Bool(Bool),
    /// What a filter matches, each with the same score.
    ConstantScore(Box<Query>),
    /// Terms that begin with a text.
    Prefix {
        /// Path of the field.
        field: String,
        /// How they begin.
        value: String,
    },
    /// Terms of a shape with `*` and `?`.
    Wildcard {
        /// Path of the field.
        field: String,
        /// The shape.
        pattern: Wildcard,
    },
    /// Terms that a regular expression matches as a whole.
    Regexp {
        /// Path of the field.
        field: String,
        /// The expression.
        pattern: Regexp,
    },
    /// Terms that differ by few letters.
    Fuzzy {
        /// Path of the field.
        field: String,
        /// The term.
        value: String,
        /// How many letters may differ.
        fuzziness: Fuzziness,
        /// Letters at the beginning that may not differ.
        prefix_length: usize,
        /// Whether two neighbours that changed places count as one difference.
        transpositions: bool,
    },
    /// Documents that have a value.
    Exists {
        /// Path of a field or an object; may hold `*`.
        field: String,
    },
    /// Documents that have no value.
    Missing {
        /// Path of a field or an object; may hold `*`.
        field: String,
        /// Whether documents without the field match.
        existence: bool,
        /// Whether documents match whose `null` was replaced by the mapping's `null_value`.
        null_value: bool,
    },
    /// Documents with one of these ids.
    Ids {
        /// Names of collections; empty: any.
        types: Vec<String>,
        /// The ids.
        values: Vec<String>,
    },
    /// Documents of a collection.
    Type {
        /// Its name.
        value: String,
    },
    /// Points at a distance from another.
    GeoDistance(GeoDistance),
    /// Points within a box.
    GeoBoundingBox {
        /// Path of the field.
        field: String,
        /// The box.
        bounds: BoundingBox,
    },
    /// Points within a polygon.
    GeoPolygon {
        /// Path of the field.
        field: String,
        /// Its corners.
        corners: Vec<Point>,
    },
    /// Documents with a nested object that matches by itself.
    Nested {
        /// Path of the nested object.
        path: String,
        /// What the object has to match.
        query: Box<Query>,
        /// What the scores of several objects make.
        score_mode: NestedScore,
    },
    /// What one query matches, with less score where another matches too.
    Boosting {
        /// What has to match.
        positive: Box<Query>,
        /// What is wished away.
        negative: Box<Query>,
        /// Factor of the score where `negative` matches.
        negative_boost: f32,
    },
    /// What any of several queries matches, with the score of the best.
    DisMax {
        /// The queries.
        queries: Vec<Query>,
        /// How much the scores of the others count.
        tie_breaker: f32,
    },
    /// What a query matches, with a score that functions make.
    FunctionScore(FunctionScore),
}

/// Clauses that are combined.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bool {
    /// All of these match, and score.
    pub must: Vec<Query>,
    /// All of these match, and do not score.
    pub filter: Vec<Query>,
    /// Some of these match, and score.
    pub should: Vec<Query>,
    /// None of these matches.
    pub must_not: Vec<Query>,
    /// How many of `should`. By default one when nothing else has to match or in a filter, else none.
    pub minimum: Option<Minimum>,
    /// Whether the score is not multiplied by the share of clauses that match.
    pub disable_coord: bool,
}

/// The two ends of a [`QueryKind::Range`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Range {
    /// Path of the field.
    pub field: String,
    /// The lower end; open when `None`.
    pub from: Option<Scalar>,
    /// The upper end; open when `None`.
    pub to: Option<Scalar>,
    /// Whether the lower end belongs to it.
    pub include_from: bool,
    /// Whether the upper end belongs to it.
    pub include_to: bool,
    /// How dates are read; by default as the field's.
    pub format: Option<String>,
    /// Of dates without an offset.
    pub time_zone: Option<String>,
    /// Whether ends that the field's type cannot read match nothing instead of being refused.
    pub lenient: bool,
}

/// A ring, or a disc, around a point.
#[derive(Debug, Clone, PartialEq)]
pub struct GeoDistance {
    /// Path of the field.
    pub field: String,
    /// The centre.
    pub centre: Point,
    /// Metres from which on; `None`: from the centre.
    pub from_m: Option<f64>,
    /// Metres up to which; `None`: without end.
    pub to_m: Option<f64>,
    /// Whether the nearer end belongs to it.
    pub include_from: bool,
    /// Whether the farther end belongs to it.
    pub include_to: bool,
    /// How distances are computed.
    pub kind: DistanceKind,
}

/// What the scores of the nested objects that match make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NestedScore {
    /// Their mean.
    Avg,
    /// Their sum.
    Total,
    /// The greatest.
    Max,
    /// The least.
    Min,
    /// Nothing: the score is 0.
    None,
}

impl Query {
    pub(crate) fn of(kind: QueryKind, pointer: &str) -> Self {
        Self { kind, boost: 1.0, name: None, pointer: pointer.to_owned() }
    }

    pub(crate) fn boosted(mut self, boost: f32) -> Self {
        self.boost *= boost;
        self
    }
}
