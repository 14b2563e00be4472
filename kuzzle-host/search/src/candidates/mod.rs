//! What an index needs to know of documents and queries: the keys that it holds for a document
//! ([`Prepared::each_key`](crate::Prepared::each_key)), and, for a query, which keys tell the documents that may match
//! ([`Candidates`]).
//!
//! An index only saves work. It gives candidates, and the evaluator has the last word on each of them, unless they are
//! known to be exact. How keys are stored, and how sets of documents are combined, is the index's own affair.
//!
//! # Keys
//!
//! ```text
//! length of the path, 2 bytes, big-endian ‖ path ‖ kind, 1 byte ‖ value
//! ```
//!
//! Keys of one path and kind stand together, in the order of their values. What is said of nested objects has kinds of
//! its own: it is true of some nested object of the document, at whatever depth. Numbers are there in several
//! precisions, so that a range is made of few keys; so are points, along a curve that fills the map.

mod cells;
mod key;
mod plan;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use crate::evaluate::{TermTest, edits};
pub use key::keys_of_term;
pub(crate) use plan::{is_constant, plan};

/// Keys between two ends, the first included and the second not.
pub type KeyRange = Range<Vec<u8>>;

/// The documents that may match.
#[derive(Debug, Clone)]
pub struct Candidates {
    /// Which documents these are.
    pub matching: Matching,
    /// Whether each of them matches: then nothing has to be verified to count them.
    pub exact: bool,
}

/// A set of documents of one collection, by the keys that they have.
#[derive(Debug, Clone)]
pub enum Matching {
    /// Every document.
    All,
    /// No document.
    None,
    /// Those that have a key.
    Term(Vec<u8>),
    /// Those that have any of these keys, of which there may be as many as
    /// [`TERMS_MAX`](crate::limits::TERMS_MAX); ascending, none twice.
    Terms(Vec<Vec<u8>>),
    /// Those that have a key in any of these ranges.
    Ranges(Vec<KeyRange>),
    /// Those that have a key that passes a test.
    Scan(Scan),
    /// Those that are in all of these sets.
    And(Vec<Matching>),
    /// Those that are in any of these sets.
    Or(Vec<Matching>),
    /// Those that are in the first set and not in the second.
    AndNot(Box<Matching>, Box<Matching>),
    /// Those that are in at least so many of these sets, which is 2 or more and fewer than all.
    AtLeast(usize, Vec<Matching>),
    /// Those with one of these ids; none is there twice.
    Ids(Vec<String>),
}

/// Keys of texts of one field, of which those count that pass a test.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Where the keys stand.
    pub range: KeyRange,
    /// Bytes of a key before its text.
    header: usize,
    /// `None`: all of them count.
    test: Option<Arc<WordTest>>,
}

#[derive(Debug)]
enum WordTest {
    Term(TermTest),
    /// Words that differ by few letters.
    Near {
        letters: Vec<char>,
        edits: u32,
        transpositions: bool,
    },
}

impl WordTest {
    fn passes(&self, text: &str) -> bool {
        match self {
            WordTest::Term(test) => test.passes(text),
            WordTest::Near { letters, edits: most, transpositions } => {
                edits(letters, text, *most, *transpositions).is_some()
            }
        }
    }
}

impl Scan {
    /// Whether a key of the range counts.
    pub fn accepts(&self, key: &[u8]) -> bool {
        self.text(key).is_some_and(|text| self.test.as_ref().is_none_or(|test| test.passes(text)))
    }

    /// The text of a key of the range.
    pub fn text<'k>(&self, key: &'k [u8]) -> Option<&'k str> {
        std::str::from_utf8(key.get(self.header..)?).ok()
    }

    /// All texts of a field that begin with a prefix: those of the root, and those of nested objects.
    pub fn of_field(field: &str, prefix: &str) -> [Self; 2] {
        [false, true].map(|nested| key::texts(field, nested, prefix, None))
    }
}

/// What an index can do for a search.
#[derive(Debug, Clone)]
pub struct SearchPlan {
    /// The documents that have to be pushed into the [`Run`](crate::Run).
    pub candidates: Candidates,
    /// Where candidates are exact and this is `Some`, it is enough to push so many of them, those with the least
    /// sequence, and to tell the run of the others by their number ([`Run::add_unseen`](crate::Run::add_unseen)).
    pub first_by_sequence: Option<usize>,
}
