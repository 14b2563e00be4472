//! The writes that are durable in the journal and not yet in the store, as readers see them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::op::Op;
use crate::record::{CollectionId, Key, Record};

/// The writes of one journal file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    /// Documents as they are after the writes; none where the document was removed.
    pub(crate) documents: HashMap<Key, Option<Record>>,
    /// Keys of the documents, by collection.
    keys: HashMap<CollectionId, Vec<Key>>,
    /// By how many documents each collection grew.
    pub(crate) growth: HashMap<CollectionId, i64>,
    /// Changes of names, in order.
    pub(crate) names: Vec<Op>,
    /// Number of the last write; the store takes note of it.
    pub(crate) last: u64,
}

impl Layer {
    /// Gathers changes in order, as read from a journal.
    pub(crate) fn from_ops(ops: Vec<Op>, last: u64) -> Self {
        let mut layer = Self { last, ..Self::default() };
        for op in ops {
            layer.grow(&op);
            match op {
                Op::Put { key, record } => layer.set(key, Some(record)),
                Op::Remove { key } => layer.set(key, None),
                names => layer.names.push(names),
            }
        }
        layer
    }

    /// Sets a document.
    pub(crate) fn set(&mut self, key: Key, record: Option<Record>) {
        if self.documents.insert(key.clone(), record).is_none() {
            self.keys.entry(key.collection()).or_default().push(key);
        }
    }

    /// Counts what a change adds or removes.
    pub(crate) fn grow(&mut self, op: &Op) {
        if let Some((collection, by)) = op.growth() {
            *self.growth.entry(collection).or_default() += by;
        }
    }

    /// The documents of one collection.
    fn of(&self, collection: CollectionId) -> impl Iterator<Item = (&Key, &Option<Record>)> {
        self.keys.get(&collection).into_iter().flatten().filter_map(|key| self.documents.get_key_value(key))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.names.is_empty()
    }
}

/// Two layers over the store: one takes new writes, the other is on its way into the store.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// The writes of the current journal file.
    pub(crate) active: Layer,
    /// The writes of the other one, until the store has them.
    pub(crate) frozen: Option<Arc<Layer>>,
}

impl Overlay {
    /// The documents of one collection as they are here, none where they were removed.
    pub(crate) fn of(&self, collection: CollectionId) -> BTreeMap<Key, Option<Record>> {
        let layers = self.frozen.as_deref().into_iter().chain([&self.active]);
        let pairs = layers.flat_map(|layer| layer.of(collection));
        pairs.map(|(key, record)| (key.clone(), record.clone())).collect()
    }

    /// The document under a key: `Some(None)` says that it was removed, `None` that the store knows.
    pub(crate) fn get(&self, key: &Key) -> Option<Option<Record>> {
        self.active.documents.get(key).or_else(|| self.frozen.as_ref()?.documents.get(key)).cloned()
    }
}
