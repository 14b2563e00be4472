//! Aggregations: what is counted and computed over all documents that match, nested in one another.
//!
//! [`parse`] reads them, [`Plan`] is what they are under a mapping, [`Collection`] gathers and renders. Counts are exact:
//! there is one shard, so `doc_count_error_upper_bound` is always 0.

mod cardinality;
mod collect;
mod metrics;
mod parse;
mod plan;
mod render;
#[cfg(test)]
mod tests;

pub(crate) use collect::Collection;
pub(crate) use parse::{Aggregation, parse};
pub(crate) use plan::Plan;
