use super::Point;

const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
/// Characters beyond which a geohash says nothing that a double can hold.
const LENGTH_MAX: usize = 24;

/// The geohash of a point: 5 bits of each character halve longitude and latitude in turn.
pub(crate) fn encode(point: Point, length: usize) -> String {
    let mut lon = (-180.0, 180.0);
    let mut lat = (-90.0, 90.0);
    let mut hash = String::with_capacity(length);
    let mut even = true;
    for _ in 0..length {
        let mut bits = 0usize;
        for _ in 0..5 {
            let (range, value) = if even { (&mut lon, point.lon) } else { (&mut lat, point.lat) };
            let middle = (range.0 + range.1) / 2.0;
            bits <<= 1;
            if value >= middle {
                bits |= 1;
                range.0 = middle;
            } else {
                range.1 = middle;
            }
            even = !even;
        }
        hash.push(char::from(ALPHABET[bits]));
    }
    hash
}

/// The centre of a geohash's cell.
pub(crate) fn decode(hash: &str) -> Option<Point> {
    if hash.is_empty() || hash.len() > LENGTH_MAX {
        return None;
    }
    let mut lon = (-180.0, 180.0);
    let mut lat = (-90.0, 90.0);
    let mut even = true;
    for byte in hash.bytes() {
        let bits = ALPHABET.iter().position(|it| *it == byte.to_ascii_lowercase())?;
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
        assert_eq!(encode(Point { lat: 57.649_11, lon: 10.407_44 }, 11), "u4pruydqqvj");
        let back = decode("u4pruydqqvj").unwrap();
        assert!((back.lat - 57.649_11).abs() < 1e-5 && (back.lon - 10.407_44).abs() < 1e-5);
        assert_eq!(decode("a"), None);
        assert_eq!(decode(""), None);
    }
}
