use chrono::{Datelike, NaiveDate, NaiveTime, Timelike, Weekday};

use super::{Zone, civil, in_range, millis, named, parse_offset};
use crate::error::{Error, ErrorKind, Result};
use crate::node::excerpt;

/// Formats of a date field: each is tried for reading, the first one prints.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DateFormats {
    name: String,
    formats: Vec<Format>,
}

#[derive(Debug, Clone, PartialEq)]
enum Format {
    EpochMillis,
    EpochSecond,
    Pattern { parts: Vec<Part>, strict: bool, iso: bool },
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Literal(char),
    Number { field: Field, digits: usize },
    Fraction { digits: usize },
    MonthName { short: bool },
    DayName { short: bool },
    HalfDay,
    Offset { colon: bool },
    ZoneName,
    Optional(Vec<Part>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Field {
    Year,
    YearOfCentury,
    WeekYear,
    Month,
    Week,
    DayOfWeek,
    Day,
    DayOfYear,
    Hour,
    HourOfHalf,
    Minute,
    Second,
}

#[derive(Debug, Clone, Default)]
struct Parsed {
    year: Option<i32>,
    week_year: Option<i32>,
    month: Option<u32>,
    week: Option<u32>,
    day_of_week: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    hour: Option<u32>,
    hour_of_half: Option<u32>,
    afternoon: bool,
    minute: Option<u32>,
    second: Option<u32>,
    milli: Option<u32>,
    zone: Option<Zone>,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl DateFormats {
    /// Names and patterns, separated by `||`.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let formats = name.split("||").map(|one| Format::parse(one.trim())).collect::<Result<_>>()?;
        Ok(Self { name: name.to_owned(), formats })
    }

    /// What fields have that name no format.
    pub(crate) fn standard() -> Self {
        let pattern = named::pattern("date_optional_time").unwrap_or_default();
        let parts = parse_pattern(pattern).unwrap_or_default();
        Self {
            name: "strict_date_optional_time||epoch_millis".to_owned(),
            formats: vec![Format::Pattern { parts, strict: true, iso: true }, Format::EpochMillis],
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Milliseconds of a date. With `round_up`, hours and smaller that are not given are the day's last.
    pub(crate) fn read(&self, text: &str, zone: Zone, round_up: bool) -> Option<i64> {
        self.formats.iter().find_map(|format| format.read(text, zone, round_up))
    }

    /// The date in the first format.
    pub(crate) fn print(&self, ms: i64, zone: Zone) -> String {
        match self.formats.first() {
            Some(Format::EpochSecond) => ms.div_euclid(1000).to_string(),
            Some(Format::Pattern { parts, iso, .. }) => {
                let parts = if *iso { &full_iso() } else { parts };
                let mut out = String::new();
                match civil(zone.to_local(ms)) {
                    Some(_) => print(parts, ms, zone, &mut out),
                    None => out = ms.to_string(),
                }
                out
            }
            _ => ms.to_string(),
        }
    }
}

fn full_iso() -> Vec<Part> {
    parse_pattern("yyyy-MM-dd'T'HH:mm:ss.SSSZZ").unwrap_or_default()
}

impl Format {
    fn parse(name: &str) -> Result<Self> {
        match name {
            "epoch_millis" | "epochMillis" => return Ok(Format::EpochMillis),
            "epoch_second" | "epochSecond" => return Ok(Format::EpochSecond),
            _ => {}
        }
        let (strict, plain) = match name.strip_prefix("strict_").or_else(|| name.strip_prefix("strict")) {
            Some(plain) => (true, plain),
            None => (false, name),
        };
        let mut lowered = plain.to_owned();
        if strict && let Some(first) = lowered.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        if let Some(pattern) = named::pattern(&lowered) {
            let iso = lowered == "date_optional_time" || lowered == "dateOptionalTime";
            return Ok(Format::Pattern { parts: parse_pattern(pattern)?, strict, iso });
        }
        if name.contains(['[', ']']) {
            return Err(bad_pattern(name, "`[` and `]` stand in no pattern"));
        }
        Ok(Format::Pattern { parts: parse_pattern(name)?, strict: false, iso: false })
    }

    fn read(&self, text: &str, zone: Zone, round_up: bool) -> Option<i64> {
        match self {
            Format::EpochMillis => text.parse().ok().filter(|ms| civil(*ms).is_some()),
            Format::EpochSecond => {
                let seconds: i64 = text.parse().ok()?;
                seconds.checked_mul(1000).filter(|ms| civil(*ms).is_some())
            }
            Format::Pattern { parts, strict, .. } => {
                let mut parsed = Parsed::default();
                let rest = read(parts, text, *strict, &mut parsed)?;
                if rest.is_empty() { parsed.millis(zone, round_up) } else { None }
            }
        }
    }
}

fn bad_pattern(pattern: &str, why: &str) -> Error {
    Error::bare(ErrorKind::Malformed, format!("invalid date format `{}`: {why}", excerpt(pattern)))
}

fn parse_pattern(pattern: &str) -> Result<Vec<Part>> {
    if pattern.is_empty() || pattern.len() > 200 {
        return Err(bad_pattern(pattern, "expected 1 to 200 characters"));
    }
    let mut open: Vec<Vec<Part>> = vec![Vec::new()];
    let mut chars = pattern.chars().peekable();
    while let Some(letter) = chars.next() {
        let part = match letter {
            '[' => {
                open.push(Vec::new());
                continue;
            }
            ']' => {
                let inner = open.pop().unwrap_or_default();
                Part::Optional(inner)
            }
            '\'' => {
                if chars.peek() == Some(&'\'') {
                    chars.next();
                    Part::Literal('\'')
                } else {
                    let literals = open.last_mut().ok_or_else(|| bad_pattern(pattern, "unbalanced `]`"))?;
                    for inner in chars.by_ref().take_while(|it| *it != '\'') {
                        literals.push(Part::Literal(inner));
                    }
                    continue;
                }
            }
            letter if letter.is_ascii_alphabetic() => {
                let mut count = 1;
                while chars.peek() == Some(&letter) {
                    chars.next();
                    count += 1;
                }
                letter_part(letter, count).ok_or_else(|| {
                    bad_pattern(pattern, &format!("`{letter}` is no letter of a date pattern"))
                })?
            }
            other => Part::Literal(other),
        };
        open.last_mut().ok_or_else(|| bad_pattern(pattern, "unbalanced `]`"))?.push(part);
    }
    match (open.pop(), open.is_empty()) {
        (Some(parts), true) => Ok(parts),
        _ => Err(bad_pattern(pattern, "unbalanced `[`")),
    }
}

fn letter_part(letter: char, count: usize) -> Option<Part> {
    let number = |field| Some(Part::Number { field, digits: count });
    match letter {
        'y' | 'Y' | 'u' if count == 2 => number(Field::YearOfCentury),
        'y' | 'Y' | 'u' => number(Field::Year),
        'x' => number(Field::WeekYear),
        'M' if count >= 3 => Some(Part::MonthName { short: count == 3 }),
        'M' => number(Field::Month),
        'w' => number(Field::Week),
        'e' => number(Field::DayOfWeek),
        'E' => Some(Part::DayName { short: count <= 3 }),
        'd' => number(Field::Day),
        'D' => number(Field::DayOfYear),
        'H' => number(Field::Hour),
        'h' => number(Field::HourOfHalf),
        'm' => number(Field::Minute),
        's' => number(Field::Second),
        'S' => Some(Part::Fraction { digits: count.min(9) }),
        'a' => Some(Part::HalfDay),
        'Z' if count >= 3 => Some(Part::ZoneName),
        'Z' => Some(Part::Offset { colon: count == 2 }),
        'z' => Some(Part::ZoneName),
        _ => None,
    }
}

/// Reads parts from the start of a text; gives what is left.
fn read<'t>(parts: &[Part], text: &'t str, strict: bool, parsed: &mut Parsed) -> Option<&'t str> {
    let mut text = text;
    for (position, part) in parts.iter().enumerate() {
        text = match part {
            Part::Literal(literal) => text.strip_prefix(*literal)?,
            Part::Optional(inner) => {
                let mut tried = parsed.clone();
                match read(inner, text, strict, &mut tried) {
                    Some(rest) => {
                        *parsed = tried;
                        rest
                    }
                    None => text,
                }
            }
            Part::Number { field, digits } => {
                let followed = matches!(parts.get(position + 1), Some(Part::Number { .. }));
                read_number(*field, *digits, followed || strict, text, parsed)?
            }
            Part::Fraction { .. } => {
                let (digits, rest) = split_digits(text, 9);
                let scaled = format!("{digits:0<3}");
                parsed.milli = Some(scaled.get(..3)?.parse().ok()?);
                if digits.is_empty() {
                    return None;
                }
                rest
            }
            Part::MonthName { .. } => {
                let (index, rest) = read_name(&MONTHS, text)?;
                parsed.month = Some(index + 1);
                rest
            }
            Part::DayName { .. } => {
                let (index, rest) = read_name(&DAYS, text)?;
                parsed.day_of_week = Some(index + 1);
                rest
            }
            Part::HalfDay => {
                let half = text.get(..2)?.to_ascii_lowercase();
                parsed.afternoon = match half.as_str() {
                    "am" => false,
                    "pm" => true,
                    _ => return None,
                };
                &text[2..]
            }
            Part::Offset { .. } => {
                if let Some(rest) = text.strip_prefix('Z') {
                    parsed.zone = Some(Zone::UTC);
                    rest
                } else {
                    let end = text.find(|it: char| !(it.is_ascii_digit() || "+-:".contains(it)));
                    let (offset, rest) = text.split_at(end.unwrap_or(text.len()));
                    parsed.zone = Some(Zone::Fixed { offset_secs: parse_offset(offset)? });
                    rest
                }
            }
            Part::ZoneName => {
                let end = text.find(|it: char| !(it.is_ascii_alphanumeric() || "+-:/_".contains(it)));
                let (name, rest) = text.split_at(end.unwrap_or(text.len()));
                parsed.zone = Some(Zone::parse(name).ok()?);
                rest
            }
        };
    }
    Some(text)
}

fn split_digits(text: &str, max: usize) -> (&str, &str) {
    let end = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

fn read_number<'t>(
    field: Field,
    digits: usize,
    exact: bool,
    text: &'t str,
    parsed: &mut Parsed,
) -> Option<&'t str> {
    let year = matches!(field, Field::Year | Field::WeekYear);
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) if year => (true, rest),
        _ => (false, text),
    };
    let longest = if exact {
        digits
    } else if year {
        9
    } else {
        digits.max(2)
    };
    let (number, rest) = split_digits(unsigned, longest);
    if number.is_empty() || (exact && number.len() != digits) {
        return None;
    }
    let value: i32 = number.parse().ok()?;
    let small = u32::try_from(value).ok()?;
    match field {
        Field::Year => parsed.year = Some(if negative { -value } else { value }),
        Field::YearOfCentury => parsed.year = Some(if value < 70 { 2000 + value } else { 1900 + value }),
        Field::WeekYear => parsed.week_year = Some(if negative { -value } else { value }),
        Field::Month => parsed.month = Some(small),
        Field::Week => parsed.week = Some(small),
        Field::DayOfWeek => parsed.day_of_week = Some(small),
        Field::Day => parsed.day = Some(small),
        Field::DayOfYear => parsed.day_of_year = Some(small),
        Field::Hour => parsed.hour = Some(small),
        Field::HourOfHalf => parsed.hour_of_half = Some(small),
        Field::Minute => parsed.minute = Some(small),
        Field::Second => parsed.second = Some(small),
    }
    Some(rest)
}

fn read_name<'t>(names: &[&str], text: &'t str) -> Option<(u32, &'t str)> {
    for (index, name) in (0u32..).zip(names) {
        for name in [*name, &name[..3]] {
            if text.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
                return Some((index, &text[name.len()..]));
            }
        }
    }
    None
}

impl Parsed {
    fn millis(&self, default_zone: Zone, round_up: bool) -> Option<i64> {
        let date = self.date()?;
        let or = |given: Option<u32>, last: u32| given.unwrap_or(if round_up { last } else { 0 });
        let hour = match self.hour_of_half {
            Some(hour) if (1..=12).contains(&hour) => Some(hour % 12 + if self.afternoon { 12 } else { 0 }),
            Some(_) => return None,
            None => self.hour,
        };
        let time = NaiveTime::from_hms_milli_opt(
            or(hour, 23),
            or(self.minute, 59),
            or(self.second, 59),
            or(self.milli, 999),
        )?;
        let local = millis(in_range(date.and_time(time))?);
        Some(self.zone.unwrap_or(default_zone).to_utc(local))
    }

    fn date(&self) -> Option<NaiveDate> {
        if self.week.is_some() || self.week_year.is_some() {
            let day =
                Weekday::try_from(u8::try_from(self.day_of_week.unwrap_or(1).checked_sub(1)?).ok()?).ok()?;
            let year = self.week_year.or(self.year).unwrap_or(1970);
            return NaiveDate::from_isoywd_opt(year, self.week.unwrap_or(1), day);
        }
        let year = self.year.unwrap_or(1970);
        match self.day_of_year {
            Some(day) => NaiveDate::from_yo_opt(year, day),
            None => NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1)),
        }
    }
}

fn print(parts: &[Part], ms: i64, zone: Zone, out: &mut String) {
    let Some(time) = civil(zone.to_local(ms)) else { return };
    for part in parts {
        match part {
            Part::Literal(letter) => out.push(*letter),
            Part::Optional(inner) => print(inner, ms, zone, out),
            Part::Fraction { digits } => {
                let fraction = format!("{:03}000000", time.and_utc().timestamp_subsec_millis());
                out.push_str(&fraction[..*digits]);
            }
            Part::MonthName { short } => push_name(MONTHS[time.month0() as usize], *short, out),
            Part::DayName { short } => {
                push_name(DAYS[time.weekday().num_days_from_monday() as usize], *short, out);
            }
            Part::HalfDay => out.push_str(if time.hour() < 12 { "AM" } else { "PM" }),
            Part::Offset { colon } => print_offset(zone.offset_ms(ms), *colon, out),
            Part::ZoneName => match zone {
                Zone::Named(zone) => out.push_str(zone.name()),
                Zone::Fixed { offset_secs: 0 } => out.push_str("UTC"),
                Zone::Fixed { .. } => print_offset(zone.offset_ms(ms), true, out),
            },
            Part::Number { field, digits } => {
                let value = match field {
                    Field::Year => time.year(),
                    Field::YearOfCentury => time.year().rem_euclid(100),
                    Field::WeekYear => time.iso_week().year(),
                    Field::Month => time.month() as i32,
                    Field::Week => time.iso_week().week() as i32,
                    Field::DayOfWeek => time.weekday().number_from_monday() as i32,
                    Field::Day => time.day() as i32,
                    Field::DayOfYear => time.ordinal() as i32,
                    Field::Hour => time.hour() as i32,
                    Field::HourOfHalf => time.hour12().1 as i32,
                    Field::Minute => time.minute() as i32,
                    Field::Second => time.second() as i32,
                };
                let sign = if value < 0 { "-" } else { "" };
                out.push_str(&format!("{sign}{:0width$}", value.abs(), width = *digits));
            }
        }
    }
}

fn push_name(name: &str, short: bool, out: &mut String) {
    out.push_str(if short { &name[..3] } else { name });
}

fn print_offset(offset_ms: i64, colon: bool, out: &mut String) {
    if offset_ms == 0 && colon {
        out.push('Z');
        return;
    }
    let minutes = offset_ms.abs() / 60_000;
    let between = if colon { ":" } else { "" };
    let sign = if offset_ms < 0 { '-' } else { '+' };
    out.push_str(&format!("{sign}{:02}{between}{:02}", minutes / 60, minutes % 60));
}
