use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};

use super::{Search, Top};
use crate::aggs::{Collection, Plan};
use crate::document::Prepared;
use crate::error::{Error, Result};
use crate::evaluate::{At, Clause, Environment, Statistics, compile};
use crate::mapping::Mapping;

/// Documents between two looks at the flag of cancellation.
const STRIDE: usize = 256;

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
    /// Counts of the collection; `None`: they are counted in the documents that are given.
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
            "_shards": {"total": 5, "successful": 5, "failed": 0},
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
    /// Searches documents, and makes the page of hits and the aggregations.
    ///
    /// # Errors
    /// What the mapping shows to be wrong: a date that cannot be read, a sort by a field that is not mapped. More
    /// buckets than [`BUCKETS_MAX`](crate::limits::BUCKETS_MAX). Cancellation.
    pub fn execute<'d, I>(&self, execution: Execution<'_>, documents: I) -> Result<SearchResult>
    where
        I: IntoIterator<Item = &'d Prepared> + Clone,
    {
        let environment = execution.environment();
        let shown = self.hits.compile(environment)?;
        let plan = Plan::compile(&self.aggregations, environment)?;
        let mut query = compile(&self.query, environment, false)?;
        let post_filter = self.compiled_post_filter(environment)?;
        query.weigh_by(execution, documents.clone())?;
        let mut top = Top::new(&shown);
        let mut collection = Collection::new(&plan, documents.clone())?;
        for document in execution.watched(documents) {
            let (document, at) = document.map(|document| (document, At::root(document)))?;
            collection.see(&plan, document)?;
            let Some(score) = self.scored(&query, at) else { continue };
            collection.collect(&plan, at, score)?;
            if post_filter.as_ref().is_none_or(|filter| filter.matches(at)) {
                top.push(&shown, at, score);
            }
        }
        let (total, max_score) = (top.total, top.max_score(&shown));
        let hits = top.render(&shown, &query, environment);
        let aggregations = collection.render(&plan, &query, environment)?;
        Ok(SearchResult { total, max_score, hits, aggregations })
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
        let environment = execution.environment();
        let mut query = compile(&self.query, environment, false)?;
        let post_filter = self.compiled_post_filter(environment)?;
        if self.min_score.is_some() {
            query.weigh_by(execution, documents.clone())?;
        }
        let mut found = Vec::new();
        for document in execution.watched(documents) {
            let document = document?;
            let at = At::root(document);
            if self.scored(&query, at).is_some() && post_filter.as_ref().is_none_or(|it| it.matches(at)) {
                found.push(document);
            }
        }
        Ok(found)
    }

    fn compiled_post_filter(&self, environment: Environment<'_>) -> Result<Option<Clause>> {
        self.post_filter.as_ref().map(|filter| compile(filter, environment, true)).transpose()
    }

    fn scored(&self, query: &Clause, at: At<'_>) -> Option<f32> {
        query.score(at).filter(|score| self.min_score.is_none_or(|least| *score >= least))
    }
}

impl Clause {
    fn weigh_by<'d>(
        &mut self,
        execution: Execution<'_>,
        documents: impl IntoIterator<Item = &'d Prepared>,
    ) -> Result<()> {
        let mut total = 0;
        if self.needs_counts(execution.statistics.is_some()) {
            for document in execution.watched(documents) {
                total += 1;
                self.count(document?);
            }
        }
        self.weigh(total, execution.statistics);
        Ok(())
    }
}

impl<'e> Execution<'e> {
    fn environment(&self) -> Environment<'e> {
        Environment { mapping: self.mapping, now_ms: self.now_ms }
    }

    /// The documents, until the flag is set.
    fn watched<'d, I>(&self, documents: I) -> impl Iterator<Item = Result<&'d Prepared>> + use<'d, 'e, I>
    where
        I: IntoIterator<Item = &'d Prepared>,
    {
        let cancelled = self.cancelled;
        documents.into_iter().enumerate().map(move |(index, document)| {
            if index % STRIDE == 0 && cancelled.load(Ordering::Relaxed) {
                return Err(Error::cancelled());
            }
            Ok(document)
        })
    }
}
