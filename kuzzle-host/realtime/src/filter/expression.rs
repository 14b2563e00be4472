//! What a filter says, as it was written.

use std::sync::Arc;

use crate::geo::Shape;
use crate::value::{Datum, Scalar};

use super::pattern::Pattern;

/// A filter as it was written: the typed tree that JSON is read into.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// Matches every document.
    Everything,
    /// Matches what all of them match.
    And(Vec<Expression>),
    /// Matches what any of them matches.
    Or(Vec<Expression>),
    /// Matches what it does not match.
    Not(Box<Expression>),
    /// Looks at one field.
    Test(Test),
}

/// A question about one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// Path of the field, with dots between names; `_id` is the document's id.
    pub field: Arc<str>,
    /// What is asked.
    pub predicate: Predicate,
}

/// What is asked of a field. A field that is absent answers no.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// Whether it is one of these values: `term`, `terms`, `ids`.
    Terms(Box<[Scalar]>),
    /// Whether it lies within all of these bounds: `range`.
    Range(Box<[Bound]>),
    /// Whether it is there, and neither null nor empty: `exists`.
    Exists,
    /// Whether it is a string in which a regular expression matches: `regexp`.
    Regexp(Arc<Pattern>),
    /// Whether it is a point within a shape: the filters that begin with `geo`.
    Within(Arc<Shape>),
}

/// One end of a range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bound {
    /// On which side of the value.
    pub side: Side,
    /// The value that the field is compared with; never null.
    pub value: Scalar,
}

/// On which side of a bound a value lies, and whether it may be the bound itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// `gt`
    Above,
    /// `gte`, `from`
    AtLeast,
    /// `lt`
    Below,
    /// `lte`, `to`
    AtMost,
}

impl Side {
    /// The operator of the filter language.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Above => "gt",
            Side::AtLeast => "gte",
            Side::Below => "lt",
            Side::AtMost => "lte",
        }
    }

    /// Whether it is a lower bound.
    pub(crate) fn is_lower(self) -> bool {
        matches!(self, Side::Above | Side::AtLeast)
    }
}

impl Bound {
    pub(crate) fn holds(&self, datum: Datum<'_>) -> bool {
        datum.compare(&self.value).is_some_and(|order| match self.side {
            Side::Above => order.is_gt(),
            Side::AtLeast => order.is_ge(),
            Side::Below => order.is_lt(),
            Side::AtMost => order.is_le(),
        })
    }
}
