//! Searches, counts and deletions by query. Every document of the collection is looked at, one by one, so that what a
//! search takes of the memory depends on what it finds, not on how much it looks through.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kuzzle_search::{Document, Execution, Mapping, Prepared, Search, SearchResult};
use serde_json::Value;

use crate::error::Error;
use crate::pool::Cancelled;
use crate::record::{CollectionId, Key, Record};
use crate::scan::scan;
use crate::shared::Shared;
use crate::visible::View;

/// Documents between two looks at whether the search was given up.
const STRIDE: usize = 256;
/// Documents of a collection that are kept when they have to be looked at twice; of more, each is prepared again.
const KEPT_MAX: u64 = 5_000;

/// Where a search looks, and the state that it sees there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    index: Arc<str>,
    name: Arc<str>,
    /// None when the index has no such collection: then there is nothing to be found.
    found: Option<Found>,
}

#[derive(Debug, Clone)]
struct Found {
    id: CollectionId,
    mapping: Arc<Mapping>,
    view: View,
}

impl Place {
    /// Finds a collection of an existing index as searches see it now.
    pub(crate) fn find(shared: &Shared, index: &str, collection: &str) -> Result<Self, Error> {
        // Under this lock a mapping knows every field of what the view shows.
        let mut visibility = shared.visibility.lock();
        let catalogue = shared.catalogue.read();
        if !catalogue.has_index(index) {
            return Err(Error::IndexNotFound { index: index.to_owned() });
        }
        let found = catalogue.found(index, collection).map(|it| Found {
            id: it.id,
            mapping: Arc::clone(&it.mapping),
            view: visibility.view(it.id, Instant::now()),
        });
        Ok(Self { index: Arc::from(index), name: Arc::from(collection), found })
    }

    pub(crate) fn search(
        &self,
        shared: &Shared,
        search: &Search,
        cancelled: &Cancelled,
    ) -> Result<SearchResult, Error> {
        let mapping = self.mapping();
        let mut run = search.start(execution(&mapping, cancelled))?;
        if !run.needs_counts() {
            self.each(shared, cancelled, &mut |document| Ok(run.push(document)?))?;
        } else if let Some(few) = self.few(shared, cancelled)? {
            few.iter().try_for_each(|document| run.count(document))?;
            few.into_iter().try_for_each(|document| run.push(document))?;
        } else {
            self.each(shared, cancelled, &mut |document| Ok(run.count(&document)?))?;
            self.each(shared, cancelled, &mut |document| Ok(run.push(document)?))?;
        }
        Ok(run.finish()?)
    }

    pub(crate) fn count(
        &self,
        shared: &Shared,
        search: &Search,
        cancelled: &Cancelled,
    ) -> Result<u64, Error> {
        let mut count = 0;
        self.each_match(shared, search, cancelled, &mut |_| count += 1)?;
        Ok(count)
    }

    /// Ids of the documents that match, in the order in which they were stored.
    pub(crate) fn select(
        &self,
        shared: &Shared,
        search: &Search,
        cancelled: &Cancelled,
    ) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        self.each_match(shared, search, cancelled, &mut |document| {
            found.push((document.sequence, document.id.clone()));
        })?;
        found.sort_unstable();
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    fn each_match(
        &self,
        shared: &Shared,
        search: &Search,
        cancelled: &Cancelled,
        then: &mut dyn FnMut(&Document),
    ) -> Result<(), Error> {
        let mapping = self.mapping();
        let mut matcher = search.matcher(execution(&mapping, cancelled))?;
        if matcher.needs_counts() {
            self.each(shared, cancelled, &mut |document| Ok(matcher.count(&document)?))?;
        }
        self.each(shared, cancelled, &mut |document| {
            if matcher.matches(&document)? {
                then(document.document());
            }
            Ok(())
        })
    }

    /// That of a missing collection is empty.
    fn mapping(&self) -> Arc<Mapping> {
        self.found.as_ref().map(|found| Arc::clone(&found.mapping)).unwrap_or_default()
    }

    /// The documents, if there are few.
    fn few(&self, shared: &Shared, cancelled: &Cancelled) -> Result<Option<Vec<Arc<Prepared>>>, Error> {
        let count = self.found.as_ref().and_then(|found| shared.counts.read().get(&found.id).copied());
        if count.is_some_and(|count| count > KEPT_MAX) {
            return Ok(None);
        }
        let mut few = Vec::new();
        self.each(shared, cancelled, &mut |document| {
            few.push(document);
            Ok(())
        })?;
        Ok(Some(few))
    }

    /// Prepares every document that the search sees.
    fn each(
        &self,
        shared: &Shared,
        cancelled: &Cancelled,
        then: &mut dyn FnMut(Arc<Prepared>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(found) = &self.found else { return Ok(()) };
        let mut number = 0usize;
        scan(shared, found.id, &found.view, &mut |key, record| {
            if number.is_multiple_of(STRIDE) && cancelled.is_set() {
                return Err(Error::Cancelled);
            }
            number += 1;
            then(Arc::new(self.prepare(&found.mapping, &key, &record)?))
        })
    }

    fn prepare(&self, mapping: &Mapping, key: &Key, record: &Record) -> Result<Prepared, Error> {
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
        Ok(Prepared::new(document, mapping))
    }
}

fn execution<'e>(mapping: &'e Mapping, cancelled: &'e Cancelled) -> Execution<'e> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Execution { mapping, now_ms, cancelled: cancelled.flag(), statistics: None }
}
