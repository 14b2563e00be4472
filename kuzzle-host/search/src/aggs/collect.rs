use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::cardinality::Cardinality;
use super::metrics::Numbers;
use super::parse::Metric;
use super::plan::{BucketKey, Plan, PlanKind, PlanNode};
use crate::document::Values;
use crate::error::{Error, ErrorKind, Result};
use crate::evaluate::{At, Clause, Environment};
use crate::geo::encode;
use crate::limits::{BUCKETS_MAX, PERCENTILE_VALUES_MAX};
use crate::request::{Held, Top};

/// What the aggregations of one search have gathered so far.
pub(crate) struct Collection<D> {
    states: Vec<State<D>>,
    pub(super) budget: Budget,
    /// By id of the node, terms that have buckets even when nothing is in them.
    pub(super) all_terms: HashMap<usize, BTreeSet<BucketKey>>,
    sees_terms: bool,
}

/// What may still be taken.
#[derive(Debug)]
pub(super) struct Budget {
    buckets: usize,
    values: usize,
}

impl Budget {
    pub(super) fn bucket(&mut self, name: &str) -> Result<()> {
        self.buckets = self.buckets.checked_sub(1).ok_or_else(|| {
            Error::bare(
                ErrorKind::Limit,
                format!(
                    "too many buckets: the aggregations of one search make at most {BUCKETS_MAX}; [{name}] needs more: narrow the query, or take wider intervals"
                ),
            )
        })?;
        Ok(())
    }

    fn value(&mut self, name: &str) -> Result<()> {
        self.values = self.values.checked_sub(1).ok_or_else(|| {
            let message = format!("[{name}] has more than {PERCENTILE_VALUES_MAX} values: narrow the query");
            Error::bare(ErrorKind::Limit, message)
        })?;
        Ok(())
    }
}

pub(super) enum State<D> {
    Keyed(HashMap<BucketKey, Bucket<D>>),
    Fixed(Vec<Bucket<D>>),
    Numbers(Numbers),
    Cardinality(Cardinality),
    Percentiles(Vec<f64>),
    TopHits(Top<D>),
}

pub(super) struct Bucket<D> {
    pub(super) count: u64,
    pub(super) below: Vec<State<D>>,
}

impl<D: Held> Bucket<D> {
    pub(super) fn new(node: &PlanNode, budget: &mut Budget) -> Result<Self> {
        budget.bucket(&node.name)?;
        let below = node.below.iter().map(|inner| State::new(inner, budget)).collect::<Result<_>>()?;
        Ok(Self { count: 0, below })
    }

    fn collect(
        &mut self,
        node: &PlanNode,
        document: &D,
        at: At<'_>,
        score: f32,
        budget: &mut Budget,
    ) -> Result<()> {
        self.count += 1;
        let states = node.below.iter().zip(&mut self.below);
        states.into_iter().try_for_each(|(inner, state)| state.collect(inner, document, at, score, budget))
    }
}

impl<D: Held> State<D> {
    fn new(node: &PlanNode, budget: &mut Budget) -> Result<Self> {
        let mut fixed = |count: usize| -> Result<Self> {
            Ok(State::Fixed((0..count).map(|_| Bucket::new(node, budget)).collect::<Result<_>>()?))
        };
        match &node.kind {
            PlanKind::Terms { .. } | PlanKind::Histogram { .. } | PlanKind::Geohash { .. } => {
                Ok(State::Keyed(HashMap::new()))
            }
            PlanKind::Ranges { ranges, .. } => fixed(ranges.len()),
            PlanKind::Filters { filters, .. } => fixed(filters.len()),
            PlanKind::Global | PlanKind::Nested { .. } => fixed(1),
            PlanKind::Metric { .. } => Ok(State::Numbers(Numbers::default())),
            PlanKind::Cardinality { .. } => Ok(State::Cardinality(Cardinality::new())),
            PlanKind::Percentiles { .. } => Ok(State::Percentiles(Vec::new())),
            PlanKind::TopHits(shown) => Ok(State::TopHits(Top::new(shown))),
        }
    }

    fn collect(
        &mut self,
        node: &PlanNode,
        document: &D,
        at: At<'_>,
        score: f32,
        budget: &mut Budget,
    ) -> Result<()> {
        match (&node.kind, self) {
            (PlanKind::Terms { column, options }, State::Keyed(buckets)) => {
                for key in column.keys(at) {
                    let text = key.text();
                    let included = options.include.as_ref().is_none_or(|it| it.holds(&text));
                    if included && !options.exclude.as_ref().is_some_and(|it| it.holds(&text)) {
                        keyed(buckets, key, node, budget)?.collect(node, document, at, score, budget)?;
                    }
                }
            }
            (PlanKind::Histogram { column, grid, .. }, State::Keyed(buckets)) => {
                let mut before = None;
                for key in column.numbers(at).into_iter().filter_map(|it| grid.key(it)) {
                    // Values ascend: a document is counted once in each bucket.
                    if before.replace(key) != Some(key) {
                        keyed(buckets, BucketKey::Long(key), node, budget)?
                            .collect(node, document, at, score, budget)?;
                    }
                }
            }
            (PlanKind::Geohash { column, precision, .. }, State::Keyed(buckets)) => {
                if let Some(Values::Geo(points)) = at.block.field(&column.path).map(|it| &it.values) {
                    let cells: BTreeSet<String> = points.iter().map(|it| encode(*it, *precision)).collect();
                    for cell in cells {
                        keyed(buckets, BucketKey::Text(cell), node, budget)?
                            .collect(node, document, at, score, budget)?;
                    }
                }
            }
            (PlanKind::Ranges { column, ranges, .. }, State::Fixed(buckets)) => {
                let numbers = column.numbers(at);
                for (range, bucket) in ranges.iter().zip(buckets) {
                    let inside = |it: &f64| {
                        range.from.is_none_or(|from| *it >= from) && range.to.is_none_or(|to| *it < to)
                    };
                    if numbers.iter().any(inside) {
                        bucket.collect(node, document, at, score, budget)?;
                    }
                }
            }
            (PlanKind::Filters { filters, .. }, State::Fixed(buckets)) => {
                for ((_, filter), bucket) in filters.iter().zip(buckets) {
                    if filter.matches(at) {
                        bucket.collect(node, document, at, score, budget)?;
                    }
                }
            }
            (PlanKind::Nested { path }, State::Fixed(buckets)) => {
                let mut blocks = Vec::new();
                at.block.nested(path, &mut |block| blocks.push(block));
                if let Some(bucket) = buckets.first_mut() {
                    for block in blocks {
                        bucket.collect(node, document, At { block, ..at }, score, budget)?;
                    }
                }
            }
            (PlanKind::Global, State::Fixed(buckets)) => {
                if let Some(bucket) = buckets.first_mut() {
                    bucket.collect(node, document, at, score, budget)?;
                }
            }
            (PlanKind::Metric { column, metric: Metric::ValueCount }, State::Numbers(numbers)) => {
                numbers.count_only(column.count(at));
            }
            (PlanKind::Metric { column, .. }, State::Numbers(numbers)) => {
                column.numbers(at).into_iter().for_each(|value| numbers.add(value));
            }
            (PlanKind::Cardinality { column }, State::Cardinality(cardinality)) => {
                if let Some(Values::Geo(points)) = at.block.field(&column.path).map(|it| &it.values) {
                    points.iter().for_each(|it| cardinality.add(encode(*it, 12).as_bytes()));
                }
                column.keys(at).iter().for_each(|key| cardinality.add(key.text().as_bytes()));
            }
            (PlanKind::Percentiles { column, .. }, State::Percentiles(values)) => {
                for value in column.numbers(at) {
                    budget.value(&node.name)?;
                    values.push(value);
                }
            }
            (PlanKind::TopHits(shown), State::TopHits(top)) => top.push(shown, document, at, score),
            // A state is made of its node: no other pair exists.
            _ => {}
        }
        Ok(())
    }
}

fn keyed<'b, D: Held>(
    buckets: &'b mut HashMap<BucketKey, Bucket<D>>,
    key: BucketKey,
    node: &PlanNode,
    budget: &mut Budget,
) -> Result<&'b mut Bucket<D>> {
    use std::collections::hash_map::Entry;
    match buckets.entry(key) {
        Entry::Occupied(entry) => Ok(entry.into_mut()),
        Entry::Vacant(entry) => Ok(entry.insert(Bucket::new(node, budget)?)),
    }
}

impl BucketKey {
    /// What `include`, `exclude` and counting see.
    pub(super) fn text(&self) -> String {
        match self {
            BucketKey::Long(value) => value.to_string(),
            BucketKey::Double(value) => value.value().to_string(),
            BucketKey::Text(text) => text.clone(),
        }
    }
}

impl<D: Held> Collection<D> {
    pub(crate) fn new(plan: &Plan) -> Result<Self> {
        let mut budget = Budget { buckets: BUCKETS_MAX, values: PERCENTILE_VALUES_MAX };
        let states = plan.nodes.iter().map(|node| State::new(node, &mut budget)).collect::<Result<_>>()?;
        let all_terms = HashMap::with_capacity(plan.size.min(16));
        Ok(Self { states, budget, all_terms, sees_terms: plan.nodes.iter().any(has_empty_terms) })
    }

    /// Takes a document that exists, whether it matches or not.
    pub(crate) fn see(&mut self, plan: &Plan, document: &D) -> Result<()> {
        let at = At::root(document);
        for (node, state) in plan.nodes.iter().zip(&mut self.states) {
            if matches!(node.kind, PlanKind::Global) {
                state.collect(node, document, at, 1.0, &mut self.budget)?;
            }
            if self.sees_terms {
                see_terms(node, at, &mut self.all_terms);
            }
        }
        Ok(())
    }

    /// Takes a document that matches.
    pub(crate) fn collect(&mut self, plan: &Plan, document: &D, score: f32) -> Result<()> {
        let at = At::root(document);
        for (node, state) in plan.nodes.iter().zip(&mut self.states) {
            if !matches!(node.kind, PlanKind::Global) {
                state.collect(node, document, at, score, &mut self.budget)?;
            }
        }
        Ok(())
    }

    /// The results by name; `None` when there are no aggregations.
    pub(crate) fn render(
        mut self,
        plan: &Plan,
        query: &Clause,
        environment: Environment<'_>,
    ) -> Result<Option<Map<String, Value>>> {
        if plan.nodes.is_empty() {
            return Ok(None);
        }
        let states = std::mem::take(&mut self.states);
        let mut renderer = super::render::Renderer { collection: &mut self, query, environment };
        renderer.level(&plan.nodes, states).map(Some)
    }
}

impl Plan {
    /// Whether results depend on documents that do not match.
    pub(crate) fn needs_everything(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.kind, PlanKind::Global) || has_empty_terms(node))
    }
}

/// Whether there are buckets of terms that no match has.
fn has_empty_terms(node: &PlanNode) -> bool {
    matches!(&node.kind, PlanKind::Terms { options, .. } if options.min_doc_count == 0)
        || node.below.iter().any(has_empty_terms)
}

fn see_terms(node: &PlanNode, at: At<'_>, all_terms: &mut HashMap<usize, BTreeSet<BucketKey>>) {
    if matches!(&node.kind, PlanKind::Terms { options, .. } if options.min_doc_count == 0) {
        gather(node, at, all_terms.entry(node.id).or_default());
    }
    node.below.iter().for_each(|inner| see_terms(inner, at, all_terms));
}

fn gather(node: &PlanNode, at: At<'_>, out: &mut BTreeSet<BucketKey>) {
    if out.len() > BUCKETS_MAX {
        return;
    }
    if let PlanKind::Terms { column, options } = &node.kind {
        let holds = |key: &BucketKey| {
            let text = key.text();
            options.include.as_ref().is_none_or(|it| it.holds(&text))
                && !options.exclude.as_ref().is_some_and(|it| it.holds(&text))
        };
        out.extend(column.keys(at).into_iter().filter(holds));
    }
    at.block.children.iter().for_each(|block| gather(node, At { block, ..at }, out));
}
