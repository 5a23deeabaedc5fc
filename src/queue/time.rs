//! The queue's time format.
//!
//! # Promise
//!
//! All times of a queue have one format, which the setting `time_format` names. Parsing is strict: whatever
//! is not a time in that format is unknown (NULL), never another time. That includes a day that its month
//! lacks, and a text with a NUL. Texts are read in both spellings of SQLite's date functions, also with a
//! fraction or an offset, and written in the configured one.
//!
//! A number fits more than one format: seconds read as milliseconds are in January 1970, and 0 and -1 are
//! programs' "none". So a lease's time or a heartbeat counts only if it is plausible: from [`EARLIEST`] on,
//! and for a lease until [`latest`].

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::types::Value;

use crate::clock;

/// 0000-01-01 00:00:00 and 9999-12-31 23:59:59 as Unix seconds: the range of SQLite's date functions.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

/// 2000-01-01 00:00:00 UTC as Unix seconds: no lease ended before.
pub const EARLIEST: i64 = 946_684_800;

/// Ten years from now as Unix seconds: a later end is no time, or means "never".
pub fn latest(now: DateTime<Utc>) -> i64 {
    /// Ten years of 365.25 days.
    const YEARS: i64 = 315_576_000;
    now.timestamp() + YEARS
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFormat {
    /// `YYYY-MM-DD HH:MM:SS`, UTC.
    Text,
    /// `YYYY-MM-DDTHH:MM:SSZ`.
    Iso,
    /// Units since 1970-01-01 00:00:00 UTC, with so many per second.
    Unix(i64),
}

impl TimeFormat {
    pub fn named(name: &str) -> Self {
        match name {
            "iso" => Self::Iso,
            "unix" => Self::Unix(1),
            "unix_ms" => Self::Unix(1000),
            "unix_ns" => Self::Unix(1_000_000_000),
            _ => Self::Text,
        }
    }

    /// An SQL expression: the Unix seconds of `column`, or NULL.
    pub fn seconds(self, column: &str) -> String {
        match self {
            // The pattern excludes what strftime would misread: a bare number as a Julian day, a bare time as
            // one of the year 2000. It reads up to a NUL, where substr ends too, and reads 30 February as 2
            // March, which shows by adding 0 days.
            Self::Text | Self::Iso => format!(
                "CASE WHEN typeof({column}) = 'text' AND {column} GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
                 AND substr({column}, 1) = {column} COLLATE BINARY
                 AND strftime('%Y-%m-%d', substr({column}, 1, 10), '+0 days') = substr({column}, 1, 10)
                 THEN CAST(strftime('%s', {column}) AS INTEGER) END"
            ),
            Self::Unix(parts) => format!(
                "CASE WHEN typeof({column}) IN ('integer', 'real') AND {column} / {parts} BETWEEN {FIRST} AND {LAST}
                 THEN CAST({column} / {parts} AS INTEGER) END"
            ),
        }
    }

    /// An SQL expression: the time in `column` for people.
    pub fn shown(self, column: &str) -> String {
        match self {
            Self::Text | Self::Iso => column.into(),
            Self::Unix(_) => format!("datetime({}, 'unixepoch')", self.seconds(column)),
        }
    }

    /// A time in the queue's format.
    pub fn write(self, time: DateTime<Utc>) -> Value {
        match self {
            Self::Text => Value::Text(clock::sqlite_text(time)),
            Self::Iso => Value::Text(time.to_rfc3339_opts(SecondsFormat::Secs, true)),
            Self::Unix(1) => Value::Integer(time.timestamp()),
            Self::Unix(1000) => Value::Integer(time.timestamp_millis()),
            Self::Unix(parts) => Value::Integer(match time.timestamp_nanos_opt() {
                Some(nanoseconds) => nanoseconds,
                None => time.timestamp().saturating_mul(parts),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_end_in_this_century_and_the_next_ten_years() {
        let time = |text| clock::parse_rfc3339(text).unwrap();
        assert_eq!(EARLIEST, time("2000-01-01T00:00:00Z").timestamp());
        assert_eq!(latest(time("2026-11-05T14:30:22Z")), time("2036-11-05T02:30:22Z").timestamp());
    }

    #[test]
    fn times_are_written_in_the_format_of_the_queue() {
        let time = clock::parse_rfc3339("2026-11-05T14:30:22.125Z").unwrap();
        let text = |text: &str| Value::Text(text.into());
        for (name, written) in [
            ("text", text("2026-11-05 14:30:22")),
            ("iso", text("2026-11-05T14:30:22Z")),
            ("unix", Value::Integer(1_793_889_022)),
            ("unix_ms", Value::Integer(1_793_889_022_125)),
            ("unix_ns", Value::Integer(1_793_889_022_125_000_000)),
        ] {
            assert_eq!(TimeFormat::named(name).write(time), written, "{name}");
        }
    }
}
