use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::document::{Block, Prepared, Values};
use crate::error::{Error, ErrorKind, Result};
use crate::evaluate::{At, Clause, Environment, compile};
use crate::geo::{DistanceKind, LengthUnit, Point};
use crate::limits::SORT_KEYS_MAX;
use crate::mapping::{Kind, NumberKind};
use crate::node::{Fields, Node, Scalar, excerpt};
use crate::query::{Parser, Query};

/// One key that hits are sorted by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SortKey {
    by: SortBy,
    descending: bool,
    missing: Missing,
    mode: Option<Mode>,
    unmapped: Option<Column>,
    nested_path: Option<String>,
    nested_filter: Option<Query>,
    pointer: String,
}

#[derive(Debug, Clone, PartialEq)]
enum SortBy {
    Score,
    /// The order in which documents were stored.
    Sequence,
    Field(String),
    Distance {
        field: String,
        centres: Vec<Point>,
        unit: LengthUnit,
        kind: DistanceKind,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Missing {
    First,
    Last,
    Value(Scalar),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Min,
    Max,
    Avg,
    Sum,
}

/// What kind of values a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Text,
    Long,
    Double,
}

/// Reads `"field"`, `{"field": "desc"}`, `{"field": {options}}` or an array of them.
pub(crate) fn parse(node: &Node<'_>, parser: &mut Parser) -> Result<Vec<SortKey>> {
    let items = node.items();
    if items.len() > SORT_KEYS_MAX {
        return Err(node.over(format!("found {} sort keys, at most {SORT_KEYS_MAX} are taken", items.len())));
    }
    let mut keys = Vec::new();
    for item in items {
        match item.value {
            Value::String(name) => keys.push(SortKey::of(name, &item)),
            Value::Object(_) => {
                for (name, options) in item.members("a sort key")? {
                    keys.push(key(name, &options, parser)?);
                }
            }
            _ => return Err(item.expected("a field, such as `\"name\"` or `{\"name\": \"desc\"}`")),
        }
    }
    if keys.len() > SORT_KEYS_MAX {
        return Err(node.over(format!("found {} sort keys, at most {SORT_KEYS_MAX} are taken", keys.len())));
    }
    Ok(keys)
}

const ORDERS: &[(&str, bool)] = &[("asc", false), ("desc", true)];

fn key(name: &str, node: &Node<'_>, parser: &mut Parser) -> Result<SortKey> {
    let mut key = SortKey::of(name, node);
    if node.value.is_string() {
        key.descending = node.one_of(ORDERS)?;
        return Ok(key);
    }
    let mut fields = node.fields("sort")?;
    if name == "_script" {
        return Err(node.unsupported("sorting by a script"));
    }
    if let Some(order) = fields.take("order") {
        key.descending = order.one_of(ORDERS)?;
    }
    if let Some(reverse) = fields.take("reverse") {
        key.descending = reverse.bool()?;
    }
    if let Some(missing) = fields.take("missing") {
        key.missing = match missing.scalar()? {
            Scalar::Text(text) if text == "_last" => Missing::Last,
            Scalar::Text(text) if text == "_first" => Missing::First,
            value => Missing::Value(value),
        };
    }
    key.mode = fields.any(&["mode", "sort_mode"]).map(|it| mode(&it)).transpose()?;
    if let Some(ignore) = fields.take("ignore_unmapped")
        && ignore.bool()?
    {
        key.unmapped = Some(Column::Long);
    }
    if let Some(kind) = fields.take("unmapped_type") {
        key.unmapped = Some(kind.one_of(&[
            ("string", Column::Text),
            ("long", Column::Long),
            ("integer", Column::Long),
            ("short", Column::Long),
            ("byte", Column::Long),
            ("date", Column::Long),
            ("boolean", Column::Long),
            ("ip", Column::Long),
            ("double", Column::Double),
            ("float", Column::Double),
        ])?);
    }
    key.nested_path = fields.take("nested_path").map(|it| it.str().map(str::to_owned)).transpose()?;
    key.nested_filter = fields.take("nested_filter").map(|it| parser.query(&it, 0)).transpose()?;
    if name == "_geo_distance" {
        key.by = distance(&mut fields)?;
    } else {
        fields.finish()?;
    }
    Ok(key)
}

fn mode(node: &Node<'_>) -> Result<Mode> {
    node.one_of(&[("min", Mode::Min), ("max", Mode::Max), ("avg", Mode::Avg), ("sum", Mode::Sum)])
}

fn distance(fields: &mut Fields<'_>) -> Result<SortBy> {
    fields.hint(&["normalize", "coerce", "ignore_malformed", "validation_method"]);
    let unit = fields.take("unit").map_or(Ok(LengthUnit::METRES), |it| LengthUnit::parse(&it))?;
    let kind = fields.take("distance_type").map_or(Ok(DistanceKind::Arc), |it| DistanceKind::parse(&it))?;
    let rest = fields.rest();
    let [(field, points)] = rest.as_slice() else {
        return Err(fields
            .node
            .fail(format!("`_geo_distance` takes one field with its point, found {} keys", rest.len())));
    };
    let single = Point::of(points.value);
    let centres = match single {
        Some(point) => vec![point],
        None => points.items().iter().map(Point::parse).collect::<Result<_>>()?,
    };
    if centres.is_empty() {
        return Err(points.fail("found no point, expected at least one"));
    }
    Ok(SortBy::Distance { field: (*field).to_owned(), centres, unit, kind })
}

impl SortKey {
    fn of(name: &str, node: &Node<'_>) -> Self {
        let by = match name {
            "_score" => SortBy::Score,
            "_doc" => SortBy::Sequence,
            name => SortBy::Field(name.to_owned()),
        };
        Self {
            descending: by == SortBy::Score,
            by,
            missing: Missing::Last,
            mode: None,
            unmapped: None,
            nested_path: None,
            nested_filter: None,
            pointer: node.pointer(),
        }
    }

    pub(crate) fn is_score(&self) -> bool {
        self.by == SortBy::Score
    }

    pub(crate) fn is_ascending_sequence(&self) -> bool {
        self.by == SortBy::Sequence && !self.descending
    }

    pub(crate) fn compile(&self, environment: Environment<'_>) -> Result<CompiledKey> {
        let fail = |message: String| Error::new(ErrorKind::Malformed, self.pointer.clone(), message);
        let mapping = environment.mapping;
        let column = match &self.by {
            SortBy::Score | SortBy::Distance { .. } => Column::Double,
            SortBy::Sequence => Column::Long,
            SortBy::Field(name) if matches!(name.as_str(), "_id" | "_uid" | "_type" | "_index") => {
                Column::Text
            }
            SortBy::Field(name) => match (mapping.field(name).map(|field| &field.kind), self.unmapped) {
                (Some(Kind::Text(_)), _) => Column::Text,
                (Some(Kind::Number(NumberKind::Float | NumberKind::Double)), _) => Column::Double,
                (Some(Kind::GeoPoint | Kind::Binary), _) => {
                    return Err(fail(format!("can't sort on field [{}]", excerpt(name))));
                }
                (Some(_), _) => Column::Long,
                (None, Some(column)) => column,
                (None, None) => {
                    return Err(fail(format!(
                        "No mapping found for [{}] in order to sort on",
                        excerpt(name)
                    )));
                }
            },
        };
        if let SortBy::Distance { field, .. } = &self.by
            && !matches!(mapping.field(field).map(|it| &it.kind), Some(Kind::GeoPoint))
        {
            return Err(fail(format!(
                "failed to find mapper for [{}] for geo distance based sort",
                excerpt(field)
            )));
        }
        if column == Column::Text && matches!(self.mode, Some(Mode::Avg | Mode::Sum)) {
            return Err(fail("strings have no `avg` and no `sum`: `mode` is `min` or `max`".to_owned()));
        }
        if let Some(path) = &self.nested_path
            && mapping.object(path).is_none_or(|object| object.nested.is_none())
        {
            return Err(fail(format!(
                "[nested] failed to find nested object under path [{}]",
                excerpt(path)
            )));
        }
        let filter = self.nested_filter.as_ref().map(|it| compile(it, environment, true)).transpose()?;
        let substitute = match (&self.missing, column) {
            (Missing::Value(value), Column::Text) => Some(Comparable::Text(value.text())),
            (Missing::Value(value), column) => {
                let number: f64 = value.text().parse().map_err(|_| {
                    fail(format!(
                        "`missing` is `_first`, `_last` or a number, found `{}`",
                        excerpt(&value.text())
                    ))
                })?;
                Some(if column == Column::Long {
                    Comparable::Long(number as i64)
                } else {
                    Comparable::Double(number)
                })
            }
            _ => None,
        };
        Ok(CompiledKey { key: self.clone(), column, filter, substitute })
    }
}

/// A key under a mapping.
#[derive(Debug, Clone)]
pub(crate) struct CompiledKey {
    key: SortKey,
    column: Column,
    filter: Option<Clause>,
    substitute: Option<Comparable>,
}

#[derive(Debug, Clone, PartialEq)]
enum Comparable {
    Long(i64),
    Double(f64),
    Text(String),
}

impl Comparable {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Comparable::Long(a), Comparable::Long(b)) => a.cmp(b),
            (Comparable::Double(a), Comparable::Double(b)) => a.total_cmp(b),
            (Comparable::Text(a), Comparable::Text(b)) => a.cmp(b),
            // Values of one key are of one kind.
            _ => Ordering::Equal,
        }
    }
}

/// The value of one key in one document.
#[derive(Debug, Clone)]
pub(crate) struct Rank {
    value: Option<Comparable>,
    descending: bool,
    missing_first: bool,
    column: Column,
}

impl Rank {
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (&self.value, &other.value) {
            (Some(a), Some(b)) if self.descending => b.compare(a),
            (Some(a), Some(b)) => a.compare(b),
            (None, None) => Ordering::Equal,
            (None, Some(_)) if self.missing_first => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) if self.missing_first => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
        }
    }

    /// What the hit shows under `sort`; of a missing number, the one that Elasticsearch puts in its place.
    pub(crate) fn render(&self) -> Value {
        let greatest = self.missing_first == self.descending;
        match (&self.value, self.column) {
            (Some(Comparable::Long(value)), _) => json!(value),
            (Some(Comparable::Double(value)), _) => json!(value),
            (Some(Comparable::Text(text)), _) => json!(text),
            (None, Column::Text) => Value::Null,
            (None, Column::Long) => json!(if greatest { i64::MAX } else { i64::MIN }),
            (None, Column::Double) => json!(if greatest { "Infinity" } else { "-Infinity" }),
        }
    }
}

impl CompiledKey {
    pub(crate) fn rank(&self, at: At<'_>, score: f32) -> Rank {
        let value = match &self.key.by {
            SortBy::Score => Some(Comparable::Double(score.into())),
            SortBy::Sequence => i64::try_from(at.document.document.sequence).ok().map(Comparable::Long),
            SortBy::Field(name) => self.field(at, name),
            SortBy::Distance { .. } => self.distance(at),
        };
        Rank {
            value: value.or_else(|| self.substitute.clone()),
            descending: self.key.descending,
            missing_first: self.key.missing == Missing::First,
            column: self.column,
        }
    }

    fn blocks<'d>(&self, at: At<'d>) -> Vec<&'d Block> {
        let Some(path) = &self.key.nested_path else { return vec![at.block] };
        let mut blocks = Vec::new();
        at.block.nested(path, &mut |block| {
            if self.filter.as_ref().is_none_or(|filter| filter.matches(At { block, ..at })) {
                blocks.push(block);
            }
        });
        blocks
    }

    fn mode(&self) -> Mode {
        self.key.mode.unwrap_or(if self.key.descending { Mode::Max } else { Mode::Min })
    }

    fn field(&self, at: At<'_>, name: &str) -> Option<Comparable> {
        if let Some(meta) = meta(at.document, name) {
            return Some(Comparable::Text(meta.to_owned()));
        }
        let blocks = self.blocks(at);
        let values: Vec<&Values> =
            blocks.iter().filter_map(|it| it.field(name)).map(|it| &it.values).collect();
        match self.column {
            Column::Text => {
                let terms = values.iter().filter_map(|it| match it {
                    Values::Text(terms) => Some(terms),
                    _ => None,
                });
                let terms = terms.flat_map(|it| it.iter()).map(|it| &*it.term);
                let best = if self.mode() == Mode::Max { terms.max() } else { terms.min() };
                best.map(|it| Comparable::Text(it.to_owned()))
            }
            Column::Long => {
                let longs = values.iter().filter_map(|it| match it {
                    Values::Long(longs) => Some(longs),
                    _ => None,
                });
                let longs: Vec<i64> = longs.flatten().copied().collect();
                let sum = || longs.iter().map(|it| i128::from(*it)).sum::<i128>();
                let chosen = match self.mode() {
                    Mode::Min => longs.iter().min().copied(),
                    Mode::Max => longs.iter().max().copied(),
                    Mode::Sum if longs.is_empty() => None,
                    Mode::Sum => Some(sum().clamp(i64::MIN.into(), i64::MAX.into()) as i64),
                    Mode::Avg if longs.is_empty() => None,
                    Mode::Avg => Some((sum() as f64 / longs.len() as f64).round() as i64),
                };
                chosen.map(Comparable::Long)
            }
            Column::Double => {
                let doubles = values.iter().filter_map(|it| match it {
                    Values::Double(doubles) => Some(doubles),
                    _ => None,
                });
                self.choose(doubles.flatten().copied().collect())
            }
        }
    }

    fn choose(&self, doubles: Vec<f64>) -> Option<Comparable> {
        let chosen = match self.mode() {
            Mode::Min => doubles.iter().copied().reduce(f64::min)?,
            Mode::Max => doubles.iter().copied().reduce(f64::max)?,
            Mode::Sum => doubles.iter().copied().reduce(|a, b| a + b)?,
            Mode::Avg => doubles.iter().copied().reduce(|a, b| a + b)? / doubles.len() as f64,
        };
        Some(Comparable::Double(chosen))
    }

    fn distance(&self, at: At<'_>) -> Option<Comparable> {
        let SortBy::Distance { field, centres, unit, kind } = &self.key.by else { return None };
        let mut distances = Vec::new();
        for block in self.blocks(at) {
            if let Some(Values::Geo(points)) = block.field(field).map(|it| &it.values) {
                for point in points {
                    distances
                        .extend(centres.iter().map(|centre| centre.distance_m(*point, *kind) / unit.metres));
                }
            }
        }
        self.choose(distances)
    }
}

fn meta<'d>(document: &'d Prepared, name: &str) -> Option<&'d str> {
    match name {
        "_id" => Some(&document.document.id),
        "_uid" => Some(&document.uid),
        "_type" => Some(&document.document.collection),
        "_index" => Some(&document.document.index),
        _ => None,
    }
}
