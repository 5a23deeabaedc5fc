//! Time and its spellings.
//!
//! # Promise
//!
//! All times are UTC, whatever the machine's zone. Only this module reads the system clock for decisions. Pure code takes a
//! [`DateTime<Utc>`], so it can be tested with any time. Work for a caller uses
//! [`Caller::now`](crate::connection::Caller::now), as a run of the schedule may be given another time. There
//! are three spellings: RFC 3339 with milliseconds and `Z` in the catalog, `YYYYMMDD_HHMMSS` in file names,
//! and SQLite's `YYYY-MM-DD HH:MM:SS` in the queue's tables.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, TimeZone, Utc};

pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The system clock plus an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock {
    ahead: TimeDelta,
}

impl Clock {
    /// A clock that shows `time` now and goes on from there.
    pub fn showing(time: DateTime<Utc>) -> Self {
        Self { ahead: time - now() }
    }

    pub fn now(self) -> DateTime<Utc> {
        now().checked_add_signed(self.ahead).unwrap_or_else(now)
    }
}

pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-11-05T14:30:22.123Z`, for the catalog.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Parses any RFC 3339 time.
pub fn parse_rfc3339(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

/// `20261105_143022`, for file names.
pub fn file_stamp(time: DateTime<Utc>) -> String {
    time.format("%Y%m%d_%H%M%S").to_string()
}

/// `2026-11-05 14:30:22` as of SQLite's `datetime()`, for the queue's tables.
pub fn sqlite_text(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Parses `YYYY-MM-DD`, optionally with a space or `T` and `HH:MM`, seconds and a fraction, optionally with
/// `Z` or an offset such as `+02:00` (default UTC); or Unix seconds. Only years from 1970 to 9999.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let naive = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc());
    let formats =
        ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.fZ", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let read = parse_rfc3339(text)
        .or_else(|| formats.into_iter().find_map(naive))
        .or_else(|| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z").ok().map(|time| time.to_utc()))
        .or_else(|| naive_date(text))
        .or_else(|| text.parse().ok().and_then(from_unix));
    read.filter(|time| (1970..=9999).contains(&time.year()))
}

fn naive_date(text: &str) -> Option<DateTime<Utc>> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    date.and_hms_opt(0, 0, 0).map(|time| time.and_utc())
}

/// From Unix seconds; `None` outside chrono's range.
pub fn from_unix(seconds: i64) -> Option<DateTime<Utc>> {
    Utc.timestamp_opt(seconds, 0).single()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_spellings() {
        let time = parse_rfc3339("2026-11-05T15:30:22.1239+01:00").unwrap();
        assert_eq!(rfc3339(time), "2026-11-05T14:30:22.123Z");
        assert_eq!(file_stamp(time), "20261105_143022");
        assert_eq!(sqlite_text(time), "2026-11-05 14:30:22");
        assert_eq!(parse_rfc3339("2026-11-05 14:30"), None);
    }

    #[test]
    fn times_as_people_and_programs_write_them() {
        let time = parse_rfc3339("2026-11-05T02:00:00Z").unwrap();
        for text in [
            "2026-11-05 02:00:00",
            "2026-11-05T02:00:00",
            "2026-11-05 02:00",
            "2026-11-05T02:00:00.000Z",
            "2026-11-05 02:00:00Z",
            "2026-11-05T04:00:00+02:00",
            "2026-11-05 04:00:00+02:00",
            " 2026-11-05 02:00:00 ",
            "1793844000",
        ] {
            assert_eq!(parse(text), Some(time), "{text}");
        }
        assert_eq!(parse("2024-02-29").map(sqlite_text).as_deref(), Some("2024-02-29 00:00:00"));
        for bad in [
            "",
            "now",
            "2026-02-29",
            "2026-13-01",
            "2026-11-05 25:00",
            "02:00",
            "-1",
            "1e9",
            "99999999999999",
            "12026-01-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn unix_seconds_outside_the_calendar_are_refused() {
        assert_eq!(sqlite_text(from_unix(0).unwrap()), "1970-01-01 00:00:00");
        assert_eq!(from_unix(i64::MAX), None);
    }
}
