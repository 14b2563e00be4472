use serde_json::Value;

use crate::dates::Unit;
use crate::error::Result;
use crate::limits::{AGGREGATIONS_MAX, BUCKETS_MAX, DEPTH_MAX, REGEXP_CLAUSES};
use crate::node::{Fields, Node, Scalar, excerpt, list};
use crate::query::{Parser, Query, Regexp};
use crate::request::HitOptions;

/// One aggregation with those below it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Aggregation {
    pub(crate) name: String,
    pub(crate) kind: AggregationKind,
    pub(crate) below: Vec<Aggregation>,
    pub(crate) meta: Option<Value>,
    pub(crate) pointer: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AggregationKind {
    Terms(TermsOptions),
    Range {
        field: String,
        ranges: Vec<RangeBucket>,
        keyed: bool,
        date: bool,
        format: Option<String>,
    },
    Histogram(HistogramOptions),
    Filter(Query),
    /// Names are keys when the filters are an object.
    Filters {
        filters: Vec<(String, Query)>,
        keyed: bool,
    },
    Missing {
        field: String,
    },
    Global,
    Nested {
        path: String,
    },
    Metric {
        metric: Metric,
        field: String,
        missing: Option<Scalar>,
    },
    Cardinality {
        field: String,
    },
    Percentiles {
        field: String,
        percents: Vec<f64>,
        keyed: bool,
        missing: Option<Scalar>,
    },
    TopHits(Box<HitOptions>),
    GeohashGrid {
        field: String,
        precision: usize,
        size: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Metric {
    Min,
    Max,
    Avg,
    Sum,
    ValueCount,
    Stats,
    ExtendedStats { sigma: f64 },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TermsOptions {
    pub(crate) field: String,
    /// `usize::MAX`: all of them.
    pub(crate) size: usize,
    pub(crate) order: Vec<Order>,
    pub(crate) min_doc_count: u64,
    pub(crate) include: Option<Selection>,
    pub(crate) exclude: Option<Selection>,
    pub(crate) missing: Option<Scalar>,
    pub(crate) show_error: bool,
}

/// Terms by name or by shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Selection {
    Shape(Regexp),
    Values(Vec<String>),
}

impl Selection {
    pub(crate) fn holds(&self, term: &str) -> bool {
        match self {
            Selection::Shape(regexp) => regexp.matches(term),
            Selection::Values(values) => values.iter().any(|value| value == term),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) by: OrderBy,
    pub(crate) descending: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OrderBy {
    Count,
    Key,
    /// A metric below: names, and what of it.
    Below(Vec<String>, Option<String>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RangeBucket {
    pub(crate) key: Option<String>,
    pub(crate) from: Option<Scalar>,
    pub(crate) to: Option<Scalar>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HistogramOptions {
    pub(crate) field: String,
    pub(crate) interval: Interval,
    pub(crate) offset: f64,
    pub(crate) min_doc_count: u64,
    pub(crate) bounds: Option<(Scalar, Scalar)>,
    pub(crate) order: Vec<Order>,
    pub(crate) keyed: bool,
    pub(crate) time_zone: Option<String>,
    pub(crate) format: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Interval {
    Number(f64),
    /// Of the calendar.
    Unit(Unit),
    /// Milliseconds.
    Fixed(i64),
}

const UNSUPPORTED: &[&str] = &[
    "avg_bucket",
    "bucket_script",
    "bucket_selector",
    "children",
    "cumulative_sum",
    "derivative",
    "extended_stats_bucket",
    "geo_bounds",
    "geo_centroid",
    "geo_distance",
    "ip_range",
    "ipv4_range",
    "max_bucket",
    "min_bucket",
    "moving_avg",
    "percentile_ranks",
    "percentiles_bucket",
    "reverse_nested",
    "sampler",
    "scripted_metric",
    "serial_diff",
    "significant_terms",
    "stats_bucket",
    "sum_bucket",
];

const KNOWN: &[&str] = &[
    "avg",
    "cardinality",
    "date_histogram",
    "date_range",
    "extended_stats",
    "filter",
    "filters",
    "geohash_grid",
    "global",
    "histogram",
    "max",
    "min",
    "missing",
    "nested",
    "percentiles",
    "range",
    "stats",
    "sum",
    "terms",
    "top_hits",
    "value_count",
];

/// Reads an object with one member for each aggregation.
pub(crate) fn parse(node: &Node<'_>, parser: &mut Parser) -> Result<Vec<Aggregation>> {
    let mut reader = Reader { parser, count: 0 };
    reader.level(node, 0)
}

struct Reader<'p> {
    parser: &'p mut Parser,
    count: usize,
}

impl Reader<'_> {
    fn level(&mut self, node: &Node<'_>, depth: usize) -> Result<Vec<Aggregation>> {
        if depth > DEPTH_MAX {
            return Err(node.over(format!("aggregations nest deeper than {DEPTH_MAX}")));
        }
        let members = node.members("an object with one member for each aggregation")?;
        self.count += members.len();
        if self.count > AGGREGATIONS_MAX {
            return Err(node.over(format!("more than {AGGREGATIONS_MAX} aggregations in one request")));
        }
        members.into_iter().map(|(name, node)| self.aggregation(name, &node, depth)).collect()
    }

    fn aggregation(&mut self, name: &str, node: &Node<'_>, depth: usize) -> Result<Aggregation> {
        if name.is_empty() || name.contains(['[', ']', '>']) {
            return Err(node.fail(format!(
                "invalid name of an aggregation: [{}]; `[`, `]` and `>` are not allowed",
                excerpt(name)
            )));
        }
        let mut fields = node.fields("aggregation")?;
        let below = match fields.any(&["aggregations", "aggs"]) {
            Some(below) => self.level(&below, depth + 1)?,
            None => Vec::new(),
        };
        let meta = fields.take("meta").map(|it| it.value.clone());
        let rest = fields.rest();
        let [(kind, body)] = rest.as_slice() else {
            let names: Vec<&str> = rest.iter().map(|(name, _)| *name).collect();
            return Err(node.fail(format!(
                "the aggregation [{}] needs one type, found {}",
                excerpt(name),
                if names.is_empty() { "none".to_owned() } else { excerpt(&list(&names)) }
            )));
        };
        let kind_of = self.kind(kind, body, depth)?;
        let leaf = matches!(
            kind_of,
            AggregationKind::Metric { .. }
                | AggregationKind::Cardinality { .. }
                | AggregationKind::Percentiles { .. }
                | AggregationKind::TopHits(_)
        );
        if leaf && !below.is_empty() {
            return Err(node.fail(format!(
                "Aggregator [{}] of type [{kind}] cannot accept sub-aggregations",
                excerpt(name)
            )));
        }
        if matches!(kind_of, AggregationKind::Global) && depth > 0 {
            return Err(node.fail(format!(
                "Aggregation [{}] cannot have a global sub-aggregation [{0}]: global stands at the top",
                excerpt(name)
            )));
        }
        Ok(Aggregation { name: name.to_owned(), kind: kind_of, below, meta, pointer: body.pointer() })
    }

    fn kind(&mut self, name: &str, body: &Node<'_>, depth: usize) -> Result<AggregationKind> {
        if name == "filter" {
            return self.parser.query(body, depth).map(AggregationKind::Filter);
        }
        let of = KNOWN.iter().find(|known| **known == name);
        let Some(of) = of else {
            if UNSUPPORTED.contains(&name) {
                return Err(body.unsupported(&format!("the aggregation `{name}`")));
            }
            let name = excerpt(name);
            return Err(
                body.fail(format!("Could not find aggregator type [{name}]; known are {}", list(KNOWN)))
            );
        };
        let mut fields = body.fields(of)?;
        fields.refuse(&["script", "script_file", "script_id", "params", "lang", "value_type"])?;
        let kind = match name {
            "terms" => {
                let options = terms(&mut fields)?;
                for selection in [&options.include, &options.exclude] {
                    if let Some(Selection::Shape(_)) = selection {
                        self.parser.count(body, REGEXP_CLAUSES)?;
                    }
                }
                AggregationKind::Terms(options)
            }
            "range" => range(&mut fields, false)?,
            "date_range" => range(&mut fields, true)?,
            "histogram" => AggregationKind::Histogram(histogram(&mut fields)?),
            "date_histogram" => AggregationKind::Histogram(date_histogram(&mut fields)?),
            "filters" => self.filters(&mut fields, depth)?,
            "missing" => AggregationKind::Missing { field: field(&mut fields)? },
            "global" => AggregationKind::Global,
            "nested" => AggregationKind::Nested { path: fields.need("path")?.str()?.to_owned() },
            "cardinality" => {
                // Counts are exact far beyond what it can ask for.
                fields.hint(&["precision_threshold", "rehash"]);
                AggregationKind::Cardinality { field: field(&mut fields)? }
            }
            "percentiles" => percentiles(&mut fields)?,
            "top_hits" => {
                let options = HitOptions::read(&mut fields, self.parser, 3)?;
                AggregationKind::TopHits(Box::new(options))
            }
            "geohash_grid" => geohash_grid(&mut fields)?,
            _ => self.metric(name, &mut fields)?,
        };
        fields.finish()?;
        Ok(kind)
    }

    fn filters(&mut self, fields: &mut Fields<'_>, depth: usize) -> Result<AggregationKind> {
        fields.refuse(&["other_bucket", "other_bucket_key"])?;
        let node = fields.need("filters")?;
        let keyed = node.value.is_object();
        let mut filters = Vec::new();
        if keyed {
            for (name, filter) in node.members("filters")? {
                filters.push((name.to_owned(), self.parser.query(&filter, depth)?));
            }
        } else {
            for filter in node.array("filters as an array, or as an object with a name for each")? {
                filters.push((String::new(), self.parser.query(&filter, depth)?));
            }
        }
        Ok(AggregationKind::Filters { filters, keyed })
    }

    fn metric(&mut self, name: &str, fields: &mut Fields<'_>) -> Result<AggregationKind> {
        let metric = match name {
            "min" => Metric::Min,
            "max" => Metric::Max,
            "avg" => Metric::Avg,
            "sum" => Metric::Sum,
            "value_count" => Metric::ValueCount,
            "stats" => Metric::Stats,
            _ => Metric::ExtendedStats { sigma: fields.take("sigma").map_or(Ok(2.0), |it| it.f64())? },
        };
        fields.refuse(&["format"])?;
        let field = field(fields)?;
        let missing = fields.take("missing").map(|it| it.scalar()).transpose()?;
        Ok(AggregationKind::Metric { metric, field, missing })
    }
}

fn field(fields: &mut Fields<'_>) -> Result<String> {
    Ok(fields.need("field")?.str()?.to_owned())
}

fn terms(fields: &mut Fields<'_>) -> Result<TermsOptions> {
    fields.hint(&["shard_size", "shard_min_doc_count", "execution_hint", "collect_mode"]);
    let size = fields.take("size").map_or(Ok(10), |it| it.usize())?;
    Ok(TermsOptions {
        field: field(fields)?,
        size: if size == 0 { usize::MAX } else { size },
        order: order(fields, &[Order { by: OrderBy::Count, descending: true }])?,
        min_doc_count: min_doc_count(fields, 1)?,
        include: selection(fields, "include")?,
        exclude: selection(fields, "exclude")?,
        missing: fields.take("missing").map(|it| it.scalar()).transpose()?,
        show_error: fields.take("show_term_doc_count_error").map_or(Ok(false), |it| it.bool())?,
    })
}

fn min_doc_count(fields: &mut Fields<'_>, default: u64) -> Result<u64> {
    fields.take("min_doc_count").map_or(Ok(default), |it| Ok(it.usize()? as u64))
}

fn selection(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<Selection>> {
    let Some(node) = fields.take(name) else { return Ok(None) };
    Ok(Some(match node.value {
        Value::String(text) => Selection::Shape(Regexp::parse(&node, text, None)?),
        Value::Object(_) => {
            let mut inner = node.fields("pattern")?;
            let pattern = inner.need("pattern")?;
            inner.refuse(&["flags"])?;
            inner.finish()?;
            Selection::Shape(Regexp::parse(&pattern, pattern.str()?, None)?)
        }
        _ => {
            let values = node.array("a regular expression, or an array of terms")?;
            Selection::Values(values.iter().map(|it| it.scalar().map(|it| it.text())).collect::<Result<_>>()?)
        }
    }))
}

/// `{"_count": "asc"}`, or an array of such.
fn order(fields: &mut Fields<'_>, default: &[Order]) -> Result<Vec<Order>> {
    let Some(node) = fields.take("order") else { return Ok(default.to_vec()) };
    let mut out = Vec::new();
    for item in node.items() {
        let (name, direction) = item.only("what to order by, such as `{\"_count\": \"desc\"}`")?;
        let descending = direction.one_of(&[("asc", false), ("desc", true)])?;
        let by = match name {
            "_count" => OrderBy::Count,
            "_term" | "_key" | "_time" => OrderBy::Key,
            path => {
                let (path, property) = match path.rsplit_once('.') {
                    Some((path, property)) => (path, Some(property.to_owned())),
                    None => (path, None),
                };
                OrderBy::Below(path.split('>').map(str::to_owned).collect(), property)
            }
        };
        out.push(Order { by, descending });
    }
    Ok(out)
}

fn range(fields: &mut Fields<'_>, date: bool) -> Result<AggregationKind> {
    let keyed = fields.take("keyed").map_or(Ok(false), |it| it.bool())?;
    let format =
        if date { fields.take("format").map(|it| it.str().map(str::to_owned)).transpose()? } else { None };
    let node = fields.need("ranges")?;
    let items = node.array("an array of ranges")?;
    if items.is_empty() || items.len() > BUCKETS_MAX {
        return Err(node.fail(format!("found {} ranges, expected 1 to {BUCKETS_MAX}", items.len())));
    }
    let mut ranges = Vec::new();
    for item in items {
        let mut range = item.fields("ranges")?;
        let key = range.take("key").map(|it| it.scalar().map(|it| it.text())).transpose()?;
        let mut end = |name: &'static str| range.take(name).map(|it| it.scalar()).transpose();
        let (from, to) = (end("from")?, end("to")?);
        range.finish()?;
        if from.is_none() && to.is_none() {
            return Err(item.fail("a range needs `from`, `to`, or both"));
        }
        ranges.push(RangeBucket { key, from, to });
    }
    Ok(AggregationKind::Range { field: field(fields)?, ranges, keyed, date, format })
}

fn bounds(fields: &mut Fields<'_>) -> Result<Option<(Scalar, Scalar)>> {
    let Some(node) = fields.take("extended_bounds") else { return Ok(None) };
    let mut inner = node.fields("extended_bounds")?;
    let bounds = (inner.need("min")?.scalar()?, inner.need("max")?.scalar()?);
    inner.finish()?;
    Ok(Some(bounds))
}

fn by_key() -> Vec<Order> {
    vec![Order { by: OrderBy::Key, descending: false }]
}

fn histogram(fields: &mut Fields<'_>) -> Result<HistogramOptions> {
    let node = fields.need("interval")?;
    let interval = node.f64()?;
    if interval <= 0.0 {
        return Err(node.fail(format!("found the interval {interval}, expected a number above 0")));
    }
    Ok(HistogramOptions {
        field: field(fields)?,
        interval: Interval::Number(interval),
        offset: fields.take("offset").map_or(Ok(0.0), |it| it.f64())?,
        min_doc_count: min_doc_count(fields, 0)?,
        bounds: bounds(fields)?,
        order: order(fields, &by_key())?,
        keyed: fields.take("keyed").map_or(Ok(false), |it| it.bool())?,
        time_zone: None,
        format: None,
    })
}

fn date_histogram(fields: &mut Fields<'_>) -> Result<HistogramOptions> {
    fields.refuse(&[
        "pre_zone",
        "post_zone",
        "pre_zone_adjust_large_interval",
        "pre_offset",
        "post_offset",
        "factor",
    ])?;
    let node = fields.need("interval")?;
    let offset = match fields.take("offset") {
        None => 0,
        Some(node) => {
            let text = node.scalar()?.text();
            crate::dates::duration_ms(&text)
                .ok_or_else(|| node.expected("a duration such as `+6h` or `-1d`"))?
        }
    };
    let text = |fields: &mut Fields<'_>, name: &'static str| {
        fields.take(name).map(|it| it.scalar().map(|it| it.text())).transpose()
    };
    Ok(HistogramOptions {
        field: field(fields)?,
        interval: interval(&node)?,
        offset: offset as f64,
        min_doc_count: min_doc_count(fields, 0)?,
        bounds: bounds(fields)?,
        order: order(fields, &by_key())?,
        keyed: fields.take("keyed").map_or(Ok(false), |it| it.bool())?,
        time_zone: text(fields, "time_zone")?,
        format: text(fields, "format")?,
    })
}

/// A name of the calendar, or a fixed duration.
fn interval(node: &Node<'_>) -> Result<Interval> {
    let text = node.str()?;
    let unit = match text {
        "year" | "1y" => Unit::Year,
        "quarter" | "1q" => Unit::Quarter,
        "month" | "1M" => Unit::Month,
        "week" | "1w" => Unit::Week,
        "day" | "1d" => Unit::Day,
        "hour" | "1h" => Unit::Hour,
        "minute" | "1m" => Unit::Minute,
        "second" | "1s" => Unit::Second,
        _ => {
            let ms = crate::dates::duration_ms(text).filter(|it| *it > 0);
            return ms.map(Interval::Fixed).ok_or_else(|| {
                node.expected("`year`, `quarter`, `month`, `week`, `day`, `hour`, `minute`, `second`, or a duration such as `90m`")
            });
        }
    };
    Ok(Interval::Unit(unit))
}

fn percentiles(fields: &mut Fields<'_>) -> Result<AggregationKind> {
    fields.hint(&["compression"]);
    fields.refuse(&["method", "hdr", "tdigest", "estimator"])?;
    let percents = match fields.take("percents") {
        None => vec![1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0],
        Some(node) => {
            let items = node.array("an array of percents")?;
            if items.is_empty() || items.len() > 1000 {
                return Err(node.fail(format!("found {} percents, expected 1 to 1000", items.len())));
            }
            let mut percents = Vec::new();
            for item in items {
                let percent = item.f64()?;
                if !(0.0..=100.0).contains(&percent) {
                    return Err(item.expected("a percent of 0 to 100"));
                }
                percents.push(percent);
            }
            percents.sort_by(f64::total_cmp);
            percents
        }
    };
    Ok(AggregationKind::Percentiles {
        field: field(fields)?,
        percents,
        keyed: fields.take("keyed").map_or(Ok(true), |it| it.bool())?,
        missing: fields.take("missing").map(|it| it.scalar()).transpose()?,
    })
}

fn geohash_grid(fields: &mut Fields<'_>) -> Result<AggregationKind> {
    fields.hint(&["shard_size"]);
    let precision = match fields.take("precision") {
        None => 5,
        Some(node) => {
            let precision = node.usize()?;
            if !(1..=12).contains(&precision) {
                return Err(node.expected("a precision of 1 to 12 characters"));
            }
            precision
        }
    };
    let size = fields.take("size").map_or(Ok(10_000), |it| it.usize())?;
    Ok(AggregationKind::GeohashGrid {
        field: field(fields)?,
        precision,
        size: if size == 0 { usize::MAX } else { size },
    })
}
