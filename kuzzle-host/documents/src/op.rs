//! The elementary changes a batch of writes comes down to.

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
}

impl Op {
    /// Applies the changes of names; documents leave the catalogue alone.
    pub(crate) fn apply_to(&self, catalogue: &mut Catalogue) {
        match self {
            Self::Put { .. } | Self::Remove { .. } => {}
            Self::AddIndex { index } => catalogue.add_index(index),
            Self::AddCollection { index, collection, id } => catalogue.add_collection(index, collection, *id),
            Self::RemoveIndex { index, .. } => {
                catalogue.remove_index(index);
            }
        }
    }
}
