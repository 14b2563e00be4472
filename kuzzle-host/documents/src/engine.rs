//! What the API asks of whatever keeps documents.

use std::future::Future;
use std::pin::Pin;

use serde_json::Value;

use crate::documents::{Documents, Health};
use crate::error::Error;
use crate::export::Page;
use crate::write::{Document, Write, Written};

/// An answer that takes time. Dropping it gives up a search, and takes no write back.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An answer that an engine may have at once.
pub enum Answer<T> {
    /// It is there.
    Now(T),
    /// It has to be waited for.
    Later(Pending<T>),
}

/// What an engine is and how it does, for those who watch over the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// What sort of engine it is: `embedded` for [`Documents`].
    pub kind: &'static str,
    /// Its version.
    pub version: String,
    /// Version of Elasticsearch whose searches it takes and whose results it gives.
    pub query_language: &'static str,
    /// Documents that it has.
    pub documents: u64,
    /// Whether writes are taken, and the space used.
    pub health: Health,
}

/// Whatever keeps documents and searches them. [`Documents`] is one.
///
/// Searches and mappings pass as the JSON that clients send and get, so that an engine which is a server of its own can
/// hand them on unread. Each method takes its place among all others in the call, not when its answer is first polled.
/// Its errors are those of the method of the same name of [`Documents`], where there is more on each.
pub trait DocumentEngine: Send + Sync + 'static {
    /// Reads a document.
    fn get(&self, index: &str, collection: &str, id: &str) -> Answer<Result<Option<Document>, Error>>;

    /// Makes a change.
    fn write(&self, write: Write) -> Pending<Result<Written, Error>>;

    /// Makes changes one after the other, and gives their answers in the same order.
    fn write_all(&self, writes: Vec<Write>) -> Pending<Vec<Result<Written, Error>>>;

    /// Searches a collection, and gives the result as clients see it.
    fn search(&self, index: &str, collection: &str, body: &Value) -> Pending<Result<Value, Error>>;

    /// Counts the documents of a collection that match.
    fn count(&self, index: &str, collection: &str, body: &Value) -> Pending<Result<u64, Error>>;

    /// Removes the documents of a collection that match, and gives what was removed.
    fn delete_by_query(
        &self,
        index: &str,
        collection: &str,
        body: &Value,
    ) -> Pending<Result<Vec<Written>, Error>>;

    /// The mapping of a collection, if there is such a one.
    fn mapping(&self, index: &str, collection: &str) -> Answer<Result<Option<Value>, Error>>;

    /// Shows searches all that was written to an index so far.
    fn refresh(&self, index: &str) -> Answer<Result<(), Error>>;

    /// Whether the writes of an index are searchable as soon as they are answered.
    fn auto_refresh(&self, index: &str) -> Answer<Result<bool, Error>>;

    /// Names of all indexes, sorted.
    fn indexes(&self) -> Answer<Result<Vec<String>, Error>>;

    /// Names of the collections of an index, sorted, if there is such a one.
    fn collections(&self, index: &str) -> Answer<Result<Option<Vec<String>>, Error>>;

    /// Reads documents of a collection in the order of their ids, as they are stored now.
    fn page(
        &self,
        index: &str,
        collection: &str,
        after: Option<&str>,
        count_max: usize,
        bytes_max: usize,
    ) -> Answer<Result<Page, Error>>;

    /// What it is and how it does.
    fn info(&self) -> Answer<EngineInfo>;
}

impl DocumentEngine for Documents {
    fn get(&self, index: &str, collection: &str, id: &str) -> Answer<Result<Option<Document>, Error>> {
        Answer::Now(Documents::get(self, index, collection, id))
    }

    fn write(&self, write: Write) -> Pending<Result<Written, Error>> {
        Box::pin(Documents::write(self, write))
    }

    fn write_all(&self, writes: Vec<Write>) -> Pending<Vec<Result<Written, Error>>> {
        Box::pin(Documents::write_all(self, writes))
    }

    fn search(&self, index: &str, collection: &str, body: &Value) -> Pending<Result<Value, Error>> {
        Box::pin(Documents::search(self, index, collection, body))
    }

    fn count(&self, index: &str, collection: &str, body: &Value) -> Pending<Result<u64, Error>> {
        Box::pin(Documents::count(self, index, collection, body))
    }

    fn delete_by_query(
        &self,
        index: &str,
        collection: &str,
        body: &Value,
    ) -> Pending<Result<Vec<Written>, Error>> {
        Box::pin(Documents::delete_by_query(self, index, collection, body))
    }

    fn mapping(&self, index: &str, collection: &str) -> Answer<Result<Option<Value>, Error>> {
        Answer::Now(Ok(Documents::mapping(self, index, collection)))
    }

    fn refresh(&self, index: &str) -> Answer<Result<(), Error>> {
        Answer::Now(Documents::refresh(self, index))
    }

    fn auto_refresh(&self, index: &str) -> Answer<Result<bool, Error>> {
        Answer::Now(Ok(Documents::auto_refresh(self, index)))
    }

    fn indexes(&self) -> Answer<Result<Vec<String>, Error>> {
        Answer::Now(Ok(Documents::indexes(self)))
    }

    fn collections(&self, index: &str) -> Answer<Result<Option<Vec<String>>, Error>> {
        Answer::Now(Ok(Documents::collections(self, index)))
    }

    fn page(
        &self,
        index: &str,
        collection: &str,
        after: Option<&str>,
        count_max: usize,
        bytes_max: usize,
    ) -> Answer<Result<Page, Error>> {
        Answer::Now(Documents::page(self, index, collection, after, count_max, bytes_max))
    }

    fn info(&self) -> Answer<EngineInfo> {
        let count = |index: &String| -> u64 {
            let collections = Documents::collections(self, index).unwrap_or_default();
            collections.iter().filter_map(|collection| self.document_count(index, collection)).sum()
        };
        Answer::Now(EngineInfo {
            kind: "embedded",
            version: env!("CARGO_PKG_VERSION").to_owned(),
            query_language: "2.2",
            documents: Documents::indexes(self).iter().map(count).sum(),
            health: self.health(),
        })
    }
}
