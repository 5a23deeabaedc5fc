//! Random histories of a queue with daily backups and rotations, by a clock that is sometimes wrong.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;

use crate::clock;
use crate::retention::clocks::{LEAP, TOLERANCE};
use crate::retention::item::Item;
use crate::retention::plan::plan;
use crate::retention::policy::Policy;

const HISTORIES: u64 = 15;
const DAYS: i64 = 90;
const POLICIES: [&str; 8] = [
    "7/4/12",
    "3",
    "8",
    r#"{"keep_daily": 5, "keep_monthly": 2}"#,
    r#"{"keep_within": "9d"}"#,
    r#"{"keep_last": 4, "keep_hourly": 3, "keep_weekly": 3}"#,
    r#"{"max_age_days": 12}"#,
    r#"{"keep_daily": 9, "max_age_days": 6}"#,
];

#[derive(Default)]
struct Directory {
    items: Vec<Item>,
    made: u64,
}

impl Directory {
    /// Backups made while the clock was right have a number.
    fn back_up(&mut self, now: DateTime<Utc>, number: Option<i64>, verified: bool) {
        let milliseconds = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        self.made = milliseconds.max(self.made + 1);
        let label = number.map_or("wrong".into(), |number| number.to_string());
        let id = format!("{label} {}", self.made);
        self.items.push(Item { id, label, made: self.made, created_at: now, verified, ..Item::default() });
    }

    fn rotate(&mut self, now: DateTime<Utc>, policy: &Policy, just_made: bool) {
        let newest = self.items.last().map(|item| item.id.clone());
        let verified = self.items.iter().rev().find(|item| item.verified).map(|item| item.id.clone());
        let decisions = plan(now, &self.items, policy);
        for one in &decisions {
            self.items[one.place].wrong_clock |= one.wrong_clock;
        }
        let kept: BTreeSet<usize> = decisions.iter().filter(|one| one.keep).map(|one| one.place).collect();
        let mut place = 0..;
        self.items.retain(|_| place.next().is_some_and(|place| kept.contains(&place)));
        let has = |id: &Option<String>| id.as_ref().is_none_or(|id| self.items.iter().any(|item| item.id == *id));
        assert!(has(&verified), "the newest verified one went");
        assert!(!just_made || has(&newest), "what was just made went");
    }

    fn right_ones(&self) -> Vec<&str> {
        self.items.iter().map(|item| item.label.as_str()).filter(|label| *label != "wrong").collect()
    }
}

/// An offset that no right clock has: more than [`LEAP`] ahead, or before the last backup.
fn wrong_by(rng: &mut Rng) -> TimeDelta {
    let most = 10i64.pow(rng.u32(4..10));
    let seconds = TimeDelta::seconds(rng.i64(0..most));
    if rng.bool() { LEAP + TimeDelta::days(1) + seconds } else { -(TOLERANCE + TimeDelta::hours(8) + seconds) }
}

/// The calls of one day while the clock is wrong, within a few hours.
fn wrong_calls(rng: &mut Rng, right: DateTime<Utc>, policy: &Policy, directory: &mut Directory) {
    let by = wrong_by(rng);
    for hour in 0..rng.i64(1..4) {
        let now = right + TimeDelta::hours(hour) + by;
        let makes = rng.u8(0..3) > 0;
        if makes {
            // A verified one could rightly replace an older one.
            directory.back_up(now, None, false);
        }
        if rng.bool() {
            directory.rotate(now, policy, makes);
        }
    }
}

/// Once the clock has been right for a day, retention keeps the same backups of the right clock as if it had
/// never been wrong.
#[test]
fn a_clock_that_was_wrong_costs_no_backup() {
    for seed in 0..HISTORIES * POLICIES.len() as u64 {
        let mut rng = Rng::with_seed(seed);
        let policy = Policy::from_text(POLICIES[usize::try_from(seed).unwrap() % POLICIES.len()]).unwrap();
        let (mut right, mut wrong) = (Directory::default(), Directory::default());
        let begin = clock::parse_rfc3339("2026-11-05T02:00:00Z").unwrap();
        let mut right_since = 0;
        for day in 0..DAYS {
            let now = begin + TimeDelta::days(day) + TimeDelta::minutes(rng.i64(0..30));
            let verified = rng.bool();
            for directory in [&mut right, &mut wrong] {
                directory.back_up(now, Some(day), verified);
                directory.rotate(now, &policy, true);
            }
            if day > right_since {
                let (expected, found) = (right.right_ones(), wrong.right_ones());
                assert_eq!(expected, found, "seed {seed} day {day}");
            }
            if day > 3 && rng.u8(0..5) == 0 {
                wrong_calls(&mut rng, now + TimeDelta::hours(3), &policy, &mut wrong);
                right_since = day + 1;
            }
        }
    }
}

/// However long the clock is wrong, nothing just made is deleted, and later nothing new.
#[test]
fn a_clock_that_was_wrong_for_long_costs_nothing_new() {
    for seed in 0..HISTORIES * POLICIES.len() as u64 {
        let mut rng = Rng::with_seed(seed);
        let policy = Policy::from_text(POLICIES[usize::try_from(seed).unwrap() % POLICIES.len()]).unwrap();
        let mut directory = Directory::default();
        let mut right = clock::parse_rfc3339("2026-11-05T02:00:00Z").unwrap();
        for _ in 0..8 {
            let by = if rng.bool() { TimeDelta::zero() } else { wrong_by(&mut rng) };
            for _ in 0..rng.i64(1..20) {
                right += TimeDelta::hours(rng.i64(1..40));
                directory.back_up(right + by, None, rng.bool());
                directory.rotate(right + by, &policy, true);
            }
        }
        let mut alone = Directory::default();
        for day in 0..40 {
            let now = right + TimeDelta::days(day + 1);
            for directory in [&mut directory, &mut alone] {
                directory.back_up(now, Some(day), true);
                directory.rotate(now, &policy, true);
            }
        }
        // Old backups with a wrong time may take a month's slot, but nothing new is deleted.
        let (expected, found) = (alone.right_ones(), directory.right_ones());
        for label in expected.iter().rev().take(4) {
            assert!(found.contains(label), "seed {seed}: {expected:?}, not {found:?}");
        }
    }
}

/// As when one of two operating systems takes the clock for local time, or summer time is added twice.
#[test]
fn a_clock_that_is_an_hour_off_now_and_then_leaves_nothing_for_good() {
    for (seed, policy) in POLICIES.iter().cycle().take(3 * POLICIES.len()).enumerate() {
        let mut rng = Rng::with_seed(seed as u64);
        let parsed = Policy::from_text(policy).unwrap();
        let (mut directory, mut alone) = (Directory::default(), Directory::default());
        let begin = clock::parse_rfc3339("2026-11-05T02:00:00Z").unwrap();
        let by = TimeDelta::hours(if seed % 2 == 0 { 1 } else { -1 });
        for day in 0..DAYS {
            let now = begin + TimeDelta::days(day) + TimeDelta::minutes(rng.i64(0..20));
            if day % 30 < 20 {
                directory.back_up(now - TimeDelta::minutes(30) + by, None, true);
                directory.rotate(now - TimeDelta::minutes(30) + by, &parsed, true);
            }
            for directory in [&mut directory, &mut alone] {
                directory.back_up(now, Some(day), true);
                directory.rotate(now, &parsed, true);
            }
            let wrong = directory.items.iter().filter(|item| item.wrong_clock).count();
            assert_eq!(wrong, 0, "{policy} day {day}");
            let (found, most) = (directory.items.len(), 2 * alone.items.len());
            assert!(found <= most, "{policy} day {day}: {found}, more than {most}");
        }
        // The last ones made while the clock was off may take a day's or month's slot, but nothing else
        // stays.
        assert!(directory.items.len() <= alone.items.len() + 3, "{policy}");
    }
}

/// Rotation deletes the evidence that the clock is steady, so the last hours are doubted again and again.
#[test]
fn where_a_policy_keeps_nothing_of_the_last_days_no_more_than_those_of_a_day_stay_besides() {
    let policy = Policy::from_text(r#"{"keep_last": 2, "keep_weekly": 4}"#).unwrap();
    let begin = clock::parse_rfc3339("2026-11-05T02:00:00Z").unwrap();
    let (mut directory, mut most) = (Directory::default(), 0);
    for hour in 0..24 * 40 {
        let now = begin + TimeDelta::hours(hour);
        directory.back_up(now, Some(hour), true);
        directory.rotate(now, &policy, true);
        most = most.max(directory.items.len());
    }
    assert!((7..2 + 4 + 24).contains(&most), "{most}");
}
