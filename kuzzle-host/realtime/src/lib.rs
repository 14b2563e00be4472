//! Subscriptions with filters: who is told of which document.
//!
//! - [`Filter`]: a condition on documents, read from JSON; equal filters have one normal form.
//! - [`Matcher`]: the index that finds the filters that match a document.
//!
//! The crate knows nothing of storage, users, protocols or the time of day: documents are arguments, and connections are
//! whatever the caller tells apart.
//!
//! # The filter language
//!
//! `term`, `terms`, `range`, `exists`, `missing`, `ids`, `regexp`, `geoBoundingBox`, `geoDistance`, `geoDistanceRange`,
//! `geoPolygon`, joined by `and`, `or`, `not`, `bool`, `must`, `must_not` and `should`. Names may be written in camel case,
//! with underscores or with hyphens. Values are compared as JavaScript compares them: `term` by `===`, `range` by its
//! relational operators, numbers as doubles.
//!
//! Where the first server had faults, this one does what its documentation said:
//!
//! - `not` is the opposite in logic, several `or` in one `and` all count, and a filter that says what a document lacks matches
//!   documents that lack all of its fields.
//! - `null` is taken as absent by `range`, for bounds and for fields; arrays and objects lie in no range.
//! - 0 is a coordinate and a distance like any other. Coordinates out of range are refused in filters, and are no point in
//!   documents.
//! - A filter has one key, and so has the field of a condition. The first server took the first one and forgot the others,
//!   which changes what is asked; here it is an error.
//! - What can never equal a field, an array or an object in a `term`, is an error.

mod document;
mod error;
mod filter;
mod geo;
pub mod limits;
mod matcher;
#[cfg(test)]
mod tests;
mod value;

pub use document::Document;
pub use error::{FilterError, FilterErrorKind, FilterResult};
pub use filter::{Bound, Expression, Filter, Pattern, Predicate, Side, Test};
pub use geo::{Point, Rectangle, Shape};
pub use matcher::{Inserted, Matcher};
pub use value::{Number, Scalar};
