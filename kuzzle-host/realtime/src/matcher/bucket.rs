//! Entries that share the conditions above them, and the index over what is left of each.

use std::sync::Arc;

use crate::filter::{numbers, text_key, texts};
use crate::limits::INDEXED_VALUES_MAX;
use crate::value::{Datum, Scalar};

use super::condition::{Check, FieldId, Found, Selectivity, hash_of};
use super::entry::Entry;
use super::intervals::Intervals;
use super::patterns::Patterns;
use super::places::Places;
use super::table::{Key, Table};

/// Entries up to which a bucket has no index: comparing so few is as fast.
const LISTED_MAX: usize = 12;

/// A list in the order of ids.
pub(super) type List<T> = Intervals<(), Arc<Entry<T>>>;

/// Entries whose first conditions, as many as the bucket is deep, hold for whatever gets here.
#[derive(Debug)]
pub(super) enum Bucket<T> {
    One(Arc<Entry<T>>),
    Few(Vec<Arc<Entry<T>>>),
    Indexed(Box<Index<T>>),
}

/// An index over the first condition that is left of each entry.
#[derive(Debug)]
pub(super) struct Index<T> {
    len: usize,
    /// Entries of which nothing is left.
    done: List<T>,
    /// Entries whose conditions cannot be found by a value.
    verified: List<T>,
    fields: Table<FieldId, FieldIndex<T>>,
}

/// Entries whose first condition that is left looks at one field. What is rare is boxed.
#[derive(Debug)]
struct FieldIndex<T> {
    equal: Table<Scalar, Bucket<T>>,
    numbers: Intervals<u64, Arc<Entry<T>>>,
    others: Option<Box<Others<T>>>,
}

#[derive(Debug)]
struct Others<T> {
    /// Ranges with strings for bounds: intervals of the first characters.
    texts: Intervals<u128, Arc<Entry<T>>>,
    /// The same ranges for fields that are numbers.
    text_numbers: Intervals<u64, Arc<Entry<T>>>,
    patterns: Patterns<T>,
    places: Places<T>,
    /// Conditions that hold for many values: they are compared whenever the field is there.
    present: List<T>,
}

impl Key for Scalar {
    fn hash(&self) -> u64 {
        hash_of(self.datum()).unwrap_or_default()
    }
}

impl<T> Default for Bucket<T> {
    fn default() -> Self {
        Bucket::Few(Vec::new())
    }
}

impl<T> Bucket<T> {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Bucket::One(_) => false,
            Bucket::Few(few) => few.is_empty(),
            Bucket::Indexed(index) => index.len == 0,
        }
    }

    pub(super) fn insert(&mut self, depth: usize, entry: Arc<Entry<T>>) {
        match self {
            Bucket::Few(few) if few.is_empty() => *self = Bucket::One(entry),
            Bucket::One(first) => *self = Bucket::Few(vec![Arc::clone(first), entry]),
            Bucket::Few(few) if few.len() < LISTED_MAX => few.push(entry),
            Bucket::Few(few) => {
                let mut index = Box::new(Index::default());
                few.drain(..).for_each(|it| index.insert(depth, it));
                index.insert(depth, entry);
                *self = Bucket::Indexed(index);
            }
            Bucket::Indexed(index) => index.insert(depth, entry),
        }
    }

    pub(super) fn remove(&mut self, depth: usize, entry: &Entry<T>) {
        match self {
            Bucket::One(only) if only.id == entry.id => *self = Bucket::default(),
            Bucket::One(_) => {}
            Bucket::Few(few) => {
                if let Some(at) = few.iter().position(|it| it.id == entry.id) {
                    few.swap_remove(at);
                }
                if let [only] = few.as_slice() {
                    *self = Bucket::One(Arc::clone(only));
                }
            }
            Bucket::Indexed(index) => {
                index.remove(depth, entry);
                if index.len == 0 {
                    *self = Bucket::default();
                }
            }
        }
    }

    /// Calls `visit` with every entry whose conditions hold.
    pub(super) fn matching<'a>(
        &'a self,
        depth: usize,
        found: &Found<'_>,
        visit: &mut dyn FnMut(&'a Entry<T>),
    ) {
        match self {
            Bucket::One(entry) => verify(entry, depth, found, visit),
            Bucket::Few(few) => few.iter().for_each(|entry| verify(entry, depth, found, visit)),
            Bucket::Indexed(index) => index.matching(depth, found, visit),
        }
    }
}

fn verify<'a, T>(entry: &'a Entry<T>, depth: usize, found: &Found<'_>, visit: &mut dyn FnMut(&'a Entry<T>)) {
    if entry.holds_from(depth, found) {
        visit(entry);
    }
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Index { len: 0, done: List::default(), verified: List::default(), fields: Table::default() }
    }
}

impl<T> Index<T> {
    fn insert(&mut self, depth: usize, entry: Arc<Entry<T>>) {
        self.len += 1;
        match entry.conditions.get(depth) {
            None => self.done.insert((), (), entry),
            Some(first) if first.selectivity() == Selectivity::Verified => {
                self.verified.insert((), (), entry);
            }
            Some(first) => {
                self.fields.get_or_insert_with(first.field, FieldIndex::default).insert(depth, &entry);
            }
        }
    }

    fn remove(&mut self, depth: usize, entry: &Entry<T>) {
        self.len -= 1;
        match entry.conditions.get(depth) {
            None => _ = self.done.remove((), (), entry.id),
            Some(first) if first.selectivity() == Selectivity::Verified => {
                self.verified.remove((), (), entry.id);
            }
            Some(first) => {
                let hash = first.field.hash();
                let Some(field) = self.fields.find_mut(hash, |it| *it == first.field) else { return };
                field.remove(depth, entry);
                if field.is_empty() {
                    self.fields.remove(hash, |it| *it == first.field);
                }
            }
        }
    }

    fn matching<'a>(&'a self, depth: usize, found: &Found<'_>, visit: &mut dyn FnMut(&'a Entry<T>)) {
        self.done.for_each(&mut |entry| visit(entry));
        self.verified.for_each(&mut |entry| verify(entry, depth, found, visit));
        if self.fields.len() < found.len() {
            self.fields.for_each(&mut |field, index| {
                if let Some(datum) = found.get(*field) {
                    index.matching(depth, datum, found, visit);
                }
            });
        } else {
            for (field, datum) in found.iter() {
                if let Some(index) = self.fields.get(&field) {
                    index.matching(depth, datum, found, visit);
                }
            }
        }
    }
}

impl<T> Default for FieldIndex<T> {
    fn default() -> Self {
        FieldIndex { equal: Table::default(), numbers: Intervals::default(), others: None }
    }
}

impl<T> Default for Others<T> {
    fn default() -> Self {
        Others {
            texts: Intervals::default(),
            text_numbers: Intervals::default(),
            patterns: Patterns::default(),
            places: Places::default(),
            present: List::default(),
        }
    }
}

impl<T> FieldIndex<T> {
    fn is_empty(&self) -> bool {
        self.equal.is_empty() && self.numbers.is_empty() && self.others.is_none()
    }

    fn insert(&mut self, depth: usize, entry: &Arc<Entry<T>>) {
        let Some(condition) = entry.conditions.get(depth) else { return };
        match &condition.check {
            Check::One(value) => self.insert_equal(value, depth, entry),
            Check::Terms(values) if values.len() <= INDEXED_VALUES_MAX => {
                values.iter().for_each(|value| self.insert_equal(value, depth, entry));
            }
            Check::Numbers(low, high) => self.numbers.insert(*low, *high, Arc::clone(entry)),
            check => self.others.get_or_insert_default().insert(check, entry),
        }
    }

    fn insert_equal(&mut self, value: &Scalar, depth: usize, entry: &Arc<Entry<T>>) {
        let bucket = self.equal.get_or_insert_with(value.clone(), Bucket::default);
        bucket.insert(depth + 1, Arc::clone(entry));
    }

    fn remove(&mut self, depth: usize, entry: &Entry<T>) {
        let Some(condition) = entry.conditions.get(depth) else { return };
        match &condition.check {
            Check::One(value) => self.remove_equal(value, depth, entry),
            Check::Terms(values) if values.len() <= INDEXED_VALUES_MAX => {
                values.iter().for_each(|value| self.remove_equal(value, depth, entry));
            }
            Check::Numbers(low, high) => _ = self.numbers.remove(*low, *high, entry.id),
            check => {
                let Some(others) = &mut self.others else { return };
                others.remove(check, entry);
                if others.is_empty() {
                    self.others = None;
                }
            }
        }
    }

    fn remove_equal(&mut self, value: &Scalar, depth: usize, entry: &Entry<T>) {
        let hash = value.hash();
        let Some(bucket) = self.equal.find_mut(hash, |it| it == value) else { return };
        bucket.remove(depth + 1, entry);
        if bucket.is_empty() {
            self.equal.remove(hash, |it| it == value);
        }
    }

    fn matching<'a>(
        &'a self,
        depth: usize,
        datum: Datum<'_>,
        found: &Found<'_>,
        visit: &mut dyn FnMut(&'a Entry<T>),
    ) {
        if !self.equal.is_empty()
            && let Some(hash) = hash_of(datum)
            && let Some(bucket) = self.equal.find(hash, |value| datum.is(value))
        {
            bucket.matching(depth + 1, found, visit);
        }
        if !self.numbers.is_empty()
            && let Some(number) = datum.number()
        {
            self.numbers.containing(number.rank(), &mut |entry| verify(entry, depth + 1, found, visit));
        }
        if let Some(others) = &self.others {
            others.matching(depth, datum, found, visit);
        }
    }
}

impl<T> Others<T> {
    fn is_empty(&self) -> bool {
        self.texts.is_empty()
            && self.text_numbers.is_empty()
            && self.patterns.is_empty()
            && self.places.is_empty()
            && self.present.is_empty()
    }

    fn insert(&mut self, check: &Check, entry: &Arc<Entry<T>>) {
        match check {
            Check::Bounds(bounds) => {
                if let Some((low, high)) = texts(bounds) {
                    self.texts.insert(low, high, Arc::clone(entry));
                }
                if let Some((low, high)) = numbers(bounds) {
                    self.text_numbers.insert(low, high, Arc::clone(entry));
                }
            }
            Check::Regexp(pattern) => self.patterns.insert(pattern, entry),
            Check::Within { lon, shape } => self.places.insert(*lon, shape, entry),
            _ => self.present.insert((), (), Arc::clone(entry)),
        }
    }

    fn remove(&mut self, check: &Check, entry: &Entry<T>) {
        match check {
            Check::Bounds(bounds) => {
                if let Some((low, high)) = texts(bounds) {
                    self.texts.remove(low, high, entry.id);
                }
                if let Some((low, high)) = numbers(bounds) {
                    self.text_numbers.remove(low, high, entry.id);
                }
            }
            Check::Regexp(pattern) => self.patterns.remove(pattern, entry.id),
            Check::Within { shape, .. } => self.places.remove(shape, entry.id),
            _ => _ = self.present.remove((), (), entry.id),
        }
    }

    /// What is found here is verified from its first condition on: strings may have more characters than their keys.
    fn matching<'a>(
        &'a self,
        depth: usize,
        datum: Datum<'_>,
        found: &Found<'_>,
        visit: &mut dyn FnMut(&'a Entry<T>),
    ) {
        let mut visit = |entry: &'a Arc<Entry<T>>| verify(entry, depth, found, &mut *visit);
        self.present.for_each(&mut visit);
        match datum {
            Datum::Text(text) => {
                if !self.texts.is_empty() {
                    self.texts.containing(text_key(text), &mut visit);
                }
                self.patterns.candidates(text, &mut visit);
            }
            Datum::Number(_) | Datum::Bool(_) => {
                if let Some(number) = datum.number() {
                    self.text_numbers.containing(number.rank(), &mut visit);
                }
            }
            Datum::Null | Datum::Nested { .. } => {}
        }
        self.places.candidates(datum, found, &mut visit);
    }
}
