//! Which indexes and collections exist, and what is known of each. Small, and in memory as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kuzzle_search::Mapping;

use crate::record::CollectionId;

type Collections = BTreeMap<Arc<str>, Collection>;

/// What is known of a collection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Collection {
    pub(crate) id: CollectionId,
    pub(crate) mapping: Arc<Mapping>,
}

/// The names in use. Cloning shares the inner maps, so a working copy costs little.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Catalogue {
    indexes: Arc<BTreeMap<Arc<str>, Arc<Collections>>>,
    /// Indexes whose writes are searchable as soon as they are answered; those that do not exist yet among them.
    auto_refresh: Arc<BTreeSet<Arc<str>>>,
    collections: usize,
    next_collection: CollectionId,
}

impl Catalogue {
    pub(crate) fn index_names(&self) -> Vec<String> {
        self.indexes.keys().map(|name| name.to_string()).collect()
    }

    pub(crate) fn collection_names(&self, index: &str) -> Option<Vec<String>> {
        self.indexes.get(index).map(|collections| collections.keys().map(|name| name.to_string()).collect())
    }

    /// Numbers of the collections of an index.
    pub(crate) fn collections_of(&self, index: &str) -> Vec<CollectionId> {
        self.indexes.get(index).map(|it| it.values().map(|found| found.id).collect()).unwrap_or_default()
    }

    pub(crate) fn has_index(&self, index: &str) -> bool {
        self.indexes.contains_key(index)
    }

    pub(crate) fn collection(&self, index: &str, collection: &str) -> Option<CollectionId> {
        self.indexes.get(index)?.get(collection).map(|found| found.id)
    }

    pub(crate) fn mapping(&self, index: &str, collection: &str) -> Option<&Arc<Mapping>> {
        self.indexes.get(index)?.get(collection).map(|found| &found.mapping)
    }

    /// Number and mapping of a collection.
    pub(crate) fn found(&self, index: &str, collection: &str) -> Option<&Collection> {
        self.indexes.get(index)?.get(collection)
    }

    /// Sets the mapping of a collection; an unknown one is left alone.
    pub(crate) fn set_mapping(&mut self, index: &str, collection: &str, mapping: Arc<Mapping>) {
        if let Some(collections) = Arc::make_mut(&mut self.indexes).get_mut(index)
            && let Some(found) = Arc::make_mut(collections).get_mut(collection)
        {
            found.mapping = mapping;
        }
    }

    pub(crate) fn auto_refresh(&self, index: &str) -> bool {
        self.auto_refresh.contains(index)
    }

    pub(crate) fn auto_refresh_count(&self) -> usize {
        self.auto_refresh.len()
    }

    pub(crate) fn set_auto_refresh(&mut self, index: &str, enabled: bool) {
        if enabled == self.auto_refresh.contains(index) {
            return;
        }
        let set = Arc::make_mut(&mut self.auto_refresh);
        if enabled {
            set.insert(Arc::from(index));
        } else {
            set.remove(index);
        }
    }

    /// Every collection with its index and name, in their order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, &Collection)> {
        self.indexes.iter().flat_map(|(index, collections)| {
            collections.iter().map(move |(name, collection)| (index, name, collection))
        })
    }

    pub(crate) fn index_count(&self) -> usize {
        self.indexes.len()
    }

    pub(crate) fn collection_count(&self) -> usize {
        self.collections
    }

    /// The number the next new collection takes; none when four billion were made.
    pub(crate) fn next_collection(&self) -> Option<CollectionId> {
        (self.next_collection < CollectionId::MAX).then_some(self.next_collection)
    }

    /// Raises the next number; a lower one is ignored, for numbers are never used again.
    pub(crate) fn reserve_collections_below(&mut self, next: CollectionId) {
        self.next_collection = self.next_collection.max(next);
    }

    pub(crate) fn add_index(&mut self, index: &str) {
        Arc::make_mut(&mut self.indexes).entry(Arc::from(index)).or_default();
    }

    pub(crate) fn add_collection(&mut self, index: &str, collection: &str, id: CollectionId) {
        let collections = Arc::make_mut(&mut self.indexes).entry(Arc::from(index)).or_default();
        let added = Collection { id, mapping: Arc::default() };
        if Arc::make_mut(collections).insert(Arc::from(collection), added).is_none() {
            self.collections += 1;
        }
        self.reserve_collections_below(id.saturating_add(1));
    }

    /// Removes an index and returns its collections.
    pub(crate) fn remove_index(&mut self, index: &str) -> Vec<(String, CollectionId)> {
        self.set_auto_refresh(index, false);
        let Some(removed) = Arc::make_mut(&mut self.indexes).remove(index) else { return Vec::new() };
        self.collections -= removed.len();
        removed.iter().map(|(name, found)| (name.to_string(), found.id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_sorted_and_numbers_are_never_used_again() {
        let mut catalogue = Catalogue::default();
        catalogue.add_index("b");
        catalogue.add_collection("a", "y", 0);
        catalogue.add_collection("a", "x", 1);
        let before = catalogue.clone();
        assert_eq!(catalogue.index_names(), ["a", "b"]);
        assert_eq!(catalogue.collection_names("a").unwrap(), ["x", "y"]);
        assert_eq!(catalogue.collection_names("b").unwrap(), Vec::<String>::new());
        assert_eq!(catalogue.collection_names("c"), None);
        assert_eq!((catalogue.index_count(), catalogue.collection_count()), (2, 2));

        assert_eq!(catalogue.remove_index("a"), [("x".into(), 1), ("y".into(), 0)]);
        assert_eq!((catalogue.index_count(), catalogue.collection_count()), (1, 0));
        assert_eq!(catalogue.next_collection(), Some(2));
        assert_eq!(before.collection("a", "x"), Some(1), "a copy stays as it was");
    }
}
