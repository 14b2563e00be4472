//! What a filter becomes in the index.

use std::sync::Arc;

use crate::filter::Normal;
use crate::limits::CONJUNCTIONS_MAX;

use super::condition::{Condition, FieldId, Found};
use super::intervals::Item;

/// A conjunction of conditions, and whom to tell when all of them hold.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// Unlike that of any other entry.
    pub(super) id: u64,
    /// That of the first entry of the same filter.
    pub(super) filter: u64,
    /// Whether the filter has other entries, so that it may be found twice.
    pub(super) several: bool,
    /// The most selective ones first.
    pub(super) conditions: Box<[Condition]>,
    pub(super) payload: T,
}

impl<T> Entry<T> {
    /// Whether the conditions from the given one on hold.
    pub(super) fn holds_from(&self, depth: usize, found: &Found<'_>) -> bool {
        self.conditions.get(depth..).is_some_and(|rest| rest.iter().all(|it| it.holds(found)))
    }
}

impl<T> Item for Arc<Entry<T>> {
    fn id(&self) -> u64 {
        self.id
    }
}

/// The conjunctions of a filter: each a list of what has to hold. Empty when nothing ever matches.
pub(super) struct Plan<'a>(Vec<Vec<&'a Normal>>);

impl<'a> Plan<'a> {
    /// Rewrites a filter to conjunctions. Alternatives inside of a conjunction are multiplied out while few come of it, or
    /// where it could not be indexed otherwise; the others are verified.
    pub(super) fn of(normal: &'a Normal) -> Plan<'a> {
        if *normal == Normal::Always(false) {
            return Plan(Vec::new());
        }
        let conjunctions = multiply(normal);
        let indexable = conjunctions.iter().all(|all| all.iter().any(|it| indexable(it)));
        if conjunctions.len() > 1 && !indexable {
            // One of them would be verified for each document anyhow.
            return Plan(vec![vec![normal]]);
        }
        Plan(conjunctions)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The conditions of each conjunction; `id` numbers fields.
    pub(super) fn conditions(&self, mut id: impl FnMut(&str) -> FieldId) -> Vec<Box<[Condition]>> {
        let condition = |part: &&Normal, id: &mut _| match part {
            Normal::Literal(literal) => Condition::of(literal, id),
            other => Condition::verified(other, id),
        };
        let conjunction = |parts: &Vec<&Normal>| {
            let mut conditions: Vec<Condition> = parts.iter().map(|part| condition(part, &mut id)).collect();
            conditions.sort_by_key(|it| (it.selectivity(), it.field));
            conditions.into_boxed_slice()
        };
        self.0.iter().map(conjunction).collect()
    }
}

/// Whether a condition can be found by the value of its field.
fn indexable(normal: &Normal) -> bool {
    matches!(normal, Normal::Literal(literal) if !literal.negated)
}

fn multiply(normal: &Normal) -> Vec<Vec<&Normal>> {
    match normal {
        Normal::Always(true) => vec![Vec::new()],
        Normal::Always(false) => Vec::new(),
        Normal::Literal(_) => vec![vec![normal]],
        Normal::Or(parts) => parts.iter().flat_map(multiply).collect(),
        Normal::And(parts) => {
            let (alternatives, literals): (Vec<&Normal>, Vec<&Normal>) =
                parts.iter().partition(|part| matches!(part, Normal::Or(_)));
            let mut found = literals.iter().any(|it| indexable(it));
            let mut alternatives: Vec<(Vec<Vec<&Normal>>, &Normal)> =
                alternatives.into_iter().map(|it| (multiply(it), it)).collect();
            alternatives.sort_by_key(|(conjunctions, _)| conjunctions.len());
            let mut product = vec![literals];
            for (conjunctions, whole) in alternatives {
                let useful = conjunctions.iter().all(|all| all.iter().any(|it| indexable(it)));
                let few = product.len() * conjunctions.len() <= CONJUNCTIONS_MAX;
                if useful && (few || !found && product.len() == 1) {
                    found = true;
                    let pairs =
                        product.iter().flat_map(|left| conjunctions.iter().map(move |right| (left, right)));
                    product =
                        pairs.map(|(left, right)| [left.as_slice(), right.as_slice()].concat()).collect();
                } else {
                    product.iter_mut().for_each(|all| all.push(whole));
                }
            }
            product
        }
    }
}
