//! Numbers as keys: a value lies in one cell of each precision, and a range is made of whole cells, wide ones in its
//! middle and narrow ones at its ends. So at most a few hundred keys of each precision make up a range, however many
//! values lie in it. It is the trie of Lucene's numeric fields, with steps of 8 bits.

use std::ops::RangeInclusive;

use crate::geo::{BoundingBox, Point};

/// Bits by which one precision is coarser than the one before.
const STEP: u32 = 8;
/// How many precisions there are. The coarsest has cells of 2^48 values: of doubles, a sixteenth of an octave.
const LEVELS: u8 = 7;
/// Cells that a box on the map is made of, about.
const BOX_CELLS_MAX: usize = 64;

/// A cell of some precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    /// 0 is exact, the greatest the coarsest.
    level: u8,
    /// The value without the bits that do not count.
    number: u64,
}

impl Cell {
    pub(super) fn exact(number: u64) -> Self {
        Self { level: 0, number }
    }

    /// The cells in which a number lies, one of each precision.
    pub(super) fn around(number: u64) -> impl Iterator<Item = Self> {
        (0..LEVELS).map(move |level| Self { level, number: number >> (u32::from(level) * STEP) })
    }

    /// Writes precision and number, so that cells of one precision are in the order of their numbers.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.push(self.level);
        let insignificant = usize::from(self.level) * (STEP / 8) as usize;
        out.extend_from_slice(&self.number.to_be_bytes()[insignificant..]);
    }
}

/// The cells that make up a range of numbers: from the first to the last of each pair, which are of one precision.
pub(super) fn range(numbers: RangeInclusive<u64>) -> Vec<(Cell, Cell)> {
    const LAST: u64 = (1 << STEP) - 1;
    let (mut from, mut to) = numbers.into_inner();
    let mut out = Vec::new();
    for level in 0..LEVELS {
        let mut push = |from, to| {
            out.push((Cell { level, number: from }, Cell { level, number: to }));
        };
        let (mut above_from, mut above_to) = (from >> STEP, to >> STEP);
        let whole = from & LAST == 0 && to & LAST == LAST;
        if from > to || level + 1 == LEVELS || (above_from == above_to && !whole) {
            if from <= to {
                push(from, to);
            }
            break;
        }
        if from & LAST != 0 {
            push(from, above_from << STEP | LAST);
            above_from += 1;
        }
        if to & LAST != LAST {
            push(above_to << STEP, to);
            // It is greater than the one below, and so not 0.
            above_to -= 1;
        }
        (from, to) = (above_from, above_to);
    }
    out
}

/// Whole numbers in their order.
pub(super) fn ordered_long(value: i64) -> u64 {
    value as u64 ^ 1 << 63
}

/// Doubles in their order; -0 and 0 are one.
pub(super) fn ordered_double(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Points along a curve (Morton's) that fills the map: halves of the map, quarters and so on are ranges of it.
pub(super) fn ordered_point(point: Point) -> u64 {
    spread(scaled(point.lon, 180.0)) << 1 | spread(scaled(point.lat, 90.0))
}

/// Degrees from `-most` to `most` as 32 bits.
fn scaled(degrees: f64, most: f64) -> u32 {
    // The cast saturates: the end of the scale is its last number.
    ((degrees + most) / (2.0 * most) * 4_294_967_296.0) as u32
}

/// Puts a bit between any two.
fn spread(value: u32) -> u64 {
    let mut bits = u64::from(value);
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    bits = (bits | bits << 2) & 0x3333_3333_3333_3333;
    (bits | bits << 1) & 0x5555_5555_5555_5555
}

/// A square of the map: its corner, and how many bits of it count.
#[derive(Clone, Copy)]
struct Square {
    lon: u32,
    lat: u32,
    depth: u32,
}

impl Square {
    /// Longitudes and latitudes of it, the last ones included.
    fn sides(self) -> (RangeInclusive<u32>, RangeInclusive<u32>) {
        let rest = u32::MAX.checked_shr(self.depth).unwrap_or(0);
        (self.lon..=self.lon | rest, self.lat..=self.lat | rest)
    }

    fn quarters(self) -> [Self; 4] {
        let half = 1u32 << (31 - self.depth);
        [(0, 0), (0, half), (half, 0), (half, half)].map(|(lon, lat)| Self {
            lon: self.lon | lon,
            lat: self.lat | lat,
            depth: self.depth + 1,
        })
    }

    fn numbers(self) -> RangeInclusive<u64> {
        let first = spread(self.lon) << 1 | spread(self.lat);
        let rest = u64::MAX.checked_shr(2 * self.depth).unwrap_or(0);
        first..=first | rest
    }
}

/// Ranges of numbers in which all points of a box lie, and some others.
pub(super) fn box_ranges(bounds: &BoundingBox) -> Vec<RangeInclusive<u64>> {
    let lats = scaled(bounds.bottom, 90.0)..=scaled(bounds.top, 90.0);
    let lon = |degrees| scaled(degrees, 180.0);
    let lons = if bounds.left <= bounds.right {
        vec![lon(bounds.left)..=lon(bounds.right)]
    } else {
        vec![0..=lon(bounds.right), lon(bounds.left)..=u32::MAX]
    };
    let mut found: Vec<RangeInclusive<u64>> = Vec::new();
    for lons in &lons {
        let mut squares = vec![Square { lon: 0, lat: 0, depth: 0 }];
        let mut inside = Vec::new();
        while !squares.is_empty() && squares.len() + inside.len() < BOX_CELLS_MAX {
            let mut next = Vec::new();
            for square in squares.into_iter().flat_map(Square::quarters) {
                let (own_lons, own_lats) = square.sides();
                if !touch(&own_lons, lons) || !touch(&own_lats, &lats) {
                    continue;
                }
                if square.depth == 32 || (holds(lons, &own_lons) && holds(&lats, &own_lats)) {
                    inside.push(square);
                } else {
                    next.push(square);
                }
            }
            squares = next;
        }
        found.extend(inside.into_iter().chain(squares).map(Square::numbers));
    }
    found.sort_unstable_by_key(|it| *it.start());
    let mut joined: Vec<RangeInclusive<u64>> = Vec::new();
    for range in found {
        match joined.last_mut() {
            Some(last) if last.end().saturating_add(1) >= *range.start() => {
                *last = *last.start()..=*range.end().max(last.end());
            }
            _ => joined.push(range),
        }
    }
    joined
}

fn touch(a: &RangeInclusive<u32>, b: &RangeInclusive<u32>) -> bool {
    a.start() <= b.end() && b.start() <= a.end()
}

fn holds(outer: &RangeInclusive<u32>, inner: &RangeInclusive<u32>) -> bool {
    outer.start() <= inner.start() && inner.end() <= outer.end()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_range(number: u64, cells: &[(Cell, Cell)]) -> usize {
        Cell::around(number)
            .map(|cell| {
                cells
                    .iter()
                    .filter(|(from, to)| from.level == cell.level && *from <= cell && cell <= *to)
                    .count()
            })
            .sum()
    }

    fn numbers() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            0..2000u64,
            Just(u64::MAX),
            (0..64u32).prop_map(|it| 1 << it),
            any::<u16>().prop_map(|it| u64::from(it) << 40)
        ]
    }

    proptest! {
        #[test]
        fn a_range_is_made_of_its_cells(a in numbers(), b in numbers(), probes in prop::collection::vec(numbers(), 0..20)) {
            let (from, to) = (a.min(b), a.max(b));
            let cells = range(from..=to);
            prop_assert!(cells.len() <= 2 * usize::from(LEVELS));
            let near = [from, to, from.wrapping_sub(1), to.wrapping_add(1), from / 2 + to / 2];
            for number in probes.into_iter().chain(near) {
                let expected = usize::from((from..=to).contains(&number));
                prop_assert_eq!(in_range(number, &cells), expected, "{} in {}..={}", number, from, to);
            }
        }

        #[test]
        fn numbers_keep_their_order(a in any::<f64>(), b in any::<f64>(), c in any::<i64>(), d in any::<i64>()) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(ordered_double(a).cmp(&ordered_double(b)), a.partial_cmp(&b).unwrap());
            prop_assert_eq!(ordered_long(c).cmp(&ordered_long(d)), c.cmp(&d));
        }

        #[test]
        fn a_box_holds_its_points(
            corner in (-90.0..=90.0f64, -180.0..=180.0f64), other in (-90.0..=90.0f64, -180.0..=180.0f64),
            at in (0.0..=1.0f64, 0.0..=1.0f64)
        ) {
            let bounds = BoundingBox {
                top: corner.0.max(other.0), bottom: corner.0.min(other.0), left: corner.1, right: other.1,
            };
            let ranges = box_ranges(&bounds);
            prop_assert!(ranges.len() <= 4 * BOX_CELLS_MAX);
            let width = if corner.1 <= other.1 { other.1 - corner.1 } else { other.1 - corner.1 + 360.0 };
            let lon = corner.1 + width * at.1;
            let point = Point {
                lat: bounds.bottom + (bounds.top - bounds.bottom) * at.0,
                lon: if lon > 180.0 { lon - 360.0 } else { lon },
            };
            prop_assume!(bounds.contains(point));
            prop_assert!(ranges.iter().any(|it| it.contains(&ordered_point(point))), "{point:?}");
        }
    }

    #[test]
    fn small_boxes_leave_most_of_the_world_out() {
        let paris = BoundingBox { top: 48.9, left: 2.2, bottom: 48.8, right: 2.4 };
        let share: f64 =
            box_ranges(&paris).iter().map(|it| (it.end() - it.start()) as f64 / u64::MAX as f64).sum();
        let own = 0.1 * 0.2 / (180.0 * 360.0);
        assert!(share < own * 2.0, "{} times as much", share / own);
    }
}
