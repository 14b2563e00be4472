use std::collections::HashSet;

use crate::limits::CARDINALITY_EXACT_MAX;

/// Bits of a hash that choose a register: 16,384 registers, an error of about 0.8 %.
const BITS: u32 = 14;

/// Counts different values: exactly up to [`CARDINALITY_EXACT_MAX`], then by HyperLogLog.
#[derive(Debug, Clone)]
pub(super) enum Cardinality {
    Exact(HashSet<u64>),
    Estimate(Box<[u8]>),
}

impl Cardinality {
    pub(super) fn new() -> Self {
        Cardinality::Exact(HashSet::new())
    }

    pub(super) fn add(&mut self, value: &[u8]) {
        self.add_hash(hash(value));
    }

    fn add_hash(&mut self, hash: u64) {
        match self {
            Cardinality::Estimate(registers) => {
                let rank = (((hash << BITS) | (1 << (BITS - 1))).leading_zeros() + 1) as u8;
                let register = &mut registers[(hash >> (64 - BITS)) as usize];
                *register = (*register).max(rank);
            }
            Cardinality::Exact(hashes) => {
                hashes.insert(hash);
                if hashes.len() > CARDINALITY_EXACT_MAX {
                    let hashes = std::mem::take(hashes);
                    *self = Cardinality::Estimate(vec![0; 1 << BITS].into());
                    hashes.into_iter().for_each(|hash| self.add_hash(hash));
                }
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Cardinality::Exact(hashes) => hashes.len() as u64,
            Cardinality::Estimate(registers) => {
                let registers_n = registers.len() as f64;
                let sum: f64 = registers.iter().map(|rank| 2f64.powi(-i32::from(*rank))).sum();
                let raw = 0.7213 / (1.0 + 1.079 / registers_n) * registers_n * registers_n / sum;
                let empty = registers.iter().filter(|rank| **rank == 0).count() as f64;
                let linear = raw <= 2.5 * registers_n && empty > 0.0;
                (if linear { registers_n * (registers_n / empty).ln() } else { raw }).round() as u64
            }
        }
    }
}

/// FNV-1a, stirred so that all bits depend on all bytes.
fn hash(value: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in value {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_counted_and_many_estimated() {
        let mut some = Cardinality::new();
        for value in 0..1000u32 {
            some.add(&(value % 500).to_le_bytes());
        }
        assert_eq!(some.count(), 500);
        let mut many = Cardinality::new();
        for value in 0..200_000u32 {
            many.add(&value.to_le_bytes());
        }
        let error = (many.count() as f64 - 200_000.0).abs() / 200_000.0;
        assert!(matches!(many, Cardinality::Estimate(_)) && error < 0.03, "{}", many.count());
    }
}
