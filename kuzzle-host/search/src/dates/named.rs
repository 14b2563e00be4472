//! The formats that Elasticsearch knows by name, as patterns. `[` and `]` enclose what may be absent.

/// The pattern of a named format, without the prefix `strict_`.
pub(super) fn pattern(name: &str) -> Option<&'static str> {
    Some(match name {
        "date_optional_time" | "dateOptionalTime" => "yyyy[-MM[-dd]]['T'[HH[:mm[:ss[.SSS]]]][ZZ]]",
        "basic_date" | "basicDate" => "yyyyMMdd",
        "basic_date_time" | "basicDateTime" => "yyyyMMdd'T'HHmmss.SSSZ",
        "basic_date_time_no_millis" | "basicDateTimeNoMillis" => "yyyyMMdd'T'HHmmssZ",
        "basic_ordinal_date" | "basicOrdinalDate" => "yyyyDDD",
        "basic_ordinal_date_time" | "basicOrdinalDateTime" => "yyyyDDD'T'HHmmss.SSSZ",
        "basic_ordinal_date_time_no_millis" | "basicOrdinalDateTimeNoMillis" => "yyyyDDD'T'HHmmssZ",
        "basic_time" | "basicTime" => "HHmmss.SSSZ",
        "basic_time_no_millis" | "basicTimeNoMillis" => "HHmmssZ",
        "basic_t_time" | "basicTTime" => "'T'HHmmss.SSSZ",
        "basic_t_time_no_millis" | "basicTTimeNoMillis" => "'T'HHmmssZ",
        "basic_week_date" | "basicWeekDate" => "xxxx'W'wwe",
        "basic_week_date_time" | "basicWeekDateTime" => "xxxx'W'wwe'T'HHmmss.SSSZ",
        "basic_week_date_time_no_millis" | "basicWeekDateTimeNoMillis" => "xxxx'W'wwe'T'HHmmssZ",
        "date" | "year_month_day" | "yearMonthDay" => "yyyy-MM-dd",
        "date_hour" | "dateHour" => "yyyy-MM-dd'T'HH",
        "date_hour_minute" | "dateHourMinute" => "yyyy-MM-dd'T'HH:mm",
        "date_hour_minute_second" | "dateHourMinuteSecond" => "yyyy-MM-dd'T'HH:mm:ss",
        "date_hour_minute_second_millis"
        | "dateHourMinuteSecondMillis"
        | "date_hour_minute_second_fraction"
        | "dateHourMinuteSecondFraction" => "yyyy-MM-dd'T'HH:mm:ss.SSS",
        "date_time" | "dateTime" => "yyyy-MM-dd'T'HH:mm:ss.SSSZZ",
        "date_time_no_millis" | "dateTimeNoMillis" => "yyyy-MM-dd'T'HH:mm:ssZZ",
        "hour" => "HH",
        "hour_minute" | "hourMinute" => "HH:mm",
        "hour_minute_second" | "hourMinuteSecond" => "HH:mm:ss",
        "hour_minute_second_millis"
        | "hourMinuteSecondMillis"
        | "hour_minute_second_fraction"
        | "hourMinuteSecondFraction" => "HH:mm:ss.SSS",
        "ordinal_date" | "ordinalDate" => "yyyy-DDD",
        "ordinal_date_time" | "ordinalDateTime" => "yyyy-DDD'T'HH:mm:ss.SSSZZ",
        "ordinal_date_time_no_millis" | "ordinalDateTimeNoMillis" => "yyyy-DDD'T'HH:mm:ssZZ",
        "time" => "HH:mm:ss.SSSZZ",
        "time_no_millis" | "timeNoMillis" => "HH:mm:ssZZ",
        "t_time" | "tTime" => "'T'HH:mm:ss.SSSZZ",
        "t_time_no_millis" | "tTimeNoMillis" => "'T'HH:mm:ssZZ",
        "week_date" | "weekDate" => "xxxx-'W'ww-e",
        "week_date_time" | "weekDateTime" => "xxxx-'W'ww-e'T'HH:mm:ss.SSSZZ",
        "week_date_time_no_millis" | "weekDateTimeNoMillis" => "xxxx-'W'ww-e'T'HH:mm:ssZZ",
        "weekyear" | "weekYear" => "xxxx",
        "weekyear_week" | "weekyearWeek" => "xxxx-'W'ww",
        "weekyear_week_day" | "weekyearWeekDay" => "xxxx-'W'ww-e",
        "year" => "yyyy",
        "year_month" | "yearMonth" => "yyyy-MM",
        _ => return None,
    })
}
