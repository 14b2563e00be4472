//! How a document and its key are laid out in the store and in memory.
//!
//! ```text
//! key      collection number (4 bytes, big-endian) | id (UTF-8)
//! value    version (8 bytes, little-endian) | sequence (8 bytes, little-endian) | source (compact JSON, sorted keys)
//! ```

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::limits::{DOCUMENT_MAX_BYTES, DOCUMENT_MAX_DEPTH};
use crate::merge::depth_within;
use crate::write::Document;

/// Number of a collection; never used again after the collection is gone, so its leftovers can be removed at leisure.
pub(crate) type CollectionId = u32;

/// Bytes before the source in a stored value.
pub(crate) const HEADER_LEN: usize = 16;

/// Key of a document in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(Bytes);

impl Key {
    pub(crate) fn new(collection: CollectionId, id: &str) -> Self {
        let mut bytes = Vec::with_capacity(4 + id.len());
        bytes.extend_from_slice(&collection.to_be_bytes());
        bytes.extend_from_slice(id.as_bytes());
        Self(bytes.into())
    }

    /// Takes bytes read from a file; none when they are too short to be a key.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= 4).then(|| Self(Bytes::copy_from_slice(bytes)))
    }

    /// The smallest key of a collection.
    pub(crate) fn first_of(collection: CollectionId) -> Self {
        Self::new(collection, "")
    }

    pub(crate) fn collection(&self) -> CollectionId {
        let mut number = [0; 4];
        number.copy_from_slice(&self.0[..4]);
        CollectionId::from_be_bytes(number)
    }

    /// The document's id.
    pub(crate) fn id(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0[4..])
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// A source that is ready to be stored: JSON behind room for the header.
#[derive(Debug)]
pub(crate) struct Draft(Vec<u8>);

impl Draft {
    /// Serialises an object.
    pub(crate) fn new(source: &Map<String, Value>) -> Result<Self, Error> {
        if !source.values().all(|v| depth_within(v, DOCUMENT_MAX_DEPTH - 1)) {
            return Err(Error::InvalidDocument {
                reason: format!("objects and arrays nest deeper than {DOCUMENT_MAX_DEPTH} levels"),
            });
        }
        let mut bytes = Vec::with_capacity(HEADER_LEN + 240);
        bytes.resize(HEADER_LEN, 0);
        serde_json::to_writer(&mut bytes, source)
            .map_err(|error| Error::InvalidDocument { reason: error.to_string() })?;
        if bytes.len() - HEADER_LEN > DOCUMENT_MAX_BYTES {
            return Err(Error::InvalidDocument {
                reason: format!("it has {} bytes, at most {DOCUMENT_MAX_BYTES}", bytes.len() - HEADER_LEN),
            });
        }
        Ok(Self(bytes))
    }

    /// Size once stored, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The document itself.
    pub(crate) fn read(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.0[HEADER_LEN..])
            .map_err(|error| Error::InvalidDocument { reason: error.to_string() })
    }

    /// The value to store.
    pub(crate) fn finish(mut self, version: u64, sequence: u64) -> Record {
        self.0[..8].copy_from_slice(&version.to_le_bytes());
        self.0[8..HEADER_LEN].copy_from_slice(&sequence.to_le_bytes());
        Record(Bytes::from(self.0))
    }
}

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record(Bytes);

impl Record {
    /// Takes bytes read from a file; none when they are too short to be a record.
    pub(crate) fn from_bytes(bytes: Bytes) -> Option<Self> {
        (bytes.len() >= HEADER_LEN).then_some(Self(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }

    pub(crate) fn version(&self) -> u64 {
        self.number(0)
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.number(8)
    }

    pub(crate) fn source(&self) -> Bytes {
        self.0.slice(HEADER_LEN..)
    }

    pub(crate) fn document(&self) -> Document {
        Document { version: self.version(), sequence: self.sequence(), source: self.source() }
    }

    fn number(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[at..at + 8]);
        u64::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_record_keeps_version_sequence_and_sorted_source() {
        let record = Draft::new(&object(json!({"b": 1, "a": {"d": 1, "c": 2}}))).unwrap().finish(7, 9);
        let again = Record::from_bytes(Bytes::copy_from_slice(record.as_bytes())).unwrap();
        assert_eq!(
            again.document(),
            Document { version: 7, sequence: 9, source: Bytes::from_static(br#"{"a":{"c":2,"d":1},"b":1}"#) }
        );
        assert_eq!(Record::from_bytes(Bytes::from_static(b"short")), None);
    }

    #[test]
    fn too_deep_sources_are_refused() {
        let mut value = json!(1);
        for _ in 0..DOCUMENT_MAX_DEPTH - 1 {
            value = json!([value]);
        }
        assert!(Draft::new(&object(json!({ "a": value }))).is_ok());
        assert!(Draft::new(&object(json!({ "a": [value] }))).is_err());
    }

    #[test]
    fn keys_sort_by_collection_then_id() {
        let keys = [Key::new(1, "b"), Key::new(1, "c"), Key::new(2, "a"), Key::new(256, "a")];
        assert!(keys.is_sorted());
    }
}
