use serde_json::{Map, Value, json};

use super::parse::Metric;

/// Count, ends, sums of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    count: u64,
    min: f64,
    max: f64,
    sum: f64,
    squares: f64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, squares: 0.0 }
    }
}

impl Numbers {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += value;
        self.squares += value * value;
    }

    pub(super) fn count_only(&mut self, count: u64) {
        self.count += count;
    }

    fn variance(&self) -> f64 {
        let count = self.count as f64;
        ((self.squares - self.sum * self.sum / count) / count).max(0.0)
    }

    /// One number of it, for ordering; `None` when it has no such number.
    pub(super) fn property(&self, metric: Metric, name: Option<&str>) -> Option<f64> {
        let single = match metric {
            Metric::Min => Some("min"),
            Metric::Max => Some("max"),
            Metric::Avg => Some("avg"),
            Metric::Sum => Some("sum"),
            Metric::ValueCount => Some("count"),
            Metric::Stats | Metric::ExtendedStats { .. } => None,
        };
        let name = match (single, name) {
            (Some(own), None | Some("value")) => own,
            (None, Some(name)) => name,
            _ => return None,
        };
        let extended = matches!(metric, Metric::ExtendedStats { .. });
        Some(match name {
            "count" => self.count as f64,
            "min" => self.min,
            "max" => self.max,
            "avg" => self.sum / self.count as f64,
            "sum" => self.sum,
            "sum_of_squares" if extended => self.squares,
            "variance" if extended => self.variance(),
            "std_deviation" if extended => self.variance().sqrt(),
            _ => return None,
        })
    }

    /// The result. `as_string` makes texts of values of dates.
    pub(super) fn render(
        &self,
        metric: Metric,
        as_string: Option<&dyn Fn(f64) -> String>,
    ) -> Map<String, Value> {
        let some = |value: f64| if self.count == 0 { Value::Null } else { json!(value) };
        let mut out = Map::new();
        let mut put = |name: &str, value: f64| {
            out.insert(name.to_owned(), some(value));
            if let (Some(as_string), true) = (as_string, self.count > 0) {
                out.insert(format!("{name}_as_string"), as_string(value).into());
            }
        };
        let avg = self.sum / self.count as f64;
        match metric {
            Metric::Min => put("value", self.min),
            Metric::Max => put("value", self.max),
            Metric::Avg => put("value", avg),
            Metric::Sum => {
                out.insert("value".to_owned(), json!(self.sum));
            }
            Metric::ValueCount => {
                out.insert("value".to_owned(), json!(self.count));
            }
            Metric::Stats | Metric::ExtendedStats { .. } => {
                put("min", self.min);
                put("max", self.max);
                put("avg", avg);
                put("sum", self.sum);
                out.insert("count".to_owned(), json!(self.count));
            }
        }
        if let Metric::ExtendedStats { sigma } = metric {
            let deviation = self.variance().sqrt();
            out.insert("sum_of_squares".to_owned(), some(self.squares));
            out.insert("variance".to_owned(), some(self.variance()));
            out.insert("std_deviation".to_owned(), some(deviation));
            let bounds =
                json!({"upper": some(avg + sigma * deviation), "lower": some(avg - sigma * deviation)});
            out.insert("std_deviation_bounds".to_owned(), bounds);
        }
        out
    }
}

/// The value below which so many percent of the sorted values lie, between neighbours in proportion.
pub(super) fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let place = percent / 100.0 * (sorted.len().checked_sub(1)?) as f64;
    let (low, high) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(low + (high - low) * place.fract())
}
