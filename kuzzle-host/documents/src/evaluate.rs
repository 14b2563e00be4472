//! What each write means for the data as it stands.

use std::collections::HashMap;
use std::sync::Arc;

use kuzzle_search::Mapping;
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
    Create(Draft, Fit),
    CreateOrReplace(Draft, Fit),
    Replace(Draft, Fit),
    Update(Value, usize, Option<Arc<Mapping>>),
    Delete,
    CreateIndex,
    DeleteIndex,
    CreateCollection,
    UpdateMapping(Box<Mapping>),
    SetAutoRefresh(bool),
}

/// Whether a document fits the mapping of its collection, as far as that can be said beforehand.
#[derive(Debug)]
enum Fit {
    /// It fits this one, and adds nothing to it.
    Known(Arc<Mapping>),
    /// To be asked when its turn comes.
    Open(Value),
}

impl Fit {
    fn of(source: Value, mapping: Option<&Arc<Mapping>>) -> Self {
        match mapping {
            Some(mapping) if fits(&source, mapping) => Self::Known(Arc::clone(mapping)),
            _ => Self::Open(source),
        }
    }
}

fn fits(source: &Value, mapping: &Mapping) -> bool {
    matches!(mapping.observe(source), Ok(None))
}

impl Prepared {
    /// Prepares a write. `mapping` is that of the collection it names, as it is now: it may have changed when the
    /// write's turn comes.
    pub(crate) fn new(write: Write, mapping: Option<&Arc<Mapping>>) -> Result<Self, Error> {
        let drafted = |source: Value| {
            let draft = Draft::new(object(&source)?)?;
            Ok::<_, Error>((draft, Fit::of(source, mapping)))
        };
        let (index, collection, id, action) = match write {
            Write::Create { index, collection, id, source } => {
                let (draft, fit) = drafted(source)?;
                (index, collection, Some(id), Action::Create(draft, fit))
            }
            Write::CreateOrReplace { index, collection, id, source } => {
                let (draft, fit) = drafted(source)?;
                (index, collection, Some(id), Action::CreateOrReplace(draft, fit))
            }
            Write::Replace { index, collection, id, source } => {
                let (draft, fit) = drafted(source)?;
                (index, collection, Some(Some(id)), Action::Replace(draft, fit))
            }
            Write::Update { index, collection, id, source } => {
                let len = Draft::new(object(&source)?)?.len();
                let fitting = mapping.filter(|mapping| fits(&source, mapping)).cloned();
                (index, collection, Some(Some(id)), Action::Update(source, len, fitting))
            }
            Write::Delete { index, collection, id } => (index, collection, Some(Some(id)), Action::Delete),
            Write::CreateIndex { index } => (index, String::new(), None, Action::CreateIndex),
            Write::DeleteIndex { index } => (index, String::new(), None, Action::DeleteIndex),
            Write::CreateCollection { index, collection } => {
                (index, collection, None, Action::CreateCollection)
            }
            Write::UpdateMapping { index, collection, mapping } => {
                let mapping = Box::new(parse_mapping(&collection, &mapping)?);
                (index, collection, None, Action::UpdateMapping(mapping))
            }
            Write::SetAutoRefresh { index, enabled } => {
                (index, String::new(), None, Action::SetAutoRefresh(enabled))
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
            Action::DeleteIndex | Action::Delete | Action::Update(..) | Action::Replace(..) => {}
            Action::CreateIndex | Action::SetAutoRefresh(_) => check_index(&index)?,
            Action::Create(..)
            | Action::CreateOrReplace(..)
            | Action::CreateCollection
            | Action::UpdateMapping(_) => {
                check_index(&index)?;
                check_collection(&collection)?;
            }
        }
        Ok(Self { index, collection, id, action })
    }

    /// About how much memory the write takes while it waits, in bytes.
    pub(crate) fn len(&self) -> usize {
        let source = match &self.action {
            Action::Create(draft, fit)
            | Action::CreateOrReplace(draft, fit)
            | Action::Replace(draft, fit) => match fit {
                Fit::Known(_) => draft.len(),
                Fit::Open(_) => 3 * draft.len(),
            },
            Action::Update(_, len, _) => 2 * *len,
            Action::UpdateMapping(_) => 4_096,
            Action::Delete
            | Action::CreateIndex
            | Action::DeleteIndex
            | Action::CreateCollection
            | Action::SetAutoRefresh(_) => 0,
        };
        source + self.index.len() + self.collection.len() + self.id.len()
    }
}

/// Reads a mapping as clients write it: some put the collection's name around it, as Elasticsearch shows it.
fn parse_mapping(collection: &str, mapping: &Value) -> Result<Mapping, Error> {
    let inner = match mapping {
        Value::Object(map) if map.len() == 1 && collection != "properties" => map.get(collection),
        _ => None,
    };
    let invalid = |error: kuzzle_search::Error| Error::InvalidMapping { reason: error.to_string() };
    Mapping::parse(inner.unwrap_or(mapping)).map_err(invalid)
}

fn object(source: &Value) -> Result<&Map<String, Value>, Error> {
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
    /// What was there before, of those documents.
    pub(crate) before: HashMap<Key, Option<Record>>,
    /// What to make durable.
    pub(crate) ops: Vec<Op>,
    /// The number of the last write.
    pub(crate) sequence: u64,
}

impl Batch {
    /// Begins a batch on top of a state.
    pub(crate) fn new(catalogue: Catalogue, sequence: u64) -> Self {
        Self { catalogue, documents: HashMap::new(), before: HashMap::new(), ops: Vec::new(), sequence }
    }

    /// Evaluates one write; an error leaves the batch as it was.
    pub(crate) fn add(&mut self, reader: &dyn Reader, write: Prepared) -> Result<Written, Error> {
        let Prepared { index, collection, id, action } = write;
        match action {
            Action::Create(draft, fit) => {
                let before = self.current(reader, &index, &collection, &id)?;
                if before.is_some() {
                    return Err(Error::DocumentAlreadyExists { index, collection, id });
                }
                let grown = self.grown(&index, &collection, &draft, fit)?;
                self.put(&index, &collection, id, draft, grown, None)
            }
            Action::CreateOrReplace(draft, fit) => {
                let before = self.current(reader, &index, &collection, &id)?;
                let grown = self.grown(&index, &collection, &draft, fit)?;
                self.put(&index, &collection, id, draft, grown, before)
            }
            Action::Replace(draft, fit) => match self.current(reader, &index, &collection, &id)? {
                None => Err(Error::ReplaceMissing { id }),
                before => {
                    let grown = self.grown(&index, &collection, &draft, fit)?;
                    self.put(&index, &collection, id, draft, grown, before)
                }
            },
            Action::Update(partial, _, fitting) => match self.current(reader, &index, &collection, &id)? {
                None => Err(Error::DocumentMissing { index, collection, id }),
                Some(before) => {
                    // What was there before fits already, and the merge makes no value that is in neither.
                    let grown = match fitting {
                        Some(mapping) if self.is_mapping(&index, &collection, &mapping) => None,
                        _ => self.observed(&index, &collection, &partial)?,
                    };
                    let Value::Object(partial) = partial else {
                        return Err(Error::InvalidDocument { reason: "expected an object".to_owned() });
                    };
                    let mut merged: Map<String, Value> =
                        serde_json::from_slice(&before.source()).map_err(|error| Error::Corrupt {
                            reason: format!("document `{id}` is not JSON: {error}"),
                        })?;
                    merge(&mut merged, partial);
                    let draft = Draft::new(&merged)?;
                    self.put(&index, &collection, id, draft, grown, Some(before))
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
            Action::UpdateMapping(update) => {
                if !self.catalogue.has_index(&index) {
                    return Err(Error::IndexNotFound { index });
                }
                let current = self.mapping(&index, &collection);
                let invalid =
                    |error: kuzzle_search::Error| Error::InvalidMapping { reason: error.to_string() };
                let merged = current.merge(&update).map_err(invalid)?;
                let created = self.catalogue.collection(&index, &collection).is_none();
                if !created && merged == *current {
                    return Ok(Written { sequence: self.sequence, ..Self::nothing() });
                }
                let id = match self.catalogue.collection(&index, &collection) {
                    Some(id) => id,
                    None => self.make_collection(&index, &collection)?,
                };
                self.set_mapping(&index, &collection, id, merged);
                Ok(self.named(created))
            }
            Action::SetAutoRefresh(enabled) => {
                if self.catalogue.auto_refresh(&index) == enabled {
                    return Ok(Written { sequence: self.sequence, ..Self::nothing() });
                }
                if enabled && self.catalogue.auto_refresh_count() >= INDEXES_MAX {
                    return Err(Error::TooMany {
                        what: "indexes with automatic refresh",
                        limit: INDEXES_MAX,
                    });
                }
                self.catalogue.set_auto_refresh(&index, enabled);
                self.ops.push(Op::SetAutoRefresh { index, enabled });
                Ok(self.named(false))
            }
        }
    }

    /// The mapping that documents of a collection have to fit; that of one to be made is empty.
    fn mapping(&self, index: &str, collection: &str) -> Arc<Mapping> {
        self.catalogue.mapping(index, collection).cloned().unwrap_or_default()
    }

    fn is_mapping(&self, index: &str, collection: &str, mapping: &Arc<Mapping>) -> bool {
        self.catalogue.mapping(index, collection).is_some_and(|current| Arc::ptr_eq(current, mapping))
    }

    /// What a document makes of the mapping; none when it adds nothing.
    fn grown(
        &self,
        index: &str,
        collection: &str,
        draft: &Draft,
        fit: Fit,
    ) -> Result<Option<Mapping>, Error> {
        match fit {
            Fit::Known(mapping) if self.is_mapping(index, collection, &mapping) => Ok(None),
            // The mapping has changed since the document was compared with it.
            Fit::Known(_) => self.observed(index, collection, &draft.read()?),
            Fit::Open(source) => self.observed(index, collection, &source),
        }
    }

    fn observed(&self, index: &str, collection: &str, source: &Value) -> Result<Option<Mapping>, Error> {
        let invalid = |error: kuzzle_search::Error| Error::InvalidDocument { reason: error.to_string() };
        self.mapping(index, collection).observe(source).map_err(invalid)
    }

    fn set_mapping(&mut self, index: &str, collection: &str, id: CollectionId, mapping: Mapping) {
        let json = mapping.render().to_string();
        self.catalogue.set_mapping(index, collection, Arc::new(mapping));
        self.ops.push(Op::SetMapping {
            index: index.to_owned(),
            collection: collection.to_owned(),
            id,
            mapping: json,
        });
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
        grown: Option<Mapping>,
        before: Option<Record>,
    ) -> Result<Written, Error> {
        let number = match self.catalogue.collection(index, collection) {
            Some(number) => number,
            None => self.make_collection(index, collection)?,
        };
        if let Some(grown) = grown {
            self.set_mapping(index, collection, number, grown);
        }
        self.sequence += 1;
        let version = before.as_ref().map_or(0, Record::version) + 1;
        let record = draft.finish(version, self.sequence);
        let key = Key::new(number, &id);
        let written = Written {
            id,
            version,
            created: before.is_none(),
            source: Some(record.source()),
            before: before.as_ref().map(Record::source),
            sequence: self.sequence,
        };
        self.change(key.clone(), Some(record.clone()), before);
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
        let written = Written {
            id,
            version: before.version() + 1,
            created: false,
            source: None,
            before: Some(before.source()),
            sequence: self.sequence,
        };
        self.change(key.clone(), None, Some(before));
        self.ops.push(Op::Remove { key });
        Ok(written)
    }

    fn change(&mut self, key: Key, after: Option<Record>, before: Option<Record>) {
        if self.documents.insert(key.clone(), after).is_none() {
            self.before.insert(key, before);
        }
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
