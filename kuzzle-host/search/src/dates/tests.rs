use super::*;

fn read(format: &str, text: &str) -> Option<i64> {
    DateFormats::parse(format).unwrap().read(text, Zone::UTC, false)
}

/// Milliseconds of a date that is written in full.
pub(crate) fn at(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

#[test]
fn the_standard_format_takes_parts_of_a_date_and_milliseconds() {
    let standard = DateFormats::standard();
    for (text, expected) in [
        ("2014", "2014-01-01T00:00:00Z"),
        ("2014-11", "2014-11-01T00:00:00Z"),
        ("2014-11-18", "2014-11-18T00:00:00Z"),
        ("2014-11-18T14", "2014-11-18T14:00:00Z"),
        ("2014-11-18T14:27:32", "2014-11-18T14:27:32Z"),
        ("2014-11-18T14:27:32.5", "2014-11-18T14:27:32.500Z"),
        ("2014-11-18T14:27:32.123456Z", "2014-11-18T14:27:32.123Z"),
        ("2014-11-18T14:27:32+02:00", "2014-11-18T12:27:32Z"),
        ("2014-11-18T14:27:32-0530", "2014-11-18T19:57:32Z"),
    ] {
        assert_eq!(standard.read(text, Zone::UTC, false), Some(at(expected)), "{text}");
    }
    assert_eq!(standard.read("1416320852000", Zone::UTC, false), Some(1_416_320_852_000));
    for text in
        ["", "x", "2014-13-01", "2014-02-30", "2014-1-1", "2014-11-18T25", "2014-11-18 14:27", "20141118T1"]
    {
        assert_eq!(standard.read(text, Zone::UTC, false), None, "{text}");
    }
}

#[test]
fn patterns_and_named_formats_read_and_print() {
    for (format, text, expected) in [
        ("yyyy/MM/dd HH:mm:ss||yyyy/MM/dd", "2014/11/18", "2014-11-18T00:00:00Z"),
        ("yyyy/MM/dd HH:mm:ss||yyyy/MM/dd", "2014/11/18 01:02:03", "2014-11-18T01:02:03Z"),
        ("dd MMM yyyy", "18 Nov 2014", "2014-11-18T00:00:00Z"),
        ("EEE, dd MMM yyyy HH:mm:ss Z", "Tue, 18 Nov 2014 14:00:00 +0100", "2014-11-18T13:00:00Z"),
        ("basic_date_time_no_millis", "20141118T142732Z", "2014-11-18T14:27:32Z"),
        ("basic_ordinal_date", "2014322", "2014-11-18T00:00:00Z"),
        ("week_date", "2014-W47-2", "2014-11-18T00:00:00Z"),
        ("hh:mm a dd-MM-yy", "02:27 PM 18-11-14", "2014-11-18T14:27:00Z"),
        ("epoch_second", "1416320852", "2014-11-18T14:27:32Z"),
        ("strict_year_month", "2014-11", "2014-11-01T00:00:00Z"),
        ("strictDateOptionalTime", "2014-11-18", "2014-11-18T00:00:00Z"),
    ] {
        assert_eq!(read(format, text), Some(at(expected)), "{format} {text}");
    }
    let moment = at("2014-11-18T14:27:32.120Z");
    for (format, expected) in [
        ("yyyy-MM-dd", "2014-11-18"),
        ("dd MMM yy, hh:mm a", "18 Nov 14, 02:27 PM"),
        ("EEEE MMMM d", "Tuesday November 18"),
        ("strict_date_optional_time||epoch_millis", "2014-11-18T14:27:32.120Z"),
        ("epoch_millis", "1416320852120"),
        ("week_date", "2014-W47-2"),
    ] {
        assert_eq!(DateFormats::parse(format).unwrap().print(moment, Zone::UTC), expected);
    }
    let paris = Zone::parse("Europe/Paris").unwrap();
    assert_eq!(DateFormats::standard().print(moment, paris), "2014-11-18T15:27:32.120+01:00");
    let error = DateFormats::parse("yyyy-MM-ddq").unwrap_err();
    assert_eq!(error.message(), "invalid date format `yyyy-MM-ddq`: `q` is no letter of a date pattern");
}

#[test]
fn date_math_adds_and_rounds() {
    let formats = DateFormats::standard();
    let math = DateMath { formats: &formats, now_ms: at("2015-03-18T14:27:32.120Z"), zone: Zone::UTC };
    for (text, up, expected) in [
        ("now", false, "2015-03-18T14:27:32.120Z"),
        ("now-1d", false, "2015-03-17T14:27:32.120Z"),
        ("now-1M+1d/d", false, "2015-02-19T00:00:00Z"),
        ("now/w", false, "2015-03-16T00:00:00Z"),
        ("now/d", true, "2015-03-18T23:59:59.999Z"),
        ("now+90m", false, "2015-03-18T15:57:32.120Z"),
        ("2014-01-31||+1M", false, "2014-02-28T00:00:00Z"),
        ("2014-11-18||/M", false, "2014-11-01T00:00:00Z"),
        ("2014-11-18||/M", true, "2014-11-30T23:59:59.999Z"),
        ("2014-11-18", true, "2014-11-18T23:59:59.999Z"),
        ("2014-11", true, "2014-11-01T23:59:59.999Z"),
        ("2014-11-18T10:00:00", true, "2014-11-18T10:00:00.999Z"),
    ] {
        assert_eq!(math.resolve(text, up).unwrap(), at(expected), "{text} {up}");
    }
    let in_paris = DateMath { zone: Zone::parse("Europe/Paris").unwrap(), ..math };
    assert_eq!(in_paris.resolve("now/d", false).unwrap(), at("2015-03-17T23:00:00Z"));
    assert_eq!(in_paris.resolve("2015-07-01", false).unwrap(), at("2015-06-30T22:00:00Z"));
    for (text, why) in [
        ("now*2", "found `*`, expected `+`, `-` or `/`"),
        ("now-1q", "found the unit `q`, expected y, M, w, d, h, m or s"),
        ("now+", "`+` without a unit"),
        ("now/2d", "rounding is to one unit, found 2"),
        ("now+99999999999y", "it leads beyond the years -9999 to 9999"),
        ("tomorrow", "failed to parse date field [tomorrow] with format"),
    ] {
        let error = math.resolve(text, false).unwrap_err();
        assert!(error.message().contains(why), "{error}");
    }
    let long = format!("now{}", "+1d".repeat(33));
    assert!(math.resolve(&long, false).unwrap_err().message().contains("more than 32 operations"));
}

#[test]
fn zones_know_their_gaps() {
    let paris = Zone::parse("Europe/Paris").unwrap();
    // The clock goes from 02:00 to 03:00 on this day.
    assert_eq!(paris.to_utc(at("2015-03-29T02:30:00Z")), at("2015-03-29T01:30:00Z"));
    assert_eq!(Zone::parse("+05:30").unwrap(), Zone::Fixed { offset_secs: 19_800 });
    assert!(Zone::parse("Mars/Olympus").is_err());
    assert_eq!(Unit::Quarter.floor(at("2015-08-31T10:00:00Z")), Some(at("2015-07-01T00:00:00Z")));
    assert_eq!(Unit::Quarter.add(at("2015-08-31T10:00:00Z"), 1), Some(at("2015-11-30T10:00:00Z")));
    assert_eq!(duration_ms("1.5h"), Some(5_400_000));
    assert_eq!(duration_ms("1y"), None);
}
