use super::{DateFormats, Unit, Zone};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::DATE_MATH_OPERATIONS_MAX;
use crate::node::excerpt;

/// How expressions such as `now-1d/d` and `2014-11-18||/M` are resolved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DateMath<'a> {
    pub(crate) formats: &'a DateFormats,
    /// Milliseconds since the epoch.
    pub(crate) now_ms: i64,
    /// Of dates without an offset, and of rounding.
    pub(crate) zone: Zone,
}

impl DateMath<'_> {
    /// Milliseconds of an expression. `round_up` gives the last millisecond of what is rounded or left out, as `gt` and
    /// `lte` of a range need it.
    pub(crate) fn resolve(&self, text: &str, round_up: bool) -> Result<i64> {
        let (anchor, operations) = match text.strip_prefix("now") {
            Some(operations) => (self.now_ms, operations),
            None => {
                let (date, operations) = text.split_once("||").unwrap_or((text, ""));
                let round_up = round_up && operations.is_empty();
                let anchor = self.formats.read(date, self.zone, round_up);
                (anchor.ok_or_else(|| self.unreadable(date))?, operations)
            }
        };
        let local = apply(self.zone.to_local(anchor), operations, round_up)
            .map_err(|why| bad(format!("found the date expression `{}`: {why}", excerpt(text))))?;
        Ok(if operations.is_empty() { anchor } else { self.zone.to_utc(local) })
    }

    fn unreadable(&self, date: &str) -> Error {
        bad(format!(
            "failed to parse date field [{}] with format [{}]",
            excerpt(date),
            excerpt(self.formats.name())
        ))
    }
}

fn bad(message: String) -> Error {
    Error::bare(ErrorKind::Malformed, message)
}

fn apply(start: i64, operations: &str, round_up: bool) -> std::result::Result<i64, String> {
    let beyond = || "it leads beyond the years -9999 to 9999".to_owned();
    let mut time = start;
    let mut rest = operations;
    for count in 0.. {
        if rest.is_empty() {
            return Ok(time);
        }
        if count == DATE_MATH_OPERATIONS_MAX {
            return Err(format!("more than {DATE_MATH_OPERATIONS_MAX} operations"));
        }
        let mut chars = rest.chars();
        let operator = chars.next().unwrap_or_default();
        let after = chars.as_str();
        if !matches!(operator, '+' | '-' | '/') {
            return Err(format!("found `{operator}`, expected `+`, `-` or `/`"));
        }
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let number = match &after[..digits] {
            "" => 1,
            digits => digits.parse::<i64>().map_err(|_| beyond())?,
        };
        let mut letters = after[digits..].chars();
        let unit = match letters.next() {
            Some('y') => Unit::Year,
            Some('M') => Unit::Month,
            Some('w') => Unit::Week,
            Some('d') => Unit::Day,
            Some('h' | 'H') => Unit::Hour,
            Some('m') => Unit::Minute,
            Some('s') => Unit::Second,
            Some(other) => return Err(format!("found the unit `{other}`, expected y, M, w, d, h, m or s")),
            None => return Err(format!("`{operator}` without a unit")),
        };
        rest = letters.as_str();
        time = match operator {
            '+' => unit.add(time, number).ok_or_else(beyond)?,
            '-' => unit.add(time, -number).ok_or_else(beyond)?,
            _ if number != 1 => return Err(format!("rounding is to one unit, found {number}")),
            _ => {
                let floor = unit.floor(time).ok_or_else(beyond)?;
                if round_up { unit.add(floor, 1).ok_or_else(beyond)? - 1 } else { floor }
            }
        };
    }
    Ok(time)
}

/// A duration such as `90m`, `1.5h` or `2d` in milliseconds.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let split = text.find(|it: char| !(it.is_ascii_digit() || it == '.'))?;
    let (number, unit) = text.split_at(split);
    let per_unit = match unit {
        "ms" => 1.0,
        "s" | "S" => 1000.0,
        "m" => 60_000.0,
        "h" | "H" => 3_600_000.0,
        "d" | "D" => 86_400_000.0,
        "w" | "W" => 7.0 * 86_400_000.0,
        _ => return None,
    };
    let ms = number.parse::<f64>().ok()? * per_unit;
    let whole = (ms.is_finite() && ms < 9.0e15).then_some(ms as i64)?;
    Some(if negative { -whole } else { whole })
}
