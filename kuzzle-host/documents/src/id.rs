//! Ids for documents that are written without one.

use std::time::{SystemTime, UNIX_EPOCH};

/// Length of a generated id, in characters.
const ID_LEN: usize = 20;

/// In the order of their bytes, so that ids sort as the numbers they stand for.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Returns a new id: 20 letters and digits, safe in URLs, of which 48 bits are the time in milliseconds and 70 are
/// random. The time comes first, so that documents created one after the other lie side by side in the store and a
/// batch of them touches few pages.
pub(crate) fn generate() -> String {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    let random = uuid::Uuid::new_v4().as_u128();
    // The low 62 bits of a version 4 UUID are random, and so are bits 64 to 75.
    encode((millis & 0xffff_ffff_ffff) << 11 | (random >> 64) as u64 & 0x7ff, random as u64 & ((1 << 59) - 1))
}

fn encode(high: u64, low: u64) -> String {
    let mut out = String::with_capacity(ID_LEN);
    for half in [high, low] {
        let mut power = 62u64.pow(ID_LEN as u32 / 2 - 1);
        while power > 0 {
            out.push(char::from(ALPHABET[(half / power % 62) as usize]));
            power /= 62;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_20_url_safe_characters_and_differ() {
        let ids: std::collections::HashSet<String> = (0..10_000).map(|_| generate()).collect();
        assert_eq!(ids.len(), 10_000);
        for id in &ids {
            assert_eq!(id.len(), 20);
            assert!(id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
        }
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        assert!(encode(1 << 11, 0) > encode((1 << 11) - 1, (1 << 59) - 1));
        assert!(encode((1 << 59) - 1, 5) > encode((1 << 59) - 1, 4));
        assert_eq!(encode(0, 61), "0000000000000000000z");
    }
}
