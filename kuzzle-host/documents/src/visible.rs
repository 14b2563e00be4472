//! What searches see: documents as they were at the last refresh of their index.
//!
//! The store has the newest state alone, since reading a document shows a write at once. What searches see in its place
//! is kept here: for each document that was written since the last refresh, what was there before its first such write.
//! The writes between two refreshes of a collection are an *epoch*. A search holds the epoch it began in and looks along
//! the chain of those that followed, so it sees one state from its first document to its last, however long it takes and
//! whatever is written meanwhile.
//!
//! A refresh is the beginning of a new epoch: it costs the same whatever was written. It comes a second after the first
//! write of an epoch, when the epoch has grown large, when somebody asks for it, and with each batch of writes of an
//! index that has automatic refresh. Nothing runs for it while nobody looks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::record::{CollectionId, Key, Record};

/// How long a write may stay invisible to searches.
const REFRESH_AFTER: Duration = Duration::from_secs(1);
/// Documents and bytes of former documents after which an epoch ends before its time.
const EPOCH_MAX_DOCUMENTS: usize = 100_000;
const EPOCH_MAX_BYTES: usize = 16 << 20;

/// The writes of one collection between two refreshes.
#[derive(Debug)]
pub(crate) struct Epoch {
    /// Number of the last write before it: what is not newer has not changed since.
    sequence: u64,
    /// What was there before the first write of the epoch: none where there was nothing.
    before: Mutex<Before>,
    next: OnceLock<Arc<Epoch>>,
}

#[derive(Debug, Default)]
struct Before {
    documents: BTreeMap<Key, Option<Record>>,
    bytes: usize,
    since: Option<Instant>,
}

impl Epoch {
    fn new(sequence: u64) -> Arc<Self> {
        Arc::new(Self { sequence, before: Mutex::default(), next: OnceLock::new() })
    }

    fn is_over(&self, now: Instant) -> bool {
        let before = self.before.lock();
        before.since.is_some_and(|since| now.saturating_duration_since(since) >= REFRESH_AFTER)
            || before.documents.len() >= EPOCH_MAX_DOCUMENTS
            || before.bytes >= EPOCH_MAX_BYTES
    }
}

impl Drop for Epoch {
    /// A chain may be long, so its end is not left to recursion.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut epoch) = next.and_then(Arc::into_inner) {
            next = epoch.next.take();
        }
    }
}

/// The epochs of all collections. Whoever makes writes visible to readers holds it meanwhile, so that a refresh comes
/// before all of a batch or after it.
#[derive(Debug, Default)]
pub(crate) struct Visibility {
    epochs: HashMap<CollectionId, Arc<Epoch>>,
    /// Number of the last write that readers see.
    last: u64,
}

impl Visibility {
    pub(crate) fn new(last: u64) -> Self {
        Self { epochs: HashMap::new(), last }
    }

    /// Takes note that a document is about to change, and of what was there before.
    pub(crate) fn note(&mut self, key: &Key, before: Option<&Record>, now: Instant) {
        let last = self.last;
        let epoch = self.epochs.entry(key.collection()).or_insert_with(|| Epoch::new(last));
        if epoch.is_over(now) {
            renew(epoch, last);
        }
        let mut noted = epoch.before.lock();
        noted.since.get_or_insert(now);
        if !noted.documents.contains_key(key) {
            noted.bytes += before.map_or(0, |record| record.as_bytes().len());
            noted.documents.insert(key.clone(), before.cloned());
        }
    }

    /// Takes note that readers see all writes up to a number.
    pub(crate) fn advance(&mut self, last: u64) {
        self.last = last;
    }

    /// Shows searches all that was written so far.
    pub(crate) fn refresh(&mut self, collection: CollectionId) {
        let last = self.last;
        if let Some(epoch) = self.epochs.get_mut(&collection)
            && epoch.before.lock().since.is_some()
        {
            renew(epoch, last);
        }
    }

    /// Forgets a collection that is gone.
    pub(crate) fn forget(&mut self, collection: CollectionId) {
        self.epochs.remove(&collection);
    }

    /// What a search that begins now sees.
    pub(crate) fn view(&mut self, collection: CollectionId, now: Instant) -> View {
        let last = self.last;
        let epoch = self.epochs.entry(collection).or_insert_with(|| Epoch::new(last));
        if epoch.is_over(now) {
            renew(epoch, last);
        }
        View { epoch: Arc::clone(epoch) }
    }
}

fn renew(epoch: &mut Arc<Epoch>, last: u64) {
    let next = Epoch::new(last);
    // Only here, and under the lock of all epochs, does one get its successor.
    let _ = epoch.next.set(Arc::clone(&next));
    *epoch = next;
}

/// The state that one search sees. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) struct View {
    epoch: Arc<Epoch>,
}

impl View {
    /// What the search sees under a key of which readers see `current`.
    pub(crate) fn resolve(&self, key: &Key, current: Option<Record>) -> Option<Record> {
        if current.as_ref().is_some_and(|record| record.sequence() <= self.epoch.sequence) {
            return current;
        }
        let mut epoch = Some(&self.epoch);
        while let Some(here) = epoch {
            if let Some(before) = here.before.lock().documents.get(key) {
                return before.clone();
            }
            epoch = here.next.get();
        }
        current
    }

    /// Number of the last write that the search sees.
    #[cfg(test)]
    pub(crate) fn sequence(&self) -> u64 {
        self.epoch.sequence
    }

    /// The keys from `from` (included) to `to` (excluded) that were written since.
    pub(crate) fn changed(&self, from: &Key, to: &Key, each: &mut dyn FnMut(&Key)) {
        let mut epoch = Some(&self.epoch);
        while let Some(here) = epoch {
            let before = here.before.lock();
            before.documents.range(from.clone()..to.clone()).for_each(|(key, _)| each(key));
            drop(before);
            epoch = here.next.get();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Draft;
    use serde_json::{Map, json};

    fn record(sequence: u64) -> Record {
        Draft::new(&Map::from_iter([("n".to_owned(), json!(sequence))])).unwrap().finish(1, sequence)
    }

    fn shown(view: &View, key: &Key, current: Option<u64>) -> Option<u64> {
        view.resolve(key, current.map(record)).map(|record| record.sequence())
    }

    #[test]
    fn a_view_sees_one_state_whatever_follows() {
        let now = Instant::now();
        let (a, b) = (Key::new(1, "a"), Key::new(1, "b"));
        let mut visibility = Visibility::new(10);
        let first = visibility.view(1, now);
        visibility.note(&a, Some(&record(7)), now);
        visibility.advance(11);
        visibility.note(&a, Some(&record(11)), now);
        visibility.advance(12);
        assert_eq!(shown(&first, &a, Some(12)), Some(7));
        visibility.refresh(1);
        let second = visibility.view(1, now);
        assert_eq!((first.sequence(), second.sequence()), (10, 12));
        visibility.note(&a, Some(&record(12)), now);
        visibility.note(&b, None, now);
        visibility.advance(14);
        assert_eq!(shown(&first, &a, None), Some(7), "removed since");
        assert_eq!(shown(&second, &a, None), Some(12));
        assert_eq!(shown(&second, &b, Some(14)), None, "stored since");
        assert_eq!(shown(&first, &b, Some(14)), None);
        assert_eq!(shown(&second, &b, Some(3)), Some(3), "older than the view");
        let mut changed = Vec::new();
        first.changed(&Key::first_of(1), &Key::first_of(2), &mut |key| changed.push(key.clone()));
        assert_eq!(changed, [a.clone(), a, b]);
    }

    #[test]
    fn an_epoch_ends_by_time_and_by_size() {
        let start = Instant::now();
        let key = Key::new(1, "a");
        let mut visibility = Visibility::new(1);
        visibility.note(&key, None, start);
        visibility.advance(2);
        assert_eq!(shown(&visibility.view(1, start + REFRESH_AFTER / 2), &key, Some(2)), None);
        assert_eq!(shown(&visibility.view(1, start + REFRESH_AFTER), &key, Some(2)), Some(2));
        let view = visibility.view(1, start);
        for n in 0..EPOCH_MAX_DOCUMENTS {
            visibility.note(&Key::new(1, &n.to_string()), None, start);
        }
        visibility.advance(200_000);
        assert_eq!(visibility.view(1, start).sequence(), 200_000);
        assert_eq!(view.sequence(), 2);
    }

    #[test]
    fn a_long_chain_ends_without_recursion() {
        let now = Instant::now();
        let mut visibility = Visibility::new(0);
        let view = visibility.view(1, now);
        for n in 1..300_000 {
            visibility.note(&Key::new(1, "a"), None, now);
            visibility.advance(n);
            visibility.refresh(1);
        }
        visibility.forget(1);
        drop(view);
    }
}
