use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::fuzzy;
use super::phrase::{self, Slot};
use super::{At, Statistics, similarity};
use crate::document::{Block, Prepared, Terms, Values};
use crate::geo::{BoundingBox, DistanceKind, Point, within};
use crate::query::{GeoDistance, Regexp, Wildcard};

/// Where a leaf looks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Key {
    Path(Arc<str>),
    All,
    Id,
    Uid,
    Type,
    Index,
}

impl Key {
    pub(crate) fn name(&self) -> &str {
        match self {
            Key::Path(path) => path,
            Key::All => "_all",
            Key::Id => "_id",
            Key::Uid => "_uid",
            Key::Type => "_type",
            Key::Index => "_index",
        }
    }
}

/// One test of one field.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) key: Key,
    pub(crate) test: Test,
    /// Weight that the mapping gives the field.
    pub(crate) field_boost: f32,
    /// Whether long texts weigh less.
    pub(crate) norms: bool,
    /// Whether it counts how often a term occurs.
    pub(crate) frequencies: bool,
    idf: f32,
    /// Documents with the term of a leaf that has one.
    documents: u64,
    /// Documents with each term of a leaf that has several, by term.
    counts: BTreeMap<String, u64>,
    /// Weight of each term, relative to the leaf's, of what stands for several.
    weights: BTreeMap<String, f32>,
}

#[derive(Debug, Clone)]
pub(crate) enum Test {
    /// A term, scored.
    Term(String),
    /// So many of these terms.
    Terms {
        terms: BTreeSet<String>,
        minimum: usize,
    },
    /// Any term that passes; each document scores the same.
    AnyTerm(TermTest),
    Fuzzy {
        letters: Vec<char>,
        edits: u32,
        prefix: String,
        transpositions: bool,
    },
    Phrase {
        slots: Vec<Slot>,
        slop: u32,
    },
    /// A whole number within these ends; scored as a term when it stands for one.
    Long {
        from: i64,
        to: i64,
        term: Option<String>,
    },
    Double {
        from: f64,
        to: f64,
        term: Option<String>,
    },
    /// So many of these numbers.
    Longs {
        values: HashSet<i64>,
        minimum: usize,
    },
    Doubles {
        values: Vec<f64>,
        minimum: usize,
    },
    Exists(Vec<Arc<str>>),
    Missing {
        fields: Vec<Arc<str>>,
        existence: bool,
        null_value: bool,
    },
    Ids {
        types: Vec<String>,
        values: HashSet<String>,
    },
    GeoDistance(GeoDistance),
    GeoBox(BoundingBox),
    GeoPolygon(Vec<Point>),
}

/// What a term is compared with.
#[derive(Debug, Clone)]
pub(crate) enum TermTest {
    Prefix(String),
    Wildcard(Wildcard),
    Regexp(Regexp),
    Range { from: Option<String>, to: Option<String>, include_from: bool, include_to: bool },
}

impl TermTest {
    pub(crate) fn passes(&self, term: &str) -> bool {
        match self {
            TermTest::Prefix(prefix) => term.starts_with(prefix.as_str()),
            TermTest::Wildcard(wildcard) => wildcard.matches(term),
            TermTest::Regexp(regexp) => regexp.matches(term),
            TermTest::Range { from, to, include_from, include_to } => {
                let above = from.as_deref().is_none_or(|from| term > from || (*include_from && term == from));
                above && to.as_deref().is_none_or(|to| term < to || (*include_to && term == to))
            }
        }
    }
}

enum View<'d> {
    Stored(&'d Terms),
    One(&'d str),
    None,
}

impl Leaf {
    pub(crate) fn new(key: Key, test: Test) -> Self {
        Self {
            key,
            test,
            field_boost: 1.0,
            norms: false,
            frequencies: true,
            idf: 1.0,
            documents: 0,
            counts: BTreeMap::new(),
            weights: BTreeMap::new(),
        }
    }

    fn view<'d>(&self, at: At<'d>) -> View<'d> {
        let document = &at.document.document;
        match &self.key {
            Key::Path(path) => match at.block.field(path).map(|data| &data.values) {
                Some(Values::Text(terms)) => View::Stored(terms),
                _ => View::None,
            },
            Key::All => View::Stored(&at.document.all),
            Key::Id => View::One(&document.id),
            Key::Uid => View::One(&at.document.uid),
            Key::Type => View::One(&document.collection),
            Key::Index => View::One(&document.index),
        }
    }

    /// Whether documents have to be counted before it can score.
    pub(crate) fn needs_counts(&self) -> bool {
        matches!(&self.test, Test::Fuzzy { .. } | Test::Phrase { .. }) || self.single_term().is_some()
    }

    pub(crate) fn idf(&self) -> f32 {
        self.idf
    }

    /// Counts a document for each term of the leaf that it has.
    pub(crate) fn count(&mut self, document: &Prepared) {
        if self.single_term().is_some() {
            self.documents += u64::from(self.occurs(At::root(document)));
            return;
        }
        let mut found: BTreeSet<String> = BTreeSet::new();
        self.count_block(At::root(document), &mut found);
        for term in found {
            *self.counts.entry(term).or_default() += 1;
        }
    }

    /// The term of a leaf that has one.
    fn single_term(&self) -> Option<&str> {
        match &self.test {
            Test::Term(term) => Some(term),
            Test::Long { term, .. } | Test::Double { term, .. } => term.as_deref(),
            _ => None,
        }
    }

    /// Whether it matches here or in a nested object.
    fn occurs(&self, at: At<'_>) -> bool {
        self.raw(at).is_some()
            || (matches!(&self.key, Key::Path(_))
                && at.block.children.iter().any(|block| self.occurs(At { block, ..at })))
    }

    fn count_block(&self, at: At<'_>, found: &mut BTreeSet<String>) {
        match &self.test {
            Test::Phrase { slots, .. } => {
                for slot in slots.iter().filter(|slot| !slot.prefix) {
                    if self.frequency_of(at, &slot.term) > 0.0 {
                        found.insert(slot.term.clone());
                    }
                }
            }
            Test::Fuzzy { .. } => self.fuzzy_terms(at, &mut |term, _, _| {
                found.insert(term.to_owned());
            }),
            _ => {}
        }
        if matches!(&self.key, Key::Path(_)) {
            at.block.children.iter().for_each(|block| self.count_block(At { block, ..at }, found));
        }
    }

    pub(crate) fn prepare(&mut self, documents: u64, known: Option<&dyn Statistics>) {
        let name = self.key.name().to_owned();
        let documents = documents + known.map_or(0, Statistics::documents);
        self.count_known_words(known);
        let (counts, single) = (&self.counts, self.documents);
        let idf = |term: &str| {
            let counted = counts.get(term).copied().unwrap_or(single);
            let frequency = counted + known.map_or(0, |it| it.document_frequency(&name, term));
            similarity::idf(frequency, documents)
        };
        let mut weights = BTreeMap::new();
        self.idf = match &self.test {
            Test::Term(term)
            | Test::Long { term: Some(term), .. }
            | Test::Double { term: Some(term), .. } => idf(term),
            Test::Phrase { slots, .. } => {
                let sum: f32 = slots.iter().filter(|slot| !slot.prefix).map(|slot| idf(&slot.term)).sum();
                if sum == 0.0 { 1.0 } else { sum }
            }
            Test::Fuzzy { .. } => {
                for term in counts.keys() {
                    weights.insert(term.clone(), idf(term).powi(2));
                }
                1.0
            }
            _ => 1.0,
        };
        self.weights = weights;
    }

    /// Which words a fuzzy leaf stands for.
    fn count_known_words(&mut self, known: Option<&dyn Statistics>) {
        let (Some(known), Test::Fuzzy { letters, edits, prefix, transpositions }) = (known, &self.test)
        else {
            return;
        };
        let counts = &mut self.counts;
        known.each_term(self.key.name(), prefix, &mut |term| {
            if fuzzy::edits(letters, term, *edits, *transpositions).is_some() && !counts.contains_key(term) {
                counts.insert(term.to_owned(), 0);
            }
        });
    }

    /// What the weight of the leaf is multiplied by, when it matches.
    pub(crate) fn score(&self, at: At<'_>) -> Option<f32> {
        let raw = self.raw(at)?;
        let norm = match self.view(at) {
            View::Stored(terms) if self.norms => similarity::length_norm(terms.length, 1.0),
            _ => 1.0,
        };
        Some(match &self.test {
            Test::Term(_) | Test::Phrase { .. } => similarity::tf(raw) * norm * self.field_boost,
            Test::Fuzzy { .. } => raw * norm * self.field_boost,
            _ => self.field_boost,
        })
    }

    /// A frequency, or another number above 0, when it matches.
    fn raw(&self, at: At<'_>) -> Option<f32> {
        let yes = |matches: bool| matches.then_some(1.0);
        match &self.test {
            Test::Term(term) => Some(self.frequency_of(at, term)).filter(|it| *it > 0.0),
            Test::Terms { terms, minimum } => match self.view(at) {
                View::Stored(stored) if stored.iter().count() < terms.len() => {
                    yes(stored.iter().filter(|it| terms.contains(&*it.term)).take(*minimum).count()
                        >= *minimum)
                }
                View::Stored(stored) => {
                    yes(terms.iter().filter(|it| stored.find(it).is_some()).take(*minimum).count()
                        >= *minimum)
                }
                View::One(one) => yes(*minimum <= 1 && terms.contains(one)),
                View::None => None,
            },
            Test::AnyTerm(test) => match (self.view(at), test) {
                (View::Stored(stored), TermTest::Prefix(prefix)) => {
                    yes(stored.with_prefix(prefix).next().is_some())
                }
                (View::Stored(stored), test) => yes(stored.iter().any(|it| test.passes(&it.term))),
                (View::One(one), test) => yes(test.passes(one)),
                (View::None, _) => None,
            },
            Test::Fuzzy { .. } => {
                let mut sum = 0.0;
                self.fuzzy_terms(at, &mut |term, frequency, boost| {
                    sum += similarity::tf(frequency) * boost * self.weights.get(term).copied().unwrap_or(1.0);
                });
                (sum > 0.0).then_some(sum)
            }
            Test::Phrase { slots, slop } => match self.view(at) {
                View::Stored(stored) => Some(phrase::frequency(slots, *slop, stored)).filter(|it| *it > 0.0),
                _ => None,
            },
            Test::Exists(fields) => yes(fields.iter().any(|field| at.block.field(field).is_some())),
            Test::Missing { fields, existence, null_value } => {
                let mut there = fields.iter().filter_map(|field| at.block.field(field)).peekable();
                let none = there.peek().is_none();
                yes((none && *existence)
                    || (!none && *null_value && there.all(|it| it.from_null && !it.given)))
            }
            Test::Ids { types, values } => {
                let document = &at.document.document;
                let typed = types.is_empty() || types.iter().any(|it| **it == *document.collection);
                yes(typed && values.contains(&document.id))
            }
            test => self.number_or_place(at.block, test),
        }
    }

    fn number_or_place(&self, block: &Block, test: &Test) -> Option<f32> {
        let Key::Path(path) = &self.key else { return None };
        let matches = match (test, &block.field(path)?.values) {
            (Test::Long { from, to, .. }, Values::Long(values)) => {
                let first = values.partition_point(|it| it < from);
                values.get(first).is_some_and(|it| it <= to)
            }
            (Test::Double { from, to, .. }, Values::Double(values)) => {
                values.iter().any(|it| from <= it && it <= to)
            }
            (Test::Longs { values: wanted, minimum }, Values::Long(values)) => {
                let distinct: BTreeSet<&i64> = values.iter().filter(|it| wanted.contains(it)).collect();
                distinct.len() >= *minimum
            }
            (Test::Doubles { values: wanted, minimum }, Values::Double(values)) => {
                wanted.iter().filter(|it| values.contains(it)).count() >= *minimum
            }
            (Test::GeoDistance(query), Values::Geo(points)) => points.iter().any(|it| in_ring(query, *it)),
            (Test::GeoBox(bounds), Values::Geo(points)) => points.iter().any(|it| bounds.contains(*it)),
            (Test::GeoPolygon(corners), Values::Geo(points)) => points.iter().any(|it| within(corners, *it)),
            _ => false,
        };
        matches.then_some(1.0)
    }

    fn frequency_of(&self, at: At<'_>, term: &str) -> f32 {
        match self.view(at) {
            // Of what is not analysed only whether it occurs is known.
            View::Stored(terms) if !self.frequencies => f32::from(u8::from(terms.find(term).is_some())),
            View::Stored(terms) => terms.find(term).map_or(0.0, |posting| posting.positions.len() as f32),
            View::One(one) => f32::from(u8::from(one == term)),
            View::None => 0.0,
        }
    }

    /// Terms that are near enough, with their frequency and how near they are.
    fn fuzzy_terms(&self, at: At<'_>, then: &mut dyn FnMut(&str, f32, f32)) {
        let Test::Fuzzy { letters, edits, prefix, transpositions } = &self.test else { return };
        let mut test = |term: &str, frequency: f32| {
            if let Some(found) = fuzzy::edits(letters, term, *edits, *transpositions) {
                let shorter = letters.len().min(term.chars().count()).max(1);
                let near = 1.0 - found as f32 / shorter as f32;
                then(term, frequency, near.max(f32::MIN_POSITIVE));
            }
        };
        match self.view(at) {
            View::Stored(terms) => {
                for posting in terms.with_prefix(prefix) {
                    test(&posting.term, posting.positions.len() as f32);
                }
            }
            View::One(one) if one.starts_with(prefix.as_str()) => test(one, 1.0),
            _ => {}
        }
    }

    /// Whether a token of the field's text is one that the leaf looks for.
    pub(crate) fn wants(&self, term: &str) -> bool {
        match &self.test {
            Test::Term(wanted) => wanted == term,
            Test::Terms { terms, .. } => terms.contains(term),
            Test::AnyTerm(test) => test.passes(term),
            Test::Fuzzy { letters, edits, prefix, transpositions } => {
                term.starts_with(prefix.as_str())
                    && fuzzy::edits(letters, term, *edits, *transpositions).is_some()
            }
            Test::Phrase { slots, .. } => slots
                .iter()
                .any(|slot| if slot.prefix { term.starts_with(&slot.term) } else { slot.term == term }),
            _ => false,
        }
    }
}

fn in_ring(query: &GeoDistance, point: Point) -> bool {
    let kind: DistanceKind = query.kind;
    let metres = query.centre.distance_m(point, kind);
    let from = query.from_m.is_none_or(|from| metres > from || (query.include_from && metres == from));
    from && query.to_m.is_none_or(|to| metres < to || (query.include_to && metres == to))
}
