use super::{Point, Rectangle};

/// How far beside an edge a point is still on it, in degrees: a tenth of a millimetre, for errors of rounding.
const EDGE: f64 = 1e-9;

/// Whether a point lies within a polygon or on its edge.
pub(super) fn contains(points: &[Point], point: Point) -> bool {
    let mut inside = false;
    let Some(mut before) = points.last() else { return false };
    for corner in points {
        if on_edge(*before, *corner, point) {
            return true;
        }
        if (corner.lat > point.lat) != (before.lat > point.lat) {
            let along = (point.lat - corner.lat) / (before.lat - corner.lat);
            if point.lon < corner.lon + along * (before.lon - corner.lon) {
                inside = !inside;
            }
        }
        before = corner;
    }
    inside
}

fn on_edge(a: Point, b: Point, point: Point) -> bool {
    let (lat, lon) = (b.lat - a.lat, b.lon - a.lon);
    let (to_lat, to_lon) = (point.lat - a.lat, point.lon - a.lon);
    let square = lat * lat + lon * lon;
    if square == 0.0 {
        return to_lat == 0.0 && to_lon == 0.0;
    }
    let along = (to_lat * lat + to_lon * lon) / square;
    let beside = to_lat * lon - to_lon * lat;
    (0.0..=1.0).contains(&along) && beside * beside <= EDGE * EDGE * square
}

pub(super) fn bounds(points: &[Point]) -> Rectangle {
    let first = points.first().copied().unwrap_or(Point { lat: 0.0, lon: 0.0 });
    let mut bounds = Rectangle::new(first, first);
    for point in points {
        let low = Rectangle::new(bounds.least, *point);
        let high = Rectangle::new(bounds.greatest, *point);
        bounds = Rectangle { least: low.least, greatest: high.greatest };
    }
    // What lies on an edge may lie a little beside it.
    Rectangle {
        least: Point { lat: bounds.least.lat - EDGE, lon: bounds.least.lon - EDGE },
        greatest: Point { lat: bounds.greatest.lat + EDGE, lon: bounds.greatest.lon + EDGE },
    }
}

/// The points such that one polygon is always the same list: not closed, no point twice in a row, of all its rotations in
/// both directions the least.
pub(crate) fn canonical(mut points: Vec<Point>) -> Box<[Point]> {
    points.dedup();
    while points.len() > 1 && points.first() == points.last() {
        points.pop();
    }
    let forward = least_rotation(&points);
    points.reverse();
    let backward = least_rotation(&points);
    if less(&backward, &forward) { backward } else { forward }
}

fn less(a: &[Point], b: &[Point]) -> bool {
    a.partial_cmp(b).is_some_and(std::cmp::Ordering::is_lt)
}

/// The rotation that comes first in order, found in linear time by comparing two candidates at once.
fn least_rotation(points: &[Point]) -> Box<[Point]> {
    let length = points.len();
    let (mut i, mut j, mut same) = (0, 1, 0);
    while i < length && j < length && same < length {
        let (a, b) = (points[(i + same) % length], points[(j + same) % length]);
        if a == b {
            same += 1;
            continue;
        }
        if a > b {
            i += same + 1;
        } else {
            j += same + 1;
        }
        if i == j {
            j += 1;
        }
        same = 0;
    }
    let start = i.min(j);
    points.iter().cycle().skip(start).take(length).copied().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(all: &[(f64, f64)]) -> Vec<Point> {
        all.iter().map(|(lat, lon)| Point { lat: *lat, lon: *lon }).collect()
    }

    #[test]
    fn polygons_contain_their_edges() {
        let square = points(&[(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0)]);
        for (lat, lon, expected) in [
            (5.0, 5.0, true),
            (0.0, 0.0, true),
            (0.0, 5.0, true),
            (10.0, 5.0, true),
            (5.0, 10.0, true),
            (5.0, 10.1, false),
            (-0.1, 5.0, false),
        ] {
            assert_eq!(contains(&square, Point { lat, lon }), expected, "{lat} {lon}");
        }
        let hollow = points(&[(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0), (5.0, 5.0)]);
        assert!(!contains(&hollow, Point { lat: 5.0, lon: 3.0 }));
        assert!(contains(&hollow, Point { lat: 2.0, lon: 3.0 }));
    }

    #[test]
    fn degenerate_polygons_are_their_edges() {
        let line = points(&[(0.0, 0.0), (1.0, 1.0)]);
        assert!(contains(&line, Point { lat: 0.5, lon: 0.5 }));
        assert!(!contains(&line, Point { lat: 0.5, lon: 0.6 }));
    }

    proptest! {
        #[test]
        fn rotations_are_one_polygon(
            all in prop::collection::vec((0..3i8, 0..3i8), 1..9),
            by in 0usize..9,
            reverse: bool,
            close: bool,
        ) {
            let first: Vec<Point> =
                all.iter().map(|(lat, lon)| Point { lat: f64::from(*lat), lon: f64::from(*lon) }).collect();
            let mut second = first.clone();
            second.rotate_left(by % first.len());
            if reverse {
                second.reverse();
            }
            if close {
                second.push(second[0]);
            }
            prop_assert_eq!(canonical(first), canonical(second));
        }
    }
}
