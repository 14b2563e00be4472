//! Filters that look at a point of the document, in all the notations that clients use.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::FilterResult;
use crate::geo::{Point, Rectangle, Shape, canonical_polygon, decode_geohash};
use crate::value::text_to_number;

use super::expression::{Expression, Predicate};
use super::parse::{Parser, camel_case, field, test};
use super::place::{HINTS, Place, describe, excerpt};

/// The text of the first server for whatever is no point.
const UNREADABLE: &str = "Unable to parse coordinates";
const NO_FIELD: &str = "No location field given";

/// `{field: box}`
pub(super) fn bounding_box(body: &Place<'_>) -> FilterResult<Expression> {
    let (name, corners) = body.only("a field and its box", "Missing filter")?;
    let shape = Shape::Rectangle(rectangle(&corners)?);
    Ok(test(field(&corners, name)?, Predicate::Within(Arc::new(shape))))
}

/// `{field: {points: [..]}}`
pub(super) fn polygon(parser: &mut Parser, body: &Place<'_>) -> FilterResult<Expression> {
    let (name, outline) = body.only("a field and its polygon", "Missing filter")?;
    let list = outline.member("points").ok_or_else(|| outline.fail("No point list found"))?;
    let Value::Array(items) = list.value else {
        return Err(list.fail(format!("A polygon must be in array format; found {}", describe(list.value))));
    };
    if items.len() < 3 {
        return Err(list.fail(format!("A polygon must have at least 3 points; found {}", items.len())));
    }
    parser.take_points(&list, items.len())?;
    let points = items.iter().enumerate().map(|(index, value)| point(&list.index(index, value)));
    let points = canonical_polygon(points.collect::<FilterResult<Vec<_>>>()?);
    Ok(test(field(&outline, name)?, Predicate::Within(Arc::new(Shape::Polygon(points)))))
}

/// `{field: point, distance: d}`
pub(super) fn distance(body: &Place<'_>) -> FilterResult<Expression> {
    let (name, place) = centre(body, &["distance"])?;
    let centre = point(&place)?;
    let to_m = metres(&body.member("distance").ok_or_else(|| body.fail("No distance given"))?)?;
    let shape = Shape::Ring { centre, from_m: 0.0, to_m };
    Ok(test(field(&place, name)?, Predicate::Within(Arc::new(shape))))
}

/// `{field: point, from: d, to: d}`; the ends may be swapped.
pub(super) fn distance_range(body: &Place<'_>) -> FilterResult<Expression> {
    let (name, place) = centre(body, &["from", "to"])?;
    let centre = point(&place)?;
    let from_m = metres(&body.member("from").ok_or_else(|| body.fail("No from parameter given"))?)?;
    let to_m = metres(&body.member("to").ok_or_else(|| body.fail("No to parameter given"))?)?;
    let shape = Shape::Ring { centre, from_m: from_m.min(to_m), to_m: from_m.max(to_m) };
    Ok(test(field(&place, name)?, Predicate::Within(Arc::new(shape))))
}

/// The one member that is not among `others`: the field and its point.
fn centre<'a>(body: &'a Place<'a>, others: &[&str]) -> FilterResult<(&'a str, Place<'a>)> {
    let map = body.object("a field with its point, and a distance")?;
    if map.is_empty() {
        return Err(body.fail("Missing filter"));
    }
    let mut fields =
        map.iter().filter(|(key, _)| !others.contains(&key.as_str()) && !HINTS.contains(&key.as_str()));
    match (fields.next(), fields.next()) {
        (Some((name, value)), None) => Ok((name, body.key(name, value))),
        (None, _) => Err(body.fail(NO_FIELD)),
        (Some((first, _)), Some((second, _))) => Err(body.fail(format!(
            "found `{}` and `{}`, expected one field beside {}",
            excerpt(first),
            excerpt(second),
            others.join(" and ")
        ))),
    }
}

/// A point: `{lat, lon}`, `[lat, lon]`, or either of them, `"lon, lat"` or a geohash in `{latLon: ..}`.
fn point(place: &Place<'_>) -> FilterResult<Point> {
    match place.value {
        Value::Array(_) => pair(place),
        Value::Object(map) => match named(place, map, "latLon") {
            None => lat_lon(place),
            Some(inner) => match inner.value {
                Value::Array(_) => pair(&inner),
                Value::Object(_) => lat_lon(&inner),
                Value::String(text) => match halves(text) {
                    Some((lon, lat)) => checked(&inner, lat, lon),
                    None => geohash(&inner, text),
                },
                _ => Err(unreadable(&inner)),
            },
        },
        _ => Err(unreadable(place)),
    }
}

fn unreadable(place: &Place<'_>) -> crate::FilterError {
    place.fail(format!(
        "{UNREADABLE}: found {}, expected `{{lat, lon}}`, `[lat, lon]` or `{{latLon: ..}}`",
        describe(place.value)
    ))
}

/// A member whose name is the wanted one in camel case.
fn named<'a>(place: &'a Place<'a>, map: &'a Map<String, Value>, wanted: &str) -> Option<Place<'a>> {
    let found = map.iter().find(|(key, value)| camel_case(key) == wanted && !value.is_null());
    found.map(|(key, value)| place.key(key, value))
}

/// `[lat, lon]`
fn pair(place: &Place<'_>) -> FilterResult<Point> {
    match place.value.as_array().map(Vec::as_slice) {
        Some([lat, lon]) => checked(place, number(lat), number(lon)),
        _ => Err(place.fail(format!("{UNREADABLE}: expected two numbers, latitude and longitude"))),
    }
}

/// `{lat, lon}`
fn lat_lon(place: &Place<'_>) -> FilterResult<Point> {
    let coordinate = |name| place.member(name).and_then(|it| number(it.value));
    checked(place, coordinate("lat"), coordinate("lon"))
}

fn geohash(place: &Place<'_>, text: &str) -> FilterResult<Point> {
    decode_geohash(text).ok_or_else(|| {
        place.fail(format!("{UNREADABLE}: `{}` is neither two numbers nor a geohash", excerpt(text)))
    })
}

fn checked(place: &Place<'_>, lat: Option<f64>, lon: Option<f64>) -> FilterResult<Point> {
    let (Some(lat), Some(lon)) = (lat, lon) else {
        return Err(place.fail(format!("{UNREADABLE}: `lat` and `lon` must be numbers")));
    };
    Point::new(lat, lon).ok_or_else(|| {
        place.fail(format!(
            "{UNREADABLE}: found latitude {lat} and longitude {lon}, expected -90 to 90 and -180 to 180"
        ))
    })
}

/// A coordinate, also as a string.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if !text.trim().is_empty() => text_to_number(text).map(crate::value::Number::get),
        _ => None,
    }
}

/// The two numbers of `"a, b"`.
fn halves(text: &str) -> Option<(Option<f64>, Option<f64>)> {
    let (first, second) = text.split_once(',')?;
    let read = |half: &str| text_to_number(half).map(crate::value::Number::get);
    Some((read(first), read(second)))
}

/// A box, by its sides or by two corners. The sides have other names than one would think: `top` and `bottom` are
/// longitudes, `left` and `right` latitudes. So the first server read them, and filters in use count on it.
fn rectangle(place: &Place<'_>) -> FilterResult<Rectangle> {
    let map = place.object("a box: `top`, `left`, `bottom` and `right`, or `topLeft` and `bottomRight`")?;
    if let (Some(top_left), Some(bottom_right)) =
        (named(place, map, "topLeft"), named(place, map, "bottomRight"))
    {
        return Ok(Rectangle::new(corner(&top_left)?, corner(&bottom_right)?));
    }
    let side = |name: &str| named(place, map, name).and_then(|it| number(it.value));
    let (top, left, bottom, right) = (side("top"), side("left"), side("bottom"), side("right"));
    if [top, left, bottom, right].contains(&None) {
        return Err(place.fail(format!(
            "{UNREADABLE}: a box has `top`, `left`, `bottom` and `right`, or `topLeft` and `bottomRight`"
        )));
    }
    Ok(Rectangle::new(checked(place, left, top)?, checked(place, right, bottom)?))
}

/// A corner of a box: `{lat, lon}`, `[lon, lat]`, `"lat, lon"` or a geohash.
fn corner(place: &Place<'_>) -> FilterResult<Point> {
    match place.value {
        Value::Object(map) => match named(place, map, "latLon") {
            Some(_) => point(place),
            None => lat_lon(place),
        },
        Value::Array(items) => match items.as_slice() {
            [lon, lat] => checked(place, number(lat), number(lon)),
            _ => Err(place.fail(format!("{UNREADABLE}: expected two numbers, longitude and latitude"))),
        },
        Value::String(text) => match halves(text) {
            Some((lat, lon)) => checked(place, lat, lon),
            None => geohash(place, text),
        },
        _ => Err(unreadable(place)),
    }
}

/// A distance in metres: a number, or a number with a unit. A sign is left out, a comma may stand for the point, and one
/// space may stand among the digits.
fn metres(place: &Place<'_>) -> FilterResult<f64> {
    let found = match place.value {
        Value::Number(number) => number.as_f64().map(f64::abs),
        Value::String(text) => text_to_metres(text),
        _ => None,
    };
    found.filter(|metres| metres.is_finite()).map(|metres| metres + 0.0).ok_or_else(|| {
        place.fail(format!(
            "Unable to parse the distance filter parameter: found {}, expected metres, or a number with a unit such as `km`, `m`, `cm`, `mi`, `yd`, `ft`, `in`",
            describe(place.value)
        ))
    })
}

fn text_to_metres(text: &str) -> Option<f64> {
    let text = text.trim().trim_start_matches('-').trim_start();
    let number_end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | ' '))).unwrap_or(text.len());
    let (digits, unit) = text.split_at(number_end);
    let digits = digits.trim_end();
    if digits.matches(' ').count() > 1 || digits.matches(',').count() > 1 {
        return None;
    }
    let digits = digits.replace(' ', "").replace(',', ".");
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    Some(digits.parse::<f64>().ok()? * unit_m(unit)?)
}

/// The metres of a unit, in any case.
fn unit_m(unit: &str) -> Option<f64> {
    let unit = unit.trim().to_lowercase();
    let known = |name: &str| {
        Some(match name {
            "" | "m" | "meter" | "metre" => 1.0,
            "ft" | "foot" | "feet" => 0.3048,
            "in" | "inch" => 0.0254,
            "yd" | "yard" => 0.9144,
            "mi" | "mile" => 1609.34,
            _ => return None,
        })
    };
    let singulars = [Some(unit.as_str()), unit.strip_suffix('s'), unit.strip_suffix("es")];
    singulars.into_iter().flatten().find_map(|name| known(name).or_else(|| prefixed(name)))
}

/// The metres of a unit such as `km` or `centimetre`.
fn prefixed(name: &str) -> Option<f64> {
    const SHORT: &[(&str, f64)] =
        &[("km", 1e3), ("hm", 1e2), ("dam", 10.0), ("dm", 0.1), ("cm", 0.01), ("mm", 0.001)];
    const LONG: &[(&str, f64)] =
        &[("kilo", 1e3), ("hecto", 1e2), ("deca", 10.0), ("deci", 0.1), ("centi", 0.01), ("milli", 0.001)];
    let short = SHORT.iter().find(|(short, _)| *short == name);
    let long = || {
        let base = name.strip_suffix("meter").or_else(|| name.strip_suffix("metre"))?;
        LONG.iter().find(|(long, _)| *long == base)
    };
    short.or_else(long).map(|(_, metres)| *metres)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_with_units() {
        for (text, expected) in [
            ("365 219,816 Ft", 111_318.999_916_8),
            ("3 258,55 Ft", 993.206_04),
            ("1km", 1000.0),
            ("1000", 1000.0),
            ("-5 m", 5.0),
            ("2 miles", 3218.68),
            ("12 inches", 0.3048),
            ("1 yard", 0.9144),
            ("2 kilometers", 2000.0),
            ("50 CM", 0.5),
            (".5 km", 500.0),
        ] {
            let found = text_to_metres(text).unwrap();
            assert!((found - expected).abs() < 1e-6, "`{text}`: {found}");
        }
        for text in ["", "km", "12 parsecs", "1 2 3 m", "1,2,3", "1.2.3m", "1e3m", "m 5"] {
            assert_eq!(text_to_metres(text), None, "`{text}`");
        }
    }
}
