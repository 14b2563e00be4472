use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Value, json};

use super::collect::{Bucket, Collection, State};
use super::metrics::percentile;
use super::parse::{HistogramOptions, Interval, Metric, Order, OrderBy};
use super::plan::{BucketKey, Column, ColumnKind, Grid, PlanKind, PlanNode, Shape, Span};
use crate::dates::Zone;
use crate::error::Result;
use crate::evaluate::{Clause, Environment};
use crate::mapping::print_ip;
use crate::request::Held;

/// Makes the JSON of what was gathered.
pub(super) struct Renderer<'r, 'm, D> {
    pub(super) collection: &'r mut Collection<D>,
    pub(super) query: &'r Clause,
    pub(super) environment: Environment<'m>,
}

type Buckets<D> = Vec<(BucketKey, Bucket<D>)>;

impl<D: Held> Renderer<'_, '_, D> {
    pub(super) fn level(&mut self, nodes: &[PlanNode], states: Vec<State<D>>) -> Result<Map<String, Value>> {
        let mut out = Map::new();
        for (node, state) in nodes.iter().zip(states) {
            let mut result = self.node(node, state)?;
            if let Some(meta) = &node.meta {
                result.insert("meta".to_owned(), meta.clone());
            }
            out.insert(node.name.clone(), Value::Object(result));
        }
        Ok(out)
    }

    fn node(&mut self, node: &PlanNode, state: State<D>) -> Result<Map<String, Value>> {
        match (&node.kind, state) {
            (PlanKind::Terms { column, .. }, State::Keyed(buckets)) => self.terms(node, column, buckets),
            (PlanKind::Histogram { grid, options, .. }, State::Keyed(buckets)) => {
                self.histogram(node, grid, options, buckets)
            }
            (PlanKind::Geohash { size, .. }, State::Keyed(buckets)) => {
                let mut buckets: Buckets<D> = buckets.into_iter().collect();
                buckets.sort_by(|a, b| b.1.count.cmp(&a.1.count).then_with(|| a.0.cmp(&b.0)));
                buckets.truncate(*size);
                let mut list = Vec::new();
                for (key, bucket) in buckets {
                    let mut out = self.bucket(node, bucket)?;
                    out.insert("key".to_owned(), key.text().into());
                    list.push(Value::Object(out));
                }
                Ok(single("buckets", Value::Array(list)))
            }
            (PlanKind::Ranges { column, ranges, keyed }, State::Fixed(buckets)) => {
                let mut named = Vec::new();
                for (range, bucket) in ranges.iter().zip(buckets) {
                    let mut out = self.bucket(node, bucket)?;
                    let key = span(range, column, &mut out);
                    named.push((key, out));
                }
                Ok(listed(named, *keyed, true))
            }
            (PlanKind::Filters { filters, shape }, State::Fixed(buckets)) => {
                let mut named = Vec::new();
                for ((name, _), bucket) in filters.iter().zip(buckets) {
                    named.push((name.clone(), self.bucket(node, bucket)?));
                }
                match shape {
                    Shape::Single => Ok(named.pop().map(|(_, out)| out).unwrap_or_default()),
                    Shape::Keyed => Ok(listed(named, true, false)),
                    Shape::Listed => Ok(listed(named, false, false)),
                }
            }
            (PlanKind::Global | PlanKind::Nested { .. }, State::Fixed(mut buckets)) => match buckets.pop() {
                Some(bucket) => self.bucket(node, bucket),
                None => Ok(Map::new()),
            },
            (PlanKind::Metric { column, metric }, State::Numbers(numbers)) => {
                let print = |value: f64| print_number(column, value);
                let as_string =
                    matches!(column.kind, Some(ColumnKind::Date(_))) && *metric != Metric::ValueCount;
                Ok(numbers.render(*metric, as_string.then_some(&print as &dyn Fn(f64) -> String)))
            }
            (PlanKind::Cardinality { .. }, State::Cardinality(cardinality)) => {
                Ok(single("value", json!(cardinality.count())))
            }
            (PlanKind::Percentiles { percents, keyed, .. }, State::Percentiles(values)) => {
                Ok(percentiles(percents, values, *keyed))
            }
            (PlanKind::TopHits(shown), State::TopHits(top)) => {
                let (total, max_score) = (top.total, top.max_score(shown));
                let hits = top.render(shown, self.query, self.environment);
                Ok(single("hits", json!({"total": total, "max_score": max_score, "hits": hits})))
            }
            // A state is made of its node: no other pair exists.
            _ => Ok(Map::new()),
        }
    }

    fn bucket(&mut self, node: &PlanNode, bucket: Bucket<D>) -> Result<Map<String, Value>> {
        let mut out = self.level(&node.below, bucket.below)?;
        out.insert("doc_count".to_owned(), json!(bucket.count));
        Ok(out)
    }

    fn terms(
        &mut self,
        node: &PlanNode,
        column: &Column,
        mut buckets: HashMap<BucketKey, Bucket<D>>,
    ) -> Result<Map<String, Value>> {
        let PlanKind::Terms { options, .. } = &node.kind else { return Ok(Map::new()) };
        if let Some(terms) = self.collection.all_terms.get(&node.id) {
            for key in terms.clone() {
                if let Entry::Vacant(entry) = buckets.entry(key) {
                    entry.insert(Bucket::new(node, &mut self.collection.budget)?);
                }
            }
        }
        let mut buckets: Buckets<D> = buckets.into_iter().collect();
        let total: u64 = buckets.iter().map(|(_, bucket)| bucket.count).sum();
        buckets.retain(|(_, bucket)| bucket.count >= options.min_doc_count);
        sort(&mut buckets, &options.order, node);
        buckets.truncate(options.size);
        let shown: u64 = buckets.iter().map(|(_, bucket)| bucket.count).sum();
        let mut list = Vec::new();
        for (key, bucket) in buckets {
            let mut out = self.bucket(node, bucket)?;
            put_key(&key, column, &mut out);
            if options.show_error {
                out.insert("doc_count_error_upper_bound".to_owned(), json!(0));
            }
            list.push(Value::Object(out));
        }
        let mut out = single("buckets", Value::Array(list));
        out.insert("doc_count_error_upper_bound".to_owned(), json!(0));
        out.insert("sum_other_doc_count".to_owned(), json!(total - shown));
        Ok(out)
    }

    fn histogram(
        &mut self,
        node: &PlanNode,
        grid: &Grid,
        options: &HistogramOptions,
        mut buckets: HashMap<BucketKey, Bucket<D>>,
    ) -> Result<Map<String, Value>> {
        if options.min_doc_count == 0 {
            self.fill(node, grid, &mut buckets)?;
        }
        let mut buckets: Buckets<D> = buckets.into_iter().collect();
        buckets.retain(|(_, bucket)| bucket.count >= options.min_doc_count);
        sort(&mut buckets, &options.order, node);
        let mut named = Vec::new();
        for (key, bucket) in buckets {
            let mut out = self.bucket(node, bucket)?;
            let BucketKey::Long(key) = key else { continue };
            named.push((grid_key(grid, key, &mut out), out));
        }
        Ok(listed(named, options.keyed, false))
    }

    /// Puts empty buckets between the first and the last.
    fn fill(
        &mut self,
        node: &PlanNode,
        grid: &Grid,
        buckets: &mut HashMap<BucketKey, Bucket<D>>,
    ) -> Result<()> {
        let keys = buckets.keys().filter_map(|key| match key {
            BucketKey::Long(key) => Some(*key),
            _ => None,
        });
        let keys: Vec<i64> = keys.chain(grid.bounds.iter().flat_map(|(min, max)| [*min, *max])).collect();
        let (Some(first), Some(last)) = (keys.iter().min(), keys.iter().max()) else { return Ok(()) };
        let mut key = *first;
        while key <= *last {
            if let Entry::Vacant(entry) = buckets.entry(BucketKey::Long(key)) {
                entry.insert(Bucket::new(node, &mut self.collection.budget)?);
            }
            match grid.after(key) {
                Some(next) => key = next,
                None => break,
            }
        }
        Ok(())
    }
}

fn single(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}

/// Buckets as an object by their names, or as an array.
fn listed(named: Vec<(String, Map<String, Value>)>, keyed: bool, with_key: bool) -> Map<String, Value> {
    let buckets = if keyed {
        Value::Object(named.into_iter().map(|(name, out)| (name, Value::Object(out))).collect())
    } else {
        let list = named.into_iter().map(|(name, mut out)| {
            if with_key {
                out.insert("key".to_owned(), name.into());
            }
            Value::Object(out)
        });
        Value::Array(list.collect())
    };
    single("buckets", buckets)
}

fn sort<D: Held>(buckets: &mut Buckets<D>, order: &[Order], node: &PlanNode) {
    buckets.sort_by(|a, b| {
        let by = |order: &Order| {
            let ascending = match &order.by {
                OrderBy::Count => a.1.count.cmp(&b.1.count),
                OrderBy::Key => a.0.cmp(&b.0),
                OrderBy::Below(path, property) => {
                    let value = |bucket: &Bucket<D>| number(bucket, path, property.as_deref(), node);
                    match (value(&a.1), value(&b.1)) {
                        (Some(a), Some(b)) => a.total_cmp(&b),
                        // What has no number comes last, either way.
                        (Some(_), None) => return Ordering::Less,
                        (None, Some(_)) => return Ordering::Greater,
                        (None, None) => Ordering::Equal,
                    }
                }
            };
            if order.descending { ascending.reverse() } else { ascending }
        };
        order.iter().map(by).find(|it| it.is_ne()).unwrap_or_else(|| a.0.cmp(&b.0))
    });
}

/// The number that a bucket is ordered by.
fn number<D: Held>(
    bucket: &Bucket<D>,
    path: &[String],
    property: Option<&str>,
    node: &PlanNode,
) -> Option<f64> {
    let (first, rest) = path.split_first()?;
    let (inner, state) = node.below.iter().zip(&bucket.below).find(|(inner, _)| inner.name == *first)?;
    let found = match (&inner.kind, state) {
        (PlanKind::Metric { metric, .. }, State::Numbers(numbers)) => numbers.property(*metric, property)?,
        (PlanKind::Cardinality { .. }, State::Cardinality(cardinality)) => cardinality.count() as f64,
        (_, State::Fixed(buckets)) => {
            let bucket = buckets.first()?;
            if rest.is_empty() { bucket.count as f64 } else { number(bucket, rest, property, inner)? }
        }
        _ => return None,
    };
    found.is_finite().then_some(found)
}

fn put_key(key: &BucketKey, column: &Column, out: &mut Map<String, Value>) {
    let value = match key {
        BucketKey::Text(text) => json!(text),
        BucketKey::Long(value) => json!(value),
        BucketKey::Double(value) => json!(value.value()),
    };
    out.insert("key".to_owned(), value);
    if let (BucketKey::Long(value), Some(ColumnKind::Date(_) | ColumnKind::Boolean | ColumnKind::Ip)) =
        (key, &column.kind)
    {
        out.insert("key_as_string".to_owned(), print_number(column, *value as f64).into());
    }
}

fn print_number(column: &Column, value: f64) -> String {
    match &column.kind {
        Some(ColumnKind::Date(formats)) => formats.print(value as i64, Zone::UTC),
        Some(ColumnKind::Boolean) => (value != 0.0).to_string(),
        Some(ColumnKind::Ip) => print_ip(value as i64),
        _ => json!(value).to_string(),
    }
}

/// Writes the ends of a range, and gives its name.
fn span(range: &Span, column: &Column, out: &mut Map<String, Value>) -> String {
    let mut end = |name: &str, value: Option<f64>| {
        let Some(value) = value else { return "*".to_owned() };
        let text = print_number(column, value);
        out.insert(name.to_owned(), json!(value));
        out.insert(format!("{name}_as_string"), text.clone().into());
        text
    };
    let (from, to) = (end("from", range.from), end("to", range.to));
    range.key.clone().unwrap_or_else(|| format!("{from}-{to}"))
}

/// Writes the key of a histogram's bucket, and gives its name.
fn grid_key(grid: &Grid, key: i64, out: &mut Map<String, Value>) -> String {
    match (&grid.formats, grid.interval) {
        (None, Interval::Number(interval)) => {
            let value = key as f64 * interval + grid.offset;
            let number =
                if value.fract() == 0.0 && value.abs() < 9.0e15 { json!(value as i64) } else { json!(value) };
            let text = number.to_string();
            out.insert("key".to_owned(), number);
            text
        }
        (formats, _) => {
            let text = formats.as_ref().map_or_else(|| key.to_string(), |it| it.print(key, grid.zone));
            out.insert("key".to_owned(), json!(key));
            out.insert("key_as_string".to_owned(), text.clone().into());
            text
        }
    }
}

fn percentiles(percents: &[f64], mut values: Vec<f64>, keyed: bool) -> Map<String, Value> {
    values.sort_by(f64::total_cmp);
    let value = |percent: f64| percentile(&values, percent).map_or_else(|| json!("NaN"), |it| json!(it));
    let found = if keyed {
        Value::Object(percents.iter().map(|it| (json!(it).to_string(), value(*it))).collect())
    } else {
        percents.iter().map(|it| json!({"key": it, "value": value(*it)})).collect()
    };
    single("values", found)
}
