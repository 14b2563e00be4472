use super::Point;

const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
/// Shorter ones would be taken for words; longer ones say nothing that a double can hold.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=24;

/// The centre of a geohash's cell; `None` for what is no geohash.
pub(crate) fn decode(hash: &str) -> Option<Point> {
    if !LENGTHS.contains(&hash.len()) {
        return None;
    }
    let mut lon = (-180.0, 180.0);
    let mut lat = (-90.0, 90.0);
    let mut even = true;
    for byte in hash.bytes() {
        let bits = ALPHABET.iter().position(|it| *it == byte)?;
        for shift in (0..5).rev() {
            let range = if even { &mut lon } else { &mut lat };
            let middle = (range.0 + range.1) / 2.0;
            if bits >> shift & 1 == 1 {
                range.0 = middle;
            } else {
                range.1 = middle;
            }
            even = !even;
        }
    }
    Point::new((lat.0 + lat.1) / 2.0, (lon.0 + lon.1) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes() {
        let back = decode("u4pruydqqvj").unwrap();
        assert!((back.lat - 57.649_11).abs() < 1e-5 && (back.lon - 10.407_44).abs() < 1e-5);
        for no_hash in ["", "abc", "ilao", "dr5regy3zcs0dr5regy3zcs0d", "DR5R"] {
            assert_eq!(decode(no_hash), None, "{no_hash}");
        }
    }
}
