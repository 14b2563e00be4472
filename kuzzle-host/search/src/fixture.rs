//! A small collection for tests.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use crate::{Document, Execution, Mapping, Prepared, Result, Search, SearchResult};

/// What `now` is in tests: 2015-06-15T12:00:00Z.
pub(crate) const NOW_MS: i64 = 1_434_369_600_000;

pub(crate) struct Fixture {
    pub(crate) mapping: Mapping,
    pub(crate) documents: Vec<Prepared>,
}

impl Fixture {
    /// Documents with the ids `1`, `2` and so on, under a mapping that grows as they need it.
    pub(crate) fn new(mapping: Value, sources: Vec<Value>) -> Self {
        let mut mapping = Mapping::parse(&mapping).unwrap();
        for source in &sources {
            if let Some(grown) = mapping.observe(source).unwrap() {
                mapping = grown;
            }
        }
        let prepare = |(sequence, source): (u64, Value)| {
            let document = Document {
                index: Arc::from("library"),
                collection: Arc::from("books"),
                id: sequence.to_string(),
                version: 1,
                sequence,
                source: Arc::new(source),
            };
            Prepared::new(document, &mapping)
        };
        let documents = (1..).zip(sources).map(prepare).collect();
        Self { mapping, documents }
    }

    pub(crate) fn run(&self, body: &Value) -> Result<SearchResult> {
        let cancelled = AtomicBool::new(false);
        let execution =
            Execution { mapping: &self.mapping, now_ms: NOW_MS, cancelled: &cancelled, statistics: None };
        Search::parse(body)?.execute(execution, &self.documents)
    }

    pub(crate) fn search(&self, body: Value) -> SearchResult {
        self.run(&body).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    /// Ids of the hits, in order.
    pub(crate) fn ids(&self, body: Value) -> Vec<String> {
        let id = |hit: &Value| hit["_id"].as_str().unwrap().to_owned();
        self.search(body).hits.iter().map(id).collect()
    }

    /// Ids of what a query matches, in the order in which they were stored, without a space between.
    pub(crate) fn found(&self, query: Value) -> String {
        self.ids(json!({"query": query, "sort": "_doc", "size": 1000})).concat()
    }

    pub(crate) fn aggregate(&self, aggregations: Value) -> Value {
        let body = json!({"size": 0, "aggs": aggregations});
        Value::Object(self.search(body).aggregations.unwrap())
    }

    /// The error of a search.
    pub(crate) fn refused(&self, body: Value) -> String {
        match self.run(&body) {
            Ok(result) => panic!("{body} was answered: {result:?}"),
            Err(error) => error.to_string(),
        }
    }
}
