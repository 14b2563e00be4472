//! From JSON to [`Expression`].

use std::sync::Arc;

use serde_json::Value;

use crate::error::{FilterErrorKind, FilterResult};
use crate::limits::{
    CLAUSES_MAX, DEPTH_MAX, FIELD_DEPTH_MAX, FIELD_NAME_MAX_BYTES, POLYGON_POINTS_MAX, REGEXP_CLAUSES,
    TERMS_MAX,
};
use crate::value::Scalar;

use super::expression::{Bound, Expression, Predicate, Side, Test};
use super::geo;
use super::pattern::{Pattern, PatternError};
use super::place::{Place, describe, excerpt};

/// What one filter has taken of its limits so far.
#[derive(Default)]
pub(super) struct Parser {
    clauses: usize,
    terms: usize,
    points: usize,
}

const EMPTY: &str = "A filter can't be empty";

impl Parser {
    /// Reads a whole filter. Nothing, `null` and `{}` match everything.
    pub(super) fn filter(&mut self, place: &Place<'_>) -> FilterResult<Expression> {
        match place.value {
            Value::Null => Ok(Expression::Everything),
            Value::Object(map) if map.is_empty() => Ok(Expression::Everything),
            _ => self.expression(place, 1),
        }
    }

    fn expression(&mut self, place: &Place<'_>, depth: usize) -> FilterResult<Expression> {
        if depth > DEPTH_MAX {
            return Err(place.over(format!("filters nest at most {DEPTH_MAX} deep")));
        }
        self.take_clauses(place, 1)?;
        let (name, body) = place.only("the name of a filter", EMPTY)?;
        match camel_case(name).as_str() {
            "term" => term(&body),
            "terms" => self.terms(&body),
            "range" => range(&body),
            "exists" => Ok(exists(&body, "exists")?),
            "missing" => Ok(Expression::Not(Box::new(exists(&body, "missing")?))),
            "ids" => self.ids(&body),
            "and" | "must" => Ok(Expression::And(self.all_of(&body, depth)?)),
            "or" | "should" => self.any_of(&body, depth),
            "not" | "mustNot" => self.none_of(&body, depth),
            "bool" => self.boolean(&body, depth),
            "regexp" => self.regexp(&body),
            "geoBoundingBox" => geo::bounding_box(&body),
            "geoDistance" => geo::distance(&body),
            "geoDistanceRange" => geo::distance_range(&body),
            "geoPolygon" => geo::polygon(self, &body),
            "geoShape" => Err(body.error(FilterErrorKind::Unsupported, "geoShape is not implemented yet.")),
            other if place.is_root() => Err(body.error(
                FilterErrorKind::Unknown,
                format!("Unknown filter with name {}; {KNOWN}", excerpt(other)),
            )),
            other => Err(body.fail(format!("Function {} doesn't exist; {KNOWN}", excerpt(other)))),
        }
    }

    fn take_clauses(&mut self, place: &Place<'_>, count: usize) -> FilterResult<()> {
        self.clauses += count;
        if self.clauses > CLAUSES_MAX {
            return Err(place.over(format!(
                "a filter has at most {CLAUSES_MAX} clauses, of which a regexp takes {REGEXP_CLAUSES}"
            )));
        }
        Ok(())
    }

    fn take_terms(&mut self, place: &Place<'_>, count: usize) -> FilterResult<()> {
        self.terms += count;
        if self.terms > TERMS_MAX {
            return Err(place.over(format!("a filter has at most {TERMS_MAX} values in its lists")));
        }
        Ok(())
    }

    pub(super) fn take_points(&mut self, place: &Place<'_>, count: usize) -> FilterResult<()> {
        self.points += count;
        if self.points > POLYGON_POINTS_MAX {
            return Err(
                place.over(format!("a filter has at most {POLYGON_POINTS_MAX} points in its polygons"))
            );
        }
        Ok(())
    }

    fn terms(&mut self, body: &Place<'_>) -> FilterResult<Expression> {
        let (name, list) = body.only("a field and its values", EMPTY)?;
        let field = field(&list, name)?;
        let Value::Array(items) = list.value else {
            return Err(
                list.fail(format!("Filter terms must contains an array; found {}", describe(list.value)))
            );
        };
        self.take_terms(&list, items.len())?;
        let values = items.iter().enumerate().map(|(index, value)| scalar(&list.index(index, value)));
        let values = values.collect::<FilterResult<Vec<_>>>()?;
        Ok(test(field, Predicate::Terms(values.into())))
    }

    fn ids(&mut self, body: &Place<'_>) -> FilterResult<Expression> {
        const NOT_A_LIST: &str = "Attribute \"values\" in filter ids must contains a non-empty array";
        body.object("the object of `ids`")?;
        let list = body
            .member("values")
            .ok_or_else(|| body.fail("Filter ids must contains \"values\" attribute"))?;
        let items = match list.value {
            Value::Array(items) if !items.is_empty() => items,
            other => return Err(list.fail(format!("{NOT_A_LIST}; found {}", describe(other)))),
        };
        self.take_terms(&list, items.len())?;
        let id = |(index, value): (usize, &Value)| match value {
            Value::String(id) => Ok(Scalar::Text(Arc::from(id.as_str()))),
            Value::Number(id) => Ok(Scalar::Text(Arc::from(id.to_string()))),
            _ => Err(list.index(index, value).expected("the id of a document")),
        };
        let ids = items.iter().enumerate().map(id).collect::<FilterResult<Vec<_>>>()?;
        Ok(test(Arc::from(ID), Predicate::Terms(ids.into())))
    }

    /// The filters of `and`: an array or a single one. Empty ones say nothing.
    fn all_of(&mut self, body: &Place<'_>, depth: usize) -> FilterResult<Vec<Expression>> {
        self.list(body, depth, |value| value.as_object().is_some_and(serde_json::Map::is_empty))
    }

    fn list(
        &mut self,
        body: &Place<'_>,
        depth: usize,
        left_out: fn(&Value) -> bool,
    ) -> FilterResult<Vec<Expression>> {
        match body.value {
            Value::Array(items) if !items.is_empty() => {
                let mut filters = Vec::with_capacity(items.len().min(CLAUSES_MAX));
                for (index, value) in items.iter().enumerate() {
                    if !left_out(value) {
                        filters.push(self.expression(&body.index(index, value), depth + 1)?);
                    }
                }
                Ok(filters)
            }
            Value::Object(map) if !map.is_empty() => Ok(vec![self.expression(body, depth + 1)?]),
            Value::Array(_) | Value::Object(_) | Value::Null => Err(body.fail("Filters can't be empty")),
            _ => Err(body.expected("a filter or an array of filters")),
        }
    }

    fn any_of(&mut self, body: &Place<'_>, depth: usize) -> FilterResult<Expression> {
        if body.value.as_array().is_none_or(Vec::is_empty) {
            return Err(body
                .fail(format!("This filter must contains a filters array; found {}", describe(body.value))));
        }
        Ok(Expression::Or(self.list(body, depth, |_| false)?))
    }

    fn none_of(&mut self, body: &Place<'_>, depth: usize) -> FilterResult<Expression> {
        let filters = self.list(body, depth, |_| false)?;
        Ok(Expression::Not(Box::new(Expression::Or(filters))))
    }

    fn boolean(&mut self, body: &Place<'_>, depth: usize) -> FilterResult<Expression> {
        let map = body.object("an object with `must`, `must_not` and `should`")?;
        if map.is_empty() {
            return Err(body.fail(EMPTY));
        }
        let mut filters = Vec::with_capacity(3);
        for (key, value) in map {
            let part = body.key(key, value);
            match camel_case(key).as_str() {
                "must" => filters.push(Expression::And(self.all_of(&part, depth)?)),
                "mustNot" => filters.push(self.none_of(&part, depth)?),
                "should" => filters.push(self.any_of(&part, depth)?),
                other => {
                    return Err(part.fail(format!(
                        "Function {} doesn't exist; `bool` has `must`, `must_not` and `should`",
                        excerpt(other)
                    )));
                }
            }
        }
        Ok(Expression::And(filters))
    }

    fn regexp(&mut self, body: &Place<'_>) -> FilterResult<Expression> {
        let map = body.value.as_object().ok_or_else(|| {
            body.fail(format!("Regexp argument must be an object; found {}", describe(body.value)))
        })?;
        let mut members = map.iter();
        let (Some((name, value)), None) = (members.next(), members.next()) else {
            return Err(body.fail(format!("Regexp can take only one field entry; found {}", map.len())));
        };
        let place = body.key(name, value);
        let (pattern, flags) = match value {
            Value::String(_) => (place, ""),
            Value::Object(_) => {
                let pattern = place.member("value").ok_or_else(|| place.fail("Missing regexp value"))?;
                let flags = match value.get("flags") {
                    None | Some(Value::Null) => "",
                    Some(Value::String(flags)) => flags,
                    Some(other) => return Err(place.key("flags", other).expected("a string of flags")),
                };
                (Place::clone(&pattern), flags)
            }
            _ => return Err(place.fail(format!("Missing regexp value; found {}", describe(value)))),
        };
        let source = pattern.value.as_str().ok_or_else(|| pattern.expected("a pattern"))?;
        self.take_clauses(&place, REGEXP_CLAUSES - 1)?;
        let compiled = Pattern::new(source, flags).map_err(|error| match error {
            PatternError::Invalid(why) => place.error(
                FilterErrorKind::Pattern,
                format!("Invalid regular expression: `{}`: {why}", excerpt(source)),
            ),
            PatternError::Limit(why) => place.over(why),
        })?;
        Ok(test(field(&place, name)?, Predicate::Regexp(Arc::new(compiled))))
    }
}

const KNOWN: &str = "known are `term`, `terms`, `range`, `exists`, `missing`, `ids`, `and`, `or`, `not`, `bool`, `must`, \
     `must_not`, `should`, `regexp`, `geo_bounding_box`, `geo_distance`, `geo_distance_range`, `geo_polygon`";

/// The field that is not in a document but beside it.
pub(crate) const ID: &str = "_id";

pub(super) fn test(field: Arc<str>, predicate: Predicate) -> Expression {
    Expression::Test(Test { field, predicate })
}

/// Checks the name of a field.
pub(super) fn field(place: &Place<'_>, name: &str) -> FilterResult<Arc<str>> {
    if name.len() > FIELD_NAME_MAX_BYTES {
        return Err(place.over(format!(
            "the name of a field has {} bytes, at most {FIELD_NAME_MAX_BYTES} are taken",
            name.len()
        )));
    }
    if name.split('.').count() > FIELD_DEPTH_MAX {
        return Err(place.over(format!("the path of a field has more than {FIELD_DEPTH_MAX} names")));
    }
    Ok(Arc::from(name))
}

fn scalar(place: &Place<'_>) -> FilterResult<Scalar> {
    Scalar::of(place.value)
        .ok_or_else(|| place.expected("a string, a number, a boolean or null: nothing else equals a field"))
}

fn term(body: &Place<'_>) -> FilterResult<Expression> {
    let (name, value) = body.only("a field and its value", EMPTY)?;
    let field = field(&value, name)?;
    Ok(test(field, Predicate::Terms(Box::new([scalar(&value)?]))))
}

fn range(body: &Place<'_>) -> FilterResult<Expression> {
    let (name, bounds) = body.only("a field and its bounds", EMPTY)?;
    let field = field(&bounds, name)?;
    let mut found = Vec::with_capacity(2);
    for (operator, value) in bounds.object("the bounds of a range")? {
        let place = bounds.key(operator, value);
        let side = match operator.as_str() {
            "gt" => Side::Above,
            "gte" | "from" => Side::AtLeast,
            "lt" => Side::Below,
            "lte" | "to" => Side::AtMost,
            _ => {
                return Err(place.fail(format!(
                    "Operator {} doesn't exist; known are `gt`, `gte`, `lt`, `lte`, `from`, `to`",
                    excerpt(operator)
                )));
            }
        };
        match Scalar::of(value) {
            // Null is taken for an absent bound, as it is for an absent field.
            Some(Scalar::Null) => {}
            Some(value) => found.push(Bound { side, value }),
            None => return Err(place.expected("a number, a string or a boolean")),
        }
    }
    if found.is_empty() {
        return Err(bounds.fail(EMPTY));
    }
    Ok(test(field, Predicate::Range(found.into())))
}

fn exists(body: &Place<'_>, filter: &str) -> FilterResult<Expression> {
    let lacking = format!("Filter '{filter}' must contains 'field' attribute");
    let name = body.member("field").ok_or_else(|| body.fail(lacking))?;
    let Value::String(text) = name.value else {
        return Err(
            name.fail(format!("Filter '{filter}' takes a string attribute. Found: {}", type_of(name.value)))
        );
    };
    Ok(test(field(&name, text)?, Predicate::Exists))
}

/// JavaScript's `typeof`.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Null | Value::Array(_) | Value::Object(_) => "object",
    }
}

/// Takes `geo_distance`, `geo-distance` and `GeoDistance` for `geoDistance`.
pub(super) fn camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        let shout = word.len() > 1 && word.chars().all(|c| !c.is_lowercase());
        let word = if shout { word.to_lowercase() } else { word.to_owned() };
        let mut letters = word.chars();
        let Some(first) = letters.next() else { continue };
        match index {
            0 => out.extend(first.to_lowercase()),
            _ => out.extend(first.to_uppercase()),
        }
        out.push_str(letters.as_str());
    }
    out
}
