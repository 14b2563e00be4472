//! Reading a collection from end to end, as a search sees it.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::error::Error;
use crate::record::{CollectionId, Key, Record};
use crate::shared::{Shared, stored, unread};
use crate::store::Space;
use crate::visible::View;

/// Documents read at a time.
const STRIDE: usize = 1_000;

/// Calls `each` for every document of a collection that a view shows, in the order of their ids, until it fails.
///
/// Writes go on meanwhile. What they change is in the view's chain before readers can see it, and each stride compares
/// the keys it has read with that chain, so no document is missed, seen twice or seen as it is now.
pub(crate) fn scan(
    shared: &Shared,
    collection: CollectionId,
    view: &View,
    each: &mut dyn FnMut(Key, Record) -> Result<(), Error>,
) -> Result<(), Error> {
    // Before the store is read: what leaves the overlay meanwhile is in the store by then.
    let mut recent = shared.overlay.read().of(collection);
    let end = Key::first_of(collection.saturating_add(1));
    let mut from = Key::first_of(collection);
    loop {
        let pairs =
            shared.store.scan(Space::Documents, from.as_bytes(), end.as_bytes(), STRIDE).map_err(unread)?;
        let is_last = pairs.len() < STRIDE;
        let upto = match pairs.last() {
            Some((last, _)) if !is_last => after(last),
            _ => Some(end.clone()),
        };
        let Some(upto) = upto else { return Err(short_key()) };
        let mut documents: BTreeMap<Key, Option<Record>> = BTreeMap::new();
        for (key, value) in pairs {
            let key = Key::from_bytes(&key).ok_or_else(short_key)?;
            documents.insert(key, Some(stored(value)?));
        }
        let later = recent.split_off(&upto);
        documents.append(&mut recent);
        recent = later;
        view.changed(&from, &upto, &mut |key| {
            documents.entry(key.clone()).or_insert(None);
        });
        for (key, current) in documents {
            if let Some(record) = view.resolve(&key, current) {
                each(key, record)?;
            }
        }
        if is_last {
            return Ok(());
        }
        from = upto;
    }
}

/// The smallest key behind one.
fn after(key: &Bytes) -> Option<Key> {
    Key::from_bytes(&[key, [0].as_slice()].concat())
}

fn short_key() -> Error {
    Error::Corrupt { reason: "a key in the store is shorter than a collection's number".to_owned() }
}
