//! What each write means for the data as it stands.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::limits::{COLLECTIONS_MAX, INDEXES_MAX};
use crate::merge::merge;
use crate::names::{check_collection, check_id, check_index};
use crate::op::Op;
use crate::record::{CollectionId, Draft, Key, Record};
use crate::write::{Write, Written};

/// A write whose arguments are in order, with its source serialised: what can be done without knowing the data is
/// done by the caller's thread.
#[derive(Debug)]
pub(crate) struct Prepared {
    index: String,
    collection: String,
    id: String,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Create(Draft),
    CreateOrReplace(Draft),
    Replace(Draft),
    Update(Map<String, Value>, usize),
    Delete,
    CreateIndex,
    DeleteIndex,
    CreateCollection,
}

impl Prepared {
    pub(crate) fn new(write: Write) -> Result<Self, Error> {
        let (index, collection, id, action) = match write {
            Write::Create { index, collection, id, source } => {
                (index, collection, Some(id), Action::Create(Draft::new(&object(source)?)?))
            }
            Write::CreateOrReplace { index, collection, id, source } => {
                (index, collection, Some(id), Action::CreateOrReplace(Draft::new(&object(source)?)?))
            }
            Write::Replace { index, collection, id, source } => {
                (index, collection, Some(Some(id)), Action::Replace(Draft::new(&object(source)?)?))
            }
            Write::Update { index, collection, id, source } => {
                let partial = object(source)?;
                let len = Draft::new(&partial)?.len();
                (index, collection, Some(Some(id)), Action::Update(partial, len))
            }
            Write::Delete { index, collection, id } => (index, collection, Some(Some(id)), Action::Delete),
            Write::CreateIndex { index } => (index, String::new(), None, Action::CreateIndex),
            Write::DeleteIndex { index } => (index, String::new(), None, Action::DeleteIndex),
            Write::CreateCollection { index, collection } => {
                (index, collection, None, Action::CreateCollection)
            }
        };
        let id = match id {
            None => String::new(),
            Some(None) => crate::id::generate(),
            Some(Some(id)) => {
                check_id(&id)?;
                id
            }
        };
        match action {
            // An unknown name is simply not there; there is no need to say that it could never be.
            Action::DeleteIndex | Action::Delete | Action::Update(..) | Action::Replace(_) => {}
            Action::CreateIndex => check_index(&index)?,
            Action::Create(_) | Action::CreateOrReplace(_) | Action::CreateCollection => {
                check_index(&index)?;
                check_collection(&collection)?;
            }
        }
        Ok(Self { index, collection, id, action })
    }

    /// About how much memory the write takes while it waits, in bytes.
    pub(crate) fn len(&self) -> usize {
        let source = match &self.action {
            Action::Create(draft) | Action::CreateOrReplace(draft) | Action::Replace(draft) => draft.len(),
            Action::Update(_, len) => *len,
            Action::Delete | Action::CreateIndex | Action::DeleteIndex | Action::CreateCollection => 0,
        };
        source + self.index.len() + self.collection.len() + self.id.len()
    }
}

fn object(source: Value) -> Result<Map<String, Value>, Error> {
    match source {
        Value::Object(map) => Ok(map),
        other => {
            let found = match other {
                Value::Null => "null",
                Value::Bool(_) => "a boolean",
                Value::Number(_) => "a number",
                Value::String(_) => "a string",
                Value::Array(_) | Value::Object(_) => "an array",
            };
            Err(Error::InvalidDocument { reason: format!("found {found}, expected an object") })
        }
    }
}

/// Where the current documents are read.
pub(crate) trait Reader {
    /// The stored value under a key.
    fn read(&self, key: &Key) -> Result<Option<Record>, Error>;
}

/// The writes of one batch, evaluated in order: each sees those before it.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The names after the batch.
    pub(crate) catalogue: Catalogue,
    /// The documents the batch touches, as they are after it.
    pub(crate) documents: HashMap<Key, Option<Record>>,
    /// What to make durable.
    pub(crate) ops: Vec<Op>,
    /// The number of the last write.
    pub(crate) sequence: u64,
}

impl Batch {
    /// Begins a batch on top of a state.
    pub(crate) fn new(catalogue: Catalogue, sequence: u64) -> Self {
        Self { catalogue, documents: HashMap::new(), ops: Vec::new(), sequence }
    }

    /// Evaluates one write; an error leaves the batch as it was.
    pub(crate) fn add(&mut self, reader: &dyn Reader, write: Prepared) -> Result<Written, Error> {
        let Prepared { index, collection, id, action } = write;
        match action {
            Action::Create(draft) => {
                let before = self.current(reader, &index, &collection, &id)?;
                if before.is_some() {
                    return Err(Error::DocumentAlreadyExists { index, collection, id });
                }
                self.put(&index, &collection, id, draft, None)
            }
            Action::CreateOrReplace(draft) => {
                let before = self.current(reader, &index, &collection, &id)?;
                self.put(&index, &collection, id, draft, before)
            }
            Action::Replace(draft) => match self.current(reader, &index, &collection, &id)? {
                None => Err(Error::ReplaceMissing { id }),
                before => self.put(&index, &collection, id, draft, before),
            },
            Action::Update(partial, _) => match self.current(reader, &index, &collection, &id)? {
                None => Err(Error::DocumentMissing { index, collection, id }),
                Some(before) => {
                    let mut merged: Map<String, Value> =
                        serde_json::from_slice(&before.source()).map_err(|error| Error::Corrupt {
                            reason: format!("document `{id}` is not JSON: {error}"),
                        })?;
                    merge(&mut merged, partial);
                    let draft = Draft::new(&merged)?;
                    self.put(&index, &collection, id, draft, Some(before))
                }
            },
            Action::Delete => self.remove(reader, &index, &collection, id),
            Action::CreateIndex => {
                if self.catalogue.has_index(&index) {
                    return Err(Error::IndexAlreadyExists { index });
                }
                self.make_index(&index)?;
                Ok(self.named(true))
            }
            Action::DeleteIndex => {
                if !self.catalogue.has_index(&index) {
                    return Err(Error::IndexNotFound { index });
                }
                let collections = self.catalogue.remove_index(&index);
                self.ops.push(Op::RemoveIndex { index, collections });
                Ok(self.named(false))
            }
            Action::CreateCollection => {
                if !self.catalogue.has_index(&index) {
                    return Err(Error::IndexNotFound { index });
                }
                if self.catalogue.collection(&index, &collection).is_some() {
                    return Ok(Written { sequence: self.sequence, ..Self::nothing() });
                }
                self.make_collection(&index, &collection)?;
                Ok(self.named(true))
            }
        }
    }

    fn current(
        &self,
        reader: &dyn Reader,
        index: &str,
        collection: &str,
        id: &str,
    ) -> Result<Option<Record>, Error> {
        let Some(collection) = self.catalogue.collection(index, collection) else { return Ok(None) };
        let key = Key::new(collection, id);
        match self.documents.get(&key) {
            Some(record) => Ok(record.clone()),
            None => reader.read(&key),
        }
    }

    fn put(
        &mut self,
        index: &str,
        collection: &str,
        id: String,
        draft: Draft,
        before: Option<Record>,
    ) -> Result<Written, Error> {
        let number = match self.catalogue.collection(index, collection) {
            Some(number) => number,
            None => self.make_collection(index, collection)?,
        };
        self.sequence += 1;
        let version = before.as_ref().map_or(0, Record::version) + 1;
        let record = draft.finish(version, self.sequence);
        let key = Key::new(number, &id);
        let written = Written {
            id,
            version,
            created: before.is_none(),
            source: Some(record.source()),
            before: before.map(|record| record.source()),
            sequence: self.sequence,
        };
        self.documents.insert(key.clone(), Some(record.clone()));
        self.ops.push(Op::Put { key, record });
        Ok(written)
    }

    fn remove(
        &mut self,
        reader: &dyn Reader,
        index: &str,
        collection: &str,
        id: String,
    ) -> Result<Written, Error> {
        let (Some(before), Some(number)) =
            (self.current(reader, index, collection, &id)?, self.catalogue.collection(index, collection))
        else {
            return Err(Error::DeleteMissing);
        };
        self.sequence += 1;
        let key = Key::new(number, &id);
        self.documents.insert(key.clone(), None);
        self.ops.push(Op::Remove { key });
        Ok(Written {
            id,
            version: before.version() + 1,
            created: false,
            source: None,
            before: Some(before.source()),
            sequence: self.sequence,
        })
    }

    fn make_index(&mut self, index: &str) -> Result<(), Error> {
        if self.catalogue.index_count() >= INDEXES_MAX {
            return Err(Error::TooMany { what: "indexes", limit: INDEXES_MAX });
        }
        self.catalogue.add_index(index);
        self.ops.push(Op::AddIndex { index: index.to_owned() });
        Ok(())
    }

    fn make_collection(&mut self, index: &str, collection: &str) -> Result<CollectionId, Error> {
        let too_many = Error::TooMany { what: "collections", limit: COLLECTIONS_MAX };
        if self.catalogue.collection_count() >= COLLECTIONS_MAX {
            return Err(too_many);
        }
        let Some(id) = self.catalogue.next_collection() else { return Err(too_many) };
        if !self.catalogue.has_index(index) {
            self.make_index(index)?;
        }
        self.catalogue.add_collection(index, collection, id);
        self.ops.push(Op::AddCollection { index: index.to_owned(), collection: collection.to_owned(), id });
        Ok(id)
    }

    fn named(&mut self, created: bool) -> Written {
        self.sequence += 1;
        Written { created, sequence: self.sequence, ..Self::nothing() }
    }

    fn nothing() -> Written {
        Written { id: String::new(), version: 0, created: false, source: None, before: None, sequence: 0 }
    }
}
