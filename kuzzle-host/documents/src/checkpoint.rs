//! The thread that brings what the journal holds into the store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kuzzle_search::Mapping;

use crate::catalogue::Catalogue;
use crate::op::{Op, stored_mapping};
use crate::overlay::Layer;
use crate::record::{CollectionId, Key, Record};
use crate::shared::{Shared, Task};
use crate::store::{Change, Space, Store, StoreError};

/// Pause after the first failure; it doubles up to the greatest.
const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Documents of removed indexes that are taken out of the store in one go.
const TIDY_BATCH: usize = 2_000;
const TIDY_PAUSE: Duration = Duration::from_millis(20);

/// Runs until stopped. What cannot be brought into the store by then stays in the journal for the next start.
pub(crate) fn run(shared: &Shared) {
    let mut tidy_at = Some(Instant::now());
    loop {
        match shared.checkpoint.next(tidy_at) {
            Task::Write(layer) => {
                let mut pause = RETRY_PAUSE_FIRST;
                while let Err(error) = write(shared, &layer) {
                    if shared.checkpoint.is_stopping() {
                        tracing::warn!(%error, "documents stay in the journal: the store does not take them");
                        return;
                    }
                    pause = wait_to_retry(shared, pause, &error);
                }
                if layer.names.iter().any(|op| matches!(op, Op::RemoveIndex { .. })) {
                    tidy_at = Some(Instant::now());
                }
            }
            Task::Tidy => {
                tidy_at = match tidy(&*shared.store) {
                    Ok(true) => Some(Instant::now() + TIDY_PAUSE),
                    Ok(false) => None,
                    Err(error) => {
                        tracing::warn!(%error, "leftovers of removed indexes stay for now");
                        Some(Instant::now() + RETRY_PAUSE_MAX)
                    }
                }
            }
            Task::Stop => return,
        }
    }
}

/// Brings a layer into the store and takes it out of the readers' way.
pub(crate) fn write(shared: &Shared, layer: &Arc<Layer>) -> Result<(), StoreError> {
    shared.store.commit(&changes_of(layer, &*shared.store)?)?;
    // Freeing a large layer takes a while: not under the lock.
    let done = shared.overlay.write().frozen.take();
    drop(done);
    shared.checkpoint.succeeded();
    Ok(())
}

/// Notes the failure and waits until another try makes sense; returns the pause for the failure after that.
fn wait_to_retry(shared: &Shared, pause: Duration, error: &StoreError) -> Duration {
    let reason = shared.space_missing().unwrap_or_else(|| {
        format!("the store does not take what the journal holds: {error}; it is tried again")
    });
    if shared.checkpoint.failure().is_none() {
        tracing::warn!(%error, "documents are refused: the store does not take what the journal holds");
    }
    shared.checkpoint.failed(reason);
    shared.checkpoint.pause(pause);
    while shared.space_missing().is_some() && !shared.checkpoint.is_stopping() {
        shared.checkpoint.pause(RETRY_PAUSE_FIRST);
    }
    (pause * 2).min(RETRY_PAUSE_MAX)
}

/// What a layer changes in a store that has all before it.
pub(crate) fn changes_of(layer: &Layer, store: &dyn Store) -> Result<Vec<Change>, StoreError> {
    let removed: HashSet<CollectionId> = layer
        .names
        .iter()
        .filter_map(|op| match op {
            Op::RemoveIndex { collections, .. } => Some(collections.iter().map(|(_, id)| *id)),
            _ => None,
        })
        .flatten()
        .collect();
    // In key order neighbours share pages, and each page is written once.
    let mut documents: Vec<_> =
        layer.documents.iter().filter(|(key, _)| !removed.contains(&key.collection())).collect();
    documents.sort_unstable_by_key(|(key, _)| *key);
    let mut changes = Vec::with_capacity(documents.len() + layer.names.len() + 1);
    changes.extend(documents.into_iter().map(|(key, record)| {
        let key = key.clone().into_bytes();
        match record {
            Some(record) => Change::Put(Space::Documents, key, record.clone().into_bytes()),
            None => Change::Remove(Space::Documents, key),
        }
    }));
    for op in &layer.names {
        add_names(&mut changes, op);
    }
    for (collection, growth) in &layer.growth {
        if removed.contains(collection) {
            continue;
        }
        let key = collection_note(COUNT_TAG, *collection);
        let before = match store.get(Space::Catalogue, &key)? {
            None => 0,
            Some(bytes) => u64::from_be_bytes(number(&bytes)?),
        };
        let count = before.saturating_add_signed(*growth);
        changes.push(Change::Put(Space::Catalogue, key, Bytes::copy_from_slice(&count.to_be_bytes())));
    }
    changes.push(Change::Put(
        Space::Catalogue,
        Bytes::from_static(APPLIED_KEY),
        Bytes::copy_from_slice(&layer.last.to_be_bytes()),
    ));
    Ok(changes)
}

// Keys of the catalogue: `a` the number of the last write in the store, `c` a collection (index, NUL, name) with its
// number, `d` the number of a collection with how many documents it has, `g` the number of a removed collection whose
// documents are still to be taken out, `i` an index, `m` the number of a collection with its mapping, `n` the number of
// the next collection, `r` an index with automatic refresh.
const COUNT_TAG: u8 = b'd';
const MAPPING_TAG: u8 = b'm';
const APPLIED_KEY: &[u8] = b"a";
const NEXT_KEY: &[u8] = b"n";

fn add_names(changes: &mut Vec<Change>, op: &Op) {
    match op {
        Op::Put { .. } | Op::Remove { .. } => {}
        Op::AddIndex { index } => changes.push(Change::Put(Space::Catalogue, index_key(index), Bytes::new())),
        Op::AddCollection { index, collection, id } => {
            let number = |id: CollectionId| Bytes::copy_from_slice(&id.to_be_bytes());
            changes.push(Change::Put(Space::Catalogue, collection_key(index, collection), number(*id)));
            let next = number(id.saturating_add(1));
            changes.push(Change::Put(Space::Catalogue, Bytes::from_static(NEXT_KEY), next));
        }
        Op::RemoveIndex { index, collections } => {
            changes.push(Change::Remove(Space::Catalogue, index_key(index)));
            for (collection, id) in collections {
                changes.push(Change::Remove(Space::Catalogue, collection_key(index, collection)));
                changes.push(Change::Put(Space::Catalogue, garbage_key(*id), Bytes::new()));
                changes.push(Change::Remove(Space::Catalogue, collection_note(COUNT_TAG, *id)));
                changes.push(Change::Remove(Space::Catalogue, collection_note(MAPPING_TAG, *id)));
            }
            changes.push(Change::Remove(Space::Catalogue, auto_refresh_key(index)));
        }
        Op::SetMapping { id, mapping, .. } => {
            let mapping = Bytes::copy_from_slice(mapping.as_bytes());
            changes.push(Change::Put(Space::Catalogue, collection_note(MAPPING_TAG, *id), mapping));
        }
        Op::SetAutoRefresh { index, enabled: true } => {
            changes.push(Change::Put(Space::Catalogue, auto_refresh_key(index), Bytes::new()));
        }
        Op::SetAutoRefresh { index, enabled: false } => {
            changes.push(Change::Remove(Space::Catalogue, auto_refresh_key(index)));
        }
    }
}

fn collection_note(tag: u8, id: CollectionId) -> Bytes {
    [[tag].as_slice(), &id.to_be_bytes()].concat().into()
}

fn auto_refresh_key(index: &str) -> Bytes {
    [b"r", index.as_bytes()].concat().into()
}

fn index_key(index: &str) -> Bytes {
    [b"i", index.as_bytes()].concat().into()
}

fn collection_key(index: &str, collection: &str) -> Bytes {
    [b"c", index.as_bytes(), b"\0", collection.as_bytes()].concat().into()
}

fn garbage_key(id: CollectionId) -> Bytes {
    [b"g".as_slice(), &id.to_be_bytes()].concat().into()
}

/// What the store knows besides the documents.
pub(crate) struct Loaded {
    pub(crate) catalogue: Catalogue,
    /// Documents of each collection.
    pub(crate) counts: HashMap<CollectionId, u64>,
    /// Number of the last write.
    pub(crate) applied: u64,
}

/// Reads what the store knows besides the documents.
pub(crate) fn load(store: &dyn Store) -> Result<Loaded, StoreError> {
    let mut catalogue = Catalogue::default();
    let mut mappings = HashMap::new();
    for (key, value) in store.scan(Space::Catalogue, b"m", b"n", usize::MAX)? {
        let id = CollectionId::from_be_bytes(number(&key[1..])?);
        let mapping = stored_mapping(text(&value)?)
            .ok_or_else(|| StoreError::Corrupt(format!("the mapping of collection {id} is none")))?;
        mappings.insert(id, Arc::new(mapping));
    }
    let mut counts = HashMap::new();
    for (key, value) in store.scan(Space::Catalogue, b"d", b"e", usize::MAX)? {
        let id = CollectionId::from_be_bytes(number(&key[1..])?);
        counts.insert(id, u64::from_be_bytes(number(&value)?));
    }
    for (key, _) in store.scan(Space::Catalogue, b"r", b"s", usize::MAX)? {
        catalogue.set_auto_refresh(text(&key[1..])?, true);
    }
    for (key, value) in store.scan(Space::Catalogue, b"i", b"j", usize::MAX)? {
        let _ = value;
        catalogue.add_index(text(&key[1..])?);
    }
    for (key, value) in store.scan(Space::Catalogue, b"c", b"d", usize::MAX)? {
        let (index, collection) = text(&key[1..])?
            .split_once('\0')
            .ok_or_else(|| StoreError::Corrupt("a collection in the catalogue has no index".to_owned()))?;
        let id = CollectionId::from_be_bytes(number(&value)?);
        catalogue.add_collection(index, collection, id);
        if let Some(mapping) = mappings.remove(&id) {
            catalogue.set_mapping(index, collection, mapping);
        }
    }
    if let Some(next) = store.get(Space::Catalogue, NEXT_KEY)? {
        catalogue.reserve_collections_below(CollectionId::from_be_bytes(number(&next)?));
    }
    let applied = match store.get(Space::Catalogue, APPLIED_KEY)? {
        None => 0,
        Some(bytes) => u64::from_be_bytes(number(&bytes)?),
    };
    Ok(Loaded { catalogue, counts, applied })
}

/// Documents read at a time.
const STRIDE: usize = 1_000;

/// Gives the collections of a store of format 1 what that format did not have: mappings, as their documents bring them,
/// and counts. Values that contradict the first of their kind stay unsearchable.
pub(crate) fn migrate(store: &dyn Store, loaded: &mut Loaded) -> Result<(), StoreError> {
    let mut changes = Vec::new();
    let names: Vec<_> =
        loaded.catalogue.all().map(|(i, c, it)| (Arc::clone(i), Arc::clone(c), it.id)).collect();
    for (index, name, id) in names {
        let (mut mapping, mut count) = (Mapping::default(), 0u64);
        let (mut from, to) = (Key::first_of(id).into_bytes(), Key::first_of(id.saturating_add(1)));
        loop {
            let pairs = store.scan(Space::Documents, &from, to.as_bytes(), STRIDE)?;
            let Some((last, _)) = pairs.last() else { break };
            from = [last, [0].as_slice()].concat().into();
            for (_, value) in pairs {
                count += 1;
                if let Some(record) = Record::from_bytes(value)
                    && let Ok(source) = serde_json::from_slice(&record.source())
                    && let Ok(Some(grown)) = mapping.observe(&source)
                {
                    mapping = grown;
                }
            }
        }
        let json = Bytes::from(mapping.render().to_string());
        changes.push(Change::Put(Space::Catalogue, collection_note(MAPPING_TAG, id), json));
        let bytes = Bytes::copy_from_slice(&count.to_be_bytes());
        changes.push(Change::Put(Space::Catalogue, collection_note(COUNT_TAG, id), bytes));
        loaded.catalogue.set_mapping(&index, &name, Arc::new(mapping));
        loaded.counts.insert(id, count);
    }
    store.commit(&changes)
}

fn text(bytes: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(bytes)
        .map_err(|_| StoreError::Corrupt("a name in the catalogue is not UTF-8".to_owned()))
}

fn number<const N: usize>(bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| {
        StoreError::Corrupt(format!("a number in the catalogue has {} bytes, expected {N}", bytes.len()))
    })
}

/// Takes some documents of removed collections out of the store; returns whether there are more.
fn tidy(store: &dyn Store) -> Result<bool, StoreError> {
    let Some((garbage, _)) = store.scan(Space::Catalogue, b"g", b"h", 1)?.pop() else { return Ok(false) };
    let id = CollectionId::from_be_bytes(number(&garbage[1..])?);
    let (from, to) = (Key::first_of(id), Key::first_of(id.saturating_add(1)));
    let mut changes: Vec<Change> = store
        .scan(Space::Documents, from.as_bytes(), to.as_bytes(), TIDY_BATCH)?
        .into_iter()
        .map(|(key, _)| Change::Remove(Space::Documents, key))
        .collect();
    if changes.len() < TIDY_BATCH {
        changes.push(Change::Remove(Space::Catalogue, garbage));
    }
    store.commit(&changes)?;
    Ok(true)
}
