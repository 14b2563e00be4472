use super::{At, Clause};
use crate::document::Values;
use crate::query::{Combine, FieldValueFactor};

/// The functions of a `function_score`, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Functions {
    pub(crate) functions: Vec<CompiledFunction>,
    pub(crate) score_mode: Combine,
    pub(crate) boost_mode: Combine,
    pub(crate) max_boost: f32,
    pub(crate) min_score: Option<f32>,
}

#[derive(Debug, Clone)]
pub(crate) struct CompiledFunction {
    pub(crate) filter: Option<Clause>,
    pub(crate) value: FunctionValue,
    pub(crate) weight: f32,
}

#[derive(Debug, Clone)]
pub(crate) enum FunctionValue {
    One,
    Field(FieldValueFactor),
    Random { seed: u64 },
}

impl Functions {
    pub(super) fn filters(&self) -> impl Iterator<Item = &Clause> {
        self.functions.iter().filter_map(|function| function.filter.as_ref())
    }

    pub(super) fn filters_mut(&mut self) -> impl Iterator<Item = &mut Clause> {
        self.functions.iter_mut().filter_map(|function| function.filter.as_mut())
    }

    pub(super) fn score(&self, at: At<'_>, query: f32) -> Option<f32> {
        let made = f64::from(self.max_boost).min(self.combined(at));
        let query = f64::from(query);
        let score = match self.boost_mode {
            Combine::Multiply => query * made,
            Combine::Sum => query + made,
            Combine::Avg => (query + made) / 2.0,
            Combine::Max => query.max(made),
            Combine::Min => query.min(made),
            Combine::First => made,
        } as f32;
        // A logarithm of what is not positive makes no score at all.
        let score = if score.is_finite() { score } else { 0.0 };
        (self.min_score.is_none_or(|least| score >= least)).then_some(score)
    }

    fn combined(&self, at: At<'_>) -> f64 {
        let applies = |function: &&CompiledFunction| function.filter.as_ref().is_none_or(|it| it.matches(at));
        let mut values = self.functions.iter().filter(applies).map(|it| (it.value(at), f64::from(it.weight)));
        let Some((first, weight)) = values.next() else { return 1.0 };
        let start = first * weight;
        match self.score_mode {
            Combine::First => start,
            Combine::Multiply => values.fold(start, |product, (value, weight)| product * value * weight),
            Combine::Sum => values.fold(start, |sum, (value, weight)| sum + value * weight),
            Combine::Max => values.fold(start, |max, (value, weight)| max.max(value * weight)),
            Combine::Min => values.fold(start, |min, (value, weight)| min.min(value * weight)),
            Combine::Avg => {
                let (sum, weights) = values.fold((start, weight), |(sum, weights), (value, weight)| {
                    (sum + value * weight, weights + weight)
                });
                if weights == 0.0 { 1.0 } else { sum / weights }
            }
        }
    }
}

impl CompiledFunction {
    fn value(&self, at: At<'_>) -> f64 {
        match &self.value {
            FunctionValue::One => 1.0,
            FunctionValue::Random { seed } => random(*seed, &at.document.uid),
            FunctionValue::Field(factor) => {
                let found = at.block.field(&factor.field).and_then(|data| match &data.values {
                    Values::Long(values) => values.first().map(|it| *it as f64),
                    Values::Double(values) => values.first().copied(),
                    _ => None,
                });
                match found.or(factor.missing) {
                    Some(value) => factor.modifier.apply(value * f64::from(factor.factor)),
                    None => 1.0,
                }
            }
        }
    }
}

/// From 0 to 1, by the bits of a seed and an id.
fn random(seed: u64, id: &str) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in id.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((hash ^ (hash >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}
