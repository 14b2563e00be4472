use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::cells::{self, Cell, box_ranges, ordered_double, ordered_long};
use super::key::{KeyKind, beginning_with, cell_key, key, texts};
use super::{Candidates, KeyRange, Matching, WordTest};
use crate::evaluate::{Clause, ClauseKind, Key, Leaf, Slot, TermTest, Test};
use crate::geo::BoundingBox;
use crate::query::{GeoDistance, NestedScore};

/// The documents that may match all of these clauses, in a collection of these names.
pub(crate) fn plan(clauses: &[&Clause], index: &str, collection: &str) -> Candidates {
    let planner = Planner { index, collection, nested: false };
    and(clauses.iter().map(|clause| planner.clause(clause)).collect())
}

/// Whether every document that a clause matches has the same score.
pub(crate) fn is_constant(clause: &Clause) -> bool {
    match &clause.kind {
        ClauseKind::All | ClauseKind::Nothing | ClauseKind::Constant(_) => true,
        ClauseKind::Leaf(leaf) => match &leaf.test {
            Test::Phrase { .. } | Test::Fuzzy { .. } => false,
            Test::Term(_) => match &leaf.key {
                Key::Path(_) => !leaf.norms && !leaf.frequencies,
                key => *key != Key::All,
            },
            _ => true,
        },
        ClauseKind::Bool { must, should, minimum, .. } => {
            *minimum >= should.len() && must.iter().chain(should).all(is_constant)
        }
        ClauseKind::DisMax { clauses, .. } => matches!(clauses.as_slice(), [only] if is_constant(only)),
        ClauseKind::Nested { score, .. } => *score == NestedScore::None,
        ClauseKind::Boosting { .. } | ClauseKind::Functions { .. } => false,
    }
}

#[derive(Clone, Copy)]
struct Planner<'p> {
    index: &'p str,
    collection: &'p str,
    /// Whether it is nested objects that the clause is asked of: then keys say only that there is one that fits, not
    /// that it is the same one that fits another clause.
    nested: bool,
}

const ALL: Candidates = Candidates { matching: Matching::All, exact: true };
const NONE: Candidates = Candidates { matching: Matching::None, exact: true };
/// Those of which nothing is known.
const ANY: Candidates = Candidates { matching: Matching::All, exact: false };

fn exact(matching: Matching) -> Candidates {
    Candidates { matching, exact: true }
}

fn vague(candidates: Candidates) -> Candidates {
    Candidates { exact: false, ..candidates }
}

impl Planner<'_> {
    fn clause(self, clause: &Clause) -> Candidates {
        match &clause.kind {
            ClauseKind::All => ALL,
            ClauseKind::Nothing => NONE,
            ClauseKind::Leaf(leaf) => self.leaf(leaf),
            ClauseKind::Bool { must, filter, should, must_not, minimum, .. } => {
                let mut parts: Vec<Candidates> =
                    must.iter().chain(filter).map(|inner| self.clause(inner)).collect();
                if *minimum > 0 {
                    parts.push(at_least(*minimum, should.iter().map(|inner| self.clause(inner)).collect()));
                }
                let refused = must_not.iter().map(|inner| self.clause(inner)).collect();
                but_not(and(parts), refused)
            }
            ClauseKind::Constant(inner) | ClauseKind::Boosting { positive: inner, .. } => self.clause(inner),
            ClauseKind::DisMax { clauses, .. } => or(clauses.iter().map(|it| self.clause(it)).collect()),
            ClauseKind::Nested { clause, .. } => vague(Self { nested: true, ..self }.clause(clause)),
            ClauseKind::Functions { clause, functions } => {
                let found = self.clause(clause);
                if functions.min_score.is_some() { vague(found) } else { found }
            }
        }
    }

    fn leaf(self, leaf: &Leaf) -> Candidates {
        match &leaf.test {
            Test::Exists(fields) => {
                return self.known(self.present(fields, &[KeyKind::Given, KeyKind::Null]));
            }
            Test::Missing { fields, existence, null_value } => {
                return self.missing(fields, *existence, *null_value);
            }
            Test::Ids { types, values } => {
                let typed = types.is_empty() || types.iter().any(|it| it == self.collection);
                return if typed { ids(values.iter().cloned()) } else { NONE };
            }
            _ => {}
        }
        match &leaf.key {
            Key::Path(path) => {
                let found = self.field(path, &leaf.test);
                if matches!(leaf.test, Test::Phrase { .. } | Test::Fuzzy { .. }) {
                    vague(found)
                } else {
                    self.known(found)
                }
            }
            // Whatever nested object is asked of, it is the document that has these.
            Key::All => {
                let found = Self { nested: false, ..self }.field("_all", &leaf.test);
                if matches!(leaf.test, Test::Phrase { .. } | Test::Fuzzy { .. }) {
                    vague(found)
                } else {
                    found
                }
            }
            Key::Id => by_id(&leaf.test, |id| Some(id.to_owned())),
            Key::Uid => by_id(&leaf.test, |uid| {
                let id = uid.strip_prefix(self.collection)?.strip_prefix('#')?;
                Some(id.to_owned())
            }),
            Key::Type => by_name(&leaf.test, self.collection),
            Key::Index => by_name(&leaf.test, self.index),
        }
    }

    /// What keys say of the root is exact, of nested objects it is not.
    fn known(self, candidates: Candidates) -> Candidates {
        Candidates { exact: candidates.exact && !self.nested, ..candidates }
    }

    fn field(self, path: &str, test: &Test) -> Candidates {
        let nested = self.nested;
        let text = |term: &str| key(path, KeyKind::Text, nested, term.as_bytes());
        let long = |value: i64| cell_key(path, KeyKind::Long, nested, Cell::exact(ordered_long(value)));
        let double = |value: f64| cell_key(path, KeyKind::Double, nested, Cell::exact(ordered_double(value)));
        match test {
            Test::Term(term) => exact(Matching::Term(text(term))),
            Test::Terms { terms, minimum } => some_of(terms.iter().map(|it| text(it)), *minimum),
            Test::AnyTerm(test) => self.words(path, test),
            Test::Fuzzy { letters, edits, prefix, transpositions } => {
                let (letters, edits, transpositions) = (letters.clone(), *edits, *transpositions);
                let near = WordTest::Near { letters, edits, transpositions };
                exact(Matching::Scan(texts(path, nested, prefix, Some(near))))
            }
            Test::Phrase { slots, .. } => {
                let slot = |slot: &Slot| {
                    exact(if slot.prefix {
                        Matching::Ranges(vec![beginning_with(text(&slot.term))])
                    } else {
                        Matching::Term(text(&slot.term))
                    })
                };
                and(slots.iter().map(slot).collect())
            }
            Test::Long { from, to, .. } if from == to => exact(Matching::Term(long(*from))),
            Test::Long { from, to, .. } => {
                self.numbers(path, KeyKind::Long, [ordered_long(*from)..=ordered_long(*to)])
            }
            Test::Double { from, to, .. } if from == to => exact(Matching::Term(double(*from))),
            Test::Double { from, to, .. } => {
                self.numbers(path, KeyKind::Double, [ordered_double(*from)..=ordered_double(*to)])
            }
            Test::Longs { values, minimum } => some_of(values.iter().map(|it| long(*it)), *minimum),
            Test::Doubles { values, minimum } => some_of(values.iter().map(|it| double(*it)), *minimum),
            Test::GeoBox(bounds) => self.place(path, Some(*bounds)),
            Test::GeoPolygon(corners) => self.place(path, BoundingBox::of(corners)),
            Test::GeoDistance(GeoDistance { centre, to_m, kind, .. }) => {
                self.place(path, to_m.and_then(|metres| BoundingBox::around(*centre, metres, *kind)))
            }
            // Answered before it comes to fields.
            Test::Exists(_) | Test::Missing { .. } | Test::Ids { .. } => ANY,
        }
    }

    fn words(self, path: &str, test: &TermTest) -> Candidates {
        let nested = self.nested;
        let text = |term: &str| key(path, KeyKind::Text, nested, term.as_bytes());
        match test {
            TermTest::Prefix(prefix) => exact(Matching::Ranges(vec![beginning_with(text(prefix))])),
            TermTest::Range { from, to, include_from, include_to } => {
                let all = beginning_with(text(""));
                // The next text after another is the same with the least letter behind it.
                let after = |term: &str| [text(term).as_slice(), &[0]].concat();
                let start = from.as_ref().map(|from| if *include_from { text(from) } else { after(from) });
                let end = to.as_ref().map(|to| if *include_to { after(to) } else { text(to) });
                let range = start.unwrap_or(all.start)..end.unwrap_or(all.end);
                if range.is_empty() { NONE } else { exact(Matching::Ranges(vec![range])) }
            }
            TermTest::Wildcard(wildcard) => {
                let test = WordTest::Term(test.clone());
                exact(Matching::Scan(texts(path, nested, &wildcard.beginning(), Some(test))))
            }
            TermTest::Regexp(_) => {
                exact(Matching::Scan(texts(path, nested, "", Some(WordTest::Term(test.clone())))))
            }
        }
    }

    fn numbers(
        self,
        path: &str,
        kind: KeyKind,
        ranges: impl IntoIterator<Item = RangeInclusive<u64>>,
    ) -> Candidates {
        let mut out: Vec<KeyRange> = Vec::new();
        for (from, to) in ranges.into_iter().flat_map(cells::range) {
            let mut end = cell_key(path, kind, self.nested, to);
            // Cells of one precision are of one length: this is the next.
            end.push(0);
            out.push(cell_key(path, kind, self.nested, from)..end);
        }
        if out.is_empty() { NONE } else { exact(Matching::Ranges(out)) }
    }

    /// Documents with a point in a box; `None`: with any.
    fn place(self, path: &str, bounds: Option<BoundingBox>) -> Candidates {
        vague(match bounds {
            Some(bounds) => self.numbers(path, KeyKind::Point, box_ranges(&bounds)),
            None => self.present(&[Arc::from(path)], &[KeyKind::Given, KeyKind::Null]),
        })
    }

    fn present(self, fields: &[Arc<str>], kinds: &[KeyKind]) -> Candidates {
        let keys = fields.iter().flat_map(|path| kinds.iter().map(|kind| key(path, *kind, self.nested, &[])));
        some_of(keys, 1)
    }

    fn missing(self, fields: &[Arc<str>], existence: bool, null_value: bool) -> Candidates {
        if self.nested {
            return ANY;
        }
        let mut parts = Vec::new();
        if existence {
            parts.push(but_not(ALL, vec![self.present(fields, &[KeyKind::Given, KeyKind::Null])]));
        }
        if null_value {
            let given = self.present(fields, &[KeyKind::Given]);
            parts.push(but_not(self.present(fields, &[KeyKind::Null]), vec![given]));
        }
        or(parts)
    }
}

fn ids(values: impl Iterator<Item = String>) -> Candidates {
    let distinct: BTreeSet<String> = values.collect();
    if distinct.is_empty() { NONE } else { exact(Matching::Ids(distinct.into_iter().collect())) }
}

/// A test of what each document has one of.
fn by_id(test: &Test, id: impl Fn(&str) -> Option<String>) -> Candidates {
    match test {
        Test::Term(term) => ids(id(term).into_iter()),
        Test::Terms { terms, minimum } if *minimum <= 1 => ids(terms.iter().filter_map(|it| id(it))),
        Test::AnyTerm(_) | Test::Fuzzy { .. } => ANY,
        _ => NONE,
    }
}

/// A test of what all documents of a collection have in common.
fn by_name(test: &Test, name: &str) -> Candidates {
    let matches = match test {
        Test::Term(term) => term == name,
        Test::Terms { terms, minimum } => *minimum <= 1 && terms.contains(name),
        Test::AnyTerm(test) => test.passes(name),
        Test::Fuzzy { .. } => return ANY,
        _ => false,
    };
    if matches { ALL } else { NONE }
}

/// Documents that have so many of these keys.
fn some_of(keys: impl Iterator<Item = Vec<u8>>, minimum: usize) -> Candidates {
    if minimum > 1 {
        return at_least(minimum, keys.map(|key| exact(Matching::Term(key))).collect());
    }
    let distinct: BTreeSet<Vec<u8>> = keys.collect();
    let mut keys: Vec<Vec<u8>> = distinct.into_iter().collect();
    match keys.len() {
        0 => NONE,
        1 => exact(Matching::Term(keys.swap_remove(0))),
        _ => exact(Matching::Terms(keys)),
    }
}

fn and(sets: Vec<Candidates>) -> Candidates {
    let mut is_exact = true;
    let mut parts = Vec::with_capacity(sets.len());
    for set in sets {
        is_exact &= set.exact;
        match set.matching {
            Matching::None => return NONE,
            Matching::All => {}
            Matching::And(inner) => parts.extend(inner),
            matching => parts.push(matching),
        }
    }
    let matching = match parts.len() {
        0 => Matching::All,
        1 => parts.swap_remove(0),
        _ => Matching::And(parts),
    };
    Candidates { matching, exact: is_exact }
}

fn or(sets: Vec<Candidates>) -> Candidates {
    let (mut is_exact, mut all) = (true, None);
    let mut parts = Vec::with_capacity(sets.len());
    for set in sets {
        is_exact &= set.exact || matches!(set.matching, Matching::None);
        match set.matching {
            Matching::None => {}
            Matching::All => all = Some(all.unwrap_or(false) || set.exact),
            Matching::Or(inner) => parts.extend(inner),
            matching => parts.push(matching),
        }
    }
    if let Some(all_exact) = all {
        return if all_exact { ALL } else { ANY };
    }
    let matching = match parts.len() {
        0 => return NONE,
        1 => parts.swap_remove(0),
        _ => Matching::Or(parts),
    };
    Candidates { matching, exact: is_exact }
}

fn at_least(minimum: usize, sets: Vec<Candidates>) -> Candidates {
    let is_exact = sets.iter().all(|set| set.exact);
    let everywhere = sets.iter().filter(|set| matches!(set.matching, Matching::All)).count();
    let Some(wanted) = minimum.checked_sub(everywhere).filter(|it| *it > 0) else {
        return Candidates { matching: Matching::All, exact: is_exact };
    };
    let parts: Vec<Candidates> =
        sets.into_iter().filter(|set| !matches!(set.matching, Matching::All | Matching::None)).collect();
    let found = match wanted {
        wanted if wanted > parts.len() => return NONE,
        1 => or(parts),
        wanted if wanted == parts.len() => and(parts),
        wanted => exact(Matching::AtLeast(wanted, parts.into_iter().map(|set| set.matching).collect())),
    };
    Candidates { exact: is_exact, ..found }
}

/// What is in one set and in none of the others. Of a set that holds too much nothing can be taken away.
fn but_not(from: Candidates, refused: Vec<Candidates>) -> Candidates {
    let all_known = refused.iter().all(|set| set.exact);
    let refused = or(refused.into_iter().filter(|set| set.exact).collect());
    let is_exact = from.exact && all_known;
    match (from.matching, refused.matching) {
        (Matching::None, _) | (_, Matching::All) => NONE,
        (matching, Matching::None) => Candidates { matching, exact: is_exact },
        (matching, refused) => {
            Candidates { matching: Matching::AndNot(Box::new(matching), Box::new(refused)), exact: is_exact }
        }
    }
}
