//! Calendar durations, as `restic forget --keep-within` takes them.
//!
//! # Promise
//!
//! `2y5m7d3h` is two years, five months, seven days and three hours; parts may be left out and come in any
//! order, but none twice. Spans are subtracted as restic does it: years, months and days on the calendar, and
//! a day that its month lacks runs on into the next (a month before March 31 is March 3, or 2 in leap years).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A larger number is a mistake.
const LARGEST_PART: u32 = 1_000_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    years: u32,
    months: u32,
    days: u32,
    hours: u32,
}

impl Span {
    pub const fn days(days: u32) -> Self {
        Self { years: 0, months: 0, days, hours: 0 }
    }

    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// The time this long before `time`; `None` before the calendar's beginning.
    pub fn before(self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let months = i64::from(time.year()) * 12 + i64::from(time.month0());
        let months = months - i64::from(self.years) * 12 - i64::from(self.months);
        let year = i32::try_from(months.div_euclid(12)).ok()?;
        let month = u32::try_from(months.rem_euclid(12)).ok()? + 1;
        let days = i64::from(time.day0()) - i64::from(self.days);
        let date = NaiveDate::from_ymd_opt(year, month, 1)?.checked_add_signed(TimeDelta::try_days(days)?)?;
        date.and_time(time.time()).and_utc().checked_sub_signed(TimeDelta::try_hours(i64::from(self.hours))?)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{}' is no duration; write one such as 2y5m7d3h or 7d", text.escape_debug());
        let mut span = Self::default();
        let mut seen = String::new();
        let mut rest = text.trim();
        while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()) {
            let (number, tail) = rest.split_at(end);
            let unit = tail.chars().next().ok_or_else(wrong)?;
            let part = match unit {
                'y' => &mut span.years,
                'm' => &mut span.months,
                'd' => &mut span.days,
                'h' => &mut span.hours,
                _ => return Err(wrong()),
            };
            if number.is_empty() || seen.contains(unit) {
                return Err(wrong());
            }
            let parsed = number.parse().ok().filter(|&parsed| parsed <= LARGEST_PART);
            *part = parsed.ok_or_else(|| format!("{number}{unit} is too long; up to {LARGEST_PART}{unit} go"))?;
            seen.push(unit);
            rest = &tail[unit.len_utf8()..];
        }
        if rest.is_empty() && !seen.is_empty() { Ok(span) } else { Err(wrong()) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, unit) in [(self.years, 'y'), (self.months, 'm'), (self.days, 'd'), (self.hours, 'h')] {
            if number != 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration as text, such as \"2y5m7d3h\" or \"7d\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn spans_are_read_and_shown() {
        for (text, shown) in [
            ("2y5m7d3h", "2y5m7d3h"),
            (" 7d ", "7d"),
            ("3h2d", "2d3h"),
            ("0d", ""),
            ("1000000h", "1000000h"),
            ("007d", "7d"),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), shown, "{text}");
        }
        assert_eq!("7d".parse(), Ok(Span::days(7)));
        assert!("0y0h".parse::<Span>().unwrap().is_zero());
    }

    #[test]
    fn what_is_no_span_is_refused_with_an_example() {
        for text in ["", " ", "7", "d", "7x", "-7d", "7d5", "7 d", "1.5d", "7D", "7d7d", "٣d", "7é", "7d,3h"] {
            assert!(text.parse::<Span>().unwrap_err().contains("such as 2y5m7d3h"), "{text}");
        }
        for text in ["1000001d", "99999999999999999999y"] {
            assert!(text.parse::<Span>().unwrap_err().contains("too long"), "{text}");
        }
    }

    #[test]
    fn the_time_before_is_counted_as_restic_counts() {
        let before = |time: &str, span: &str| {
            let time = clock::parse_rfc3339(time).unwrap();
            span.parse::<Span>().unwrap().before(time).map(clock::sqlite_text)
        };
        let cases = [
            ("2024-03-31T12:00:00Z", "1m", "2024-03-02 12:00:00"),
            ("2023-03-31T12:00:00Z", "1m", "2023-03-03 12:00:00"),
            ("2024-02-29T12:00:00Z", "1y", "2023-03-01 12:00:00"),
            ("2024-01-15T12:00:00Z", "1m", "2023-12-15 12:00:00"),
            ("2024-01-15T12:00:00Z", "25m1d", "2021-12-14 12:00:00"),
            ("2024-03-31T12:00:00Z", "1m1d13h", "2024-02-29 23:00:00"),
            ("2024-03-01T00:00:00Z", "1h", "2024-02-29 23:00:00"),
        ];
        for (time, span, expected) in cases {
            assert_eq!(before(time, span).as_deref(), Some(expected), "{span} before {time}");
        }
        assert_eq!(before("2024-01-01T00:00:00Z", "1000000y"), None);
    }
}
