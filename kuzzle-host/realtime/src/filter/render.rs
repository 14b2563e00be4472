//! The normal form as JSON in the filter language.

use serde_json::{Map, Value, json};

use crate::geo::{Point, Shape};
use crate::value::{Scalar, number_to_json};

use super::expression::{Bound, Predicate, Test};
use super::normal::{Literal, Normal};
use super::parse::ID;

impl Normal {
    pub(super) fn to_json(&self) -> Value {
        match self {
            Normal::Always(true) => json!({}),
            Normal::Always(false) => json!({"terms": {ID: []}}),
            Normal::Literal(literal) => literal.to_json(),
            Normal::And(parts) => json!({"and": parts.iter().map(Normal::to_json).collect::<Vec<_>>()}),
            Normal::Or(parts) => json!({"or": parts.iter().map(Normal::to_json).collect::<Vec<_>>()}),
        }
    }
}

impl Literal {
    fn to_json(&self) -> Value {
        match (&self.test.predicate, self.negated) {
            (Predicate::Exists, true) => json!({"missing": {"field": self.test.field.as_ref()}}),
            (_, true) => json!({"not": self.test.to_json()}),
            (_, false) => self.test.to_json(),
        }
    }
}

impl Test {
    pub(super) fn to_json(&self) -> Value {
        let field = self.field.as_ref();
        match &self.predicate {
            Predicate::Terms(values) if field == ID => {
                json!({"ids": {"values": values.iter().map(Scalar::to_json).collect::<Vec<_>>()}})
            }
            Predicate::Terms(values) => match values.as_ref() {
                [value] => json!({"term": {field: value.to_json()}}),
                values => json!({"terms": {field: values.iter().map(Scalar::to_json).collect::<Vec<_>>()}}),
            },
            Predicate::Range(bounds) => range(field, bounds),
            Predicate::Exists => json!({"exists": {"field": field}}),
            Predicate::Regexp(pattern) => match pattern.flags() {
                flags if flags.is_empty() => json!({"regexp": {field: pattern.source()}}),
                flags => json!({"regexp": {field: {"flags": flags, "value": pattern.source()}}}),
            },
            Predicate::Within(shape) => within(field, shape),
        }
    }
}

/// One range, or several that all have to hold where one operator stands with two values.
fn range(field: &str, bounds: &[Bound]) -> Value {
    let mut ranges: Vec<Map<String, Value>> = Vec::with_capacity(1);
    for bound in bounds {
        let operator = bound.side.as_str();
        let value = bound.value.to_json();
        match ranges.iter_mut().find(|range| !range.contains_key(operator)) {
            Some(range) => _ = range.insert(operator.to_owned(), value),
            None => ranges.push(Map::from_iter([(operator.to_owned(), value)])),
        }
    }
    let mut ranges: Vec<Value> = ranges.into_iter().map(|range| json!({"range": {field: range}})).collect();
    if ranges.len() == 1 { ranges.remove(0) } else { json!({"and": ranges}) }
}

fn within(field: &str, shape: &Shape) -> Value {
    match shape {
        Shape::Rectangle(rectangle) => json!({"geoBoundingBox": {field: {
            "top": number_to_json(rectangle.least.lon),
            "left": number_to_json(rectangle.least.lat),
            "bottom": number_to_json(rectangle.greatest.lon),
            "right": number_to_json(rectangle.greatest.lat),
        }}}),
        Shape::Ring { centre, from_m, to_m } if *from_m == 0.0 => {
            json!({"geoDistance": {field: point(*centre), "distance": number_to_json(*to_m)}})
        }
        Shape::Ring { centre, from_m, to_m } => json!({"geoDistanceRange": {
            field: point(*centre),
            "from": number_to_json(*from_m),
            "to": number_to_json(*to_m),
        }}),
        Shape::Polygon(points) => {
            // A polygon has three points in the language, also one that is a line.
            let padding = points.first().into_iter().cycle().take(3usize.saturating_sub(points.len()));
            let points: Vec<Value> = points.iter().chain(padding).map(|it| point(*it)).collect();
            json!({"geoPolygon": {field: {"points": points}}})
        }
    }
}

fn point(point: Point) -> Value {
    json!({"lat": number_to_json(point.lat), "lon": number_to_json(point.lon)})
}
