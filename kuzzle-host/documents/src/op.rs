//! The elementary changes a batch of writes comes down to.

use std::sync::Arc;

use kuzzle_search::Mapping;

use crate::catalogue::Catalogue;
use crate::record::{CollectionId, Key, Record};

/// One change, already decided: applying it needs no further look at the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    /// Stores a document.
    Put { key: Key, record: Record },
    /// Removes a document.
    Remove { key: Key },
    /// Adds an index to the catalogue.
    AddIndex { index: String },
    /// Adds a collection to the catalogue.
    AddCollection { index: String, collection: String, id: CollectionId },
    /// Removes an index with its collections from the catalogue; their documents become unreachable at once.
    RemoveIndex { index: String, collections: Vec<(String, CollectionId)> },
    /// Gives a collection a mapping: its JSON, as clients see it.
    SetMapping { index: String, collection: String, id: CollectionId, mapping: String },
    /// Whether the writes of an index are searchable as soon as they are answered.
    SetAutoRefresh { index: String, enabled: bool },
}

impl Op {
    /// The collection whose number of documents the change alters, and by how much. A document's first version is a
    /// new document.
    pub(crate) fn growth(&self) -> Option<(CollectionId, i64)> {
        match self {
            Self::Put { key, record } if record.version() == 1 => Some((key.collection(), 1)),
            Self::Remove { key } => Some((key.collection(), -1)),
            _ => None,
        }
    }

    /// Applies the changes of names; documents leave the catalogue alone.
    pub(crate) fn apply_to(&self, catalogue: &mut Catalogue) {
        match self {
            Self::Put { .. } | Self::Remove { .. } => {}
            Self::AddIndex { index } => catalogue.add_index(index),
            Self::AddCollection { index, collection, id } => catalogue.add_collection(index, collection, *id),
            Self::RemoveIndex { index, .. } => {
                catalogue.remove_index(index);
            }
            Self::SetMapping { index, collection, mapping, .. } => {
                // What cannot be read any more would be refused at the first write; searches find what they can.
                let mapping = stored_mapping(mapping).unwrap_or_default();
                catalogue.set_mapping(index, collection, Arc::new(mapping));
            }
            Self::SetAutoRefresh { index, enabled } => catalogue.set_auto_refresh(index, *enabled),
        }
    }
}

/// Reads a mapping as it was stored; none when it is none.
pub(crate) fn stored_mapping(json: &str) -> Option<Mapping> {
    Mapping::parse(&serde_json::from_str(json).ok()?).ok()
}
