//! Decides which backups' timestamps to believe.
//!
//! # Promise
//!
//! A machine's clock may be wrong, and be set right later. Backups are numbered in the order of their
//! creation, whatever the clock showed; timestamps are compared with that order and with the present. A
//! backup with a doubted time is kept and takes no slot, so a wrong clock makes retention keep too much,
//! never too little:
//!
//! - **after now**: the clock was ahead when the backup was made, or is behind now. Doubted while that is so.
//! - **after a leap** ahead by more than [`LEAP`], or **after a fall**: doubted until the clock has continued
//!   from there for [`STEADY`], so retention lags by a day after a long idle time. Where backups are rarer
//!   than that, later leaps confirm a leap: one if the backups before it were as far apart, else three.
//! - **contradicted**: backups made before and after it disagree by more than [`SLIGHT`], or the time is
//!   before [`FLOOR`]. The true time cannot be known. If nothing confirms the time either, it is doubted for
//!   good. Callers store that, as the evidence gets deleted.
//!
//! While the present itself is doubted, the last believed time stands for it.
//!
//! # How
//!
//! The timestamps in order of creation, followed by now, are split into runs: a new one begins where the
//! clock leapt or fell. If the clock returns to the last believed run, that run continues. A run is believed
//! once it has lasted or enough others follow ([`Runs`]). Backups made after the last believed run are
//! doubted. From there backwards, each time must not be later than those after it, and must not have been
//! behind. It was behind if something made *earlier* has a time between it and the next one, and the leap to
//! the next is larger than the time for which its clock had gone on steadily. A run that is not believed is
//! no evidence against one that is.

use chrono::{DateTime, TimeDelta, Utc};

/// By how much correct clocks may differ.
pub const TOLERANCE: TimeDelta = TimeDelta::minutes(10);
/// By how much a believed time may contradict the order of creation. A daily one-hour mistake about a zone or
/// summer time must not leave a backup per day that nothing deletes.
pub const SLIGHT: TimeDelta = TimeDelta::hours(2);
/// A larger leap ahead is doubted at first.
pub const LEAP: TimeDelta = TimeDelta::hours(48);
/// How long a clock must continue to be believed; daily jobs are not exactly a day apart.
pub const STEADY: TimeDelta = TimeDelta::hours(23);
/// 2000-01-01: a clock that shows an earlier time was never set.
const FLOOR: i64 = 946_684_800;
/// How many later leaps confirm one, where backups are rare and where not.
const SELDOM: usize = 1;
const OFTEN: usize = 3;

type Time = DateTime<Utc>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    Future,
    /// The clock leapt ahead shortly before.
    Leap,
    /// The clock fell back shortly before.
    Fall,
    /// Backups made before and after it disagree.
    Contradicted,
    /// The same without any confirmation: wrong for good, even after the evidence is deleted.
    Wrong,
}

impl Doubt {
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The time to use for each backup, or why it is doubted.
    pub times: Vec<Result<Time, Doubt>>,
    /// The time to use for now.
    pub present: Time,
}

/// Judges timestamps, given in order of creation.
pub fn read(times: &[Time], now: Time) -> Reading {
    let mut runs = Runs::new(now);
    let places: Vec<usize> = times.iter().map(|&time| runs.observe(time)).collect();
    let last = runs.observe(now);
    let is_believed = |place: usize| runs.all[place].believed;
    // The first index after the last believed run.
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

/// A stretch in which the clock neither leapt nor fell.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: Time,
    last: Time,
    believed: bool,
    /// The run from which the clock leapt ahead to this one; none for the first, and after a fall.
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

#[derive(Debug)]
struct Runs {
    now: Time,
    all: Vec<Run>,
    current: usize,
    /// The last believed run.
    anchor: usize,
}

impl Runs {
    fn new(now: Time) -> Self {
        Self { now, all: Vec::new(), current: 0, anchor: 0 }
    }

    /// Adds a timestamp and returns its run.
    fn observe(&mut self, time: Time) -> usize {
        let known = [self.current, self.anchor].into_iter();
        let goes_on = known.filter(|&run| self.all.get(run).is_some_and(|run| run.goes_on_at(time)));
        // A clock that was behind for hours has not continued from there when it is right again.
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
        // A time after now confirms nothing.
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

    /// Believes a run and those from which the clock leapt to it, but not the one that the clock had fallen
    /// back to, which may have been wrong.
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

/// A time that is not doubted otherwise.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    place: usize,
    time: Time,
    /// Whether its run lasted or was confirmed.
    believed: bool,
}

/// Doubts times that contradict others, given that `anchor` is right; for good if `settled`.
fn doubt_contradicted(judged: &mut [Result<Time, Doubt>], anchor: Time, settled: bool) {
    let mut runs = Runs::new(anchor);
    let stamps = judged.iter().enumerate().filter_map(|(place, time)| Some((place, time.ok()?)));
    let stamps: Vec<(usize, Time, usize)> = stamps.map(|(place, time)| (place, time, runs.observe(time))).collect();
    runs.observe(anchor);
    // The first run counts as believed only because nothing precedes it.
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

/// Whether the clock was behind at the last of `made`, given that the time `next` is right.
fn was_behind(made: &[Stamp], sorted: &[Time], next: Time) -> bool {
    let Some((this, before)) = made.split_last() else { return false };
    // Fast path: nearly always, no time lies between.
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
mod tests;
