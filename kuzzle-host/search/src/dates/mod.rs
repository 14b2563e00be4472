//! Dates: formats as the mappings name them, date math, time zones and rounding. A date is a number of milliseconds
//! since 1970-01-01T00:00:00Z; what "now" is, the caller says.

mod format;
mod math;
mod named;

use chrono::{
    DateTime, Datelike, Duration, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Timelike,
};

use crate::error::{Error, ErrorKind, Result};
pub(crate) use format::DateFormats;
pub(crate) use math::{DateMath, duration_ms};

/// The years that dates may have.
const YEARS: std::ops::RangeInclusive<i32> = -9999..=9999;

/// A time zone: a fixed offset or a name of the IANA data base.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Zone {
    Fixed { offset_secs: i32 },
    Named(chrono_tz::Tz),
}

impl Zone {
    pub(crate) const UTC: Zone = Zone::Fixed { offset_secs: 0 };

    /// `Z`, `+02:00`, `+0200`, `+02`, `-5` or a name such as `Europe/Paris`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text == "Z" || text.eq_ignore_ascii_case("utc") {
            return Ok(Self::UTC);
        }
        if let Some(offset_secs) = parse_offset(text) {
            return Ok(Zone::Fixed { offset_secs });
        }
        text.parse().map(Zone::Named).map_err(|_| {
            Error::bare(
                ErrorKind::Malformed,
                format!(
                    "found the time zone `{}`, expected an offset such as `+02:00` or a name such as `Europe/Paris`",
                    crate::node::excerpt(text)
                ),
            )
        })
    }

    /// What has to be added to UTC at this moment.
    pub(crate) fn offset_ms(self, utc_ms: i64) -> i64 {
        let secs = match self {
            Zone::Fixed { offset_secs } => offset_secs,
            Zone::Named(zone) => match civil(utc_ms) {
                Some(utc) => zone.offset_from_utc_datetime(&utc).fix().local_minus_utc(),
                None => 0,
            },
        };
        i64::from(secs) * 1000
    }

    /// The moment that a clock of this zone shows as `local`. In a gap, the offset before it holds; of two moments, the
    /// earlier one.
    pub(crate) fn to_utc(self, local_ms: i64) -> i64 {
        match self {
            Zone::Fixed { offset_secs } => local_ms.saturating_sub(i64::from(offset_secs) * 1000),
            Zone::Named(zone) => {
                let found = civil(local_ms).and_then(|local| zone.from_local_datetime(&local).earliest());
                match found {
                    Some(moment) => moment.timestamp_millis(),
                    None => local_ms.saturating_sub(self.offset_ms(local_ms.saturating_sub(86_400_000))),
                }
            }
        }
    }

    pub(crate) fn to_local(self, utc_ms: i64) -> i64 {
        utc_ms.saturating_add(self.offset_ms(utc_ms))
    }
}

fn parse_offset(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|it| *it != ':').collect();
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.parse::<i32>().ok()?, 0),
        3 => (digits[..1].parse().ok()?, digits[1..].parse().ok()?),
        _ => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A unit of the calendar, to add and to round to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
}

impl Unit {
    /// Rounds a time of the calendar down. `None` beyond the years that dates may have.
    pub(crate) fn floor(self, local_ms: i64) -> Option<i64> {
        let time = civil(local_ms)?;
        let date = time.date();
        let start = |date: NaiveDate| date.and_time(NaiveTime::MIN);
        let rounded = match self {
            Unit::Year => start(date.with_ordinal(1)?),
            Unit::Quarter => start(date.with_day(1)?.with_month(date.month0() / 3 * 3 + 1)?),
            Unit::Month => start(date.with_day(1)?),
            Unit::Week => {
                let back = i64::from(date.weekday().num_days_from_monday());
                start(date.checked_sub_signed(Duration::days(back))?)
            }
            Unit::Day => start(date),
            Unit::Hour => start(date) + Duration::hours(i64::from(time.hour())),
            Unit::Minute => {
                start(date) + Duration::minutes(i64::from(time.hour()) * 60 + i64::from(time.minute()))
            }
            Unit::Second => start(date) + Duration::seconds(i64::from(time.num_seconds_from_midnight())),
        };
        Some(millis(rounded))
    }

    /// Adds a number of units to a time of the calendar; the day of the month is cut to the month's last.
    pub(crate) fn add(self, local_ms: i64, count: i64) -> Option<i64> {
        let time = civil(local_ms)?;
        let months = |per_unit: i64| {
            let months = count.checked_mul(per_unit)?;
            let size = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
            if months < 0 { time.checked_sub_months(size) } else { time.checked_add_months(size) }
        };
        let millis_of = |per_unit: i64| {
            time.checked_add_signed(Duration::try_milliseconds(count.checked_mul(per_unit)?)?)
        };
        let moved = match self {
            Unit::Year => months(12)?,
            Unit::Quarter => months(3)?,
            Unit::Month => months(1)?,
            Unit::Week => millis_of(7 * 86_400_000)?,
            Unit::Day => millis_of(86_400_000)?,
            Unit::Hour => millis_of(3_600_000)?,
            Unit::Minute => millis_of(60_000)?,
            Unit::Second => millis_of(1000)?,
        };
        in_range(moved).map(millis)
    }
}

/// The calendar's reading of a number of milliseconds. `None` beyond the years that dates may have.
pub(crate) fn civil(ms: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_millis(ms).map(|it| it.naive_utc()).and_then(in_range)
}

fn in_range(time: NaiveDateTime) -> Option<NaiveDateTime> {
    YEARS.contains(&time.year()).then_some(time)
}

pub(crate) fn millis(time: NaiveDateTime) -> i64 {
    time.and_utc().timestamp_millis()
}

#[cfg(test)]
mod tests;
