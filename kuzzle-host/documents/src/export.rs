//! Reading a collection page by page, as it is now.

use std::collections::BTreeMap;

use crate::documents::Documents;
use crate::error::Error;
use crate::record::{Key, Record};
use crate::shared::{stored, unread};
use crate::store::Space;
use crate::write::Document;

/// Documents that are read from the store at a time: each may be large.
const STRIDE: usize = 32;

/// Documents of a collection in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Ids with their documents.
    pub documents: Vec<(String, Document)>,
    /// Whether no document follows.
    pub is_last: bool,
    /// How many documents the whole collection has now.
    pub total: u64,
}

impl Documents {
    /// Reads documents of a collection in the order of the bytes of their ids, as they are stored now, whether or not
    /// searches see them. `after` is the id behind which the page begins. A page ends after `count_max` documents, at least
    /// one, and with the document that brings it to `bytes_max` bytes.
    ///
    /// Pages that are read one after the other are no picture of one moment: a document that is written meanwhile is in
    /// one of them when its id is still to come. None is given twice.
    ///
    /// # Errors
    /// No such index, or the disk cannot be read. A missing collection is empty.
    pub fn page(
        &self,
        index: &str,
        collection: &str,
        after: Option<&str>,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Page, Error> {
        let shared = self.shared();
        let id = {
            let catalogue = shared.catalogue.read();
            if !catalogue.has_index(index) {
                return Err(Error::IndexNotFound { index: index.to_owned() });
            }
            catalogue.collection(index, collection)
        };
        let mut page = Page { documents: Vec::new(), is_last: true, total: 0 };
        let Some(id) = id else { return Ok(page) };
        page.total = shared.counts.read().get(&id).copied().unwrap_or_default();
        let mut from = after.map_or_else(|| Key::first_of(id), |after| behind(&Key::new(id, after)));
        let end = Key::first_of(id.saturating_add(1));
        // Before the store is read: what leaves the overlay meanwhile is in the store by then.
        let mut recent = shared.overlay.read().of(id).split_off(&from);
        let mut bytes = 0;
        loop {
            let pairs = shared.store.scan(Space::Documents, from.as_bytes(), end.as_bytes(), STRIDE);
            let pairs = pairs.map_err(unread)?;
            let mut documents: BTreeMap<Key, Option<Record>> = BTreeMap::new();
            let is_last = pairs.len() < STRIDE;
            for (key, value) in pairs {
                let key = Key::from_bytes(&key).ok_or_else(|| Error::Corrupt {
                    reason: "a key in the store is shorter than a collection's number".to_owned(),
                })?;
                documents.insert(key, Some(stored(value)?));
            }
            from = match documents.last_key_value() {
                Some((last, _)) if !is_last => behind(last),
                _ => end.clone(),
            };
            let later = recent.split_off(&from);
            documents.append(&mut recent);
            recent = later;
            for (key, record) in documents {
                let Some(record) = record else { continue };
                if page.documents.len() >= count_max.max(1) || bytes >= bytes_max.max(1) {
                    page.is_last = false;
                    return Ok(page);
                }
                bytes += record.as_bytes().len();
                page.documents.push((key.id().into_owned(), record.document()));
            }
            if is_last {
                return Ok(page);
            }
        }
    }
}

/// The smallest key behind one.
fn behind(key: &Key) -> Key {
    Key::new(key.collection(), &format!("{}\0", key.id()))
}
