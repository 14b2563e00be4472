//! Conditions as the index has them: fields are numbers, and what is compared is compact.

use std::cmp::Ordering;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::document::point;
use crate::filter::{Bound, Literal, Normal, Pattern, Predicate, numbers, texts};
use crate::geo::Shape;
use crate::limits::INDEXED_VALUES_MAX;
use crate::value::{Datum, Scalar};

use super::table::hash_one;

/// The number of a field within one collection.
pub(super) type FieldId = u32;

/// One condition of a conjunction.
#[derive(Debug)]
pub(super) struct Condition {
    /// The field it looks at; of a point, its latitude.
    pub(super) field: FieldId,
    negated: bool,
    pub(super) check: Check,
}

/// What is asked of a field.
#[derive(Debug)]
pub(super) enum Check {
    One(Scalar),
    /// In order.
    Terms(Box<[Scalar]>),
    /// A range whose bounds are numbers: ranks of the least and the greatest number within.
    Numbers(u64, u64),
    /// A range that is bounded by strings.
    Bounds(Box<[Bound]>),
    Exists,
    Regexp(Arc<Pattern>),
    Within {
        lon: FieldId,
        shape: Arc<Shape>,
    },
    /// Several conditions that are only verified; `field` means nothing.
    Tree(Box<Tree>),
}

/// Conditions that are not rewritten to conjunctions.
#[derive(Debug)]
pub(super) enum Tree {
    Always(bool),
    Condition(Condition),
    And(Box<[Tree]>),
    Or(Box<[Tree]>),
}

/// The fields of one document that some filter of its collection looks at.
#[derive(Default)]
pub(super) struct Found<'a> {
    fields: SmallVec<[(FieldId, Datum<'a>); 16]>,
    sorted: bool,
}

impl<'a> Found<'a> {
    pub(super) fn push(&mut self, field: FieldId, datum: Datum<'a>) {
        self.fields.push((field, datum));
    }

    /// Sets a field that may have been found under another spelling.
    pub(super) fn replace(&mut self, field: FieldId, datum: Datum<'a>) {
        match self.fields.iter_mut().find(|it| it.0 == field) {
            Some(found) => found.1 = datum,
            None => self.push(field, datum),
        }
    }

    /// Ends the search for fields: from here on it is only read.
    pub(super) fn finish(&mut self) {
        if self.fields.len() > 16 {
            self.fields.sort_unstable_by_key(|it| it.0);
            self.sorted = true;
        }
    }

    pub(super) fn get(&self, field: FieldId) -> Option<Datum<'a>> {
        if self.sorted {
            let at = self.fields.binary_search_by_key(&field, |it| it.0).ok()?;
            return Some(self.fields[at].1);
        }
        self.fields.iter().find(|it| it.0 == field).map(|it| it.1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FieldId, Datum<'a>)> + '_ {
        self.fields.iter().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }
}

/// How selective a condition is taken for, best first: by it the conditions of a conjunction are sorted, and the first
/// ones are indexed. Several conditions of one conjunction are indexed one below the other, so a bad guess costs a step
/// and not a search.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Selectivity {
    OneValue,
    FewValues,
    Shape,
    Interval,
    Literal,
    HalfInterval,
    ManyValues,
    Pattern,
    Exists,
    /// It holds for documents without the field, and so cannot be found by the field.
    Verified,
}

impl Condition {
    /// Makes the condition of a literal; `id` numbers fields.
    pub(super) fn of(literal: &Literal, id: &mut impl FnMut(&str) -> FieldId) -> Condition {
        let path = literal.test.field.as_ref();
        let (field, check) = match &literal.test.predicate {
            Predicate::Within(shape) => {
                let field = id(&format!("{path}.lat"));
                (field, Check::Within { lon: id(&format!("{path}.lon")), shape: Arc::clone(shape) })
            }
            Predicate::Terms(values) => (
                id(path),
                match values.as_ref() {
                    [value] => Check::One(value.clone()),
                    values => Check::Terms(values.into()),
                },
            ),
            Predicate::Range(bounds) => (
                id(path),
                match (texts(bounds), numbers(bounds)) {
                    (None, Some((low, high))) => Check::Numbers(low, high),
                    _ => Check::Bounds(bounds.clone()),
                },
            ),
            Predicate::Exists => (id(path), Check::Exists),
            Predicate::Regexp(pattern) => (id(path), Check::Regexp(Arc::clone(pattern))),
        };
        Condition { field, negated: literal.negated, check }
    }

    /// Makes a condition of what is only verified.
    pub(super) fn verified(normal: &Normal, id: &mut impl FnMut(&str) -> FieldId) -> Condition {
        Condition { field: FieldId::MAX, negated: false, check: Check::Tree(Box::new(Tree::of(normal, id))) }
    }

    pub(super) fn selectivity(&self) -> Selectivity {
        if self.negated {
            return Selectivity::Verified;
        }
        match &self.check {
            Check::One(_) => Selectivity::OneValue,
            Check::Terms(values) if values.len() <= INDEXED_VALUES_MAX => Selectivity::FewValues,
            Check::Terms(_) => Selectivity::ManyValues,
            Check::Numbers(0, _) | Check::Numbers(_, u64::MAX) => Selectivity::HalfInterval,
            Check::Numbers(..) => Selectivity::Interval,
            Check::Bounds(bounds) if bounds.len() > 1 => Selectivity::Interval,
            Check::Bounds(_) => Selectivity::HalfInterval,
            Check::Exists => Selectivity::Exists,
            Check::Regexp(pattern) if pattern.literal().is_some() => Selectivity::Literal,
            Check::Regexp(_) => Selectivity::Pattern,
            Check::Within { .. } => Selectivity::Shape,
            Check::Tree(_) => Selectivity::Verified,
        }
    }

    /// Calls `visit` with every field that it looks at, as often as [`Condition::of`] asked for it.
    pub(super) fn for_each_field(&self, visit: &mut impl FnMut(FieldId)) {
        match &self.check {
            Check::Within { lon, .. } => {
                visit(self.field);
                visit(*lon);
            }
            Check::Tree(tree) => tree.for_each_field(visit),
            _ => visit(self.field),
        }
    }

    pub(super) fn holds(&self, found: &Found<'_>) -> bool {
        self.negated != self.check.holds(self.field, found)
    }
}

impl Check {
    fn holds(&self, field: FieldId, found: &Found<'_>) -> bool {
        if let Check::Tree(tree) = self {
            return tree.holds(found);
        }
        let Some(datum) = found.get(field) else { return false };
        match self {
            Check::One(value) => datum.is(value),
            Check::Terms(values) => values.binary_search_by(|value| order(value, datum)).is_ok(),
            Check::Numbers(low, high) => {
                datum.number().is_some_and(|number| (*low..=*high).contains(&number.rank()))
            }
            Check::Bounds(bounds) => bounds.iter().all(|bound| bound.holds(datum)),
            Check::Exists => datum.exists(),
            Check::Regexp(pattern) => datum.text().is_some_and(|text| pattern.matches(text)),
            Check::Within { lon, shape } => {
                point(Some(datum), found.get(*lon)).is_some_and(|point| shape.contains(point))
            }
            Check::Tree(tree) => tree.holds(found),
        }
    }
}

impl Tree {
    fn of(normal: &Normal, id: &mut impl FnMut(&str) -> FieldId) -> Tree {
        match normal {
            Normal::Always(value) => Tree::Always(*value),
            Normal::Literal(literal) => Tree::Condition(Condition::of(literal, id)),
            Normal::And(parts) => Tree::And(parts.iter().map(|part| Tree::of(part, id)).collect()),
            Normal::Or(parts) => Tree::Or(parts.iter().map(|part| Tree::of(part, id)).collect()),
        }
    }

    fn for_each_field(&self, visit: &mut impl FnMut(FieldId)) {
        // The closure is passed on as an object: as a type it would nest without end.
        fn walk(tree: &Tree, visit: &mut dyn FnMut(FieldId)) {
            match tree {
                Tree::Always(_) => {}
                Tree::Condition(condition) => condition.for_each_field(&mut |field| visit(field)),
                Tree::And(parts) | Tree::Or(parts) => parts.iter().for_each(|part| walk(part, visit)),
            }
        }
        walk(self, visit);
    }

    fn holds(&self, found: &Found<'_>) -> bool {
        match self {
            Tree::Always(value) => *value,
            Tree::Condition(condition) => condition.holds(found),
            Tree::And(parts) => parts.iter().all(|part| part.holds(found)),
            Tree::Or(parts) => parts.iter().any(|part| part.holds(found)),
        }
    }
}

/// Where a value of a filter stands to one of a document, in the order of [`Scalar`].
fn order(value: &Scalar, datum: Datum<'_>) -> Ordering {
    let kind = |datum: &Datum<'_>| match datum {
        Datum::Null => 0,
        Datum::Bool(_) => 1,
        Datum::Number(_) => 2,
        Datum::Text(_) => 3,
        Datum::Nested { .. } => 4,
    };
    match (value, datum) {
        (Scalar::Null, Datum::Null) => Ordering::Equal,
        (Scalar::Bool(a), Datum::Bool(b)) => a.cmp(&b),
        (Scalar::Number(a), Datum::Number(b)) => a.cmp(&b),
        (Scalar::Text(a), Datum::Text(b)) => a.as_ref().cmp(b),
        _ => kind(&value.datum()).cmp(&kind(&datum)),
    }
}

/// The hash of a value, the same for a filter's and a document's; `None` for what equals nothing.
pub(super) fn hash_of(datum: Datum<'_>) -> Option<u64> {
    Some(match datum {
        Datum::Text(text) => hash_one(text.as_bytes()),
        Datum::Number(number) => hash_one(number.get().to_bits()),
        Datum::Bool(value) => hash_one(value),
        Datum::Null => hash_one(()),
        Datum::Nested { .. } => return None,
    })
}
