//! Points and shapes on the earth.

mod distance;
mod hash;
mod polygon;

pub(crate) use hash::decode as decode_geohash;
pub(crate) use polygon::canonical as canonical_polygon;

use distance::distance_m;

/// A point, in degrees.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Point {
    /// Latitude, -90 to 90.
    pub lat: f64,
    /// Longitude, -180 to 180.
    pub lon: f64,
}

impl Point {
    /// Makes a point; `None` when one of its coordinates is out of range.
    pub fn new(lat: f64, lon: f64) -> Option<Point> {
        let valid = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        // Adding 0 makes 0 of -0.
        valid.then_some(Point { lat: lat + 0.0, lon: lon + 0.0 })
    }
}

/// Where a point may lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Within a rectangle on the plane of degrees, or on its edge.
    Rectangle(Rectangle),
    /// At a distance from a centre: `from_m` <= distance <= `to_m`, after rounding it to a metre.
    Ring {
        /// The centre, as it was written.
        centre: Point,
        /// Least distance, in metres.
        from_m: f64,
        /// Greatest distance, in metres.
        to_m: f64,
    },
    /// Within a polygon on the plane of degrees, or on its edge. Its last point is joined to its first.
    Polygon(Box<[Point]>),
}

/// A rectangle on the plane of degrees; it does not cross the date line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rectangle {
    /// The corner with the smaller latitude and longitude.
    pub least: Point,
    /// The corner with the greater latitude and longitude.
    pub greatest: Point,
}

/// How far the centre of a distance is moved, north and west, as the first server did: its authors meant to absorb errors
/// of rounding by it, and distances of filters in use count on it.
const CENTRE_SHIFT: f64 = 1e-5;
/// Metres that one degree of latitude has at least on the ellipsoid.
const DEGREE_MIN_M: f64 = 110_500.0;
/// The least radius of the ellipsoid's curvature, in metres.
const RADIUS_MIN_M: f64 = 6_335_000.0;

impl Rectangle {
    const EARTH: Rectangle =
        Rectangle { least: Point { lat: -90.0, lon: -180.0 }, greatest: Point { lat: 90.0, lon: 180.0 } };

    /// Makes a rectangle from any two opposite corners.
    pub fn new(a: Point, b: Point) -> Rectangle {
        Rectangle {
            least: Point { lat: a.lat.min(b.lat), lon: a.lon.min(b.lon) },
            greatest: Point { lat: a.lat.max(b.lat), lon: a.lon.max(b.lon) },
        }
    }

    fn contains(&self, point: Point) -> bool {
        (self.least.lat..=self.greatest.lat).contains(&point.lat)
            && (self.least.lon..=self.greatest.lon).contains(&point.lon)
    }
}

impl Shape {
    /// Whether a point lies within.
    pub fn contains(&self, point: Point) -> bool {
        match self {
            Shape::Rectangle(rectangle) => rectangle.contains(point),
            Shape::Ring { centre, from_m, to_m } => {
                let distance_m = distance_m(shifted(*centre), point).round();
                *from_m <= distance_m && distance_m <= *to_m
            }
            Shape::Polygon(points) => polygon::contains(points, point),
        }
    }

    /// A rectangle in which all of the shape lies.
    pub(crate) fn bounds(&self) -> Rectangle {
        match self {
            Shape::Rectangle(rectangle) => *rectangle,
            Shape::Ring { centre, to_m, .. } => around(shifted(*centre), *to_m + 1.0),
            Shape::Polygon(points) => polygon::bounds(points),
        }
    }
}

fn shifted(centre: Point) -> Point {
    Point { lat: centre.lat + CENTRE_SHIFT, lon: centre.lon - CENTRE_SHIFT }
}

/// A rectangle in which all points lie that are so near.
fn around(centre: Point, distance_m: f64) -> Rectangle {
    let lat = distance_m / DEGREE_MIN_M;
    let (south, north) = (centre.lat - lat, centre.lat + lat);
    // On a sphere of the least radius a distance spans the greatest angle; the rest of the error is the margin.
    let angle = distance_m / RADIUS_MIN_M * 1.01;
    let reach =
        if angle < std::f64::consts::FRAC_PI_2 { angle.sin() / centre.lat.to_radians().cos() } else { 1.0 };
    let lon = if reach < 1.0 { reach.asin().to_degrees() } else { 360.0 };
    let (west, east) = (centre.lon - lon, centre.lon + lon);
    let whole = south <= -90.0 || north >= 90.0 || west < -180.0 || east > 180.0;
    let (west, east) = if whole { (-180.0, 180.0) } else { (west, east) };
    let south = south.max(Rectangle::EARTH.least.lat);
    let north = north.min(Rectangle::EARTH.greatest.lat);
    Rectangle { least: Point { lat: south, lon: west }, greatest: Point { lat: north, lon: east } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point() -> impl Strategy<Value = Point> {
        (-90.0..=90.0f64, -180.0..=180.0f64).prop_map(|(lat, lon)| Point { lat, lon })
    }

    proptest! {
        #[test]
        fn bounds_hold_whatever_is_within(
            centre in point(),
            point in point(),
            near in (-2.0..2.0f64, -2.0..2.0f64),
            corners in prop::collection::vec(point(), 3..8),
            reach in 0.0..3e6f64,
        ) {
            let beside = Point::new(centre.lat + near.0, centre.lon + near.1);
            for point in [Some(point), beside].into_iter().flatten() {
                let distance = distance_m(shifted(centre), point).round();
                for shape in [
                    Shape::Ring { centre, from_m: 0.0, to_m: reach },
                    Shape::Ring { centre, from_m: 0.0, to_m: distance },
                    Shape::Polygon(corners.clone().into()),
                    Shape::Rectangle(Rectangle::new(corners[0], corners[1])),
                ] {
                    let within = shape.contains(point);
                    prop_assert!(!within || shape.bounds().contains(point), "{shape:?} {point:?}");
                }
            }
        }
    }
}
