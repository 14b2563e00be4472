//! TF/IDF as Lucene 4 and 5 compute it, the loss of precision in stored lengths included.

/// The weight of how rare a term is.
pub(crate) fn idf(document_frequency: u64, documents: u64) -> f32 {
    ((documents as f64 / (document_frequency + 1) as f64).ln() + 1.0) as f32
}

/// The weight of how often it occurs.
pub(crate) fn tf(frequency: f32) -> f32 {
    frequency.sqrt()
}

/// The weight of a field's length in tokens, as it comes back from the one byte that Lucene stores.
pub(crate) fn length_norm(tokens: u32, boost: f32) -> f32 {
    decode(encode(boost / (tokens.max(1) as f32).sqrt()))
}

/// What makes scores of different queries comparable.
pub(crate) fn query_norm(sum_of_squares: f32) -> f32 {
    let norm = 1.0 / sum_of_squares.sqrt();
    if norm.is_finite() { norm } else { 1.0 }
}

/// Three bits of mantissa, five of exponent with the zero at 15.
fn encode(value: f32) -> u8 {
    const ZERO: i32 = (63 - 15) << 3;
    let small = (value.to_bits() as i32) >> (24 - 3);
    if small <= ZERO {
        return u8::from(value.to_bits() as i32 > 0);
    }
    u8::try_from(small - ZERO).unwrap_or(u8::MAX)
}

fn decode(byte: u8) -> f32 {
    if byte == 0 {
        return 0.0;
    }
    f32::from_bits((u32::from(byte) << (24 - 3)) + ((63 - 15) << 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_lose_precision_as_in_lucene() {
        // The values that explanations of Elasticsearch show as `fieldNorm`.
        for (tokens, expected) in [
            (1, 1.0),
            (2, 0.625),
            (3, 0.5),
            (4, 0.5),
            (5, 0.4375),
            (6, 0.375),
            (8, 0.3125),
            (10, 0.3125),
            (100, 0.09375),
        ] {
            assert_eq!(length_norm(tokens, 1.0), expected, "{tokens}");
        }
    }

    #[test]
    fn rarity() {
        assert_eq!(idf(0, 1), 1.0);
        assert_eq!(idf(1, 1), 0.306_852_82);
        assert_eq!(query_norm(0.0), 1.0);
    }
}
