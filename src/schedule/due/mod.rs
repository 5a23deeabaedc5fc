//! Whether a job is due: pure logic on its times, what is known of its past, and the present.
//!
//! # Promise
//!
//! - A job is due when one of its times has come since it was last done. However many it missed, it is due once: for
//!   the latest of them. A job that never ran is due at once, like with anacron: a new queue needs a backup more than
//!   any other.
//! - One that failed, or whose process died, is due for the same time again after a pause: a minute, then twice as
//!   long each time, up to an hour. When its next time comes first, it is due for that.
//! - A clock that was wrong for a while, ahead or behind, changes nothing once it is right again: where it leapt or fell, what was
//!   done before is remembered ([`Past::earlier`]), and the latest of these times that is not after now counts. Where all are by more
//!   than [`TOLERANCE`], the job is taken as done by now, so that it runs again at its next time. Clocks of processes that
//!   differ by less make no job run twice.

use chrono::{DateTime, TimeDelta, Utc};

use crate::cron::{Cron, Zone};
use crate::retention::clocks::{LEAP, TOLERANCE};

/// The longest pause before a job that failed is tried again.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

/// What is known of a job's past.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Past {
    /// Its times up to this one are done, by the clock that did it last.
    pub done: Option<DateTime<Utc>>,
    /// When it was done before, where the clock then leapt or fell; the last one first.
    pub earlier: Vec<DateTime<Utc>>,
    /// A time that it began and did not finish.
    pub failing: Option<Failing>,
}

/// How many earlier times are remembered.
pub const MOST_EARLIER: usize = 8;

impl Past {
    /// What is to be remembered as earlier, once the job is done by `now`.
    pub fn earlier_than(&self, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let aside = self.done.filter(|done| !(-TOLERANCE..=LEAP).contains(&(now - *done)));
        aside.into_iter().chain(self.earlier.iter().copied()).take(MOST_EARLIER).collect()
    }

    /// Up to when its times are done, by the clock that shows `now`.
    fn done_by(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // A clock that went on from there.
        let went_on = |done: &DateTime<Utc>| (-TOLERANCE..=LEAP).contains(&(now - *done));
        let known = || self.earlier.iter().copied().chain(self.done).filter(|known| *known - now <= TOLERANCE).max();
        self.done.filter(went_on).or_else(known)
    }
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
mod tests;
