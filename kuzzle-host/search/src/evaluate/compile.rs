use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::function::{CompiledFunction, FunctionValue};
use super::leaf::Key;
use super::{Clause, ClauseKind, Environment, Functions, Leaf, TermTest, Test, text};
use crate::dates::{DateFormats, DateMath, Zone};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{Field, Kind, NumberKind, boolean, ip};
use crate::node::{Scalar, excerpt};
use crate::query::{Bool, Function, FunctionScore, Query, QueryKind, Range, Wildcard};

/// Compiles a query. In a filter, one of a bool's `should` has to match.
pub(crate) fn compile(query: &Query, environment: Environment<'_>, filter: bool) -> Result<Clause> {
    let compiler = Compiler { environment, filter };
    compiler.query(query)
}

#[derive(Clone, Copy)]
pub(super) struct Compiler<'m> {
    pub(super) environment: Environment<'m>,
    filter: bool,
}

/// What a name in a query stands for.
pub(super) enum Target<'m> {
    Meta(Key),
    Field(&'m Field),
    Unmapped,
}

impl<'m> Compiler<'m> {
    pub(super) fn target(&self, name: &str) -> Target<'m> {
        match name {
            "_all" => Target::Meta(Key::All),
            "_id" => Target::Meta(Key::Id),
            "_uid" => Target::Meta(Key::Uid),
            "_type" => Target::Meta(Key::Type),
            "_index" => Target::Meta(Key::Index),
            _ => match self.environment.mapping.field(name) {
                Some(field) if field.indexed => Target::Field(field),
                _ => Target::Unmapped,
            },
        }
    }

    fn query(&self, query: &Query) -> Result<Clause> {
        let clause = self.kind(query).map_err(|error| error.or_at(|| query.pointer.clone()))?;
        let mut clause = clause.boosted(query.boost);
        if let Some(name) = &query.name {
            // A clause that has a name already, by desugaring, keeps it.
            clause.name.get_or_insert_with(|| name.clone());
        }
        Ok(clause)
    }

    fn as_filter(&self, query: &Query) -> Result<Clause> {
        Compiler { filter: true, ..*self }.query(query)
    }

    fn all(&self, queries: &[Query]) -> Result<Vec<Clause>> {
        queries.iter().map(|query| self.query(query)).collect()
    }

    fn filters(&self, queries: &[Query]) -> Result<Vec<Clause>> {
        queries.iter().map(|query| self.as_filter(query)).collect()
    }

    fn kind(&self, query: &Query) -> Result<Clause> {
        let kind = match &query.kind {
            QueryKind::MatchAll => ClauseKind::All,
            QueryKind::Match(query) => return text::match_query(self, query),
            QueryKind::MultiMatch(query) => return text::multi_match(self, query),
            QueryKind::Term { field, value } => return self.term(field, value),
            QueryKind::Terms { field, values, minimum } => {
                let distinct: BTreeSet<String> = values.iter().map(Scalar::text).collect();
                let minimum = minimum.as_ref().map_or(1, |it| it.of(distinct.len())).max(1);
                return self.terms(field, values, distinct, minimum);
            }
            QueryKind::Range(range) => return self.range(range),
            QueryKind::Bool(bool) => self.bool(bool)?,
            QueryKind::ConstantScore(inner) => ClauseKind::Constant(Box::new(self.as_filter(inner)?)),
            QueryKind::Prefix { field, value } => {
                return Ok(self.term_test(field, TermTest::Prefix(value.clone())));
            }
            QueryKind::Wildcard { field, pattern } => {
                return Ok(self.term_test(field, TermTest::Wildcard(pattern.clone())));
            }
            QueryKind::Regexp { field, pattern } => {
                return Ok(self.term_test(field, TermTest::Regexp(pattern.clone())));
            }
            QueryKind::Fuzzy { field, value, fuzziness, prefix_length, transpositions } => {
                let letters: Vec<char> = value.chars().collect();
                let edits = fuzziness.edits(letters.len());
                return match self.target(field) {
                    Target::Field(Field { kind: Kind::Number(_) | Kind::Date(_) | Kind::Ip, .. }) => {
                        Err(bare(
                            ErrorKind::Unsupported,
                            format!(
                                "not supported here: `fuzzy` on [{}], which is no string: write a `range`",
                                excerpt(field)
                            ),
                        ))
                    }
                    target => Ok(self.fuzzy(&target, letters, edits, *prefix_length, *transpositions)),
                };
            }
            QueryKind::Exists { field } => match self.presence(field) {
                None => ClauseKind::Constant(Box::new(Clause::new(ClauseKind::All))),
                Some(fields) => ClauseKind::Leaf(Leaf::new(Key::All, Test::Exists(fields))),
            },
            QueryKind::Missing { field, existence, null_value } => match self.presence(field) {
                None => ClauseKind::Nothing,
                Some(fields) => {
                    let test = Test::Missing { fields, existence: *existence, null_value: *null_value };
                    ClauseKind::Leaf(Leaf::new(Key::All, test))
                }
            },
            QueryKind::Ids { types, values } => {
                let values: HashSet<String> = values.iter().cloned().collect();
                ClauseKind::Leaf(Leaf::new(Key::Id, Test::Ids { types: types.clone(), values }))
            }
            QueryKind::Type { value } => {
                let terms = BTreeSet::from([value.clone()]);
                ClauseKind::Leaf(Leaf::new(Key::Type, Test::Terms { terms, minimum: 1 }))
            }
            QueryKind::GeoDistance(geo) => return self.place(&geo.field, Test::GeoDistance(geo.clone())),
            QueryKind::GeoBoundingBox { field, bounds } => return self.place(field, Test::GeoBox(*bounds)),
            QueryKind::GeoPolygon { field, corners } => {
                return self.place(field, Test::GeoPolygon(corners.clone()));
            }
            QueryKind::Nested { path, query, score_mode } => {
                match self.environment.mapping.object(path) {
                    None => {
                        return Err(malformed(format!(
                            "[nested] failed to find nested object under path [{}]",
                            excerpt(path)
                        )));
                    }
                    Some(object) if object.nested.is_none() => {
                        return Err(malformed(format!(
                            "[nested] nested object under path [{}] is not of nested type",
                            excerpt(path)
                        )));
                    }
                    Some(_) => {}
                }
                let clause = Box::new(self.query(query)?);
                ClauseKind::Nested { path: path.clone(), clause, score: *score_mode }
            }
            QueryKind::Boosting { positive, negative, negative_boost } => ClauseKind::Boosting {
                positive: Box::new(self.query(positive)?),
                negative: Box::new(self.as_filter(negative)?),
                negative_boost: *negative_boost,
            },
            QueryKind::DisMax { queries, tie_breaker } => {
                ClauseKind::DisMax { clauses: self.all(queries)?, tie_breaker: *tie_breaker }
            }
            QueryKind::FunctionScore(score) => self.functions(score)?,
        };
        Ok(Clause::new(kind))
    }

    fn bool(&self, bool: &Bool) -> Result<ClauseKind> {
        let mut must = self.all(&bool.must)?;
        let (filter, should) = (self.filters(&bool.filter)?, self.all(&bool.should)?);
        let must_not = self.filters(&bool.must_not)?;
        let minimum = match &bool.minimum {
            // Asking for all or more of nothing asks for nothing, as in Lucene.
            Some(minimum) if !should.is_empty() => minimum.of(should.len()),
            _ => usize::from(!should.is_empty() && (self.filter || (must.is_empty() && filter.is_empty()))),
        };
        if must.is_empty() && should.is_empty() && filter.is_empty() {
            must.push(Clause::new(ClauseKind::All));
        }
        let coord = !bool.disable_coord;
        Ok(ClauseKind::Bool { must, filter, should, must_not, minimum, coord })
    }

    fn functions(&self, score: &FunctionScore) -> Result<ClauseKind> {
        let mut functions = Vec::new();
        for function in &score.functions {
            let filter = function.filter.as_ref().map(|filter| self.as_filter(filter)).transpose()?;
            let value = match &function.function {
                None => FunctionValue::One,
                Some(Function::FieldValueFactor(factor)) => {
                    match self.environment.mapping.field(&factor.field).map(|field| &field.kind) {
                        Some(Kind::Text(_) | Kind::GeoPoint | Kind::Binary) => {
                            return Err(malformed(format!(
                                "field_value_factor needs a number: [{}] is none",
                                excerpt(&factor.field)
                            )));
                        }
                        None if factor.missing.is_none() => {
                            return Err(malformed(format!(
                                "Unable to find a field mapper for field [{}]",
                                excerpt(&factor.field)
                            )));
                        }
                        _ => FunctionValue::Field(factor.clone()),
                    }
                }
                Some(Function::Random { seed }) => {
                    FunctionValue::Random { seed: seed.unwrap_or(self.environment.now_ms) as u64 }
                }
            };
            functions.push(CompiledFunction { filter, value, weight: function.weight });
        }
        let functions = Functions {
            functions,
            score_mode: score.score_mode,
            boost_mode: score.boost_mode,
            max_boost: score.max_boost,
            min_score: score.min_score,
        };
        Ok(ClauseKind::Functions { clause: Box::new(self.query(&score.query)?), functions })
    }

    /// A leaf on a field that is text, or one that a document has anyway.
    pub(super) fn text_leaf(&self, target: &Target<'_>, test: Test) -> Clause {
        let leaf = match target {
            Target::Unmapped => return Clause::new(ClauseKind::Nothing),
            Target::Meta(key) => {
                let mut leaf = Leaf::new(key.clone(), test);
                leaf.norms = *key == Key::All;
                leaf
            }
            Target::Field(field) => {
                let Kind::Text(text) = &field.kind else { return Clause::new(ClauseKind::Nothing) };
                let mut leaf = Leaf::new(Key::Path(Arc::clone(&field.path)), test);
                leaf.norms = text.norms;
                leaf.frequencies = text.analyzer.is_some();
                leaf.field_boost = field.boost;
                leaf
            }
        };
        Clause::new(ClauseKind::Leaf(leaf))
    }

    pub(super) fn fuzzy(
        &self,
        target: &Target<'_>,
        letters: Vec<char>,
        edits: u32,
        prefix_length: usize,
        transpositions: bool,
    ) -> Clause {
        let prefix = letters.iter().take(prefix_length).collect();
        self.text_leaf(target, Test::Fuzzy { letters, edits, prefix, transpositions })
    }

    fn term_test(&self, field: &str, test: TermTest) -> Clause {
        self.text_leaf(&self.target(field), Test::AnyTerm(test))
    }

    pub(super) fn term(&self, name: &str, value: &Scalar) -> Result<Clause> {
        let target = self.target(name);
        let field = match target {
            Target::Field(field) if !matches!(field.kind, Kind::Text(_)) => field,
            target => return Ok(self.text_leaf(&target, Test::Term(value.text()))),
        };
        let test = match &field.kind {
            Kind::Ip if value.text().contains('/') => {
                let (from, to) = network(&value.text()).ok_or_else(|| unreadable(field, value))?;
                Test::Long { from, to, term: None }
            }
            Kind::Number(kind) if kind.is_float() => match self.double(field, value)? {
                None => return Ok(Clause::new(ClauseKind::Nothing)),
                Some(number) => Test::Double { from: number, to: number, term: Some(number.to_string()) },
            },
            Kind::GeoPoint | Kind::Binary => {
                return Err(malformed(format!(
                    "[{}] is of type {}, which has no terms",
                    field.path,
                    field.kind.name()
                )));
            }
            _ => match self.long(field, value, None, false)? {
                None => return Ok(Clause::new(ClauseKind::Nothing)),
                Some(number) => Test::Long { from: number, to: number, term: Some(number.to_string()) },
            },
        };
        Ok(field_leaf(field, test))
    }

    fn terms(
        &self,
        name: &str,
        values: &[Scalar],
        terms: BTreeSet<String>,
        minimum: usize,
    ) -> Result<Clause> {
        if values.is_empty() {
            return Ok(Clause::new(ClauseKind::Nothing));
        }
        let field = match self.target(name) {
            Target::Field(field) if !matches!(field.kind, Kind::Text(_)) => field,
            target => return Ok(self.text_leaf(&target, Test::Terms { terms, minimum })),
        };
        if let Kind::Number(kind) = &field.kind
            && kind.is_float()
        {
            let mut doubles = Vec::new();
            for value in values {
                doubles.extend(self.double(field, value)?);
            }
            doubles.sort_by(f64::total_cmp);
            doubles.dedup();
            return Ok(field_leaf(field, Test::Doubles { values: doubles, minimum }));
        }
        if matches!(field.kind, Kind::GeoPoint | Kind::Binary) {
            return Err(malformed(format!(
                "[{}] is of type {}, which has no terms",
                field.path,
                field.kind.name()
            )));
        }
        let mut longs = HashSet::new();
        for value in values {
            longs.extend(self.long(field, value, None, false)?);
        }
        Ok(field_leaf(field, Test::Longs { values: longs, minimum }))
    }

    pub(super) fn range(&self, range: &Range) -> Result<Clause> {
        let field = match self.target(&range.field) {
            Target::Field(field) if !matches!(field.kind, Kind::Text(_)) => field,
            target => {
                let text = |end: &Option<Scalar>| end.as_ref().map(Scalar::text);
                let test = TermTest::Range {
                    from: text(&range.from),
                    to: text(&range.to),
                    include_from: range.include_from,
                    include_to: range.include_to,
                };
                return Ok(self.text_leaf(&target, Test::AnyTerm(test)));
            }
        };
        match self.number_range(field, range) {
            Err(_) if range.lenient => Ok(Clause::new(ClauseKind::Nothing)),
            other => other,
        }
    }

    fn number_range(&self, field: &Field, range: &Range) -> Result<Clause> {
        if !matches!(field.kind, Kind::Date(_)) && range.format.is_some() {
            return Err(malformed(format!(
                "`format` belongs to dates, and [{}] is of type {}",
                field.path,
                field.kind.name()
            )));
        }
        if let Kind::Number(kind) = &field.kind
            && kind.is_float()
        {
            let end = |end: &Option<Scalar>| end.as_ref().map(|it| self.plain_double(field, it)).transpose();
            let from = end(&range.from)?
                .map_or(f64::NEG_INFINITY, |it| if range.include_from { it } else { it.next_up() });
            let to = end(&range.to)?
                .map_or(f64::INFINITY, |it| if range.include_to { it } else { it.next_down() });
            return Ok(field_leaf(field, Test::Double { from, to, term: None }));
        }
        if matches!(field.kind, Kind::GeoPoint | Kind::Binary) {
            return Err(malformed(format!(
                "[{}] is of type {}, which has no order",
                field.path,
                field.kind.name()
            )));
        }
        let from = match &range.from {
            None => i64::MIN,
            Some(end) => self.lower(field, end, range)?,
        };
        let to = match &range.to {
            None => i64::MAX,
            Some(end) => self.upper(field, end, range)?,
        };
        if from > to {
            return Ok(Clause::new(ClauseKind::Nothing));
        }
        Ok(field_leaf(field, Test::Long { from, to, term: None }))
    }

    /// The least whole number within a range.
    fn lower(&self, field: &Field, end: &Scalar, range: &Range) -> Result<i64> {
        if let Kind::Number(_) = field.kind {
            let (floor, exact) = whole(self.plain_double(field, end)?, end);
            return Ok(if exact && range.include_from { floor } else { floor.saturating_add(1) });
        }
        let found = self.long(field, end, Some(range), !range.include_from)?.unwrap_or(i64::MAX);
        Ok(if range.include_from { found } else { found.saturating_add(1) })
    }

    /// The greatest whole number within a range.
    fn upper(&self, field: &Field, end: &Scalar, range: &Range) -> Result<i64> {
        if let Kind::Number(_) = field.kind {
            let (floor, exact) = whole(self.plain_double(field, end)?, end);
            return Ok(if exact && !range.include_to { floor.saturating_sub(1) } else { floor });
        }
        let found = self.long(field, end, Some(range), range.include_to)?.unwrap_or(i64::MIN);
        Ok(if range.include_to { found } else { found.saturating_sub(1) })
    }

    /// A value of a query as the number that documents have in the field; `None` when none can have it.
    fn long(
        &self,
        field: &Field,
        value: &Scalar,
        range: Option<&Range>,
        round_up: bool,
    ) -> Result<Option<i64>> {
        match &field.kind {
            Kind::Boolean => {
                boolean(&json(value)).map(|it| Some(it.into())).map_err(|_| unreadable(field, value))
            }
            Kind::Ip => ip(&json(value)).map(Some).ok_or_else(|| unreadable(field, value)),
            Kind::Date(formats) => self.date(formats, value, range, round_up).map(Some),
            _ => {
                let double = self.plain_double(field, value)?;
                if double.fract() != 0.0 {
                    return Ok(None);
                }
                Ok(Some(whole(double, value).0))
            }
        }
    }

    fn date(&self, own: &DateFormats, value: &Scalar, range: Option<&Range>, round_up: bool) -> Result<i64> {
        let given = range.and_then(|it| it.format.as_deref()).map(DateFormats::parse).transpose()?;
        let zone = range.and_then(|it| it.time_zone.as_deref()).map_or(Ok(Zone::UTC), Zone::parse)?;
        let formats = given.as_ref().unwrap_or(own);
        let math = DateMath { formats, now_ms: self.environment.now_ms, zone };
        match (math.resolve(&value.text(), round_up), value) {
            (Ok(ms), _) => Ok(ms),
            (Err(_), Scalar::Int(ms)) => Ok(*ms),
            (Err(error), _) => Err(error),
        }
    }

    fn plain_double(&self, field: &Field, value: &Scalar) -> Result<f64> {
        let number = match value {
            Scalar::Int(value) => Some(*value as f64),
            Scalar::Float(value) => Some(*value),
            Scalar::Text(text) => text.trim().parse().ok().filter(|it: &f64| it.is_finite()),
            Scalar::Bool(_) => None,
        };
        let number = number.ok_or_else(|| unreadable(field, value))?;
        Ok(if matches!(field.kind, Kind::Number(NumberKind::Float)) {
            f64::from(number as f32)
        } else {
            number
        })
    }

    fn double(&self, field: &Field, value: &Scalar) -> Result<Option<f64>> {
        self.plain_double(field, value).map(|it| it.is_finite().then_some(it))
    }

    fn place(&self, name: &str, test: Test) -> Result<Clause> {
        match self.environment.mapping.field(name) {
            Some(field) if matches!(field.kind, Kind::GeoPoint) => Ok(field_leaf(field, test)),
            Some(_) => Err(malformed(format!("field [{}] is not a geo_point field", excerpt(name)))),
            None => Err(malformed(format!("failed to find geo_point field [{}]", excerpt(name)))),
        }
    }

    /// Fields that a name stands for: itself, those below it, those of its shape. `None`: every document has it.
    fn presence(&self, name: &str) -> Option<Vec<Arc<str>>> {
        if matches!(name, "_id" | "_uid" | "_type" | "_index" | "_source" | "_all") {
            return None;
        }
        let shape = name.contains(['*', '?']).then(|| Wildcard::new(name));
        let below = format!("{name}.");
        let fields = self.environment.mapping.all_fields().into_iter().filter(|field| {
            let named = match &shape {
                Some(shape) => shape.matches(&field.path),
                None => *field.path == *name || field.path.starts_with(&below),
            };
            named && field.indexed
        });
        Some(fields.map(|field| Arc::clone(&field.path)).collect())
    }
}

pub(super) fn field_leaf(field: &Field, test: Test) -> Clause {
    let mut leaf = Leaf::new(Key::Path(Arc::clone(&field.path)), test);
    leaf.field_boost = field.boost;
    Clause::new(ClauseKind::Leaf(leaf))
}

/// The greatest whole number that is not above, and whether it is the number itself.
fn whole(double: f64, value: &Scalar) -> (i64, bool) {
    match value {
        Scalar::Int(value) => (*value, true),
        Scalar::Text(text) if text.trim().parse::<i64>().is_ok() => (text.trim().parse().unwrap_or(0), true),
        // A number beyond the type saturates: nothing lies beyond the end.
        _ => (double.floor() as i64, double.fract() == 0.0),
    }
}

fn json(value: &Scalar) -> Value {
    match value {
        Scalar::Bool(value) => Value::Bool(*value),
        Scalar::Int(value) => Value::from(*value),
        Scalar::Float(value) => Value::from(*value),
        Scalar::Text(text) => Value::from(text.as_str()),
    }
}

/// First and last address of a network such as `10.0.0.0/8`.
fn network(text: &str) -> Option<(i64, i64)> {
    let (address, bits) = text.split_once('/')?;
    let address = ip(&Value::from(address))?;
    let bits: u32 = bits.parse().ok().filter(|it| *it <= 32)?;
    let size = 1i64 << (32 - bits);
    let first = address / size * size;
    Some((first, first + size - 1))
}

fn bare(kind: ErrorKind, message: String) -> Error {
    Error::bare(kind, message)
}

fn malformed(message: String) -> Error {
    Error::bare(ErrorKind::Malformed, message)
}

fn unreadable(field: &Field, value: &Scalar) -> Error {
    malformed(format!(
        "found `{}`, expected a value of the type {} for the field [{}]",
        excerpt(&value.text()),
        field.kind.name(),
        field.path
    ))
}
