//! Regular expressions on one field, grouped by three characters that each of their matches has.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::filter::{GRAM_BYTES, Pattern};

use super::bucket::List;
use super::entry::Entry;
use super::table::{Key, Table, hash_one};

/// Three bytes, capitals made small.
type Gram = [u8; GRAM_BYTES];

/// Patterns in groups, so that a text is compared only with those of which it has the three characters.
#[derive(Debug)]
pub(super) struct Patterns<T> {
    groups: Table<Gram, List<T>>,
    /// Those that need not have any three characters.
    others: List<T>,
}

impl Key for Gram {
    fn hash(&self) -> u64 {
        hash_one(self)
    }
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Patterns { groups: Table::default(), others: List::default() }
    }
}

impl<T> Patterns<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.others.is_empty()
    }

    /// Puts a pattern into the smallest of the groups in which it may be.
    pub(super) fn insert(&mut self, pattern: &Pattern, entry: &Arc<Entry<T>>) {
        let smallest = grams(pattern.literal()).min_by_key(|gram| self.groups.get(gram).map_or(0, List::len));
        match smallest {
            Some(gram) => {
                self.groups.get_or_insert_with(gram, List::default).insert((), (), Arc::clone(entry));
            }
            None => self.others.insert((), (), Arc::clone(entry)),
        }
    }

    pub(super) fn remove(&mut self, pattern: &Pattern, id: u64) {
        // Which group was the smallest then is not known any more.
        for gram in grams(pattern.literal()) {
            if let Some(group) = self.groups.get_mut(&gram)
                && group.remove((), (), id).is_some()
            {
                if group.is_empty() {
                    self.groups.remove(gram.hash(), |it| *it == gram);
                }
                return;
            }
        }
        self.others.remove((), (), id);
    }

    /// Calls `visit` with every entry whose pattern may match a text, once.
    pub(super) fn candidates<'a>(&'a self, text: &str, visit: &mut impl FnMut(&'a Arc<Entry<T>>)) {
        self.others.for_each(visit);
        if self.groups.is_empty() {
            return;
        }
        if !text.is_ascii() {
            // Cases of other letters are not folded as simply.
            self.groups.for_each(&mut |_, group| group.for_each(visit));
            return;
        }
        let mut visited: SmallVec<[Gram; 8]> = SmallVec::new();
        for gram in grams(Some(text.as_bytes())) {
            if let Some(group) = self.groups.get(&gram)
                && !visited.contains(&gram)
            {
                visited.push(gram);
                group.for_each(visit);
            }
        }
    }
}

fn grams(bytes: Option<&[u8]>) -> impl Iterator<Item = Gram> + '_ {
    let windows = bytes.unwrap_or_default().windows(GRAM_BYTES);
    windows.map(|window| [0, 1, 2].map(|at| window[at].to_ascii_lowercase()))
}
