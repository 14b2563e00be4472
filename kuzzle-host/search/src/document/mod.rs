//! Documents as searches see them: prepared once under a mapping into terms and values, so that many queries can be
//! asked of them.

mod block;
mod prepare;

use std::sync::Arc;

use serde_json::Value;

pub(crate) use block::{Block, FieldData, Terms, Values};

use crate::mapping::Mapping;

/// A document with all that is known of it.
#[derive(Debug, Clone)]
pub struct Document {
    /// Name of the index.
    pub index: Arc<str>,
    /// Name of the collection.
    pub collection: Arc<str>,
    /// Its id.
    pub id: String,
    /// Its version, from 1 on.
    pub version: u64,
    /// Its place in the order of documents: what is equal otherwise is sorted by it, ascending.
    pub sequence: u64,
    /// What was stored: an object.
    pub source: Arc<Value>,
}

/// A [`Document`] under a mapping. It stays true as long as the mapping does not change what it says of fields that the
/// document has.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(crate) document: Document,
    /// `<collection>#<id>`.
    pub(crate) uid: String,
    pub(crate) root: Block,
    pub(crate) all: Terms,
}

impl Prepared {
    /// Prepares a document. Values that do not fit their fields are left out: [`Mapping::observe`] is what refuses
    /// them.
    pub fn new(document: Document, mapping: &Mapping) -> Self {
        let (root, all) = prepare::prepare(&document.source, mapping);
        let uid = format!("{}#{}", document.collection, document.id);
        Self { document, uid, root, all }
    }

    /// The document as it was given.
    pub fn document(&self) -> &Document {
        &self.document
    }
}
