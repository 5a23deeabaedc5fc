//! Decides whether a job is due, from its cron expression, its past and the present. Pure.
//!
//! # Promise
//!
//! - A job is due if one of its times has come since it was last done. Several missed times count once, as
//!   the latest. A job that never ran is due at once, like with anacron: a new queue needs a backup most.
//! - A job that failed, or whose process died, is due again for the same time after a pause: a minute, then
//!   twice as long each time, up to an hour. If its next time comes first, it is due for that.
//! - A clock that was wrong for a while changes nothing once it is right again. Where it leapt or fell,
//!   earlier runs are remembered ([`Past::earlier`]), and the latest of these that is not after now counts.
//!   If all are by more than [`TOLERANCE`], the job counts as done now, so it runs at its next time. Clocks
//!   that differ by less make no job run twice.

use chrono::{DateTime, TimeDelta, Utc};

use crate::cron::{Cron, Zone};
use crate::retention::clocks::{LEAP, TOLERANCE};

/// The longest pause before a failed job is retried.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    /// Its times up to this one are done, by the clock of that run.
    pub done: Option<DateTime<Utc>>,
    /// When it was done before the clock leapt or fell, latest first.
    pub earlier: Vec<DateTime<Utc>>,
    /// A time for which it began and did not finish.
    pub failing: Option<Failing>,
}

pub use crate::schema::jobs::MOST_EARLIER;

impl Past {
    /// The new [`earlier`](Self::earlier) once the job is done at `now`.
    pub fn earlier_than(&self, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let aside = self.done.filter(|done| !(-TOLERANCE..=LEAP).contains(&(now - *done)));
        aside.into_iter().chain(self.earlier.iter().copied()).take(MOST_EARLIER).collect()
    }

    /// The same without the pause before a failed job is retried.
    pub fn without_pause(self) -> Self {
        let failing = self.failing.map(|failing| Failing { tried: DateTime::<Utc>::MIN_UTC, ..failing });
        Self { failing, ..self }
    }

    /// Until when its times are done, by the clock that shows `now`.
    fn done_by(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // The clock has continued from there.
        let went_on = |done: &DateTime<Utc>| (-TOLERANCE..=LEAP).contains(&(now - *done));
        let known = || self.earlier.iter().copied().chain(self.done).filter(|known| *known - now <= TOLERANCE).max();
        self.done.filter(went_on).or_else(known)
    }
}

/// An unfinished time of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// Which of its times.
    pub due: DateTime<Utc>,
    pub attempts: u32,
    /// The last attempt.
    pub tried: DateTime<Utc>,
}

/// A job's time that is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot<'a> {
    pub job: &'a str,
    /// Which of its times.
    pub due: DateTime<Utc>,
    /// From 1.
    pub attempt: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Due {
        /// For which of its times.
        due: DateTime<Utc>,
        /// From 1.
        attempt: u32,
    },
    Waits {
        /// When it will be due, if ever.
        until: Option<DateTime<Utc>>,
        /// If the clock was set back: what to store as done.
        forget_beyond: Option<DateTime<Utc>>,
    },
}

pub fn judge(cron: &Cron, zone: Zone, past: &Past, now: DateTime<Utc>) -> Verdict {
    let waits = |until| Verdict::Waits { until, forget_beyond: None };
    let Some(due) = cron.last(now, zone) else { return waits(cron.next(now, zone)) };
    match past.done_by(now) {
        Some(done) if done >= due => return waits(cron.next(done.max(now), zone)),
        None if past.done.is_some_and(|done| done - now > TOLERANCE) => {
            return Verdict::Waits { until: cron.next(now, zone), forget_beyond: Some(due) };
        }
        _ => {}
    }
    match past.failing {
        Some(failing) if failing.due == due => {
            let again = failing.tried + pause(failing.attempts);
            // After the clock was set back, the pause would be too long.
            if now < again && failing.tried - now <= TOLERANCE {
                return waits(Some(again));
            }
            Verdict::Due { due, attempt: failing.attempts.saturating_add(1) }
        }
        _ => Verdict::Due { due, attempt: 1 },
    }
}

/// How long to wait after so many failures in a row.
pub fn pause(attempts: u32) -> TimeDelta {
    let doublings = attempts.saturating_sub(1).min(6);
    TimeDelta::minutes(1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
