//! The index that finds the filters of a document.

mod bucket;
mod condition;
mod entry;
mod fields;
mod intervals;
mod patterns;
mod places;
mod table;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use smallvec::SmallVec;

pub(crate) use table::{Key, Table, hash_one};

use crate::document::Document;
use crate::filter::Filter;

use bucket::Bucket;
use entry::{Entry, Plan};
use fields::Fields;

/// Filters of many collections, each with a payload, of which those are found that match a document.
///
/// # How it works
///
/// A filter is rewritten to conjunctions. Each is found by its most selective condition: values by a hash table, ranges by a
/// tree of intervals, shapes by an R-tree, regular expressions by three characters that they need. What is found by a
/// value is indexed again by the next condition, once there are more than a few; the rest of a conjunction is compared. A
/// document is walked once, along a tree of the fields that any filter names. So a document costs what it matches, not what
/// there is.
///
/// # Threads
///
/// Everything takes `&self`. Matching holds a collection's lock shared, so that any number of threads match at once.
/// Inserting and removing a filter hold it alone for as long as one conjunction takes, some microseconds: no table has to
/// be copied when it is full, as each is a tree of small ones. A lock was chosen over versions that are swapped in: those
/// need more than twice the memory, or a copy for each change, to save a pause that is shorter than the one that a scheduler
/// makes.
///
/// While a filter of several conjunctions is inserted, documents may match by some of them already.
pub struct Matcher<T> {
    collections: RwLock<Table<Name, Arc<Collection<T>>>>,
    next_id: AtomicU64,
}

/// Index and collection.
#[derive(Debug, PartialEq, Eq)]
struct Name(Box<str>, Box<str>);

struct Collection<T> {
    name: Name,
    state: RwLock<State<T>>,
}

struct State<T> {
    fields: Fields,
    root: Bucket<T>,
    /// Filters here; with none the collection is taken out.
    filters: usize,
    /// Set when it was taken out, so that whoever still has it looks again.
    closed: bool,
}

/// A filter in a [`Matcher`]: what it takes to remove it.
#[must_use = "a filter can only be removed by this"]
pub struct Inserted<T> {
    collection: Arc<Collection<T>>,
    entries: SmallVec<[Arc<Entry<T>>; 1]>,
}

impl<T> Default for Matcher<T> {
    fn default() -> Self {
        Matcher { collections: RwLock::new(Table::default()), next_id: AtomicU64::new(0) }
    }
}

impl Key for Name {
    fn hash(&self) -> u64 {
        hash_name(&self.0, &self.1)
    }
}

fn hash_name(index: &str, collection: &str) -> u64 {
    hash_one((index, collection))
}

impl<T: Clone> Matcher<T> {
    /// Makes a matcher without filters.
    pub fn new() -> Matcher<T> {
        Matcher::default()
    }

    /// Adds a filter of a collection. The same filter may be added more than once.
    pub fn insert(&self, index: &str, collection: &str, filter: &Filter, payload: T) -> Inserted<T> {
        let plan = Plan::of(filter.normal());
        let count = plan.len() as u64;
        let first = self.next_id.fetch_add(count, Ordering::Relaxed);
        let (collection, conjunctions) = self.enter(index, collection, &plan);
        let mut entries = SmallVec::with_capacity(conjunctions.len());
        for (id, conditions) in (first..).zip(conjunctions) {
            let entry = Entry { id, filter: first, several: count > 1, conditions, payload: payload.clone() };
            let entry = Arc::new(entry);
            // The lock is given back in between, so that matching goes on.
            collection.state.write().root.insert(0, Arc::clone(&entry));
            entries.push(entry);
        }
        Inserted { collection, entries }
    }

    /// Counts one more filter of a collection, and numbers the fields that it looks at.
    fn enter(
        &self,
        index: &str,
        collection: &str,
        plan: &Plan<'_>,
    ) -> (Arc<Collection<T>>, Vec<Box<[condition::Condition]>>) {
        loop {
            let collection = self.collection_or_new(index, collection);
            let mut state = collection.state.write();
            if !state.closed {
                state.filters += 1;
                let fields = &mut state.fields;
                let conjunctions = plan.conditions(|path| fields.acquire(path));
                drop(state);
                return (collection, conjunctions);
            }
        }
    }

    fn collection_or_new(&self, index: &str, collection: &str) -> Arc<Collection<T>> {
        if let Some(found) = self.collection(index, collection) {
            return found;
        }
        let mut collections = self.collections.write();
        let made = collections.get_or_insert_with(Name(index.into(), collection.into()), || {
            let state =
                State { fields: Fields::default(), root: Bucket::default(), filters: 0, closed: false };
            Arc::new(Collection { name: Name(index.into(), collection.into()), state: RwLock::new(state) })
        });
        Arc::clone(made)
    }

    fn collection(&self, index: &str, collection: &str) -> Option<Arc<Collection<T>>> {
        let hash = hash_name(index, collection);
        let collections = self.collections.read();
        let is = |name: &Name| name.0.as_ref() == index && name.1.as_ref() == collection;
        collections.find(hash, is).cloned()
    }

    /// Removes a filter that was inserted here.
    pub fn remove(&self, inserted: Inserted<T>) {
        let Inserted { collection, entries } = inserted;
        for entry in &entries {
            let mut state = collection.state.write();
            state.root.remove(0, entry);
            let mut release = |field| state.fields.release(field);
            entry.conditions.iter().for_each(|condition| condition.for_each_field(&mut release));
        }
        let mut state = collection.state.write();
        state.filters -= 1;
        if state.filters == 0 {
            state.closed = true;
            drop(state);
            let name = &collection.name;
            self.collections.write().remove(name.hash(), |it| it == name);
        }
    }

    /// Calls `visit` with the payload of each filter that matches a document, in no order.
    ///
    /// The filters of the collection cannot change while `visit` runs; it must not insert or remove any here.
    pub fn for_each_match(
        &self,
        index: &str,
        collection: &str,
        document: &Document<'_>,
        mut visit: impl FnMut(&T),
    ) {
        let Some(collection) = self.collection(index, collection) else { return };
        let state = collection.state.read();
        let found = state.fields.find(document);
        let mut several: SmallVec<[&Entry<T>; 16]> = SmallVec::new();
        state.root.matching(0, &found, &mut |entry| {
            if entry.several {
                several.push(entry);
            } else {
                visit(&entry.payload);
            }
        });
        // A filter of several conjunctions may have been found by more than one.
        several.sort_unstable_by_key(|entry| entry.filter);
        several.dedup_by_key(|entry| entry.filter);
        several.iter().for_each(|entry| visit(&entry.payload));
    }

    /// The payloads of the filters that match a document, in no order.
    pub fn matches(&self, index: &str, collection: &str, document: &Document<'_>) -> Vec<T> {
        let mut found = Vec::new();
        self.for_each_match(index, collection, document, |payload| found.push(payload.clone()));
        found
    }

    /// How many filters a collection has.
    pub fn len(&self, index: &str, collection: &str) -> usize {
        self.collection(index, collection).map_or(0, |collection| collection.state.read().filters)
    }

    /// Whether there are no filters at all.
    pub fn is_empty(&self) -> bool {
        self.collections.read().is_empty()
    }
}

impl<T> fmt::Debug for Matcher<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Matcher").field("collections", &self.collections.read().len()).finish()
    }
}

impl<T> fmt::Debug for Inserted<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Inserted").field("conjunctions", &self.entries.len()).finish()
    }
}
