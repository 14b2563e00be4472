//! The query language of searches.

mod analysis;
mod dates;
mod error;
mod geo;
pub mod limits;
mod mapping;
mod node;

pub use error::{Error, ErrorKind, Result};
pub use mapping::Mapping;
