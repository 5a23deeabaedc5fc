//! Whether a job is due: pure logic on its times, what is known of its past, and the present.
//!
//! # Promise
//!
//! - A job is due when one of its times has come since it was last done. However many it missed, it is due once: for
//!   the latest of them. A job that never ran is due at once, like with anacron: a new queue needs a backup more than
//!   any other.
//! - One that failed, or whose process died, is due for the same time again after a pause: a minute, then twice as
//!   long each time, up to an hour. When its next time comes first, it is due for that.
//! - A clock that was set back, or a time in the past that somebody passed, cannot keep a job from running for longer than its
//!   times are apart: what lies in the future by more than [`TOLERANCE`] is taken as done by now. Clocks of
//!   processes that differ by less make no job run twice.

use chrono::{DateTime, TimeDelta, Utc};

use super::cron::{Cron, Zone};

/// By how much clocks may differ.
pub const TOLERANCE: TimeDelta = TimeDelta::minutes(10);
/// The longest pause before a job that failed is tried again.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

/// What is known of a job's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// Its times up to this one are done.
    pub done: Option<DateTime<Utc>>,
    /// A time that it began and did not finish.
    pub failing: Option<Failing>,
}

/// A time that a job began and did not finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// Which of its times.
    pub due: DateTime<Utc>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was last tried.
    pub tried: DateTime<Utc>,
}

/// A time of a job that is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot<'a> {
    /// The job.
    pub job: &'a str,
    /// Which of its times.
    pub due: DateTime<Utc>,
    /// Which attempt at that this is, from 1.
    pub attempt: u32,
}

/// Whether a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Due {
        /// For which of its times.
        due: DateTime<Utc>,
        /// Which attempt this will be, from 1.
        attempt: u32,
    },
    /// It is not.
    Waits {
        /// When it will be, if ever.
        until: Option<DateTime<Utc>>,
        /// What must be remembered as done, because the clock was set back.
        forget_beyond: Option<DateTime<Utc>>,
    },
}

/// Judges a job.
pub fn judge(cron: &Cron, zone: Zone, past: &Past, now: DateTime<Utc>) -> Verdict {
    let waits = |until| Verdict::Waits { until, forget_beyond: None };
    let Some(due) = cron.last(now, zone) else { return waits(cron.next(now, zone)) };
    if let Some(done) = past.done {
        if done - now > TOLERANCE {
            return Verdict::Waits { until: cron.next(now, zone), forget_beyond: Some(due) };
        }
        if done >= due {
            return waits(cron.next(done.max(now), zone));
        }
    }
    match past.failing {
        Some(failing) if failing.due == due => {
            let again = failing.tried + pause(failing.attempts);
            // A clock that was set back would make the pause longer than any.
            if now < again && failing.tried - now <= TOLERANCE {
                return waits(Some(again));
            }
            Verdict::Due { due, attempt: failing.attempts.saturating_add(1) }
        }
        _ => Verdict::Due { due, attempt: 1 },
    }
}

fn pause(attempts: u32) -> TimeDelta {
    let doublings = attempts.saturating_sub(1).min(6);
    TimeDelta::minutes(1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        crate::clock::parse_rfc3339(text).unwrap()
    }

    fn daily() -> Cron {
        Cron::parse("0 2 * * *").unwrap()
    }

    fn done(text: &str) -> Past {
        Past { done: Some(at(text)), failing: None }
    }

    fn waits_until(text: &str) -> Verdict {
        Verdict::Waits { until: Some(at(text)), forget_beyond: None }
    }

    #[test]
    fn a_job_that_never_ran_is_due() {
        let verdict = judge(&daily(), Zone::Utc, &Past::default(), at("2026-11-05T12:00:00Z"));
        assert_eq!(verdict, Verdict::Due { due: at("2026-11-05T02:00:00Z"), attempt: 1 });
    }

    #[test]
    fn missed_times_are_one() {
        let past = done("2026-11-05T02:00:00Z");
        assert_eq!(
            judge(&daily(), Zone::Utc, &past, at("2026-11-06T01:59:59Z")),
            waits_until("2026-11-06T02:00:00Z")
        );
        let verdict = judge(&daily(), Zone::Utc, &past, at("2026-12-24T18:00:00Z"));
        assert_eq!(verdict, Verdict::Due { due: at("2026-12-24T02:00:00Z"), attempt: 1 });
    }

    #[test]
    fn failures_are_retried_after_longer_and_longer_pauses() {
        let due = at("2026-11-05T02:00:00Z");
        let failed = |attempts| Past { done: None, failing: Some(Failing { due, attempts, tried: due }) };
        for (attempts, minutes) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60), (u32::MAX, 60)] {
            let again = due + TimeDelta::minutes(minutes);
            let early = judge(&daily(), Zone::Utc, &failed(attempts), again - TimeDelta::seconds(1));
            assert_eq!(early, Verdict::Waits { until: Some(again), forget_beyond: None });
            let verdict = judge(&daily(), Zone::Utc, &failed(attempts), again);
            assert_eq!(verdict, Verdict::Due { due, attempt: attempts.saturating_add(1) });
        }
        let next = judge(&daily(), Zone::Utc, &failed(9), at("2026-11-06T02:00:00Z"));
        assert_eq!(next, Verdict::Due { due: at("2026-11-06T02:00:00Z"), attempt: 1 });
    }

    #[test]
    fn a_clock_set_back_by_a_day_does_not_stop_the_job_for_a_day() {
        let past = done("2026-11-06T02:00:00Z");
        let verdict = judge(&daily(), Zone::Utc, &past, at("2026-11-05T01:00:00Z"));
        let forget_beyond = Some(at("2026-11-04T02:00:00Z"));
        assert_eq!(verdict, Verdict::Waits { until: Some(at("2026-11-05T02:00:00Z")), forget_beyond });
        let past = Past { done: forget_beyond, failing: None };
        let verdict = judge(&daily(), Zone::Utc, &past, at("2026-11-05T02:00:01Z"));
        assert_eq!(verdict, Verdict::Due { due: at("2026-11-05T02:00:00Z"), attempt: 1 });
    }

    #[test]
    fn a_retry_does_not_wait_for_a_clock_that_was_set_back() {
        let (due, now) = (at("2026-11-05T02:00:00Z"), at("2026-11-05T03:00:00Z"));
        let tried = at("2026-11-05T23:00:00Z");
        let past = Past { done: None, failing: Some(Failing { due, attempts: 1, tried }) };
        assert_eq!(judge(&daily(), Zone::Utc, &past, now), Verdict::Due { due, attempt: 2 });
    }

    #[test]
    fn clocks_that_differ_a_little_make_no_job_run_twice() {
        let past = done("2026-11-05T02:00:00Z");
        assert_eq!(
            judge(&daily(), Zone::Utc, &past, at("2026-11-05T01:59:58Z")),
            waits_until("2026-11-06T02:00:00Z")
        );
    }

    #[test]
    fn a_job_that_is_off_is_never_due() {
        let off = Cron::parse("off").unwrap();
        let waits = Verdict::Waits { until: None, forget_beyond: None };
        assert_eq!(judge(&off, Zone::Utc, &Past::default(), at("2026-11-05T02:00:00Z")), waits);
    }

    /// Walks through months with calls at random times, some of which fail, and a clock that now and then is set back.
    #[test]
    fn each_time_is_done_once_whatever_the_calls() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for text in ["0 * * * *", "0 2 * * *", "0 2 * * 6", "0 2 1 * *", "*/5 * * * *", "0 0 29 2 *"] {
            let cron = Cron::parse(text).unwrap();
            let (mut past, mut now) = (Past::default(), at("2027-11-05T12:00:00Z"));
            let mut done: Vec<DateTime<Utc>> = Vec::new();
            for _ in 0..2000 {
                now += TimeDelta::seconds(random.i64(0..9000));
                match judge(&cron, Zone::Utc, &past, now) {
                    Verdict::Due { due, attempt } => {
                        assert!(due <= now && cron.last(now, Zone::Utc) == Some(due), "{text} {now}");
                        if random.u8(..) < 60 {
                            past.failing = Some(Failing { due, attempts: attempt, tried: now });
                        } else {
                            assert!(done.last().is_none_or(|&last| last < due), "{text}: {due} twice");
                            done.push(due);
                            past = Past { done: Some(now), failing: None };
                        }
                    }
                    Verdict::Waits { until, forget_beyond } => {
                        assert_eq!(forget_beyond, None);
                        let until = until.unwrap();
                        assert!(until > now && until - now <= TimeDelta::days(4 * 366), "{text} {now} {until}");
                    }
                }
                // Right after a success nothing is due, and a minute of skew changes nothing.
                if past.failing.is_none() && past.done.is_some() {
                    for skew in [-60, -1, 0] {
                        let verdict = judge(&cron, Zone::Utc, &past, now + TimeDelta::seconds(skew));
                        let due_again = matches!(verdict, Verdict::Due { due, .. } if done.contains(&due));
                        assert!(!due_again, "{text} {now} {skew}");
                    }
                }
            }
            assert!(!done.is_empty(), "{text}");
        }
    }
}
