use std::sync::Arc;

use serde_json::Value;

use super::parse::{
    Aggregation, AggregationKind, HistogramOptions, Interval, Metric, Order, OrderBy, RangeBucket,
    TermsOptions,
};
use crate::dates::{DateFormats, DateMath, Zone};
use crate::document::Values;
use crate::error::{Error, ErrorKind, Result};
use crate::evaluate::{At, Clause, ClauseKind, Environment, Test, compile};
use crate::mapping::{Kind, boolean, ip};
use crate::node::{Scalar, excerpt};
use crate::query::{Query, QueryKind};
use crate::request::Shown;

/// Aggregations under a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(super) nodes: Vec<PlanNode>,
    /// Nodes in all.
    pub(super) size: usize,
}

#[derive(Debug, Clone)]
pub(super) struct PlanNode {
    /// Its place in a walk through the plan.
    pub(super) id: usize,
    pub(super) name: String,
    pub(super) meta: Option<Value>,
    pub(super) kind: PlanKind,
    pub(super) below: Vec<PlanNode>,
}

#[derive(Debug, Clone)]
pub(super) enum PlanKind {
    Terms { column: Column, options: TermsOptions },
    Ranges { column: Column, ranges: Vec<Span>, keyed: bool },
    Histogram { column: Column, grid: Grid, options: HistogramOptions },
    Filters { filters: Vec<(String, Clause)>, shape: Shape },
    Global,
    Nested { path: String },
    Metric { column: Column, metric: Metric },
    Cardinality { column: Column },
    Percentiles { column: Column, percents: Vec<f64>, keyed: bool },
    TopHits(Box<Shown>),
    Geohash { column: Column, precision: usize, size: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Single,
    Keyed,
    Listed,
}

/// Values that are counted.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) path: String,
    /// `None`: the field is not mapped, and has no values.
    pub(super) kind: Option<ColumnKind>,
    missing: Option<BucketKey>,
}

#[derive(Debug, Clone)]
pub(super) enum ColumnKind {
    Text,
    Long,
    Double,
    Boolean,
    Ip,
    Date(DateFormats),
    Geo,
}

/// What a bucket stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum BucketKey {
    Long(i64),
    Double(OrderedBits),
    Text(String),
}

/// A double whose bits are in the order of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct OrderedBits(i64);

impl OrderedBits {
    pub(super) fn new(value: f64) -> Self {
        // -0 and 0 are one value.
        let bits = (value + 0.0).to_bits() as i64;
        Self(bits ^ (((bits >> 63) as u64) >> 1) as i64)
    }

    pub(super) fn value(self) -> f64 {
        f64::from_bits((self.0 ^ (((self.0 >> 63) as u64) >> 1) as i64) as u64)
    }
}

/// One range, its lower end included, its upper end not.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) key: Option<String>,
    pub(super) from: Option<f64>,
    pub(super) to: Option<f64>,
}

/// How values fall into the buckets of a histogram.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    pub(super) interval: Interval,
    pub(super) offset: f64,
    pub(super) zone: Zone,
    pub(super) formats: Option<DateFormats>,
    /// Buckets that are there at least: from this key to that.
    pub(super) bounds: Option<(i64, i64)>,
}

impl Plan {
    pub(crate) fn compile(aggregations: &[Aggregation], environment: Environment<'_>) -> Result<Self> {
        let mut compiler = Compiler { environment, size: 0 };
        let nodes = compiler.level(aggregations)?;
        Ok(Self { nodes, size: compiler.size })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

struct Compiler<'m> {
    environment: Environment<'m>,
    size: usize,
}

impl Compiler<'_> {
    fn level(&mut self, aggregations: &[Aggregation]) -> Result<Vec<PlanNode>> {
        aggregations
            .iter()
            .map(|it| self.node(it).map_err(|error| error.or_at(|| it.pointer.clone())))
            .collect()
    }

    fn node(&mut self, aggregation: &Aggregation) -> Result<PlanNode> {
        let id = self.size;
        self.size += 1;
        let below = self.level(&aggregation.below)?;
        let kind = self.kind(&aggregation.kind, &below)?;
        Ok(PlanNode { id, name: aggregation.name.clone(), meta: aggregation.meta.clone(), kind, below })
    }

    fn kind(&self, kind: &AggregationKind, below: &[PlanNode]) -> Result<PlanKind> {
        Ok(match kind {
            AggregationKind::Terms(options) => {
                options.order.iter().try_for_each(|order| check_order(order, below))?;
                let column = self.column(&options.field, options.missing.as_ref())?;
                if matches!(column.kind, Some(ColumnKind::Geo)) {
                    return Err(wrong(&options.field, "a geo_point has no terms: use `geohash_grid`"));
                }
                PlanKind::Terms { column, options: options.clone() }
            }
            AggregationKind::Range { field, ranges, keyed, date, format } => {
                self.ranges(field, ranges, *keyed, *date, format.as_deref())?
            }
            AggregationKind::Histogram(options) => {
                options.order.iter().try_for_each(|order| check_order(order, below))?;
                self.histogram(options)?
            }
            AggregationKind::Filter(query) => {
                let filter = compile(query, self.environment, true)?;
                PlanKind::Filters { filters: vec![(String::new(), filter)], shape: Shape::Single }
            }
            AggregationKind::Filters { filters, keyed } => {
                let compiled = filters.iter().map(|(name, query)| {
                    compile(query, self.environment, true).map(|filter| (name.clone(), filter))
                });
                let shape = if *keyed { Shape::Keyed } else { Shape::Listed };
                PlanKind::Filters { filters: compiled.collect::<Result<_>>()?, shape }
            }
            AggregationKind::Missing { field } => {
                let kind = QueryKind::Missing { field: field.clone(), existence: true, null_value: false };
                let mut filter = compile(&Query::of(kind, ""), self.environment, true)?;
                // Fields that queries do not find are counted all the same.
                if let (ClauseKind::Leaf(leaf), Some(mapped)) =
                    (&mut filter.kind, self.environment.mapping.field(field))
                    && let Test::Missing { fields, .. } = &mut leaf.test
                    && fields.is_empty()
                {
                    fields.push(Arc::clone(&mapped.path));
                }
                PlanKind::Filters { filters: vec![(String::new(), filter)], shape: Shape::Single }
            }
            AggregationKind::Global => PlanKind::Global,
            AggregationKind::Nested { path } => {
                let object = self.environment.mapping.object(path);
                if object.is_some_and(|object| object.nested.is_none()) {
                    return Err(malformed(format!("[nested] nested path [{}] is not nested", excerpt(path))));
                }
                PlanKind::Nested { path: path.clone() }
            }
            AggregationKind::Metric { metric, field, missing } => {
                let column = self.column(field, missing.as_ref())?;
                if *metric != Metric::ValueCount {
                    numeric(&column)?;
                }
                PlanKind::Metric { column, metric: *metric }
            }
            AggregationKind::Cardinality { field } => {
                PlanKind::Cardinality { column: self.column(field, None)? }
            }
            AggregationKind::Percentiles { field, percents, keyed, missing } => {
                let column = self.column(field, missing.as_ref())?;
                numeric(&column)?;
                PlanKind::Percentiles { column, percents: percents.clone(), keyed: *keyed }
            }
            AggregationKind::TopHits(options) => {
                PlanKind::TopHits(Box::new(options.compile(self.environment)?))
            }
            AggregationKind::GeohashGrid { field, precision, size } => {
                let column = self.column(field, None)?;
                if !matches!(column.kind, None | Some(ColumnKind::Geo)) {
                    return Err(wrong(field, "geohash_grid needs a geo_point"));
                }
                PlanKind::Geohash { column, precision: *precision, size: *size }
            }
        })
    }

    fn column(&self, path: &str, missing: Option<&Scalar>) -> Result<Column> {
        let kind = match path {
            "_id" | "_uid" | "_type" | "_index" => Some(ColumnKind::Text),
            _ => self.environment.mapping.field(path).map(|field| match &field.kind {
                Kind::Text(_) => ColumnKind::Text,
                Kind::Number(kind) if kind.is_float() => ColumnKind::Double,
                Kind::Number(_) => ColumnKind::Long,
                Kind::Boolean => ColumnKind::Boolean,
                Kind::Ip => ColumnKind::Ip,
                Kind::Date(formats) => ColumnKind::Date(formats.clone()),
                Kind::GeoPoint => ColumnKind::Geo,
                Kind::Binary => ColumnKind::Text,
            }),
        };
        let missing = match (missing, &kind) {
            (Some(value), Some(kind)) => Some(self.missing(path, value, kind)?),
            _ => None,
        };
        Ok(Column { path: path.to_owned(), kind, missing })
    }

    fn missing(&self, path: &str, value: &Scalar, kind: &ColumnKind) -> Result<BucketKey> {
        let text = value.text();
        let json = Value::from(text.as_str());
        let key = match kind {
            ColumnKind::Text => Some(BucketKey::Text(text.clone())),
            ColumnKind::Long => text.parse().ok().map(BucketKey::Long),
            ColumnKind::Double => text.parse().ok().map(|it| BucketKey::Double(OrderedBits::new(it))),
            ColumnKind::Boolean => boolean(&json).ok().map(|it| BucketKey::Long(it.into())),
            ColumnKind::Ip => ip(&json).map(BucketKey::Long),
            ColumnKind::Date(formats) => self.date(formats, Zone::UTC, value).ok().map(BucketKey::Long),
            ColumnKind::Geo => None,
        };
        key.ok_or_else(|| {
            malformed(format!(
                "`missing` is `{}`, which the field [{}] cannot have",
                excerpt(&text),
                excerpt(path)
            ))
        })
    }

    fn date(&self, formats: &DateFormats, zone: Zone, value: &Scalar) -> Result<i64> {
        if let Scalar::Int(ms) = value {
            return Ok(*ms);
        }
        DateMath { formats, now_ms: self.environment.now_ms, zone }.resolve(&value.text(), false)
    }

    fn ranges(
        &self,
        field: &str,
        ranges: &[RangeBucket],
        keyed: bool,
        date: bool,
        format: Option<&str>,
    ) -> Result<PlanKind> {
        let mut column = self.column(field, None)?;
        numeric(&column)?;
        let given = format.map(DateFormats::parse).transpose()?;
        if date {
            let own = match &column.kind {
                Some(ColumnKind::Date(own)) => own.clone(),
                None => DateFormats::standard(),
                Some(_) => return Err(wrong(field, "date_range needs a date")),
            };
            column.kind = Some(ColumnKind::Date(given.unwrap_or(own)));
        }
        let end = |end: &Option<Scalar>| {
            let Some(value) = end else { return Ok(None) };
            Ok::<_, Error>(Some(match &column.kind {
                Some(ColumnKind::Date(formats)) => self.date(formats, Zone::UTC, value)? as f64,
                Some(ColumnKind::Ip) => {
                    ip(&Value::from(value.text())).ok_or_else(|| no_number(field, value))? as f64
                }
                _ => value
                    .text()
                    .parse()
                    .ok()
                    .filter(|it: &f64| !it.is_nan())
                    .ok_or_else(|| no_number(field, value))?,
            }))
        };
        let mut spans = Vec::new();
        for range in ranges {
            spans.push(Span { key: range.key.clone(), from: end(&range.from)?, to: end(&range.to)? });
        }
        // As Elasticsearch shows them: by where they begin.
        spans.sort_by(|a, b| {
            let from = |span: &Span| span.from.unwrap_or(f64::NEG_INFINITY);
            let to = |span: &Span| span.to.unwrap_or(f64::INFINITY);
            from(a).total_cmp(&from(b)).then(to(a).total_cmp(&to(b)))
        });
        Ok(PlanKind::Ranges { column, ranges: spans, keyed })
    }

    fn histogram(&self, options: &HistogramOptions) -> Result<PlanKind> {
        let column = self.column(&options.field, None)?;
        numeric(&column)?;
        let zone = options.time_zone.as_deref().map_or(Ok(Zone::UTC), Zone::parse)?;
        let given = options.format.as_deref().map(DateFormats::parse).transpose()?;
        let date = !matches!(options.interval, Interval::Number(_));
        let formats = match &column.kind {
            Some(ColumnKind::Date(own)) if date => Some(given.unwrap_or_else(|| own.clone())),
            None if date => Some(given.unwrap_or_else(DateFormats::standard)),
            Some(_) if date => return Err(wrong(&options.field, "date_histogram needs a date")),
            _ => None,
        };
        let mut grid =
            Grid { interval: options.interval, offset: options.offset, zone, formats, bounds: None };
        if let Some((min, max)) = &options.bounds {
            let end = |value: &Scalar| match &grid.formats {
                Some(formats) => self.date(formats, zone, value).map(|it| it as f64),
                None => value.text().parse::<f64>().map_err(|_| no_number(&options.field, value)),
            };
            let (min, max) = (end(min)?, end(max)?);
            if min > max {
                return Err(malformed(format!("`extended_bounds`: the min, {min}, is above the max, {max}")));
            }
            grid.bounds = grid.key(min).zip(grid.key(max));
        }
        Ok(PlanKind::Histogram { column, grid, options: options.clone() })
    }
}

fn malformed(message: String) -> Error {
    Error::bare(ErrorKind::Malformed, message)
}

fn wrong(field: &str, why: &str) -> Error {
    malformed(format!("the field [{}]: {why}", excerpt(field)))
}

fn no_number(field: &str, value: &Scalar) -> Error {
    malformed(format!(
        "found `{}`, expected a number for the field [{}]",
        excerpt(&value.text()),
        excerpt(field)
    ))
}

fn numeric(column: &Column) -> Result<()> {
    match column.kind {
        Some(ColumnKind::Text | ColumnKind::Geo) => {
            Err(wrong(&column.path, "expected a numeric type, a date, a boolean or an ip"))
        }
        _ => Ok(()),
    }
}

/// Checks that what buckets are ordered by is there.
fn check_order(order: &Order, below: &[PlanNode]) -> Result<()> {
    let OrderBy::Below(path, property) = &order.by else { return Ok(()) };
    let mut level = below;
    for (index, name) in path.iter().enumerate() {
        let Some(node) = level.iter().find(|node| node.name == *name) else {
            return Err(malformed(format!("Invalid order path: unknown aggregation [{}]", excerpt(name))));
        };
        let last = index + 1 == path.len();
        let fits = match &node.kind {
            PlanKind::Metric { metric, .. } if last => {
                super::metrics::Numbers::default().property(*metric, property.as_deref()).is_some()
            }
            PlanKind::Cardinality { .. } if last => property.as_deref().is_none_or(|it| it == "value"),
            PlanKind::Filters { shape: Shape::Single, .. } | PlanKind::Nested { .. } => {
                !last || property.as_deref().is_none_or(|it| it == "doc_count")
            }
            _ => false,
        };
        if !fits {
            return Err(malformed(format!(
                "Invalid order path: [{}] has no single number to order by, or lacks the one that is named",
                excerpt(name)
            )));
        }
        level = &node.below;
    }
    Ok(())
}

impl Column {
    /// The different values of a document, as keys of buckets.
    pub(super) fn keys(&self, at: At<'_>) -> Vec<BucketKey> {
        let document = &at.document.document;
        let mut keys = match (self.path.as_str(), at.block.field(&self.path).map(|data| &data.values)) {
            ("_id", _) => vec![BucketKey::Text(document.id.clone())],
            ("_uid", _) => vec![BucketKey::Text(at.document.uid.clone())],
            ("_type", _) => vec![BucketKey::Text(document.collection.to_string())],
            ("_index", _) => vec![BucketKey::Text(document.index.to_string())],
            (_, Some(Values::Text(terms))) => {
                terms.iter().map(|it| BucketKey::Text(it.term.to_string())).collect()
            }
            (_, Some(Values::Long(longs))) => longs.iter().map(|it| BucketKey::Long(*it)).collect(),
            (_, Some(Values::Double(doubles))) => {
                doubles.iter().map(|it| BucketKey::Double(OrderedBits::new(*it))).collect()
            }
            _ => Vec::new(),
        };
        keys.dedup();
        if keys.is_empty() {
            keys.extend(self.missing.clone());
        }
        keys
    }

    /// All values of a document as numbers.
    pub(super) fn numbers(&self, at: At<'_>) -> Vec<f64> {
        let found: Vec<f64> = match at.block.field(&self.path).map(|data| &data.values) {
            Some(Values::Long(longs)) => longs.iter().map(|it| *it as f64).collect(),
            Some(Values::Double(doubles)) => doubles.clone(),
            _ => Vec::new(),
        };
        match (&self.missing, found.is_empty()) {
            (Some(BucketKey::Long(value)), true) => vec![*value as f64],
            (Some(BucketKey::Double(value)), true) => vec![value.value()],
            _ => found,
        }
    }

    /// How many values a document has; of texts, how many different terms.
    pub(super) fn count(&self, at: At<'_>) -> u64 {
        let found = match at.block.field(&self.path).map(|data| &data.values) {
            Some(Values::Geo(points)) => points.len(),
            Some(Values::Long(_) | Values::Double(_)) => self.numbers(at).len(),
            _ => self.keys(at).len(),
        };
        found as u64
    }
}

impl Grid {
    /// The key of the bucket that a value falls into: the bucket's number, or of dates its first moment.
    pub(super) fn key(&self, value: f64) -> Option<i64> {
        let offset = self.offset as i64;
        match self.interval {
            Interval::Number(interval) => {
                let bucket = ((value - self.offset) / interval).floor();
                (bucket.abs() < 9.0e15).then_some(bucket as i64)
            }
            Interval::Fixed(interval) => {
                let local = self.zone.to_local(value as i64).checked_sub(offset)?;
                Some(self.zone.to_utc(local.div_euclid(interval).checked_mul(interval)?.checked_add(offset)?))
            }
            Interval::Unit(unit) => {
                let local = self.zone.to_local(value as i64).checked_sub(offset)?;
                Some(self.zone.to_utc(unit.floor(local)?.checked_add(offset)?))
            }
        }
    }

    /// The key of the bucket after another.
    pub(super) fn after(&self, key: i64) -> Option<i64> {
        let offset = self.offset as i64;
        let next = match self.interval {
            Interval::Number(_) => key.checked_add(1)?,
            Interval::Fixed(interval) => {
                let local = self.zone.to_local(key).checked_sub(offset)?.checked_add(interval)?;
                self.zone.to_utc(local.checked_add(offset)?)
            }
            Interval::Unit(unit) => {
                let local = self.zone.to_local(key).checked_sub(offset)?;
                self.zone.to_utc(unit.add(local, 1)?.checked_add(offset)?)
            }
        };
        // When clocks are set back, an hour of the calendar is there twice.
        if next > key { Some(next) } else { key.checked_add(3_600_000) }
    }
}
