use super::Point;

/// Half the axes of the earth in WGS 84, in metres, and its flattening.
const MAJOR_M: f64 = 6_378_137.0;
const MINOR_M: f64 = 6_356_752.314_245;
const FLATTENING: f64 = 1.0 / 298.257_223_563;
const MEAN_RADIUS_M: f64 = 6_371_008.8;
/// Steps after which points count as opposite ones, for which the iteration does not end.
const STEPS_MAX: usize = 100;

/// The length of the geodesic between two points, in metres: the inverse formula of T. Vincenty, "Direct and Inverse
/// Solutions of Geodesics on the Ellipsoid" (1975). For nearly opposite points, where it has no answer, the distance is
/// that on a sphere.
pub(super) fn distance_m(a: Point, b: Point) -> f64 {
    let l = (b.lon - a.lon).to_radians();
    let (sin_u1, cos_u1) = reduced(a.lat);
    let (sin_u2, cos_u2) = reduced(b.lat);
    let mut lambda = l;
    for _ in 0..STEPS_MAX {
        let (sin_lambda, cos_lambda) = lambda.sin_cos();
        let across = cos_u2 * sin_lambda;
        let along = cos_u1 * sin_u2 - sin_u1 * cos_u2 * cos_lambda;
        let sin_sigma = across.hypot(along);
        if sin_sigma == 0.0 {
            return if a.lat == b.lat { 0.0 } else { spherical_m(a, b) };
        }
        let cos_sigma = sin_u1 * sin_u2 + cos_u1 * cos_u2 * cos_lambda;
        let sigma = sin_sigma.atan2(cos_sigma);
        let sin_alpha = cos_u1 * cos_u2 * sin_lambda / sin_sigma;
        let cos2_alpha = 1.0 - sin_alpha * sin_alpha;
        // On the equator there is no such angle.
        let cos_2sm = if cos2_alpha > 1e-15 { cos_sigma - 2.0 * sin_u1 * sin_u2 / cos2_alpha } else { 0.0 };
        let c = FLATTENING / 16.0 * cos2_alpha * (4.0 + FLATTENING * (4.0 - 3.0 * cos2_alpha));
        let inner = cos_2sm + c * cos_sigma * (2.0 * cos_2sm * cos_2sm - 1.0);
        let next = l + (1.0 - c) * FLATTENING * sin_alpha * (sigma + c * sin_sigma * inner);
        let done = (next - lambda).abs() < 1e-12;
        lambda = next;
        if done {
            let u2 = cos2_alpha * (MAJOR_M * MAJOR_M - MINOR_M * MINOR_M) / (MINOR_M * MINOR_M);
            let big_a = 1.0 + u2 / 16384.0 * (4096.0 + u2 * (-768.0 + u2 * (320.0 - 175.0 * u2)));
            let big_b = u2 / 1024.0 * (256.0 + u2 * (-128.0 + u2 * (74.0 - 47.0 * u2)));
            let square = cos_2sm * cos_2sm;
            let delta = big_b
                * sin_sigma
                * (cos_2sm
                    + big_b / 4.0
                        * (cos_sigma * (2.0 * square - 1.0)
                            - big_b / 6.0
                                * cos_2sm
                                * (4.0 * sin_sigma * sin_sigma - 3.0)
                                * (4.0 * square - 3.0)));
            return MINOR_M * big_a * (sigma - delta);
        }
    }
    spherical_m(a, b)
}

/// Sine and cosine of the latitude on the auxiliary sphere.
fn reduced(lat: f64) -> (f64, f64) {
    ((1.0 - FLATTENING) * lat.to_radians().tan()).atan().sin_cos()
}

fn spherical_m(a: Point, b: Point) -> f64 {
    let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
    let chord = half(a.lat, b.lat) + a.lat.to_radians().cos() * b.lat.to_radians().cos() * half(a.lon, b.lon);
    2.0 * MEAN_RADIUS_M * chord.sqrt().clamp(0.0, 1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_on_the_ellipsoid() {
        let at = |lat, lon| Point { lat, lon };
        for (a, b, expected) in [
            (at(0.0, 0.0), at(0.0, 1.0), 111_319.491),
            (at(0.0, 0.0), at(1.0, 0.0), 110_574.389),
            (at(0.0, 0.0), at(0.0, 0.0), 0.0),
            // Flinders Peak to Buninyon, the example that geodesists check with.
            (at(-37.951_033_417, 144.424_867_889), at(-37.652_821_139, 143.926_495_528), 54_972.271),
            (at(90.0, 0.0), at(-90.0, 0.0), 20_003_931.459),
        ] {
            assert!((distance_m(a, b) - expected).abs() < 0.001, "{a:?} {b:?}: {}", distance_m(a, b));
            assert!((distance_m(b, a) - expected).abs() < 0.001);
        }
        let opposite = distance_m(at(0.0, 0.0), at(0.5, 179.7));
        assert!((19_900_000.0..20_010_000.0).contains(&opposite), "{opposite}");
    }
}
