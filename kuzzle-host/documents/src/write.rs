use bytes::Bytes;
use serde_json::Value;

/// One change, submitted with [`Documents::write`](crate::Documents::write).
///
/// Document writes create their index and collection where they are missing. Versions start at 1 and grow by one with
/// each write of the same id; after a delete they start at 1 again.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Stores a new document; an existing id is an error. Without an id one is generated.
    Create {
        /// Index name.
        index: String,
        /// Collection name.
        collection: String,
        /// Document id, or none to have one generated.
        id: Option<String>,
        /// The document: a JSON object.
        source: Value,
    },
    /// Stores a document, whether or not the id exists. Without an id one is generated.
    CreateOrReplace {
        /// Index name.
        index: String,
        /// Collection name.
        collection: String,
        /// Document id, or none to have one generated.
        id: Option<String>,
        /// The document: a JSON object.
        source: Value,
    },
    /// Replaces an existing document; a missing one is an error.
    Replace {
        /// Index name.
        index: String,
        /// Collection name.
        collection: String,
        /// Document id.
        id: String,
        /// The new document: a JSON object.
        source: Value,
    },
    /// Merges a partial document into an existing one: objects are merged key by key at every depth, any other value
    /// replaces what was there (arrays as a whole; `null` is stored as a value). The version grows even when nothing
    /// changes.
    Update {
        /// Index name.
        index: String,
        /// Collection name.
        collection: String,
        /// Document id.
        id: String,
        /// The partial document: a JSON object.
        source: Value,
    },
    /// Removes a document; a missing one is an error.
    Delete {
        /// Index name.
        index: String,
        /// Collection name.
        collection: String,
        /// Document id.
        id: String,
    },
    /// Creates an empty index; an existing one is an error.
    CreateIndex {
        /// Index name.
        index: String,
    },
    /// Removes an index with all its collections and documents; a missing one is an error.
    DeleteIndex {
        /// Index name.
        index: String,
    },
    /// Creates an empty collection; an existing one is a success that changes nothing, a missing index an error.
    CreateCollection {
        /// Index name.
        index: String,
        /// Collection name.
        collection: String,
    },
    /// Merges a mapping into that of a collection, which is created where it is missing; a missing index is an error,
    /// and so is a mapping that contradicts the one there is.
    UpdateMapping {
        /// Index name.
        index: String,
        /// Collection name.
        collection: String,
        /// The mapping as clients write it, `{"properties": ..}`, with or without the collection's name around it.
        mapping: Value,
    },
    /// Says whether the writes of an index are searchable as soon as they are answered. The index need not exist; it is
    /// forgotten when the index is deleted.
    SetAutoRefresh {
        /// Index name.
        index: String,
        /// Whether they are.
        enabled: bool,
    },
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Id of the document, generated where the write named none. Empty for indexes and collections.
    pub id: String,
    /// Version of the document after the write; after a delete, the version the deletion itself took. 0 for indexes
    /// and collections.
    pub version: u64,
    /// Whether the write brought the document (index, collection) into being.
    pub created: bool,
    /// The document after the write as compact JSON with sorted keys; none after a delete and for indexes and
    /// collections.
    pub source: Option<Bytes>,
    /// The document before the write, in the same form; none where there was none.
    pub before: Option<Bytes>,
    /// Position of this write among all writes of the data directory: 1 for the first, growing, never used twice.
    /// Numbers may be skipped. A write that changed nothing has the number of the last write before it.
    pub sequence: u64,
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Number of writes since the document was created; 1 at first.
    pub version: u64,
    /// The write that stored this version, see [`Written::sequence`].
    pub sequence: u64,
    /// The document as compact JSON with sorted keys, ready to be spliced into a response.
    pub source: Bytes,
}
