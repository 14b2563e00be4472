//! Searches, counts and deletions by query.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kuzzle_search::{Document, Execution, Mapping, Prepared, Search, SearchResult};
use serde_json::Value;

use crate::error::Error;
use crate::pool::Cancelled;
use crate::record::CollectionId;
use crate::scan::scan;
use crate::shared::Shared;

/// Where a search looks.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) index: Arc<str>,
    pub(crate) name: Arc<str>,
    /// None when the index has no such collection: then there is nothing to be found.
    pub(crate) collection: Option<(CollectionId, Arc<Mapping>)>,
}

impl Place {
    /// Finds a collection of an existing index.
    pub(crate) fn find(shared: &Shared, index: &str, collection: &str) -> Result<Self, Error> {
        let catalogue = shared.catalogue.read();
        if !catalogue.has_index(index) {
            return Err(Error::IndexNotFound { index: index.to_owned() });
        }
        let found = catalogue.found(index, collection).map(|it| (it.id, Arc::clone(&it.mapping)));
        Ok(Self { index: Arc::from(index), name: Arc::from(collection), collection: found })
    }

    /// The documents that a search sees, prepared.
    fn documents(&self, shared: &Shared, cancelled: &Cancelled) -> Result<Vec<Prepared>, Error> {
        let Some((id, mapping)) = &self.collection else { return Ok(Vec::new()) };
        let view = shared.visibility.lock().view(*id, Instant::now());
        let mut documents = Vec::new();
        scan(shared, *id, &view, &mut |key, record| {
            if documents.len() % 256 == 0 && cancelled.is_set() {
                return Err(Error::Cancelled);
            }
            let source: Value = serde_json::from_slice(&record.source()).map_err(|error| Error::Corrupt {
                reason: format!("document `{}` is not JSON: {error}", key.id()),
            })?;
            let document = Document {
                index: Arc::clone(&self.index),
                collection: Arc::clone(&self.name),
                id: key.id().into_owned(),
                version: record.version(),
                sequence: record.sequence(),
                source: Arc::new(source),
            };
            documents.push(Prepared::new(document, mapping));
            Ok(())
        })?;
        Ok(documents)
    }

    fn run<T>(
        &self,
        shared: &Shared,
        cancelled: &Cancelled,
        then: impl FnOnce(Execution<'_>, &[Prepared]) -> kuzzle_search::Result<T>,
    ) -> Result<T, Error> {
        let documents = self.documents(shared, cancelled)?;
        let empty = Mapping::default();
        let execution = Execution {
            mapping: self.collection.as_ref().map_or(&empty, |(_, mapping)| mapping),
            now_ms: now_ms(),
            cancelled: cancelled.flag(),
            statistics: None,
        };
        Ok(then(execution, &documents)?)
    }

    pub(crate) fn search(
        &self,
        shared: &Shared,
        search: &Search,
        cancelled: &Cancelled,
    ) -> Result<SearchResult, Error> {
        self.run(shared, cancelled, |execution, documents| search.execute(execution, documents))
    }

    pub(crate) fn count(
        &self,
        shared: &Shared,
        search: &Search,
        cancelled: &Cancelled,
    ) -> Result<u64, Error> {
        self.run(shared, cancelled, |execution, documents| search.count(execution, documents))
    }

    /// Ids of the documents that match, in the order in which they were stored.
    pub(crate) fn select(
        &self,
        shared: &Shared,
        search: &Search,
        cancelled: &Cancelled,
    ) -> Result<Vec<String>, Error> {
        self.run(shared, cancelled, |execution, documents| {
            let mut found = search.select(execution, documents)?;
            found.sort_by_key(|it| it.document().sequence);
            Ok(found.into_iter().map(|it| it.document().id.clone()).collect())
        })
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
