//! Points on the earth in all the notations of Elasticsearch, distances, boxes, polygons and geohashes.

mod hash;

use serde_json::Value;

use crate::error::Result;
use crate::limits::POLYGON_POINTS_MAX;
use crate::node::Node;
pub(crate) use hash::{decode, encode};

/// Metres from the centre to the surface, on average.
const EARTH_RADIUS_M: f64 = 6_371_008.771_4;

/// A point on the earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// -90 to 90.
    pub lat: f64,
    /// -180 to 180.
    pub lon: f64,
}

impl Point {
    /// A point within the ranges of latitude and longitude.
    pub fn new(lat: f64, lon: f64) -> Option<Self> {
        (lat.abs() <= 90.0 && lon.abs() <= 180.0).then_some(Self { lat, lon })
    }

    /// `{"lat": 1, "lon": 2}`, `{"geohash": ".."}`, `[lon, lat]`, `"lat,lon"`, or a geohash.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Object(map) => {
                if let Some(hash) = map.get("geohash") {
                    return decode(hash.as_str()?);
                }
                Self::new(degrees(map.get("lat")?)?, degrees(map.get("lon")?)?)
            }
            Value::Array(pair) => match pair.as_slice() {
                [lon, lat] => Self::new(degrees(lat)?, degrees(lon)?),
                _ => None,
            },
            Value::String(text) => match text.split_once(',') {
                Some((lat, lon)) => Self::new(lat.trim().parse().ok()?, lon.trim().parse().ok()?),
                None => decode(text),
            },
            _ => None,
        }
    }

    pub(crate) fn parse(node: &Node<'_>) -> Result<Self> {
        Self::of(node.value).ok_or_else(|| {
            node.expected(
                "a point: `{\"lat\": .., \"lon\": ..}`, `[lon, lat]`, `\"lat,lon\"` or a geohash, with lat in -90 to 90 and lon in -180 to 180",
            )
        })
    }

    /// Metres between two points.
    pub(crate) fn distance_m(self, other: Point, kind: DistanceKind) -> f64 {
        let (lat_a, lat_b) = (self.lat.to_radians(), other.lat.to_radians());
        let lat = lat_b - lat_a;
        let lon = (other.lon - self.lon).to_radians();
        match kind {
            DistanceKind::Arc => {
                let half = (lat / 2.0).sin().powi(2) + lat_a.cos() * lat_b.cos() * (lon / 2.0).sin().powi(2);
                2.0 * EARTH_RADIUS_M * half.min(1.0).sqrt().asin()
            }
            DistanceKind::Plane => EARTH_RADIUS_M * lat.hypot(lon),
        }
    }
}

fn degrees(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// How a distance is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistanceKind {
    /// Along the surface of a sphere: `arc` and `sloppy_arc`.
    Arc,
    /// On a plane of degrees: quick, and wrong far from the equator.
    Plane,
}

impl DistanceKind {
    pub(crate) fn parse(node: &Node<'_>) -> Result<Self> {
        node.one_of(&[("sloppy_arc", Self::Arc), ("arc", Self::Arc), ("plane", Self::Plane)])
    }
}

/// A unit of length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LengthUnit {
    /// Metres of one.
    pub metres: f64,
}

const UNITS: &[(&[&str], f64)] = &[
    (&["nm", "nmi", "nauticalmiles"], 1852.0),
    (&["in", "inch"], 0.0254),
    (&["yd", "yards"], 0.9144),
    (&["ft", "feet"], 0.3048),
    (&["km", "kilometers"], 1000.0),
    (&["mm", "millimeters"], 0.001),
    (&["cm", "centimeters"], 0.01),
    (&["mi", "miles"], 1609.344),
    (&["m", "meters"], 1.0),
];

impl LengthUnit {
    pub(crate) const METRES: Self = Self { metres: 1.0 };

    pub(crate) fn parse(node: &Node<'_>) -> Result<Self> {
        unit(node.str()?.trim()).ok_or_else(|| {
            node.expected("a unit of length: `m`, `km`, `cm`, `mm`, `mi`, `yd`, `ft`, `in` or `nmi`")
        })
    }
}

fn unit(name: &str) -> Option<LengthUnit> {
    let lower = name.to_ascii_lowercase();
    let found = UNITS.iter().find(|(names, _)| names.contains(&lower.as_str()));
    found.map(|(_, metres)| LengthUnit { metres: *metres })
}

/// Metres of `"12km"`, `"12"` or `12`; the unit counts where the text names none.
pub(crate) fn length_m(node: &Node<'_>, default: LengthUnit) -> Result<f64> {
    let expected = || node.expected("a distance such as `12km`, 0 or more");
    let metres = match node.value {
        Value::String(text) => {
            let text = text.trim();
            let end = text.find(|it: char| it.is_ascii_alphabetic() && it != 'e' && it != 'E');
            let (number, name) = text.split_at(end.unwrap_or(text.len()));
            let unit = if name.is_empty() { default } else { unit(name).ok_or_else(expected)? };
            number.trim().parse::<f64>().map_err(|_| expected())? * unit.metres
        }
        _ => node.f64()? * default.metres,
    };
    if metres.is_finite() && metres >= 0.0 { Ok(metres) } else { Err(expected()) }
}

/// A box between two meridians and two parallels. When `left` is east of `right` it crosses the 180th meridian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundingBox {
    /// The northern parallel.
    pub top: f64,
    /// The western meridian.
    pub left: f64,
    /// The southern parallel.
    pub bottom: f64,
    /// The eastern meridian.
    pub right: f64,
}

impl BoundingBox {
    pub(crate) fn parse(node: &Node<'_>) -> Result<Self> {
        let mut fields = node.fields("geo_bounding_box")?;
        let mut corner = |names: &[&'static str]| fields.any(names).map(|it| Point::parse(&it)).transpose();
        let top_left = corner(&["top_left", "topLeft"])?;
        let bottom_right = corner(&["bottom_right", "bottomRight"])?;
        let top_right = corner(&["top_right", "topRight"])?;
        let bottom_left = corner(&["bottom_left", "bottomLeft"])?;
        let mut side = |name: &'static str| fields.take(name).map(|it| it.f64()).transpose();
        let (top, left, bottom, right) = (side("top")?, side("left")?, side("bottom")?, side("right")?);
        fields.finish()?;
        let lat = |point: Option<Point>| point.map(|it| it.lat);
        let lon = |point: Option<Point>| point.map(|it| it.lon);
        let top = lat(top_left).or(lat(top_right)).or(top);
        let left = lon(top_left).or(lon(bottom_left)).or(left);
        let bottom = lat(bottom_right).or(lat(bottom_left)).or(bottom);
        let right = lon(bottom_right).or(lon(top_right)).or(right);
        let (Some(top), Some(left), Some(bottom), Some(right)) = (top, left, bottom, right) else {
            return Err(node.fail(
                "a box needs `top_left` and `bottom_right`, `top_right` and `bottom_left`, or `top`, `left`, `bottom` and `right`",
            ));
        };
        if top < bottom {
            return Err(node.fail(format!("the top, {top}, is below the bottom, {bottom}")));
        }
        Ok(Self { top, left, bottom, right })
    }

    /// A box that holds every point no farther than this from a centre; `None` when that is most of the earth.
    pub(crate) fn around(centre: Point, metres: f64, kind: DistanceKind) -> Option<Self> {
        // More than what is lost in computing distances.
        let angle = metres / EARTH_RADIUS_M * (1.0 + 1e-9) + 1e-9;
        let degrees = angle.to_degrees();
        let (top, bottom) = (centre.lat + degrees, centre.lat - degrees);
        let whole = Self { top: top.min(90.0), left: -180.0, bottom: bottom.max(-90.0), right: 180.0 };
        match kind {
            DistanceKind::Plane => Some(Self {
                left: (centre.lon - degrees).max(-180.0),
                right: (centre.lon + degrees).min(180.0),
                ..whole
            }),
            DistanceKind::Arc if angle >= std::f64::consts::FRAC_PI_2 => None,
            // All meridians meet at a pole.
            DistanceKind::Arc if top >= 90.0 || bottom <= -90.0 => Some(whole),
            DistanceKind::Arc => {
                let sine = angle.sin() / centre.lat.to_radians().cos();
                if sine.is_nan() || sine >= 1.0 {
                    return Some(whole);
                }
                let lon = sine.asin().to_degrees() + 1e-9;
                let wrapped = |it: f64| {
                    if it > 180.0 {
                        it - 360.0
                    } else if it < -180.0 {
                        it + 360.0
                    } else {
                        it
                    }
                };
                Some(if lon >= 180.0 {
                    whole
                } else {
                    Self { left: wrapped(centre.lon - lon), right: wrapped(centre.lon + lon), ..whole }
                })
            }
        }
    }

    /// The box that holds the corners of a polygon.
    pub(crate) fn of(corners: &[Point]) -> Option<Self> {
        let first = corners.first()?;
        let start = Self { top: first.lat, left: first.lon, bottom: first.lat, right: first.lon };
        let bounds = corners.iter().fold(start, |bounds, corner| Self {
            top: bounds.top.max(corner.lat),
            left: bounds.left.min(corner.lon),
            bottom: bounds.bottom.min(corner.lat),
            right: bounds.right.max(corner.lon),
        });
        // More than what is lost in computing on which side of an edge a point lies.
        Some(Self {
            top: (bounds.top + 1e-6).min(90.0),
            left: (bounds.left - 1e-6).max(-180.0),
            bottom: (bounds.bottom - 1e-6).max(-90.0),
            right: (bounds.right + 1e-6).min(180.0),
        })
    }

    pub(crate) fn contains(&self, point: Point) -> bool {
        let between = if self.left <= self.right {
            self.left <= point.lon && point.lon <= self.right
        } else {
            point.lon >= self.left || point.lon <= self.right
        };
        between && self.bottom <= point.lat && point.lat <= self.top
    }
}

/// Corners of a polygon, at least three of them.
pub(crate) fn polygon(node: &Node<'_>) -> Result<Vec<Point>> {
    let corners = node.array("an array of points")?;
    if corners.len() > POLYGON_POINTS_MAX {
        return Err(
            node.over(format!("found {} points, at most {POLYGON_POINTS_MAX} are taken", corners.len()))
        );
    }
    let mut points = corners.iter().map(Point::parse).collect::<Result<Vec<_>>>()?;
    if points.len() > 1 && points.first() == points.last() {
        points.pop();
    }
    if points.len() < 3 {
        return Err(node.fail(format!("found {} different points, expected 3 or more", points.len())));
    }
    Ok(points)
}

/// Whether a point lies within a polygon on the plane of degrees.
pub(crate) fn within(corners: &[Point], point: Point) -> bool {
    let mut inside = false;
    let Some(mut before) = corners.last() else { return false };
    for corner in corners {
        let spans = (corner.lat > point.lat) != (before.lat > point.lat);
        if spans {
            let along = (point.lat - corner.lat) / (before.lat - corner.lat);
            if point.lon < corner.lon + along * (before.lon - corner.lon) {
                inside = !inside;
            }
        }
        before = corner;
    }
    inside
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn points_in_all_notations() {
        let expected = Some(Point { lat: 40.715, lon: -74.011 });
        for value in [
            json!({"lat": 40.715, "lon": -74.011}),
            json!({"lat": "40.715", "lon": "-74.011"}),
            json!([-74.011, 40.715]),
            json!("40.715,-74.011"),
            json!("40.715, -74.011"),
        ] {
            assert_eq!(Point::of(&value), expected, "{value}");
        }
        let hashed = Point::of(&json!("dr5regy3zcs0")).unwrap();
        assert!((hashed.lat - 40.715).abs() < 0.01 && (hashed.lon + 74.011).abs() < 0.01, "{hashed:?}");
        for value in
            [json!([1]), json!("1,2,3"), json!({"lat": 91, "lon": 0}), json!(7), json!("!"), json!(null)]
        {
            assert_eq!(Point::of(&value), None, "{value}");
        }
    }

    #[test]
    fn distances() {
        let paris = Point { lat: 48.8566, lon: 2.3522 };
        let london = Point { lat: 51.5074, lon: -0.1278 };
        let metres = paris.distance_m(london, DistanceKind::Arc);
        assert!((343_000.0..345_000.0).contains(&metres), "{metres}");
        for (value, expected) in
            [(json!("12km"), 12_000.0), (json!("1 mi"), 1609.344), (json!(5), 5.0), (json!("2e3m"), 2000.0)]
        {
            assert_eq!(length_m(&Node::root(&value), LengthUnit::METRES).unwrap(), expected);
        }
        assert!(length_m(&Node::root(&json!("12parsec")), LengthUnit::METRES).is_err());
        assert!(length_m(&Node::root(&json!(-1)), LengthUnit::METRES).is_err());
    }

    #[test]
    fn boxes_may_cross_the_date_line_and_polygons_contain() {
        let fiji = BoundingBox { top: -10.0, left: 175.0, bottom: -20.0, right: -175.0 };
        assert!(fiji.contains(Point { lat: -17.0, lon: 178.0 }));
        assert!(fiji.contains(Point { lat: -17.0, lon: -179.0 }));
        assert!(!fiji.contains(Point { lat: -17.0, lon: 0.0 }));
        let corners =
            [(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0)].map(|(lat, lon)| Point { lat, lon });
        assert!(within(&corners, Point { lat: 5.0, lon: 5.0 }));
        assert!(!within(&corners, Point { lat: 5.0, lon: 11.0 }));
    }
}
