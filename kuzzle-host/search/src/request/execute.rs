use std::sync::atomic::AtomicBool;

use serde_json::{Map, Value, json};

use super::Search;
use crate::document::Prepared;
use crate::error::Result;
use crate::evaluate::Statistics;
use crate::mapping::Mapping;

/// What a search runs with.
#[derive(Clone, Copy)]
pub struct Execution<'e> {
    /// The mapping under which the documents were prepared.
    pub mapping: &'e Mapping,
    /// What `now` is: milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: i64,
    /// Set by the caller to stop the search; it then ends with
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) after at most a few hundred documents.
    pub cancelled: &'e AtomicBool,
    /// Counts of the collection; `None`: they are counted in the documents that are given. A [`Run`](super::Run) adds
    /// to them what it was told to count.
    pub statistics: Option<&'e dyn Statistics>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchResult {
    /// Documents that match.
    pub total: u64,
    /// The best score; `null` when nothing matches or scores were not asked for.
    pub max_score: Value,
    /// The page of hits, each an object with `_index`, `_type`, `_id`, `_score`, `_source` and what was asked for.
    pub hits: Vec<Value>,
    /// By name; `None` when none were asked for.
    pub aggregations: Option<Map<String, Value>>,
}

impl SearchResult {
    /// The result of `read.search`: `hits` is the array, with `total` and `max_score` beside it.
    pub fn render(self, took_ms: u64) -> Value {
        let mut out = json!({
            "took": took_ms,
            "timed_out": false,
            "_shards": {"total": 1, "successful": 1, "failed": 0},
            "total": self.total,
            "max_score": self.max_score,
            "hits": self.hits,
        });
        if let (Some(aggregations), Some(map)) = (self.aggregations, out.as_object_mut()) {
            map.insert("aggregations".to_owned(), Value::Object(aggregations));
        }
        out
    }
}

impl Search {
    /// Searches documents that are all at hand, and makes the page of hits and the aggregations. Where there are many,
    /// [`Search::start`] takes them one by one.
    ///
    /// # Errors
    /// What the mapping shows to be wrong: a date that cannot be read, a sort by a field that is not mapped. More
    /// buckets than [`BUCKETS_MAX`](crate::limits::BUCKETS_MAX). Cancellation.
    pub fn execute<'d, I>(&self, execution: Execution<'_>, documents: I) -> Result<SearchResult>
    where
        I: IntoIterator<Item = &'d Prepared> + Clone,
    {
        let mut run = self.start(execution)?;
        if execution.statistics.is_none() && run.needs_counts() {
            documents.clone().into_iter().try_for_each(|document| run.count(document))?;
        }
        documents.into_iter().try_for_each(|document| run.push(document))?;
        run.finish()
    }

    /// How many documents match.
    ///
    /// # Errors
    /// As [`Search::execute`].
    pub fn count<'d, I>(&self, execution: Execution<'_>, documents: I) -> Result<u64>
    where
        I: IntoIterator<Item = &'d Prepared> + Clone,
    {
        self.select(execution, documents).map(|found| found.len() as u64)
    }

    /// All documents that match, in the order in which they are given: what a deletion by query takes away.
    ///
    /// # Errors
    /// As [`Search::execute`].
    pub fn select<'d, I>(&self, execution: Execution<'_>, documents: I) -> Result<Vec<&'d Prepared>>
    where
        I: IntoIterator<Item = &'d Prepared> + Clone,
    {
        let mut matcher = self.matcher(execution)?;
        if execution.statistics.is_none() && matcher.needs_counts() {
            documents.clone().into_iter().try_for_each(|document| matcher.count(document))?;
        }
        let mut found = Vec::new();
        for document in documents {
            if matcher.matches(document)? {
                found.push(document);
            }
        }
        Ok(found)
    }
}
