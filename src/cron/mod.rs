//! Cron expressions in a time zone.
//!
//! # Promise
//!
//! An expression has five fields, or is one of cron's names (`@daily`), or `off`. One that never occurs (30
//! February) is refused like a malformed one. All times in and out are UTC, whatever the expression's zone.
//!
//! # How
//!
//! croner parses and evaluates the expressions (<https://docs.rs/croner>), with daylight saving: a fixed time
//! that the clocks skip runs right after the gap, one that they repeat runs the first time only, and an
//! interval (`*`) follows elapsed time.

mod zone;

use std::str::FromStr;

use chrono::{DateTime, Local, TimeZone, Utc};

use self::zone::ByUtc;
use crate::bounds;

#[derive(Debug, Clone)]
pub enum Cron {
    Off,
    /// With the text as written.
    At(Box<croner::Cron>, String),
}

/// The time zone of expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    Utc,
    /// The machine's.
    Local,
}

impl Cron {
    /// Parses an expression; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > bounds::CRON_BYTES {
            return Err(format!("it is longer than {} bytes", bounds::CRON_BYTES));
        }
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        if !text.starts_with('@') && text.split_whitespace().count() != 5 {
            return Err("it does not have five fields".into());
        }
        let pattern = croner::Cron::from_str(text).map_err(|error| error.to_string())?;
        let cron = Self::At(Box::new(pattern), text.to_owned());
        match cron.next(DateTime::UNIX_EPOCH, Zone::Utc) {
            Some(_) => Ok(cron),
            None => Err("such a time never comes".into()),
        }
    }

    /// The expression as written.
    pub fn text(&self) -> &str {
        match self {
            Self::Off => "off",
            Self::At(_, text) => text,
        }
    }

    /// The first occurrence after `time`.
    pub fn next(&self, time: DateTime<Utc>, zone: Zone) -> Option<DateTime<Utc>> {
        match zone {
            Zone::Utc => self.next_in(time, &Utc),
            Zone::Local => self.next_in(time, &ByUtc(Local)),
        }
    }

    /// The last occurrence at or before `time`.
    pub fn last(&self, time: DateTime<Utc>, zone: Zone) -> Option<DateTime<Utc>> {
        match zone {
            Zone::Utc => self.last_in(time, &Utc),
            Zone::Local => self.last_in(time, &ByUtc(Local)),
        }
    }

    fn next_in<Tz: TimeZone>(&self, time: DateTime<Utc>, zone: &Tz) -> Option<DateTime<Utc>> {
        let Self::At(pattern, _) = self else { return None };
        let next = pattern.find_next_occurrence(&time.with_timezone(zone), false).ok()?;
        Some(next.with_timezone(&Utc))
    }

    fn last_in<Tz: TimeZone>(&self, time: DateTime<Utc>, zone: &Tz) -> Option<DateTime<Utc>> {
        let Self::At(pattern, _) = self else { return None };
        let last = pattern.find_previous_occurrence(&time.with_timezone(zone), true).ok()?;
        Some(last.with_timezone(&Utc))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use chrono_tz::Tz;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        crate::clock::parse_rfc3339(text).unwrap()
    }

    fn cron(text: &str) -> Cron {
        Cron::parse(text).unwrap()
    }

    #[test]
    fn what_can_be_read() {
        for fine in [
            "0 * * * *",
            "*/5 1-3 * JAN,feb MON-fri",
            "0 2 * * 6",
            "@daily",
            " 0 2 1 * * ",
            "0 0 29 2 *",
            "OFF",
            "0 2 * * 7",
        ] {
            assert!(Cron::parse(fine).is_ok(), "{fine}: {:?}", Cron::parse(fine));
        }
        for bad in [
            "",
            "x",
            "0 2 * *",
            "0 0 2 * * *",
            "60 * * * *",
            "0 24 * * *",
            "0 0 30 2 *",
            "@often",
            "0 2 * * 8",
            "- - - - -",
        ] {
            assert!(Cron::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_before_and_after() {
        let daily = cron("0 2 * * *");
        let before = at("2026-11-05T01:59:59Z");
        assert_eq!(daily.next(before, Zone::Utc), Some(at("2026-11-05T02:00:00Z")));
        assert_eq!(daily.last(before, Zone::Utc), Some(at("2026-11-04T02:00:00Z")));
        let just = at("2026-11-05T02:00:00Z");
        assert_eq!(daily.next(just, Zone::Utc), Some(at("2026-11-06T02:00:00Z")));
        assert_eq!(daily.last(just, Zone::Utc), Some(just));
        // 7 November 2026 is a Saturday.
        assert_eq!(cron("0 2 * * 6").next(just, Zone::Utc), Some(at("2026-11-07T02:00:00Z")));
        assert_eq!(cron("off").next(just, Zone::Utc), None);
        assert_eq!(cron("off").last(just, Zone::Utc), None);
    }

    #[test]
    fn leap_years() {
        let leap = cron("0 0 29 2 *");
        assert_eq!(leap.next(at("2026-01-01T00:00:00Z"), Zone::Utc), Some(at("2028-02-29T00:00:00Z")));
        assert_eq!(leap.last(at("2026-01-01T00:00:00Z"), Zone::Utc), Some(at("2024-02-29T00:00:00Z")));
        let monthly = cron("0 2 1 * *");
        assert_eq!(monthly.next(at("2028-02-29T23:59:59Z"), Zone::Utc), Some(at("2028-03-01T02:00:00Z")));
        assert_eq!(monthly.last(at("2100-03-01T01:00:00Z"), Zone::Utc), Some(at("2100-02-01T02:00:00Z")));
    }

    /// All occurrences of a year, found by repeated `next`.
    fn year(cron: &Cron, zone: Tz) -> Vec<DateTime<Utc>> {
        let (mut time, end) = (at("2026-01-01T12:00:00Z"), at("2027-01-01T12:00:00Z"));
        let mut found = Vec::new();
        while let Some(next) = cron.next_in(time, &zone).filter(|&next| next < end) {
            assert!(next > time);
            found.push(next);
            time = next;
        }
        found
    }

    #[test]
    fn a_daily_time_comes_once_each_day_whatever_the_clocks_do() {
        for zone in [Tz::Europe__Prague, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::Asia__Kolkata] {
            for text in ["0 2 * * *", "30 2 * * *", "30 1 * * *", "0 0 * * *", "59 23 * * *"] {
                let times = year(&cron(text), zone);
                let mut days: Vec<_> = times.iter().map(|time| time.with_timezone(&zone).date_naive()).collect();
                days.dedup();
                assert_eq!((times.len(), days.len()), (365, 365), "{zone} {text}");
            }
        }
    }

    #[test]
    fn an_hourly_time_comes_every_hour_that_passes() {
        for zone in [Tz::Europe__Prague, Tz::America__New_York] {
            let times = year(&cron("0 * * * *"), zone);
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::hours(1)), "{zone}");
        }
    }

    #[test]
    fn last_and_next_enclose_any_time() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let texts = ["0 * * * *", "*/7 * * * *", "0 2 * * *", "30 2 * * 6", "0 2 1 * *", "15 3 31 * *", "0 0 29 2 *"];
        for _ in 0..3000 {
            let cron = cron(texts[random.usize(..texts.len())]);
            let zone = [Tz::UTC, Tz::Europe__Prague, Tz::America__New_York][random.usize(..3)];
            let time = DateTime::UNIX_EPOCH + TimeDelta::seconds(random.i64(500_000_000..4_000_000_000));
            let (last, next) = (cron.last_in(time, &zone).unwrap(), cron.next_in(time, &zone).unwrap());
            assert!(last <= time && time < next, "{} {zone} {time}: {last} {next}", cron.text());
            assert_eq!(cron.next_in(last, &zone), Some(next), "{} {zone} {time}", cron.text());
            assert_eq!(
                cron.last_in(next - TimeDelta::seconds(1), &zone),
                Some(last),
                "{} {zone} {time}",
                cron.text()
            );
        }
    }

    #[test]
    fn last_and_next_agree_around_the_changes_of_the_clocks() {
        let texts = ["0 2 * * *", "30 2 * * *", "0 3 * * *", "*/20 * * * *"];
        for zone in [Tz::Europe__Berlin, Tz::America__New_York, Tz::Australia__Lord_Howe].map(ByUtc) {
            for text in texts {
                let cron = cron(text);
                // One day around each change of 2026, in UTC.
                for change in ["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"] {
                    let noon = at(&format!("{change}T12:00:00Z"));
                    for minutes in (-24 * 60..=0).step_by(15) {
                        let time = noon + TimeDelta::minutes(minutes);
                        let (last, next) = (cron.last_in(time, &zone).unwrap(), cron.next_in(time, &zone).unwrap());
                        assert!(last <= time && time < next, "{text} {zone:?} {time}: {last} {next}");
                        assert_eq!(cron.next_in(last, &zone), Some(next), "{text} {zone:?} {time} {last}");
                        assert_eq!(cron.last_in(next, &zone), Some(next), "{text} {zone:?} {time} {next}");
                    }
                }
            }
        }
    }
}
