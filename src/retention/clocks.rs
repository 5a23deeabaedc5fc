//! Clocks: which backups' times can be believed.
//!
//! # Promise
//!
//! A machine's clock may be wrong, and set right later. Backups have a place in the order of making, whatever the clock showed; here
//! their times are compared with that order and with the present. A backup whose time is doubted is kept and takes no slot, so that a
//! wrong clock makes retention keep too much, never too little:
//!
//! - **after now**: the clock was ahead when it was made, or is behind now. Doubted while that is so.
//! - **after a leap** ahead by more than [`LEAP`], or **after a fall**: doubted until the clock has gone on from there for [`STEADY`]. So
//!   after a long idle time retention lags by a day. Where backups are made more seldom than that, later leaps confirm a leap: one
//!   where the backups before it were as far apart, else three.
//! - **contradicted**: the backups made before and after it say otherwise by more than [`SLIGHT`], or it is before [`FLOOR`]. The true
//!   time cannot be known. Where nothing confirms it, either, it is doubted for good: callers remember that, since what tells so is
//!   deleted some day.
//!
//! While the present itself is doubted, it is taken for the last time that is not.
//!
//! # How
//!
//! The times, in the order of making and with now as the last, are cut into runs: a new one begins where the clock leapt or fell. Where it
//! is back at the last run that was believed, that one goes on. A run is believed once it has lasted, or enough others follow
//! ([`Runs`]). What was made after the last believed run is doubted. From there backwards each time must be no later than those after
//! it, and must not have been behind: something made *earlier* lies between it and the next one, and the leap to that is larger than
//! what its clock had gone on steadily. A run that is not believed is no evidence against one that is.

use chrono::{DateTime, TimeDelta, Utc};

/// By how much clocks may differ.
pub const TOLERANCE: TimeDelta = TimeDelta::minutes(10);
/// By how much times may contradict the order of making and be believed: a mistake of an hour about a zone or its summer time, each day
/// for one, must not leave a backup a day that nothing deletes.
pub const SLIGHT: TimeDelta = TimeDelta::hours(2);
/// A leap ahead that is larger is doubted at first.
pub const LEAP: TimeDelta = TimeDelta::hours(48);
/// For how long a clock must go on to be believed. Daily jobs are not a day apart to the second.
pub const STEADY: TimeDelta = TimeDelta::hours(23);
/// 2000-01-01: a clock that shows an earlier time was never set.
const FLOOR: i64 = 946_684_800;
/// How many later leaps confirm one, where backups are made seldom and where not.
const SELDOM: usize = 1;
const OFTEN: usize = 3;

type Time = DateTime<Utc>;

/// Why a time is doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It is after now.
    Future,
    /// The clock leapt ahead not long before.
    Leap,
    /// The clock fell back not long before.
    Fall,
    /// Others that were made before and after it say otherwise.
    Contradicted,
    /// The same, and nothing confirms it: it is known to be wrong from now on, also when what told so has been deleted.
    Wrong,
}

impl Doubt {
    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Future => "stamped after now, takes no slot: the clock was ahead then, or is behind now",
            Self::Leap => {
                "the clock leapt ahead before it was made; takes no slot until the clock has gone on for a day"
            }
            Self::Fall => {
                "the clock fell back before it was made; takes no slot until the clock has gone on for a day"
            }
            Self::Contradicted => "its time contradicts those of others; takes no slot",
            Self::Wrong => "stamped by a clock that was wrong, takes no slot; queue_delete_backup() deletes it",
        }
    }
}

/// What is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What each time is taken for.
    pub times: Vec<Result<Time, Doubt>>,
    /// What the present is taken for.
    pub present: Time,
}

/// Reads the times of backups, the first one made first, at `now`.
pub fn read(times: &[Time], now: Time) -> Reading {
    let mut runs = Runs::new(now);
    let places: Vec<usize> = times.iter().map(|&time| runs.observe(time)).collect();
    let last = runs.observe(now);
    let is_believed = |place: usize| runs.all[place].believed;
    // What was made after the last believed run.
    let settled = places.iter().rposition(|&place| is_believed(place)).map_or(0, |settled| settled + 1);
    let recent = if is_believed(last) { times.len() } else { settled };
    let judge = |(number, (&time, &place)): (usize, (&Time, &usize))| {
        if time - now > TOLERANCE {
            return Err(Doubt::Future);
        }
        if time.timestamp() < FLOOR && now.timestamp() >= FLOOR {
            return Err(Doubt::Wrong);
        }
        if number < recent {
            return Ok(time);
        }
        Err(if runs.all[place].before.is_some() { Doubt::Leap } else { Doubt::Fall })
    };
    let mut judged: Vec<Result<Time, Doubt>> = times.iter().zip(&places).enumerate().map(judge).collect();
    let anchor = runs.all[runs.anchor].last.min(now);
    doubt_contradicted(&mut judged, anchor, is_believed(last));
    let present = if is_believed(last) { now } else { anchor };
    Reading { times: judged, present }
}

/// A stretch of time in which the clock neither leapt nor fell.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: Time,
    last: Time,
    believed: bool,
    /// The run from which the clock leapt ahead to this one; none for the first one, and where it fell.
    before: Option<usize>,
}

impl Run {
    fn goes_on_at(&self, time: Time) -> bool {
        (-TOLERANCE..=LEAP).contains(&(time - self.last))
    }

    fn is_steady(&self) -> bool {
        self.last - self.first >= STEADY
    }
}

/// The runs so far.
#[derive(Debug)]
struct Runs {
    now: Time,
    all: Vec<Run>,
    current: usize,
    /// The last one that is believed.
    anchor: usize,
}

impl Runs {
    fn new(now: Time) -> Self {
        Self { now, all: Vec::new(), current: 0, anchor: 0 }
    }

    /// The clock showed `time`; the run to which that belongs.
    fn observe(&mut self, time: Time) -> usize {
        let known = [self.current, self.anchor].into_iter();
        let goes_on = known.filter(|&run| self.all.get(run).is_some_and(|run| run.goes_on_at(time)));
        // A clock that was behind for hours has not gone on from there when it is right again.
        let goes_on = goes_on.max_by_key(|&run| self.all[run].last);
        self.current = goes_on.unwrap_or_else(|| self.begin(time));
        let run = &mut self.all[self.current];
        run.last = run.last.max(time);
        if run.believed || run.is_steady() {
            self.believe(self.current);
        }
        self.current
    }

    fn begin(&mut self, time: Time) -> usize {
        let before = self.all.get(self.current).is_some_and(|run| time > run.last).then_some(self.current);
        // What is after now confirms nothing.
        let tells = time - self.now <= TOLERANCE;
        if tells && before.is_some_and(|before| self.is_confirmed_by_a_leap(before)) {
            self.believe(self.current);
        }
        self.all.push(Run { first: time, last: time, believed: self.all.is_empty(), before });
        self.all.len() - 1
    }

    fn is_confirmed_by_a_leap(&self, run: usize) -> bool {
        let mut leaps = 0;
        let mut next = Some(run);
        while let Some(run) = next.map(|next| &self.all[next]) {
            if run.believed {
                return leaps >= if run.is_steady() { OFTEN } else { SELDOM };
            }
            leaps += 1;
            next = run.before;
        }
        leaps >= OFTEN
    }

    /// Believes a run, and with it those from which the clock leapt there; but not the one to which it had fallen back, which it may have
    /// left because it was wrong.
    fn believe(&mut self, run: usize) {
        self.anchor = run;
        let mut next = Some(run);
        while let Some(place) = next {
            let known = self.all[place].believed;
            self.all[place].believed = true;
            let before = self.all[place].before.filter(|_| !known);
            next = before.filter(|&before| self.all[before].before.is_some());
        }
    }
}

/// A time that may be believed.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    place: usize,
    time: Time,
    /// Whether its run lasted, or others confirm it.
    believed: bool,
}

/// Doubts what others made before and after it contradict, if `anchor` is right; for good where that is `settled`.
fn doubt_contradicted(judged: &mut [Result<Time, Doubt>], anchor: Time, settled: bool) {
    let mut runs = Runs::new(anchor);
    let stamps = judged.iter().enumerate().filter_map(|(place, time)| Some((place, time.ok()?)));
    let stamps: Vec<(usize, Time, usize)> = stamps.map(|(place, time)| (place, time, runs.observe(time))).collect();
    runs.observe(anchor);
    // The first run is believed for want of any other.
    let is_believed = |run: usize| runs.all[run].is_steady() || (run > 0 && runs.all[run].believed);
    let stamp = |(place, time, run): (usize, Time, usize)| Stamp { place, time, believed: is_believed(run) };
    let made: Vec<Stamp> = stamps.into_iter().map(stamp).collect();
    let mut sorted: Vec<Time> = made.iter().map(|stamp| stamp.time).collect();
    sorted.sort_unstable();
    let mut next = anchor;
    for (rank, stamp) in made.iter().enumerate().rev() {
        judged[stamp.place] = if stamp.time - next > SLIGHT || was_behind(&made[..=rank], &sorted, next) {
            Err(if stamp.believed || !settled { Doubt::Contradicted } else { Doubt::Wrong })
        } else {
            next = stamp.time.min(next);
            Ok(next)
        };
    }
}

/// Whether the clock was behind when the last of `made` was stamped, if the time `next` is right.
fn was_behind(made: &[Stamp], sorted: &[Time], next: Time) -> bool {
    let Some((this, before)) = made.split_last() else { return false };
    // Nearly always none lies between, and then there is nothing to look for.
    let following = sorted.partition_point(|other| *other - this.time <= SLIGHT);
    if sorted.get(following).is_none_or(|other| *other > next) {
        return false;
    }
    let lies_between = |other: &Stamp| other.time - this.time > SLIGHT && other.time <= next;
    let tells = |other: &Stamp| lies_between(other) && (other.believed || !this.believed);
    let Some(earlier) = before.iter().rposition(tells) else { return false };
    let steadily = made.get(earlier + 1).map_or(TimeDelta::zero(), |first| this.time - first.time);
    next - this.time > steadily
}

#[cfg(test)]
#[path = "clocks_tests.rs"]
mod tests;
