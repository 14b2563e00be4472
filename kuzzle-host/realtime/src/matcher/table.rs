//! A hash table that never pauses to grow.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use hashbrown::HashTable;

/// Entries above which a table is divided. Dividing, and growing up to there, takes some 10 microseconds.
const FLAT_MAX: usize = 512;
/// Entries below which a divided table becomes one again.
const FLAT_AGAIN: usize = FLAT_MAX / 4;
const BRANCH_BITS: u32 = 5;
/// Where the bits of a hash begin that choose a branch. The lower and the uppermost ones serve the flat tables.
const BRANCH_SHIFT: u32 = 24;
/// Levels of division: beyond, hashes have no bits left and tables just grow.
const LEVELS_MAX: u32 = 6;

static HASHER: LazyLock<foldhash::fast::RandomState> = LazyLock::new(foldhash::fast::RandomState::default);

/// Hashes a key; the seed is another one in each process.
pub(crate) fn hash_one(key: impl std::hash::Hash) -> u64 {
    HASHER.hash_one(key)
}

/// What a table can be keyed with.
pub(crate) trait Key: Eq {
    /// The same for equal keys, and for whatever they are looked up by.
    fn hash(&self) -> u64;
}

impl Key for u32 {
    fn hash(&self) -> u64 {
        hash_one(self)
    }
}

impl Key for u128 {
    fn hash(&self) -> u64 {
        hash_one(self)
    }
}

impl Key for Box<str> {
    fn hash(&self) -> u64 {
        hash_one(self.as_bytes())
    }
}

/// A map that is a hash table while it is small and a tree of hash tables when it is not, so that a single insertion or
/// removal costs the same in a map of millions: there is no table of all entries that has to be copied when it is full.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    slots: Slots<K, V>,
    len: usize,
}

#[derive(Debug)]
enum Slots<K, V> {
    Flat(HashTable<(K, V)>),
    Divided(Box<[Table<K, V>]>),
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table { slots: Slots::Flat(HashTable::new()), len: 0 }
    }
}

impl<K: Key, V> Table<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Finds the entry of a hash for which `is` holds.
    pub(crate) fn find(&self, hash: u64, is: impl Fn(&K) -> bool) -> Option<&V> {
        let mut table = self;
        let mut level = 0;
        loop {
            match &table.slots {
                Slots::Flat(flat) => return flat.find(hash, |(key, _)| is(key)).map(|(_, value)| value),
                Slots::Divided(branches) => table = branches.get(branch(hash, level))?,
            }
            level += 1;
        }
    }

    pub(crate) fn find_mut(&mut self, hash: u64, is: impl Fn(&K) -> bool) -> Option<&mut V> {
        let mut table = self;
        let mut level = 0;
        loop {
            match &mut table.slots {
                Slots::Flat(flat) => return flat.find_mut(hash, |(key, _)| is(key)).map(|(_, value)| value),
                Slots::Divided(branches) => table = branches.get_mut(branch(hash, level))?,
            }
            level += 1;
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.find(key.hash(), |it| it == key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find_mut(key.hash(), |it| it == key)
    }

    /// Sets the value of a key, and returns the one before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = key.hash();
        if let Some(present) = self.find_mut(hash, |it| *it == key) {
            return Some(std::mem::replace(present, value));
        }
        self.insert_new(hash, key, value, 0);
        None
    }

    /// The value of a key, made first if there is none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let hash = key.hash();
        // A search after the insertion: references that are returned on one path only cannot be expressed otherwise.
        if self.find(hash, |it| *it == key).is_some() {
            return match self.find_mut(hash, |it| *it == key) {
                Some(value) => value,
                None => unreachable!("the key was found just now"),
            };
        }
        self.insert_new(hash, key, make(), 0)
    }

    fn insert_new(&mut self, hash: u64, key: K, value: V, level: u32) -> &mut V {
        self.len += 1;
        if let Slots::Flat(flat) = &mut self.slots
            && flat.len() >= FLAT_MAX
            && level < LEVELS_MAX
        {
            let mut branches: Box<[Table<K, V>]> = (0..1 << BRANCH_BITS).map(|_| Table::default()).collect();
            for (key, value) in flat.drain() {
                let hash = key.hash();
                branches[branch(hash, level)].insert_new(hash, key, value, level + 1);
            }
            self.slots = Slots::Divided(branches);
        }
        match &mut self.slots {
            Slots::Flat(flat) => {
                &mut flat.insert_unique(hash, (key, value), |(key, _)| key.hash()).into_mut().1
            }
            Slots::Divided(branches) => branches[branch(hash, level)].insert_new(hash, key, value, level + 1),
        }
    }

    /// Removes the entry of a hash for which `is` holds.
    pub(crate) fn remove(&mut self, hash: u64, is: impl Fn(&K) -> bool) -> Option<V> {
        self.remove_at(hash, &is, 0)
    }

    fn remove_at(&mut self, hash: u64, is: &impl Fn(&K) -> bool, level: u32) -> Option<V> {
        let removed = match &mut self.slots {
            Slots::Flat(flat) => {
                let value = flat.find_entry(hash, |(key, _)| is(key)).ok()?.remove().0.1;
                if flat.is_empty() {
                    *flat = HashTable::new();
                } else if flat.len() * 8 < flat.capacity() {
                    flat.shrink_to(flat.len() * 2, |(key, _)| key.hash());
                }
                value
            }
            Slots::Divided(branches) => branches[branch(hash, level)].remove_at(hash, is, level + 1)?,
        };
        self.len -= 1;
        if self.len < FLAT_AGAIN
            && let Slots::Divided(branches) = &mut self.slots
        {
            let mut flat = HashTable::with_capacity(self.len);
            for table in branches {
                table.drain_into(&mut flat);
            }
            self.slots = Slots::Flat(flat);
        }
        Some(removed)
    }

    fn drain_into(&mut self, out: &mut HashTable<(K, V)>) {
        match &mut self.slots {
            Slots::Flat(flat) => {
                for (key, value) in flat.drain() {
                    out.insert_unique(key.hash(), (key, value), |(key, _)| key.hash());
                }
            }
            Slots::Divided(branches) => branches.iter_mut().for_each(|table| table.drain_into(out)),
        }
    }

    /// Calls `visit` with every entry, in no order.
    pub(crate) fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a K, &'a V)) {
        match &self.slots {
            Slots::Flat(flat) => flat.iter().for_each(|(key, value)| visit(key, value)),
            Slots::Divided(branches) => branches.iter().for_each(|table| table.for_each(visit)),
        }
    }
}

fn branch(hash: u64, level: u32) -> usize {
    (hash >> (BRANCH_SHIFT + BRANCH_BITS * level)) as usize & ((1 << BRANCH_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_table_is_a_map_at_any_size() {
        let mut table = Table::default();
        let mut model = HashMap::new();
        let mut random = 1u32;
        let mut next = move || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random >> 8
        };
        for round in 0..6 {
            for _ in 0..30_000 {
                let key = next() % 20_000;
                if next() % 10 < if round % 2 == 0 { 8 } else { 2 } {
                    assert_eq!(table.insert(key, round), model.insert(key, round));
                } else {
                    assert_eq!(table.remove(key.hash(), |it| *it == key), model.remove(&key));
                }
                assert_eq!(table.get(&key), model.get(&key));
            }
            assert_eq!(table.len(), model.len());
            let mut all = HashMap::new();
            table.for_each(&mut |key, value| assert_eq!(all.insert(*key, *value), None));
            assert_eq!(all, model);
        }
        for key in model.keys() {
            assert!(table.remove(key.hash(), |it| it == key).is_some());
        }
        assert!(table.is_empty() && matches!(table.slots, Slots::Flat(_)));
    }
}
