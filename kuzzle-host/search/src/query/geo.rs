use serde_json::Value;

use super::leaf::OneField;
use super::parse::common;
use super::{GeoDistance, Query, QueryKind};
use crate::error::Result;
use crate::geo::{BoundingBox, DistanceKind, LengthUnit, Point, length_m};
use crate::node::{Fields, Node};

/// Options that say how it is carried out, or how points out of range are read: those are refused here.
const HINTS: &[&str] =
    &["optimize_bbox", "validation_method", "ignore_malformed", "coerce", "normalize", "type"];

pub(super) fn distance(body: &Node<'_>, ring: bool) -> Result<Query> {
    let of = if ring { "geo_distance_range" } else { "geo_distance" };
    let mut fields = body.fields(of)?;
    let (boost, name) = common(&mut fields)?;
    fields.hint(HINTS);
    let unit = fields.take("unit").map_or(Ok(LengthUnit::METRES), |it| LengthUnit::parse(&it))?;
    let kind = fields.take("distance_type").map_or(Ok(DistanceKind::Arc), |it| DistanceKind::parse(&it))?;
    let mut query = GeoDistance {
        field: String::new(),
        centre: Point { lat: 0.0, lon: 0.0 },
        from_m: None,
        to_m: None,
        include_from: true,
        include_to: true,
        kind,
    };
    if ring {
        ends(&mut fields, &mut query, unit)?;
    } else {
        query.to_m = Some(length_m(&fields.need("distance")?, unit)?);
    }
    (query.field, query.centre) = centre(&fields, of)?;
    Ok(Query { kind: QueryKind::GeoDistance(query), boost, name, pointer: body.pointer() })
}

fn ends(fields: &mut Fields<'_>, query: &mut GeoDistance, unit: LengthUnit) -> Result<()> {
    for (name, include) in [("from", None), ("gt", Some(false)), ("gte", Some(true))] {
        if let Some(node) = fields.take(name) {
            query.from_m = Some(length_m(&node, unit)?);
            query.include_from = include.unwrap_or(query.include_from);
        }
    }
    for (name, include) in [("to", None), ("lt", Some(false)), ("lte", Some(true))] {
        if let Some(node) = fields.take(name) {
            query.to_m = Some(length_m(&node, unit)?);
            query.include_to = include.unwrap_or(query.include_to);
        }
    }
    if let Some(node) = fields.take("include_lower") {
        query.include_from = node.bool()?;
    }
    if let Some(node) = fields.take("include_upper") {
        query.include_to = node.bool()?;
    }
    if query.from_m.is_none() && query.to_m.is_none() {
        return Err(fields.node.fail("`geo_distance_range` needs `from`, `to`, or both"));
    }
    Ok(())
}

/// The field and its point; the point may be spread over `field.lat` and `field.lon`, or be `field.geohash`.
fn centre(fields: &Fields<'_>, of: &str) -> Result<(String, Point)> {
    let rest = fields.rest();
    if let [(first, lat), (second, lon)] = rest.as_slice()
        && let (Some(a), Some(b)) = (first.strip_suffix(".lat"), second.strip_suffix(".lon"))
        && a == b
    {
        let point = Point::new(lat.f64()?, lon.f64()?);
        return point.map(|it| (a.to_owned(), it)).ok_or_else(|| lat.expected("a latitude of -90 to 90"));
    }
    let one = OneField::of_rest(fields, of, 1.0, None)?;
    match (one.field.strip_suffix(".geohash"), one.value.value) {
        (Some(field), Value::String(_)) => Ok((field.to_owned(), Point::parse(&one.value)?)),
        _ => Ok((one.field.clone(), Point::parse(&one.value)?)),
    }
}

pub(super) fn bounding_box(body: &Node<'_>) -> Result<Query> {
    let mut fields = body.fields("geo_bounding_box")?;
    let (boost, name) = common(&mut fields)?;
    fields.hint(HINTS);
    let one = OneField::of_rest(&fields, "geo_bounding_box", boost, name)?;
    let bounds = BoundingBox::parse(&one.value)?;
    Ok(one.query(|field| QueryKind::GeoBoundingBox { field, bounds }))
}

pub(super) fn polygon(body: &Node<'_>) -> Result<Query> {
    let mut fields = body.fields("geo_polygon")?;
    let (boost, name) = common(&mut fields)?;
    fields.hint(HINTS);
    let one = OneField::of_rest(&fields, "geo_polygon", boost, name)?;
    let mut inner = one.value.fields("geo_polygon")?;
    let corners = crate::geo::polygon(&inner.need("points")?)?;
    inner.finish()?;
    Ok(one.query(|field| QueryKind::GeoPolygon { field, corners }))
}
