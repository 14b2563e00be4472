//! The query language of searches.

mod aggs;
mod analysis;
mod dates;
mod document;
mod error;
mod evaluate;
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
pub use request::{Execution, Search, SearchResult};
