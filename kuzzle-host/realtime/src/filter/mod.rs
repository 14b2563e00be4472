//! The filter language: reading it, its one normal form, and what a filter says of a document.

mod evaluate;
mod expression;
mod geo;
mod javascript;
mod normal;
mod parse;
mod pattern;
mod place;
mod range;
mod render;

use std::fmt;

use serde_json::Value;

pub use expression::{Bound, Expression, Predicate, Side, Test};
pub use pattern::Pattern;

pub(crate) use normal::{Literal, Normal};
pub(crate) use parse::ID;
pub(crate) use pattern::GRAM_BYTES;
pub(crate) use range::{numbers, text_key, texts};

use crate::document::Document;
use crate::error::FilterResult;

/// What a subscriber wants to hear of: a condition on documents.
///
/// ```
/// use kuzzle_realtime::{Document, Filter};
/// use serde_json::json;
///
/// let filter = Filter::parse(&json!({"and": [{"term": {"city": "NYC"}}, {"range": {"age": {"gte": 36}}}]}))?;
/// let grace = json!({"city": "NYC", "age": 85});
/// assert!(filter.matches(&Document { id: None, source: &grace }));
/// # Ok::<(), kuzzle_realtime::FilterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    expression: Expression,
    normal: Normal,
}

impl Filter {
    /// Reads a filter. `null` and `{}` match every document.
    ///
    /// # Errors
    ///
    /// When it is no filter, or passes one of the [`limits`](crate::limits); the error names the place.
    pub fn parse(json: &Value) -> FilterResult<Filter> {
        let expression = parse::Parser::default().filter(&place::Place::root(json))?;
        let normal = Normal::of(&expression, false);
        Ok(Filter { expression, normal })
    }

    /// The filter as it was written.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// The filter in its normal form, as JSON in the same language. Filters that say the same in another order or notation
    /// have one normal form, and so share a room.
    pub fn to_json(&self) -> Value {
        self.normal.to_json()
    }

    /// Whether a document matches. It takes the filter as it was written, one condition after the other: what
    /// [`Matcher`](crate::Matcher) finds by its index is the same.
    pub fn matches(&self, document: &Document<'_>) -> bool {
        self.expression.matches(document)
    }

    pub(crate) fn normal(&self) -> &Normal {
        &self.normal
    }
}

impl PartialEq for Filter {
    /// Whether they say the same, as far as their normal forms show it.
    fn eq(&self, other: &Filter) -> bool {
        self.normal == other.normal
    }
}

impl fmt::Display for Filter {
    /// Writes the normal form as compact JSON with sorted keys.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.to_json())
    }
}
