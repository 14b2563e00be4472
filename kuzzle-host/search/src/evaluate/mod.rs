//! Whether, and how well, a prepared document matches a query.
//!
//! A [`Query`](crate::query::Query) is compiled once under a mapping, weighed by the statistics of the collection, and
//! then asked of each document. Scores are Lucene's TF/IDF: `coord * queryNorm * sum(tf * idf^2 * boost * norm)`. What
//! differs from Elasticsearch: statistics are of the whole collection, never of a shard; a `match_phrase_prefix` weighs
//! its whole words alone; `cross_fields` takes the statistics of each field by itself.

mod compile;
mod function;
mod fuzzy;
mod leaf;
mod phrase;
mod similarity;
#[cfg(test)]
mod tests;
mod text;

use crate::document::{Block, Prepared};
use crate::mapping::Mapping;
use crate::query::NestedScore;
pub(crate) use compile::compile;
pub(crate) use function::Functions;
pub(crate) use fuzzy::edits;
pub(crate) use leaf::{Key, Leaf, TermTest, Test};
pub(crate) use phrase::Slot;

/// What a query is compiled with.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'m> {
    pub(crate) mapping: &'m Mapping,
    /// Milliseconds since the epoch.
    pub(crate) now_ms: i64,
}

/// Counts of a collection, or of a part of it, by which terms are weighed.
///
/// Fields are named by their paths, or `_all`, `_id`, `_uid`, `_type`, `_index`. Numbers, dates and booleans are terms as
/// their decimal digits.
pub trait Statistics {
    /// Documents in all.
    fn documents(&self) -> u64;
    /// Documents that have a term in a field, in nested objects too.
    fn document_frequency(&self, field: &str, term: &str) -> u64;
    /// Gives the terms of a field that begin with a text; among them may be terms that no document has any longer.
    fn each_term(&self, field: &str, prefix: &str, then: &mut dyn FnMut(&str));
}

/// What a query is asked of: a document, or one nested object in it.
#[derive(Clone, Copy)]
pub(crate) struct At<'d> {
    pub(crate) document: &'d Prepared,
    pub(crate) block: &'d Block,
}

impl<'d> At<'d> {
    pub(crate) fn root(document: &'d Prepared) -> Self {
        Self { document, block: &document.root }
    }
}

/// A compiled query.
#[derive(Debug, Clone)]
pub(crate) struct Clause {
    pub(crate) kind: ClauseKind,
    pub(crate) boost: f32,
    pub(crate) name: Option<String>,
    /// What its score is multiplied by, once weighed.
    weight: f32,
}

#[derive(Debug, Clone)]
pub(crate) enum ClauseKind {
    All,
    Nothing,
    Leaf(Leaf),
    Bool {
        must: Vec<Clause>,
        filter: Vec<Clause>,
        should: Vec<Clause>,
        must_not: Vec<Clause>,
        minimum: usize,
        coord: bool,
    },
    Constant(Box<Clause>),
    DisMax {
        clauses: Vec<Clause>,
        tie_breaker: f32,
    },
    Boosting {
        positive: Box<Clause>,
        negative: Box<Clause>,
        negative_boost: f32,
    },
    Nested {
        path: String,
        clause: Box<Clause>,
        score: NestedScore,
    },
    Functions {
        clause: Box<Clause>,
        functions: Functions,
    },
}

impl Clause {
    pub(crate) fn new(kind: ClauseKind) -> Self {
        Self { kind, boost: 1.0, name: None, weight: 1.0 }
    }

    pub(crate) fn boosted(mut self, boost: f32) -> Self {
        self.boost *= boost;
        self
    }

    fn children(&self) -> Vec<&Clause> {
        match &self.kind {
            ClauseKind::All | ClauseKind::Nothing | ClauseKind::Leaf(_) => Vec::new(),
            ClauseKind::Bool { must, filter, should, must_not, .. } => {
                must.iter().chain(filter).chain(should).chain(must_not).collect()
            }
            ClauseKind::Constant(inner) | ClauseKind::Nested { clause: inner, .. } => vec![inner],
            ClauseKind::DisMax { clauses, .. } => clauses.iter().collect(),
            ClauseKind::Boosting { positive, negative, .. } => vec![positive, negative],
            ClauseKind::Functions { clause, functions } => {
                std::iter::once(&**clause).chain(functions.filters()).collect()
            }
        }
    }

    fn children_mut(&mut self) -> Vec<&mut Clause> {
        match &mut self.kind {
            ClauseKind::All | ClauseKind::Nothing | ClauseKind::Leaf(_) => Vec::new(),
            ClauseKind::Bool { must, filter, should, must_not, .. } => {
                must.iter_mut().chain(filter).chain(should).chain(must_not).collect()
            }
            ClauseKind::Constant(inner) | ClauseKind::Nested { clause: inner, .. } => vec![inner],
            ClauseKind::DisMax { clauses, .. } => clauses.iter_mut().collect(),
            ClauseKind::Boosting { positive, negative, .. } => vec![positive, negative],
            ClauseKind::Functions { clause, functions } => {
                std::iter::once(&mut **clause).chain(functions.filters_mut()).collect()
            }
        }
    }

    /// Whether scores depend on counts of the collection.
    pub(crate) fn needs_counts(&self) -> bool {
        let own = matches!(&self.kind, ClauseKind::Leaf(leaf) if leaf.needs_counts());
        own || self.children().into_iter().any(Clause::needs_counts)
    }

    /// Counts in which documents the terms of the query occur.
    pub(crate) fn count(&mut self, document: &Prepared) {
        if let ClauseKind::Leaf(leaf) = &mut self.kind {
            leaf.count(document);
        }
        self.children_mut().into_iter().for_each(|child| child.count(document));
    }

    /// Makes scores of what was counted, with what is known beside it. To be called once, on the whole query.
    pub(crate) fn weigh(&mut self, documents: u64, known: Option<&dyn Statistics>) {
        self.prepare(documents, known);
        let norm = similarity::query_norm(self.sum_of_squares());
        self.normalize(norm, 1.0);
    }

    fn prepare(&mut self, documents: u64, known: Option<&dyn Statistics>) {
        if let ClauseKind::Leaf(leaf) = &mut self.kind {
            leaf.prepare(documents, known);
        }
        self.children_mut().into_iter().for_each(|child| child.prepare(documents, known));
    }

    fn sum_of_squares(&self) -> f32 {
        let own = self.boost * self.boost;
        match &self.kind {
            ClauseKind::All | ClauseKind::Constant(_) => own,
            ClauseKind::Nothing => 0.0,
            ClauseKind::Leaf(leaf) => (leaf.idf() * self.boost).powi(2),
            ClauseKind::Bool { must, should, .. } => {
                own * must.iter().chain(should).map(Clause::sum_of_squares).sum::<f32>()
            }
            ClauseKind::DisMax { clauses, tie_breaker } => {
                let squares: Vec<f32> = clauses.iter().map(Clause::sum_of_squares).collect();
                let max = squares.iter().copied().fold(0.0, f32::max);
                let sum: f32 = squares.iter().sum();
                own * ((sum - max) * tie_breaker * tie_breaker + max)
            }
            ClauseKind::Boosting { positive: inner, .. }
            | ClauseKind::Nested { clause: inner, .. }
            | ClauseKind::Functions { clause: inner, .. } => own * inner.sum_of_squares(),
        }
    }

    fn normalize(&mut self, norm: f32, outer_boost: f32) {
        let boost = outer_boost * self.boost;
        self.weight = match &self.kind {
            ClauseKind::Leaf(leaf) => leaf.idf() * leaf.idf() * boost * norm,
            _ => boost * norm,
        };
        match &mut self.kind {
            ClauseKind::Bool { must, should, .. } => {
                must.iter_mut().chain(should).for_each(|it| it.normalize(norm, boost));
            }
            ClauseKind::DisMax { clauses, .. } => clauses.iter_mut().for_each(|it| it.normalize(norm, boost)),
            ClauseKind::Boosting { positive: inner, .. }
            | ClauseKind::Nested { clause: inner, .. }
            | ClauseKind::Functions { clause: inner, .. } => inner.normalize(norm, boost),
            _ => {}
        }
    }

    pub(crate) fn matches(&self, at: At<'_>) -> bool {
        self.score(at).is_some()
    }

    /// The score, when it matches.
    pub(crate) fn score(&self, at: At<'_>) -> Option<f32> {
        match &self.kind {
            ClauseKind::All => Some(self.weight),
            ClauseKind::Nothing => None,
            ClauseKind::Leaf(leaf) => leaf.score(at).map(|score| score * self.weight),
            ClauseKind::Bool { must, filter, should, must_not, minimum, coord } => {
                if !filter.iter().all(|it| it.matches(at)) {
                    return None;
                }
                let mut sum = 0.0;
                for clause in must {
                    sum += clause.score(at)?;
                }
                if must_not.iter().any(|it| it.matches(at)) {
                    return None;
                }
                let mut matched = 0;
                for clause in should {
                    if let Some(score) = clause.score(at) {
                        sum += score;
                        matched += 1;
                    }
                }
                if matched < *minimum {
                    return None;
                }
                let all = must.len() + should.len();
                let share = if *coord && all > 0 { (must.len() + matched) as f32 / all as f32 } else { 1.0 };
                Some(sum * share)
            }
            ClauseKind::Constant(inner) => inner.matches(at).then_some(self.weight),
            ClauseKind::DisMax { clauses, tie_breaker } => {
                let scores: Vec<f32> = clauses.iter().filter_map(|it| it.score(at)).collect();
                let max = scores.iter().copied().reduce(f32::max)?;
                Some(max + (scores.iter().sum::<f32>() - max) * tie_breaker)
            }
            ClauseKind::Boosting { positive, negative, negative_boost } => {
                let score = positive.score(at)?;
                Some(if negative.matches(at) { score * negative_boost } else { score })
            }
            ClauseKind::Nested { path, clause, score } => nested_score(at, path, clause, *score),
            ClauseKind::Functions { clause, functions } => functions.score(at, clause.score(at)?),
        }
    }

    /// Names of the named queries that match.
    pub(crate) fn matched_names(&self, at: At<'_>, out: &mut Vec<String>) {
        if let Some(name) = &self.name
            && !out.contains(name)
            && self.matches(at)
        {
            out.push(name.clone());
        }
        if let ClauseKind::Nested { path, clause, .. } = &self.kind {
            at.block.nested(path, &mut |block| clause.matched_names(At { block, ..at }, out));
            return;
        }
        self.children().into_iter().for_each(|child| child.matched_names(at, out));
    }

    pub(crate) fn has_names(&self) -> bool {
        self.name.is_some() || self.children().into_iter().any(Clause::has_names)
    }
}

fn nested_score(at: At<'_>, path: &str, clause: &Clause, mode: NestedScore) -> Option<f32> {
    let mut scores: Vec<f32> = Vec::new();
    at.block.nested(path, &mut |block| scores.extend(clause.score(At { block, ..at })));
    let sum: f32 = scores.iter().sum();
    let best = scores.iter().copied().reduce(f32::max)?;
    Some(match mode {
        NestedScore::Avg => sum / scores.len() as f32,
        NestedScore::Total => sum,
        NestedScore::Max => best,
        NestedScore::Min => scores.iter().copied().fold(best, f32::min),
        NestedScore::None => 0.0,
    })
}
