//! Ranges: bringing bounds into one form, and the intervals that they are.

use crate::value::{Number, Scalar, code_unit_order};

use super::expression::{Bound, Side};

/// Brings the bounds of one range, or of several on one field that all have to hold, into one form. `None` when nothing
/// can lie within.
///
/// Of numbers one bound a side is left. Strings are kept, since a string bounds numbers by its value and strings by its
/// characters.
pub(super) fn canonical(bounds: impl IntoIterator<Item = Bound>) -> Option<Box<[Bound]>> {
    let mut kept: Vec<Bound> = Vec::new();
    for bound in bounds {
        let bound = match bound.value {
            // It is compared as the number that it is in any case.
            Scalar::Bool(_) => Bound { side: bound.side, value: Scalar::Number(bound.value.number()?) },
            _ => bound,
        };
        let Scalar::Number(number) = bound.value else {
            kept.push(bound);
            continue;
        };
        let same_side = kept
            .iter_mut()
            .find(|it| it.side.is_lower() == bound.side.is_lower() && matches!(it.value, Scalar::Number(_)));
        match same_side {
            None => kept.push(bound),
            Some(other) => {
                let tighter = edge(bound.side, number)?;
                let present = edge(other.side, other.value.number()?)?;
                if if bound.side.is_lower() { tighter > present } else { tighter < present } {
                    *other = bound;
                }
            }
        }
    }
    kept.sort();
    kept.dedup();
    let numeric = kept.iter().filter(|bound| matches!(bound.value, Scalar::Number(_)));
    interval(numeric).map(|_| kept.into())
}

/// The ranks of the numbers that lie within all bounds; `None` when there are none.
pub(crate) fn numbers(bounds: &[Bound]) -> Option<(u64, u64)> {
    interval(bounds.iter())
}

fn interval<'a>(bounds: impl Iterator<Item = &'a Bound>) -> Option<(u64, u64)> {
    let (mut low, mut high) = (0, u64::MAX);
    for bound in bounds {
        let edge = edge(bound.side, bound.value.number()?)?;
        if bound.side.is_lower() {
            low = low.max(edge);
        } else {
            high = high.min(edge);
        }
    }
    (low <= high).then_some((low, high))
}

/// The rank of the outermost number that a bound lets in.
fn edge(side: Side, number: Number) -> Option<u64> {
    let rank = number.rank();
    match side {
        Side::Above => rank.checked_add(1),
        Side::Below => rank.checked_sub(1),
        Side::AtLeast | Side::AtMost => Some(rank),
    }
}

/// The keys between which all strings lie that are within the bounds that are strings; `None` when no bound is one.
pub(crate) fn texts(bounds: &[Bound]) -> Option<(u128, u128)> {
    let (mut low, mut high) = (0, u128::MAX);
    let mut any = false;
    for bound in bounds {
        let Scalar::Text(text) = &bound.value else { continue };
        any = true;
        if bound.side.is_lower() {
            low = low.max(text_key(text));
        } else {
            high = high.min(text_key(text));
        }
    }
    any.then_some((low, high))
}

/// The first 16 bytes of a string as a number that follows the order of strings. Different strings may have one key.
pub(crate) fn text_key(text: &str) -> u128 {
    let mut key = [0; 16];
    for (slot, byte) in key.iter_mut().zip(text.bytes()) {
        *slot = code_unit_order(byte);
    }
    u128::from_be_bytes(key)
}
