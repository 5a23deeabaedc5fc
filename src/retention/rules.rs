//! The `keep_` rules, as `restic forget` has them.
//!
//! # Promise
//!
//! - `last` keeps the newest backups.
//! - `hourly` … `yearly` keep the newest backup of each hour, day, ISO week (from Monday), month or year, for
//!   as many of these as the count says. Periods without backups do not use up the count.
//! - `within` keeps what is younger than the newest backup by less than the span, so nothing more is deleted
//!   when backups stop. A backup with a time after now does not count as the newest: one minute of a wrong
//!   clock would end this rule.
//! - The rules are independent: what any of them keeps is kept.
//!
//! Periods are in UTC. The rules are those of restic before 0.16, which also keeps the oldest backup while a
//! count is not used up. `tests/goldens/` has the real restic's answers, and how to record them again.

use chrono::{DateTime, Datelike, Timelike, Utc};

use super::span::Span;

/// Rules with 0 or no span are not used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    pub last: usize,
    /// Those less than this older than the newest.
    pub within: Option<Span>,
    pub hourly: usize,
    pub daily: usize,
    pub weekly: usize,
    pub monthly: usize,
    pub yearly: usize,
}

/// Maps a time to the number of its period.
type Period = fn(&DateTime<Utc>) -> [i32; 2];

impl Rules {
    /// Whether no rule is used, so that nothing would be kept.
    pub fn keep_nothing(&self) -> bool {
        self.periods().iter().all(|(_, count, _)| *count == 0) && self.last == 0 && self.span().is_none()
    }

    /// For each of `times` (newest first), the rules that keep it.
    pub fn reasons(&self, now: DateTime<Utc>, times: &[DateTime<Utc>]) -> Vec<Vec<String>> {
        let mut reasons: Vec<Vec<String>> = vec![Vec::new(); times.len()];
        for (rank, why) in reasons.iter_mut().enumerate().take(self.last) {
            why.push(format!("last backup ({} of {})", rank + 1, self.last));
        }
        if let Some(span) = self.span() {
            let newest = times.iter().filter(|time| **time <= now).max();
            let limit = newest.and_then(|newest| span.before(*newest));
            for (why, time) in reasons.iter_mut().zip(times) {
                if limit.is_none_or(|limit| *time > limit) {
                    why.push(format!("within {span} of the newest"));
                }
            }
        }
        for (word, count, period) in self.periods() {
            let mut found = 0;
            let mut before = None;
            for (why, time) in reasons.iter_mut().zip(times) {
                let this = Some(period(time));
                if found < count && this != before {
                    found += 1;
                    before = this;
                    why.push(format!("{word} backup ({found} of {count})"));
                }
            }
        }
        reasons
    }

    fn span(&self) -> Option<Span> {
        self.within.filter(|span| !span.is_zero())
    }

    fn periods(&self) -> [(&'static str, usize, Period); 5] {
        [
            ("hourly", self.hourly, |time| [time.num_days_from_ce(), time.hour().cast_signed()]),
            ("daily", self.daily, |time| [time.num_days_from_ce(), 0]),
            ("weekly", self.weekly, |time| [time.iso_week().year(), time.iso_week().week().cast_signed()]),
            ("monthly", self.monthly, |time| [time.year(), time.month().cast_signed()]),
            ("yearly", self.yearly, |time| [time.year(), 0]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn reasons(rules: Rules, times: &[&str]) -> Vec<String> {
        let times: Vec<_> = times.iter().map(|time| clock::parse_rfc3339(time).unwrap()).collect();
        let now = clock::parse_rfc3339("2026-11-05T12:00:00Z").unwrap();
        rules.reasons(now, &times).iter().map(|why| why.join(", ")).collect()
    }

    #[test]
    fn rules_overlap_and_add_up_and_say_so() {
        let rules = Rules { last: 1, daily: 2, monthly: 2, within: Some(Span::days(1)), ..Rules::default() };
        let times = [
            "2026-11-05T10:00:00Z",
            "2026-11-04T10:00:01Z",
            "2026-11-04T10:00:00Z",
            "2026-10-31T10:00:00Z",
            "2026-10-30T10:00:00Z",
        ];
        assert_eq!(
            reasons(rules, &times),
            [
                "last backup (1 of 1), within 1d of the newest, daily backup (1 of 2), monthly backup (1 of 2)",
                "within 1d of the newest, daily backup (2 of 2)",
                "",
                "monthly backup (2 of 2)",
                "",
            ]
        );
    }

    #[test]
    fn a_year_of_week_53_is_one_week() {
        let rules = Rules { weekly: 2, ..Rules::default() };
        let times = ["2021-01-04T00:00:00Z", "2021-01-03T23:59:59Z", "2020-12-28T00:00:00Z", "2020-12-27T00:00:00Z"];
        assert_eq!(reasons(rules, &times), ["weekly backup (1 of 2)", "weekly backup (2 of 2)", "", ""]);
    }

    #[test]
    fn a_time_in_the_future_is_not_the_newest_for_within() {
        let rules = Rules { within: Some(Span::days(1)), ..Rules::default() };
        let times = ["2099-01-01T00:00:00Z", "2026-11-01T00:00:00Z", "2026-10-01T00:00:00Z"];
        let why = "within 1d of the newest";
        assert_eq!(reasons(rules, &times), [why, why, ""]);
        assert_eq!(reasons(rules, &times[..1]), [why]);
        // If the present is doubted, it is the time of the newest backup.
        let now = clock::parse_rfc3339(times[1]).unwrap();
        let times = ["2026-11-01T00:00:00Z", "2026-10-31T00:00:00Z"].map(|text| clock::parse_rfc3339(text).unwrap());
        assert_eq!(rules.reasons(now, &times), [vec![why.to_owned()], vec![]]);
    }

    #[test]
    fn rules_that_keep_nothing_are_known() {
        assert!(Rules::default().keep_nothing());
        assert!(Rules { within: Some(Span::default()), ..Rules::default() }.keep_nothing());
        assert!(!Rules { yearly: 1, ..Rules::default() }.keep_nothing());
        assert!(!Rules { within: Some(Span::days(1)), ..Rules::default() }.keep_nothing());
    }
}
