//! The writes that are durable in the journal and not yet in the store, as readers see them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::op::Op;
use crate::record::{Key, Record};

/// The writes of one journal file.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    /// Documents as they are after the writes; none where the document was removed.
    pub(crate) documents: HashMap<Key, Option<Record>>,
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
            match op {
                Op::Put { key, record } => {
                    layer.documents.insert(key, Some(record));
                }
                Op::Remove { key } => {
                    layer.documents.insert(key, None);
                }
                names => layer.names.push(names),
            }
        }
        layer
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
    /// The document under a key: `Some(None)` says that it was removed, `None` that the store knows.
    pub(crate) fn get(&self, key: &Key) -> Option<Option<Record>> {
        self.active.documents.get(key).or_else(|| self.frozen.as_ref()?.documents.get(key)).cloned()
    }
}
