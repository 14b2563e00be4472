//! Documents as filters see them.

use serde_json::{Map, Value};

use crate::filter::ID;
use crate::geo::Point;
use crate::value::{Datum, text_to_number};

/// A document that filters are compared with.
///
/// Fields are addressed by paths: `info.city` is the field `city` of the object `info`, and as well a field whose name is
/// `info.city`. Where a document has both, the one whose first name is the longest counts. Arrays are not descended into.
/// What is no object has no fields.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// Its id, which filters see as the field `_id`; `None` while it has none.
    pub id: Option<&'a str>,
    /// Its fields.
    pub source: &'a Value,
}

impl<'a> Document<'a> {
    pub(crate) fn field(&self, path: &str) -> Option<Datum<'a>> {
        if path == ID {
            return self.id.map(Datum::Text);
        }
        lookup(self.source.as_object()?, path).map(Datum::of)
    }

    pub(crate) fn point(&self, path: &str) -> Option<Point> {
        point(self.field(&format!("{path}.lat")), self.field(&format!("{path}.lon")))
    }
}

fn lookup<'a>(map: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = map.get(path) {
        return Some(value);
    }
    path.rmatch_indices('.')
        .find_map(|(dot, _)| lookup(map.get(&path[..dot])?.as_object()?, &path[dot + 1..]))
}

/// The point of two coordinates: numbers, or strings that are numbers, in range.
pub(crate) fn point(lat: Option<Datum<'_>>, lon: Option<Datum<'_>>) -> Option<Point> {
    Point::new(coordinate(lat?)?, coordinate(lon?)?)
}

fn coordinate(datum: Datum<'_>) -> Option<f64> {
    match datum {
        Datum::Number(number) => Some(number.get()),
        Datum::Text(text) if !text.trim().is_empty() => text_to_number(text).map(|number| number.get()),
        _ => None,
    }
}
