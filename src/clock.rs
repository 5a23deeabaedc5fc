//! Time, as the rest of the crate sees it.
//!
//! # Promise
//!
//! All times are UTC, whatever the machine's time zone. Only this module asks the system for the time; pure code
//! takes a [`DateTime<Utc>`] as an argument, so that it can be tested with any clock. Three spellings are used:
//! RFC 3339 with milliseconds and `Z` in the catalog, `YYYYMMDD_HHMMSS` in file names, and SQLite's own
//! `YYYY-MM-DD HH:MM:SS` in the queue's tables.

use chrono::{DateTime, SecondsFormat, TimeZone, Utc};

/// The present time by the system's clock.
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// `2026-11-05T14:30:22.123Z`: the catalog's spelling.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads what [`rfc3339`] wrote, or any other RFC 3339 time.
pub fn parse_rfc3339(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

/// `20261105_143022`: the spelling in file names.
pub fn file_stamp(time: DateTime<Utc>) -> String {
    time.format("%Y%m%d_%H%M%S").to_string()
}

/// `2026-11-05 14:30:22`: the spelling of SQLite's `datetime()`, used in the queue's tables.
pub fn sqlite_text(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time from Unix seconds; `None` outside the calendar that chrono knows.
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
    fn unix_seconds_outside_the_calendar_are_refused() {
        assert_eq!(sqlite_text(from_unix(0).unwrap()), "1970-01-01 00:00:00");
        assert_eq!(from_unix(i64::MAX), None);
    }
}
